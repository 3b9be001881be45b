"""Both doors at once on one Postfix: a session is counted once, and its slot is held by the filter's connection."""
import time

import pytest

from policyside import at_connect, door, turned_away
from sandbox import SERVER_IPV6, client_ipv6, wait_until
from smtp import (CONNECTION_RATE, DENIED, MESSAGE_RATE, RECIPIENTS, REFUSAL, Client, enter, fill, greeted, refused)
from test_flood import Race

SLOTS = 10
CLIENTS = 50
REJECTED = b"554 5.7.1 <unknown[%s]>: Client host rejected: Go away\r\n"


@pytest.fixture
def doors(postfix, gate):
    """doors(config) starts the daemon with both doors."""
    def start(config, **options):
        return gate(door(postfix.policy, **options) + config)
    return start


def enter_at_once_or_soon(port, source="127.0.0.1", deadline=30):
    """A session that is let in once a slot is free; until then it must read the refusal at connect."""
    def attempt():
        client = Client(port, source)
        answer = client.reply()
        if answer.startswith(b"220"):
            client.expect("EHLO client.example", "250")
            return client
        assert answer == at_connect(REFUSAL, source)
        assert client.read_to_end() == b""
        client.close()
        return None
    return wait_until(attempt, f"a slot is free for {source}", deadline=deadline, pause=0.02)


def test_full_scope_is_told_at_connect(postfix, doors):
    """In place of the greeting and with our own text, which no filter can do; the filter holds the slot of those let
    in: it is free when they leave."""
    doors("service_sessions = 3")
    port = postfix.ports["doors"]
    held = fill(port, ["127.0.0.1", "127.0.0.2"]) + [enter(port, client_ipv6(1), SERVER_IPV6)]
    for _ in range(2):
        turned_away(port)
        turned_away(port, source=client_ipv6(2), host=SERVER_IPV6)
    held.pop().quit()
    held.append(enter_at_once_or_soon(port, "127.0.0.4"))
    turned_away(port)
    held.pop().reset()
    enter_at_once_or_soon(port, "127.0.0.5")
    turned_away(port)
    assert all(client.is_served() for client in held)


@pytest.mark.parametrize("sessions", ["milter", "kernel"])
def test_silent_clients_hold_their_slots(postfix, doors, sessions):
    """Who says nothing after the greeting is held by the filter like anybody else, not by a reservation."""
    daemon = doors("service_sessions = 2", sessions=sessions)
    port = postfix.ports["doors"]
    held = [greeted(port), greeted(port)]
    wait_until(lambda: daemon.counters()[0]["sessions"] == 2, "both are there")
    turned_away(port)
    for client in held:
        client.expect("EHLO client.example", "250")
    turned_away(port)


@pytest.mark.parametrize("service", ["doors", "doors_late", "doors_everywhere"])
@pytest.mark.parametrize("sessions", ["milter", "kernel"])
def test_session_is_counted_once(postfix, doors, service, sessions):
    """Its connection, its messages and recipients, whoever asks when."""
    doors("""service_sessions = 4
        limit client_connections { max = 3  window = 1h }
        limit client_messages { max = 3  window = 1h }
        limit session_recipients { max = 3 }""", sessions=sessions)
    port = postfix.ports[service]
    at_helo = service == "doors_late"  # the policy service is not asked before
    held = fill(port, ["127.0.0.1"] * 3)
    for client in held:
        client.send_message()
    (refused if at_helo else turned_away)(port, refusal=CONNECTION_RATE)
    held[0].expect_refusal("MAIL FROM:<a@client.example>", MESSAGE_RATE)
    client = enter(port, "127.0.0.2")
    client.mail()
    client.rcpt(*["root@test.example"] * 3)
    client.expect_exactly("RCPT TO:<root@test.example>", RECIPIENTS)
    wait_until(lambda: is_let_in(port, "127.0.0.3"), "the slot of the one who was refused is free")
    (refused if at_helo else turned_away)(port, "127.0.0.4")
    assert client.is_served()


def is_let_in(port, source):
    """Stays when it is."""
    client = Client(port, source)
    if client.reply().startswith(b"220") and client.ehlo().startswith(b"250"):
        return True
    client.close()
    return False


