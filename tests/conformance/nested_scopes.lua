-- A session takes a slot in every scope of its chain, or in none: what a narrow scope refuses leaves the others free.
--conf: service_sessions = 4
--conf: listener {
--conf:     listener_sessions = 3
--conf:     pathway = "in"
--conf:     peer "192.0.2.0/24" { listener_sessions = 1 }
--conf: }
--conf: pathway_group "all" { listener_sessions = 3  pathway "in" { listener_sessions = 3 } }
local open = { admitted("192.0.2.1") }
for _ = 1, 5 do
    refused("192.0.2.2")
end
open[2] = admitted("198.51.100.1")
open[3] = admitted("198.51.100.2")
refused("198.51.100.3")
mt.disconnect(table.remove(open, 1))
table.insert(open, admitted_soon("198.51.100.4"))
refused("198.51.100.5")
for _, conn in ipairs(open) do
    mt.disconnect(conn)
end
