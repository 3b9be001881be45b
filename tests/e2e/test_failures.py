"""What is lost when something breaks: no mail when the daemon is away, nobody else's session when somebody talks
nonsense, no session when a table is full."""
import os
import random
import signal
import socket
import struct

from milterside import CONNECT, NEGOTIATE, packet, talk
from sandbox import connections_held, wait_until
from smtp import Client, enter, enter_soon, fill, refused


def test_daemon_away_accept(mta, gate):
    """milter_default_action = accept, or INPUT_MAIL_FILTER without F=: mail flows, unlimited."""
    daemon = gate("service_sessions = 1")
    enter(mta.port, "127.0.0.1").quit()
    daemon.stop()
    daemon.expects_no_sessions = False
    held = fill(mta.port, [f"127.0.0.{host}" for host in range(1, 6)])
    for client in held:
        assert client.deliver().startswith(b"250 ")


def test_daemon_away_tempfail(mta, gate):
    """milter_default_action = tempfail, or F=T: the client is told to come again, and gets in when it is back."""
    daemon = gate("service_sessions = 1")
    daemon.stop()
    daemon.expects_no_sessions = False
    client = Client(mta.port_tempfail, "127.0.0.1")
    client.expect(None, "220")
    client.expect("EHLO client.example", "250")
    client.expect("MAIL FROM:<a@client.example>", "451")
    client.quit()
    gate("service_sessions = 1")
    enter(mta.port_tempfail, "127.0.0.1").deliver()
    refused(mta.port_tempfail, "127.0.0.2")


def test_daemon_stops_under_open_sessions(mta, gate):
    """The sessions stay open and their mail flows; a daemon started anew counts those that come from then on."""
    daemon = gate("service_sessions = 3")
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    held[1].expect("MAIL FROM:<a@client.example>", "250")
    daemon.expects_no_sessions = False
    daemon.stop()
    gate("service_sessions = 2")
    assert held[0].is_served()
    assert held[0].deliver().startswith(b"250 ")
    held[1].expect("RCPT TO:<root@test.example>", "250")
    held[1].expect("DATA", "354")
    held[1].send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
    held[1].expect(None, "250")
    fill(mta.port, ["127.0.1.1", "127.0.1.2"])
    refused(mta.port, "127.0.1.3")
    for client in held:  # leaving gives back nothing that was never taken
        client.quit()
    refused(mta.port, "127.0.1.3")


def test_daemon_is_killed_under_open_sessions(mta, gate):
    daemon = gate("service_sessions = 2")
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    daemon.expects_no_sessions = False
    daemon.kill()
    gate("service_sessions = 1")
    for client in held:
        assert client.deliver().startswith(b"250 ")
    enter(mta.port, "127.0.0.3")
    refused(mta.port, "127.0.0.4")


NONSENSE = {
    "text": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "random": random.Random(7).randbytes(4096),
    "huge length": b"\xff\xff\xff\xff" + b"O" * 100,
    "large length": struct.pack("!I", 1 << 30) + b"O" * 100,
    "length nought": struct.pack("!I", 0) * 10,
    "cut length": b"\0\0",
    "cut packet": struct.pack("!I", 13) + b"O\0\0",
    "short negotiation": packet(b"O", b"\0"),
    "old version": packet(b"O", struct.pack("!III", 1, 0, 0)),
    "unknown command": NEGOTIATE + packet(b"\x07", b"x"),
    "negotiation twice": NEGOTIATE + NEGOTIATE,
    "cut connect": NEGOTIATE + CONNECT[:-5],
    "connect without an end": NEGOTIATE + packet(b"C", b"client.example"),
    "connect without an address": NEGOTIATE + packet(b"C", b"client.example\0" + b"4" + struct.pack("!H", 1)),
    "connect with a bad address": NEGOTIATE + packet(b"C", b"x\0" + b"4" + struct.pack("!H", 1) + b"300.1.2.3\0"),
    "connect of an unknown family": NEGOTIATE + packet(b"C", b"x\0" + b"Z" + struct.pack("!H", 1) + b"127.0.0.1\0"),
    "connect twice": NEGOTIATE + CONNECT + CONNECT,
    "helo before connect": NEGOTIATE + packet(b"H", b"x\0"),
    "mail before connect": NEGOTIATE + packet(b"M", b"<a@b.example>\0"),
    "helo without an end": NEGOTIATE + CONNECT + packet(b"H", b"x"),
    "macros without an end": NEGOTIATE + packet(b"D", b"C{daemon_port") + CONNECT,
    "macros without sense": NEGOTIATE + packet(b"D", b"C{daemon_port}\0-99999999999\0{daemon_addr}\0:::::%n%s\0"
                                               b"{daemon_name}\0" + b"n" * 60000 + b"\0") + CONNECT,
    "body out of turn": NEGOTIATE + CONNECT + packet(b"B", b"x" * 60000) + packet(b"E"),
    "abort, then quit twice": NEGOTIATE + CONNECT + packet(b"A") + packet(b"A") + packet(b"Q") + packet(b"Q"),
    "close and connect again": NEGOTIATE + (CONNECT + packet(b"K")) * 5 + CONNECT,
    "connect, then silence": NEGOTIATE + CONNECT,
}


