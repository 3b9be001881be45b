"""tidegate beside a running daemon, with sessions on real Postfix: what it shows is what is, what it says is done."""
import contextlib
import json
import re
import select
import signal
import socket
import subprocess

import pytest

from daemon import run
from sandbox import DEADLINE, die_with_parent, is_stopped, wait_until
from smtp import CONNECTION_RATE, DENIED, MESSAGE_RATE, Client, enter, enter_proxied, enter_soon, fill, refused
from toolside import BINARY, as_nobody, complete, environment, is_harmless, on_terminal, terminal, tidegate

CONFIG = """\
service_sessions = 8
listener {{ listener_sessions = 4 }}
limit client_sessions {{ max = 3 }}
limit client_connections {{ max = 5  window = 1h  ban = 2h }}
control {{ socket = "{socket}" }}
"""
LINE = {"service_sessions": 2, "listener_sessions": 3, "client_sessions": 4, "client_connections": 5}
TIMES = re.compile(r"<1s|\b(\d+[dhms])( \d+[hms])?\b")


@pytest.fixture
def served(postfix, gate, directory):
    """The daemon; called with other text it adds that to the configuration."""
    def start(more=""):
        daemon = gate(CONFIG.format(socket=directory / "control.sock") + more)
        daemon.tool = lambda *arguments, **options: tidegate("-c", daemon.path, *arguments, **options)
        daemon.ask = lambda *arguments: json.loads(daemon.tool("--json", *arguments).stdout)
        return daemon
    return start


def good(result, status=0):
    assert (result.returncode, result.stderr) == (status, ""), result
    return TIMES.sub("T", result.stdout)


def ban_by_connections(daemon, port, source):
    """One connection too many; none of them is open any more."""
    others = daemon.ask("status")["sessions"]["open"]
    for _ in range(5):
        enter(port, source).quit()
        wait_until(lambda: daemon.ask("status")["sessions"]["open"] <= others, "the session is over", pause=0.02)
    refused(port, source, refusal=CONNECTION_RATE)


def test_status(postfix, served):
    daemon = served()
    fill(postfix.port, ["127.0.0.1"] * 3)
    refused(postfix.port, "127.0.0.1")
    ban_by_connections(daemon, postfix.port, "127.0.0.2")
    wait_until(lambda: daemon.ask("status")["sessions"]["open"] == 3, "three sessions are open", pause=0.02)
    lines = good(daemon.tool("status")).splitlines()
    assert lines[1] == "3 sessions open (room for 65536), 0 of them refused and not told yet"
    assert [" ".join(line.split()) for line in lines[3:12]] == [
        "SCOPE SESSIONS MAX PENDING",
        "service 3 8 [#######.............] 0",
        "listener[default] 3 4 [###############.....] 0",
        "",
        "LIMIT REFUSED MONITORED SCORED UNTRACKED BANS BEGUN",
        *sorted(["client_sessions 1 0 0 0 0", "client_connections 1 0 0 0 1"], key=lambda line: lines.index(
            next(shown for shown in lines if shown.startswith(line.split()[0] + " ")))),
        "", "Bans in force: 1 by limits, 0 by an administrator"]
    status, shown = on_terminal("-c", daemon.path, "status")
    assert status == 0 and len(shown) < 24
    assert {name: daemon.ask("status")["sessions"][name] for name in ("open", "pending")} == {"open": 3, "pending": 0}


def test_completion_of_limits(served):
    daemon = served("limit of_my_own { count = messages  per = user  max = 5  window = 1h }\n")
    for command in ("bans", "unban"):
        words = ["-c", daemon.path, command, "--limit"]
        assert complete(*words, "client_s", binary=BINARY) == ["client_sessions"]
        assert complete(*words, "of", binary=BINARY) == ["of_my_own"]
        assert {"ban", "service_sessions", "client_messages"} <= set(complete(*words, "", binary=BINARY))


