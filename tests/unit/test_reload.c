/*
 * test_reload.c: a change of rules under open sessions. Links all of src/engine.
 */
#include "check_main.h"
#include "engine_case.h"
#include "prng.h"

#include <string.h>

struct caps {
    int64_t service, mx, rest, client; /* 0: not set */
    const char *mx_peer;               /* a peer of mx with a cap of 5 */
    unsigned client_bits;              /* 0: 32 */
    bool no_mx;
};

/* A listener "mx" and one for everything else. */
static void describe(const struct caps *caps)
{
    scope_id rest = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    if (!caps->no_mx) {
        scope_id mx = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
        rules_set_daemon_name(builder, mx, "mx");
        rules_set(builder, mx, SETTING_LISTENER_SESSIONS, caps->mx);
        if (caps->mx_peer) {
            struct prefix block = prefix_of(caps->mx_peer);
            scope_id peer = rules_add_scope(builder, SCOPE_PEER, mx, caps->mx_peer);
            rules_add_prefix(builder, peer, &block);
            rules_set(builder, peer, SETTING_LISTENER_SESSIONS, 5);
        }
    }
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, caps->service);
    rules_set(builder, rest, SETTING_LISTENER_SESSIONS, caps->rest);
    if (caps->client)
        limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, caps->client);
    if (caps->client_bits)
        rules_set_client_prefix(builder, caps->client_bits, 64);
}

static void start_caps(const struct caps *caps, uint32_t records)
{
    describe(caps);
    start_with(records, 64);
}

static struct tally *begin(const struct caps *caps)
{
    describe(caps);
    return begin_reload();
}

static void reload_caps(const struct caps *caps)
{
    describe(caps);
    reload();
}

static session_id connect_number(uint32_t number, const char *daemon_name)
{
    struct connect_event event = {
        .client = {.hi = (uint64_t)(UINT32_C(0x0a000000) + number) << 32, .family = ADDR_IPV4},
        .daemon_name = daemon_name};
    session_id id;
    memset(&verdict, 0xee, sizeof verdict);
    engine_connect(engine, &event, now, &id, &verdict);
    return id;
}

START_TEST(counts_are_kept)
{
    start_caps(&(struct caps){.service = 10, .mx = 6}, 100);
    session_id ids[8];
    for (uint32_t i = 0; i < 8; i++)
        ids[i] = connect_number(i, i < 5 ? "mx" : NULL);
    reload_caps(&(struct caps){.service = 20, .mx = 7, .client = 1, .mx_peer = "10.0.0.0/30"});
    ck_assert_uint_eq(counter("service").count, 8);
    ck_assert_uint_eq(counter("service").max, 20);
    ck_assert_uint_eq(counter("listener[mx]").count, 5);
    ck_assert_uint_eq(counter("listener[mx]/peer[10.0.0.0/30]").count, 4); /* as if the peer had always been there */
    ck_assert_uint_eq(counter("listener[default]").count, 3);
    ck_assert_uint_eq(engine_totals(engine).clients, 8);
    connect_number(7, NULL);
    ck_assert_int_eq(verdict.findings[0].limit, LIMIT_CLIENT_SESSIONS); /* a client that came under the old rules */
    for (int i = 0; i < 8; i++)
        ck_assert(engine_close(engine, ids[i], now)); /* handles live on */
    ck_assert_uint_eq(counter("service").count, 0);
    ck_assert_uint_eq(counter("listener[mx]/peer[10.0.0.0/30]").count, 0);
    ck_assert_uint_eq(engine_totals(engine).clients, 0);
}
END_TEST

START_TEST(a_lower_cap_evicts_nobody)
{
    session_id ids[6];
    start_caps(&(struct caps){.service = 6}, 100);
    for (uint32_t i = 0; i < 6; i++)
        ids[i] = connect_number(i, NULL);
    reload_caps(&(struct caps){.service = 3});
    ck_assert_uint_eq(counter("service").count, 6);
    for (int left = 6; left > 3; left--) {
        engine_close(engine, connect_number(9, NULL), now);
        ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
        ck_assert_uint_eq(verdict.findings[0].count, left);
        ck_assert_uint_eq(verdict.findings[0].max, 3);
        engine_close(engine, ids[left - 1], now);
    }
    engine_close(engine, connect_number(9, NULL), now);
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    engine_close(engine, ids[2], now);
    connect_number(9, NULL);
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
}
END_TEST

