/*
 * test_idle.c: sessions that have gone silent. Links all of src/engine.
 */
#include "check_main.h"
#include "engine_case.h"

#include <stdlib.h>

static const char *const client = "192.0.2.1";

static void start_idle(void)
{
    rules_set(builder, RULES_SERVICE, SETTING_IDLE_TIME, 60 * SECOND);
    start();
}

START_TEST(after_its_idle_time_a_session_is_refused)
{
    rules_set(builder, RULES_SERVICE, SETTING_DISCONNECT_DELAY, SECOND);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 1);
    start_idle();
    session_id id = connect_from(client);
    for (int i = 0; i < 5; i++) {
        now += 60 * SECOND; /* not longer */
        helo(id, "a");
        assert_passed();
    }
    now += 60 * SECOND + 1;
    mail(id, "");
    assert_refused("idle_time", 60, 60);
    assert_reply("421", "4.4.2", "Service unavailable, idle for too long.");
    ck_assert_int_eq(verdict.findings[0].limit, LIMIT_IDLE_TIME);
    ck_assert_str_eq(verdict.findings[0].scope, "service");
    ck_assert_int_eq(verdict.delay_ns, SECOND);
    ck_assert_uint_eq(limit_done("idle_time").actions[ACTION_REFUSE], 1);
    mail(connect_from(client), ""); /* the refused one did not count */
    assert_passed();
}
END_TEST

START_TEST(no_idle_time_no_end)
{
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    rules_set_daemon_name(builder, listener, "mx");
    rules_set(builder, listener, SETTING_IDLE_TIME, 0);
    start_idle();
    session_id id = connect_as(client, NULL, "mx");
    now += 1000 * HOUR;
    unknown(id);
    assert_passed();
    rules_set(builder, RULES_SERVICE, SETTING_IDLE_TIME, 10 * SECOND);
    reload(); /* the new rules reach it */
    now += 11 * SECOND;
    unknown(id);
    assert_refused("idle_time", 11, 10);
}
END_TEST

START_TEST(a_transfer_is_not_idle)
{
    static const enum event_kind ends[] = {EVENT_MESSAGE, EVENT_ABORT, EVENT_MAIL};
    start_idle();
    session_id id = connect_from(client);
    mail(id, "");
    rcpt(id, "a@b");
    event(id, EVENT_DATA);
    now += 10 * HOUR;
    event(id, ends[_i]);
    assert_passed();
    now += 61 * SECOND; /* from the end of the transfer on it is */
    unknown(id);
    assert_refused("idle_time", 61, 60);
}
END_TEST

START_TEST(the_end_of_a_message_is_never_refused)
{
    start_idle();
    session_id id = connect_from(client);
    now += HOUR;
    event(id, EVENT_ABORT);
    assert_passed();
    unknown(id); /* it has been heard of */
    assert_passed();
}
END_TEST

START_TEST(a_transfer_that_was_refused_is_none)
{
    start_idle();
    session_id id = connect_from(client);
    now += 61 * SECOND;
    event(id, EVENT_DATA);
    assert_refused("idle_time", 61, 60);
    now += 61 * SECOND;
    unknown(id);
    assert_refused("idle_time", 61, 60);
}
END_TEST

START_TEST(what_it_waits_for_our_answer_is_not_its_silence)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_ERRORS, 20);
    rules_set_term(builder, block, TERM_ERROR_DELAY, 20 * SECOND);
    start_idle();
    session_id id = connect_from(client);
    unknown(id);
    ck_assert_int_eq(verdict.delay_ns, 20 * SECOND);
    now += 80 * SECOND;
    unknown(id);
    assert_passed();
    now += 80 * SECOND + 1;
    unknown(id);
    assert_refused("idle_time", 60, 60);
}
END_TEST

/* MTAs give up on a filter before, so nobody waits that long. */
START_TEST(no_answer_takes_for_ever)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_ERRORS, 20);
    rules_set_term(builder, block, TERM_ERROR_DELAY, 600 * SECOND);
    start_idle();
    session_id id = connect_from(client);
    unknown(id);
    now += ENGINE_DELAY_MAX_NS + 60 * SECOND + 1;
    unknown(id);
    assert_refused("idle_time", 60, 60);
}
END_TEST

/* Who cannot ask the kernel gives some time: the last answer may have been on its way. */
START_TEST(slack_for_what_the_kernel_was_not_asked)
{
    idle_slack = 10 * SECOND;
    start_idle();
    session_id id = connect_from(client), watched = connect_from(client);
    engine_heard(engine, watched, 0, now);
    now += 70 * SECOND;
    unknown(id);
    assert_passed();
    now += 70 * SECOND + 1;
    unknown(id);
    assert_refused("idle_time", 70, 60);
}
END_TEST

