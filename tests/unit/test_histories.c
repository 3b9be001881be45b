/*
 * test_histories.c: what a client's history is made of, and what it is good for. Links all of src/engine.
 */
#include "check_main.h"
#include "engine_case.h"

static const char *const client = "192.0.2.1", *const other = "198.51.100.2";

/* A limit that only watches shows how a client is reputed to who has two sessions open: by the max that it has. */
static void keep_histories(void)
{
    rules_set_reputation(builder, HOUR);
    limit_block_id block = custom_in(RULES_SERVICE, "probe", COUNT_SESSIONS, PER_CLIENT, 1000, 0);
    rules_set_term(builder, block, TERM_MODE, MODE_MONITOR);
    rules_set_term(builder, block, TERM_MAX_GOOD, 1);
    rules_set_term(builder, block, TERM_MAX_BAD, 2);
}

static void start_probing(void)
{
    start();
    for (int i = 0; i < 2; i++) {
        connect_from(client);
        connect_from(other);
    }
}

enum { IS_NONE, IS_GOOD, IS_BAD };

static int reputed(const char *address)
{
    leave(connect_from(address));
    return verdict.finding_count > 0 ? (int)verdict.findings[0].max : IS_NONE;
}

START_TEST(good_histories)
{
    keep_histories();
    start_probing();
    ck_assert_int_eq(reputed(client), IS_NONE);
    session_id id = connect_from(client);
    deliver(id, "a@b"); /* +1 */
    ck_assert_int_eq(reputed(client), IS_GOOD);
    ck_assert_int_eq(reputed(other), IS_NONE);
    unknown(id); /* -1 */
    ck_assert_int_eq(reputed(client), IS_NONE);
    leave(id); /* it was not without an error */
    ck_assert_int_eq(reputed(client), IS_NONE);
    id = connect_from(client);
    deliver(id, "a@b");
    leave(id); /* +2: a clean session */
    id = connect_from(client);
    unknown(id);
    ck_assert_int_eq(reputed(client), IS_GOOD);
    rejected(id, "a@b");
    ck_assert_int_eq(reputed(client), IS_NONE);
    for (int i = 0; i < 4; i++)
        deliver(id, "a@b");
    now += HOUR; /* two of the four are left */
    unknown(id);
    ck_assert_int_eq(reputed(client), IS_GOOD);
    now += 10 * HOUR;
    ck_assert_int_eq(reputed(client), IS_NONE);
}
END_TEST

START_TEST(bad_histories)
{
    keep_histories();
    start_probing();
    session_id id = connect_from(client);
    rejected(id, "a@b");
    ck_assert_int_eq(reputed(client), IS_BAD);
    ck_assert_int_eq(reputed(other), IS_NONE);
    event(id, EVENT_ABORT);
    leave(id);
    ck_assert_int_eq(reputed(client), IS_BAD);
    now += 10 * HOUR;
    ck_assert_int_eq(reputed(client), IS_NONE);
    unknown(connect_from("")); /* who has no address has no history */
    ck_assert_int_eq(reputed(client), IS_NONE);
}
END_TEST

START_TEST(a_session_that_was_refused_is_not_clean)
{
    keep_histories();
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 1);
    start_probing();
    session_id id = connect_from(client);
    deliver(id, "a@b");
    mail(id, "a@b");
    assert_refused("session_messages", 1, 1);
    leave(id); /* +1 -1 */
    ck_assert_int_eq(reputed(client), IS_NONE);
}
END_TEST

START_TEST(what_others_share_lowers_nothing)
{
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    rules_set_daemon_name(builder, listener, "mx");
    rules_set(builder, listener, SETTING_LISTENER_SESSIONS, 1);
    keep_histories();
    rules_add_list_sender(builder, LIST_DENY, "bad.example");
    limit_block_id block = custom_in(RULES_SERVICE, "shared", COUNT_MESSAGES, PER_SENDER, 1, HOUR);
    rules_set_term(builder, block, TERM_BAN, HOUR);
    start_probing();
    session_id id = connect_as(client, NULL, "mx");
    connect_as(client, NULL, "mx");
    assert_refused("listener_sessions", 1, 1);
    mail(id, "a@bad.example");
    assert_refused("deny", 0, 0);
    mail(connect_from(other), "a@b");
    for (int i = 0; i < 3; i++) {
        mail(id, "a@b");
        assert_refused("shared", 1, 1);
    }
    ck_assert_int_eq(reputed(client), IS_NONE);
    ck_assert_int_eq(reputed(other), IS_NONE);
}
END_TEST

