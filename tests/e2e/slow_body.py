"""Bodies that take a minute, beside all other tests: their clients, and a daemon and ports of their own."""
import threading
import time

from daemon import Daemon
from smtp import Client, greeted

# Far apart, so that the connection is silent in between for much longer than idle_time.
SECONDS, PIECES = 60, 4

CONFIG = """log_refusals = yes
    idle_time = 5s
    listener {{
        listen ":{slow}" {{ idle_action = refuse }}
        listen ":{slow_too}" {{ idle_action = disconnect }}
    }}
    """


class SlowBodies:
    """Started at once. `result(action)` waits for the end of the transfer under that idle_action."""

    def __init__(self, sandbox, postfix):
        self.directory = sandbox.dir / "slow"
        self.directory.mkdir()
        self.directory.chmod(0o755)
        self.daemon = Daemon(self.directory, postfix.slow_port, CONFIG.format(**postfix.ports))
        self._end = threading.Event()
        self._transfers = {}
        for action, port in (("refuse", "slow"), ("disconnect", "slow_too")):
            client = greeted(postfix.ports[port])
            Client.opened.remove(client)  # it outlives the test that happens to run
            outcome = {"client": client, "failure": None}
            thread = threading.Thread(target=self._transfer, args=(outcome, action), daemon=True)
            self._transfers[action] = (thread, outcome)
            thread.start()

    def _transfer(self, outcome, action):
        try:
            client = outcome["client"]
            client.expect("EHLO client.example", "250")
            client.mail()
            client.rcpt("read@test.example")
            client.expect("DATA", "354")
            begin = time.monotonic()
            client.send(f"Subject: slow-{action}")
            client.send("")
            for piece in range(PIECES):
                if self._end.wait(SECONDS / PIECES):
                    return
                client.send(f"piece {piece}")
            outcome["seconds"] = time.monotonic() - begin
            client.expect(".", "250")
            client.mail()  # the end of the transfer is not the end of a silence
            client.quit()
        except Exception as failure:  # pylint: disable=broad-except
            outcome["failure"] = failure

    def result(self, action):
        """How long the body took to send; the failure of the transfer, if any, is raised."""
        thread, outcome = self._transfers[action]
        thread.join(2 * SECONDS)
        assert not thread.is_alive(), outcome["client"]
        if outcome["failure"]:
            raise outcome["failure"]
        return outcome["seconds"]

    def stop(self):
        self._end.set()
        for thread, outcome in self._transfers.values():
            thread.join(2 * SECONDS)
            outcome["client"].close()
        try:
            self.daemon.stop()
        finally:
            self.daemon.kill()