START_TEST(pending_sessions_move_along)
{
    start_caps(&(struct caps){.service = 1, .mx = 1}, 100);
    session_id in = connect_number(0, "mx"), first = connect_number(1, "mx"), second = connect_number(2, "mx");
    ck_assert_uint_eq(counter("listener[mx]").pending, 2);
    reload_caps(&(struct caps){.service = 1, .no_mx = true});
    ck_assert_uint_eq(counter("listener[default]").pending, 2); /* the listener is gone; they await their HELO still */
    ck_assert_uint_eq(counter("listener[default]").count, 1);
    ck_assert_uint_eq(engine_totals(engine).pending, 2);
    engine_spoken(engine, first);
    ck_assert_uint_eq(counter("listener[default]").pending, 1);
    reload_caps(&(struct caps){.service = 1, .mx = 1});
    ck_assert_uint_eq(counter("listener[mx]").pending, 1);
    ck_assert(engine_close(engine, second, now) && engine_close(engine, in, now));
    ck_assert_uint_eq(counter("listener[mx]").pending, 0);
    ck_assert_uint_eq(engine_totals(engine).sessions, 0);
}
END_TEST

START_TEST(a_wider_client_is_counted_anew)
{
    session_id ids[6];
    start_caps(&(struct caps){.client = 3}, 100);
    for (uint32_t i = 0; i < 6; i++)
        ids[i] = connect_number(i, NULL);
    ck_assert_uint_eq(engine_totals(engine).clients, 6);
    reload_caps(&(struct caps){.client = 3, .client_bits = 24});
    ck_assert_uint_eq(engine_totals(engine).clients, 1);
    connect_number(99, NULL);
    ck_assert_int_eq(verdict.findings[0].limit, LIMIT_CLIENT_SESSIONS);
    ck_assert_uint_eq(verdict.findings[0].count, 6);
    for (int i = 0; i < 6; i++)
        engine_close(engine, ids[i], now);
    ck_assert_uint_eq(engine_totals(engine).clients, 0);
}
END_TEST

START_TEST(the_old_rules_decide_until_the_end)
{
    start_caps(&(struct caps){.service = 2}, 100);
    connect_number(0, NULL);
    struct tally *next = begin(&(struct caps){.service = 1});
    connect_number(1, NULL);
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    ck_assert(engine_reload_step(engine, next));
    connect_number(2, NULL);
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    ck_assert_uint_eq(verdict.findings[0].max, 2);
    finish_reload();
    connect_number(3, NULL);
    ck_assert_uint_eq(verdict.findings[0].max, 1);
    ck_assert_uint_eq(verdict.findings[0].count, 2);
}
END_TEST

START_TEST(sessions_come_and_go_between_the_steps)
{
    enum { RECORDS = 4000 };
    static session_id ids[RECORDS];
    struct prng prng = prng_seeded(9);
    uint32_t open = 0, mx = 0, steps = 0;
    static bool in_mx[RECORDS];

    start_caps(&(struct caps){.client = 100000}, RECORDS);
    for (; open < 3500; open++) {
        in_mx[open] = prng_below(&prng, 2);
        ids[open] = connect_number(open, in_mx[open] ? "mx" : NULL);
        mx += in_mx[open];
    }
    struct tally *next = begin(&(struct caps){.client = 100000, .mx = 9000, .rest = 9000});
    for (bool done = false; !done; steps++) {
        done = engine_reload_step(engine, next);
        for (int i = 0; i < 600; i++) { /* in records that are derived already, that are not yet, and in new ones */
            uint32_t which = prng_below(&prng, open);
            if (prng_below(&prng, 2) && open < RECORDS) {
                in_mx[open] = prng_below(&prng, 2);
                ids[open] = connect_number(10000 + prng_below(&prng, 50), in_mx[open] ? "mx" : NULL);
                mx += in_mx[open++];
            } else {
                ck_assert(engine_close(engine, ids[which], now));
                mx -= in_mx[which];
                ids[which] = ids[--open];
                in_mx[which] = in_mx[open];
            }
        }
    }
    ck_assert_uint_ge(steps, 3500 / ENGINE_BATCH);
    finish_reload();
    ck_assert_uint_eq(counter("service").count, open);
    ck_assert_uint_eq(counter("listener[mx]").count, mx);
    ck_assert_uint_eq(counter("listener[default]").count, open - mx);
    while (open > 0)
        ck_assert(engine_close(engine, ids[--open], now));
    ck_assert_uint_eq(counter("service").count, 0);
    ck_assert_uint_eq(counter("listener[mx]").count, 0);
    ck_assert_uint_eq(counter("listener[default]").count, 0);
    ck_assert_uint_eq(engine_totals(engine).clients, 0);
}
END_TEST

