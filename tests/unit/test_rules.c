/*
 * test_rules.c: from a rule set to a session's chain of scopes ("Scopes" in the design). Links all of src/engine. What
 * the builder takes and refuses is in test_rules_build.c, what limits mean in test_terms.c.
 */
#include "check_main.h"
#include "engine/chain.h"

#include <stdio.h>
#include <string.h>

static struct rules_builder *builder;
static struct rules *rules;
static struct chain chain; /* of the last session() */

static void setup(void)
{
    builder = rules_builder_new();
    ck_assert_ptr_nonnull(builder);
}

static void teardown(void)
{
    rules_builder_free(&builder);
    ck_assert_ptr_null(builder);
    rules_free(&rules);
    ck_assert_ptr_null(rules);
}

static scope_id add(enum scope_kind kind, scope_id parent, const char *title)
{
    return rules_add_scope(builder, kind, parent, title);
}

static scope_id add_listener(void)
{
    return add(SCOPE_LISTENER, RULES_SERVICE, NULL);
}

/* A listen by an address ("" is any) and a port (0 is any). */
static scope_id add_listen(scope_id listener, const char *title, const char *text, uint16_t port)
{
    struct addr addr = {0};
    scope_id listen = add(SCOPE_LISTEN, listener, title);
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

static scope_id add_peer(scope_id parent, const char *cidr)
{
    scope_id peer = add(SCOPE_PEER, parent, cidr);
    add_block(peer, cidr);
    return peer;
}

static void set(scope_id scope, enum setting setting, int64_t value)
{
    rules_set(builder, scope, setting, value);
}

static void build(void)
{
    struct rules_error error;
    rules_free(&rules);
    rules = rules_build(builder, &error);
    ck_assert_msg(rules != NULL, "error %d, scopes %u and %u", (int)error.code, error.other, error.scope);
    ck_assert_uint_eq(error.code, RULES_OK);
    ck_assert_uint_gt(rules_bytes(rules), 0);
}

static void session_on(const char *client, const char *local, uint16_t port, const char *daemon_name)
{
    struct connect_event event = {.local_port = port, .daemon_name = daemon_name};
    ck_assert(!*client || addr_parse(client, &event.client));
    ck_assert(!*local || addr_parse(local, &event.local));
    struct session_facts facts = session_facts_of(&event);
    memset(&chain, 0xee, sizeof chain);
    rules_resolve(rules, &facts, &chain);
}

static void session(const char *client)
{
    session_on(client, "", 0, NULL);
}

static int64_t setting(enum setting which)
{
    return rules_setting(rules, chain.levels, chain.level_count, which);
}

/* The chain, the narrowest scope first, as "peer[..], listener[..], service". */
static void assert_chain(const char *expected)
{
    char text[CHAIN_MAX * (SCOPE_NAME_SIZE + 2)] = "", name[SCOPE_NAME_SIZE];
    ck_assert_uint_le(chain.count, CHAIN_MAX);
    for (unsigned i = 0; i < chain.count; i++) {
        strcat(text, i > 0 ? ", " : "");
        strcat(text, rules_scope_name(rules, chain.scopes[i], name));
    }
    ck_assert_str_eq(text, expected);
}

static void assert_listener(const char *client, const char *local, uint16_t port, const char *daemon_name,
                            scope_id expected)
{
    session_on(client, local, port, daemon_name);
    ck_assert_msg(chain.listener == expected, "%s port %u, daemon %s: listener %u instead of %u", local, port,
                  daemon_name ? daemon_name : "none", chain.listener, expected);
}

START_TEST(no_rules_at_all)
{
    build();
    session("192.0.2.1");
    assert_chain("listener[default], service");
    ck_assert_uint_eq(rules_scope_count(rules), 2); /* the listener of sessions that no other matches */
    for (scope_id i = 0; i < 2; i++)
        ck_assert_uint_eq(rules_cap(rules, i), 0);
    ck_assert_uint_eq(chain.refuse_at, REFUSE_AT_HELO);
    ck_assert_uint_eq(chain.refuse_pending, 0);
    ck_assert_int_eq(chain.disconnect_delay_ns, 0);
    for (enum setting i = 0; i < SETTING_COUNT; i++)
        ck_assert_int_eq(setting(i), 0);
}
END_TEST

/* One scope of every kind, each with a cap. */
static void build_house(void)
{
    scope_id group = add(SCOPE_PATHWAY_GROUP, RULES_SERVICE, "clients");
    scope_id way = add(SCOPE_PATHWAY, group, "submission");
    scope_id listener = add_listener();
    scope_id outer = add_peer(listener, "10.0.0.0/8");
    scope_id listen = add_listen(listener, ":587", "", 587);
    scope_id inner = add_peer(listen, "10.1.0.0/16");
    set(RULES_SERVICE, SETTING_SERVICE_SESSIONS, 1);
    set(group, SETTING_LISTENER_SESSIONS, 2);
    set(way, SETTING_LISTENER_SESSIONS, 3);
    set(listener, SETTING_LISTENER_SESSIONS, 4);
    set(listen, SETTING_LISTENER_SESSIONS, 5);
    set(listen, SETTING_PATHWAY, way);
    set(outer, SETTING_LISTENER_SESSIONS, 6);
    set(inner, SETTING_LISTENER_SESSIONS, 7);
    build();
}

START_TEST(the_whole_chain)
{
    build_house();
    session_on("10.1.2.3", "", 587, NULL);
    assert_chain("listener[:587]/listen[:587]/peer[10.1.0.0/16], listener[:587]/peer[10.0.0.0/8], "
                 "listener[:587]/listen[:587], listener[:587], pathway[submission], pathway_group[clients], service");
    static const uint32_t caps[] = {7, 6, 5, 4, 3, 2, 1};
    for (unsigned i = 0; i < CHAIN_MAX; i++)
        ck_assert_uint_eq(rules_cap(rules, chain.scopes[i]), caps[i]);
    ck_assert_uint_eq(rules_cap_limit(RULES_SERVICE), LIMIT_SERVICE_SESSIONS);
    for (unsigned i = 0; i + 1 < CHAIN_MAX; i++)
        ck_assert_uint_eq(rules_cap_limit(chain.scopes[i]), LIMIT_LISTENER_SESSIONS);
    session_on("10.2.2.3", "", 587, NULL);
    assert_chain("listener[:587]/peer[10.0.0.0/8], listener[:587]/listen[:587], listener[:587], pathway[submission], "
                 "pathway_group[clients], service");
    session_on("192.0.2.1", "", 587, NULL);
    assert_chain("listener[:587]/listen[:587], listener[:587], pathway[submission], pathway_group[clients], service");
    session_on("10.1.2.3", "", 25, NULL);
    assert_chain("listener[default], service");
    session_on("", "", 587, NULL); /* no peer matches who has no address */
    assert_chain("listener[:587]/listen[:587], listener[:587], pathway[submission], pathway_group[clients], service");
}
END_TEST

START_TEST(settings_fall_back_in_order)
{
    scope_id group = add(SCOPE_PATHWAY_GROUP, RULES_SERVICE, "g"), way = add(SCOPE_PATHWAY, group, "w");
    scope_id listener = add_listener(), outer = add_peer(listener, "0.0.0.0/0");
    scope_id listen = add_listen(listener, ":25", "", 25), inner = add_peer(listen, "0.0.0.0/0");
    set(listener, SETTING_PATHWAY, way);
    /* From the least specific to the most: each one set now wins over all before. */
    const scope_id order[] = {RULES_SERVICE, group, way, listener, listen, outer, inner};
    for (unsigned i = 0; i < sizeof order / sizeof *order; i++) {
        set(order[i], SETTING_DISCONNECT_DELAY, 1000 + i);
        set(order[i], SETTING_IDLE_TIME, 2000 + i);
        set(order[i], SETTING_IDLE_ACTION, i % 2 ? IDLE_DISCONNECT : IDLE_REFUSE);
        set(order[i], SETTING_SCORE_REFUSE, 3000 + i);
        set(order[i], SETTING_REFUSE_AT, i % 2 ? REFUSE_AT_HELO : REFUSE_AT_CONNECT);
        build();
        session_on("192.0.2.1", "", 25, NULL);
        ck_assert_int_eq(chain.disconnect_delay_ns, 1000 + i);
        ck_assert_int_eq(setting(SETTING_IDLE_TIME), 2000 + i);
        ck_assert_int_eq(setting(SETTING_IDLE_ACTION), i % 2 ? IDLE_DISCONNECT : IDLE_REFUSE);
        ck_assert_int_eq(setting(SETTING_SCORE_REFUSE), 3000 + i);
        ck_assert_uint_eq(chain.refuse_at, i % 2 ? REFUSE_AT_HELO : REFUSE_AT_CONNECT);
    }
    session_on("2001:db8::1", "", 25, NULL); /* no peer holds it: the listen's, above the listener's */
    ck_assert_int_eq(chain.disconnect_delay_ns, 1004);
    session_on("192.0.2.1", "", 26, NULL); /* neither listen nor listener */
    ck_assert_int_eq(chain.disconnect_delay_ns, 1000);
}
END_TEST

START_TEST(a_second_value_replaces_the_first)
{
    scope_id listener = add_listener();
    set(listener, SETTING_LISTENER_SESSIONS, 1);
    set(listener, SETTING_LISTENER_SESSIONS, 2);
    build();
    ck_assert_uint_eq(rules_cap(rules, listener), 2);
}
END_TEST

START_TEST(each_setting_falls_back_by_itself)
{
    scope_id listener = add_listener(), peer = add_peer(listener, "10.0.0.0/8");
    set(RULES_SERVICE, SETTING_DISCONNECT_DELAY, 5);
    set(RULES_SERVICE, SETTING_REFUSE_PENDING, 7);
    set(RULES_SERVICE, SETTING_IDLE_TIME, 9);
    set(listener, SETTING_REFUSE_PENDING, 8);
    set(listener, SETTING_IDLE_TIME, 0); /* set, and set to no limit */
    set(peer, SETTING_REFUSE_AT, REFUSE_AT_CONNECT);
    set(peer, SETTING_DISCONNECT_DELAY, 0);
    build();
    session("10.0.0.1");
    ck_assert_uint_eq(chain.refuse_at, REFUSE_AT_CONNECT);
    ck_assert_int_eq(chain.disconnect_delay_ns, 0);
    ck_assert_uint_eq(chain.refuse_pending, 8);
    ck_assert_int_eq(setting(SETTING_IDLE_TIME), 0);
    session("192.0.2.1");
    ck_assert_uint_eq(chain.refuse_at, REFUSE_AT_HELO);
    ck_assert_int_eq(chain.disconnect_delay_ns, 5);
}
END_TEST

START_TEST(peers_match_option_by_option)
{
    scope_id listener = add_listener();
    scope_id all = add_peer(listener, "0.0.0.0/0"), ten = add_peer(listener, "10.0.0.0/8");
    scope_id sub = add_peer(listener, "10.1.0.0/16"), host = add_peer(listener, "10.1.1.1");
    set(all, SETTING_LISTENER_SESSIONS, 600);
    set(all, SETTING_DISCONNECT_DELAY, 30);
    set(ten, SETTING_LISTENER_SESSIONS, 1500);
    set(ten, SETTING_IDLE_TIME, 50);
    set(sub, SETTING_DISCONNECT_DELAY, 16);
    set(host, SETTING_REFUSE_AT, REFUSE_AT_CONNECT);
    build();
    session("10.1.1.1");
    assert_chain("listener[default]/peer[10.0.0.0/8], listener[default], service"); /* only that block counts */
    ck_assert_uint_eq(chain.refuse_at, REFUSE_AT_CONNECT);                          /* from the /32 */
    ck_assert_int_eq(chain.disconnect_delay_ns, 16);                                /* from the /16 */
    ck_assert_int_eq(setting(SETTING_IDLE_TIME), 50);                               /* from the /8 */
    session("10.9.9.9");
    ck_assert_int_eq(chain.disconnect_delay_ns, 30); /* from the /0, as the /8 does not say */
    session("192.0.2.1");
    assert_chain("listener[default]/peer[0.0.0.0/0], listener[default], service");
    ck_assert_int_eq(setting(SETTING_IDLE_TIME), 0);
    session("2001:db8::1"); /* 0.0.0.0/0 is IPv4 alone */
    assert_chain("listener[default], service");
    ck_assert_int_eq(chain.disconnect_delay_ns, 0);
}
END_TEST

START_TEST(a_peer_that_sets_no_cap_hides_none)
{
    scope_id listener = add_listener();
    scope_id all = add_peer(listener, "::/0"), host = add_peer(listener, "2001:db8::1");
    set(all, SETTING_LISTENER_SESSIONS, 3);
    build();
    session("2001:db8::1");
    assert_chain("listener[default]/peer[::/0], listener[default], service");
    set(host, SETTING_LISTENER_SESSIONS, 0); /* 0 is set, too: no cap for that one */
    build();
    session("2001:db8::1");
    assert_chain("listener[default]/peer[2001:db8::1], listener[default], service");
    ck_assert_uint_eq(rules_cap(rules, host), 0);
}
END_TEST

START_TEST(a_pool_is_one_budget)
{
    scope_id listener = add_listener(), pool = add(SCOPE_PEER, listener, "pool:outlook");
    scope_id around = add_peer(listener, "40.0.0.0/8"), empty = add(SCOPE_PEER, listener, "pool:empty");
    add_block(pool, "40.92.0.0/15");
    add_block(pool, "2a01:111:f400::/48");
    add_block(pool, "40.107.0.0/16");
    set(pool, SETTING_LISTENER_SESSIONS, 40);
    set(around, SETTING_DISCONNECT_DELAY, 3);
    set(empty, SETTING_LISTENER_SESSIONS, 1);
    build();
    static const char *const members[] = {"40.92.1.1", "40.93.255.255", "40.107.3.3", "2a01:111:f400::77"};
    for (size_t i = 0; i < 4; i++) {
        session(members[i]);
        assert_chain("listener[default]/peer[pool:outlook], listener[default], service");
        ck_assert_int_eq(chain.disconnect_delay_ns, i < 3 ? 3 : 0); /* from the block around, where there is one */
    }
    session("40.94.0.0");
    assert_chain("listener[default], service");
}
END_TEST

START_TEST(thousands_of_peers)
{
    scope_id listener = add_listener(), first = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        struct prefix prefix = {{.hi = (uint64_t)(UINT32_C(0x0a000000) + i) << 32, .family = ADDR_IPV4}, 32};
        scope_id peer = add(SCOPE_PEER, listener, "one");
        rules_add_prefix(builder, peer, &prefix);
        set(peer, SETTING_LISTENER_SESSIONS, i + 1);
        first = i == 0 ? peer : first;
    }
    build();
    for (uint32_t i = 0; i < 10000; i++) {
        struct session_facts facts = {
            .client = {.hi = (uint64_t)(UINT32_C(0x0a000000) + i) << 32, .family = ADDR_IPV4}};
        rules_resolve(rules, &facts, &chain);
        ck_assert_uint_eq(chain.scopes[0], first + i);
        ck_assert_uint_eq(rules_cap(rules, chain.scopes[0]), i + 1);
    }
}
END_TEST

