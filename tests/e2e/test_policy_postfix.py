"""What Postfix itself does with a policy service: the policy door is built on it, so a change must be noticed."""
import pytest

from milterside import Recorder
from policyside import PolicyRecorder, at_connect, said_by_postfix
from sandbox import SERVER_IPV6, client_ipv6, free_port, wait_until
from smtp import REFUSAL, REJECTED, Client, enter, greeted

FULL = REFUSAL.decode("ascii").strip()


@pytest.fixture
def service(postfix):
    """A policy service that says DUNNO until told otherwise."""
    recorder = PolicyRecorder(postfix.policy_port)
    yield recorder
    for client in Client.opened:
        client.close()
    Client.opened.clear()
    recorder.close()


@pytest.fixture
def timeline(sandbox, service, gate):
    """What Postfix says to the policy service and to a filter that wants to hear all, in order."""
    port = free_port()
    gate("limit session_errors { max = 99  error_delay = 0 }\nlimit session_recipients { max = 99 }",
         f'milter {{ socket = "inet:{port}@127.0.0.1" }}')
    recorder = Recorder(sandbox.milter_port, port, service.timeline)
    yield service.timeline
    recorder.close()


def talk_of_everything(client):
    client.expects_5xx = True
    client.expect("EHLO client.example", "250")
    client.expect("VRFY root", "252")
    client.mail()
    client.rcpt("root@test.example")
    client.err(rejected=True)
    client.rcpt("root@test.example")
    client.expect("DATA", "354")
    client.send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
    client.expect(None, "250")
    client.expect("ETRN test.example", "459")
    client.mail("")
    client.rcpt("root@test.example")
    client.send(b"BDAT 6 LAST\r\nabcd\r\n")
    client.expect(None, "250")
    client.quit()


EARLY = "CONNECT EHLO VRFY MAIL RCPT RCPT RCPT DATA END-OF-MESSAGE ETRN MAIL RCPT DATA END-OF-MESSAGE".split()


def test_postfix_asks_as_each_command_comes(postfix, service):
    """With smtpd_delay_reject = no. BDAT is DATA. The message has a name from its first RCPT on, not at MAIL;
    recipients are counted at DATA, those named twice twice."""
    client = greeted(postfix.ports["policy"])
    port = client.local_port
    talk_of_everything(client)
    assert service.states() == EARLY
    ports = {(asked["client_address"], asked["client_port"], asked["server_address"], asked["server_port"])
             for asked in service.requests}
    assert ports == {("127.0.0.1", str(port), "127.0.0.1", str(postfix.ports["policy"]))}
    for asked in service.requests:
        state = asked["protocol_state"]
        assert asked["request"] == "smtpd_access_policy"
        assert bool(asked["instance"]) == (state in ("RCPT", "DATA", "END-OF-MESSAGE"))
        assert (asked["recipient_count"] != "0") == (state in ("DATA", "END-OF-MESSAGE"))
    assert len({asked["instance"] for asked in service.requests}) == 1 + 2
    assert [asked["recipient_count"] for asked in service.requests if asked["protocol_state"] == "DATA"] == ["2", "1"]
    assert [asked["recipient"] for asked in service.requests if asked["protocol_state"] == "DATA"] == \
        ["", "root@test.example"]


def test_postfix_asks_late(postfix, service):
    """By itself (smtpd_delay_reject = yes) Postfix asks for the client, HELO, sender and recipient restrictions when
    the recipient comes, one after the other, and all are called RCPT."""
    talk_of_everything(greeted(postfix.ports["policy_late"]))
    assert service.states() == ["VRFY"] * 3 + ["RCPT"] * 12 + ["DATA", "END-OF-MESSAGE"] + ["ETRN"] * 3 + \
        ["RCPT"] * 4 + ["DATA", "END-OF-MESSAGE"]
    assert [asked["recipient"] for asked in service.requests[3:15:4]] == \
        ["root@test.example", REJECTED, "root@test.example"]


def test_postfix_asks_the_policy_service_before_the_filter(postfix, timeline):
    """At each command; and both are told the same addresses and ports, over IPv6 too."""
    talk_of_everything(greeted(postfix.ports["doors_everywhere"]))
    wait_until(lambda: timeline[-1][1] == "Q", "the session is over")
    order = [what for _, what, _ in timeline if what not in "DO" and what != "A"]
    assert order == ["CONNECT", "C", "EHLO", "H", "VRFY", "MAIL", "M"] + ["RCPT", "R"] * 3 + \
        ["DATA", "T", "END-OF-MESSAGE", "E", "ETRN", "MAIL", "M", "RCPT", "R", "DATA", "T", "END-OF-MESSAGE", "E", "Q"]
    for address, host in (("127.0.0.5", None), (client_ipv6(1), SERVER_IPV6)):
        del timeline[:]
        client = enter(postfix.ports["doors"], address, host)
        asked, = (data for kind, _, data in timeline if kind == "policy")
        told, = (data for kind, letter, data in timeline if (kind, letter) == ("milter", "C"))
        macros = next(data for _, letter, data in timeline if letter == "D" and data[:1] == b"C").split(b"\0")
        assert asked["client_address"] == address
        assert told.endswith(asked["client_address"].encode("ascii") + b"\0")
        assert f"{client.local_port}" == asked["client_port"]
        assert client.local_port.to_bytes(2, "big") == told.split(b"\0", 1)[1][1:3]
        for macro, attribute in ((b"{daemon_addr}", "server_address"), (b"{daemon_port}", "server_port")):
            assert macros[macros.index(macro) + 1].decode("ascii") == asked[attribute]