def test_clients_and_domains(postfix, served):
    daemon = served()
    for _ in range(2):
        enter(postfix.port, "127.0.0.1").quit()
    client = enter(postfix.port, "127.0.0.2")
    client.send_message(sender="joe@a.example")
    client.send_message(sender="joe@b.example")
    client.send_message(sender="jim@a.example")
    wait_until(lambda: daemon.ask("status")["sessions"]["open"] == 1, "the filter has heard of the ends")
    assert good(daemon.tool("clients")) == (
        "CLIENT     OPEN  CONNECTIONS  MESSAGES  REFUSED  MONITORED\n"
        "127.0.0.1     0            2         0        0          0\n"
        "127.0.0.2     1            1         3        0          0\n")
    assert good(daemon.tool("clients", "--sort", "messages", "-n", "1")) == (
        "CLIENT     OPEN  CONNECTIONS  MESSAGES  REFUSED  MONITORED\n"
        "127.0.0.2     1            1         3        0          0\n"
        "... and 1 more (-n N shows more)\n")
    assert good(daemon.tool("domains")) == ("DOMAIN     MESSAGES  REFUSED  MONITORED\n"
                                            "a.example         2        0          0\n"
                                            "b.example         1        0          0\n")
    result = daemon.tool("clients", "--sort", "size")
    assert result.returncode == 64 and "sort" in result.stderr


def test_bans_and_unban(postfix, served):
    daemon = served()
    assert good(daemon.tool("bans")) == "Nobody is banned.\n"
    ban_by_connections(daemon, postfix.port, "127.0.0.1")
    refused(postfix.port, "127.0.0.1", refusal=CONNECTION_RATE)
    lines = good(daemon.tool("bans")).splitlines()
    assert [line.split() for line in lines[1:]] == [["127.0.0.1", "client_connections", "service", "refuse", "T", "T"]]
    assert good(daemon.tool("bans", "--limit", "ban")) == "Nobody is banned.\n"
    assert good(daemon.tool("unban", "127.0.0.2"), 1).startswith("no such ban was in force")
    assert good(daemon.tool("unban", "127.0.0.1", "--limit", "ban"), 1).startswith("no such ban was in force")
    assert good(daemon.tool("unban", "127.0.0.1")) == "1 ban was lifted\n"
    enter(postfix.port, "127.0.0.1")
    ban_by_connections(daemon, postfix.port, "127.0.0.3")
    ban_by_connections(daemon, postfix.port, "127.0.0.4")
    assert good(daemon.tool("unban", "--limit", "client_connections", "--since", "1h")) == "2 bans were lifted\n"
    fill(postfix.port, ["127.0.0.3", "127.0.0.4"])


def test_ban(postfix, served):
    daemon = served()
    held = enter(postfix.port, "127.0.0.1")
    assert good(daemon.tool("ban", "127.0.0.0/30", "for", "2h")) == "127.0.0.0/30 is banned for T\n"
    refused(postfix.port, "127.0.0.1", refusal=DENIED)
    refused(postfix.port, "127.0.0.3", refusal=DENIED)
    enter(postfix.port, "127.0.0.4")
    assert held.is_served()
    assert good(daemon.tool("ban", "127.0.0.0/30")) == "127.0.0.0/30 was banned already; now it is for T\n"
    assert 86300 < daemon.ask("bans")["bans"][0]["left"] <= 86400
    assert good(daemon.tool("ban", "spam.example", "for", "90s")) == "spam.example is banned for T\n"
    client = enter(postfix.port, "127.0.0.4")
    client.mail("joe@good.example")
    client.expect("RSET", "250")
    client.expect_refusal("MAIL FROM:<joe@spam.example>", DENIED)
    for target in ("127.0.0.1/30", "no name", "", "a\x1bb"):
        result = daemon.tool("ban", target)
        assert result.returncode == 64 and len(result.stderr.splitlines()) == 1 and is_harmless(result.stderr)
    assert good(daemon.tool("unban", "--limit", "ban")) == "2 bans were lifted\n"
    enter(postfix.port, "127.0.0.1")


