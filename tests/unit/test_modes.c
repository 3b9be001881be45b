/*
 * test_modes.c: limits that only watch, limits that give points, and the dry run. Links all of src/engine.
 */
#include "check_main.h"
#include "engine_case.h"
#include "prng.h"

static const char *const client = "192.0.2.1";

static limit_block_id in_mode(enum limit_mode mode, limit_number limit, int64_t max)
{
    limit_block_id block = limit_in(RULES_SERVICE, limit, max);
    rules_set_term(builder, block, TERM_MODE, mode);
    return block;
}

/* ---- monitor ---- */

START_TEST(what_is_monitored_passes_and_does_not_count)
{
    in_mode(MODE_MONITOR, LIMIT_NUMBER_CLIENT_CONNECTIONS, 2);
    start();
    connect_from(client);
    connect_from(client);
    assert_passed();
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_ne(connect_from(client), 0);
        assert_monitored("client_connections", 2, 2);
        ck_assert_int_eq(verdict.findings[0].crossing, i == 0);
        ck_assert_int_eq(verdict.delay_ns, 0);
    }
    ck_assert_uint_eq(limit_done("client_connections").actions[ACTION_MONITOR], 5);
    ck_assert_uint_eq(limit_done("client_connections").actions[ACTION_REFUSE], 0);
}
END_TEST

/* Refused, the session would be gone: nothing that only watches sees it any more, and what blocks goes on. */
START_TEST(a_session_that_was_over)
{
    in_mode(MODE_MONITOR, LIMIT_NUMBER_SESSION_MESSAGES, 1);
    in_mode(MODE_MONITOR, LIMIT_NUMBER_CLIENT_RECIPIENTS, 1);
    in_mode(MODE_MONITOR, LIMIT_NUMBER_CLIENT_SESSIONS, 1);
    custom_in(RULES_SERVICE, "blocking", COUNT_SESSIONS, PER_CLIENT, 2, 0);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_RECIPIENTS, 4);
    start();
    session_id id = connect_from(client);
    mail(id, "");
    assert_passed();
    ck_assert_uint_eq(engine_totals(engine).clients, 2);
    mail(id, "");
    assert_monitored("session_messages", 1, 1);
    ck_assert_uint_eq(engine_totals(engine).clients, 1); /* its slot of what is monitored is free, */
    ck_assert_uint_eq(counter("service").count, 1);      /* not that of what is not */
    for (int i = 0; i < 4; i++) {
        mail(id, "");
        assert_passed(); /* told once */
        rcpt(id, "a@b");
        assert_passed();
    }
    rcpt(id, "a@b");
    assert_refused("session_recipients", 4, 4);
    session_id next = connect_from(client);
    assert_passed();
    rcpt(next, "a@b"); /* none of the other's was counted */
    assert_passed();
    rcpt(next, "a@b");
    assert_monitored("client_recipients", 1, 1);
    connect_from(client);
    assert_refused("blocking", 2, 2);
}
END_TEST

START_TEST(a_452_is_over_for_one_event)
{
    in_mode(MODE_MONITOR, LIMIT_NUMBER_MESSAGE_RECIPIENTS, 2);
    in_mode(MODE_MONITOR, LIMIT_NUMBER_CLIENT_RECIPIENTS, 4);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SENDER_RECIPIENTS, 5);
    start();
    session_id id = connect_from(client);
    mail(id, "x@y");
    for (int i = 0; i < 2; i++)
        rcpt(id, "a@b");
    assert_passed();
    rcpt(id, "a@b");
    assert_monitored("message_recipients", 2, 2);
    mail(id, "x@y");
    rcpt(id, "a@b");
    rcpt(id, "a@b");
    assert_passed(); /* that one was counted by nothing monitored, */
    mail(id, "x@y");
    rcpt(id, "a@b"); /* but by what is not */
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    assert_found("client_recipients", ACTION_MONITOR, 4, 4);
    assert_found("sender_recipients", ACTION_REFUSE, 5, 5);
}
END_TEST

