"""What miltertest cannot say or cannot see: texts of replies, lists of macros, several clients on one connection."""

import pytest

from rawmta import CONTINUE, MACROS, REFUSED, connect_packet, packet


@pytest.mark.parametrize("say", ["helo", "mail", "unknown"])
def test_text_of_a_refusal(start_gate, say):
    """The first of HELO, MAIL and an unknown command carries the exact line; and so does whatever follows."""
    gate = start_gate("service_sessions = 1")
    first = gate.admitted("192.0.2.10")
    mta, answer = gate.session("192.0.2.11")
    assert answer == CONTINUE
    assert getattr(mta, say)() == REFUSED
    assert mta.helo() == REFUSED
    assert mta.mail() == REFUSED
    mta.abort()
    mta.abort()
    assert mta.unknown() == REFUSED
    mta.quit()
    first.quit()


def test_text_of_a_refusal_at_connect(start_gate):
    gate = start_gate("service_sessions = 1\nrefuse_at = connect")
    first = gate.admitted("192.0.2.10")
    mta, answer = gate.session("192.0.2.11")
    assert answer == REFUSED
    mta.quit()
    first.quit()


def test_a_refusal_before_any_helo_is_kept_over_an_abort(start_gate):
    gate = start_gate("service_sessions = 1")
    first = gate.admitted("192.0.2.10")
    mta, answer = gate.session("192.0.2.11")
    assert answer == CONTINUE
    mta.abort()
    mta.abort()
    assert mta.helo() == REFUSED
    mta.quit()
    first.quit()


# libmilter hears of the next client only after an unknown command or the end of a message; elsewhere it ignores both
# SMFIC_QUIT_NC and the connect after it. So the tests say an unknown command first.

def test_next_client_on_the_same_connection(start_gate):
    """SMFIC_QUIT_NC gives the slot back, and the next client on the connection is judged for itself."""
    gate = start_gate("service_sessions = 2\nlimit client_sessions { max = 1 }")
    mta, answer = gate.session("192.0.2.10")
    for _ in range(20):
        assert answer == CONTINUE
        assert mta.helo() == CONTINUE
        assert mta.unknown() == CONTINUE
        mta.next_client()
        answer = mta.connect("192.0.2.10")
    assert answer == CONTINUE
    assert mta.helo() == CONTINUE
    assert mta.mail() == CONTINUE
    assert mta.ask(b"E") == CONTINUE  # the end of a message
    mta.next_client()
    assert mta.connect("192.0.2.10") == CONTINUE
    assert mta.unknown() == CONTINUE

    # A refused one among them: the next is free of its verdict.
    other = gate.admitted("192.0.2.11")
    mta.next_client()
    assert mta.connect("192.0.2.11") == CONTINUE
    assert mta.unknown() == REFUSED
    mta.next_client()
    assert mta.connect("192.0.2.12") == CONTINUE
    assert mta.unknown() == CONTINUE
    gate.refused("192.0.2.13")

    # One that has gone and nobody after it: the slot is free while the connection stays.
    mta.next_client()
    gate.wait_sessions(1)
    third = gate.admitted("192.0.2.12")
    third.quit()
    other.quit()
    mta.close()


def test_next_client_before_the_first(start_gate):
    """Nonsense, but the MTA's own loss; a slot is neither taken nor given back by it."""
    gate = start_gate("service_sessions = 1")
    with gate.mta() as mta:
        mta.negotiate()
        mta.next_client()
        mta.next_client()
        mta.send(connect_packet("192.0.2.10") + packet(b"U", b"XYZZY\0"))
        assert mta.answer() == CONTINUE  # to one of the two, and perhaps to both
        mta.quit_rudely()
    gate.wait_empty()
    gate.serves()


@pytest.mark.parametrize("between", [b"", packet(b"H", b"client.test.example\0")], ids=["at once", "after HELO"])
def test_connect_twice_without_close(start_gate, between):
    """No MTA says it. Whether it is heard or not, the connection holds one slot, and gives it back."""
    gate = start_gate("service_sessions = 2")
    mta, answer = gate.session("192.0.2.10")
    assert answer == CONTINUE
    mta.send(between + connect_packet("192.0.2.11") + packet(b"U", b"XYZZY\0"))
    for _ in range(2 if between else 1):
        assert mta.answer() == CONTINUE
    other = gate.admitted("192.0.2.12")
    gate.refused("192.0.2.13")
    other.quit()
    mta.quit_rudely()
    gate.wait_empty()


