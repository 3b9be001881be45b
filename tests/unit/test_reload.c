/*
 * test_reload.c: a change of rules under open sessions. Links all of src/engine.
 */
#include "check_main.h"
#include "engine_case.h"
#include "prng.h"

#include <string.h>

static struct verdict verdict; /* of the last call of connect_from() */

struct caps {
    int64_t service, mx, rest, client; /* 0: not set */
    const char *mx_peer;               /* a peer of mx with a cap of 5 */
    unsigned client_bits;              /* 0: 32 */
    bool no_mx;
};

/* A listener "mx" and one for everything else. */
static struct rules *make_rules(const struct caps *caps)
{
    struct rules_builder *builder = rules_builder_new();
    struct rules_error error;

    scope_id rest = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    if (!caps->no_mx) {
        scope_id mx = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
        rules_set_daemon_name(builder, mx, "mx");
        rules_set(builder, mx, SETTING_LISTENER_SESSIONS, caps->mx);
        if (caps->mx_peer) {
            struct prefix block;
            scope_id peer = rules_add_scope(builder, SCOPE_PEER, mx, caps->mx_peer);
            prefix_parse(caps->mx_peer, &block);
            rules_add_prefix(builder, peer, &block);
            rules_set(builder, peer, SETTING_LISTENER_SESSIONS, 5);
        }
    }
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, caps->service);
    rules_set(builder, rest, SETTING_LISTENER_SESSIONS, caps->rest);
    if (caps->client)
        rules_set(builder, RULES_SERVICE, SETTING_CLIENT_SESSIONS, caps->client);
    if (caps->client_bits)
        rules_set_client_prefix(builder, caps->client_bits, 64);
    struct rules *rules = rules_build(builder, &error);
    rules_builder_free(&builder);
    ck_assert_ptr_nonnull(rules);
    return rules;
}

static void start(const struct caps *caps, uint32_t records)
{
    struct engine_params params = {.session_records = records, .seed = {5, 6}};
    struct rules *rules = make_rules(caps);
    engine = engine_new(&params, &rules);
    ck_assert_ptr_nonnull(engine);
}

static void teardown(void)
{
    engine_free(&engine);
}

static struct tally *begin(const struct caps *caps)
{
    struct rules *rules = make_rules(caps);
    struct tally *next = engine_reload_begin(engine, &rules);
    ck_assert_ptr_nonnull(next);
    ck_assert_ptr_null(rules);
    return next;
}

static void finish(void)
{
    struct tally *retired = engine_reload_finish(engine);
    ck_assert_ptr_nonnull(retired);
    engine_retired_free(&retired);
    ck_assert_ptr_null(retired);
}

static void reload(const struct caps *caps)
{
    struct tally *next = begin(caps);
    while (!engine_reload_step(engine, next))
        continue;
    finish();
}

static session_id connect_number(uint32_t number, const char *daemon_name)
{
    struct connect_event event = {
        .client = {.hi = (uint64_t)(UINT32_C(0x0a000000) + number) << 32, .family = ADDR_IPV4},
        .daemon_name = daemon_name};
    session_id id;
    memset(&verdict, 0xee, sizeof verdict);
    engine_connect(engine, &event, 0, &id, &verdict);
    return id;
}

START_TEST(counts_are_kept)
{
    start(&(struct caps){.service = 10, .mx = 6}, 100);
    session_id ids[8];
    for (uint32_t i = 0; i < 8; i++)
        ids[i] = connect_number(i, i < 5 ? "mx" : NULL);
    reload(&(struct caps){.service = 20, .mx = 7, .client = 1, .mx_peer = "10.0.0.0/30"});
    ck_assert_uint_eq(counter("service").count, 8);
    ck_assert_uint_eq(counter("service").max, 20);
    ck_assert_uint_eq(counter("listener[mx]").count, 5);
    ck_assert_uint_eq(counter("listener[mx]/peer[10.0.0.0/30]").count, 4); /* as if the peer had always been there */
    ck_assert_uint_eq(counter("listener[default]").count, 3);
    ck_assert_uint_eq(engine_totals(engine).clients, 8);
    connect_number(7, NULL);
    ck_assert_int_eq(verdict.limit, LIMIT_CLIENT_SESSIONS); /* a client that came under the old rules */
    for (int i = 0; i < 8; i++)
        ck_assert(engine_close(engine, ids[i])); /* handles live on */
    ck_assert_uint_eq(counter("service").count, 0);
    ck_assert_uint_eq(counter("listener[mx]/peer[10.0.0.0/30]").count, 0);
    ck_assert_uint_eq(engine_totals(engine).clients, 0);
}
END_TEST

START_TEST(a_lower_cap_evicts_nobody)
{
    session_id ids[6];
    start(&(struct caps){.service = 6}, 100);
    for (uint32_t i = 0; i < 6; i++)
        ids[i] = connect_number(i, NULL);
    reload(&(struct caps){.service = 3});
    ck_assert_uint_eq(counter("service").count, 6);
    for (int left = 6; left > 3; left--) {
        engine_close(engine, connect_number(9, NULL));
        ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
        ck_assert_uint_eq(verdict.count, left);
        ck_assert_uint_eq(verdict.max, 3);
        engine_close(engine, ids[left - 1]);
    }
    engine_close(engine, connect_number(9, NULL));
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    engine_close(engine, ids[2]);
    connect_number(9, NULL);
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
}
END_TEST

