/*
 * test_terms.c: what a limit means for a session: its blocks put together over scopes and peers. What follows for a key
 * is in test_maxima.c, which events the rules need in test_needs.c. Links all of src/engine.
 */
#include "check_main.h"
#include "terms_case.h"

/* ---- blocks ---- */

START_TEST(no_block_no_limit)
{
    scope_id named = add(SCOPE_LISTENER, RULES_SERVICE, NULL);
    rules_set_daemon_name(builder, named, "mx");
    add_block(named, CONNECTIONS);
    build();
    session("192.0.2.1"); /* on another listener */
    for (limit_number limit = 0; limit < rules_limit_count(rules); limit++)
        ck_assert(!terms_of(limit));
}
END_TEST

START_TEST(an_empty_block_is_the_catalogue)
{
    limit_number custom = rules_add_limit(builder, "mine", COUNT_ERRORS, PER_HELO);
    for (limit_number limit = 0; limit <= custom; limit++)
        add_block(RULES_SERVICE, limit);
    build();
    session("192.0.2.1");
    ck_assert_uint_eq(rules_limit_count(rules), LIMITS_BUILTIN + 1);
    for (limit_number limit = 0; limit < LIMITS_BUILTIN; limit++) {
        ck_assert(terms_of(limit));
        ck_assert_uint_eq(terms.number, limit);
        ck_assert_int_eq(terms.count, limit_builtins[limit].count);
        ck_assert_int_eq(terms.per, limit_builtins[limit].per);
        ck_assert_int_eq(terms.mode, MODE_BLOCK);
        ck_assert_uint_eq(terms.scope, RULES_SERVICE);
        ck_assert_uint_eq(terms.largest, limit_builtins[limit].value[TERM_MAX]);
        ck_assert_ptr_null(terms.reply);
        ck_assert_ptr_null(terms.except);
        ck_assert_mem_eq(terms.value, limit_builtins[limit].value, sizeof terms.value);
        ck_assert_str_eq(rules_limit_name(rules, limit), limit_builtins[limit].name);
    }
    ck_assert(terms_of(custom));
    ck_assert_mem_eq(terms.value, limit_custom_defaults, sizeof terms.value);
    ck_assert_int_eq(terms.count, COUNT_ERRORS);
    ck_assert_int_eq(terms.per, PER_HELO);
    ck_assert_str_eq(rules_limit_name(rules, custom), "mine");
}
END_TEST

/* Every level of a chain, the least specific first. */
struct house {
    scope_id group, way, listener, listen, outer, inner;
};

static struct house add_house(void)
{
    struct house house;
    house.group = add(SCOPE_PATHWAY_GROUP, RULES_SERVICE, "g");
    house.way = add(SCOPE_PATHWAY, house.group, "w");
    house.listener = add(SCOPE_LISTENER, RULES_SERVICE, NULL);
    house.outer = add_peer(house.listener, "0.0.0.0/0");
    house.listen = add(SCOPE_LISTEN, house.listener, ":25");
    rules_set_listen(builder, house.listen, &(struct addr){0}, 25);
    house.inner = add_peer(house.listen, "0.0.0.0/0");
    rules_set(builder, house.listener, SETTING_PATHWAY, house.way);
    return house;
}

START_TEST(the_most_specific_scope_wins)
{
    static const char *const names[] = {"service",
                                        "pathway_group[g]",
                                        "pathway[w]",
                                        "listener[:25]",
                                        "listener[:25]/listen[:25]",
                                        "listener[:25]/peer[0.0.0.0/0]",
                                        "listener[:25]/listen[:25]/peer[0.0.0.0/0]"};
    const struct house house = add_house();
    const scope_id order[] = {RULES_SERVICE, house.group, house.way,  house.listener,
                              house.listen,  house.outer, house.inner};
    for (unsigned i = 0; i < 7; i++) {
        add_block_with(order[i], CONNECTIONS, TERM_MAX, 100 + i);
        build();
        session("192.0.2.1");
        ck_assert(terms_of(CONNECTIONS));
        ck_assert_int_eq(terms.value[TERM_MAX], 100 + i);
        ck_assert_uint_eq(terms.block_count, i + 1);
        assert_scope(names[i]);
    }
    session("2001:db8::1"); /* no peer holds it: the listen's, above the listener's */
    ck_assert(terms_of(CONNECTIONS));
    ck_assert_int_eq(terms.value[TERM_MAX], 104);
}
END_TEST

