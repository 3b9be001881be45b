"""An MTA that sends nonsense loses its own connection only.

Each test keeps a well-behaved session beside the nonsense, which must be served all the while; afterwards every slot
must have come back and the daemon must stop cleanly (the fixture start_gate sees to both).
"""

import random
import socket
import struct
import threading

import pytest

from rawmta import CONTINUE, MACROS, connect_packet, macro_packet, negotiate_packet, packet

CONFIG = ("service_sessions = 1000\nlimit client_sessions { max = 900 }\nrefuse_pending = 900\nidle_time = 1h\n"
          "limit session_errors { max = 900  soft = 0  error_delay = 0 }\nlimit message_recipients { max = 900 }")

CONVERSATION = [
    negotiate_packet(),
    macro_packet(b"C", MACROS),
    connect_packet("192.0.2.10"),
    macro_packet(b"H", {"{tls_version}": "TLSv1.3"}),
    packet(b"H", b"client.test.example\0"),
    packet(b"U", b"XYZZY\0"),
    macro_packet(b"M", {"i": "4Zabc", "{mail_addr}": "sender@client.test.example"}),
    packet(b"M", b"<sender@client.test.example>\0SIZE=100\0"),
    macro_packet(b"R", {"{rcpt_mailer}": "error", "{rcpt_addr}": "550 5.1.1 Unknown user"}),
    packet(b"R", b"<nobody@mx.test.example>\0"),
    macro_packet(b"R", {"{rcpt_mailer}": "local"}),
    packet(b"R", b"<rcpt@mx.test.example>\0NOTIFY=NEVER\0"),
    packet(b"T"),
    packet(b"E"),
    packet(b"M", b"<>\0"),
    packet(b"A"),
    packet(b"A"),
    packet(b"K"),
    macro_packet(b"C", MACROS),
    connect_packet("2001:db8::10"),
    packet(b"H", b"client.test.example\0"),
    packet(b"Q"),
]


class Beside:
    """A well-behaved session that goes on beside whatever else happens."""

    def __init__(self, gate):
        self.gate = gate
        self.session = gate.admitted("203.0.113.1")

    def check(self):
        """It is still there, and so is the door for others."""
        assert self.session.mail() == CONTINUE
        self.session.abort()
        self.gate.serves("203.0.113.2")

    def end(self):
        self.check()
        self.session.quit()


class Passersby:
    """Connections that come and go, one every few milliseconds, as at any MTA that is at work.

    libmilter may leave a session to a thread that is on the point of waiting for the rest of somebody's packet; it is
    then served with the next event of any other session. At a busy door that is at once; a test must see to it.
    """

    def __init__(self, gate):
        self.gate = gate
        self.leave = threading.Event()
        self.thread = threading.Thread(target=self._pass)

    def _pass(self):
        last = None
        while not self.leave.wait(0.01):
            last, before = self.gate.mta(), last
            if before:
                before.close()
        if last:
            last.close()

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.leave.set()
        self.thread.join()


def send_and_leave(gate, data, finish):
    """Sends the bytes and closes; with `finish` only after the filter has seen their end and closed its own side."""
    mta = gate.mta()
    try:
        mta.send(data)
        if finish:
            mta.socket.shutdown(socket.SHUT_WR)
            while mta.socket.recv(65536):
                pass
    except (BrokenPipeError, ConnectionResetError):
        pass  # the filter may have had enough before the end
    finally:
        mta.close()


@pytest.mark.parametrize("finish", [True, False])
def test_every_truncation(start_gate, finish):
    """A valid conversation, cut off after each of its bytes."""
    gate = start_gate(CONFIG)
    beside = Beside(gate)
    conversation = b"".join(CONVERSATION)
    for length in range(len(conversation) + 1):
        send_and_leave(gate, conversation[:length], finish)
        if length % 50 == 0:
            beside.check()
    beside.end()


def test_every_packet_truncated_within(start_gate):
    """Each packet of a conversation made shorter, its length field telling the truth about what is left."""
    gate = start_gate(CONFIG)
    beside = Beside(gate)
    for number, whole in enumerate(CONVERSATION):
        command, data = whole[4:5], whole[5:]
        for length in range(len(data)):
            send_and_leave(gate, b"".join(CONVERSATION[:number]) + packet(command, data[:length]) +
                           b"".join(CONVERSATION[number + 1:]), True)
        beside.check()
    beside.end()


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes(start_gate, seed):
    """Random bytes at once, after a negotiation, and after a connect."""
    gate = start_gate(CONFIG)
    beside = Beside(gate)
    source = random.Random(seed)
    for turn in range(200):
        begin = b"".join(CONVERSATION[:source.choice((0, 1, 3))])
        send_and_leave(gate, begin + source.randbytes(source.randrange(1, 300)), turn % 2 == 0)
        if turn % 40 == 0:
            beside.check()
    beside.end()


@pytest.mark.parametrize("seed", range(4))
def test_random_packets(start_gate, seed):
    """Known commands in any order with any content; and valid conversations with some bytes changed."""
    gate = start_gate(CONFIG)
    beside = Beside(gate)
    source = random.Random(1000 + seed)
    for turn in range(150):
        data = b""
        if turn % 2 == 0:
            data = negotiate_packet()
            for _ in range(source.randrange(1, 20)):
                content = source.choice(CONVERSATION)[5:] if source.random() < 0.5 else \
                    source.randbytes(source.randrange(60))
                data += packet(source.choice([b"%c" % c for c in b"ABCDEHKLMNOQRTU"]), content)
        else:
            changed = bytearray(b"".join(CONVERSATION))
            for _ in range(source.randrange(1, 8)):
                changed[source.randrange(len(changed))] = source.randrange(256)
            data = bytes(changed)
        send_and_leave(gate, data, turn % 3 != 0)
        if turn % 30 == 0:
            beside.check()
    beside.end()