def test_explain(postfix, served):
    daemon = served()
    result = daemon.tool("explain", "127.0.0.1")
    assert result.returncode == 0
    assert result.stdout.startswith(f"127.0.0.1 would be let in.\nLines are of {daemon.path}.\n\nLIMIT ")
    held = fill(postfix.port, ["127.0.0.1"] * 3)
    refused(postfix.port, "127.0.0.1")
    lines = good(daemon.tool("explain", "127.0.0.1"), 1).splitlines()
    assert lines[0] == (f"127.0.0.1 would be refused by client_sessions ({daemon.path}:{LINE['client_sessions']}), as 3 "
                        "of at most 3 sessions are counted. It may come again when an open session ends.")
    held.pop().quit()
    wait_until(lambda: daemon.tool("explain", "127.0.0.1").returncode == 0, "there is room", pause=0.02)
    ban_by_connections(daemon, postfix.port, "127.0.0.2")
    status, lines = on_terminal("-c", daemon.path, "explain", "127.0.0.2")
    assert status == 1
    said = " ".join(" ".join(lines).split())
    assert said.startswith("127.0.0.2 would be refused by client_connections")
    assert f":{LINE['client_connections']})" in said
    assert said.endswith("or: tidegate unban 127.0.0.2")
    assert daemon.ask("explain", "127.0.0.2")["refused_by"] == "client_connections"
    assert good(daemon.tool("unban", "127.0.0.2")) == "1 ban was lifted\n"
    assert daemon.tool("explain", "127.0.0.2").returncode == 0
    enter_soon(postfix.port, "127.0.0.2")


def test_unban_of_who_is_not_banned(postfix, served):
    """A limit that bans nobody refuses all the same: what explain advises lets the client in, and says that it does."""
    daemon = served("limit few { count = connections  per = client  max = 2  window = 1h }\n")
    for _ in range(2):
        enter(postfix.port, "127.0.0.2").quit()
    refused(postfix.port, "127.0.0.2", refusal=CONNECTION_RATE)
    advice = re.search(r"or: tidegate (unban \S+)\n", good(daemon.tool("explain", "127.0.0.2"), 1))[1].split()
    assert advice == ["unban", "127.0.0.2"]
    since = daemon.mark()
    assert good(daemon.tool(*advice)) == "2 counts were forgotten\n"  # that of client_connections, too
    daemon.wait_line(since, event="unban", target="127.0.0.2", lifted=0, forgotten=2)
    assert daemon.tool("explain", "127.0.0.2").returncode == 0
    enter(postfix.port, "127.0.0.2")
    assert good(daemon.tool("unban", "127.0.0.3"), 1).startswith("no such ban was in force")


def test_unban_below_a_ban(postfix, served):
    """Nobody is let in by it, and what would do that is told: the command works as it stands there."""
    daemon = served()
    daemon.tool("ban", "127.0.0.0/30")
    refused(postfix.port, "127.0.0.1", refusal=DENIED)
    said = good(daemon.tool("unban", "127.0.0.1"), 1)
    assert said == "still banned by 127.0.0.0/30: tidegate unban 127.0.0.0/30\n"
    assert good(daemon.tool(*said.split()[-2:])) == "1 ban was lifted\n"
    enter(postfix.port, "127.0.0.1")
    daemon.tool("ban", "spam.example")
    assert good(daemon.tool("unban", "a.spam.example"), 1).startswith("still banned by spam.example: tidegate unban ")


def test_unban_of_a_user(postfix, served):
    """As the configuration and explain write one."""
    daemon = served("limit user_messages { count = messages  per = user  max = 1  window = 1h  ban = 1h }\n")
    joe = enter_proxied(postfix.port, "192.0.2.1", login="joe")
    joe.send_message()
    joe.expect_refusal("MAIL FROM:<a@client.example>", MESSAGE_RATE)
    assert good(daemon.tool("explain", "user:joe"), 1).endswith(", or: tidegate unban user:joe\n")
    assert [one["lift"] for one in daemon.ask("bans")["bans"]] == ["tidegate unban user:joe"]
    result = daemon.tool("ban", "user:joe")
    assert result.returncode == 64 and "neither an address nor a block (192.0.2.0/24) nor a domain" in result.stderr
    assert good(daemon.tool("unban", "user:joe")) == "1 ban was lifted\n"
    assert daemon.tool("explain", "user:joe").returncode == 0
    enter_proxied(postfix.port, "192.0.2.1", login="joe").send_message()


