/*
 * test_engine.c: sessions and verdicts. Links all of src/engine.
 */
#include "check_main.h"
#include "engine_case.h"

#include <string.h>

struct caps {
    int64_t service, listener, peer, client, refuse_pending; /* 0: not set */
    enum refuse_at refuse_at;
};

/* One listener for everything ("listener[default]"), in it a peer 10.0.0.0/8; a listener "mx" beside it. */
static void describe(const struct caps *caps)
{
    struct prefix block = prefix_of("10.0.0.0/8");

    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    scope_id peer = rules_add_scope(builder, SCOPE_PEER, listener, "10.0.0.0/8");
    scope_id named = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    rules_add_prefix(builder, peer, &block);
    rules_set_daemon_name(builder, named, "mx");
    if (caps->service)
        rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, caps->service);
    if (caps->listener)
        rules_set(builder, listener, SETTING_LISTENER_SESSIONS, caps->listener);
    if (caps->peer)
        rules_set(builder, peer, SETTING_LISTENER_SESSIONS, caps->peer);
    if (caps->client)
        limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, caps->client);
    if (caps->refuse_pending)
        rules_set(builder, RULES_SERVICE, SETTING_REFUSE_PENDING, caps->refuse_pending);
    rules_set(builder, RULES_SERVICE, SETTING_REFUSE_AT, caps->refuse_at);
    rules_set(builder, RULES_SERVICE, SETTING_DISCONNECT_DELAY, 3 * SECOND);
}

static void start_caps(const struct caps *caps, uint32_t records)
{
    describe(caps);
    start_with(records, 64);
}

static session_id connect_number(uint32_t number)
{
    struct connect_event event = {
        .client = {.hi = (uint64_t)(UINT32_C(0xc6000000) + number) << 32, .family = ADDR_IPV4}};
    session_id id;
    engine_connect(engine, &event, now, &id, &verdict);
    return id;
}

static session_id admit(const char *client)
{
    session_id id = connect_from(client);
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    ck_assert_uint_eq(verdict.finding_count, 0);
    ck_assert_int_eq(verdict.findings[0].limit, LIMIT_NONE);
    ck_assert_uint_ne(id, 0);
    return id;
}

static session_id refuse(const char *client, enum limit_id limit, const char *scope, uint32_t count, uint32_t max)
{
    session_id id = connect_from(client);
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    ck_assert_int_eq(verdict.findings[0].limit, limit);
    ck_assert_str_eq(verdict.findings[0].scope, scope);
    ck_assert_uint_eq(verdict.findings[0].count, count);
    ck_assert_uint_eq(verdict.findings[0].max, max);
    ck_assert_int_eq(verdict.delay_ns, 3 * SECOND);
    ck_assert((id != 0) == (verdict.speak_at == REFUSE_AT_HELO));
    return id;
}

static void assert_counts(uint32_t service, uint32_t listener, uint32_t peer, uint32_t clients)
{
    ck_assert_uint_eq(counter("service").count, service);
    ck_assert_uint_eq(counter("listener[default]").count, listener);
    ck_assert_uint_eq(counter("listener[default]/peer[10.0.0.0/8]").count, peer);
    ck_assert_uint_eq(engine_totals(engine).clients, clients);
}

static void assert_empty(void)
{
    struct engine_totals totals = engine_totals(engine);
    assert_counts(0, 0, 0, 0);
    ck_assert_uint_eq(counter("listener[mx]").count, 0);
    ck_assert_uint_eq(counter("listener[default]").pending, 0);
    ck_assert_uint_eq(totals.sessions, 0);
    ck_assert_uint_eq(totals.pending, 0);
}

START_TEST(exactly_n_are_in)
{
    session_id ids[10];
    start_caps(&(struct caps){.service = 10, .refuse_pending = 1}, 100);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 10; i++)
            ids[i] = admit("192.0.2.1");
        for (int i = 0; i < 10; i++) {
            session_id id = refuse("192.0.2.1", LIMIT_SERVICE_SESSIONS, "service", 10, 10);
            assert_counts(10, 10, 0, 0);
            engine_close(engine, id, now);
        }
        ck_assert(engine_close(engine, ids[3], now)); /* a slot is free at once */
        ids[3] = admit("192.0.2.2");
        engine_spoken(engine, refuse("192.0.2.2", LIMIT_SERVICE_SESSIONS, "service", 10, 10));
        for (int i = 0; i < 10; i++)
            ck_assert(engine_close(engine, ids[i], now));
        assert_empty();
    }
}
END_TEST