START_TEST(an_abandoned_reload_changes_nothing)
{
    start_caps(&(struct caps){.service = 1}, 100);
    session_id in = connect_number(0, NULL);
    struct tally *next = begin(&(struct caps){.service = 5});
    engine_retired_free(&next);
    connect_number(1, NULL);
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    ck_assert(engine_close(engine, in, now));
    next = begin(&(struct caps){.service = 5});
    engine_reload_step(engine, next); /* and an engine may end in the middle of one: nothing leaks */
}
END_TEST

START_TEST(crossings_live_through_it)
{
    struct crossing_report reports[2];
    start_caps(&(struct caps){.service = 1}, 100);
    connect_number(0, NULL);
    engine_close(engine, connect_number(1, NULL), now);
    ck_assert(verdict.findings[0].crossing);
    reload_caps(&(struct caps){.service = 1, .client = 7});
    engine_close(engine, connect_number(2, NULL), now);
    ck_assert(!verdict.findings[0].crossing);
    ck_assert_uint_eq(engine_crossings_over(engine, now, true, reports, 2), 1);
    ck_assert_uint_eq(reports[0].refused, 2);
}
END_TEST

/* ---- what is kept of limits ---- */

static const char *const client = "192.0.2.1";

START_TEST(windows_and_bans_live_through_it)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 2);
    rules_set_term(builder, block, TERM_BAN, HOUR);
    start();
    leave(connect_from(client));
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 7); /* another limit beside it */
    block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 2);
    rules_set_term(builder, block, TERM_BAN, HOUR);
    reload();
    leave(connect_from(client));
    assert_passed();
    connect_from(client);
    assert_refused("client_connections", 2, 2);
    now += 600 * SECOND; /* the window is empty, the ban goes on */
    block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 5);
    rules_set_term(builder, block, TERM_BAN, 2 * HOUR);
    reload();
    connect_from(client);
    assert_refused("client_connections", 0, 5);
    ck_assert(verdict.findings[0].banned && !verdict.findings[0].ban_began);
    ck_assert_int_le(verdict.findings[0].ban_left_ns, HOUR - 600 * SECOND + TICK);
}
END_TEST

START_TEST(a_longer_window_remembers_what_it_can)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 3);
    start();
    for (int i = 0; i < 3; i++)
        leave(connect_from(client));
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1000); /* wider cells, too */
    rules_set_term(builder, block, TERM_WINDOW, HOUR);
    reload();
    for (int i = 0; i < 997; i++) {
        leave(connect_from(client));
        ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    }
    connect_from(client);
    assert_refused("client_connections", 1000, 1000);
    now += HOUR - SECOND;
    connect_from(client);
    assert_refused("client_connections", 1000, 1000);
}
END_TEST

START_TEST(a_custom_limit_keeps_its_count_under_another_number)
{
    custom_in(RULES_SERVICE, "mine", COUNT_MESSAGES, PER_CLIENT, 1, HOUR);
    start();
    session_id id = connect_from(client);
    mail(id, "a@example.org");
    mail(id, "a@example.org");
    assert_refused("mine", 1, 1);
    custom_in(RULES_SERVICE, "another", COUNT_MESSAGES, PER_CLIENT, 1, HOUR); /* takes its number */
    custom_in(RULES_SERVICE, "mine", COUNT_MESSAGES, PER_CLIENT, 1, HOUR);
    reload();
    mail(id, "a@example.org");
    assert_refused("mine", 1, 1);
    ck_assert_uint_eq(limit_done("mine").actions[ACTION_REFUSE], 2);
    ck_assert_uint_eq(limit_done("another").actions[ACTION_REFUSE], 0);
}
END_TEST

