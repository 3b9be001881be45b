/*
 * slots.c: sessions open by key.
 */
#include "slots.h"

#include "hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct slot_key key;
    uint32_t count;
    uint32_t next; /* in its bucket, or in the list of free entries */
};

_Static_assert(sizeof(struct slot_key) == 24, "a key is hashed as it lies in memory, so it has no padding");

struct slots {
    uint64_t seed[2];
    uint32_t mask; /* buckets less one; a power of two of them */
    uint32_t room, used;
    uint32_t fresh;    /* entries from here on were never used, and their memory never touched */
    uint32_t free;     /* list of entries that were */
    uint32_t *buckets; /* first entry, plus one; 0: empty */
    struct entry *entries;
};

static uint32_t bucket_count(uint32_t room)
{
    uint32_t count = 1;
    while (count < room)
        count *= 2;
    return count;
}

size_t slots_bytes(uint32_t room)
{
    return sizeof(struct slots) + bucket_count(room) * sizeof(uint32_t) + room * sizeof(struct entry);
}

struct slots *slots_new(uint32_t room, const uint64_t seed[2])
{
    struct slots *slots = calloc(1, sizeof *slots);
    if (!slots)
        return NULL;
    *slots = (struct slots){
        .seed = {seed[0], seed[1]},
        .mask = bucket_count(room) - 1,
        .room = room,
        .free = SLOT_NONE,
        .buckets = calloc(bucket_count(room), sizeof *slots->buckets),
        .entries = calloc(room, sizeof *slots->entries),
    };
    if (!slots->buckets || !slots->entries)
        slots_free(&slots);
    return slots;
}

void slots_free(struct slots **slots)
{
    if (!*slots)
        return;
    free((*slots)->buckets);
    free((*slots)->entries);
    free(*slots);
    *slots = NULL;
}

static uint32_t *find_bucket(const struct slots *slots, const struct slot_key *key)
{
    return &slots->buckets[hash_bytes(slots->seed, key, sizeof *key) & slots->mask];
}

static uint32_t find_entry(const struct slots *slots, const uint32_t *bucket, const struct slot_key *key)
{
    for (uint32_t link = *bucket; link != 0;) {
        const struct entry *entry = &slots->entries[link - 1];
        if (entry->key.group == key->group && memcmp(entry->key.key, key->key, sizeof key->key) == 0)
            return link - 1;
        link = entry->next;
    }
    return SLOT_NONE;
}

uint32_t slots_count(const struct slots *slots, const struct slot_key *key)
{
    uint32_t entry = find_entry(slots, find_bucket(slots, key), key);
    return entry == SLOT_NONE ? 0 : slots->entries[entry].count;
}

uint32_t slots_take(struct slots *slots, const struct slot_key *key)
{
    uint32_t *bucket = find_bucket(slots, key);
    uint32_t entry = find_entry(slots, bucket, key);

    if (entry == SLOT_NONE) {
        entry = slots->free;
        if (entry != SLOT_NONE) {
            slots->free = slots->entries[entry].next;
        } else {
            assert(slots->fresh < slots->room);
            entry = slots->fresh++;
        }
        slots->entries[entry] = (struct entry){.key = *key, .next = *bucket};
        *bucket = entry + 1;
        slots->used++;
    }
    slots->entries[entry].count++;
    return entry;
}

void slots_release(struct slots *slots, uint32_t number)
{
    struct entry *entry = &slots->entries[number];

    assert(number < slots->fresh && entry->count > 0);
    if (--entry->count > 0)
        return;
    uint32_t *link = find_bucket(slots, &entry->key);
    while (*link != number + 1)
        link = &slots->entries[*link - 1].next;
    *link = entry->next;
    entry->next = slots->free;
    slots->free = number;
    slots->used--;
}

uint32_t slots_used(const struct slots *slots)
{
    return slots->used;
}
