"""tidegated as a child process: its configuration, its log, its signals, its sockets."""
import contextlib
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import threading
import time

from sandbox import DEADLINE, die_with_parent, libc

BINARY = pathlib.Path(os.environ.get("TIDEGATED", "tidegated")).resolve()
PAIR = r'[A-Za-z_]+=(?:[!#-\[\]-~]+|"(?:[ !#-\[\]-~]|\\["\\]|\\x[0-9a-f]{2})*")'
LINE = re.compile(f"{PAIR}(?: {PAIR})*")
FIELD = re.compile(r'([A-Za-z_]+)=("(?:[^"\\]|\\.)*"|\S*)')
PIDFD_GETFD = 438
SANITIZER = re.compile(r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:")


def parse(line):
    """The key=value pairs of a log line."""
    return {key: value.strip('"') for key, value in FIELD.findall(line)}


def run(*arguments, **options):
    """Run tidegated to its end (-t, -d, -V, a start that must fail); stdin is empty, output is text."""
    return subprocess.run([str(BINARY), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=DEADLINE, check=False, **options)


class Daemon:
    """A tidegated in the foreground. The milter section is written for it; config is the rest of the file."""

    def __init__(self, directory, milter_port, config, milter=None):
        self.path = pathlib.Path(directory) / "tidegated.conf"
        self.milter_port = milter_port
        self.milter = milter or f'milter {{ socket = "inet:{milter_port}@127.0.0.1" }}'
        self.expects_no_sessions = True
        self._lines = []
        self._ended = False
        self._news = threading.Condition()
        self._unfinished = b""
        self.write(config)
        self.process = subprocess.Popen([str(BINARY), "-f", "-c", str(self.path)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.pid = self.process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_line(event="ready")

    def _read(self):
        log = select.poll()
        log.register(self.process.stdout, select.POLLIN)
        while not self._ended:
            log.poll()
            self._drain()

    def _drain(self):
        """Take whatever it has written by now."""
        with self._news:
            while not self._ended:
                try:
                    chunk = os.read(self.process.stdout.fileno(), 65536)
                except BlockingIOError:
                    break
                *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
                if not chunk:
                    self._ended = True
                    lines += [self._unfinished] if self._unfinished else []
                self._lines += [line.decode("utf-8", "replace") for line in lines]
            self._news.notify_all()

    @property
    def raw(self):
        """The lines of its log so far: what it said before a client read the answer is there once the client has."""
        self._drain()
        return self._lines

    def write(self, config):
        """Replace the configuration file, whole at once; the first line of config is line 2 of the file."""
        text = self.milter + "\n" + config
        beside = self.path.with_suffix(".new")
        beside.write_text(text)
        beside.rename(self.path)

    def mark(self):
        """A position in the log, for since=."""
        return len(self.raw)

    def lines(self, since=0, **wanted):
        """The parsed log lines that have all the wanted pairs."""
        parsed = [parse(line) for line in self.raw[since:]]
        return [fields for fields in parsed if all(fields.get(key) == str(value) for key, value in wanted.items())]

    def wait_line(self, since=0, deadline=DEADLINE, **wanted):
        """The first line from since on that has all the wanted pairs; waits for it."""
        end = time.monotonic() + deadline
        with self._news:
            while True:
                found = self.lines(since, **wanted)
                if found:
                    return found[0]
                if self._ended or not self._news.wait(end - time.monotonic()):
                    raise AssertionError(f"no line {wanted} in the log:\n" + "\n".join(self.raw))

    def counters(self):
        """What SIGUSR2 tells: the summary, and the lines of the counters that are not zero."""
        since = self.mark()
        self.process.send_signal(signal.SIGUSR2)
        summary = self.wait_line(since, event="counters")
        totals = {key: int(value) for key, value in summary.items() if value.isdigit()}
        return totals, self.lines(since, event="counter")

    def totals(self):
        """What each limit has done since the start, as SIGUSR2 tells: {limit: {"refused": number, ...}}."""
        since = self.mark()
        self.counters()
        return {line["limit"]: {key: int(value) for key, value in line.items() if value.isdigit()}
                for line in self.lines(since, event="limit")}

    def is_empty(self):
        """Not one session, refused session, client or counter is left."""
        summary, counters = self.counters()
        return not counters and summary["sessions"] == summary["pending"] == summary["clients"] == 0

    def reload(self, config, outcome="reloaded"):
        """Replace the file, say SIGUSR1, wait for the outcome; returns the raw lines that it logged meanwhile."""
        since = self.mark()
        self.write(config)
        self.process.send_signal(signal.SIGUSR1)
        self.wait_line(since, event=outcome)
        return self.raw[since:]

    def signal(self, number):
        self.process.send_signal(number)

    def sockets(self, port):
        """Copies of its TCP sockets with this local port, and what options they have: (listening ones, accepted ones).
        Whoever asks closes them."""
        listening, accepted = [], []
        process = os.pidfd_open(self.pid)
        try:
            for descriptor in os.listdir(f"/proc/{self.pid}/fd"):
                copy = libc.syscall(PIDFD_GETFD, process, int(descriptor), 0)
                if copy < 0:
                    continue
                try:
                    found = socket.socket(fileno=copy)
                except OSError:  # no socket
                    os.close(copy)
                    continue
                name = None
                with contextlib.suppress(OSError):
                    name = found.getsockname()
                if isinstance(name, tuple) and len(name) in (2, 4) and name[1] == port:
                    listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                    (listening if listens else accepted).append(found)
                else:
                    found.close()
        finally:
            os.close(process)
        return listening, accepted

    def resident_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def is_instrumented(self):
        """Built with a sanitizer, which takes memory of its own."""
        with open(f"/proc/{self.pid}/maps", encoding="utf-8") as maps:
            return any(name in line for line in maps for name in ("libasan", "libtsan"))

    def is_running(self):
        return self.process.poll() is None

    def stop(self):
        """SIGTERM; it must end with status 0 and no sanitizer may have spoken."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        status = self.wait()
        assert status == 0, f"tidegated ended with {status}:\n" + "\n".join(self.raw)
        self.check_sanitizers()
        self.check_log()

    def wait(self):
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError("tidegated does not end:\n" + "\n".join(self.raw)) from None
        self._reader.join(DEADLINE)
        self.process.stdout.close()
        return status

    def check_log(self):
        """Once it is up every line is key=value pairs and nothing else, whatever clients said."""
        ready = next((number for number, line in enumerate(self.raw) if line.startswith("event=ready")), 0)
        broken = [line for line in self.raw[ready:] if not LINE.fullmatch(line)]
        assert not broken, broken

    def check_sanitizers(self):
        spoken = [line for line in self.raw if SANITIZER.search(line)]
        assert not spoken, "\n".join(self.raw)

    def kill(self):
        """SIGKILL, for scenarios about a daemon that dies, and to clean up."""
        if self.process.returncode is None:
            self.process.kill()
            self.wait()
