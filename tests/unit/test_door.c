/*
 * test_door.c: what an MTA says becomes events of the engine, and verdicts become answers, in whatever order. Includes
 * milter/door.c (door_case.h) and links libmail.a and src/engine/addr.c.
 */
#include "door_case.h"
#include "prng.h"

/* ---- verdicts ---- */

START_TEST(let_in)
{
    assert_goes_on(connect_plainly());
    ck_assert_int_eq(event_now, 4711);
    event_now = 0;
    for (int i = 0; i < SAYINGS; i++)
        assert_goes_on(sayings[i]());
    ck_assert_int_eq(event_now, 4711);
    door_abort(&door, &session);
    event_now = 0;
    door_close(&door, &session);
    ck_assert_int_eq(event_now, 4711);
    ck_assert_str_eq(calls, "connect 1, helo 1, mail 1, rcpt 1, rcpt 1, data 1, unknown 1, message 1, score 1, "
                            "abort 1, close 1");
    ck_assert_uint_eq(told, 0);
}
END_TEST

START_TEST(told_at_the_first_command)
{
    will_refuse(REFUSE_AT_HELO, 5, 300);
    assert_goes_on(connect_plainly());
    ck_assert_uint_eq(told, 1);
    ck_assert_int_eq(told_verdict.findings[0].limit, LIMIT_CLIENT_SESSIONS);
    ck_assert_int_eq(told_client.family, ADDR_IPV4);
    will_go_on(6); /* what the engine would say to anything else does not matter any more */
    door_abort(&door, &session);
    assert_refused(sayings[_i](), 300);
    ck_assert_str_eq(calls, "connect 5, spoken 5");
    for (int i = 0; i < SAYINGS; i++)
        assert_refused(sayings[i](), 0); /* an MTA that goes on: again, and at once */
    door_abort(&door, &session);
    door_close(&door, &session);
    ck_assert_uint_eq(told, 1);
    ck_assert_str_eq(calls, "connect 5, spoken 5"); /* the engine let go of it when it was spoken */
}
END_TEST

START_TEST(told_at_connect)
{
    will_refuse(REFUSE_AT_CONNECT, 0, 200);
    assert_refused(connect_plainly(), 200);
    for (int i = 0; i < SAYINGS; i++)
        assert_refused(sayings[i](), 0);
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 0");
    ck_assert_uint_eq(told, 1);
}
END_TEST

START_TEST(left_before_it_was_told)
{
    will_refuse(REFUSE_AT_HELO, 5, 0);
    connect_plainly();
    door_close(&door, &session);
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 5, close 5");
}
END_TEST

START_TEST(a_connect_that_goes_on_does_not_wait)
{
    next_verdict.delay_ns = 100;
    assert_goes_on(connect_plainly());
}
END_TEST

/* The whole session: by 421 and 5yz. */
START_TEST(refused_later_for_good)
{
    static const char *const codes[] = {"421", "550", "554"};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        setup();
        connect_plainly();
        calls[0] = '\0';
        will_refuse_with(codes[i], 70);
        if (sayings[_i] == say_rcpt && codes[i][0] == '5') { /* for that recipient alone */
            assert_refused_with(say_rcpt(), codes[i], 70);
            will_go_on(1);
            assert_goes_on(say_rcpt());
            door_close(&door, &session);
            continue;
        }
        if (sayings[_i] == say_rejected) { /* whom the MTA refuses itself: the next command is told */
            assert_goes_on(say_rejected());
            assert_refused_with(say_data(), codes[i], 70);
        } else {
            assert_refused_with(sayings[_i](), codes[i], 70);
        }
        ck_assert_uint_eq(told, 1);
        will_go_on(1);
        strcpy(calls, "");
        door_abort(&door, &session);
        for (int j = 0; j < SAYINGS; j++)
            assert_refused_with(sayings[j](), codes[i], 0);
        ck_assert_str_eq(score, "");
        ck_assert_str_eq(calls, "");
        door_close(&door, &session);
        ck_assert_str_eq(calls, "close 1"); /* it held its slots until then */
        ck_assert_uint_eq(told, 1);
    }
}
END_TEST

/* That command alone: any other 4yz. */
START_TEST(refused_for_once)
{
    static const char *const codes[] = {"450", "451", "452"};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        connect_plainly();
        will_refuse_with(codes[i], 70);
        struct door_answer answer = sayings[_i]();
        if (sayings[_i] == say_rejected) { /* the MTA refuses that one itself; to be slow is still ours */
            ck_assert_int_eq(answer.kind, DOOR_CONTINUE);
            ck_assert_int_eq(answer.delay_ns, 70);
        } else {
            assert_refused_with(answer, codes[i], 70);
        }
        ck_assert_uint_eq(told, i + 1);
        will_go_on(1);
        for (int j = 0; j < SAYINGS; j++)
            assert_goes_on(sayings[j]());
    }
    calls[0] = '\0';
    door_close(&door, &session);
    ck_assert_str_eq(calls, "close 1");
}
END_TEST

