-- Of a cap alone: only the steps that can carry its refusal are asked for, each with its answer, and no change of any
-- message.
--conf: service_sessions = 10
local conn = negotiated()
for _, step in ipairs({ "NOCONNECT", "NOHELO", "NOMAIL", "NOUNKNOWN" }) do
    check("SMFIP_" .. step, mt.test_option(conn, _G["SMFIP_" .. step]), false)
end
for _, step in ipairs({ "NORCPT", "NODATA", "NOHDRS", "NOEOH", "NOBODY" }) do
    check("SMFIP_" .. step, mt.test_option(conn, _G["SMFIP_" .. step]), true)
end
for _, step in ipairs({ "CONN", "HELO", "MAIL", "UNKN", "DATA" }) do
    check("SMFIP_NR_" .. step, mt.test_option(conn, _G["SMFIP_NR_" .. step]), false)
end
for _, action in ipairs({ "ADDHDRS", "CHGBODY", "ADDRCPT", "DELRCPT", "CHGHDRS", "QUARANTINE", "CHGFROM" }) do
    check("SMFIF_" .. action, mt.test_action(conn, _G["SMFIF_" .. action]), false)
end
mt.disconnect(conn)
