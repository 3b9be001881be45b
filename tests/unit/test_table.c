/*
 * test_table.c: the table of records against a naive list. Links src/engine/table.c, hash.c.
 */
#include "check_main.h"
#include "engine/table.h"
#include "prng.h"

#include <string.h>

static const uint64_t seed[2] = {7, 8};

/* So far a year's ticks reach; 32 bits of a tick wrap round soon after this. */
#define YEAR (UINT64_C(365) * 86400 * 1000000000 >> TICK_BITS)
#define BEFORE_WRAP ((UINT64_C(3) << 32) - 5000)

/* Here a record is worth what the first byte of its first window says. */
#define WORTH windows[0].cells[0]

struct asked {
    unsigned count;
};

static uint32_t worth_of(void *context, struct record *record, uint64_t now)
{
    struct asked *asked = context;
    asked->count++;
    if (record->pins != 0 || (record->ban != 0 && record->ban_until - (uint32_t)now - 1 < INT32_MAX))
        ck_abort_msg("asked about a record that is pinned, banned or free");
    return record->WORTH;
}

struct key {
    uint32_t words[4];
};

static struct key key_of(uint32_t number)
{
    return (struct key){{0x20010db8, number, 0, 1}};
}

static uint32_t find(const struct table *table, uint64_t group, uint32_t number)
{
    return table_find(table, group, key_of(number).words);
}

static uint32_t obtain(struct table *table, uint64_t group, uint32_t number, uint64_t now)
{
    struct asked asked = {0};
    uint32_t index = table_obtain(table, group, key_of(number).words, now, worth_of, &asked);
    if (asked.count > TABLE_LOOK)
        ck_abort_msg("looked at %u records", asked.count);
    return index;
}

/* Obtains a record that is worth 1. */
static uint32_t obtain_alive(struct table *table, uint64_t group, uint32_t number, uint64_t now)
{
    uint32_t index = obtain(table, group, number, now);
    if (index != TABLE_NONE)
        table_record(table, index)->WORTH = 1;
    return index;
}

/* A table as full as it gets of records that are not dead; record n has key n of group 0. */
static struct table *full_table(uint32_t room, uint64_t now)
{
    struct table *table = table_new(room, seed);
    ck_assert_ptr_nonnull(table);
    for (uint32_t i = 0; i < room; i++)
        if (obtain_alive(table, 0, i, now) != i)
            ck_abort_msg("record %u of a new table", i);
    return table;
}

START_TEST(every_part_of_the_key_counts)
{
    static const struct {
        uint64_t group;
        struct key key;
    } keys[] = {
        {0, {{0, 0, 0, 0}}},          {0, {{1, 0, 0, 0}}},        {0, {{0, 1, 0, 0}}},
        {0, {{0, 0, 1, 0}}},          {0, {{0, 0, 0, 1}}},        {1, {{0, 0, 0, 0}}},
        {UINT64_C(1) << 32, {{0}}},   {UINT64_C(1) << 47, {{0}}}, {TABLE_GROUP_MAX, {{0}}},
        {0, {{UINT32_MAX, 0, 0, 0}}}, {UINT64_C(1) << 31, {{0}}}, {0, {{0, 0, 0, UINT32_MAX}}},
    };
    enum { COUNT = sizeof keys / sizeof *keys };
    /* In a table of one bucket, too, where the hash tells nothing apart. */
    for (uint32_t room = 1; room <= 100; room += 99) {
        struct table *table = table_new(room, seed);
        struct asked asked = {0};
        for (uint32_t i = 0; i < COUNT; i++) {
            ck_assert_uint_eq(table_find(table, keys[i].group, keys[i].key.words), TABLE_NONE);
            uint32_t index = table_obtain(table, keys[i].group, keys[i].key.words, 5, worth_of, &asked);
            ck_assert_uint_eq(index, room == 1 ? 0 : i);
            ck_assert_uint_eq(table_find(table, keys[i].group, keys[i].key.words), index);
            ck_assert_uint_eq(table_obtain(table, keys[i].group, keys[i].key.words, 6, worth_of, &asked), index);
            const struct record *record = table_record_const(table, index);
            ck_assert_ptr_eq(record, table_record(table, index));
            ck_assert_mem_eq(record->key, keys[i].key.words, sizeof record->key);
            ck_assert_uint_eq((uint64_t)record->group_high << 32 | record->group_low, keys[i].group);
            ck_assert_uint_eq(record->last, 5);
        }
        ck_assert_uint_eq(table_totals(table).used, room == 1 ? 1 : COUNT);
        ck_assert_uint_eq(table_totals(table).room, room);
        table_free(&table);
        ck_assert_ptr_null(table);
        table_free(&table);
    }
}
END_TEST

