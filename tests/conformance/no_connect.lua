-- The MTA closes before it said who connected: with a QUIT or without, negotiated or not.
--conf: service_sessions = 1
for _ = 1, 20 do
    mt.disconnect(negotiated())
    mt.disconnect(negotiated(), false)
    mt.disconnect(mt.connect(socket))
    mt.disconnect(mt.connect(socket), false)
end
local conn = admitted("192.0.2.10")
refused("192.0.2.11")
mt.disconnect(conn)
