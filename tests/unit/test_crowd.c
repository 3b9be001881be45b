/*
 * test_crowd.c: who is still seen when there are more clients and domains than there is room for. Links all of
 * src/engine.
 */
#include "activity_case.h"
#include "check_main.h"
#include "request_case.h"

#include <stdio.h>

static const char *const one = "192.0.2.1", *const two = "198.51.100.2";

/* More than there is room for, and no multiple of that. */
#define CROWD 20000

static session_id enter(uint32_t network, unsigned number)
{
    char text[32];
    snprintf(text, sizeof text, "%u.%u.%u.%u", network, number >> 16, number >> 8 & 255, number & 255);
    now += SECOND / 1000;
    return connect_from(text);
}

static void come(const char *client, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        leave(connect_from(client));
}

/* So many clients, from that number on, come one after another, and all of them so often. */
static void crowd(unsigned first, unsigned count, unsigned times)
{
    for (unsigned round = 0; round < times; round++)
        for (unsigned i = 0; i < count; i++)
            leave(enter(10, first + i));
}

/* ---- who stays ---- */

START_TEST(the_most_refused_outlasts_a_crowd)
{
    const struct prefix denied = prefix_of(one);
    rules_add_list_prefix(builder, LIST_DENY, &denied);
    start();
    come(one, 2000);
    crowd(0, CROWD, 1);
    assert_client(one, 0, 2000, 0, 2000, 0);
    crowd(0, CROWD, 3); /* also one that comes again and again */
    assert_client(one, 0, 2000, 0, 2000, 0);
}
END_TEST

/* They have the first records, side by side. */
START_TEST(those_who_came_together_are_not_each_others_rivals)
{
    enum { COUNT = 1000, TIMES = 20 };
    start();
    for (unsigned i = 0; i < COUNT; i++)
        for (unsigned times = 0; times < TIMES; times++)
            leave(enter(11, i));
    crowd(0, CROWD, 3);
    unsigned stayed = 0;
    struct activity_view views[8];
    uint64_t next = 0;
    do {
        const size_t found = engine_activity(engine, ACTIVITY_OF_CLIENTS, now, &next, views, 8);
        for (size_t i = 0; i < found; i++)
            stayed += views[i].connections == TIMES;
    } while (next != 0);
    ck_assert_uint_eq(stayed, COUNT);
}
END_TEST

START_TEST(the_busiest_domain_outlasts_a_crowd)
{
    start();
    session_id id = connect_from(one);
    for (unsigned i = 0; i < 1000; i++)
        mail(id, "a@busy.example");
    for (unsigned i = 0; i < CROWD; i++) {
        char text[32];
        snprintf(text, sizeof text, "a@d%u.example", i);
        mail(id, text);
    }
    assert_domain("busy.example", 1000, 0, 0);
    ck_assert_uint_eq(known(ACTIVITY_OF_DOMAINS), ACTIVITY_DOMAINS);
}
END_TEST

START_TEST(the_busiest_outlasts_a_crowd_where_most_are_connected)
{
    enum { CONNECTED = ACTIVITY_CLIENTS / 16 * 15 };
    start_with(ACTIVITY_CLIENTS, 16);
    for (unsigned i = 0; i < CONNECTED; i++)
        enter(11, i);
    come(one, 50);
    crowd(0, CROWD, 1);
    assert_client(one, 0, 50, 0, 0, 0);
}
END_TEST

START_TEST(who_becomes_busy_takes_the_place_of_who_is_less)
{
    start();
    crowd(0, ACTIVITY_CLIENTS, 5);
    for (unsigned i = 0; i < 300; i++) {
        come(one, 1);
        crowd(ACTIVITY_CLIENTS + 20 * i, 20, 1);
    }
    assert_client(one, 0, 300, 0, 0, 0);
}
END_TEST

START_TEST(who_was_busy_counts_for_an_hour)
{
    start();
    come(one, 2000);
    now += 59 * 60 * SECOND;
    crowd(0, CROWD, 1);
    assert_client(one, 0, 2000, 0, 0, 0);
    now += HOUR / 3;
    crowd(0, 1, 1);
    assert_client(one, 0, 0, 0, 0, 0);

    start();
    crowd(0, ACTIVITY_CLIENTS, 2);
    now += 2 * HOUR;
    crowd(CROWD, ACTIVITY_CLIENTS, 1); /* finds nobody who is worth anything any more */
    ck_assert_uint_eq(known(ACTIVITY_OF_CLIENTS), ACTIVITY_CLIENTS);
    ck_assert_uint_eq(engine_activity_totals(engine, ACTIVITY_OF_CLIENTS).evicted, 0);
}
END_TEST

/* ---- bounds, and what is said of them ---- */