@pytest.mark.parametrize("length", [0, 1 << 20, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("begin", [0, 1, 3])
def test_impossible_lengths(start_gate, length, begin):
    """A packet that announces nothing, or more than any packet may hold."""
    gate = start_gate(CONFIG)
    beside = Beside(gate)
    for command in b"OCDHMRTEAQK":
        mta = gate.mta()
        try:
            mta.send(b"".join(CONVERSATION[:begin]) + struct.pack("!IB", length, command) + b"x" * 1000)
            beside.check()
        except BrokenPipeError:
            pass
        mta.close()
    beside.end()


def test_longest_packets(start_gate):
    """As long as a packet may be, and full of one thing."""
    gate = start_gate(CONFIG)
    beside = Beside(gate)
    for size in (65534, 65535, 65536, 70000):
        for content in (b"x", b"\0", b"a\0", b"%s%n"):
            filler = (content * size)[:size - 1] + b"\0"
            for number in (1, 2, 4, 7, 9):
                whole = CONVERSATION[number]
                send_and_leave(gate, b"".join(CONVERSATION[:number]) + packet(whole[4:5], filler) +
                               b"".join(CONVERSATION[number + 1:]), True)
        beside.check()
    beside.end()


def test_macros_without_a_value(start_gate):
    """Macros come as names and values in turn; here the last name has none."""
    gate = start_gate(CONFIG)
    beside = Beside(gate)
    for pairs in range(40):
        for stage in (b"C", b"H", b"M", b"R"):
            odd = stage + b"{name}\0value\0" * pairs + b"{last}\0"
            send_and_leave(gate, negotiate_packet() + packet(b"D", odd) + b"".join(CONVERSATION[2:]), True)
        beside.check()
    beside.end()


# What comes behind the host's name: family, port, address.
BROKEN_ADDRESSES = [b"", b"\0", b"host", b"host\0"] + [b"host\0" + rest for rest in (
    b"4", b"4\x9c", b"4\x9c\x40", b"4\x9c\x40\0", b"4\x9c\x40192.0.2.10", b"4\x9c\x40999.0.2.10\0",
    b"4\x9c\x40192.0.2\0", b"4\x9c\x402001:db8::1\0", b"4\x9c\x40" + b"1" * 5000 + b"\0",
    b"6\x9c\x40192.0.2.10\0", b"6\x9c\x40IPv6:2001:db8::1\0", b"6\x9c\x402001:db8::1%lo\0", b"6\x9c\x40:::::\0",
    b"6\x9c\x40" + b":" * 5000 + b"\0", b"L\0\0\0", b"L\0\0" + b"/" * 5000 + b"\0", b"X\x9c\x40192.0.2.10\0", b"U",
    b"U\0\0\0", b"\xff" * 100,
)] + [host + b"\0" + b"4\x9c\x40192.0.2.10\0" for host in (b"", b"\xff\xfe", b"h" * 60000)]


def test_broken_addresses(start_gate):
    """The connection goes on or is closed; what is counted is what is open."""
    gate = start_gate("service_sessions = 3")
    beside = Beside(gate)
    for data in BROKEN_ADDRESSES:
        with gate.mta() as mta:
            mta.negotiate()
            answer = mta.ask(b"C", data)
            assert answer in (CONTINUE, None), data
            if answer is None:
                beside.check()
                continue
            assert mta.helo() == CONTINUE, data
            beside.check()
            mta.quit()
    gate.serves()
    beside.end()


@pytest.mark.parametrize("data", [
    b"", b"\0\0", b"\0\0\0\x0dO\0\0", CONVERSATION[0], CONVERSATION[0] + CONVERSATION[1],
    b"".join(CONVERSATION[:2]) + CONVERSATION[2][:-3],
], ids=["silent", "half a length", "half a negotiation", "negotiated", "macros", "half a connect"])
def test_half_open_connections(start_gate, data):
    """300 MTAs that say so much and then nothing: nobody else waits for them, and they hold no slot."""
    gate = start_gate("service_sessions = 3\nlimit client_sessions { max = 2 }")
    beside = Beside(gate)
    idle = []
    try:
        with Passersby(gate):
            for _ in range(300):
                mta = gate.mta()
                idle.append(mta)
                mta.send(data)
            for _ in range(10):
                beside.check()
            second = gate.admitted("203.0.113.3")
            third = gate.admitted("203.0.113.4")
            gate.refused("203.0.113.5")
            second.quit()
            third.quit()
    finally:
        for mta in idle:
            mta.close()
    gate.wait_sessions(1)
    beside.end()


def test_answers_that_nobody_reads(start_gate):
    """An MTA that asks on and on and never reads: once the socket is full, only its own session stands still."""
    gate = start_gate(CONFIG)
    beside = Beside(gate)
    deaf = []
    try:
        with Passersby(gate):
            for _ in range(20):
                mta = gate.admitted("192.0.2.10")
                deaf.append(mta)
                mta.socket.setblocking(False)
                try:
                    for _ in range(100000):
                        mta.socket.send(CONVERSATION[4] * 100)
                except BlockingIOError:
                    pass
            for _ in range(5):
                beside.check()
    finally:
        for mta in deaf:
            mta.close()
    beside.end()
