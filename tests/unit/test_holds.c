/*
 * test_holds.c: sessions that the door that asks has brought in: who holds their slots, and for how long.
 */
#include <stdio.h>

#include "check_main.h"
#include "request_case.h"

/* ---- who holds the slot ---- */

START_TEST(a_reservation_is_claimed)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    caps(2);
    ck_assert(ask(REQUEST_CONNECT));
    ck_assert_uint_eq(sessions(), 1);
    now += 9 * SECOND;
    session_id id = arrive();
    assert_passed();
    ck_assert_uint_ne(id, 0);
    ck_assert_uint_eq(sessions(), 1);
    now += HOUR;
    engine_lapse(engine, now);
    ck_assert_uint_eq(sessions(), 1);
    ck_assert(ask(REQUEST_HELO)); /* the other door hears it */
    ck_assert_uint_eq(answer.count, 0);
    leave(id);
    ck_assert_uint_eq(sessions(), 0);
    ck_assert_uint_eq(engine_totals(engine).remembered, 0);
}
END_TEST

START_TEST(a_reservation_lapses)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 1);
    caps(1);
    ck_assert(ask(REQUEST_CONNECT));
    now += ENGINE_RESERVE_NS - 1;
    client("192.0.2.2", 1);
    ck_assert(!ask(REQUEST_CONNECT));
    assert_refused("service_sessions", 1, 1);
    now += 1;
    ck_assert(ask(REQUEST_CONNECT)); /* without anybody having looked meanwhile */
    ck_assert_uint_eq(sessions(), 1);
    ck_assert_uint_eq(engine_totals(engine).remembered, 1);
    ck_assert_uint_eq(engine_totals(engine).sessions, 1);
    ck_assert_uint_eq(engine_totals(engine).lapsed, 1);
    ck_assert_uint_eq(engine_totals(engine).claimed, 0);
    arrive();
    ck_assert_uint_eq(engine_totals(engine).claimed, 1);
}
END_TEST

START_TEST(who_comes_late_needs_a_slot_again)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 3);
    rules_set_term(builder, block, TERM_MODE, MODE_SCORE);
    rules_set_term(builder, block, TERM_POINTS, 7);
    caps(1);
    for (uint16_t port = 1; port <= 3; port++, now += ENGINE_RESERVE_NS) {
        client("192.0.2.1", port);
        ck_assert(ask(REQUEST_CONNECT));
    }
    client("192.0.2.1", 4);
    ck_assert(ask(REQUEST_CONNECT)); /* over: it has points */
    assert_found("client_connections", ACTION_SCORE, 3, 3);
    now += ENGINE_RESERVE_NS;
    session_id id = arrive();
    assert_passed(); /* not counted again, nor found over again */
    char score[SCORE_TEXT_SIZE];
    ck_assert(engine_score(engine, id, score));
    ck_assert_str_eq(score, "7 (client_connections=7)");
    ck_assert_uint_eq(sessions(), 1);

    client("192.0.2.2", 1); /* whose reservation would not have been granted, had it not been lapsed time */
    request.hold = HOLD_NOTHING;
    ck_assert(ask(REQUEST_CONNECT));
    session_id late = arrive();
    assert_refused("service_sessions", 1, 1);
    ck_assert_int_eq(verdict.speak_at, REFUSE_AT_HELO);
    ck_assert_uint_eq(engine_totals(engine).pending, 1);
    ck_assert(ask(REQUEST_HELO));
    ck_assert_uint_eq(answer.count, 0);
    leave(late);
    leave(id);
}
END_TEST

START_TEST(whom_a_dry_run_would_have_ended_takes_no_slot)
{
    const struct prefix denied = prefix_of("192.0.2.1/32");
    rules_add_list_prefix(builder, LIST_DENY, &denied);
    rules_set_monitor(builder, true);
    caps(5);
    request.hold = HOLD_NOTHING;
    ck_assert(ask(REQUEST_CONNECT));
    assert_found("deny", ACTION_MONITOR, 0, 0);
    session_id id = arrive();
    ck_assert_uint_ne(id, 0);
    ck_assert_uint_eq(sessions(), 0);
    leave(id);
}
END_TEST

