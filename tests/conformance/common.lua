-- What the scripts share. run.sh loads this file before each of them; `socket` is where the daemon under test listens.
--
-- miltertest tells a script what kind of answer came, not its text: the text is checked by the tests in Python here.

mt.set_timeout(60)

-- Fails the script unless the two are equal.
function check(what, got, wanted)
    if got ~= wanted then
        error(what .. ": got " .. show(got) .. ", expected " .. show(wanted), 2)
    end
end

-- An answer as the protocol's letter, anything else as it is.
function show(value)
    if type(value) == "number" and value >= 32 and value < 127 then
        return "'" .. string.char(value) .. "'"
    end
    return tostring(value)
end

-- A new filter session, negotiated.
function negotiated()
    local conn = mt.connect(socket)
    check("negotiation", mt.negotiate(conn, nil, nil, nil), nil)
    return conn
end

-- Calls one of mt's functions for `conn` and returns the answer that came.
function say(conn, name, ...)
    local failed = mt[name](conn, ...)
    if failed then
        error(name .. ": " .. failed, 2)
    end
    return mt.getreply(conn)
end

-- A client at `ip` connects to an MTA that listens on `port` (25) of `addr` (192.0.2.1) under `name`.
-- Returns the session and the answer.
function connect(ip, port, addr, name)
    local conn = negotiated()
    check("macros", mt.macro(conn, SMFIC_CONNECT, "j", "mx.test.example", "_", "client.test.example [" .. ip .. "]",
          "{daemon_name}", name or "mx.test.example", "{daemon_addr}", addr or "192.0.2.1",
          "{daemon_port}", port or "25", "{if_addr}", addr or "192.0.2.1", "v", "Postfix 3.7.11"), nil)
    return conn, say(conn, "conninfo", "client.test.example", ip)
end

-- A session that must be let in; returned after its HELO.
function admitted(...)
    local conn, answer = connect(...)
    check("connect of " .. (...), answer, SMFIR_CONTINUE)
    check("HELO of " .. (...), say(conn, "helo", "client.test.example"), SMFIR_CONTINUE)
    return conn
end

-- A session that must be refused with a reply at HELO; it is closed here.
function refused(...)
    local conn, answer = connect(...)
    check("connect of " .. (...), answer, SMFIR_CONTINUE)
    check("HELO of " .. (...), say(conn, "helo", "client.test.example"), SMFIR_REPLYCODE)
    mt.disconnect(conn)
end

-- A session that must be let in as soon as the daemon has noticed what was closed before.
function admitted_soon(...)
    for _ = 1, 3000 do
        local conn, answer = connect(...)
        if answer == SMFIR_CONTINUE and say(conn, "helo", "client.test.example") == SMFIR_CONTINUE then
            return conn
        end
        mt.disconnect(conn)
        mt.sleep(0.01)
    end
    error("no slot was given back in 30 seconds", 2)
end
