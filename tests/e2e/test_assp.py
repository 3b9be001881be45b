"""ASSP's SMTP session limits, row by row."""
import pytest

from sandbox import wait_until
from smtp import (CONNECTION_RATE, DENIED, ERRORS, IDLE, NETWORKS, enter, enter_proxied, enter_soon, fill, greeted,
                  proxied, refused, try_enter)


@pytest.mark.parametrize("mode", ["off", "block", "monitor"])
def test_assp_deny(mta, gate, directory, mode):
    """A list of addresses, in the file and in one of its own."""
    (directory / "deny.list").write_text("# known for it\n127.6.0.0/16\n\n127.5.5.5  # one\n")
    daemon = gate(f"""log_refusals = yes
        deny {{ mode = {mode}  clients = {{ "127.7.0.0/16" }}  file = "deny.list" }}""")
    for source in ("127.7.0.1", "127.6.255.255", "127.5.5.5"):
        if mode == "block":
            refused(mta.port, source, refusal=DENIED)
        else:
            enter(mta.port, source).send_message()
        told = {"off": None, "block": "refuse", "monitor": "monitor"}[mode]
        if told:
            assert daemon.wait_line(limit="deny", client=source, action=told)["scope"] == "service"
    enter(mta.port, "127.5.5.4")
    assert bool(daemon.lines(limit="deny")) == (mode != "off")


@pytest.mark.parametrize("rejected", [False, True], ids=["unknown", "rejected"])
def test_assp_max_errors(mta, gate, rejected):
    """The error after the last that may be is answered with the line and the end. An error that the MTA answers itself,
    a recipient that it rejects, is followed by the line at the next command."""
    gate("limit session_errors { max = 3  soft = 0  error_delay = 0 }")
    client = enter(mta.port)
    client.mail()
    client.err(3, rejected)
    if not rejected:
        client.expect_refusal("XYZZY", ERRORS)
        return
    client.command("RCPT TO:<nobody-here@test.example>")
    client.expect_refusal("RCPT TO:<root@test.example>", ERRORS)


def test_assp_max_smtp_sessions(mta, gate):
    gate("service_sessions = 3")
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2"]) + fill(mta.port2, ["127.0.0.1"])
    refused(mta.port, "127.0.0.3")
    refused(mta.port2, "127.0.0.1")
    held[0].quit()
    enter_soon(mta.port2, "127.0.0.3")


def test_assp_max_smtp_sessions_of_one_address(mta, gate):
    """Exempt addresses are spared; in monitor the log alone tells."""
    daemon = gate("""limit client_sessions { max = 2 }
        listener { listen ":%d" {}  listen ":%d" { limit client_sessions { mode = monitor } } }
        exempt { clients = { "127.0.0.9" } }""" % (mta.port, mta.port2))
    fill(mta.port, ["127.0.0.1"] * 2)
    refused(mta.port, "127.0.0.1")
    fill(mta.port, ["127.0.0.9"] * 4)
    fill(mta.port2, ["127.0.0.2"] * 3)
    told = daemon.wait_line(limit="client_sessions", client="127.0.0.2", action="monitor")
    assert (told["count"], told["max"]) == ("2", "2")


def test_assp_frequency_of_one_address(mta, gate):
    """More connections than may be within the duration: banned; it makes no odds that the earlier ones have left."""
    daemon = gate("log_refusals = yes\nlimit client_connections { max = 3  window = 1h  ban = 2h }")
    for _ in range(3):
        enter(mta.port, "127.0.0.1").quit()
    for _ in range(4):
        refused(mta.port, "127.0.0.1", refusal=CONNECTION_RATE)
    fill(mta.port, ["127.0.0.2"] * 3)
    wait_until(lambda: len(daemon.lines(limit="client_connections", action="refuse")) == 4, "each refusal is told")
    first, *others = daemon.lines(limit="client_connections", action="refuse")
    assert (first["count"], first["max"], first["client"], first["scope"]) == ("3", "3", "127.0.0.1", "service")
    assert 7100 < float(first["ban"][:-1]) <= 7201
    # Retries stretch nothing: what is left of the ban only grows less.
    left = [float(first["ban"][:-1])] + [float(line["ban_left"][:-1]) for line in others]
    assert left == sorted(left, reverse=True)
    assert daemon.totals()["client_connections"] == {"refused": 4, "bans": 1}