@pytest.mark.parametrize("say", ["helo", "mail", "unknown"])
def test_command_without_connect(start_gate, say):
    gate = start_gate("service_sessions = 1")
    with gate.mta() as mta:
        mta.negotiate()
        assert getattr(mta, say)() == CONTINUE
        mta.quit()
    gate.serves()


def test_missing_macros(start_gate):
    """Each macro alone may be missing, and all of them: whom no listen names falls to the listener that names none."""
    gate = start_gate('listener { listen ":25" { listener_sessions = 1 } }\nlistener { listener_sessions = 1 }')
    for missing in MACROS:
        mta = gate.admitted("192.0.2.10", {name: value for name, value in MACROS.items() if name != missing})
        mta.quit()
        gate.wait_empty()
    mta = gate.admitted("192.0.2.10", {})
    gate.refused("192.0.2.11", {})
    gate.serves()  # the other listener
    mta.quit()


@pytest.mark.parametrize("macros", [
    {"{daemon_port}": ""}, {"{daemon_port}": "abc"}, {"{daemon_port}": "-25"}, {"{daemon_port}": "25 "},
    {"{daemon_port}": "65561"}, {"{daemon_port}": "99999999999999999999"}, {"{daemon_addr}": ""},
    {"{daemon_addr}": "nonsense"}, {"{daemon_addr}": "IPv6:"}, {"{daemon_addr}": "192.0.2.1.5"},
    {"{daemon_addr}": "[192.0.2.1]"}, {"{daemon_name}": ""}, {"{daemon_name}": "x" * 20000},
    {"{daemon_name}": "a=b \"c\"\n\\d\t%s%n"}, {"{if_addr}": "x" * 20000}, {"": "empty"}, {"x" * 20000: "y"},
])
def test_strange_macros(start_gate, macros):
    """Values that no MTA sends: the session is counted like any other."""
    gate = start_gate('service_sessions = 1\nlistener { listen ":25" { } }\nlistener { }')
    mta = gate.admitted("192.0.2.10", {**MACROS, **macros})
    gate.refused("192.0.2.11")
    mta.quit()


def test_wildcard_daemon_address(start_gate):
    """An MTA that listens on every address says so in {daemon_addr}; {if_addr} then tells which it was."""
    gate = start_gate('listener { listen "192.0.2.1:25" { listener_sessions = 1 } }\nlistener { }')
    for wildcard in ("0.0.0.0", "::", "IPv6:::"):
        wild = {**MACROS, "{daemon_addr}": wildcard}
        mta = gate.admitted("192.0.2.10", wild)
        gate.refused("192.0.2.11", wild)
        gate.refused("192.0.2.12")
        gate.admitted("192.0.2.13", {**wild, "{if_addr}": "192.0.2.2"}).quit()
        mta.quit()
        gate.wait_empty()


@pytest.mark.parametrize("ip", [None, "/run/client.sock"])
def test_clients_without_an_ip_address(start_gate, ip):
    """They are sessions, but no client and no peer."""
    gate = start_gate('service_sessions = 3\nlimit client_sessions { max = 1 }\n'
                      'listener { peer "0.0.0.0/0" { listener_sessions = 1 } peer "::/0" { listener_sessions = 1 } }')
    sessions = [gate.admitted(ip) for _ in range(3)]
    gate.refused(ip)
    for mta in sessions:
        mta.quit()


def test_mapped_ipv4(start_gate):
    """One client at most once, over both spellings of its address."""
    gate = start_gate("limit client_sessions { max = 1 }")
    mta = gate.admitted("::ffff:192.0.2.10")
    gate.refused("192.0.2.10")
    gate.refused("::ffff:c000:20a")
    mta.quit()
    gate.wait_empty()
    mta = gate.admitted("192.0.2.10")
    gate.refused("::ffff:192.0.2.10")
    mta.quit()


def test_steps_that_were_not_asked_for(start_gate):
    """An MTA that sends them nevertheless harms itself at most."""
    gate = start_gate("service_sessions = 1")
    mta = gate.admitted("192.0.2.10")
    assert mta.mail() == CONTINUE
    for command, data in ((b"R", b"<rcpt@mx.test.example>\0"), (b"T", b""), (b"L", b"Subject\0x\0"), (b"N", b""),
                          (b"B", b"text\r\n")):
        mta.send(packet(command, data))
    mta.send(packet(b"Q"))
    while mta.answer() is not None:
        pass
    mta.close()
    gate.wait_empty()
    gate.serves()