START_TEST(new_records_are_empty)
{
    struct table *table = full_table(3, 5);
    for (uint32_t way = 0; way < 3; way++) {
        struct record *record = table_record(table, 1);
        struct record empty = {.last = 9, .group_low = 70 + way, .group_high = 1};
        record->reputation = -1;
        record->reputation_step = 1;
        record->ban_until = 1;
        record->ban_length = 1;
        if (way == 0)
            table_ban(table, 1, 1, 1, 1);
        memset(record->windows, way < 2 ? 0xff : 0, sizeof record->windows);
        record->WORTH = way < 2;
        if (way == 0)
            table_remove(table, 1);
        else if (way == 1)
            record->last = 4; /* the oldest */
        ck_assert_uint_eq(obtain(table, UINT64_C(1) << 32 | empty.group_low, 40, 9), 1);
        memcpy(empty.key, key_of(40).words, sizeof empty.key);
        empty.next = record->next;
        ck_assert_mem_eq(record, &empty, sizeof empty);
    }
    table_free(&table);
}
END_TEST

START_TEST(memory_is_said_before)
{
    size_t own = table_bytes(1) - 96;
    ck_assert_uint_le(own, 256);
    ck_assert_uint_eq(table_bytes(1000), 1000 * 96 + own);
    ck_assert_uint_eq(table_bytes(TABLE_ROOM_MAX) / 96, TABLE_ROOM_MAX + own / 96);
}
END_TEST

START_TEST(neither_pinned_nor_banned_records_go)
{
    enum { ROOM = 40 };
    struct table *table = full_table(ROOM, 100);
    for (uint32_t i = 0; i < ROOM; i++) {
        struct record *record = table_record(table, i);
        record->WORTH = 0;
        if (i % 2) {
            table_pin(table, i);
            table_pin(table, i);
        } else {
            table_ban(table, i, 1, 0, 200);
        }
    }
    for (uint32_t i = 0; i < 10; i++)
        ck_assert_uint_eq(obtain(table, 1, i, 100 + i), TABLE_NONE);
    struct table_totals totals = table_totals(table);
    ck_assert_uint_eq(totals.untracked, 10);
    ck_assert_uint_eq(totals.evicted, 0);
    ck_assert_uint_eq(totals.used, ROOM);
    struct asked asked = {0};
    ck_assert_uint_eq(table_sweep(table, 199, ROOM, worth_of, &asked), 0);
    ck_assert_uint_eq(asked.count, 0);
    for (uint32_t i = 0; i < ROOM; i++)
        ck_assert_uint_eq(find(table, 0, i), i);

    /* Those that are known are served none the less. */
    ck_assert_uint_eq(obtain(table, 0, 3, 199), 3);
    table_unpin(table, 7);
    ck_assert_uint_eq(obtain(table, 1, 0, 199), TABLE_NONE);
    table_unpin(table, 7);
    ck_assert_uint_eq(obtain(table, 1, 0, 199), 7);
    table_pin(table, 7);
    ck_assert_uint_eq(obtain(table, 1, 1, 199), TABLE_NONE);
    ck_assert_uint_eq(obtain(table, 1, 1, 200) % 2, 0); /* the bans are over */
    table_free(&table);
}
END_TEST