def test_nonsense_on_the_milter_socket(mta, gate, sandbox):
    """One connection for each kind of nonsense, some left open, some ended with FIN, some with RST: the sessions of the
    MTA live on, and the caps stay exact. 127.0.0.50 is where the nonsense claims to come from."""
    daemon = gate("""service_sessions = 100
        limit client_sessions { max = 2 }
        listener { peer "127.0.0.1" { listener_sessions = 2 } }""")
    held = fill(mta.port, ["127.0.0.1", "127.0.0.1"])
    talking = [talk(sandbox, data) for data in NONSENSE.values()]
    assert all(client.is_served() for client in held)
    refused(mta.port, "127.0.0.1")
    for data in NONSENSE.values():
        with talk(sandbox, data):
            pass
        connection = talk(sandbox, data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    enter(mta.port, "127.0.0.2")
    for connection in talking:
        connection.close()
    wait_until(lambda: daemon.counters()[0]["sessions"] == 3, "what the nonsense took is given back")
    held[0].deliver()
    enter(mta.port, "127.0.0.2")
    refused(mta.port, "127.0.0.2")
    refused(mta.port, "127.0.0.1")
    held[0].quit()
    enter_soon(mta.port, "127.0.0.1")
    assert daemon.is_running()


def test_idle_connections_on_the_milter_socket(mta, gate, sandbox):
    """200 that connect and say nothing to the daemon, and 200 that negotiate and stop there."""
    gate("service_sessions = 5")
    held = fill(mta.port, [f"127.0.0.{host}" for host in range(1, 5)])
    idle = [talk(sandbox, data) for data in (b"", NEGOTIATE) for _ in range(200)]
    assert all(client.is_served() for client in held)
    held.append(enter(mta.port, "127.0.0.6"))
    refused(mta.port, "127.0.0.7")
    held.pop().quit()
    enter_soon(mta.port, "127.0.0.8")
    refused(mta.port, "127.0.0.7")
    for connection in idle:
        connection.close()


def test_full_session_table_lets_in_and_tells(mta, gate):
    """Sessions beyond the table are let in uncounted, and the log says so. When there is room again, they count."""
    daemon = gate("session_table_size = 4\nservice_sessions = 100\nlimit client_sessions { max = 1 }")
    held = fill(mta.port, [f"127.0.0.{host}" for host in range(1, 5)])
    assert not daemon.lines(action="untracked")
    uncounted = fill(mta.port, ["127.0.0.8", "127.0.0.9", "127.0.0.9"])
    told = daemon.wait_line(limit="session_table_size", action="untracked")
    assert told["max"] == "4"
    assert all(client.is_served() for client in held + uncounted)
    for client in uncounted:
        client.quit()
    assert daemon.counters()[0]["sessions"] == 4
    held[0].quit()
    wait_until(lambda: daemon.counters()[0]["sessions"] == 3, "a record is free")
    enter(mta.port, "127.0.0.9")
    wait_until(lambda: daemon.counters()[0]["sessions"] == 4, "the record is taken")


def test_sigpipe_is_nothing(postfix, gate):
    daemon = gate("service_sessions = 1")
    enter(postfix.port)
    daemon.signal(signal.SIGPIPE)
    refused(postfix.port)


def test_mta_restarts_processes_and_counts_stay_true(postfix, gate):
    """`postfix reload` ends the idle processes; sessions that are open keep their slots."""
    gate("service_sessions = 3")
    held = fill(postfix.port, ["127.0.0.1", "127.0.0.2"])
    old = set(postfix.session_processes())
    os.kill(postfix.process.pid, signal.SIGHUP)
    wait_until(lambda: all(any(port in postfix.ports.values() and remote for port, remote in connections_held(pid))
                           for pid in set(postfix.session_processes()) & old), "idle processes are gone")
    held.append(enter(postfix.port, "127.0.0.3"))
    refused(postfix.port, "127.0.0.4")
    for client in held[:2]:
        client.quit()
    enter_soon(postfix.port, "127.0.0.5")
    enter_soon(postfix.port, "127.0.0.6")
    refused(postfix.port, "127.0.0.4")
