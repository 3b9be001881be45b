"""Bans over the control socket, as an administrator's own script speaks to it."""
import json
import os
import subprocess

import pytest

from sandbox import DEADLINE
from smtp import CONNECTION_RATE, DENIED, MESSAGE_RATE, Client, enter, refused


class Control:
    """The control socket, by curl."""

    def __init__(self, directory):
        self.path = directory / "control.sock"
        self.section = f'control {{ socket = "{self.path}" }}\n'

    def ask(self, page, post=None, status=200):
        """The answer of a page; post is what a POST says."""
        command = ["curl", "-sS", "--max-time", str(DEADLINE), "--unix-socket", str(self.path), "-w", "\n%{http_code}"]
        command += [] if post is None else ["-X", "POST"]
        for name, value in (post or {}).items():
            command += ["--data-urlencode", f"{name}={value}"]
        done = subprocess.run([*command, f"http://localhost{page}"], capture_output=True, text=True, check=True)
        text, code = done.stdout.rsplit("\n", 1)
        assert int(code) == status, done.stdout
        return json.loads(text)

    def bans(self):
        return self.ask("/bans")["bans"]

    def ban(self, target, seconds=None):
        return self.ask("/ban", {"target": target} | ({"for": seconds} if seconds else {}))

    def unban(self, **what):
        return self.ask("/unban", what)["lifted"]


@pytest.fixture
def control(directory):
    return Control(directory)


def test_an_address_is_out_and_in_again(mta, gate, control):
    daemon = gate(control.section)
    held = enter(mta.port, "127.7.0.1")
    since = daemon.mark()
    assert control.ban("127.7.0.0/16", 7200) == {"target": "127.7.0.0/16", "for": 7200, "changed": False,
                                                 "action": "refuse", "monitored": False}
    daemon.wait_line(since, event="ban", target="127.7.0.0/16", length="7200.0s")
    assert daemon.lines(since, event="asked", path="/ban", uid=os.getuid())
    refused(mta.port, "127.7.9.9", refusal=DENIED)
    daemon.wait_line(since, limit="ban", client="127.7.0.0/16", addr="127.7.9.9", action="refuse")
    held.send_message()  # who is in stays in
    enter(mta.port, "127.8.0.1")
    (ban,) = control.bans()
    assert ban.pop("since") >= 0 and 7100 < ban.pop("left") <= 7200
    assert ban == {"client": "127.7.0.0/16", "key": None, "per": "client", "limit": "ban", "scope": "service",
                   "action": "refuse", "lift": "tidegate unban 127.7.0.0/16"}
    daemon.reload(control.section + "service_sessions = 100")
    refused(mta.port, "127.7.9.9", refusal=DENIED)
    assert control.unban(target="127.7.0.0/16") == 1
    daemon.wait_line(since, event="unban", target="127.7.0.0/16", lifted=1)
    enter(mta.port, "127.7.9.9")
    assert control.bans() == []
    assert control.unban(target="127.7.0.0/16") == 0


def test_a_domain_is_refused_at_mail(mta, gate, control):
    """Without any limit the daemon hears of MAIL all the same, as somebody may ban at any time."""
    gate(control.section)
    before = enter(mta.port)
    control.ban("spam.example")
    for client in (before, enter(mta.port)):
        client.expect_refusal("MAIL FROM:<x@mail.Spam.Example>", DENIED)
    enter(mta.port).mail("x@notspam.example")
    assert [(ban["key"], ban["client"]) for ban in control.bans()] == [("spam.example", None)]
    assert control.unban(target="SPAM.example") == 1
    enter(mta.port).mail("x@spam.example")


def test_a_domain_is_lifted_with_its_subdomains(mta, gate, control):
    """Where an administrator has banned them; a limit counts each name by itself."""
    gate(control.section + """limit domain_messages { count = messages  per = sender_domain  max = 1  window = 1h
                                                      ban = 1h }""")
    client = enter(mta.port)
    client.send_message(sender="x@a.spam.example")
    client.expect_refusal("MAIL FROM:<x@a.spam.example>", MESSAGE_RATE)
    control.ban("b.spam.example")
    control.ban("c.b.spam.example")
    assert control.unban(target="spam.example") == 2
    assert [(ban["key"], ban["limit"]) for ban in control.bans()] == [("a.spam.example", "domain_messages")]
    assert control.unban(target="a.spam.example") == 1


