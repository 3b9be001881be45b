"""The policy door's protocol, spoken by the tests themselves: whatever one connection says or does not say, the others
are answered, and what is wrong is logged and hung up on without a word."""
import contextlib
import os
import resource
import signal
import socket
import threading
import time

import pytest

from policyside import SESSION, Asker, at_connect, door, request
from sandbox import wait_until
from smtp import DENIED, Client, enter

DENY = 'deny { clients = { "198.51.100.0/24" } }\n'
REFUSED = {"client_address": "198.51.100.1"}
DENIAL = DENIED.decode("ascii").strip()
PATIENCE = 9.0  # within which a healthy connection must have its answer


class Healthy(threading.Thread):
    """Asks all the time; `answers` so far, and how long the slowest took."""

    def __init__(self, where):
        super().__init__(daemon=True)
        self.asker = Asker(where, deadline=PATIENCE)
        self.answers = 0
        self.slowest = 0.0
        self.failure = None
        self.going_on = True
        self.start()

    def run(self):
        try:
            while self.going_on:
                begin = time.monotonic()
                refused = self.answers % 2
                action = self.asker.ask(**(REFUSED if refused else {}))
                assert action == (DENIAL if refused else "DUNNO"), action
                self.slowest = max(self.slowest, time.monotonic() - begin)
                self.answers += 1
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def has_answers(self):
        """Two more from now on: what was sent before has been looked at by then."""
        before = self.answers
        wait_until(lambda: self.answers >= before + 2 or self.failure, "the healthy connection is answered")
        assert not self.failure, self.failure

    def stop(self):
        self.has_answers()
        self.going_on = False
        self.join(2 * PATIENCE)
        self.asker.close()
        assert not self.failure, self.failure


@pytest.fixture
def policed(postfix, gate):
    def start(config=DENY, **options):
        daemon = gate(door(postfix.policy, sessions="none", **options) + config)
        daemon.where = ("127.0.0.1", postfix.policy_port)
        return daemon
    return start


@pytest.fixture
def abused(policed):
    """A daemon that can be abused; beside it somebody is answered all the time."""
    daemon = policed()
    daemon.healthy = Healthy(daemon.where)
    yield daemon
    daemon.healthy.stop()


def stop(daemon):
    """It ends while the test goes on."""
    daemon.expects_no_sessions = False
    daemon.stop()


def troubles(daemon):
    return [line["why"] for line in daemon.lines(event="policy_trouble")]


def hung_up_on(daemon, asker):
    """The end without an answer, and a warning that names the peer; the others go on."""
    peer = "%s:%d" % asker.socket.getsockname()
    assert asker.action() is None
    asker.close()
    line = daemon.wait_line(event="policy_trouble", peer=peer)
    assert line["why"]
    daemon.healthy.has_answers()


def test_attributes_in_any_order_and_unknown_ones(policed):
    """Everything that Postfix 3.9 says, backwards, amidst what nobody knows."""
    daemon = policed("limit session_recipients { max = 2 }\n" + DENY)
    asker = Asker(daemon.where)
    unknown = {f"x{number}": "=" * number for number in range(100)}
    names = list({**SESSION, **unknown, "compatibility_level": "3.9", "mail_version": "3.9.0"})
    for recipient, action in (("root", "DUNNO"), ("daemon", "DUNNO"), ("bin", "452 4.5.3 Too many recipients.")):
        said = {**unknown, "compatibility_level": "3.9", "mail_version": "3.9.0", **SESSION,
                "recipient": f"{recipient}@test.example"}
        asker.send("".join(f"{name}={said[name]}\n" for name in reversed(names)).encode("ascii") + b"\n")
        assert asker.action() == action
    asker.send(b"request=smtpd_access_policy\nprotocol_state=CONNECT\nclient_address=198.51.100.1\n\n")
    assert asker.action() == DENIAL
    asker.send(b"request=smtpd_access_policy\nprotocol_state=CONNECT\nclient_address=unknown\n\n")
    assert asker.action() == "DUNNO"


