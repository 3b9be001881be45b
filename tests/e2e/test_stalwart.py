"""Stalwart's limits of its listeners, row by row. The MTA owns the sockets of SMTP here; the socket options are those
of our own."""
import socket
import struct
import subprocess

from policyside import Asker, door
from sandbox import SERVER_IPV6, client_ipv6, free_port
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


def options_of(found):
    """The socket options that SEEDS names, as the kernel has them; it doubles the sizes of buffers."""
    both, internet, tcp = socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IPPROTO_TCP
    on, seconds = struct.unpack("ii", found.getsockopt(both, socket.SO_LINGER, 8))
    return {"reuse_address": found.getsockopt(both, socket.SO_REUSEADDR),
            "reuse_port": found.getsockopt(both, socket.SO_REUSEPORT),
            "send_buffer": found.getsockopt(both, socket.SO_SNDBUF) // 2,
            "receive_buffer": found.getsockopt(both, socket.SO_RCVBUF) // 2,
            "linger": seconds if on else None,
            "ttl": found.getsockopt(internet, socket.IP_TTL),
            "tos": found.getsockopt(internet, socket.IP_TOS),
            "nodelay": found.getsockopt(tcp, socket.TCP_NODELAY)}


def backlog_of(port):
    """ss shows it as the Send-Q of a socket that listens."""
    rows = subprocess.run(["ss", "-Htln", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    return {int(row.split()[2]) for row in rows.splitlines()}


def test_stalwart_socket_options(postfix, gate):
    """Of our sockets: defaults for all, others for one; of the milter's what libmilter offers. Seen from outside, at
    the sockets themselves, and a service whose sockets have them answers Postfix."""
    other = free_port()
    daemon = gate(door(postfix.policy, sessions="none", backlog=5, nodelay="no", send_buffer=20000, ttl=17, tos=16,
                       reuse_port="yes") +
                  door(f"inet:{other}@127.0.0.1", sessions="none", reuse_address="no") +
                  "backlog = 9\nsend_buffer = 40000\nreceive_buffer = 30000\nlinger = 3s\nttl = 33\ntos = 8\n")
    expected = {
        postfix.policy_port: {"nodelay": 0, "send_buffer": 20000, "receive_buffer": 30000, "linger": 3, "ttl": 17,
                              "tos": 16, "reuse_port": 1, "reuse_address": 1},
        other: {"nodelay": 1, "send_buffer": 40000, "receive_buffer": 30000, "linger": 3, "ttl": 33, "tos": 8,
                "reuse_port": 0, "reuse_address": 0},
    }
    for port, options in expected.items():
        asker = Asker(("127.0.0.1", port))
        assert asker.ask() == "DUNNO"
        listening, accepted = daemon.sockets(port)
        assert (len(listening), len(accepted)) == (1, 1)
        inherited = {name: value for name, value in options.items() if not name.startswith("reuse_")}
        assert options_of(listening[0]) == options
        assert {**options_of(accepted[0]), **inherited} == options_of(accepted[0])
        for found in listening + accepted:
            found.close()
        asker.close()
    assert backlog_of(postfix.policy_port) == {5}
    assert backlog_of(other) == {9}
    assert backlog_of(postfix.milter_port) == {9}
    enter(postfix.ports["policy"]).send_message()