START_TEST(the_best_listen_is_taken)
{
    scope_id listener = add_listener();
    scope_id any = add_listen(listener, "", "", 0), port = add_listen(listener, ":25", "", 25);
    scope_id addr = add_listen(listener, "10.0.0.1", "10.0.0.1", 0);
    scope_id both = add_listen(listener, "10.0.0.1:25", "10.0.0.1", 25);
    scope_id six = add_listen(listener, "[2001:db8::1]:25", "2001:db8::1", 25);
    build();
    const struct {
        const char *local;
        uint16_t port;
        scope_id expected;
    } cases[] = {
        {"10.0.0.1", 25, both}, {"10.0.0.1", 26, addr},        {"10.0.0.1", 0, addr},
        {"10.0.0.2", 25, port}, {"10.0.0.2", 26, any},         {"", 25, port},
        {"", 0, any},           {"2001:db8::1", 25, six},      {"2001:db8::1", 26, any},
        {"a00:1::", 25, port},  {"::ffff:10.0.0.1", 25, both},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        session_on("192.0.2.1", cases[i].local, cases[i].port, NULL);
        ck_assert_msg(chain.scopes[0] == cases[i].expected, "%s port %u: scope %u", cases[i].local, cases[i].port,
                      chain.scopes[0]);
        ck_assert_uint_eq(chain.listener, listener);
    }
}
END_TEST

