"""The HTTP service of a daemon at work: who may connect to which socket and change what; whatever is said there, mail
flows and the others are answered."""
import contextlib
import os
import random
import socket
import subprocess
import threading

import pytest

from httpside import Events, Place, Visitor, served
from sandbox import DEADLINE, connections_held, die_with_parent, free_port, wait_until
from smtp import enter, enter_soon, refused

CONNECTIONS = 32  # at once, on each socket
LIMITS = 'service_sessions = 2\nlimit client_connections { max = 50 window = 1h ban = 1h }\n'

# Of status.json, what the passing of time or the test's own looking changes.
VOLATILE = ("now", "latency")

CONTROL_PAGES = ["/clients", "/domains", "/bans", "/explain?client=127.0.0.1", "/eval?client=127.0.0.1", "/events", "/ban",
                 "/unban", "/reload"]
TCP_PAGES = ["/", "/status.js", "/status.css", "/metrics", "/status.json", "/history.json"]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "QUERY", "get", "*"]
BODIES = [None, "", "target=127.0.0.9&for=3600", "limit=client_connections", "for=1&target=192.0.2.0/24"]


@pytest.fixture
def site(postfix, gate, directory):
    """A daemon with both sockets: .control, .tcp; mail through Postfix beside it."""
    def start(config=LIMITS):
        text, control, tcp = served(directory)
        daemon = gate(text + config)
        daemon.control, daemon.tcp, daemon.mta = control, tcp, postfix
        return daemon
    return start


def mail_flows(daemon):
    client = enter_soon(daemon.mta.port)
    assert client.deliver().startswith(b"250 ")
    client.quit()


def lasting(status):
    return {key: value for key, value in status.items() if key not in VOLATILE}


# ---- who may what ----

def test_pages_of_each_socket(site):
    daemon = site()
    for page in TCP_PAGES:
        assert daemon.tcp.ask(page).status == 200, page
        assert daemon.control.ask(page).status == 200, page
    for page in CONTROL_PAGES:
        assert daemon.tcp.ask(page).status == 404, page
    for page in ("/clients", "/domains", "/bans"):
        assert daemon.control.ask(page).status == 200, page


def test_control_socket_is_for_root(site, directory):
    """With the defaults nobody else can connect, and the socket's directory does not matter."""
    daemon = site()
    assert os.stat(daemon.control.where).st_mode & 0o7777 == 0o600
    program = ("import socket, sys\ns = socket.socket(socket.AF_UNIX)\n"
               "try:\n    s.connect(sys.argv[1])\nexcept PermissionError:\n    sys.exit(7)\n")
    for command, status in ([], 0), (["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"], 7):
        ran = subprocess.run([*command, "/usr/bin/python3", "-c", program, str(daemon.control.where)],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert ran.returncode == status, ran.stderr


def test_control_socket_for_a_group(postfix, gate, directory):
    port = free_port()
    gate(f'http {{ listen = "127.0.0.1:{port}" }}\n'
         f'control {{ socket = "{directory}/control.sock" group = "mail" mode = "0660" }}\n')
    program = "import socket, sys\nsocket.socket(socket.AF_UNIX).connect(sys.argv[1])\n"
    for groups, good in ("--groups=mail", True), ("--clear-groups", False):
        ran = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", groups, "/usr/bin/python3", "-c", program,
                              f"{directory}/control.sock"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=DEADLINE, check=False)
        assert (ran.returncode == 0) == good, ran.stderr


def test_tcp_changes_nothing(site):
    """Whatever method, page, parameters or host are tried on the TCP side, all that the daemon says of itself stays."""
    daemon = site()
    held = enter(daemon.mta.port)
    before = lasting(daemon.control.status())
    log = daemon.mark()
    for page in TCP_PAGES + CONTROL_PAGES + ["//reload", "/reload/", "/%72eload", "/./reload", "http://localhost/reload",
                                             "/reload?", "/status.json?x=/reload", "/status.json#/reload"]:
        for method in METHODS:
            for body in BODIES:
                answer = daemon.tcp.ask(page, method, body)
                assert answer.status >= 400 or method in ("GET", "HEAD"), (page, method, body, answer.head)
    assert lasting(daemon.control.status()) == before
    assert daemon.raw[log:] == []
    assert daemon.control.ask("/reload", "POST", "").status == 200  # there it would have done something
    assert lasting(daemon.control.status()) != before
    held.quit()


def test_reload(site, directory):
    daemon = site()
    first = enter(daemon.mta.port)
    daemon.write(daemon.path.read_text().partition("\n")[2].replace("service_sessions = 2", "service_sessions = 1"))
    answer = daemon.control.ask("/reload", "POST", "")
    assert answer.status == 200 and answer.json() == {"reloaded": True, "messages": [], "left_out": 0}
    refused(daemon.mta.port)
    first.quit()
    daemon.write(daemon.path.read_text().partition("\n")[2].replace("service_sessions = 1", "service_sessions = x"))
    answer = daemon.control.ask("/reload", "POST", "")
    assert answer.status == 409
    assert answer.json()["error"] == "the rules stay as they were"
    assert len(answer.json()["messages"]) == 1 and answer.json()["messages"][0].startswith(f"{daemon.path}:4: service_sess")
    mail_flows(daemon)


