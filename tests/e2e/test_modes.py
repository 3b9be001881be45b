"""Limits that do not refuse: monitor, of one limit or of everything, and score."""
import itertools

import pytest

from sandbox import wait_until
from smtp import (CONNECTION_RATE, DENIED, ERRORS, NETWORKS, SCORE, enter, fill, greeted, refused)

SCORING = """limit client_connections { max = 1  window = 1h  mode = score  points = 5 }
    limit session_unknown_commands { max = 1  mode = score  points = 7 }
    limit session_recipients { max = 1  mode = score }
    limit message_recipients { max = 1  mode = score  points = 100 }
    deny { mode = score  points = 3  clients = { "127.7.0.0/16" } }
"""


def read_back(postfix, client, mark, *more, before=b""):
    """The lines of a message from that client as it is delivered, without those of Postfix."""
    body = before + b"Subject: " + mark + b"\r\n\r\nhello\r\n"
    client.send_message("read@test.example", *more, body=body)
    return postfix.delivered(mark).split(b"\n")


def test_score_is_handed_on_in_the_topmost_header(postfix, gate):
    """The sum, and who gave how much, once a session each; in front of everything, also of a header of that name that
    the client has sent itself. Who has no points gets no header."""
    gate(SCORING)
    message = read_back(postfix, enter(postfix.port, "127.7.0.1"), b"score-1")
    assert message[0] == b"X-Tidegate-Score: 3 (deny=3)"
    client = enter(postfix.port, "127.7.0.1")
    client.err(4)
    message = read_back(postfix, client, b"score-2", before=b"X-Tidegate-Score: 0 (all is well)\r\n")
    assert message[0] == b"X-Tidegate-Score: 15 (deny=3, client_connections=5, session_unknown_commands=7)"
    assert message.count(b"X-Tidegate-Score: 0 (all is well)") == 1
    message = read_back(postfix, client, b"score-3", "root@test.example")
    assert message[0] == (b"X-Tidegate-Score: 116 (deny=3, client_connections=5, session_unknown_commands=7, "
                          b"session_recipients=1, message_recipients=100)")
    message = read_back(postfix, enter(postfix.port, "127.0.0.1"), b"score-4")
    assert not any(line.startswith(b"X-Tidegate") for line in message)


@pytest.mark.parametrize("step", ["connect", "MAIL", "RCPT", "unknown"])
def test_score_refuses_when_it_is_enough(mta, gate, step):
    """At the event that gave the last points."""
    gate({"connect": "limit client_connections { max = 1  window = 1h  mode = score  points = 4 }",
          "MAIL": "limit session_messages { max = 1  mode = score  points = 4 }",
          "RCPT": "limit session_recipients { max = 1  mode = score  points = 4 }",
          "unknown": "limit session_unknown_commands { max = 1  mode = score  points = 4 }"}[step] +
         '\nscore_refuse = 5\nlistener { peer "127.0.0.0/24" { limit client_sessions { max = 1  mode = score } } }')
    enter(mta.port, "127.0.0.1")
    client = greeted(mta.port, "127.0.0.1")  # has got the one point of client_sessions
    if step == "connect":
        client.expect_refusal(refusal=SCORE)
        return
    client.expect("EHLO client.example", "250")
    client.expects_5xx = True
    client.send_message()
    if step == "MAIL":
        client.expect_refusal("MAIL FROM:<a@client.example>", SCORE)
    elif step == "RCPT":
        client.mail()
        client.expect_refusal("RCPT TO:<root@test.example>", SCORE)
    else:
        client.mail()
        client.err()
        client.expect_refusal("XYZZY", SCORE)


def test_score_below_what_refuses_goes_on(mta, gate):
    gate("limit client_connections { max = 1  window = 1h  mode = score  points = 4 }\nscore_refuse = 5")
    for _ in range(4):
        enter(mta.port, "127.0.0.1").send_message()


EVERYTHING = """log_refusals = yes
    service_sessions = 4
    limit client_sessions { max = 2 }
    limit client_connections { max = 3  window = 1h  ban = 1h }
    limit domain_networks { max = 1  window = 1h  ban = 1h }
    limit session_messages { max = 2 }
    limit session_recipients { max = 4 }
    limit session_unknown_commands { max = 1 }
    limit session_errors { max = 2  soft = 0  error_delay = 0 }
    deny { clients = { "127.6.0.0/16" }  domains = { "spam.example" } }
    """


def test_monitor_of_everything_refuses_nothing(mta, gate):
    """A dry run: the log and the counters say what would have happened. Who would have been turned away holds nothing
    from then on, and counts nowhere. Where no answer is awaited (no-reply flags) Postfix tells what clients did only
    when its buffer is full or something has to be answered, so all leave before the counters are read."""
    daemon = gate("mode = monitor\nscore_refuse = 1\nidle_time = 1h\n" + EVERYTHING)
    idle = fill(mta.port, ["127.0.0.1"] * 3) + fill(mta.port, ["127.6.0.1"])
    talker, second = fill(mta.port, ["127.1.1.1", "127.1.2.1"])
    talker.send_message(*["root@test.example", "daemon@test.example"] * 3, sender="joe@spread.example")
    for _ in range(3):
        talker.send_message(sender="joe@spread.example")
    second.send_message(sender="joe@spread.example")
    third, *last = fill(mta.port, ["127.1.3.1", "127.1.4.1", "127.1.5.1"])
    third.err(3)
    for client in last:
        client.send_message(sender="joe@spam.example")
    for client in (*idle, talker, second, third, *last):
        client.quit()
    wait_until(daemon.is_empty, "all have left")
    assert daemon.totals() == {limit: {"monitored": times} for limit, times in {
        "client_sessions": 1, "deny": 2, "session_messages": 1, "domain_networks": 1, "service_sessions": 1,
        "session_recipients": 3, "session_unknown_commands": 1}.items()}
    assert {line["action"] for line in daemon.lines() if "action" in line} == {"monitor"}


