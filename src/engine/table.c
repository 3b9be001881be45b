/*
 * table.c: a bounded hash table of records.
 */
#include "table.h"

#include "hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* In `pins`: no session holds so many, and what is free is passed over like what is pinned. */
#define FREE UINT32_MAX

struct table {
    uint64_t seed[2];
    uint32_t room, used, banned, watched;
    uint32_t fresh;      /* records from here on were never used, and their memory never touched */
    uint32_t free;       /* list of records that were: index plus one, 0: none */
    uint32_t hand;       /* the next record to look at for eviction, */
    uint32_t stride;     /* and from there so far to the one after it */
    uint32_t sweeping;   /* the next record to sweep */
    uint32_t look, pass; /* at most, to find one to evict */
    uint64_t evicted, untracked;
    uint32_t *buckets; /* first record, plus one; 0: empty */
    struct record *records;
};

size_t table_bytes(uint32_t room)
{
    return sizeof(struct table) + (size_t)room * (sizeof(uint32_t) + sizeof(struct record));
}

struct table *table_new(uint32_t room, const uint64_t seed[2])
{
    assert(room >= 1 && room <= TABLE_ROOM_MAX);
    struct table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    *table = (struct table){
        .seed = {seed[0], seed[1]},
        .room = room,
        .look = TABLE_LOOK,
        .pass = TABLE_PASS,
        .stride = room > 1,
        .buckets = calloc(room, sizeof *table->buckets),
        .records = calloc(room, sizeof *table->records),
    };
    if (!table->buckets || !table->records)
        table_free(&table);
    return table;
}

void table_free(struct table **table)
{
    if (!*table)
        return;
    free((*table)->buckets);
    free((*table)->records);
    free(*table);
    *table = NULL;
}

void table_set_search(struct table *table, uint32_t look, uint32_t pass, uint32_t stride)
{
    assert(stride < table->room);
    table->look = look;
    table->pass = pass;
    table->stride = stride;
}

static uint32_t *find_bucket(const struct table *table, uint64_t group, const uint32_t key[4])
{
    const uint64_t words[] = {(uint64_t)key[0] << 32 | key[1], (uint64_t)key[2] << 32 | key[3], group};
    uint64_t hash = hash_bytes(table->seed, words, sizeof words);
    return &table->buckets[(hash >> 32) * table->room >> 32];
}

static uint64_t group_of(const struct record *record)
{
    return (uint64_t)record->group_high << 32 | record->group_low;
}

static uint32_t find_record(const struct table *table, uint32_t link, uint64_t group, const uint32_t key[4])
{
    while (link != 0) {
        const struct record *record = &table->records[link - 1];
        if (memcmp(record->key, key, sizeof record->key) == 0 && group_of(record) == group)
            return link - 1;
        link = record->next;
    }
    return TABLE_NONE;
}

/* What a compiler that knows no such hint leaves out. */
#if defined(__GNUC__)
#define FETCH(address) __builtin_prefetch(address)
#else
#define FETCH(address) ((void)(address))
#endif

const uint32_t *table_fetch_bucket(const struct table *table, uint64_t group, const uint32_t key[4])
{
    const uint32_t *bucket = find_bucket(table, group, key);
    FETCH(bucket);
    return bucket;
}

void table_fetch_record(const struct table *table, const uint32_t *bucket)
{
    if (*bucket == 0)
        return;
    const char *record = (const char *)&table->records[*bucket - 1];
    FETCH(record);
    FETCH(record + sizeof(struct record) - 1); /* it may begin in one line of the cache and end in the next */
}

uint32_t table_find(const struct table *table, uint64_t group, const uint32_t key[4])
{
    return find_record(table, *find_bucket(table, group, key), group, key);
}

struct record *table_record(struct table *table, uint32_t index)
{
    assert(index < table->fresh);
    return &table->records[index];
}

const struct record *table_record_const(const struct table *table, uint32_t index)
{
    assert(index < table->fresh);
    return &table->records[index];
}

uint32_t table_extent(const struct table *table)
{
    return table->fresh;
}

const struct record *table_at(const struct table *table, uint32_t index)
{
    const struct record *record = table_record_const(table, index);
    return record->pins != FREE ? record : NULL;
}

void table_ban(struct table *table, uint32_t index, uint8_t ban, uint8_t length, uint32_t until)
{
    struct record *record = table_record(table, index);
    assert(ban != 0);
    table_unban(table, index);
    table->banned++;
    table->watched += ban <= TABLE_BAN_WATCHED;
    record->ban = ban;
    record->ban_length = length;
    record->ban_until = until;
}

