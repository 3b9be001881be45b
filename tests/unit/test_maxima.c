/*
 * test_maxima.c: whom a limit gives which maximum: keys, exceptions, reputation; and the lists. Links all of
 * src/engine.
 */
#include "check_main.h"
#include "terms_case.h"

/* ---- maxima ---- */

static uint32_t max_for(const char *client, const char *name, const char *user, enum reputation reputation)
{
    const struct terms_subject subject = {addr_of(client), name, user, reputation};
    return terms_max(rules, &terms, &subject);
}

static uint32_t max_of(const char *client, const char *name, const char *user)
{
    return max_for(client, name, user, REPUTATION_NONE);
}

static void find_terms(limit_number limit)
{
    build();
    session("192.0.2.1");
    ck_assert(terms_of(limit));
}

START_TEST(who_gets_which_max)
{
    limit_block_id block = add_block_with(RULES_SERVICE, CONNECTIONS, TERM_MAX, 4);
    find_terms(CONNECTIONS);
    for (enum reputation reputation = REPUTATION_NONE; reputation <= REPUTATION_BAD; reputation++)
        ck_assert_uint_eq(max_for("192.0.2.1", NULL, "joe", reputation), 4);
    ck_assert_uint_eq(terms.largest, 4);
    rules_set_term(builder, block, TERM_MAX_GOOD, 9);
    rules_set_term(builder, block, TERM_MAX_BAD, 1);
    find_terms(CONNECTIONS);
    ck_assert_uint_eq(max_for("192.0.2.1", NULL, NULL, REPUTATION_NONE), 4);
    ck_assert_uint_eq(max_for("192.0.2.1", NULL, NULL, REPUTATION_GOOD), 9);
    ck_assert_uint_eq(max_for("192.0.2.1", NULL, "", REPUTATION_BAD), 1);
    ck_assert_uint_eq(terms.largest, 9);
    rules_set_term(builder, block, TERM_MAX_AUTHENTICATED, 0); /* set, and set to no limit */
    find_terms(CONNECTIONS);
    for (enum reputation reputation = REPUTATION_NONE; reputation <= REPUTATION_BAD; reputation++)
        ck_assert_uint_eq(max_for("192.0.2.1", NULL, "joe", reputation), 0);
    ck_assert_uint_eq(max_for("192.0.2.1", NULL, NULL, REPUTATION_GOOD), 9);
}
END_TEST

#define MAX(n)                               \
    &(struct limit_maxima)                   \
    {                                        \
        .set = 1u << TERM_MAX, .max = {(n) } \
    }

static void key_prefix(limit_block_id block, const char *text, const struct limit_maxima *maxima)
{
    const struct prefix prefix = prefix_of(text);
    rules_add_key_prefix(builder, block, &prefix, maxima);
}

