/*
 * test_rules_build.c: what the builder of rule sets takes, what rules_build() refuses and which scopes it then names.
 * Links all of src/engine.
 */
#include "check_main.h"
#include "engine/chain.h"

#include <stdio.h>
#include <string.h>

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

static scope_id add(enum scope_kind kind, scope_id parent, const char *title)
{
    return rules_add_scope(builder, kind, parent, title);
}

static scope_id add_listener(const char *daemon_name)
{
    scope_id listener = add(SCOPE_LISTENER, RULES_SERVICE, NULL);
    if (daemon_name)
        rules_set_daemon_name(builder, listener, daemon_name);
    return listener;
}

static scope_id add_listen(scope_id listener, const char *text, uint16_t port)
{
    struct addr addr = {0};
    scope_id listen = add(SCOPE_LISTEN, listener, "listen");
    ck_assert(!*text || addr_parse(text, &addr));
    rules_set_listen(builder, listen, &addr, port);
    return listen;
}

static void add_block(scope_id peer, const char *cidr)
{
    struct prefix prefix;
    ck_assert(prefix_parse(cidr, &prefix) == PREFIX_OK);
    rules_add_prefix(builder, peer, &prefix);
}

static void assert_refused(enum rules_error_code code, scope_id earlier, scope_id later, const char *cidr)
{
    struct rules_error error;
    char text[PREFIX_TEXT_SIZE];
    for (int again = 0; again < 2; again++) { /* the builder stays the caller's, unchanged */
        struct rules *rules = rules_build(builder, &error);
        ck_assert_ptr_null(rules);
        ck_assert_int_eq(error.code, code);
        ck_assert_uint_eq(error.other, earlier);
        ck_assert_uint_eq(error.scope, later);
        if (cidr)
            ck_assert_str_eq(prefix_format(&error.prefix, text), cidr);
    }
}

static void assert_accepted(void)
{
    struct rules_error error;
    struct rules *rules = rules_build(builder, &error);
    ck_assert_msg(rules != NULL, "error %d, scopes %u and %u", (int)error.code, error.other, error.scope);
    ck_assert_int_eq(error.code, RULES_OK);
    rules_free(&rules);
}

START_TEST(two_pathways_of_one_name)
{
    scope_id group = add(SCOPE_PATHWAY_GROUP, RULES_SERVICE, "a");
    scope_id first = add(SCOPE_PATHWAY, group, "way");
    add(SCOPE_PATHWAY, group, "another");
    add(SCOPE_PATHWAY, group, "a"); /* a group's name is not a pathway's */
    assert_accepted();
    scope_id second = add(SCOPE_PATHWAY, RULES_SERVICE, "way"); /* in another group or in none: the same name space */
    assert_refused(RULES_DUPLICATE_PATHWAY, first, second, NULL);
}
END_TEST

START_TEST(two_groups_of_one_name)
{
    scope_id first = add(SCOPE_PATHWAY_GROUP, RULES_SERVICE, "clients");
    add(SCOPE_PATHWAY, first, "way");
    add(SCOPE_PATHWAY_GROUP, RULES_SERVICE, "Clients");
    assert_accepted();
    scope_id second = add(SCOPE_PATHWAY_GROUP, RULES_SERVICE, "clients");
    assert_refused(RULES_DUPLICATE_PATHWAY, first, second, NULL);
}
END_TEST

START_TEST(two_listens_of_one_address_and_port)
{
    static const struct {
        const char *addr;
        uint16_t port;
    } cases[] = {{"", 25}, {"10.0.0.1", 25}, {"10.0.0.1", 0}, {"", 0}, {"2001:db8::1", 25}};
    scope_id listener = add_listener(NULL), other = add_listener(NULL), listens[5];
    for (size_t i = 0; i < 5; i++)
        listens[i] = add_listen(i % 2 ? listener : other, cases[i].addr, cases[i].port);
    assert_accepted();
    scope_id again = add_listen(_i % 2 ? other : listener, cases[_i].addr, cases[_i].port); /* in the other listener */
    assert_refused(RULES_DUPLICATE_LISTEN, listens[_i], again, NULL);
}
END_TEST

