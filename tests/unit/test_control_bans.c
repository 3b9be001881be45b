/*
 * test_control_bans.c: /bans, /ban and /unban over a real engine. Links the pages, the names and all of src/engine;
 * what the log is told is noted here.
 */
#include "check_main.h"
#include "control_case.h"

#include "daemon/report.h"

#include <stdio.h>

static char told[700]; /* of the log, the last line */

void report_ban(const char *target, int64_t length_ns)
{
    snprintf(told, sizeof told, "ban %s %d", target, (int)(length_ns / SECOND));
}

void report_unban(const char *target, const char *limit, int64_t since_ns, const struct unbanned *done)
{
    snprintf(told, sizeof told, "unban %s %s %d %zu %zu", target ? target : "-", limit ? limit : "-",
             (int)(since_ns / SECOND), done->lifted, done->forgotten);
}

static void banning(limit_number limit, int64_t max)
{
    rules_set_term(builder, limit_in(RULES_SERVICE, limit, max), TERM_BAN, HOUR);
}

static bool is_refused(const char *client)
{
    session_id id = connect_from(client);
    engine_close(engine, id, now);
    return verdict.kind == VERDICT_REFUSE;
}

static void ban(const char *query)
{
    json_decref(get(control_ban, query, 200));
}

static json_int_t lift(const char *query)
{
    json_t *page = get(control_unban, query, 200);
    json_int_t lifted = json_integer_value(value_at(page, "lifted"));
    json_decref(page);
    return lifted;
}

/* A mistake, told in words that hold this, and that nothing has followed. */
static void assert_mistake(control_page *page, const char *query, int status, const char *words)
{
    const struct engine_totals before = engine_totals(engine);
    told[0] = '\0';
    json_t *answer = get(page, query, status);
    const char *text = json_string_value(value_at(answer, "error"));
    ck_assert_msg(text && strstr(text, words), "%s: %s", query, text);
    ck_assert_str_eq(told, "");
    ck_assert_uint_eq(engine_totals(engine).operator_bans, before.operator_bans);
    ck_assert_uint_eq(engine_totals(engine).bans, before.bans);
    json_decref(answer);
}

START_TEST(a_ban_is_begun_listed_and_lifted)
{
    serve();
    json_t *page = get(control_ban, "target=192.0.2.0/24&for=7200", 200);
    assert_text(page, "target", "192.0.2.0/24");
    assert_int(page, "for", 7200);
    ck_assert(json_is_false(value_at(page, "changed")));
    json_decref(page);
    ck_assert_str_eq(told, "ban 192.0.2.0/24 7200");
    ck_assert(is_refused("192.0.2.9"));
    page = get(control_ban, "target=Spam.EXAMPLE.", 200);
    assert_text(page, "target", "spam.example");
    assert_int(page, "for", 86400);
    json_decref(page);
    page = get(control_ban, "for=3600&target=192.0.2.0/24", 200);
    ck_assert(json_is_true(value_at(page, "changed")));
    json_decref(page);
    now += 10 * SECOND;

    page = get(control_bans, "", 200);
    assert_size(page, "bans", 2);
    assert_int(page, "left_out", 0);
    assert_null(page, "bans.0.client"); /* the one with the most time left */
    assert_text(page, "bans.0.key", "spam.example");
    assert_text(page, "bans.0.per", "sender_domain");
    assert_text(page, "bans.0.lift", "tidegate unban spam.example");
    assert_text(page, "bans.1.client", "192.0.2.0/24");
    assert_null(page, "bans.1.key");
    assert_text(page, "bans.1.limit", "ban");
    assert_text(page, "bans.1.scope", "service");
    assert_text(page, "bans.1.action", "refuse");
    assert_real(page, "bans.1.since", 10);
    assert_real(page, "bans.1.left", 3590);
    assert_text(page, "bans.1.lift", "tidegate unban 192.0.2.0/24");
    json_decref(page);

    ck_assert_int_eq(lift("target=192.0.2.0/24"), 1);
    ck_assert_str_eq(told, "unban 192.0.2.0/24 - 0 1 0");
    ck_assert(!is_refused("192.0.2.9"));
    ck_assert_int_eq(lift("target=spam.example.&limit=ban&since=60"), 1);
    ck_assert_str_eq(told, "unban spam.example. ban 60 1 0");
    ck_assert_int_eq(lift("limit=ban"), 0);
    ck_assert_str_eq(told, "unban - ban 0 0 0");
}
END_TEST

