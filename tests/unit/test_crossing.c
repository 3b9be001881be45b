/*
 * test_crossing.c: limits that are refusing. Links src/engine/crossing.c, hash.c, addr.c.
 */
#include "check_main.h"
#include "engine/crossing.h"
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

static const uint64_t seed[2] = {11, 12};
static struct crossings *crossings;
static struct crossing_report reports[CROSSINGS_MAX + 1];

static void setup(void)
{
    crossings = crossings_new(seed);
    ck_assert_ptr_nonnull(crossings);
}

static void teardown(void)
{
    crossings_free(&crossings);
    ck_assert_ptr_null(crossings);
}

static struct addr client_number(uint32_t number)
{
    return (struct addr){.hi = (uint64_t)(UINT32_C(0x0a000000) + number) << 32, .family = ADDR_IPV4};
}

/* What a limit has found; "listener_sessions", and refused, unless it says otherwise. */
static struct finding finding_in(const char *scope)
{
    struct finding finding = {.limit = LIMIT_LISTENER_SESSIONS, .name = "listener_sessions"};
    strcpy(finding.scope, scope);
    return finding;
}

static bool found(const struct finding *finding, uint32_t client, int64_t now)
{
    struct addr addr = client_number(client);
    return crossings_found(crossings, finding, false, &addr, now);
}

/* A refusal by the cap of a scope. */
static bool refuse(const char *scope, uint32_t client, int64_t now)
{
    struct finding finding = finding_in(scope);
    return found(&finding, client, now);
}

/* A refusal by a limit per client. */
static bool refuse_client(const char *scope, const struct prefix *key, uint32_t client, int64_t now)
{
    struct finding finding = finding_in(scope);
    struct addr addr = client_number(client);
    strcpy(finding.name, "client_sessions");
    finding.client = *key;
    return crossings_found(crossings, &finding, true, &addr, now);
}

START_TEST(first_and_later)
{
    ck_assert(refuse("service", 1, 0));
    ck_assert(!refuse("service", 1, 1));
    ck_assert(!refuse("service", 2, 4 * SECOND));
    ck_assert_uint_eq(crossings_used(crossings), 1);
    ck_assert_uint_eq(crossings_over(crossings, 4 * SECOND + ENGINE_CROSSING_QUIET_NS, false, reports, 1), 1);
    ck_assert_str_eq(reports[0].name, "listener_sessions");
    ck_assert_int_eq(reports[0].action, ACTION_REFUSE);
    ck_assert_str_eq(reports[0].scope, "service");
    ck_assert_str_eq(reports[0].key, "");
    ck_assert_uint_eq(reports[0].client.addr.family, ADDR_NONE);
    ck_assert_uint_eq(reports[0].refused, 3);
    ck_assert_uint_eq(reports[0].clients, 2);
    ck_assert_int_eq(reports[0].lasted_ns, 4 * SECOND);
    ck_assert_uint_eq(crossings_used(crossings), 0);
    ck_assert(refuse("service", 1, 20 * SECOND)); /* a new one */
}
END_TEST

START_TEST(over_when_quiet_and_not_before)
{
    refuse("service", 1, 100);
    ck_assert_uint_eq(crossings_over(crossings, 100 + ENGINE_CROSSING_QUIET_NS - 1, false, reports, 9), 0);
    refuse("service", 1, 200); /* the wait begins anew */
    ck_assert_uint_eq(crossings_over(crossings, 100 + ENGINE_CROSSING_QUIET_NS, false, reports, 9), 0);
    ck_assert_uint_eq(crossings_over(crossings, 200 + ENGINE_CROSSING_QUIET_NS, false, reports, 9), 1);
    ck_assert_uint_eq(crossings_over(crossings, 200 + ENGINE_CROSSING_QUIET_NS, false, reports, 9), 0);
}
END_TEST

START_TEST(all_ends_what_is_under_way)
{
    refuse("a", 1, 0);
    refuse("b", 1, 1);
    ck_assert_uint_eq(crossings_over(crossings, 2, false, reports, 9), 0);
    ck_assert_uint_eq(crossings_over(crossings, 2, true, reports, 9), 2);
    ck_assert_uint_eq(crossings_used(crossings), 0);
}
END_TEST

