"""The policy door alone, on real Postfix: each limit that needs no session's end."""
import time

import pytest

from policyside import at_connect, door, said_by_postfix, turned_away
from sandbox import SERVER_IPV6, client_ipv6, wait_until
from smtp import (CONNECTION_RATE, DENIED, ERRORS, MESSAGE_RATE, NETWORKS, RECIPIENT_RATE, RECIPIENTS, REJECTED, SCORE,
                  Client, enter, enter_proxied, fill, greeted)

CLIENT = "127.0.0.1"
ROOT = "root@test.example"
# Where Postfix asks at other stages, and where a message is refused then: by what restriction, and what it is about.
SERVICES = {
    "policy": ("Sender address", "a@client.example"),
    "policy_late": ("Client host", f"unknown[{CLIENT}]"),
    "policy_mail": ("Sender address", "a@client.example"),
    "policy_rcpt": ("Recipient address", ROOT),
    "policy_data": ("Data command", "DATA"),
    "policy_end": ("End-of-data", "END-OF-MESSAGE"),
}


@pytest.fixture
def policed(postfix, gate):
    """policed(config) starts the daemon with a policy door that Postfix asks; no filter is called at these ports, so
    nobody could say when a session ends."""
    def start(config, **options):
        return gate(door(postfix.policy, sessions="none", **options) + config)
    return start


def try_message(client, *recipients, end=b"Subject: t\r\n\r\nhello\r\n.\r\n"):
    """One message; the first reply that is no success, or that to its end."""
    to = [f"RCPT TO:<{recipient}>" for recipient in recipients or (ROOT,)]
    for line in ["MAIL FROM:<a@client.example>", *to, "DATA"]:
        reply = client.command(line)
        if reply[:1] not in b"23":
            return reply
    client.send(end)
    return client.reply()


def test_deny(postfix, policed):
    """In place of the greeting, with our own text; over IPv6 too."""
    policed('deny { clients = { "127.7.0.0/16", "2001:db8:1:7::/64" } }')
    port = postfix.ports["policy"]
    turned_away(port, "127.7.0.1", refusal=DENIED)
    turned_away(port, client_ipv6(7), SERVER_IPV6, DENIED)
    enter(port, "127.8.0.1").send_message()
    enter(port, client_ipv6(8), SERVER_IPV6).send_message()


def test_deny_of_senders_and_users(postfix, policed):
    policed('deny { senders = { "joe@spam.example" }  users = { "mallory" } }\nexempt { clients = { "127.0.0.1" } }')
    client = enter(postfix.ports["policy"], "127.0.0.2")
    client.expect_refusal("MAIL FROM:<Joe@SPAM.example>",
                          said_by_postfix(DENIED, "Sender address", "Joe@SPAM.example"))
    client = enter_proxied(postfix.ports["policy"], "192.0.2.1", login="mallory")
    client.expect_refusal("MAIL FROM:<a@client.example>", said_by_postfix(DENIED, "Sender address", "a@client.example"))
    enter_proxied(postfix.ports["policy"], "192.0.2.1", login="joe").send_message()


def test_frequency_and_ban(postfix, policed):
    """The window is over before the ban; who is banned reads so at connect, and retries stretch nothing."""
    daemon = policed("limit client_connections { max = 2  window = 1s  ban = 3s }")
    port = postfix.ports["policy"]
    wait_until(lambda: not is_let_in(port, CONNECTION_RATE), "three within a second are too many", pause=0)
    tries = []
    wait_until(lambda: tries.append(is_let_in(port, CONNECTION_RATE)) or tries[-1], "the ban is over", pause=0.05)
    assert len(tries) > 1
    assert daemon.totals()["client_connections"]["bans"] == 1
    enter(port, "127.0.0.2")


def is_let_in(port, refusal, source=CLIENT):
    client = Client(port, source)
    answer = client.reply()
    client.close()
    assert answer.startswith(b"220") or answer == at_connect(refusal, source)
    return answer.startswith(b"220")