START_TEST(the_list_is_bounded_and_of_one_limit)
{
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    serve();
    char query[64];
    for (int i = 0; i < 60; i++) {
        snprintf(query, sizeof query, "target=10.0.0.%d&for=%d", i, 10000 + (i * 37 + 11) % 60);
        ban(query);
    }
    for (int i = 0; i < 2; i++)
        is_refused("192.0.2.1");
    json_t *page = get(control_bans, "n=7", 200);
    assert_size(page, "bans", 7);
    assert_int(page, "left_out", 54);
    for (int i = 0; i < 7; i++) {
        snprintf(query, sizeof query, "bans.%d.left", i);
        assert_real(page, query, 10059 - i);
    }
    json_decref(page);
    page = get(control_bans, "limit=client_connections", 200);
    assert_size(page, "bans", 1);
    assert_text(page, "bans.0.client", "192.0.2.1");
    assert_text(page, "bans.0.per", "client");
    json_decref(page);
    page = get(control_bans, "limit=ban&n=10000", 200);
    assert_size(page, "bans", 60);
    json_decref(page);
}
END_TEST

/* What a client was refused for need not be a ban. */
START_TEST(a_count_without_a_ban_is_forgotten)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    serve();
    is_refused("192.0.2.7");
    ck_assert(is_refused("192.0.2.7"));
    json_t *page = get(control_unban, "target=192.0.2.7&since=60", 200);
    assert_int(page, "lifted", 0);
    assert_int(page, "forgotten", 0);
    json_decref(page);
    ck_assert(is_refused("192.0.2.7"));
    page = get(control_unban, "target=192.0.2.7", 200);
    assert_int(page, "lifted", 0);
    assert_int(page, "forgotten", 1);
    json_decref(page);
    ck_assert_str_eq(told, "unban 192.0.2.7 - 0 0 1");
    page = get(control_unban, "target=192.0.2.7", 200);
    assert_int(page, "forgotten", 0);
    json_decref(page);
    ck_assert(!is_refused("192.0.2.7"));
    now += 2 * HOUR; /* nothing is left to be forgotten */
    page = get(control_unban, "target=192.0.2.7", 200);
    assert_int(page, "forgotten", 0);
    json_decref(page);
}
END_TEST

static void assert_held(const char *query, json_int_t lifted, const char *by)
{
    json_t *page = get(control_unban, query, 200);
    char command[100];
    assert_int(page, "lifted", lifted);
    if (by) {
        snprintf(command, sizeof command, "tidegate unban %s", by);
        assert_text(page, "held_by.lift", command);
    } else {
        assert_null(page, "held_by");
    }
    json_decref(page);
}

/* Whoever is let in by nobody is not told that he is. */
START_TEST(a_ban_around_the_target_still_holds_it)
{
    const struct prefix spared = prefix_of("10.1.1.0/24");
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    rules_add_list_prefix(builder, LIST_EXEMPT, &spared);
    rules_add_list_sender(builder, LIST_EXEMPT, "good.spam.example");
    serve();
    for (int i = 0; i < 2; i++)
        is_refused("192.0.2.1");
    ban("target=192.0.2.0/24");
    ban("target=192.0.0.0/16");
    json_t *page = get(control_unban, "target=192.0.2.1", 200);
    assert_int(page, "lifted", 1);
    assert_text(page, "held_by.client", "192.0.2.0/24");
    assert_null(page, "held_by.key");
    assert_text(page, "held_by.limit", "ban");
    assert_text(page, "held_by.lift", "tidegate unban 192.0.2.0/24");
    json_decref(page);
    assert_held("target=192.0.2.0/25", 0, "192.0.2.0/24");
    assert_held("target=192.0.2.0/24&limit=client_connections", 0, "192.0.2.0/24"); /* the limit's alone */
    assert_held("target=192.0.2.0/23", 1, "192.0.0.0/16");
    ban("target=192.0.2.9"); /* it holds not all of a wider one */
    assert_held("target=192.0.2.0/24&limit=client_connections", 0, "192.0.0.0/16");
    assert_held("target=192.0.0.0/8&limit=client_connections", 0, NULL);
    assert_held("target=192.0.0.0/16", 2, NULL);
    assert_held("limit=ban", 0, NULL);

    ban("target=10.0.0.0/8");
    assert_held("target=10.1.1.1", 0, NULL); /* it is exempt */
    assert_held("target=10.1.2.1", 0, "10.0.0.0/8");

    ban("target=10.1.1.0");
    assert_held("target=10.1.1.0/24&limit=client_connections", 0, NULL);
    assert_held("target=10.1.1.0", 1, NULL);
    assert_held("target=10.1.0.0/16", 0, "10.0.0.0/8"); /* of which that is a part */

    ban("target=spam.example");
    assert_held("target=A.Spam.example.", 0, "spam.example");
    assert_held("target=x@a.spam.example", 0, "spam.example");
    assert_held("target=x@good.spam.example", 0, NULL);
    assert_held("target=user:x@a.spam.example", 0, NULL); /* it is no sender */
    assert_held("target=notspam.example", 0, NULL);
    assert_held("target=", 0, NULL);
    assert_held("target=example", 1, NULL);
}
END_TEST

