"""A place for the tests of their own: a network and host name that nobody else shares, one directory, bounded waits.

The whole pytest process moves into new network and UTS namespaces, so every port is free, any address can be added,
no resolver answers, Sendmail sees a host name with a dot, and a second copy of the tests runs beside this one.
"""
import contextlib
import ctypes
import glob
import itertools
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HOST_NAME = "mx.test.example"
SERVER_IPV6 = "2001:db8::25"
DEADLINE = 30.0

CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

libc = ctypes.CDLL(None, use_errno=True)


def wait_until(condition, what, deadline=DEADLINE, pause=0.01):
    """Poll condition() until it gives something true, which is returned; what says in words what was waited for."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:.0f} s in vain until {what() if callable(what) else what}")
        time.sleep(pause)


_ports = itertools.count(10081)  # a browser does not ask port 10080 (the Fetch standard's bad ports)


def free_port():
    """A port that nobody has, and that no outgoing connection will be given while its owner is away."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def client_ipv6(network, host=1):
    """An IPv6 address that a client may use: the given /64 of 2001:db8:1::/48, the given host in it."""
    return f"2001:db8:1:{network:x}::{host:x}"


def die_with_parent():
    """For Popen's preexec_fn: what a killed test run leaves behind dies too."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def children_of(pid):
    """Process ids of the direct children of pid."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(entry))
    return found


def process_name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as comm:
            return comm.read().strip()
    except OSError:
        return ""


def is_stopped(pid):
    """Every thread of the process stands still after SIGSTOP."""
    try:
        return all(pathlib.Path(path).read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0] == "T"
                   for path in glob.glob(f"/proc/{pid}/task/*/stat"))
    except OSError:  # one has ended meanwhile
        return False


def _socket_table():
    """{inode: (local port, remote port)} of all TCP sockets in this network that a process holds."""
    table = {}
    for name in ("tcp", "tcp6"):
        with open(f"/proc/self/net/{name}", encoding="ascii") as rows:
            next(rows)
            for row in rows:
                fields = row.split()
                if fields[9] != "0":
                    table[fields[9]] = (int(fields[1].rpartition(":")[2], 16), int(fields[2].rpartition(":")[2], 16))
    return table


def connections_held(pid):
    """(local port, remote port) of every TCP socket that process pid has open."""
    table = _socket_table()
    held = []
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                if target.startswith("socket:["):
                    ports = table.get(target[8:-1])
                    if ports is not None:
                        held.append(ports)
    return held


class Sandbox:
    """Enter with open(), leave with close(). dir is below /tmp, readable for the MTA's users."""

    def __init__(self):
        self.dir = None
        self.milter_port = None

    def open(self):
        if libc.unshare(CLONE_NEWNET | CLONE_NEWUTS) != 0:
            raise OSError(ctypes.get_errno(), "unshare: these tests need root")
        socket.sethostname(HOST_NAME)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # Sendmail writes macros and command apart, with Nagle's algorithm on: a delayed ACK would cost 40 ms each time.
        for addresses in ("127.0.0.0/8", "127.0.0.1"):
            subprocess.run(["ip", "route", "replace", "table", "local", "local", addresses, "dev", "lo",
                            "proto", "kernel", "scope", "host", "src", "127.0.0.1", "quickack", "1"], check=True)
        batch = f"addr add {SERVER_IPV6}/128 dev lo nodad\n"
        for network in range(64):
            for host in range(1, 4):
                batch += f"addr add {client_ipv6(network, host)}/128 dev lo nodad\n"
        subprocess.run(["ip", "-6", "-batch", "-"], input=batch, text=True, check=True)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-e2e."))
        self.dir.chmod(0o755)
        self.milter_port = free_port()
        return self

    def close(self):
        """Nothing may be left: a process that outlives its fixture is an error, and is ended."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not children_of(os.getpid()), "every child is gone")
        left = {pid: process_name(pid) for pid in children_of(os.getpid())}
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, 0 if children_of(os.getpid()) else os.WNOHANG)[0]:
                pass
        if os.environ.get("TIDEGATE_KEEP"):
            print(f"\nkept: {self.dir}")
        else:
            shutil.rmtree(self.dir)
        assert not left, f"processes left behind: {left}"
