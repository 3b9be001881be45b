"""Session caps through the policy door alone: policy { sessions = kernel }. No filter is called at these ports; the
kernel's table of connections says who has left."""
import os
import re
import signal
import statistics
import subprocess
import time

import pytest

from policyside import at_connect, door, said_by_postfix, turned_away
from sandbox import SERVER_IPV6, client_ipv6, wait_until
from smtp import CONNECTION_RATE, MESSAGE_RATE, REFUSAL, Client, enter, enter_proxied, fill, greeted
from test_policy_doors import DoorRace, enter_at_once_or_soon, judge

SOON = 10.0  # a freed slot is noticed within a second; smtpd may wait as long before it asks again, and is busy


@pytest.fixture
def watched(postfix, gate):
    def start(config, **options):
        return gate(door(postfix.policy, sessions="kernel", **options) + config)
    return start


def test_cap_is_exact_and_the_idle_keep_their_slots(postfix, watched):
    """IPv4 and IPv6, those who have spoken and those who have not."""
    watched("service_sessions = 4")
    port = postfix.ports["policy"]
    held = [enter(port), greeted(port, "127.0.0.2"), enter(port, client_ipv6(1), SERVER_IPV6),
            greeted(port, client_ipv6(2), SERVER_IPV6)]
    end = time.monotonic() + 1.5  # several looks at the table
    while time.monotonic() < end:
        turned_away(port, source="127.0.0.5")
        turned_away(port, source=client_ipv6(5), host=SERVER_IPV6)
        time.sleep(0.1)
    for client in held:
        client.expect("EHLO again.example", "250")
        client.send_message()
    turned_away(port)
    for client in list(held):
        client.close()
        held.append(enter_at_once_or_soon(port, "127.0.0.9"))
        turned_away(port)


def vanish(client, how):
    if how == "quit":
        client.quit()
    elif how == "close":
        client.close()
    elif how == "reset":
        client.reset()
    else:
        rows = subprocess.run(["ss", "-Htnp", f"sport = :{client.port} and dport = :{client.local_port}"],
                              capture_output=True, text=True, check=True).stdout
        os.kill(int(re.search(r'"smtpd",pid=(\d+)', rows).group(1)), signal.SIGKILL)
        assert client.read_to_end() == b""


@pytest.mark.parametrize("how", ["quit", "close", "reset", "smtpd is killed"])
def test_freed_slot_is_noticed_soon(postfix, watched, how):
    daemon = watched("service_sessions = 2")
    port = postfix.ports["policy"]
    if how == "smtpd is killed":
        enter(port).quit()  # Postfix's master waits before it replaces a process that dies with its first client
        wait_until(daemon.is_empty, "it has left")
    held = fill(port, ["127.0.0.1"] * 2)
    turned_away(port)
    times = []
    for _ in range(1 if how == "smtpd is killed" else 3):
        vanish(held.pop(0), how)
        begin = time.monotonic()
        held.append(enter_at_once_or_soon(port, "127.0.0.2"))
        times.append(time.monotonic() - begin)
        turned_away(port)
    assert max(times) < SOON
    print(f"freed ({how}): median {statistics.median(times):.3f} s, most {max(times):.3f} s")
    assert all(client.is_served() for client in held)


def test_sessions_of_one_client(postfix, watched):
    watched("limit client_sessions { max = 2 }\nservice_sessions = 9")
    port = postfix.ports["policy"]
    held = fill(port, ["127.0.0.1"] * 2)
    turned_away(port)
    fill(port, ["127.0.0.2"] * 2)
    held.pop().quit()
    enter_at_once_or_soon(port, "127.0.0.1")
    turned_away(port)


