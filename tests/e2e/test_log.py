"""What the log tells: one line when a limit begins to refuse, one when it has stopped, not one for each refusal."""
import time

from sandbox import wait_until
from smtp import Client, enter, enter_soon, fill, refused


def refuse_many(port, sources):
    """Turn sessions away one after the other; the longest pause between two of them."""
    longest, last = 0.0, time.monotonic()
    for source in sources:
        refused(port, source)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    return longest


def test_one_line_for_a_crossing_and_one_when_it_is_over(mta, gate):
    daemon = gate("limit client_sessions { max = 2 }")
    held = fill(mta.port, ["127.0.0.2"] * 2)
    assert not daemon.lines(action="refuse")
    pause = refuse_many(mta.port, ["127.0.0.2"] * 12)
    told = daemon.wait_line(action="refuse")
    assert told["limit"] == "client_sessions"
    assert told["scope"] == "service"
    assert told["client"] == "127.0.0.2"
    assert (told["count"], told["max"]) == ("2", "2")
    for client in held:
        client.quit()
    wait_until(lambda: sum(int(line["refused"]) for line in daemon.lines(action="over")) == 12,
               lambda: "the crossing is over:\n" + "\n".join(daemon.raw))
    over = daemon.lines(action="over")
    assert all(line["limit"] == "client_sessions" and line["scope"] == "service" and line["client"] == "127.0.0.2"
               and line["clients"] == "1" and line["lasted"].endswith("s") for line in over)
    assert len(daemon.lines(action="refuse")) == len(over)
    if pause < 4:  # quiet for 5 s ends a crossing
        assert len(over) == 1
    # It begins anew when the limit is crossed anew.
    fill(mta.port, ["127.0.0.2"] * 2)
    since = daemon.mark()
    refused(mta.port, "127.0.0.2")
    daemon.wait_line(since, action="refuse", client="127.0.0.2")


def test_crossing_is_over_at_stop(mta, gate):
    """Also: a scope's cap is crossed once, by however many clients, and each scope and client has its own crossing."""
    daemon = gate(f"""service_sessions = 5
        refuse_pending = 40
        listener {{ listener_sessions = 3  listen ":{mta.port}" {{}} }}
        listener {{ listen ":{mta.port2}" {{ peer "127.7.0.0/16" {{ listener_sessions = 1 }} }} }}""")
    fill(mta.port, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    enter(mta.port2, "127.7.0.1")
    pauses = [refuse_many(mta.port, [f"127.0.1.{host}" for host in (1, 2, 3, 1, 2, 3)]),
              refuse_many(mta.port2, ["127.7.0.1", "127.7.0.2"])]
    enter(mta.port2, "127.0.0.4")
    pauses.append(refuse_many(mta.port2, ["127.0.0.5"]))
    daemon.expects_no_sessions = False
    daemon.stop()
    wanted = {
        f"listener[:{mta.port}]": ("listener_sessions", 6, 3, "3"),
        f"listener[:{mta.port2}]/listen[:{mta.port2}]/peer[127.7.0.0/16]": ("listener_sessions", 2, 2, "1"),
        "service": ("service_sessions", 1, 1, "5"),
    }
    if sum(pauses) < 4:
        over = {line["scope"]: (line["limit"], int(line["refused"]), int(line["clients"]), wanted[line["scope"]][3])
                for line in daemon.lines(action="over")}
        assert over == wanted
        assert len(daemon.lines(action="over")) == len(daemon.lines(action="refuse")) == 3
    for line in daemon.lines(action="refuse"):
        assert line["limit"] == wanted[line["scope"]][0]
        assert line["count"] == line["max"] == wanted[line["scope"]][3]
    assert {line["scope"] for line in daemon.lines(action="refuse")} == set(wanted)


def test_scope_names_of_pathways(mta, gate):
    daemon = gate("""listener { pathway = "in"  listener_sessions = 9 }
        pathway_group "group" { listener_sessions = 2  pathway "in" { limit client_sessions { max = 1 } } }""")
    enter(mta.port, "127.0.0.1")
    refused(mta.port, "127.0.0.1")
    enter(mta.port, "127.0.0.2")
    refused(mta.port, "127.0.0.3")
    daemon.wait_line(limit="client_sessions", scope="pathway[in]", client="127.0.0.1", action="refuse")
    daemon.wait_line(limit="listener_sessions", scope="pathway_group[group]", count=2, max=2, action="refuse")


def test_log_refusals_tells_each(mta, gate):
    daemon = gate("service_sessions = 1\nlog_refusals = yes")
    enter(mta.port, "127.0.0.1")
    sources = [f"127.0.1.{host}" for host in range(1, 9)]
    refuse_many(mta.port, sources)
    wait_until(lambda: len(daemon.lines(action="refuse")) == 8, "each refusal is told")
    assert [line["client"] for line in daemon.lines(limit="service_sessions", scope="service", count=1, max=1,
                                                    action="refuse")] == sources


def test_client_of_a_network_limit_is_told_with_the_network(mta, gate):
    daemon = gate("client_ipv4_prefix = 24\nlimit client_sessions { max = 1 }")
    enter(mta.port, "127.0.5.1")
    refused(mta.port, "127.0.5.77")
    told = daemon.wait_line(action="refuse")
    assert told["client"] == "127.0.5.0/24"


def test_counters_tell_what_is_open(mta, gate):
    """The summary against what the clients know."""
    daemon = gate("""service_sessions = 3
        limit client_sessions { max = 5 }
        listener { daemon_name = "other" }
        listener { listener_sessions = 10 }""")
    held = fill(mta.port, ["127.0.0.1", "127.0.0.1", "127.0.0.2"])
    refused(mta.port, "127.0.0.3")
    wait_until(lambda: daemon.counters()[0]["pending"] == 0, "the refused one has left")
    summary, counters = daemon.counters()
    assert (summary["sessions"], summary["pending"], summary["clients"]) == (3, 0, 2)
    by_scope = {(line["scope"], line["limit"]): (line["count"], line["max"]) for line in counters}
    assert by_scope["service", "service_sessions"] == ("3", "3")
    assert by_scope["listener[default]", "listener_sessions"] == ("3", "10")
    held.pop().quit()
    wait_until(lambda: daemon.counters()[0]["sessions"] == 2, "the slot is given back")
    assert daemon.counters()[0]["clients"] == 1
    enter_soon(mta.port, "127.0.0.3")


def test_log_lines_stay_lines(mta, gate):
    """Nothing that a client says gets into the log unescaped, and each line parses."""
    daemon = gate("service_sessions = 1\nlog_refusals = yes")
    enter(mta.port)
    client = Client(mta.port, "127.0.0.2")
    client.expect(None, "220")
    client.expects_5xx = True
    client.command("EHLO x\taction=over\x7f")
    client.close()
    refused(mta.port, "127.0.0.3")
    daemon.wait_line(client="127.0.0.3", action="refuse")
    assert {line["limit"] for line in daemon.lines(action="over")} <= {"service_sessions"}  # a true one, in time
