"""Limits in general: their scopes, reloads, what the MTA is asked for, and names that nobody would choose."""
import pytest

from milterside import Recorder
from sandbox import free_port, wait_until
from smtp import (CONNECTION_RATE, MESSAGE_RATE, NETWORKS, RECIPIENT_RATE, RECIPIENTS, enter, enter_proxied, fill,
                  greeted, proxied, refused)


def test_limit_counts_in_the_scope_of_its_block(mta, gate):
    """One counter for the scope whose block it is, however many paths lead there: the listens share the listener's, the
    pathway has one for all who take it, and the peer one of its own."""
    gate(f"""limit client_connections {{ max = 1  window = 1h }}
        listener {{
            limit client_connections {{ max = 3 }}
            listen ":{mta.port}" {{}}
            listen ":{mta.port2}" {{}}
            peer "127.7.0.0/16" {{ limit client_connections {{ max = 2 }} }}
        }}
        listener {{ pathway = "rest" }}
        pathway "rest" {{ limit client_connections {{ max = 4 }} }}""")
    fill(mta.port, ["127.0.0.1"] * 2)
    enter(mta.port2, "127.0.0.1")
    for port in (mta.port, mta.port2):
        refused(port, "127.0.0.1", refusal=CONNECTION_RATE)
    enter(mta.port, "127.7.0.1")
    enter(mta.port2, "127.7.0.1")
    refused(mta.port, "127.7.0.1", refusal=CONNECTION_RATE)
    fill(mta.port_tempfail, ["127.0.0.1"] * 4)
    refused(mta.port_tempfail, "127.0.0.1", refusal=CONNECTION_RATE)


def test_limit_terms_fall_back_singly(postfix, gate):
    """What the listen says, else the listener, the pathway, the service; of keys, those of the innermost block that
    fit."""
    gate("""limit session_recipients { max = 4  reply = "450 4.5.3 Outer {max}"  key "192.0.2.0/24" { max = 1 } }
        limit session_messages { max = 1  mode = off }
        pathway "in" { limit session_recipients { max = 3 } }
        listener {
            pathway = "in"
            limit session_messages { mode = block }
            listen ":%d" { limit session_recipients { max = 2  key "192.0.2.128/25" { max = 3 } } }
            listen ":%d" { limit session_messages { max = 2 } }
        }""" % (postfix.port, postfix.port2))
    for port, address, recipients, messages in (
            (postfix.port, "198.51.100.1", 2, 1), (postfix.port, "192.0.2.1", 1, 1),
            (postfix.port, "192.0.2.129", 3, 1), (postfix.port2, "198.51.100.1", 3, 2),
            (postfix.port2, "192.0.2.129", 1, 2)):
        client = enter_proxied(port, address)
        client.mail()
        client.rcpt(*["root@test.example"] * recipients)
        client.expect_exactly("RCPT TO:<root@test.example>", b"450 4.5.3 Outer %d\r\n" % recipients)
        for _ in range(messages - 1):
            client.expect("RSET", "250")
            client.mail()
        client.expect("RSET", "250")
        client.expect_refusal("MAIL FROM:<a@client.example>", MESSAGE_RATE)


def test_limit_of_ones_own(mta, gate):
    """A name that is not built in says what it counts, and per what."""
    daemon = gate("""limit domain_messages { count = messages  per = sender_domain  max = 2  window = 1h }
        limit helo_connections { count = unknown_commands  per = helo  max = 1  window = 1h }
        limit list_bounces { count = bounces  per = recipient_domain  max = 1  window = 1h }""")
    for sender in ("joe@spread.example", "ann@spread.example"):
        enter(mta.port, "127.1.1.1").send_message(sender=sender)
    enter(mta.port, "127.1.2.1").expect_refusal("MAIL FROM:<joe@spread.example>", MESSAGE_RATE)
    assert daemon.wait_line(limit="domain_messages", action="refuse")["key"] == "spread.example"
    client = enter(mta.port)
    client.mail("")
    client.rcpt("root@test.example")
    client.expect_exactly("RCPT TO:<daemon@test.example>", RECIPIENT_RATE)
    client.close()
    client = greeted(mta.port)
    client.expect("EHLO twice.example", "250")
    client.err()
    client = greeted(mta.port, "127.0.0.2")
    client.expect("EHLO twice.example", "250")
    client.expect("XYZZY", "421 4.4.5 Service unavailable, too many errors.")


