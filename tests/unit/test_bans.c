/*
 * test_bans.c: bans, networks, and the lists that deny and exempt. Links all of src/engine.
 */
#include "check_main.h"
#include "engine_case.h"

static const char *const client = "192.0.2.1", *const other = "198.51.100.2";

static limit_block_id banning(limit_number limit, int64_t max, int64_t ban)
{
    limit_block_id block = limit_in(RULES_SERVICE, limit, max);
    rules_set_term(builder, block, TERM_BAN, ban);
    return block;
}

/* ---- bans ---- */

START_TEST(a_crossing_begins_a_ban)
{
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 2, HOUR);
    start();
    connect_from(client);
    connect_from(client);
    assert_passed();
    connect_from(client);
    assert_refused("client_connections", 2, 2);
    ck_assert(verdict.findings[0].banned && verdict.findings[0].ban_began);
    ck_assert_int_ge(verdict.findings[0].ban_left_ns, HOUR);
    ck_assert_int_le(verdict.findings[0].ban_left_ns, HOUR + TICK);
    ck_assert_uint_eq(limit_done("client_connections").bans, 1);
    connect_from(other);
    assert_passed();
}
END_TEST

START_TEST(retries_do_not_stretch_it)
{
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    start();
    connect_from(client);
    const int64_t began = now;
    for (; now < began + HOUR; now += 60 * SECOND) { /* also while the window alone would refuse */
        connect_from(client);
        ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
        ck_assert(verdict.findings[0].banned);
        ck_assert_int_eq(verdict.findings[0].ban_began, now == began);
        ck_assert_int_le(verdict.findings[0].ban_left_ns, began + HOUR + TICK - now);
        ck_assert_int_ge(verdict.findings[0].ban_left_ns, began + HOUR - TICK - now);
    }
    now = began + HOUR - TICK;
    connect_from(client);
    assert_refused("client_connections", 0, 1);
    now += 3 * TICK;
    connect_from(client);
    assert_passed();
    ck_assert_uint_eq(limit_done("client_connections").bans, 1);
    ck_assert_uint_eq(limit_done("client_connections").actions[ACTION_REFUSE], 61);
}
END_TEST

/* At the events that the limit counts, and as soon as the key is known. */
START_TEST(at_which_events_a_ban_is_judged)
{
    banning(LIMIT_NUMBER_CLIENT_MESSAGES, 1, 10 * HOUR);
    banning(LIMIT_NUMBER_SENDER_RECIPIENTS, 1, 10 * HOUR);
    banning(LIMIT_NUMBER_USER_RECIPIENTS, 1, 10 * HOUR);
    limit_block_id block = custom_in(RULES_SERVICE, "helo_messages", COUNT_MESSAGES, PER_HELO, 1, HOUR);
    rules_set_term(builder, block, TERM_BAN, 10 * HOUR);
    start();
    session_id id = connect_from(client), second = connect_from("10.0.0.1"), third = connect_from("10.0.0.2");
    mail(id, "x@y");
    mail(id, "x@y");
    assert_refused("client_messages", 1, 1);
    mail(second, "a@b");
    rcpt(second, "c@d");
    rcpt(second, "c@d");
    assert_refused("sender_recipients", 1, 1);
    said.user = "joe";
    said.helo = "h";
    mail(third, "");
    rcpt(third, "c@d");
    rcpt(third, "c@d");
    assert_refused("user_recipients", 1, 1);
    third = connect_from("10.0.0.4");
    said.helo = "h";
    mail(third, "");
    assert_refused("helo_messages", 1, 1);
    now += 5 * HOUR; /* the windows are empty */
    mail(id, "x@y"); /* the session goes on, the ban holds in it */
    assert_refused("client_messages", 0, 1);
    ck_assert(verdict.findings[0].banned && !verdict.findings[0].ban_began);
    assert_reply("421", "4.4.5", "Service unavailable, message rate limit reached.");
    connect_from(client);
    assert_refused("client_messages", 0, 1);
    session_id fresh = connect_from("10.0.0.3");
    helo(fresh, "h");
    assert_refused("helo_messages", 0, 1);
    said.helo = NULL;
    mail(fresh, "a@b");
    assert_refused("sender_recipients", 0, 1);
    assert_reply("421", "4.4.5", "Service unavailable, recipient rate limit reached.");
    said.sender = "a@b";
    rcpt(fresh, "c@d");
    assert_refused("sender_recipients", 0, 1);
    said.user = "joe";
    mail(fresh, "");
    assert_refused("user_recipients", 1, 1); /* its window is a day */
    helo(fresh, "another");
    assert_passed();
}
END_TEST