START_TEST(bans_and_ages_over_the_wrap_of_32_bits)
{
    static const uint64_t starts[] = {0, 1, INT32_MAX, UINT32_MAX, BEFORE_WRAP, BEFORE_WRAP + YEAR};
    static const uint64_t bans[] = {1, 2, 4999, 5000, 5001, YEAR, INT32_MAX};
    static const uint64_t ages[] = {0, 1, 4999, 5000, 5001, YEAR, 3 * YEAR / 2, INT32_MAX, TABLE_AGE_MAX};
    for (unsigned i = 0; i < sizeof starts / sizeof *starts; i++) {
        for (unsigned j = 0; j < sizeof bans / sizeof *bans; j++) {
            struct record record = {.ban = 1, .ban_until = (uint32_t)(starts[i] + bans[j])};
            ck_assert(table_banned(&record, starts[i]));
            ck_assert(table_banned(&record, starts[i] + bans[j] - 1));
            ck_assert(!table_banned(&record, starts[i] + bans[j]));
            ck_assert(!table_banned(&record, starts[i] + bans[j] + 1));
            ck_assert(!table_banned(&record, starts[i] + bans[j] + YEAR));
            record.ban = 0;
            ck_assert(!table_banned(&record, starts[i]));
            record.ban = UINT8_MAX;
            ck_assert(table_banned(&record, starts[i]));
        }
        struct record record = {.last = (uint32_t)starts[i]};
        for (unsigned j = 0; j < sizeof ages / sizeof *ages; j++)
            ck_assert_uint_eq(table_age(&record, starts[i] + ages[j]), ages[j]);
        for (uint64_t ahead = 1; ahead <= UINT32_C(1) << 28 && ahead <= starts[i]; ahead *= 2)
            ck_assert_uint_eq(table_age(&record, starts[i] - ahead), 0);
    }
    struct record tomorrow = {.last = 1000};
    ck_assert_uint_eq(table_age(&tomorrow, 999), 0);
}
END_TEST

START_TEST(dead_records_go_first)
{
    enum { ROOM = 300 };
    struct table *table = full_table(ROOM, 100);
    table_record(table, 10)->last = 1; /* old, but not dead */
    table_record(table, 63)->WORTH = 0;
    ck_assert_uint_eq(obtain_alive(table, 1, 0, 200), 63);
    ck_assert_uint_eq(table_totals(table).evicted, 0);

    /* The hand is at 64 now: the dead one at 128 is the first beyond those it looks at. */
    table_record(table, 128)->WORTH = 0;
    table_record(table, 90)->last = 99;
    table_record(table, 91)->last = 98;
    table_record(table, 92)->last = 99;
    ck_assert_uint_eq(obtain_alive(table, 1, 1, 200), 91);
    ck_assert_uint_eq(table_totals(table).evicted, 1);
    ck_assert_uint_eq(obtain_alive(table, 1, 2, 200), 128);

    /* It went on from there: the dead one just behind it is found only after a round, and pins do not count as looks.
     */
    table_record(table, 127)->WORTH = 0;
    for (uint32_t i = 129; i < 160; i++)
        table_pin(table, i);
    table_record(table, 160 + 63)->WORTH = 0;
    ck_assert_uint_eq(obtain_alive(table, 1, 3, 200), 160 + 63);
    ck_assert_uint_eq(obtain_alive(table, 1, 4, 200), 224);
    ck_assert_uint_eq(obtain_alive(table, 1, 5, 200), 10);  /* 288 to 299, 0 to 51 */
    ck_assert_uint_eq(obtain_alive(table, 1, 6, 200), 90);  /* 52 to 115 */
    ck_assert_uint_eq(obtain_alive(table, 1, 7, 200), 127); /* 116 to 127 */
    ck_assert_uint_eq(table_totals(table).evicted, 4);
    table_free(&table);
}
END_TEST

START_TEST(the_oldest_is_told_over_the_wrap)
{
    struct table *table = full_table(10, BEFORE_WRAP);
    for (uint32_t i = 0; i < 10; i++)
        table_record(table, i)->last = (uint32_t)(BEFORE_WRAP + i * 900);
    table_record(table, 0)->last = (uint32_t)(BEFORE_WRAP + 9001); /* in the future */
    for (uint32_t i = 1; i < 10; i++) {
        ck_assert_uint_eq(obtain_alive(table, 1, i, BEFORE_WRAP + 9000), i);
        ck_assert_uint_eq(table_age(table_record(table, i), BEFORE_WRAP + 9000), 0);
    }
    table_free(&table);
}
END_TEST