START_TEST(answers_that_wait)
{
    connect_plainly();
    next_verdict.delay_ns = 2000;
    struct door_answer answer = sayings[_i]();
    ck_assert_int_eq(answer.kind, DOOR_CONTINUE);
    ck_assert_int_eq(answer.delay_ns, 2000);
    next_verdict.delay_ns = 0;
    assert_goes_on(sayings[_i]());
}
END_TEST

START_TEST(exempt)
{
    next_id = 0;
    next_verdict.kind = VERDICT_EXEMPT;
    ck_assert_int_eq(connect_plainly().kind, DOOR_ACCEPT);
    will_refuse(REFUSE_AT_HELO, 0, 0);
    for (int i = 0; i < SAYINGS; i++)
        assert_goes_on(sayings[i]());
    door_abort(&door, &session);
    door_close(&door, &session);
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 0");
    ck_assert_uint_eq(allocations, 0);
}
END_TEST

START_TEST(let_in_uncounted)
{
    next_id = 0;
    next_verdict =
        (struct verdict){.kind = VERDICT_CONTINUE, .finding_count = 1, .findings = {{.limit = LIMIT_SESSION_TABLE}}};
    assert_goes_on(connect_plainly());
    ck_assert_uint_eq(told, 1);
    ck_assert_int_eq(told_verdict.findings[0].limit, LIMIT_SESSION_TABLE);
    for (int i = 0; i < SAYINGS; i++)
        assert_goes_on(sayings[i]()); /* not a refusal */
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 0");
    ck_assert_uint_eq(told, 1);
}
END_TEST

START_TEST(findings_are_told_once)
{
    struct addr client;

    connect_plainly();
    addr_parse("192.0.2.1", &client);
    next_verdict.finding_count = 2;
    next_verdict.findings[1].limit = LIMIT_CLIENT_SESSIONS;
    for (unsigned i = 0; i < SAYINGS; i++) {
        told_client = (struct addr){0};
        sayings[i]();
        ck_assert_uint_eq(told, i + 1);
        ck_assert(addr_equal(&told_client, &client));
        ck_assert_uint_eq(told_verdict.finding_count, 2);
        ck_assert_int_eq(told_verdict.findings[1].limit, LIMIT_CLIENT_SESSIONS);
    }
    next_verdict.finding_count = 0;
    for (int i = 0; i < SAYINGS; i++)
        sayings[i]();
    ck_assert_uint_eq(told, SAYINGS);
}
END_TEST

START_TEST(score_at_the_end_of_a_message)
{
    connect_plainly();
    strcpy(score, "left over");
    say_message();
    ck_assert_str_eq(score, "");
    next_score = "12 (deny=12)";
    say_message();
    ck_assert_str_eq(score, "12 (deny=12)");
    door_close(&door, &session);
    say_message();
    ck_assert_str_eq(score, "");
    ck_assert_str_eq(calls, "connect 1, message 1, score 1, message 1, score 1, close 1");
}
END_TEST

/* ---- order ---- */

START_TEST(connect_again_closes_first)
{
    connect_plainly();
    next_id = 2;
    assert_goes_on(connect_plainly());
    ck_assert_str_eq(calls, "connect 1, close 1, connect 2");
    will_refuse(REFUSE_AT_HELO, 3, 9);
    connect_plainly();
    will_go_on(4);
    connect_plainly();
    assert_goes_on(say_unknown()); /* the refusal was the session's before */
    door_close(&door, &session);
    ck_assert_str_eq(calls,
                     "connect 1, close 1, connect 2, close 2, connect 3, close 3, connect 4, unknown 4, close 4");
}
END_TEST

START_TEST(connect_again_after_a_refusal)
{
    will_refuse(REFUSE_AT_CONNECT, 0, 7);
    connect_plainly();
    will_go_on(6);
    connect_plainly();
    assert_goes_on(say_unknown());
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 0, connect 6, unknown 6, close 6");
}
END_TEST

START_TEST(connect_again_forgets_the_names)
{
    connect_plainly();
    say_helo();
    door_mail(&door, &session, "<a@client.test.example>", "joe");
    connect_plainly();
    say_unknown();
    ck_assert_str_eq(heard.helo, "NULL");
    ck_assert_str_eq(heard.sender, "NULL");
    ck_assert_str_eq(heard.user, "NULL");
}
END_TEST

