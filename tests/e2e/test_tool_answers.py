"""What tidegate makes of answers, good and bad, from a daemon of the tests' own: each output as a whole, in a pipe and on
a terminal of 80 columns; whatever is in an answer, the terminal is safe and the exit status tells."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from sandbox import DEADLINE, die_with_parent, is_stopped, wait_until
from toolside import (BINARY, FakeDaemon, as_nobody, columns_of, environment, is_harmless, on_terminal, terminal,
                      tidegate)

HOSTILE = "a\x1b[2J\x9b\u202e\u200b中文\n\x07.example" + "x" * 300


@pytest.fixture
def fake(directory):
    daemon = FakeDaemon(directory / "control.sock")
    yield daemon
    daemon.close()


@pytest.fixture
def ask(fake):
    """ask(answers, COMMAND...): what comes of it in a pipe; answers are objects by page."""
    def ask(answers, *arguments, **options):
        give(fake, answers)
        return tidegate("--socket", fake.path, *arguments, **options)
    return ask


def give(fake, answers):
    fake.answers = {page: answer if callable(answer) or isinstance(answer, tuple)
                    else (200, json.dumps(answer).encode() + b"\n") for page, answer in answers.items()}


def status(**changes):
    return {
        "version": "0.1.0", "file": "/etc/tidegate/tidegate.conf", "mode": "block",
        "now": 1795286000.5, "started": 1795279280.0, "reloaded": 1795285900.0,
        "sessions": {"open": 12, "pending": 1, "remembered": 0, "room": 10000},
        "scopes": [{"scope": "service", "limit": "service_sessions", "sessions": 11, "max": 50, "pending": 0},
                   {"scope": "listener[:25]", "limit": "listener_sessions", "sessions": 10, "max": 10, "pending": 1},
                   {"scope": "listener[default]", "limit": "listener_sessions", "sessions": 1, "max": 0, "pending": 0}],
        "scopes_left_out": 0,
        "limits": [limit("client_sessions", refused=3), limit("client_connections", monitored=1234567, bans=9),
                   limit("session_errors")],
        "events": {"connect": 100, "helo": 98, "mail": 90},
        "exempted": 4, "table": {"keys": 812, "room": 262144, "evicted": 0, "untracked": 0},
        "waiting": {"now": 0, "max": 100}, "crossings": 1, "turned_away": 0, "claimed": 0, "lapsed": 0,
        "latency": {"count": 500, "sum": 0.004, "p50": 0.00001, "p99": 0.0001},
        "bans": {"limits": 4, "operator": 1, "list": []},
        "clients": {"busiest": [client("192.0.2.7")], "refused": [client("2001:db8:1:2::/64", refused=7)]},
        "domains": {"busiest": [], "refused": []}, **changes}


def limit(name, refused=0, monitored=0, bans=0):
    return {"limit": name, "refused": refused, "monitored": monitored, "scored": 0, "untracked": 0, "bans": bans}


def client(name, refused=0):
    return {"client": name, "sessions": 2, "connections": 14, "messages": 9, "refused": refused, "monitored": 0}


def ban(who=None, key=None, limit="client_connections", action="refuse", since=187.7, left=7012.3):
    return {"client": who, "key": key, "per": "client", "limit": limit, "scope": "service", "action": action,
            "since": since, "left": left, "lift": f"tidegate unban {who or key}"}


def reasons(name, state="open", **changes):
    return {"limit": name, "scope": "service", "file": "/etc/tidegate/tidegate.conf", "line": 31, "mode": "block",
            "count_of": "connections", "per": "client", "key": "192.0.2.7", "window": 90, "count": 4, "max": 10,
            "exempt": False, "banned": False, "ban_left": None, "state": state, "next": 0, "next_when": "now",
            "lift": None, **changes}


def explained(*limits, refused_by=None, mode="block"):
    """The first limit of the name in refused_by that is in force is what refuses, and the answer's `next` its own."""
    limits = [{**one, "keeps_out": one["limit"] == refused_by and one["mode"] == "block"} for one in limits]
    refusing = next((one for one in limits if one["keeps_out"]), {"next": 0, "next_when": "now"})
    return {"client": "192.0.2.7", "name": None, "listen": None, "mode": mode, "admitted": refused_by is None,
            "refused_by": refused_by, "next": refusing["next"], "next_when": refusing["next_when"], "limits": limits}


STATUS = """\
tidegated 0.1.0, blocking, up 1h 52m; /etc/tidegate/tidegate.conf read 1m 40s
  ago
12 sessions open (room for 10000), 1 of them refused and not told yet

SCOPE              SESSIONS  MAX                          PENDING
service                  11   50  [####................]        0
listener[:25]            10   10  [####################]        1
listener[default]         1    -                                0

LIMIT               REFUSED  MONITORED  SCORED  UNTRACKED  BANS BEGUN
client_sessions           3          0       0          0           0
client_connections        0    1234567       0          0           9

Bans in force: 4 by limits, 1 by an administrator
Events: connect 100, helo 98, mail 90
Records: 812 of 262144; exempted: 4
99 of 100 events take at most 0.1 ms
"""

BANS = """\
BANNED                       BY LIMIT            SCOPE    ACTION   SINCE    LEFT
192.0.2.0/24                 ban                 service  refuse      9s      1d
192.0.2.7                    client_connections  service  refuse   3m 7s  1h 56m
a%20long.name.of.a.domai...  domain_networks     service  monitor    <1s     <1s
... and 7 more (-n N shows more)
"""
SOME_BANS = [ban("192.0.2.0/24", limit="ban", since=9.1, left=86400), ban("192.0.2.7"),
             ban(key="a%20long.name.of.a.domain.that.goes.on.and.on.example", limit="domain_networks",
                 action="monitor", since=0.1, left=0.9)]