/* Refusals by limits per session, message and client cost a point each, the client's ban five more. */
START_TEST(what_is_the_clients_own_lowers_it)
{
    static const enum limit_per pers[] = {PER_SESSION, PER_MESSAGE, PER_CLIENT, PER_CLIENT};
    const bool bans = _i == 3;
    keep_histories();
    limit_block_id block = custom_in(RULES_SERVICE, "own", COUNT_RECIPIENTS, pers[_i], 1, _i < 2 ? 0 : HOUR);
    rules_set_term(builder, block, TERM_BAN, bans ? HOUR : 0);
    start_probing();
    session_id id = connect_from(client);
    mail(id, "");
    rcpt(id, "a@b");
    for (int i = 0; i < (bans ? 7 : 2); i++)
        engine_event(engine, connect_from(client), &(struct event){.kind = EVENT_MESSAGE}, now, &verdict);
    ck_assert_int_eq(reputed(client), IS_GOOD);
    rcpt(id, "a@b");
    assert_refused("own", 1, 1);
    ck_assert_int_eq(verdict.findings[0].ban_began, bans);
    if (bans) { /* or no session could be looked at */
        keep_histories();
        reload();
    }
    ck_assert_int_eq(reputed(client), IS_GOOD);
    if (bans)
        unknown(id);
    else
        rcpt(id, "a@b");
    ck_assert_int_eq(reputed(client), IS_NONE);
    unknown(id);
    ck_assert_int_eq(reputed(client), IS_BAD);
}
END_TEST

START_TEST(refused_connections_lower_it)
{
    keep_histories();
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 3);
    start_probing();
    deliver(connect_from(client), "a@b");
    connect_from(client);
    assert_refused("client_connections", 3, 3);
    keep_histories();
    reload();
    ck_assert_int_eq(reputed(client), IS_NONE); /* +1 -1 */
}
END_TEST

START_TEST(without_a_half_life_there_is_no_history)
{
    limit_block_id block = custom_in(RULES_SERVICE, "probe", COUNT_SESSIONS, PER_CLIENT, 1000, 0);
    rules_set_term(builder, block, TERM_MODE, MODE_MONITOR);
    rules_set_term(builder, block, TERM_MAX_BAD, 2);
    start_probing();
    for (int i = 0; i < 9; i++)
        unknown(connect_from(client));
    ck_assert_int_eq(reputed(client), IS_NONE);
    ck_assert_uint_eq(engine_totals(engine).keys, 0);
}
END_TEST

START_TEST(histories_outlive_windows)
{
    keep_histories();
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 100);
    start();
    session_id id = connect_from(client);
    for (int i = 0; i < 4; i++)
        deliver(id, "a@b");
    leave(id);
    now += HOUR;
    engine_sweep(engine, now);
    ck_assert_uint_eq(engine_totals(engine).keys, 1);
    now += 20 * HOUR;
    engine_sweep(engine, now);
    ck_assert_uint_eq(engine_totals(engine).keys, 0);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("histories");
    TCase *histories = test_case(suite, "histories");
    tcase_add_checked_fixture(histories, case_setup, case_teardown);
    tcase_add_test(histories, good_histories);
    tcase_add_test(histories, bad_histories);
    tcase_add_test(histories, a_session_that_was_refused_is_not_clean);
    tcase_add_test(histories, what_others_share_lowers_nothing);
    tcase_add_loop_test(histories, what_is_the_clients_own_lowers_it, 0, 4);
    tcase_add_test(histories, refused_connections_lower_it);
    tcase_add_test(histories, without_a_half_life_there_is_no_history);
    tcase_add_test(histories, histories_outlive_windows);
    return suite;
}
