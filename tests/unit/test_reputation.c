/*
 * test_reputation.c: a client's history. Links src/engine/reputation.c.
 */
#include "check_main.h"
#include "engine/reputation.h"
#include "prng.h"

#include <string.h>

#define POINT 256
#define HOUR_NS (UINT64_C(3600) * 1000000000)

START_TEST(steps_are_an_eighth_of_the_half_life)
{
    ck_assert_uint_eq(reputation_step_ticks(0), 1);
    ck_assert_uint_eq(reputation_step_ticks(1), 1);
    ck_assert_uint_eq(reputation_step_ticks((UINT64_C(16) << TICK_BITS) - 1), 1);
    ck_assert_uint_eq(reputation_step_ticks(UINT64_C(16) << TICK_BITS), 2);
    ck_assert_uint_eq(reputation_step_ticks(HOUR_NS), 26822);
    ck_assert_uint_eq(reputation_step_ticks(UINT64_C(1) << 58), UINT32_C(1) << 31);
}
END_TEST

START_TEST(fades_to_a_half_in_a_half_life)
{
    uint32_t step = reputation_step_ticks(HOUR_NS);
    for (int sign = -1; sign <= 1; sign += 2) {
        struct record record = {0};
        uint64_t now = UINT64_C(1000000) * step;
        reputation_add(&record, step, now, sign * 100);
        ck_assert_int_eq(record.reputation, sign * 100 * POINT);
        reputation_decay(&record, step, now + step - 1);
        ck_assert_int_eq(record.reputation, sign * 100 * POINT);
        reputation_decay(&record, step, now + step);
        ck_assert_int_eq(record.reputation, sign * 23500);
        reputation_decay(&record, step, now + 8 * step);
        ck_assert_int_ge(sign * record.reputation, 50 * POINT);
        ck_assert_int_le(sign * record.reputation, 51 * POINT);
        reputation_decay(&record, step, now + 16 * step);
        ck_assert_int_ge(sign * record.reputation, 25 * POINT);
        ck_assert_int_le(sign * record.reputation, 26 * POINT);
        ck_assert(reputation_of(&record, step, now + 48 * step) == (sign > 0 ? REPUTATION_GOOD : REPUTATION_BAD));
        ck_assert(reputation_of(&record, step, now + 64 * step) == REPUTATION_NONE);
        ck_assert_int_eq(reputation_of(&record, step, now + (16 + 256) * step), REPUTATION_NONE);
        ck_assert_int_eq(reputation_of(&record, step, now + 65535 * (uint64_t)step), REPUTATION_NONE);
        reputation_decay(&record, step, now + 96 * step);
        ck_assert_int_ne(record.reputation, 0);
        reputation_decay(&record, step, now + 97 * step);
        ck_assert_int_eq(record.reputation, 0);
    }
}
END_TEST

START_TEST(good_and_bad_begin_at_one_point)
{
    static const struct {
        int16_t score;
        enum reputation reputation;
    } cases[] = {
        {0, REPUTATION_NONE},           {POINT - 1, REPUTATION_NONE}, {POINT, REPUTATION_GOOD},
        {100 * POINT, REPUTATION_GOOD}, {1 - POINT, REPUTATION_NONE}, {-POINT, REPUTATION_BAD},
        {-100 * POINT, REPUTATION_BAD},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct record record = {.reputation = cases[i].score, .reputation_step = 7};
        ck_assert_int_eq(reputation_of(&record, 10, 79), cases[i].reputation);
    }
    /* 256 * 235 / 256 is less than a point */
    struct record record = {.reputation = POINT, .reputation_step = 7};
    ck_assert_int_eq(reputation_of(&record, 10, 80), REPUTATION_NONE);
    ck_assert_int_eq(record.reputation, POINT);
    ck_assert_uint_eq(record.reputation_step, 7);
}
END_TEST

START_TEST(points_stay_within_their_bounds)
{
    static const int points[] = {INT32_MAX, INT32_MIN, 99, -99, 101, -101, 200, -200, 8388608, -8388608, 65536, 1, 0};
    enum { COUNT = sizeof points / sizeof *points };
    for (unsigned i = 0; i < COUNT; i++) {
        for (unsigned j = 0; j < COUNT; j++) {
            struct record record = {0};
            int64_t score = points[i] > 100 ? 100 : points[i] < -100 ? -100 : points[i];
            reputation_add(&record, 1, 5, points[i]);
            ck_assert_int_eq(record.reputation, score * POINT);
            score += points[j];
            score = score > 100 ? 100 : score < -100 ? -100 : score;
            reputation_add(&record, 1, 5, points[j]);
            ck_assert_int_eq(record.reputation, score * POINT);
        }
    }
}
END_TEST

