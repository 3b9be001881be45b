-- Over the cap: connect goes on, HELO gets a reply; and so does whatever is said after it.
--conf: service_sessions = 1
local first = admitted("192.0.2.10")
local second, answer = connect("192.0.2.11")
check("connect", answer, SMFIR_CONTINUE)
check("HELO", say(second, "helo", "client.test.example"), SMFIR_REPLYCODE)
check("second HELO", say(second, "helo", "client.test.example"), SMFIR_REPLYCODE)
check("unknown command", say(second, "unknown", "XYZZY"), SMFIR_REPLYCODE)
check("MAIL", say(second, "mailfrom", "<a@client.test.example>"), SMFIR_REPLYCODE)
mt.abort(second)
mt.abort(second)

-- The refused session holds no slot: with the first gone there is one, while the refused one is still open.
mt.disconnect(first)
local third = admitted_soon("192.0.2.12")
refused("192.0.2.13")
mt.disconnect(third)
mt.disconnect(second)
