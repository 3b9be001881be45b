/*
 * engine.c: sessions and verdicts.
 */
#include "engine.h"

#include "crossing.h"
#include "tally.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum session_state { SESSION_FREE, SESSION_IN, SESSION_PENDING };

struct session {
    struct session_facts facts;
    uint32_t generation; /* how often this record was freed; the upper half of the handle */
    uint32_t next_free;
    uint8_t state; /* enum session_state */
};

#define NO_SESSION UINT32_MAX

struct engine {
    uint64_t seed[2];
    uint32_t records;
    uint32_t fresh; /* records from here on were never used, and their memory never touched */
    uint32_t free;  /* list of records that were */
    uint32_t in, pending;
    struct session *sessions;
    struct crossings *crossings;
    struct tally *current;
    struct tally *next;    /* during a reload: the tally under the new rules, */
    uint32_t next_derived; /* which holds the sessions below this number */
};

const char *limit_name(enum limit_id limit)
{
    switch (limit) {
    case LIMIT_SERVICE_SESSIONS:
        return "service_sessions";
    case LIMIT_LISTENER_SESSIONS:
        return "listener_sessions";
    case LIMIT_CLIENT_SESSIONS:
        return "client_sessions";
    case LIMIT_SESSION_TABLE:
        return "session_table_size";
    case LIMIT_NONE:
        break;
    }
    return "none";
}

struct engine *engine_new(const struct engine_params *params, struct rules **rules)
{
    assert(params->session_records >= 1 && params->session_records <= ENGINE_SESSIONS_MAX);
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return NULL;
    memcpy(engine->seed, params->seed, sizeof engine->seed);
    engine->records = params->session_records;
    engine->free = NO_SESSION;
    engine->sessions = calloc(engine->records, sizeof *engine->sessions);
    engine->crossings = crossings_new(engine->seed);
    if (engine->sessions && engine->crossings)
        engine->current = tally_new(rules, engine->records, engine->seed);
    if (!engine->current)
        engine_free(&engine);
    return engine;
}

void engine_free(struct engine **engine)
{
    if (!*engine)
        return;
    tally_free(&(*engine)->current);
    tally_free(&(*engine)->next);
    crossings_free(&(*engine)->crossings);
    free((*engine)->sessions);
    free(*engine);
    *engine = NULL;
}

struct engine_memory engine_memory(uint32_t session_records, const struct rules *rules)
{
    return (struct engine_memory){
        .sessions = sizeof(struct engine) + session_records * sizeof(struct session) + crossings_bytes(),
        .per_rules = tally_bytes(session_records, rules),
    };
}

/* The next free record's number; the caller has made sure that there is one. */
static uint32_t session_alloc(struct engine *engine)
{
    uint32_t number = engine->free;
    if (number != NO_SESSION)
        engine->free = engine->sessions[number].next_free;
    else
        number = engine->fresh++;
    return number;
}

static bool session_available(const struct engine *engine)
{
    return engine->free != NO_SESSION || engine->fresh < engine->records;
}

static session_id session_handle(const struct engine *engine, uint32_t number)
{
    return (session_id)engine->sessions[number].generation << 32 | (number + 1);
}

/* The record of a handle; NULL when that session is not open. */
static struct session *session_find(const struct engine *engine, session_id id)
{
    uint32_t number = (uint32_t)id - 1;
    if (number >= engine->fresh)
        return NULL;
    struct session *session = &engine->sessions[number];
    return session->state != SESSION_FREE && session->generation == id >> 32 ? session : NULL;
}

/* Counts a session in a tally, as its state wants, under the tally's own rules. */
static void count_in(struct engine *engine, struct tally *tally, uint32_t number, const struct chain *chain)
{
    const struct session *session = &engine->sessions[number];
    if (session->state == SESSION_PENDING)
        tally_pend(tally, number, chain);
    else
        tally_take(tally, number, chain, &session->facts.client);
}

static void derive(struct engine *engine, uint32_t number)
{
    struct chain chain;
    rules_resolve(tally_rules(engine->next), &engine->sessions[number].facts, &chain);
    count_in(engine, engine->next, number, &chain);
}

static session_id session_open(struct engine *engine, const struct session_facts *facts, enum session_state state,
                               const struct chain *chain)
{
    uint32_t number = session_alloc(engine);
    struct session *session = &engine->sessions[number];

    session->facts = *facts;
    session->state = (uint8_t)state;
    ++*(state == SESSION_IN ? &engine->in : &engine->pending);
    count_in(engine, engine->current, number, chain);
    if (engine->next && number < engine->next_derived)
        derive(engine, number);
    return session_handle(engine, number);
}

static void session_end(struct engine *engine, struct session *session)
{
    uint32_t number = (uint32_t)(session - engine->sessions);

    tally_release(engine->current, number);
    if (engine->next)
        tally_release(engine->next, number);
    --*(session->state == SESSION_IN ? &engine->in : &engine->pending);
    session->state = SESSION_FREE;
    session->generation++;
    session->next_free = engine->free;
    engine->free = number;
}