START_TEST(a_score_of_nothing_has_no_age)
{
    for (uint32_t step = 0; step <= UINT16_MAX; step += 257) {
        struct record record = {.reputation_step = (uint16_t)step};
        ck_assert_int_eq(reputation_of(&record, 3, 100), REPUTATION_NONE);
        reputation_add(&record, 3, 100, 5);
        ck_assert_int_eq(record.reputation, 5 * POINT);
        ck_assert_uint_eq(record.reputation_step, 33);
        ck_assert_int_eq(reputation_of(&record, 3, 101), REPUTATION_GOOD);
    }
}
END_TEST

/* A score as it was made, with all of its steps in 64 bits. */
struct plain {
    int score;
    uint64_t step;
};

static void plain_decay(struct plain *plain, uint64_t step)
{
    for (; plain->step < step; plain->step++) {
        int size = plain->score < 0 ? -plain->score : plain->score, kept = size * 235 >> 8;
        plain->score = plain->score < 0 ? -kept : kept;
    }
}

START_TEST(how_often_it_is_looked_at_makes_no_difference)
{
    for (uint64_t run = 1; run <= 50; run++) {
        struct prng prng = prng_seeded(run);
        uint32_t step_ticks = 1 + prng_below(&prng, 100000);
        /* Some steps before the 16 bits of a step wrap round, or the 32 bits of a tick. */
        uint64_t now = run % 2 ? UINT64_C(65536) * 5 * step_ticks - 300 * step_ticks : (UINT64_C(7) << 32) - 100000;
        struct record rarely = {0}, often = {.reputation_step = 77};
        struct plain plain = {.step = now / step_ticks};
        for (unsigned i = 0; i < 500; i++) {
            if (i == 250 || i == 251)
                reputation_decay(&rarely, step_ticks, now);
            if (i == 250)
                now += UINT64_C(65535) * step_ticks; /* the longest that may be */
            else
                now += prng_below(&prng, 3) ? prng_below(&prng, step_ticks) : prng_below(&prng, 20) * step_ticks;
            plain_decay(&plain, now / step_ticks);
            struct record before = often;
            enum reputation is = plain.score >= POINT    ? REPUTATION_GOOD
                                 : plain.score <= -POINT ? REPUTATION_BAD
                                                         : REPUTATION_NONE;
            bool same = reputation_of(&often, step_ticks, now) == is && reputation_of(&rarely, step_ticks, now) == is;
            same = same && memcmp(&before, &often, sizeof often) == 0;
            reputation_decay(&often, step_ticks, now);
            same = same && often.reputation == plain.score;
            if (prng_below(&prng, 5) == 0) {
                int points = (int)prng_below(&prng, 121) - 60;
                reputation_add(&often, step_ticks, now, points);
                reputation_add(&rarely, step_ticks, now, points);
                plain.score += points * POINT;
                plain.score = plain.score > 25600 ? 25600 : plain.score < -25600 ? -25600 : plain.score;
                same = same && rarely.reputation == plain.score && often.reputation == plain.score;
            }
            ck_assert_msg(same, "run %u, touch %u", (unsigned)run, i);
        }
    }
}
END_TEST

START_TEST(nothing_else_of_the_record_changes)
{
    struct record record, before;
    memset(&record, 0xa5, sizeof record);
    record.reputation = 0;
    before = record;
    reputation_add(&record, 9, 900, -3);
    before.reputation = -3 * POINT;
    before.reputation_step = 100;
    ck_assert_mem_eq(&record, &before, sizeof record);
    reputation_decay(&record, 9, 900 + 9);
    before.reputation = -705;
    before.reputation_step = 101;
    ck_assert_mem_eq(&record, &before, sizeof record);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("reputation");
    TCase *tests = test_case(suite, "score");
    tcase_add_test(tests, steps_are_an_eighth_of_the_half_life);
    tcase_add_test(tests, fades_to_a_half_in_a_half_life);
    tcase_add_test(tests, good_and_bad_begin_at_one_point);
    tcase_add_test(tests, points_stay_within_their_bounds);
    tcase_add_test(tests, a_score_of_nothing_has_no_age);
    tcase_add_test(tests, how_often_it_is_looked_at_makes_no_difference);
    tcase_add_test(tests, nothing_else_of_the_record_changes);
    return suite;
}
