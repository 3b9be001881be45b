"""Refusals after connect, and the names that they go by: what the filter makes of each command, to the letter."""

import re
import select
import time

import pytest

from rawmta import CONTINUE, MACROS, packet, reply

TOO_MANY_ERRORS = reply("421 4.4.5 Service unavailable, too many errors.")
MESSAGE_RATE = reply("421 4.4.5 Service unavailable, message rate limit reached.")
CONNECTION_RATE = reply("421 4.4.5 Service unavailable, connection rate limit reached.")

ERRORS = "limit session_errors { max = 2  soft = 0  error_delay = 0 }"


def test_452_refuses_one_recipient(start_gate):
    """The recipients before it get the message, and the next message starts anew."""
    gate = start_gate("limit message_recipients { max = 2 }")
    mta = gate.admitted("192.0.2.10")
    for _ in range(3):
        assert mta.mail() == CONTINUE
        assert mta.rcpt() == CONTINUE
        assert mta.rcpt() == CONTINUE
        for _ in range(3):
            assert mta.rcpt() == reply("452 4.5.3 Too many recipients.")
        assert mta.data() == CONTINUE
        assert mta.end() == ([], CONTINUE)
    mta.quit()


def test_recipients_of_a_user(start_gate):
    """{auth_authen} at MAIL says who it is; who has not authenticated is nobody."""
    gate = start_gate("limit user_recipients { max = 1  window = 1h }")
    for user, answer in (("Joe", CONTINUE), ("joe", reply("452 4.5.3 Recipient rate limit reached.")),
                         ("ann", CONTINUE), (None, CONTINUE), (None, CONTINUE), ("", CONTINUE), ("", CONTINUE)):
        mta = gate.admitted("192.0.2.10")
        assert mta.mail(user=user) == CONTINUE
        assert mta.rcpt() == answer
        mta.quit()


@pytest.mark.parametrize("say", ["helo", "mail", "rcpt", "data", "unknown"])
def test_421_is_said_again_after_a_rejected_recipient(start_gate, say):
    """Postfix ignores what is said to a recipient that it rejects itself, so the next command is told."""
    gate = start_gate(ERRORS)
    mta = gate.admitted("192.0.2.10")
    assert mta.mail() == CONTINUE
    assert mta.rcpt() == CONTINUE
    for _ in range(3):
        assert mta.rcpt(rejected=True) == CONTINUE
    if say == "mail":
        mta.abort()
    assert getattr(mta, say)() == TOO_MANY_ERRORS
    assert mta.unknown() == TOO_MANY_ERRORS
    mta.abort()
    assert mta.mail() == TOO_MANY_ERRORS
    mta.quit()
    gate.serves()


def test_452_to_a_rejected_recipient_is_dropped(start_gate):
    """The MTA has its own answer to that one."""
    gate = start_gate("limit client_recipients { max = 2  window = 1h }")
    mta = gate.admitted("192.0.2.10")
    assert mta.mail() == CONTINUE
    assert mta.rcpt(rejected=True) == CONTINUE
    assert mta.rcpt() == CONTINUE
    assert mta.rcpt(rejected=True) == CONTINUE
    assert mta.rcpt() == reply("452 4.5.3 Recipient rate limit reached.")
    assert mta.data() == CONTINUE
    mta.quit()


def test_errors_are_forgotten_after_a_message(start_gate):
    gate = start_gate(ERRORS)
    mta = gate.admitted("192.0.2.10")
    for _ in range(3):
        assert mta.mail() == CONTINUE
        assert mta.rcpt(rejected=True) == CONTINUE
        assert mta.rcpt() == CONTINUE
        assert mta.unknown() == CONTINUE
        assert mta.data() == CONTINUE
        assert mta.end() == ([], CONTINUE)
    assert mta.unknown() == CONTINUE
    mta.abort()
    assert mta.unknown() == CONTINUE
    assert mta.unknown() == TOO_MANY_ERRORS
    mta.quit()


def test_an_answer_that_waits(start_gate):
    """error_delay holds up the answer of who made the error, nobody else's."""
    gate = start_gate("limit session_errors { max = 9  soft = 0  error_delay = 5s }")
    mta = gate.admitted("192.0.2.10")
    began = time.monotonic()
    mta.send(packet(b"U", b"XYZZY\0"))
    gate.serves("192.0.2.11")
    early = select.select([mta.socket], [], [], 0)[0]
    assert not early or time.monotonic() - began >= 5
    assert mta.answer() == CONTINUE
    mta.quit()


