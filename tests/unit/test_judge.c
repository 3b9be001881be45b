/*
 * test_judge.c: limits that refuse: which events each pair of count and per counts, whom, and what is left out; delays,
 * replies, lists. Modes and histories are in test_modes.c, bans and networks in test_bans.c. Links all of src/engine.
 */
#include "check_main.h"
#include "engine_case.h"

#include <stdio.h>

static const char *const client = "192.0.2.1", *const other = "192.0.2.2";

/* ---- every pair ---- */

static unsigned nth; /* every event is somebody else's but for the key that its limit counts per */
static session_id of_key[2];

static void begin_pairs(void)
{
    nth = 0;
    of_key[0] = of_key[1] = 0;
}

static const char *name_for(char room[64], const char *form, bool own, unsigned key)
{
    snprintf(room, 64, form, own ? "key" : "other", own ? key : nth);
    return room;
}

/* A new session of that key, or the one that it has where that is what counts. */
static session_id arrive(enum limit_per per, unsigned key, session_id *id)
{
    static char domain[64];
    char address[32];

    snprintf(address, sizeof address, "10.%u.%u.1", per == PER_CLIENT ? 200 : 100, per == PER_CLIENT ? key : nth);
    if (*id == 0 || (per != PER_SESSION && per != PER_MESSAGE)) {
        *id = connect_as(address, name_for(domain, "%s%u.example", per == PER_CLIENT_DOMAIN, key), NULL);
        return *id;
    }
    return 0;
}

/* One event that a limit of that kind counts; what comes before it in the session passes. */
static void act(enum limit_count count, enum limit_per per, unsigned key)
{
    static char name[64], user[64], address[64], recipient[64];
    session_id *id = &of_key[key];

    nth++;
    bool fresh = arrive(per, key, id) != 0;
    if (count == COUNT_CONNECTIONS || (count == COUNT_SESSIONS && per != PER_USER))
        return;
    if (fresh)
        assert_passed();
    said.user = name_for(user, "%s%u", per == PER_USER, key);
    helo(*id, name_for(name, "%s%u.helo.example", per == PER_HELO, key));
    if (count == COUNT_NETWORKS && per == PER_HELO)
        return;
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    if (count == COUNT_UNKNOWN_COMMANDS || (count == COUNT_ERRORS && nth % 2 == 0)) {
        unknown(*id);
        return;
    }
    name_for(address, per == PER_SENDER_DOMAIN ? "a@%s%u.example" : "%s%u@sender.example",
             per == PER_SENDER || per == PER_SENDER_DOMAIN, key);
    if (fresh || (count != COUNT_RECIPIENTS && count != COUNT_ERRORS))
        mail(*id, count == COUNT_BOUNCES ? "" : address);
    if (count != COUNT_RECIPIENTS && count != COUNT_ERRORS && per != PER_RECIPIENT && per != PER_RECIPIENT_DOMAIN)
        return;
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    name_for(recipient, per == PER_RECIPIENT_DOMAIN ? "b@%s%u.example" : "%s%u@recipient.example",
             per == PER_RECIPIENT || per == PER_RECIPIENT_DOMAIN, key);
    (count == COUNT_ERRORS ? rejected : rcpt)(*id, recipient);
}

