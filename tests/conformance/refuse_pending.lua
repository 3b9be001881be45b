-- Two refused sessions may await their HELO; the third is refused at connect. One that has been told counts no more.
--conf: service_sessions = 1
--conf: refuse_pending = 2
local first = admitted("192.0.2.10")
local silent, answer = {}, nil
for i = 1, 2 do
    silent[i], answer = connect("192.0.2." .. 20 + i)
    check("connect " .. i, answer, SMFIR_CONTINUE)
end
local third
third, answer = connect("192.0.2.30")
check("third connect", answer, SMFIR_REPLYCODE)
mt.disconnect(third)

check("HELO", say(silent[1], "helo", "client.test.example"), SMFIR_REPLYCODE)
third, answer = connect("192.0.2.31")
check("connect after one was told", answer, SMFIR_CONTINUE)
check("its HELO", say(third, "helo", "client.test.example"), SMFIR_REPLYCODE)
mt.disconnect(third)
mt.disconnect(silent[1])
mt.disconnect(silent[2])
mt.disconnect(first)
