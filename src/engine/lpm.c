/*
 * lpm.c: longest-prefix match.
 *
 * Each node stands for a block of addresses and splits it into 64 slots by the next six bits. A slot leads to a child
 * node (bit in `children`) or to the value of the longest prefix that covers it. Runs of equal values are stored once:
 * `values` marks the slots where a run begins, so that a node is 24 bytes and a popcount away from its answer.
 */
#include "lpm.h"

#include <stdlib.h>

#define STRIDE 6
#define SLOTS 64

struct node {
    uint64_t children;    /* slots that lead to a child */
    uint64_t values;      /* slots where a new run of values begins, among those that lead to no child */
    uint32_t first_child; /* index of the first child; the others follow it */
    uint32_t first_value; /* index of the first run's value */
};

struct pool {
    void *items;
    size_t used, room, item_size;
};

struct lpm {
    struct pool nodes;  /* struct node; the first two are the roots of IPv4 and IPv6 */
    struct pool values; /* uint32_t */
};

enum { ROOT_IPV4, ROOT_IPV6, ROOTS };

/* Entries are sorted, and those of a block stand together: a range of them with the bits already consumed. */
struct range {
    const struct lpm_entry *begin, *end;
};

/* Room for `count` more items; SIZE_MAX when memory is short. Returns the index of the first. */
static size_t pool_add(struct pool *pool, size_t count)
{
    if (pool->used + count > pool->room) {
        size_t room = pool->room * 2 > pool->used + count ? pool->room * 2 : pool->used + count;
        void *items = room < UINT32_MAX ? realloc(pool->items, room * pool->item_size) : NULL;
        if (!items)
            return SIZE_MAX;
        pool->items = items;
        pool->room = room;
    }
    pool->used += count;
    return pool->used - count;
}

/* The six bits after the first `depth`; bits past the end of the address are 0. */
static unsigned slot_of(const struct addr *addr, unsigned depth)
{
    unsigned shift = depth % 64;
    uint64_t window = (depth < 64 ? addr->hi : addr->lo) << shift;
    if (depth < 64 && shift > 64 - STRIDE)
        window |= addr->lo >> (64 - shift);
    return (unsigned)(window >> (64 - STRIDE));
}

static unsigned count_below(uint64_t bits, unsigned slot)
{
    return (unsigned)__builtin_popcountll(bits & ((UINT64_C(1) << slot) - 1));
}

static int compare_entries(const void *a, const void *b)
{
    return prefix_compare(&((const struct lpm_entry *)a)->prefix, &((const struct lpm_entry *)b)->prefix);
}

/*
 * Fills node number `self`, which stands `depth` bits down, from the entries inside its block that are longer than
 * `depth`. `inherited` is the value of the longest prefix that covers the whole block.
 */
static bool build_node(struct lpm *lpm, size_t self, unsigned depth, struct range range, uint32_t inherited)
{
    uint32_t covered[SLOTS];
    struct range below[SLOTS];
    struct node node = {0};

    for (unsigned slot = 0; slot < SLOTS; slot++) {
        covered[slot] = inherited;
        below[slot] = (struct range){NULL, NULL};
    }
    /* An enclosing prefix comes before what it encloses, so that a later one overwrites what an earlier one covered. */
    for (const struct lpm_entry *entry = range.begin; entry < range.end; entry++) {
        unsigned slot = slot_of(&entry->prefix.addr, depth);
        if (entry->prefix.bits > depth + STRIDE) {
            if (!below[slot].begin)
                below[slot].begin = entry;
            below[slot].end = entry + 1;
            node.children |= UINT64_C(1) << slot;
        } else {
            unsigned span = 1u << (depth + STRIDE - entry->prefix.bits);
            for (unsigned i = slot; i < slot + span; i++)
                covered[i] = entry->value;
        }
    }

    unsigned child_count = (unsigned)__builtin_popcountll(node.children);
    size_t first_child = pool_add(&lpm->nodes, child_count);
    if (first_child == SIZE_MAX)
        return false;
    node.first_child = (uint32_t)first_child;
    node.first_value = (uint32_t)lpm->values.used;
    bool begun = false;
    uint32_t run = 0;
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        if (node.children >> slot & 1 || (begun && covered[slot] == run))
            continue;
        size_t index = pool_add(&lpm->values, 1);
        if (index == SIZE_MAX)
            return false;
        run = covered[slot];
        ((uint32_t *)lpm->values.items)[index] = run;
        node.values |= UINT64_C(1) << slot;
        begun = true;
    }
    ((struct node *)lpm->nodes.items)[self] = node;

    for (unsigned slot = 0, child = 0; slot < SLOTS; slot++)
        if (node.children >> slot & 1)
            if (!build_node(lpm, first_child + child++, depth + STRIDE, below[slot], covered[slot]))
                return false;
    return true;
}