START_TEST(all_slots_or_none)
{
    start_caps(&(struct caps){.service = 6, .listener = 5, .peer = 3, .client = 2}, 100);
    session_id first = admit("10.0.0.1");
    admit("10.0.0.1");
    assert_counts(2, 2, 2, 1);
    refuse("10.0.0.1", LIMIT_CLIENT_SESSIONS, "service", 2, 2);
    assert_counts(2, 2, 2, 1);
    admit("10.0.0.2");
    refuse("10.0.0.3", LIMIT_LISTENER_SESSIONS, "listener[default]/peer[10.0.0.0/8]", 3, 3);
    assert_counts(3, 3, 3, 2); /* the refused client is not counted as one either */
    admit("192.0.2.1");
    admit("192.0.2.2");
    refuse("192.0.2.3", LIMIT_LISTENER_SESSIONS, "listener[default]", 5, 5);
    refuse("10.0.0.3", LIMIT_LISTENER_SESSIONS, "listener[default]/peer[10.0.0.0/8]", 3,
           3); /* the narrowest is named */
    assert_counts(5, 5, 3, 4);
    connect_as("192.0.2.4", NULL, "mx");
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    connect_as("192.0.2.5", NULL, "mx");
    ck_assert_int_eq(verdict.findings[0].limit, LIMIT_SERVICE_SESSIONS);
    ck_assert_uint_eq(counter("listener[mx]").count, 1);
    assert_counts(6, 5, 3, 5);
    engine_close(engine, first, now);
    assert_counts(5, 4, 2, 5);
}
END_TEST

START_TEST(verdicts_name_the_client_as_counted)
{
    char text[PREFIX_TEXT_SIZE];
    start_caps(&(struct caps){.service = 2, .client = 1}, 100);
    admit("2001:db8::1");
    refuse("2001:db8::2", LIMIT_CLIENT_SESSIONS, "service", 1, 1); /* one client is a /64 */
    ck_assert_str_eq(prefix_format(&verdict.findings[0].client, text), "2001:db8::/64");
    admit("2001:db8:0:1::1");
    refuse("2001:db8:0:2::1", LIMIT_SERVICE_SESSIONS, "service", 2, 2);
    ck_assert_str_eq(prefix_format(&verdict.findings[0].client, text), "2001:db8:0:2::1");
    refuse("", LIMIT_SERVICE_SESSIONS, "service", 2, 2);
    ck_assert_int_eq(verdict.findings[0].client.addr.family, ADDR_NONE);
}
END_TEST

START_TEST(no_address_no_client)
{
    start_caps(&(struct caps){.client = 1, .peer = 1}, 100);
    for (int i = 0; i < 5; i++)
        admit("");
    assert_counts(5, 5, 0, 0);
}
END_TEST

START_TEST(handles_are_good_once)
{
    start_caps(&(struct caps){.service = 2}, 100);
    session_id first = admit("192.0.2.1"), second = admit("192.0.2.1");
    ck_assert_uint_ne(first, second);
    ck_assert(engine_close(engine, first, now));
    ck_assert(!engine_close(engine, first, now));
    assert_counts(1, 1, 0, 0);
    session_id third = admit("192.0.2.1"); /* in the same record, perhaps */
    ck_assert(third != first && third != second);
    ck_assert(!engine_close(engine, first, now));
    engine_spoken(engine, first);
    engine_spoken(engine, third); /* without effect on a session that was let in */
    assert_counts(2, 2, 0, 0);
    const session_id garbage[] = {
        0, 1u << 31, UINT32_MAX, UINT64_MAX, third + 1, third ^ (session_id)1 << 63, third << 32, (session_id)1 << 32};
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        if (garbage[i] == second || garbage[i] == third)
            continue;
        engine_spoken(engine, garbage[i]);
        ck_assert(!engine_close(engine, garbage[i], now));
    }
    assert_counts(2, 2, 0, 0);
    ck_assert(engine_close(engine, second, now) && engine_close(engine, third, now));
    assert_empty();
}
END_TEST

START_TEST(handles_do_not_come_back)
{
    enum { ROUNDS = 2000 };
    static session_id seen[ROUNDS];
    start_caps(&(struct caps){.service = 1}, 3);
    for (int i = 0; i < ROUNDS; i++) {
        seen[i] = admit("192.0.2.1");
        for (int j = 0; j < i; j++)
            ck_assert_uint_ne(seen[i], seen[j]);
        engine_close(engine, seen[i], now);
    }
}
END_TEST