@pytest.mark.parametrize("service", ["policy", "policy_late"])
def test_connection_is_counted_once(postfix, policed, service):
    """However many requests and stages speak of it, and another one from the same port is another one."""
    policed("limit client_connections { max = 3  window = 1h }")
    port = postfix.ports[service]
    for _ in range(2):
        client = enter(port)
        for _ in range(3):
            client.send_message(ROOT, "daemon@test.example")
        client.mail()
        client.expect("RSET", "250")
        client.command("VRFY root")
        client.ehlo("again.example")
        client.quit()
    enter(port).send_message()
    if service == "policy":
        turned_away(port, refusal=CONNECTION_RATE)
    else:
        client = enter(port)
        client.mail()
        client.expect_refusal(f"RCPT TO:<{ROOT}>", at_connect(CONNECTION_RATE))
    enter(port, "127.0.0.2").send_message()


def test_connections_from_one_port(postfix, policed):
    """Are different ones, though Postfix asks at connect alone."""
    policed("limit client_connections { max = 3  window = 1h }")
    client = enter(postfix.ports["policy_context"])
    for number in range(3):
        address = client.socket.getsockname()
        client.reset()
        client = Client(client.port, address[0], local_port=address[1])
        if number < 2:
            client.expect(None, "220")
    client.expect_refusal(None, at_connect(CONNECTION_RATE))


def test_helo(postfix, policed):
    policed("limit helo_networks { max = 1  window = 1h  ban = 0 }")
    enter(postfix.ports["policy"], "127.1.1.1")
    client = greeted(postfix.ports["policy"], "127.1.2.1")
    client.expect_refusal("EHLO client.example", said_by_postfix(NETWORKS, "Helo command", "client.example"))
    enter(postfix.ports["policy"], "127.1.1.2")


@pytest.mark.parametrize("service", SERVICES)
def test_messages(postfix, policed, service):
    """Counted once, wherever Postfix asks and however often: at the first stage that tells of one the fourth is one
    too many. Postfix gives a message its name only at RCPT."""
    policed("limit client_messages { max = 3  window = 1h }")
    restriction, what = SERVICES[service]
    client = enter(postfix.ports[service])
    for number in range(3):
        if number == 1:
            client.quit()
            client = enter(postfix.ports[service])
        assert try_message(client, ROOT, "daemon@test.example").startswith(b"250"), number
    assert try_message(client) == said_by_postfix(MESSAGE_RATE, restriction, what)
    assert client.read_to_end() == b""
    assert try_message(enter(postfix.ports[service], "127.0.0.2")).startswith(b"250")


def test_recipients(postfix, policed):
    """452 at RCPT; the session goes on, and what was accepted is delivered."""
    policed("limit session_recipients { max = 3 }\nlimit message_recipients { max = 2 }")
    client = enter(postfix.ports["policy"])
    reply = said_by_postfix(RECIPIENTS, "Recipient address", "bin@test.example")
    for admitted in (2, 1):
        client.mail()
        client.rcpt(*["root@test.example", "daemon@test.example"][:admitted])
        client.expect_exactly("RCPT TO:<bin@test.example>", reply)
        client.expect("DATA", "354")
        client.send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
        client.expect(None, "250")
    assert client.is_served()


def test_recipients_of_clients_senders_and_users(postfix, policed):
    policed("""limit client_recipients { max = 2  window = 1h }
        limit sender_recipients { max = 9  window = 1h  key "list@example.com" { max = 1 } }
        limit user_recipients { max = 9  window = 1h  key "ann" { max = 1 } }""")
    port = postfix.ports["policy"]
    reply = said_by_postfix(RECIPIENT_RATE, "Recipient address", ROOT)
    for _ in range(2):
        enter(port).send_message()
    client = enter(port)
    client.mail()
    client.expect_exactly(f"RCPT TO:<{ROOT}>", reply)
    for number in (1, 2):
        client = enter(port, f"127.0.1.{number}")
        client.mail("list@example.com")
        client.expect(f"RCPT TO:<{ROOT}>", "250") if number == 1 else client.expect_exactly(f"RCPT TO:<{ROOT}>", reply)
        client = enter_proxied(port, f"192.0.2.{number}", login="ann")
        client.mail()
        client.expect(f"RCPT TO:<{ROOT}>", "250") if number == 1 else client.expect_exactly(f"RCPT TO:<{ROOT}>", reply)