# ---- events ----

def test_events(site):
    """Who follows reads each refusal, from the moment of asking."""
    daemon = site("service_sessions = 1\n")
    refused_before = enter(daemon.mta.port)
    refused(daemon.mta.port, "127.0.0.2")
    followers = [Events(daemon.control) for _ in range(8)]
    assert daemon.control.ask("/events").status == 503
    refused(daemon.mta.port, "127.0.0.3")
    for follower in followers:
        told = follower.next()
        assert abs(told.pop("time") - daemon.control.status()["now"]) < 600
        assert told == {"action": "refuse", "limit": "service_sessions", "scope": "service", "client": "127.0.0.3",
                        "key": None, "count": 1, "max": 1, "points": 0, "ban_left": None, "ban_began": False}
        follower.close()
    wait_until(lambda: daemon.control.ask("/status.json").status == 200, "the connections are free again")
    last = Events(daemon.control)
    refused_before.quit()
    daemon.stop()
    assert last.next() is None  # the stream ends with the daemon
    last.close()
    daemon.expects_no_sessions = False


# ---- whatever is said ----

def attacks():
    """Things to say to an HTTP server, each on a connection of its own."""
    rng = random.Random(7)
    whole = (b"POST /ban HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
             b"Content-Length: 13\r\nConnection: close\r\n\r\nfor=1&target=")
    yield from (whole[:length] for length in range(len(whole)))
    for _ in range(300):
        yield bytes(rng.randrange(256) for _ in range(rng.choice((1, 10, 100, 1000, 20000))))
    for _ in range(300):
        broken = bytearray(whole)
        for _ in range(rng.randrange(1, 8)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        yield bytes(broken)
    yield b"\r\n" * 10000
    yield b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100000
    yield b"GET / HTTP/1.1\r\n" + b" folded\r\n" * 10000
    yield b"GET /" + b"%41" * 10000 + b" HTTP/1.1\r\n\r\n"
    yield b"GET /status.json?" + b"a=b&" * 1500 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield b"GET " + b"/" * 100000
    for length in (b"-1", b"0x10", b"99999999999999999999", b"4294967297", b"1 2", b"", b"+5"):
        yield b"POST /ban HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n" + b"x" * 20000
    for chunk in (b"ffffffffffffffff\r\n", b"-1\r\n", b"zz\r\n", b"5;ext\r\nabcde\r\n0\r\nTrailer: x\r\n\r\n", b"\r\n" * 100):
        yield b"POST /ban HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk
    yield b"POST /ban HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    yield b"POST /ban HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50000
    yield b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
    yield b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n"


def throw(place, data):
    """Says it and goes, without waiting for what is answered."""
    with place.connect() as connection, contextlib.suppress(OSError):
        connection.settimeout(DEADLINE)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def sockets(pid):
    """The sockets that the process has open. (libmilter makes pipes of its own some time after the start.)"""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return [name for name in found if name.startswith("socket:")]


def test_nonsense(site):
    """Mail flows and the other socket answers meanwhile; nothing has changed after it, and no descriptor is lost."""
    daemon = site("service_sessions = 5\n")
    daemon.control.status()
    before = sockets(daemon.pid)
    for place, other in (daemon.tcp, daemon.control), (daemon.control, daemon.tcp):
        visitor = Visitor(other)
        for number, data in enumerate(attacks()):
            throw(place, data)
            if number % 200 == 0:
                mail_flows(daemon)
        visitor.stop()
    status = daemon.control.status()
    assert status["bans"] == {"limits": 0, "operator": 0, "limits_monitored": 0, "operator_monitored": 0, "list": []}
    assert status["sessions"]["open"] == 0
    wait_until(lambda: len(sockets(daemon.pid)) <= len(before), "the descriptors are given back")


def test_a_thousand_connections(site):
    """They are accepted so many at a time, so mail keeps its descriptors; when they go, everybody is served."""
    daemon = site("service_sessions = 5\n")
    port = daemon.tcp.where[1]
    crowd = []
    for _ in range(1000):
        crowd.append(socket.socket())
        crowd[-1].setblocking(False)
        crowd[-1].connect_ex(daemon.tcp.where)
    visitor = Visitor(daemon.control)
    wait_until(lambda: sum(local == port for local, _ in connections_held(daemon.pid)) > CONNECTIONS, "they are there")
    for _ in range(5):
        mail_flows(daemon)
        assert sum(local == port for local, _ in connections_held(daemon.pid)) <= CONNECTIONS + 1  # and who listens
    visitor.stop()
    for connection in crowd:
        connection.close()
    assert daemon.tcp.ask("/status.json").status == 200


def test_slow_clients_and_bodies_without_end(site):
    """Every place is taken by somebody who never comes to an end. The daemon ends them, and serves the next."""
    daemon = site("service_sessions = 5\n")
    going_on = threading.Event()
    crowd = [daemon.tcp.connect() for _ in range(CONNECTIONS)]

    def drip():
        for connection in crowd[::2]:
            connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        for connection in crowd[1::2]:
            connection.sendall(b"POST /ban HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not going_on.wait(0.5):
            for number, connection in enumerate(crowd):
                with contextlib.suppress(OSError):
                    connection.send(b"1\r\na\r\n" if number % 2 else b"x")

    dripping = threading.Thread(target=drip, daemon=True)
    dripping.start()
    visitor = Visitor(daemon.control)
    mail_flows(daemon)
    assert daemon.tcp.ask("/status.json").status == 200  # after 10 s, when their time is over
    visitor.stop()
    going_on.set()
    dripping.join(DEADLINE)
    for connection in crowd:
        connection.close()


def test_answers_that_nobody_reads(site):
    """Requests without end on connections that read nothing."""
    daemon = site("service_sessions = 5\n")
    crowd = []
    for _ in range(CONNECTIONS - 1):
        connection = daemon.tcp.connect()
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while connection.send(b"GET /status.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000):
                pass
        crowd.append(connection)
    mail_flows(daemon)
    assert daemon.tcp.ask("/status.json").status == 200
    assert daemon.control.ask("/status.json").status == 200
    for connection in crowd:
        connection.close()


@pytest.mark.parametrize("begin", [
    b"GET /status.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /ban HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"], ids=["answers", "events", "chunk"])
def test_what_nobody_reads_is_not_kept(site, begin):
    """Megabytes that are sent where no request can be: the daemon does not take them, or hangs up."""
    daemon = site("service_sessions = 5\n")
    place = daemon.control if b"events" in begin else daemon.tcp
    before = daemon.resident_kib()
    crowd = []
    for _ in range(8):
        connection = place.connect()
        connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError, ConnectionError):
            connection.sendall(begin)
            connection.sendall(b"0" * (32 << 20))
        crowd.append(connection)
    mail_flows(daemon)
    assert daemon.tcp.ask("/status.json").status == 200
    grown = daemon.resident_kib() - before
    for connection in crowd:
        connection.close()
    assert grown < 8 * 1024 or daemon.is_instrumented()


# ---- beginning and end ----

def test_stop_with_connections_open(site):
    """A stop is prompt whoever is connected, and takes the control socket with it."""
    daemon = site()
    crowd = [place.connect() for place in (daemon.tcp, daemon.control) for _ in range(2 * CONNECTIONS)]
    for number, connection in enumerate(crowd):
        connection.sendall([b"", b"GET /", b"GET /status.js HTTP/1.1\r\nHost: localhost\r\n\r\n",
                            b"GET /events HTTP/1.1\r\n\r\n"][number % 4])
    wait_until(lambda: sum(local == daemon.tcp.where[1] for local, _ in connections_held(daemon.pid)) > CONNECTIONS,
               "they are there")
    daemon.expects_no_sessions = False
    daemon.stop()
    assert not daemon.control.where.exists()
    for connection in crowd:
        connection.close()


def test_stale_control_socket_is_replaced(site, gate):
    daemon = site()
    daemon.expects_no_sessions = False
    daemon.kill()
    assert daemon.control.where.exists()
    text = daemon.path.read_text().partition("\n")[2]
    again = gate(text)
    assert Place(daemon.control.where).status()["sessions"]["open"] == 0
    assert again.is_running()


def test_reload_cannot_move_the_sockets(site):
    daemon = site()
    before = daemon.path.read_text().partition("\n")[2]
    lines = daemon.reload(before.replace('http { listen = "127.0.0.1:', 'http { listen = "127.0.0.2:'), "reload_failed")
    assert any("http listen changes" in line and "needs restart" in line for line in lines), lines
    assert daemon.tcp.ask("/status.json").status == 200


def test_a_taken_place_stops_the_start(directory, sandbox):
    """One line says why, and nothing is left behind."""
    from daemon import run  # pylint: disable=import-outside-toplevel
    path = directory / "x.conf"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path.write_text(f'milter {{ socket = "inet:{sandbox.milter_port}@127.0.0.1" }}\n'
                        f'control {{ socket = "{directory}/control.sock" }}\nhttp {{ listen = "127.0.0.1:{port}" }}\n',
                        encoding="ascii")
        ran = run("-f", "-c", path, preexec_fn=die_with_parent)
    assert ran.returncode != 0
    assert f"http socket 127.0.0.1:{port}: Address already in use" in ran.stderr
    assert sorted(entry.name for entry in directory.iterdir()) == ["x.conf"]