START_TEST(a_recipient_is_banned_at_rcpt)
{
    banning(LIMIT_NUMBER_RECIPIENT_BOUNCES, 1, 10 * HOUR);
    start();
    session_id id = connect_from(client);
    mail(id, "");
    rcpt(id, "a@b");
    rcpt(id, "a@b");
    assert_refused("recipient_bounces", 1, 1);
    now += 5 * HOUR;
    mail(id, "x@y"); /* also for messages that are no bounces: the recipient is banned */
    assert_passed();
    rcpt(id, "a@b");
    assert_refused("recipient_bounces", 0, 1);
    assert_reply("452", "4.5.3", "Recipient rate limit reached.");
    rcpt(id, "c@b");
    assert_passed();
}
END_TEST

START_TEST(a_ban_is_the_limits_own)
{
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    rules_set_daemon_name(builder, listener, "mx");
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    banning(LIMIT_NUMBER_CLIENT_MESSAGES, 5, HOUR);
    limit_in(listener, LIMIT_NUMBER_CLIENT_CONNECTIONS, 9);
    start();
    session_id id = connect_from(client);
    connect_from(client);
    assert_refused("client_connections", 1, 1);
    mail(id, ""); /* the record is shared, the ban is not */
    assert_passed();
    connect_as(client, NULL, "mx"); /* nor is it that of another scope's counter */
    assert_passed();
}
END_TEST

/* One ban a record: of two limits the one that ends later holds. */
START_TEST(a_later_end_replaces_a_ban)
{
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    limit_block_id block = banning(LIMIT_NUMBER_CLIENT_MESSAGES, 1, HOUR / 2);
    rules_set_term(builder, block, TERM_WINDOW, SECOND);
    block = banning(LIMIT_NUMBER_CLIENT_ERRORS, 1, 3 * HOUR);
    rules_set_term(builder, block, TERM_WINDOW, SECOND);
    start();
    session_id id = connect_from(client);
    connect_from(client);
    assert_refused("client_connections", 1, 1);
    mail(id, "");
    mail(id, "");
    assert_refused("client_messages", 1, 1);
    ck_assert(!verdict.findings[0].banned && !verdict.findings[0].ban_began); /* it would have ended sooner */
    now += 600 * SECOND;
    mail(id, "");
    assert_passed();
    unknown(id);
    unknown(id);
    assert_refused("client_errors", 1, 1);
    ck_assert(verdict.findings[0].ban_began);
    now += 600 * SECOND;
    connect_from(client); /* for the same events, by the one that is in force */
    assert_refused("client_errors", 0, 1);
    ck_assert_uint_eq(limit_done("client_messages").bans, 0);
}
END_TEST

/* In a dry run the score only grows for show, and so does what bans. */
START_TEST(bans_of_a_dry_run_never_become_real)
{
    limit_block_id block = banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 10 * HOUR);
    rules_set_term(builder, block, TERM_MODE, MODE_SCORE);
    rules_set_monitor(builder, true);
    start();
    connect_from(client);
    connect_from(client);
    ck_assert(verdict.findings[0].ban_began);
    ck_assert_uint_eq(limit_done("client_connections").bans, 0);
    now += 5 * HOUR;
    connect_from(client); /* as it would be */
    ck_assert(verdict.findings[0].banned && !verdict.findings[0].ban_began);
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 10 * HOUR);
    now += 2 * HOUR;
    reload();
    connect_from(client);
    assert_passed();
}
END_TEST