def test_postfix_asks_anew_after_xclient(postfix, service):
    """A state of its own, XCLIENT, in place of CONNECT: another client, but the proxy's port unless it says one."""
    for port in ("", " PORT=4711"):
        client = greeted(postfix.ports["policy"])
        client.expect("XCLIENT ADDR=192.0.2.1 NAME=mx.example.net LOGIN=joe" + port, "220")
        first, second = service.requests[-2:]
        assert (first["protocol_state"], second["protocol_state"]) == ("CONNECT", "XCLIENT")
        assert (first["client_address"], second["client_address"]) == ("127.0.0.1", "192.0.2.1")
        assert (second["sasl_username"], second["client_name"]) == ("joe", "mx.example.net")
        assert first["client_port"] == str(client.local_port)
        assert second["client_port"] == ("4711" if port else first["client_port"])
        client.quit()


def test_postfix_uses_a_connection_for_many_sessions(postfix, service):
    for _ in range(3):
        enter(postfix.ports["policy_unshared"]).quit()
    assert len(service.requests) == 3
    assert service.connections == 1


# state: what the client has said by then, the name of the restriction, and what it is about
STEPS = {
    "CONNECT": (None, "Client host", "unknown[127.0.0.1]"),
    "EHLO": ("EHLO client.example", "Helo command", "client.example"),
    "MAIL": ("MAIL FROM:<a@client.example>", "Sender address", "a@client.example"),
    "RCPT": ("RCPT TO:<root@test.example>", "Recipient address", "root@test.example"),
    "DATA": ("DATA", "Data command", "DATA"),
    "END-OF-MESSAGE": (b"Subject: t\r\n\r\nhello\r\n.\r\n", "End-of-data", "END-OF-MESSAGE"),
}


def until(port, state):
    """A client that has just said what is asked about in that state, and not read the reply."""
    client = Client(port)
    client.expects_5xx = True
    for step, (line, _, _) in STEPS.items():
        if line is not None:
            client.send(line)
        if step == state:
            return client
        assert client.reply()[:1] in b"23"
    raise AssertionError(state)


@pytest.mark.parametrize("state", STEPS)
def test_postfix_says_what_the_policy_service_says(postfix, service, state):
    """421 closes; another 4xx leaves the session, though one that was turned away at connect can do nothing more."""
    _, restriction, what = STEPS[state]
    for code in ("421", "452"):
        reply = f"{code} 4.4.5 No"
        service.action = lambda asked, reply=reply: reply if asked["protocol_state"] == state else "DUNNO"
        client = until(postfix.ports["policy"], state)
        expected = said_by_postfix(reply.encode("ascii") + b"\r\n", restriction, what)
        if code == "421":
            client.expect_refusal(None, expected)
            continue
        assert client.reply() == expected
        client.expect("NOOP", "503" if state == "CONNECT" else "250")
        client.close()


def test_postfix_says_it_late(postfix, service):
    service.action = lambda asked: FULL
    client = greeted(postfix.ports["policy_late"])
    client.expect("EHLO client.example", "250")
    client.mail()
    client.expect_refusal("RCPT TO:<root@test.example>", at_connect(REFUSAL))


def test_postfix_calls_no_filter_for_who_is_turned_away_at_connect(postfix, service, timeline):
    """Neither by the policy service nor by a restriction behind it; then the client stays connected."""
    service.action = lambda asked: FULL if asked["client_address"] == "127.0.0.9" else "DUNNO"
    Client(postfix.ports["doors"], "127.0.0.9").expect_refusal(None, at_connect(REFUSAL, "127.0.0.9"))
    client = Client(postfix.ports["doors"], "127.3.0.1")
    client.expects_5xx = True
    client.expect(None, "554")
    client.expect("EHLO client.example", "503")
    enter(postfix.ports["doors"]).quit()
    wait_until(lambda: timeline[-1][1] == "Q", "the session is over")
    assert [what for _, what, _ in timeline if what not in "DO"] == ["CONNECT"] * 3 + ["C", "H", "A", "Q"]


@pytest.mark.parametrize("state", ["MAIL", "DATA", "END-OF-MESSAGE"])
def test_postfix_prepends_a_header_before_the_end_of_the_message(postfix, service, state):
    """In front of everything. At the end of the message it is too late: the header is dropped with a warning."""
    service.action = lambda asked: ("PREPEND X-Tidegate-Score: 5 (deny=5)" if asked["protocol_state"] == state
                                    else "DUNNO")
    mark = f"prepend-{state}".encode("ascii")
    client = enter(postfix.ports["policy"])
    client.send_message("read@test.example", body=b"X-Tidegate-Score: 0\r\nSubject: " + mark + b"\r\n\r\nhello\r\n")
    client.quit()
    first, _, rest = postfix.delivered(mark).partition(b"\n")
    assert b"X-Tidegate-Score: 0\n" in rest
    if state == "END-OF-MESSAGE":
        assert first.startswith(b"Received: ")
        wait_until(lambda: "action PREPEND must be used before smtpd_end_of_data_restrictions" in postfix.log(),
                   "Postfix tells of it")
    else:
        assert first == b"X-Tidegate-Score: 5 (deny=5)"


def test_postfix_asks_twice_and_then_falls_back(postfix, service):
    """When the service hangs up: once more after a second, then default_action, by itself 451 4.3.5."""
    service.action = lambda asked: None
    client = Client(postfix.ports["policy"])
    assert client.reply() == b"451 4.3.5 <unknown[127.0.0.1]>: Client host rejected: Server configuration problem\r\n"
    assert (len(service.requests), service.connections) == (2, 2)
    client = enter(postfix.ports["policy_context"])  # default_action=DUNNO
    assert len(service.requests) == 4
    assert service.requests[-1]["policy_context"] == "submission"
    client.quit()
    service.close()
    enter(postfix.ports["policy_context"]).quit()