START_TEST(two_listens_in_one_listener)
{
    scope_id listener = add_listener("mx"), first = add_listen(listener, "", 25);
    add_listen(add_listener("other"), "", 25); /* inside another name: no clash */
    add_listen(add_listener(NULL), "", 25);
    assert_accepted();
    scope_id second = add_listen(listener, "", 25);
    assert_refused(RULES_DUPLICATE_LISTEN, first, second, NULL);
}
END_TEST

START_TEST(a_mapped_listen_is_the_ipv4_one)
{
    scope_id listener = add_listener(NULL), first = add_listen(listener, "10.0.0.1", 25);
    scope_id second = add_listen(listener, "::ffff:10.0.0.1", 25);
    assert_refused(RULES_DUPLICATE_LISTEN, first, second, NULL);
}
END_TEST

START_TEST(two_listeners_of_one_daemon_name)
{
    scope_id first = add_listener("mx");
    add_listener("MX");
    assert_accepted();
    scope_id second = add_listener("mx");
    assert_refused(RULES_DUPLICATE_DAEMON_NAME, first, second, NULL);
}
END_TEST

START_TEST(two_listeners_for_everything_else)
{
    add_listen(add_listener(NULL), "", 25);
    scope_id first = add_listener(NULL);
    add_listener("mx");
    assert_accepted();
    scope_id second = add_listener(NULL);
    assert_refused(RULES_DUPLICATE_CATCH_ALL, first, second, NULL);
}
END_TEST

START_TEST(one_block_in_two_peers)
{
    scope_id listener = add_listener(NULL), first = add(SCOPE_PEER, listener, "ten"),
             wide = add(SCOPE_PEER, listener, "w");
    scope_id listen = add_listen(add_listener("mx"), "", 25), inside = add(SCOPE_PEER, listen, "ten");
    add_block(first, "192.0.2.0/24");
    add_block(first, "10.0.0.0/8");
    add_block(wide, "10.0.0.0/9"); /* the same address, another length */
    add_block(wide, "0.0.0.0/0");
    add_block(wide, "::/0");         /* the same bits, another family */
    add_block(inside, "10.0.0.0/8"); /* another parent */
    assert_accepted();
    scope_id second = add(SCOPE_PEER, listener, "again");
    add_block(second, "2001:db8::/32");
    add_block(second, "10.0.0.0/8");
    assert_refused(RULES_DUPLICATE_PEER, first, second, "10.0.0.0/8");
}
END_TEST

START_TEST(one_block_twice_in_a_peer)
{
    scope_id listener = add_listener(NULL), peer = add(SCOPE_PEER, listener, "pool");
    add_block(peer, "2001:db8::/32");
    add_block(peer, "10.0.0.0/8");
    add_block(peer, "2001:db8::/32");
    assert_refused(RULES_DUPLICATE_PEER, peer, peer, "2001:db8::/32");
}
END_TEST

START_TEST(one_builder_many_rule_sets)
{
    struct rules_error error;
    struct rules *sets[3];
    for (int i = 0; i < 3; i++) {
        scope_id way = add(SCOPE_PATHWAY, RULES_SERVICE, (const char *[]){"a", "b", "c"}[i]);
        rules_set(builder, way, SETTING_LISTENER_SESSIONS, i);
        sets[i] = rules_build(builder, &error);
        ck_assert_ptr_nonnull(sets[i]);
    }
    ck_assert_uint_lt(rules_bytes(sets[0]), rules_bytes(sets[2]));
    for (int i = 0; i < 3; i++)
        rules_free(&sets[i]);
}
END_TEST

