/*
 * test_latency.c: how long events took, as a histogram. Links src/doors/latency.c.
 */
#include "check_main.h"
#include "doors/latency.h"

#include <pthread.h>
#include <stdint.h>

static struct latency latency;

static void setup(void)
{
    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
        atomic_store(&latency.buckets[i], 0);
    atomic_store(&latency.sum_ns, 0);
}

static uint64_t count(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
        sum += atomic_load(&latency.buckets[i]);
    return sum;
}

START_TEST(bounds_grow)
{
    ck_assert_int_gt(latency_bounds[0], 0);
    for (unsigned i = 1; i < LATENCY_BOUNDS; i++)
        ck_assert_int_gt(latency_bounds[i], latency_bounds[i - 1]);
}
END_TEST

/* A bound is still in its bucket, as Prometheus' "le" says. */
START_TEST(each_bucket_holds_its_bound)
{
    const int64_t below = _i > 0 ? latency_bounds[_i - 1] : -1;

    latency_note(&latency, below + 1);
    if (_i < LATENCY_BOUNDS)
        latency_note(&latency, latency_bounds[_i]);
    else
        latency_note(&latency, INT64_MAX / 2);
    ck_assert_uint_eq(atomic_load(&latency.buckets[_i]), 2);
    ck_assert_uint_eq(count(), 2);
}
END_TEST

START_TEST(a_clock_that_steps_back)
{
    latency_note(&latency, -1);
    latency_note(&latency, INT64_MIN);
    ck_assert_uint_eq(atomic_load(&latency.buckets[0]), 2);
    ck_assert_uint_eq(atomic_load(&latency.sum_ns), 0);
    latency_note(NULL, 1);
}
END_TEST

#define THREADS 4
#define EACH 20000

static void *note_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < EACH; i++)
        latency_note(&latency, i % 2 ? 3 : latency_bounds[LATENCY_BOUNDS - 1] + 1);
    return NULL;
}

START_TEST(none_is_lost_between_threads)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, note_many, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(atomic_load(&latency.buckets[0]), THREADS * EACH / 2);
    ck_assert_uint_eq(atomic_load(&latency.buckets[LATENCY_BOUNDS]), THREADS * EACH / 2);
    ck_assert_uint_eq(atomic_load(&latency.sum_ns),
                      (uint64_t)THREADS * EACH / 2 * (3 + (uint64_t)latency_bounds[LATENCY_BOUNDS - 1] + 1));
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("latency");
    TCase *tests = test_case(suite, "latency");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, bounds_grow);
    tcase_add_loop_test(tests, each_bucket_holds_its_bound, 0, LATENCY_BOUNDS + 1);
    tcase_add_test(tests, a_clock_that_steps_back);
    tcase_add_test(tests, none_is_lost_between_threads);
    return suite;
}