def test_windows_and_bans_survive_a_reload(mta, gate):
    """What was counted counts, also under a new max or window; who was banned stays so, and no longer than before."""
    rules = "log_refusals = yes\nlimit client_connections { max = %d  window = %s  ban = 2h }\n"
    daemon = gate(rules % (3, "1h"))
    fill(mta.port, ["127.0.0.1"] * 2)
    fill(mta.port, ["127.0.0.2"] * 3)
    refused(mta.port, "127.0.0.2", refusal=CONNECTION_RATE)
    daemon.reload(rules % (3, "1h") + "service_sessions = 100\nlimit session_messages { max = 9 }")
    enter(mta.port, "127.0.0.1")
    refused(mta.port, "127.0.0.1", refusal=CONNECTION_RATE)
    daemon.reload(rules % (5, "2h"))
    for source in ("127.0.0.1", "127.0.0.2"):  # banned, although there is room now
        refused(mta.port, source, refusal=CONNECTION_RATE)
    banned = [line["ban_left"] for line in daemon.lines(client="127.0.0.2", action="refuse") if "ban_left" in line]
    assert banned and 7000 < float(banned[-1][:-1]) < 7200.5
    daemon.reload("")
    enter(mta.port, "127.0.0.2")
    daemon.reload(rules % (5, "1h"))
    refused(mta.port, "127.0.0.2", refusal=CONNECTION_RATE)
    fill(mta.port, ["127.0.0.3"] * 5)


def test_new_limit_reaches_open_sessions(mta, gate):
    """From the reload on, where the MTA was told to ask: here it was, by the other limit."""
    daemon = gate("limit session_messages { max = 100 }\nlimit session_recipients { max = 100 }")
    client = enter(mta.port)
    client.send_message("root@test.example", "daemon@test.example")
    daemon.reload("limit session_messages { max = 2 }\nlimit session_recipients { max = 3 }")
    client.mail()
    client.rcpt("root@test.example")
    client.expect_exactly("RCPT TO:<daemon@test.example>", RECIPIENTS)
    client.expect("RSET", "250")
    client.expect_refusal("MAIL FROM:<a@client.example>", MESSAGE_RATE)


@pytest.fixture
def recorded(gate, sandbox):
    """recorded(config) starts the daemon behind a recorder of what the MTAs say to it."""
    recorders = []

    def start(config):
        port = free_port()
        daemon = gate(config, f'milter {{ socket = "inet:{port}@127.0.0.1" }}')
        recorders.append(Recorder(sandbox.milter_port, port))
        return daemon, recorders[-1].sessions
    yield start
    for recorder in recorders:
        recorder.close()


def talk_of_everything(client):
    """Each command of which a filter may hear."""
    client.expect("EHLO again.example", "250")
    client.send_message()
    client.mail()
    client.err(rejected=True)
    client.err()
    client.expect("RSET", "250")
    client.quit()


@pytest.mark.parametrize("config,asked", [
    ("service_sessions = 9\nlimit client_sessions { max = 9 }", "CHMUQA"),
    ("service_sessions = 9\nmode = monitor", "CQA"),
    ("limit client_connections { max = 9 }", "CHMUQA"),
    ("limit session_recipients { max = 9 }", "CHMRTUQA"),
    ("limit domain_networks { max = 9 }", "CHMUQA"),
    ("limit session_errors { max = 9 }", "CHMRTUEQA"),
    ("limit client_connections { max = 9  mode = score }", "CEQA"),
    ("deny { clients = { \"192.0.2.1\" } }", "CHMUQA"),
    ("deny { mode = off  clients = { \"192.0.2.1\" } }", "CQA"),
    ("", "CQA"),
], ids=lambda value: value.replace(" ", "") or "nothing")
def test_only_what_the_rules_need_is_asked(postfix, recorded, config, asked):
    """With caps alone the MTA asks nothing at RCPT, DATA and the end of a message. Where unknown commands are heard
    libmilter needs DATA as well, or it would answer no end of message (MTA-FACTS.md)."""
    daemon, sessions = recorded(config)
    client = enter(postfix.port)
    talk_of_everything(client)
    wait_until(lambda: sessions and sessions[0].endswith("Q"), "the session is over")
    allowed = set(asked) | ({"T"} if "U" in asked else set()) | {"E"}
    assert set(sessions[0]) <= allowed, sessions
    assert set(asked) - {"A", "T", "E"} <= set(sessions[0]), sessions
    if "E" not in asked:
        assert daemon.is_running()