START_TEST(nothing_held_nothing_judged)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 1);
    custom_in(RULES_SERVICE, "users", COUNT_SESSIONS, PER_USER, 1, 0);
    caps(1);
    request.hold = HOLD_NOTHING;
    for (uint16_t port = 1; port <= 5; port++) {
        client("192.0.2.1", port);
        request.names.user = "joe";
        begin_message("1", "a@example.com");
        ck_assert(ask(REQUEST_MAIL));
    }
    request.hold = HOLD_RESERVE; /* past the connect nobody would claim it */
    client("192.0.2.1", 99);
    ck_assert(ask(REQUEST_HELO));
    ck_assert_uint_eq(sessions(), 0);
    ck_assert_uint_eq(engine_totals(engine).clients, 0);
    ck_assert_uint_eq(engine_totals(engine).remembered, 6);
}
END_TEST

START_TEST(refused_or_exempt_leaves_nothing)
{
    const struct prefix exempt = prefix_of("192.0.2.9/32"), denied = prefix_of("192.0.2.8/32");
    rules_add_list_prefix(builder, LIST_EXEMPT, &exempt);
    rules_add_list_prefix(builder, LIST_DENY, &denied);
    start();
    client("192.0.2.8", 1);
    for (int i = 0; i < 3; i++) {
        ck_assert(!ask(i == 0 ? REQUEST_CONNECT : REQUEST_RCPT));
        ck_assert_uint_eq(answer.count, 1);
        assert_reply("421", "4.7.1", "Service unavailable, access denied.");
    }
    client("192.0.2.9", 1);
    ask(REQUEST_CONNECT);
    ck_assert_int_eq(answer.kind, VERDICT_EXEMPT);
    ck_assert_uint_eq(engine_totals(engine).sessions + engine_totals(engine).remembered, 0);
}
END_TEST

START_TEST(a_new_connection_from_the_same_port)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 2);
    caps(5);
    ck_assert(ask(REQUEST_CONNECT));
    ck_assert(ask(REQUEST_CONNECT)); /* said twice */
    ck_assert_uint_eq(answer.count, 0);
    ck_assert(ask(REQUEST_HELO));
    ck_assert(ask(REQUEST_CONNECT)); /* another */
    ck_assert_uint_eq(sessions(), 1);
    ck_assert(ask(REQUEST_OTHER));
    ck_assert(!ask(REQUEST_CONNECT));
    assert_refused("client_connections", 2, 2);
}
END_TEST

START_TEST(a_connect_that_comes_later_is_another)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 2);
    caps(5);
    ck_assert(ask(REQUEST_CONNECT));
    now += ENGINE_CONNECT_NS - 1;
    ck_assert(ask(REQUEST_CONNECT));
    ck_assert_uint_eq(answer.count, 0);
    now += 1; /* since it was first asked */
    ck_assert(ask(REQUEST_CONNECT));
    ck_assert_uint_eq(answer.count, 1);
    ck_assert_uint_eq(sessions(), 1);
    now += ENGINE_CONNECT_NS;
    ck_assert(!ask(REQUEST_CONNECT));
    assert_refused("client_connections", 2, 2);
}
END_TEST

START_TEST(nobody_claims_what_has_no_port)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 1);
    caps(1);
    request.connect.client_port = 0;
    ck_assert(ask(REQUEST_CONNECT));
    ck_assert_uint_eq(sessions(), 0);
    request.connect.client_port = 1024; /* as the other door knows it */
    arrive();
    assert_passed();
}
END_TEST

START_TEST(the_kernel_tells_connections_apart)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 3);
    caps(5);
    request.cookie = 5;
    ck_assert(ask(REQUEST_CONNECT));
    ck_assert(ask(REQUEST_CONNECT));
    ck_assert_uint_eq(answer.count, 0);
    ck_assert(ask(REQUEST_HELO));
    request.cookie = 0;
    ck_assert(ask(REQUEST_HELO));
    request.cookie = 5;
    ck_assert(ask(REQUEST_CONNECT)); /* however late it is said */
    ck_assert_uint_eq(answer.count, 0);
    request.cookie = 6;
    ck_assert(ask(REQUEST_CONNECT)); /* another, though nothing was said after the connect */
    ck_assert_uint_eq(answer.count, 1);
    ck_assert_uint_eq(sessions(), 1);
    request.cookie = 0;
    ck_assert(ask(REQUEST_CONNECT)); /* unknown: the same */
    ck_assert_uint_eq(answer.count, 0);
    request.cookie = 7;
    ck_assert(ask(REQUEST_RCPT)); /* at any stage */
    ck_assert_uint_eq(answer.verdicts[0].kind, VERDICT_CONTINUE);
    request.cookie = 8;
    ck_assert(!ask(REQUEST_CONNECT));
    assert_refused("client_connections", 3, 3);
    ck_assert_uint_eq(sessions(), 0);
}
END_TEST