START_TEST(of_a_watched_session_the_kernel_says)
{
    struct idle_candidate one;
    uint32_t next = 0;
    start_idle();
    session_id id = connect_from(client);
    now += 50 * SECOND;
    engine_heard(engine, id, 20 * SECOND, now); /* bytes came 20 s ago */
    now += 30 * SECOND;
    ck_assert_uint_eq(engine_idle_candidates(engine, now, &next, &one, 1), 0);
    now += 11 * SECOND;
    ck_assert_uint_eq(engine_idle_candidates(engine, now, &next, &one, 1), 1); /* to ask about again */
    unknown(id);
    assert_passed(); /* but only engine_idle() makes it idle */
    now += 100 * SECOND;
    engine_heard(engine, id, 100 * SECOND, now); /* nothing new */
    engine_idle(engine, id, now, NULL);
    unknown(id);
    assert_refused("idle_time", 100, 60);
}
END_TEST

START_TEST(heard_never_goes_back)
{
    struct idle_candidate one;
    uint32_t next = 0;
    start_idle();
    session_id id = connect_from(client);
    now += 30 * SECOND;
    unknown(id);
    engine_heard(engine, id, 1000 * SECOND, now + SECOND); /* less than we know ourselves */
    ck_assert_uint_eq(engine_idle_candidates(engine, now + 60 * SECOND, &next, &one, 1), 0);
    ck_assert_uint_eq(engine_idle_candidates(engine, now + 61 * SECOND, &next, &one, 1), 1);
    engine_heard(engine, 0, 0, now); /* nobody */
    engine_heard(engine, id ^ (session_id)1 << 40, 0, now + 61 * SECOND);
    ck_assert_uint_eq(engine_idle_candidates(engine, now + 61 * SECOND, &next, &one, 1), 1);
}
END_TEST

START_TEST(an_idle_session_that_is_ended)
{
    struct verdict told;
    start_idle();
    session_id id = connect_from(client), quiet = connect_from(client);
    now += 75 * SECOND;
    engine_idle(engine, id, now, &told);
    verdict = told;
    assert_refused("idle_time", 75, 60);
    ck_assert(verdict.findings[0].crossing);
    engine_idle(engine, id, now, &told); /* once */
    ck_assert_int_eq(told.kind, VERDICT_CONTINUE);
    ck_assert_uint_eq(told.finding_count, 0);
    engine_idle(engine, quiet, now, NULL); /* the next command tells */
    engine_idle(engine, quiet, now, &told);
    ck_assert_uint_eq(told.finding_count, 0);
    now += 5 * SECOND;
    unknown(quiet);
    assert_refused("idle_time", 80, 60);
    leave(id);
    engine_idle(engine, id, now, &told);
    ck_assert_uint_eq(told.finding_count, 0);
    engine_idle(engine, 0, now, &told);
    ck_assert_uint_eq(told.finding_count, 0);
    ck_assert_uint_eq(limit_done("idle_time").actions[ACTION_REFUSE], 2);
}
END_TEST

/* Between the question to the kernel and the call the client may have spoken. */
START_TEST(who_has_spoken_meanwhile_is_not_idle)
{
    start_idle();
    session_id id = connect_from(client);
    now += 61 * SECOND;
    unknown(connect_from(client));
    engine_heard(engine, id, 61 * SECOND, now);
    unknown(id);
    assert_passed();
    engine_idle(engine, id, now, &verdict);
    ck_assert_uint_eq(verdict.finding_count, 0);
    unknown(id);
    assert_passed();
}
END_TEST

/* It may be in the middle of a transfer, or talk of what is not told. */
START_TEST(who_is_heard_in_part_is_never_idle)
{
    struct connect_event coming = {.partly_heard = true};
    struct idle_candidate candidates[4];
    uint32_t next = 0;
    session_id id;
    start_idle();
    addr_parse(client, &coming.client);
    engine_connect(engine, &coming, now, &id, &verdict);
    now += 61 * SECOND;
    ck_assert_uint_eq(engine_idle_candidates(engine, now, &next, candidates, 4), 0);
    engine_idle(engine, id, now, &verdict);
    ck_assert_uint_eq(verdict.finding_count, 0);
    unknown(id);
    assert_passed();
    now += 61 * SECOND;
    unknown(id);
    assert_passed();
}
END_TEST

START_TEST(in_a_dry_run_it_gives_its_slots_back)
{
    rules_set_monitor(builder, true);
    start_idle();
    session_id id = connect_from(client);
    now += 61 * SECOND;
    ck_assert_uint_eq(counter("service").count, 1);
    engine_idle(engine, id, now, &verdict);
    assert_monitored("idle_time", 61, 60);
    ck_assert_uint_eq(counter("service").count, 0);
    unknown(id);
    assert_passed();
    leave(id);
    ck_assert_uint_eq(counter("service").count, 0);
}
END_TEST

/* ---- candidates ---- */

