-- Which listener a session came in on is told by name, by address and by port; each has its own budget.
--conf: listener { daemon_name = "submission"  listener_sessions = 1 }
--conf: listener {
--conf:     listener_sessions = 3
--conf:     listen ":25" { listener_sessions = 2 }
--conf:     listen "[2001:db8::25]:25" { listener_sessions = 1 }
--conf: }
--conf: listener { listener_sessions = 1 }
local open = { admitted("192.0.2.1", "587", "192.0.2.1", "submission") }
refused("192.0.2.2", "465", "192.0.2.1", "submission")
open[2] = admitted("192.0.2.3", "25", "192.0.2.1")
open[3] = admitted("192.0.2.4", "25", "192.0.2.99")
refused("192.0.2.5", "25", "192.0.2.1")
open[4] = admitted("192.0.2.6", "25", "IPv6:2001:db8::25")
refused("192.0.2.7", "25", "2001:db8::25")
open[5] = admitted("192.0.2.8", "2525", "192.0.2.1")
refused("192.0.2.9", "2526", "192.0.2.1")
for _, conn in ipairs(open) do
    mt.disconnect(conn)
end