BANNED = """\
192.0.2.7 would be refused by client_connections
  (/etc/tidegate/tidegate.conf:31), as 192.0.2.7 is banned. It may come again in
  1h 56m.
Lines are of /etc/tidegate/tidegate.conf.

LIMIT               SCOPE    KEY           COUNT  MAX   IN  STATE          LINE
service_sessions    service                    1    -       open              -
client_connections  service                   10   10  90s  banned           31
client_messages     service  192.0.2.0/24      4   10  90s  open, monitor    31
client_connections: room in 1h 56m, or: tidegate unban 192.0.2.7
"""
SERVICE = reasons("service_sessions", line=None, per=None, key=None, window=None, count=1, max=None)
CONNECTIONS = reasons("client_connections", "banned", count=10, banned=True, ban_left=7012.3, next=7012.3,
                      next_when="at", lift="tidegate unban 192.0.2.7")
MESSAGES = reasons("client_messages", mode="monitor", key="192.0.2.0/24")

EVAL = """\
What applies to 10.1.1.1 on :25; lines are of /etc/tidegate/tidegate.conf:

WHAT                 VALUE     SCOPE                LINE
listener_sessions    1500      peer[10.0.0.0/8]       12
service_sessions     no limit  service           default
idle_time            5m        peer[10.0.0.0/8]       13
client_sessions max  5         service                31
"""
SOME_VALUES = {
    "client": "10.1.1.1", "listen": ":25", "daemon_name": None, "mode": "block",
    "caps": [{"limit": "listener_sessions", "scope": "peer[10.0.0.0/8]", "max": 1500,
              "file": "/etc/tidegate/tidegate.conf", "line": 12},
             {"limit": "service_sessions", "scope": "service", "max": None, "file": "/x", "line": None}],
    "settings": [{"name": "idle_time", "value": "5m", "scope": "peer[10.0.0.0/8]", "file": "/x", "line": 13}],
    "limits": [{"limit": "client_sessions", "mode": "block",
                "terms": [{"name": "max", "value": "5", "scope": "service", "file": "/x", "line": 31}]}]}

FILE = "/etc/tidegate/tidegate.conf"


def listed(limit, key, mode="block", line=41, points=None):
    return {"limit": limit, "key": key, "mode": mode, "points": points, "file": FILE, "line": line}


# What is said of lists and the dry run before any value, each in the first lines.
EVAL_HEADS = [
    ({"daemon_name": "mx", "listen": None}, [f"What applies to 10.1.1.1 at daemon_name mx; lines are of {FILE}:"]),
    ({"daemon_name": "mx"}, [f"What applies to 10.1.1.1 on :25 at daemon_name mx; lines are of {FILE}:"]),
    ({"listen": None}, [f"What applies to 10.1.1.1; lines are of {FILE}:"]),
    ({"mode": "monitor"},
     [f"What applies to 10.1.1.1 on :25, only monitored: mode = monitor; lines are of {FILE}:"]),
    ({"lists": [listed("exempt", "10.0.0.0/8", None)]},
     [f"10.1.1.1 is exempt as 10.0.0.0/8 ({FILE}:41): nothing below applies to it.", "What applies to"]),
    ({"lists": [listed("deny", "10.1.0.0/16")]},
     [f"10.1.1.1 is denied as 10.1.0.0/16 ({FILE}:41): its connections are refused.", "What applies to"]),
    ({"lists": [listed("deny", "10.1.1.1", "monitor")]},
     [f"10.1.1.1 is denied ({FILE}:41): its connections are only watched.", "What applies to"]),
    ({"lists": [listed("deny", "10.1.1.1", "score", points=7)]},
     [f"10.1.1.1 is denied ({FILE}:41): its connections get 7 points.", "What applies to"]),
    ({"lists": [listed("ban", "10.1.0.0/16", line=None), listed("deny", "10.0.0.0/8")]},
     ["10.1.1.1 is banned by an administrator as 10.1.0.0/16: its connections are refused.",
      "10.1.1.1 is denied as 10.0.0.0/8", "What applies to"]),
]

CLIENTS = """\
CLIENT             OPEN  CONNECTIONS  MESSAGES  REFUSED  MONITORED
192.0.2.7             2           14         9        0          0
2001:db8:1:2::/64     2           14         9        7          0
"""
FULL = """\
... and 16382 more (-n N shows more)
... there is room for 16384, and the busiest stay: 1003616 evicted since the
  start, 2 found no room
"""
DOMAINS = """\
DOMAIN                                                MESSAGES  REFUSED  MONITORED
spam.example                                                 9        3          0
a-very-long-name-of-a-domain-that-never-ends.example         1        0          0
"""
SOME_DOMAINS = [{"domain": "spam.example", "messages": 9, "refused": 3, "monitored": 0},
                {"domain": "a-very-long-name-of-a-domain-that-never-ends.example", "messages": 1, "refused": 0,
                 "monitored": 0}]