START_TEST(told_apart_by_limit_scope_and_key)
{
    struct addr addr = client_number(1);
    struct prefix host = {addr, 32}, net = {addr_cut(&addr, 24), 24}, shorter = {addr_cut(&addr, 24), 23};
    ck_assert(refuse("a", 1, 0));
    ck_assert(refuse("b", 1, 0));
    ck_assert(refuse_client("a", &host, 1, 0));
    ck_assert(refuse_client("b", &host, 1, 0));
    ck_assert(refuse_client("a", &net, 1, 0));
    ck_assert(refuse_client("a", &shorter, 1, 0));
    struct finding named = finding_in("a"), monitored = finding_in("a"), keyed = finding_in("a");
    strcpy(named.name, "service_sessions");
    monitored.action = ACTION_MONITOR;
    strcpy(keyed.key, "example.org");
    ck_assert(found(&named, 1, 0));
    ck_assert(found(&monitored, 1, 0));
    ck_assert(found(&keyed, 1, 0));
    ck_assert_uint_eq(crossings_used(crossings), 9);
    named.count = 7; /* what was counted does not matter, nor does the client of a limit that is not per client */
    named.client = host;
    ck_assert(!found(&named, 1, 0));
    ck_assert(!refuse("b", 1, 0));
    ck_assert(!refuse_client("a", &host, 1, 0));
    ck_assert_uint_eq(crossings_over(crossings, 0, true, reports, 9), 9);
    /* "a" was quiet the longest; "b" and the first of the client's spoke last. */
    ck_assert_str_eq(reports[0].scope, "a");
    ck_assert_str_eq(reports[0].name, "listener_sessions");
    ck_assert_int_eq(reports[4].action, ACTION_MONITOR);
    ck_assert_str_eq(reports[5].key, "example.org");
    ck_assert_str_eq(reports[6].name, "service_sessions");
    ck_assert_uint_eq(reports[6].client.addr.family, ADDR_NONE);
    ck_assert_str_eq(reports[7].scope, "b");
    ck_assert_uint_eq(reports[7].refused, 2);
    ck_assert_str_eq(reports[8].name, "client_sessions");
    ck_assert(prefix_compare(&reports[8].client, &host) == 0);
}
END_TEST

START_TEST(the_longest_quiet_come_first)
{
    char scope[32];
    for (int i = 0; i < 100; i++) {
        snprintf(scope, sizeof scope, "scope%d", i);
        refuse(scope, 1, i);
    }
    for (int i = 0; i < 100; i += 2) { /* the even ones once more */
        snprintf(scope, sizeof scope, "scope%d", i);
        refuse(scope, 1, 100 + i);
    }
    /* In helpings of 7, as a caller with little room takes them. */
    int taken = 0;
    for (size_t count; (count = crossings_over(crossings, 99 + ENGINE_CROSSING_QUIET_NS, false, reports, 7)) > 0;)
        for (size_t i = 0; i < count; i++, taken++) {
            snprintf(scope, sizeof scope, "scope%d", 2 * taken + 1);
            ck_assert_str_eq(reports[i].scope, scope);
        }
    ck_assert_int_eq(taken, 50);
    ck_assert_uint_eq(crossings_over(crossings, 100 + ENGINE_CROSSING_QUIET_NS, false, reports, 7), 1);
    ck_assert_str_eq(reports[0].scope, "scope0");
}
END_TEST

START_TEST(room_is_respected)
{
    for (uint32_t i = 0; i < 3; i++)
        refuse((const char *[]){"a", "b", "c"}[i], 1, 0);
    reports[2].refused = 77;
    ck_assert_uint_eq(crossings_over(crossings, 0, true, reports, 0), 0);
    ck_assert_uint_eq(crossings_over(crossings, 0, true, reports, 2), 2);
    ck_assert_uint_eq(reports[2].refused, 77);
    ck_assert_uint_eq(crossings_used(crossings), 1);
}
END_TEST

START_TEST(one_too_many_is_counted_and_disturbs_none)
{
    char scope[32];
    for (int i = 0; i < CROSSINGS_MAX; i++) {
        snprintf(scope, sizeof scope, "scope%d", i);
        ck_assert(refuse(scope, 1, i));
    }
    ck_assert_uint_eq(crossings_unfollowed(crossings), 0);
    for (int i = 0; i < 5; i++)
        ck_assert(!refuse("another", 1, 6000)); /* not the first of a crossing, as none follows it */
    ck_assert_uint_eq(crossings_unfollowed(crossings), 5);
    ck_assert_uint_eq(crossings_unfollowed(crossings), 0);
    ck_assert(!refuse("scope0", 3, 7000)); /* it is still there, with all it knew */
    ck_assert_uint_eq(crossings_unfollowed(crossings), 0);

    ck_assert_uint_eq(crossings_over(crossings, 0, true, reports, 1), 1); /* room for one */
    ck_assert(refuse("another", 1, 7000));
    ck_assert_uint_eq(crossings_over(crossings, 0, true, reports, CROSSINGS_MAX + 1), CROSSINGS_MAX);
    ck_assert_str_eq(reports[CROSSINGS_MAX - 2].scope, "scope0");
    ck_assert_uint_eq(reports[CROSSINGS_MAX - 2].clients, 2);
    ck_assert_str_eq(reports[CROSSINGS_MAX - 1].scope, "another");
    ck_assert_uint_eq(crossings_used(crossings), 0);
}
END_TEST