START_TEST(each_term_falls_back_by_itself)
{
    const struct house house = add_house();
    const scope_id order[] = {house.inner, house.outer, house.listen, house.listener,
                              house.way,   house.group, RULES_SERVICE};
    /* Term n is given from level n on, so that each level is the first to give some. */
    for (unsigned level = 0; level < 7; level++) {
        limit_block_id block = add_block(order[level], CONNECTIONS);
        for (unsigned term = 0; term < LIMIT_TERMS && term <= level; term++)
            rules_set_term(builder, block, (enum limit_term)term,
                           term == TERM_MODE ? MODE_SCORE : 1000 * (level + 1) + term);
    }
    build();
    session("192.0.2.1");
    ck_assert(terms_of(CONNECTIONS));
    for (unsigned term = 0; term < 7; term++)
        ck_assert_int_eq(terms.value[term], term == TERM_MODE ? MODE_SCORE : 1000 * (term + 1) + term);
    for (unsigned term = 7; term < LIMIT_TERMS; term++)
        ck_assert_int_eq(terms.value[term], limit_builtins[CONNECTIONS].value[term]);
    ck_assert_int_eq(terms.mode, MODE_SCORE);
    assert_scope("listener[:25]/listen[:25]/peer[0.0.0.0/0]"); /* the innermost block's, whatever it says */
}
END_TEST

START_TEST(terms_of_peers_are_layered)
{
    scope_id listener = add(SCOPE_LISTENER, RULES_SERVICE, NULL);
    scope_id all = add_peer(listener, "0.0.0.0/0"), ten = add_peer(listener, "10.0.0.0/8");
    scope_id sub = add_peer(listener, "10.1.0.0/16"), host = add_peer(listener, "10.1.1.1");
    add_block_with(RULES_SERVICE, CONNECTIONS, TERM_BAN, 5 * SECOND);
    limit_block_id block = add_block_with(all, CONNECTIONS, TERM_MAX, 1);
    rules_set_term(builder, block, TERM_WINDOW, 10 * SECOND);
    rules_set_term(builder, block, TERM_POINTS, 9);
    block = add_block_with(ten, CONNECTIONS, TERM_MAX, 2);
    rules_set_term(builder, block, TERM_WINDOW, 20 * SECOND);
    add_block_with(host, CONNECTIONS, TERM_MAX, 3);
    rules_set(builder, sub, SETTING_LISTENER_SESSIONS, 1); /* it has no block of the limit */
    add_block_with(sub, LIMIT_NUMBER_CLIENT_SESSIONS, TERM_MAX, 44);
    build();
    session("10.1.1.1");
    ck_assert(terms_of(CONNECTIONS));
    ck_assert_int_eq(terms.value[TERM_MAX], 3);
    ck_assert_int_eq(terms.value[TERM_WINDOW], 20 * SECOND);
    ck_assert_int_eq(terms.value[TERM_POINTS], 9);
    ck_assert_int_eq(terms.value[TERM_BAN], 5 * SECOND);
    assert_scope("listener[default]/peer[10.1.1.1]");
    ck_assert(terms_of(LIMIT_NUMBER_CLIENT_SESSIONS));
    assert_scope("listener[default]/peer[10.1.0.0/16]");
    session("10.1.1.2"); /* the counter is that of the longest prefix that has a block */
    ck_assert(terms_of(CONNECTIONS));
    ck_assert_int_eq(terms.value[TERM_MAX], 2);
    assert_scope("listener[default]/peer[10.0.0.0/8]");
    session("192.0.2.1");
    ck_assert(terms_of(CONNECTIONS));
    ck_assert_int_eq(terms.value[TERM_MAX], 1);
    ck_assert(!terms_of(LIMIT_NUMBER_CLIENT_SESSIONS));
    session("2001:db8::1");
    ck_assert(terms_of(CONNECTIONS));
    ck_assert_int_eq(terms.value[TERM_MAX], 10);
    assert_scope("service");
}
END_TEST

