"""idle_time: who is silent for too long. (test_slow_body.py has the transfers that only look idle.)

An observer that is silent for longer than those who are judged, and that idle_action = disconnect ends, takes the place
of a pause wherever it can."""
import time

import daemon as daemon_module
from sandbox import wait_until
from smtp import IDLE, enter, enter_proxied, enter_soon, greeted, refused, try_enter

OBSERVED = """log_refusals = yes
    listener {
        peer "127.0.0.0/8" { idle_time = 2s  idle_action = refuse }
        peer "127.0.1.0/24" { idle_time = 5s }
        peer "127.8.0.0/16" { idle_time = 6s  idle_action = disconnect }
    }
    """


def test_idle_sessions_are_refused_at_their_next_command(mta, gate):
    """Whatever it is, and wherever in the session: who never said a word, who is between MAIL and DATA, who pauses
    between messages. Who speaks in time stays, also if it says only NOOP, of which the kernel knows and no filter."""
    daemon = gate(OBSERVED)
    lines = ["MAIL FROM:<a@client.example>", "XYZZY", "RCPT TO:<daemon@test.example>", "DATA"]
    if mta.kind == "postfix":  # Sendmail hangs up without a word when a HELO that is not the first is refused with 421
        lines.append("EHLO again.example")
    idle = {}
    for number, line in enumerate(lines, start=1):
        idle[line] = enter(mta.port, f"127.0.0.{number}")
        if line in lines[2:4]:
            idle[line].mail()
            idle[line].rcpt("root@test.example")
    silent = greeted(mta.port, "127.0.0.9")
    doing_nothing, doing_little = enter(mta.port, "127.0.1.1"), enter(mta.port, "127.0.1.2")
    observer = enter(mta.port, "127.8.0.1")
    while not observer.has_news(0.3):
        doing_nothing.expect("NOOP", "250")
        doing_little.mail()
        doing_little.expect("RSET", "250")
    assert observer.read_to_end() == b"" and observer.was_reset
    for line, client in idle.items():
        client.expect_refusal(line, IDLE)
    silent.expect_refusal(refusal=IDLE)
    doing_nothing.send_message()
    doing_little.send_message()
    for client in (*idle.values(), silent, observer):
        told = daemon.wait_line(limit="idle_time", client=client.source)
        assert told["action"] == "refuse" and int(told["count"]) >= int(told["max"]) >= 1
    assert daemon.totals() == {"idle_time": {"refused": len(lines) + 2}}


def test_disconnect_frees_the_slot_of_a_stuck_session(mta, gate):
    """The kernel ends the connection and the MTA cleans up: the slots are free, without the clients having done
    anything. Who says NOOP keeps its own."""
    daemon = gate("service_sessions = 4\nidle_time = 5s\nidle_action = disconnect")
    lively = enter(mta.port, "127.0.0.9")
    stuck = [greeted(mta.port, "127.0.0.1"), enter(mta.port, "127.0.0.2"), enter(mta.port, "127.0.0.3")]
    stuck[2].mail()
    refused(mta.port, "127.0.0.4")

    def enter_and_keep_alive():
        lively.expect("NOOP", "250")
        return try_enter(mta.port, "127.0.1.1")
    fresh = wait_until(enter_and_keep_alive, "a slot is free", pause=0.3)
    for client in stuck:
        assert client.read_to_end() == b"" and client.was_reset
    lively.expect("NOOP", "250")
    fresh.quit()
    enter_soon(mta.port, "127.0.1.2")
    told = wait_until(lambda: daemon.lines(limit="idle_time"), "it is told")
    assert told[0]["action"] == "refuse" and told[0]["max"] == "5"
    assert daemon.totals()["idle_time"] == {"refused": 3}


def test_who_came_before_idle_time_is_never_idle(mta, gate):
    """Of such a session not every command is heard: it may be in the middle of a message."""
    daemon = gate("service_sessions = 4")
    early = enter(mta.port, "127.0.0.1")
    early.mail()
    early.rcpt("root@test.example")
    early.expect("DATA", "354")
    early.send(b"Subject: slow\r\n")
    daemon.reload("service_sessions = 4\nidle_time = 1s\nidle_action = disconnect")
    for source in ("127.0.0.2", "127.0.0.3"):  # one after the other: each is silent for longer than allowed
        late = enter(mta.port, source)
        assert late.read_to_end() == b"" and late.was_reset
    early.send(b"\r\nhello\r\n.\r\n")
    early.expect(None, "250")
    early.quit()


def test_behind_a_proxy_the_commands_alone_count(postfix, gate):
    """The kernel does not know the connection by the address that the proxy told, so it ends nothing."""
    gate("""idle_action = disconnect
        listener { peer "192.0.2.0/24" { idle_time = 1s } }""")
    idle = [enter_proxied(postfix.port, f"192.0.2.{host}") for host in (1, 2)]
    other = enter_proxied(postfix.port, "2001:db8:9::1")
    time.sleep(3.5)  # the silence itself: nobody is told of it
    for client in idle:
        client.expect_refusal("MAIL FROM:<a@client.example>", IDLE)
    other.send_message()


def test_monitor_ends_nobody(postfix, gate):
    daemon = gate("mode = monitor\n" + OBSERVED)
    clients = [enter(postfix.port, source) for source in ("127.0.0.1", "127.8.0.1")]
    time.sleep(8.5)  # the silence itself, of which nothing is to be seen
    for client in clients:
        client.mail()
        client.quit()
    wait_until(lambda: len(daemon.lines(limit="idle_time", action="monitor")) == 2, "both would have been refused")
    assert daemon.totals() == {"idle_time": {"monitored": 2}}


def test_without_the_capability_the_next_command_is_refused(postfix, gate, monkeypatch, directory):
    """Said at the start, and by each reload, as every warning of the configuration is."""
    program = directory / "tidegated-without-capability"
    program.write_text("#!/bin/sh\nexec setpriv --bounding-set=-net_admin --inh-caps=-net_admin "
                       f'"{daemon_module.BINARY}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(daemon_module, "BINARY", program)
    daemon = gate("idle_time = 1s\nidle_action = disconnect")
    idle = enter(postfix.port, "127.0.0.1")
    assert not idle.has_news(3.5)  # the silence itself
    idle.expect_refusal("MAIL FROM:<a@client.example>", IDLE)
    daemon.reload("idle_time = 2s\nidle_action = disconnect")
    text = (f"{daemon.path}:3: idle_action = disconnect needs CAP_NET_ADMIN at the start, and a kernel with "
            "INET_DIAG_DESTROY; an idle session is refused at its next command instead")
    assert [line["text"] for line in daemon.lines(event="idle_action")] == [text] * 2