def test_recipients_by_their_number_at_data(postfix, policed):
    """Where Postfix asks at DATA alone, recipient_count says it; the session goes on."""
    policed("limit message_recipients { max = 3 }\nlimit client_recipients { max = 8  window = 1h }")
    port = postfix.ports["policy_data"]
    client = enter(port)
    everybody = [f"{name}@test.example" for name in ("root", "daemon", "bin", "sys")]
    for _ in range(2):
        assert try_message(client, *everybody) == said_by_postfix(RECIPIENTS, "Data command", "DATA")
        client.expect("RSET", "250")
    assert try_message(client, *everybody[:3]).startswith(b"250")
    assert try_message(client, *everybody[:3]).startswith(b"250")
    assert try_message(client, *everybody[:3]) == said_by_postfix(RECIPIENT_RATE, "Data command", "DATA")
    client.expect("RSET", "250")
    assert try_message(client, *everybody[:2]).startswith(b"250")


def test_recipients_named_twice_are_two(postfix, policed):
    policed("limit session_recipients { max = 4 }")
    client = enter(postfix.ports["policy"])
    assert try_message(client, ROOT, ROOT).startswith(b"250")
    assert try_message(client, ROOT, ROOT, ROOT).endswith(RECIPIENTS[10:])  # at RCPT or, by their number, at DATA


def test_recipients_asked_about_many_times(postfix, policed):
    """Postfix itself asks for each of its lists when the recipient comes."""
    policed("limit session_recipients { max = 3 }")
    client = enter(postfix.ports["policy_late"])
    assert try_message(client, ROOT, "daemon@test.example", "bin@test.example").startswith(b"250")
    client.mail()
    client.expect_exactly(f"RCPT TO:<{ROOT}>", at_connect(RECIPIENTS))
    assert client.is_served()


def test_errors(postfix, policed):
    """Recipients that Postfix rejected by itself are those that are missing at DATA; they are errors, and a message
    that is transferred makes a new beginning."""
    policed("limit session_errors { max = 2  soft = 0  error_delay = 0 }")
    client = enter(postfix.ports["policy"])
    client.expects_5xx = True

    def message(rejected):
        client.mail()
        for _ in range(rejected):
            client.rcpt(ROOT)
            client.expect(f"RCPT TO:<{REJECTED}>", "550")
        client.rcpt("daemon@test.example")
        return client.command("DATA")

    for _ in range(2):
        assert message(2).startswith(b"354")
        client.send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
        client.expect(None, "250")
    assert message(3) == said_by_postfix(ERRORS, "Data command", "DATA")
    assert client.read_to_end() == b""


def test_domain_networks(postfix, policed):
    policed('limit domain_networks { max = 2  window = 1h  ban = 1h  except = { "pool.example" } }\n'
            'exempt { clients = { "127.0.0.1" } }')
    port = postfix.ports["policy"]
    for number in range(1, 4):
        enter_proxied(port, f"192.0.{number}.1").mail("joe@pool.example")
    for source in ("192.0.1.1", "2001:db8:9::1"):
        enter_proxied(port, source).mail("joe@spread.example")
    for source in ("192.0.3.1", "192.0.1.1"):  # banned, those known before too
        enter_proxied(port, source).expect_refusal(
            "MAIL FROM:<ann@Spread.example>", said_by_postfix(NETWORKS, "Sender address", "ann@Spread.example"))


