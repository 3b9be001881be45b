/*
 * test_activity.c: what people see of clients and domains, and the counts of events. Links all of src/engine.
 */
#include "activity_case.h"
#include "check_main.h"
#include "prng.h"
#include "request_case.h"

#include <stdio.h>

static const char *const one = "192.0.2.1", *const two = "198.51.100.2";

/* ---- clients ---- */

START_TEST(connections_sessions_and_messages)
{
    start();
    session_id first = connect_from(one), second = connect_from(one);
    connect_from(two);
    assert_client(one, 2, 2, 0, 0, 0);
    deliver(first, "a@sender.example");
    deliver(first, "a@sender.example");
    mail(second, "");
    assert_client(one, 2, 2, 3, 0, 0);
    leave(first);
    leave(second);
    assert_client(one, 0, 2, 3, 0, 0);
    assert_client(two, 1, 1, 0, 0, 0);
    assert_domain("sender.example", 2, 0, 0);
    ck_assert_uint_eq(known(ACTIVITY_OF_DOMAINS), 1); /* nobody sends with the null sender */
}
END_TEST

START_TEST(refused_connections)
{
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 1);
    start();
    session_id in = connect_from(one), pending = connect_from(two);
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    assert_client(two, 1, 1, 0, 1, 0);
    engine_spoken(engine, pending);
    assert_client(two, 0, 1, 0, 1, 0);
    leave(in);

    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 1);
    rules_set(builder, RULES_SERVICE, SETTING_REFUSE_AT, REFUSE_AT_CONNECT);
    start();
    connect_from(one);
    ck_assert_uint_eq(connect_from(two), 0); /* without a record */
    assert_client(two, 0, 1, 0, 1, 0);
}
END_TEST

START_TEST(uncounted_for_want_of_records)
{
    start_with(1, 16);
    connect_from(one);
    ck_assert_uint_eq(connect_from(two), 0);
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    assert_client(two, 0, 1, 0, 0, 0);
}
END_TEST

START_TEST(refused_commands)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_MESSAGE_RECIPIENTS, 1);
    start();
    session_id id = connect_from(one);
    mail(id, "a@sender.example");
    rcpt(id, "b@test.example");
    rcpt(id, "c@test.example");
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    assert_client(one, 1, 1, 1, 1, 0);
    assert_domain("sender.example", 1, 1, 0);
    mail(id, "a@other.example");
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    assert_client(one, 1, 1, 2, 2, 0);
    assert_domain("other.example", 1, 1, 0);
}
END_TEST

START_TEST(monitored_once_an_event)
{
    rules_set_term(builder, limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1), TERM_MODE, MODE_MONITOR);
    rules_set_term(builder, limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 1), TERM_MODE, MODE_MONITOR);
    rules_set_term(builder, limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 1), TERM_MODE, MODE_MONITOR);
    start();
    session_id id = connect_from(one);
    connect_from(one);
    assert_client(one, 2, 2, 0, 0, 1);
    mail(id, "a@sender.example");
    mail(id, "a@sender.example");
    assert_client(one, 2, 2, 2, 0, 2);
    assert_domain("sender.example", 2, 0, 1);
}
END_TEST

START_TEST(points_are_no_refusal)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    rules_set_term(builder, block, TERM_MODE, MODE_SCORE);
    rules_set_term(builder, block, TERM_POINTS, 1);
    start();
    connect_from(one);
    connect_from(one);
    ck_assert_uint_eq(verdict.finding_count, 1);
    assert_client(one, 2, 2, 0, 0, 0);
}
END_TEST

START_TEST(ended_as_idle)
{
    rules_set(builder, RULES_SERVICE, SETTING_IDLE_TIME, 60 * SECOND);
    start();
    session_id id = connect_from(one);
    now += 100 * SECOND;
    engine_idle(engine, id, now, &verdict);
    ck_assert_uint_eq(verdict.finding_count, 1);
    assert_client(one, 1, 1, 0, 1, 0);
}
END_TEST

START_TEST(who_is_not_counted)
{
    const struct prefix exempt = prefix_of(two);
    rules_add_list_prefix(builder, LIST_EXEMPT, &exempt);
    start();
    connect_from(two);
    ck_assert_int_eq(verdict.kind, VERDICT_EXEMPT);
    session_id nobody = connect_from("");
    mail(nobody, "a@sender.example");
    ck_assert_uint_eq(known(ACTIVITY_OF_CLIENTS), 0);
    assert_domain("sender.example", 1, 0, 0);
    ck_assert_uint_eq(engine_totals(engine).exempted, 1);
    leave(nobody);
}
END_TEST