def test_ban_in_a_dry_run(postfix, served):
    daemon = served("mode = monitor\n")
    watched = ", but mode = monitor: it is only watched"
    stays = watched + ", and ends with the dry run"
    assert good(daemon.tool("ban", "127.0.0.1", "for", "2h")) == f"127.0.0.1 is banned for T{stays}\n"
    assert good(daemon.tool("ban", "127.0.0.1")) == f"127.0.0.1 was banned already; now it is for T{stays}\n"
    assert daemon.ask("ban", "127.0.0.1")["action"] == "monitor"
    enter(postfix.port, "127.0.0.1")
    assert good(daemon.tool("explain", "127.0.0.1")).startswith(
        f"127.0.0.1 would be let in. An administrator has banned 127.0.0.1{watched}.\n")
    assert good(daemon.tool("unban", "127.0.0.1")).startswith("1 ban was lifted\n")


def test_explain_of_names(postfix, served):
    daemon = served("limit sender_messages { count = messages  per = sender  max = 1  window = 1h }\n")
    enter(postfix.port).send_message(sender="joe@a.example")
    assert good(daemon.tool("explain", "JOE@a.example"), 1).startswith(
        "JOE@a.example would be refused by sender_messages ")
    assert good(daemon.tool("explain", "jim@a.example")).startswith("jim@a.example would be let in.")
    assert good(daemon.tool("explain", "127.0.0.9", "joe@a.example"), 1).startswith("127.0.0.9 with joe@a.example ")
    for who in ("10.0.0.0/33", "10.0.0.0/8", "a b\x1b"):
        result = daemon.tool("explain", who)
        assert is_harmless(result.stdout + result.stderr)
    for who, said in (("192.0.2.7:25", "an address with a port"), ("2001:db8::5%eth0", "an address with a zone"),
                      ("   ", "name is empty"), ("10.0.0.0/8", "a client is a /32 here"), ("", "name is empty")):
        result = daemon.tool("explain", who)
        assert (result.returncode, result.stdout) == (64, "") and said in result.stderr
    assert good(daemon.tool("explain", "[2001:db8::5]")).startswith("2001:db8::5 would be let in.")
    assert good(daemon.tool("explain", "2001:db8::/64")).startswith("2001:db8::/64 would be let in.")
    assert good(daemon.tool("eval", "[IPv6:2001:db8::5]")).startswith("What applies to 2001:db8::5 on :25;")


def test_eval(served):
    daemon = served("idle_time = 10m\n")
    rows = [line.split() for line in daemon.tool("eval", "10.0.0.1").stdout.splitlines()[3:]]
    assert ["service_sessions", "8", "service", str(LINE["service_sessions"])] in rows
    assert ["listener_sessions", "4", "listener[default]", str(LINE["listener_sessions"])] in rows
    assert ["client_connections", "max", "5", "service", str(LINE["client_connections"])] in rows
    assert ["idle_time", "10m", "service", "7"] in rows
    assert on_terminal("-c", daemon.path, "eval", "10.0.0.1")[0] == 0
    assert daemon.ask("eval", "10.0.0.1")["client"] == "10.0.0.1"
    for arguments in (["ten"], ["10.0.0.0/8"], ["10.0.0.1", "--listen", "nowhere"]):
        result = daemon.tool("eval", *arguments)
        assert result.returncode == 64 and len(result.stderr.splitlines()) == 1