def test_exempt_session_costs_two_events(mta, recorded):
    """Connect and close, whatever it does in between and whatever the rules need."""
    daemon, sessions = recorded("""exempt { clients = { "127.0.0.0/24" } }
        idle_time = 1s
        service_sessions = 1
        limit session_errors { max = 0  key "10.0.0.0/8" { max = 1 } }""")
    clients = fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    for client in clients:
        for _ in range(3):
            client.send_message()
        client.err(3)
        client.quit()
    wait_until(lambda: [session.rstrip("Q") for session in sessions] == ["C", "C"] and daemon.is_empty(),
               lambda: f"both are closed: {sessions}")


ODD = {
    "long": "x" * 900,
    "binary": "\x80\xff\x9f.example",
    "escape": "\x1b[31m.example",
    "quotes": "a\"b\\c=d.example",
    "equals": "limit=none action=over".replace(" ", "\t"),
    "percent": "%n%s%00.example",
    "literal": "[192.0.2.1]",
    "dots": "...",
}


@pytest.mark.parametrize("name", ODD, ids=ODD.keys())
def test_odd_helo_names_count_like_others(postfix, gate, name):
    """The log lines of each are looked at when the daemon ends, here and everywhere."""
    daemon = gate("log_refusals = yes\nlimit helo_networks { max = 1  window = 1h }")
    line = b"EHLO " + ODD[name].encode("latin-1") + b"\r\n"
    port = postfix.ports["bytes"]
    greeted(port, "127.1.1.1").expect(line, "250")
    greeted(port, "127.1.1.2").expect(line, "250")
    greeted(port, "127.1.2.1").expect_refusal(line, NETWORKS)
    told = daemon.wait_line(limit="helo_networks", action="refuse")
    assert told["client"] == "127.1.2.1" and told["max"] == "1"
    assert len(told["key"]) < 256 if name != "dots" else "key" not in told  # nothing but dots is an empty name
    greeted(port, "127.1.2.1").expect("EHLO plain.example", "250")


ODD_ADDRESSES = {
    "long": b"x" * 900 + b"@client.example",
    "long domain": b"a" * 60 + b"@" + b"x.y." * 60 + b"example",
    "bidi": "ü\u202e\u2028@client.example".encode(),
    "quoted": b'"a b\\"=c"@client.example',
    "no domain": b"joe",
    "percent": b"%n%s@client.example",
    "equals": b"action=over@client.example",
}


@pytest.mark.parametrize("address", ODD_ADDRESSES, ids=[name.replace(" ", "_") for name in ODD_ADDRESSES])
def test_odd_senders_and_recipients_count_like_others(postfix, gate, address):
    """Bytes that are no UTF-8 both MTAs turn away themselves in an address."""
    daemon = gate("""log_refusals = yes
        limit sender_recipients { max = 1  window = 1h }
        limit recipient_messages { max = 1  window = 1h }""")
    client = enter(postfix.port)
    client.expects_5xx = True
    client.expect(b"MAIL FROM:<" + ODD_ADDRESSES[address] + b">\r\n", "250")
    client.rcpt("root@test.example")
    client.expect_exactly("RCPT TO:<daemon@test.example>", RECIPIENT_RATE)
    told = daemon.wait_line(limit="sender_recipients", action="refuse")
    assert 0 < len(told["key"]) < 256
    client.close()
    for number, code in ((1, "250"), (2, "452 4.5.3 Recipient rate limit reached.")):
        client = enter(postfix.port)
        client.expects_5xx = True
        client.mail(f"joe{number}@client.example")
        client.expect(b"RCPT TO:<" + ODD_ADDRESSES[address] + b">\r\n", code)
        client.close()
    assert 0 < len(daemon.wait_line(limit="recipient_messages", action="refuse")["key"]) < 256


def test_empty_names_are_let_be(mta, gate):
    """The MTA answers an empty HELO or recipient itself; the null sender is nobody, and other counts go on."""
    gate("""limit helo_networks { max = 1  window = 1h }
        limit sender_recipients { max = 1  window = 1h }
        limit domain_networks { max = 1  window = 1h }
        limit session_recipients { max = 3 }""")
    client = enter(mta.port, "127.1.1.1")
    client.expects_5xx = True
    client.expect("EHLO", "501")
    client.mail("")
    client.expect("RCPT TO:<>", "5")
    client.rcpt(*["root@test.example"] * 2)
    client.quit()
    client = greeted(mta.port, "127.1.2.1")
    client.expect("EHLO other.example", "250")
    client.mail("")
    client.rcpt(*["root@test.example"] * 3)
    client.expect_exactly("RCPT TO:<root@test.example>", RECIPIENTS)


