"""An SMTP client that hides nothing: every byte read is kept, the source address is chosen, silence is an error."""
import contextlib
import select
import socket
import struct
import time

from sandbox import DEADLINE, wait_until

REFUSAL = b"421 4.4.5 Service unavailable, concurrency limit reached.\r\n"
CONNECTION_RATE = b"421 4.4.5 Service unavailable, connection rate limit reached.\r\n"
MESSAGE_RATE = b"421 4.4.5 Service unavailable, message rate limit reached.\r\n"
NETWORKS = b"421 4.4.5 Service unavailable, too many networks for this domain.\r\n"
ERRORS = b"421 4.4.5 Service unavailable, too many errors.\r\n"
SCORE = b"421 4.7.1 Service unavailable, refused by policy.\r\n"
IDLE = b"421 4.4.2 Service unavailable, idle for too long.\r\n"
DENIED = b"421 4.7.1 Service unavailable, access denied.\r\n"
RECIPIENTS = b"452 4.5.3 Too many recipients.\r\n"
RECIPIENT_RATE = b"452 4.5.3 Recipient rate limit reached.\r\n"

REJECTED = "nobody-here@test.example"  # both MTAs turn this recipient away themselves, with a 550


class SmtpError(AssertionError):
    pass


class Client:
    """One connection to an MTA. received is all that was read, sent all that was written, in order."""

    opened = []  # every client of the running test: the gate fixture closes them and reads their conversations

    def __init__(self, port, source="127.0.0.1", host=None, deadline=DEADLINE, local_port=0):
        self.source = source
        self.port = port
        self.received = b""
        self.conversation = []
        self.expects_5xx = False
        self._unread = b""
        self._deadline = deadline
        self.was_reset = False
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        Client.opened.append(self)
        try:
            self.socket.settimeout(deadline)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(local_port != 0))
            self.socket.bind((source, local_port))
            self.socket.connect((host or ("::1" if family == socket.AF_INET6 else "127.0.0.1"), port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.socket.close()
            raise

    def __repr__(self):
        return f"<{self.source} to port {self.port}: {b''.join(self.conversation)!r}>"

    @property
    def local_port(self):
        return self.socket.getsockname()[1]

    def send(self, data):
        """Send raw bytes, or a str as one line."""
        if isinstance(data, str):
            data = data.encode("ascii") + b"\r\n"
        self.conversation.append(b"> " + data)
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.was_reset = True

    def _receive(self):
        """Read once; False at the end of the stream."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            self.was_reset = True
            data = b""
        except (socket.timeout, TimeoutError):
            raise SmtpError(f"no answer within {self._deadline:.0f} s: {self!r}") from None
        self.received += data
        self._unread += data
        if data:
            self.conversation.append(b"< " + data)
        else:
            self.conversation.append(b"< (end)")
        return bool(data)

    def reply(self):
        """The next whole reply, multi-line or not, as bytes; b"" when the server closed instead."""
        lines = b""
        while True:
            while b"\n" not in self._unread:
                if not self._receive():
                    return lines + self._take(len(self._unread))
            line = self._take(self._unread.index(b"\n") + 1)
            lines += line
            if line[3:4] != b"-":
                if line.startswith(b"5") and not self.expects_5xx:
                    raise SmtpError(f"a permanent refusal: {self!r}")
                return lines

    def _take(self, count):
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    def command(self, line):
        self.send(line)
        return self.reply()

    def expect(self, line, code):
        """Send line (None: send nothing) and insist on a reply that begins with code."""
        answer = self.reply() if line is None else self.command(line)
        if not answer.startswith(code.encode("ascii")):
            raise SmtpError(f"{line!r}: expected {code}, got {answer!r} in {self!r}")
        return answer

    def ehlo(self, name="client.example"):
        return self.command(f"EHLO {name}")

    def read_to_end(self):
        """All that still comes until the server closes."""
        while self._receive():
            pass
        return self._take(len(self._unread))

    def expect_refusal(self, line="EHLO client.example", refusal=REFUSAL):
        """The exact line, nothing before it, nothing after it, then the end of the connection."""
        if line is not None:
            self.send(line)
        rest = self.read_to_end()
        if rest != refusal:
            raise SmtpError(f"expected {refusal!r} and the end, got {rest!r} in {self!r}")
        self.close()

    def has_news(self, seconds=0.0):
        """Something to read (data or the end) arrived within the time given."""
        if self._unread:
            return True
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def is_served(self):
        """Open, and the server answers: judged by asking, not by guessing."""
        return self.command("NOOP").startswith(b"250")

    def expect_exactly(self, line, reply):
        """The session goes on after a reply of exactly these bytes."""
        answer = self.command(line)
        if answer != reply:
            raise SmtpError(f"{line!r}: expected {reply!r}, got {answer!r} in {self!r}")

    def mail(self, sender="a@client.example"):
        self.expect(f"MAIL FROM:<{sender}>", "250")

    def rcpt(self, *recipients):
        for recipient in recipients:
            self.expect(f"RCPT TO:<{recipient}>", "250")

    def err(self, count=1, rejected=False):
        """Make errors that a filter sees: unknown commands, or recipients that the MTA rejects."""
        self.expects_5xx = True
        for _ in range(count):
            self.expect(f"RCPT TO:<{REJECTED}>" if rejected else "XYZZY", "5")

    def send_message(self, *recipients, sender="a@client.example", body=b"Subject: t\r\n\r\nhello\r\n"):
        """One whole message to one recipient or more, which must be accepted."""
        self.mail(sender)
        self.rcpt(*(recipients or ("root@test.example",)))
        self.expect("DATA", "354")
        self.send(body + b".\r\n")
        self.expect(None, "250")

    def deliver(self, sender="a@client.example", recipient="root@test.example", body=b"Subject: t\r\n\r\nhello\r\n"):
        """One whole message; the reply to its end."""
        self.expect(f"MAIL FROM:<{sender}>", "250")
        self.expect(f"RCPT TO:<{recipient}>", "250")
        self.expect("DATA", "354")
        self.send(body + b".\r\n")
        return self.reply()

    def quit(self):
        self.expect("QUIT", "221")
        self.read_to_end()
        self.close()

    def close(self):
        """Vanish with FIN."""
        self.socket.close()

    def reset(self):
        """Vanish with RST."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def enter(port, source="127.0.0.1", host=None):
    """A session that must be let in: greeted, and EHLO answered with 250."""
    client = Client(port, source, host)
    client.expect(None, "220")
    client.expect("EHLO client.example", "250")
    return client


def refused(port, source="127.0.0.1", host=None, refusal=REFUSAL):
    """A session that must be turned away at EHLO with the exact line and then closed."""
    greeted(port, source, host).expect_refusal(refusal=refusal)


def greeted(port, source="127.0.0.1", host=None):
    """A session that has read its greeting and said nothing yet."""
    client = Client(port, source, host)
    client.expect(None, "220")
    return client


def proxied(port, address="[UNAVAILABLE]", name="[UNAVAILABLE]", login=None):
    """The same, of a client behind a proxy (Postfix's XCLIENT): any address, with or without a verified host name,
    authenticated or not. The proxy itself, 127.0.0.1, has a session before."""
    client = greeted(port)
    said = f"IPV6:{address}" if ":" in address else address
    client.expect(f"XCLIENT ADDR={said} NAME={name}" + (f" LOGIN={login}" if login else ""), "220")
    return client


def enter_proxied(port, address="[UNAVAILABLE]", name="[UNAVAILABLE]", login=None):
    client = proxied(port, address, name, login)
    client.expect("EHLO client.example", "250")
    return client


def try_enter(port, source="127.0.0.1", host=None, refusal=REFUSAL):
    """Either a session that is in, or None when it was turned away with the exact line; anything else is an error."""
    client = Client(port, source, host)
    client.expect(None, "220")
    answer = client.ehlo()
    if answer.startswith(b"250"):
        return client
    if answer != refusal:
        raise SmtpError(f"neither let in nor refused: {client!r}")
    rest = client.read_to_end()
    if rest:
        raise SmtpError(f"something after the refusal: {client!r}")
    client.close()
    return None


def enter_soon(port, source="127.0.0.1", host=None):
    """A session that must be let in once a slot that is being given back is free."""
    return wait_until(lambda: try_enter(port, source, host), f"a slot is free again for {source}", pause=0.02)


def fill(port, sources, host=None):
    """Sessions that must all be let in, one for each source address."""
    return [enter(port, source, host) for source in sources]


def gather(clients, seconds=DEADLINE):
    """Wait until each of the clients has something to read (or the end)."""
    waiting = {client.socket.fileno(): client for client in clients}
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    end = time.monotonic() + seconds
    while waiting:
        left = end - time.monotonic()
        if left <= 0:
            raise SmtpError(f"{len(waiting)} clients got no answer, among them {next(iter(waiting.values()))!r}")
        for descriptor, _ in poll.poll(left * 1000):
            poll.unregister(descriptor)
            del waiting[descriptor]
