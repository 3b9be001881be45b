/*
 * test_waiting.c: the bounded room to wait in. Links src/doors/waiting.c.
 *
 * No test measures time: a wait that should end at once is asked for an hour, and a wait that does not end is ended by
 * the test's time-out.
 */
#include "check_main.h"
#include "doors/waiting.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#define HOUR (3600 * INT64_C(1000000000))
#define CALLERS 10

static struct waiting_room *room;
static atomic_int turned_away; /* callers that came back before the room was closed */
static atomic_bool closing;

static void setup(void)
{
    room = waiting_new(3, HOUR);
    ck_assert_ptr_nonnull(room);
    atomic_store(&turned_away, 0);
    atomic_store(&closing, false);
}

static void teardown(void)
{
    waiting_free(&room);
    ck_assert_ptr_null(room);
    waiting_free(&room);
}

static void *wait_an_hour(void *unused)
{
    (void)unused;
    waiting_wait(room, HOUR);
    if (!atomic_load(&closing))
        atomic_fetch_add(&turned_away, 1);
    return NULL;
}

static void start(pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_an_hour, NULL), 0);
}

/* Until so many have come back; the test's time-out ends a vain wait. */
static void await_turned_away(int count)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    while (atomic_load(&turned_away) < count)
        nanosleep(&pause, NULL);
}

static void close_and_join(pthread_t *threads, int count)
{
    atomic_store(&closing, true);
    waiting_close(room);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}

START_TEST(nothing_to_wait_for)
{
    waiting_wait(room, 0);
    waiting_wait(room, -1);
    waiting_wait(room, INT64_MIN);
}
END_TEST

START_TEST(a_wait_ends)
{
    for (int i = 0; i < 20; i++)
        waiting_wait(room, 1000000);
    waiting_wait(room, 1);
}
END_TEST

START_TEST(never_longer_than_the_longest)
{
    waiting_set(room, 1, 1000000);
    waiting_wait(room, HOUR);
    waiting_wait(room, INT64_MAX);
    waiting_set(room, 1, 0);
    waiting_wait(room, HOUR);
}
END_TEST

START_TEST(no_more_than_the_places)
{
    pthread_t threads[CALLERS];
    start(threads, CALLERS);
    await_turned_away(CALLERS - 3);
    waiting_wait(room, HOUR); /* full: at once */
    close_and_join(threads, CALLERS);
    ck_assert_int_eq(atomic_load(&turned_away), CALLERS - 3);
}
END_TEST

START_TEST(a_place_is_given_back)
{
    pthread_t threads[CALLERS];
    waiting_set(room, 3, 1000000);
    for (int i = 0; i < 20; i++) /* each takes a place and leaves it */
        waiting_wait(room, HOUR);
    waiting_set(room, 3, HOUR);
    start(threads, CALLERS);
    await_turned_away(CALLERS - 3);
    close_and_join(threads, CALLERS);
    ck_assert_int_eq(atomic_load(&turned_away), CALLERS - 3);
}
END_TEST

START_TEST(no_bound_on_places)
{
    struct timespec before, after;
    waiting_set(room, 0, 20000000);
    clock_gettime(CLOCK_MONOTONIC, &before);
    waiting_wait(room, HOUR); /* there is a place, and it is held for the longest that is allowed */
    clock_gettime(CLOCK_MONOTONIC, &after);
    ck_assert_int_ge((after.tv_sec - before.tv_sec) * 1000000000 + (after.tv_nsec - before.tv_nsec), 20000000);
}
END_TEST

START_TEST(more_places_later)
{
    pthread_t threads[2 * CALLERS];
    start(threads, CALLERS);
    await_turned_away(CALLERS - 3);
    waiting_set(room, 5, HOUR); /* two more; who waits stays */
    start(threads + CALLERS, CALLERS);
    await_turned_away(2 * CALLERS - 5);
    waiting_wait(room, HOUR);
    close_and_join(threads, 2 * CALLERS);
    ck_assert_int_eq(atomic_load(&turned_away), 2 * CALLERS - 5);
}
END_TEST

START_TEST(how_many_wait)
{
    struct waiting_totals totals = waiting_totals(room);
    ck_assert_uint_eq(totals.taken, 0);
    ck_assert_uint_eq(totals.places, 3);
    ck_assert_int_eq(waiting_enter(room, HOUR), HOUR);
    ck_assert_int_eq(waiting_enter(room, HOUR), HOUR);
    ck_assert_uint_eq(waiting_totals(room).taken, 2);
    waiting_set(room, 1, HOUR); /* fewer than wait already */
    totals = waiting_totals(room);
    ck_assert_uint_eq(totals.taken, 2);
    ck_assert_uint_eq(totals.places, 1);
    waiting_leave(room);
    waiting_leave(room);
    ck_assert_uint_eq(waiting_totals(room).taken, 0);
}
END_TEST

START_TEST(closing_wakes_everybody_and_lets_nobody_in)
{
    pthread_t threads[CALLERS];
    waiting_set(room, CALLERS, HOUR);
    start(threads, CALLERS);
    close_and_join(threads, CALLERS);
    ck_assert_int_eq(atomic_load(&turned_away), 0);
    waiting_wait(room, HOUR);
    waiting_set(room, CALLERS, HOUR); /* a reload does not open it again */
    waiting_wait(room, HOUR);
    waiting_close(room);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("waiting");
    TCase *tests = test_case(suite, "room");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, nothing_to_wait_for);
    tcase_add_test(tests, a_wait_ends);
    tcase_add_test(tests, never_longer_than_the_longest);
    tcase_add_test(tests, no_more_than_the_places);
    tcase_add_test(tests, a_place_is_given_back);
    tcase_add_test(tests, no_bound_on_places);
    tcase_add_test(tests, more_places_later);
    tcase_add_test(tests, how_many_wait);
    tcase_add_test(tests, closing_wakes_everybody_and_lets_nobody_in);
    return suite;
}
