/*
 * holds.c: how long sessions keep their slots of which no door says when they end: reservations lapse, what the kernel
 * watches ends with its connection, and what holds nothing any more is forgotten at last.
 */
#include "state.h"

#include <string.h>

/* Sessions that nobody holds stand in one list a kind, which is in order of time by itself: each comes in at its newest
 * end, and moves there again when something is heard of it. */

static struct held *held_of(struct engine *engine, const struct session *session)
{
    return session->hold != HELD_BY_DOOR ? &engine->held[session->hold] : NULL;
}

/* The end of the list where the newest neighbour's link to this one stands, or the other. */
static uint32_t *link_from_older(struct engine *engine, struct held *held, uint32_t older)
{
    return older == NO_SESSION ? &held->oldest : &engine->sessions[older].newer;
}

static uint32_t *link_from_newer(struct engine *engine, struct held *held, uint32_t newer)
{
    return newer == NO_SESSION ? &held->newest : &engine->sessions[newer].older;
}

void session_let_go(struct engine *engine, uint32_t number)
{
    struct session *session = &engine->sessions[number];
    struct held *held = held_of(engine, session);

    if (!held)
        return;
    *link_from_older(engine, held, session->older) = session->newer;
    *link_from_newer(engine, held, session->newer) = session->older;
    held->count--;
    session->hold = HELD_BY_DOOR;
}

void session_hold(struct engine *engine, uint32_t number, enum session_hold hold)
{
    struct session *session = &engine->sessions[number];

    session_let_go(engine, number);
    session->hold = (uint8_t)hold;
    session->since = engine->now;
    session->round = engine->round;
    struct held *held = held_of(engine, session);
    if (!held)
        return;
    session->older = held->newest;
    session->newer = NO_SESSION;
    *link_from_older(engine, held, held->newest) = number;
    held->newest = number;
    held->count++;
}

void session_lapse(struct engine *engine, uint32_t number)
{
    tally_release_slots(engine->current, number);
    session_unpin(engine, &engine->sessions[number]);
    activity_leave(engine, &engine->sessions[number]);
    session_hold(engine, number, HELD_NOTHING);
    session_derive_again(engine, number);
}

/* The oldest of a kind, when it has been there for so long. */
static uint32_t due(const struct engine *engine, enum session_hold hold, int64_t time)
{
    uint32_t number = engine->held[hold].oldest;
    return number != NO_SESSION && engine->now - engine->sessions[number].since >= time ? number : NO_SESSION;
}

void engine_lapse(struct engine *engine, int64_t now)
{
    uint32_t number;
    unsigned looked = 0;

    engine_advance(engine, now);
    while (looked < ENGINE_BATCH && (number = due(engine, HELD_RESERVED, ENGINE_RESERVE_NS)) != NO_SESSION) {
        session_lapse(engine, number);
        engine->lapsed++;
        looked++;
    }
    while (looked < ENGINE_BATCH && (number = due(engine, HELD_NOTHING, ENGINE_REMEMBER_NS)) != NO_SESSION) {
        session_end(engine, &engine->sessions[number]);
        looked++;
    }
}

/* ---- what the kernel watches ---- */

void watch_port(struct engine *engine, uint16_t port)
{
    struct watched_ports *watched = &engine->watched_ports;

    for (unsigned i = 0; i < watched->count; i++)
        if (watched->ports[i] == port)
            return;
    if (watched->count < WATCHED_PORTS_MAX)
        watched->ports[watched->count++] = port;
    else
        watched->all = true;
}

struct watched_ports engine_watch_begin(struct engine *engine)
{
    engine->round++;
    return engine->held[HELD_WATCHED].count > 0 ? engine->watched_ports : (struct watched_ports){.count = 0};
}

void engine_watch_seen(struct engine *engine, const struct watched_connection *connections, size_t count, int64_t now)
{
    engine_advance(engine, now);
    for (size_t i = 0; i < count && i < ENGINE_BATCH; i++) {
        const struct watched_connection *connection = &connections[i];
        struct session *session = watched_of_connection(engine, connection);
        if (!session)
            continue;
        uint32_t number = session_number(engine, session);
        /* What came, or was seen, since the round began is not contradicted by it: a dump takes its time, and may tell
         * of a connection that has been replaced meanwhile. */
        if (session->round == engine->round)
            continue;
        if (session->cookie != 0 && connection->cookie != 0 && session->cookie != connection->cookie) {
            engine_close(engine, session_handle(engine, number), now);
            continue;
        }
        if (connection->cookie != 0)
            session->cookie = connection->cookie;
        session_hold(engine, number, HELD_WATCHED);
    }
}

bool engine_watch_end(struct engine *engine, session_id id, int64_t now)
{
    struct session *session = session_find(engine, id);

    if (!session || session->hold != HELD_WATCHED)
        return false;
    engine_advance(engine, now);
    if (session->cookie != 0)
        engine_close(engine, id, now);
    else
        session_lapse(engine, session_number(engine, session));
    return true;
}

size_t engine_watch_missing(const struct engine *engine, struct watched_session *out, size_t room)
{
    size_t count = 0;

    for (uint32_t number = engine->held[HELD_WATCHED].oldest;
         number != NO_SESSION && count < room && count < ENGINE_BATCH;) {
        const struct session *session = &engine->sessions[number];
        if (session->round == engine->round)
            break;
        out[count++] = (struct watched_session){
            .id = session_handle(engine, number),
            .connection = {session->facts.client, session->facts.local, session->facts.client_port,
                           session->facts.local_port, session->cookie},
        };
        number = session->newer;
    }
    return count;
}