START_TEST(missing_data_fits_only_any)
{
    scope_id listener = add_listener();
    add_listen(listener, "10.0.0.1:25", "10.0.0.1", 25);
    add_listen(listener, "10.0.0.2", "10.0.0.2", 0);
    add_listen(listener, ":587", "", 587);
    build();
    scope_id nobody = rules_scope_count(rules) - 1; /* the listener of sessions that no other matches */
    assert_listener("192.0.2.1", "10.0.0.1", 25, NULL, listener);
    assert_listener("192.0.2.1", "10.0.0.1", 0, NULL, nobody);
    assert_listener("192.0.2.1", "", 25, NULL, nobody);
    assert_listener("192.0.2.1", "", 0, NULL, nobody);
    assert_listener("192.0.2.1", "", 587, NULL, listener);
    assert_listener("192.0.2.1", "10.0.0.2", 0, NULL, listener);
    assert_listener("192.0.2.1", "10.0.0.1", 26, NULL, nobody);
    session_on("192.0.2.1", "10.0.0.1", 26, NULL);
    assert_chain("listener[default], service");
}
END_TEST

START_TEST(a_listener_by_its_daemon_name)
{
    scope_id plain = add_listener(), named = add_listener(), other = add_listener();
    scope_id plain_25 = add_listen(plain, ":25", "", 25);
    rules_set_daemon_name(builder, named, "mx.example.org");
    rules_set_daemon_name(builder, other, "submission");
    scope_id own_25 = add_listen(named, ":25", "", 25); /* the same listen, but only inside the named one */
    build();
    assert_listener("192.0.2.1", "", 25, NULL, plain);
    ck_assert_uint_eq(chain.scopes[0], plain_25);
    assert_listener("192.0.2.1", "", 25, "mx.example.org", named);
    ck_assert_uint_eq(chain.scopes[0], own_25);
    assert_chain("listener[mx.example.org]/listen[:25], listener[mx.example.org], service");
    assert_listener("192.0.2.1", "", 26, "mx.example.org", named); /* the name alone makes it the listener */
    assert_chain("listener[mx.example.org], service");
    assert_listener("192.0.2.1", "", 25, "submission", other); /* and another's listens do not count */
    assert_chain("listener[submission], service");
    assert_listener("192.0.2.1", "", 25, "MX.example.org", plain); /* byte for byte */
    assert_listener("192.0.2.1", "", 25, "unknown", plain);
    assert_listener("192.0.2.1", "", 25, "", plain);
    assert_listener("192.0.2.1", "", 26, "unknown", rules_scope_count(rules) - 1);
}
END_TEST

