"""Many at once: races for the last slots, silent crowds, refusals that wait."""
import os
import signal
import threading
import time

import pytest

from httpside import Place
from milterside import HELO, NEGOTIATE, answer, connect_packet, talk
from sandbox import connections_held, is_stopped, wait_until
from smtp import REFUSAL, Client, enter, fill, gather

SLOTS = 10


class Race:
    """Clients that are released by one barrier, again and again, each from an address of its own."""

    def __init__(self, port, clients):
        self.port = port
        self.barrier = threading.Barrier(clients + 1, timeout=60)
        self.outcomes = [None] * clients
        self.failures = []
        self.going_on = True
        self.threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def attempt(self, number):
        """A client, and the last that it reads before it is judged."""
        client = Client(self.port, f"127.0.{number // 200 + 1}.{number % 200 + 1}")
        client.expect(None, "220")
        return client, client.ehlo()

    def _run(self, number):
        try:
            while True:
                self.barrier.wait()
                if not self.going_on:
                    return
                client, answer = self.attempt(number)
                self.outcomes[number] = (client, answer)
                self.barrier.wait()  # held open until all have their answers
                self.barrier.wait()  # and until they are judged
                if answer.startswith(b"250"):
                    client.quit()
                else:
                    client.close()
        except Exception as failure:  # pylint: disable=broad-except
            self.failures.append(failure)
            self.barrier.abort()

    def round(self, judge):
        try:
            self.barrier.wait()
            self.barrier.wait()
            judge(self.outcomes)
            self.barrier.wait()
        except threading.BrokenBarrierError:
            raise AssertionError(f"the race broke: {self.failures[:3]}") from None

    def rounds(self, daemon, count, judge):
        """So many rounds, each from the beginning."""
        try:
            for _ in range(count):
                self.round(judge)
                wait_until(daemon.is_empty, "the round's slots are given back")
                Client.opened.clear()
        finally:
            self.stop()
        assert not self.failures

    def stop(self):
        self.going_on = False
        try:
            self.barrier.wait()
        except threading.BrokenBarrierError:
            pass
        for thread in self.threads:
            thread.join(60)


def exactly_ten_in(outcomes):
    admitted = [client for client, answer in outcomes if answer.startswith(b"250")]
    turned_away = [client for client, answer in outcomes if answer == REFUSAL]
    assert len(admitted) == SLOTS, f"{len(admitted)} in"
    assert len(turned_away) == len(outcomes) - SLOTS
    for client in turned_away:
        assert client.read_to_end() == b""
    for client in admitted:
        assert client.is_served()


@pytest.mark.parametrize("rounds", [200])
def test_race_for_the_slots(mta, gate, rounds):
    """50 clients from 50 addresses at one barrier, all held open until all have answers: exactly 10 in, each time."""
    if mta.forks_per_session:
        rounds //= 4
    daemon = gate(f"service_sessions = {SLOTS}\nrefuse_pending = 50")
    race = Race(mta.port, 50)
    race.rounds(daemon, rounds, exactly_ten_in)


def test_race_of_one_client_within_a_scope(mta, gate):
    """Several counters at once: no slot of an outer scope is lost to a refusal by an inner one."""
    daemon = gate(f"""service_sessions = {SLOTS}
        refuse_pending = 50
        listener {{ listener_sessions = 12  peer "127.0.1.0/24" {{ listener_sessions = 11 }} }}
        client_ipv4_prefix = 24
        limit client_sessions {{ max = 10 }}""")
    race = Race(mta.port, 30)
    race.rounds(daemon, 20, exactly_ten_in)


def processes_held(mta, port):
    """The MTA's processes that hold a client's connection to this port."""
    return [pid for pid in mta.session_processes()
            if any(local == port and remote for local, remote in connections_held(pid))]


def test_silent_clients_do_not_hold_the_mtas_processes(mta, gate):
    """200 that connect and say nothing: 10 have a slot, refuse_pending (20) may await their HELO, the others are
    refused at connect, which frees the process."""
    port = mta.ports.get("sixty", mta.port)
    gate(f"service_sessions = {SLOTS}")
    silent = [Client(port, f"127.0.{number % 4 + 1}.{number // 4 + 1}") for number in range(200)]
    gather(silent)
    greeted, turned_away = [], []
    for client in silent:
        line = client.reply()
        if line.startswith(b"220 "):
            greeted.append(client)
        else:
            assert line.startswith(b"421 ")
            assert client.read_to_end() == b""
            client.close()
            turned_away.append(client)
    assert len(greeted) == SLOTS + 20
    assert len(turned_away) == 170
    wait_until(lambda: len(processes_held(mta, port)) == SLOTS + 20, "processes are held for the greeted alone")
    # Who is in, and who only waits to be told? Seen from outside, by asking all of them.
    answers = [client.ehlo() for client in greeted]
    assert sum(answer.startswith(b"250") for answer in answers) == SLOTS
    assert sum(answer == REFUSAL for answer in answers) == 20
    wait_until(lambda: refused_at_helo(port), "there is room again for one that awaits its HELO", pause=0.02)


