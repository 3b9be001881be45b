"""Postfix's rate controls, row by row."""
import time

from sandbox import wait_until
from smtp import (CONNECTION_RATE, ERRORS, MESSAGE_RATE, RECIPIENT_RATE, RECIPIENTS, enter, enter_soon, fill, greeted,
                  refused)


def test_postfix_process_limit(mta, gate):
    """In all, and for one service of master.cf, which is a port there and a listener here. Who is one too many is told
    so instead of waiting for a process."""
    gate(f"""service_sessions = 5
        listener {{ listener_sessions = 2  listen ":{mta.port}" {{}} }}
        listener {{ listen ":{mta.port2}" {{}} }}""")
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    refused(mta.port, "127.0.0.3")
    fill(mta.port2, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    refused(mta.port2, "127.0.0.4")
    held.pop().quit()
    enter_soon(mta.port2, "127.0.0.4")


def waited(client, line, code):
    """Seconds until the reply."""
    begin = time.monotonic()
    client.expect(line, code)
    return time.monotonic() - begin


def test_postfix_error_delays(mta, gate):
    """A pause before the reply to an error; past soft a pause of as many seconds as there were errors, before each
    reply; past max the end. Who makes no errors waits for nothing."""
    gate("limit session_errors { max = 3  soft = 1  error_delay = 1s }")
    other = enter(mta.port, "127.0.0.2")
    client = enter(mta.port, "127.0.0.1")
    client.expects_5xx = True
    assert waited(client, "XYZZY", "5") >= 1
    assert waited(client, "XYZZY", "5") >= 2
    assert waited(client, "MAIL FROM:<a@client.example>", "250") >= 2
    begin = time.monotonic()
    client.send("XYZZY")
    other.send_message()
    assert not client.has_news() or time.monotonic() - begin >= 3
    client.expect(None, "5")
    client.expect_refusal("XYZZY", ERRORS)


def test_postfix_error_limit_is_reset_by_a_message(postfix, gate):
    """The count begins anew when a message has been transferred, not when one is given up."""
    gate("limit session_errors { max = 3  soft = 2  error_delay = 0 }\nmax_delay = 0")
    client = enter(postfix.port)
    for _ in range(3):
        client.err(2)
        client.mail()
        client.err(rejected=True)
        client.rcpt("root@test.example")
        client.expect("DATA", "354")
        client.send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
        client.expect(None, "250")
    client.err(2)
    client.mail()
    client.expect("RSET", "250")
    client.err(1)
    client.expect_refusal("XYZZY", ERRORS)


def test_postfix_error_limit_is_reset_by_a_message_on_sendmail(sendmail, gate):
    """Sendmail tells its filters of no unknown command between a message and the next MAIL or HELO."""
    gate("limit session_errors { max = 2  soft = 0  error_delay = 0 }")
    client = enter(sendmail.port)
    client.err(2)
    client.send_message()
    client.mail()
    client.err(2)
    client.expect_refusal("XYZZY", ERRORS)


def test_postfix_connections_of_one_client(mta, gate):
    """At once (smtpd_client_connection_count_limit) and in a while (smtpd_client_connection_rate_limit)."""
    gate("""limit client_sessions { max = 2 }
        limit client_connections { max = 3  window = 1h }""")
    held = fill(mta.port, ["127.0.0.1"] * 2)
    for _ in range(3):
        refused(mta.port, "127.0.0.1")  # refused, so not counted among the connections
    held.pop().quit()
    enter_soon(mta.port, "127.0.0.1").quit()
    refused_soon(mta.port, "127.0.0.1", CONNECTION_RATE)
    fill(mta.port, ["127.0.0.2"] * 2)


def refused_soon(port, source, refusal):
    """The slot of the session before may still be held when the next one comes: then that limit refuses."""
    def attempt():
        client = greeted(port, source)
        answer = client.ehlo()
        assert answer.startswith(b"421 "), answer
        client.close()
        return answer == refusal
    wait_until(attempt, f"{refusal} is read", pause=0.02)


def test_postfix_messages_of_one_client(mta, gate):
    """smtpd_client_message_rate_limit: over all its sessions."""
    gate("limit client_messages { max = 3  window = 1h }")
    for _ in range(3):
        client = enter(mta.port, "127.0.0.1")
        client.send_message()
        client.quit()
    enter(mta.port, "127.0.0.1").expect_refusal("MAIL FROM:<b@client.example>", MESSAGE_RATE)
    enter(mta.port, "127.0.0.2").send_message()


def test_postfix_recipients_of_one_client(mta, gate):
    """smtpd_client_recipient_rate_limit: attempts, the rejected ones too; what was accepted before goes through."""
    gate("limit client_recipients { max = 3  window = 1h }")
    first, second = fill(mta.port, ["127.0.0.1"] * 2)
    first.mail()
    first.err(2, rejected=True)
    second.mail()
    second.rcpt("root@test.example")
    for client in (first, second):
        client.expect_exactly("RCPT TO:<daemon@test.example>", RECIPIENT_RATE)
    second.expect("DATA", "354")
    second.send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
    second.expect(None, "250")


def test_postfix_recipient_limit(mta, gate):
    """Recipients of one message; those that the MTA rejects are none."""
    gate("limit message_recipients { max = 2 }")
    client = enter(mta.port)
    client.mail()
    client.err(3, rejected=True)
    client.rcpt("root@test.example", "daemon@test.example")
    client.expect_exactly("RCPT TO:<bin@test.example>", RECIPIENTS)
    client.expect("RSET", "250")
    client.send_message("root@test.example", "daemon@test.example")