START_TEST(a_search_passes_over_so_many_and_goes_on_there)
{
    struct table *table = full_table(3000, 1);
    for (uint32_t i = 0; i < 3000; i++)
        table_pin(table, i);
    table_unpin(table, 999);
    table_unpin(table, 2500);
    ck_assert_uint_eq(obtain_alive(table, 1, 0, 2), 999); /* the last of the first 1000 */
    table_pin(table, 999);
    ck_assert_uint_eq(obtain_alive(table, 1, 1, 2), TABLE_NONE);
    ck_assert_uint_eq(obtain_alive(table, 1, 1, 2), 2500);
    table_pin(table, 2500);
    table_unpin(table, 1000);
    ck_assert_uint_eq(obtain_alive(table, 1, 2, 2), TABLE_NONE);
    ck_assert_uint_eq(obtain_alive(table, 1, 2, 2), 1000);
    ck_assert_uint_eq(table_totals(table).untracked, 2);
    ck_assert_uint_eq(table_totals(table).evicted, 3);
    table_free(&table);
}
END_TEST

START_TEST(a_rotating_stream_of_keys)
{
    enum { ROOM = 1000 };
    struct table *table = table_new(ROOM, seed);
    uint64_t now = BEFORE_WRAP;
    for (uint32_t i = 0; i < 20; i++) {
        table_pin(table, obtain(table, 0, i, now));
        table_ban(table, obtain(table, 1, i, now), 1, 0, (uint32_t)(now + 1000000));
    }
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t index = obtain_alive(table, 2, i, ++now);
        if (index == TABLE_NONE || find(table, 2, i) != index || table_totals(table).used > ROOM)
            ck_abort_msg("key %u", i);
        /* One that comes again and again stays. */
        index = find(table, 3, 0);
        if (i > 0 && index == TABLE_NONE)
            ck_abort_msg("the busy one is gone at key %u", i);
        if (i % 10 == 0)
            table_record(table, obtain_alive(table, 3, 0, now))->last = (uint32_t)now;
    }
    for (uint32_t i = 0; i < 20; i++) {
        ck_assert_uint_eq(find(table, 0, i), 2 * i);
        ck_assert_uint_eq(find(table, 1, i), 2 * i + 1);
    }
    struct table_totals totals = table_totals(table);
    ck_assert_uint_eq(totals.untracked, 0);
    ck_assert_uint_eq(totals.evicted, 100000 - (ROOM - 41));
    table_free(&table);
}
END_TEST

START_TEST(a_sweep_frees_the_dead_and_goes_round)
{
    enum { ROOM = 100 };
    struct table *table = full_table(ROOM, 1);
    struct asked asked = {0};
    for (uint32_t i = 0; i < ROOM; i++) {
        struct record *record = table_record(table, i);
        record->WORTH = i % 2;
        if (i % 10 >= 6) /* 6 and 7: over; 8 and 9: in force */
            table_ban(table, i, 1, 0, i % 10 >= 8 ? 11 : 10);
        if (i % 10 == 4 || i % 10 == 7)
            table_pin(table, i);
    }
    ck_assert_uint_eq(table_sweep(table, 10, 0, worth_of, &asked), 0);
    ck_assert_uint_eq(table_sweep(table, 10, 25, worth_of, &asked), 8);    /* 0, 2 and 6 of each ten */
    ck_assert_uint_eq(asked.count, 16);                                    /* all but 4, 7, 8 and 9 */
    ck_assert_uint_eq(table_record(table, 27)->ban, 1);                    /* not yet there */
    ck_assert_uint_eq(table_sweep(table, 10, 1000, worth_of, &asked), 22); /* once round, no further */
    ck_assert_uint_eq(asked.count, 16 + 60 - 8);
    for (uint32_t i = 0; i < ROOM; i++) {
        bool freed = i % 10 == 0 || i % 10 == 2 || i % 10 == 6;
        ck_assert_uint_eq(find(table, 0, i), freed ? TABLE_NONE : i);
        if (!freed)
            ck_assert_uint_eq(table_record(table, i)->ban, i % 10 >= 8);
    }
    ck_assert_uint_eq(table_totals(table).used, 70);
    ck_assert_uint_eq(table_totals(table).banned, 20);
    ck_assert_uint_eq(table_totals(table).evicted, 0);

    /* It stands at 25 again. */
    ck_assert_uint_eq(table_sweep(table, 11, 3, worth_of, &asked), 0);
    ck_assert_uint_eq(table_sweep(table, 11, 1, worth_of, &asked), 1);
    ck_assert_uint_eq(find(table, 0, 28), TABLE_NONE);
    table_free(&table);

    table = table_new(5, seed);
    ck_assert_uint_eq(table_sweep(table, 11, 5, worth_of, &asked), 0);
    obtain(table, 0, 0, 11);
    ck_assert_uint_eq(table_sweep(table, 11, 5, worth_of, &asked), 1);
    table_free(&table);
}
END_TEST