START_TEST(where_it_came_in_may_be_unknown)
{
    caps(5);
    struct addr local = request.connect.local;
    ck_assert(ask(REQUEST_CONNECT));
    request.connect.local = (struct addr){0};
    request.connect.local_port = 0;
    session_id id = arrive();
    ck_assert_uint_eq(sessions(), 1);
    leave(id);

    request.connect.local = local;
    request.connect.local_port = 25;
    ck_assert(ask(REQUEST_CONNECT));
    request.connect.local_port = 587; /* known, and another */
    id = arrive();
    ck_assert_uint_eq(sessions(), 2);
    request.connect.local_port = 25;
    ck_assert(addr_parse("198.51.100.2", &request.connect.local));
    arrive();
    ck_assert_uint_eq(sessions(), 3);
}
END_TEST

START_TEST(the_newest_of_a_connection_is_found)
{
    caps(5);
    session_id first = arrive(), second = arrive();
    ck_assert_uint_ne(first, second);
    ck_assert_uint_eq(sessions(), 2);
    ck_assert(ask(REQUEST_CONNECT));
    ck_assert_uint_eq(answer.count, 0);
    leave(second);
    ck_assert(ask(REQUEST_HELO));
    ck_assert_uint_eq(answer.count, 0);
    leave(first);
    ck_assert(ask(REQUEST_CONNECT));
    ck_assert_uint_eq(answer.count, 1);
}
END_TEST

START_TEST(remembered_for_a_while)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 5);
    rules_set_term(builder, block, TERM_WINDOW, 100 * HOUR);
    start();
    ck_assert(ask(REQUEST_CONNECT));
    now += ENGINE_RESERVE_NS;
    ck_assert(ask(REQUEST_HELO));
    now += ENGINE_REMEMBER_NS - 1;
    ck_assert(ask(REQUEST_OTHER));
    ck_assert_uint_eq(answer.count, 0);
    ck_assert_uint_eq(engine_totals(engine).remembered, 1);
    now += ENGINE_REMEMBER_NS;
    engine_lapse(engine, now);
    ck_assert_uint_eq(engine_totals(engine).remembered, 0);
    ck_assert(ask(REQUEST_OTHER));
    ck_assert_uint_eq(answer.count, 1);
}
END_TEST

START_TEST(the_longest_silent_makes_room)
{
    start_with(3, 64);
    request.hold = HOLD_NOTHING;
    for (uint16_t port = 1; port <= 3; port++) {
        client("192.0.2.1", port);
        ck_assert(ask(REQUEST_HELO));
    }
    client("192.0.2.1", 1);
    ck_assert(ask(REQUEST_HELO)); /* 2 is now the one that was silent longest */
    client("192.0.2.1", 4);
    session_id id = arrive();
    ck_assert_uint_ne(id, 0);
    ck_assert_uint_eq(engine_totals(engine).remembered, 2);
    client("192.0.2.1", 1);
    ck_assert(ask(REQUEST_HELO));
    ck_assert_uint_eq(answer.count, 0);
    client("192.0.2.1", 2);
    ck_assert(ask(REQUEST_HELO));
    ck_assert_uint_eq(answer.count, 1);

    for (uint16_t port = 10; port <= 11; port++) { /* only what holds nothing goes */
        client("192.0.2.1", port);
        ck_assert_uint_ne(arrive(), 0);
    }
    client("192.0.2.1", 12);
    ck_assert(ask(REQUEST_CONNECT));
    assert_found("session_table_size", ACTION_UNTRACKED, 3, 3);
    ck_assert_uint_eq(engine_totals(engine).remembered, 0);
    ck_assert_uint_eq(engine_totals(engine).sessions, 3);
    leave(id);
}
END_TEST

