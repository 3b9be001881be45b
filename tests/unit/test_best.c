/*
 * test_best.c: the first few of many. Links src/daemon/best.c.
 */
#include "check_main.h"
#include "daemon/best.h"
#include "prng.h"

static int smallest_first(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* As sorting all of them would have it. */
START_TEST(as_when_all_are_sorted)
{
    static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 100, 1000};
    const size_t wanted = (size_t)_i + 1;
    struct prng prng = prng_seeded(wanted);

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t all[1000];
        struct best best;
        const size_t expected = sizes[i] < wanted ? sizes[i] : wanted;
        ck_assert(best_init(&best, wanted, sizeof *all, smallest_first));
        for (size_t place = 0; place < sizes[i]; place++) {
            all[place] = prng_below(&prng, 200); /* many are alike */
            best_offer(&best, &all[place]);
        }
        qsort(all, sizes[i], sizeof *all, smallest_first);
        best_sort(&best);
        ck_assert_uint_eq(best.count, expected);
        ck_assert_uint_eq(best.left_out, sizes[i] - expected);
        for (size_t place = 0; place < expected; place++)
            ck_assert_uint_eq(((const uint32_t *)best.items)[place], all[place]);
        best_sort(&best); /* again is no harm */
        ck_assert_uint_eq(best.count, expected);
        ck_assert_uint_eq(best.left_out, sizes[i] - expected);
        best_free(&best);
        best_free(&best);
    }
}
END_TEST

static size_t comparisons;

static int counted(const void *a, const void *b)
{
    comparisons++;
    return smallest_first(a, b);
}

/* Where nothing better comes there is next to nothing to do, however many come. */
START_TEST(what_is_no_better_costs_one_look)
{
    struct best best;
    const uint32_t many = 100000;

    comparisons = 0;
    ck_assert(best_init(&best, 10, sizeof many, counted));
    for (uint32_t i = 0; i < many; i++)
        best_offer(&best, &i);
    best_sort(&best);
    ck_assert_uint_eq(best.count, 10);
    ck_assert_uint_eq(best.left_out, many - 10);
    ck_assert_uint_lt(comparisons, many + 1000);
    best_free(&best);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("best");
    TCase *tests = test_case(suite, "best");
    tcase_add_loop_test(tests, as_when_all_are_sorted, 0, 12);
    tcase_add_test(tests, what_is_no_better_costs_one_look);
    return suite;
}