START_TEST(off_is_off_for_those_in_it_alone)
{
    scope_id listener = add(SCOPE_LISTENER, RULES_SERVICE, NULL);
    scope_id ten = add_peer(listener, "10.0.0.0/8"), sub = add_peer(listener, "10.1.0.0/16");
    add_block(RULES_SERVICE, CONNECTIONS);
    add_block_with(ten, CONNECTIONS, TERM_MODE, MODE_OFF);
    add_block_with(sub, CONNECTIONS, TERM_MODE, MODE_SCORE);
    build();
    session("10.0.0.1");
    ck_assert(!terms_of(CONNECTIONS));
    session("10.1.0.1");
    ck_assert(terms_of(CONNECTIONS));
    ck_assert_int_eq(terms.mode, MODE_SCORE);
    session("192.0.2.1");
    ck_assert(terms_of(CONNECTIONS));
    ck_assert_int_eq(terms.mode, MODE_BLOCK);
}
END_TEST

START_TEST(a_dry_run_makes_monitors)
{
    static const enum limit_mode modes[] = {MODE_OFF, MODE_BLOCK, MODE_MONITOR, MODE_SCORE};
    rules_set_monitor(builder, true);
    for (size_t i = 0; i < 4; i++) {
        add_block_with(RULES_SERVICE, CONNECTIONS, TERM_MODE, modes[i]);
        build();
        session("192.0.2.1");
        ck_assert(terms_of(CONNECTIONS) == (modes[i] != MODE_OFF));
        if (modes[i] != MODE_OFF)
            ck_assert_int_eq(terms.mode, modes[i] == MODE_SCORE ? MODE_SCORE : MODE_MONITOR);
    }
    ck_assert(rules_monitor(rules));
}
END_TEST

START_TEST(replies_fall_back_too)
{
    const struct reply outer = {"421", "4.4.5", "outer"}, inner = {"450", "4.7.0", "inner"};
    scope_id listener = add(SCOPE_LISTENER, RULES_SERVICE, NULL), peer = add_peer(listener, "10.0.0.0/8");
    limit_block_id block = add_block(RULES_SERVICE, CONNECTIONS);
    rules_set_reply(builder, block, &inner);
    rules_set_reply(builder, block, &outer); /* a second call replaces the first */
    add_block(listener, CONNECTIONS);
    rules_set_reply(builder, add_block(peer, CONNECTIONS), &inner);
    add_block(add_peer(listener, "10.1.0.0/16"), CONNECTIONS);
    build();
    rules_builder_free(&builder); /* the rules live on without it */
    session("192.0.2.1");
    ck_assert(terms_of(CONNECTIONS));
    ck_assert_str_eq(terms.reply->text, "outer");
    session("10.0.0.1");
    ck_assert(terms_of(CONNECTIONS));
    ck_assert_str_eq(terms.reply->text, "inner");
    ck_assert_str_eq(terms.reply->code, "450");
    session("10.1.0.1"); /* of a wider peer before that of an outer scope */
    ck_assert(terms_of(CONNECTIONS));
    ck_assert_str_eq(terms.reply->text, "inner");
}
END_TEST