START_TEST(refused_sessions_may_await_their_helo)
{
    start_caps(&(struct caps){.service = 1, .refuse_pending = 2}, 100);
    session_id in = admit("192.0.2.1");
    session_id first = refuse("192.0.2.1", LIMIT_SERVICE_SESSIONS, "service", 1, 1);
    session_id second = refuse("192.0.2.1", LIMIT_SERVICE_SESSIONS, "service", 1, 1);
    ck_assert(first != 0 && second != 0);
    ck_assert_uint_eq(counter("listener[default]").pending, 2);
    ck_assert_uint_eq(engine_totals(engine).pending, 2);
    ck_assert_uint_eq(engine_totals(engine).sessions, 3);
    assert_counts(1, 1, 0, 0); /* they hold no slot */
    ck_assert_uint_eq(refuse("192.0.2.1", LIMIT_SERVICE_SESSIONS, "service", 1, 1), 0);
    ck_assert_int_eq(verdict.speak_at, REFUSE_AT_CONNECT);
    session_id other = connect_as("192.0.2.1", NULL, "mx"); /* a budget for each listener */
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    ck_assert_int_eq(verdict.speak_at, REFUSE_AT_HELO);
    ck_assert_uint_eq(counter("listener[mx]").pending, 1);
    engine_spoken(engine, first);
    engine_spoken(engine, first); /* told once, freed once */
    ck_assert_uint_eq(counter("listener[default]").pending, 1);
    ck_assert(!engine_close(engine, first, now));
    ck_assert_uint_eq(counter("listener[default]").pending, 1);
    ck_assert(engine_close(engine, second, now)); /* it left without a HELO */
    ck_assert_uint_eq(counter("listener[default]").pending, 0);
    ck_assert_uint_ne(refuse("192.0.2.1", LIMIT_SERVICE_SESSIONS, "service", 1, 1), 0);
    engine_spoken(engine, other);
    engine_close(engine, in, now);
    assert_counts(0, 0, 0, 0);
    ck_assert_uint_eq(engine_totals(engine).pending, 1);
}
END_TEST

START_TEST(refused_at_connect_leaves_no_record)
{
    start_caps(&(struct caps){.service = 1, .refuse_at = REFUSE_AT_CONNECT}, 100);
    admit("192.0.2.1");
    for (int i = 0; i < 50; i++) {
        ck_assert_uint_eq(refuse("192.0.2.1", LIMIT_SERVICE_SESSIONS, "service", 1, 1), 0);
        ck_assert_int_eq(verdict.speak_at, REFUSE_AT_CONNECT);
    }
    ck_assert_uint_eq(engine_totals(engine).sessions, 1);
}
END_TEST

START_TEST(without_a_bound_any_number_may_pend)
{
    start_caps(&(struct caps){.service = 1}, 100);
    admit("192.0.2.1");
    for (int i = 0; i < 99; i++)
        ck_assert_uint_ne(refuse("192.0.2.1", LIMIT_SERVICE_SESSIONS, "service", 1, 1), 0);
    ck_assert_uint_eq(refuse("192.0.2.1", LIMIT_SERVICE_SESSIONS, "service", 1, 1), 0); /* no record is left */
}
END_TEST

START_TEST(a_full_table_lets_in_uncounted_and_says_so)
{
    session_id ids[4];
    start_caps(&(struct caps){.service = 100, .client = 4}, 4);
    for (int i = 0; i < 4; i++)
        ids[i] = admit("192.0.2.1");
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(connect_from("192.0.2.2"), 0);
        ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
        ck_assert_int_eq(verdict.findings[0].limit, LIMIT_SESSION_TABLE);
        ck_assert_str_eq(verdict.findings[0].scope, "service");
        ck_assert_uint_eq(verdict.findings[0].count, 4);
        ck_assert_uint_eq(verdict.findings[0].max, 4);
        ck_assert_int_eq(verdict.findings[0].crossing, i == 0);
    }
    assert_counts(4, 4, 0, 1);
    refuse("192.0.2.1", LIMIT_CLIENT_SESSIONS, "service", 4, 4); /* a cap holds all the same, and is told at connect */
    ck_assert_int_eq(verdict.speak_at, REFUSE_AT_CONNECT);
    engine_close(engine, ids[0], now);
    admit("192.0.2.2");
    assert_counts(4, 4, 0, 2);
}
END_TEST

