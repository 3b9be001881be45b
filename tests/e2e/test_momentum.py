"""Momentum's session limits, row by row: Listener_Sessions, Service_Sessions, Idle_Time and their like."""
from smtp import IDLE, MESSAGE_RATE, RECIPIENTS, enter, enter_soon, fill, greeted, refused


def test_momentum_listener_sessions(mta, gate):
    """In a listener one budget for all sources, in a listen another, in a peer one for each block: each is a counter of
    its own, and all hold at once."""
    gate(f"""ESMTP_Listener {{
        Listener_Sessions = 6
        Peer "127.7.0.0/16" {{ Listener_Sessions = 2 }}
        Peer "0.0.0.0/0" {{ Listener_Sessions = 5 }}
        Listen ":{mta.port}" {{ Listener_Sessions = 4 }}
        Listen ":{mta.port2}" {{}}
    }}""")
    fill(mta.port, ["127.7.0.1", "127.7.0.2"])
    refused(mta.port, "127.7.0.3")
    fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    refused(mta.port, "127.0.0.3")  # the listen's four
    held = fill(mta.port2, ["127.0.0.3", "127.0.0.4"])
    refused(mta.port2, "127.0.0.5")  # the listener's six
    held.pop().quit()
    enter_soon(mta.port2, "127.0.0.5")
    refused(mta.port2, "127.0.0.6")


def test_momentum_service_sessions(mta, gate):
    """One counter over all listeners, also where Momentum writes it, inside a listener; the smallest value holds."""
    gate(f"""Service_Sessions = 9
        ESMTP_Listener {{ Service_Sessions = 3  Listen ":{mta.port}" {{}} }}
        ESMTP_Listener {{ Listen ":{mta.port2}" {{}} }}""")
    fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    fill(mta.port2, ["127.0.0.3"])
    refused(mta.port, "127.0.0.4")
    refused(mta.port2, "127.0.0.4")


def test_momentum_slot(mta, gate):
    """Held from connect to close, by the silent too; who finds none reads the line, whoever it is."""
    gate("Service_Sessions = 2")
    silent = greeted(mta.port, "127.0.0.1")
    enter(mta.port, "127.0.0.2")
    for line in ("EHLO client.example", "HELO client.example", "MAIL FROM:<a@client.example>"):
        greeted(mta.port, "127.0.0.3").expect_refusal(line)
    silent.close()
    enter_soon(mta.port, "127.0.0.3")
    refused(mta.port, "127.0.0.4")


def test_momentum_scopes_and_fallback(mta, gate):
    """The most specific scope that says something wins, option by option: the peer's max, the service's window, the
    listen's reply; and what nobody says is the default."""
    gate(f"""limit client_connections {{ max = 5  window = 1h  reply = "421 4.4.5 Outermost." }}
        listener {{
            peer "127.7.0.0/16" {{ limit client_connections {{ max = 1 }} }}
            listen ":{mta.port}" {{ limit client_connections {{ max = 2  reply = "421 4.4.5 At most {{max}}." }} }}
            listen ":{mta.port2}" {{}}
        }}""")
    for port, source, most, line in ((mta.port, "127.0.0.1", 2, b"421 4.4.5 At most 2.\r\n"),
                                     (mta.port, "127.7.0.1", 1, b"421 4.4.5 At most 1.\r\n"),
                                     (mta.port2, "127.0.0.2", 5, b"421 4.4.5 Outermost.\r\n")):
        fill(port, [source] * most)
        refused(port, source, refusal=line)


def test_momentum_idle_time(postfix, gate):
    """Of the most specific scope. The observer, which is ended, is silent for longer than who is judged."""
    gate("""idle_action = disconnect
        listener {
            idle_time = 1h
            peer "127.7.0.0/16" { idle_time = 1s  idle_action = refuse }
            peer "127.8.0.0/16" { idle_time = 2s }
        }""")
    lively = enter(postfix.port, "127.0.0.1")
    idle = enter(postfix.port, "127.7.0.1")
    observer = enter(postfix.port, "127.8.0.1")
    observer.read_to_end()
    idle.expect_refusal("MAIL FROM:<a@client.example>", IDLE)
    lively.mail()


def test_momentum_pathway_and_group(mta, gate):
    """Named options that a listener, listen or peer takes."""
    gate(f"""listener {{
            listen ":{mta.port}" {{ pathway = "in" }}
            listen ":{mta.port2}" {{ pathway = "out"  peer "127.7.0.0/16" {{ pathway = "in" }} }}
        }}
        pathway_group "both" {{
            limit session_messages {{ max = 1 }}
            pathway "in" {{ listener_sessions = 2 }}
            pathway "out" {{ limit session_messages {{ max = 2 }} }}
        }}""")
    first = enter(mta.port, "127.0.0.1")
    enter(mta.port2, "127.7.0.1")
    refused(mta.port, "127.0.0.2")
    refused(mta.port2, "127.7.0.2")
    second = enter(mta.port2, "127.0.0.2")
    for client, most in ((first, 1), (second, 2)):
        for _ in range(most):
            client.send_message()
        client.expect_refusal("MAIL FROM:<a@client.example>", MESSAGE_RATE)


def test_momentum_receptions_per_connection(mta, gate):
    """Another session of the same client begins anew; a message that was given up counts like any other."""
    gate("limit session_messages { max = 2 }")
    for _ in range(2):
        client = enter(mta.port)
        client.send_message()
        client.mail()
        client.expect("RSET", "250")
        client.expect_refusal("MAIL FROM:<a@client.example>", MESSAGE_RATE)


def test_momentum_recipients_per_connection(mta, gate):
    gate("limit session_recipients { max = 3 }")
    client = enter(mta.port)
    client.send_message("root@test.example", "daemon@test.example")
    client.mail()
    client.rcpt("root@test.example")
    client.expect_exactly("RCPT TO:<daemon@test.example>", RECIPIENTS)
    client.expect("DATA", "354")
    client.send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
    client.expect(None, "250")
    client.mail()
    client.expect_exactly("RCPT TO:<root@test.example>", RECIPIENTS)
    assert client.is_served()


def test_momentum_recipients_per_message(mta, gate):
    gate("limit message_recipients { max = 2 }")
    client = enter(mta.port)
    for _ in range(2):
        client.mail()
        client.rcpt("root@test.example", "daemon@test.example")
        for _ in range(2):
            client.expect_exactly("RCPT TO:<bin@test.example>", RECIPIENTS)
        client.expect("DATA", "354")
        client.send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
        client.expect(None, "250")
