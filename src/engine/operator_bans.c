/*
 * operator_bans.c: the bans of administrators, in a hash table by target and a heap by their end.
 */
#include "operator_bans.h"

#include "hash.h"
#include "nameset.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 16384u /* a power of two */
#define FREE OPERATOR_BANS_MAX
#define WIDTH_MAX 128

struct operator_bans {
    uint64_t seed[2];
    uint32_t count;
    uint32_t fresh;                       /* bans from here on were never used, and their memory never touched */
    uint32_t free;                        /* list of bans that were: index plus one, 0: none */
    uint32_t names, monitored;            /* of them */
    uint32_t lengths[2][WIDTH_MAX + 1];   /* prefixes of IPv4 and IPv6 by their length */
    uint64_t used[2][WIDTH_MAX / 64 + 1]; /* bit n: there are some of length n */
    uint32_t buckets[BUCKETS];            /* first ban, plus one; 0: empty */
    uint32_t heap[OPERATOR_BANS_MAX];     /* none ends before the one at half its place */
    struct operator_ban bans[OPERATOR_BANS_MAX];
};

size_t operator_bans_bytes(void)
{
    return sizeof(struct operator_bans);
}

struct operator_bans *operator_bans_new(const uint64_t seed[2])
{
    struct operator_bans *bans = calloc(1, sizeof *bans);
    if (bans)
        memcpy(bans->seed, seed, sizeof bans->seed);
    return bans;
}

void operator_bans_free(struct operator_bans **bans)
{
    free(*bans);
    *bans = NULL;
}

uint32_t operator_bans_count(const struct operator_bans *bans)
{
    return bans->count;
}

uint32_t operator_bans_monitored(const struct operator_bans *bans)
{
    return bans->monitored;
}

uint32_t operator_bans_extent(const struct operator_bans *bans)
{
    return bans->fresh;
}

const struct operator_ban *operator_bans_at(const struct operator_bans *bans, uint32_t index)
{
    return bans->bans[index].place != FREE ? &bans->bans[index] : NULL;
}

/* ---- by target ---- */

static bool is_name(const struct ban_target *target)
{
    return target->clients.addr.family == ADDR_NONE;
}

static uint32_t *bucket_of(const struct operator_bans *bans, uint64_t hash)
{
    return (uint32_t *)&bans->buckets[hash & (BUCKETS - 1)];
}

static uint32_t *client_bucket(const struct operator_bans *bans, const struct prefix *clients)
{
    const uint64_t words[] = {clients->addr.hi, clients->addr.lo, clients->addr.family, clients->bits};
    return bucket_of(bans, hash_bytes(bans->seed, words, sizeof words));
}

static uint32_t *name_bucket(const struct operator_bans *bans, const char *name)
{
    return bucket_of(bans, hash_bytes(bans->seed, name, strlen(name)));
}

static uint32_t *target_bucket(const struct operator_bans *bans, const struct ban_target *target)
{
    return is_name(target) ? name_bucket(bans, target->name) : client_bucket(bans, &target->clients);
}

static bool same_target(const struct ban_target *a, const struct ban_target *b)
{
    return prefix_compare(&a->clients, &b->clients) == 0 && (!is_name(a) || strcmp(a->name, b->name) == 0);
}

/* The ban of that target, NULL when there is none. */
static struct operator_ban *find(const struct operator_bans *bans, const struct ban_target *target)
{
    uint32_t link = *target_bucket(bans, target);

    while (link != 0 && !same_target(&bans->bans[link - 1].target, target))
        link = bans->bans[link - 1].next;
    return link != 0 ? (struct operator_ban *)&bans->bans[link - 1] : NULL;
}

/* How many prefixes there are of a length; of names, how many there are. */
static void count_target(struct operator_bans *bans, const struct ban_target *target, bool one_more)
{
    const unsigned ipv6 = target->clients.addr.family == ADDR_IPV6, bits = target->clients.bits;
    const uint64_t bit = UINT64_C(1) << bits % 64;
    uint32_t *count = is_name(target) ? &bans->names : &bans->lengths[ipv6][bits];

    *count += one_more ? 1 : UINT32_MAX;
    if (is_name(target))
        return;
    bans->used[ipv6][bits / 64] &= ~bit;
    bans->used[ipv6][bits / 64] |= *count > 0 ? bit : 0;
}

/* ---- by their end ---- */

static void place(struct operator_bans *bans, uint32_t at, uint32_t index)
{
    bans->heap[at] = index;
    bans->bans[index].place = at;
}

static int64_t end_at(const struct operator_bans *bans, uint32_t at)
{
    return bans->bans[bans->heap[at]].until;
}

/* Brings the ban at a place of the heap, the only one that may be at the wrong one, to where it belongs. */
static void settle(struct operator_bans *bans, uint32_t at)
{
    const uint32_t index = bans->heap[at];
    const int64_t until = bans->bans[index].until;

    for (; at > 0 && end_at(bans, (at - 1) / 2) > until; at = (at - 1) / 2)
        place(bans, at, bans->heap[(at - 1) / 2]);
    for (uint32_t below = 2 * at + 1; below < bans->count; below = 2 * at + 1) {
        if (below + 1 < bans->count && end_at(bans, below + 1) < end_at(bans, below))
            below++;
        if (end_at(bans, below) >= until)
            break;
        place(bans, at, bans->heap[below]);
        at = below;
    }
    place(bans, at, index);
}