def test_permanent_refusal(start_gate):
    """5yz is said as such; the whole session is refused, as by 421."""
    gate = start_gate('limit client_messages { max = 1  window = 1h  reply = "554 5.7.1 {client} said enough." }')
    refused = reply("554 5.7.1 192.0.2.10 said enough.")
    mta = gate.admitted("192.0.2.10")
    assert mta.mail() == CONTINUE
    mta.abort()
    assert mta.mail() == refused
    assert mta.unknown() == refused
    mta.quit()


def test_percent_signs(start_gate):
    """They are doubled, or the MTA would take them for its own."""
    gate = start_gate('limit message_recipients { max = 1  reply = "452 4.5.3 100% of %s%%." }')
    mta = gate.admitted("192.0.2.10")
    assert mta.mail() == CONTINUE
    assert mta.rcpt() == CONTINUE
    assert mta.rcpt() == reply("452 4.5.3 100%% of %%s%%%%.")
    mta.quit()


def test_longest_reply(start_gate):
    """However much of it is percent signs: the code and the beginning of the text arrive."""
    gate = start_gate('limit message_recipients { max = 1  reply = "452 4.5.3 ' + "%" * 500 + '" }')
    mta = gate.admitted("192.0.2.10")
    assert mta.mail() == CONTINUE
    assert mta.rcpt() == CONTINUE
    kind, line = mta.rcpt()
    assert kind == b"y"
    assert re.fullmatch(rb"452 4\.5\.3 (%%)+\0", line)
    assert len(line) > 900
    mta.quit()


def test_score_header(start_gate):
    """It is the first of the message's fields, and only there when there are points."""
    gate = start_gate("score_refuse = 100\n"
                      "limit client_connections { max = 1  window = 1h  mode = score  points = 5 }\n"
                      "limit client_messages { max = 1  window = 1h  mode = score  points = 7 }")
    for added in ([], [(0, "X-Tidegate-Score", "12 (client_connections=5, client_messages=7)")]):
        mta = gate.admitted("192.0.2.10")
        assert mta.mail() == CONTINUE
        assert mta.data() == CONTINUE
        assert mta.end() == (added, CONTINUE)
        mta.quit()


def test_score_without_leave_to_add_headers(start_gate):
    gate = start_gate("service_sessions = 9\n"
                      "limit client_connections { max = 1  window = 1h  mode = score  points = 5 }")
    gate.admitted("192.0.2.10").quit()
    with gate.mta() as mta:
        mta.negotiate(actions=0x1FE)
        assert mta.connect("192.0.2.10") == CONTINUE
        assert mta.mail() == CONTINUE
        assert mta.end() == ([], CONTINUE)
        mta.quit()


def test_helo_is_replaced(start_gate):
    gate = start_gate("limit helo_messages { count = messages  per = helo  max = 1  window = 1h }")
    mta, _ = gate.session("192.0.2.10")
    assert mta.helo(b"one.test.example") == CONTINUE
    assert mta.mail() == CONTINUE
    mta.abort()
    assert mta.helo(b"two.test.example") == CONTINUE
    assert mta.mail() == CONTINUE
    assert mta.helo(b"three.test.example") == CONTINUE  # without RSET
    assert mta.mail() == CONTINUE
    mta.abort()
    assert mta.helo(b"ONE.Test.Example.") == CONTINUE
    assert mta.mail() == MESSAGE_RATE
    mta.quit()
    for name in (b"two.test.example", b"three.test.example"):
        mta, _ = gate.session("192.0.2.11")
        assert mta.helo(name) == CONTINUE
        assert mta.mail() == MESSAGE_RATE
        mta.quit()


def test_verified_host_names(start_gate):
    """One domain from many addresses; of names that the MTA has not verified no domain is taken."""
    gate = start_gate("limit host_connections { count = connections  per = client_domain  max = 1  window = 1h }")

    def connect(number, host, remote):
        mta, answer = gate.session(f"192.0.2.{number}", {**MACROS, "_": remote}, host=host)
        assert answer == CONTINUE
        answer = mta.helo()
        mta.quit()
        return answer

    assert connect(1, b"a.test.example", "a.test.example [192.0.2.1]") == CONTINUE
    assert connect(2, b"B.Test.Example.", "B.Test.Example. [192.0.2.2]") == CONNECTION_RATE
    for number in range(3, 6):
        forged = f"c.test.example [192.0.2.{number}] (may be forged)"
        assert connect(number, b"c.test.example", forged) == CONTINUE
        assert connect(number, b"unknown", f"unknown [192.0.2.{number}]") == CONTINUE
        assert connect(number, f"[192.0.2.{number}]".encode(), f"[192.0.2.{number}]") == CONTINUE
        assert connect(number, b"", "") == CONTINUE