START_TEST(a_named_listen_is_not_for_others)
{
    scope_id named = add_listener();
    rules_set_daemon_name(builder, named, "mx");
    add_listen(named, ":25", "", 25);
    build();
    session_on("192.0.2.1", "", 25, NULL);
    assert_chain("listener[default], service");
}
END_TEST

START_TEST(the_listener_that_says_neither)
{
    scope_id rest = add_listener(), with = add_listener();
    add_listen(with, ":25", "", 25);
    set(rest, SETTING_LISTENER_SESSIONS, 9);
    build();
    ck_assert_uint_eq(rules_scope_count(rules), 4); /* none is added */
    assert_listener("192.0.2.1", "", 25, NULL, with);
    assert_listener("192.0.2.1", "", 26, NULL, rest);
    assert_listener("192.0.2.1", "", 0, "whatever", rest);
    assert_chain("listener[default], service");
    ck_assert_uint_eq(rules_cap(rules, rest), 9);
}
END_TEST

START_TEST(top_level_listener_sessions_are_a_default)
{
    scope_id silent = add_listener(), own = add_listener(), none = add_listener();
    scope_id listen = add_listen(silent, ":25", "", 25);
    rules_set_daemon_name(builder, own, "own");
    rules_set_daemon_name(builder, none, "none");
    set(RULES_SERVICE, SETTING_LISTENER_SESSIONS, 8192);
    set(own, SETTING_LISTENER_SESSIONS, 1024);
    set(none, SETTING_LISTENER_SESSIONS, 0);
    build();
    scope_id implicit = rules_scope_count(rules) - 1;
    ck_assert_uint_eq(rules_cap(rules, silent), 8192);
    ck_assert_uint_eq(rules_cap(rules, implicit), 8192);
    ck_assert_uint_eq(rules_cap(rules, own), 1024);
    ck_assert_uint_eq(rules_cap(rules, none), 0);
    ck_assert_uint_eq(rules_cap(rules, listen), 0);        /* of listeners alone */
    ck_assert_uint_eq(rules_cap(rules, RULES_SERVICE), 0); /* and no counter of its own */
}
END_TEST