def test_host_names(postfix, policed):
    """The verified name of the client; after XCLIENT it is another client, at the same port."""
    policed("""limit client_connections { max = 1  window = 1h  key "example.net" { max = 2 } }
        exempt { clients = { "127.0.0.1" } }""")
    for address, name, most in (("192.0.2.1", "mx.example.net", 2), ("192.0.2.2", "mx.example.org", 1)):
        for _ in range(most):
            enter_proxied(postfix.ports["policy"], address, name).send_message()
        client = greeted(postfix.ports["policy"])
        client.expect_refusal(f"XCLIENT ADDR={address} NAME={name}", at_connect(CONNECTION_RATE, address, name))


def test_reputation(postfix, policed):
    """Messages make a history good, errors bad, each recipient that Postfix rejected, and limits follow it."""
    policed("""reputation { }
        limit client_messages { max_good = 9  max = 3  max_bad = 1  window = 1h }""")
    port = postfix.ports["policy"]
    bad = enter(port, "127.0.0.2")
    bad.expects_5xx = True
    bad.mail()
    for _ in range(3):
        bad.expect(f"RCPT TO:<{REJECTED}>", "550")
        bad.rcpt(ROOT)
    bad.expect("DATA", "354")
    bad.send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
    bad.expect(None, "250")
    assert try_message(bad) == said_by_postfix(MESSAGE_RATE, "Sender address", "a@client.example")
    good = enter(port)
    for _ in range(5):
        good.send_message()


SCORING = """limit client_connections { max = 1  window = 1h  mode = score  points = 5 }
    limit message_recipients { max = 1  mode = score  points = 100 }
    deny { mode = score  points = 3  clients = { "127.7.0.0/16" } }
"""


def read_back(postfix, client, mark, *more):
    """The lines of a message as it is delivered."""
    mark = mark.encode("ascii")
    body = b"X-Tidegate-Score: 0 (all is well)\r\nSubject: " + mark + b"\r\n\r\nhello\r\n"
    client.send_message("read@test.example", *more, body=body)
    return postfix.delivered(mark).split(b"\n")


@pytest.mark.parametrize("service", ["policy", "policy_late", "policy_data"])
def test_score_is_handed_on_in_the_topmost_header(postfix, policed, service):
    """Once a message, though Postfix asks at several stages; who has no points gets none."""
    policed(SCORING)
    port = postfix.ports[service]
    first = enter(port, "127.7.0.1")
    message = read_back(postfix, first, f"{service}-1")
    assert message[0] == b"X-Tidegate-Score: 3 (deny=3)"
    assert message.count(b"X-Tidegate-Score: 0 (all is well)") == 1
    assert sum(line.startswith(b"X-Tidegate-Score") for line in message) == 2
    assert read_back(postfix, first, f"{service}-2")[0] == b"X-Tidegate-Score: 3 (deny=3)"
    second = enter(port, "127.7.0.1")
    message = read_back(postfix, second, f"{service}-3", ROOT)
    assert message[0] == b"X-Tidegate-Score: 108 (deny=3, client_connections=5, message_recipients=100)"
    message = read_back(postfix, enter(port), f"{service}-4")
    assert message[0].startswith(b"Received: ")
    assert not any(line.startswith(b"X-Tidegate-Score") and b"well" not in line for line in message)


def test_score_at_the_end_of_a_message(postfix, policed):
    """Only where DATA was not asked about: there Postfix drops it, and its warning says where to ask instead."""
    policed(SCORING)
    warnings = postfix.log().count("action PREPEND")
    for service, dropped in (("policy", 0), ("policy_end", 1)):
        client = enter(postfix.ports[service], "127.7.0.1")
        client.send_message(ROOT)
        client.quit()
        wait_until(lambda: postfix.log().count("action PREPEND") == warnings + dropped, "what Postfix drops it tells")