START_TEST(monitored_bans_never_become_real)
{
    limit_block_id block = banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 10 * HOUR);
    rules_set_term(builder, block, TERM_MODE, MODE_MONITOR);
    start();
    connect_from(client);
    connect_from(client);
    assert_monitored("client_connections", 1, 1);
    ck_assert(verdict.findings[0].ban_began);
    ck_assert_uint_eq(limit_done("client_connections").bans, 0);
    now += HOUR;
    connect_from(client); /* a ban as long as it is monitored, */
    assert_monitored("client_connections", 0, 1);
    ck_assert(verdict.findings[0].banned && !verdict.findings[0].ban_began);
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 10 * HOUR);
    reload();
    connect_from(client); /* and none when it is not any more */
    assert_passed();
    connect_from(client);
    assert_refused("client_connections", 1, 1);
    ck_assert(verdict.findings[0].ban_began); /* the real one takes its place */
    ck_assert_uint_eq(limit_done("client_connections").bans, 1);
    block = banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 10 * HOUR);
    rules_set_term(builder, block, TERM_MODE, MODE_MONITOR);
    now += HOUR;
    reload();
    connect_from(client); /* which is one for a limit that only watches, too */
    assert_monitored("client_connections", 0, 1);
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 10 * HOUR);
    reload();
    connect_from(client);
    assert_refused("client_connections", 0, 1);
}
END_TEST

START_TEST(a_monitored_ban_gives_way_to_a_real_one)
{
    limit_block_id block = banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 10 * HOUR);
    rules_set_term(builder, block, TERM_MODE, MODE_MONITOR);
    banning(LIMIT_NUMBER_CLIENT_MESSAGES, 1, HOUR);
    start();
    session_id id = connect_from(client);
    connect_from(client);
    assert_monitored("client_connections", 1, 1);
    mail(id, "");
    mail(id, "");
    assert_refused("client_messages", 1, 1);
    ck_assert(verdict.findings[0].ban_began); /* although it ends sooner */
    connect_from(client);
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    ck_assert_str_eq(verdict.findings[verdict.finding_count - 1].name, "client_messages");
    now += 1800 * SECOND;
    connect_from(client); /* and the other does not come back while it is in force */
    assert_refused("client_messages", 1, 1);
}
END_TEST

START_TEST(a_ban_of_scores_gives_points)
{
    limit_block_id block = banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 10 * HOUR);
    rules_set_term(builder, block, TERM_MODE, MODE_SCORE);
    start();
    connect_from(client);
    connect_from(client);
    assert_found("client_connections", ACTION_SCORE, 1, 1);
    ck_assert(verdict.findings[0].ban_began);
    now += HOUR;
    connect_from(client); /* it passes and is counted */
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    assert_found("client_connections", ACTION_SCORE, 0, 1);
    ck_assert(verdict.findings[0].banned);
    connect_from(client);
    assert_found("client_connections", ACTION_SCORE, 1, 1);
}
END_TEST

START_TEST(whom_the_limit_spares_no_ban_keeps_out)
{
    limit_block_id block = banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 10 * HOUR);
    start();
    connect_from(client);
    connect_from(client);
    block = banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 10 * HOUR);
    const struct prefix prefix = prefix_of("192.0.2.0/24");
    rules_add_except_prefix(builder, block, &prefix);
    reload();
    connect_from(client);
    assert_passed();
}
END_TEST

START_TEST(what_cannot_ban_does_not)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 1);
    rules_set_term(builder, block, TERM_BAN, HOUR);
    start();
    session_id id = connect_from(client);
    mail(id, "");
    mail(id, "");
    assert_refused("session_messages", 1, 1);
    ck_assert(!verdict.findings[0].ban_began && !verdict.findings[0].banned);
    ck_assert_uint_eq(engine_totals(engine).keys, 0);
}
END_TEST

