"""The status page in Debian's Chromium, of a daemon beside a real Postfix: what it says is what /status.json says."""
import json
import socket
import time
import urllib.request

import pytest

from browser import Browser
from sandbox import free_port, wait_until
from smtp import CONNECTION_RATE, NETWORKS, enter, greeted, refused

HOSTILE = "<script>x()</script>"


@pytest.fixture(scope="module")
def browser(sandbox):
    browser = Browser(sandbox.dir / "browser")
    yield browser
    browser.close()


@pytest.fixture
def served(gate, directory):
    """served(config) starts a daemon with the HTTP service; served.url is where its pages are."""
    port = free_port()

    def start(config):
        return gate(f'{config}\nhttp {{ listen = "127.0.0.1:{port}" }}\n'
                    f'control {{ socket = "{directory}/control.sock" }}')

    start.url = f"http://127.0.0.1:{port}/"
    start.control = f"{directory}/control.sock"
    return start


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def post(path, page, body):
    """To the control socket; the status line of the answer."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(path)
        control.sendall(f"POST {page} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
                        f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}".encode())
        return control.makefile("rb").readline().decode()


def sampled(url, refused, monitored):
    """/history.json knows of so many refusals, real ones and those of a dry run."""
    limits = fetch(url + "history.json")["limits"]
    return (refused, monitored) == tuple(sum(value or 0 for limit in limits for value in limit[what])
                                         for what in ("refused", "monitored"))


def check_quiet(browser, url):
    """The console is empty, nobody but the daemon was asked for anything, and the policy was never broken."""
    assert browser.complaints() == []
    requests = browser.requests()
    assert url + "status.json" in requests
    assert [request for request in requests if not request.startswith(url)] == []
    assert browser.run("return violations") == []


def lines(browser):
    """What stands below the answer at the top: {title: text}."""
    return browser.run("""return Object.fromEntries(Array.from(document.querySelectorAll("#verdict-text > div"),
        line => [line.querySelector("dt").textContent, line.querySelector("dd").textContent]))""")


# The pointer goes to the right end of a chart, which is now.
POINT = """
    const chart = document.querySelector(arguments[0]);
    const box = chart.getBoundingClientRect();
    chart.dispatchEvent(new PointerEvent("pointermove", {bubbles: true, clientX: box.right - 1, clientY: box.top}));
    return document.getElementById("reading").innerText;"""

LOADED = """service_sessions = 8
    listener { listener_sessions = 6  peer "127.0.1.0/24" { listener_sessions = 2 } }
    listener { daemon_name = "uncapped" }
    limit client_connections { max = 3  window = 1h  ban = 1h }
    limit client_messages { max = 1  window = 1h  mode = monitor }"""


def test_numbers_are_those_of_status_json(postfix, served, browser):
    """Under load, each number on the page; the most telling ones against what the clients have seen."""
    served(LOADED)
    held = [enter(postfix.port, f"127.0.1.{host}") for host in (1, 2)]
    for _ in range(3):
        refused(postfix.port, "127.0.1.3")
    for _ in range(3):
        enter(postfix.port, "127.0.2.1").quit()
    for _ in range(2):
        refused(postfix.port, "127.0.2.1", refusal=CONNECTION_RATE)
    held.append(enter(postfix.port, "127.0.3.1"))
    for _ in range(2):
        held[-1].send_message(sender="a@busy.example")
    assert " 200 " in post(served.control, "/ban", "target=192.0.2.0/24&for=7200")
    wait_until(lambda: sampled(served.url, 5, 1), "the sample of all this is taken", pause=0.1)
    wait_until(lambda: fetch(served.url + "status.json")["bans"]["list"], "the bans are listed", pause=0.1)
    browser.look()
    browser.open(served.url)
    page = browser.page()
    text, rows, status = page["text"], page["rows"], page["status"]

    tiles = {name: text[f"tile-{name}"] for name in ("sessions", "refused", "monitored", "bans")}
    assert tiles == {"sessions": "3", "refused": "5", "monitored": "1", "bans": "2"}
    assert text["note-bans"] == "1 by limits, 1 by an administrator"
    assert text["verdict-title"] == "Refusing now: 5 refusals in the last minute"
    told = lines(browser)
    assert told.pop("Full now").endswith("127.0.1.0/24] 2")
    assert told == {"By limit, last minute": "listener_sessions 3, client_connections 2",
                    "In dry run, last hour": "client_messages 1",
                    "Clients, last hour": "127.0.1.3 3, 127.0.2.1 2"}
    assert "mode = block" in text["mode"]

    cap = {None: "(no cap)"}
    assert [row[:2] for row in rows["scopes"]] == [
        [f"{scope['scope']}|{scope['limit']}",
         f"{scope['sessions']} {cap.get(scope['max'], 'of ' + str(scope['max']))}" +
         ("|full" if scope["sessions"] == scope["max"] else "")] for scope in status["scopes"]]
    assert sorted(row[1] for row in rows["scopes"]) == ["0 (no cap)", "2 of 2|full", "3 of 6", "3 of 8"]
    totals = {limit["limit"]: limit for limit in status["limits"] if limit["refused"] or limit["monitored"]}
    assert {row[0]: (row[1], row[2]) for row in rows["limits"]} == {
        name: (str(limit["refused"]), str(limit["monitored"])) for name, limit in totals.items()}
    assert {name: (limit["refused"], limit["monitored"]) for name, limit in totals.items()} == {
        "listener_sessions": (3, 0), "client_connections": (2, 0), "client_messages": (0, 1)}
    blame = ["refused", "monitored"]
    for kind, columns in (("client", ["connections", "messages", "sessions"]), ("domain", ["messages"])):
        for which, order in (("refused", blame + columns), ("busiest", columns + blame)):
            wanted = [[str(item[field]) for field in (kind, *order)] for item in status[f"{kind}s"][which]]
            assert wanted and rows[f"{kind}s-{which}"] == wanted
    assert [(row[0].split("|")[0], row[4]) for row in rows["bans"]] == [
        (ban["client"] or ban["key"], ban["lift"]) for ban in status["bans"]["list"]]
    assert [row[0] for row in rows["bans"]] == ["192.0.2.0/24|client", "127.0.2.1|client"]
    assert rows["bans"][0][3].startswith("1 h 59 min") and rows["bans"][1][3].startswith("59 min")
    facts = text["facts"]
    assert f"{status['table']['keys']} of {status['table']['room']:,}" in facts
    assert f"0 of {status['waiting']['max']}" in facts and f"mail {status['events']['mail']}, " in facts
    assert f"{status['latency']['count']} events since the start" in facts

    assert len(page["charts"]) == len(page["history"]["scopes"]) + len(totals)
    assert any("now 2, at most 2, cap 2" in chart for chart in page["charts"])
    assert "listener_sessions: refusals a minute in the last hour, 3 at most" in page["charts"]
    assert browser.run(POINT, "#scopes svg").endswith(": 3 sessions")
    assert browser.run(POINT, "#limits svg").endswith(", one minute: 3 refused, 0 in dry run")
    check_quiet(browser, served.url)

    held.pop().quit()  # and it is live
    browser.wait("return document.getElementById('tile-sessions').textContent === '2'")
    assert browser.page()["status"]["sessions"]["open"] == 2


def test_idle_page_says_so(served, browser):
    served("service_sessions = 8")
    browser.look()
    browser.open(served.url)
    page = browser.page()
    assert page["text"]["verdict-title"] == "Nobody was refused in the last hour"
    assert page["text"]["tile-refused"] == page["text"]["tile-bans"] == "0"
    assert [table for table, rows in page["rows"].items() if rows] == ["scopes"]
    seen = browser.run("return Array.from(document.querySelectorAll('.empty:not([hidden])'), node => node.innerText)")
    assert len(seen) == 6 and "Nobody is banned." in seen
    check_quiet(browser, served.url)


# What no daemon of today sends, but somebody might make it send one day.
SPOIL = """
    const nasty = "<img src=x onerror=window.harmed=1>\\u202e\\n\\u0000" + "\\u05d0".repeat(9) + "a".repeat(220);
    window.spoil = (path, answer) => {
        if (path === "/history.json") {
            answer.end = Date.now() / 1000;
            answer.scopes = [{scope: nasty, max: 9, sessions: Array(360).fill(3).fill(null, 60, 90)}];
            answer.limits = [{limit: nasty, refused: Array(360).fill(1), monitored: Array(360).fill(2),
                              refused_before: 360, monitored_before: 720}];
            return;
        }
        answer.scopes[0].scope = answer.domains.busiest[0].domain = answer.clients.refused[0].client = nasty;
        answer.clients.evicted = 3616;
        answer.bans.list[0].lift = answer.file = answer.version = nasty;
        answer.bans.list[0].scope = answer.limits.find(limit => limit.refused).limit = nasty;
    };
