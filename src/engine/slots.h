/*
 * slots.h: how many sessions each key has open, by the limit that counts them.
 *
 * A hash table of fixed size under a keyed hash. An entry lives as long as its count is not 0. There is an entry at
 * most for each open session and limit on sessions, so a table made for as many entries is never full.
 */
#ifndef ENGINE_SLOTS_H
#define ENGINE_SLOTS_H

#include <stddef.h>
#include <stdint.h>

#define SLOT_NONE UINT32_MAX

struct slot_key {
    uint64_t group;  /* of the limit's counter */
    uint32_t key[4]; /* an address or a hash of a name, as in table.h */
};

struct slots;

/* A table for `room` entries, keyed by the seed. NULL when memory is short. */
struct slots *slots_new(uint32_t room, const uint64_t seed[2]);
void slots_free(struct slots **slots);

/* Bytes that slots_new(room) reserves. */
size_t slots_bytes(uint32_t room);

/* The count of that key, 0 when it has none open. */
uint32_t slots_count(const struct slots *slots, const struct slot_key *key);

/* Adds one to the key and returns its entry, to be given to slots_release(). The table must not be full. */
uint32_t slots_take(struct slots *slots, const struct slot_key *key);

/* Takes one from that entry; it is gone when that was the last. */
void slots_release(struct slots *slots, uint32_t entry);

/* Entries in use. */
uint32_t slots_used(const struct slots *slots);

#endif
