-- A session that is let in hears "continue" to everything, also to a second HELO and after RSET, said once or twice.
--conf: service_sessions = 10
--conf: limit client_sessions { max = 2 }
local conn = admitted("192.0.2.10")
check("unknown command", say(conn, "unknown", "XYZZY"), SMFIR_CONTINUE)
check("MAIL", say(conn, "mailfrom", "<a@client.test.example>"), SMFIR_CONTINUE)
mt.abort(conn)
check("MAIL after RSET", say(conn, "mailfrom", "<b@client.test.example>"), SMFIR_CONTINUE)
mt.abort(conn)
mt.abort(conn)
check("second HELO", say(conn, "helo", "client.test.example"), SMFIR_CONTINUE)
check("MAIL after the second HELO", say(conn, "mailfrom", "<c@client.test.example>", "SIZE=100"), SMFIR_CONTINUE)

-- All that took one slot: of two, one is left.
local second = admitted("192.0.2.10")
refused("192.0.2.10")
mt.disconnect(second)
mt.disconnect(conn)