def test_score_refuses_when_it_is_enough(postfix, policed):
    policed("score_refuse = 8\n" + SCORING)
    enter(postfix.ports["policy"], "127.7.0.1").send_message()
    turned_away(postfix.ports["policy"], "127.7.0.1", refusal=SCORE)
    fill(postfix.ports["policy"], ["127.0.0.1"] * 3)


def test_monitor_lets_pass_and_tells(postfix, policed):
    daemon = policed("""mode = monitor
        log_refusals = yes
        limit client_connections { max = 1  window = 1h }
        limit session_messages { max = 1 }
        limit message_recipients { max = 1 }
        deny { clients = { "127.7.0.0/16" } }""")
    port = postfix.ports["policy"]
    enter(port, "127.7.0.1").quit()
    for _ in range(2):
        client = enter(port)
        client.send_message()
        client.quit()
    client = enter(port, "127.0.0.2")
    client.send_message(ROOT, "daemon@test.example")
    client.send_message()
    client.quit()
    wait_until(lambda: len(daemon.totals()) == 4, "all are told")
    assert daemon.totals() == {limit: {"monitored": 1} for limit in
                               ("client_connections", "session_messages", "message_recipients", "deny")}
    assert {line["action"] for line in daemon.lines() if "action" in line} == {"monitor"}


def test_delay_holds_up_nobody_else(postfix, policed):
    """Neither other clients nor those that the same smtpd serves next."""
    policed('deny { clients = { "127.7.0.0/16" } }\ndisconnect_delay = 2s')
    port = postfix.ports["policy"]
    begin = time.monotonic()
    late = [Client(port, f"127.7.0.{number}") for number in range(1, 6)]
    for number in range(1, 4):
        enter(port, f"127.0.0.{number}").send_message()
    assert not any(client.has_news() for client in late) or time.monotonic() - begin >= 1.9
    for number, client in enumerate(late):
        client.expect_refusal(None, at_connect(DENIED, f"127.7.0.{number + 1}"))
    assert time.monotonic() - begin >= 1.9  # the loop's clock is coarse


def test_exempt(postfix, policed):
    """By address at connect: counted nowhere; a user who is exempt is spared what is judged from MAIL on."""
    policed("""limit client_connections { max = 1  window = 1h }
        limit session_messages { max = 1 }
        exempt { clients = { "127.9.0.0/16", "127.0.0.1" }  users = { "joe" } }""")
    port = postfix.ports["policy"]
    for client in fill(port, ["127.9.0.1"] * 3):
        client.send_message()
        client.send_message()
    client = enter_proxied(port, "192.0.2.1", login="joe")
    client.send_message()
    client.send_message()
    greeted(port).expect_refusal("XCLIENT ADDR=192.0.2.1", at_connect(CONNECTION_RATE, "192.0.2.1"))


def test_listeners_by_address_port_and_policy_context(postfix, policed):
    """A request names no daemon, its policy_context does."""
    policed(f"""listener {{
            limit client_connections {{ max = 1  window = 1h }}
            listen "127.0.0.1:{postfix.ports["policy"]}" {{}}
        }}
        listener {{ daemon_name = "submission"  limit client_connections {{ max = 2  window = 1h }} }}
        listener {{ limit client_connections {{ max = 3  window = 1h }} }}""")
    for service, most in (("policy", 1), ("policy_context", 2), ("policy_unshared", 3)):
        for _ in range(most):
            enter(postfix.ports[service]).quit()
        turned_away(postfix.ports[service], refusal=CONNECTION_RATE)


def test_tcp_and_unix_sockets_at_once(postfix, gate):
    """One engine behind both."""
    gate(door(postfix.policy, sessions="none") +
         door(f"unix:{postfix.policy_socket}", sessions="none", group="postfix", mode="0660") +
         "limit client_connections { max = 4  window = 1h }")
    for service in ("policy", "policy_unix") * 2:
        enter(postfix.ports[service]).quit()
    for service in ("policy", "policy_unix"):
        turned_away(postfix.ports[service], refusal=CONNECTION_RATE)
