/*
 * test_needs.c: which events the engine must hear of for a rule set to hold. Links all of src/engine.
 */
#include "check_main.h"
#include "engine/terms.h"

#include <string.h>

#define SECOND INT64_C(1000000000)

static struct rules_builder *builder;

static void setup(void)
{
    builder = rules_builder_new();
    ck_assert_ptr_nonnull(builder);
}

static void teardown(void)
{
    rules_builder_free(&builder);
}

/* One letter for each: helo, mail, rcpt, data, unknown, rejected ('j'), message ('e'), speech. */
static const char *needs_with(bool bans)
{
    static char text[9];
    struct rules_error error;
    struct rules *rules = rules_build(builder, &error);
    ck_assert_ptr_nonnull(rules);
    const struct rules_needs needs = rules_needs(rules, bans);
    const bool all[] = {needs.helo,    needs.mail,     needs.rcpt,    needs.data,
                        needs.unknown, needs.rejected, needs.message, needs.speech};
    size_t used = 0;
    for (size_t i = 0; i < 8; i++)
        if (all[i])
            text[used++] = "hmrdujes"[i];
    text[used] = '\0';
    rules_free(&rules);
    return text;
}

static const char *needs(void)
{
    return needs_with(false);
}

static void add_limit(scope_id scope, limit_number limit, enum limit_mode mode)
{
    rules_set_term(builder, rules_add_limit_block(builder, scope, limit), TERM_MODE, mode);
}

START_TEST(bans_of_administrators_need_mail_and_speech)
{
    ck_assert_str_eq(needs_with(true), "hmus");
    rules_set_monitor(builder, true);
    ck_assert_str_eq(needs_with(true), "m"); /* they are reported */
}
END_TEST

START_TEST(nothing_needs_nothing)
{
    ck_assert_str_eq(needs(), "");
    rules_set(builder, RULES_SERVICE, SETTING_DISCONNECT_DELAY, SECOND);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 0);
    rules_set(builder, RULES_SERVICE, SETTING_IDLE_TIME, 0);
    rules_set(builder, RULES_SERVICE, SETTING_SCORE_REFUSE, 5); /* nothing gives points */
    ck_assert_str_eq(needs(), "");
}
END_TEST

/* A verdict that waits must reach a client that skips HELO. */
START_TEST(caps_alone)
{
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    rules_set(builder, listener, SETTING_LISTENER_SESSIONS, 5);
    ck_assert_str_eq(needs(), "hmus");
    rules_set(builder, listener, SETTING_LISTENER_SESSIONS, 0);
    ck_assert_str_eq(needs(), "");
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 5);
    ck_assert_str_eq(needs(), "hmus");
    rules_set_monitor(builder, true); /* nobody is ever refused */
    ck_assert_str_eq(needs(), "");
}
END_TEST

static const struct {
    limit_number limit;
    const char *blocks, *monitors;
} limits[LIMITS_BUILTIN] = {
    {LIMIT_NUMBER_CLIENT_SESSIONS, "hmus", ""},
    {LIMIT_NUMBER_CLIENT_CONNECTIONS, "hmus", ""},
    {LIMIT_NUMBER_CLIENT_MESSAGES, "hmus", "m"},
    {LIMIT_NUMBER_CLIENT_RECIPIENTS, "hmrdujs", "mrj"},
    {LIMIT_NUMBER_CLIENT_ERRORS, "hmrdujs", "mruj"},
    {LIMIT_NUMBER_SENDER_RECIPIENTS, "hmrdujs", "mrj"},
    {LIMIT_NUMBER_RECIPIENT_MESSAGES, "hmrus", "mr"},
    {LIMIT_NUMBER_RECIPIENT_BOUNCES, "hmrus", "mr"},
    {LIMIT_NUMBER_USER_RECIPIENTS, "hmrdujs", "mrj"},
    {LIMIT_NUMBER_DOMAIN_NETWORKS, "hmus", "m"},
    {LIMIT_NUMBER_HELO_NETWORKS, "hmus", "h"},
    {LIMIT_NUMBER_SESSION_ERRORS, "hmrdujes", "mrduje"},
    {LIMIT_NUMBER_SESSION_UNKNOWN_COMMANDS, "hmus", "u"},
    {LIMIT_NUMBER_SESSION_RECIPIENTS, "hmrdujs", "mrj"},
    {LIMIT_NUMBER_SESSION_MESSAGES, "hmus", "m"},
    {LIMIT_NUMBER_MESSAGE_RECIPIENTS, "hmrus", "mr"},
};

START_TEST(each_limit_that_blocks)
{
    ck_assert_uint_eq(limits[_i].limit, (limit_number)_i);
    add_limit(RULES_SERVICE, limits[_i].limit, MODE_BLOCK);
    ck_assert_str_eq(needs(), limits[_i].blocks);
    rules_set_monitor(builder, true);
    ck_assert_str_eq(needs(), limits[_i].monitors);
}
END_TEST

START_TEST(each_limit_that_only_watches)
{
    add_limit(RULES_SERVICE, limits[_i].limit, MODE_MONITOR);
    ck_assert_str_eq(needs(), limits[_i].monitors);
    add_limit(RULES_SERVICE, limits[_i].limit, MODE_OFF);
    ck_assert_str_eq(needs(), "");
}
END_TEST

