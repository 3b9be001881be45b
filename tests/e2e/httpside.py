"""HTTP as the tests speak it to the daemon: over its control socket or its TCP address, byte by byte where need be."""
import contextlib
import json
import re
import socket
import threading
import time

from sandbox import DEADLINE, free_port, wait_until

PATIENCE = 9.0  # within which a well-behaved client must have its answer


class Answer:
    """status is 0 when the daemon hung up instead; head and body are bytes."""

    def __init__(self, data):
        head, separator, self.body = data.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1")
        self.status = int(self.head.split(" ")[1]) if separator else 0
        self.headers = dict(line.split(": ", 1) for line in self.head.split("\r\n")[1:])

    def json(self):
        assert self.headers["Content-Type"] == "application/json", self.head
        return json.loads(self.body)


def is_whole(data):
    """The body is as long as the head says. To HEAD none comes, but the end of the connection."""
    head, separator, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: (\d+)", head)
    return bool(separator and length) and len(body) >= int(length.group(1))


class Place:
    """One of the daemon's sockets: a (host, port), or the path of the control socket."""

    def __init__(self, where):
        self.where = where

    def connect(self, deadline=DEADLINE):
        connection = socket.socket(socket.AF_INET if isinstance(self.where, tuple) else socket.AF_UNIX)
        connection.settimeout(deadline)
        connection.connect(self.where if isinstance(self.where, tuple) else str(self.where))
        return connection

    def say(self, data, deadline=DEADLINE):
        """The answer to bytes on a connection of their own. One that arrives before the daemon has read everything
        may be followed by a reset."""
        answer = b""
        with self.connect(deadline) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            with contextlib.suppress(ConnectionResetError):
                while not is_whole(answer) and (more := connection.recv(65536)):
                    answer += more
        return Answer(answer)

    def ask(self, target, method="GET", body=None, headers="", deadline=DEADLINE):
        text = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}"
        if body is not None:
            text += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        return self.say((text + "\r\n" + (body or "")).encode("utf-8"), deadline)

    def status(self):
        answer = self.ask("/status.json")
        assert answer.status == 200, answer.body
        return answer.json()


def served(directory):
    """Configuration of both sockets, and the places: (text, control, tcp)."""
    port = free_port()
    control = directory / "control.sock"
    return (f'http {{ listen = "127.0.0.1:{port}" }}\ncontrol {{ socket = "{control}" }}\n', Place(control),
            Place(("127.0.0.1", port)))


class Events:
    """Follows GET /events; lines are the objects that were told."""

    def __init__(self, place):
        self.connection = place.connect()
        self.connection.sendall(b"GET /events HTTP/1.0\r\n\r\n")
        self._lines = self.connection.makefile("rb")
        assert self._lines.readline().split()[1] == b"200"
        while self._lines.readline() != b"\r\n":
            pass

    def next(self):
        """The next object; None when the daemon has ended the stream."""
        while line := self._lines.readline():
            if line != b"\n":
                return json.loads(line)
        return None

    def close(self):
        self._lines.close()
        self.connection.close()


class Visitor(threading.Thread):
    """Somebody who behaves, and asks all the time on one connection after the other; at the end none of the answers
    may have taken longer than PATIENCE."""

    def __init__(self, place, target="/metrics"):
        super().__init__(daemon=True)
        self.place, self.target = place, target
        self.answers = 0
        self.failure = None
        self.going_on = True
        self.start()

    def run(self):
        try:
            while self.going_on:
                answer = self.place.ask(self.target, deadline=PATIENCE)
                assert answer.status in (200, 503), answer.head
                self.answers += 1
                time.sleep(0.01)
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def stop(self):
        before = self.answers
        wait_until(lambda: self.answers >= before + 2 or self.failure, "the visitor is answered")
        self.going_on = False
        self.join(2 * PATIENCE)
        assert not self.failure, self.failure