/* ---- against a naive list ---- */

enum { NAIVE_ROOM = 100, NAIVE_KEYS = 150, NAIVE_STEPS = 48000 };

struct naive {
    bool used;
    uint32_t key; /* and its group: key / 100 */
    uint32_t pins;
    uint8_t worth;
    uint64_t last, ban_until; /* full ticks; ban_until 0: not banned */
    uint8_t ban;
};

static uint32_t naive_find(const struct naive *list, uint32_t key)
{
    for (uint32_t i = 0; i < NAIVE_ROOM; i++)
        if (list[i].used && list[i].key == key)
            return i;
    return TABLE_NONE;
}

static bool naive_may_go(const struct naive *record, uint64_t now)
{
    return record->used && record->pins == 0 && record->ban_until <= now;
}

/* Which of a full list goes, by the words of the header; *hand is moved. */
static uint32_t naive_victim(const struct naive *list, uint32_t *hand, uint32_t stride, uint64_t now)
{
    uint32_t order[NAIVE_ROOM], looked = 0;
    for (uint32_t i = 0; i < NAIVE_ROOM && looked < TABLE_LOOK; i++)
        if (naive_may_go(&list[(*hand + i * stride) % NAIVE_ROOM], now))
            order[looked++] = (*hand + i * stride) % NAIVE_ROOM;
    for (uint32_t i = 0; i < looked; i++) {
        if (list[order[i]].worth == 0) {
            *hand = (order[i] + stride) % NAIVE_ROOM;
            return order[i];
        }
    }
    if (looked == TABLE_LOOK) /* else it went all the way round */
        *hand = (order[looked - 1] + stride) % NAIVE_ROOM;
    uint32_t victim = looked > 0 ? order[0] : TABLE_NONE;
    for (uint32_t i = 1; i < looked; i++)
        if (list[order[i]].worth < list[victim].worth ||
            (list[order[i]].worth == list[victim].worth && list[order[i]].last < list[victim].last))
            victim = order[i];
    return victim;
}