/* That something would have refused the session, if it were not only monitored, does not take its user from it. */
START_TEST(slots_of_users_stay_with_who_was_over_something_monitored)
{
    custom_in(RULES_SERVICE, "user_sessions", COUNT_SESSIONS, PER_USER, 1, 0);
    rules_set_term(builder, limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1), TERM_MODE, MODE_MONITOR);
    start();
    connect_from(client);
    session_id over = connect_from(client), other = connect_from("192.0.2.2");
    said.user = "joe";
    mail(over, "");
    assert_passed();
    mail(other, "");
    assert_refused("user_sessions", 1, 1);
    leave(other);
    custom_in(RULES_SERVICE, "user_sessions", COUNT_SESSIONS, PER_USER, 1, 0);
    reload();
    said.user = NULL;
    other = connect_from("192.0.2.2");
    said.user = "joe";
    mail(other, "");
    assert_refused("user_sessions", 1, 1);
}
END_TEST

START_TEST(slots_of_users_and_domains_are_counted_anew)
{
    start();
    session_id first = connect_as(client, "example.org", NULL);
    said.user = "joe";
    mail(first, "");
    connect_as("192.0.2.2", "example.org", NULL);
    custom_in(RULES_SERVICE, "user_sessions", COUNT_SESSIONS, PER_USER, 1, 0);
    custom_in(RULES_SERVICE, "domain_sessions", COUNT_SESSIONS, PER_CLIENT_DOMAIN, 3, 0);
    reload(); /* as if the limits had always been there */
    session_id third = connect_as("192.0.2.3", "example.org", NULL);
    assert_passed();
    connect_as("192.0.2.4", "example.org", NULL);
    assert_refused("domain_sessions", 3, 3);
    said.user = "joe";
    mail(third, "");
    assert_refused("user_sessions", 1, 1);
    leave(first);
    mail(third, "");
    assert_passed();
    connect_as("192.0.2.4", "example.org", NULL);
    assert_passed();
}
END_TEST

START_TEST(users_that_come_between_the_steps_are_counted_once)
{
    custom_in(RULES_SERVICE, "user_sessions", COUNT_SESSIONS, PER_USER, 9, 0);
    start();
    session_id ids[2];
    for (int i = 0; i < 2; i++)
        ids[i] = connect_from(client);
    custom_in(RULES_SERVICE, "user_sessions", COUNT_SESSIONS, PER_USER, 2, 0);
    struct tally *next = begin_reload();
    said.user = "joe";
    mail(ids[0], ""); /* before it is derived, */
    ck_assert(engine_reload_step(engine, next));
    mail(ids[0], "");
    mail(ids[1], ""); /* and after */
    finish_reload();
    session_id third = connect_from(client);
    said.user = "joe";
    mail(third, "");
    assert_refused("user_sessions", 2, 2);
    leave(ids[0]);
    mail(third, "");
    assert_passed();
}
END_TEST

START_TEST(points_are_kept_by_name)
{
    char text[SCORE_TEXT_SIZE];
    limit_block_id block = custom_in(RULES_SERVICE, "gone", COUNT_MESSAGES, PER_SESSION, 1, 0);
    rules_set_term(builder, block, TERM_MODE, MODE_SCORE);
    block = custom_in(RULES_SERVICE, "mine", COUNT_MESSAGES, PER_SESSION, 2, 0);
    rules_set_term(builder, block, TERM_MODE, MODE_SCORE);
    rules_set_term(builder, block, TERM_POINTS, 5);
    start();
    session_id id = connect_from(client), second = connect_from(client);
    for (int i = 0; i < 3; i++)
        mail(id, "");
    for (int i = 0; i < 2; i++)
        mail(second, "");
    ck_assert(engine_score(engine, id, text));
    ck_assert_str_eq(text, "6 (gone=1, mine=5)");
    block = custom_in(RULES_SERVICE, "mine", COUNT_MESSAGES, PER_SESSION, 1, 0);
    rules_set_term(builder, block, TERM_MODE, MODE_SCORE);
    rules_set_term(builder, block, TERM_POINTS, 7);
    reload();
    ck_assert(engine_score(engine, id, text));
    ck_assert_str_eq(text, "7 (mine=7)");           /* the points that the rules now give */
    ck_assert(!engine_score(engine, second, text)); /* it had those of the limit that is gone */
    mail(id, "");
    assert_passed(); /* it has them already */
}
END_TEST

