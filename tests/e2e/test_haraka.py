"""The limits of Haraka's plugin limit, and the history that they lean on, row by row."""
import os
import signal
import time

import pytest

from sandbox import connections_held, wait_until
from smtp import (CONNECTION_RATE, ERRORS, RECIPIENT_RATE, RECIPIENTS, REJECTED, enter, enter_proxied, enter_soon, fill,
                  greeted, proxied, refused)


def test_haraka_concurrency(mta, gate):
    """The refused client waits, the others do not; then it reads the line and the end."""
    gate("limit client_sessions { max = 2  disconnect_delay = 1s }")
    held = fill(mta.port, ["127.0.0.1"] * 2)
    late = greeted(mta.port, "127.0.0.1")
    begin = time.monotonic()
    late.send("EHLO client.example")
    fill(mta.port, ["127.0.0.2"] * 2)
    assert held[0].is_served()
    late.expect_refusal(None)
    assert time.monotonic() - begin >= 1


@pytest.mark.parametrize("where", ["limit", "scope", "none"])
def test_haraka_disconnect_delay(mta, gate, where):
    """Of the limit that refuses, else of the scope; nothing until it is set."""
    gate({"limit": "disconnect_delay = 25s\nlimit session_unknown_commands { max = 1  disconnect_delay = 1s }",
          "scope": "disconnect_delay = 25s\nlimit session_unknown_commands { max = 1 }\n"
                   'listener { peer "127.0.0.0/8" { disconnect_delay = 1s } }',
          "none": "limit session_unknown_commands { max = 1 }"}[where] + "\nmax_delay = 25s")
    client = enter(mta.port)
    client.err()
    begin = time.monotonic()
    client.expect_refusal("XYZZY", ERRORS)
    lasted = time.monotonic() - begin
    assert lasted < 20
    if where != "none":
        assert lasted >= 1


def test_haraka_history(mta, gate):
    """Messages make a client's history good, errors make it bad; both forget nothing when the session ends."""
    gate("""reputation { half_life = 30d }
        limit client_sessions { max_good = 4  max = 2  max_bad = 1 }""")
    good = enter(mta.port, "127.0.0.1")
    for _ in range(3):
        good.send_message()
    good.quit()
    bad = enter(mta.port, "127.0.0.2")
    bad.err(2)
    bad.quit()
    for source, most in (("127.0.0.1", 4), ("127.0.0.2", 1), ("127.0.0.3", 2)):
        for _ in range(most):
            enter_soon(mta.port, source)
        refused(mta.port, source)


def test_haraka_history_of_rates_and_recipients(postfix, gate):
    """Also of a rate and of recipients. What a shared cap or a deny list refuses harms nobody's name."""
    gate("""reputation { }
        listener { listen ":%d" { listener_sessions = 1 } }
        limit client_connections { max = 3  max_bad = 1  window = 1h }
        limit session_recipients { max = 2  max_good = 3  max_bad = 1 }""" % postfix.port2)
    holder = enter(postfix.port2, "127.0.0.9")
    refused(postfix.port2, "127.0.0.1")
    for _ in range(2):
        refused(postfix.port2, "127.0.0.1")  # counted nowhere, and no fault of the client's
    client = enter(postfix.port, "127.0.0.1")
    client.mail()
    client.rcpt("a@test.example", "b@test.example")
    client.expect_exactly("RCPT TO:<c@test.example>", RECIPIENTS)  # this is one
    client.quit()
    refused(postfix.port, "127.0.0.1", refusal=CONNECTION_RATE)  # so its rate is that of the bad
    holder.send_message("a@test.example")
    holder.quit()
    good = enter(postfix.port, "127.0.0.9")
    good.mail()
    good.rcpt("a@test.example", "b@test.example", "c@test.example")
    good.expect_exactly("RCPT TO:<d@test.example>", RECIPIENTS)


def test_haraka_recipients(mta, gate):
    """Attempts, the rejected ones too; the session lives, and what was accepted is delivered."""
    gate("limit session_recipients { max = 3 }")
    client = enter(mta.port)
    client.expects_5xx = True
    client.mail()
    client.err(2, rejected=True)
    client.rcpt("root@test.example")
    for _ in range(3):
        client.expect_exactly("RCPT TO:<daemon@test.example>", RECIPIENTS)
    client.expect(f"RCPT TO:<{REJECTED}>", "550")  # that one the MTA answers itself
    client.expect("DATA", "354")
    client.send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
    client.expect(None, "250")
    assert client.is_served()


