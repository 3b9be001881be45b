/*
 * sessions.c: the records of sessions, found by handle and by connection, and what of them a reload counts anew.
 */
#include "state.h"

#include "hash.h"

#include <string.h>

session_id session_handle(const struct engine *engine, uint32_t number)
{
    return (session_id)engine->sessions[number].generation << 32 | (number + 1);
}

struct session *session_find(const struct engine *engine, session_id id)
{
    uint32_t number = (uint32_t)id - 1;
    if (number >= engine->fresh)
        return NULL;
    struct session *session = &engine->sessions[number];
    return session->state != SESSION_FREE && session->generation == id >> 32 ? session : NULL;
}

/* ---- connections ---- */

uint32_t connection_buckets(uint32_t records)
{
    uint32_t count = 1;
    while (count < records)
        count *= 2;
    return count;
}

/* Not every MTA says where a connection came in, so that is no part of the hash. */
static uint32_t *bucket_of(const struct engine *engine, const struct addr *client, uint16_t client_port)
{
    const uint64_t words[] = {client->hi, client->lo, (uint64_t)client->family << 16 | client_port};
    return &engine->connections[hash_bytes(engine->seed, words, sizeof words) & engine->connection_mask];
}

static bool is_of_connection(const struct session_facts *facts, const struct watched_connection *connection)
{
    return facts->client_port == connection->client_port && addr_equal(&facts->client, &connection->client) &&
           (facts->local.family == ADDR_NONE || connection->local.family == ADDR_NONE ||
            addr_equal(&facts->local, &connection->local)) &&
           (facts->local_port == 0 || connection->local_port == 0 || facts->local_port == connection->local_port);
}

/* The newest of the connection; with `watched`, of those that are. */
static struct session *find_connection(const struct engine *engine, const struct watched_connection *connection,
                                       bool watched)
{
    if (!engine->connections)
        return NULL;
    for (uint32_t link = *bucket_of(engine, &connection->client, connection->client_port); link != 0;) {
        struct session *session = &engine->sessions[link - 1];
        if (is_of_connection(&session->facts, connection) && (!watched || session->hold == HELD_WATCHED))
            return session;
        link = session->next_connection;
    }
    return NULL;
}

struct session *session_of_connection(const struct engine *engine, const struct watched_connection *connection)
{
    return find_connection(engine, connection, false);
}

struct session *watched_of_connection(const struct engine *engine, const struct watched_connection *connection)
{
    return find_connection(engine, connection, true);
}

static void connection_add(struct engine *engine, uint32_t number)
{
    struct session *session = &engine->sessions[number];

    if (!engine->connections)
        return;
    uint32_t *bucket = bucket_of(engine, &session->facts.client, session->facts.client_port);
    session->next_connection = *bucket;
    *bucket = number + 1;
}

static void connection_remove(struct engine *engine, uint32_t number)
{
    const struct session *session = &engine->sessions[number];

    if (!engine->connections)
        return;
    uint32_t *link = bucket_of(engine, &session->facts.client, session->facts.client_port);
    while (*link != number + 1)
        link = &engine->sessions[*link - 1].next_connection;
    *link = session->next_connection;
}

/* ---- a reload ---- */

/* The key of a session's slot of a limit per client, client_domain or user; false when it has none. */
static bool slot_key_of(const struct session *session, const struct rules *rules, const struct terms *terms,
                        struct slot_key *key)
{
    static const uint32_t none[4] = {0};
    const uint32_t *name = terms->per == PER_USER ? session->user : session->domain;

    if (terms->per == PER_CLIENT) {
        struct prefix client = rules_client(rules, &session->facts.client);
        key->group = terms->group ^ client.addr.family;
        key_of_addr(&client.addr, key->key);
        return client.addr.family != ADDR_NONE;
    }
    key->group = terms->group;
    memcpy(key->key, name, sizeof key->key);
    return memcmp(name, none, sizeof none) != 0;
}