START_TEST(records_of_refused_sessions_are_bounded_too)
{
    start_caps(&(struct caps){.service = 1, .refuse_pending = 100}, 4);
    admit("192.0.2.1");
    for (int i = 0; i < 3; i++)
        ck_assert_uint_ne(refuse("192.0.2.1", LIMIT_SERVICE_SESSIONS, "service", 1, 1), 0);
    ck_assert_uint_eq(refuse("192.0.2.1", LIMIT_SERVICE_SESSIONS, "service", 1, 1), 0);
    ck_assert_uint_eq(engine_totals(engine).sessions, 4);
    ck_assert_uint_eq(engine_totals(engine).session_records, 4);
}
END_TEST

START_TEST(crossings_are_told_once_and_when_over)
{
    struct crossing_report reports[4];
    start_caps(&(struct caps){.service = 1}, 100);
    session_id in = admit("192.0.2.1");
    refuse("192.0.2.2", LIMIT_SERVICE_SESSIONS, "service", 1, 1);
    ck_assert(verdict.findings[0].crossing);
    now += SECOND;
    refuse("192.0.2.3", LIMIT_SERVICE_SESSIONS, "service", 1, 1);
    ck_assert(!verdict.findings[0].crossing);
    ck_assert_uint_eq(engine_totals(engine).crossings, 1);
    engine_close(engine, in, now);
    in = admit("192.0.2.1"); /* a free slot between does not end it */
    refuse("192.0.2.3", LIMIT_SERVICE_SESSIONS, "service", 1, 1);
    ck_assert(!verdict.findings[0].crossing);
    ck_assert_uint_eq(engine_crossings_over(engine, now + ENGINE_CROSSING_QUIET_NS - 1, false, reports, 4), 0);
    ck_assert_uint_eq(engine_crossings_over(engine, now + ENGINE_CROSSING_QUIET_NS, false, reports, 4), 1);
    ck_assert_str_eq(reports[0].name, "service_sessions");
    ck_assert_int_eq(reports[0].action, ACTION_REFUSE);
    ck_assert_str_eq(reports[0].scope, "service");
    ck_assert_int_eq(reports[0].client.addr.family, ADDR_NONE);
    ck_assert_uint_eq(reports[0].refused, 3);
    ck_assert_uint_eq(reports[0].clients, 2);
    ck_assert_int_eq(reports[0].lasted_ns, SECOND);
    ck_assert_uint_eq(engine_totals(engine).crossings, 0);
    refuse("192.0.2.3", LIMIT_SERVICE_SESSIONS, "service", 1, 1);
    ck_assert(verdict.findings[0].crossing);
}
END_TEST

START_TEST(each_client_crosses_by_itself)
{
    struct crossing_report reports[4];
    char text[PREFIX_TEXT_SIZE];
    start_caps(&(struct caps){.client = 1}, 100);
    for (int i = 0; i < 2; i++) {
        const char *client = i ? "192.0.2.1" : "192.0.2.2";
        admit(client);
        refuse(client, LIMIT_CLIENT_SESSIONS, "service", 1, 1);
        ck_assert(verdict.findings[0].crossing);
        refuse(client, LIMIT_CLIENT_SESSIONS, "service", 1, 1);
        ck_assert(!verdict.findings[0].crossing);
    }
    ck_assert_uint_eq(engine_crossings_over(engine, now, true, reports, 4), 2);
    ck_assert_str_eq(prefix_format(&reports[0].client, text), "192.0.2.2");
    ck_assert_str_eq(prefix_format(&reports[1].client, text), "192.0.2.1");
    ck_assert_uint_eq(reports[0].refused, 2);
}
END_TEST

START_TEST(crossings_too_many_are_counted)
{
    start_caps(&(struct caps){.client = 1}, 3000);
    for (uint32_t i = 0; i < 1003; i++) { /* three more than are followed at once */
        connect_number(i);
        engine_close(engine, connect_number(i), now);
        ck_assert_int_eq(verdict.findings[0].limit, LIMIT_CLIENT_SESSIONS);
        ck_assert(verdict.findings[0].crossing == (i < 1000));
    }
    ck_assert_uint_eq(engine_totals(engine).crossings, 1000);
    ck_assert_uint_eq(engine_crossings_unfollowed(engine), 3);
    ck_assert_uint_eq(engine_crossings_unfollowed(engine), 0);
}
END_TEST