static struct rules *build(void)
{
    struct rules_error error;
    struct rules *rules = rules_build(builder, &error);
    ck_assert_ptr_nonnull(rules);
    return rules;
}

START_TEST(long_names_are_cut)
{
    char title[400], name[SCOPE_NAME_SIZE + 1];
    memset(title, 't', sizeof title - 1);
    title[sizeof title - 1] = '\0';
    scope_id listener = add_listener(title), listen = add(SCOPE_LISTEN, listener, title);
    const scope_id scopes[] = {listener, listen, add(SCOPE_PEER, listen, title),
                               add(SCOPE_PATHWAY, RULES_SERVICE, title)};
    struct rules *rules = build();
    for (size_t i = 0; i < 4; i++) {
        name[SCOPE_NAME_SIZE] = 'x';
        rules_scope_name(rules, scopes[i], name);
        ck_assert_uint_eq(strlen(name), SCOPE_NAME_SIZE - 1);
        ck_assert_int_eq(name[SCOPE_NAME_SIZE], 'x');
    }
    rules_free(&rules);
}
END_TEST

START_TEST(titles_are_copied)
{
    char title[] = "way", daemon[] = "mx", name[SCOPE_NAME_SIZE];
    scope_id way = add(SCOPE_PATHWAY, RULES_SERVICE, title), listener = add_listener(daemon);
    title[0] = daemon[0] = 'X';
    struct rules *rules = build();
    rules_builder_free(&builder); /* the rules live on without it */
    ck_assert_ptr_null(builder);
    ck_assert_str_eq(rules_scope_name(rules, way, name), "pathway[way]");
    ck_assert_str_eq(rules_scope_name(rules, listener, name), "listener[mx]");
    rules_builder_free(&builder);
    rules_free(&rules);
    ck_assert_ptr_null(rules);
    rules_free(&rules);
}
END_TEST

START_TEST(a_lonely_ipv4_default_is_told)
{
    scope_id first = add_listener(NULL), four = add(SCOPE_PEER, first, "four"), listen = add_listen(first, "", 25);
    scope_id pair4 = add(SCOPE_PEER, listen, "pair4"), pair6 = add(SCOPE_PEER, listen, "pair6");
    scope_id mixed = add(SCOPE_PEER, add_listener("other"), "everyone"), last = add_listener("last");
    scope_id second = add(SCOPE_PEER, last, "second"), narrow = add(SCOPE_PEER, last, "narrow");
    const scope_id ipv4[] = {four, pair4, mixed, second}, ipv6[] = {pair6, mixed};
    for (size_t i = 0; i < 4; i++)
        add_block(ipv4[i], "0.0.0.0/0");
    for (size_t i = 0; i < 2; i++)
        add_block(ipv6[i], "::/0");
    add_block(narrow, "2001:db8::/32");
    struct rules *rules = build();
    scope_id scope = RULES_NO_SCOPE;
    ck_assert(rules_lonely_ipv4_default(rules, &scope));
    ck_assert_uint_eq(scope, four);
    ck_assert(rules_lonely_ipv4_default(rules, &scope));
    ck_assert_uint_eq(scope, second);
    ck_assert(!rules_lonely_ipv4_default(rules, &scope));
    rules_free(&rules);
}
END_TEST

/* ---- limits ---- */