START_TEST(a_full_table_keeps_its_bans)
{
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    rules_set(builder, RULES_SERVICE, SETTING_REFUSE_AT, REFUSE_AT_CONNECT);
    start_with(64, 8);
    for (uint32_t i = 0; i < 4; i++) {
        struct connect_event coming = {.client = {.hi = (uint64_t)(0x0a000000 + i) << 32, .family = ADDR_IPV4}};
        session_id id, again;
        engine_connect(engine, &coming, now, &id, &verdict);
        engine_connect(engine, &coming, now, &again, &verdict);
        leave(id);
        ck_assert(verdict.findings[0].ban_began);
    }
    for (uint32_t i = 0; i < 1000; i++) { /* a client with many addresses */
        struct connect_event coming = {.client = {.hi = UINT64_C(0x20010db8) << 32, .lo = 1, .family = ADDR_IPV6}};
        session_id id;
        coming.client.hi += i;
        engine_connect(engine, &coming, now, &id, &verdict);
        ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
        leave(id);
    }
    ck_assert_uint_eq(engine_totals(engine).keys, 8);
    ck_assert_uint_ge(engine_totals(engine).evicted, 990);
    ck_assert_uint_eq(engine_totals(engine).untracked, 0);
    now += HOUR / 2;
    for (int i = 0; i < 4; i++) {
        connect_from((const char *[]){"10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"}[i]);
        ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    }
}
END_TEST

/* ---- networks ---- */

/* A session of that client that says MAIL FROM:<a@DOMAIN>. */
static void mail_from_network(const char *address, const char *sender)
{
    session_id id = connect_from(address);
    mail(id, sender);
    leave(id);
}

START_TEST(networks_are_different_ones)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_DOMAIN_NETWORKS, 3);
    rules_set_term(builder, block, TERM_BAN, 0);
    start();
    static const char *const same[] = {"192.0.2.1", "192.0.2.77", "2001:db8::1", "2001:db8::ffff:0:0:1", "10.0.0.1"};
    for (int round = 0; round < 5; round++)
        for (size_t i = 0; i < 5; i++) { /* three networks, however often */
            mail_from_network(same[i], "a@b.example");
            assert_passed();
        }
    mail_from_network("10.0.1.1", "a@b.example");
    assert_refused("domain_networks", 3, 3);
    ck_assert_str_eq(verdict.findings[0].key, "b.example");
    assert_reply("421", "4.4.5", "Service unavailable, too many networks for this domain.");
    mail_from_network("2001:db8:0:1::1", "other@b.example");
    assert_refused("domain_networks", 3, 3);
    mail_from_network("10.0.0.99", "a@b.example"); /* one of the three is never over */
    assert_passed();
    mail_from_network("10.0.1.1", "a@c.example");
    assert_passed();
    mail_from_network("", "a@b.example"); /* without an address there is no network */
    assert_passed();
    mail_from_network("10.0.1.1", "");
    assert_passed();
}
END_TEST

START_TEST(how_long_a_network_is_is_a_term)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_DOMAIN_NETWORKS, 2);
    rules_set_term(builder, block, TERM_IPV4_PREFIX, 16);
    rules_set_term(builder, block, TERM_IPV6_PREFIX, 32);
    start();
    mail_from_network("10.1.0.1", "a@b");
    mail_from_network("10.1.255.1", "a@b");
    mail_from_network("2001:db8::1", "a@b");
    mail_from_network("2001:db8:ffff::1", "a@b");
    assert_passed();
    mail_from_network("10.2.0.1", "a@b");
    assert_refused("domain_networks", 2, 2);
}
END_TEST

START_TEST(seen_again_a_network_is_young_again)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_DOMAIN_NETWORKS, 2);
    rules_set_term(builder, block, TERM_BAN, 0);
    rules_set_term(builder, block, TERM_WINDOW, 100 * SECOND);
    start();
    mail_from_network("10.1.0.1", "a@b");
    mail_from_network("10.2.0.1", "a@b");
    for (int i = 0; i < 20; i++) { /* the first comes again and again, the second does not */
        now += 20 * SECOND;
        mail_from_network("10.1.0.1", "a@b");
        assert_passed();
    }
    mail_from_network("10.3.0.1", "a@b"); /* so there is room for one, */
    assert_passed();
    mail_from_network("10.4.0.1", "a@b"); /* and no more */
    assert_refused("domain_networks", 2, 2);
    now += 200 * SECOND;
    mail_from_network("10.4.0.1", "a@b");
    mail_from_network("10.5.0.1", "a@b");
    assert_passed();
    mail_from_network("10.1.0.1", "a@b"); /* it is a new one now */
    assert_refused("domain_networks", 2, 2);
}
END_TEST