def test_assp_frequency_ban_ends_while_the_client_retries(mta, gate):
    """The window is over before the ban; the client, who never stops trying, gets in when the ban is over."""
    daemon = gate("limit client_connections { max = 1  window = 1s  ban = 3s }")
    enter(mta.port, "127.0.0.1")
    wait_until(lambda: not try_enter(mta.port, "127.0.0.1", refusal=CONNECTION_RATE), "two within a second are too many",
               pause=0)
    tries = []

    def let_in():
        client = try_enter(mta.port, "127.0.0.1", refusal=CONNECTION_RATE)
        tries.append(client)
        return client
    wait_until(let_in, "the ban is over", pause=0.05)
    assert len(tries) > 1
    assert daemon.totals()["client_connections"]["bans"] == 1


@pytest.mark.parametrize("mode", ["off", "monitor", "score"])
def test_assp_frequency_modes(mta, gate, mode):
    """Off: nothing. Monitor: the log. Score: points, which refuse when there are enough; a ban gives them as well."""
    daemon = gate(f"""log_refusals = yes
        score_refuse = 10
        limit client_connections {{ max = 2  window = 1h  ban = 1h  mode = {mode}
            {"points = 6" if mode == "score" else ""} }}
        deny {{ mode = score  points = 4  clients = {{ "127.0.0.2" }} }}""")
    for source in ("127.0.0.1", "127.0.0.2"):
        fill(mta.port, [source] * 2)
    for _ in range(3):
        enter(mta.port, "127.0.0.1")
    if mode == "score":
        refused(mta.port, "127.0.0.2", refusal=b"421 4.7.1 Service unavailable, refused by policy.\r\n")
        assert daemon.wait_line(limit="score", client="127.0.0.2", action="refuse")["count"] == "10"
    else:
        enter(mta.port, "127.0.0.2")
    lines = daemon.lines(limit="client_connections", client="127.0.0.1")
    assert [line["action"] for line in lines] == [] if mode == "off" else [mode] * 3
    assert all(line["points"] == "6" for line in lines if mode == "score")


def test_assp_domain_networks(mta, gate):
    """Different /24 networks of one sender domain; a network that is known already is none, other domains neither. Past
    the number the domain is banned from wherever it comes. Listed domains and the null sender, who is nobody, are
    spared."""
    daemon = gate("""log_refusals = yes
        limit domain_networks { max = 2  window = 1h  ban = 2h  except = { "pool.example" } }""")
    for source in ("127.1.1.1", "127.1.2.1", "127.1.1.77", "127.1.2.78"):
        enter(mta.port, source).mail("joe@spread.example")
    enter(mta.port, "127.1.3.1").expect_refusal("MAIL FROM:<ann@spread.example>", NETWORKS)
    told = daemon.wait_line(limit="domain_networks", action="refuse")
    assert (told["key"], told["count"], told["max"], told["client"]) == ("spread.example", "2", "2", "127.1.3.1")
    assert float(told["ban"][:-1]) > 7000
    for source in ("127.1.1.1", "127.1.4.1"):  # banned, the networks that it was known to come from too
        enter(mta.port, source).expect_refusal("MAIL FROM:<joe@spread.example>", NETWORKS)
    for network in range(1, 6):
        client = enter(mta.port, f"127.1.{network}.1")
        for sender in ("joe@mail.pool.example", "joe@pool.example", "", f"joe@d{network}.example"):
            client.mail(sender)
            client.expect("RSET", "250")