def play(mta, gate, monitored):
    """Clients that meet many limits, one after the other; who is turned away stops. What the log says of them."""
    daemon = gate(("mode = monitor\n" if monitored else "") + EVERYTHING)
    for source, sender in itertools.product(("127.0.0.1", "127.1.1.1", "127.1.2.1", "127.6.0.1"),
                                            ("joe@a.example", "joe@b.example", "x@spam.example", "joe@a.example")):
        client = greeted(mta.port, source)
        client.expects_5xx = True
        mail = [f"MAIL FROM:<{sender}>"] + ["RCPT TO:<root@test.example>"] * 3 + ["RSET"]
        errors = ["XYZZY"] * 2 if sender == "joe@b.example" else []
        for line in ["EHLO client.example", *mail, *mail, *errors, *mail]:
            if client.command(line).startswith(b"421 "):
                break
        client.close()
        wait_until(daemon.is_empty, "the session is closed")
    daemon.expects_no_sessions = False
    daemon.stop()
    return [{key: line.get(key) for key in ("limit", "scope", "client", "key", "count", "max")}
            for line in daemon.lines(action="monitor" if monitored else "refuse")]


def test_monitor_tells_what_block_does(postfix, gate):
    """The same clients at both: what would be refused is what is refused, and nothing else."""
    told = [play(postfix, gate, monitored) for monitored in (False, True)]
    assert told[0] == told[1]
    assert {line["limit"] for line in told[0]} == {"client_connections", "deny", "domain_networks", "session_messages",
                                                   "session_recipients", "session_unknown_commands"}


def test_monitor_of_one_limit(mta, gate):
    """It refuses nobody and takes no slot of its own from those who are over it; the other limits hold, for them too,
    and a ban that it begins never becomes real."""
    daemon = gate("""log_refusals = yes
        service_sessions = 5
        limit client_connections { max = 2  window = 1h  ban = 1h  mode = monitor }
        limit client_sessions { max = 4 }""")
    fill(mta.port, ["127.0.0.1"] * 4)
    refused(mta.port, "127.0.0.1")
    enter(mta.port, "127.0.0.2")
    refused(mta.port, "127.0.0.3")
    # The fifth would have been refused as well, by the ban, and is told before the limit that refuses it.
    assert len(daemon.lines(limit="client_connections", action="monitor", client="127.0.0.1")) >= 2
    assert not daemon.lines(limit="client_connections", action="refuse")
    daemon.reload("limit client_connections { max = 5  window = 1h  ban = 1h }")
    enter(mta.port, "127.0.0.1")  # the ban was none
    assert "bans" not in daemon.totals()["client_connections"]


@pytest.mark.parametrize("limit,line,said", [
    ("limit client_connections { max = 1  window = 1h }", "EHLO client.example", CONNECTION_RATE),
    ("limit domain_networks { max = 1  window = 1h }", "MAIL FROM:<a@client.example>", NETWORKS),
    ("deny { domains = { \"client.example\" } }", "MAIL FROM:<a@client.example>", DENIED),
], ids=["connections", "networks", "deny"])
def test_what_block_says(mta, gate, limit, line, said):
    """The replies of DESIGN.md at each step, for a client that skips EHLO where the step is not EHLO."""
    gate(limit)
    first = enter(mta.port, "127.1.1.1")
    if "deny" not in limit:
        first.mail()
    greeted(mta.port, "127.1.1.1" if "connections" in limit else "127.1.2.1").expect_refusal(line, said)


def test_refusal_by_a_rejected_recipient_is_said_at_the_next_command(mta, gate):
    """The MTA has its own answer to a recipient that it rejects; whatever comes next reads the line."""
    gate("limit session_errors { max = 1  soft = 0  error_delay = 0 }")
    for line in ("MAIL FROM:<b@client.example>", "RCPT TO:<root@test.example>", "DATA", "XYZZY"):
        client = enter(mta.port)
        client.mail()
        client.rcpt("root@test.example")
        client.err(2, rejected=True)
        if line.startswith("MAIL"):
            client.expect("RSET", "250")
        client.expect_refusal(line, ERRORS)


@pytest.mark.parametrize("whole", [False, True])
def test_a_dry_run_tells_while_the_session_is_open(mta, gate, whole):
    """Postfix keeps to itself what needs no answer until the session ends: then it would be too late, and out of order.
    So what is asked of it is answered, even where nothing can be refused."""
    own = "" if whole else "mode = monitor"
    daemon = gate(("mode = monitor\n" if whole else "") +
                  f"limit helo_flood {{ count = messages  per = helo  max = 2  window = 1h  {own} }}")
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    for client in held:
        client.mail()
    line = daemon.wait_line(limit="helo_flood", action="monitor")
    assert (line["count"], line["client"]) == ("2", "127.0.0.3")
    assert all(client.is_served() for client in held)