def test_haraka_max_relaying(postfix, gate):
    """Who has authenticated may have another number."""
    gate("limit session_recipients { max = 1  max_authenticated = 3 }")
    for client, most in ((enter_proxied(postfix.port, "192.0.2.1", login="joe"), 3),
                         (enter_proxied(postfix.port, "192.0.2.1"), 1)):
        client.mail()
        client.rcpt(*["root@test.example"] * most)
        client.expect_exactly("RCPT TO:<root@test.example>", RECIPIENTS)


def test_haraka_unrecognized_commands(mta, gate):
    """Each verb counts, known ones out of turn do not: no filter hears of them."""
    gate("limit session_unknown_commands { max = 3 }")
    client = enter(mta.port)
    client.expects_5xx = True
    for line in ("XYZZY", "FROBNICATE the gate", "X"):
        client.expect(line, "5")
        client.expect("NOOP", "250")
    client.expect("DATA", "50")
    client.expect_refusal("PLUGH", ERRORS)
    enter(mta.port)


def test_haraka_errors(mta, gate):
    """Unknown commands and rejected recipients, together."""
    gate("limit session_errors { max = 4  soft = 0  error_delay = 0 }")
    client = enter(mta.port)
    client.err(2)
    client.mail()
    client.err(2, rejected=True)
    client.expect_refusal("XYZZY", ERRORS)


def test_haraka_rate_conn(mta, gate):
    """Connections of an address, looked up from exact to general; sessions that have left count too."""
    gate("""limit client_connections {
            max = 1  window = 1h
            key "127.7.0.0/16" { max = 3 }
            key "127.7.7.0/24" { max = 2 }
            key "127.7.7.7" { max = 4 }
        }""")
    for source, most in (("127.0.0.1", 1), ("127.7.0.1", 3), ("127.7.7.1", 2), ("127.7.7.7", 4)):
        for _ in range(most):
            enter(mta.port, source).quit()
        for _ in range(2):
            refused(mta.port, source, refusal=CONNECTION_RATE)


def test_haraka_rate_conn_by_host_name(postfix, gate):
    """The verified host name, then its parent domains; the address goes before either, and an unverified name is
    none."""
    gate("""limit client_connections {
            max = 1  window = 1h
            key "example.net" { max = 2 }
            key "192.0.2.3" { max = 3 }
        }
        exempt { clients = { "127.0.0.1" } }""")
    for address, name, most in (("192.0.2.1", "mx.mail.example.net", 2), ("192.0.2.2", "example.net", 2),
                                ("192.0.2.3", "mx.example.net", 3), ("192.0.2.4", "mx.example.org", 1),
                                ("192.0.2.5", "[UNAVAILABLE]", 1)):
        for _ in range(most):
            enter_proxied(postfix.port, address, name)
        proxied(postfix.port, address, name).expect_refusal(refusal=CONNECTION_RATE)


def test_haraka_rate_of_a_domain(postfix, gate):
    """One counter for all hosts of a verified domain."""
    gate("""limit domain_connections { count = connections  per = client_domain  max = 2  window = 1h }
        exempt { clients = { "127.0.0.1" } }""")
    enter_proxied(postfix.port, "192.0.2.1", "a.example.net")
    enter_proxied(postfix.port, "198.51.100.1", "b.c.example.net")
    proxied(postfix.port, "203.0.113.1", "example.net").expect_refusal(refusal=CONNECTION_RATE)
    for host in range(4):
        enter_proxied(postfix.port, f"192.0.2.{host + 1}")


def attempt(port, source, sender, recipient, login=None):
    """What RCPT reads, of a client that comes anew and gives up before DATA."""
    client = enter_proxied(port, source, login=login) if login else enter(port, source)
    client.mail(sender)
    answer = client.command(f"RCPT TO:<{recipient}>")
    client.quit()
    return answer