START_TEST(what_lapses_pins_nothing)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 50);
    start_with(64, 8);
    for (uint16_t port = 1; port <= 40; port++, now += ENGINE_RESERVE_NS) {
        char address[ADDR_TEXT_SIZE];
        snprintf(address, sizeof address, "192.0.2.%u", (unsigned)port);
        client(address, port);
        ck_assert(ask(REQUEST_CONNECT));
        ck_assert_uint_eq(verdict.finding_count, 0); /* there is always a record that may go */
        now += ENGINE_RESERVE_NS;
        ck_assert(ask(REQUEST_HELO));
    }
    ck_assert_uint_eq(engine_totals(engine).untracked, 0);
}
END_TEST

START_TEST(a_reload_keeps_who_holds_what)
{
    caps(9);
    ck_assert(ask(REQUEST_CONNECT));
    client("192.0.2.2", 1);
    now += ENGINE_RESERVE_NS / 2;
    ck_assert(ask(REQUEST_CONNECT));
    now += ENGINE_RESERVE_NS / 2;
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 9);
    struct tally *next = begin_reload();
    ck_assert(engine_reload_step(engine, next));
    engine_lapse(engine, now); /* the first one lapses while it stands in both */
    ck_assert_uint_eq(sessions(), 1);
    finish_reload();
    ck_assert_uint_eq(sessions(), 1);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 9);
    reload();
    ck_assert_uint_eq(sessions(), 1);
    now += ENGINE_RESERVE_NS;
    engine_lapse(engine, now);
    ck_assert_uint_eq(sessions(), 0);
    ck_assert_uint_eq(engine_totals(engine).remembered, 2);
}
END_TEST

/* ---- what the kernel watches ---- */

static struct watched_connection connection(void)
{
    return (struct watched_connection){request.connect.client, request.connect.local, request.connect.client_port,
                                       request.connect.local_port, 0};
}

static void seen(uint64_t cookie)
{
    struct watched_connection one = connection();
    one.cookie = cookie;
    engine_watch_begin(engine);
    engine_watch_seen(engine, &one, 1, now);
}

START_TEST(a_watched_session_ends_with_its_connection)
{
    struct watched_session missing[4];
    caps(2);
    ck_assert_uint_eq(engine_watch_begin(engine).count, 0);
    request.hold = HOLD_WATCH;
    ck_assert(ask(REQUEST_RCPT)); /* at any stage */
    ck_assert_uint_eq(sessions(), 1);
    ck_assert_uint_eq(engine_watch_missing(engine, missing, 4), 0); /* it came within the round */
    now += HOUR;
    struct watched_ports ports = engine_watch_begin(engine);
    ck_assert(!ports.all);
    ck_assert_uint_eq(ports.count, 1);
    ck_assert_uint_eq(ports.ports[0], 25);
    seen(7);
    ck_assert_uint_eq(engine_watch_missing(engine, missing, 4), 0);
    engine_lapse(engine, now += HOUR);
    ck_assert_uint_eq(sessions(), 1);

    client("192.0.2.2", 5);
    ck_assert(ask(REQUEST_CONNECT));
    ck_assert_uint_eq(sessions(), 2);
    engine_watch_begin(engine);
    seen(8);
    ck_assert_uint_eq(engine_watch_missing(engine, missing, 4), 1);
    ck_assert_uint_eq(missing[0].connection.client_port, 1024);
    ck_assert_uint_eq(missing[0].connection.cookie, 7);
    ck_assert_uint_eq(engine_watch_missing(engine, missing, 0), 0);
    leave(missing[0].id);
    ck_assert_uint_eq(engine_watch_missing(engine, missing, 4), 0);
    ck_assert_uint_eq(sessions(), 1);

    seen(8);
    ck_assert_uint_eq(sessions(), 1);
    seen(0); /* it lives, and that is all that is known */
    ck_assert_uint_eq(sessions(), 1);
    seen(9); /* another connection in its place */
    ck_assert_uint_eq(sessions(), 0);
}
END_TEST