static uint32_t clients_told(uint32_t clients)
{
    crossings_over(crossings, 0, true, reports, CROSSINGS_MAX);
    for (int round = 0; round < 2; round++) /* who comes again is no other */
        for (uint32_t i = 0; i < clients; i++)
            refuse("service", i, 0);
    ck_assert_uint_eq(crossings_over(crossings, 0, true, reports, 1), 1);
    ck_assert_uint_eq(reports[0].refused, 2 * clients);
    return reports[0].clients;
}

START_TEST(clients_are_exact_up_to_the_promise)
{
    for (uint32_t clients = 1; clients <= CROSSING_CLIENTS_EXACT; clients++)
        ck_assert_uint_eq(clients_told(clients), clients);
}
END_TEST

START_TEST(clients_are_estimated_beyond)
{
    static const uint32_t sizes[] = {CROSSING_CLIENTS_EXACT + 1, 100, 1000, 10000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t told = clients_told(sizes[i]);
        ck_assert_msg(told >= sizes[i] / 2 && told <= sizes[i] + sizes[i] / 2, "%u told of %u", told, sizes[i]);
    }
}
END_TEST

START_TEST(clients_without_an_address_are_one)
{
    const struct addr none = {0};
    const struct finding finding = finding_in("service");
    crossings_found(crossings, &finding, false, &none, 0);
    crossings_found(crossings, &finding, false, &none, 0);
    ck_assert_uint_eq(crossings_over(crossings, 0, true, reports, 1), 1);
    ck_assert_uint_eq(reports[0].clients, 1);
}
END_TEST

START_TEST(a_clock_that_steps_back_only_delays)
{
    refuse("service", 1, 1000 * SECOND);
    ck_assert(!refuse("service", 1, 10 * SECOND));
    ck_assert_uint_eq(crossings_over(crossings, 11 * SECOND, false, reports, 9), 0);
    refuse("other", 1, 2000 * SECOND);
    ck_assert_uint_eq(crossings_over(crossings, 12 * SECOND, false, reports, 9), 0);
    ck_assert_uint_eq(crossings_over(crossings, 15 * SECOND, false, reports, 9), 1);
    ck_assert_str_eq(reports[0].scope, "service");
    ck_assert_int_eq(reports[0].lasted_ns, 0); /* not below 0 */
    ck_assert_uint_eq(crossings_over(crossings, 20 * SECOND, false, reports, 9), 0);
    ck_assert_uint_eq(crossings_over(crossings, 2005 * SECOND, false, reports, 9), 1);
}
END_TEST

START_TEST(long_names_are_kept_as_the_verdict_shows_them)
{
    struct finding finding = {.action = ACTION_SCORE};
    memset(finding.scope, 'x', sizeof finding.scope - 1);
    memset(finding.key, 'y', sizeof finding.key - 1);
    memset(finding.name, 'z', sizeof finding.name - 1);
    ck_assert(found(&finding, 1, 0));
    ck_assert(!found(&finding, 1, 0));
    crossings_over(crossings, 0, true, reports, 1);
    ck_assert_str_eq(reports[0].scope, finding.scope);
    ck_assert_str_eq(reports[0].key, finding.key);
    ck_assert_str_eq(reports[0].name, finding.name);
    ck_assert_int_eq(reports[0].action, ACTION_SCORE);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("crossing");
    TCase *tests = test_case(suite, "crossings");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, first_and_later);
    tcase_add_test(tests, over_when_quiet_and_not_before);
    tcase_add_test(tests, all_ends_what_is_under_way);
    tcase_add_test(tests, told_apart_by_limit_scope_and_key);
    tcase_add_test(tests, the_longest_quiet_come_first);
    tcase_add_test(tests, room_is_respected);
    tcase_add_test(tests, one_too_many_is_counted_and_disturbs_none);
    tcase_add_test(tests, clients_are_exact_up_to_the_promise);
    tcase_add_test(tests, clients_are_estimated_beyond);
    tcase_add_test(tests, clients_without_an_address_are_one);
    tcase_add_test(tests, a_clock_that_steps_back_only_delays);
    tcase_add_test(tests, long_names_are_kept_as_the_verdict_shows_them);
    return suite;
}