START_TEST(the_smallest_service_sessions_hold)
{
    static const struct {
        int64_t service, first, second; /* -1: not set */
        uint32_t cap;
    } cases[] = {{10, -1, -1, 10}, {10, 5, -1, 5},  {10, 20, -1, 10}, {-1, 7, 9, 7},
                 {-1, 9, 7, 7},    {0, 6, -1, 6},   {10, 0, 0, 10},   {-1, 0, -1, 0},
                 {0, 0, 3, 3},     {-1, -1, -1, 0}, {4, 4, 4, 4},     {-1, UINT32_MAX, -1, UINT32_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        teardown();
        setup();
        scope_id first = add_listener(), second = add_listener();
        rules_set_daemon_name(builder, second, "second");
        if (cases[i].service >= 0)
            set(RULES_SERVICE, SETTING_SERVICE_SESSIONS, cases[i].service);
        if (cases[i].first >= 0)
            set(first, SETTING_SERVICE_SESSIONS, cases[i].first);
        if (cases[i].second >= 0)
            set(second, SETTING_SERVICE_SESSIONS, cases[i].second);
        build();
        ck_assert_msg(rules_cap(rules, RULES_SERVICE) == cases[i].cap, "case %zu: %u", i,
                      rules_cap(rules, RULES_SERVICE));
        ck_assert_uint_eq(rules_cap(rules, first), 0); /* one counter for the service, none in the listener */
        ck_assert_uint_eq(rules_cap(rules, second), 0);
    }
}
END_TEST

START_TEST(a_peer_chooses_the_pathway)
{
    scope_id alone = add(SCOPE_PATHWAY, RULES_SERVICE, "alone"),
             group = add(SCOPE_PATHWAY_GROUP, RULES_SERVICE, "group");
    scope_id inside = add(SCOPE_PATHWAY, group, "inside"), third = add(SCOPE_PATHWAY, group, "third");
    scope_id listener = add_listener(), wide = add_peer(listener, "10.0.0.0/8"),
             narrow = add_peer(listener, "10.1.0.0/16");
    scope_id listen = add_listen(listener, ":25", "", 25);
    set(listener, SETTING_PATHWAY, alone);
    set(wide, SETTING_PATHWAY, inside);
    set(narrow, SETTING_DISCONNECT_DELAY, 1);
    set(listen, SETTING_PATHWAY, third);
    set(inside, SETTING_DISCONNECT_DELAY, 2);
    set(group, SETTING_REFUSE_AT, REFUSE_AT_CONNECT);
    build();
    session_on("10.1.1.1", "", 25, NULL); /* the narrower peer says nothing, so the wider one's */
    assert_chain("listener[:25]/listen[:25], listener[:25], pathway[inside], pathway_group[group], service");
    ck_assert_int_eq(chain.disconnect_delay_ns, 1); /* the peer beats the pathway */
    ck_assert_uint_eq(chain.refuse_at, REFUSE_AT_CONNECT);
    session_on("10.2.1.1", "", 25, NULL);
    ck_assert_int_eq(chain.disconnect_delay_ns, 2);
    session_on("192.0.2.1", "", 25, NULL); /* the listen beats the listener */
    assert_chain("listener[:25]/listen[:25], listener[:25], pathway[third], pathway_group[group], service");
    scope_id inner = add_peer(listen, "192.0.2.0/24");
    set(inner, SETTING_PATHWAY, alone);
    build();
    session_on("192.0.2.1", "", 25, NULL); /* and its peer beats both */
    assert_chain("listener[:25]/listen[:25], listener[:25], pathway[alone], service");
    ck_assert_uint_eq(chain.refuse_at, REFUSE_AT_HELO);
}
END_TEST

START_TEST(one_client_by_its_prefix)
{
    static const struct {
        unsigned ipv4, ipv6;
        const char *client, *expected;
    } cases[] = {{32, 64, "192.0.2.77", "192.0.2.77"},
                 {24, 64, "192.0.2.77", "192.0.2.0/24"},
                 {0, 0, "192.0.2.77", "0.0.0.0/0"},
                 {32, 64, "2001:db8::1:2", "2001:db8::/64"},
                 {32, 128, "2001:db8::1:2", "2001:db8::1:2"},
                 {32, 0, "2001:db8::1:2", "::/0"},
                 {24, 128, "::ffff:192.0.2.77", "192.0.2.0/24"}};
    char text[PREFIX_TEXT_SIZE];
    struct addr addr, none = {0};
    build();
    addr_parse("192.0.2.77", &addr);
    struct prefix client = rules_client(rules, &addr);
    ck_assert_str_eq(prefix_format(&client, text), "192.0.2.77"); /* before any call 32 and 64 */
    addr_parse("2001:db8::1:2", &addr);
    client = rules_client(rules, &addr);
    ck_assert_str_eq(prefix_format(&client, text), "2001:db8::/64");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rules_set_client_prefix(builder, cases[i].ipv4, cases[i].ipv6);
        build();
        addr_parse(cases[i].client, &addr);
        client = rules_client(rules, &addr);
        ck_assert_str_eq(prefix_format(&client, text), cases[i].expected);
    }
    client = rules_client(rules, &none);
    ck_assert(client.bits == 0 && client.addr.family == ADDR_NONE);
}
END_TEST

