/*
 * table.h: what the engine remembers of clients, domains, senders and the like: a hash table of at most `room` records.
 *
 * All memory is reserved by table_new(), 96 bytes a record with everything, and touched only as the records are used.
 * The hash is keyed (hash.h), so who chooses addresses or names does not choose where they fall. When the table is
 * full, a new key takes the place of the record that is worth least among a few: never of one that is pinned (an open
 * session holds it) or banned. The same calls with the same seed give the same table.
 *
 * Times are ticks (window.h). `now` never decreases from call to call. Records keep the low 32 bits of a tick, so the
 * owner has table_sweep() go round at least once a month.
 *
 * Threads: a table is used by one thread at a time; its owner has the lock.
 */
#ifndef ENGINE_TABLE_H
#define ENGINE_TABLE_H

#include "window.h"

#include <stddef.h>

#define TABLE_NONE UINT32_MAX
#define TABLE_ROOM_MAX (UINT32_C(1) << 27)
#define TABLE_GROUP_MAX ((UINT64_C(1) << 48) - 1)

/* A ban up to this keeps nobody out, and is counted apart. */
#define TABLE_BAN_WATCHED 0x0f

/* To find a record to evict, so many that could be are looked at, and so many passed over in all. */
#define TABLE_LOOK 64
#define TABLE_PASS 1000

/* Ages up to this, 2.13 years, are told; a last touch that seems older is one in the future, by up to 52 days. */
#define TABLE_AGE_MAX (UINT32_MAX - (UINT32_C(1) << 28))

/* Key, group, next, pins and what concerns the ban are the table's to write, all else is the caller's. */
#define RECORD_WINDOWS 4
struct record {
    uint32_t key[4];    /* an address, 128 bits left aligned, or a 128-bit keyed hash of a name */
    uint32_t next;      /* in its bucket, or in the list of free records: its index plus one, 0: none */
    uint32_t last;      /* low 32 bits of the tick of the last touch */
    uint32_t ban_until; /* low 32 bits of a tick, less than 2^31 ticks (1.14 years) ahead; meaningful when ban != 0 */
    uint32_t pins;      /* open sessions that hold it; UINT32_MAX: the record is free, which only the table sees */
    int16_t reputation; /* reputation.h */
    uint16_t reputation_step; /* reputation.h; of a name whose networks are counted: its epoch (records.c) */
    uint32_t group_low;       /* 48 bits that say whose counters these are */
    uint16_t group_high;
    uint8_t ban;        /* 0: not banned; up to TABLE_BAN_WATCHED: only watched; else whatever the engine says */
    uint8_t ban_length; /* likewise */
    struct window windows[RECORD_WINDOWS];
};
_Static_assert(sizeof(struct record) == 92 && _Alignof(struct record) == 4, "96 bytes with the record's bucket");

struct table;

/* What a record is worth keeping, to whoever made it: 0 when nothing of it matters any more, it is dead. It is asked
 * only of records that are neither pinned nor banned, and may bring what it keeps there up to now. */
typedef uint32_t table_worth(void *context, struct record *record, uint64_t now);

/* A table for `room` records, 1 to TABLE_ROOM_MAX, keyed by the seed. NULL when memory is short. */
struct table *table_new(uint32_t room, const uint64_t seed[2]);
/* From here on so many are looked at, and passed over, to find one to evict (1 or more), instead of TABLE_LOOK and
 * TABLE_PASS; and from one to the next it is `stride` records instead of 1, less than there are and without a common
 * divisor with that. A wide one has those who came together compared with others rather than with each other. */
void table_set_search(struct table *table, uint32_t look, uint32_t pass, uint32_t stride);
/* Frees it and sets the caller's pointer to NULL; a NULL pointer is left alone. */
void table_free(struct table **table);

/* Bytes that table_new(room) reserves. */
size_t table_bytes(uint32_t room);

/* Have the memory fetched that table_find() will look at: first the bucket of a key, then, a while later, the record
 * that it leads to. Without any other effect. */
const uint32_t *table_fetch_bucket(const struct table *table, uint64_t group, const uint32_t key[4]);
void table_fetch_record(const struct table *table, const uint32_t *bucket);

/* The index of the record of that key in that group (up to TABLE_GROUP_MAX), TABLE_NONE when there is none. */
uint32_t table_find(const struct table *table, uint64_t group, const uint32_t key[4]);

/*
 * Finds the record, which is left as it is, or makes one: all 0 but for group, key and `last`, which is now.
 *
 * When no record is free, one is evicted. A hand goes round the table: from where it stopped the last time it looks at
 * up to TABLE_LOOK records that are neither pinned nor banned, and passes over at most TABLE_PASS in all. The first
 * that is dead goes, else, of those looked at, the one that is worth least; of equals the one with the oldest last
 * touch. TABLE_NONE when there was none to evict.
 */
uint32_t table_obtain(struct table *table, uint64_t group, const uint32_t key[4], uint64_t now, table_worth *worth,
                      void *context);

/* The record at an index that table_find() or table_obtain() gave. An index is good until its record is evicted, swept
 * or removed; a pointer likewise. */
struct record *table_record(struct table *table, uint32_t index);
const struct record *table_record_const(const struct table *table, uint32_t index);

/* Holds a record, and lets go of it. Each pin needs its unpin; a pinned record keeps its index. */
void table_pin(struct table *table, uint32_t index);
void table_unpin(struct table *table, uint32_t index);

/* True while a ban is in force: up to, not at, ban_until. */
bool table_banned(const struct record *record, uint64_t now);

/* Ticks since the last touch, up to TABLE_AGE_MAX; 0 when that is in the future. `now` less this is the full `last`. */
uint64_t table_age(const struct record *record, uint64_t now);

/* Looks at the next `count` records, at most once at each, and frees those that are dead and neither pinned nor banned.
 * Bans that are over are set to 0. Returns how many it freed. It has a hand of its own, which goes round too. */
size_t table_sweep(struct table *table, uint64_t now, uint32_t count, table_worth *worth, void *context);

/* Bans a record: `ban` is not 0. Lifts a ban, if there is one, be it over or not. */
void table_ban(struct table *table, uint32_t index, uint8_t ban, uint8_t length, uint32_t until);
void table_unban(struct table *table, uint32_t index);

/* Records from here on have never been used. The record at an index below that; NULL when it is free. */
uint32_t table_extent(const struct table *table);
const struct record *table_at(const struct table *table, uint32_t index);

/* Forgets a record, which must not be pinned. It may be banned. */
void table_remove(struct table *table, uint32_t index);

struct table_totals {
    uint32_t used, room; /* records */
    uint32_t banned;     /* of these, also those whose ban is over and was not swept yet */
    uint32_t watched;    /* of those, by a ban up to TABLE_BAN_WATCHED */
    uint64_t evicted;    /* records that were not dead, since table_new() */
    uint64_t untracked;  /* times that table_obtain() found no room, since table_new() */
};
struct table_totals table_totals(const struct table *table);

#endif