START_TEST(its_reply_says_whether_the_session_goes_on)
{
    static const struct {
        const char *code;
        bool ends;
    } replies[] = {{"421", true}, {"450", false}, {"550", true}};
    for (size_t i = 0; i < 3; i++) {
        struct reply form = {.enhanced = "4.7.0", .text = "no"};
        strcpy(form.code, replies[i].code);
        limit_block_id block = in_mode(MODE_MONITOR, LIMIT_NUMBER_CLIENT_MESSAGES, 1);
        rules_set_reply(builder, block, &form);
        in_mode(MODE_MONITOR, LIMIT_NUMBER_SESSION_UNKNOWN_COMMANDS, 1);
        start();
        session_id id = connect_from(client);
        unknown(id);
        mail(id, "");
        mail(id, "");
        assert_monitored("client_messages", 1, 1);
        unknown(id);
        ck_assert_uint_eq(verdict.finding_count, replies[i].ends ? 0 : 1);
    }
}
END_TEST

START_TEST(a_monitored_finding_goes_before_a_refusal)
{
    in_mode(MODE_MONITOR, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 1);
    start();
    connect_from(client);
    connect_from(client);
    assert_refused("service_sessions", 1, 1);
    ck_assert_uint_eq(verdict.finding_count, 2);
    assert_found("client_connections", ACTION_MONITOR, 1, 1);
}
END_TEST

START_TEST(deny_can_watch_and_give_points)
{
    char text[SCORE_TEXT_SIZE];
    rules_add_list_sender(builder, LIST_DENY, "bad.example");
    rules_set_deny(builder, MODE_MONITOR, 0);
    in_mode(MODE_MONITOR, LIMIT_NUMBER_CLIENT_MESSAGES, 1);
    start();
    session_id id = connect_from(client);
    for (int i = 0; i < 3; i++) {
        mail(id, "a@bad.example");
        ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
        ck_assert_uint_eq(verdict.finding_count, i == 0); /* after that the session would be gone */
    }
    id = connect_from(client);
    mail(id, "a@good.example");
    assert_passed();
    const struct prefix prefix = prefix_of("192.0.2.0/24");
    rules_add_list_prefix(builder, LIST_DENY, &prefix);
    rules_add_list_sender(builder, LIST_DENY, "bad.example");
    rules_set_deny(builder, MODE_SCORE, 7);
    reload();
    id = connect_from(client);
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    assert_found("deny", ACTION_SCORE, 0, 0);
    ck_assert_uint_eq(verdict.findings[0].points, 7);
    mail(id, "a@bad.example"); /* once a session */
    assert_passed();
    ck_assert(engine_score(engine, id, text));
    ck_assert_str_eq(text, "7 (deny=7)");
}
END_TEST

START_TEST(a_dry_run_refuses_nobody)
{
    const struct prefix prefix = prefix_of("10.0.0.0/8");
    rules_set_monitor(builder, true);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 2);
    rules_set(builder, RULES_SERVICE, SETTING_DISCONNECT_DELAY, SECOND);
    rules_set(builder, RULES_SERVICE, SETTING_IDLE_TIME, 60 * SECOND);
    rules_set(builder, RULES_SERVICE, SETTING_SCORE_REFUSE, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_ERRORS, 3);
    in_mode(MODE_SCORE, LIMIT_NUMBER_SESSION_MESSAGES, 1);
    rules_add_list_prefix(builder, LIST_DENY, &prefix);
    start();
    session_id first = connect_from(client), second = connect_from(client);
    for (int i = 0; i < 2; i++) {
        connect_from(client);
        assert_monitored("service_sessions", 2, 2);
        ck_assert_uint_eq(counter("service").count, 2); /* it has no slot */
    }
    connect_from("10.0.0.1");
    assert_monitored("deny", 0, 0);
    ck_assert_uint_eq(counter("service").count, 2);
    for (int i = 0; i < 3; i++) {
        unknown(first);
        assert_passed();
        ck_assert_int_eq(verdict.delay_ns, 0);
    }
    unknown(first);
    assert_monitored("session_errors", 3, 3);
    ck_assert_uint_eq(counter("service").count, 1); /* it would be gone */
    unknown(first);
    assert_passed();
    mail(second, "");
    mail(second, "");
    ck_assert_uint_eq(verdict.finding_count, 2); /* its points, and what they would lead to */
    ck_assert_str_eq(verdict.findings[0].name, "session_messages");
    ck_assert_int_eq(verdict.findings[0].action, ACTION_SCORE);
    ck_assert_str_eq(verdict.findings[1].name, "score");
    ck_assert_int_eq(verdict.findings[1].action, ACTION_MONITOR);
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    char header[SCORE_TEXT_SIZE];
    ck_assert(!engine_score(engine, second, header)); /* the mail is left alone */
    ck_assert_uint_eq(counter("service").count, 0);
    session_id third = connect_from(client);
    assert_passed();
    now += 61 * SECOND;
    unknown(third);
    assert_monitored("idle_time", 61, 60);
    unknown(third);
    assert_passed();
    ck_assert_uint_eq(counter("service").count, 0);
    leave(first);
    leave(second);
    leave(third);
    ck_assert_uint_eq(counter("service").count, 0);
}
END_TEST