START_TEST(random_operations)
{
    uint64_t run = (uint64_t)_i, now = run % 2 ? BEFORE_WRAP : 0, evicted = 0, untracked = 0;
    struct prng prng = prng_seeded(run);
    struct table *table = table_new(NAIVE_ROOM, (const uint64_t[]){run, ~run});
    struct naive list[NAIVE_ROOM] = {0};
    uint32_t used = 0, hand = 0, sweeping = 0, fresh = 0, stride = run % 3 ? 1 : 61;

    table_set_search(table, TABLE_LOOK, TABLE_PASS, stride);
    for (unsigned step = 0; step < NAIVE_STEPS; step++) {
        /* Phases: in the second hardly any is dead, in the third many are pinned or banned, in the last many are swept.
         */
        uint32_t phase = step / 6000 % 4, number = prng_below(&prng, NAIVE_KEYS), at = naive_find(list, number);
        uint32_t found = find(table, number / 100, number);
        ck_assert_msg(found == at, "run %u, step %u: key %u", (unsigned)run, step, number);
        now += prng_below(&prng, 3);
        switch (prng_below(&prng, 8)) {
        case 0:
        case 1:
        case 2: {
            uint32_t index = obtain(table, number / 100, number, now);
            if (at == TABLE_NONE) {
                bool full = used == NAIVE_ROOM;
                uint32_t victim = full ? naive_victim(list, &hand, stride, now) : index;
                ck_assert_msg(index == victim, "run %u, step %u: %u instead of %u", (unsigned)run, step, index, victim);
                untracked += victim == TABLE_NONE;
                if (victim == TABLE_NONE)
                    break;
                ck_assert_msg(full || !list[index].used, "run %u, step %u", (unsigned)run, step);
                evicted += full && list[index].worth > 0;
                list[index] = (struct naive){.used = true, .key = number, .last = now, .worth = phase == 1};
                table_record(table, index)->WORTH = phase == 1;
                used += !full;
                fresh = index < fresh ? fresh : index + 1;
            } else {
                ck_assert_uint_eq(index, at);
            }
            break;
        }
        case 3:
            if (at != TABLE_NONE) {
                list[at].last = now;
                list[at].worth = (uint8_t)((phase == 1) + prng_below(&prng, 3));
                table_record(table, at)->last = (uint32_t)now;
                table_record(table, at)->WORTH = list[at].worth;
            }
            break;
        case 4:
            if (at != TABLE_NONE && (phase == 2 || prng_below(&prng, 4) == 0)) {
                list[at].pins++;
                table_pin(table, at);
            }
            break;
        case 5:
            if (at != TABLE_NONE && list[at].pins > 0 && phase != 2) {
                list[at].pins--;
                table_unpin(table, at);
            }
            break;
        case 6:
            if (at != TABLE_NONE && (phase == 2 || prng_below(&prng, 8) == 0)) {
                list[at].ban_until = now + 1 + prng_below(&prng, 8000);
                list[at].ban = (uint8_t)(1 + prng_below(&prng, prng_below(&prng, 2) ? 255 : 15));
                table_ban(table, at, list[at].ban, (uint8_t)prng_below(&prng, 256), (uint32_t)list[at].ban_until);
            } else if (at != TABLE_NONE && prng_below(&prng, 8) == 0) {
                list[at].ban_until = list[at].ban = 0;
                table_unban(table, at);
            } else if (at != TABLE_NONE && list[at].pins == 0 && prng_below(&prng, 8) == 0) {
                table_remove(table, at);
                list[at].used = false;
                used--;
            }
            break;
        case 7:
            if (prng_below(&prng, phase == 3 ? 4 : 100) == 0) {
                struct asked asked = {0};
                uint32_t count = prng_below(&prng, 20), freed = 0;
                for (uint32_t i = 0; i < count && i < fresh; i++) {
                    sweeping = sweeping < fresh ? sweeping : 0;
                    struct naive *record = &list[sweeping++];
                    if (record->used && record->ban_until <= now)
                        record->ban = 0;
                    if (naive_may_go(record, now) && record->worth == 0) {
                        record->used = false;
                        freed++;
                        used--;
                    }
                }
                ck_assert_uint_eq(table_sweep(table, now, count, worth_of, &asked), freed);
            }
            break;
        }
        struct table_totals totals = table_totals(table);
        ck_assert_msg(totals.used == used && totals.evicted == evicted && totals.untracked == untracked,
                      "run %u, step %u: totals", (unsigned)run, step);
    }
    uint32_t banned = 0, watched = 0;
    ck_assert_uint_eq(table_extent(table), fresh);
    for (uint32_t i = 0; i < NAIVE_ROOM; i++) {
        if (!list[i].used) {
            if (i < fresh)
                ck_assert_ptr_null(table_at(table, i));
            continue;
        }
        const struct record *record = table_record_const(table, i);
        ck_assert_uint_eq(record->pins, list[i].pins);
        ck_assert_uint_eq(record->last, (uint32_t)list[i].last);
        ck_assert_uint_eq(record->WORTH, list[i].worth);
        ck_assert_uint_eq(table_banned(record, now), list[i].ban_until > now);
        ck_assert_uint_eq(record->ban, list[i].ban);
        ck_assert_ptr_eq(table_at(table, i), record);
        banned += list[i].ban != 0;
        watched += list[i].ban != 0 && list[i].ban <= TABLE_BAN_WATCHED;
    }
    ck_assert_uint_eq(table_totals(table).banned, banned);
    ck_assert_uint_eq(table_totals(table).watched, watched);
    ck_assert_uint_gt(evicted, 0);
    ck_assert_uint_gt(untracked, 0);
    table_free(&table);
}
END_TEST

