"""The command line, starting and stopping: one clear line and a status for each mistake, nothing half started."""
import contextlib
import grp
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess

import pytest

import daemon as daemon_module
from daemon import Daemon, run
from sandbox import DEADLINE, free_port, is_stopped, wait_until
from smtp import enter, enter_soon, refused

GOOD = """\
service_sessions = 4000
listener {
    listener_sessions = 1800
    idle_time = 60s
    peer "10.0.0.0/8" { listener_sessions = 1500  idle_time = 5m }
    peer "0.0.0.0/0"  { listener_sessions = 600   idle_time = 30s }
    peer "::/0"       { listener_sessions = 600 }
    listen ":25"      { listener_sessions = 1800 }
    listen ":587"     { pathway = "submission" }
}
pathway_group "clients" {
    pathway "submission" { listener_sessions = 300  limit client_sessions { max = 2 } }
}
limit client_sessions { max = 5 }
"""


@pytest.fixture
def config(directory):
    def write(text):
        path = directory / "tidegated.conf"
        path.write_text(text)
        return path
    return write


def must_fail(result, *words):
    """Not status 0, and one line on standard error that says what and where; not a word on standard output."""
    assert result.returncode not in (0, None)
    assert result.returncode > 0, f"ended by a signal: {result}"
    lines = [line for line in result.stderr.splitlines() if "warning" not in line]
    assert len(lines) == 1, result.stderr
    for word in words:
        assert str(word) in lines[0], lines[0]
    assert not daemon_module.SANITIZER.search(result.stderr)
    assert "event=ready" not in result.stderr


def start_must_fail(path, *words):
    """In the foreground, and in the background: the same line, the same status, nothing left running."""
    must_fail(run("-f", "-c", path), *words)
    must_fail(run("-c", path), *words)


def test_version():
    result = run("-V")
    assert result.returncode == 0
    assert result.stdout.startswith("tidegated ")
    assert len(result.stdout.splitlines()) == 1


def test_unknown_option_and_argument():
    for arguments in (["-x"], ["-c"], ["nonsense"]):
        result = run(*arguments)
        assert result.returncode > 0
        assert result.stderr


def test_check_of_a_good_file(config):
    result = run("-t", "-c", config(GOOD))
    assert result.returncode == 0
    assert "memory" in result.stdout


@pytest.mark.parametrize("text, line", [
    ("service_sessions = 1\nno_such_option = 2\n", 2),
    ("service_sessions = -1\n", 1),
    ("\n\nservice_sessions = 010\n", 3),
    ("service_sessions = 1\nservice_sessions = 2\n", 2),
    ('listener {\n  peer "10.0.0.1/8" { }\n}\n', 2),
    ('listener {\n  pathway = "nowhere"\n}\n', 2),
    ('listener {\n  listener_sessions = 5\n', 1),
    ('pid_file = "${HOME}/x"\n', 1),
], ids=["unknown name", "negative", "not decimal", "repeated", "host bits", "undefined pathway", "unclosed",
        "environment"])
def test_check_of_a_bad_file(config, text, line):
    path = config(text)
    result = run("-t", "-c", path)
    assert result.returncode > 0
    assert f"{path}:{line}:" in result.stderr, result.stderr
    start_result = run("-f", "-c", path)
    assert start_result.returncode == result.returncode
    assert f"{path}:{line}:" in start_result.stderr


def test_dump_is_a_configuration_that_means_the_same(config, directory):
    first = run("-d", "-c", config(GOOD))
    assert first.returncode == 0
    copy = directory / "dump.conf"
    copy.write_text(first.stdout)
    assert run("-t", "-c", copy).returncode == 0
    second = run("-d", "-c", copy)
    assert second.stdout == first.stdout
    for wanted in ("service_sessions = 4000", "session_table_size = 65536", "max_waiting = 100"):
        assert wanted in first.stdout