START_TEST(a_domain_of_too_many_networks_is_banned)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_DOMAIN_NETWORKS, 1); /* for 2 h, as the catalogue says */
    limit_in(RULES_SERVICE, LIMIT_NUMBER_HELO_NETWORKS, 1);
    start();
    mail_from_network("10.1.0.1", "a@b.example");
    mail_from_network("10.2.0.1", "a@b.example");
    assert_refused("domain_networks", 1, 1);
    mail_from_network("10.1.0.1", "a@b.example"); /* the known one as well */
    assert_refused("domain_networks", 1, 1);
    ck_assert(verdict.findings[0].banned);
    mail_from_network("10.1.0.1", "a@c.example");
    assert_passed();
    session_id first = connect_from("10.1.0.1"), second = connect_from("10.2.0.1");
    helo(first, "a");
    helo(second, "");
    assert_passed();
    helo(second, "a");
    assert_refused("helo_networks", 1, 1);
    ck_assert_str_eq(verdict.findings[0].key, "a");
    helo(first, "");
    assert_refused("helo_networks", 1, 1); /* nobody's name is a name, too */
    ck_assert_str_eq(verdict.findings[0].key, "");
    now += 3 * HOUR;
    mail_from_network("10.2.0.1", "a@b.example");
    assert_passed();
}
END_TEST

START_TEST(limits_of_networks_count_apart)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_DOMAIN_NETWORKS, 9);
    custom_in(RULES_SERVICE, "sender_networks", COUNT_NETWORKS, PER_SENDER, 2, HOUR);
    custom_in(RULES_SERVICE, "wide", COUNT_NETWORKS, PER_SENDER_DOMAIN, 2, HOUR);
    start();
    mail_from_network("10.1.0.1", "a@b");
    mail_from_network("10.2.0.1", "a@b");
    mail_from_network("10.1.0.1", "c@b");
    assert_passed();
    mail_from_network("10.3.0.1", "c@b");
    assert_refused("wide", 2, 2);
    mail_from_network("10.3.0.1", "a@b");
    assert_refused("sender_networks", 2, 2);
}
END_TEST

/* ---- lists ---- */

START_TEST(exempt_clients_are_in_no_count)
{
    const struct prefix prefix = prefix_of("192.0.2.0/24");
    rules_add_list_prefix(builder, LIST_EXEMPT, &prefix);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 1);
    start();
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(connect_from(client), 0);
        ck_assert_int_eq(verdict.kind, VERDICT_EXEMPT);
        ck_assert_uint_eq(verdict.finding_count, 0);
    }
    ck_assert_uint_eq(engine_totals(engine).sessions, 0);
    ck_assert_uint_eq(engine_totals(engine).keys, 0);
    ck_assert_uint_eq(counter("service").count, 0);
}
END_TEST

START_TEST(denied_clients_are_refused)
{
    const struct prefix prefix = prefix_of("192.0.2.0/24");
    rules_add_list_prefix(builder, LIST_DENY, &prefix);
    rules_set(builder, RULES_SERVICE, SETTING_DISCONNECT_DELAY, SECOND);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    start();
    for (int i = 0; i < 3; i++) {
        connect_from(client);
        assert_refused("deny", 0, 0);
        assert_reply("421", "4.7.1", "Service unavailable, access denied.");
        ck_assert_int_eq(verdict.findings[0].limit, LIMIT_DENY);
        ck_assert_str_eq(verdict.findings[0].scope, "service");
        ck_assert_int_eq(verdict.findings[0].crossing, i == 0);
        ck_assert_int_eq(verdict.delay_ns, SECOND);
    }
    ck_assert_uint_eq(limit_done("deny").actions[ACTION_REFUSE], 3);
    ck_assert_uint_eq(engine_totals(engine).keys, 0);
    connect_from("198.51.100.1");
    assert_passed();
}
END_TEST