def test_refuse_pending_is_counted_for_each_listener(mta, gate):
    gate(f"""service_sessions = 1
        listener {{ refuse_pending = 2  listen ":{mta.port}" {{}} }}
        listener {{ refuse_pending = 1  listen ":{mta.port2}" {{}} }}""")
    enter(mta.port)
    pending = [Client(port, f"127.0.0.{host}") for port, host in ((mta.port, 2), (mta.port, 3), (mta.port2, 2))]
    for client in pending:
        client.expect(None, "220")
    for port in (mta.port, mta.port2):
        client = Client(port, "127.0.0.4")
        assert client.read_to_end().startswith(b"421 ")
        client.close()
    pending[0].expect_refusal()
    wait_until(lambda: refused_at_helo(mta.port), "a place for one that awaits its HELO is free again", pause=0.02)


def refused_at_helo(port):
    client = Client(port, "127.0.0.5")
    try:
        if client.reply().startswith(b"220"):
            client.expect_refusal()
            return True
        return False
    finally:
        client.close()


def test_disconnect_delay_holds_the_refusal_back(mta, gate):
    """The line comes, later; those who are in, and those who come in, are served meanwhile."""
    gate("""service_sessions = 3
        disconnect_delay = 2s""")
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    last = enter(mta.port, "127.0.0.3")
    late = Client(mta.port, "127.0.0.9")
    late.expect(None, "220")
    begin = time.monotonic()
    late.send("EHLO client.example")
    assert held[0].is_served()
    assert held[1].deliver().startswith(b"250 ")
    last.quit()
    late.expect_refusal(None)
    assert time.monotonic() - begin >= 1.9


def delayed(port, count):
    """Clients that have said EHLO and now wait for their refusal."""
    waiting = []
    for number in range(count):
        client = Client(port, f"127.0.3.{number + 1}")
        client.expect(None, "220")
        client.send("EHLO client.example")
        waiting.append(client)
    return waiting


def test_max_delay_bounds_the_delay(mta, gate):
    gate("service_sessions = 1\ndisconnect_delay = 29s\nmax_delay = 1s")
    enter(mta.port)
    begin = time.monotonic()
    for client in delayed(mta.port, 2):
        client.expect_refusal(None)
    assert time.monotonic() - begin < 25


def test_at_most_max_waiting_wait(mta, gate):
    """Beyond it nobody waits: refused at once, while the first ones still wait."""
    daemon = gate("service_sessions = 1\ndisconnect_delay = 25s\nmax_delay = 25s\nmax_waiting = 3")
    held = enter(mta.port)
    clients = delayed(mta.port, 4)
    wait_until(lambda: any(client.has_news() for client in clients), "one of four is refused at once", deadline=20)
    for client in delayed(mta.port, 5):
        client.expect_refusal(None)
    assert held.is_served()
    waiting = [client for client in clients if not client.has_news()]
    assert len(waiting) == 3
    daemon.expects_no_sessions = False
    daemon.stop()
    for client in clients:
        client.expect_refusal(None)


def test_stop_wakes_who_waits(mta, gate, directory):
    """SIGTERM does not wait for a long delay, and the refusals that waited are spoken."""
    control = Place(directory / "control.sock")
    daemon = gate(f'service_sessions = 1\ndisconnect_delay = 25s\nmax_delay = 25s\ncontrol {{ socket = "{control.where}" }}')
    enter(mta.port)
    begin = time.monotonic()
    waiting = delayed(mta.port, 20)
    wait_until(lambda: control.status()["waiting"]["now"] == 20, "all of them wait")
    assert not any(client.has_news() for client in waiting)
    daemon.expects_no_sessions = False
    daemon.stop()
    for client in waiting:
        client.expect_refusal(None)
    assert time.monotonic() - begin < 24


@pytest.mark.parametrize("holding", [HELO, HELO[:-3]], ids=["refused and delayed", "packet cut short"])
def test_nobody_waits_for_those_who_wait(gate, sandbox, holding):
    """A callback that waits holds one of libmilter's threads, and so does a packet whose rest does not come. Whoever
    speaks at the same moment must not be kept waiting with it: here a session that holds a thread and one that is let
    in say HELO together, over and over. (The daemon is stopped while they speak and has one processor, so that it
    hears both before any of its threads takes up the work.)"""
    daemon = gate("""limit client_sessions { max = 1 }
        listener { peer "127.0.0.9" { limit client_sessions { max = 0 } } }
        refuse_pending = 100
        disconnect_delay = 25s
        max_delay = 25s""")

    def session(address):
        connection = talk(sandbox, NEGOTIATE + connect_packet(address))
        connections.append(connection)
        assert answer(connection)[0] == b"O"
        assert answer(connection)[0] == b"c"
        return connection

    connections = []
    try:
        for thread in os.listdir(f"/proc/{daemon.pid}/task"):
            os.sched_setaffinity(int(thread), [min(os.sched_getaffinity(0))])
        session("127.0.0.50")
        over = [session("127.0.0.50") for _ in range(90)]
        inside = [session("127.0.0.9") for _ in over]
        begin = time.monotonic()
        for over_one, inside_one in zip(over, inside):
            daemon.signal(signal.SIGSTOP)
            wait_until(lambda: is_stopped(daemon.pid), "every thread stands still")
            over_one.sendall(holding)
            inside_one.sendall(HELO)
            daemon.signal(signal.SIGCONT)
            inside_one.settimeout(12)
            assert answer(inside_one)[0] == b"c"
            if time.monotonic() - begin > 8:
                break
    finally:
        daemon.signal(signal.SIGCONT)
        for connection in connections:
            connection.close()
        daemon.expects_no_sessions = False
        daemon.stop()