START_TEST(every_pair_holds_its_max)
{
    static const char *const keys[PER_KINDS] = {"",
                                                "",
                                                "",
                                                "key0.example",
                                                "key0.helo.example",
                                                "key0@sender.example",
                                                "key0.example",
                                                "key0@recipient.example",
                                                "key0.example",
                                                "key0"};
    enum limit_count count = (enum limit_count)(_i / PER_KINDS);
    enum limit_per per = (enum limit_per)(_i % PER_KINDS);
    if (!limit_fits(count, per))
        return;
    const bool window = limit_has_window(count, per);
    custom_in(RULES_SERVICE, "mine", count, per, 2, window ? 100 * SECOND : 0);
    start();
    begin_pairs();
    for (int round = 0; round < 2; round++) {
        act(count, per, 0);
        assert_passed();
        act(count, per, 0);
        assert_passed();
        for (int i = 0; i < 3; i++) {
            act(count, per, 0);
            assert_refused("mine", 2, 2);
            ck_assert_str_eq(verdict.findings[0].key, keys[per]);
            ck_assert_str_eq(verdict.findings[0].scope, "service");
            ck_assert_int_eq(verdict.findings[0].limit, LIMIT_NUMBERED + LIMITS_BUILTIN);
            bool at_rcpt = count == COUNT_RECIPIENTS || per == PER_RECIPIENT || per == PER_RECIPIENT_DOMAIN;
            ck_assert_str_eq(verdict.reply.code, at_rcpt ? "452" : "421");
        }
        act(count, per, 1); /* another's are another's */
        assert_passed();
        if (!window)
            break;
        now += 100 * SECOND - 2 * TICK; /* for at least as long, */
        act(count, per, 0);
        assert_refused("mine", 2, 2);
        now += 50 * SECOND; /* but not for much longer */
    }
    ck_assert_uint_eq(limit_done("mine").actions[ACTION_REFUSE], window ? 8 : 3);
}
END_TEST

START_TEST(every_built_in_limit_holds_its_max)
{
    const struct limit_builtin *limit = &limit_builtins[_i];
    limit_block_id block = limit_in(RULES_SERVICE, (limit_number)_i, 2);
    rules_set_term(builder, block, TERM_SOFT, 0);
    start();
    begin_pairs();
    for (int i = 0; i < 2; i++) {
        act(limit->count, limit->per, 0);
        ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
        ck_assert_uint_eq(verdict.finding_count, 0);
    }
    act(limit->count, limit->per, 0);
    assert_refused(limit->name, 2, 2);
    ck_assert_int_eq(verdict.findings[0].limit, LIMIT_NUMBERED + _i);
}
END_TEST

/* ---- who counts, and what ---- */

START_TEST(the_null_sender_is_nobody)
{
    custom_in(RULES_SERVICE, "a", COUNT_MESSAGES, PER_SENDER, 1, HOUR);
    custom_in(RULES_SERVICE, "b", COUNT_MESSAGES, PER_SENDER_DOMAIN, 1, HOUR);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_DOMAIN_NETWORKS, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_RECIPIENT_MESSAGES, 3);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_RECIPIENT_BOUNCES, 2);
    start();
    session_id id = connect_from(client);
    for (int i = 0; i < 2; i++) {
        mail(id, "");
        assert_passed();
        rcpt(id, "joe@example.org");
        assert_passed();
    }
    rcpt(id, "joe@example.org");
    assert_refused("recipient_bounces", 2, 2);
    mail(id, "a@b.example");
    rcpt(id, "joe@example.org"); /* no bounce, but a message like those */
    assert_passed();
    rcpt(id, "joe@example.org");
    assert_refused("recipient_messages", 3, 3);
}
END_TEST

START_TEST(names_that_there_are_not)
{
    custom_in(RULES_SERVICE, "helo", COUNT_MESSAGES, PER_HELO, 1, HOUR);
    custom_in(RULES_SERVICE, "domain", COUNT_MESSAGES, PER_CLIENT_DOMAIN, 1, HOUR);
    custom_in(RULES_SERVICE, "user", COUNT_MESSAGES, PER_USER, 1, HOUR);
    custom_in(RULES_SERVICE, "sender_domain", COUNT_MESSAGES, PER_SENDER_DOMAIN, 1, HOUR);
    custom_in(RULES_SERVICE, "recipient_domain", COUNT_MESSAGES, PER_RECIPIENT_DOMAIN, 1, HOUR);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 1);
    start();
    session_id id = connect_from("");
    for (int i = 0; i < 3; i++) {
        said.user = said.client_domain = i > 0 ? "" : NULL;
        mail(id, "postmaster"); /* without a domain */
        assert_passed();
        rcpt(id, "postmaster");
        assert_passed();
    }
    ck_assert_uint_eq(engine_totals(engine).keys, 0);
    said.helo = ""; /* an empty HELO name is one like any other */
    mail(id, "a@b");
    assert_passed();
    mail(id, "a@c");
    assert_refused("helo", 1, 1);
}
END_TEST