START_TEST(counters_come_in_pages)
{
    struct counter_view one, pages[10];
    start_caps(&(struct caps){.service = 7, .listener = 8, .peer = 9}, 100);
    admit("10.0.0.1");
    size_t count = 0;
    while (engine_counters(engine, count, &one, 1) == 1)
        count++;
    ck_assert_uint_eq(count, 4);
    ck_assert_uint_eq(engine_counters(engine, 0, pages, 10), 4);
    ck_assert_uint_eq(engine_counters(engine, 3, pages, 10), 1);
    ck_assert_uint_eq(engine_counters(engine, 4, pages, 10), 0);
    ck_assert_uint_eq(engine_counters(engine, 400, pages, 10), 0);
    ck_assert_uint_eq(counter("service").max, 7);
    ck_assert_int_eq(counter("service").limit, LIMIT_SERVICE_SESSIONS);
    ck_assert_uint_eq(counter("listener[default]").max, 8);
    ck_assert_int_eq(counter("listener[default]").limit, LIMIT_LISTENER_SESSIONS);
    ck_assert_uint_eq(counter("listener[default]/peer[10.0.0.0/8]").max, 9);
    ck_assert_uint_eq(counter("listener[mx]").max, 0);
}
END_TEST

START_TEST(memory_follows_the_configuration)
{
    describe(&(struct caps){.service = 1});
    struct rules *rules = build_rules();
    struct engine_memory small = engine_memory(1, 1, false, false, rules),
                         large = engine_memory(100001, 1, false, false, rules),
                         watched = engine_memory(1, 1, false, true, rules),
                         largest = engine_memory(ENGINE_SESSIONS_MAX, ENGINE_TABLE_MAX, true, true, rules);
    ck_assert_uint_gt(small.per_rules, rules_bytes(rules));
    size_t a_session = (large.sessions - small.sessions) / 100000;
    ck_assert_uint_ge(a_session, 2 * sizeof(struct addr));
    ck_assert_uint_le(a_session, 288);
    ck_assert_uint_eq(large.table, small.table);
    const size_t activity = watched.table - small.table;
    ck_assert_uint_le(activity, 4 * 1024 * 1024);
    ck_assert_uint_le(largest.table, activity + (size_t)ENGINE_TABLE_MAX * 96 + 4096); /* promised: 96 bytes a key */
    ck_assert_uint_gt(largest.table, (size_t)ENGINE_TABLE_MAX * 64);
    ck_assert_uint_gt(largest.sessions, (size_t)ENGINE_SESSIONS_MAX * 32);
    ck_assert_uint_gt(largest.per_rules, (size_t)ENGINE_SESSIONS_MAX * 32);
    rules_free(&rules);
}
END_TEST

START_TEST(names_of_limits_and_actions)
{
    static const char *const names[LIMIT_NUMBERED] = {"none",
                                                      "service_sessions",
                                                      "listener_sessions",
                                                      "session_table_size",
                                                      "table_size",
                                                      "deny",
                                                      "idle_time",
                                                      "score",
                                                      "ban"};
    for (enum limit_id limit = LIMIT_NONE; limit < LIMIT_NUMBERED; limit++)
        ck_assert_str_eq(limit_name(limit), names[limit]);
    ck_assert_str_eq(limit_name(LIMIT_CLIENT_SESSIONS), "client_sessions");
    ck_assert_str_eq(limit_name(LIMIT_NUMBERED + LIMIT_NUMBER_MESSAGE_RECIPIENTS), "message_recipients");
    ck_assert_str_eq(limit_name(LIMIT_NUMBERED + LIMITS_BUILTIN), "none"); /* only the rules know its name */
    ck_assert_str_eq(action_name(ACTION_REFUSE), "refuse");
    ck_assert_str_eq(action_name(ACTION_MONITOR), "monitor");
    ck_assert_str_eq(action_name(ACTION_SCORE), "score");
    ck_assert_str_eq(action_name(ACTION_UNTRACKED), "untracked");
}
END_TEST

START_TEST(what_limits_have_done_comes_in_pages)
{
    struct limit_view pages[40];
    start_caps(&(struct caps){.service = 1}, 100);
    admit("10.0.0.1");
    connect_from("10.0.0.2");
    const size_t all = 8 + LIMITS_BUILTIN;
    ck_assert_uint_eq(engine_limits(engine, 0, pages, 40), all);
    ck_assert_str_eq(pages[0].name, "service_sessions");
    ck_assert_str_eq(pages[all - 1].name, "message_recipients");
    ck_assert_uint_eq(engine_limits(engine, all - 1, pages, 40), 1);
    ck_assert_uint_eq(engine_limits(engine, all, pages, 40), 0);
    ck_assert_uint_eq(engine_limits(engine, 0, pages, 3), 3);
    ck_assert_uint_eq(limit_done("service_sessions").actions[ACTION_REFUSE], 1);
    ck_assert_uint_eq(limit_done("listener_sessions").actions[ACTION_REFUSE], 0);
    ck_assert_uint_eq(limit_done("client_sessions").actions[ACTION_REFUSE], 0);
}
END_TEST