/* ---- bans ---- */

void operator_bans_remove(struct operator_bans *bans, uint32_t index)
{
    struct operator_ban *ban = &bans->bans[index];
    const uint32_t at = ban->place;
    uint32_t *link = target_bucket(bans, &ban->target);

    while (*link != index + 1)
        link = &bans->bans[*link - 1].next;
    *link = ban->next;
    count_target(bans, &ban->target, false);
    bans->monitored -= ban->monitored;
    bans->count--;
    if (at < bans->count) {
        place(bans, at, bans->heap[bans->count]);
        settle(bans, at);
    }
    ban->place = FREE;
    ban->next = bans->free;
    bans->free = index + 1;
}

void operator_bans_expire(struct operator_bans *bans, int64_t now, uint32_t most)
{
    for (; most > 0 && bans->count > 0 && end_at(bans, 0) <= now; most--)
        operator_bans_remove(bans, bans->heap[0]);
}

void operator_bans_end_monitored(struct operator_bans *bans)
{
    for (uint32_t i = 0; i < bans->fresh && bans->monitored > 0; i++)
        if (operator_bans_at(bans, i) && bans->bans[i].monitored)
            operator_bans_remove(bans, i);
}

enum ban_result operator_bans_put(struct operator_bans *bans, const struct ban_target *target, int64_t now,
                                  int64_t until, bool monitored)
{
    struct operator_ban *ban = find(bans, target);
    const bool changed = ban && ban->until > now;

    if (!ban) {
        operator_bans_expire(bans, now, 1);
        if (bans->count == OPERATOR_BANS_MAX)
            return BAN_NO_ROOM;
        uint32_t index = bans->free > 0 ? bans->free - 1 : bans->fresh++;
        uint32_t *bucket = target_bucket(bans, target);
        ban = &bans->bans[index];
        if (bans->free > 0)
            bans->free = ban->next;
        *ban = (struct operator_ban){.target = *target, .until = until, .next = *bucket};
        *bucket = index + 1;
        count_target(bans, target, true);
        place(bans, bans->count++, index);
    }
    if (!changed) {
        ban->since = now;
        bans->monitored += (uint32_t)monitored - ban->monitored;
        ban->monitored = monitored;
    }
    ban->until = until;
    settle(bans, ban->place);
    return changed ? BAN_CHANGED : BAN_BEGUN;
}

static const struct operator_ban *in_force(const struct operator_ban *ban, int64_t now)
{
    return ban && ban->until > now ? ban : NULL;
}

const struct operator_ban *operator_bans_of(const struct operator_bans *bans, const struct ban_target *target,
                                            int64_t now)
{
    return in_force(find(bans, target), now);
}

/* Of the prefixes shorter than `below` the longest that holds the address. */
static const struct operator_ban *find_client(const struct operator_bans *bans, const struct addr *client,
                                              unsigned below, int64_t now)
{
    const struct operator_ban *found = NULL;
    const unsigned ipv6 = client->family == ADDR_IPV6;

    if (bans->count == 0 || client->family == ADDR_NONE)
        return NULL;
    for (unsigned word = below / 64 + 1; word-- > 0 && !found;) {
        const uint64_t shorter = 64 * word + 64 <= below ? UINT64_MAX : (UINT64_C(1) << (below - 64 * word)) - 1;
        for (uint64_t left = bans->used[ipv6][word] & shorter; left != 0 && !found;) {
            const unsigned bit = 63 - (unsigned)__builtin_clzll(left), bits = 64 * word + bit;
            struct ban_target target;
            target.clients = (struct prefix){addr_cut(client, bits), (uint8_t)bits};
            found = in_force(find(bans, &target), now);
            left &= ~(UINT64_C(1) << bit);
        }
    }
    return found;
}

const struct operator_ban *operator_bans_client(const struct operator_bans *bans, const struct addr *client,
                                                int64_t now)
{
    return find_client(bans, client, WIDTH_MAX + 1, now);
}

const struct operator_ban *operator_bans_block(const struct operator_bans *bans, const struct prefix *block,
                                               int64_t now)
{
    return find_client(bans, &block->addr, block->bits + 1u, now);
}

const struct operator_ban *operator_bans_name(const struct operator_bans *bans, const char *name, int64_t now)
{
    const struct operator_ban *found = NULL;
    const char *at = strrchr(name, '@'), *domain = at ? at + 1 : name;

    for (unsigned label = 0; bans->names > 0 && !found && domain && label < NAMESET_LABELS; label++) {
        uint32_t link = *name_bucket(bans, domain);
        while (link != 0 &&
               !(is_name(&bans->bans[link - 1].target) && strcmp(bans->bans[link - 1].target.name, domain) == 0))
            link = bans->bans[link - 1].next;
        found = link != 0 ? in_force(&bans->bans[link - 1], now) : NULL;
        domain = strchr(domain, '.');
        domain = domain ? domain + 1 : NULL;
    }
    return found;
}

const struct operator_ban *operator_bans_around(const struct operator_bans *bans, const struct operator_ban *ban,
                                                int64_t now)
{
    if (!is_name(&ban->target))
        return find_client(bans, &ban->target.clients.addr, ban->target.clients.bits, now);
    const char *dot = strchr(ban->target.name, '.');
    return dot ? operator_bans_name(bans, dot + 1, now) : NULL;
}
