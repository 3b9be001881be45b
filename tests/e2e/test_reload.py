"""SIGUSR1: the rules change, the sessions and their counts do not."""
import signal
import threading

from sandbox import wait_until
from smtp import REFUSAL, Client, enter, enter_soon, fill, refused


def addresses(count, network="127.0.0"):
    return [f"{network}.{host + 1}" for host in range(count)]


def test_lowered_cap_evicts_nobody(mta, gate):
    daemon = gate("service_sessions = 6")
    held = fill(mta.port, addresses(6))
    daemon.reload("service_sessions = 3")
    assert all(client.is_served() for client in held)
    refused(mta.port, "127.0.9.1")
    for client in held[:3]:
        client.quit()
    # 3 of 3 are in, as soon as the last close is heard; nobody may come in before one more has left.
    refused(mta.port, "127.0.9.2")
    held[3].quit()
    enter_soon(mta.port, "127.0.9.3")
    refused(mta.port, "127.0.9.4")


def test_raised_cap_holds_at_once(mta, gate):
    daemon = gate("service_sessions = 2")
    fill(mta.port, addresses(2))
    refused(mta.port, "127.0.9.1")
    daemon.reload("service_sessions = 5")
    fill(mta.port, addresses(3, "127.0.1"))
    refused(mta.port, "127.0.9.1")


def test_new_scopes_count_the_sessions_that_are_open(mta, gate):
    """Chains are derived anew from what each session said at its connect."""
    daemon = gate("")
    fill(mta.port, addresses(2, "127.7.0"))
    fill(mta.port2, addresses(3))
    daemon.reload(f"""service_sessions = 8
        limit client_sessions {{ max = 2 }}
        listener {{ listen ":{mta.port}" {{ peer "127.7.0.0/16" {{ listener_sessions = 3 }} }} }}
        listener {{ listener_sessions = 4  listen ":{mta.port2}" {{}} }}""")
    enter(mta.port, "127.7.0.1")
    refused(mta.port, "127.7.0.9")  # the peer's three
    enter(mta.port2, "127.0.0.1")
    refused(mta.port2, "127.0.0.9")  # the listener's four
    refused(mta.port, "127.0.0.1")  # its second session is in on the other port
    enter(mta.port, "127.0.0.2")
    refused(mta.port, "127.0.0.9")  # the service's eight


def test_caps_that_go_away_and_come_back(mta, gate):
    daemon = gate("limit client_sessions { max = 1 }\nlistener { listener_sessions = 2 }")
    fill(mta.port, addresses(2))
    daemon.reload("")
    fill(mta.port, addresses(2) * 3)
    daemon.reload("limit client_sessions { max = 5 }\nlistener { listener_sessions = 9 }")
    fill(mta.port, addresses(1))
    refused(mta.port, "127.0.0.1")
    refused(mta.port, "127.0.0.9")


def test_refused_session_stays_refused_over_a_reload(mta, gate):
    """One that awaits its HELO has had its verdict; it holds no slot before the reload nor after it."""
    daemon = gate("service_sessions = 2")
    fill(mta.port, addresses(2))
    waiting = Client(mta.port, "127.0.0.9")
    waiting.expect(None, "220")
    daemon.reload("service_sessions = 4")
    fill(mta.port, addresses(2, "127.0.1"))
    refused(mta.port, "127.0.0.8")
    waiting.expect_refusal()


def test_bad_file_changes_nothing(mta, gate):
    daemon = gate("service_sessions = 2")
    held = fill(mta.port, addresses(2))
    for config in ("service_sessions = 7\nno_such_option = 1", "service_sessions = -1",
                   "service_sessions = 7\nlistener {", 'listener { peer "127.0.0.1/8" { } }'):
        told = daemon.reload(config, outcome="reload_failed")
        assert any(f"{daemon.path}:" in line for line in told), told
        refused(mta.port, "127.0.9.1")
    daemon.path.unlink()
    since = daemon.mark()
    daemon.signal(signal.SIGUSR1)
    daemon.wait_line(since, event="reload_failed")
    refused(mta.port, "127.0.9.1")
    assert all(client.is_served() for client in held)
    daemon.reload("service_sessions = 3")
    enter(mta.port, "127.0.9.1")
    refused(mta.port, "127.0.9.2")


def test_option_that_needs_a_restart_is_refused(mta, gate):
    daemon = gate("service_sessions = 2")
    fill(mta.port, addresses(2))
    for config in ("service_sessions = 7\nsession_table_size = 100",
                   'service_sessions = 7\npid_file = "/nowhere/x.pid"'):
        told = daemon.reload(config, outcome="reload_failed")
        assert any("needs restart" in line and f"{daemon.path}:3" in line for line in told), told
        refused(mta.port, "127.0.9.1")
    daemon.milter = 'milter { socket = "inet:1@127.0.0.1" }'
    told = daemon.reload("service_sessions = 7", outcome="reload_failed")
    assert any("needs restart" in line for line in told), told
    refused(mta.port, "127.0.9.1")


class Load:
    """Clients that come, stay for some commands and leave, over and over. Each counts itself among those who are in
    only between its 250 and its QUIT, so the count never exceeds what the gate has let in."""

    def __init__(self, port, clients):
        self.port = port
        self.lock = threading.Lock()
        self.inside = self.most = self.refused = self.finished = 0
        self.going_on = True
        self.failures = []
        self.round = [0] * clients
        self.threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        try:
            while self.going_on:
                self._visit(f"127.0.4.{number + 1}")
                self.round[number] += 1
        except Exception as failure:  # pylint: disable=broad-except
            self.failures.append(failure)

    def _visit(self, source):
        client = Client(self.port, source)
        client.expect(None, "220")
        answer = client.ehlo()
        if answer == REFUSAL:
            assert client.read_to_end() == b""
            client.close()
            with self.lock:
                self.refused += 1
            return
        assert answer.startswith(b"250"), answer
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        for _ in range(3):
            client.expect("NOOP", "250")
        with self.lock:
            self.inside -= 1
            self.finished += 1
        client.quit()

    def every_client_anew(self):
        """Wait until each client has ended the visit it is on; only then does the most count for the rules of now."""
        before = list(self.round)
        wait_until(lambda: self.failures or all(now > was for now, was in zip(self.round, before)), "all came anew")
        with self.lock:
            self.most = self.inside

    def stop(self):
        self.going_on = False
        for thread in self.threads:
            thread.join(60)
        assert not self.failures, self.failures[:3]


def test_reload_under_load(mta, gate):
    """Caps go down and up and files are bad while 24 clients come and go: never more in than the cap that holds,
    nobody is turned away in any other way than with the exact line, and afterwards each cap is exact."""
    daemon = gate("service_sessions = 12\nrefuse_pending = 50")
    load = Load(mta.port, 24)
    try:
        for cap in (4, 16, 2, 8, 6):
            daemon.reload(f"service_sessions = {cap}\nrefuse_pending = 50\nlimit client_sessions {{ max = {cap} }}")
            load.every_client_anew()
            daemon.reload("service_sessions = 1\noops", outcome="reload_failed")
            load.every_client_anew()
            load.every_client_anew()
            assert load.most <= cap
            Client.opened.clear()
    finally:
        load.stop()
    assert load.finished and load.refused
    wait_until(daemon.is_empty, "the load has left")
    fill(mta.port, addresses(6))
    refused(mta.port, "127.0.9.1")