def test_session_first_seen_at_a_later_stage(postfix, watched):
    """Postfix by itself asks when the recipient comes: the slot is taken then."""
    watched("service_sessions = 2")
    port = postfix.ports["policy_late"]
    held = fill(port, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    for client in held:
        client.mail()
    for client in held[:2]:
        client.rcpt("root@test.example")
    held[2].expect_refusal("RCPT TO:<root@test.example>", at_connect(REFUSAL, "127.0.0.3"))
    held[0].quit()

    def is_let_in():
        client = enter(port, "127.0.0.4")
        client.mail()
        answer = client.command("RCPT TO:<root@test.example>")
        assert answer.startswith(b"250") or answer == at_connect(REFUSAL, "127.0.0.4")
        return answer.startswith(b"250")
    wait_until(is_let_in, "the slot is free again", deadline=SOON, pause=0.02)
    held[1].expect("DATA", "354")
    held[1].send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
    held[1].expect(None, "250")


@pytest.mark.parametrize("service", ["policy", "policy_context"])
def test_another_connection_from_the_same_port(postfix, watched, service):
    """Is another session, though nobody has looked in between, and though Postfix asks at connect alone (the second):
    the slot of the one before is free for it, it counts, and it holds its slot."""
    watched("service_sessions = 1\nlimit client_connections { max = 4  window = 1h }")
    port = postfix.ports[service]
    client = enter(port)
    wait_for_a_look()
    for _ in range(3):
        client = again(client)
        client.expect(None, "220")
        client.expect("EHLO client.example", "250")
    wait_for_a_look()
    turned_away(port, "127.0.0.2")
    assert client.is_served()
    again(client).expect_refusal(None, at_connect(CONNECTION_RATE))


def again(client):
    """The client vanishes and comes back from the same port."""
    address = client.socket.getsockname()
    client.reset()
    return Client(client.port, address[0], local_port=address[1])


def wait_for_a_look():
    """Silence itself cannot be waited for: the daemon looks at the kernel's table several times in it."""
    time.sleep(1.5)


def test_rejected_by_a_restriction_behind(postfix, gate):
    """Who is rejected after the policy service has let it in holds its slot while it is connected, and no longer. (No
    daemon is behind the milter's port, and Postfix does without.)"""
    gate(door(postfix.policy, sessions="kernel") + "service_sessions = 2",
         f'milter {{ socket = "inet:{postfix.slow_port + 1000}@127.0.0.1" }}')
    port = postfix.ports["doors"]
    enter(port)
    rejected = Client(port, "127.3.0.1")
    rejected.expects_5xx = True
    rejected.expect(None, "554")
    turned_away(port)
    rejected.expect("NOOP", "503")
    turned_away(port)
    rejected.close()
    enter_at_once_or_soon(port, "127.0.0.2", SOON)


def test_clients_behind_a_proxy(postfix, watched):
    """The kernel knows the proxy's connection, not theirs: they hold no slot for long, and the proxy keeps its own."""
    daemon = watched("limit client_sessions { max = 2 }")
    port = postfix.ports["policy"]
    proxy = greeted(port, "127.0.0.7")
    client = enter_proxied(port, "192.0.2.1")
    client.send_message()
    wait_until(lambda: daemon.counters()[0]["sessions"] <= 2, "what the kernel does not know is given up")
    assert client.is_served()
    client.send_message()
    proxy.expect("EHLO client.example", "250")


def test_daemon_restarted_under_open_sessions(postfix, watched):
    """Those that speak again are counted again."""
    daemon = watched("service_sessions = 2")
    port = postfix.ports["policy"]
    held = fill(port, ["127.0.0.1", "127.0.0.2"])
    daemon.expects_no_sessions = False
    daemon.kill()
    daemon = watched("service_sessions = 2")
    for client in held:
        client.send_message()
    turned_away(port)
    assert daemon.counters()[0]["sessions"] == 2
    held.pop().quit()
    enter_at_once_or_soon(port, "127.0.0.3", SOON)


def test_reload_keeps_the_slots(postfix, watched):
    daemon = watched("service_sessions = 2")
    port = postfix.ports["policy"]
    held = fill(port, ["127.0.0.1", "127.0.0.2"])
    daemon.reload(door(postfix.policy, sessions="kernel") + "service_sessions = 3")
    enter(port, "127.0.0.3")
    turned_away(port)
    daemon.reload(door(postfix.policy, sessions="none") + "service_sessions = 3")
    enter(port, "127.0.0.4")  # from here on nobody is held, and those who are stay so until they leave
    held.pop().quit()
    assert held[0].is_served()


def test_messages_are_counted_beside_the_sessions(postfix, watched):
    watched("""service_sessions = 9
        limit session_messages { max = 2 }
        limit client_connections { max = 2  window = 1h }""")
    port = postfix.ports["policy"]
    client = enter(port)
    for _ in range(2):
        client.send_message()
    client.expect_refusal("MAIL FROM:<a@client.example>",
                          said_by_postfix(MESSAGE_RATE, "Sender address", "a@client.example"))
    enter(port)
    turned_away(port, refusal=CONNECTION_RATE)


def test_race_for_the_slots(postfix, watched):
    """50 clients for 10 slots, without a filter."""
    daemon = watched("service_sessions = 10")
    race = DoorRace(postfix.ports["policy"])
    race.rounds(daemon, 5, judge)