def test_assp_domain_networks_prefix(postfix, gate):
    """What a network is can be set, for IPv4 and IPv6."""
    gate("limit domain_networks { max = 1  window = 1h  ban = 0  ipv4_prefix = 16  ipv6_prefix = 48 }")
    enter_proxied(postfix.port, "192.0.2.1").mail("joe@four.example")
    enter_proxied(postfix.port, "192.0.255.1").mail("joe@four.example")
    enter_proxied(postfix.port, "192.1.0.1").expect_refusal("MAIL FROM:<joe@four.example>", NETWORKS)
    enter_proxied(postfix.port, "192.0.1.1").mail("joe@four.example")  # without a ban it is only that network
    enter_proxied(postfix.port, "2001:db8:7:1::1").mail("joe@six.example")
    enter_proxied(postfix.port, "2001:db8:7:ffff::1").mail("joe@six.example")
    enter_proxied(postfix.port, "2001:db8:8::1").expect_refusal("MAIL FROM:<joe@six.example>", NETWORKS)


def test_assp_helo_networks(mta, gate):
    """The same for the HELO name, before MAIL."""
    gate("limit helo_networks { max = 2  window = 1h  ban = 1h }")
    for source in ("127.1.1.1", "127.1.2.1", "127.1.1.2"):
        greeted(mta.port, source).expect("EHLO bot.example", "250")
    for source in ("127.1.3.1", "127.1.1.1"):
        greeted(mta.port, source).expect_refusal("EHLO BOT.example", NETWORKS)
    greeted(mta.port, "127.1.3.1").expect("EHLO other.example", "250")


def test_assp_idle_timeout(postfix, gate):
    """Idle sessions are cut; a peer with 0 has none. The last is silent for longest and is served."""
    gate("""idle_action = disconnect
        idle_time = 1s
        listener { peer "127.7.0.0/16" { idle_time = 0 }  peer "127.8.0.0/16" { idle_action = refuse } }""")
    spared, told, cut = (enter(postfix.port, source) for source in ("127.7.0.1", "127.8.0.1", "127.0.0.1"))
    assert cut.read_to_end() == b""
    told.expect_refusal("MAIL FROM:<a@client.example>", IDLE)
    spared.mail()


def test_assp_modes(mta, gate):
    """The four modes of one limit side by side, each in a peer of its own."""
    peers = "".join(f'peer "127.{number}.0.0/16" {{ limit client_connections {{ mode = {mode} }} }}\n'
                    for number, mode in enumerate(("off", "block", "monitor", "score"), start=1))
    daemon = gate(f"""limit client_connections {{ max = 2  window = 1h }}
        listener {{ {peers} }}""")
    for number in range(1, 5):
        fill(mta.port, [f"127.{number}.0.1"] * 2)
    refused(mta.port, "127.2.0.1", refusal=CONNECTION_RATE)
    for number in (1, 3, 4):
        enter(mta.port, f"127.{number}.0.1").send_message()
    assert daemon.totals() == {"client_connections": {"refused": 1, "monitored": 1, "scored": 1}}


@pytest.mark.parametrize("where", ["section", "file"])
def test_assp_exemptions(mta, gate, directory, where):
    """By address: spared everything, and in no count. By sender or its domain: what is judged at MAIL and after."""
    if where == "file":
        (directory / "exempt.list").write_text("127.7.0.0/16\nfriend.example\nann@other.example\n")
        lists = 'file = "exempt.list"'
    else:
        lists = 'clients = { "127.7.0.0/16" }  domains = { "friend.example" }  senders = { "ann@other.example" }'
    gate(f"""service_sessions = 2
        limit session_messages {{ max = 1 }}
        limit client_connections {{ max = 2  window = 1h }}
        exempt {{ {lists} }}""")
    for client in fill(mta.port, ["127.7.0.1"] * 4):
        for _ in range(3):
            client.send_message()
    client = enter(mta.port, "127.0.0.1")
    for _ in range(3):
        client.send_message(sender="joe@friend.example")
        client.send_message(sender="joe@mail.FRIEND.example")
        client.send_message(sender="ann@other.example")
    client.expect("MAIL FROM:<joe@other.example>", "421")
    enter(mta.port, "127.0.0.2")
    enter_soon(mta.port, "127.0.0.3")


