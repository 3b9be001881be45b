-- One client is a /64; peers are told apart by the longest prefix.
--conf: limit client_sessions { max = 2 }
--conf: listener {
--conf:     peer "2001:db8::/32" { listener_sessions = 5 }
--conf:     peer "2001:db8:1::/48" { listener_sessions = 1 }
--conf: }
local open = { admitted("2001:db8:2::1"), admitted("2001:db8:2::2") }
refused("2001:db8:2::3")
open[3] = admitted("2001:db8:2:1::1")
open[4] = admitted("2001:db8:1::1")
refused("2001:db8:1:7::1")
open[5] = admitted("2001:db8:3::1")
open[6] = admitted("2001:db8:4::1")
refused("2001:db8:5::1")
open[7] = admitted("2001:db9::1")
for _, conn in ipairs(open) do
    mt.disconnect(conn)
end