def test_refusals_at_connect_that_are_no_caps(postfix, doors):
    doors('deny { clients = { "127.7.0.0/16" } }\nlimit client_connections { max = 2  window = 1h }')
    port = postfix.ports["doors"]
    turned_away(port, "127.7.0.1", refusal=DENIED)
    for _ in range(2):
        enter(port).quit()
    turned_away(port, refusal=CONNECTION_RATE)
    enter(port, "127.0.0.2").send_message()


def test_exempt_and_monitored_sessions(postfix, doors):
    """Told once, held by nobody; the exempt are told of at all."""
    daemon = doors("""mode = monitor
        service_sessions = 1
        exempt { clients = { "127.9.0.0/16" } }""")
    port = postfix.ports["doors_everywhere"]
    for client in fill(port, ["127.9.0.1"] * 3 + ["127.0.0.1"] * 3):
        client.send_message()
        client.quit()
    wait_until(daemon.is_empty, "all have left")
    assert daemon.totals() == {"service_sessions": {"monitored": 2}}


def test_score_header_stands_there_once(postfix, doors):
    doors('deny { mode = score  points = 3  clients = { "127.7.0.0/16" } }')
    client = enter(postfix.ports["doors_everywhere"], "127.7.0.1")
    client.send_message("read@test.example", body=b"Subject: both-doors\r\n\r\nhello\r\n")
    message = postfix.delivered(b"both-doors").split(b"\n")
    assert message[0] == b"X-Tidegate-Score: 3 (deny=3)"
    assert sum(line.startswith(b"X-Tidegate-Score") for line in message) == 1


def test_errors_are_the_filters(postfix, doors):
    """A rejected recipient is one error, though Postfix asks the policy service as well."""
    doors("limit session_errors { max = 4  soft = 0  error_delay = 0 }")
    client = enter(postfix.ports["doors_everywhere"])
    client.mail()
    client.err(3, rejected=True)
    client.rcpt("root@test.example")
    client.expect("DATA", "354")
    client.send(b"Subject: t\r\n\r\nhello\r\n.\r\n")
    client.expect(None, "250")
    assert client.is_served()


class DoorRace(Race):
    """The same, where a full scope is told in place of the greeting. Every third may come from a network that a
    restriction behind the policy service rejects."""

    def __init__(self, port, rejected=False):
        self.rejected = rejected
        super().__init__(port, CLIENTS)

    def attempt(self, number):
        network = 3 if self.rejected and number % 3 == 2 else 0
        client = Client(self.port, f"127.{network}.1.{number + 1}")
        client.expects_5xx = True
        answer = client.reply()
        return client, client.ehlo() if answer.startswith(b"220") else answer


def judge(outcomes, slots=SLOTS, at_least=SLOTS):
    """Who is in, and who was let in by the policy service but rejected afterwards, together took the slots."""
    inside = [client for client, answer in outcomes if answer.startswith(b"250")]
    rejected = [client for client, answer in outcomes if answer == REJECTED % client.source.encode("ascii")]
    away = [client for client, answer in outcomes if answer == at_connect(REFUSAL, client.source)]
    assert len(inside) + len(rejected) + len(away) == len(outcomes), [answer for _, answer in outcomes]
    assert at_least <= len(inside) + len(rejected) <= slots, f"{len(inside)} in, {len(rejected)} rejected"
    for client in away:
        assert client.read_to_end() == b""
    for client in inside:
        assert client.is_served()
    return len(inside), len(rejected)


@pytest.mark.parametrize("sessions", ["milter", "kernel"])
def test_race_for_the_slots(postfix, doors, sessions):
    """50 clients from 50 addresses at one barrier, all held open until all have answers: exactly 10 in, each time."""
    rounds = 200 if sessions == "milter" else 40
    daemon = doors(f"service_sessions = {SLOTS}", sessions=sessions)
    race = DoorRace(postfix.ports["doors"])
    race.rounds(daemon, rounds, judge)