/* Gives back what pool_add() reserved ahead. */
static void pool_trim(struct pool *pool)
{
    void *items = pool->used > 0 ? realloc(pool->items, pool->used * pool->item_size) : NULL;
    if (items) {
        pool->items = items;
        pool->room = pool->used;
    }
}

static bool build_root(struct lpm *lpm, size_t self, struct range range)
{
    /* A prefix of length 0 covers the root itself and stands first. */
    uint32_t inherited = LPM_NONE;
    if (range.begin < range.end && range.begin->prefix.bits == 0)
        inherited = range.begin++->value;
    return build_node(lpm, self, 0, range, inherited);
}

struct lpm *lpm_build(struct lpm_entry *entries, size_t count)
{
    struct lpm *lpm = calloc(1, sizeof *lpm);
    if (!lpm)
        return NULL;
    lpm->nodes.item_size = sizeof(struct node);
    lpm->values.item_size = sizeof(uint32_t);

    if (count > 0)
        qsort(entries, count, sizeof *entries, compare_entries);
    const struct lpm_entry *end = entries + count, *ipv6 = entries;
    while (ipv6 < end && ipv6->prefix.addr.family != ADDR_IPV6)
        ipv6++;
    if (pool_add(&lpm->nodes, ROOTS) == SIZE_MAX || !build_root(lpm, ROOT_IPV4, (struct range){entries, ipv6}) ||
        !build_root(lpm, ROOT_IPV6, (struct range){ipv6, end}))
        lpm_free(&lpm);
    if (lpm) {
        pool_trim(&lpm->nodes);
        pool_trim(&lpm->values);
    }
    return lpm;
}

void lpm_free(struct lpm **lpm)
{
    if (!*lpm)
        return;
    free((*lpm)->nodes.items);
    free((*lpm)->values.items);
    free(*lpm);
    *lpm = NULL;
}

uint32_t lpm_lookup(const struct lpm *lpm, const struct addr *addr)
{
    if (!lpm || addr->family == ADDR_NONE)
        return LPM_NONE;
    const struct node *nodes = lpm->nodes.items;
    const struct node *node = &nodes[addr->family == ADDR_IPV4 ? ROOT_IPV4 : ROOT_IPV6];
    for (unsigned depth = 0;; depth += STRIDE) {
        unsigned slot = slot_of(addr, depth);
        if (!(node->children >> slot & 1)) {
            /* The run that holds this slot is the last one begun at or before it. */
            unsigned run = count_below(node->values, slot) + (node->values >> slot & 1) - 1;
            return ((const uint32_t *)lpm->values.items)[node->first_value + run];
        }
        node = &nodes[node->first_child + count_below(node->children, slot)];
    }
}

size_t lpm_bytes(const struct lpm *lpm)
{
    return lpm ? sizeof *lpm + lpm->nodes.room * lpm->nodes.item_size + lpm->values.room * lpm->values.item_size : 0;
}