START_TEST(one_client_is_its_prefix)
{
    char text[PREFIX_TEXT_SIZE];
    rules_set_client_prefix(builder, 24, 48);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    start();
    connect_from("192.0.2.1");
    connect_from("192.0.2.200");
    assert_refused("client_connections", 1, 1);
    ck_assert_str_eq(prefix_format(&verdict.findings[0].client, text), "192.0.2.0/24");
    connect_from("192.0.3.1");
    assert_passed();
    connect_from("2001:db8:1::1");
    assert_passed();
    connect_from("2001:db8:1:2::1");
    assert_refused("client_connections", 1, 1);
    ck_assert_str_eq(prefix_format(&verdict.findings[0].client, text), "2001:db8:1::/48");
    connect_from("c000:200::"); /* the bits of 192.0.2.0 in the other family */
    assert_passed();
}
END_TEST

/* A limit per client_domain counts the domain; keys may name any host of it. */
START_TEST(keys_name_the_clients_host)
{
    struct connect_event coming = {.client_domain = "example.org", .client_host = "mx1.example.org"};
    limit_block_id block = custom_in(RULES_SERVICE, "mine", COUNT_CONNECTIONS, PER_CLIENT_DOMAIN, 2, HOUR);
    rules_add_key_name(builder, block, "mx1.example.org", &(struct limit_maxima){.set = 1u << TERM_MAX, .max = {3}});
    session_id id;
    start();
    addr_parse(client, &coming.client);
    for (int i = 0; i < 3; i++) {
        engine_connect(engine, &coming, now, &id, &verdict);
        assert_passed();
    }
    engine_connect(engine, &coming, now, &id, &verdict);
    assert_refused("mine", 3, 3);
    ck_assert_str_eq(verdict.findings[0].key, "example.org");
    coming.client_host = "mx2.example.org";
    engine_connect(engine, &coming, now, &id, &verdict);
    assert_refused("mine", 3, 2);
}
END_TEST

START_TEST(scopes_count_apart)
{
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    rules_set_daemon_name(builder, listener, "mx");
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    limit_in(listener, LIMIT_NUMBER_CLIENT_CONNECTIONS, 2);
    start();
    connect_from(client);
    connect_as(client, NULL, "mx");
    assert_passed();
    connect_as(client, NULL, "mx");
    assert_passed();
    connect_as(client, NULL, "mx");
    assert_refused("client_connections", 2, 2);
    ck_assert_str_eq(verdict.findings[0].scope, "listener[mx]");
    connect_from(client);
    assert_refused("client_connections", 1, 1);
}
END_TEST

START_TEST(limits_of_one_record_count_apart)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 3);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 2);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_RECIPIENTS, 4);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_ERRORS, 1);
    start();
    session_id id = connect_from(client);
    mail(id, "");
    for (int i = 0; i < 3; i++)
        rcpt(id, "a@b");
    rejected(id, "c@d");
    assert_passed();
    ck_assert_uint_eq(engine_totals(engine).keys, 1);
    unknown(id);
    assert_refused("client_errors", 1, 1);
    rcpt(id, "a@b");
    assert_refused("client_recipients", 4, 4);
    mail(id, "");
    assert_passed();
    mail(id, "");
    assert_refused("client_messages", 2, 2);
    connect_from(client);
    assert_passed();
}
END_TEST