START_TEST(time_does_not_go_back)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    start();
    now = 5000 * SECOND;
    connect_from("192.0.2.1");
    assert_passed();
    now = 10 * SECOND; /* it stands still until the clock has caught up */
    connect_from("192.0.2.1");
    assert_refused("client_connections", 1, 1);
    now = 5000 * SECOND + 80 * SECOND;
    connect_from("192.0.2.1");
    assert_refused("client_connections", 1, 1);
    now = 5000 * SECOND + 180 * SECOND;
    connect_from("192.0.2.1");
    assert_passed();
}
END_TEST

START_TEST(a_sweep_frees_what_no_longer_matters)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    start_with(100, 64);
    session_id held = connect_from("192.0.2.1");
    leave(connect_from("192.0.2.2"));
    ck_assert_uint_eq(engine_totals(engine).keys, 2);
    engine_sweep(engine, now);
    ck_assert_uint_eq(engine_totals(engine).keys, 2); /* they still count */
    engine_sweep(engine, now + 200 * SECOND);
    ck_assert_uint_eq(engine_totals(engine).keys, 1); /* an open session holds its client's */
    now += 201 * SECOND;
    leave(held);
    engine_sweep(engine, now);
    ck_assert_uint_eq(engine_totals(engine).keys, 0);
}
END_TEST

START_TEST(a_full_table_goes_on_with_new_keys_untracked)
{
    session_id ids[4];
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    start_with(100, 4);
    for (uint32_t i = 0; i < 4; i++)
        ids[i] = connect_number(i);
    for (int i = 0; i < 3; i++) { /* all four are held by open sessions */
        ck_assert_uint_ne(connect_number(9), 0);
        ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
        assert_found("table_size", ACTION_UNTRACKED, 4, 4);
        ck_assert_int_eq(verdict.findings[0].limit, LIMIT_TABLE);
        ck_assert_int_eq(verdict.findings[0].crossing, i == 0);
    }
    ck_assert_uint_eq(engine_totals(engine).untracked, 3);
    connect_number(0);
    assert_refused("client_connections", 1, 1);
    leave(ids[1]);
    connect_number(9); /* in its place */
    assert_passed();
    ck_assert_uint_eq(engine_totals(engine).evicted, 1);
    ck_assert_uint_eq(engine_totals(engine).keys, 4);
    ck_assert_uint_eq(engine_totals(engine).table_records, 4);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("engine");
    TCase *tests = test_case(suite, "sessions");
    tcase_add_checked_fixture(tests, case_setup, case_teardown);
    tcase_add_test(tests, exactly_n_are_in);
    tcase_add_test(tests, all_slots_or_none);
    tcase_add_test(tests, verdicts_name_the_client_as_counted);
    tcase_add_test(tests, no_address_no_client);
    tcase_add_test(tests, handles_are_good_once);
    tcase_add_test(tests, handles_do_not_come_back);
    tcase_add_test(tests, refused_sessions_may_await_their_helo);
    tcase_add_test(tests, refused_at_connect_leaves_no_record);
    tcase_add_test(tests, without_a_bound_any_number_may_pend);
    tcase_add_test(tests, a_full_table_lets_in_uncounted_and_says_so);
    tcase_add_test(tests, records_of_refused_sessions_are_bounded_too);
    tcase_add_test(tests, crossings_are_told_once_and_when_over);
    tcase_add_test(tests, each_client_crosses_by_itself);
    tcase_add_test(tests, crossings_too_many_are_counted);
    tcase_add_test(tests, counters_come_in_pages);
    tcase_add_test(tests, memory_follows_the_configuration);
    tcase_add_test(tests, names_of_limits_and_actions);
    tcase_add_test(tests, what_limits_have_done_comes_in_pages);
    tcase_add_test(tests, time_does_not_go_back);
    tcase_add_test(tests, a_sweep_frees_what_no_longer_matters);
    tcase_add_test(tests, a_full_table_goes_on_with_new_keys_untracked);
    return suite;
}