def test_cut_at_every_byte(abused):
    """As many connections as the request has bytes, each cut at another one; and one that says it byte by byte."""
    whole = request(**REFUSED)
    askers = []
    for begin in range(0, len(whole), 50):  # so many at a time: each must be whole within a request's time
        cuts = {cut: Asker(abused.where) for cut in range(begin, min(begin + 50, len(whole)))}
        for cut, asker in cuts.items():
            asker.send(whole[:cut])
        abused.healthy.has_answers()
        for cut, asker in cuts.items():
            asker.send(whole[cut:])
        for asker in cuts.values():
            assert asker.action() == DENIAL
        askers += cuts.values()
    asker = askers[0]
    asker.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in range(len(whole)):
        asker.send(whole[number:number + 1])
    assert asker.action() == DENIAL
    for asker in askers:
        asker.close()
    assert not troubles(abused)


def test_thousands_of_requests_in_one_write(abused):
    """5,000, answered in order, to one who begins to read only when all are written."""
    asker = Asker(abused.where, receive_buffer=4096)
    order = [number % 3 == 0 for number in range(5000)]
    text = b"".join(request(**(REFUSED if refused else {})) for refused in order)
    writer = threading.Thread(target=asker.send, args=(text,), daemon=True)
    writer.start()
    abused.healthy.has_answers()
    for refused in order:
        assert asker.action() == (DENIAL if refused else "DUNNO")
    writer.join(PATIENCE)
    assert asker.ask() == "DUNNO"
    asker.close()


def test_peer_that_does_not_read(abused):
    """Its requests wait, and nothing grows for it."""
    asker = Asker(abused.where, receive_buffer=4096)
    asker.socket.settimeout(0.3)
    before = abused.resident_kib()
    with contextlib.suppress(TimeoutError):
        for _ in range(300):
            asker.socket.sendall(request() * 100)
    abused.healthy.has_answers()
    grown = abused.resident_kib() - before
    assert grown < 1024 or abused.is_instrumented()
    asker.close()


