-- Clients without an IP address are no client and no peer, but they are sessions.
--conf: service_sessions = 3
--conf: limit client_sessions { max = 1 }
--conf: listener { peer "0.0.0.0/0" { listener_sessions = 1 } peer "::/0" { listener_sessions = 1 } }
local open = {}
for i = 1, 3 do
    open[i] = admitted("unspec")
end
refused("unspec")
for i = 1, 3 do
    mt.disconnect(open[i])
end
