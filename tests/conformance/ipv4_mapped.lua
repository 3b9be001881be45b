-- An IPv4 client that comes as a mapped IPv6 address is the same client, and the same peer.
--conf: limit client_sessions { max = 1 }
--conf: listener { peer "198.51.100.0/24" { listener_sessions = 1 } peer "::/0" { listener_sessions = 1 } }
local first = admitted("::ffff:192.0.2.10")
refused("192.0.2.10")
local second = admitted("192.0.2.11")
refused("::ffff:192.0.2.11")
local third = admitted("::ffff:198.51.100.1")
refused("198.51.100.2")
local fourth = admitted("2001:db8::1")
refused("2001:db8:0:1::1")
mt.disconnect(first)
mt.disconnect(second)
mt.disconnect(third)
mt.disconnect(fourth)