# What explain takes is named, quoted where a shell needs that.
NOT_BANNED = [("192.0.2.7", "tidegate explain 192.0.2.7, and "), ("192.0.2.7/32", "tidegate explain 192.0.2.7, and "),
              ("::ffff:192.0.2.7", "tidegate explain 192.0.2.7, and "), ("2001:db8::/64", ""), ("192.0.2.0/24", ""),
              ("", ""), ("192.0.2", ""), ("user:joe", "tidegate explain user:joe, and "), ("user:", ""),
              ("Spam.example", "tidegate explain Spam.example, and "), ("-x", "tidegate explain -- -x, and "),
              ("it's $HOME", "tidegate explain 'it'\\''s $HOME', and ")]

OUTPUTS = [
    (["status"], "/status.json",
     status(bans={"limits": 4, "operator": 1, "limits_monitored": 12, "operator_monitored": 3, "list": []}),
     STATUS.replace("Events:", "Bans that are only watched: 12 by limits, 3 by an administrator\nEvents:"), 0),
    (["status"], "/status.json", status(), STATUS, 0),
    (["bans"], "/bans", {"bans": SOME_BANS, "left_out": 7}, BANS, 0),
    (["bans"], "/bans", {"bans": [], "left_out": 0}, "Nobody is banned.\n", 0),
    (["clients"], "/clients", {"clients": [client("192.0.2.7"), client("2001:db8:1:2::/64", 7)], "left_out": 0},
     CLIENTS, 0),
    (["clients"], "/clients", {"clients": [client("192.0.2.7"), client("2001:db8:1:2::/64", 7)], "left_out": 16382,
                               "room": 16384, "evicted": 1003616, "untracked": 2}, CLIENTS + FULL, 0),
    (["clients"], "/clients", {"clients": [], "left_out": 0, "room": 16384, "evicted": 0, "untracked": 0},
     "No client has come in the last hour.\n", 0),
    (["clients"], "/clients", {"clients": [], "left_out": 0}, "No client has come in the last hour.\n", 0),
    (["domains"], "/domains", {"domains": [], "left_out": 0}, "No sender has come in the last hour.\n", 0),
    (["ban", "192.0.2.0/24", "for", "2h"], "/ban", {"target": "192.0.2.0/24", "for": 7200, "changed": False},
     "192.0.2.0/24 is banned for 2h\n", 0),
    (["ban", "a.example"], "/ban", {"target": "a.example", "for": 86400, "changed": True},
     "a.example was banned already; now it is for 1d\n", 0),
    (["ban", "a.example"], "/ban", {"target": "a.example", "for": 86400, "changed": False, "action": "refuse"},
     "a.example is banned for 1d\n", 0),
    (["unban", "192.0.2.7"], "/unban", {"lifted": 1, "forgotten": 0}, "1 ban was lifted\n", 0),
    (["unban", "192.0.2.7"], "/unban", {"lifted": 12, "forgotten": 3},
     "12 bans were lifted\n3 counts were forgotten\n", 0),
    (["unban", "192.0.2.7"], "/unban", {"lifted": 0, "forgotten": 1}, "1 count was forgotten\n", 0),
    (["unban", "192.0.2.7"], "/unban", {"lifted": 0, "forgotten": 0}, "no such ban was in force; see tidegate explain 192.0.2.7, and tidegate bans\n", 1),
    (["unban", "--limit", "ban"], "/unban", {"lifted": 0}, "no such ban was in force\n", 1),
    (["unban", "192.0.2.7"], "/unban", {"lifted": 0, "forgotten": 1, "held_by": ban("192.0.2.0/24", limit="ban")},
     "1 count was forgotten\nstill banned by 192.0.2.0/24: tidegate unban 192.0.2.0/24\n", 1),
    (["unban", "a.example"], "/unban", {"lifted": 0, "forgotten": 0, "held_by": ban(key="example", limit="ban")},
     "still banned by example: tidegate unban example\n", 1),
    (["unban", "192.0.2.7"], "/unban", {"lifted": 1, "forgotten": 0, "held_by": None}, "1 ban was lifted\n", 0),
    (["explain", "192.0.2.7"], "/explain", explained(SERVICE, CONNECTIONS, MESSAGES, refused_by="client_connections"), BANNED, 1),
    (["explain", "192.0.2.7"], "/explain", explained(), "192.0.2.7 would be let in.\n", 0),
    (["eval", "10.1.1.1"], "/eval", SOME_VALUES, EVAL, 0),
    (["reload"], "/reload", {"reloaded": True, "messages": []}, "the new rules are in effect\n", 0),
]
each_output = pytest.mark.parametrize("arguments, page, answer, output, code", OUTPUTS,
                                      ids=[f"{number} {output[0][0]}" for number, output in enumerate(OUTPUTS)])


@each_output
def test_output_on_a_terminal(fake, arguments, page, answer, output, code):
    give(fake, {page: answer})
    seen, lines = on_terminal("--socket", fake.path, *arguments)
    assert "\n".join(lines) + "\n" == output
    assert seen == code


@each_output
def test_json_is_the_answer_itself(ask, arguments, page, answer, output, code):
    result = ask({page: answer}, "--json", *arguments)
    assert result.stdout == json.dumps(answer) + "\n"
    assert (result.returncode, result.stderr) == (code, "")


def test_output_in_a_pipe_is_not_cut(ask):
    result = ask({"/domains": {"domains": SOME_DOMAINS, "left_out": 0}}, "domains")
    assert (result.stdout, result.returncode) == (DOMAINS, 0)
    assert not any("\x1b" in output for output in (result.stdout, ask({"/status.json": status()}, "status").stdout))


def test_colours_are_for_terminals_that_want_them(fake):
    give(fake, {"/status.json": status()})
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)):
        with terminal("--socket", fake.path, "status", env=environment(**env)) as opened:
            assert opened.end() == 0
            assert ("\x1b[31m" in opened.output) == coloured


