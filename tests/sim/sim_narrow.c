/*
 * sim_narrow.c: a table too small for the keys that come. No model says what it evicts; but caps hold, nobody who is
 * banned is forgotten, and the limits on sessions count whoever is open.
 */
#include "sim.h"

#include <string.h>

#define NARROW_STEPS 1200
#define NARROW_CAP 20
#define NARROW_OF_CLIENT 2 /* sessions */
#define NARROW_BANS 400
#define BAN (600 * SECOND)

static struct narrow {
    struct engine *engine;
    int64_t now;
    struct {
        session_id id; /* 0: a slot reserved, */
        int64_t until; /* so long */
        uint32_t client;
    } open[NARROW_CAP];
    uint32_t count;
    struct {
        uint32_t client;
        int64_t until;
    } bans[NARROW_BANS];
    uint32_t ban_count;
} narrow;

static void add_limit(struct plain_rules *rules, int kind, int64_t max, int64_t window, int64_t ban)
{
    struct plain_limit *limit = &rules->limits[rules->limit_count++];
    const int64_t values[LIMIT_TERMS] = {[TERM_MAX] = max, [TERM_WINDOW] = window, [TERM_BAN] = ban};

    memset(limit, 0, sizeof *limit);
    limit->kind = kind;
    memcpy(limit->value, values, sizeof values);
    limit->set[TERM_MAX] = limit->set[TERM_WINDOW] = limit->set[TERM_BAN] = true;
}

static bool is_banned(uint32_t client)
{
    for (uint32_t i = 0; i < narrow.ban_count; i++)
        if (narrow.bans[i].client == client && narrow.now < narrow.bans[i].until)
            return true;
    return false;
}

static uint32_t sessions_of(uint32_t client)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < narrow.count; i++)
        count += narrow.open[i].client == client;
    return count;
}

/* What may not be evicted leaves no room for one more. */
static bool is_full(uint32_t room)
{
    uint32_t held = narrow.count;
    for (uint32_t i = 0; i < narrow.ban_count; i++)
        held += narrow.now <= narrow.bans[i].until + SECOND;
    return held >= room || narrow.ban_count == NARROW_BANS;
}

static void note_ban(const struct verdict *verdict, uint32_t client)
{
    if (verdict->findings[verdict->finding_count - 1].ban_began && narrow.ban_count < NARROW_BANS) {
        narrow.bans[narrow.ban_count].client = client;
        narrow.bans[narrow.ban_count++].until = narrow.now + BAN;
    }
}

/* What holds a slot is open, or reserved. */
static void narrow_answer(uint32_t client, bool holds, session_id id, const struct verdict *verdict)
{
    if (verdict->kind != VERDICT_REFUSE) {
        expect("let in a client that is banned", is_banned(client), false);
        if (!holds)
            return;
        expect("let in over the cap", narrow.count < NARROW_CAP, true);
        expect("let in over the client's sessions", sessions_of(client) < NARROW_OF_CLIENT, true);
        narrow.open[narrow.count].id = id;
        narrow.open[narrow.count].until = narrow.now + ENGINE_RESERVE_NS;
        narrow.open[narrow.count++].client = client;
        return;
    }
    note_ban(verdict, client);
    const struct finding *finding = &verdict->findings[verdict->finding_count - 1];
    if (finding->limit == LIMIT_SERVICE_SESSIONS)
        expect("sessions at the cap", narrow.count, NARROW_CAP);
    if (finding->limit == LIMIT_CLIENT_SESSIONS)
        expect("sessions of the client", sessions_of(client), NARROW_OF_CLIENT);
}

static void narrow_connect(uint32_t client)
{
    const struct plain_addr addr = plain_stranger(client);
    const struct connect_event event = {.client = plain_to_addr(&addr)};
    struct verdict verdict;
    session_id id;

    engine_connect(narrow.engine, &event, narrow.now, &id, &verdict);
    narrow_answer(client, true, id, &verdict);
}

/* A connection that no door will claim. */
static void narrow_ask(uint32_t client, uint16_t port)
{
    const struct plain_addr addr = plain_stranger(client);
    const struct request request = {.hold = below(2) ? HOLD_RESERVE : HOLD_NOTHING,
                                    .connect = {.client = plain_to_addr(&addr), .client_port = port}};
    struct request_answer answer;

    engine_request(narrow.engine, &request, narrow.now, &answer);
    expect("verdicts on what is new", answer.count, 1);
    narrow_answer(client, request.hold == HOLD_RESERVE, 0, &answer.verdicts[0]);
}

static void narrow_lapse(void)
{
    engine_lapse(narrow.engine, narrow.now);
    for (uint32_t i = narrow.count; i-- > 0;)
        if (narrow.open[i].id == 0 && narrow.now >= narrow.open[i].until)
            narrow.open[i] = narrow.open[--narrow.count];
}

void narrow_world(void)
{
    static struct plain_rules rules;
    const uint32_t room = 1 + below(60);
    uint64_t untracked = 0;

    plain_random_frames(&sim.prng, &rules);
    plain_empty(&rules);
    rules.scopes[0].set[SETTING_SERVICE_SESSIONS] = rules.scopes[0].set[SETTING_REFUSE_AT] = true;
    rules.scopes[0].value[SETTING_SERVICE_SESSIONS] = NARROW_CAP;
    rules.scopes[0].value[SETTING_REFUSE_AT] = REFUSE_AT_CONNECT;
    add_limit(&rules, LIMIT_NUMBER_CLIENT_SESSIONS, NARROW_OF_CLIENT, SECOND, 0);
    add_limit(&rules, LIMIT_NUMBER_CLIENT_CONNECTIONS, 2, 60 * SECOND, BAN);
    add_limit(&rules, LIMIT_NUMBER_CLIENT_ERRORS, 3, 60 * SECOND, 0);
    memset(&narrow, 0, sizeof narrow);
    narrow.now = 1000 * SECOND;
    narrow.engine = make_engine(&rules, 2 * NARROW_CAP, room, 0);
    for (uint32_t i = 0; i < NARROW_STEPS; i++) {
        narrow.now += below(300000000);
        narrow_lapse();
        const bool full = is_full(room);
        if (below(3) == 0 && narrow.count > 0) {
            uint32_t which = below(narrow.count);
            if (engine_close(narrow.engine, narrow.open[which].id, narrow.now))
                narrow.open[which] = narrow.open[--narrow.count];
        } else if (below(4) == 0 && narrow.count > 0) {
            const struct event event = {.kind = EVENT_UNKNOWN};
            struct verdict verdict;
            engine_event(narrow.engine, narrow.open[below(narrow.count)].id, &event, narrow.now, &verdict);
        } else if (below(3) == 0) {
            narrow_ask(below(3) ? below(100) : 1000 + i, (uint16_t)(1 + i));
        } else {
            /* A few that come again and again, among ever new ones. */
            narrow_connect(below(3) ? below(100) : 1000 + i);
        }
        if (below(100) == 0)
            engine_sweep(narrow.engine, narrow.now);
        struct engine_totals totals = engine_totals(narrow.engine);
        expect("sessions", totals.sessions, narrow.count);
        if (totals.keys > room)
            fail("%u keys in a table for %u", totals.keys, room);
        if (!full)
            expect("keys untracked", totals.untracked, untracked);
        sim.stats.not_full += !full;
        untracked = totals.untracked;
        sim.step++;
    }
    struct engine_totals totals = engine_totals(narrow.engine);
    sim.stats.evicted += totals.evicted;
    sim.stats.untracked += totals.untracked;
    sim.stats.narrow_worlds++;
    engine_free(&narrow.engine);
}