def test_a_limits_ban_is_listed_and_lifted(mta, gate, control):
    config = control.section + "limit client_connections { max = 2  window = 1h  ban = 2h }"
    daemon = gate(config)
    for _ in range(2):
        enter(mta.port, "127.7.0.1").quit()
    refused(mta.port, "127.7.0.1", refusal=CONNECTION_RATE)
    daemon.reload(config)
    refused(mta.port, "127.7.0.1", refusal=CONNECTION_RATE)
    (ban,) = control.bans()
    assert (ban["client"], ban["limit"], ban["lift"]) == ("127.7.0.1", "client_connections",
                                                          "tidegate unban 127.7.0.1")
    assert 7100 < ban["left"] <= 7201
    assert control.unban(limit="client_connections", since=3600) == 1
    for _ in range(2):  # at once, and as often as before
        enter(mta.port, "127.7.0.1").quit()
    refused(mta.port, "127.7.0.1", refusal=CONNECTION_RATE)
    assert control.unban(target="127.7.0.0/24") == 1
    enter(mta.port, "127.7.0.1")


def test_a_name_that_a_client_chose(postfix, gate, control):
    """Whatever it is, the list is JSON, and the command beside it lifts the ban."""
    gate(control.section + """limit helo_messages { count = messages  per = helo  max = 1  window = 1h  ban = 1h
                                                    mode = block }""")
    name = "a'b\"$(x);[<i>"
    client = Client(postfix.port)
    client.expect(None, "220")
    client.expect(f"HELO {name}", "250")
    client.send_message()
    client.expect_refusal("MAIL FROM:<a@client.example>", MESSAGE_RATE)
    (ban,) = control.bans()
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {ban['lift']}"], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    assert words == ["tidegate", "unban", ban["key"]]
    assert control.unban(target=ban["key"]) == 1
    assert control.bans() == []


def test_the_exempt_list_against_a_ban(mta, gate, control):
    """The longest prefix wins, on a tie the ban."""
    gate(control.section + 'exempt { clients = { "127.7.0.0/16", "127.7.7.7" } }')
    control.ban("127.0.0.0/8")
    enter(mta.port, "127.7.0.1")
    refused(mta.port, "127.8.0.1", refusal=DENIED)
    control.ban("127.7.0.0/16")
    refused(mta.port, "127.7.0.1", refusal=DENIED)
    enter(mta.port, "127.7.7.7")


def test_a_dry_run(postfix, gate, control):
    daemon = gate(control.section + "mode = monitor")
    control.ban("127.7.0.0/16")
    assert [ban["action"] for ban in control.bans()] == ["monitor"]
    since = daemon.mark()
    enter(postfix.port, "127.7.0.1")
    daemon.wait_line(since, limit="ban", action="monitor")


def test_a_ban_of_a_dry_run_ends_with_it(postfix, gate, control):
    """Who ends the dry run is told so; a ban from before it refuses again."""
    daemon = gate(control.section)
    assert not control.ban("127.9.0.0/16")["monitored"]
    daemon.reload(control.section + "mode = monitor")
    assert control.ban("127.7.0.0/16")["monitored"]
    enter(postfix.port, "127.9.0.1")
    daemon.reload(control.section + "mode = monitor\nservice_sessions = 9")
    assert {ban["client"]: ban["action"] for ban in control.bans()} == {"127.7.0.0/16": "monitor",
                                                                        "127.9.0.0/16": "monitor"}
    daemon.write(control.section)
    (said,) = control.ask("/reload", {})["messages"]
    assert said == "warning: the bans that were imposed in the dry run (1) end with it; ban again whoever is to stay out"
    assert {ban["client"]: ban["action"] for ban in control.bans()} == {"127.9.0.0/16": "refuse"}
    enter(postfix.port, "127.7.0.1")
    refused(postfix.port, "127.9.0.1", refusal=DENIED)
    again = control.ban("127.7.0.0/16")
    assert (again["changed"], again["action"], again["monitored"]) == (False, "refuse", False)
    refused(postfix.port, "127.7.0.1", refusal=DENIED)


def test_mistakes_change_nothing(postfix, gate, control):
    gate(control.section)
    for page, post, words in (("/ban", {"target": "127.0.0.1/8"}, "127.0.0.0/8"),
                              ("/ban", {"target": "127.0.0"}, "neither"),
                              ("/ban", {"target": "127.0.0.1", "for": "2h"}, "for is"),
                              ("/ban", {"target": "127.0.0.1", "until": "5"}, "until"),
                              ("/unban", {"since": "60"}, "nothing says"),
                              ("/unban", {"limit": "no_such"}, "no_such")):
        assert words in control.ask(page, post, 400)["error"]
    assert control.bans() == []
    enter(postfix.port)
