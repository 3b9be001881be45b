"""What the filter asks the MTA for under which configuration, and what follows from it."""

import pytest

from rawmta import (ACCEPT, ADDHDRS, ALL_STEPS, CONTINUE, NO_REPLY, NOBODY, NOCONNECT, NODATA, NOEOH, NOHDRS, NOHELO,
                    NOMAIL, NORCPT, NOUNKNOWN, RCPT_REJ, SETSYMLIST)

# Each step: the flag that leaves it out.
STEPS = {"helo": NOHELO, "mail": NOMAIL, "rcpt": NORCPT, "data": NODATA, "unknown": NOUNKNOWN}

CAP = "service_sessions = 1\n"
CONTROL = 'control { socket = "FOLDER/control.sock" }\n'
SCORE = "limit client_connections { max = 1  window = 1h  mode = score  points = 5 }\n"

# Configuration, the steps that it needs, more flags, the actions.
CONFIGURATIONS = {
    "nothing": ("", "", 0, 0),
    "cap": (CAP, "helo mail unknown", 0, 0),
    "client_connections": ("limit client_connections { max = 9 }", "helo mail unknown", 0, 0),
    "message_recipients": ("limit message_recipients { max = 9 }", "helo mail rcpt unknown", 0, 0),
    "recipient_messages": ("limit recipient_messages { max = 9 }", "helo mail rcpt unknown", 0, 0),
    "client_recipients": ("limit client_recipients { max = 9 }", "helo mail rcpt data unknown", RCPT_REJ, 0),
    "session_errors": ("limit session_errors { max = 20 }", "helo mail rcpt data unknown", RCPT_REJ, ADDHDRS),
    "idle_time": ("idle_time = 60s", "helo mail rcpt data unknown", 0, ADDHDRS),
    "reputation": (CAP + "reputation { half_life = 7d }", "helo mail rcpt data unknown", RCPT_REJ, ADDHDRS),
    # Who has a control socket may ban a domain at any moment.
    "control": (CONTROL, "helo mail unknown", 0, 0),
    "control, monitor": (CONTROL + "mode = monitor\n" + CAP, "mail", 0, 0),
    "exempt": ('exempt { clients = { "192.0.2.0/24" } }', "", 0, 0),
    "deny": ('deny { clients = { "192.0.2.0/24" } }', "helo mail unknown", 0, 0),
    "monitor": ("mode = monitor\n" + CAP, "", 0, 0),
    "monitor, unknown": ("mode = monitor\nlimit session_unknown_commands { max = 2 }", "unknown", 0, 0),
    "monitor, helo": ("limit helo_networks { max = 9  mode = monitor }", "helo", 0, 0),
    "monitor, bounces": ("limit recipient_bounces { max = 9  mode = monitor }", "mail rcpt", 0, 0),
    "monitor and cap": (CAP + "limit helo_networks { max = 9  mode = monitor }", "helo mail unknown", 0, 0),
    "score": (SCORE, "", 0, ADDHDRS),
    "score_refuse": (SCORE + "score_refuse = 10", "helo mail data unknown", 0, ADDHDRS),
}


@pytest.mark.parametrize("config, needed, more, actions", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_negotiation(start_gate, tmp_path, config, needed, more, actions):
    """The steps that the rules need, no more, each with its answer; no change of a message but the score's header."""
    expected = NOHDRS | NOEOH | NOBODY | more
    for step, leave_out in STEPS.items():
        if step not in needed.split():
            expected |= leave_out
    macros = {0: {"{daemon_name}", "{daemon_addr}", "{daemon_port}", "{if_addr}", "_"}}
    if "mail" in needed:
        macros[2] = {"{auth_authen}"}
    if "rcpt" in needed:
        macros[3] = {"{rcpt_mailer}"}
    gate = start_gate(config.replace("FOLDER", str(tmp_path)))
    with gate.mta() as mta:
        version, got_actions, steps, got_macros = mta.negotiate()
        assert version == 6
        assert got_actions == actions | SETSYMLIST
        assert f"{steps:#x}" == f"{expected:#x}"
        assert got_macros == macros
        mta.quit()


@pytest.mark.parametrize("version, actions, steps", [(2, 0x1F, 0x3F), (2, 0x3F, 0x7F), (3, 0x3F, 0x1FF),
                                                     (6, 0x1FF, 0x400)])
def test_negotiation_of_older_mtas(start_gate, version, actions, steps):
    """An MTA that offers less is asked for no more than that, and served."""
    gate = start_gate("service_sessions = 1")
    with gate.mta() as mta:
        _, wanted_actions, wanted_steps, _ = mta.negotiate(version=version, actions=actions, steps=steps)
        assert wanted_actions & ~actions == 0
        assert wanted_steps & ~steps == 0
        assert wanted_steps & (NOCONNECT | NOHELO | NOMAIL | NOUNKNOWN | NO_REPLY) == 0
        assert mta.connect("192.0.2.10") == CONTINUE
        assert mta.helo() == CONTINUE
        assert mta.mail() == CONTINUE
        # The steps that it cannot leave out come, and go on.
        if not wanted_steps & NORCPT:
            assert mta.ask(b"R", b"<rcpt@mx.test.example>\0") == CONTINUE
        if not wanted_steps & NOHDRS:
            assert mta.ask(b"L", b"Subject\0x\0") == CONTINUE
        if not wanted_steps & NOEOH:
            assert mta.ask(b"N") == CONTINUE
        if not wanted_steps & NOBODY:
            assert mta.ask(b"B", b"text\r\n") == CONTINUE
        assert mta.ask(b"E")[0] in (b"c", b"a")
        gate.refused("192.0.2.11")
        mta.quit()


@pytest.mark.parametrize("begin", ["mail", "mail rcpt"])
def test_unknown_command_in_a_transaction(start_gate, begin):
    """libmilter alone would not answer the end of this message; the MTA would wait for minutes."""
    gate = start_gate(CAP)
    with gate.mta() as mta:
        _, _, steps, _ = mta.negotiate()
        assert mta.connect("192.0.2.10") == CONTINUE
        assert mta.helo() == CONTINUE
        for step in begin.split() + ["unknown", "unknown", "data"]:
            if not steps & STEPS[step]:
                assert getattr(mta, step)() == CONTINUE
        assert mta.end() == ([], CONTINUE)
        assert mta.mail() == CONTINUE
        mta.quit()


def test_exempt(start_gate):
    """Two events, connect and close; neither a slot nor a count."""
    gate = start_gate(CAP + 'log_refusals = yes\nexempt { clients = { "198.51.100.0/24" } }')
    spared = []
    for host in range(3):
        mta, answer = gate.session(f"198.51.100.{host}")
        assert answer == ACCEPT
        spared.append(mta)
    gate.wait_sessions(0)
    mta = gate.admitted("192.0.2.10")
    gate.refused("192.0.2.11")
    gate.wait_sessions(1)
    assert spared[0].helo() == CONTINUE  # an MTA that goes on all the same
    assert spared[0].mail() == CONTINUE
    spared[0].abort()
    for each in spared:
        each.quit()
    gate.wait_sessions(1)
    mta.quit()


def test_no_steps_are_left_to_chance():
    """The constants here cover what this version of the protocol knows."""
    used = (NOCONNECT | NOHELO | NOMAIL | NORCPT | NOBODY | NOHDRS | NOEOH | NOUNKNOWN | NODATA | NO_REPLY |
            0x400 | 0x800 | 0x100000)
    assert used == ALL_STEPS