def test_assp_exempt_users(postfix, gate):
    """Users by name, and everybody who has authenticated; never from a cap."""
    rules = "limit session_messages { max = 1 }\nexempt { users = { \"joe\" } }\n"
    daemon = gate(rules)
    joe, ann = (enter_proxied(postfix.port, "192.0.2.1", login=login) for login in ("joe", "ann"))
    # Postfix may open the client's session before we have seen the end of the proxy's.
    wait_until(lambda: daemon.counters()[0]["sessions"] == 2, "the proxy's own sessions are over")
    daemon.reload(rules + "service_sessions = 2")
    refused(postfix.port)
    for client in (joe, ann):
        client.send_message()
    joe.send_message()
    ann.expect("MAIL FROM:<a@client.example>", "421")
    daemon.reload("limit session_messages { max = 1 }\nexempt { authenticated = yes }")
    bob, nobody = enter_proxied(postfix.port, "192.0.2.1", login="bob"), enter(postfix.port)
    for client in (bob, nobody):
        client.send_message()
    bob.send_message()
    nobody.expect("MAIL FROM:<a@client.example>", "421")


def test_assp_except_in_a_limit(postfix, gate):
    """Addresses, networks, domains with their subdomains, users: from one limit, not from others."""
    gate("""limit client_connections {
            max = 1  window = 1h  except = { "192.0.2.1", "198.51.100.0/24", "big.example" }
        }
        limit session_messages { max = 1  except = { "joe" } }""")
    for address, name in (("192.0.2.1", "[UNAVAILABLE]"), ("198.51.100.7", "[UNAVAILABLE]"),
                          ("203.0.113.1", "mx7.big.example")):
        client = enter_proxied(postfix.port, address, name)
        client.send_message()
        enter_proxied(postfix.port, address, name)
        client.expect("MAIL FROM:<a@client.example>", "421")
    joe = enter_proxied(postfix.port, "203.0.113.9", login="joe")
    for _ in range(3):
        joe.send_message()
    proxied(postfix.port, "203.0.113.9", login="joe").expect_refusal(refusal=CONNECTION_RATE)


@pytest.mark.parametrize("line,said", [
    ("554 5.7.1 Go away, {client}: {count} of {max} in {limit}.",
     "554 5.7.1 Go away, 127.0.0.1: 1 of 1 in client_sessions."),
    ("550 100% full", "550 5.7.1 100% full")], ids=["554", "550"])
def test_assp_reply(mta, gate, line, said):
    """A permanent refusal for those who want it. The MTA does not hang up after it, so every command is refused. To an
    EHLO that is refused for good both MTAs say 250 with hardly an extension, or the client would try HELO."""
    gate(f'limit client_sessions {{ max = 1  reply = "{line}" }}')
    enter(mta.port, "127.0.0.1")
    client = greeted(mta.port, "127.0.0.1")
    client.expects_5xx = True
    assert client.ehlo() in (b"250-mx.test.example\r\n250 ENHANCEDSTATUSCODES\r\n",
                             b"250-mx.test.example Hello localhost [127.0.0.1], pleased to meet you\r\n"
                             b"250 ENHANCEDSTATUSCODES\r\n")
    for sender in ("a@client.example", "b@client.example"):
        client.expect_exactly(f"MAIL FROM:<{sender}>", said.encode() + b"\r\n")
    enter(mta.port, "127.0.0.2")
    client.quit()