START_TEST(names_of_scopes)
{
    char name[SCOPE_NAME_SIZE];
    scope_id group = add(SCOPE_PATHWAY_GROUP, RULES_SERVICE, "clients"), way = add(SCOPE_PATHWAY, group, "submission");
    scope_id first = add_listener(), named = add_listener(), rest = add_listener();
    scope_id listen = add_listen(first, ":25", "", 25), second = add_listen(first, ":587", "", 587);
    scope_id peer = add_peer(first, "10.0.0.0/8"), inner = add(SCOPE_PEER, second, "pool:outlook");
    add_listen(named, ":26", "", 26);
    rules_set_daemon_name(builder, named, "old");
    rules_set_daemon_name(builder, named, "mx"); /* a second call replaces the first */
    build();
    const struct {
        scope_id scope;
        const char *name;
    } cases[] = {{RULES_SERVICE, "service"},
                 {group, "pathway_group[clients]"},
                 {way, "pathway[submission]"},
                 {first, "listener[:25]"},
                 {named, "listener[mx]"},
                 {rest, "listener[default]"},
                 {listen, "listener[:25]/listen[:25]"},
                 {second, "listener[:25]/listen[:587]"},
                 {peer, "listener[:25]/peer[10.0.0.0/8]"},
                 {inner, "listener[:25]/listen[:587]/peer[pool:outlook]"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_ptr_eq(rules_scope_name(rules, cases[i].scope, name), name);
        ck_assert_str_eq(name, cases[i].name);
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("rules");
    TCase *tests = test_case(suite, "scopes");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, no_rules_at_all);
    tcase_add_test(tests, the_whole_chain);
    tcase_add_test(tests, settings_fall_back_in_order);
    tcase_add_test(tests, a_second_value_replaces_the_first);
    tcase_add_test(tests, each_setting_falls_back_by_itself);
    tcase_add_test(tests, peers_match_option_by_option);
    tcase_add_test(tests, a_peer_that_sets_no_cap_hides_none);
    tcase_add_test(tests, a_pool_is_one_budget);
    tcase_add_test(tests, thousands_of_peers);
    tcase_add_test(tests, the_best_listen_is_taken);
    tcase_add_test(tests, missing_data_fits_only_any);
    tcase_add_test(tests, a_listener_by_its_daemon_name);
    tcase_add_test(tests, a_named_listen_is_not_for_others);
    tcase_add_test(tests, the_listener_that_says_neither);
    tcase_add_test(tests, top_level_listener_sessions_are_a_default);
    tcase_add_test(tests, the_smallest_service_sessions_hold);
    tcase_add_test(tests, a_peer_chooses_the_pathway);
    tcase_add_test(tests, one_client_by_its_prefix);
    tcase_add_test(tests, names_of_scopes);
    return suite;
}