def test_dumped_configuration_enforces_the_same(postfix, gate, config):
    text = 'service_sessions = 2\nlistener { peer "127.7.0.0/16" { listener_sessions = 1 } }\n'
    dumped = run("-d", "-c", config(text)).stdout
    lines = dumped.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("milter"))
    end = next(number for number in range(begin, len(lines)) if lines[number].rstrip().endswith("}"))
    gate("\n".join(lines[:begin] + lines[end + 1:]))
    enter(postfix.port, "127.7.0.1")
    refused(postfix.port, "127.7.0.2")
    enter(postfix.port, "127.0.0.1")
    refused(postfix.port, "127.0.0.2")


def test_missing_file(directory):
    path = directory / "missing.conf"
    start_must_fail(path, path)
    assert run("-t", "-c", path).returncode > 0


def test_directory_for_a_file(directory):
    start_must_fail(directory, directory)


def test_file_that_may_not_be_read(directory, config):
    binary = directory / "tidegated"
    shutil.copy(daemon_module.BINARY, binary)
    path = config(GOOD)
    path.chmod(0o600)
    result = subprocess.run([binary, "-f", "-c", path], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=DEADLINE, check=False, user="nobody", group="nogroup", extra_groups=[])
    must_fail(result, path, "ermission")


def test_port_taken(config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        start_must_fail(background_config(config, f"inet:{port}@127.0.0.1"), port)


def test_too_few_descriptors(directory):
    """It does not say ready to be unable to take anybody. (Root may raise the limit, but for this right.)"""
    path = directory / "tidegated.conf"
    for more, files in ("", 60), (f'control {{ socket = "{directory}/control.sock" }}\n', 120):
        path.write_text(f'milter {{ socket = "unix:{directory}/milter.sock" }}\n{more}')
        result = subprocess.run(["prlimit", f"--nofile={files}:{files}", "setpriv", "--bounding-set=-sys_resource",
                                 daemon_module.BINARY, "-f", "-c", path], stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, timeout=DEADLINE, check=False)
        must_fail(result, f"only {files} files may be open at once, and at least", "LimitNOFILE")


def background_config(config, socket_name, more=""):
    path = config(f'milter {{ socket = "{socket_name}" {more} }}\n')
    path.write_text(path.read_text() + f'pid_file = "{path.parent}/run/tidegated.pid"\n')
    return path


def test_socket_path_in_use(config, directory):
    """A live daemon's socket is not taken from it."""
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(directory / "m.sock"))
        live.listen()
        start_must_fail(background_config(config, f"unix:{directory}/m.sock"), directory / "m.sock", "in use")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(directory / "m.sock"))


def test_socket_path_is_a_file(config, directory):
    (directory / "m.sock").write_text("precious")
    start_must_fail(background_config(config, f"unix:{directory}/m.sock"), directory / "m.sock")
    assert (directory / "m.sock").read_text() == "precious"


def test_socket_in_a_missing_directory(config, directory):
    start_must_fail(background_config(config, f"unix:{directory}/missing/m.sock"), f"{directory}/missing/m.sock")


def test_socket_in_a_directory_without_the_right(directory, config):
    binary = directory / "tidegated"
    shutil.copy(daemon_module.BINARY, binary)
    path = background_config(config, f"unix:{directory}/m.sock")
    result = subprocess.run([binary, "-f", "-c", path], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=DEADLINE, check=False, user="nobody", group="nogroup", extra_groups=[])
    must_fail(result, directory / "m.sock", "ermission")
    assert not (directory / "m.sock").exists()


def test_stale_socket_is_replaced(directory, sandbox):
    path = directory / "m.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    daemon = Daemon(directory, sandbox.milter_port, "", milter=f'milter {{ socket = "unix:{path}" }}')
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
        daemon.stop()
        assert not path.exists()
    finally:
        daemon.kill()


def test_unix_socket_has_the_group_and_mode_it_is_given(directory, sandbox):
    path = directory / "m.sock"
    milter = f'milter {{ socket = "unix:{path}"  group = "mail"  mode = 0620 }}'
    daemon = Daemon(directory, sandbox.milter_port, "", milter=milter)
    try:
        status = path.stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o620
        assert status.st_gid == grp.getgrnam("mail").gr_gid
        daemon.stop()
    finally:
        daemon.kill()


def test_unknown_group(config):
    path = config('milter {\n  socket = "unix:/nowhere/m.sock"\n  group = "no-such-group-here"\n}\n')
    result = run("-t", "-c", path)
    assert result.returncode > 0
    assert f"{path}:3:" in result.stderr