START_TEST(clients_as_the_rules_count_them)
{
    rules_set_client_prefix(builder, 24, 64);
    start();
    session_id id = connect_from("192.0.2.1");
    connect_from("192.0.2.200");
    connect_from("2001:db8::1");
    connect_from("2001:db8::2");
    assert_client("192.0.2.0/24", 2, 2, 0, 0, 0);
    assert_client("2001:db8::/64", 2, 2, 0, 0, 0);
    rules_set_client_prefix(builder, 16, 64);
    reload();
    mail(id, "a@sender.example"); /* the session stays where it is open */
    connect_from("192.0.2.1");
    assert_client("192.0.2.0/24", 2, 2, 1, 0, 0);
    assert_client("192.0.0.0/16", 1, 1, 0, 0, 0);
    leave(id);
    assert_client("192.0.2.0/24", 1, 2, 1, 0, 0);
}
END_TEST

START_TEST(an_hour_and_no_more_than_a_quarter_more)
{
    start();
    session_id id = connect_from(one);
    mail(id, "a@sender.example");
    leave(id);
    now += HOUR;
    assert_client(one, 0, 1, 1, 0, 0);
    assert_domain("sender.example", 1, 0, 0);
    now += HOUR / 4 + 60 * SECOND;
    ck_assert_uint_eq(known(ACTIVITY_OF_CLIENTS), 0);
    ck_assert_uint_eq(known(ACTIVITY_OF_DOMAINS), 0);
    id = connect_from(one);
    now += 2 * HOUR;
    assert_client(one, 1, 0, 0, 0, 0); /* it is still open */
    leave(id);
    ck_assert_uint_eq(known(ACTIVITY_OF_CLIENTS), 0);
}
END_TEST

/* ---- bounds ---- */

START_TEST(swept_when_nothing_is_left)
{
    char text[16];

    start();
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "10.0.%u.%u", i >> 8, i & 255);
        leave(connect_from(text));
    }
    now += 2 * HOUR;
    for (unsigned i = 0; i < 40; i++)
        engine_sweep(engine, now);
    connect_from(one);
    assert_client(one, 1, 1, 0, 0, 0);
    ck_assert_uint_eq(known(ACTIVITY_OF_CLIENTS), 1);
}
END_TEST

START_TEST(a_name_as_long_as_may_be)
{
    char address[KEY_TEXT_SIZE + 8] = "a@";
    memset(address + 2, 'd', KEY_TEXT_SIZE - 1);
    address[2 + KEY_TEXT_SIZE - 1] = '\0';
    start();
    mail(connect_from(one), address);
    assert_domain(address + 2, 1, 0, 0);
}
END_TEST

START_TEST(nobody_looks)
{
    const struct engine_params params = {.session_records = 4, .table_records = 16, .seed = {5, 6}};
    struct rules *rules = build_rules();
    struct activity_view views[8];
    uint64_t next = 7;

    struct engine_memory with = engine_memory(4, 16, false, true, rules);
    struct engine_memory without = engine_memory(4, 16, false, false, rules);
    ck_assert_uint_gt(with.table, without.table + ACTIVITY_DOMAINS * KEY_TEXT_SIZE);
    ck_assert_uint_eq(with.sessions, without.sessions);
    engine_free(&engine);
    engine = engine_new(&params, &rules);
    session_id id = connect_from(one);
    mail(id, "a@sender.example");
    leave(id);
    engine_sweep(engine, now);
    ck_assert_uint_eq(engine_activity(engine, ACTIVITY_OF_CLIENTS, now, &next, views, 8), 0);
    ck_assert_uint_eq(next, 0);
    ck_assert_uint_eq(engine_totals(engine).events[EVENT_MAIL], 1);
}
END_TEST

/* ---- the door that asks ---- */

START_TEST(both_doors_are_one_connection)
{
    caps(10);
    ask(REQUEST_CONNECT);
    assert_client(one, 1, 1, 0, 0, 0);
    session_id id = arrive();
    assert_client(one, 1, 1, 0, 0, 0);
    leave(id);
    assert_client(one, 0, 1, 0, 0, 0);
    ck_assert_uint_eq(engine_totals(engine).events[EVENT_CONNECT], 1);
}
END_TEST

/* Who gets no session is told of anew by every request. */
START_TEST(an_exempt_client_connects_once)
{
    const struct prefix exempt = prefix_of(two);
    rules_add_list_prefix(builder, LIST_EXEMPT, &exempt);
    start();
    client(two, 4444);
    request.names = (struct event){.helo = "two.example", .sender = "a@sender.example", .recipient = "b@test.example"};
    for (int stage = REQUEST_CONNECT; stage <= REQUEST_RCPT; stage++) {
        ask((enum request_stage)stage);
        ck_assert_int_eq(answer.kind, VERDICT_EXEMPT);
    }
    ck_assert_uint_eq(engine_totals(engine).events[EVENT_CONNECT], 1);
    ck_assert_uint_eq(engine_totals(engine).exempted, 1);
}
END_TEST

/* It connects, as far as anybody hears, with that request. */
START_TEST(whoever_is_refused_late_has_connected)
{
    static const enum request_stage stages[] = {REQUEST_CONNECT, REQUEST_RCPT};
    for (size_t i = 0; i < 2; i++) {
        limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
        start();
        for (uint16_t port = 1; port <= 3; port++) {
            client(one, port);
            request.names.sender = "a@sender.example";
            ck_assert_int_eq(ask(stages[i]), port == 1);
        }
        ck_assert_uint_eq(engine_totals(engine).events[EVENT_CONNECT], 3);
    }
}
END_TEST

