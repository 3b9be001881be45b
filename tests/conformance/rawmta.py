"""The MTA's side of the milter protocol, byte by byte, and a tidegated to speak it to."""

import ipaddress
import os
import re
import signal
import socket
import struct
import subprocess
import time

DEADLINE = 30.0

ALL_ACTIONS = 0x1FF
ALL_STEPS = 0x1FFFFF

# Steps that the MTA may leave out, and answers that a filter may leave out.
NOCONNECT, NOHELO, NOMAIL, NORCPT = 0x1, 0x2, 0x4, 0x8
NOBODY, NOHDRS, NOEOH, NOUNKNOWN, NODATA = 0x10, 0x20, 0x40, 0x100, 0x200
NR_CONN, NR_HELO, NR_MAIL, NR_RCPT, NR_DATA, NR_UNKN = 0x1000, 0x2000, 0x4000, 0x8000, 0x10000, 0x20000
NO_REPLY = 0x80 | NR_CONN | NR_HELO | NR_MAIL | NR_RCPT | NR_DATA | NR_UNKN | 0x40000 | 0x80000
RCPT_REJ = 0x800  # the MTA tells of recipients that it rejects itself

ADDHDRS, SETSYMLIST = 0x1, 0x100

CONTINUE = (b"c", b"")
ACCEPT = (b"a", b"")


def reply(line):
    """The filter's answer that has the MTA say this line."""
    return b"y", line.encode() + b"\0"


REFUSED = reply("421 4.4.5 Service unavailable, concurrency limit reached.")

MACROS = {
    "j": "mx.test.example",
    "_": "client.test.example [192.0.2.10]",
    "{daemon_name}": "mx.test.example",
    "{daemon_addr}": "192.0.2.1",
    "{daemon_port}": "25",
    "{if_addr}": "192.0.2.1",
    "v": "Postfix 3.7.11",
}


def packet(command, data=b""):
    return struct.pack("!I", len(data) + 1) + command + data


def negotiate_packet(version=6, actions=ALL_ACTIONS, steps=ALL_STEPS):
    return packet(b"O", struct.pack("!III", version, actions, steps))


def macro_packet(command, macros):
    return packet(b"D", command + b"".join(f"{name}\0{value}\0".encode() for name, value in macros.items()))


def connect_packet(ip, port=40000, host=b"client.test.example"):
    """`ip` as text; None for a client of an unknown family, a path for one on a unix socket."""
    if ip is None:
        return packet(b"C", host + b"\0U")
    if ip.startswith("/"):
        return packet(b"C", host + b"\0L" + struct.pack("!H", 0) + ip.encode() + b"\0")
    family = b"4" if ipaddress.ip_address(ip).version == 4 else b"6"
    return packet(b"C", host + b"\0" + family + struct.pack("!H", port) + ip.encode() + b"\0")


def wait_until(condition, what):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about in {DEADLINE:.0f} s"
        time.sleep(0.02)