/* ---- chains ---- */

/* The records from `index` to the end of its chain. */
static uint32_t chain_length(const struct table *table, uint32_t index)
{
    uint32_t length = 1;
    while ((index = table_record_const(table, index)->next) != 0) {
        index--;
        length++;
    }
    return length;
}

static uint32_t longest_chain(const struct table *table)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < table_totals(table).used; i++) {
        uint32_t length = chain_length(table, i);
        longest = length > longest ? length : longest;
    }
    return longest;
}

START_TEST(chosen_keys_do_not_meet_under_another_seed)
{
    enum { ROOM = 2048, CHOSEN = 100 };
    static const uint64_t other_seed[2] = {9, 10};
    struct table *known = table_new(ROOM, seed), *secret = table_new(ROOM, other_seed);
    uint32_t chosen = 0;
    /* Each key that falls where key 0 did. */
    for (uint32_t i = 0; chosen < CHOSEN; i++) {
        uint32_t index = obtain(known, 0, i, 0);
        if (chain_length(known, index) == chosen + 1) {
            chosen++;
            obtain(secret, 0, i, 0);
        } else {
            table_remove(known, index);
        }
    }
    ck_assert_uint_eq(longest_chain(known), CHOSEN);
    ck_assert_uint_eq(table_totals(secret).used, CHOSEN);
    ck_assert_uint_le(longest_chain(secret), 4);
    table_free(&known);
    table_free(&secret);
}
END_TEST

START_TEST(chains_of_a_full_table_are_short)
{
    /* Sizes that are no powers of two, keys that differ in low or in high bits, or only in the group. */
    static const uint32_t rooms[] = {10000, 65536, 99991};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned way = 0; way < 3; way++) {
            struct table *table = table_new(rooms[i], seed);
            struct asked asked = {0};
            for (uint32_t n = 0; n < rooms[i]; n++) {
                const struct key key = {{way == 0 ? n << 12 : 0, 0, 0, way == 1 ? n : 0}};
                table_obtain(table, way == 2 ? n : 0, key.words, 0, worth_of, &asked);
            }
            ck_assert_uint_eq(table_totals(table).used, rooms[i]);
            ck_assert_uint_le(longest_chain(table), 10);
            table_free(&table);
        }
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("table");
    TCase *tests = test_case(suite, "records");
    tcase_add_test(tests, every_part_of_the_key_counts);
    tcase_add_test(tests, new_records_are_empty);
    tcase_add_test(tests, memory_is_said_before);
    tcase_add_test(tests, bans_and_ages_over_the_wrap_of_32_bits);
    tests = test_case(suite, "eviction");
    tcase_add_test(tests, neither_pinned_nor_banned_records_go);
    tcase_add_test(tests, dead_records_go_first);
    tcase_add_test(tests, the_oldest_is_told_over_the_wrap);
    tcase_add_test(tests, a_search_passes_over_so_many_and_goes_on_there);
    tcase_add_test(tests, a_rotating_stream_of_keys);
    tcase_add_test(tests, a_sweep_frees_the_dead_and_goes_round);
    tests = test_case(suite, "naive");
    tcase_add_loop_test(tests, random_operations, 1, 9);
    tests = test_case(suite, "chains");
    tcase_add_test(tests, chosen_keys_do_not_meet_under_another_seed);
    tcase_add_test(tests, chains_of_a_full_table_are_short);
    return suite;
}