START_TEST(limits_are_known_by_name)
{
    char name[] = "mine", numbered[LIMIT_NAME_SIZE];
    for (limit_number i = 0; i < LIMITS_BUILTIN; i++)
        ck_assert_uint_eq(
            rules_add_limit(builder, limit_builtins[i].name, limit_builtins[i].count, limit_builtins[i].per), i);
    limit_number mine = rules_add_limit(builder, name, COUNT_MESSAGES, PER_USER);
    ck_assert_uint_eq(mine, LIMITS_BUILTIN);
    name[0] = 'x'; /* it is copied */
    ck_assert_uint_eq(rules_add_limit(builder, "mine", COUNT_MESSAGES, PER_USER), mine);
    for (limit_number i = LIMITS_BUILTIN + 1; i < LIMITS_MAX; i++) {
        snprintf(numbered, sizeof numbered, "limit%u", i);
        ck_assert_uint_eq(rules_add_limit(builder, numbered, COUNT_ERRORS, PER_SESSION), i);
    }
    ck_assert_uint_eq(rules_add_limit(builder, "one_more", COUNT_ERRORS, PER_SESSION), RULES_NO_LIMIT);
    ck_assert_uint_eq(rules_add_limit(builder, "mine", COUNT_MESSAGES, PER_USER), mine);
    assert_accepted();
}
END_TEST

START_TEST(one_block_for_each_scope_and_limit)
{
    scope_id listener = add_listener(NULL);
    limit_block_id first = rules_add_limit_block(builder, RULES_SERVICE, 0);
    limit_block_id second = rules_add_limit_block(builder, RULES_SERVICE, 1);
    limit_block_id third = rules_add_limit_block(builder, listener, 0);
    ck_assert(first != second && first != third && second != third);
    ck_assert_uint_eq(rules_add_limit_block(builder, RULES_SERVICE, 0), first);
    ck_assert_uint_eq(rules_add_limit_block(builder, RULES_SERVICE, 1), second);
    ck_assert_uint_eq(rules_add_limit_block(builder, listener, 0), third);
}
END_TEST

START_TEST(rule_sets_hold_what_they_say)
{
    struct prefix prefix;
    prefix_parse("10.0.0.0/8", &prefix);
    struct rules *empty = build();
    limit_block_id block = rules_add_limit_block(builder, RULES_SERVICE, 0);
    rules_set_reply(builder, block, &(struct reply){.code = "421"});
    for (int i = 0; i < 100; i++) { /* entries that are given twice count once, and do no harm */
        rules_add_key_prefix(builder, block, &prefix, &(struct limit_maxima){.set = 1});
        rules_add_except_name(builder, block, "example.org");
        rules_add_list_prefix(builder, i % 2 ? LIST_DENY : LIST_EXEMPT, &prefix);
        rules_add_list_sender(builder, LIST_DENY, "example.org");
        rules_add_list_user(builder, LIST_EXEMPT, "joe");
    }
    struct rules *full = build();
    ck_assert_uint_gt(rules_bytes(full), rules_bytes(empty) + sizeof(struct reply));
    rules_free(&full);
    rules_free(&empty);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("rules_build");
    TCase *tests = test_case(suite, "refusals");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, two_pathways_of_one_name);
    tcase_add_test(tests, two_groups_of_one_name);
    tcase_add_loop_test(tests, two_listens_of_one_address_and_port, 0, 5);
    tcase_add_test(tests, two_listens_in_one_listener);
    tcase_add_test(tests, a_mapped_listen_is_the_ipv4_one);
    tcase_add_test(tests, two_listeners_of_one_daemon_name);
    tcase_add_test(tests, two_listeners_for_everything_else);
    tcase_add_test(tests, one_block_in_two_peers);
    tcase_add_test(tests, one_block_twice_in_a_peer);
    TCase *built = test_case(suite, "builder");
    tcase_add_checked_fixture(built, setup, teardown);
    tcase_add_test(built, one_builder_many_rule_sets);
    tcase_add_test(built, long_names_are_cut);
    tcase_add_test(built, titles_are_copied);
    tcase_add_test(built, a_lonely_ipv4_default_is_told);
    TCase *limits = test_case(suite, "limits");
    tcase_add_checked_fixture(limits, setup, teardown);
    tcase_add_test(limits, limits_are_known_by_name);
    tcase_add_test(limits, one_block_for_each_scope_and_limit);
    tcase_add_test(limits, rule_sets_hold_what_they_say);
    return suite;
}
