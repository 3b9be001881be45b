"""The ready configurations of conf/ on a real Postfix: a dry run as they are, and with mode = block what they promise.
Their sockets alone are others."""
import pathlib
import re
import subprocess

import pytest

from daemon import run
from policyside import door, turned_away
from sandbox import SERVER_IPV6, client_ipv6, free_port
from smtp import RECIPIENTS, REFUSAL, Client, enter, enter_proxied, enter_soon, proxied, refused

CONF = pathlib.Path(__file__).resolve().parents[2] / "conf"
SITES = ["small-site", "busy-mx", "submission", "behind-balancer"]
LIVE = "\nmode = monitor\n"


@pytest.fixture
def site(directory, gate, postfix):
    """site(name) starts the daemon with that configuration as it is; its .go_live() then makes it block."""
    def start(name, **ports):
        text = (CONF / f"{name}.conf").read_text()
        sockets = f'control {{ socket = "{directory}/control.sock" }}\nhttp {{ listen = "127.0.0.1:{free_port()}" }}\n'
        if "\npolicy {" in text:
            sockets += door(postfix.policy)
        text, count = re.subn(r"^(milter|policy|control|http) \{.*\}.*\n", "", text, flags=re.M)
        assert count == (4 if "policy" in sockets else 3)
        for written, real in ports.items():
            text = text.replace(f'":{written[1:]}"', f'":{real}"')
        assert text.count(LIVE) == 1
        daemon = gate(sockets + text)
        daemon.go_live = lambda: daemon.reload(sockets + text.replace(LIVE, "\nmode = block\n"))
        return daemon
    return start


def monitored(daemon, limit):
    return daemon.totals()[limit]["monitored"]


def crowd(count, *where):
    """So many sessions of one client, which must all be let in."""
    return [enter(*where) for _ in range(count)]


@pytest.mark.parametrize("name", SITES)
def test_numbers_fit_the_process_limit_that_the_file_names(name, tmp_path):
    text = (CONF / f"{name}.conf").read_text()
    processes = int(re.search(r"default_process_limit = (\d+)|has (\d+) processes", text).expand(r"\1\2"))
    (tmp_path / "x.conf").write_text(text)
    dump = run("-d", "-c", tmp_path / "x.conf").stdout
    top = dict(re.findall(r"^(\w+) = (\d+)$", dump, re.M))
    caps = [int(cap) for cap in re.findall(r"^ +listener_sessions = (\d+)$", dump, re.M)]
    # A port's own cap where the service has none: each port has that many processes.
    sessions = int(top["service_sessions"]) or max(caps)
    assert sessions + int(top["refuse_pending"]) + int(top["max_waiting"]) < processes
    assert all(cap <= sessions for cap in caps)


def test_budgets_of_a_busy_mx_take_nothing_from_each_other():
    text = (CONF / "busy-mx.conf").read_text()
    caps = [int(cap) for cap in re.findall(r"listener_sessions = (\d+)", text)]
    assert len(caps) == 3
    assert sum(caps) <= int(re.search(r"^service_sessions = (\d+)", text, re.M).group(1))


def postfix_lines(name):
    """What the comments of a configuration have for main.cf and for master.cf: lines that are set off by five blanks."""
    main, master, lines = [], [], None
    for line in re.findall(r"^#     ( *\S.*)", (CONF / f"{name}.conf").read_text(), re.M):
        if not line.startswith(" "):
            lines = main if re.match(r"\w+ =", line) else master if " inet " in line else []  # else Sendmail's
        lines.append(line + "\n")
    return "".join(main), "".join(master)


@pytest.mark.parametrize("name, master", [
    ("small-site", []), ("busy-mx", []), ("behind-balancer", ["smtp/inet/smtpd_upstream_proxy_protocol = haproxy"]),
    ("submission", ["submission/inet/smtpd_tls_security_level = encrypt", "submission/inet/smtpd_sasl_auth_enable = yes",
                    "submission/inet/smtpd_milters = inet:127.0.0.1:7357",
                    "submission/inet/milter_default_action = accept"])])
