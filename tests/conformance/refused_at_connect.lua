-- With refuse_at = connect the refusal is told at once.
--conf: service_sessions = 1
--conf: refuse_at = connect
local first = admitted("192.0.2.10")
local second, answer = connect("192.0.2.11")
check("connect", answer, SMFIR_REPLYCODE)
mt.disconnect(second)
mt.disconnect(first)
mt.disconnect(admitted_soon("192.0.2.12"))