void table_unban(struct table *table, uint32_t index)
{
    struct record *record = table_record(table, index);
    table->banned -= record->ban != 0;
    table->watched -= record->ban != 0 && record->ban <= TABLE_BAN_WATCHED;
    record->ban = 0;
}

bool table_banned(const struct record *record, uint64_t now)
{
    uint32_t left = record->ban_until - (uint32_t)now;
    return record->ban != 0 && left > 0 && left <= INT32_MAX;
}

uint64_t table_age(const struct record *record, uint64_t now)
{
    uint32_t age = (uint32_t)now - record->last;
    return age <= TABLE_AGE_MAX ? age : 0;
}

static bool may_go(const struct record *record, uint64_t now)
{
    return record->pins == 0 && !table_banned(record, now);
}

/* Makes room for one more in a table that is full. False when it found nothing to evict. */
static bool evict(struct table *table, uint64_t now, table_worth *worth, void *context)
{
    uint32_t least = TABLE_NONE, least_worth = 0, looked = 0;
    const uint32_t most = table->room < table->pass ? table->room : table->pass;
    uint64_t oldest = 0;

    for (uint32_t passed = 0; passed < most && looked < table->look; passed++) {
        uint32_t index = table->hand;
        struct record *record = &table->records[index];
        table->hand += table->stride;
        if (table->hand >= table->room)
            table->hand -= table->room;
        if (!may_go(record, now))
            continue;
        const uint32_t own_worth = worth(context, record, now);
        if (own_worth == 0) {
            table_remove(table, index);
            return true;
        }
        looked++;
        const uint64_t age = table_age(record, now);
        if (least == TABLE_NONE || own_worth < least_worth || (own_worth == least_worth && age > oldest)) {
            least = index;
            least_worth = own_worth;
            oldest = age;
        }
    }
    if (least == TABLE_NONE)
        return false;
    table_remove(table, least);
    table->evicted++;
    return true;
}

uint32_t table_obtain(struct table *table, uint64_t group, const uint32_t key[4], uint64_t now, table_worth *worth,
                      void *context)
{
    assert(group <= TABLE_GROUP_MAX);
    uint32_t *bucket = find_bucket(table, group, key);
    uint32_t index = find_record(table, *bucket, group, key);

    if (index != TABLE_NONE)
        return index;
    if (table->used == table->room && !evict(table, now, worth, context)) {
        table->untracked++;
        return TABLE_NONE;
    }
    if (table->free != 0) {
        index = table->free - 1;
        table->free = table->records[index].next;
    } else {
        index = table->fresh++;
    }
    table->records[index] = (struct record){
        .key = {key[0], key[1], key[2], key[3]},
        .next = *bucket,
        .last = (uint32_t)now,
        .group_low = (uint32_t)group,
        .group_high = (uint16_t)(group >> 32),
    };
    *bucket = index + 1;
    table->used++;
    return index;
}

void table_pin(struct table *table, uint32_t index)
{
    struct record *record = table_record(table, index);
    assert(record->pins < FREE - 1);
    record->pins++;
}

void table_unpin(struct table *table, uint32_t index)
{
    struct record *record = table_record(table, index);
    assert(record->pins > 0 && record->pins != FREE);
    record->pins--;
}

size_t table_sweep(struct table *table, uint64_t now, uint32_t count, table_worth *worth, void *context)
{
    size_t freed = 0;
    uint32_t most = count < table->fresh ? count : table->fresh;

    for (uint32_t i = 0; i < most; i++) {
        uint32_t index = table->sweeping < table->fresh ? table->sweeping : 0;
        struct record *record = &table->records[index];
        table->sweeping = index + 1;
        if (!table_banned(record, now))
            table_unban(table, index);
        if (may_go(record, now) && worth(context, record, now) == 0) {
            table_remove(table, index);
            freed++;
        }
    }
    return freed;
}

void table_remove(struct table *table, uint32_t index)
{
    struct record *record = table_record(table, index);
    assert(record->pins == 0);
    table_unban(table, index);
    uint32_t *link = find_bucket(table, group_of(record), record->key);
    while (*link != index + 1)
        link = &table->records[*link - 1].next;
    *link = record->next;
    record->next = table->free;
    record->pins = FREE;
    table->free = index + 1;
    table->used--;
}

struct table_totals table_totals(const struct table *table)
{
    return (struct table_totals){table->used,    table->room,    table->banned,
                                 table->watched, table->evicted, table->untracked};
}