def test_postfix_takes_the_lines_of_the_comments(name, master, tmp_path):
    def postconf(*arguments):
        result = subprocess.run(["postconf", "-c", tmp_path, *arguments], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")  # it warns of a parameter that nothing uses
        return result.stdout

    main_cf, master_cf = postfix_lines(name)
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n" + main_cf)
    (tmp_path / "master.cf").write_text(master_cf)
    assert main_cf or master
    taken = set(re.findall(r"^(\w+) = ", postconf("-n"), re.M)) - {"compatibility_level", "config_directory"}
    assert taken == set(re.findall(r"^(\w+) =", main_cf, re.M))
    if name == "behind-balancer":
        assert "postscreen_upstream_proxy_protocol" in taken  # postscreen reads main.cf, smtpd its service's own
    assert set(master) <= set(postconf("-P").splitlines())


def test_small_site(postfix, site):
    """One client has 10 sessions; all of IPv6 50, so that IPv4 finds room; this host is exempt."""
    daemon = site("small-site")
    where = (postfix.port, client_ipv6(1), SERVER_IPV6)
    crowd(11, *where)
    assert monitored(daemon, "client_sessions") == 1
    daemon.go_live()
    refused(*where)
    for network, count in ((2, 10), (3, 10), (4, 10), (5, 9)):  # the eleventh of the first counts as well
        crowd(count, postfix.port, client_ipv6(network), SERVER_IPV6)
    refused(postfix.port, client_ipv6(9), SERVER_IPV6)
    crowd(12, postfix.port)
    proxied(postfix.port, "192.0.2.7").expect("EHLO client.example", "250")


def test_busy_mx(postfix, site):
    """An unknown client has 10 sessions and is told at connect; all unknown ones of IPv6 have 40; one of the pool of
    large operators has more, and they find room."""
    daemon = site("busy-mx")
    port = postfix.ports["doors"]
    where = (port, client_ipv6(1), SERVER_IPV6)
    crowd(11, *where)
    assert monitored(daemon, "client_sessions") == 1
    daemon.go_live()
    turned_away(*where)
    for network, count in ((2, 10), (3, 10), (4, 9)):  # the eleventh of the first counts as well
        crowd(count, port, client_ipv6(network), SERVER_IPV6)
    turned_away(port, client_ipv6(5), SERVER_IPV6)
    for _ in range(12):
        enter_proxied(port, "192.0.2.7")


def test_submission(postfix, site):
    """A user has 10 sessions wherever they come from, and a message 100 recipients."""
    port = postfix.ports["main"]
    daemon = site("submission", _587=port, _465=postfix.ports["second"])

    def send_as(user, number):
        client = enter_proxied(port, f"198.51.100.{number}", login=user)
        return client, client.command("MAIL FROM:<joe@test.example>")

    for number in range(11):
        assert send_as("joe", number)[1].startswith(b"250 ")
    assert monitored(daemon, "user_sessions") == 1
    daemon.go_live()
    client, answer = send_as("joe", 77)
    assert answer == REFUSAL and client.read_to_end() == b""
    client, answer = send_as("jane", 77)
    assert answer.startswith(b"250 ")
    client.rcpt(*(f"r{number}@test.example" for number in range(100)))
    client.expect_exactly("RCPT TO:<one-more@test.example>", RECIPIENTS)


@pytest.fixture
def balancer():
    """A client of the address that behind-balancer.conf gives the balancer."""
    subprocess.run(["ip", "addr", "add", "192.0.2.10/32", "dev", "lo"], check=True)
    yield "192.0.2.10"
    subprocess.run(["ip", "addr", "del", "192.0.2.10/32", "dev", "lo"], check=True)


def through_balancer(port, address):
    """A session by the PROXY protocol, as haproxy's send-proxy begins it."""
    client = Client(port, "127.0.0.1")
    client.send(f"PROXY TCP4 {address} 127.0.0.1 40000 {port}")
    client.expect(None, "220")
    return client


def test_behind_a_balancer_that_hands_the_address_on(postfix, site):
    daemon = site("behind-balancer")
    port = postfix.ports["balanced"]
    held = [through_balancer(port, "198.51.100.7") for _ in range(11)]
    for client in held:
        client.expect("EHLO client.example", "250")
    assert monitored(daemon, "client_sessions") == 1
    daemon.go_live()
    through_balancer(port, "198.51.100.7").expect_refusal()
    through_balancer(port, "198.51.100.8").expect("EHLO client.example", "250")


def test_behind_a_balancer_that_hides_the_address(postfix, balancer, site):
    """All of them come from one address: no limit of a client's, but the listener's cap, which holds exactly."""
    daemon = site("behind-balancer")
    daemon.go_live()
    held = crowd(130, postfix.port, balancer)
    refused(postfix.port, balancer)
    assert daemon.totals().get("client_sessions", {}).get("refused", 0) == 0
    held.pop().quit()
    enter_soon(postfix.port, balancer)