"""
# A daemon of two hours, whose last sample is some seconds old: 400 refusals were in samples of long ago, 7 came since.
OLD = """
    window.spoil = (path, answer) => {
        if (path === "/history.json") {
            answer.end = Date.now() / 1000 - 8;
            answer.limits = [{limit: "client_sessions", refused: Array(360).fill(0), monitored: Array(360).fill(0),
                              refused_before: 400, monitored_before: 0}];
            return;
        }
        answer.started = answer.now - 7200;
        answer.limits.find(limit => limit.limit === "client_sessions").refused = 407;
        answer.limits.find(limit => limit.limit === "client_connections").refused = 5;
    };
"""
# The same daemon: what refused most an hour ago is another limit than those that refuse now, which are five.
OTHERS = """
    const past = {client_sessions: 32000, client_networks: 900, helo_networks: 800, sender_messages: 700};
    const now = {client_connections: 50, client_messages: 40, client_recipients: 30, client_errors: 20,
                 domain_networks: 10};
    window.spoil = (path, answer) => {
        if (path === "/history.json") {
            answer.end = Date.now() / 1000 - 8;
            answer.limits = Object.entries(past).map(([limit, refused]) => ({limit,
                refused: [refused, ...Array(359).fill(0)], refused_before: refused,
                monitored: Array(360).fill(0), monitored_before: 0}));
            return;
        }
        answer.started = answer.now - 7200;
        answer.limits = Object.entries({...past, ...now}).map(([limit, refused]) => ({limit, refused,
            monitored: 0, scored: 0, untracked: 0, bans: 0}));
        answer.clients.refused = Array.from({length: 10}, (_, place) => ({client: `192.0.2.${place}`,
            refused: 90 - place, monitored: 0, connections: 0, messages: 0, sessions: 0}));
        answer.domains.refused = [{domain: "a.example", refused: 2, monitored: 0, messages: 0}];
    };