/* The MTA has refused it itself: it is an error, it counts as an attempt, and nothing else judges it. */
START_TEST(rejected_recipients)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_ERRORS, 7);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_RECIPIENTS, 3);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_MESSAGE_RECIPIENTS, 2);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_RECIPIENTS, 6);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_RECIPIENT_MESSAGES, 1);
    start();
    session_id id = connect_from(client);
    mail(id, "");
    for (int i = 0; i < 5; i++) {
        rejected(id, "a@b");
        ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
        ck_assert_uint_eq(verdict.finding_count, 0);
    }
    rcpt(id, "a@b");
    assert_refused("session_recipients", 5, 3);
    leave(id);
    id = connect_from(client);
    mail(id, "");
    rcpt(id, "a@b"); /* none of the rejected ones counted for the recipient or the message */
    assert_passed();
    rcpt(id, "c@b");
    assert_refused("client_recipients", 6, 6);
    rejected(id, "c@b"); /* it only counts */
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    leave(id);
    id = connect_from(other);
    for (int i = 0; i < 7; i++)
        rejected(id, "a@b");
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    rejected(id, "a@b"); /* of errors it is judged */
    assert_refused("session_errors", 7, 7);
    ck_assert_str_eq(verdict.reply.code, "421");
}
END_TEST

START_TEST(messages_begin_anew)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_MESSAGE_RECIPIENTS, 2);
    start();
    session_id id = connect_from(client);
    for (int i = 0; i < 4; i++) {
        if (i != 2) /* after a whole one MAIL need not be heard */
            mail(id, "");
        rcpt(id, "a@b");
        rcpt(id, "a@b");
        assert_passed();
        rcpt(id, "a@b");
        assert_refused("message_recipients", 2, 2);
        assert_reply("452", "4.5.3", "Too many recipients.");
        if (i == 1)
            event(id, EVENT_MESSAGE);
        if (i == 2)
            event(id, EVENT_ABORT);
    }
}
END_TEST

START_TEST(bounces_of_a_session)
{
    custom_in(RULES_SERVICE, "mine", COUNT_BOUNCES, PER_SESSION, 1, 0);
    start();
    session_id id = connect_from(client);
    for (int i = 0; i < 3; i++)
        mail(id, "a@b");
    mail(id, ""); /* the others were none */
    assert_passed();
    mail(id, "");
    assert_refused("mine", 1, 1);
    mail(id, "a@b");
    assert_passed();
}
END_TEST

START_TEST(a_user_takes_one_slot_a_session)
{
    custom_in(RULES_SERVICE, "mine", COUNT_SESSIONS, PER_USER, 1, 0);
    start();
    session_id first = connect_from(client);
    said.user = "joe";
    for (int i = 0; i < 3; i++) {
        mail(first, "");
        assert_passed();
    }
    session_id second = connect_from(client);
    said.user = "joe";
    mail(second, "");
    assert_refused("mine", 1, 1);
    leave(first);
    mail(second, "");
    assert_passed();
    leave(second);
    ck_assert_uint_eq(engine_totals(engine).clients, 0);
}
END_TEST

/* ---- all or nothing ---- */

START_TEST(a_refused_event_leaves_no_trace)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 5);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 5);
    custom_in(RULES_SERVICE, "a", COUNT_MESSAGES, PER_HELO, 9, HOUR);
    custom_in(RULES_SERVICE, "b", COUNT_MESSAGES, PER_SENDER, 1, HOUR);
    custom_in(RULES_SERVICE, "c", COUNT_MESSAGES, PER_SENDER_DOMAIN, 9, HOUR);
    start();
    session_id id = connect_from(client);
    mail(id, "a@b");
    said.helo = "late";
    uint32_t keys = engine_totals(engine).keys;
    for (int i = 0; i < 10; i++) {
        mail(id, "a@b");
        assert_refused("b", 1, 1);
    }
    ck_assert_uint_eq(engine_totals(engine).keys, keys);
    static const char *const senders[] = {"c@b", "d@b", "e@b", "f@b"};
    for (int i = 0; i < 4; i++) {
        mail(id, senders[i]);
        assert_passed();
    }
    mail(id, "g@b"); /* five of ten and five were let in */
    assert_refused("client_messages", 5, 5);
}
END_TEST