START_TEST(anything_without_connect)
{
    for (int i = 0; i < SAYINGS; i++)
        assert_goes_on(sayings[i]());
    door_abort(&door, &session);
    door_close(&door, &session);
    door_close(&door, &session);
    ck_assert_str_eq(calls, "");
    assert_goes_on(connect_plainly()); /* and a session can still begin */
    door_close(&door, &session);
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 1, close 1");
    for (int i = 0; i < SAYINGS; i++)
        assert_goes_on(sayings[i]());
    ck_assert_uint_eq(blocks, 0);
}
END_TEST

/* Whatever comes in whatever order: each record of the engine is closed once or was let go of, no event comes after
 * that, and all memory comes back. */
START_TEST(any_order)
{
    struct prng prng = prng_seeded((uint64_t)_i);
    static const char *const codes[] = {"421", "450", "452", "550"};

    for (int i = 0; i < 3000; i++) {
        calls[0] = '\0';
        session_id open = session.id;
        bool refused = session.refusal != NULL;
        uint32_t verdict = prng_below(&prng, 12), what = prng_below(&prng, SAYINGS + 4);
        will_go_on(1 + prng_below(&prng, 1000));
        if (verdict < 4) {
            will_refuse_with(codes[verdict], prng_below(&prng, 2));
            next_verdict.speak_at = prng_below(&prng, 2) ? REFUSE_AT_HELO : REFUSE_AT_CONNECT;
            next_id = next_verdict.speak_at == REFUSE_AT_HELO ? 7 : 0;
        }
        failing = prng_below(&prng, 20) == 0 ? allocations + 1 : 0;
        if (what < SAYINGS) {
            struct door_answer answer = sayings[what]();
            ck_assert(!refused || answer.kind == DOOR_REFUSE);
            ck_assert(!refused || !strpbrk(calls, "hmrdun") || strncmp(calls, "spoken ", 7) == 0);
        } else if (what == SAYINGS) {
            door_abort(&door, &session);
        } else if (what == SAYINGS + 1) {
            door_close(&door, &session);
            ck_assert_uint_eq(session.id, 0);
            ck_assert_uint_eq(blocks, 0);
        } else {
            connect_plainly();
        }
        bool closed = strncmp(calls, "close ", 6) == 0;
        ck_assert(closed == (open != 0 && what > SAYINGS));
        ck_assert_uint_le(sizeof session + most_bytes, DOOR_SESSION_MEMORY);
    }
}
END_TEST

START_TEST(how_long_each_event_took)
{
    static struct latency latency;
    struct door_params timed = door;
    struct door_connect connect = {.client = {.family = ADDR_NONE}};

    timed.latency = &latency;
    clock_step = 3000;
    addr_parse("192.0.2.1", &connect.client);
    door_connect(&timed, &session, &connect);
    ck_assert_uint_eq(atomic_load(&latency.sum_ns), 3000);
    ck_assert_int_eq(event_now, 4711);
    door_helo(&timed, &session, "client.test.example");
    ck_assert_uint_eq(atomic_load(&latency.sum_ns), 6000);
    ck_assert_uint_eq(atomic_load(&latency.buckets[2]), 2);
    will_refuse_with("421", 29 * INT64_C(1000000000)); /* the delay is the client's */
    door_mail(&timed, &session, "<sender@client.test.example>", NULL);
    ck_assert_uint_eq(atomic_load(&latency.sum_ns), 9000);
    door_data(&timed, &session);  /* the engine is not asked again, */
    door_close(&timed, &session); /* nor does it decide anything here */
    ck_assert_uint_eq(atomic_load(&latency.sum_ns), 9000);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("door");
    TCase *tests = test_case(suite, "verdicts");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, let_in);
    tcase_add_test(tests, how_long_each_event_took);
    tcase_add_loop_test(tests, told_at_the_first_command, 0, SAYINGS);
    tcase_add_test(tests, told_at_connect);
    tcase_add_test(tests, left_before_it_was_told);
    tcase_add_test(tests, a_connect_that_goes_on_does_not_wait);
    tcase_add_loop_test(tests, refused_later_for_good, 0, SAYINGS);
    tcase_add_loop_test(tests, refused_for_once, 0, SAYINGS);
    tcase_add_loop_test(tests, answers_that_wait, 0, SAYINGS);
    tcase_add_test(tests, exempt);
    tcase_add_test(tests, let_in_uncounted);
    tcase_add_test(tests, findings_are_told_once);
    tcase_add_test(tests, score_at_the_end_of_a_message);
    tests = test_case(suite, "order");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, connect_again_closes_first);
    tcase_add_test(tests, connect_again_after_a_refusal);
    tcase_add_test(tests, connect_again_forgets_the_names);
    tcase_add_test(tests, anything_without_connect);
    tcase_add_loop_test(tests, any_order, 0, 8);
    return suite;
}
