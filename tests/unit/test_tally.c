/*
 * test_tally.c: the counts under one rule set. Links all of src/engine.
 */
#include "check_main.h"
#include "engine/tally.h"

#define RECORDS 8

static const uint64_t seed[2] = {1, 2};
static struct tally *tally;
static scope_id listener, peer, group, pathway;
static struct addr client, stranger;

/* service 5, listener 4 with refuse_pending 1, peer 10.0.0.0/8 3, pathway 6 in a group without a cap; a limit on
 * sessions besides the built-in one */
static void setup(void)
{
    struct rules_builder *builder = rules_builder_new();
    struct rules_error error;
    struct prefix block;

    ck_assert_ptr_nonnull(builder);
    group = rules_add_scope(builder, SCOPE_PATHWAY_GROUP, RULES_SERVICE, "group");
    pathway = rules_add_scope(builder, SCOPE_PATHWAY, group, "way");
    listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    peer = rules_add_scope(builder, SCOPE_PEER, listener, "10.0.0.0/8");
    prefix_parse("10.0.0.0/8", &block);
    rules_add_prefix(builder, peer, &block);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 5);
    rules_set(builder, listener, SETTING_LISTENER_SESSIONS, 4);
    rules_set(builder, listener, SETTING_REFUSE_PENDING, 1);
    rules_set(builder, listener, SETTING_PATHWAY, pathway);
    rules_set(builder, peer, SETTING_LISTENER_SESSIONS, 3);
    rules_set(builder, pathway, SETTING_LISTENER_SESSIONS, 6);
    rules_add_limit(builder, "user_sessions", COUNT_SESSIONS, PER_USER);
    struct rules *rules = rules_build(builder, &error);
    ck_assert_ptr_nonnull(rules);
    rules_builder_free(&builder);
    size_t bytes = tally_bytes(RECORDS, rules);
    ck_assert_uint_gt(bytes, rules_bytes(rules));
    tally = tally_new(&rules, RECORDS, seed);
    ck_assert_ptr_nonnull(tally);
    ck_assert_ptr_null(rules);
    addr_parse("10.1.1.1", &client);
    addr_parse("192.0.2.1", &stranger);
}

static void teardown(void)
{
    tally_free(&tally);
    ck_assert_ptr_null(tally);
    tally_free(&tally);
}

static struct chain chain_of(const struct addr *addr)
{
    struct session_facts facts = {.client = *addr};
    struct chain chain;
    rules_resolve(tally_rules(tally), &facts, &chain);
    return chain;
}

static void take(uint32_t number, const struct addr *addr)
{
    struct chain chain = chain_of(addr);
    tally_take(tally, number, &chain, true);
}

static struct full find_full(const struct addr *addr)
{
    struct chain chain = chain_of(addr);
    return tally_find_full(tally, &chain);
}

static void assert_counts(uint32_t service, uint32_t in_listener, uint32_t in_peer)
{
    ck_assert_uint_eq(tally_count(tally, RULES_SERVICE), service);
    ck_assert_uint_eq(tally_count(tally, group), service);
    ck_assert_uint_eq(tally_count(tally, pathway), service);
    ck_assert_uint_eq(tally_count(tally, listener), in_listener);
    ck_assert_uint_eq(tally_count(tally, peer), in_peer);
}

START_TEST(a_slot_in_every_scope_of_the_chain)
{
    take(0, &client);
    assert_counts(1, 1, 1);
    take(1, &stranger);
    assert_counts(2, 2, 1);
    tally_release(tally, 0);
    assert_counts(1, 1, 0);
    tally_release(tally, 1);
    assert_counts(0, 0, 0);
}
END_TEST

START_TEST(who_holds_nothing_gives_nothing_back)
{
    take(0, &client);
    tally_release(tally, 1);
    assert_counts(1, 1, 1);
    tally_release(tally, 0);
    tally_release(tally, 0);
    assert_counts(0, 0, 0);
}
END_TEST

START_TEST(the_narrowest_full_cap_is_found)
{
    take(0, &client);
    take(1, &client);
    ck_assert_uint_eq(find_full(&client).limit, LIMIT_NONE);
    take(2, &client);
    struct full full = find_full(&client);
    ck_assert_uint_eq(full.limit, LIMIT_LISTENER_SESSIONS);
    ck_assert_uint_eq(full.scope, peer);
    ck_assert_uint_eq(full.count, 3);
    ck_assert_uint_eq(full.max, 3);
    ck_assert_uint_eq(find_full(&stranger).limit, LIMIT_NONE);
    take(3, &stranger);
    full = find_full(&stranger);
    ck_assert_uint_eq(full.scope, listener);
    ck_assert_uint_eq(full.max, 4);
    take(4, &stranger); /* full or not: a reload may */
    take(5, &client);
    assert_counts(6, 6, 4);
    tally_release(tally, 0);
    full = find_full(&client); /* over its cap before, at it now: still full */
    ck_assert_uint_eq(full.scope, peer);
    ck_assert_uint_eq(full.count, 3);
}
END_TEST

START_TEST(the_service_is_the_last_asked)
{
    struct chain chain = chain_of(&stranger);
    chain.scopes[0] = RULES_SERVICE; /* the others out of the way */
    chain.count = 1;
    for (uint32_t i = 0; i < 5; i++)
        tally_take(tally, i, &chain, true);
    struct full full = tally_find_full(tally, &chain);
    ck_assert_uint_eq(full.limit, LIMIT_SERVICE_SESSIONS);
    ck_assert_uint_eq(full.scope, RULES_SERVICE);
    ck_assert_uint_eq(full.count, 5);
}
END_TEST

