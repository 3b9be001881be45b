"""Stalwart's limits of its listeners, row by row. Its socket options are those of sockets that the MTA owns here."""
from sandbox import SERVER_IPV6, client_ipv6
from smtp import enter, enter_soon, fill, refused


def test_stalwart_listeners(mta, gate):
    """Several, each bound to several addresses and ports, IPv4 and IPv6: a session counts where it arrives."""
    gate(f"""listener {{
            listener_sessions = 3
            listen "127.0.0.1:{mta.port}" {{}}
            listen "[{SERVER_IPV6}]:{mta.port_ipv6}" {{}}
        }}
        listener {{ listener_sessions = 1  listen "127.0.0.1:{mta.port2}" {{}}  listen "127.0.0.1:1" {{}} }}""")
    held = fill(mta.port, ["127.0.0.1", "127.0.0.2"])
    enter(mta.port_ipv6, client_ipv6(1), SERVER_IPV6)
    refused(mta.port_ipv6, client_ipv6(2), SERVER_IPV6)
    refused(mta.port, "127.0.0.3")
    enter(mta.port2, "127.0.0.3")
    refused(mta.port2, "127.0.0.4")
    held.pop().quit()
    enter_soon(mta.port_ipv6, client_ipv6(2), SERVER_IPV6)


def test_stalwart_max_connections(mta, gate):
    """The value at the top is the default of every listener that says nothing, each with a counter of its own; a
    listener's own value takes its place."""
    gate(f"""listener_sessions = 3
        listener {{ listen ":{mta.port}" {{}} }}
        listener {{ listener_sessions = 1  listen ":{mta.port2}" {{}} }}
        listener {{}}""")
    fill(mta.port, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    refused(mta.port, "127.0.0.4")
    enter(mta.port2, "127.0.0.1")
    refused(mta.port2, "127.0.0.2")
    fill(mta.port_tempfail, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
    refused(mta.port_tempfail, "127.0.0.4")
