"""The MTA's side of the milter protocol, as far as the tests speak it themselves: to talk nonsense, and to say several
things at the very same time. A packet is a length of four bytes, a letter, and data."""
import contextlib
import socket
import struct
import threading

from sandbox import DEADLINE


def packet(letter, data=b""):
    return struct.pack("!I", len(data) + 1) + letter + data


def connect_packet(address):
    return packet(b"C", b"client.example\0" + b"4" + struct.pack("!H", 4321) + address.encode("ascii") + b"\0")


NEGOTIATE = packet(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF))
CONNECT = connect_packet("127.0.0.50")
HELO = packet(b"H", b"client.example\0")


def talk(sandbox, data):
    """A connection to the daemon on which data was said."""
    connection = socket.create_connection(("127.0.0.1", sandbox.milter_port), timeout=DEADLINE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # it may hang up on us before we have said all
        connection.sendall(data)
    return connection


def answer(connection):
    """The next packet: (letter, data)."""
    def read(size):
        data = b""
        while len(data) < size:
            more = connection.recv(size - len(data))
            assert more, "the daemon hung up"
            data += more
        return data
    size, = struct.unpack("!I", read(4))
    data = read(size)
    return data[:1], data[1:]


class Recorder:
    """Stands between an MTA and the daemon and notes what the MTA says: the letters of its packets, without those of
    macros ("D") and negotiation ("O"), a string for each connection in `sessions`. A list given as `timeline` gets
    ("milter", letter, data) of every packet."""

    def __init__(self, port, daemon_port, timeline=None):
        self.sessions = []
        self.timeline = timeline if timeline is not None else []
        self.daemon_port = daemon_port
        self._listening = socket.create_server(("127.0.0.1", port))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        with contextlib.suppress(OSError):  # close() ends it
            while True:
                mta, _ = self._listening.accept()
                daemon = socket.create_connection(("127.0.0.1", self.daemon_port))
                for end in (mta, daemon):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sessions.append("")
                for target in ((self._record, mta, daemon, len(self.sessions) - 1), (self._pass_on, daemon, mta)):
                    self._threads.append(threading.Thread(target=target[0], args=target[1:], daemon=True))
                    self._threads[-1].start()

    def _record(self, mta, daemon, number):
        data = b""
        while more := mta.recv(65536):
            data += more
            while len(data) >= 5 and len(data) >= 4 + struct.unpack("!I", data[:4])[0]:
                size = 4 + struct.unpack("!I", data[:4])[0]
                self.timeline.append(("milter", data[4:5].decode("ascii"), data[5:size]))
                if data[4:5] not in b"DO":
                    self.sessions[number] += data[4:5].decode("ascii")
                daemon.sendall(data[:size])
                data = data[size:]
        daemon.shutdown(socket.SHUT_WR)

    @staticmethod
    def _pass_on(daemon, mta):
        with contextlib.suppress(OSError):
            while more := daemon.recv(65536):
                mta.sendall(more)
            mta.shutdown(socket.SHUT_WR)

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