def test_sessions_over_a_unix_socket(postfix, gate):
    """Postfix's smtpd, which is not root, gets through by the socket's group and mode."""
    milter = f'milter {{ socket = "unix:{postfix.unix_socket}"  group = "postfix"  mode = 0660 }}'
    gate("service_sessions = 2", milter=milter)
    port = postfix.ports["unix"]
    held = [enter(port, "127.0.0.1"), enter(port, "127.0.0.2")]
    refused(port, "127.0.0.3")
    held[0].quit()
    enter_soon(port, "127.0.0.3")
    assert held[1].deliver().startswith(b"250 ")


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def in_background(path, pid_file):
    """tidegated as an init script starts it: the command returns when all is ready."""
    result = run("-c", path)
    assert result.returncode == 0, result.stderr
    pid = int(pid_file.read_text())
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # it has become our child: the sandbox adopts orphans
            os.waitpid(pid, 0)


def test_background(postfix, config, directory):
    pid_file = directory / "run" / "tidegated.pid"
    socket_path = postfix.unix_socket
    path = background_config(config, f"unix:{socket_path}", 'group = "postfix"  mode = 0660')
    path.write_text(path.read_text() + "service_sessions = 1\n")
    with in_background(path, pid_file) as pid:
        assert alive(pid)
        assert os.getsid(pid) != os.getsid(0)
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        # It is ready when the command returns: the very first session is counted.
        held = enter(postfix.ports["unix"], "127.0.0.1")
        refused(postfix.ports["unix"], "127.0.0.2")
        # A second one is turned away and leaves the first one alone.
        must_fail(run("-c", path), pid_file)
        must_fail(run("-f", "-c", path), "in use")
        assert alive(pid) and int(pid_file.read_text()) == pid
        refused(postfix.ports["unix"], "127.0.0.2")
        path.write_text(path.read_text().replace("service_sessions = 1", "service_sessions = 2"))
        os.kill(pid, signal.SIGUSR1)  # a reload finds the file although the directory has changed
        second = enter_soon(postfix.ports["unix"], "127.0.0.2")
        held.quit()
        second.quit()
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not alive(pid), "it has stopped")
        assert not pid_file.exists()
        assert not socket_path.exists()


def test_background_with_a_relative_file(config, directory):
    path = background_config(config, f"inet:{free_port()}@127.0.0.1")
    result = run("-c", path.name, cwd=directory)
    assert result.returncode == 0, result.stderr
    pid = int((directory / "run" / "tidegated.pid").read_text())
    assert alive(pid)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    assert not (directory / "run" / "tidegated.pid").exists()


def test_pid_file_of_a_dead_daemon_is_taken_over(config, directory):
    (directory / "run").mkdir()
    pid_file = directory / "run" / "tidegated.pid"
    pid_file.write_text("999999999\n")
    path = background_config(config, f"inet:{free_port()}@127.0.0.1")
    with in_background(path, pid_file) as pid:
        assert alive(pid)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not alive(pid), "it has stopped")


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_stop_is_clean(directory, sandbox, signal_number):
    daemon = Daemon(directory, sandbox.milter_port, "")
    try:
        daemon.signal(signal_number)
        assert daemon.wait() == 0
        daemon.check_sanitizers()
    finally:
        daemon.kill()


def test_stop_is_clean_whichever_thread_hears_of_it(directory, sandbox):
    """libmilter has a thread of its own that waits for SIGTERM. All threads wake at once here, so any may be
    first."""
    path = directory / "m.sock"
    for _ in range(8):
        daemon = Daemon(directory, sandbox.milter_port, "", milter=f'milter {{ socket = "unix:{path}" }}')
        try:
            daemon.signal(signal.SIGSTOP)
            wait_until(lambda: is_stopped(daemon.pid), "every thread stands still")
            daemon.signal(signal.SIGTERM)
            daemon.signal(signal.SIGCONT)
            assert daemon.wait() == 0
            assert daemon.lines(event="stopped")
            assert not path.exists()
        finally:
            daemon.kill()
