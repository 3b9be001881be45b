/*
 * records.c: what the engine remembers of a key, and whose it is.
 *
 * Of a name whose networks are counted, each network has a record of its own, which nobody finds who does not know
 * both. To forget them all, the name gets another epoch, which is part of their keys. It is kept where a client's
 * record has its reputation. A name that is new, or was forgotten, is in the latest epoch: in an older one nothing of
 * it counts any more.
 */
#include "state.h"

#include "hash.h"

#include <string.h>

void key_of_addr(const struct addr *addr, uint32_t key[4])
{
    key[0] = (uint32_t)(addr->hi >> 32);
    key[1] = (uint32_t)addr->hi;
    key[2] = (uint32_t)(addr->lo >> 32);
    key[3] = (uint32_t)addr->lo;
}

struct addr addr_of_key(const uint32_t key[4], enum addr_family family)
{
    return (struct addr){(uint64_t)key[0] << 32 | key[1], (uint64_t)key[2] << 32 | key[3], (uint8_t)family};
}

void key_of_name(const struct engine *engine, const char *name, uint32_t key[4])
{
    uint64_t wide[2];

    hash_bytes_wide(engine->seed, name, strlen(name), wide);
    wide[1] |= 1; /* all 0 is no key */
    memcpy(key, wide, sizeof wide);
}

void record_touch(struct record *record, uint64_t tick)
{
    uint64_t last = tick - table_age(record, tick);
    for (unsigned i = 0; i < RECORD_WINDOWS; i++)
        window_advance(&record->windows[i], last, tick);
    record->last = (uint32_t)tick;
}

uint32_t record_events(const struct record *record, uint64_t tick)
{
    const uint64_t last = tick - table_age(record, tick);
    uint64_t sum = 0;

    for (unsigned i = 0; i < RECORD_WINDOWS; i++)
        sum += window_count_at(&record->windows[i], last, tick);
    return sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

/* As long as a limit counts anything of a key it counts for no less than others: the oldest is to go. */
uint32_t record_worth(void *context, struct record *record, uint64_t tick)
{
    const struct engine *engine = context;
    uint32_t steps = rules_reputation_steps(tally_rules(engine->current));

    /* In the record itself: the number of its step comes round again. */
    if (steps > 0 && record->reputation != 0)
        reputation_decay(record, steps, tick);
    return (steps > 0 && record->reputation != 0) || record_events(record, tick) > 0;
}

uint16_t networks_epoch(const struct engine *engine, const struct record *name)
{
    return name && name->reputation_step != 0 ? name->reputation_step : engine->networks_epoch;
}

struct record *record_find(const struct engine *engine, uint64_t group, const uint32_t key[4])
{
    uint32_t index = table_find(engine->table, group, key);
    return index == TABLE_NONE ? NULL : table_record(engine->table, index);
}

uint32_t record_obtain(struct engine *engine, uint64_t group, const uint32_t key[4], uint64_t tick)
{
    return table_obtain(engine->table, group, key, tick, record_worth, engine);
}

void client_history(struct engine *engine, const struct rules *rules, const struct addr *client, uint64_t tick,
                    int points)
{
    uint32_t steps = rules_reputation_steps(rules), key[4];
    struct prefix counted = rules_client(rules, client);

    if (steps == 0 || client->family == ADDR_NONE)
        return;
    key_of_addr(&counted.addr, key);
    uint32_t index = record_obtain(engine, rules_reputation_group(rules) ^ client->family, key, tick);
    if (index == TABLE_NONE)
        return;
    record_touch(table_record(engine->table, index), tick);
    reputation_add(table_record(engine->table, index), steps, tick, points);
}
