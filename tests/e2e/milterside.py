"""The MTA's side of the milter protocol, as far as the tests speak it themselves: to talk nonsense, and to say several
things at the very same time. A packet is a length of four bytes, a letter, and data."""
import contextlib
import socket
import struct

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