START_TEST(points_go_with_the_message)
{
    add_limit(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, MODE_SCORE);
    ck_assert_str_eq(needs(), "e"); /* for the header; no answer matters */
    rules_set(builder, RULES_SERVICE, SETTING_SCORE_REFUSE, 10);
    ck_assert_str_eq(needs(), "hmdues"); /* after an unknown command it is heard of only when DATA is */
    rules_set_monitor(builder, true);
    ck_assert_str_eq(needs(), "e");
}
END_TEST

START_TEST(a_limit_of_any_scope_counts)
{
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    scope_id peer = rules_add_scope(builder, SCOPE_PEER, listener, "10.0.0.0/8");
    struct prefix prefix;
    prefix_parse("10.0.0.0/8", &prefix);
    rules_add_prefix(builder, peer, &prefix);
    add_limit(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, MODE_MONITOR);
    add_limit(peer, LIMIT_NUMBER_CLIENT_MESSAGES, MODE_BLOCK);
    ck_assert_str_eq(needs(), "hmus");
}
END_TEST

START_TEST(idle_sessions_are_heard_everywhere)
{
    rules_set(builder, RULES_SERVICE, SETTING_IDLE_TIME, SECOND);
    ck_assert_str_eq(needs(), "hmrdues"); /* and a transfer's begin and end */
    rules_set_monitor(builder, true);
    ck_assert_str_eq(needs(), "hmrdue");
}
END_TEST

START_TEST(histories_need_errors_and_messages)
{
    rules_set_reputation(builder, 3600 * SECOND);
    ck_assert_str_eq(needs(), "mrduje");
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 5);
    ck_assert_str_eq(needs(), "hmrdujes");
}
END_TEST

START_TEST(lists_of_clients)
{
    struct prefix prefix;
    prefix_parse("10.0.0.0/8", &prefix);
    rules_add_list_prefix(builder, LIST_EXEMPT, &prefix);
    ck_assert_str_eq(needs(), ""); /* an exempt session costs the MTA two events */
    rules_add_list_prefix(builder, LIST_DENY, &prefix);
    ck_assert_str_eq(needs(), "hmus");
    rules_set_deny(builder, MODE_SCORE, 3);
    ck_assert_str_eq(needs(), "e");
    rules_set(builder, RULES_SERVICE, SETTING_SCORE_REFUSE, 3);
    ck_assert_str_eq(needs(), "hmdues");
    rules_set_deny(builder, MODE_MONITOR, 0);
    ck_assert_str_eq(needs(), "");
    rules_set_deny(builder, MODE_OFF, 0);
    ck_assert_str_eq(needs(), "");
}
END_TEST

START_TEST(lists_of_names)
{
    rules_add_list_user(builder, LIST_EXEMPT, "joe");
    ck_assert_str_eq(needs(), "m"); /* it spares, and never refuses */
    teardown();
    setup();
    rules_add_list_authenticated(builder, LIST_EXEMPT);
    ck_assert_str_eq(needs(), "m");
    teardown();
    setup();
    rules_add_list_sender(builder, LIST_DENY, "a.example");
    ck_assert_str_eq(needs(), "hmus");
    teardown();
    setup();
    rules_add_list_user(builder, LIST_DENY, "mallory");
    rules_set_deny(builder, MODE_MONITOR, 0);
    ck_assert_str_eq(needs(), "m");
    rules_set_deny(builder, MODE_BLOCK, 0);
    ck_assert_str_eq(needs(), "hmus");
}
END_TEST

/* A ban of what is counted later is judged as soon as its key is known. */
START_TEST(bans_are_judged_early)
{
    limit_number limit = rules_add_limit(builder, "mine", COUNT_ERRORS, PER_HELO);
    add_limit(RULES_SERVICE, limit, MODE_MONITOR);
    ck_assert_str_eq(needs(), "hmruj");
    teardown();
    setup();
    limit = rules_add_limit(builder, "mine", COUNT_MESSAGES, PER_HELO);
    add_limit(RULES_SERVICE, limit, MODE_MONITOR);
    ck_assert_str_eq(needs(), "hm");
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("needs");
    TCase *tests = test_case(suite, "needs");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, nothing_needs_nothing);
    tcase_add_test(tests, bans_of_administrators_need_mail_and_speech);
    tcase_add_test(tests, caps_alone);
    tcase_add_loop_test(tests, each_limit_that_blocks, 0, LIMITS_BUILTIN);
    tcase_add_loop_test(tests, each_limit_that_only_watches, 0, LIMITS_BUILTIN);
    tcase_add_test(tests, points_go_with_the_message);
    tcase_add_test(tests, a_limit_of_any_scope_counts);
    tcase_add_test(tests, idle_sessions_are_heard_everywhere);
    tcase_add_test(tests, histories_need_errors_and_messages);
    tcase_add_test(tests, lists_of_clients);
    tcase_add_test(tests, lists_of_names);
    tcase_add_test(tests, bans_are_judged_early);
    return suite;
}