START_TEST(the_most_specific_key_wins)
{
    limit_number limit = LIMIT_NUMBER_SENDER_RECIPIENTS;
    limit_block_id block = add_block_with(RULES_SERVICE, limit, TERM_MAX, 100);
    rules_add_key_name(builder, block, "example", MAX(1));
    rules_add_key_name(builder, block, "b.example", MAX(2));
    rules_add_key_name(builder, block, "x.b.example", MAX(3));
    key_prefix(block, "10.0.0.0/8", MAX(4));
    key_prefix(block, "10.1.0.0/16", MAX(5));
    key_prefix(block, "10.1.1.1", MAX(6));
    rules_add_key_name(builder, block, "a@b.example", MAX(7));
    rules_add_key_user(builder, block, "joe", MAX(8));
    key_prefix(block, "2001:db8::/32", MAX(9));
    find_terms(limit);
    static const struct {
        const char *client, *name, *user;
        uint32_t max;
    } cases[] = {
        {"10.1.1.1", "a@b.example", "joe", 8},
        {"10.1.1.1", "a@b.example", "ann", 7},
        {"10.1.1.1", "c@b.example", "ann", 6},
        {"10.1.1.2", "c@b.example", NULL, 5},
        {"10.2.1.1", "c@b.example", NULL, 4},
        {"192.0.2.1", "c@b.example", NULL, 2},
        {"192.0.2.1", "c@x.b.example", NULL, 3},
        {"192.0.2.1", "c@y.x.b.example", NULL, 3},
        {"192.0.2.1", "c@z.b.example", NULL, 2},
        {"192.0.2.1", "c@z.example", NULL, 1},
        {"192.0.2.1", "c@z.test", NULL, 100},
        {"192.0.2.1", "c@notb.example.test", NULL, 100},
        {"192.0.2.1", "b.example@z", NULL, 100},
        {"", "", "", 100},
        {"", NULL, NULL, 100},
        {"2001:db8::1", "a@z.test", "", 9},
        {"192.0.2.1", "a@xb.example", NULL, 1},
        {"192.0.2.1", "a@b.example", NULL, 7},
        {"192.0.2.1", "z@y", "JOE", 100},
        {"192.0.2.1", "joe", NULL, 100}, /* who only calls himself like a user */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(max_of(cases[i].client, cases[i].name, cases[i].user) == cases[i].max, "case %zu: %u", i,
                      max_of(cases[i].client, cases[i].name, cases[i].user));
    ck_assert_uint_eq(terms.largest, 100);
}
END_TEST

START_TEST(a_key_falls_back_to_the_limit)
{
    const struct limit_maxima some = {.set = 1u << TERM_MAX_GOOD | 1u << TERM_MAX_AUTHENTICATED, .max = {0, 70, 0, 90}};
    const struct limit_maxima plain = {.set = 1u << TERM_MAX, .max = {500}};
    limit_block_id block = add_block_with(RULES_SERVICE, CONNECTIONS, TERM_MAX, 1);
    rules_set_term(builder, block, TERM_MAX_BAD, 2);
    rules_set_term(builder, block, TERM_MAX_AUTHENTICATED, 3);
    key_prefix(block, "10.0.0.0/8", &some);
    key_prefix(block, "192.0.2.0/24", &plain);
    find_terms(CONNECTIONS);
    ck_assert_uint_eq(max_for("10.0.0.1", NULL, "joe", REPUTATION_BAD), 90);
    ck_assert_uint_eq(max_for("10.0.0.1", NULL, NULL, REPUTATION_GOOD), 70);
    ck_assert_uint_eq(max_for("10.0.0.1", NULL, NULL, REPUTATION_BAD), 2);
    ck_assert_uint_eq(max_for("10.0.0.1", NULL, NULL, REPUTATION_NONE), 1);
    /* What the key says comes before all that the limit says. */
    ck_assert_uint_eq(max_for("192.0.2.1", NULL, "joe", REPUTATION_BAD), 500);
    ck_assert_uint_eq(max_for("2001:db8::1", NULL, "joe", REPUTATION_NONE), 3);
    ck_assert_uint_eq(terms.largest, 500);
}
END_TEST

START_TEST(of_a_key_that_is_given_twice_the_last_counts)
{
    limit_block_id block = add_block(RULES_SERVICE, LIMIT_NUMBER_SENDER_RECIPIENTS);
    for (uint32_t i = 1; i <= 3; i++) {
        rules_add_key_name(builder, block, "a@b.example", MAX(i));
        key_prefix(block, "10.0.0.0/8", MAX(10 * i));
        rules_add_key_name(builder, block, "other", MAX(99));
    }
    find_terms(LIMIT_NUMBER_SENDER_RECIPIENTS);
    ck_assert_uint_eq(max_of("192.0.2.1", "a@b.example", NULL), 3);
    ck_assert_uint_eq(max_of("10.0.0.1", "z@b.example", NULL), 30);
}
END_TEST

START_TEST(keys_of_inner_blocks_come_first)
{
    scope_id listener = add(SCOPE_LISTENER, RULES_SERVICE, NULL);
    scope_id ten = add_peer(listener, "10.0.0.0/8"), sub = add_peer(listener, "10.1.0.0/16");
    limit_number limit = LIMIT_NUMBER_SENDER_RECIPIENTS;
    limit_block_id outer = add_block_with(RULES_SERVICE, limit, TERM_MAX, 50), wide = add_block(ten, limit),
                   narrow = add_block(sub, limit);
    rules_add_key_name(builder, outer, "a@b.example", MAX(1));
    rules_add_key_name(builder, outer, "c@b.example", MAX(2));
    rules_add_key_name(builder, outer, "d@b.example", MAX(1000));
    rules_add_key_name(builder, wide, "a@b.example", MAX(3));
    rules_add_key_name(builder, wide, "e@b.example", MAX(4));
    rules_add_key_name(builder, wide, "g@h.example", MAX(2000));
    rules_add_key_name(builder, narrow, "b.example", MAX(5));
    build();
    session("10.1.0.1");
    ck_assert(terms_of(limit));
    ck_assert_uint_eq(max_of("10.1.0.1", "a@b.example", NULL), 5); /* however specific the outer ones are */
    ck_assert_uint_eq(max_of("10.1.0.1", "a@other", NULL), 50);
    ck_assert_uint_eq(terms.largest, 2000); /* of all that can apply */
    session("10.2.0.1");
    ck_assert(terms_of(limit));
    ck_assert_uint_eq(max_of("10.2.0.1", "a@b.example", NULL), 3);
    ck_assert_uint_eq(max_of("10.2.0.1", "e@b.example", NULL), 4);
    ck_assert_uint_eq(max_of("10.2.0.1", "c@b.example", NULL), 2);
    session("192.0.2.1");
    ck_assert(terms_of(limit));
    ck_assert_uint_eq(terms.largest, 1000);
    ck_assert_uint_eq(max_of("192.0.2.1", "a@b.example", NULL), 1);
    ck_assert_uint_eq(max_of("192.0.2.1", "e@b.example", NULL), 50);
    /* Without the narrow one's key, the wider peer's come next, then the outer block's. */
    teardown();
    setup();
    listener = add(SCOPE_LISTENER, RULES_SERVICE, NULL);
    ten = add_peer(listener, "10.0.0.0/8");
    sub = add_peer(listener, "10.1.0.0/16");
    rules_add_key_name(builder, add_block(ten, limit), "e@b.example", MAX(4));
    rules_add_key_name(builder, add_block(sub, limit), "f@b.example", MAX(6));
    build();
    session("10.1.0.1");
    ck_assert(terms_of(limit));
    ck_assert_uint_eq(max_of("10.1.0.1", "f@b.example", NULL), 6);
    ck_assert_uint_eq(max_of("10.1.0.1", "e@b.example", NULL), 4);
}
END_TEST

static void except_prefix(limit_block_id block, const char *text)
{
    const struct prefix prefix = prefix_of(text);
    rules_add_except_prefix(builder, block, &prefix);
}

START_TEST(whom_a_limit_spares)
{
    limit_number limit = LIMIT_NUMBER_DOMAIN_NETWORKS;
    scope_id listener = add(SCOPE_LISTENER, RULES_SERVICE, NULL);
    scope_id ten = add_peer(listener, "10.0.0.0/8"), sub = add_peer(listener, "10.1.0.0/16");
    limit_block_id outer = add_block_with(RULES_SERVICE, limit, TERM_MAX, 5);
    add_block_with(add_peer(listener, "10.2.0.0/16"), limit, TERM_POINTS, 3); /* it says nothing of it */
    except_prefix(outer, "192.0.2.0/24");
    except_prefix(outer, "10.0.0.0/8");
    rules_add_except_name(builder, outer, "gmail.com");
    rules_add_except_user(builder, outer, "joe");
    rules_add_except_name(builder, outer, "a@b.example");
    rules_add_key_name(builder, outer, "gmail.com", MAX(77)); /* who is spared is spared */
    rules_add_except_name(builder, add_block(ten, limit), "b.example");
    rules_set_except(builder, add_block(sub, limit)); /* an empty list takes the place of the outer one, too */
    build();
    session("192.0.2.1");
    ck_assert(terms_of(limit));
    ck_assert_uint_eq(max_of("192.0.2.77", "x@y", NULL), 0);
    ck_assert_uint_eq(max_of("198.51.100.1", "x@y", NULL), 5);
    ck_assert_uint_eq(max_of("198.51.100.1", "x@mail.gmail.com", NULL), 0);
    ck_assert_uint_eq(max_of("198.51.100.1", "x@y", "joe"), 0);
    ck_assert_uint_eq(max_of("198.51.100.1", "a@b.example", NULL), 0);
    ck_assert_uint_eq(max_of("198.51.100.1", "c@b.example", NULL), 5);
    session("10.0.0.1");
    ck_assert(terms_of(limit));
    ck_assert_uint_eq(max_of("10.0.0.1", "x@gmail.com", NULL), 77);
    ck_assert_uint_eq(max_of("10.0.0.1", "x@b.example", NULL), 0);
    session("10.2.0.1");
    ck_assert(terms_of(limit));
    ck_assert_uint_eq(max_of("10.2.0.1", "x@b.example", NULL), 0);
    ck_assert_uint_eq(max_of("10.2.0.1", "x@y", NULL), 5);
    session("10.1.0.1");
    ck_assert(terms_of(limit));
    ck_assert_uint_eq(max_of("10.1.0.1", "x@b.example", "joe"), 5);
}
END_TEST

/* ---- lists ---- */

static void list_prefix(enum rules_list list, const char *text)
{
    const struct prefix prefix = prefix_of(text);
    rules_add_list_prefix(builder, list, &prefix);
}

static unsigned listed_bits; /* of the prefix that the last listed() was by */

static enum list_answer listed(const char *client)
{
    const struct addr addr = addr_of(client);
    const struct listed listed = rules_listed_client(rules, &addr);
    listed_bits = listed.bits;
    return listed.answer;
}

static const char *spared; /* what the sender of the last list_names() is exempt by */

static enum list_answer list_names(const char *sender, const char *user)
{
    const struct listed listed = rules_listed_names(rules, sender, user);
    spared = listed.spared;
    return listed.answer;
}

START_TEST(the_longest_prefix_wins_and_deny_on_a_tie)
{
    list_prefix(LIST_DENY, "10.0.0.0/8");
    list_prefix(LIST_EXEMPT, "10.1.0.0/16");
    list_prefix(LIST_DENY, "10.1.1.0/24");
    list_prefix(LIST_EXEMPT, "10.1.1.1");
    list_prefix(LIST_EXEMPT, "192.0.2.1");
    list_prefix(LIST_DENY, "192.0.2.1");
    list_prefix(LIST_DENY, "192.0.2.2");
    list_prefix(LIST_EXEMPT, "192.0.2.2");
    list_prefix(LIST_EXEMPT, "2001:db8::/32");
    list_prefix(LIST_EXEMPT, "2001:db8::/32");
    build();
    ck_assert_int_eq(listed("10.0.0.1"), LISTED_DENY);
    ck_assert_uint_eq(listed_bits, 8);
    ck_assert_int_eq(listed("10.1.0.1"), LISTED_EXEMPT);
    ck_assert_uint_eq(listed_bits, 16);
    ck_assert_int_eq(listed("10.1.1.2"), LISTED_DENY);
    ck_assert_uint_eq(listed_bits, 24);
    ck_assert_int_eq(listed("10.1.1.1"), LISTED_EXEMPT);
    ck_assert_uint_eq(listed_bits, 32);
    ck_assert_int_eq(listed("192.0.2.1"), LISTED_DENY);
    ck_assert_int_eq(listed("192.0.2.2"), LISTED_DENY);
    ck_assert_int_eq(listed("2001:db8::1"), LISTED_EXEMPT);
    ck_assert_int_eq(listed("198.51.100.1"), LISTED_NOWHERE);
    ck_assert_int_eq(listed(""), LISTED_NOWHERE);
}
END_TEST

START_TEST(senders_and_users_on_the_lists)
{
    rules_add_list_sender(builder, LIST_DENY, "bad.example");
    rules_add_list_sender(builder, LIST_EXEMPT, "good.bad.example");
    rules_add_list_sender(builder, LIST_EXEMPT, "friend@bad.example");
    rules_add_list_sender(builder, LIST_EXEMPT, "both.example");
    rules_add_list_sender(builder, LIST_DENY, "both.example");
    rules_add_list_user(builder, LIST_DENY, "mallory");
    rules_add_list_user(builder, LIST_EXEMPT, "joe");
    rules_add_list_user(builder, LIST_EXEMPT, "mallory");
    build();
    static const struct {
        const char *sender, *user;
        enum list_answer answer;
        const char *spared;
    } cases[] = {
        {"a@bad.example", NULL, LISTED_DENY, NULL},
        {"a@x.bad.example", NULL, LISTED_DENY, NULL},
        {"a@good.bad.example", NULL, LISTED_EXEMPT, "good.bad.example"},
        {"a@of.good.bad.example", NULL, LISTED_EXEMPT, "good.bad.example"},
        {"friend@bad.example", "", LISTED_EXEMPT, "friend@bad.example"},
        {"a@both.example", NULL, LISTED_DENY, NULL},
        {"a@other.example", NULL, LISTED_NOWHERE, NULL},
        {"a@notbad.example", NULL, LISTED_NOWHERE, NULL},
        {"", NULL, LISTED_NOWHERE, NULL},
        {NULL, NULL, LISTED_NOWHERE, NULL},
        {NULL, "joe", LISTED_EXEMPT, NULL},
        {"a@bad.example", "joe", LISTED_DENY, NULL}, /* deny by either beats exempt by the other */
        {"friend@bad.example", "mallory", LISTED_DENY, "friend@bad.example"},
        {"a@other.example", "joe", LISTED_EXEMPT, NULL},
        {"", "ann", LISTED_NOWHERE, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(list_names(cases[i].sender, cases[i].user) == cases[i].answer, "case %zu", i);
        ck_assert_pstr_eq(spared, cases[i].spared);
    }
}
END_TEST

START_TEST(everybody_with_a_user)
{
    rules_add_list_authenticated(builder, LIST_EXEMPT);
    rules_add_list_user(builder, LIST_DENY, "mallory");
    build();
    ck_assert_int_eq(list_names("", "joe"), LISTED_EXEMPT);
    ck_assert_int_eq(list_names("", "mallory"), LISTED_DENY);
    ck_assert_int_eq(list_names("", ""), LISTED_NOWHERE);
    ck_assert_int_eq(list_names("a@b.example", NULL), LISTED_NOWHERE);
    rules_add_list_authenticated(builder, LIST_DENY);
    rules_add_list_user(builder, LIST_EXEMPT, "boss");
    build();
    ck_assert_int_eq(list_names("", "joe"), LISTED_DENY);
    ck_assert_int_eq(list_names("", "boss"), LISTED_EXEMPT); /* the more specific */
}
END_TEST

START_TEST(a_deny_list_that_is_off_is_none)
{
    list_prefix(LIST_DENY, "10.0.0.0/8");
    list_prefix(LIST_EXEMPT, "10.0.0.0/8");
    rules_add_list_sender(builder, LIST_DENY, "a.example");
    rules_add_list_authenticated(builder, LIST_DENY);
    build();
    ck_assert_int_eq(rules_deny_mode(rules), MODE_BLOCK); /* before any call */
    rules_set_deny(builder, MODE_OFF, 0);
    build();
    ck_assert_int_eq(listed("10.0.0.1"), LISTED_EXEMPT);
    ck_assert_int_eq(list_names("x@a.example", "joe"), LISTED_NOWHERE);
    rules_set_deny(builder, MODE_SCORE, 7);
    build();
    ck_assert_int_eq(rules_deny_mode(rules), MODE_SCORE);
    ck_assert_uint_eq(rules_deny_points(rules), 7);
    ck_assert_int_eq(listed("10.0.0.1"), LISTED_DENY);
    rules_set_monitor(builder, true);
    build();
    ck_assert_int_eq(rules_deny_mode(rules), MODE_SCORE); /* which refuses nobody */
    rules_set_deny(builder, MODE_BLOCK, 0);
    build();
    ck_assert_int_eq(rules_deny_mode(rules), MODE_MONITOR);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("maxima");
    TCase *maxima = test_case(suite, "maxima");
    tcase_add_checked_fixture(maxima, setup, teardown);
    tcase_add_test(maxima, who_gets_which_max);
    tcase_add_test(maxima, the_most_specific_key_wins);
    tcase_add_test(maxima, a_key_falls_back_to_the_limit);
    tcase_add_test(maxima, of_a_key_that_is_given_twice_the_last_counts);
    tcase_add_test(maxima, keys_of_inner_blocks_come_first);
    tcase_add_test(maxima, whom_a_limit_spares);
    TCase *lists = test_case(suite, "lists");
    tcase_add_checked_fixture(lists, setup, teardown);
    tcase_add_test(lists, the_longest_prefix_wins_and_deny_on_a_tie);
    tcase_add_test(lists, senders_and_users_on_the_lists);
    tcase_add_test(lists, everybody_with_a_user);
    tcase_add_test(lists, a_deny_list_that_is_off_is_none);
    return suite;
}