START_TEST(what_a_candidate_says)
{
    struct idle_candidate one[2];
    struct connect_event coming = {.local_port = 25, .client_port = 4711};
    uint32_t next = 0;
    session_id id;
    rules_set(builder, RULES_SERVICE, SETTING_IDLE_ACTION, IDLE_DISCONNECT);
    start_idle();
    addr_parse(client, &coming.client);
    addr_parse("10.0.0.1", &coming.local);
    engine_connect(engine, &coming, now, &id, &verdict);
    ck_assert_uint_eq(engine_idle_candidates(engine, now + 60 * SECOND, &next, one, 2), 0);
    ck_assert_uint_eq(engine_idle_candidates(engine, now + 61 * SECOND, &next, one, 2), 1);
    ck_assert_uint_eq(next, 0);
    ck_assert_uint_eq(one->id, id);
    ck_assert(addr_equal(&one->client, &coming.client) && addr_equal(&one->local, &coming.local));
    ck_assert_uint_eq(one->client_port, 4711);
    ck_assert_uint_eq(one->local_port, 25);
    ck_assert_int_eq(one->idle_time_ns, 60 * SECOND);
    ck_assert_int_eq(one->action, IDLE_DISCONNECT);
}
END_TEST

START_TEST(who_is_no_candidate)
{
    struct idle_candidate some[8];
    uint32_t next = 0;
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    rules_set_daemon_name(builder, listener, "mx");
    rules_set(builder, listener, SETTING_IDLE_TIME, 0);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 4);
    start_idle();
    connect_as(client, NULL, "mx");
    session_id sending = connect_from(client), told = connect_from(client), gone = connect_from(client);
    event(sending, EVENT_DATA);
    leave(gone);
    session_id silent = connect_from(client);
    connect_from(client); /* refused, it awaits its HELO */
    assert_refused("service_sessions", 4, 4);
    now += 61 * SECOND;
    engine_idle(engine, told, now, NULL);
    ck_assert_uint_eq(engine_idle_candidates(engine, now, &next, some, 8), 1);
    ck_assert_uint_eq(some[0].id, silent);
}
END_TEST

START_TEST(candidates_come_in_batches)
{
    enum { OPEN = 2500 };
    static struct idle_candidate some[OPEN];
    uint32_t next = 0, total = 0, calls = 0;
    rules_set(builder, RULES_SERVICE, SETTING_IDLE_TIME, 60 * SECOND);
    start_with(3000, 1);
    for (int i = 0; i < OPEN; i++)
        connect_from(client);
    now += 61 * SECOND;
    do { /* no call looks at more than a batch, */
        size_t count = engine_idle_candidates(engine, now, &next, some, OPEN);
        ck_assert_uint_le(count, ENGINE_BATCH);
        total += (uint32_t)count;
        calls++;
    } while (next != 0);
    ck_assert_uint_eq(total, OPEN);
    ck_assert_uint_eq(calls, 3);
    char *seen = calloc(3001, 1);
    ck_assert_ptr_nonnull(seen);
    total = 0;
    do { /* nor tells more than there is room for, and none is passed over or comes twice */
        size_t count = engine_idle_candidates(engine, now, &next, some, 7);
        ck_assert_uint_le(count, 7);
        for (size_t i = 0; i < count; i++, total++)
            ck_assert_int_eq(seen[(uint32_t)some[i].id]++, 0);
    } while (next != 0);
    ck_assert_uint_eq(total, OPEN);
    free(seen);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("idle");
    TCase *tests = test_case(suite, "idle");
    tcase_add_checked_fixture(tests, case_setup, case_teardown);
    tcase_add_test(tests, after_its_idle_time_a_session_is_refused);
    tcase_add_test(tests, no_idle_time_no_end);
    tcase_add_loop_test(tests, a_transfer_is_not_idle, 0, 3);
    tcase_add_test(tests, the_end_of_a_message_is_never_refused);
    tcase_add_test(tests, a_transfer_that_was_refused_is_none);
    tcase_add_test(tests, no_answer_takes_for_ever);
    tcase_add_test(tests, what_it_waits_for_our_answer_is_not_its_silence);
    tcase_add_test(tests, slack_for_what_the_kernel_was_not_asked);
    tcase_add_test(tests, of_a_watched_session_the_kernel_says);
    tcase_add_test(tests, heard_never_goes_back);
    tcase_add_test(tests, an_idle_session_that_is_ended);
    tcase_add_test(tests, who_has_spoken_meanwhile_is_not_idle);
    tcase_add_test(tests, who_is_heard_in_part_is_never_idle);
    tcase_add_test(tests, in_a_dry_run_it_gives_its_slots_back);
    TCase *candidates = test_case(suite, "candidates");
    tcase_add_checked_fixture(candidates, case_setup, case_teardown);
    tcase_add_test(candidates, what_a_candidate_says);
    tcase_add_test(candidates, who_is_no_candidate);
    tcase_add_test(candidates, candidates_come_in_batches);
    return suite;
}
