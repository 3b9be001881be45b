-- A client that skips HELO is refused at MAIL.
--conf: service_sessions = 1
local first = admitted("192.0.2.10")
local second, answer = connect("192.0.2.11")
check("connect", answer, SMFIR_CONTINUE)
mt.abort(second) -- without it miltertest would say HELO by itself
check("MAIL", say(second, "mailfrom", "<a@client.test.example>"), SMFIR_REPLYCODE)
mt.disconnect(second)
mt.disconnect(first)
