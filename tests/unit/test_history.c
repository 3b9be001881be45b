/*
 * test_history.c: how the counters went. Links src/daemon/history.c.
 */
#include "check_main.h"
#include "daemon/history.h"

#include <stdio.h>
#include <string.h>

#define UNKNOWN HISTORY_UNKNOWN

static struct history *history;
static double when;

static void setup(void)
{
    history = history_new();
    ck_assert_ptr_nonnull(history);
    when = 1000;
}

static void teardown(void)
{
    history_free(&history);
    ck_assert_ptr_null(history);
}

static void begin(void)
{
    history_begin(history, when += HISTORY_INTERVAL_S);
}

static void scope(const char *name, uint32_t count, uint32_t max)
{
    struct counter_view view = {.count = count, .max = max};
    strcpy(view.scope, name);
    history_counter(history, &view);
}

static void limit(const char *name, uint64_t refused, uint64_t monitored)
{
    struct limit_view view = {.actions = {[ACTION_REFUSE] = refused, [ACTION_MONITOR] = monitored, [ACTION_SCORE] = 9}};
    strcpy(view.name, name);
    history_limit(history, &view);
}

static void end(void)
{
    history_end(history);
}

static size_t scope_number(const char *name)
{
    for (size_t i = 0; i < history_scopes(history); i++)
        if (strcmp(history_scope_name(history, i), name) == 0)
            return i;
    ck_abort_msg("no series of %s", name);
    return 0;
}

static size_t limit_number_of(const char *name)
{
    for (size_t i = 0; i < history_limits(history); i++)
        if (strcmp(history_limit_name(history, i), name) == 0)
            return i;
    ck_abort_msg("no series of %s", name);
    return 0;
}

#define assert_sessions(name, sample, expected) \
    ck_assert_uint_eq(history_sessions(history, scope_number(name), sample), expected)
#define assert_refused(name, sample, expected) \
    ck_assert_uint_eq(history_refused(history, limit_number_of(name), sample), expected)
#define assert_monitored(name, sample, expected) \
    ck_assert_uint_eq(history_monitored(history, limit_number_of(name), sample), expected)

START_TEST(nothing_yet)
{
    ck_assert_uint_eq(history_samples(history), 0);
    ck_assert_uint_eq(history_scopes(history), 0);
    ck_assert_uint_eq(history_limits(history), 0);
    ck_assert(history_when(history) == 0);
}
END_TEST

START_TEST(oldest_first)
{
    for (uint32_t i = 0; i < 3; i++) {
        begin();
        scope("service", i, 50 + i);
        scope("listener[a]", i, 0); /* without a cap */
        end();
    }
    ck_assert_uint_eq(history_samples(history), 3);
    ck_assert(history_when(history) == 1030);
    ck_assert_uint_eq(history_scopes(history), 1);
    ck_assert_uint_eq(history_scope_max(history, 0), 52);
    for (uint32_t i = 0; i < 3; i++)
        assert_sessions("service", i, i);
}
END_TEST

START_TEST(an_hour_goes_round)
{
    const uint32_t all = 2 * HISTORY_SAMPLES + 7;
    for (uint32_t i = 0; i < all; i++) {
        begin();
        scope("service", i, 1);
        limit("x", (uint64_t)i * i, 1);
        end();
    }
    ck_assert_uint_eq(history_samples(history), HISTORY_SAMPLES);
    for (uint32_t i = 0; i < HISTORY_SAMPLES; i++) {
        const uint32_t then = all - HISTORY_SAMPLES + i;
        assert_sessions("service", i, then);
        assert_refused("x", i, 2 * then - 1);
        assert_monitored("x", i, 0);
    }
}
END_TEST

START_TEST(limits_count_what_came_since)
{
    begin();
    limit("x", 3, 0);
    limit("quiet", 0, 0);
    end();
    begin();
    limit("x", 3, 2);
    limit("quiet", 0, 0);
    end();
    begin();
    limit("x", 10, 2);
    limit("quiet", 0, 0);
    end();
    ck_assert_uint_eq(history_limits(history), 1); /* of one that did nothing there is nothing to tell */
    const uint32_t refused[] = {3, 0, 7}, monitored[] = {0, 2, 0};
    for (size_t i = 0; i < 3; i++) {
        assert_refused("x", i, refused[i]);
        assert_monitored("x", i, monitored[i]);
    }
    begin();
    limit("x", 10, 2);
    limit("quiet", 1, 0); /* it was there all the time, and quiet */
    end();
    const uint32_t late[] = {0, 0, 0, 1};
    for (size_t i = 0; i < 4; i++)
        assert_refused("quiet", i, late[i]);
}
END_TEST