/* ---- score ---- */

START_TEST(points_are_given_once_and_the_event_counts)
{
    char text[SCORE_TEXT_SIZE] = "untouched";
    limit_block_id block = in_mode(MODE_SCORE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    rules_set_term(builder, block, TERM_POINTS, 10);
    block = in_mode(MODE_SCORE, LIMIT_NUMBER_SESSION_MESSAGES, 1);
    rules_set_term(builder, block, TERM_POINTS, 2);
    start();
    session_id id = connect_from(client);
    ck_assert(!engine_score(engine, id, text));
    ck_assert_str_eq(text, "untouched");
    id = connect_from(client);
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    assert_found("client_connections", ACTION_SCORE, 1, 1);
    ck_assert_uint_eq(verdict.findings[0].points, 10);
    ck_assert(engine_score(engine, id, text));
    ck_assert_str_eq(text, "10 (client_connections=10)");
    mail(id, "");
    assert_passed();
    mail(id, "");
    assert_found("session_messages", ACTION_SCORE, 1, 1);
    mail(id, "");
    assert_passed(); /* told once a session */
    ck_assert(engine_score(engine, id, text));
    ck_assert_str_eq(text, "12 (client_connections=10, session_messages=2)");
    connect_from(client);
    assert_found("client_connections", ACTION_SCORE, 2, 1); /* those that were over are counted */
    ck_assert(!engine_score(engine, 0, text));
    leave(id);
    ck_assert(!engine_score(engine, id, text));
    ck_assert_uint_eq(limit_done("session_messages").actions[ACTION_SCORE], 1);
}
END_TEST

START_TEST(a_sum_that_is_too_high_refuses)
{
    static const int64_t points[] = {3, 4, 5};
    const limit_number limits[] = {LIMIT_NUMBER_SESSION_MESSAGES, LIMIT_NUMBER_SESSION_UNKNOWN_COMMANDS,
                                   LIMIT_NUMBER_SESSION_RECIPIENTS};
    for (int i = 0; i < 3; i++)
        rules_set_term(builder, in_mode(MODE_SCORE, limits[i], 1), TERM_POINTS, points[i]);
    rules_set(builder, RULES_SERVICE, SETTING_SCORE_REFUSE, 12);
    rules_set(builder, RULES_SERVICE, SETTING_DISCONNECT_DELAY, SECOND);
    start();
    session_id id = connect_from(client);
    for (int i = 0; i < 2; i++) {
        mail(id, "");
        unknown(id);
        ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    }
    rcpt(id, "a@b");
    rcpt(id, "a@b");
    ck_assert_uint_eq(verdict.finding_count, 2);
    assert_found("session_recipients", ACTION_SCORE, 1, 1);
    assert_refused("score", 12, 12);
    assert_reply("421", "4.7.1", "Service unavailable, refused by policy.");
    ck_assert_int_eq(verdict.findings[1].limit, LIMIT_SCORE);
    ck_assert_int_eq(verdict.delay_ns, SECOND);
    ck_assert_uint_eq(limit_done("score").actions[ACTION_REFUSE], 1);
    rcpt(id, "a@b"); /* judged when points are given */
    assert_passed();
}
END_TEST

START_TEST(points_at_connect)
{
    limit_block_id block = in_mode(MODE_SCORE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    rules_set_term(builder, block, TERM_POINTS, 5);
    rules_set(builder, RULES_SERVICE, SETTING_SCORE_REFUSE, 5);
    start();
    connect_from(client);
    connect_from(client);
    assert_refused("score", 5, 5);
    ck_assert_uint_eq(counter("service").count, 1);
    connect_from(client); /* refused, it did not count */
    assert_found("client_connections", ACTION_SCORE, 1, 1);
}
END_TEST

START_TEST(a_long_list_of_points_is_cut_between_two)
{
    char text[SCORE_TEXT_SIZE], name[LIMIT_NAME_SIZE];
    for (int i = 0; i < LIMITS_MAX - LIMITS_BUILTIN; i++) {
        memset(name, 'a' + i % 26, sizeof name - 1);
        name[sizeof name - 1] = '\0';
        name[0] = (char)('A' + i / 26);
        limit_block_id block = custom_in(RULES_SERVICE, name, COUNT_MESSAGES, PER_SESSION, 1, 0);
        rules_set_term(builder, block, TERM_MODE, MODE_SCORE);
        rules_set_term(builder, block, TERM_POINTS, LIMIT_POINTS_MAX);
    }
    start();
    session_id id = connect_from(client);
    mail(id, "");
    mail(id, "");
    ck_assert(engine_score(engine, id, text));
    ck_assert_uint_eq(strncmp(text, "47000000 (", 10), 0); /* the sum has them all */
    ck_assert_uint_gt(strlen(text), SCORE_TEXT_SIZE - 100);
    ck_assert_str_eq(text + strlen(text) - 9, "=1000000)");
}
END_TEST

/* ---- the dry run equals the real one ---- */

enum { SESSIONS = 24, CLIENTS = 4 };

static struct rules *equal_rules(bool monitor, bool scoped)
{
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    const struct prefix prefix = prefix_of("10.0.0.3/32");
    rules_set_monitor(builder, monitor);
    rules_set(builder, listener, SETTING_LISTENER_SESSIONS, 12);
    rules_set(builder, RULES_SERVICE, SETTING_REFUSE_AT, REFUSE_AT_CONNECT);
    limit_in(scoped ? listener : RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 5);
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 9);
    rules_set_term(builder, block, TERM_WINDOW, 20 * SECOND);
    rules_set_term(builder, block, TERM_BAN, 7 * SECOND);
    block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 12);
    rules_set_term(builder, block, TERM_WINDOW, 20 * SECOND);
    block = limit_in(RULES_SERVICE, LIMIT_NUMBER_SENDER_RECIPIENTS, 14);
    rules_set_term(builder, block, TERM_WINDOW, 20 * SECOND);
    rules_set_term(builder, block, TERM_BAN, 5 * SECOND);
    block = limit_in(RULES_SERVICE, LIMIT_NUMBER_DOMAIN_NETWORKS, 2);
    rules_set_term(builder, block, TERM_IPV4_PREFIX, 32);
    rules_set_term(builder, block, TERM_WINDOW, 20 * SECOND);
    rules_set_term(builder, block, TERM_BAN, 5 * SECOND);
    custom_in(RULES_SERVICE, "user_sessions", COUNT_SESSIONS, PER_USER, 3, 0);
    limit_in(listener, LIMIT_NUMBER_SESSION_ERRORS, 3);
    limit_in(listener, LIMIT_NUMBER_SESSION_MESSAGES, 4);
    limit_in(listener, LIMIT_NUMBER_MESSAGE_RECIPIENTS, 3);
    limit_in(listener, LIMIT_NUMBER_SESSION_RECIPIENTS, 6);
    rules_add_list_prefix(builder, LIST_DENY, &prefix);
    rules_add_list_sender(builder, LIST_DENY, "bad.example");
    return build_rules();
}