START_TEST(pending_sessions_move_along)
{
    start(&(struct caps){.service = 1, .mx = 1}, 100);
    session_id in = connect_number(0, "mx"), first = connect_number(1, "mx"), second = connect_number(2, "mx");
    ck_assert_uint_eq(counter("listener[mx]").pending, 2);
    reload(&(struct caps){.service = 1, .no_mx = true});
    ck_assert_uint_eq(counter("listener[default]").pending, 2); /* the listener is gone; they await their HELO still */
    ck_assert_uint_eq(counter("listener[default]").count, 1);
    ck_assert_uint_eq(engine_totals(engine).pending, 2);
    engine_spoken(engine, first);
    ck_assert_uint_eq(counter("listener[default]").pending, 1);
    reload(&(struct caps){.service = 1, .mx = 1});
    ck_assert_uint_eq(counter("listener[mx]").pending, 1);
    ck_assert(engine_close(engine, second) && engine_close(engine, in));
    ck_assert_uint_eq(counter("listener[mx]").pending, 0);
    ck_assert_uint_eq(engine_totals(engine).sessions, 0);
}
END_TEST

START_TEST(a_wider_client_is_counted_anew)
{
    session_id ids[6];
    start(&(struct caps){.client = 3}, 100);
    for (uint32_t i = 0; i < 6; i++)
        ids[i] = connect_number(i, NULL);
    ck_assert_uint_eq(engine_totals(engine).clients, 6);
    reload(&(struct caps){.client = 3, .client_bits = 24});
    ck_assert_uint_eq(engine_totals(engine).clients, 1);
    connect_number(99, NULL);
    ck_assert_int_eq(verdict.limit, LIMIT_CLIENT_SESSIONS);
    ck_assert_uint_eq(verdict.count, 6);
    for (int i = 0; i < 6; i++)
        engine_close(engine, ids[i]);
    ck_assert_uint_eq(engine_totals(engine).clients, 0);
}
END_TEST

START_TEST(the_old_rules_decide_until_the_end)
{
    start(&(struct caps){.service = 2}, 100);
    connect_number(0, NULL);
    struct tally *next = begin(&(struct caps){.service = 1});
    connect_number(1, NULL);
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    ck_assert(engine_reload_step(engine, next));
    connect_number(2, NULL);
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    ck_assert_uint_eq(verdict.max, 2);
    finish();
    connect_number(3, NULL);
    ck_assert_uint_eq(verdict.max, 1);
    ck_assert_uint_eq(verdict.count, 2);
}
END_TEST

START_TEST(sessions_come_and_go_between_the_steps)
{
    enum { RECORDS = 4000 };
    static session_id ids[RECORDS];
    struct prng prng = prng_seeded(9);
    uint32_t open = 0, mx = 0, steps = 0;
    static bool in_mx[RECORDS];

    start(&(struct caps){.client = 100000}, RECORDS);
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
                ck_assert(engine_close(engine, ids[which]));
                mx -= in_mx[which];
                ids[which] = ids[--open];
                in_mx[which] = in_mx[open];
            }
        }
    }
    ck_assert_uint_ge(steps, 3500 / ENGINE_BATCH);
    finish();
    ck_assert_uint_eq(counter("service").count, open);
    ck_assert_uint_eq(counter("listener[mx]").count, mx);
    ck_assert_uint_eq(counter("listener[default]").count, open - mx);
    while (open > 0)
        ck_assert(engine_close(engine, ids[--open]));
    ck_assert_uint_eq(counter("service").count, 0);
    ck_assert_uint_eq(counter("listener[mx]").count, 0);
    ck_assert_uint_eq(counter("listener[default]").count, 0);
    ck_assert_uint_eq(engine_totals(engine).clients, 0);
}
END_TEST

START_TEST(an_abandoned_reload_changes_nothing)
{
    start(&(struct caps){.service = 1}, 100);
    session_id in = connect_number(0, NULL);
    struct tally *next = begin(&(struct caps){.service = 5});
    engine_retired_free(&next);
    connect_number(1, NULL);
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    ck_assert(engine_close(engine, in));
    next = begin(&(struct caps){.service = 5});
    engine_reload_step(engine, next); /* and an engine may end in the middle of one: nothing leaks */
}
END_TEST

START_TEST(crossings_live_through_it)
{
    struct crossing_report reports[2];
    start(&(struct caps){.service = 1}, 100);
    connect_number(0, NULL);
    engine_close(engine, connect_number(1, NULL));
    ck_assert(verdict.crossing);
    reload(&(struct caps){.service = 1, .client = 7});
    engine_close(engine, connect_number(2, NULL));
    ck_assert(!verdict.crossing);
    ck_assert_uint_eq(engine_crossings_over(engine, 0, true, reports, 2), 1);
    ck_assert_uint_eq(reports[0].refused, 2);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("reload");
    TCase *tests = test_case(suite, "reload");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, counts_are_kept);
    tcase_add_test(tests, a_lower_cap_evicts_nobody);
    tcase_add_test(tests, pending_sessions_move_along);
    tcase_add_test(tests, a_wider_client_is_counted_anew);
    tcase_add_test(tests, the_old_rules_decide_until_the_end);
    tcase_add_test(tests, sessions_come_and_go_between_the_steps);
    tcase_add_test(tests, an_abandoned_reload_changes_nothing);
    tcase_add_test(tests, crossings_live_through_it);
    return suite;
}
