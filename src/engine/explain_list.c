/*
 * explain_list.c: what is told of somebody, in the order in which it is judged.
 */
#include "explain_list.h"

#include "hash.h"

#include <string.h>

/* What is judged first comes first. */
static unsigned rank(const struct explanation *one)
{
    if (one->limit >= LIMIT_NUMBERED)
        return 1 + one->limit - LIMIT_NUMBERED;
    switch (one->limit) {
    case LIMIT_LISTENER_SESSIONS:
        return LIMITS_MAX + 1;
    case LIMIT_SERVICE_SESSIONS:
        return LIMITS_MAX + 2;
    case LIMIT_SCORE:
        return LIMITS_MAX + 3;
    default:
        return 0;
    }
}

/* False for the same counter, seen from another place where the same holds. */
static bool is_new(struct explain_walk *walk, const uint64_t seed[2], const struct explanation *one)
{
    const uint64_t facts[] = {one->limit,       one->scope_number,        one->per,    one->line,   one->max,
                              one->mode,        (uint64_t)one->window_ns, one->exempt, one->banned, one->next,
                              one->client.bits, strlen(one->key)}; /* of entries that hold the same client or name */
    const uint64_t hash = hash_bytes(seed, facts, sizeof facts) | 1;
    uint32_t at = (hash >> 1) % EXPLAIN_SEEN;

    while (walk->seen[at] != 0 && walk->seen[at] != hash)
        at = (at + 1) % EXPLAIN_SEEN;
    if (walk->seen[at] == hash)
        return false;
    if (walk->seen_count < EXPLAIN_SEEN / 4 * 3) {
        walk->seen[at] = hash;
        walk->seen_count++;
    }
    return true;
}

/* Which of those told is to go first: the last of those that keep nobody out. */
static uint32_t least(const struct explain_walk *walk)
{
    uint32_t place = walk->told;

    while (place > 0 && walk->order[place - 1].keeps_out)
        place--;
    return place > 0 ? place - 1 : walk->told - 1;
}

/* A place in the list of those told, for one of that rank; EXPLAIN_ROOM: none. */
static uint16_t make_room(struct explain_walk *walk, unsigned rank, bool keeps_out)
{
    if (walk->told < walk->room)
        return (uint16_t)walk->told;
    walk->left_out++;
    const uint32_t place = least(walk);
    const uint16_t at = walk->order[place].at;
    if (walk->order[place].keeps_out == keeps_out ? walk->order[place].rank <= rank : !keeps_out)
        return EXPLAIN_ROOM;
    walk->told--;
    memmove(&walk->order[place], &walk->order[place + 1], (walk->told - place) * sizeof walk->order[0]);
    return at;
}

void explain_list_add(struct explain_walk *walk, const uint64_t seed[2], const struct explanation *one)
{
    if (!is_new(walk, seed, one))
        return;
    const uint16_t at = make_room(walk, rank(one), one->keeps_out);
    if (at == EXPLAIN_ROOM)
        return;
    uint32_t place = walk->told;
    while (place > 0 && walk->order[place - 1].rank > rank(one))
        place--;
    memmove(&walk->order[place + 1], &walk->order[place], (walk->told - place) * sizeof walk->order[0]);
    walk->order[place].rank = (uint8_t)rank(one);
    walk->order[place].keeps_out = one->keeps_out;
    walk->order[place].at = at;
    walk->list[at] = *one;
    walk->told++;
}