@pytest.mark.parametrize("columns", [1, 40, 60, 132])
def test_terminals_of_other_widths(fake, columns):
    for arguments, page, answer, _, code in OUTPUTS:
        give(fake, {page: answer})
        assert on_terminal("--socket", fake.path, *arguments, columns=max(columns, 40))[0] == code


FULL = ["2001:db8:1234:5678:9abc:def0:1234:5678", "2001:db8:1234:5678:9abc:def0:1234:5600/120", "255.255.255.255"]


@pytest.mark.parametrize("columns", [45, 50, 60, 80, 90])
def test_addresses_are_never_cut(fake, columns):
    """They are looked for, or given to unban; what stands beside them gives way."""
    lists = {"bans": {"bans": [ban(who, limit="ban", left=86399) for who in FULL], "left_out": 0},
             "clients": {"clients": [client(who, refused=1234567) for who in FULL], "left_out": 0}}
    for command, answer in lists.items():
        give(fake, {f"/{command}": answer})
        seen, lines = on_terminal("--socket", fake.path, command, columns=columns)
        assert seen == 0 and [line.split()[0] for line in lines[1:]] == FULL
        assert not any(re.search(r"\.\.\.( |$)", line) for line in lines[1:])  # "...ice" is a scope
    give(fake, {"/explain": explained(*(reasons("client_connections", key=who) for who in FULL))})
    for who, line in zip(FULL, on_terminal("--socket", fake.path, "explain", "x.example", columns=columns)[1][-3:]):
        assert who in line.split() or (columns < 90 and who[:4] not in line)  # or its column is left out
    frame = last_frame(fake, 40, columns, clients={"busiest": lists["clients"]["clients"], "refused": []})
    assert [line.split()[0] for line in frame[-3:]] == FULL and "..." not in "".join(frame[-3:])


