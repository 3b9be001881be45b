"""A session's one slot: when it is taken, who holds none, and what gives it back."""
import os
import signal
import subprocess

import pytest

from sandbox import DEADLINE, connections_held, wait_until
from smtp import REFUSAL, Client, enter, enter_soon, fill, refused

TWO = "service_sessions = 2"


def process_of(mta, client, port):
    """The MTA's process that serves this client, found from outside by its socket."""
    def find():
        for pid in mta.session_processes():
            if (port, client.local_port) in connections_held(pid):
                return pid
        return None
    return wait_until(find, "the MTA's process for a connection is found")


@pytest.mark.parametrize("leave", ["quit", "close", "reset"])
def test_slot_is_free_again(mta, gate, leave):
    """After QUIT, and after a client that vanishes with FIN or with RST."""
    gate(TWO)
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    for turn in range(5):
        refused(mta.port, "127.0.0.3")
        getattr(held.pop(0), leave)()
        held.append(enter_soon(mta.port, f"127.0.1.{turn + 1}"))
    refused(mta.port, "127.0.0.3")
    assert all(client.is_served() for client in held)


@pytest.mark.parametrize("leave", ["quit", "close", "reset"])
def test_slot_is_free_again_after_leaving_before_ehlo(mta, gate, leave):
    gate(TWO)
    held = []
    for source in ("127.0.0.1", "127.0.0.2"):
        held.append(Client(mta.port, source))
        held[-1].expect(None, "220")
    refused(mta.port, "127.0.0.3")
    for client in held:
        getattr(client, leave)()
    enter_soon(mta.port, "127.0.0.1")
    enter_soon(mta.port, "127.0.0.2")
    refused(mta.port, "127.0.0.3")


def test_slot_is_free_again_in_the_midst_of_a_message(mta, gate):
    gate(TWO)
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    for client in held:
        client.expect("MAIL FROM:<a@client.example>", "250")
        client.expect("RCPT TO:<root@test.example>", "250")
        client.expect("DATA", "354")
        client.send(b"Subject: half\r\n")
    refused(mta.port, "127.0.0.3")
    held[0].reset()
    held[1].close()
    enter_soon(mta.port, "127.0.0.1")
    enter_soon(mta.port, "127.0.0.2")
    refused(mta.port, "127.0.0.3")


def test_slot_is_free_again_after_the_mtas_process_is_killed(mta, gate):
    gate(TWO)
    port = mta.ports.get("kill", mta.port)
    enter(port).quit()  # Postfix's master waits before it replaces a process that dies with its first client
    held = [enter_soon(port, "127.0.0.1")]
    victim = process_of(mta, held[0], port)
    held.append(enter_soon(port, "127.0.0.2"))
    refused(port, "127.0.0.3")
    os.kill(victim, signal.SIGKILL)
    assert held[0].read_to_end() == b""
    held[0] = enter_soon(port, "127.0.0.4")
    refused(port, "127.0.0.3")
    assert all(client.is_served() for client in held)


def test_slot_is_held_by_the_silent(mta, gate):
    """A session that never says a word holds its slot like any other."""
    gate(TWO)
    silent = [Client(mta.port, source) for source in ("127.0.0.1", "127.0.0.2")]
    for client in silent:
        client.expect(None, "220")
    refused(mta.port, "127.0.0.3")
    silent[0].expect("EHLO late.example", "250")


def test_refused_session_holds_no_slot(mta, gate):
    """Refused sessions that have not yet read so, and go on waiting, take nothing from those who come after."""
    gate(TWO)
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    waiting = [Client(mta.port, f"127.0.1.{host}") for host in range(1, 11)]
    for client in waiting:
        client.expect(None, "220")
    for client in held:
        client.quit()
    held = [enter_soon(mta.port, "127.0.0.3"), enter_soon(mta.port, "127.0.0.4")]
    for client in waiting:  # the verdict of connect stands
        client.expect_refusal()
    refused(mta.port, "127.0.0.5")
    assert all(client.is_served() for client in held)


def test_many_refusals_cost_nothing(mta, gate):
    gate(TWO)
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    for turn in range(40):
        refused(mta.port, f"127.0.1.{turn + 1}")
    held.pop().quit()
    enter_soon(mta.port, "127.0.0.3")
    refused(mta.port, "127.0.0.4")


@pytest.mark.parametrize("line", ["EHLO client.example", "HELO client.example", "MAIL FROM:<a@client.example>",
                                  "XYZZY plugh", "EHLO [127.0.0.3]"])
def test_refusal_is_spoken_at_the_first_command_that_can_carry_it(mta, gate, line):
    """Also for a client that skips HELO."""
    gate(TWO)
    fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    client = Client(mta.port, "127.0.0.3")
    client.expect(None, "220")
    client.expect_refusal(line)


@pytest.mark.parametrize("line", ["NOOP", "RSET", "VRFY root"])
def test_refusal_outlives_commands_that_cannot_carry_it(mta, gate, line):
    gate(TWO)
    fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    client = Client(mta.port, "127.0.0.3")
    client.expect(None, "220")
    client.command(line)
    client.expect_refusal()


