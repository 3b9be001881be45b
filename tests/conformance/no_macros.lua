-- An MTA that sends no macro: the listener that says nothing takes the session, and the caps hold.
--conf: limit client_sessions { max = 1 }
--conf: listener { listener_sessions = 2  peer "192.0.2.0/24" { listener_sessions = 5 } }
--conf: listener { listener_sessions = 1  listen ":25" { } }
local open = {}
for i = 1, 2 do
    open[i] = negotiated()
    check("connect", say(open[i], "conninfo", "client.test.example", "192.0.2." .. i), SMFIR_CONTINUE)
    check("HELO", say(open[i], "helo", "client.test.example"), SMFIR_CONTINUE)
end
local third = negotiated()
check("connect", say(third, "conninfo", "client.test.example", "192.0.2.3"), SMFIR_CONTINUE)
check("HELO", say(third, "helo", "client.test.example"), SMFIR_REPLYCODE)
mt.disconnect(third)

-- The other listener has a budget of its own.
local fourth = admitted("192.0.2.4")
refused("192.0.2.5")
mt.disconnect(fourth)
for i = 1, 2 do
    mt.disconnect(open[i])
end