START_TEST(denied_senders_and_users_are_refused_at_mail)
{
    rules_add_list_sender(builder, LIST_DENY, "bad.example");
    rules_add_list_user(builder, LIST_DENY, "mallory");
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 2);
    start();
    session_id id = connect_from(client);
    for (int i = 0; i < 4; i++) {
        said.user = i % 2 ? "mallory" : NULL;
        mail(id, i % 2 ? "a@b.example" : "a@x.bad.example");
        assert_refused("deny", 0, 0);
        assert_reply("421", "4.7.1", "Service unavailable, access denied.");
    }
    said.user = NULL;
    helo(id, "bad.example");
    assert_passed();
    mail(id, "a@b.example");
    assert_passed();           /* the refused ones did not count */
    rcpt(id, "a@bad.example"); /* it is no list of recipients */
    assert_passed();
}
END_TEST

START_TEST(exempt_senders_and_users_spare_a_message)
{
    rules_add_list_sender(builder, LIST_EXEMPT, "good.example");
    rules_add_list_authenticated(builder, LIST_EXEMPT);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_RECIPIENTS, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 4);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_UNKNOWN_COMMANDS, 1);
    custom_in(RULES_SERVICE, "user_sessions", COUNT_SESSIONS, PER_USER, 1, 0);
    start();
    session_id id = connect_from(client);
    for (int i = 0; i < 4; i++) {
        said.user = i % 2 ? "joe" : NULL;
        mail(id, i % 2 ? "a@other.example" : "a@good.example");
        assert_passed();
        for (int j = 0; j < 3; j++) {
            rcpt(id, "b@c");
            assert_passed();
        }
    }
    ck_assert_uint_eq(engine_totals(engine).keys, 0);
    ck_assert_uint_eq(engine_totals(engine).clients, 0); /* no slot either */
    said.user = NULL;
    mail(id, "a@other.example"); /* but the session has had that many messages */
    assert_refused("session_messages", 4, 4);
    mail(id, "a@good.example");
    said.user = "joe";
    unknown(id);
    unknown(id); /* only at MAIL and RCPT */
    assert_refused("session_unknown_commands", 1, 1);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("bans");
    TCase *tests = test_case(suite, "bans");
    tcase_add_checked_fixture(tests, case_setup, case_teardown);
    tcase_add_test(tests, a_crossing_begins_a_ban);
    tcase_add_test(tests, retries_do_not_stretch_it);
    tcase_add_test(tests, at_which_events_a_ban_is_judged);
    tcase_add_test(tests, a_recipient_is_banned_at_rcpt);
    tcase_add_test(tests, a_ban_is_the_limits_own);
    tcase_add_test(tests, a_later_end_replaces_a_ban);
    tcase_add_test(tests, bans_of_a_dry_run_never_become_real);
    tcase_add_test(tests, monitored_bans_never_become_real);
    tcase_add_test(tests, a_monitored_ban_gives_way_to_a_real_one);
    tcase_add_test(tests, a_ban_of_scores_gives_points);
    tcase_add_test(tests, whom_the_limit_spares_no_ban_keeps_out);
    tcase_add_test(tests, what_cannot_ban_does_not);
    tcase_add_test(tests, a_full_table_keeps_its_bans);
    TCase *networks = test_case(suite, "networks");
    tcase_add_checked_fixture(networks, case_setup, case_teardown);
    tcase_add_test(networks, networks_are_different_ones);
    tcase_add_test(networks, how_long_a_network_is_is_a_term);
    tcase_add_test(networks, seen_again_a_network_is_young_again);
    tcase_add_test(networks, a_domain_of_too_many_networks_is_banned);
    tcase_add_test(networks, limits_of_networks_count_apart);
    TCase *lists = test_case(suite, "lists");
    tcase_add_checked_fixture(lists, case_setup, case_teardown);
    tcase_add_test(lists, exempt_clients_are_in_no_count);
    tcase_add_test(lists, denied_clients_are_refused);
    tcase_add_test(lists, denied_senders_and_users_are_refused_at_mail);
    tcase_add_test(lists, exempt_senders_and_users_spare_a_message);
    return suite;
}