START_TEST(a_claimed_session_is_watched_no_more)
{
    struct watched_session missing[4];
    caps(2);
    request.hold = HOLD_WATCH;
    ck_assert(ask(REQUEST_CONNECT));
    session_id id = arrive();
    assert_passed();
    engine_watch_begin(engine);
    ck_assert_uint_eq(engine_watch_missing(engine, missing, 4), 0);
    seen(7);
    seen(8);
    ck_assert_uint_eq(sessions(), 1);
    leave(id);
}
END_TEST

START_TEST(a_round_does_not_contradict_what_came_since)
{
    caps(2);
    request.hold = HOLD_WATCH;
    request.cookie = 1;
    ck_assert(ask(REQUEST_CONNECT));
    seen(1);
    engine_watch_begin(engine);
    request.cookie = 2;
    ck_assert(ask(REQUEST_CONNECT));
    struct watched_connection stale = connection();
    stale.cookie = 1;
    engine_watch_seen(engine, &stale, 1, now); /* read before the new one came */
    ck_assert_uint_eq(sessions(), 1);
    seen(2);
    ck_assert_uint_eq(sessions(), 1);
    seen(1);
    ck_assert_uint_eq(sessions(), 0);
}
END_TEST

START_TEST(who_was_never_seen_is_remembered)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    caps(2);
    request.hold = HOLD_WATCH;
    struct watched_session missing[2];
    for (int i = 0; i < 3; i++) {
        ck_assert(ask(REQUEST_RCPT)); /* one connection, however often it is missed */
        engine_watch_begin(engine);
        size_t count = engine_watch_missing(engine, missing, 2);
        ck_assert_uint_eq(count, i == 0);
        if (count > 0)
            ck_assert(engine_watch_end(engine, missing[0].id, now));
        ck_assert_uint_eq(sessions(), 0);
    }
    ck_assert(!engine_watch_end(engine, missing[0].id, now)); /* it is watched no more */
    session_id id = arrive();
    ck_assert(!engine_watch_end(engine, id, now)); /* nor is what the other door holds */
    ck_assert_uint_eq(sessions(), 1);
}
END_TEST

START_TEST(too_many_ports_are_all_ports)
{
    caps(0);
    request.hold = HOLD_WATCH;
    for (uint16_t port = 1; port <= WATCHED_PORTS_MAX; port++) {
        client("192.0.2.1", port);
        request.connect.local_port = port;
        ck_assert(ask(REQUEST_CONNECT));
        ck_assert(!engine_watch_begin(engine).all);
    }
    client("192.0.2.1", 100);
    request.connect.local_port = 100;
    ck_assert(ask(REQUEST_CONNECT));
    ck_assert(engine_watch_begin(engine).all);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("holds");
    TCase *holds = test_case(suite, "holds");
    tcase_add_checked_fixture(holds, request_setup, case_teardown);
    tcase_add_test(holds, a_reservation_is_claimed);
    tcase_add_test(holds, a_reservation_lapses);
    tcase_add_test(holds, who_comes_late_needs_a_slot_again);
    tcase_add_test(holds, whom_a_dry_run_would_have_ended_takes_no_slot);
    tcase_add_test(holds, nothing_held_nothing_judged);
    tcase_add_test(holds, refused_or_exempt_leaves_nothing);
    tcase_add_test(holds, a_new_connection_from_the_same_port);
    tcase_add_test(holds, a_connect_that_comes_later_is_another);
    tcase_add_test(holds, nobody_claims_what_has_no_port);
    tcase_add_test(holds, the_kernel_tells_connections_apart);
    tcase_add_test(holds, where_it_came_in_may_be_unknown);
    tcase_add_test(holds, the_newest_of_a_connection_is_found);
    tcase_add_test(holds, remembered_for_a_while);
    tcase_add_test(holds, the_longest_silent_makes_room);
    tcase_add_test(holds, what_lapses_pins_nothing);
    tcase_add_test(holds, a_reload_keeps_who_holds_what);
    TCase *watch = test_case(suite, "watch");
    tcase_add_checked_fixture(watch, request_setup, case_teardown);
    tcase_add_test(watch, a_watched_session_ends_with_its_connection);
    tcase_add_test(watch, a_claimed_session_is_watched_no_more);
    tcase_add_test(watch, a_round_does_not_contradict_what_came_since);
    tcase_add_test(watch, who_was_never_seen_is_remembered);
    tcase_add_test(watch, too_many_ports_are_all_ports);
    return suite;
}