START_TEST(who_was_over_takes_no_slot_of_what_is_monitored)
{
    rules_set_monitor(builder, true);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 9);
    start();
    connect_from(client);
    connect_from(client);
    assert_monitored("service_sessions", 1, 1);
    ck_assert_uint_eq(counter("service").count, 1);
    rules_set_monitor(builder, true);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 2);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 9);
    reload();
    ck_assert_uint_eq(counter("service").count, 1);
    ck_assert_uint_eq(engine_totals(engine).clients, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 2);
    reload(); /* no longer a dry run: what is open is open */
    ck_assert_uint_eq(counter("service").count, 2);
    connect_from(client);
    assert_refused("client_sessions", 2, 2);
}
END_TEST

static void describe_watched(void)
{
    rules_set_term(builder, custom_in(RULES_SERVICE, "watched", COUNT_SESSIONS, PER_CLIENT, 9, 0), TERM_MODE,
                   MODE_MONITOR);
    rules_set_term(builder, limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_UNKNOWN_COMMANDS, 1), TERM_MODE, MODE_MONITOR);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 9);
}

START_TEST(slots_that_were_given_back_stay_given_back)
{
    describe_watched();
    start();
    session_id first = connect_from(client), second = connect_from(client);
    ck_assert_uint_eq(engine_totals(engine).clients, 2); /* the client's, in two limits */
    for (int i = 0; i < 2; i++)
        unknown(first);
    describe_watched();
    struct tally *next = begin_reload();
    ck_assert(engine_reload_step(engine, next));
    for (int i = 0; i < 2; i++) /* when it has been derived already */
        unknown(second);
    ck_assert_uint_eq(engine_totals(engine).clients, 1);
    finish_reload();
    ck_assert_uint_eq(engine_totals(engine).clients, 1);
    leave(first);
    leave(second);
    ck_assert_uint_eq(engine_totals(engine).clients, 0);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("reload");
    TCase *tests = test_case(suite, "reload");
    tcase_add_checked_fixture(tests, case_setup, case_teardown);
    tcase_add_test(tests, counts_are_kept);
    tcase_add_test(tests, a_lower_cap_evicts_nobody);
    tcase_add_test(tests, pending_sessions_move_along);
    tcase_add_test(tests, a_wider_client_is_counted_anew);
    tcase_add_test(tests, the_old_rules_decide_until_the_end);
    tcase_add_test(tests, sessions_come_and_go_between_the_steps);
    tcase_add_test(tests, an_abandoned_reload_changes_nothing);
    tcase_add_test(tests, crossings_live_through_it);
    TCase *limits = test_case(suite, "limits");
    tcase_add_checked_fixture(limits, case_setup, case_teardown);
    tcase_add_test(limits, windows_and_bans_live_through_it);
    tcase_add_test(limits, a_longer_window_remembers_what_it_can);
    tcase_add_test(limits, a_custom_limit_keeps_its_count_under_another_number);
    tcase_add_test(limits, slots_of_users_stay_with_who_was_over_something_monitored);
    tcase_add_test(limits, slots_of_users_and_domains_are_counted_anew);
    tcase_add_test(limits, users_that_come_between_the_steps_are_counted_once);
    tcase_add_test(limits, points_are_kept_by_name);
    tcase_add_test(limits, who_was_over_takes_no_slot_of_what_is_monitored);
    tcase_add_test(limits, slots_that_were_given_back_stay_given_back);
    return suite;
}
