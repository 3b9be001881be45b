"""tidegate as a child process, in a pipe and on a terminal, and a daemon that gives whatever answers a test wants."""
import contextlib
import fcntl
import http.server
import os
import pathlib
import pty
import re
import select
import shutil
import socketserver
import struct
import subprocess
import termios
import threading
import time
import unicodedata
import urllib.parse

import daemon as daemon_module
from sandbox import DEADLINE, die_with_parent

BINARY = pathlib.Path(os.environ.get("TIDEGATE", daemon_module.BINARY.parent / "tidegate")).resolve()
COMPLETION = pathlib.Path(__file__).parents[2] / "contrib/completions/tidegate.bash"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def environment(**changes):
    """No colours of the caller's, a locale with all characters, the time zone of the tests' own."""
    known = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "xterm", "TZ": "UTC"}
    known.update({name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")})
    return {**known, **changes}


def as_nobody(directory):
    """Options for tidegate() to run it without any right: a copy of it, which may stand where nobody may go."""
    copy = directory / "for-everybody"
    shutil.copy(BINARY, copy)
    copy.chmod(0o755)
    return {"binary": copy, "user": "nobody", "group": "nogroup", "extra_groups": []}


def tidegate(*arguments, env=None, binary=BINARY, **options):
    """Run it to its end; stdin is empty, output is text."""
    result = subprocess.run([str(binary), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=DEADLINE, check=False, env=env or environment(), **options)
    assert not daemon_module.SANITIZER.search(result.stderr), result.stderr
    assert result.returncode >= 0, f"ended by a signal: {result}"
    return result


def complete(*words, binary="tidegate"):
    """What bash offers for the last of the words."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tidegate; '
              '[ ${#COMPREPLY[@]} -eq 0 ] || printf "%s\\n" "${COMPREPLY[@]}"')
    result = subprocess.run(["bash", "--norc", "-uc", script, "bash", COMPLETION, str(binary), *map(str, words)],
                            capture_output=True, text=True, timeout=DEADLINE, check=False, env=environment())
    assert (result.returncode, result.stderr) == (0, "")
    return sorted(result.stdout.splitlines())


def columns_of(line):
    """How many columns a terminal gives the line."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


def is_harmless(text):
    """Nothing in it that a terminal would obey, but line ends."""
    return all(letter == "\n" or unicodedata.category(letter)[0] not in "CZ" or letter == " " for letter in text)


class Terminal:
    """tidegate on a terminal of its own, which it controls."""

    def __init__(self, *arguments, rows=24, columns=80, env=None):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.output = ""
        self.process = subprocess.Popen([str(BINARY), *map(str, arguments)], stdin=self.slave, stdout=self.slave,
                                        stderr=subprocess.PIPE, start_new_session=True, preexec_fn=self._prepare,
                                        env=env or environment())

    def _prepare(self):
        die_with_parent()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        """What comes within that time, or sooner when something has come."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.output += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)

    def wait_for(self, text, since=0):
        """Until that is on the terminal; returns where the output goes on."""
        end = time.monotonic() + DEADLINE
        while text not in self.output[since:]:
            assert time.monotonic() < end, f"no {text!r} on the terminal:\n{self.output[since:]}"
            self.read(0.1)
        return self.output.index(text, since) + len(text)

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        """Waits for its end; the exit status."""
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"tidegate does not end:\n{self.output}"
            self.read(0.05)
        while self.read(0):
            pass
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)
        self.process.stderr.close()
        os.close(self.slave)
        os.close(self.master)

    @property
    def lines(self):
        """What stands there, without colours."""
        return COLOUR.sub("", self.output).splitlines()

    @property
    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before


@contextlib.contextmanager
def terminal(*arguments, **options):
    opened = Terminal(*arguments, **options)
    try:
        yield opened
    finally:
        opened.close()


def on_terminal(*arguments, **options):
    """Runs it to its end on a terminal of 80 columns: (exit status, lines without colours). No line is too long."""
    with terminal(*arguments, **options) as opened:
        status = opened.end()
        width = options.get("columns", 80)
        wide = [line for line in opened.lines if columns_of(line) > width]
        assert not wide, wide
        assert is_harmless("\n".join(opened.lines)), opened.output
        return status, opened.lines


class FakeDaemon:
    """Answers at a unix socket: answers[PATH] is (status, body), or a function that is given the handler. questions are
    (method, path, parameters)."""

    def __init__(self, path):
        self.path = str(path)
        self.answers = {}
        self.questions = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self):
                parts = urllib.parse.urlsplit(self.path)
                text = parts.query
                if self.command == "POST":
                    text = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
                owner.questions.append((self.command, parts.path, dict(urllib.parse.parse_qsl(text))))
                answer = owner.answers.get(parts.path, (404, b'{"error": "no such page"}\n'))
                if callable(answer):
                    self.close_connection = True
                    answer(self)
                    return
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])

            do_GET = do_POST = answer

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

            def get_request(self):
                return super().get_request()[0], ("unix", 0)

            def handle_error(self, *_):
                pass

        self.server = Server(self.path, Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(DEADLINE)
        os.unlink(self.path)
