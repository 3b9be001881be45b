"""As a service: what is left of root's rights, what the service manager is told, the journal's lines, the unit."""
import contextlib
import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

import daemon as daemon_module
from daemon import Daemon, run
from policyside import Asker, door
from sandbox import DEADLINE, die_with_parent, free_port, is_stopped, libc, wait_until
from smtp import IDLE, enter, enter_soon, greeted, refused, try_enter
from toolside import tidegate

USER = "nobody"  # owns nothing, on every system
NOBODY = pwd.getpwnam(USER)
NET_ADMIN = 1 << 12

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000


def threads(pid):
    """In the order in which they were made."""
    return [int(entry) for entry in os.listdir(f"/proc/{pid}/task")]


def rights(pid, thread):
    """What the kernel says of a thread: user, group, groups, capabilities (as numbers)."""
    text = pathlib.Path(f"/proc/{pid}/task/{thread}/status").read_text(encoding="ascii")
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    capabilities = {name: int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    return {"uid": set(fields["Uid"].split()), "gid": set(fields["Gid"].split()),
            "groups": set(fields["Groups"].split()), "NoNewPrivs": fields["NoNewPrivs"].strip(), **capabilities}


def has_only(daemon, capabilities):
    """Every thread is nobody, with these capabilities and no way to others."""
    wait_until(lambda: len(threads(daemon.pid)) >= 3, "libmilter has its threads")
    for thread in threads(daemon.pid):
        try:
            has = rights(daemon.pid, thread)
        except (FileNotFoundError, ProcessLookupError):
            continue  # one of libmilter's, which has ended since
        assert has == {
            "uid": {str(NOBODY.pw_uid)}, "gid": {str(NOBODY.pw_gid)}, "groups": {str(NOBODY.pw_gid)}, "NoNewPrivs": "1",
            "CapInh": 0, "CapPrm": capabilities, "CapEff": capabilities, "CapBnd": 0, "CapAmb": 0}, thread


# ---- rights ----

def test_no_right_of_root_is_left(postfix, gate):
    """And sessions are served, rules are read again, all the same."""
    daemon = gate(door(postfix.policy, sessions="none") + f"user = {USER}\nservice_sessions = 1")
    held = enter(postfix.port, "127.0.0.1")
    has_only(daemon, 0)
    refused(postfix.port, "127.0.0.2")
    daemon.reload(door(postfix.policy, sessions="none") + f"user = {USER}\nservice_sessions = 2")
    other = enter(postfix.port, "127.0.0.2")
    assert held.deliver().startswith(b"250 ") and other.deliver().startswith(b"250 ")
    has_only(daemon, 0)
    assert not daemon.lines(event="user")


def test_the_right_to_end_connections_stays_where_idle_action_asks(postfix, gate):
    daemon = gate(f"user = {USER}\nservice_sessions = 2\nidle_time = 5s\nidle_action = disconnect")
    has_only(daemon, NET_ADMIN)
    stuck = [greeted(postfix.port, "127.0.0.1"), enter(postfix.port, "127.0.0.2")]
    refused(postfix.port, "127.0.0.3")
    wait_until(lambda: try_enter(postfix.port, "127.0.0.4"), "a slot is free", pause=0.3)
    for client in stuck:
        assert client.read_to_end() == b"" and client.was_reset
    has_only(daemon, NET_ADMIN)
    assert not daemon.lines(event="idle_action")


def test_a_reload_cannot_have_back_what_was_given_up(postfix, gate, directory):
    """It says so to whoever asked for it, each time, and idle sessions are refused at their next command."""
    config = f'user = {USER}\ncontrol {{ socket = "{directory}/control.sock" }}\n'
    daemon = gate(config)
    assert not daemon.lines(event="idle_action")
    text = (f"{daemon.path}:5: idle_action = disconnect needs a restart, as CAP_NET_ADMIN was given up at the start; an "
            "idle session is refused at its next command instead")
    for number in (1, 2):
        daemon.write(config + "idle_time = 1s\nidle_action = disconnect")
        result = tidegate("-c", daemon.path, "reload")
        assert (result.returncode, result.stdout) == (0, "the new rules are in effect\n")
        assert result.stderr == f"tidegate: warning: {text}\n"
        assert [line["text"] for line in daemon.lines(event="idle_action")] == [text] * number
    assert not daemon.lines(event="config_warning")
    idle = enter(postfix.port, "127.0.0.1")
    assert not idle.has_news(3.5)  # the silence itself
    idle.expect_refusal("MAIL FROM:<a@client.example>", IDLE)
    has_only(daemon, 0)
    since = daemon.mark()
    daemon.reload(config)
    assert not daemon.lines(since, event="idle_action")


def test_root_without_a_user_is_told(gate):
    daemon = gate("")
    assert len(daemon.lines(event="user")) == 1 and "root" in daemon.lines(event="user")[0]["text"]
    assert rights(daemon.pid, daemon.pid)["uid"] == {"0"}


def test_another_user_needs_a_restart(gate):
    daemon = gate(f"user = {USER}")
    lines = daemon.reload("user = daemon", outcome="reload_failed")
    assert any("user changes" in line and "needs restart" in line for line in lines)
    daemon.reload(f"user = {USER}")


def test_a_configuration_that_is_out_of_reach_is_told(directory, gate, monkeypatch):
    """At the start, and when it comes true."""
    write = Daemon.write

    def write_secretly(self, config):
        write(self, config)
        self.path.chmod(0o600)
    monkeypatch.setattr(Daemon, "write", write_secretly)
    daemon = gate(f"user = {USER}\nservice_sessions = 1")
    told = daemon.lines(event="user")
    assert len(told) == 1 and str(daemon.path) in told[0]["text"] and USER in told[0]["text"]
    daemon.reload(f"user = {USER}", outcome="reload_failed")


def test_unknown_user(directory):
    path = directory / "tidegated.conf"
    path.write_text('milter { socket = "inet:1@127.0.0.1" }\nuser = no-such-user-here\n')
    for option in ("-t", "-f"):
        result = run(option, "-c", path)
        assert result.returncode > 0
        assert f"{path}:2: user: there is no user" in result.stderr and "create it" in result.stderr


def test_only_root_becomes_another(directory):
    binary = directory / "tidegated"
    shutil.copy(daemon_module.BINARY, binary)
    path = directory / "tidegated.conf"
    path.write_text(f'milter {{ socket = "inet:{free_port()}@127.0.0.1" }}\nuser = daemon\n')
    result = subprocess.run([binary, "-f", "-c", path], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=DEADLINE, check=False, user=USER, group=NOBODY.pw_gid, extra_groups=[])
    assert result.returncode > 0
    assert f"{path}:2: user = daemon: only root can become another user" in result.stderr
    assert "event=ready" not in result.stderr


# ---- sockets and files ----

def belongs(path, uid, gid):
    status = path.stat()
    return stat.S_ISSOCK(status.st_mode) and (status.st_uid, status.st_gid) == (uid, gid)


def unix_sockets(directory):
    """A configuration whose sockets are all in that directory."""
    return (f'milter {{ socket = "unix:{directory}/milter"  group = "mail"  mode = 0660 }}',
            f'policy {{ socket = "unix:{directory}/policy"  mode = 0660 }}\n'
            f'control {{ socket = "{directory}/control" }}\nuser = {USER}\n')


def test_sockets_are_the_users_and_go_at_the_end(directory, sandbox):
    place = directory / "run"
    place.mkdir()
    os.chown(place, NOBODY.pw_uid, NOBODY.pw_gid)
    milter, config = unix_sockets(place)
    daemon = Daemon(directory, sandbox.milter_port, config, milter=milter)
    try:
        assert belongs(place / "milter", NOBODY.pw_uid, 8)
        assert belongs(place / "policy", NOBODY.pw_uid, NOBODY.pw_gid)
        assert belongs(place / "control", NOBODY.pw_uid, NOBODY.pw_gid)
        assert stat.S_IMODE((place / "control").stat().st_mode) == 0o600
        asker = Asker(place / "policy")
        assert asker.ask() == "DUNNO"
        asker.close()
        daemon.stop()
        assert not list(place.iterdir())
    finally:
        daemon.kill()


def test_sockets_that_cannot_be_removed_are_replaced_by_the_next(directory, sandbox):
    """The directory is root's."""
    place = directory / "run"
    place.mkdir(mode=0o755)
    milter, config = unix_sockets(place)
    for _ in range(2):
        daemon = Daemon(directory, sandbox.milter_port, config, milter=milter)
        try:
            Asker(place / "policy").close()
            daemon.stop()
            assert {path.name for path in place.iterdir()} == {"milter", "policy", "control"}
        finally:
            daemon.kill()


def test_directories_that_it_makes_are_the_users(directory):
    """In the background: pid file and sockets are gone at the end."""
    path = directory / "tidegated.conf"
    place, elsewhere = directory / "run", directory / "root"
    elsewhere.mkdir()
    for pid_file in (place / "tidegated.pid", elsewhere / "tidegated.pid"):
        path.write_text(f'pid_file = "{pid_file}"\nmilter {{ socket = "unix:{place}/milter" mode = 0666 }}\n'
                        f'control {{ socket = "{place}/control" }}\nuser = {USER}\n')
        result = run("-c", path)
        assert result.returncode == 0, result.stderr
        pid = int(pid_file.read_text())
        process = os.pidfd_open(pid)
        try:
            assert (place.stat().st_uid, place.stat().st_gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
            assert rights(pid, pid)["uid"] == {str(NOBODY.pw_uid)}
        finally:
            signal.pidfd_send_signal(process, signal.SIGTERM)
            wait_until(lambda: not os.path.exists(f"/proc/{pid}") or os.waitpid(pid, os.WNOHANG)[0], "it ends")
            os.close(process)
        assert not list(place.iterdir())
    assert pid_file.read_text() == ""  # it may not be removed, and names nobody any more


# ---- what the service manager is told ----

class Manager:
    """The end of sd_notify(3) that systemd has."""

    def __init__(self, directory):
        self.path = directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o777)
        self.told = []

    def take(self, seconds=0.0):
        """The next message, as a dictionary; None when none comes in that time."""
        self.socket.settimeout(seconds or 0.000001)
        try:
            data = self.socket.recv(4096)
        except (TimeoutError, BlockingIOError):
            return None
        message = dict(line.split("=", 1) for line in data.decode().splitlines())
        self.told.append(message)
        return message

    def await_(self, key):
        """The first message from now on that has the key."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            message = self.take(1.0)
            if message and key in message:
                return message
        raise AssertionError(f"{key} is not told: {self.told}")

    def drain(self):
        while self.take():
            pass


@pytest.fixture
def manager(directory, monkeypatch):
    manager = Manager(directory)
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    yield manager
    manager.socket.close()


def test_the_manager_hears_of_ready_reload_and_stop(postfix, gate, manager):
    daemon = gate(f"user = {USER}\nservice_sessions = 1")
    assert manager.await_("READY")["READY"] == "1"
    assert manager.await_("STATUS")["STATUS"].startswith("0 sessions, 0 refused")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.reload(f"user = {USER}\nservice_sessions = 2")
    message = manager.await_("RELOADING")
    assert before <= int(message["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    manager.await_("READY")
    daemon.reload("nonsense", outcome="reload_failed")
    manager.await_("RELOADING")
    manager.await_("READY")  # it serves on
    held = [enter(postfix.port, "127.0.0.1"), enter(postfix.port, "127.0.0.2")]
    refused(postfix.port, "127.0.0.3")
    wait_until(lambda: manager.await_("STATUS")["STATUS"].startswith("2 sessions, 1 refused"), "the status says so")
    for client in held:
        client.quit()
    enter_soon(postfix.port, "127.0.0.4").quit()
    wait_until(daemon.is_empty, "all have gone")
    assert not any("WATCHDOG" in message for message in manager.told)  # nobody asked for it
    daemon.expects_no_sessions = False
    daemon.stop()
    manager.await_("STOPPING")


def test_a_daemon_that_stands_still_is_not_said_to_live(gate, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    daemon = gate("")
    for _ in range(3):
        manager.await_("WATCHDOG")
    daemon.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: is_stopped(daemon.pid), "it stands still")
        manager.drain()
        assert manager.take(1.5) is None
    finally:
        daemon.signal(signal.SIGCONT)
    manager.await_("WATCHDOG")


def ptrace(request, thread):
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace({request}, {thread})")


@contextlib.contextmanager
def halted(thread):
    """One thread alone stands still, as if it were stuck."""
    ptrace(PTRACE_SEIZE, thread)
    ptrace(PTRACE_INTERRUPT, thread)
    assert libc.waitpid(thread, None, WALL) == thread
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, thread)


@pytest.mark.parametrize("door_number, word", [(1, "policy"), (2, "libmilter")])
def test_a_dead_door_is_not_said_to_live(postfix, gate, manager, monkeypatch, door_number, word):
    """The main loop runs on: it says which, and tells no watchdog that all is well, until the door is back."""
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    daemon = gate(door(postfix.policy, sessions="none"))
    for _ in range(5):  # two seconds: libmilter has taken a connection, and so is known to show that
        manager.await_("WATCHDOG")
    with halted(threads(daemon.pid)[door_number]):  # in the order in which they are made: main, policy door, libmilter
        def told():
            manager.drain()  # a full socket would hold up the main loop
            return daemon.lines(event="watchdog")
        assert word in wait_until(told, "it is told", pause=0.1)[0]["text"]
        manager.drain()
        assert not any("WATCHDOG" in (manager.take(0.5) or {}) for _ in range(4))
    manager.await_("WATCHDOG")
    assert len(daemon.lines(event="watchdog")) == 1
    enter(postfix.port, "127.0.0.1").send_message()


def test_a_main_loop_that_stands_still_is_not_said_to_live(gate, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    daemon = gate("")
    manager.await_("WATCHDOG")
    with halted(daemon.pid):
        manager.drain()
        assert manager.take(1.5) is None
    manager.await_("WATCHDOG")


def test_a_watchdog_of_somebody_else_is_left_alone(gate, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    gate("")
    manager.await_("READY")
    manager.await_("STATUS")
    assert manager.take(0.5) is None


# ---- the log under the journal ----

def test_lines_for_the_journal_carry_their_priority(directory):
    """As systemd starts it: standard error is a stream of the journal's, and a variable says which."""
    path = directory / "tidegated.conf"

    def start(config):
        path.write_text(f'milter {{ socket = "inet:{free_port()}@127.0.0.1" }}\n{config}')
        with open(directory / "journal", "wb+") as journal:
            status = os.fstat(journal.fileno())
            environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
            process = subprocess.Popen([daemon_module.BINARY, "-f", "-c", path], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=journal, env=environment,
                                       preexec_fn=die_with_parent)
        return process

    def lines():
        return (directory / "journal").read_text(encoding="ascii").splitlines()
    daemon = start("")
    try:
        wait_until(lambda: any("event=ready" in line for line in lines()), "it is ready")
        daemon.terminate()
        assert daemon.wait(DEADLINE) == 0
    finally:
        daemon.kill()
        daemon.wait()
    assert any(line.startswith("<4>event=user ") for line in lines())
    assert any(line.startswith("<5>event=ready ") for line in lines())
    assert all(line[0] == "<" and line[2] == ">" for line in lines())
    assert start("nonsense = 1\n").wait(DEADLINE) == 78
    assert lines() and all(line.startswith("<3>tidegated: ") for line in lines())


# ---- the unit ----

@pytest.fixture
def installed(directory):
    """What make install brings, in a root of its own with what systemd itself has of targets."""
    root = directory / "root"
    subprocess.run(["make", "-s", "-C", str(daemon_module.BINARY.parent), "install", f"DESTDIR={root}"], check=True,
                   stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
    units = next(root.rglob("tidegated.service")).parent
    for kind in ("*.target", "*.slice"):
        for unit in pathlib.Path("/lib/systemd/system").glob(kind):
            shutil.copy(unit, units, follow_symlinks=True)
    return root


def systemd_analyze(*arguments):
    return subprocess.run(["systemd-analyze", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=DEADLINE, check=False)


def test_the_unit_is_well_formed(installed):
    options = ("verify", "--man=no", "--recursive-errors=no", f"--root={installed}", "tidegated.service")
    result = systemd_analyze(*options)
    assert result.returncode == 0 and not result.stderr.strip(), result.stderr
    unit = next(installed.rglob("tidegated.service"))
    text = unit.read_text()
    assert "@" not in "".join(line for line in text.splitlines() if line.startswith("Exec"))
    for key in ("ExecStart", "ExecReload"):
        program = next(line for line in text.splitlines() if line.startswith(key + "=")).split("=")[1].split()[0]
        assert os.access(f"{installed}{program}", os.X_OK), program
    unit.write_text(text.replace("ProtectClock", "ProtectClok"))
    assert systemd_analyze(*options).stderr  # it would have said


def test_the_unit_is_locked_up(installed):
    result = systemd_analyze("security", "--offline=yes", "--no-pager", "--threshold=50", f"--root={installed}",
                             "tidegated.service")
    assert result.returncode == 0, result.stdout
    assert " OK " in result.stdout.splitlines()[-1]


def test_the_user_and_its_folder(installed, directory):
    """The fragments make what unit and configuration name."""
    etc = installed / "etc"
    etc.mkdir(parents=True)
    (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\npostfix:x:101:101::/:/bin/false\n")
    (etc / "group").write_text("root:x:0:\npostfix:x:101:\n")
    subprocess.run(["systemd-sysusers", f"--root={installed}", next(installed.rglob("sysusers.d/tidegate.conf"))],
                   check=True, capture_output=True, timeout=DEADLINE)
    user = next(line for line in (etc / "passwd").read_text().splitlines() if line.startswith("tidegate:")).split(":")
    assert user[5] == "/var/lib/tidegate" and "nologin" in user[6]
    subprocess.run(["systemd-tmpfiles", "--create", f"--root={installed}",
                    next(installed.rglob("tmpfiles.d/tidegate.conf"))], check=True, capture_output=True,
                   timeout=DEADLINE)
    status = (installed / "run/tidegate").stat()
    assert (status.st_uid, status.st_gid) == (int(user[2]), int(user[3])) and stat.S_IMODE(status.st_mode) == 0o755