static void fill_verdict(struct engine *engine, const struct full *full, const struct addr *client, int64_t now,
                         struct verdict *verdict)
{
    verdict->limit = full->limit;
    verdict->client = full->client;
    verdict->count = full->count;
    verdict->max = full->max;
    rules_scope_name(tally_rules(engine->current), full->scope, verdict->scope);
    const struct prefix *key = full->limit == LIMIT_CLIENT_SESSIONS ? &full->client : NULL;
    verdict->crossing = crossings_refused(engine->crossings, full->limit, verdict->scope, key, client, now);
}

void engine_connect(struct engine *engine, const struct connect_event *event, int64_t now, session_id *id,
                    struct verdict *verdict)
{
    struct session_facts facts = session_facts_of(event);
    struct chain chain;

    *id = 0;
    verdict->kind = VERDICT_CONTINUE;
    verdict->speak_at = REFUSE_AT_HELO;
    verdict->limit = LIMIT_NONE;
    verdict->crossing = false;
    verdict->delay_ns = 0;

    rules_resolve(tally_rules(engine->current), &facts, &chain);
    struct full full = tally_find_full(engine->current, &chain, &facts.client);
    bool room = session_available(engine);
    if (full.limit == LIMIT_NONE && room) {
        *id = session_open(engine, &facts, SESSION_IN, &chain);
        return;
    }
    if (full.limit == LIMIT_NONE) {
        full = (struct full){LIMIT_SESSION_TABLE,
                             RULES_SERVICE,
                             {facts.client, (uint8_t)addr_width(&facts.client)},
                             engine->records,
                             engine->records};
        fill_verdict(engine, &full, &facts.client, now, verdict);
        return;
    }
    verdict->kind = VERDICT_REFUSE;
    verdict->delay_ns = chain.disconnect_delay_ns;
    fill_verdict(engine, &full, &facts.client, now, verdict);
    if (chain.refuse_at == REFUSE_AT_CONNECT || !room || !tally_may_pend(engine->current, &chain))
        verdict->speak_at = REFUSE_AT_CONNECT;
    else
        *id = session_open(engine, &facts, SESSION_PENDING, &chain);
}

void engine_spoken(struct engine *engine, session_id id)
{
    struct session *session = session_find(engine, id);
    if (session && session->state == SESSION_PENDING)
        session_end(engine, session);
}

bool engine_close(struct engine *engine, session_id id)
{
    struct session *session = session_find(engine, id);
    if (!session)
        return false;
    session_end(engine, session);
    return true;
}

size_t engine_crossings_over(struct engine *engine, int64_t now, bool all, struct crossing_report *out, size_t room)
{
    return crossings_over(engine->crossings, now, all, out, room < ENGINE_BATCH ? room : ENGINE_BATCH);
}

uint64_t engine_crossings_unfollowed(struct engine *engine)
{
    return crossings_unfollowed(engine->crossings);
}

struct tally *engine_reload_begin(const struct engine *engine, struct rules **rules)
{
    return tally_new(rules, engine->records, engine->seed);
}

bool engine_reload_step(struct engine *engine, struct tally *next)
{
    if (!engine->next) {
        engine->next = next;
        engine->next_derived = 0;
    }
    assert(engine->next == next);
    for (uint32_t i = 0; i < ENGINE_BATCH && engine->next_derived < engine->fresh; i++) {
        uint32_t number = engine->next_derived++;
        if (engine->sessions[number].state != SESSION_FREE)
            derive(engine, number);
    }
    /* A record that is used for the first time after this lies above next_derived: it is derived by another step, or,
     * once all are, when its session is opened. */
    if (engine->next_derived < engine->fresh)
        return false;
    engine->next_derived = engine->records;
    return true;
}

struct tally *engine_reload_finish(struct engine *engine)
{
    struct tally *retired = engine->current;
    assert(engine->next && engine->next_derived == engine->records);
    engine->current = engine->next;
    engine->next = NULL;
    return retired;
}

void engine_retired_free(struct tally **retired)
{
    tally_free(retired);
}

size_t engine_counters(const struct engine *engine, size_t from, struct counter_view *out, size_t room)
{
    const struct rules *rules = tally_rules(engine->current);
    size_t count = 0;

    if (room > ENGINE_BATCH)
        room = ENGINE_BATCH;
    for (size_t i = from; i < rules_scope_count(rules) && count < room; i++) {
        struct counter_view *view = &out[count++];
        scope_id scope = (scope_id)i;
        rules_scope_name(rules, scope, view->scope);
        view->limit = rules_cap_limit(scope);
        view->count = tally_count(engine->current, scope);
        view->max = rules_cap(rules, scope);
        view->pending = tally_pending(engine->current, scope);
    }
    return count;
}

struct engine_totals engine_totals(const struct engine *engine)
{
    return (struct engine_totals){
        .sessions = engine->in + engine->pending,
        .pending = engine->pending,
        .clients = tally_clients(engine->current),
        .crossings = crossings_used(engine->crossings),
        .session_records = engine->records,
    };
}