def test_haraka_rate_rcpt_host(mta, gate):
    """Recipients of a client, over all its sessions."""
    gate("limit client_recipients { max = 3  window = 1h }")
    for recipient in ("root", "daemon", "bin"):
        assert attempt(mta.port, "127.0.0.1", "a@client.example", f"{recipient}@test.example").startswith(b"250")
    assert attempt(mta.port, "127.0.0.1", "b@client.example", "root@test.example") == RECIPIENT_RATE
    assert attempt(mta.port, "127.0.0.2", "a@client.example", "root@test.example").startswith(b"250")


def test_haraka_rate_rcpt_sender(mta, gate):
    """Recipients of an envelope sender, from wherever it comes; some have other numbers, from the whole address to the
    domain's parents. The null sender is nobody."""
    gate("""limit sender_recipients {
            max = 1  window = 1h
            key "list@example.com" { max = 4 }
            key "example.com" { max = 3 }
        }""")
    for sender, most in (("list@example.com", 4), ("joe@example.com", 3), ("joe@mail.example.com", 3),
                         ("joe@example.org", 1)):
        for number in range(most):
            assert attempt(mta.port, f"127.0.{number}.1", sender, "root@test.example").startswith(b"250")
        assert attempt(mta.port, "127.0.9.1", sender, "root@test.example") == RECIPIENT_RATE
    for _ in range(3):
        assert attempt(mta.port, "127.0.0.1", "", "root@test.example").startswith(b"250")


def test_haraka_rate_rcpt(mta, gate):
    """Messages to a recipient, whoever sends them; a rejected recipient gets none."""
    gate("""limit recipient_messages { max = 2  window = 1h  key "daemon@test.example" { max = 1 } }""")
    for recipient, most in (("root@test.example", 2), ("daemon@test.example", 1)):
        for number in range(most):
            assert attempt(mta.port, f"127.0.{number}.1", f"a{number}@x.example", recipient).startswith(b"250")
        assert attempt(mta.port, "127.0.9.1", "b@x.example", recipient) == RECIPIENT_RATE
        assert attempt(mta.port, "127.0.9.1", "", recipient.upper()) == RECIPIENT_RATE
    client = enter(mta.port)
    client.mail()
    client.err(4, rejected=True)


def test_haraka_rate_rcpt_null(mta, gate):
    """Bounces to a recipient; its other mail flows."""
    gate("limit recipient_bounces { max = 2  window = 1h }")
    for number in range(2):
        assert attempt(mta.port, f"127.0.{number}.1", "", "root@test.example").startswith(b"250")
    assert attempt(mta.port, "127.0.9.1", "", "root@test.example") == RECIPIENT_RATE
    assert attempt(mta.port, "127.0.9.1", "", "daemon@test.example").startswith(b"250")
    enter(mta.port, "127.0.9.1").send_message("root@test.example")


def test_haraka_rate_of_a_user(postfix, gate):
    """Recipients of who has authenticated, from wherever and in whose name it sends."""
    gate("""limit user_recipients { max = 2  window = 1h  key "ann" { max = 1 } }""")
    for login, most in (("joe", 2), ("ann", 1)):
        for number in range(most):
            assert attempt(postfix.port, f"192.0.2.{number + 1}", f"{number}@x.example", "root@test.example",
                           login).startswith(b"250")
        assert attempt(postfix.port, "192.0.2.9", "z@x.example", "root@test.example", login) == RECIPIENT_RATE
    for _ in range(3):
        assert attempt(postfix.port, "127.0.0.1", "a@x.example", "root@test.example").startswith(b"250")


def test_haraka_counters_are_never_repaired(postfix, gate):
    """They are true: processes that are killed give back what their sessions held, and no more, and a flood of
    refusals in between takes nothing. The gate looks that all come back to zero."""
    daemon = gate("service_sessions = 9\nlimit client_sessions { max = 2 }")
    port = postfix.ports["kill"]
    for _ in range(2):
        enter(port).quit()  # Postfix's master waits before it replaces a process that dies with its first client
    held = [enter_soon(port, "127.0.0.1") for _ in range(2)]
    for _ in range(5):
        refused(port, "127.0.0.1")
    for pid in postfix.session_processes():
        if any((port, client.local_port) in connections_held(pid) for client in held):
            os.kill(pid, signal.SIGKILL)
    for client in held:
        assert client.read_to_end() == b""
    wait_until(daemon.is_empty, "the slots are given back")
    held = [enter_soon(port, "127.0.0.1") for _ in range(2)]
    refused(port, "127.0.0.1")
    assert all(client.is_served() for client in held)