def test_eval_of_lists_and_a_dry_run(postfix, served, directory):
    """What decides before any value does, as a session finds it."""
    lists = ('mode = %s\n'
             'exempt { clients = { "127.0.1.0/24" } }\n'
             'deny {\n'
             '    clients = { "127.0.2.0/24", "127.0.3.1" } }\n')
    daemon = served(lists % "block")

    def says(client, *sentences, where="on :25"):
        """Above the table."""
        assert good(daemon.tool("eval", client)).split("\n\n")[0].splitlines() == [
            *sentences, f"What applies to {client} {where}; lines are of {daemon.path}:"]
    says("127.0.1.1", f"127.0.1.1 is exempt as 127.0.1.0/24 ({daemon.path}:8): nothing below applies to it.")
    fill(postfix.port, ["127.0.1.1"] * 4)  # of 3
    says("127.0.2.1", f"127.0.2.1 is denied as 127.0.2.0/24 ({daemon.path}:10): its connections are refused.")
    refused(postfix.port, "127.0.2.1", refusal=DENIED)
    says("127.0.3.1", f"127.0.3.1 is denied ({daemon.path}:10): its connections are refused.")
    says("127.0.4.1")
    good(daemon.tool("ban", "127.0.1.1"))
    says("127.0.1.1", "127.0.1.1 is banned by an administrator: its connections are refused.")
    refused(postfix.port, "127.0.1.1", refusal=DENIED)
    daemon.write(CONFIG.format(socket=directory / "control.sock") + lists % "monitor")
    assert good(daemon.tool("reload")) == "the new rules are in effect\n"
    watched = "on :25, only monitored: mode = monitor"
    says("127.0.1.1", "127.0.1.1 is banned by an administrator: its connections are only watched.", where=watched)
    says("127.0.2.1", f"127.0.2.1 is denied as 127.0.2.0/24 ({daemon.path}:10): its connections are only watched.",
         where=watched)
    enter(postfix.port, "127.0.2.1")


def test_reload(postfix, served, directory):
    daemon = served()
    good_text = CONFIG.format(socket=directory / "control.sock")
    held = fill(postfix.port, ["127.0.0.1"] * 3)
    refused(postfix.port, "127.0.0.1")
    daemon.write(good_text.replace("max = 3", "max = 4"))
    assert good(daemon.tool("reload")) == "the new rules are in effect\n"
    daemon.write(good_text.replace("max = 3", "max = 4").replace("sessions = 4 ", 'sessions = 4  peer "0.0.0.0/0" { idle_time = 1m } '))
    result = daemon.tool("reload")
    assert result.returncode == 0 and result.stderr == tidegate("check", daemon.path).stderr
    assert result.stderr.startswith(f"tidegate: warning: {daemon.path}:")
    held.append(enter(postfix.port, "127.0.0.1"))
    daemon.write(good_text.replace("max = 3", "max = three"))
    for options in ([], ["--json"]):
        result = daemon.tool(*options, "reload")
        assert result.returncode == 75
        assert f"{daemon.path}:{LINE['client_sessions']}: " in result.stderr
        assert "stay as they were" in result.stderr
        assert not options or json.loads(result.stdout)["messages"]
    refused(postfix.port, "127.0.0.1")
    daemon.write(good_text + "listener_sessions_typo = 1\n")
    assert daemon.tool("status").returncode == 0, "the socket is found in a file with mistakes"


def test_check(directory):
    path = directory / "some.conf"
    path.write_text('milter { socket = "inet:7357@127.0.0.1" }\nservice_sessions = 5\n')
    assert good(tidegate("check", path)) == f"{path}: the configuration is valid\n"
    assert good(tidegate("-c", path, "check")) == f"{path}: the configuration is valid\n"
    assert json.loads(good(tidegate("--json", "check", path))) == {"valid": True, "messages": [], "left_out": 0}
    path.write_text('service_sessions = 5\nlistener { peer "0.0.0.0/0" { listener_sessions = 5 } }\n')
    result = tidegate("check", path)
    assert (result.returncode, result.stdout) == (0, f"{path}: the configuration is valid\n")
    assert result.stderr.replace("tidegate:", "tidegated:") == run("-t", "-c", path).stderr != ""
    messages = json.loads(good(tidegate("--json", "check", path)))["messages"]
    assert messages == [line.removeprefix("tidegate: ") for line in result.stderr.splitlines()]
    assert messages[0].startswith(f"warning: {path}:2: ")
    path.write_text("".join(f'listener {{ daemon_name = "a{i}"  peer "0.0.0.0/0" {{ listener_sessions = 5 }} }}\n'
                            for i in range(60)))
    answer = json.loads(good(tidegate("--json", "check", path)))
    assert (len(answer["messages"]), answer["left_out"]) == (50, 10)
    assert tidegate("check", path).stderr.endswith("\ntidegate: and 10 more\n")
    path.write_bytes(b"service_sessions = 5\npid_file = \x1b[2J\xff\n")
    result = tidegate("check", path)
    assert (result.returncode, result.stdout) == (1, "") and is_harmless(result.stderr)
    path.write_bytes(b"no_such_option_\xff\xc3 = 1\n\nnor_this = 2\n")
    result = tidegate("check", path)
    assert (result.returncode, result.stdout) == (1, "") and is_harmless(result.stderr)
    assert f"tidegate: {path}:1: " in result.stderr and f"tidegate: {path}:3: " in result.stderr
    result = tidegate("--json", "check", path)
    assert (result.returncode, result.stderr) == (1, "")
    answer = json.loads(result.stdout)
    assert answer["valid"] is False and answer["messages"][0].startswith(f"{path}:1: ")
    assert tidegate("check", directory / "missing").returncode == 1


