"""Metrics, status and lists against what clients have seen, and what is made for Prometheus and Grafana with it."""
import collections
import contextlib
import http.client
import json
import pathlib
import re
import socket
import subprocess

import pytest

from policyside import Asker, door
from sandbox import DEADLINE, free_port, wait_until
from smtp import CONNECTION_RATE, DENIED, MESSAGE_RATE, enter, fill, refused
from toolside import tidegate

CONTRIB = pathlib.Path(__file__).resolve().parents[2] / "contrib"
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')


class Control(http.client.HTTPConnection):
    """The daemon's control socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))

    def get(self, page):
        self.request("GET", page)
        answer = self.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body

    def json(self, page):
        return json.loads(self.get(page))

    def metrics(self):
        """{(name, labels): value}, labels as they are written."""
        found = {}
        for line in self.get("/metrics").decode().splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert (name, labels or "") not in found, line
            found[name, labels or ""] = float(value)
        return found


@pytest.fixture
def watched(gate, directory):
    """watched(config) starts the daemon with a control socket; returns both."""
    opened = []

    def start(config):
        daemon = gate(f'control {{ socket = "{directory}/control" }}\n{config}')
        opened.append(Control(directory / "control"))
        return daemon, opened[-1]

    yield start
    for control in opened:
        control.close()


def sessions_of(control, scope="service"):
    return control.metrics()["tidegate_scope_sessions", f'scope="{scope}"']


def verdicts(control, action):
    """By limit, those that are not 0."""
    return {labels.split('"')[1]: value for (name, labels), value in control.metrics().items()
            if name == "tidegate_verdicts_total" and f'action="{action}"' in labels and value > 0}


def promtool(*arguments, **options):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE,
                          check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_sessions_and_refusals_as_clients_saw_them(mta, watched):
    _, control = watched(f"""service_sessions = 6
        limit client_sessions {{ max = 2 }}
        limit client_recipients {{ max = 100  window = 1h }}
        listener {{ listen ":{mta.port}" {{ listener_sessions = 5 }} }}""")
    listen = f"listener[:{mta.port}]/listen[:{mta.port}]"
    held = fill(mta.port, ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"])
    assert sessions_of(control) == sessions_of(control, listen) == 5
    refused(mta.port, "127.0.0.1")
    for number in range(3):
        refused(mta.port, f"127.0.1.{number + 1}")
    assert verdicts(control, "refuse") == {"client_sessions": 1, "listener_sessions": 3}
    assert verdicts(control, "monitor") == {}
    held[0].send_message()
    held[0].send_message("root@test.example", "root@test.example")
    metrics, status = control.metrics(), control.json("/status.json")
    assert metrics["tidegate_events_total", 'event="connect"'] == status["events"]["connect"] == 9
    assert metrics["tidegate_events_total", 'event="mail"'] == status["events"]["mail"] == 2
    assert metrics["tidegate_events_total", 'event="rcpt"'] == status["events"]["rcpt"] == 3
    assert metrics["tidegate_scope_sessions_max", f'scope="{listen}"'] == 5
    assert ("tidegate_scope_sessions_max", 'scope="pathway"') not in metrics
    assert metrics["tidegate_event_seconds_count", ""] >= 9 + 5 + 2 + 3  # HELOs of those that were let in, too
    assert {scope["scope"]: (scope["sessions"], scope["max"]) for scope in status["scopes"] if scope["max"]} == \
        {"service": (5, 6), listen: (5, 5)}
    assert {limit["limit"]: limit["refused"] for limit in status["limits"] if limit["refused"]} == \
        {"client_sessions": 1, "listener_sessions": 3}
    for client in held:
        client.quit()
    wait_until(lambda: sessions_of(control) == 0, "every session has ended")


def test_clients_and_domains_as_they_were(mta, watched):
    _, control = watched("limit client_messages { max = 3  window = 1h }")
    client = enter(mta.port, "127.7.0.1")
    for _ in range(3):
        client.send_message(sender="a@one.example")
    client.expect_refusal("MAIL FROM:<a@two.example>", MESSAGE_RATE)
    held = fill(mta.port, ["127.7.0.2"] * 2)
    held[0].send_message(sender="b@one.example")
    held[0].send_message(sender="")
    wait_until(lambda: control.json("/clients?sort=sessions")["clients"][-1]["sessions"] == 0, "the first has left")
    clients = control.json("/clients?sort=messages")
    assert clients == {"clients": [
        {"client": "127.7.0.1", "sessions": 0, "connections": 1, "messages": 4, "refused": 1, "monitored": 0},
        {"client": "127.7.0.2", "sessions": 2, "connections": 2, "messages": 2, "refused": 0, "monitored": 0}],
        "left_out": 0, "room": 16384, "evicted": 0, "untracked": 0}
    assert control.json("/domains") == {"domains": [
        {"domain": "one.example", "messages": 4, "refused": 0, "monitored": 0},
        {"domain": "two.example", "messages": 1, "refused": 1, "monitored": 0}],
        "left_out": 0, "room": 4096, "evicted": 0, "untracked": 0}
    assert control.json("/clients?n=1")["left_out"] == 1
    status = control.json("/status.json")
    assert [client["client"] for client in status["clients"]["refused"]] == ["127.7.0.1"]
    assert [domain["domain"] for domain in status["domains"]["busiest"]] == ["one.example", "two.example"]


def test_the_most_refused_stay_in_the_lists_while_a_crowd_comes(watched, directory):
    """More clients and domains than there is room for, each once: how many had to go is said wherever some are."""
    port = free_port()
    daemon, control = watched(door(f"inet:{port}@127.0.0.1", sessions="none") + 'deny { clients = { "198.51.100.1" } }')
    asker = Asker(("127.0.0.1", port))

    def ask(count, **names):
        asker.send(b"".join(
            "".join(f"{name}={value.format(number, number >> 8, number & 255)}\n" for name, value in names.items())
            .encode("ascii") + b"\n" for number in range(count)))
        return {asker.action() for _ in range(count)}
    said = {"request": "smtpd_access_policy", "protocol_state": "RCPT", "instance": "{0}",
            "recipient": "a@test.example"}
    denial = DENIED.decode("ascii").strip()
    assert ask(200, **said, client_address="198.51.100.1", sender="a@client.example") == {denial}
    for network in range(100):
        assert ask(200, **said, client_address=f"10.{network}.{{1}}.{{2}}", sender=f"a@d{network}-{{0}}.example") == \
            {"DUNNO"}
    asker.close()
    clients, domains, metrics = control.json("/clients?sort=refused"), control.json("/domains"), control.metrics()
    assert (clients["clients"][0]["client"], clients["clients"][0]["refused"]) == ("198.51.100.1", 200)
    status = control.json("/status.json")
    assert status["clients"]["refused"] == [clients["clients"][0]]
    for kind, page, room, came in (("clients", clients, 16384, 20001), ("domains", domains, 4096, 20000)):
        for answer in (page, status[kind]):
            assert (answer["room"], answer["evicted"], answer["untracked"]) == (room, came - room, 0)
        assert page["left_out"] + len(page[kind]) == room
        assert metrics["tidegate_activity_evicted_total", f'of="{kind}"'] == came - room
        assert metrics["tidegate_activity_untracked_total", f'of="{kind}"'] == 0
        result = tidegate("-c", daemon.path, kind, "-n", "1")
        assert result.stdout.splitlines()[-2:] == [
            f"... and {room - 1} more (-n N shows more)",
            f"... there is room for {room}, and the busiest stay: {came - room} evicted since the start, 0 found no "
            "room"]


def test_clients_and_domains_without_any_limit(mta, gate):
    """Nothing is to be refused, and nobody can ban anybody: senders are heard all the same, for people to see."""
    port = free_port()
    gate(f'http {{ listen = "127.0.0.1:{port}" }}')
    enter(mta.port, "127.7.0.1").send_message(sender="a@one.example")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as connection:
        connection.request("GET", "/status.json")
        status = json.load(connection.getresponse())
    assert status["domains"]["busiest"] == [{"domain": "one.example", "messages": 1, "refused": 0, "monitored": 0}]
    assert status["clients"]["busiest"] == [{"client": "127.7.0.1", "sessions": 1, "connections": 1, "messages": 1,
                                             "refused": 0, "monitored": 0}]


def test_a_dry_run_is_seen_as_one(mta, watched, directory):
    config = "service_sessions = 2\n"
    daemon, control = watched("mode = monitor\n" + config)
    fill(mta.port, ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"])
    assert control.metrics()["tidegate_monitor_mode", ""] == 1
    assert control.json("/status.json")["mode"] == "monitor"
    assert verdicts(control, "refuse") == {}
    assert verdicts(control, "monitor") == {"service_sessions": 2}
    assert {client["client"]: client["monitored"] for client in control.json("/clients?sort=monitored")["clients"]} == \
        {"127.0.0.1": 0, "127.0.0.2": 0, "127.0.0.3": 1, "127.0.0.4": 1}
    daemon.reload(f'control {{ socket = "{directory}/control" }}\n{config}')
    refused(mta.port, "127.0.0.5")
    assert control.metrics()["tidegate_monitor_mode", ""] == 0
    assert verdicts(control, "refuse") == {"service_sessions": 1}


def test_bans_that_keep_nobody_out(postfix, watched, directory):
    """They are counted apart from those in force; with mode = monitor that is each."""
    config = """limit client_connections { max = 1  window = 1h  ban = 1h  except = { "127.7.0.3" } }
                limit few { count = connections  per = client  max = 1  window = 1h  ban = 1h  mode = monitor
                            except = { "127.7.0.1", "127.7.0.2" } }\n"""
    daemon, control = watched(config)
    for client in ("127.7.0.1", "127.7.0.2"):
        enter(postfix.port, client).quit()
        refused(postfix.port, client, refusal=CONNECTION_RATE)
    for _ in range(2):
        enter(postfix.port, "127.7.0.3").quit()

    def bans():
        page, status = control.metrics(), control.json("/status.json")["bans"]
        return [(page[f"tidegate_bans{apart}", 'by="limit"'], status[f"limits{apart}"]) for apart in ("", "_monitored")]

    assert bans() == [(2, 2), (1, 1)]
    daemon.reload(f'control {{ socket = "{directory}/control" }}\n{config}mode = monitor\n')
    assert bans() == [(0, 0), (3, 3)]


def test_no_counter_falls_over_a_reload(postfix, watched, directory):
    """What each limit has done goes on, whatever its place in the file; one that is not there any more says nothing."""
    mine = "limit mine { count = connections  per = client  max = 1  window = 1h }\n"
    others = "limit client_errors { max = 1  window = 1h }\nlimit client_messages { max = 1  window = 1h }\n"
    daemon, control = watched(mine + others)
    for number, config in enumerate([others + mine, "service_sessions = 500\n" + mine + others, mine]):
        enter(postfix.port, f"127.9.0.{number}").quit()
        refused(postfix.port, f"127.9.0.{number}", refusal=CONNECTION_RATE)
        before = control.metrics()
        assert verdicts(control, "refuse") == {"mine": number + 1}
        daemon.reload(f'control {{ socket = "{directory}/control" }}\n{config}')
        after = control.metrics()
        assert after["tidegate_start_time_seconds", ""] == before["tidegate_start_time_seconds", ""]
        assert after["tidegate_reload_time_seconds", ""] > before["tidegate_reload_time_seconds", ""]
        counted = {key for key in before if key[0].endswith(("_total", "_count", "_sum", "_bucket"))}
        assert not {key: (before[key], after[key]) for key in counted & set(after) if after[key] < before[key]}
        gone = {key[1].split('"')[1] for key in counted - set(after)}
        assert gone <= ({"client_errors", "client_messages"} if config == mine else set())
    assert verdicts(control, "refuse") == {"mine": 3}


def test_history_has_what_was_open(postfix, watched):
    """The first sample comes within HISTORY_INTERVAL_S."""
    _, control = watched("service_sessions = 4")
    held = fill(postfix.port, ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"])
    refused(postfix.port, "127.0.0.5")

    def sampled():
        history = control.json("/history.json")
        return history if sum(sum(limit["refused"]) for limit in history["limits"]) == 1 else None
    history = wait_until(sampled, "a sample with the refusal", pause=0.2)
    assert history["interval"] == 10
    (scope,), (limit,) = history["scopes"], history["limits"]
    assert (scope["scope"], scope["max"], scope["sessions"][-1]) == ("service", 4, 4)
    assert (limit["limit"], limit["refused"][-1], limit["monitored"][-1]) == ("service_sessions", 1, 0)
    assert (limit["refused_before"], limit["monitored_before"]) == (1, 0)
    assert abs(history["end"] - control.json("/status.json")["now"]) < DEADLINE
    assert all(client.is_served() for client in held)


def test_promtool_has_nothing_to_say(postfix, watched):
    _, control = watched("""service_sessions = 1
        pathway_group "a:b" { pathway "c@d/e+f_g-h.i" { listener_sessions = 5 } }
        listener { pathway = "c@d/e+f_g-h.i"  peer "127.0.0.0/8" { } }""")
    enter(postfix.port, "127.0.0.1")
    refused(postfix.port, "127.0.0.2")
    page = control.get("/metrics")
    assert promtool("check", "metrics", input=page.decode()) == ""
    assert sessions_of(control, "pathway[c@d/e+f_g-h.i]") == sessions_of(control, "pathway_group[a:b]") == 1


def test_what_is_made_for_prometheus_and_grafana(postfix, watched, directory):
    """Every metric that the rules and the dashboard name is there, with the labels that they ask for."""
    rules, dashboard = CONTRIB / "prometheus/tidegate.rules.yml", CONTRIB / "grafana/tidegate.json"
    promtool("check", "rules", rules)
    promtool("test", "rules", CONTRIB / "prometheus/tidegate.rules.test.yml")
    _, control = watched("service_sessions = 5")
    enter(postfix.port)
    served = collections.defaultdict(set)
    for name, labels in control.metrics():
        served[name].update(re.findall(r"([a-z_]+)=", labels))
    panels = json.loads(dashboard.read_text())
    panel_texts = [target["expr"] for panel in panels["panels"] for target in panel["targets"]] + \
        [note["expr"] for note in panels["annotations"]["list"]]
    texts = [line for line in rules.read_text().splitlines() if "tidegate_" in line] + panel_texts
    named = {name for text in texts for name in re.findall(r"\btidegate_[a-z_]+", text)}
    assert len(named) > 20
    assert named - {"tidegate_build_info"} <= set(served), named - set(served)
    for text in texts:
        for name, selector in re.findall(r"\b(tidegate_[a-z_]+)\{([^}]*)\}", text):
            assert set(re.findall(r"([a-z_]+)!?=", selector)) <= served[name] | {"instance"}, text
        for label in re.findall(r"\bby \(([a-z_, ]*)\)", text):
            known = set().union(*(served[name] for name in re.findall(r"\btidegate_[a-z_]+", text)))
            assert set(label.split(", ")) <= known | {"instance"}, text
    # Each is an expression that Prometheus can read.
    rules = [{"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "5m")}
             for number, text in enumerate(panel_texts)]
    (directory / "panels.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", directory / "panels.yml")
    assert panels["templating"]["list"][0]["type"] == "datasource"
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels["panels"])