START_TEST(refused_connections_count_nowhere)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 2);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 1);
    start();
    session_id id = connect_from(client);
    for (int i = 0; i < 5; i++) {
        engine_spoken(engine, connect_from(client));
        assert_refused("service_sessions", 1, 1);
    }
    leave(id);
    id = connect_from(client);
    assert_passed();
    connect_from(client); /* the limits come before the caps */
    assert_refused("client_connections", 2, 2);
}
END_TEST

START_TEST(a_max_of_0_is_none)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 0);
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 0);
    const struct prefix prefix = prefix_of("192.0.2.2/32");
    rules_add_key_prefix(builder, block, &prefix, &(struct limit_maxima){.set = 1u << TERM_MAX, .max = {2}});
    start();
    for (int i = 0; i < 10; i++) {
        connect_from(client);
        assert_passed();
    }
    ck_assert_uint_eq(engine_totals(engine).keys, 0);
    ck_assert_uint_eq(engine_totals(engine).clients, 1); /* a slot it takes all the same */
    connect_from(other);
    connect_from(other);
    connect_from(other);
    assert_refused("client_sessions", 2, 2);
}
END_TEST

START_TEST(the_first_that_refuses_ends_it)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 1);
    start();
    session_id id = connect_from(client);
    mail(id, "");
    mail(id, "");
    assert_refused("client_messages", 1, 1);
    ck_assert_uint_eq(verdict.finding_count, 1);
}
END_TEST

START_TEST(the_refusal_is_always_told)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    for (int i = 0; i < 7; i++)
        rules_set_term(builder, custom_in(RULES_SERVICE, names[i], COUNT_MESSAGES, PER_SESSION, 1, 0), TERM_MODE,
                       MODE_SCORE);
    custom_in(RULES_SERVICE, "last", COUNT_MESSAGES, PER_SESSION, 1, 0);
    start();
    session_id id = connect_from(client);
    mail(id, "");
    mail(id, "");
    assert_refused("last", 1, 1);
    ck_assert_uint_eq(verdict.finding_count, FINDINGS_MAX);
    for (unsigned i = 0; i + 1 < FINDINGS_MAX; i++)
        ck_assert_str_eq(verdict.findings[i].name, names[i]);
    ck_assert_uint_eq(limit_done("g").actions[ACTION_SCORE], 1); /* what is not told is counted */
}
END_TEST

/* ---- what a refused client hears, and when ---- */

START_TEST(replies_and_delays)
{
    const struct reply form = {"450", "4.7.0", "{limit}: {client} {count}/{max}"};
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 1);
    rules_set_reply(builder, block, &form);
    rules_set_term(builder, block, TERM_DISCONNECT_DELAY, 2 * SECOND);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_UNKNOWN_COMMANDS, 1);
    block = limit_in(RULES_SERVICE, LIMIT_NUMBER_HELO_NETWORKS, 1);
    rules_set_term(builder, block, TERM_DISCONNECT_DELAY, 0); /* set, and set to none */
    rules_set(builder, RULES_SERVICE, SETTING_DISCONNECT_DELAY, 7 * SECOND);
    start();
    session_id id = connect_from(client);
    mail(id, "");
    ck_assert_int_eq(verdict.delay_ns, 0);
    mail(id, "");
    assert_reply("450", "4.7.0", "client_messages: 192.0.2.1 1/1");
    ck_assert_int_eq(verdict.delay_ns, 2 * SECOND);
    unknown(id);
    unknown(id);
    assert_reply("421", "4.4.5", "Service unavailable, too many errors.");
    ck_assert_int_eq(verdict.delay_ns, 7 * SECOND);
    helo(id, "a");
    id = connect_from("198.51.100.1");
    helo(id, "a");
    assert_refused("helo_networks", 1, 1);
    ck_assert_int_eq(verdict.delay_ns, 0);
}
END_TEST

