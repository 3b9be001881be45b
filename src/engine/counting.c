/*
 * counting.c: what was admitted is counted.
 */
#include "state.h"

#include <string.h>

static void tell_untracked(struct judging *judging, const struct taking *taking)
{
    struct table_totals totals = table_totals(judging->engine->table);
    struct finding *finding =
        finding_add(judging, LIMIT_TABLE, limit_name(LIMIT_TABLE), ACTION_UNTRACKED, taking->scope);
    if (!finding)
        return;
    finding->count = totals.used;
    finding->max = totals.room;
    finding_cross(judging, finding, false);
}

/* The session holds the record of its client, as it holds its slots. */
static void pin(struct judging *judging, uint32_t index)
{
    struct session *session = judging->session;

    for (unsigned i = 0; i < SESSION_PINS; i++) {
        if (session->pins[i] == index + 1)
            return;
        if (session->pins[i] == 0) {
            session->pins[i] = index + 1;
            table_pin(judging->engine->table, index);
            return;
        }
    }
}

/* Notes that the network was seen now. When the one sight before is in the window of the name, it is taken out of it;
 * false when there is no room to note it. */
static bool take_network(struct judging *judging, const struct taking *taking, struct window *names)
{
    struct engine *engine = judging->engine;
    uint32_t index = record_obtain(engine, taking->group ^ NETWORK_GROUP, taking->network, judging->tick);

    if (index == TABLE_NONE)
        return false;
    struct record *network = table_record(engine->table, index);
    uint64_t then = judging->tick - table_age(network, judging->tick);
    struct window *sight = &network->windows[0];
    bool moved = taking->seen && window_move(names, then, judging->tick);
    *sight = (struct window){.shape = 0};
    window_open(sight, taking->shape, judging->tick);
    window_add(sight, 1);
    network->last = (uint32_t)judging->tick;
    if (!moved)
        window_add(names, 1);
    return true;
}

static void take_window(struct judging *judging, const struct taking *taking)
{
    struct engine *engine = judging->engine;
    uint32_t index = record_obtain(engine, taking->group, taking->key, judging->tick);

    if (index == TABLE_NONE) {
        tell_untracked(judging, taking);
        return;
    }
    struct record *record = table_record(engine->table, index);
    struct window *window = &record->windows[taking->slot];
    record_touch(record, judging->tick);
    window_open(window, taking->shape, judging->tick);
    if (taking->count != COUNT_NETWORKS) {
        window_add(window, event_times(judging->event));
    } else {
        record->reputation_step = networks_epoch(engine, record);
        /* Obtaining the network's record must not evict the name's. */
        table_pin(engine->table, index);
        if (!take_network(judging, taking, window))
            tell_untracked(judging, taking);
        table_unpin(engine->table, index);
    }
    if (taking->per_client && judging->session->hold != HELD_NOTHING)
        pin(judging, index);
}

void judge_commit(struct judging *judging)
{
    for (unsigned i = 0; i < judging->taking_count; i++) {
        const struct taking *taking = &judging->takings[i];
        if (taking->monitored && judging->over_now)
            continue;
        if (taking->count == COUNT_SESSIONS) {
            struct slot_key key = {.group = taking->group};
            memcpy(key.key, taking->key, sizeof key.key);
            tally_take_slot(judging->engine->current, judging->number, taking->session_index, &key);
        } else {
            take_window(judging, taking);
        }
    }
}
