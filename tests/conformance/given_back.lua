-- However a session ends, its slot comes back: with QUIT or without, at once, after HELO, in a transaction.
--conf: service_sessions = 1
--conf: limit client_sessions { max = 1 }
for i = 1, 50 do
    local conn = admitted_soon("192.0.2.10")
    refused("192.0.2.10")
    if i % 3 == 0 then
        check("MAIL", say(conn, "mailfrom", "<a@client.test.example>"), SMFIR_CONTINUE)
    end
    if i % 5 == 0 then
        mt.abort(conn)
    end
    mt.disconnect(conn, i % 2 == 0)
end