START_TEST(a_reload_keeps_what_is_still_named)
{
    begin();
    scope("service", 1, 10), scope("listener[a]", 2, 10), scope("listener[b]", 3, 10);
    limit("x", 5, 0), limit("y", 6, 0), limit("z", 7, 0);
    end();
    begin();
    scope("service", 1, 20), scope("listener[b]", 4, 10), scope("listener[c]", 5, 10);
    limit("z", 8, 0), limit("x", 6, 0), limit("new", 1, 0);
    end();
    ck_assert_uint_eq(history_scopes(history), 3);
    ck_assert_uint_eq(history_limits(history), 3);
    assert_sessions("service", 0, 1);
    assert_sessions("listener[b]", 0, 3);
    assert_sessions("listener[b]", 1, 4);
    assert_sessions("listener[c]", 0, UNKNOWN);
    assert_sessions("listener[c]", 1, 5);
    assert_refused("x", 0, 5);
    assert_refused("x", 1, 1);
    assert_refused("z", 0, 7);
    assert_refused("z", 1, 1);
    assert_refused("new", 0, UNKNOWN);
    assert_refused("new", 1, 1);
    assert_monitored("new", 0, UNKNOWN);
    begin(); /* y begins anew, the engine has forgotten what it did */
    limit("y", 2, 0), limit("x", 6, 0);
    end();
    ck_assert_uint_eq(history_scopes(history), 0);
    assert_refused("y", 1, UNKNOWN);
    assert_refused("y", 2, 2);
}
END_TEST

START_TEST(a_count_that_begins_anew)
{
    begin();
    limit("x", 100, 100);
    end();
    begin();
    limit("x", 4, 100);
    end();
    assert_refused("x", 1, 4);
    assert_monitored("x", 1, 0);
    ck_assert_uint_eq(history_refused_before(history, limit_number_of("x")), 4);
    ck_assert_uint_eq(history_monitored_before(history, limit_number_of("x")), 100);
}
END_TEST

START_TEST(a_cap_that_goes_and_comes)
{
    for (uint32_t max = 0; max < 3; max++) {
        begin();
        scope("service", 7, max == 1 ? 0 : 5);
        end();
    }
    assert_sessions("service", 0, UNKNOWN);
    assert_sessions("service", 1, UNKNOWN);
    assert_sessions("service", 2, 7);
}
END_TEST

START_TEST(the_first_scopes_and_every_limit)
{
    char name[32];
    for (unsigned round = 0; round < 2; round++) {
        begin();
        for (unsigned i = 0; i < HISTORY_SCOPES + 10; i++) {
            snprintf(name, sizeof name, "s%u", i);
            scope(name, i, 1);
        }
        for (unsigned i = 0; i < HISTORY_LIMITS + 10; i++) {
            snprintf(name, sizeof name, "l%u", i);
            limit(name, 1, i);
        }
        end();
    }
    ck_assert_uint_eq(history_scopes(history), HISTORY_SCOPES);
    ck_assert_uint_eq(history_limits(history), HISTORY_LIMITS);
    assert_sessions("s63", 1, 63);
    assert_refused("l10", 0, 1);
}
END_TEST

START_TEST(two_scopes_of_one_name)
{
    for (unsigned round = 0; round < 2; round++) {
        begin();
        scope("peer[a]", 1, 5), scope("peer[a]", 2, 5);
        end();
    }
    ck_assert_uint_eq(history_scopes(history), 2);
    for (size_t sample = 0; sample < 2; sample++) {
        ck_assert_uint_eq(history_sessions(history, 0, sample), 1);
        ck_assert_uint_eq(history_sessions(history, 1, sample), 2);
    }
}
END_TEST

START_TEST(numbers_as_large_as_may_be)
{
    begin();
    scope("service", UINT32_MAX, UINT32_MAX);
    limit("x", UINT64_MAX, UINT32_MAX);
    end();
    assert_sessions("service", 0, UINT32_MAX - 1);
    assert_refused("x", 0, UINT32_MAX - 1);
    assert_monitored("x", 0, UINT32_MAX - 1);
    ck_assert_uint_lt(history_bytes(), 1024 * 1024);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("history");
    TCase *tests = test_case(suite, "history");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, nothing_yet);
    tcase_add_test(tests, oldest_first);
    tcase_add_test(tests, an_hour_goes_round);
    tcase_add_test(tests, limits_count_what_came_since);
    tcase_add_test(tests, a_reload_keeps_what_is_still_named);
    tcase_add_test(tests, a_count_that_begins_anew);
    tcase_add_test(tests, a_cap_that_goes_and_comes);
    tcase_add_test(tests, the_first_scopes_and_every_limit);
    tcase_add_test(tests, two_scopes_of_one_name);
    tcase_add_test(tests, numbers_as_large_as_may_be);
    return suite;
}
