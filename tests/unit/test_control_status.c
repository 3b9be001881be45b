/*
 * test_control_status.c: /status.json, /history.json, /clients and /domains over a real engine. Links the pages and all
 * of src/engine.
 */
#include "check_main.h"
#include "control_case.h"

#include <stdio.h>

#include "engine/activity.h"

static const char *const one = "192.0.2.1", *const two = "198.51.100.2";

/* ---- /status.json ---- */

START_TEST(nothing_has_happened)
{
    serve();
    json_t *page = get(control_status, "", 200);
    assert_text(page, "file", "/etc/tidegate/tidegate.conf");
    assert_text(page, "mode", "block");
    assert_real(page, "now", 1795286000.5);
    assert_real(page, "started", 1795280000);
    assert_real(page, "reloaded", 1795281000.25);
    ck_assert(json_string_length(value_at(page, "version")) > 0);
    assert_int(page, "sessions.open", 0);
    assert_int(page, "sessions.room", 64);
    assert_int(page, "table.room", 256);
    assert_int(page, "waiting.now", 0);
    assert_int(page, "waiting.max", 100);
    assert_int(page, "latency.count", 0);
    assert_null(page, "latency.p50");
    assert_null(page, "latency.p99");
    assert_int(page, "scopes_left_out", 0);
    assert_text(page, "scopes.0.scope", "service");
    assert_text(page, "scopes.0.limit", "service_sessions");
    assert_null(page, "scopes.0.max");
    assert_size(page, "bans.list", 0);
    assert_size(page, "clients.busiest", 0);
    assert_size(page, "clients.refused", 0);
    assert_size(page, "domains.busiest", 0);
    assert_size(page, "domains.refused", 0);
    json_decref(page);
}
END_TEST

START_TEST(what_has_happened)
{
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 2);
    serve();
    session_id id = connect_from(one);
    connect_from(two);
    connect_from(two);
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    deliver(id, "a@sender.example");
    waiting_enter(control.waiting, SECOND);
    turned_away = 7;
    config.monitor = true;

    json_t *page = get(control_status, "", 200);
    assert_text(page, "mode", "monitor");
    assert_int(page, "sessions.open", 3);
    assert_int(page, "sessions.pending", 1);
    assert_int(page, "scopes.0.sessions", 2);
    assert_int(page, "scopes.0.max", 2);
    assert_text(page, "limits.0.limit", "service_sessions");
    assert_int(page, "limits.0.refused", 1);
    assert_int(page, "limits.0.monitored", 0);
    assert_int(page, "events.connect", 3);
    assert_int(page, "events.mail", 1);
    assert_int(page, "events.rcpt", 1);
    assert_int(page, "events.data", 1);
    assert_int(page, "events.message", 1);
    assert_int(page, "events.rejected", 0);
    assert_int(page, "waiting.now", 1);
    assert_int(page, "turned_away", 7);
    assert_int(page, "crossings", 1);
    assert_text(page, "clients.busiest.0.client", two);
    assert_int(page, "clients.busiest.0.connections", 2);
    assert_int(page, "clients.busiest.0.sessions", 2);
    assert_int(page, "clients.busiest.0.refused", 1);
    assert_text(page, "clients.busiest.1.client", one);
    assert_int(page, "clients.busiest.1.messages", 1);
    assert_size(page, "clients.refused", 1);
    assert_text(page, "clients.refused.0.client", two);
    assert_text(page, "domains.busiest.0.domain", "sender.example");
    assert_int(page, "domains.busiest.0.messages", 1);
    assert_size(page, "domains.refused", 0);
    json_decref(page);
    waiting_leave(control.waiting);
}
END_TEST

START_TEST(a_part_of_the_scopes)
{
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    for (unsigned i = 0; i < 500; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.0.%u.%u", i >> 8, i & 255);
        scope_id peer = rules_add_scope(builder, SCOPE_PEER, listener, text);
        const struct prefix block = prefix_of(text);
        rules_add_prefix(builder, peer, &block);
        if (i < 250)
            rules_set(builder, peer, SETTING_LISTENER_SESSIONS, 5);
    }
    serve();
    connect_from("10.0.0.240");
    json_t *page = get(control_status, "", 200);
    assert_size(page, "scopes", 200);
    assert_int(page, "scopes_left_out", 302); /* the service and the listener are scopes, too */
    /* Those with sessions are among them, in their order; then those with a cap. */
    assert_text(page, "scopes.0.scope", "service");
    assert_text(page, "scopes.199.scope", "listener[default]/peer[10.0.0.240]");
    assert_int(page, "scopes.199.sessions", 1);
    assert_int(page, "scopes.5.max", 5);
    json_decref(page);
}
END_TEST

