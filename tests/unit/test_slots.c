/*
 * test_slots.c: sessions open by key. Links src/engine/slots.c, hash.c.
 */
#include "check_main.h"
#include "engine/slots.h"
#include "prng.h"

static const uint64_t seed[2] = {7, 8};

static struct slot_key key_of(uint64_t group, uint32_t first, uint32_t last)
{
    return (struct slot_key){.group = group, .key = {first, 0, 0, last}};
}

START_TEST(counts_up_and_down)
{
    struct slots *slots = slots_new(4, seed);
    struct slot_key key = key_of(1, 2, 3);
    ck_assert_ptr_nonnull(slots);
    ck_assert_uint_eq(slots_count(slots, &key), 0);
    ck_assert_uint_eq(slots_used(slots), 0);
    uint32_t entry = slots_take(slots, &key);
    ck_assert_uint_ne(entry, SLOT_NONE);
    ck_assert_uint_eq(slots_take(slots, &key), entry);
    ck_assert_uint_eq(slots_count(slots, &key), 2);
    ck_assert_uint_eq(slots_used(slots), 1);
    slots_release(slots, entry);
    ck_assert_uint_eq(slots_count(slots, &key), 1);
    slots_release(slots, entry);
    ck_assert_uint_eq(slots_count(slots, &key), 0);
    ck_assert_uint_eq(slots_used(slots), 0);
    slots_free(&slots);
    ck_assert_ptr_null(slots);
    slots_free(&slots);
}
END_TEST

START_TEST(every_part_of_the_key_counts)
{
    const struct slot_key keys[] = {{1, {2, 3, 4, 5}}, {UINT64_C(1) << 47, {2, 3, 4, 5}},
                                    {1, {0, 3, 4, 5}}, {1, {2, 0, 4, 5}},
                                    {1, {2, 3, 0, 5}}, {1, {2, 3, 4, 0}}};
    struct slots *slots = slots_new(6, seed);
    for (unsigned i = 0; i < 6; i++)
        for (unsigned times = 0; times <= i; times++)
            slots_take(slots, &keys[i]);
    for (unsigned i = 0; i < 6; i++)
        ck_assert_uint_eq(slots_count(slots, &keys[i]), i + 1);
    ck_assert_uint_eq(slots_used(slots), 6);
    slots_free(&slots);
}
END_TEST

/* A table as full as it gets, then emptied and filled again with others: nothing is lost and no room leaks. */
static void fill_and_empty(uint32_t room)
{
    struct slots *slots = slots_new(room, seed);
    uint32_t *entries = calloc(room, sizeof *entries);
    ck_assert(slots && entries);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < room; i++) {
            struct slot_key key = key_of(3, i + round * room, 0);
            entries[i] = slots_take(slots, &key);
            ck_assert_uint_lt(entries[i], room);
        }
        ck_assert_uint_eq(slots_used(slots), room);
        for (uint32_t i = 0; i < room; i++) {
            struct slot_key key = key_of(3, i + round * room, 0);
            ck_assert_uint_eq(slots_count(slots, &key), 1);
            slots_release(slots, entries[i]);
            ck_assert_uint_eq(slots_count(slots, &key), 0);
        }
        ck_assert_uint_eq(slots_used(slots), 0);
    }
    free(entries);
    slots_free(&slots);
}

START_TEST(full_tables_of_many_sizes)
{
    static const uint32_t rooms[] = {1, 2, 3, 4, 5, 7, 8, 9, 100, 1000, 65536};
    fill_and_empty(rooms[_i]);
}
END_TEST

START_TEST(random_takes_and_releases)
{
    enum { KEYS = 60, ROOM = 40, HELD = 200 };
    for (uint64_t run = 1; run <= 20; run++) {
        struct prng prng = prng_seeded(run);
        struct slots *slots = slots_new(ROOM, (const uint64_t[]){run, ~run});
        uint32_t held_entry[HELD], held_key[HELD], held = 0, count[KEYS] = {0}, used = 0;
        for (int step = 0; step < 5000; step++) {
            uint32_t number = prng_below(&prng, KEYS);
            struct slot_key key = key_of(number / 30, number % 2, number % 30 / 2);
            if (held < HELD && prng_below(&prng, 2) && (count[number] > 0 || used < ROOM)) {
                held_entry[held] = slots_take(slots, &key);
                held_key[held++] = number;
                used += count[number]++ == 0;
            } else if (held > 0) {
                uint32_t which = prng_below(&prng, held);
                slots_release(slots, held_entry[which]);
                used -= --count[held_key[which]] == 0;
                held--;
                held_entry[which] = held_entry[held];
                held_key[which] = held_key[held];
            }
            ck_assert_uint_eq(slots_used(slots), used);
            ck_assert_msg(slots_count(slots, &key) == count[number], "run %u, step %d", (unsigned)run, step);
        }
        slots_free(&slots);
    }
}
END_TEST

START_TEST(memory_is_said_before)
{
    ck_assert_uint_ge(slots_bytes(1000), 1000 * (sizeof(struct slot_key) + 2 * sizeof(uint32_t)));
    ck_assert_uint_le(slots_bytes(1000), 1000 * 96);
    ck_assert_uint_gt(slots_bytes(1001), slots_bytes(1000));
    ck_assert_uint_gt(slots_bytes(UINT32_C(16777216)), UINT32_MAX / 8); /* no overflow of 32 bits */
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("slots");
    TCase *tests = test_case(suite, "table");
    tcase_add_test(tests, counts_up_and_down);
    tcase_add_test(tests, every_part_of_the_key_counts);
    tcase_add_loop_test(tests, full_tables_of_many_sizes, 0, 11);
    tcase_add_test(tests, random_takes_and_releases);
    tcase_add_test(tests, memory_is_said_before);
    return suite;
}