START_TEST(what_is_only_watched_holds_nobody)
{
    rules_set_monitor(builder, true);
    serve();
    ban("target=192.0.2.0/24");
    assert_held("target=192.0.2.1", 0, NULL);
    reload();
    assert_held("target=192.0.2.1", 0, NULL);
    ban("target=192.0.0.0/16");
    assert_held("target=192.0.2.1", 0, "192.0.0.0/16");
    rules_set_monitor(builder, true);
    reload();
    assert_held("target=192.0.2.1", 0, NULL);
}
END_TEST

/* In a dry run nobody is kept out, and who asks for a ban is told so. */
START_TEST(a_ban_says_what_it_does)
{
    serve();
    json_t *page = get(control_ban, "target=192.0.2.7", 200);
    assert_text(page, "action", "refuse");
    ck_assert(json_is_false(value_at(page, "monitored")));
    json_decref(page);
    ck_assert(is_refused("192.0.2.7"));
}
END_TEST

START_TEST(a_ban_of_a_dry_run_says_what_it_does)
{
    rules_set_monitor(builder, true);
    config.monitor = true;
    serve();
    json_t *page = get(control_ban, "target=192.0.2.7", 200);
    assert_text(page, "action", "monitor");
    ck_assert(json_is_true(value_at(page, "monitored")));
    json_decref(page);
    ck_assert(!is_refused("192.0.2.7"));
    page = get(control_bans, "", 200);
    assert_text(page, "bans.0.action", "monitor");
    json_decref(page);
    reload();
    config.monitor = false;
    ck_assert(!is_refused("192.0.2.7"));
    page = get(control_bans, "", 200);
    ck_assert_uint_eq(json_array_size(value_at(page, "bans")), 0);
    json_decref(page);
    page = get(control_ban, "target=192.0.2.7", 200);
    assert_text(page, "action", "refuse");
    ck_assert(json_is_false(value_at(page, "monitored")) && json_is_false(value_at(page, "changed")));
    json_decref(page);
    ck_assert(is_refused("192.0.2.7"));
}
END_TEST

/* A session of that HELO name and user that sends twice, and is refused the second time. */
static void cross_as(const char *helo, const char *sender, const char *user)
{
    session_id id = connect_from("203.0.113.1");
    said.helo = helo;
    said.user = user;
    for (int i = 0; i < 2; i++)
        mail(id, sender ? sender : "");
    ck_assert_msg(verdict.kind == VERDICT_REFUSE, "HELO %s, sender %s, user %s", helo ? helo : "-",
                  sender ? sender : "-", user ? user : "-");
    leave(id);
}

