/*
 * tally.c: the counts under one rule set.
 */
#include "tally.h"

#include "terms.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct counter {
    uint32_t count;   /* sessions that hold a slot of this scope */
    uint32_t max;     /* its cap, 0: none; beside the count, so that a look at both is one of memory */
    uint32_t pending; /* listeners: refused sessions that await their HELO */
};

/* What one session holds. */
struct hold {
    scope_id scopes[CHAIN_MAX]; /* whose slots; for a pending session the listener alone */
    uint32_t levels[CHAIN_MAX];
    uint8_t count; /* of scopes */
    uint8_t level_count;
    bool pending;
    uint64_t scored;
};

struct tally {
    struct rules *rules;
    struct counter *counters; /* by scope */
    struct slots *slots;
    struct hold *holds; /* by session */
    unsigned session_limits;
    uint32_t *entries; /* by session and limit on sessions: the slots' entry, plus one; 0: none */
};

static uint32_t slot_room(uint32_t records, const struct rules *rules)
{
    uint64_t room = (uint64_t)records * rules_session_limits(rules);
    return room < SLOT_NONE - 1 ? (uint32_t)room : SLOT_NONE - 2;
}

struct tally *tally_new(struct rules **rules, uint32_t records, const uint64_t seed[2])
{
    struct tally *tally = calloc(1, sizeof *tally);
    if (!tally)
        return NULL;
    tally->session_limits = rules_session_limits(*rules);
    tally->counters = calloc(rules_scope_count(*rules), sizeof *tally->counters);
    tally->slots = slots_new(slot_room(records, *rules), seed);
    tally->holds = calloc(records, sizeof *tally->holds);
    tally->entries = calloc((size_t)records * tally->session_limits, sizeof *tally->entries);
    if (!tally->counters || !tally->slots || !tally->holds || !tally->entries) {
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
    slots_free(&(*tally)->slots);
    free((*tally)->counters);
    free((*tally)->holds);
    free((*tally)->entries);
    free(*tally);
    *tally = NULL;
}

size_t tally_bytes(uint32_t records, const struct rules *rules)
{
    return sizeof(struct tally) + rules_bytes(rules) + rules_scope_count(rules) * sizeof(struct counter) +
           slots_bytes(slot_room(records, rules)) + records * sizeof(struct hold) +
           (size_t)records * rules_session_limits(rules) * sizeof(uint32_t);
}

const struct rules *tally_rules(const struct tally *tally)
{
    return tally->rules;
}

struct full tally_find_full(const struct tally *tally, const struct chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++) {
        scope_id scope = chain->scopes[i];
        const struct counter *counter = &tally->counters[scope];
        if (counter->max > 0 && counter->count >= counter->max)
            return (struct full){rules_cap_limit(scope), scope, counter->count, counter->max};
    }
    return (struct full){.limit = LIMIT_NONE};
}

bool tally_may_pend(const struct tally *tally, const struct chain *chain)
{
    return chain->refuse_pending == 0 || tally->counters[chain->listener].pending < chain->refuse_pending;
}

void tally_take(struct tally *tally, uint32_t number, const struct chain *chain, bool caps)
{
    struct hold *hold = &tally->holds[number];

    assert(hold->level_count == 0);
    hold->level_count = chain->level_count;
    memcpy(hold->levels, chain->levels, sizeof hold->levels);
    hold->count = 0;
    hold->pending = false;
    hold->scored = 0;
    for (unsigned i = 0; i < chain->count && caps; i++) {
        hold->scopes[hold->count++] = chain->scopes[i];
        tally->counters[chain->scopes[i]].count++;
    }
}

void tally_pend(struct tally *tally, uint32_t number, const struct chain *chain)
{
    struct hold *hold = &tally->holds[number];

    tally_take(tally, number, chain, false);
    hold->scopes[0] = chain->listener;
    hold->count = 1;
    hold->pending = true;
    tally->counters[chain->listener].pending++;
}

void tally_release_caps(struct tally *tally, uint32_t number)
{
    struct hold *hold = &tally->holds[number];

    for (unsigned i = 0; i < hold->count; i++) {
        struct counter *counter = &tally->counters[hold->scopes[i]];
        uint32_t *count = hold->pending ? &counter->pending : &counter->count;
        assert(*count > 0);
        --*count;
    }
    hold->count = 0;
}

static uint32_t *entry_of(const struct tally *tally, uint32_t number, int index)
{
    assert(index >= 0 && (unsigned)index < tally->session_limits);
    return &tally->entries[(size_t)number * tally->session_limits + (unsigned)index];
}

void tally_release_slot(struct tally *tally, uint32_t number, int index)
{
    uint32_t *entry = entry_of(tally, number, index);
    if (*entry != 0)
        slots_release(tally->slots, *entry - 1);
    *entry = 0;
}

void tally_release_slots(struct tally *tally, uint32_t number)
{
    tally_release_caps(tally, number);
    for (unsigned i = 0; i < tally->session_limits; i++)
        tally_release_slot(tally, number, (int)i);
}

void tally_release(struct tally *tally, uint32_t number)
{
    tally_release_slots(tally, number);
    tally->holds[number].level_count = 0;
}

const uint32_t *tally_levels(const struct tally *tally, uint32_t number, unsigned *count)
{
    *count = tally->holds[number].level_count;
    return tally->holds[number].levels;
}

uint32_t tally_slot_count(const struct tally *tally, const struct slot_key *key)
{
    return slots_count(tally->slots, key);
}

bool tally_has_slot(const struct tally *tally, uint32_t number, int index)
{
    return *entry_of(tally, number, index) != 0;
}

void tally_take_slot(struct tally *tally, uint32_t number, int index, const struct slot_key *key)
{
    uint32_t *entry = entry_of(tally, number, index);
    if (*entry == 0)
        *entry = slots_take(tally->slots, key) + 1;
}

uint64_t tally_scored(const struct tally *tally, uint32_t number)
{
    return tally->holds[number].scored;
}

void tally_set_scored(struct tally *tally, uint32_t number, uint64_t scored)
{
    tally->holds[number].scored = scored;
}

uint32_t tally_count(const struct tally *tally, scope_id scope)
{
    return tally->counters[scope].count;
}

uint32_t tally_pending(const struct tally *tally, scope_id scope)
{
    return tally->counters[scope].pending;
}

uint32_t tally_keys(const struct tally *tally)
{
    return slots_used(tally->slots);
}
