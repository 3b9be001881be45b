"""Both ends of Postfix's policy delegation protocol: a service that notes what Postfix asks and answers as a test says,
and a connection on which tests ask the daemon themselves. A request is lines NAME=VALUE and an empty line."""
import collections
import contextlib
import socket
import threading

from sandbox import DEADLINE
from smtp import REFUSAL, Client

# What Postfix 3.7 says of a session that has got as far as RCPT.
SESSION = {
    "request": "smtpd_access_policy", "protocol_state": "RCPT", "protocol_name": "ESMTP",
    "client_address": "192.0.2.1", "client_name": "unknown", "client_port": "4711", "reverse_client_name": "unknown",
    "server_address": "127.0.0.1", "server_port": "25", "helo_name": "client.example", "sender": "a@client.example",
    "recipient": "root@test.example", "recipient_count": "0", "queue_id": "", "instance": "1.2.3.0", "size": "0",
    "etrn_domain": "", "stress": "", "sasl_method": "", "sasl_username": "", "sasl_sender": "", "ccert_subject": "",
    "ccert_issuer": "", "ccert_fingerprint": "", "ccert_pubkey_fingerprint": "", "encryption_protocol": "",
    "encryption_cipher": "", "encryption_keysize": "0", "policy_context": "",
}


def request(**attributes):
    """The bytes of a request: SESSION, but for the attributes given; None leaves one out."""
    said = {**SESSION, **attributes}
    return "".join(f"{name}={value}\n" for name, value in said.items() if value is not None).encode("utf-8") + b"\n"


def door(socket_name, **options):
    """A policy section of the daemon's configuration."""
    said = "  ".join(f"{key} = {value}" for key, value in options.items())
    return f'policy {{ socket = "{socket_name}"  {said} }}\n'


class Asker:
    """A connection to a policy service: an address (host, port), or the path of a unix socket."""

    def __init__(self, where, deadline=DEADLINE, receive_buffer=None):
        self.socket = socket.socket(socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX)
        self.socket.settimeout(deadline)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(where if isinstance(where, tuple) else str(where))
        self._unread = b""

    def send(self, data):
        """Whole, or until the daemon hangs up."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def action(self):
        """The next answer, without "action="; None when the daemon closed instead."""
        while b"\n\n" not in self._unread:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                assert not self._unread, f"closed amidst an answer: {self._unread!r}"
                return None
            self._unread += data
        answer, _, self._unread = self._unread.partition(b"\n\n")
        assert answer.startswith(b"action="), answer
        return answer[7:].decode("ascii")

    def ask(self, **attributes):
        self.send(request(**attributes))
        return self.action()

    def close(self):
        self.socket.close()


class PolicyRecorder:
    """A policy service. `requests` are what was asked, in order, dictionaries; `connections` counts who called;
    `timeline` may be a list shared with others. action(request) says what to answer; None: hang up without a word."""

    def __init__(self, port, action=lambda request: "DUNNO", timeline=None):
        self.requests = []
        self.connections = 0
        self.action = action
        self.timeline = timeline if timeline is not None else []
        self._listening = socket.create_server(("127.0.0.1", port), backlog=100)
        self._open = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):  # close() ends it
            while True:
                mta, _ = self._listening.accept()
                self.connections += 1
                self._open.add(mta)
                threading.Thread(target=self._serve, args=(mta, self.connections), daemon=True).start()

    def _serve(self, mta, number):
        with contextlib.suppress(OSError), mta, mta.makefile("rb") as lines:
            asked = collections.OrderedDict()
            for line in lines:
                if line != b"\n":
                    name, _, value = line.decode("utf-8", "surrogateescape").rstrip("\n").partition("=")
                    asked[name] = value
                    continue
                asked["(connection)"] = number
                self.requests.append(asked)
                self.timeline.append(("policy", asked["protocol_state"], asked))
                action = self.action(asked)
                if action is None:
                    break
                mta.sendall(f"action={action}\n\n".encode("ascii"))
                asked = collections.OrderedDict()
        self._open.discard(mta)

    def states(self):
        return [asked["protocol_state"] for asked in self.requests]

    def close(self):
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(DEADLINE)
        for mta in list(self._open):
            with contextlib.suppress(OSError):
                mta.shutdown(socket.SHUT_RDWR)


def said_by_postfix(reply, restriction, what):
    """The line that a client reads when Postfix speaks a policy service's reply."""
    return reply[:10] + f"<{what}>: {restriction} rejected: ".encode("ascii") + reply[10:]


def at_connect(reply, source="127.0.0.1", name="unknown"):
    """The same in place of the greeting."""
    return said_by_postfix(reply, "Client host", f"{name}[{source}]")


def turned_away(port, source="127.0.0.1", host=None, refusal=REFUSAL):
    """As smtp.refused(), but at connect."""
    Client(port, source, host).expect_refusal(None, at_connect(refusal, source))