def test_pipelining_client_is_refused_once(postfix, gate):
    """Sendmail itself turns away who does not wait for the answer to EHLO."""
    gate(TWO)
    fill(postfix.port, ["127.0.0.1", "127.0.0.2"])
    client = Client(postfix.port, "127.0.0.3")
    client.expect(None, "220")
    client.send(b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<root@test.example>\r\n")
    assert client.read_to_end() == REFUSAL


def test_helo_skipped_session_holds_a_slot(mta, gate):
    gate(TWO)
    client = Client(mta.port, "127.0.0.1")
    client.expect(None, "220")
    client.expect("MAIL FROM:<a@client.example>", "250")
    enter(mta.port, "127.0.0.2")
    refused(mta.port, "127.0.0.3")
    client.quit()
    enter_soon(mta.port, "127.0.0.3")


def test_nothing_in_a_session_takes_or_gives_a_second_slot(mta, gate):
    """A second and third EHLO, RSET twice, EHLO within a transaction (ABORT, from Postfix twice), several messages,
    unknown commands."""
    gate(TWO)
    first = enter(mta.port, "127.0.0.1")
    first.expect("EHLO again.example", "250")
    first.expect("HELO again.example", "250")
    first.expect("MAIL FROM:<a@client.example>", "250")
    first.expect("EHLO within.example", "250")
    for _ in range(2):
        first.expect("MAIL FROM:<a@client.example>", "250")
        first.expect("RCPT TO:<root@test.example>", "250")
        first.expect("RSET", "250")
        first.expect("RSET", "250")
        assert first.deliver().startswith(b"250 ")
    first.expects_5xx = True
    first.expect("XYZZY", "5")
    second = enter(mta.port, "127.0.0.2")
    refused(mta.port, "127.0.0.3")
    second.quit()
    second = enter_soon(mta.port, "127.0.0.4")
    refused(mta.port, "127.0.0.3")
    first.quit()
    enter_soon(mta.port, "127.0.0.5")
    refused(mta.port, "127.0.0.3")


def test_xclient_counts_the_new_address(postfix, gate):
    """Postfix closes the filter's session and opens another: the old address gives its slot back."""
    gate("service_sessions = 3\nlimit client_sessions { max = 1 }")
    proxied = enter(postfix.port, "127.0.0.1")
    refused(postfix.port, "127.0.0.1")
    proxied.expect("XCLIENT ADDR=127.0.0.9 NAME=[UNAVAILABLE]", "220")
    proxied.expect("EHLO client.example", "250")
    refused(postfix.port, "127.0.0.9")
    enter_soon(postfix.port, "127.0.0.1")  # given back
    second = enter(postfix.port, "127.0.0.2")
    refused(postfix.port, "127.0.0.3")  # three in, the proxied one once
    second.expect("XCLIENT ADDR=127.0.0.9", "220")
    second.expect_refusal()
    enter_soon(postfix.port, "127.0.0.3")  # and the refused one holds nothing
    proxied.quit()
    enter_soon(postfix.port, "127.0.0.9")


def test_xclient_from_ipv4_to_ipv6(postfix, gate):
    gate("limit client_sessions { max = 1 }")
    first = enter(postfix.port, "127.0.0.1")
    first.expect("XCLIENT ADDR=IPV6:2001:db8:1:7::1", "220")
    first.expect("EHLO client.example", "250")
    second = enter_soon(postfix.port, "127.0.0.1")
    second.expect("XCLIENT ADDR=IPV6:2001:db8:1:7::2", "220")
    second.expect_refusal()


def test_client_without_an_ip_address(postfix, gate):
    """It is no client that could be counted, and no peer matches it, but it is a session."""
    gate("""service_sessions = 4
        limit client_sessions { max = 1 }
        listener { peer "0.0.0.0/0" { listener_sessions = 1 } }""")
    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        client = enter_soon(postfix.port, source)
        client.expect("XCLIENT ADDR=[UNAVAILABLE] NAME=[UNAVAILABLE]", "220")
        client.expect("EHLO client.example", "250")
    enter_soon(postfix.port, "127.0.0.4")
    refused(postfix.port, "127.0.0.5")


def test_client_on_standard_input(sendmail, gate):
    """`sendmail -bs` tells its filters of a client without an IP address."""
    gate("service_sessions = 1")
    with subprocess.Popen([str(sendmail.binary), "-C", str(sendmail.dir / "sendmail.cf"), "-bs"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as local:
        try:
            assert local.stdout.readline().startswith(b"220 ")
            local.stdin.write(b"EHLO client.example\r\n")
            local.stdin.flush()
            line = b""
            while not line.startswith(b"250 "):
                line = local.stdout.readline()
                assert line.startswith(b"250")
            refused(sendmail.port)
            local.stdin.write(b"QUIT\r\n")
            local.stdin.flush()
            assert local.stdout.read().startswith(b"221 ")
            local.wait(DEADLINE)
        finally:
            local.kill()
    enter_soon(sendmail.port)
    refused(sendmail.port)