ODD_NAMES = [b"", b"x" * 300, b"x" * 60000, b"\xff" * 255, b"\xff\xfe\x01\x7f", b"a=b \"c\"\n\r\\d\t%s%n", b" ", b"%",
             b"event=ready", b"\xc3\xa4.test.example", b"<", b"[", b"@", b"<<a@b>>", b"@a,@b:c@d",
             b"\"a b\"@c.test.example", b"a@" + b"b." * 2000]

# A value of the log: in quotes, with a backslash before quotes and backslashes, or without any of the three and spaces.
VALUE = r'("([^"\\]|\\["\\])*"|[^ "\\]*)'


def test_odd_names(start_gate):
    """Counted like any other, each for itself, and no line of the log is broken by them."""
    names = "\n".join(f"limit {what}_odd {{ count = {count}  per = {what}  max = 1  window = 1h }}" for what, count in
                      (("helo", "messages"), ("sender", "messages"), ("recipient", "messages"), ("user", "recipients")))
    gate = start_gate("log_refusals = yes\n" + names)
    for number, name in enumerate(ODD_NAMES):
        own = b"own%d.test.example" % number
        user = name.decode("latin-1").replace("\0", "")
        for turn in range(2):
            refused = CONTINUE if turn == 0 else MESSAGE_RATE
            mta, _ = gate.session("192.0.2.10")
            assert mta.helo(name) == CONTINUE
            assert mta.mail(b"<%d@" % turn + own + b">") == refused, name[:40]
            mta.quit()
            mta, _ = gate.session("192.0.2.10")
            assert mta.helo(b"s%d." % turn + own) == CONTINUE
            assert mta.mail(name) == (refused if name else CONTINUE), name[:40]
            mta.quit()
            mta, _ = gate.session("192.0.2.10")
            assert mta.helo(b"r%d." % turn + own) == CONTINUE
            assert mta.mail(b"<r%d@" % turn + own + b">", user=user) == CONTINUE
            assert mta.rcpt(name)[0] in b"cy", name[:40]
            mta.quit()
    gate.serves()
    lines = gate.log().splitlines()
    ready = next(number for number, line in enumerate(lines) if line.startswith("event=ready"))
    for line in lines[ready:]:
        assert re.fullmatch(f"(event|limit)={VALUE}( [a-z_]+={VALUE})*", line), line
        assert line.isascii() and len(line) < 2000, line
    refused = [line for line in lines if line.startswith("limit=") and line.endswith(" action=refuse")]
    assert len(refused) == 3 * len(ODD_NAMES) - 2  # the empty sender and the empty recipient are nobody


ORDERS = ["R", "T", "E", "A", "UTE", "URTE", "MM", "MRMR", "MRTHM", "MTE", "ME", "MRE", "MRRTTE", "MRTEE", "MRTEAA",
          "AAMR", "MAAR", "MUAU", "HRHTHE", "MRUE", "MRUTE", "MRTUE", "EMRTE"]


@pytest.mark.parametrize("order", ORDERS)
def test_commands_out_of_order(start_gate, order):
    """No MTA says these; what is open afterwards is what is counted, and the next session is as any other."""
    gate = start_gate("service_sessions = 2\nlimit client_sessions { max = 1 }\nidle_time = 1h\n" + ERRORS)
    said = {"H": b"client.test.example\0", "M": b"<sender@client.test.example>\0", "R": b"<rcpt@mx.test.example>\0",
            "U": b"XYZZY\0"}
    mta, answer = gate.session("192.0.2.10")
    assert answer == CONTINUE
    for letter in order:
        mta.send(packet(letter.encode(), said.get(letter, b"")))
    gate.refused("192.0.2.10")
    gate.serves("192.0.2.11")
    mta.quit_rudely()
    gate.wait_empty()
    gate.serves("192.0.2.10")
