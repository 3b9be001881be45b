/*
 * tally.c: the counts under one rule set.
 */
#include "tally.h"

#include "clients.h"

#include <assert.h>
#include <stdlib.h>

struct counter {
    uint32_t count;   /* sessions that hold a slot of this scope */
    uint32_t max;     /* its cap, 0: none; beside the count, so that a look at both is one of memory */
    uint32_t pending; /* listeners: refused sessions that await their HELO */
};

/* What one session holds. */
struct hold {
    scope_id scopes[CHAIN_MAX]; /* whose slots; for a pending session the listener alone */
    uint8_t count;              /* of scopes; 0: it holds nothing */
    bool pending;
    uint32_t client; /* entry of the clients' table, or CLIENTS_NONE */
};

struct tally {
    struct rules *rules;
    struct counter *counters; /* by scope */
    struct clients *clients;
    struct hold *holds; /* by session */
};

struct tally *tally_new(struct rules **rules, uint32_t records, const uint64_t seed[2])
{
    struct tally *tally = calloc(1, sizeof *tally);
    if (!tally)
        return NULL;
    tally->counters = calloc(rules_scope_count(*rules), sizeof *tally->counters);
    tally->clients = clients_new(records, seed);
    tally->holds = calloc(records, sizeof *tally->holds);
    if (!tally->counters || !tally->clients || !tally->holds) {
        tally_free(&tally);
        return NULL;
    }
    for (scope_id i = 0; i < rules_scope_count(*rules); i++)
        tally->counters[i].max = rules_cap(*rules, i);
    tally->rules = *rules;
    *rules = NULL;
    return tally;
}

void tally_free(struct tally **tally)
{
    if (!*tally)
        return;
    rules_free(&(*tally)->rules);
    clients_free(&(*tally)->clients);
    free((*tally)->counters);
    free((*tally)->holds);
    free(*tally);
    *tally = NULL;
}

size_t tally_bytes(uint32_t records, const struct rules *rules)
{
    return sizeof(struct tally) + rules_bytes(rules) + rules_scope_count(rules) * sizeof(struct counter) +
           clients_bytes(records) + records * sizeof(struct hold);
}

const struct rules *tally_rules(const struct tally *tally)
{
    return tally->rules;
}

static struct client_key client_key_of(const struct tally *tally, const struct chain *chain, const struct addr *client)
{
    return (struct client_key){rules_client(tally->rules, client).addr, chain->client_scope};
}

struct full tally_find_full(const struct tally *tally, const struct chain *chain, const struct addr *client)
{
    if (chain->client_sessions > 0) {
        struct client_key key = client_key_of(tally, chain, client);
        uint32_t count = clients_count(tally->clients, &key);
        if (count >= chain->client_sessions)
            return (struct full){LIMIT_CLIENT_SESSIONS, chain->client_scope, rules_client(tally->rules, client), count,
                                 chain->client_sessions};
    }
    for (unsigned i = 0; i < chain->count; i++) {
        scope_id scope = chain->scopes[i];
        const struct counter *counter = &tally->counters[scope];
        if (counter->max > 0 && counter->count >= counter->max)
            return (struct full){
                rules_cap_limit(scope), scope, {*client, (uint8_t)addr_width(client)}, counter->count, counter->max};
    }
    return (struct full){.limit = LIMIT_NONE};
}

bool tally_may_pend(const struct tally *tally, const struct chain *chain)
{
    return chain->refuse_pending == 0 || tally->counters[chain->listener].pending < chain->refuse_pending;
}

void tally_take(struct tally *tally, uint32_t number, const struct chain *chain, const struct addr *client)
{
    struct hold *hold = &tally->holds[number];

    assert(hold->count == 0);
    for (unsigned i = 0; i < chain->count; i++) {
        hold->scopes[i] = chain->scopes[i];
        tally->counters[chain->scopes[i]].count++;
    }
    hold->count = chain->count;
    hold->pending = false;
    hold->client = CLIENTS_NONE;
    if (chain->client_scope != RULES_NO_SCOPE) {
        struct client_key key = client_key_of(tally, chain, client);
        hold->client = clients_take(tally->clients, &key);
    }
}

void tally_pend(struct tally *tally, uint32_t number, const struct chain *chain)
{
    assert(tally->holds[number].count == 0);
    tally->holds[number] =
        (struct hold){.scopes = {chain->listener}, .count = 1, .pending = true, .client = CLIENTS_NONE};
    tally->counters[chain->listener].pending++;
}

void tally_release(struct tally *tally, uint32_t number)
{
    struct hold *hold = &tally->holds[number];

    for (unsigned i = 0; i < hold->count; i++) {
        struct counter *counter = &tally->counters[hold->scopes[i]];
        uint32_t *held = hold->pending ? &counter->pending : &counter->count;
        assert(*held > 0);
        --*held;
    }
    if (hold->count > 0 && hold->client != CLIENTS_NONE)
        clients_release(tally->clients, hold->client);
    hold->count = 0;
}

uint32_t tally_count(const struct tally *tally, scope_id scope)
{
    return tally->counters[scope].count;
}

uint32_t tally_pending(const struct tally *tally, scope_id scope)
{
    return tally->counters[scope].pending;
}

uint32_t tally_clients(const struct tally *tally)
{
    return clients_used(tally->clients);
}