def test_race_with_a_restriction_behind(postfix, doors):
    """Every third client is rejected after the policy service has let it in, and is never heard of again; its slot is
    free again when its connection is gone. Never more than 10 are in; where the round began with all slots free,
    exactly 10 were taken."""
    daemon = doors(f"service_sessions = {SLOTS}", sessions="kernel")
    race = DoorRace(postfix.ports["doors"], rejected=True)
    sums = [0, 0]
    try:
        for number in range(200):
            whole = number % 20 == 0
            if whole:
                wait_until(daemon.is_empty, "the slots are given back")

            def judged(outcomes, whole=whole):
                for index, count in enumerate(judge(outcomes, at_least=SLOTS if whole else 0)):
                    sums[index] += count
            race.round(judged)
            Client.opened.clear()
    finally:
        race.stop()
    assert not race.failures
    assert sums[0] > 0 and sums[1] > 0
    wait_until(daemon.is_empty, "the slots are given back")


def test_reservation_lapses(postfix, doors):
    """Whoever is rejected behind the policy service is never heard of by the filter: what was reserved for it is free
    again after 10 s, though it stays connected. Those who are in keep theirs. Whoever comes to the filter later than
    that (another restriction took so long) is judged again, and is told so at HELO."""
    daemon = doors(f"service_sessions = {SLOTS}")
    port = postfix.ports["doors"]
    begin = time.monotonic()
    slow = Client(postfix.ports["doors_slow"], "127.0.8.1")
    wait_until(lambda: daemon.counters()[0]["sessions"] == 1, "the slow one has its reservation")
    first = Client(port, "127.3.0.1")
    first.expects_5xx = True
    first.expect(None, "554")
    race = DoorRace(port, rejected=True)

    def judged(outcomes):
        inside, _ = judge(outcomes, slots=SLOTS - 1, at_least=SLOTS - 2)
        held = [enter_at_once_or_soon(port, "127.0.9.1", 20)]  # the first that lapses
        assert time.monotonic() - begin >= 9
        while inside + len(held) < SLOTS:
            held.append(enter_at_once_or_soon(port, "127.0.9.1", 5))
        turned_away(port)
        slow.expect(None, "220")
        slow.expect_refusal()
        assert all(client.is_served() for client, answer in outcomes if answer.startswith(b"250"))
    try:
        race.round(judged)
    finally:
        race.stop()
    assert not race.failures


def test_rejected_connections_count(postfix, doors):
    """Those that a restriction behind rejects, from whatever port."""
    doors("limit client_connections { max = 3  window = 1h }")
    client = None
    for number in range(4):
        local_port = client.local_port if client else 0
        if client:
            client.reset()
        client = Client(postfix.ports["doors"], "127.3.0.1", local_port=local_port)
        client.expects_5xx = True
        if number < 3:
            client.expect(None, "554")
    client.expect_refusal(None, at_connect(CONNECTION_RATE, "127.3.0.1"))


def test_daemon_away_and_back(postfix, doors):
    """milter_default_action and default_action decide; then it counts anew."""
    daemon = doors("service_sessions = 2")
    port = postfix.ports["doors"]
    held = fill(port, ["127.0.0.1", "127.0.0.2"])
    daemon.expects_no_sessions = False
    daemon.stop()
    client = Client(port)
    assert client.reply() == \
        b"451 4.3.5 <unknown[127.0.0.1]>: Client host rejected: Server configuration problem\r\n"
    client.close()
    assert all(client.is_served() for client in held)
    doors("service_sessions = 2")
    for client in held:
        client.send_message()
    fill(port, ["127.0.0.3", "127.0.0.4"])
    turned_away(port)


def test_reload_under_both_doors(postfix, doors):
    """The new caps hold for those who come, at connect; nobody who is in loses its slot."""
    daemon = doors("service_sessions = 3")
    port = postfix.ports["doors"]
    held = fill(port, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    daemon.reload(door(postfix.policy) + "service_sessions = 2")
    turned_away(port)
    held.pop().quit()
    wait_until(lambda: daemon.counters()[0]["sessions"] == 2, "one has left")
    turned_away(port)
    daemon.reload(door(postfix.policy, sessions="kernel") + "service_sessions = 3")
    enter(port)
    turned_away(port)