WRONG = {
    "a million attributes": request()[:-1] + b"".join(b"a%d=\n" % number for number in range(1000000)) + b"\n",
    "many attributes": request()[:-1] + b"x=\n" * 1000 + b"\n",
    "line without end": request()[:-1] + b"x=" + b"y" * 1000000,
    "line without a name": b"=smtpd_access_policy\n\n",
    "line without =": request()[:-1] + b"nonsense\n\n",
    "binary": bytes(range(256)) * 4 + b"\n\n",
    "NUL": request(sender="a\0b@client.example"),
    "HTTP": b"GET / HTTP/1.1\nHost: x\n\n",
    "empty": b"\n",
    "another request": request(request="junk"),
    "no request": request(request=None),
    "no state": request(protocol_state=None),
    "no address": request(client_address=None),
    "port": request(client_port="65536"),
    "negative port": request(client_port="-1"),
    "count": request(recipient_count="many"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_nonsense_is_hung_up_on(abused, kind):
    """After the answers to what came before it in the same write."""
    asker = Asker(abused.where)
    sender = threading.Thread(target=asker.send, args=(request() * 3 + WRONG[kind] + request(),), daemon=True)
    sender.start()
    assert [asker.action() for _ in range(3)] == ["DUNNO"] * 3
    sender.join(PATIENCE)
    hung_up_on(abused, asker)
    assert len(troubles(abused)) == 1


def test_state_that_nobody_knows(abused):
    """Is a command like any other: later Postfixes may have more."""
    asker = Asker(abused.where)
    assert asker.ask(protocol_state="FROBNICATE") == "DUNNO"
    assert asker.ask(protocol_state="VRFY", recipient="root") == "DUNNO"
    assert asker.ask(protocol_state="FROBNICATE", **REFUSED) == DENIAL
    asker.close()


def test_request_that_does_not_end(abused):
    """No empty line: hung up on after 10 s, whether it is silent or says a little now and then; who has said nothing
    yet, or all, may take its time."""
    silent, talking, idle, done = (Asker(abused.where) for _ in range(4))
    silent.send(request()[:-1])
    talking.send(request()[:-1])
    assert done.ask() == "DUNNO"
    begin = time.monotonic()
    number = 0
    while not closed_by_now(talking):
        number += 1
        assert time.monotonic() - begin < 20
        talking.send(b"x%d=\n" % number)
        time.sleep(0.1)
    assert time.monotonic() - begin > 8
    talking.close()
    hung_up_on(abused, silent)
    assert idle.ask() == done.ask() == "DUNNO"
    assert len(troubles(abused)) == 2


def closed_by_now(asker):
    """The daemon has hung up (there is nothing else to read)."""
    try:
        return asker.socket.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_half_closed_peers(abused):
    """Who has said all and waits for the answers gets them; one who leaves amidst a request is hung up on."""
    asker = Asker(abused.where)
    asker.send(request() * 2 + request(**REFUSED))
    asker.socket.shutdown(socket.SHUT_WR)
    assert [asker.action() for _ in range(4)] == ["DUNNO", "DUNNO", DENIAL, None]
    asker.close()
    abused.healthy.has_answers()
    assert not troubles(abused)
    asker = Asker(abused.where)
    asker.send(request() + request()[:100])
    asker.socket.shutdown(socket.SHUT_WR)
    assert asker.action() == "DUNNO"
    hung_up_on(abused, asker)


@pytest.fixture
def many_descriptors():
    """For the test and for the daemon that it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, tuple(max(limit, 20000) for limit in before))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_idle_connections(many_descriptors, abused):
    """5,000 that have asked once and are silent cost no thread and at most a KiB each, and disturb nobody."""
    before = abused.resident_kib()
    askers = []
    for _ in range(5000):
        askers.append(Asker(abused.where))
        assert askers[-1].ask() == "DUNNO"
    abused.healthy.has_answers()
    grown = abused.resident_kib() - before
    print(f"5,000 idle connections: {grown} KiB, slowest answer beside them {abused.healthy.slowest:.3f} s")
    assert grown <= 5000 + 512 or abused.is_instrumented()
    assert len(os.listdir(f"/proc/{abused.pid}/task")) < 50
    for asker in askers:
        asker.close()
    held = f"/proc/{abused.pid}/fd"
    wait_until(lambda: len(os.listdir(held)) < 100, "their descriptors are closed")


def test_more_connections_than_allowed(policed):
    """The one too many is hung up on at once; when another has left there is room."""
    daemon = policed(connections="3")
    askers = [Asker(daemon.where) for _ in range(3)]
    for asker in askers:
        assert asker.ask() == "DUNNO"
    late = Asker(daemon.where)
    assert late.ask() is None
    daemon.wait_line(event="policy_trouble")
    for asker in askers:
        assert asker.ask(**REFUSED) == DENIAL
    askers.pop().close()
    wait_until(lambda: Asker(daemon.where).ask() == "DUNNO", "there is room again", pause=0.02)


def test_warnings_are_bounded(abused):
    """Those who make trouble all the time do not fill the log; it says how many it has left out."""
    begin = time.monotonic()
    for _ in range(200):
        asker = Asker(abused.where)
        asker.send(b"\n")
        assert asker.action() is None
        asker.close()
    assert 1 <= len(troubles(abused)) <= 10 * (time.monotonic() - begin + 2)


def test_delayed_answers(policed):
    """Wait behind each other on one connection, and hold up no other; at the end of the daemon they are given at
    once."""
    daemon = policed(DENY + "disconnect_delay = 25s\nmax_delay = 25s\n")
    healthy = Asker(daemon.where, deadline=PATIENCE)
    waiting = [Asker(daemon.where) for _ in range(20)]
    begin = time.monotonic()
    for asker in waiting:
        asker.send(request() + request(**REFUSED) + request())
        assert asker.action() == "DUNNO"
    for _ in range(100):
        assert healthy.ask() == "DUNNO"
    gone = waiting.pop()
    gone.close()
    stop(daemon)
    for asker in waiting:
        assert asker.action() == DENIAL
    assert time.monotonic() - begin < 20


def test_at_most_max_waiting_wait(policed):
    """Beyond it nobody waits."""
    daemon = policed(DENY + "disconnect_delay = 25s\nmax_delay = 25s\nmax_waiting = 2\n")
    waiting = [Asker(daemon.where) for _ in range(2)]
    for asker in waiting:
        asker.send(request() + request(**REFUSED))
        assert asker.action() == "DUNNO"
    begin = time.monotonic()
    others = [Asker(daemon.where) for _ in range(3)]
    wait_until(lambda: others[0].ask(**REFUSED) == DENIAL, "the room is full")
    for asker in others:
        assert asker.ask(**REFUSED) == DENIAL
    assert time.monotonic() - begin < 20
    stop(daemon)


def test_delay_has_an_end(policed):
    daemon = policed(DENY + "disconnect_delay = 1s\n")
    asker = Asker(daemon.where)
    begin = time.monotonic()
    assert asker.ask(**REFUSED) == DENIAL
    assert 0.9 <= time.monotonic() - begin < 20  # the loop's clock is coarse
    assert asker.ask() == "DUNNO"


def test_reload_under_load(policed, postfix):
    """Each request is answered, by the old rules or by the new."""
    daemon = policed("")
    asked, ends = [], []

    def ask_until_denied(number):
        """New sessions, one after the other."""
        asker = Asker(daemon.where)
        answer = "DUNNO"
        while answer == "DUNNO":
            asked.append(number)
            answer = asker.ask(client_address="198.51.100.1", client_port=str(len(asked) % 60000 + 1))
        ends.append(answer)
        asker.close()
    threads = [threading.Thread(target=ask_until_denied, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        before = len(asked)
        daemon.reload(door(postfix.policy, sessions="none"))
        wait_until(lambda before=before: len(asked) > before + 100 or ends, "requests are answered")
        assert not ends
    daemon.reload(door(postfix.policy, sessions="none") + DENY)
    for thread in threads:
        thread.join(30)
    assert ends == [DENIAL] * 4


def test_changed_socket_needs_a_restart(policed, postfix):
    daemon = policed()
    daemon.reload(door(postfix.policy, sessions="none", backlog=7) + DENY, outcome="reload_failed")
    assert Asker(daemon.where).ask(**REFUSED) == DENIAL
    daemon.reload(door(postfix.policy, sessions="none") + DENY)


def test_postfix_goes_on_when_the_daemon_is_restarted(policed, postfix):
    """Its connection to the service that was is of no use any more: Postfix makes another."""
    daemon = policed()
    port = postfix.ports["policy_unshared"]
    enter(port).quit()
    stop(daemon)
    policed('deny { clients = { "127.7.0.0/16" } }')
    enter(port).quit()
    Client(port, "127.7.0.1").expect_refusal(None, at_connect(DENIED, "127.7.0.1"))


def test_daemon_is_killed(policed, postfix):
    """Mail flows where default_action says so."""
    daemon = policed()
    client = enter(postfix.ports["policy_context"])
    daemon.expects_no_sessions = False
    daemon.kill()
    client.send_message()
    enter(postfix.ports["policy_context"]).send_message()


def test_stop_with_open_connections(policed):
    """SIGTERM closes them; nobody waits for a peer that says nothing."""
    daemon = policed()
    askers = [Asker(daemon.where) for _ in range(50)]
    for asker in askers:
        assert asker.ask() == "DUNNO"
    askers[0].send(request()[:50])
    daemon.signal(signal.SIGTERM)
    for asker in askers:
        assert asker.action() is None
    stop(daemon)


def test_second_daemon_is_refused_the_socket(policed, postfix, gate):
    policed()
    with pytest.raises(AssertionError, match="in use"):
        gate(door(postfix.policy), f'milter {{ socket = "inet:{postfix.policy_port + 2000}@127.0.0.1" }}')