START_TEST(a_reservation_that_lapses_is_not_open)
{
    caps(10);
    ask(REQUEST_CONNECT);
    now += ENGINE_RESERVE_NS;
    engine_lapse(engine, now);
    assert_client(one, 0, 1, 0, 0, 0);
    begin_message("m1", "a@sender.example");
    ask_recipient("b@test.example");
    assert_client(one, 0, 1, 1, 0, 0);
    ck_assert_uint_ne(arrive(), 0); /* comes late, and is still that one connection */
    assert_client(one, 1, 1, 1, 0, 0);
    ck_assert_uint_eq(engine_totals(engine).events[EVENT_CONNECT], 1);
    ck_assert_uint_eq(engine_totals(engine).events[EVENT_RCPT], 1);
}
END_TEST

START_TEST(events_are_counted_as_what_they_stand_for)
{
    start();
    request.hold = HOLD_WATCH;
    begin_message("m1", "a@sender.example");
    request.names.helo = "client.example";
    ask_count(REQUEST_DATA, 5);
    ask_count(REQUEST_MESSAGE, 4);
    const struct engine_totals totals = engine_totals(engine);
    const uint64_t expected[EVENT_KINDS] = {
        [EVENT_CONNECT] = 1, [EVENT_HELO] = 1,    [EVENT_MAIL] = 1,    [EVENT_RCPT] = 5,
        [EVENT_DATA] = 1,    [EVENT_MESSAGE] = 1, [EVENT_REJECTED] = 1};
    for (unsigned kind = 0; kind < EVENT_KINDS; kind++)
        ck_assert_uint_eq(totals.events[kind], expected[kind]);
}
END_TEST

/* ---- everything at once ---- */

#define ADDRESSES 5
#define OPEN 20

START_TEST(as_a_plain_count_of_the_same)
{
    struct {
        unsigned sessions, connections, messages, refused;
    } plain[ADDRESSES] = {{0}};
    struct {
        session_id id;
        unsigned client;
    } open[OPEN] = {{0}};
    struct prng random = prng_seeded((uint64_t)_i + 1);
    char text[16];

    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 3);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 2);
    start();
    for (unsigned step = 0; step < 2000; step++) {
        unsigned place = prng_below(&random, OPEN);
        if (!open[place].id) {
            open[place].client = prng_below(&random, ADDRESSES);
            snprintf(text, sizeof text, "192.0.2.%u", open[place].client);
            open[place].id = connect_from(text);
            plain[open[place].client].connections++;
            plain[open[place].client].sessions++;
            plain[open[place].client].refused += verdict.kind == VERDICT_REFUSE;
            if (verdict.kind == VERDICT_REFUSE) {
                engine_spoken(engine, open[place].id);
                plain[open[place].client].sessions--;
                open[place].id = 0;
            }
        } else if (prng_below(&random, 2)) {
            mail(open[place].id, "a@sender.example");
            plain[open[place].client].messages++;
            plain[open[place].client].refused += verdict.kind == VERDICT_REFUSE;
        } else {
            leave(open[place].id);
            plain[open[place].client].sessions--;
            open[place].id = 0;
        }
        now += SECOND / 1000;
    }
    for (unsigned i = 0; i < ADDRESSES; i++) {
        snprintf(text, sizeof text, "192.0.2.%u", i);
        ck_assert_uint_gt(plain[i].refused, 0);
        assert_client(text, plain[i].sessions, plain[i].connections, plain[i].messages, plain[i].refused, 0);
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("activity");
    TCase *tests = test_case(suite, "activity");
    tcase_add_checked_fixture(tests, request_setup, case_teardown);
    tcase_add_test(tests, connections_sessions_and_messages);
    tcase_add_test(tests, refused_connections);
    tcase_add_test(tests, uncounted_for_want_of_records);
    tcase_add_test(tests, refused_commands);
    tcase_add_test(tests, monitored_once_an_event);
    tcase_add_test(tests, points_are_no_refusal);
    tcase_add_test(tests, ended_as_idle);
    tcase_add_test(tests, who_is_not_counted);
    tcase_add_test(tests, clients_as_the_rules_count_them);
    tcase_add_test(tests, an_hour_and_no_more_than_a_quarter_more);
    tcase_add_test(tests, swept_when_nothing_is_left);
    tcase_add_test(tests, a_name_as_long_as_may_be);
    tcase_add_test(tests, nobody_looks);
    tcase_add_test(tests, both_doors_are_one_connection);
    tcase_add_test(tests, an_exempt_client_connects_once);
    tcase_add_test(tests, whoever_is_refused_late_has_connected);
    tcase_add_test(tests, a_reservation_that_lapses_is_not_open);
    tcase_add_test(tests, events_are_counted_as_what_they_stand_for);
    tcase_add_loop_test(tests, as_a_plain_count_of_the_same, 0, 5);
    return suite;
}