@pytest.mark.parametrize("arguments, question", [
    (["clients", "--sort", "refused", "-n", "5"], ("GET", "/clients", {"sort": "refused", "n": "5"})),
    (["domains", "--count=7"], ("GET", "/domains", {"n": "7"})),
    (["bans", "--limit", "a&b=c"], ("GET", "/bans", {"limit": "a&b=c"})),
    (["ban", "a b%2c\xff+&", "for", "1d"], ("POST", "/ban", {"target": "a b%2c\xff+&", "for": "86400"})),
    (["ban", "192.0.2.1"], ("POST", "/ban", {"target": "192.0.2.1"})),
    (["unban", "192.0.2.1", "--since", "10m"], ("POST", "/unban", {"target": "192.0.2.1", "since": "600"})),
    (["--json", "unban", "--limit", "ban"], ("POST", "/unban", {"limit": "ban"})),
    (["explain", "spam.example", "2001:db8::1"], ("GET", "/explain", {"client": "2001:db8::1", "name": "spam.example"})),
    (["explain", "10.0.0.0/8"], ("GET", "/explain", {"client": "10.0.0.0/8"})),
    (["explain", "[IPv6:2001:db8::5]"], ("GET", "/explain", {"client": "[IPv6:2001:db8::5]"})),
    (["explain", "spam.example", "[192.0.2.7]"], ("GET", "/explain", {"client": "[192.0.2.7]", "name": "spam.example"})),
    (["explain", "192.0.2.9", "[192.0.2.7]"], ("GET", "/explain", {"client": "192.0.2.9", "name": "[192.0.2.7]"})),
    (["explain", "192.0.2.7:25"], ("GET", "/explain", {"client": "192.0.2.7:25"})),
    (["explain", "2001:db8::5%eth0"], ("GET", "/explain", {"client": "2001:db8::5%eth0"})),
    (["explain", "Joe@a.example", "--listen", ":25"], ("GET", "/explain", {"name": "Joe@a.example", "listen": ":25"})),
    (["eval", "10.0.0.1", "--daemon-name", "x"], ("GET", "/eval", {"client": "10.0.0.1", "daemon_name": "x"})),
    (["reload"], ("POST", "/reload", {})),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_is_asked(fake, ask, arguments, question):
    ask({}, *arguments)
    assert fake.questions == [question]


def test_proxies_of_the_environment_are_not_asked(ask):
    proxies = {name: "http://127.0.0.1:9" for name in ("http_proxy", "all_proxy", "ALL_PROXY")}
    assert ask({"/bans": {"bans": [], "left_out": 0}}, "bans", env=environment(**proxies)).returncode == 0


SENTENCES = [
    (explained(reasons("client_sessions", "full", count=5, max=5, count_of="sessions", window=None, next=None,
                       next_when="close", lift="raise max in /c:31, then tidegate reload"), refused_by="client_sessions"),
     "192.0.2.7 would be refused by client_sessions (/etc/tidegate/tidegate.conf:31), as 5 of at most 5 sessions are "
     "counted. It may come again when an open session ends."),
    (explained(reasons("client_connections", "full", count=10, next=30.5, next_when="at"),
               refused_by="client_connections"),
     "192.0.2.7 would be refused by client_connections (/etc/tidegate/tidegate.conf:31), as 10 of at most 10 "
     "connections in 90s are counted. It may come again in 30s."),
    (explained(reasons("deny", "denied", next=None, next_when="never", line=None), refused_by="deny"),
     "192.0.2.7 would be refused by deny, as it stands in a list. It may come again once the rules "
     "change."),
    (explained(reasons("client_connections", "full", mode="monitor"), mode="monitor"),
     "192.0.2.7 would be let in. If client_connections (/etc/tidegate/tidegate.conf:31) were not only monitored, it would "
     "be refused, as 4 of at most 10 connections in 90s are counted."),
    (explained(reasons("ban", "banned", line=None, key="192.0.2.0/24", banned=True, next=7200, next_when="at"),
               refused_by="ban"),
     "192.0.2.7 would be refused by an administrator, as 192.0.2.0/24 is banned. It may come again in 2h."),
    (explained(reasons("ban", "banned", line=None, key="192.0.2.0/24", mode="monitor", banned=True, next=7200,
                       next_when="at"), mode="monitor"),
     "192.0.2.7 would be let in. An administrator has banned 192.0.2.0/24, but mode = monitor: it is only watched."),
    (explained(reasons("ban", "banned", line=None, key=None, mode="monitor", banned=True), mode="monitor"),
     "192.0.2.7 would be let in. An administrator has banned it, but mode = monitor: it is only watched."),
    # Of one name at two places the one that is in force; and until the last of all that refuse has room.
    ({**explained(reasons("client_connections", "full", mode="monitor", count=1, max=1, line=4, next=60, next_when="at"),
                  reasons("client_connections", "full", count=2, max=2, line=5, next=660, next_when="at"),
                  refused_by="client_connections"), "next": 720},
     "192.0.2.7 would be refused by client_connections (/etc/tidegate/tidegate.conf:5), as 2 of at most 2 connections in "
     "90s are counted. It may come again in 12m."),
    (explained(refused_by="client_sessions"), "192.0.2.7 would be refused by client_sessions."),
]


@pytest.mark.parametrize("changes, heads", EVAL_HEADS)
def test_first_lines_of_eval(ask, changes, heads):
    head, table = ask({"/eval": {**SOME_VALUES, **changes}}, "eval", "10.1.1.1").stdout.split("\n\n")
    assert table == EVAL.split("\n\n")[1]
    assert len(head.splitlines()) == len(heads)
    assert all(line.startswith(expected) for line, expected in zip(head.splitlines(), heads)), head


def test_explain_says_whom_it_took_it_for(ask):
    for word in ("192.0.2.7", "[192.0.2.7]"):
        assert ask({"/explain": explained()}, "explain", word).stdout == "192.0.2.7 would be let in.\n"
    answer = {**explained(), "name": "[192.0.2.7]"}
    assert ask({"/explain": answer}, "explain", "192.0.2.7", "[192.0.2.7]").stdout == (
        "192.0.2.7 with [192.0.2.7] would be let in.\n")
    result = ask({}, "explain", "192.0.2.7", "192.0.2.8")
    assert (result.returncode, result.stderr) == (
        64, "tidegate: explain: 192.0.2.7 and 192.0.2.8: one client's address and one name at most\n")


@pytest.mark.parametrize("answer, sentence", SENTENCES, ids=["close", "at", "never", "monitor", "ban", "monitored ban",
                                                             "monitored ban of it", "two places", "unnamed"])
def test_first_sentence_of_explain(ask, answer, sentence):
    assert ask({"/explain": answer}, "explain", "192.0.2.7").stdout.splitlines()[0] == sentence


@pytest.mark.parametrize("target, hint", NOT_BANNED, ids=[str(number) for number in range(len(NOT_BANNED))])
def test_unban_of_nobody(ask, target, hint):
    result = ask({"/unban": {"lifted": 0, "forgotten": 0, "held_by": None}}, "unban", "--", target)
    assert (result.returncode, result.stdout) == (1, f"no such ban was in force; see {hint}tidegate bans\n")


@pytest.mark.parametrize("monitored, end", [(True, ", and ends with the dry run"),
                                            (False, " as long as the dry run lasts")],
                         ids=["begun in it", "real"])
def test_ban_in_a_dry_run(ask, monitored, end):
    answer = {"target": "a.example", "for": 86400, "changed": False, "action": "monitor", "monitored": monitored}
    assert ask({"/ban": answer}, "ban", "a.example").stdout == \
        f"a.example is banned for 1d, but mode = monitor: it is only watched{end}\n"


def hostile(value):
    """The same answer with every text in it hostile."""
    if isinstance(value, dict):
        return {name: hostile(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return HOSTILE if isinstance(value, str) else value


@each_output
def test_hostile_texts(fake, ask, arguments, page, answer, output, code):
    answer = hostile(answer)
    seen = ask({page: answer}, *arguments)
    assert is_harmless(seen.stdout + seen.stderr) and seen.returncode == code
    assert json.loads(ask({page: answer}, "--json", *arguments).stdout) == answer
    assert on_terminal("--socket", fake.path, *arguments)[0] == code  # looks at every line
    seen = ask({page: (409, json.dumps({"error": HOSTILE, "messages": [HOSTILE]}).encode())}, *arguments)
    assert is_harmless(seen.stdout + seen.stderr) and seen.returncode == 75


@pytest.mark.parametrize("code, status", [(400, 64), (403, 70), (404, 70), (405, 70), (409, 75), (413, 64), (500, 70),
                                          (503, 75), (302, 70)])
def test_errors(ask, code, status):
    body = json.dumps({"error": "that was wrong", "messages": ["FILE:3: a mistake"]}).encode()
    for arguments in (["reload"], ["bans"], ["events"]):
        result = ask({f"/{arguments[0]}": (code, body)}, *arguments)
        assert result.stderr == "tidegate: FILE:3: a mistake\ntidegate: that was wrong\n"
        assert (result.returncode, result.stdout) == (status, "")
        result = ask({f"/{arguments[0]}": (code, body)}, "--json", *arguments)
        assert (result.returncode, result.stdout) == (status, body.decode() + "\n")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"<html>", b"\xff\xfe", b"{}", b'{"bans": 5}', b"[" * 5000,
                                  b'{"a": 1, "a": 2}'], ids=range(10))
def test_answers_that_mean_nothing(ask, body):
    for page, arguments in (("/bans", ["bans"]), ("/status.json", ["status"]), ("/explain", ["explain", "192.0.2.1"]),
                            ("/eval", ["eval", "192.0.2.1"]), ("/ban", ["ban", "192.0.2.1"]),
                            ("/unban", ["unban", "192.0.2.1"]), ("/reload", ["reload"]), ("/clients", ["clients"])):
        result = ask({page: (200, body)}, *arguments)
        assert (result.returncode, result.stdout) == (70, ""), arguments
        assert len(result.stderr.splitlines()) == 1 and is_harmless(result.stderr)


def raw(data):
    """An answer byte by byte as given, then the end."""
    def answer(handler):
        with contextlib.suppress(OSError):
            handler.wfile.write(data)
    return answer


@pytest.mark.parametrize("data, status", [
    (b"", 69), (b"nonsense\r\n\r\n", 70), (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", 70),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 70),
], ids=["nothing", "no HTTP", "cut short", "bad chunk"])
def test_answers_that_break_off(ask, data, status):
    for arguments in (["bans"], ["--json", "bans"]):
        result = ask({"/bans": raw(data)}, *arguments)
        assert (result.returncode, result.stdout) == (status, "")
        assert len(result.stderr.splitlines()) == 1


def test_answers_without_end_are_refused(ask):
    def answer(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"[" * 65536)
    result = ask({"/bans": answer}, "bans")
    assert (result.returncode, result.stdout) == (70, "")
    assert "too large" in result.stderr

    def endless_line(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"x" * 1000)
    result = ask({"/events": endless_line}, "events")
    assert (result.returncode, result.stdout) == (70, "")
    assert "too large" in result.stderr


def test_many_messages(ask):
    answer = {"messages": ["warning: FILE:1: hardly meant", "FILE:3: a mistake"], "left_out": 7}
    said = "tidegate: warning: FILE:1: hardly meant\ntidegate: FILE:3: a mistake\ntidegate: and 7 more\n"
    result = ask({"/reload": {"reloaded": True, **answer}}, "reload")
    assert (result.returncode, result.stderr) == (0, said)
    result = ask({"/reload": (409, json.dumps({"error": "no", **answer}).encode())}, "reload")
    assert (result.returncode, result.stderr) == (75, said + "tidegate: no\n")


def test_socket_troubles(directory):
    """Each says which socket, why, and what to do."""
    missing, plain, dead, closed = (directory / name for name in ("missing", "plain", "dead", "closed"))
    plain.touch()
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(dead))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(closed))
    listener.listen()
    closed.chmod(0o600)
    within = directory / "locked"
    within.mkdir(0o700)
    for path, nobody, said in ((missing, False, "No such file or directory; does tidegated run"),
                               (plain, False, "Connection refused"),
                               (dead, False, "Connection refused; tidegated does not run any more"),
                               (closed, True, "Permission denied; run as root"),
                               (within / "control.sock", True, "Permission denied; run as root"),
                               ("/" + "x" * 200, False, "File name too long")):
        result = tidegate("--socket", path, "status", **(as_nobody(directory) if nobody else {}))
        assert (result.returncode, result.stdout) == (69, "")
        assert result.stderr.startswith(f"tidegate: {path}: {said}")
    result = tidegate("--socket", missing, "--json", "status")
    assert (result.returncode, result.stdout) == (69, "") and "No such file" in result.stderr
    os.chown(closed, 0, 8)
    closed.chmod(0o660)
    result = tidegate("--socket", closed, "status", **as_nobody(directory))
    assert result.stderr == f"tidegate: {closed}: Permission denied; run as root or as a member of the group mail\n"
    listener.close()


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["people", "json"])
def test_output_that_cannot_be_written(fake, options):
    give(fake, {"/bans": {"bans": [ban("192.0.2.7")] * 3000, "left_out": 0}})
    arguments = [str(BINARY), "--socket", fake.path, *options, "bans"]
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
    assert result.returncode == 74 and result.stderr.startswith(b"tidegate: standard output: ")
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(arguments, stdout=writer, stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
    os.close(writer)
    assert (result.returncode, result.stderr) == (74, b"")
    # Closed: what the tool opens for itself does not take its place.
    result = subprocess.run(["sh", "-c", '"$@" <&- >&-', "sh", *arguments], stderr=subprocess.PIPE, timeout=DEADLINE,
                            check=False)
    assert result.returncode == 74 and result.stderr.startswith(b"tidegate: standard output: ")


class Stream:
    """/events of the fake daemon: what a test says, as it says it."""

    def __init__(self):
        self.handler = None
        self.ended = threading.Event()

    def __call__(self, handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        self.handler = handler
        assert self.ended.wait(DEADLINE)

    def say(self, data):
        wait_until(lambda: self.handler, "somebody follows")
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.handler.wfile.flush()


@pytest.fixture
def stream(fake):
    stream = Stream()
    give(fake, {"/events": stream})
    yield stream
    stream.ended.set()


def event(**changes):
    return json.dumps({"time": 1795286000.123, "action": "refuse", "limit": "client_sessions", "scope": "service",
                       "client": "192.0.2.7", "key": None, "count": 5, "max": 5, "points": 0, "ban_left": None,
                       "ban_began": False, **changes}).encode() + b"\n"


def follow(fake, *options):
    return subprocess.Popen([str(BINARY), "--socket", fake.path, *options, "events"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent,
                            env=environment())


def test_events(fake, stream):
    with follow(fake) as process:
        stream.say(event())
        assert process.stdout.readline() == b"08:33:20 refuse    client_sessions 5 of 5: 192.0.2.7 (service)\n" \
            .replace(b"08:33:20", time.strftime("%H:%M:%S", time.gmtime(1795286000)).encode())
        stream.say(b"\n" + event(action="monitor", key="a.example", client="192.0.2.8", ban_left=7200, ban_began=True)
                   [:50])
        stream.say(event(action="monitor", key="a.example", client="192.0.2.8", ban_left=7200, ban_began=True)[50:])
        assert process.stdout.readline().endswith(
            b" monitor   client_sessions 5 of 5: 192.0.2.8 a.example (service), banned for 2h\n")
        stream.say(b'{"lost": 12}\nnonsense\x1b\n' + event(key=HOSTILE))
        assert process.stdout.readline() == b"... 12 events were left out, as they came too fast\n"
        assert process.stdout.readline() == b"? nonsense\\x1b\n"
        assert is_harmless(process.stdout.readline().decode())
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
        assert process.stdout.read() == process.stderr.read() == b""


def test_events_on_a_terminal(fake, stream):
    """A long line is wrapped: what is cut cannot be copied."""
    with terminal("--socket", fake.path, "events") as opened:
        stream.say(event(client=FULL[0], limit="client_connections", ban_left=7200, ban_began=True) + event())
        opened.wait_for("192.0.2.7 (service)\n")
        assert [line.partition(" refuse ")[2] or line for line in opened.lines] == [
            "   client_connections 5 of 5:", f"  {FULL[0]} (service), banned for 2h",
            "   client_sessions 5 of 5: 192.0.2.7 (service)"]
        opened.type(b"\x03")
        assert opened.end() == 0


def test_events_as_they_are(fake, stream):
    with follow(fake, "--json") as process:
        stream.say(b"\n" + event() + b'{"lost": 12}\n')
        assert process.stdout.readline() == event()
        assert process.stdout.readline() == b'{"lost": 12}\n'
        process.terminate()
        assert process.wait(DEADLINE) == 0


def test_events_end_with_the_daemon_and_with_the_reader(fake, stream):
    with follow(fake) as process:
        stream.say(event())
        process.stdout.readline()
        stream.ended.set()
        assert process.wait(DEADLINE) == 69
        assert process.stderr.read() == f"tidegate: {fake.path}: tidegated has gone\n".encode()
    silent = Stream()
    give(fake, {"/events": silent})
    with follow(fake) as process:
        wait_until(lambda: silent.handler, "somebody follows")
        process.stdout.close()
        assert process.wait(DEADLINE) == 74
        assert process.stderr.read() == b""
    silent.ended.set()


def waits_for_a_reader(process):
    """For a while now it is in one system call whose first argument is its standard output: nobody takes what it writes."""
    for _ in range(20):
        with open(f"/proc/{process.pid}/syscall", encoding="ascii") as file:
            if file.read().split()[1:2] != ["0x1"]:
                return False
        time.sleep(0.005)
    return True


def test_events_while_nobody_reads(fake, stream):
    """A terminal that takes nothing may have another size meanwhile; nothing is lost."""
    with terminal("--socket", fake.path, "events") as opened:
        many = threading.Thread(target=lambda: [stream.say(event() * 100) for _ in range(40)] and
                                stream.say(event(limit="the_last")))
        many.start()
        for columns in (100, 101, 102):
            wait_until(lambda: waits_for_a_reader(opened.process), "the terminal is full")
            opened.resize(30, columns)
        opened.wait_for("the_last")
        many.join(DEADLINE)
        assert opened.output.count("client_sessions") == 4000
        opened.type(b"\x03")
        assert opened.end() == 0


def test_top_while_nobody_reads(fake):
    """The same, with frames that are larger than what a terminal makes room for at a time."""
    give(fake, {"/status.json": status(clients={"busiest": [client("x" * 9000)] * 5, "refused": []})})
    with terminal("--socket", fake.path, "top", columns=9000, env=environment(NO_COLOR="1")) as top:
        def resized_and_full():
            resized_and_full.rows = 55 - resized_and_full.rows
            top.resize(resized_and_full.rows, 9000)
            return waits_for_a_reader(top.process)
        resized_and_full.rows = 24
        top.wait_for("\x1b[J")
        wait_until(resized_and_full, "the terminal is full", pause=0.001)
        while waits_for_a_reader(top.process):
            top.read(0)
        wait_until(lambda: waits_for_a_reader(top.process), "the next look is to be shown")
        for rows in (40, 41, 24):
            top.resize(rows, 9000)
            wait_until(lambda: waits_for_a_reader(top.process), "it waits again")
        place = len(top.output)
        fake.answers = {}
        top.wait_for("no news:", place)
        top.type(b"q")
        assert top.end() == 0 and top.is_as_before


def last_frame(fake, rows, columns=80, **changes):
    """What top shows on a terminal of that size."""
    give(fake, {"/status.json": status(**changes)})
    with terminal("--socket", fake.path, "top", rows=rows, columns=columns, env=environment(NO_COLOR="1")) as top:
        end = top.wait_for("\x1b[J")
        top.type(b"q")
        assert top.end() == 0
        frame = without_escapes(top.output[top.output.index("\x1b[H") + 3:end]).splitlines()
        assert len(frame) <= rows and all(columns_of(line) <= columns for line in frame)
        return frame


def test_top_shares_out_the_rows(fake):
    """Everybody has something to show: nothing is lost below the end of the screen."""
    much = {"scopes": [{"scope": f"listener[:{port}]", "limit": "listener_sessions", "sessions": port % 2, "max": 9,
                        "pending": 0} for port in range(20)],
            "limits": [limit(f"limit_{i}", refused=9 - i) for i in range(9)],
            "clients": {"busiest": [client(f"192.0.2.{i}") for i in range(10)],
                        "refused": [client(f"198.51.100.{i}", refused=3) for i in range(10)]}}

    def counted(rows, **changes):
        frame = last_frame(fake, rows, **{**much, **changes})
        return [sum(line.startswith(begin) for line in frame)
                for begin in ("listener[", "limit_", "198.51.100.", "192.0.2.")], frame
    counts, frame = counted(24)
    assert counts == [3, 3, 3, 2] and len(frame) == 24
    assert [line.split()[0] for line in frame if line.startswith("listener[")] == [
        "listener[:1]", "listener[:3]", "listener[:5]"]
    assert "... and 17 more scopes (tidegate --json status)" in frame
    assert counted(50)[0] == [6, 6, 5, 5]
    assert counted(12)[0] == [3, 2, 0, 0]
    # Those that are idle get what is left over.
    idle = [{**scope, "sessions": 0} for scope in much["scopes"]]
    assert counted(24, scopes=idle)[0] == [1, 4, 3, 3]
    assert counted(24, scopes=idle, clients={"busiest": [], "refused": []})[0] == [6, 6, 0, 0]


def without_escapes(text):
    """What top writes without the few escape sequences that it may use."""
    return re.sub(r"\x1b\[(?:\?1049[hl]|\?25[hl]|H|J|K|[0-9]+m)|\r", "", text)


def test_top(fake):
    looks = []

    def answer(handler):
        looks.append(len(looks))
        body = json.dumps(status(limits=[limit("client_sessions", refused=10 * len(looks))],
                                 now=1795286000.0 + 2 * len(looks))).encode()
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    give(fake, {"/status.json": answer})
    with terminal("--socket", fake.path, "top", env=environment(NO_COLOR="1")) as top:
        place = top.wait_for("2001:db8:1:2::/64")
        assert "\x1b[?1049h" in top.output and not top.is_as_before
        place = top.wait_for("client_sessions        5.0", place)  # ten more in two seconds
        assert top.output.rfind("\x1b[H", 0, place) > 0
        top.resize(10, 50)
        place = top.wait_for("\x1b[H", len(top.output))
        top.wait_for("\x1b[J", place)
        frame = top.output[place:top.output.index("\x1b[J", place)].replace("\x1b[K", "")
        assert len(frame.splitlines()) <= 10 and all(columns_of(line) <= 50 for line in frame.splitlines())
        top.type(b"xq")
        assert top.end() == 0
        assert top.is_as_before and top.output.endswith("\x1b[?25h\x1b[?1049l")
        assert is_harmless(without_escapes(top.output))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_top_gives_the_terminal_back(fake, number):
    give(fake, {"/status.json": hostile(status())})
    with terminal("--socket", fake.path, "top") as top:
        place = top.wait_for("\x1b[J")
        assert is_harmless(without_escapes(top.output[:place]))
        if number == signal.SIGINT:
            top.type(b"\x03")
        else:
            top.process.send_signal(number)
        assert top.end() == 0
        assert top.is_as_before and top.output.endswith("\x1b[?25h\x1b[?1049l")


def test_top_is_stopped_and_goes_on(fake):
    """While it is stopped the terminal is the shell's."""
    give(fake, {"/status.json": status()})
    with terminal("--socket", fake.path, "top") as top:
        place = top.wait_for("\x1b[J")
        top.type(b"\x1a")
        place = top.wait_for("\x1b[?1049l", place)
        wait_until(lambda: is_stopped(top.process.pid), "top is stopped")
        assert top.is_as_before
        top.process.send_signal(signal.SIGCONT)
        top.wait_for("\x1b[J", top.wait_for("\x1b[?1049h", place))
        assert not top.is_as_before
        top.type(b"q")
        assert top.end() == 0 and top.is_as_before


def test_top_outlives_the_daemon(fake):
    give(fake, {"/status.json": status()})
    with terminal("--socket", fake.path, "top") as top:
        place = top.wait_for("client_sessions")
        fake.answers = {}
        place = top.wait_for("no news:", place)
        give(fake, {"/status.json": status(limits=[limit("client_messages", refused=1)])})
        top.wait_for("client_messages", place)
        top.type(b"q")
        assert top.end() == 0


def test_top_without_a_daemon_or_a_terminal(fake, directory):
    with terminal("--socket", directory / "missing", "top") as top:
        assert top.end() == 69
        assert top.is_as_before
        assert b"No such file or directory" in top.process.stderr.read()
    result = tidegate("--socket", fake.path, "top")
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr == "tidegate: top needs a terminal; status says the same once\n"
    with terminal("--socket", fake.path, "top", env=environment(TERM="dumb")) as top:
        assert top.end() == 64 and top.output == ""
