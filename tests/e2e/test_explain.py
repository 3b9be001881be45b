"""Why was I refused, and which values apply: /explain and /eval over the control socket, for the real mail servers."""
import urllib.parse

import pytest

from httpside import served
from smtp import CONNECTION_RATE, DENIED, REFUSAL, enter, refused


@pytest.fixture
def asked(directory):
    """Configuration of the control socket; asks a page of it."""
    section, control, _ = served(directory)

    def ask(page, status=200, method="GET", **parameters):
        query = urllib.parse.urlencode(parameters)
        answer = control.ask(page, method, query) if method == "POST" else control.ask(f"{page}?{query}")
        assert answer.status == status, answer.body
        return answer.json()

    return section, ask


def said(one):
    """The text of the line that it names."""
    with open(one["file"], encoding="utf-8") as file:
        return file.read().splitlines()[one["line"] - 1].strip()


def of(answer, limit):
    (one,) = [one for one in answer["limits"] if one["limit"] == limit]
    return one


def test_a_client_over_a_limit_until_it_is_unbanned(mta, gate, asked):
    section, ask = asked
    gate(section + """limit client_connections {
            max = 2
            window = 1h
        }
        limit client_sessions { max = 7 }""")
    for _ in range(2):
        enter(mta.port, "127.7.0.1").quit()
    for _ in range(3):  # who asks changes nothing
        answer = ask("/explain", client="127.7.0.2")
        assert answer["admitted"] and of(answer, "client_connections")["count"] == 0
    refused(mta.port, "127.7.0.1", refusal=CONNECTION_RATE)
    answer = ask("/explain", client="127.7.0.1")
    assert (answer["admitted"], answer["refused_by"]) == (False, "client_connections")
    one = of(answer, "client_connections")
    assert said(one) == "max = 2"
    assert (one["count"], one["max"], one["state"], one["next_when"]) == (2, 2, "full", "at")
    assert 3500 < one["next"] <= 1.13 * 3600 and one["window"] == 3600
    assert one["lift"] == "tidegate unban 127.7.0.1"
    assert of(answer, "client_sessions")["state"] == "open"
    ask("/unban", method="POST", target="127.7.0.1")
    assert ask("/explain", client="127.7.0.1")["admitted"]
    enter(mta.port, "127.7.0.1")


def test_a_cap_of_this_listen_and_the_deny_list(mta, gate, asked):
    section, ask = asked
    gate(section + f"""deny {{
            clients = {{ "127.6.0.0/16" }}
        }}
        listener {{
            listen ":{mta.port}" {{
                listener_sessions = 1
            }}
            listen ":{mta.port2}" {{ }}
        }}""")
    held = enter(mta.port, "127.7.0.1")
    refused(mta.port, "127.7.0.2", refusal=REFUSAL)
    answer = ask("/explain", client="127.7.0.2", listen=f":{mta.port}")
    one = of(answer, "listener_sessions")
    assert answer["refused_by"] == "listener_sessions" and said(one) == "listener_sessions = 1"
    assert (one["count"], one["max"], one["state"], one["next_when"], one["next"]) == (1, 1, "full", "close", None)
    assert ask("/explain", client="127.7.0.2", listen=f":{mta.port2}")["admitted"]
    enter(mta.port2, "127.7.0.2")
    refused(mta.port, "127.6.0.1", refusal=DENIED)
    one = of(ask("/explain", client="127.6.0.1"), "deny")
    assert said(one) == 'clients = { "127.6.0.0/16" }'
    assert (one["state"], one["key"], one["next_when"]) == ("denied", "127.6.0.0/16", "never")
    held.quit()
    assert "no listener in" in ask("/explain", 400, client="127.7.0.2", listen=":1")["error"]


def test_which_value_applies_to_whom_after_a_reload(mta, gate, asked):
    section, ask = asked
    config = section + f"""listener {{
            listen ":{mta.port}" {{ }}
            peer "127.7.0.0/16" {{
                idle_time = %s
            }}
        }}"""
    daemon = gate(config % "5m")
    for value in ("5m", "7m"):
        answer = ask("/eval", client="127.7.0.1", listen=f":{mta.port}")
        (one,) = [one for one in answer["settings"] if one["name"] == "idle_time"]
        assert (one["value"], said(one)) == (value, f"idle_time = {value}")
        assert one["scope"] == f"listener[:{mta.port}]/peer[127.7.0.0/16]"
        daemon.reload(config % "7m")
    answer = ask("/eval", client="127.8.0.1", listen=f":{mta.port}")
    assert ("idle_time", None) in [(one["name"], one["line"]) for one in answer["settings"]]


def test_a_client_as_the_lists_write_it(mta, gate, asked):
    """A block where a client is more than one address; another block is told what a client is."""
    section, ask = asked
    gate(section + "client_ipv4_prefix = 24\nlimit client_connections { max = 1  window = 1h  ban = 2h }")
    enter(mta.port, "127.7.0.1").quit()
    refused(mta.port, "127.7.0.2", refusal=CONNECTION_RATE)
    listed = {one["client"] for page in ("clients", "bans") for one in ask(f"/{page}")[page]}
    assert listed == {"127.7.0.0/24"}
    answer = ask("/explain", client=listed.pop())
    assert (answer["client"], answer["refused_by"]) == ("127.7.0.0/24", "client_connections")
    assert ask("/eval", client="127.7.0.0/24")["client"] == "127.7.0.0/24"
    assert ask("/explain", client="2001:db8:77::/64")["admitted"]
    ask("/ban", method="POST", target="127.7.0.0/16")
    for page in ("/explain", "/eval"):
        error = ask(page, 400, client="127.7.0.0/16")["error"]
        assert "a client is a /24 here (client_ipv4_prefix); ask about an address in it, as 127.7.0.0" in error
    assert ask("/explain", client="127.7.0.0")["refused_by"] == "ban"