class Mta:
    """One connection of an MTA to the filter."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def read(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                return data
            data += more
        return data

    def answer(self):
        """(command, data) of the filter's next packet, None when it has closed the connection."""
        try:
            head = self.read(4)
            if len(head) < 4:
                return None
            body = self.read(struct.unpack("!I", head)[0])
        except ConnectionResetError:
            return None
        return body[:1], body[1:]

    def ask(self, command, data=b""):
        self.send(packet(command, data))
        return self.answer()

    def negotiate(self, **offer):
        """What the filter asks for: (version, actions, steps, {stage: set of macros})."""
        self.send(negotiate_packet(**offer))
        command, data = self.answer()
        assert command == b"O"
        version, actions, steps = struct.unpack("!III", data[:12])
        lists, data = {}, data[12:]
        while data:
            stage, data = struct.unpack("!I", data[:4])[0], data[4:]
            names, _, data = data.partition(b"\0")
            lists[stage] = set(re.split(r"[ ,]+", names.decode()))
        return version, actions, steps, lists

    def connect(self, ip, macros=None, **options):
        """A client connects; `macros` stand for those of MACROS, {} for none at all."""
        macros = MACROS if macros is None else macros
        if macros:
            self.send(macro_packet(b"C", macros))
        self.send(connect_packet(ip, **options))
        return self.answer()

    def helo(self, name=b"client.test.example"):
        return self.ask(b"H", name + b"\0")

    def mail(self, sender=b"<sender@client.test.example>", user=None):
        if user is not None:
            self.send(macro_packet(b"M", {"{auth_authen}": user}))
        return self.ask(b"M", sender + b"\0")

    def rcpt(self, recipient=b"<rcpt@mx.test.example>", rejected=False):
        mailer = {"{rcpt_mailer}": "error", "{rcpt_host}": "5.1.1", "{rcpt_addr}": "550 5.1.1 Unknown user"} \
            if rejected else {"{rcpt_mailer}": "local"}
        self.send(macro_packet(b"R", mailer))
        return self.ask(b"R", recipient + b"\0")

    def data(self):
        return self.ask(b"T")

    def unknown(self):
        return self.ask(b"U", b"XYZZY\0")

    def end(self):
        """The end of a message: its header fields that the filter adds, and its last answer."""
        added = []
        answer = self.ask(b"E")
        while answer and answer[0] == b"i":
            index, (name, value) = struct.unpack("!I", answer[1][:4])[0], answer[1][4:-1].split(b"\0")
            added.append((index, name.decode(), value.decode()))
            answer = self.answer()
        return added, answer

    def abort(self):
        self.send(packet(b"A"))

    def quit(self):
        """Ends the session as an MTA does; the filter must close."""
        self.send(packet(b"Q"))
        assert self.answer() is None
        self.close()

    def quit_rudely(self):
        """Closes, whatever answers are still under way."""
        self.send(packet(b"Q"))
        self.close()

    def next_client(self):
        """SMFIC_QUIT_NC: this client has gone, the next one comes over the same connection."""
        self.send(packet(b"K"))

    def close(self):
        self.socket.close()


class Gate:
    """A tidegated with the given configuration, its sockets added."""

    def __init__(self, folder, config):
        self.folder = str(folder)
        self.path = f"{self.folder}/milter.sock"
        self.log_path = f"{self.folder}/log"
        with open(f"{self.folder}/conf", "w", encoding="ascii") as conf:
            conf.write(f'milter {{ socket = "unix:{self.path}" }}\npid_file = "{self.folder}/pid"\n{config}\n')
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([os.environ.get("TIDEGATED", "./tidegated"), "-f", "-c",
                                             f"{self.folder}/conf"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: self._alive() and "event=ready" in self.log(), "the start of the daemon")
        except BaseException:
            self.kill()
            raise

    def _alive(self):
        assert self.process.poll() is None, f"the daemon ended with {self.process.returncode}:\n{self.log()}"
        return True

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def mta(self):
        return Mta(self.path)

    def session(self, ip, macros=None, **options):
        """A session up to its connect: (Mta, the answer to connect)."""
        mta = self.mta()
        mta.negotiate()
        return mta, mta.connect(ip, macros, **options)

    def admitted(self, ip, macros=None):
        """A session that must be let in, after its HELO."""
        mta, answer = self.session(ip, macros)
        assert answer == CONTINUE
        assert mta.helo() == CONTINUE
        return mta

    def refused(self, ip, macros=None):
        """A session that must be refused at HELO, with the exact line."""
        mta, answer = self.session(ip, macros)
        assert answer == CONTINUE
        assert mta.helo() == REFUSED
        mta.quit()

    def serves(self, ip="203.0.113.1"):
        """A well-behaved session, from its beginning to its end."""
        mta = self.admitted(ip)
        assert mta.mail() == CONTINUE
        mta.abort()
        mta.quit()

    def counters(self):
        """What SIGUSR2 has the daemon log: the totals as a dictionary."""
        lines = re.compile(r"event=counters (.*)")
        before = len(lines.findall(self.log()))
        self.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: self._alive() and len(lines.findall(self.log())) > before, "the line with the counters")
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", lines.findall(self.log())[-1])}

    def wait_sessions(self, number):
        """Until the daemon knows of so many sessions, none of them refused and waiting to be told so."""
        def reached():
            counters = self.counters()
            return counters["sessions"] == number and counters["pending"] == 0 and (number or counters["clients"] == 0)

        wait_until(reached, f"a count of {number} sessions")

    def wait_empty(self):
        self.wait_sessions(0)

    def stop(self):
        """SIGTERM: a clean end, nothing found by a sanitizer."""
        self._alive()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE) == 0, self.log()
        assert not re.search(r"Sanitizer|runtime error:", self.log()), self.log()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