START_TEST(percentiles_are_bounds_of_buckets)
{
    serve();
    for (int i = 0; i < 98; i++)
        latency_note(&latency, 900);
    latency_note(&latency, 15000);
    latency_note(&latency, 90000000);
    json_t *page = get(control_status, "", 200);
    assert_int(page, "latency.count", 100);
    assert_real(page, "latency.p50", 0.000001);
    assert_real(page, "latency.p99", 0.00002);
    assert_real(page, "latency.sum", (98 * 900 + 15000 + 90000000) / 1e9);
    json_decref(page);
    latency_note(&latency, 200000000);
    latency_note(&latency, 200000000);
    page = get(control_status, "", 200);
    assert_real(page, "latency.p50", 0.000001);
    assert_null(page, "latency.p99"); /* no bucket bounds it */
    json_decref(page);
}
END_TEST

START_TEST(lists_are_kept_for_two_seconds)
{
    serve();
    connect_from(one);
    json_decref(get(control_status, "", 200));
    connect_from(two);
    now += 2 * SECOND - 1;
    json_t *page = get(control_status, "", 200);
    assert_size(page, "clients.busiest", 1);
    assert_int(page, "sessions.open", 2); /* what costs no walk is of now */
    json_decref(page);
    now += 1;
    page = get(control_status, "", 200);
    assert_size(page, "clients.busiest", 2);
    json_decref(page);
    connect_from("203.0.113.3");
    page = get(control_clients, "", 200); /* nor is anything old there */
    assert_size(page, "clients", 3);
    json_decref(page);
}
END_TEST

START_TEST(bans_in_the_order_of_the_time_left)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    rules_set_term(builder, block, TERM_BAN, HOUR);
    serve();
    for (unsigned i = 0; i < 30; i++) {
        char text[32];
        snprintf(text, sizeof text, "192.0.2.%u", i);
        connect_from(text);
        connect_from(text);
        now += SECOND;
    }
    const struct ban_target target = {.name = "spam.example"};
    ck_assert_int_eq(engine_ban(engine, &target, 2 * HOUR, now), BAN_BEGUN);
    json_t *page = get(control_status, "", 200);
    assert_int(page, "bans.limits", 30);
    assert_int(page, "bans.operator", 1);
    assert_size(page, "bans.list", 20);
    assert_null(page, "bans.list.0.client");
    assert_text(page, "bans.list.0.key", "spam.example");
    assert_text(page, "bans.list.0.limit", "ban");
    assert_text(page, "bans.list.0.per", "sender_domain");
    assert_text(page, "bans.list.0.action", "refuse");
    assert_text(page, "bans.list.0.lift", "tidegate unban spam.example");
    assert_text(page, "bans.list.1.client", "192.0.2.29");
    assert_null(page, "bans.list.1.key");
    assert_text(page, "bans.list.1.limit", "client_connections");
    assert_text(page, "bans.list.1.scope", "service");
    assert_text(page, "bans.list.1.lift", "tidegate unban 192.0.2.29");
    assert_text(page, "bans.list.19.client", "192.0.2.11");
    json_decref(page);
}
END_TEST

/* "In force" is what keeps somebody out. */
START_TEST(bans_that_are_only_watched_are_counted_apart)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    rules_set_term(builder, block, TERM_BAN, HOUR);
    rules_set_term(builder, block, TERM_MODE, MODE_MONITOR);
    serve();
    const struct ban_target target = {.name = "spam.example"};
    ck_assert_int_eq(engine_ban(engine, &target, 2 * HOUR, now), BAN_BEGUN);
    connect_from("192.0.2.1");
    connect_from("192.0.2.1");
    json_t *page = get(control_status, "", 200);
    assert_int(page, "bans.limits", 0);
    assert_int(page, "bans.operator", 1);
    assert_int(page, "bans.limits_monitored", 1);
    assert_int(page, "bans.operator_monitored", 0);
    assert_size(page, "bans.list", 2);
    json_decref(page);
    rules_set_monitor(builder, true);
    reload();
    page = get(control_status, "", 200);
    assert_int(page, "bans.limits", 0);
    assert_int(page, "bans.operator", 0);
    assert_int(page, "bans.limits_monitored", 1);
    assert_int(page, "bans.operator_monitored", 1);
    json_decref(page);
}
END_TEST