START_TEST(without_caps_it_only_stands_there)
{
    struct chain chain = chain_of(&client);
    unsigned count;
    tally_take(tally, 0, &chain, false);
    assert_counts(0, 0, 0);
    const uint32_t *levels = tally_levels(tally, 0, &count);
    ck_assert_uint_eq(count, chain.level_count);
    ck_assert_mem_eq(levels, chain.levels, count * sizeof *levels);
    take(1, &client);
    tally_release_caps(tally, 1);
    tally_release_caps(tally, 1); /* given back once */
    assert_counts(0, 0, 0);
    tally_levels(tally, 1, &count); /* but it stands where it stood */
    ck_assert_uint_eq(count, chain.level_count);
    tally_release(tally, 0);
    tally_release(tally, 1);
    assert_counts(0, 0, 0);
}
END_TEST

START_TEST(slots_of_limits)
{
    const struct slot_key one = {.group = 1}, two = {.group = 2};
    take(0, &client);
    take(1, &client);
    tally_take_slot(tally, 0, 0, &one);
    tally_take_slot(tally, 0, 0, &two); /* it holds one of that limit, and keeps that */
    tally_take_slot(tally, 1, 0, &one);
    tally_take_slot(tally, 1, 1, &two);
    ck_assert_uint_eq(tally_slot_count(tally, &one), 2);
    ck_assert_uint_eq(tally_slot_count(tally, &two), 1);
    ck_assert_uint_eq(tally_keys(tally), 2);
    ck_assert(tally_has_slot(tally, 0, 0) && tally_has_slot(tally, 1, 0) && tally_has_slot(tally, 1, 1));
    ck_assert(!tally_has_slot(tally, 0, 1));
    tally_release_slot(tally, 1, 0);
    tally_release_slot(tally, 1, 0);
    tally_release_slot(tally, 0, 1); /* it holds none */
    ck_assert_uint_eq(tally_slot_count(tally, &one), 1);
    ck_assert(!tally_has_slot(tally, 1, 0));
    tally_release(tally, 0);
    tally_release(tally, 1);
    ck_assert_uint_eq(tally_keys(tally), 0);
}
END_TEST

START_TEST(points_go_with_the_session)
{
    take(0, &client);
    take(1, &client);
    tally_set_scored(tally, 0, UINT64_C(1) << SCORED_DENY | 1);
    ck_assert_uint_eq(tally_scored(tally, 0), UINT64_C(1) << SCORED_DENY | 1);
    ck_assert_uint_eq(tally_scored(tally, 1), 0);
    tally_release(tally, 0);
    take(0, &client); /* another session */
    ck_assert_uint_eq(tally_scored(tally, 0), 0);
}
END_TEST

START_TEST(pending_sessions_hold_no_slot)
{
    struct chain chain = chain_of(&client);
    ck_assert(tally_may_pend(tally, &chain));
    tally_pend(tally, 0, &chain);
    assert_counts(0, 0, 0);
    ck_assert_uint_eq(tally_pending(tally, listener), 1);
    ck_assert_uint_eq(tally_pending(tally, RULES_SERVICE), 0);
    ck_assert(!tally_may_pend(tally, &chain)); /* refuse_pending = 1 */
    tally_release(tally, 0);
    ck_assert_uint_eq(tally_pending(tally, listener), 0);
    ck_assert(tally_may_pend(tally, &chain));
    take(0, &client); /* the record can be used for either */
    assert_counts(1, 1, 1);
    ck_assert_uint_eq(tally_pending(tally, listener), 0);
}
END_TEST

/* The room for slots is as many as there are sessions and limits on them. */
START_TEST(every_record_at_once)
{
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < RECORDS; i++) { /* each another client */
            struct addr addr = {.hi = (uint64_t)(0x0a000000 + ((i + round * RECORDS) << 8)) << 32, .family = ADDR_IPV4};
            struct slot_key key = {.group = round, .key = {i}}, other = {.group = round, .key = {i, 1}};
            take(i, &addr);
            tally_take_slot(tally, i, 0, &key);
            tally_take_slot(tally, i, 1, &other);
        }
        assert_counts(RECORDS, RECORDS, RECORDS);
        ck_assert_uint_eq(tally_keys(tally), 2 * RECORDS);
        for (uint32_t i = 0; i < RECORDS; i++)
            tally_release(tally, i);
        assert_counts(0, 0, 0);
        ck_assert_uint_eq(tally_keys(tally), 0);
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("tally");
    TCase *tests = test_case(suite, "tally");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_slot_in_every_scope_of_the_chain);
    tcase_add_test(tests, who_holds_nothing_gives_nothing_back);
    tcase_add_test(tests, the_narrowest_full_cap_is_found);
    tcase_add_test(tests, the_service_is_the_last_asked);
    tcase_add_test(tests, without_caps_it_only_stands_there);
    tcase_add_test(tests, slots_of_limits);
    tcase_add_test(tests, points_go_with_the_session);
    tcase_add_test(tests, pending_sessions_hold_no_slot);
    tcase_add_test(tests, every_record_at_once);
    return suite;
}