START_TEST(errors_slow_a_session_down)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_ERRORS, 20);
    rules_set_term(builder, block, TERM_SOFT, 3);
    rules_set_term(builder, block, TERM_ERROR_DELAY, 5 * SECOND);
    start();
    session_id id = connect_from(client);
    for (int i = 1; i <= 8; i++) {
        const int64_t beyond = i > 5 ? i * SECOND : 5 * SECOND;
        (i % 2 ? unknown(id) : rejected(id, "a@b"));
        ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
        ck_assert_int_eq(verdict.delay_ns, i <= 3 ? 5 * SECOND : beyond);
        event(id, EVENT_DATA); /* past soft every answer waits */
        ck_assert_int_eq(verdict.delay_ns, i <= 3 ? 0 : beyond);
    }
    event(id, EVENT_MESSAGE); /* a delivered message makes good for them */
    ck_assert_int_eq(verdict.delay_ns, 0);
    event(id, EVENT_DATA);
    ck_assert_int_eq(verdict.delay_ns, 0);
    event(id, EVENT_ABORT);
    unknown(id);
    ck_assert_int_eq(verdict.delay_ns, 5 * SECOND);
    event(id, EVENT_ABORT); /* one that was not delivered does not */
    unknown(id);
    unknown(id);
    unknown(id);
    ck_assert_int_eq(verdict.delay_ns, 5 * SECOND);
    helo(id, "a");
    ck_assert_int_eq(verdict.delay_ns, 5 * SECOND);
}
END_TEST

START_TEST(errors_are_judged_up_to_the_reset)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_ERRORS, 3);
    rules_set_term(builder, block, TERM_SOFT, 0);
    rules_set_term(builder, block, TERM_ERROR_DELAY, 0);
    start();
    session_id id = connect_from(client);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++) {
            unknown(id);
            assert_passed();
            ck_assert_int_eq(verdict.delay_ns, 0);
        }
        unknown(id);
        assert_refused("session_errors", 3, 3);
        deliver(id, "");
    }
}
END_TEST

START_TEST(who_is_spared_the_limit_is_spared_its_delays)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_ERRORS, 20);
    rules_add_except_user(builder, block, "joe");
    start();
    session_id id = connect_from(client);
    unknown(id);
    ck_assert_int_eq(verdict.delay_ns, SECOND); /* the catalogue's */
    said.user = "joe";
    unknown(id);
    ck_assert_int_eq(verdict.delay_ns, 0);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("judge");
    TCase *pairs = test_case(suite, "pairs");
    tcase_add_checked_fixture(pairs, case_setup, case_teardown);
    tcase_add_loop_test(pairs, every_pair_holds_its_max, 0, COUNT_KINDS * PER_KINDS);
    tcase_add_loop_test(pairs, every_built_in_limit_holds_its_max, 0, LIMITS_BUILTIN);
    TCase *tests = test_case(suite, "counting");
    tcase_add_checked_fixture(tests, case_setup, case_teardown);
    tcase_add_test(tests, the_null_sender_is_nobody);
    tcase_add_test(tests, names_that_there_are_not);
    tcase_add_test(tests, one_client_is_its_prefix);
    tcase_add_test(tests, keys_name_the_clients_host);
    tcase_add_test(tests, scopes_count_apart);
    tcase_add_test(tests, limits_of_one_record_count_apart);
    tcase_add_test(tests, rejected_recipients);
    tcase_add_test(tests, messages_begin_anew);
    tcase_add_test(tests, bounces_of_a_session);
    tcase_add_test(tests, a_user_takes_one_slot_a_session);
    tcase_add_test(tests, a_refused_event_leaves_no_trace);
    tcase_add_test(tests, refused_connections_count_nowhere);
    tcase_add_test(tests, a_max_of_0_is_none);
    tcase_add_test(tests, the_first_that_refuses_ends_it);
    tcase_add_test(tests, the_refusal_is_always_told);
    TCase *answers = test_case(suite, "answers");
    tcase_add_checked_fixture(answers, case_setup, case_teardown);
    tcase_add_test(answers, replies_and_delays);
    tcase_add_test(answers, errors_slow_a_session_down);
    tcase_add_test(answers, errors_are_judged_up_to_the_reset);
    tcase_add_test(answers, who_is_spared_the_limit_is_spared_its_delays);
    return suite;
}