/* As it would stand if it had come in under the new rules. */
void session_derive(struct engine *engine, uint32_t number)
{
    const struct session *session = &engine->sessions[number];
    struct tally *next = engine->next;
    const struct rules *rules = tally_rules(next);
    const bool holds = session->hold != HELD_NOTHING;
    struct chain chain;

    rules_resolve(rules, &session->facts, &chain);
    if (session->state == SESSION_PENDING) {
        tally_pend(next, number, &chain);
        return;
    }
    tally_take(next, number, &chain, holds && !(session->over && rules_monitor(rules)));
    for (limit_number limit = 0; holds && limit < rules_limit_count(rules); limit++) {
        int index = rules_session_index(rules, limit);
        struct terms terms;
        struct slot_key key;
        if (index >= 0 && rules_terms(rules, chain.levels, chain.level_count, limit, &terms) &&
            !(session->over && terms.mode == MODE_MONITOR) && slot_key_of(session, rules, &terms, &key))
            tally_take_slot(next, number, index, &key);
    }
    uint64_t scored = 0, old = tally_scored(engine->current, number);
    for (; old != 0; old &= old - 1) {
        unsigned limit = (unsigned)__builtin_ctzll(old);
        unsigned moved = limit == SCORED_DENY ? SCORED_DENY : engine->next_limit[limit];
        if (limit == SCORED_DENY || moved != LIMITS_MAX)
            scored |= UINT64_C(1) << moved;
    }
    tally_set_scored(next, number, scored);
}

/* True when the session also stands in the tally of a reload under way. */
static bool is_derived(const struct engine *engine, uint32_t number)
{
    return engine->next && number < engine->next_derived;
}

void session_derive_again(struct engine *engine, uint32_t number)
{
    if (!is_derived(engine, number))
        return;
    tally_release(engine->next, number);
    session_derive(engine, number);
}

/* ---- records ---- */

bool session_available(const struct engine *engine)
{
    return engine->free != NO_SESSION || engine->fresh < engine->records || engine->held[HELD_NOTHING].count > 0;
}

/* The next free record's number; the caller has made sure that there is one to be had. */
static uint32_t session_alloc(struct engine *engine)
{
    if (engine->free == NO_SESSION && engine->fresh < engine->records)
        return engine->fresh++;
    if (engine->free == NO_SESSION)
        session_end(engine, &engine->sessions[engine->held[HELD_NOTHING].oldest]);
    uint32_t number = engine->free;
    engine->free = engine->sessions[number].next_free;
    return number;
}

struct session *session_open(struct engine *engine, const struct session_facts *facts, enum session_state state,
                             enum session_hold hold, uint32_t *number)
{
    *number = session_alloc(engine);
    struct session *session = &engine->sessions[*number];
    uint32_t generation = session->generation;

    *session =
        (struct session){.facts = *facts, .generation = generation, .state = (uint8_t)state, .heard = engine->now};
    ++*(state == SESSION_IN ? &engine->in : &engine->pending);
    connection_add(engine, *number);
    session_hold(engine, *number, hold);
    return session;
}

void session_unpin(struct engine *engine, struct session *session)
{
    for (unsigned i = 0; i < SESSION_PINS && session->pins[i] != 0; i++) {
        table_unpin(engine->table, session->pins[i] - 1);
        session->pins[i] = 0;
    }
}

void session_end(struct engine *engine, struct session *session)
{
    uint32_t number = session_number(engine, session);

    session_let_go(engine, number);
    connection_remove(engine, number);
    tally_release(engine->current, number);
    if (engine->next)
        tally_release(engine->next, number);
    session_unpin(engine, session);
    activity_leave(engine, session);
    --*(session->state == SESSION_IN ? &engine->in : &engine->pending);
    session->state = SESSION_FREE;
    session->generation++;
    session->next_free = engine->free;
    engine->free = number;
}
