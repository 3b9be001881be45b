-- refuse_at is a setting like others: the most specific scope that sets it gives it.
--conf: service_sessions = 1
--conf: listener { peer "198.51.100.0/24" { refuse_at = connect } }
local first = admitted("192.0.2.10")
refused("192.0.2.11")
local second, answer = connect("198.51.100.1")
check("connect", answer, SMFIR_REPLYCODE)
mt.disconnect(second)
mt.disconnect(first)