/* The engine's names are what mail/names.h makes of them; here they are as odd as can be. */
START_TEST(hostile_names)
{
    config.path = (char *)"/etc/\xff\"</script>";
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    scope_id peer = rules_add_scope(builder, SCOPE_PEER, listener, "a\"\\\xc3\x28\xe2\x80\xae</script>");
    const struct prefix block = prefix_of(one);
    rules_add_prefix(builder, peer, &block);
    rules_set(builder, peer, SETTING_LISTENER_SESSIONS, 1);
    serve();
    session_id id = connect_from(one);
    mail(id, "a@\xff\xfe\"'\n\\</script>");
    json_t *page = get(control_status, "", 200);
    assert_text(page, "file", "/etc/?\"</script>");
    assert_text(page, "scopes.2.scope", "listener[default]/peer[a\"\\?(\xe2\x80\xae</script>]");
    assert_text(page, "domains.busiest.0.domain", "??\"'\n\\</script>");
    json_decref(page);

    struct ban_view ban = {.name = "x", .scope = "\xff", .per = PER_HELO, .key = "it's; rm -rf / \xff"};
    page = ban_json(&ban);
    assert_text(page, "key", "it's; rm -rf / ?");
    assert_text(page, "lift", "tidegate unban 'it'\\''s; rm -rf / ?'");
    json_decref(page);
    strcpy(ban.key, "");
    page = ban_json(&ban);
    assert_text(page, "key", ""); /* a name like any other */
    assert_text(page, "lift", "tidegate unban ''");
    json_decref(page);
    memset(ban.key, '\'', sizeof ban.key - 1);
    ban.key[0] = '-';
    page = ban_json(&ban);
    ck_assert_uint_eq(json_string_length(value_at(page, "lift")), strlen("tidegate unban -- '-'") + 4 * 254);
    json_decref(page);
    ban.per = PER_USER;
    ban.key[0] = '\'';
    page = ban_json(&ban);
    ck_assert_uint_eq(json_string_length(value_at(page, "lift")), strlen("tidegate unban 'user:'") + 4 * 255);
    json_decref(page);
}
END_TEST

START_TEST(no_parameters)
{
    serve();
    json_t *page = get(control_status, "n=5", 400);
    ck_assert_ptr_nonnull(strstr(json_string_value(value_at(page, "error")), "\"n\""));
    json_decref(page);
    json_decref(get(control_history, "x=", 400));
}
END_TEST

/* ---- /history.json ---- */

static void sample(uint32_t sessions, uint64_t refused)
{
    struct counter_view scope = {.scope = "service", .count = sessions, .max = 10};
    struct limit_view limit = {.name = "x", .actions = {[ACTION_REFUSE] = refused, [ACTION_MONITOR] = 1}};

    history_begin(history, wall);
    history_counter(history, &scope);
    if (refused > 0)
        history_limit(history, &limit);
    history_end(history);
}

START_TEST(history_of_an_hour)
{
    serve();
    json_t *page = get(control_history, "", 200);
    assert_int(page, "interval", HISTORY_INTERVAL_S);
    assert_null(page, "end");
    assert_size(page, "scopes", 0);
    assert_size(page, "limits", 0);
    json_decref(page);
    sample(3, 0);
    sample(4, 5);
    sample(5, 7);
    page = get(control_history, "", 200);
    assert_real(page, "end", 1795286000.5);
    assert_text(page, "scopes.0.scope", "service");
    assert_int(page, "scopes.0.max", 10);
    assert_size(page, "scopes.0.sessions", 3);
    assert_int(page, "scopes.0.sessions.0", 3);
    assert_int(page, "scopes.0.sessions.2", 5);
    assert_text(page, "limits.0.limit", "x");
    assert_null(page, "limits.0.refused.0");
    assert_int(page, "limits.0.refused.1", 5);
    assert_int(page, "limits.0.refused.2", 2);
    assert_int(page, "limits.0.monitored.1", 1);
    assert_int(page, "limits.0.monitored.2", 0);
    json_decref(page);
}
END_TEST

/* ---- /clients, /domains ---- */

static void crowd(unsigned clients)
{
    for (unsigned i = 0; i < clients; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.0.%u.%u", i >> 8, i & 255);
        for (unsigned times = 0; times <= i % 7; times++) {
            session_id id = connect_from(text);
            for (unsigned messages = 0; messages < i % 5; messages++) {
                snprintf(text, sizeof text, "a@d%u.example", i % 40);
                mail(id, text);
            }
            leave(id);
            snprintf(text, sizeof text, "10.0.%u.%u", i >> 8, i & 255);
        }
    }
}