def test_events(postfix, served):
    daemon = served("limit monitored { count = connections  per = client  max = 1  window = 1h  mode = monitor }\n")
    with subprocess.Popen([str(BINARY), "-c", daemon.path, "events"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, preexec_fn=die_with_parent, env=environment(), text=True) as people, \
            subprocess.Popen([str(BINARY), "-c", daemon.path, "--json", "events"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent,
                             env=environment(), text=True) as programs:
        number = 1

        def both_tell():
            """Somebody new is refused, until both have told something: they have begun then."""
            nonlocal number
            number += 1
            ban_by_connections(daemon, postfix.port, f"127.0.1.{number}")
            return all(select.select([process.stdout], [], [], 0)[0] for process in (people, programs))
        wait_until(both_tell, "both follow", pause=0.2)
        line = people.stdout.readline()
        assert re.fullmatch(r"\d\d:\d\d:\d\d monitor   monitored 1 of 1: 127\.0\.1\.\d+ \(service\)\n", line), line
        event = json.loads(programs.stdout.readline())
        assert (event["action"], event["limit"]) == ("monitor", "monitored")
        while "refuse" not in line:
            line = people.stdout.readline()
        assert re.fullmatch(r"\S+ refuse    client_connections 5 of 5: 127\.0\.1\.\d+ \(service\), banned for \S+( \S+)?\n",
                            line), line
        people.send_signal(signal.SIGINT)
        assert people.wait(DEADLINE) == 0
        daemon.stop()
        daemon.expects_no_sessions = False
        assert programs.wait(DEADLINE) == 69
        assert programs.stderr.read().endswith("tidegated has gone\n")
    assert daemon.tool("status").returncode == 69


def test_events_for_more_than_there_is_room_for(served, directory):
    """The ninth is told so, a program as a program."""
    daemon = served()
    with contextlib.ExitStack() as followers:
        for _ in range(8):
            follower = followers.enter_context(socket.socket(socket.AF_UNIX))
            follower.settimeout(DEADLINE)
            follower.connect(f"{directory}/control.sock")
            follower.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in follower.recv(4096)
        people, programs = daemon.tool("events"), daemon.tool("--json", "events")
    assert (people.returncode, people.stdout) == (75, "")
    error = json.loads(programs.stdout)["error"]
    assert programs.returncode == 75
    assert programs.stderr == people.stderr == f"tidegate: {error}\n"


def test_daemon_that_is_stopped(gate, directory):
    """Once its backlog is full nobody waits for it."""
    path = directory / "control.sock"
    daemon = gate(f'control {{ socket = "{path}"  backlog = 1 }}')
    daemon.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: is_stopped(daemon.pid), "it is stopped")
        with contextlib.ExitStack() as crowd:
            with contextlib.suppress(BlockingIOError):
                while True:
                    one = crowd.enter_context(socket.socket(socket.AF_UNIX))
                    one.setblocking(False)
                    one.connect(str(path))
            for arguments in (["status"], ["--json", "unban", "192.0.2.1"], ["events"]):
                result = tidegate("--socket", path, *arguments)
                assert (result.returncode, result.stdout) == (69, "")
                assert result.stderr.startswith(f"tidegate: {path}: ")
                assert result.stderr.endswith("; tidegated does not accept connections\n")
    finally:
        daemon.signal(signal.SIGCONT)


def test_arguments_that_are_too_long(served):
    """More than the daemon would take is not asked at all."""
    daemon = served()
    for arguments in (["explain", "x" * 7000], ["ban", "%" * 2300]):
        assert "too long" not in daemon.tool(*arguments).stderr
    for arguments in (["explain", "x" * 8000], ["ban", "%" * 6000], ["explain", "192.0.2.1", "--listen", "x" * 100000]):
        for options in ([], ["--json"]):
            result = daemon.tool(*options, *arguments)
            assert (result.returncode, result.stdout) == (64, "")
            assert result.stderr == "tidegate: the arguments are too long\n"


def test_top(postfix, served):
    daemon = served()
    with terminal("-c", daemon.path, "top", env=environment(NO_COLOR="1")) as top:
        place = top.wait_for("No limit has refused anything yet.")
        fill(postfix.port, ["127.0.0.1"] * 3)
        refused(postfix.port, "127.0.0.1")
        top.wait_for("client_sessions", place)
        top.wait_for("Most refused, in the last hour:", place)
        top.type(b"q")
        assert top.end() == 0 and top.is_as_before


def test_names_that_clients_make_up(postfix, served):
    """Whatever a client says it is, and whatever it is banned for."""
    daemon = served("limit helo_connections { count = messages  per = sender_domain  max = 1  window = 1h  ban = 2h }\n")
    for name in (b"a\x1b[2J.example", b"\xe2\x80\xae\xff.example", b"\xe4\xb8\xad.example", b"x" * 200 + b".example"):
        client = Client(postfix.ports["bytes"], "127.0.0.1")
        client.expect(None, "220")
        client.ehlo()
        for _ in range(2):
            client.send(b"MAIL FROM:<joe@" + name + b">\r\n")
            client.expects_5xx = True
            client.reply()
            client.send("RSET")
            client.reply()
        client.close()
    for arguments in (["domains"], ["bans"], ["clients"], ["status"]):
        assert is_harmless(daemon.tool(*arguments).stdout)
        assert on_terminal("-c", daemon.path, *arguments)[0] == 0
    for ban in daemon.ask("bans")["bans"]:
        assert good(daemon.tool("unban", ban["key"])) == "1 ban was lifted\n"
    assert good(daemon.tool("bans")) == "Nobody is banned.\n"


def test_who_may(served, directory):
    """Others than root may not, and read which group may; for the group that the configuration names it opens."""
    daemon = served()
    nobody = as_nobody(directory)
    path = directory / "control.sock"
    result = daemon.tool("status", **nobody)
    assert (result.returncode, result.stderr) == (69, f"tidegate: {path}: Permission denied; run as root\n")
    daemon.path.chmod(0o600)
    assert daemon.tool("status", **nobody).returncode == 69
    assert tidegate("--socket", path, "ban", "127.0.0.1", **nobody).returncode == 69
    assert daemon.ask("bans")["bans"] == []


def test_where_the_socket_is(served, directory):
    daemon = served()
    other = directory / "other.conf"
    result = tidegate("-c", directory / "missing.conf", "status")
    assert result.returncode == 69 and "missing.conf" in result.stderr
    other.write_text("service_sessions = 5\n")
    result = tidegate("-c", other, "status")
    assert result.returncode == 69 and "no control section" in result.stderr
    other.write_text('service_sessions = five\ncontrol { socket = "nowhere" }\n')
    result = tidegate("-c", other, "status")
    assert result.returncode == 69 and f"{other}:2: " in result.stderr
    other.write_text(f'service_sessions = five\nnonsense = 1\ncontrol {{ socket = "unix:{directory}/control.sock" }}\n')
    assert tidegate("status", "-c", other).returncode == 0
    assert tidegate("-c", other, "--socket", directory / "control.sock", "status").returncode == 0
    assert tidegate("--socket", daemon.path, "status").returncode == 69
