"""Every cap in every scope where it may stand: exactly N are in, the next one reads the exact line."""
import re

from sandbox import SERVER_IPV6, client_ipv6, wait_until
from smtp import Client, enter, enter_soon, fill, refused


def addresses(count, network="127.0.0"):
    return [f"{network}.{host + 1}" for host in range(count)]


def hold_exactly(port, count, network="127.0.0", host=None):
    """Let count sessions in, see the next ones refused, free one slot and see exactly one more come in."""
    sources = addresses(count, network)
    held = fill(port, sources)
    refused(port, f"{network}.200")
    refused(port, sources[0])
    held.pop().quit()
    held.append(enter_soon(port, f"{network}.201"))
    refused(port, f"{network}.202")
    assert all(client.is_served() for client in held)
    return held


def test_without_any_cap_mail_flows(mta, gate):
    gate("")
    held = fill(mta.port, addresses(30))
    reply = held[0].deliver()
    assert reply.startswith(b"250 ")
    if mta.kind == "sendmail":
        assert b"hello\n" in mta.queued()
    else:
        sent = re.compile(re.escape(reply.split()[-1].decode("ascii")) + r": to=<root@test.example>.*status=sent")
        wait_until(lambda: sent.search(mta.log()), "the message is delivered")


def test_service_sessions(mta, gate):
    gate("service_sessions = 4")
    held = fill(mta.port, addresses(2)) + fill(mta.port2, addresses(2, "127.0.1"))
    refused(mta.port, "127.0.2.1")
    refused(mta.port2, "127.0.2.2")
    held[0].quit()
    enter_soon(mta.port2, "127.0.2.3")
    refused(mta.port, "127.0.2.4")


def test_zero_is_no_limit(mta, gate):
    gate("service_sessions = 0\nlistener_sessions = 0\nlistener { listener_sessions = 0 }")
    fill(mta.port, addresses(20))


def test_listener_sessions_at_the_top_is_each_listeners_default(mta, gate):
    gate(f"""listener_sessions = 3
        listener {{ listen ":{mta.port}" {{}} }}
        listener {{ listener_sessions = 2  listen ":{mta.port2}" {{}} }}""")
    hold_exactly(mta.port, 3)
    hold_exactly(mta.port2, 2)
    refused(mta.port, "127.0.9.9")


def test_listener_sessions_at_the_top_without_a_listener(mta, gate):
    gate("listener_sessions = 3")
    hold_exactly(mta.port, 3)


def test_listener_sessions_in_a_listener_is_one_budget(mta, gate):
    gate("listener { listener_sessions = 4 }")
    fill(mta.port2, addresses(1, "127.0.1"))
    hold_exactly(mta.port, 3)
    refused(mta.port2, "127.0.9.9")


def test_two_listeners_with_different_caps(mta, gate):
    gate(f"""listener {{ listener_sessions = 2  listen ":{mta.port}" {{}} }}
        listener {{ listener_sessions = 5  listen ":{mta.port2}" {{}} }}""")
    hold_exactly(mta.port, 2)
    hold_exactly(mta.port2, 5)


def test_listener_named_by_daemon_name(mta, gate):
    gate("""listener { listener_sessions = 2  daemon_name = "submission" }
        listener { listener_sessions = 3 }""")
    hold_exactly(mta.port, 3)
    hold_exactly(mta.port2, 2)


def test_listen_has_its_own_cap_and_shares_the_listeners(mta, gate):
    gate(f"""listener {{
        listener_sessions = 5
        listen ":{mta.port}" {{ listener_sessions = 2 }}
        listen ":{mta.port2}" {{}}
    }}""")
    hold_exactly(mta.port, 2)
    hold_exactly(mta.port2, 3)  # nothing was taken for those whom the inner cap turned away