START_TEST(in_the_order_that_is_asked_for)
{
    static const char *const orders[] = {"sessions", "connections", "messages", "refused", "monitored"};
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 4);
    serve();
    crowd(700);
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        char query[64];
        snprintf(query, sizeof query, "n=50&sort=%s", orders[i]);
        json_t *page = get(control_clients, query, 200), *list = value_at(page, "clients");
        ck_assert_uint_eq(json_array_size(list), 50);
        assert_int(page, "left_out", 650);
        for (size_t place = 1; place < 50; place++)
            ck_assert_int_ge(json_integer_value(json_object_get(json_array_get(list, place - 1), orders[i])),
                             json_integer_value(json_object_get(json_array_get(list, place), orders[i])));
        json_decref(page);
    }
    json_t *page = get(control_clients, "", 200);
    assert_size(page, "clients", 100);
    assert_int(page, "clients.0.connections", 7);
    assert_int(page, "clients.0.refused", 3);
    json_decref(page);
    page = get(control_clients, "n=10000", 200);
    assert_size(page, "clients", 700);
    assert_int(page, "left_out", 0);
    json_decref(page);
    page = get(control_domains, "n=3", 200);
    assert_size(page, "domains", 3);
    assert_int(page, "left_out", 29); /* of 40 one in five sends nothing */
    json_decref(page);
}
END_TEST

START_TEST(wrong_parameters)
{
    static const struct {
        control_page *page;
        const char *query, *told;
    } rows[] = {
        {control_clients, "n=0", "n is \"0\"; give a whole number from 1 to 10000"},
        {control_clients, "n=10001", "n is \"10001\"; give a whole number from 1 to 10000"},
        {control_clients, "n=99999999999999999999",
         "n is \"99999999999999999999\"; give a whole number from 1 to 10000"},
        {control_clients, "n=-1", "n is \"-1\"; give a whole number from 1 to 10000"},
        {control_clients, "n=1x", "n is \"1x\"; give a whole number from 1 to 10000"},
        {control_clients, "n=", "n is \"\"; give a whole number from 1 to 10000"},
        {control_clients, "sort=size", "sort is \"size\"; give sessions, connections, messages, refused or monitored"},
        {control_domains, "sort=sessions", "sort is \"sessions\"; give messages, refused or monitored"},
        {control_domains, "sort=%ff%0a", "sort is \"?\n\"; give messages, refused or monitored"},
        {control_domains, "m=1", "parameter \"m\" is unknown here; there are: sort, n"},
    };
    serve();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *page = get(rows[i].page, rows[i].query, 400);
        assert_text(page, "error", rows[i].told);
        json_decref(page);
    }
}
END_TEST

/* What the bounds are is the engine's business. */
START_TEST(what_had_no_room_is_told_where_it_is_missing)
{
    const uint32_t more = 5, clients = ACTIVITY_CLIENTS + more, domains = ACTIVITY_DOMAINS + more;
    char text[32];

    serve();
    for (uint32_t i = 0; i < clients; i++) {
        snprintf(text, sizeof text, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        session_id id = connect_from(text);
        snprintf(text, sizeof text, "a@d%u.example", i);
        if (i < domains)
            mail(id, text);
        leave(id);
    }
    json_t *status = get(control_status, "", 200), *client_page = get(control_clients, "", 200),
           *domain_page = get(control_domains, "", 200);
    json_t *const told[] = {value_at(status, "clients"), client_page, value_at(status, "domains"), domain_page};
    for (size_t i = 0; i < 4; i++) {
        assert_int(told[i], "room", i < 2 ? ACTIVITY_CLIENTS : ACTIVITY_DOMAINS);
        assert_int(told[i], "evicted", more);
        assert_int(told[i], "untracked", 0);
    }
    json_decref(status);
    json_decref(client_page);
    json_decref(domain_page);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("control_status");
    TCase *status = test_case(suite, "status"), *lists = test_case(suite, "lists");
    tcase_add_checked_fixture(status, control_setup, control_teardown);
    tcase_add_test(status, nothing_has_happened);
    tcase_add_test(status, what_has_happened);
    tcase_add_test(status, a_part_of_the_scopes);
    tcase_add_test(status, percentiles_are_bounds_of_buckets);
    tcase_add_test(status, lists_are_kept_for_two_seconds);
    tcase_add_test(status, bans_in_the_order_of_the_time_left);
    tcase_add_test(status, bans_that_are_only_watched_are_counted_apart);
    tcase_add_test(status, hostile_names);
    tcase_add_test(status, no_parameters);
    tcase_add_test(status, history_of_an_hour);
    tcase_add_checked_fixture(lists, control_setup, control_teardown);
    tcase_add_test(lists, in_the_order_that_is_asked_for);
    tcase_add_test(lists, wrong_parameters);
    tcase_add_test(lists, what_had_no_room_is_told_where_it_is_missing);
    return suite;
}