START_TEST(records_are_shared_by_what_is_built_in)
{
    limit_number custom = rules_add_limit(builder, "mine", COUNT_MESSAGES, PER_CLIENT);
    scope_id listener = add(SCOPE_LISTENER, RULES_SERVICE, NULL);
    static const limit_number of_client[] = {CONNECTIONS, LIMIT_NUMBER_CLIENT_MESSAGES, LIMIT_NUMBER_CLIENT_RECIPIENTS,
                                             LIMIT_NUMBER_CLIENT_ERRORS};
    unsigned slots = 0;
    for (limit_number limit = 0; limit <= custom; limit++)
        add_block(RULES_SERVICE, limit);
    build();
    session("192.0.2.1");
    terms_of(LIMIT_NUMBER_CLIENT_SESSIONS);
    const uint64_t group = terms.group;
    ck_assert_uint_eq(terms.slot, RECORD_WINDOWS); /* it has no window */
    ck_assert_uint_eq(rules_reputation_group(rules), group);
    for (size_t i = 0; i < 4; i++) {
        ck_assert(terms_of(of_client[i]));
        ck_assert_uint_eq(terms.group, group);
        ck_assert_uint_lt(terms.slot, RECORD_WINDOWS);
        slots |= 1u << terms.slot;
    }
    ck_assert_uint_eq(slots, 15); /* each its own */
    terms_of(LIMIT_NUMBER_RECIPIENT_MESSAGES);
    const uint64_t of_recipient = terms.group;
    const uint8_t slot = terms.slot;
    ck_assert_uint_ne(of_recipient, group);
    terms_of(LIMIT_NUMBER_RECIPIENT_BOUNCES);
    ck_assert(terms.group == of_recipient && terms.slot != slot);
    ck_assert(terms_of(custom));
    ck_assert_uint_ne(terms.group, group);
    const uint64_t mine = terms.group;
    ck_assert_uint_le(group | mine | of_recipient, TABLE_GROUP_MAX);
    add_block(listener, CONNECTIONS); /* another scope, another record */
    build();
    session("192.0.2.1");
    terms_of(CONNECTIONS);
    ck_assert_uint_ne(terms.group, group);
    terms_of(custom);
    ck_assert_uint_eq(terms.group, mine); /* the same name, scope and per: the same record under other rules */
}
END_TEST

START_TEST(limits_on_sessions_have_places)
{
    limit_number mine = rules_add_limit(builder, "mine", COUNT_SESSIONS, PER_USER);
    limit_number other = rules_add_limit(builder, "other", COUNT_MESSAGES, PER_USER);
    limit_number third = rules_add_limit(builder, "third", COUNT_SESSIONS, PER_CLIENT_DOMAIN);
    build();
    ck_assert_uint_eq(rules_session_limits(rules), 3);
    ck_assert_int_eq(rules_session_index(rules, LIMIT_NUMBER_CLIENT_SESSIONS), 0);
    ck_assert_int_eq(rules_session_index(rules, mine), 1);
    ck_assert_int_eq(rules_session_index(rules, other), -1);
    ck_assert_int_eq(rules_session_index(rules, third), 2);
    ck_assert_int_eq(rules_session_index(rules, CONNECTIONS), -1);
}
END_TEST

START_TEST(only_limits_with_a_block_are_looked_at)
{
    build();
    for (enum event_kind event = EVENT_CONNECT; event < EVENT_KINDS; event++)
        ck_assert_uint_eq(rules_limits_at(rules, event), 0);
    add_block(RULES_SERVICE, LIMIT_NUMBER_CLIENT_RECIPIENTS);
    add_block(RULES_SERVICE, LIMIT_NUMBER_HELO_NETWORKS);
    build();
    const uint64_t client = 1u << LIMIT_NUMBER_CLIENT_RECIPIENTS, networks = 1u << LIMIT_NUMBER_HELO_NETWORKS;
    ck_assert_uint_eq(rules_limits_at(rules, EVENT_CONNECT), 0);
    ck_assert_uint_eq(rules_limits_at(rules, EVENT_HELO), networks);
    ck_assert_uint_eq(rules_limits_at(rules, EVENT_MAIL), 0);
    ck_assert_uint_eq(rules_limits_at(rules, EVENT_RCPT), client);
    rules_set_term(builder, add_block(RULES_SERVICE, LIMIT_NUMBER_CLIENT_RECIPIENTS), TERM_BAN, 1);
    build();
    ck_assert_uint_eq(rules_limits_at(rules, EVENT_CONNECT), client); /* for the ban */
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("terms");
    TCase *tests = test_case(suite, "blocks");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, no_block_no_limit);
    tcase_add_test(tests, an_empty_block_is_the_catalogue);
    tcase_add_test(tests, the_most_specific_scope_wins);
    tcase_add_test(tests, each_term_falls_back_by_itself);
    tcase_add_test(tests, terms_of_peers_are_layered);
    tcase_add_test(tests, off_is_off_for_those_in_it_alone);
    tcase_add_test(tests, a_dry_run_makes_monitors);
    tcase_add_test(tests, replies_fall_back_too);
    tcase_add_test(tests, records_are_shared_by_what_is_built_in);
    tcase_add_test(tests, limits_on_sessions_have_places);
    tcase_add_test(tests, only_limits_with_a_block_are_looked_at);
    return suite;
}