START_TEST(of_all_forms_of_a_name)
{
    static const enum limit_per pers[] = {PER_HELO, PER_SENDER, PER_USER};
    static const char *const names[] = {"helo_messages", "sender_messages", "user_messages"};
    for (size_t i = 0; i < 3; i++)
        rules_set_term(builder, custom_in(RULES_SERVICE, names[i], COUNT_MESSAGES, pers[i], 1, HOUR), TERM_BAN, HOUR);
    serve();
    static const struct {
        const char *helo, *sender, *user, *query;
    } cases[] = {
        {"192.0.2.7", NULL, NULL, "target=192.0.2.7"}, /* looks like an address, and is the name of a HELO */
        {"", NULL, NULL, "target="},
        {"[192.0.2.7]", NULL, NULL, "target=[192.0.2.7]"},
        {NULL, "joe@spam.example", NULL, "target=%3CJoe@Spam.Example.%3E"},
        {NULL, NULL, "joe.", "target=joe."},
        {NULL, NULL, "it's%20me;\"<x>", "target=it's%2520me;%22%3Cx%3E"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cross_as(cases[i].helo, cases[i].sender, cases[i].user);
        json_t *page = get(control_bans, "", 200);
        assert_size(page, "bans", 1);
        assert_text(page, "bans.0.key",
                    cases[i].helo     ? cases[i].helo
                    : cases[i].sender ? cases[i].sender
                                      : cases[i].user);
        if (i == 5)
            assert_text(page, "bans.0.lift", "tidegate unban 'user:it'\\''s%20me;\"<x>'");
        json_decref(page);
        ck_assert_msg(lift(cases[i].query) == 1, "case %zu", i);
    }
}
END_TEST

/* As configuration and explain write it: nobody else of that name gets in. */
START_TEST(a_user_that_is_marked)
{
    static const enum limit_per pers[] = {PER_HELO, PER_SENDER, PER_USER};
    static const char *const names[] = {"helo_messages", "sender_messages", "user_messages"};
    for (size_t i = 0; i < 3; i++)
        rules_set_term(builder, custom_in(RULES_SERVICE, names[i], COUNT_MESSAGES, pers[i], 1, HOUR), TERM_BAN, HOUR);
    serve();
    static const struct {
        const char *helo, *sender, *user;
    } banned[] = {
        {"joe", NULL, NULL}, {NULL, NULL, "joe"}, {NULL, "joe@a.example", NULL}, {NULL, NULL, "joe@a.example"}};
    for (size_t i = 0; i < 4; i++)
        cross_as(banned[i].helo, banned[i].sender, banned[i].user);
    json_t *page = get(control_bans, "limit=user_messages", 200);
    assert_size(page, "bans", 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *one = json_array_get(value_at(page, "bans"), i);
        char command[100];
        snprintf(command, sizeof command, "tidegate unban user:%s", json_string_value(json_object_get(one, "key")));
        ck_assert_str_eq(json_string_value(json_object_get(one, "lift")), command);
    }
    json_decref(page);
    ban("target=joe");
    ck_assert_int_eq(lift("target=user:Joe&limit=helo_messages"), 0);
    ck_assert_int_eq(lift("target=user:nobody"), 0);
    ck_assert_int_eq(lift("target=user:"), 0);
    ck_assert_int_eq(lift("target=user:Joe"), 1);
    ck_assert_str_eq(told, "unban user:Joe - 0 1 0");
    ck_assert_int_eq(lift("target=user:Joe"), 0);
    ck_assert_int_eq(lift("target=user:joe@a.example&limit=user_messages&since=60"), 1);
    ck_assert_int_eq(lift("target=joe"), 2); /* of the name in HELO, and the administrator's */
    ck_assert_int_eq(lift("target=joe@a.example"), 1);

    session_id id = connect_from("203.0.113.1"); /* what a client says may look like it, and its command lifts it */
    said.user = NULL;
    said.helo = "user:joe";
    for (int j = 0; j < 2; j++)
        mail(id, "");
    leave(id);
    ck_assert_int_eq(lift("target=user:joe"), 1);
    assert_mistake(control_ban, "target=user:joe", 400, "neither an address nor a block (192.0.2.0/24) nor a domain");
}
END_TEST

/* A client may have said nothing in HELO, and that is a name; dots and blanks are no way to write it. */
START_TEST(nothing_is_no_slip_of_the_pen)
{
    rules_set_term(builder, custom_in(RULES_SERVICE, "helo_messages", COUNT_MESSAGES, PER_HELO, 1, HOUR), TERM_BAN,
                   HOUR);
    serve();
    session_id id = connect_from("203.0.113.1");
    said.helo = "";
    for (int j = 0; j < 2; j++)
        mail(id, "");
    ck_assert(verdict.kind == VERDICT_REFUSE);
    leave(id);
    static const char *const slips[] = {"target=.", "target=...", "target=%20", "target=%3C%3E"};
    for (size_t i = 0; i < sizeof slips / sizeof *slips; i++)
        ck_assert_msg(lift(slips[i]) == 0, "%s", slips[i]);
    ck_assert_int_eq(lift("target="), 1);
}
END_TEST

START_TEST(mistakes_are_told_with_what_would_be_right)
{
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    serve();
    is_refused("192.0.2.1");
    is_refused("192.0.2.1");
    ban("target=10.0.0.0/8");
    assert_mistake(control_ban, "", 400, "target is missing");
    assert_mistake(control_ban, "target=", 400, "target is missing");
    assert_mistake(control_ban, "target=192.0.2.7/24", 400, "the block is 192.0.2.0/24");
    assert_mistake(control_ban, "target=192.0.2.0/33", 400, "to 32 for IPv4");
    assert_mistake(control_ban, "target=2001:db8::/x", 400, "to 128 for IPv6");
    static const char *const no_targets[] = {"192.0.2",      "300.1.1.1",    "a..b", ".example", "joe@spam.example",
                                             "spam example", "%01%ff%22<b>", "a/b",  "1",        "[192.0.2.1]"};
    char query[200];
    for (size_t i = 0; i < sizeof no_targets / sizeof *no_targets; i++) {
        snprintf(query, sizeof query, "target=%s", no_targets[i]);
        assert_mistake(control_ban, query, 400, "neither an address");
    }
    assert_mistake(control_ban, "target=192.0.2.1&for=0", 400, "for is \"0\"");
    assert_mistake(control_ban, "target=192.0.2.1&for=31536001", 400, "from 1 to 31536000");
    assert_mistake(control_ban, "target=192.0.2.1&for=2h", 400, "for is \"2h\"");
    assert_mistake(control_ban, "target=192.0.2.1&for=-1", 400, "for is \"-1\"");
    assert_mistake(control_ban, "target=192.0.2.1&for=99999999999999999999", 400, "give a whole number of seconds");
    assert_mistake(control_ban, "target=192.0.2.1&fro=1", 400, "fro");
    assert_mistake(control_unban, "", 400, "nothing says what to lift");
    assert_mistake(control_unban, "since=60", 400, "nothing says what to lift");
    assert_mistake(control_unban, "limit=client_connection", 400, "client_connection");
    assert_mistake(control_unban, "target=10.0.0.1/8", 400, "the block is 10.0.0.0/8");
    assert_mistake(control_unban, "limit=ban&since=0", 400, "since is \"0\"");
    assert_mistake(control_unban, "limit=ban&all=1", 400, "all");
    assert_mistake(control_bans, "n=0", 400, "from 1 to 10000");
    assert_mistake(control_bans, "n=10001", 400, "from 1 to 10000");
    assert_mistake(control_bans, "limit=%ff", 400, "which is none");
    assert_mistake(control_bans, "target=x", 400, "target");
}
END_TEST

START_TEST(no_room_for_more)
{
    char query[64];
    serve();
    for (int i = 0; i < 10000; i++) {
        snprintf(query, sizeof query, "target=11.%d.%d.0/24", i / 256, i % 256);
        ban(query);
    }
    assert_mistake(control_ban, "target=192.0.2.1", 409, "lift some");
    json_t *page = get(control_bans, "", 200);
    assert_size(page, "bans", 1000);
    assert_int(page, "left_out", 9000);
    json_decref(page);
    ck_assert_int_eq(lift("target=11.0.0.0/8"), 10000);
    ban("target=192.0.2.1");
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("control_bans");
    TCase *pages = test_case(suite, "pages");
    tcase_add_checked_fixture(pages, control_setup, control_teardown);
    tcase_add_test(pages, a_ban_is_begun_listed_and_lifted);
    tcase_add_test(pages, the_list_is_bounded_and_of_one_limit);
    tcase_add_test(pages, a_count_without_a_ban_is_forgotten);
    tcase_add_test(pages, a_ban_around_the_target_still_holds_it);
    tcase_add_test(pages, what_is_only_watched_holds_nobody);
    tcase_add_test(pages, a_ban_says_what_it_does);
    tcase_add_test(pages, a_ban_of_a_dry_run_says_what_it_does);
    tcase_add_test(pages, of_all_forms_of_a_name);
    tcase_add_test(pages, a_user_that_is_marked);
    tcase_add_test(pages, nothing_is_no_slip_of_the_pen);
    tcase_add_test(pages, mistakes_are_told_with_what_would_be_right);
    tcase_add_test(pages, no_room_for_more);
    return suite;
}