/* What the one refuses the other says that it would have refused, for the same reason; else neither says a word. */
static void assert_equal(const struct verdict *real, const struct verdict *dry, unsigned long step)
{
    ck_assert_int_eq(dry->kind, VERDICT_CONTINUE);
    ck_assert_msg((real->kind == VERDICT_REFUSE) == (dry->finding_count > 0), "step %lu", step);
    if (dry->finding_count == 0)
        return;
    const struct finding *a = &real->findings[0], *b = &dry->findings[0];
    ck_assert_msg(strcmp(a->name, b->name) == 0 && a->count == b->count && a->max == b->max && a->banned == b->banned &&
                      a->ban_left_ns == b->ban_left_ns,
                  "step %lu: %s %u of %u, %s %u of %u", step, a->name, a->count, a->max, b->name, b->count, b->max);
    ck_assert_int_eq(b->action, ACTION_MONITOR);
}

START_TEST(a_dry_run_says_what_the_real_one_does)
{
    static const char *const senders[] = {"a@b.example", "c@d.example", "", "x@bad.example", "e@b.example"};
    const struct engine_params params = {.session_records = 64, .table_records = 256, .seed = {1, 2}};
    struct rules *real_rules = equal_rules(false, _i % 2), *dry_rules = equal_rules(true, _i % 2);
    struct engine *real = engine_new(&params, &real_rules), *dry = engine_new(&params, &dry_rules);
    struct prng prng = prng_seeded((uint64_t)_i);
    struct {
        session_id real, dry;
    } open[SESSIONS] = {{0, 0}};
    unsigned refused = 0;

    for (unsigned long step = 0; step < 20000; step++) {
        struct verdict a, b;
        unsigned which = prng_below(&prng, SESSIONS), what = prng_below(&prng, 12);
        now += prng_below(&prng, 20) == 0 ? prng_below(&prng, 10) * SECOND : 100000000;
        if (open[which].dry == 0) {
            const struct connect_event coming = {
                .client = {.hi = (uint64_t)(0x0a000000 + prng_below(&prng, CLIENTS)) << 32, .family = ADDR_IPV4}};
            engine_connect(real, &coming, now, &open[which].real, &a);
            engine_connect(dry, &coming, now, &open[which].dry, &b);
            assert_equal(&a, &b, step);
            refused += a.kind == VERDICT_REFUSE;
            continue;
        }
        struct event coming = {.kind = EVENT_HELO + (what < 7 ? what : what % 3 + 1),
                               .sender = senders[which % 5],
                               .user = which % 3 ? "" : "joe",
                               .recipient = "somebody@example.org"};
        coming.rejected = coming.kind == EVENT_RCPT && prng_below(&prng, 5) == 0;
        if (coming.kind == EVENT_MAIL && prng_below(&prng, 4) == 0) {
            engine_close(real, open[which].real, now);
            engine_close(dry, open[which].dry, now);
            open[which].real = open[which].dry = 0;
            continue;
        }
        engine_event(dry, open[which].dry, &coming, now, &b);
        if (open[which].real == 0) { /* it was refused, and the other is as good as gone */
            ck_assert_uint_eq(b.finding_count, 0);
            continue;
        }
        engine_event(real, open[which].real, &coming, now, &a);
        assert_equal(&a, &b, step);
        refused += a.kind == VERDICT_REFUSE;
        if (a.kind == VERDICT_REFUSE && strcmp(a.reply.code, "421") == 0) {
            engine_close(real, open[which].real, now);
            open[which].real = 0;
        }
    }
    ck_assert_uint_gt(refused, 500);
    struct limit_view view;
    unsigned kinds = 0;
    for (size_t i = 0; engine_limits(real, i, &view, 1) == 1; i++)
        kinds += view.actions[ACTION_REFUSE] > 0;
    ck_assert_uint_ge(kinds, 8); /* all sorts of reasons were met */
    ck_assert_uint_eq(engine_totals(real).clients, engine_totals(dry).clients);
    engine_free(&real);
    engine_free(&dry);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("modes");
    TCase *tests = test_case(suite, "monitor");
    tcase_add_checked_fixture(tests, case_setup, case_teardown);
    tcase_add_test(tests, what_is_monitored_passes_and_does_not_count);
    tcase_add_test(tests, a_session_that_was_over);
    tcase_add_test(tests, a_452_is_over_for_one_event);
    tcase_add_test(tests, its_reply_says_whether_the_session_goes_on);
    tcase_add_test(tests, a_monitored_finding_goes_before_a_refusal);
    tcase_add_test(tests, deny_can_watch_and_give_points);
    tcase_add_test(tests, a_dry_run_refuses_nobody);
    tcase_add_loop_test(tests, a_dry_run_says_what_the_real_one_does, 0, 6);
    TCase *score = test_case(suite, "score");
    tcase_add_checked_fixture(score, case_setup, case_teardown);
    tcase_add_test(score, points_are_given_once_and_the_event_counts);
    tcase_add_test(score, a_sum_that_is_too_high_refuses);
    tcase_add_test(score, points_at_connect);
    tcase_add_test(score, a_long_list_of_points_is_cut_between_two);
    return suite;
}