def test_listen_matches_address_and_port(mta, gate):
    gate(f"""listener {{
        listen "127.0.0.1:{mta.port}" {{ listener_sessions = 2 }}
        listen "127.0.0.77:{mta.port2}" {{ listener_sessions = 1 }}
        listen "0.0.0.0:{mta.port2}" {{ listener_sessions = 3 }}
        listen "[{SERVER_IPV6}]:{mta.port_ipv6}" {{ listener_sessions = 1 }}
    }}""")
    hold_exactly(mta.port, 2)
    hold_exactly(mta.port2, 3)
    enter(mta.port_ipv6, client_ipv6(1), SERVER_IPV6)
    refused(mta.port_ipv6, client_ipv6(2), SERVER_IPV6)


def test_peer_longest_prefix(mta, gate):
    gate("""listener {
        peer "127.0.0.0/8" { listener_sessions = 2 }
        peer "127.7.0.0/16" { listener_sessions = 4 }
        peer "127.7.7.7" { listener_sessions = 1 }
    }""")
    hold_exactly(mta.port, 2)
    hold_exactly(mta.port, 4, "127.7.0")
    enter(mta.port, "127.7.7.7")
    refused(mta.port, "127.7.7.7")
    refused(mta.port, "127.7.7.8")


def test_peer_option_by_option(mta, gate):
    """A longer prefix that sets another option leaves the cap to the shorter one that sets it."""
    gate("""listener {
        peer "127.0.0.0/8" { listener_sessions = 3 }
        peer "127.7.0.0/16" { limit client_sessions { max = 1 } }
    }""")
    enter(mta.port, "127.7.0.1")
    refused(mta.port, "127.7.0.1")
    enter(mta.port, "127.0.0.1")
    enter(mta.port, "127.0.0.1")
    refused(mta.port, "127.7.0.2")


def test_peer_for_all_ipv4_leaves_ipv6_alone(mta, gate):
    gate("""listener { peer "0.0.0.0/0" { listener_sessions = 2 } }""")
    hold_exactly(mta.port, 2)
    for network in range(4):
        enter(mta.port_ipv6, client_ipv6(network), SERVER_IPV6)


def test_peer_of_ipv6(mta, gate):
    gate("""listener {
        peer "2001:db8:1::/48" { listener_sessions = 3 }
        peer "2001:db8:1:5::/64" { listener_sessions = 1 }
    }""")
    enter(mta.port_ipv6, client_ipv6(5, 1), SERVER_IPV6)
    refused(mta.port_ipv6, client_ipv6(5, 2), SERVER_IPV6)
    for network in range(3):
        enter(mta.port_ipv6, client_ipv6(network), SERVER_IPV6)
    refused(mta.port_ipv6, client_ipv6(6), SERVER_IPV6)


def test_peer_with_a_list_is_one_budget(mta, gate, directory):
    (directory / "pool.cidr").write_text("127.5.0.0/24\n127.6.0.1\n")
    gate("""listener {
        peer "pool:big" { listener_sessions = 3  clients = { "127.4.0.0/24" }  file = "pool.cidr" }
    }""")
    for source in ("127.4.0.1", "127.5.0.1", "127.6.0.1"):
        enter(mta.port, source)
    for source in ("127.4.0.2", "127.5.0.2", "127.6.0.1"):
        refused(mta.port, source)
    enter(mta.port, "127.6.0.2")


def test_listens_peer_and_listeners_peer_hold_both(mta, gate):
    gate(f"""listener {{
        peer "127.0.0.0/8" {{ listener_sessions = 5 }}
        listen ":{mta.port}" {{ peer "127.7.0.0/16" {{ listener_sessions = 2 }} }}
        listen ":{mta.port2}" {{}}
    }}""")
    hold_exactly(mta.port, 2, "127.7.0")
    hold_exactly(mta.port2, 3, "127.7.1")
    refused(mta.port, "127.8.0.1")


def test_pathway_is_one_counter_over_all_listeners(mta, gate):
    gate(f"""listener {{ listen ":{mta.port}" {{ pathway = "submission" }} }}
        listener {{ listen ":{mta.port2}" {{}}  pathway = "submission" }}
        pathway_group "clients" {{ pathway "submission" {{ listener_sessions = 4 }} }}""")
    fill(mta.port2, addresses(2, "127.0.1"))
    hold_exactly(mta.port, 2)
    refused(mta.port2, "127.0.9.9")