"""
OVERFLOW = "return [document.documentElement.scrollWidth, innerWidth]"
COLOURS = """return ["body", "section", "#verdict-title", ".hint"].map(name => {
    const style = getComputedStyle(document.querySelector(name));
    return style.color + style.backgroundColor; }).concat(getComputedStyle(document.documentElement).backgroundColor)"""


def test_hostile_names_many_scopes_small_window_dark(postfix, served, browser):
    """Names are text, whatever they hold, and neither they nor 200 scopes make the page wider than a phone."""
    peers = "".join(f'peer "10.{number}.0.0/16" {{ listener_sessions = 5 }}\n' for number in range(199))
    served(f"service_sessions = 9\nlimit helo_networks {{ max = 1  window = 1h  ban = 1h }}\nlistener {{ {peers} }}")
    client = greeted(postfix.port, "127.1.0.1")
    client.expect(f"EHLO {HOSTILE}", "250")
    client.mail("a@busy.example")
    greeted(postfix.port, "127.2.0.1").expect_refusal(f"EHLO {HOSTILE}", NETWORKS)
    wait_until(lambda: fetch(served.url + "status.json")["bans"]["list"], "the ban is listed", pause=0.1)
    browser.look(360)
    browser.open(served.url)
    page = browser.page()
    assert page["rows"]["bans"][0][0] == f"{page['status']['bans']['list'][0]['key']}|helo"
    assert HOSTILE in page["rows"]["bans"][0][0]
    check_quiet(browser, served.url)

    browser.open(served.url, SPOIL)
    browser.wait("return document.getElementById('scopes').textContent.includes('<img src=x')")
    browser.run("document.getElementById('scopes-more').click()")
    page = browser.page()
    shown = "<img src=x onerror=window.harmed=1>\\u{202e}\\u{a}\\u{0}" + "\u05d0" * 9 + "a" * 220
    rows = page["rows"]
    assert len(rows["scopes"]) == 200
    assert rows["scopes"][0][0] == f"{shown}|service_sessions"
    assert rows["domains-busiest"][0][0] == rows["clients-refused"][0][0] == rows["limits"][0][0] == shown
    assert page["text"]["clients-evicted"] == "Room for 16,384, the busiest stay: 3,616 evicted since the start."
    assert page["text"]["domains-evicted"] == ""
    assert rows["bans"][0][1] == f"helo_networks|{shown}" and rows["bans"][0][4] == shown
    assert page["charts"] == [f"{shown}: sessions over the last hour, now 1, at most 3, cap 9",
                              f"{shown}: refusals a minute in the last hour, 18 at most"]
    assert browser.run("return [document.images.length, document.scripts.length, window.harmed || 0]") == [0, 1, 0]
    wide, window = browser.run(OVERFLOW)
    assert (wide, window) == (360, 360)
    light = browser.run(COLOURS)
    browser.look(360, dark=True)
    dark = browser.run(COLOURS)
    assert all(one != other for one, other in zip(light, dark)), (light, dark)
    browser.look(1200)
    wide, window = browser.run(OVERFLOW)
    assert wide <= window == 1200
    check_quiet(browser, served.url)

    # The witness does see what it is there for: markup that somebody brings in does not run, and is told of.
    browser.run("const node = document.createElement('div'); document.body.append(node);"
                "node.innerHTML = '<img src=\"http://192.0.2.1/\" onerror=\"window.harmed = 1\">'")
    browser.wait("return violations.length >= 2")
    assert browser.run("return window.harmed || 0") == 0 and browser.complaints()


def test_what_came_since_the_last_sample(served, browser):
    """It counts, also of a limit that had refused nobody before."""
    served("service_sessions = 8")
    browser.look()
    browser.open(served.url, OLD)
    browser.wait("return document.getElementById('tile-refused').textContent === '12'")
    page = browser.page()
    assert page["text"]["verdict-title"] == "Refusing now: 12 refusals in the last minute"
    assert lines(browser)["By limit, last minute"] == "client_sessions 7, client_connections 5"


def test_what_refuses_now_is_named(served, browser):
    """Not what refused most in the hour; and each line says which time it is about."""
    served("service_sessions = 8")
    browser.look()
    browser.open(served.url, OTHERS)
    browser.wait("return document.getElementById('tile-refused').textContent === '34,550'")
    assert browser.page()["text"]["verdict-title"] == "Refusing now: 150 refusals in the last minute"
    assert lines(browser) == {
        "By limit, last minute": "client_connections 50, client_messages 40, client_recipients 30 and 2 more",
        "Clients, last hour": "192.0.2.0 90, 192.0.2.1 89, 192.0.2.2 88 and more",
        "Domains, last hour": "a.example 2"}
    # Nobody is refused any more: then it is the hour's that are told.
    browser.open(served.url, OTHERS.replace("...past, ...now", "...past"))
    browser.wait("return document.getElementById('tile-refused').textContent === '34,400'")
    assert browser.page()["text"]["verdict-title"] == "34,400 refusals in the last hour, none in the last minute"
    assert lines(browser)["By limit, last hour"] == (
        "client_sessions 32,000, client_networks 900, helo_networks 800 and 1 more")
    check_quiet(browser, served.url)


def test_daemon_gone_and_back(served, browser):
    """A banner says so, and since when; it goes away when a daemon is there again, here one that only watches."""
    daemon = served("service_sessions = 8")
    browser.look()
    browser.open(served.url)
    assert browser.page()["text"]["banner"] == ""
    daemon.kill()
    browser.wait("return document.getElementById('banner').textContent")
    said, title = browser.run("return [document.getElementById('banner').innerText, document.title]")
    assert browser.page()["text"]["verdict-title"] == "Whether mail is refused now is not known"
    assert said.startswith("tidegated does not answer. What you see is what it said at ") and "not reachable" in title
    assert browser.run("return getComputedStyle(document.getElementById('main')).filter") != "none"
    daemon.expects_no_sessions = False
    served("service_sessions = 7\nmode = monitor")
    browser.wait("return document.getElementById('banner').textContent === ''")
    page = browser.page()
    assert page["text"]["verdict-title"] == "Dry run: nobody is refused, 0 would have been in the last hour"
    assert "Dry run" in page["text"]["mode"] and page["rows"]["scopes"][0][1] == "0 of 7"
    assert " 200 " in post(served.control, "/ban", "target=192.0.2.0/24&for=7200")
    browser.wait("return document.querySelector('#bans tbody tr') !== null")
    text = browser.page()["text"]
    assert text["tile-bans"] == "0"  # it keeps nobody out
    assert text["note-bans"] == "0 by limits, 0 by an administrator; 1 in dry run, let through"
    assert all("net::ERR_" in complaint for complaint in browser.complaints())


def test_nobody_looks(served, browser):
    """A page in the background asks nothing, and at once when it is looked at again."""
    served("service_sessions = 8")
    browser.look()
    browser.open(served.url, "Object.defineProperty(document, 'hidden', {get: () => window.away || false});")
    turn = "window.away = arguments[0]; document.dispatchEvent(new Event('visibilitychange')); return asked"
    before = browser.run(turn, True)
    time.sleep(2.5)  # the silence itself
    assert browser.run("return asked") == before
    assert browser.run(turn, False) == before + 2  # both pages
