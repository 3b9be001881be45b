"""deny and exempt, in files of their own."""
import pytest

from smtp import DENIED, MESSAGE_RATE, enter, enter_proxied, proxied, refused

MILLION = 1_000_000


def blocks(first_octet):
    """A million /28s, one beside the other: nearly all of that /8."""
    base = first_octet << 24
    for number in range(MILLION):
        address = base + 16 * number
        yield f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}/28\n"


@pytest.fixture(scope="module")
def million(sandbox):
    path = sandbox.dir / "million.cidr"
    path.write_text("".join(blocks(100)) + "127.50.0.0/28\n")
    yield path
    path.unlink()


def test_a_million_denied_blocks(postfix, gate, million):
    """The daemon starts, judges rightly at the edges, and takes the file again at a reload."""
    daemon = gate(f'deny {{ file = "{million}" }}')
    for address in ("100.0.0.0", "100.0.0.15", "100.122.18.15", "100.244.35.255"):
        client = proxied(postfix.port, address)
        client.expect_refusal(refusal=DENIED)
    last = 16 * MILLION - 1
    inside, outside = (100 << 24) + last, (100 << 24) + last + 1
    for number, denied in ((inside, True), (outside, False), ((100 << 24) - 1, False), (101 << 24, False)):
        address = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
        client = proxied(postfix.port, address)
        if denied:
            client.expect_refusal(refusal=DENIED)
        else:
            client.expect("EHLO client.example", "250")
    refused(postfix.port, "127.50.0.15", refusal=DENIED)
    enter(postfix.port, "127.50.0.16")
    with open(million, "a", encoding="ascii") as more:
        more.write("127.50.0.16\n2001:db8:9::/48\n")
    daemon.reload(f'deny {{ file = "{million}" }}')
    refused(postfix.port, "127.50.0.16", refusal=DENIED)
    proxied(postfix.port, "2001:db8:9::1").expect_refusal(refusal=DENIED)
    daemon.reload("")
    enter(postfix.port, "127.50.0.16")


def test_a_million_exempt_blocks(postfix, gate, million):
    """None of them takes a slot; whom the file does not name does."""
    daemon = gate(f'service_sessions = 2\nexempt {{ file = "{million}"  clients = {{ "127.0.0.1" }} }}')
    for address in ("100.0.0.0", "100.99.1.1", "127.50.0.1"):
        enter_proxied(postfix.port, address)
    assert daemon.counters()[0]["sessions"] == 0
    for address in ("101.0.0.1", "99.0.0.1"):
        enter_proxied(postfix.port, address)
    refused(postfix.port, "127.0.0.2")
    enter(postfix.port, "127.50.0.2")


def test_longest_prefix_of_both_wins(mta, gate, directory):
    """On a tie deny does."""
    (directory / "exempt.list").write_text("127.7.0.0/24\n127.7.7.7\n127.9.0.0/16\n")
    gate("""deny { clients = { "127.7.0.0/16", "127.7.7.7", "127.7.0.9" } }
        limit session_messages { max = 1 }
        exempt { file = "exempt.list" }""")
    for source in ("127.7.0.1", "127.9.0.1"):
        client = enter(mta.port, source)
        for _ in range(3):
            client.send_message()
    for source in ("127.7.1.1", "127.7.7.7", "127.7.0.9"):
        refused(mta.port, source, refusal=DENIED)
    client = enter(mta.port, "127.0.0.1")
    client.send_message()
    client.expect_refusal("MAIL FROM:<a@client.example>", MESSAGE_RATE)


def test_deny_of_senders_and_users(postfix, gate, directory):
    """What a file may hold: clients, sender domains with their subdomains, senders, users. Of a sender's entries the
    most specific one counts, and a deny of the user outdoes an exempt of the sender."""
    (directory / "deny.list").write_text("spam.example\nann@mixed.example  # her alone\nuser:mallory\n")
    gate("""deny { file = "deny.list" }
        exempt { senders = { "good@spam.example" }  domains = { "friend.example" }  users = { "joe" } }
        limit session_messages { max = 1 }""")
    for sender in ("x@spam.example", "x@mail.Spam.Example", "ANN@mixed.example"):
        enter(postfix.port).expect_refusal(f"MAIL FROM:<{sender}>", DENIED)
    for sender in ("x@notspam.example", "x@mixed.example", "x@example", ""):
        enter(postfix.port).mail(sender)
    client = enter(postfix.port)
    for sender in ("good@spam.example", "x@friend.example", "good@spam.example"):
        client.send_message(sender=sender)  # not judged, but the session has had them
    client.expect_refusal("MAIL FROM:<x@other.example>", MESSAGE_RATE)
    mallory = enter_proxied(postfix.port, "192.0.2.1", login="mallory")
    mallory.expect_refusal("MAIL FROM:<x@friend.example>", DENIED)
    enter_proxied(postfix.port, "192.0.2.1", login="joe").expect_refusal("MAIL FROM:<x@spam.example>", DENIED)


def test_a_broken_list_changes_nothing(postfix, gate, directory):
    path = directory / "deny.list"
    path.write_text("127.7.0.0/16\n")
    config = 'deny { file = "deny.list" }'
    daemon = gate(config)
    for text in ("127.7.0.0/16\n127.8.0.1/16\n", "127.8.0.0/16\nnot a thing\n"):
        path.write_text(text)
        told = daemon.reload(config, outcome="reload_failed")
        assert any("deny.list:" in line for line in told), told
        refused(postfix.port, "127.7.0.1", refusal=DENIED)
        enter(postfix.port, "127.8.0.1")
    path.unlink()
    daemon.reload(config, outcome="reload_failed")
    refused(postfix.port, "127.7.0.1", refusal=DENIED)