def test_pathway_group_is_one_counter_for_its_pathways(mta, gate):
    gate(f"""listener {{
            listen ":{mta.port}" {{ pathway = "one" }}
            listen ":{mta.port2}" {{ pathway = "two" }}
        }}
        pathway_group "both" {{
            listener_sessions = 5
            pathway "one" {{ listener_sessions = 2 }}
            pathway "two" {{}}
        }}""")
    hold_exactly(mta.port, 2)
    hold_exactly(mta.port2, 3)
    refused(mta.port, "127.0.9.9")


def test_pathway_chosen_by_peer(mta, gate):
    gate("""listener {
            peer "127.7.0.0/16" { pathway = "narrow" }
            pathway = "wide"
        }
        pathway "narrow" { listener_sessions = 2 }
        pathway "wide" { listener_sessions = 4 }""")
    hold_exactly(mta.port, 2, "127.7.0")
    hold_exactly(mta.port, 4, "127.0.0")


def test_service_sessions_inside_a_listener(mta, gate):
    """Momentum writes it there: one counter for the service, and the smallest value holds."""
    gate(f"""service_sessions = 9
        listener {{ service_sessions = 3  listen ":{mta.port}" {{}} }}
        listener {{ service_sessions = 6  listen ":{mta.port2}" {{}} }}""")
    fill(mta.port2, addresses(1, "127.0.1"))
    hold_exactly(mta.port, 2)
    refused(mta.port2, "127.0.9.9")


def test_the_block_of_momentum(mta, gate):
    gate(f"""ESMTP_Listener {{
        Listener_Sessions = 6
        Idle_Time = 60
        Peer "127.7.0.0/16" {{ Listener_Sessions = 5  Idle_Time = 300 }}
        Peer "0.0.0.0/0" {{ Listener_Sessions = 2  Idle_Time = 30 }}
        Listen ":{mta.port}" {{ Listener_Sessions = 6 }}
    }}""")
    hold_exactly(mta.port, 2)
    hold_exactly(mta.port, 4, "127.7.0")  # the fifth of them would be the listener's seventh


def test_two_mtas_share_one_daemon(postfix, sendmail, gate):
    gate(f"""service_sessions = 6
        listener {{ listener_sessions = 4  listen ":{postfix.port}" {{}} }}
        listener {{ listener_sessions = 4  listen ":{sendmail.port}" {{}} }}""")
    held = fill(postfix.port, addresses(4))
    refused(postfix.port, "127.0.9.1")
    fill(sendmail.port, addresses(2, "127.0.1"))
    refused(sendmail.port, "127.0.9.2")
    held[0].quit()
    enter_soon(sendmail.port, "127.0.9.3")
    refused(postfix.port, "127.0.9.4")
    refused(sendmail.port, "127.0.9.5")


def test_refuse_at_connect(mta, gate):
    gate("service_sessions = 2\nrefuse_at = connect")
    held = fill(mta.port, addresses(2))
    for _ in range(3):
        client = Client(mta.port, "127.0.0.9")
        text = client.read_to_end()
        if mta.kind == "postfix":
            assert text == b"421 mx.test.example Service unavailable - try again later\r\n"
        else:
            assert text == b"421 4.7.0 mx.test.example closing connection\r\n"
        client.close()
    held[0].quit()
    held[0] = enter_connect_refused_soon(mta.port)
    assert all(client.is_served() for client in held)


def enter_connect_refused_soon(port):
    def attempt():
        client = Client(port, "127.0.0.10")
        if client.reply().startswith(b"421"):
            client.close()
            return None
        client.expect("EHLO client.example", "250")
        return client
    return wait_until(attempt, "a slot is free again", pause=0.02)


def test_refuse_at_of_the_most_specific_scope(mta, gate):
    gate(f"""service_sessions = 1
        refuse_at = connect
        listener {{ refuse_at = helo  peer "127.7.0.0/16" {{ refuse_at = connect }} }}""")
    enter(mta.port)
    refused(mta.port, "127.0.0.9")
    client = Client(mta.port, "127.7.0.1")
    assert client.read_to_end().startswith(b"421 ")
    client.close()