def test_domains_are_the_same_in_any_spelling(postfix, gate):
    """Case, a dot at the end, and an internationalised domain in UTF-8 or as A-labels."""
    daemon = gate("""limit domain_networks { max = 1  window = 1h  except = { "Bücher.example" } }
        limit helo_networks { max = 1  window = 1h }
        deny { domains = { "schön.example" } }""")
    enter(postfix.port, "127.1.1.1").mail("joe@spread.example")
    enter(postfix.port, "127.1.1.2").mail("joe@SPREAD.Example")
    for network, sender in ((2, "joe@Spread.EXAMPLE"), (3, "ann@spread.example"), (4, "joe@spread.example.")):
        client = enter_helo(postfix.port, f"127.1.{network}.1", f"h{network}.example")
        client.expect_refusal(f"MAIL FROM:<{sender}>", NETWORKS)
    assert {line["key"] for line in daemon.lines(limit="domain_networks")} == {"spread.example"}
    for network, sender in ((5, "joe@bücher.example"), (6, "joe@xn--bcher-kva.example"), (7, "joe@BÜCHER.example")):
        client = enter_helo(postfix.port, f"127.1.{network}.1", f"h{network}.example")
        client.expect(f"MAIL FROM:<{sender}> SMTPUTF8\r\n".encode(), "250")
    for network, sender in ((5, "joe@schön.example"), (6, "joe@xn--schn-7qa.example"), (7, "joe@mail.SCHÖN.example")):
        client = enter_helo(postfix.port, f"127.1.{network}.2", f"h{network}.example")
        client.expect(f"MAIL FROM:<{sender}> SMTPUTF8\r\n".encode(), "421 4.7.1 Service unavailable, access denied.")
    greeted(postfix.port, "127.2.1.1").expect("EHLO Mx.Example.", "250")
    greeted(postfix.port, "127.2.2.1").expect_refusal("EHLO mX.eXAMPLE", NETWORKS)


def enter_helo(port, source, name):
    client = greeted(port, source)
    client.expect(f"EHLO {name}", "250")
    return client


def test_helo_is_replaced_by_the_next(mta, gate):
    """Each HELO of a session is judged, and counts errors for the name that it now has."""
    gate("limit helo_errors { count = errors  per = helo  max = 1  window = 1h }")
    client = enter_helo(mta.port, "127.0.0.1", "one.example")
    client.err()
    client.expect("EHLO two.example", "250")
    client.err()
    client.expect("EHLO one.example", "250")
    client.expect("XYZZY", "421 ")
    client = enter_helo(mta.port, "127.0.0.2", "two.example")
    client.expect("XYZZY", "421 ")


def test_client_behind_a_proxy_is_counted_by_its_own_address(postfix, gate):
    """And its verified name, and its user, also when it comes over IPv6."""
    daemon = gate("""log_refusals = yes
        limit domain_messages { count = messages  per = client_domain  max = 1  window = 1h }
        limit client_connections { max = 2  window = 1h }
        limit user_messages { count = messages  per = user  max = 2  window = 1h }
        exempt { clients = { "127.0.0.1" } }""")
    enter_proxied(postfix.port, "192.0.2.1", "mx1.example.net").send_message()
    enter_proxied(postfix.port, "2001:db8:9::1", "mx2.example.net").expect_refusal("MAIL FROM:<a@client.example>",
                                                                                   MESSAGE_RATE)
    assert daemon.wait_line(limit="domain_messages")["key"] == "example.net"
    enter_proxied(postfix.port, "2001:db8:9::2")
    proxied(postfix.port, "2001:db8:9::3").expect_refusal(refusal=CONNECTION_RATE)
    for address, login in (("198.51.100.1", "Joe"), ("198.51.100.2", "Joe")):
        enter_proxied(postfix.port, address, login=login).send_message()
    joe = enter_proxied(postfix.port, "198.51.100.3", login="Joe")
    joe.expect_refusal("MAIL FROM:<a@client.example>", MESSAGE_RATE)


def test_table_is_bounded(mta, gate):
    """More keys than there is room for: the oldest that hold nothing go, nobody is turned away, caps stay exact."""
    daemon = gate("""table_size = 8
        service_sessions = 3
        limit client_connections { max = 50  window = 1h }
        limit helo_networks { max = 50  window = 1h }""")
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    for host in range(40):
        client = greeted(mta.port, f"127.0.1.{host + 1}")
        client.expect(f"EHLO h{host}.example", "250")
        client.quit()
        wait_until(lambda: daemon.counters()[0]["sessions"] == 2, "it has left")
    totals = daemon.counters()[0]
    assert totals["keys"] <= 8 and totals["table_size"] == 8 and totals["evicted"] > 0
    enter(mta.port, "127.0.0.3")
    refused(mta.port, "127.0.0.4")
    assert all(client.is_served() for client in held)
