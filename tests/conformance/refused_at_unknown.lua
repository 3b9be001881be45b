-- A client that begins with an unknown command is refused at that.
--conf: service_sessions = 1
local first = admitted("192.0.2.10")
local second, answer = connect("192.0.2.11")
check("connect", answer, SMFIR_CONTINUE)
check("unknown command", say(second, "unknown", "XYZZY"), SMFIR_REPLYCODE)
mt.disconnect(second)
mt.disconnect(first)