START_TEST(an_open_session_is_never_forgotten)
{
    start_with(4, 16);
    session_id id = connect_from(one);
    now += SECOND;
    leave(connect_from(two));
    crowd(0, 2 * ACTIVITY_CLIENTS, 1);
    assert_client(one, 1, 1, 0, 0, 0);
    assert_client(two, 0, 0, 0, 0, 0); /* of equals the oldest had to go */
    ck_assert_uint_eq(known(ACTIVITY_OF_CLIENTS), ACTIVITY_CLIENTS);
    leave(id);
}
END_TEST

static void assert_totals(enum activity_kind kind, uint32_t known_, uint32_t room, uint64_t evicted, uint64_t untracked)
{
    const struct activity_totals totals = engine_activity_totals(engine, kind);
    ck_assert_uint_eq(totals.known, known_);
    ck_assert_uint_eq(totals.room, room);
    ck_assert_uint_eq(totals.evicted, evicted);
    ck_assert_uint_eq(totals.untracked, untracked);
}

START_TEST(who_had_to_go_is_told)
{
    start();
    crowd(0, ACTIVITY_CLIENTS, 1);
    assert_totals(ACTIVITY_OF_CLIENTS, ACTIVITY_CLIENTS, ACTIVITY_CLIENTS, 0, 0);
    crowd(ACTIVITY_CLIENTS, 7, 2);
    assert_totals(ACTIVITY_OF_CLIENTS, ACTIVITY_CLIENTS, ACTIVITY_CLIENTS, 7, 0);
    assert_totals(ACTIVITY_OF_DOMAINS, 0, ACTIVITY_DOMAINS, 0, 0);
}
END_TEST

START_TEST(more_open_sessions_than_records)
{
    start_with(ACTIVITY_CLIENTS + 100, 16);
    for (unsigned i = 0; i < ACTIVITY_CLIENTS; i++)
        enter(10, i);
    session_id id = connect_from(one);
    ck_assert_uint_ne(id, 0);
    mail(id, "a@sender.example");
    assert_client(one, 0, 0, 0, 0, 0);
    assert_domain("sender.example", 1, 0, 0);
    leave(id);
    ck_assert_uint_eq(known(ACTIVITY_OF_CLIENTS), ACTIVITY_CLIENTS);
    assert_totals(ACTIVITY_OF_CLIENTS, ACTIVITY_CLIENTS, ACTIVITY_CLIENTS, 0, 2);
}
END_TEST

START_TEST(domains_are_bounded_and_keep_their_names)
{
    start();
    session_id id = connect_from(one);
    for (unsigned i = 0; i < 2 * ACTIVITY_DOMAINS; i++) {
        char text[64];
        snprintf(text, sizeof text, "a@d%u.example", i);
        now += TICK;
        mail(id, text);
        assert_passed();
    }
    ck_assert_uint_eq(known(ACTIVITY_OF_DOMAINS), ACTIVITY_DOMAINS);
    assert_totals(ACTIVITY_OF_DOMAINS, ACTIVITY_DOMAINS, ACTIVITY_DOMAINS, ACTIVITY_DOMAINS, 0);
    char last[64];
    snprintf(last, sizeof last, "d%u.example", 2 * ACTIVITY_DOMAINS - 1);
    assert_domain(last, 1, 0, 0);
}
END_TEST

/* Its record may go meanwhile, and be another's when it speaks again. */
START_TEST(a_session_that_holds_nothing_loses_its_record)
{
    request.hold = HOLD_NOTHING;
    start_with(4, 16);
    begin_message("m1", "a@sender.example");
    ask_recipient("b@test.example");
    assert_client(one, 0, 1, 1, 0, 0);
    const int64_t then = now;
    for (unsigned i = 0; i < 2 * ACTIVITY_CLIENTS; i++) {
        leave(enter(10, i));
        leave(enter(10, i));
        leave(enter(10, i));
    }
    now = then + 300 * SECOND;
    assert_client(one, 0, 0, 0, 0, 0);
    begin_message("m2", "a@sender.example");
    ask_recipient("b@test.example");
    assert_client(one, 0, 0, 1, 0, 0);
    ck_assert_uint_eq(messages_of_all(), 1);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("crowd");
    TCase *tests = test_case(suite, "crowd");
    tcase_add_checked_fixture(tests, request_setup, case_teardown);
    tcase_add_test(tests, the_most_refused_outlasts_a_crowd);
    tcase_add_test(tests, those_who_came_together_are_not_each_others_rivals);
    tcase_add_test(tests, the_busiest_domain_outlasts_a_crowd);
    tcase_add_test(tests, the_busiest_outlasts_a_crowd_where_most_are_connected);
    tcase_add_test(tests, who_becomes_busy_takes_the_place_of_who_is_less);
    tcase_add_test(tests, who_was_busy_counts_for_an_hour);
    tcase_add_test(tests, an_open_session_is_never_forgotten);
    tcase_add_test(tests, who_had_to_go_is_told);
    tcase_add_test(tests, more_open_sessions_than_records);
    tcase_add_test(tests, domains_are_bounded_and_keep_their_names);
    tcase_add_test(tests, a_session_that_holds_nothing_loses_its_record);
    return suite;
}
