"""client_sessions: what one client is, and whose counter it is."""
from sandbox import SERVER_IPV6, client_ipv6
from smtp import enter, enter_soon, fill, refused


def test_each_address_has_its_own_count(mta, gate):
    gate("limit client_sessions { max = 3 }")
    held = {}
    for source in ("127.0.0.2", "127.0.0.3", "127.99.1.1"):
        held[source] = fill(mta.port, [source] * 3)
        refused(mta.port, source)
    held["127.0.0.3"].pop().quit()
    enter_soon(mta.port, "127.0.0.3")
    for source in held:
        refused(mta.port, source)


def test_both_ports_count_for_one_client(mta, gate):
    gate("limit client_sessions { max = 3 }")
    fill(mta.port, ["127.0.0.2"] * 2)
    enter(mta.port2, "127.0.0.2")
    refused(mta.port, "127.0.0.2")
    refused(mta.port2, "127.0.0.2")


def test_prefix_makes_a_network_one_client(mta, gate):
    gate("client_ipv4_prefix = 24\nlimit client_sessions { max = 3 }")
    fill(mta.port, ["127.0.5.1", "127.0.5.2", "127.0.5.255"])
    refused(mta.port, "127.0.5.4")
    fill(mta.port, ["127.0.6.1", "127.0.6.2", "127.0.4.255"])


def test_ipv6_network_is_one_client(mta, gate):
    """A /64 unless told otherwise: many addresses of one site count together."""
    gate("limit client_sessions { max = 3 }")
    for network in range(10):
        for host in range(1, 4):
            enter(mta.port_ipv6, client_ipv6(network, host), SERVER_IPV6)
    for network in range(10):
        refused(mta.port_ipv6, client_ipv6(network, 1), SERVER_IPV6)


def test_ipv6_prefix_128(mta, gate):
    gate("client_ipv6_prefix = 128\nlimit client_sessions { max = 1 }")
    for host in range(1, 4):
        enter(mta.port_ipv6, client_ipv6(1, host), SERVER_IPV6)
        refused(mta.port_ipv6, client_ipv6(1, host), SERVER_IPV6)


def test_ipv6_prefix_48(mta, gate):
    gate("client_ipv6_prefix = 48\nlimit client_sessions { max = 5 }")
    for network in range(5):
        enter(mta.port_ipv6, client_ipv6(network), SERVER_IPV6)
    refused(mta.port_ipv6, client_ipv6(60), SERVER_IPV6)


def test_many_ipv6_clients_under_a_service_cap(mta, gate):
    gate("service_sessions = 40\nrefuse_pending = 50")
    for network in range(40):
        enter(mta.port_ipv6, client_ipv6(network), SERVER_IPV6)
    for network in range(40, 60):
        refused(mta.port_ipv6, client_ipv6(network), SERVER_IPV6)


def test_limit_in_a_listener_counts_for_that_listener(mta, gate):
    gate(f"""listener {{ listen ":{mta.port}" {{}}  limit client_sessions {{ max = 2 }} }}
        listener {{ listen ":{mta.port2}" {{}}  limit client_sessions {{ max = 3 }} }}""")
    fill(mta.port, ["127.0.0.2"] * 2)
    refused(mta.port, "127.0.0.2")
    fill(mta.port2, ["127.0.0.2"] * 3)
    refused(mta.port2, "127.0.0.2")


def test_inner_limit_takes_the_place_of_the_outer(mta, gate):
    gate("""limit client_sessions { max = 2 }
        listener {
            peer "127.7.0.0/16" { limit client_sessions { max = 4 } }
            peer "127.8.0.0/16" { limit client_sessions { max = 0 } }
        }""")
    fill(mta.port, ["127.0.0.2"] * 2)
    refused(mta.port, "127.0.0.2")
    fill(mta.port, ["127.7.0.2"] * 4)
    refused(mta.port, "127.7.0.2")
    fill(mta.port, ["127.8.0.2"] * 10)


def test_limit_in_a_listen_and_in_a_pathway(mta, gate):
    gate(f"""listener {{
            listen ":{mta.port}" {{ limit client_sessions {{ max = 1 }} }}
            listen ":{mta.port2}" {{ pathway = "submission" }}
        }}
        pathway "submission" {{ limit client_sessions {{ max = 2 }} }}""")
    enter(mta.port, "127.0.0.2")
    refused(mta.port, "127.0.0.2")
    fill(mta.port2, ["127.0.0.2"] * 2)
    refused(mta.port2, "127.0.0.2")


def test_one_greedy_client_leaves_room_for_others(mta, gate):
    """A client over its own limit takes nothing from the cap that all share."""
    gate("service_sessions = 4\nlimit client_sessions { max = 2 }")
    fill(mta.port, ["127.0.0.2"] * 2)
    for _ in range(10):
        refused(mta.port, "127.0.0.2")
    fill(mta.port, ["127.0.0.3", "127.0.0.4"])
    refused(mta.port, "127.0.0.5")
