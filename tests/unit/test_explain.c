/*
 * test_explain.c: what concerns somebody, and which values apply to him; where each is said. Links all of src/engine.
 * That it is true, test_explain_twin.c tries.
 */
#include "check_main.h"
#include "engine_case.h"

#include "engine/bans.h"
#include "engine/explain.h"

#include <stdio.h>

#define CONNECTIONS LIMIT_NUMBER_CLIENT_CONNECTIONS
#define ROOM 40

static struct explain_walk walk;
static struct explanation told[ROOM];
static struct evaluation values[200];
static size_t count;

static struct explain_subject client_of(const char *client)
{
    struct explain_subject subject = {.anywhere = true};
    ck_assert(addr_parse(client, &subject.client));
    return subject;
}

static struct explain_subject sender_of(const char *address, const char *domain)
{
    struct explain_subject subject = {.anywhere = true};
    subject.name[PER_SENDER] = subject.name[PER_RECIPIENT] = address;
    subject.name[PER_SENDER_DOMAIN] = subject.name[PER_RECIPIENT_DOMAIN] = domain;
    return subject;
}

/* In so many steps. */
static unsigned explain_in(uint32_t room, struct explain_subject subject)
{
    unsigned steps = 1;

    memset(&walk, 0, sizeof walk);
    walk.subject = subject;
    walk.room = room;
    while (!engine_explain(engine, &walk, now))
        steps++;
    ck_assert_uint_le(walk.told, room);
    for (count = 0; count < walk.told && count < ROOM; count++)
        told[count] = *explain_told(&walk, (uint32_t)count);
    return steps;
}

static void explain(struct explain_subject subject)
{
    explain_in(ROOM, subject);
    ck_assert_uint_eq(walk.left_out, 0);
}

static const struct explanation *of(const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(told[i].name, name) == 0)
            return &told[i];
    ck_abort_msg("%s is not told", name);
    return NULL;
}

/* The names of what is told, in its order. */
static void assert_told(const char *expected)
{
    char names[1000] = "";
    for (size_t i = 0; i < count; i++)
        strcat(strcat(names, i > 0 ? " " : ""), told[i].name);
    ck_assert_str_eq(names, expected);
}

#define assert_counted(name, at_line, counted, most, when) \
    do {                                                   \
        ck_assert_uint_eq(of(name)->line, at_line);        \
        ck_assert_uint_eq(of(name)->count, counted);       \
        ck_assert_uint_eq(of(name)->max, most);            \
        ck_assert_int_eq(of(name)->next, when);            \
    } while (0)

START_TEST(a_window_with_its_line_count_and_next_admission)
{
    rules_at_line(builder, 31);
    limit_block_id block = limit_in(RULES_SERVICE, CONNECTIONS, 2);
    rules_at_line(builder, 32);
    rules_set_term(builder, block, TERM_WINDOW, 90 * SECOND);
    start();
    explain(client_of("192.0.2.7"));
    assert_told("client_connections");
    assert_counted("client_connections", 31, 0, 2, NEXT_NOW);
    connect_from("192.0.2.7");
    now += 10 * SECOND;
    connect_from("192.0.2.7");
    explain(client_of("192.0.2.7"));
    assert_counted("client_connections", 31, 2, 2, NEXT_AT);
    ck_assert(explanation_refuses(&told[0]) && told[0].at_connect && !told[0].banned);
    ck_assert_int_ge(told[0].next_ns, 80 * SECOND);
    ck_assert_int_le(told[0].next_ns, 92 * SECOND); /* at the latest after 1.12 windows (window.h) */
    ck_assert_int_eq(told[0].window_ns, 90 * SECOND);
    ck_assert_int_eq(told[0].limit, LIMIT_NUMBERED + CONNECTIONS);
    ck_assert_int_eq(told[0].mode, MODE_BLOCK);
    ck_assert_str_eq(told[0].scope, "service");
    ck_assert_uint_eq(told[0].client.bits, 32);
    explain(client_of("192.0.2.8"));
    assert_counted("client_connections", 31, 0, 2, NEXT_NOW);
}
END_TEST

START_TEST(a_ban_and_a_window_until_the_later)
{
    limit_block_id block = limit_in(RULES_SERVICE, CONNECTIONS, 1);
    rules_set_term(builder, block, TERM_WINDOW, 600 * SECOND);
    rules_set_term(builder, block, TERM_BAN, 60 * SECOND);
    start();
    connect_from("192.0.2.7");
    connect_from("192.0.2.7");
    assert_refused("client_connections", 1, 1);
    explain(client_of("192.0.2.7"));
    ck_assert(told[0].banned);
    ck_assert_int_gt(told[0].ban_left_ns, 59 * SECOND);
    ck_assert_int_le(told[0].ban_left_ns, 60 * SECOND + 2 * TICK);
    ck_assert_int_ge(told[0].next_ns, 599 * SECOND);
    now += 61 * SECOND;
    explain(client_of("192.0.2.7"));
    ck_assert(!told[0].banned && told[0].ban_left_ns == 0 && told[0].next == NEXT_AT);
}
END_TEST

START_TEST(what_is_open_waits_for_a_close)
{
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    rules_at_line(builder, 3);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 5);
    rules_at_line(builder, 7);
    rules_set(builder, listener, SETTING_LISTENER_SESSIONS, 1);
    rules_at_line(builder, 9);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 4);
    start();
    session_id id = connect_from("192.0.2.7");
    explain(client_of("192.0.2.7"));
    assert_told("client_sessions session_messages listener_sessions service_sessions");
    assert_counted("client_sessions", 9, 1, 1, NEXT_ON_CLOSE);
    assert_counted("session_messages", 9, 0, 4, NEXT_SESSION);
    assert_counted("listener_sessions", 7, 1, 1, NEXT_ON_CLOSE);
    assert_counted("service_sessions", 3, 1, 5, NEXT_NOW);
    ck_assert(!explanation_refuses(of("session_messages")));
    leave(id);
    explain(client_of("192.0.2.7"));
    assert_counted("client_sessions", 9, 0, 1, NEXT_NOW);
    assert_counted("listener_sessions", 7, 0, 1, NEXT_NOW);
    explain(sender_of("a@b.example", "b.example")); /* caps and sessions are nothing of a name's */
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(keys_and_exceptions_have_their_lines)
{
    limit_block_id block = limit_in(RULES_SERVICE, CONNECTIONS, 2);
    struct prefix ten = prefix_of("10.0.0.0/8"), other = prefix_of("192.0.2.0/24");
    rules_at_line(builder, 11);
    rules_add_key_prefix(builder, block, &ten, &(struct limit_maxima){.set = 1u << TERM_MAX, .max = {7}});
    rules_at_line(builder, 12);
    rules_add_except_prefix(builder, block, &other);
    start();
    explain(client_of("10.1.1.1"));
    assert_counted("client_connections", 11, 0, 7, NEXT_NOW);
    ck_assert(!told[0].exempt);
    explain(client_of("192.0.2.7"));
    assert_counted("client_connections", 12, 0, 0, NEXT_NOW);
    ck_assert(told[0].exempt);
    explain(client_of("198.51.100.1"));
    assert_counted("client_connections", 0, 0, 2, NEXT_NOW);
}
END_TEST

START_TEST(lists_and_bans_with_the_entry)
{
    struct prefix bad = prefix_of("192.0.2.0/24"), good = prefix_of("10.0.0.0/8"), worse = prefix_of("198.51.100.0/24");
    struct ban_target target = {.clients = worse};
    rules_at_line(builder, 41);
    rules_add_list_prefix(builder, LIST_DENY, &bad);
    rules_add_list_sender(builder, LIST_DENY, "spam.example");
    rules_at_line(builder, 51);
    rules_add_list_prefix(builder, LIST_EXEMPT, &good);
    rules_add_list_prefix(builder, LIST_EXEMPT, &worse);
    rules_add_list_authenticated(builder, LIST_EXEMPT);
    limit_in(RULES_SERVICE, CONNECTIONS, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_USER_RECIPIENTS, 1);
    start();
    explain(client_of("192.0.2.7"));
    assert_told("deny client_connections");
    ck_assert_uint_eq(told[0].line, 41);
    ck_assert_str_eq(told[0].key, "192.0.2.0/24");
    ck_assert(told[0].next == NEXT_NEVER && explanation_refuses(&told[0]) && told[0].at_connect);
    explain(sender_of("a@mx.spam.example", "mx.spam.example"));
    assert_told("deny");
    ck_assert_str_eq(told[0].key, "spam.example");
    ck_assert(!told[0].at_connect);
    explain(sender_of(NULL, "spam.example"));
    assert_told("deny");
    connect_from("10.1.1.1");
    explain(client_of("10.1.1.1"));
    assert_told("exempt client_connections");
    ck_assert_uint_eq(told[0].line, 51);
    ck_assert(told[1].exempt && !explanation_refuses(&told[1]));
    struct explain_subject user = {.anywhere = true, .user = "joe", .name = {[PER_USER] = "joe"}};
    explain(user);
    assert_told("exempt user_recipients");
    ck_assert_str_eq(told[0].key, "");
    ck_assert(told[1].exempt);
    ck_assert_int_eq(engine_ban(engine, &target, 50 * SECOND, now), BAN_BEGUN);
    explain(client_of("198.51.100.7")); /* on a tie the ban */
    assert_told("ban client_connections");
    ck_assert_str_eq(told[0].key, "198.51.100.0/24");
    ck_assert(told[0].banned && told[0].next == NEXT_AT && told[0].next_ns == 50 * SECOND && !told[1].exempt);
}
END_TEST

START_TEST(networks_of_a_name)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_DOMAIN_NETWORKS, 2);
    rules_set_term(builder, 0, TERM_BAN, 0);
    start();
    mail(connect_from("192.0.2.1"), "a@b.example");
    mail(connect_from("198.51.100.1"), "c@b.example");
    explain(sender_of(NULL, "b.example"));
    assert_counted("domain_networks", 0, 2, 2, NEXT_AT);
    ck_assert_str_eq(told[0].key, "b.example");
    struct explain_subject known = sender_of("x@b.example", "b.example"), other = known;
    ck_assert(addr_parse("192.0.2.99", &known.client) && addr_parse("203.0.113.1", &other.client));
    explain(known);
    assert_counted("domain_networks", 0, 2, 2, NEXT_NOW);
    explain(other);
    assert_counted("domain_networks", 0, 2, 2, NEXT_AT);
}
END_TEST

/* Three listens, of which two share what is said of the service. */
static scope_id three_places(void)
{
    static const uint16_t ports[] = {25, 587, 465};
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL), listen = 0;
    const struct addr any = {.family = ADDR_NONE};

    for (unsigned i = 0; i < 3; i++) {
        listen = rules_add_scope(builder, SCOPE_LISTEN, listener, i == 0 ? ":25" : i == 1 ? ":587" : ":465");
        rules_set_listen(builder, listen, &any, ports[i]);
    }
    return listen;
}

START_TEST(a_counter_is_told_once)
{
    scope_id last = three_places();
    limit_in(RULES_SERVICE, CONNECTIONS, 2);
    limit_in(last, CONNECTIONS, 1);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 5);
    start();
    explain(client_of("192.0.2.7"));
    assert_told("client_connections client_connections service_sessions");
    ck_assert_uint_ne(told[0].max, told[1].max);
    struct explain_subject subject = client_of("192.0.2.7");
    subject.anywhere = false;
    subject.local_port = 465;
    explain(subject);
    assert_told("client_connections service_sessions");
    ck_assert_uint_eq(told[0].max, 1);
    ck_assert_str_eq(told[0].scope, "listener[:25]/listen[:465]");
    ck_assert(engine_place_known(engine, &subject));
    subject.local_port = 26;
    ck_assert(!engine_place_known(engine, &subject));
    /* What there is no room for is only counted: the last of what is judged. */
    explain_in(2, client_of("192.0.2.7"));
    assert_told("client_connections client_connections");
    ck_assert_uint_eq(walk.left_out, 1);
}
END_TEST

/* Listens on so many ports from 1000 on, each with its own cap and maximum. */
static void many_places(unsigned places, scope_id listens[])
{
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    const struct addr any = {.family = ADDR_NONE};

    limit_in(RULES_SERVICE, CONNECTIONS, 1000);
    for (unsigned i = 0; i < places; i++) {
        listens[i] = rules_add_scope(builder, SCOPE_LISTEN, listener, "some");
        rules_set_listen(builder, listens[i], &any, (uint16_t)(1000 + i));
        limit_in(listens[i], CONNECTIONS, 1000);
        rules_set(builder, listens[i], SETTING_LISTENER_SESSIONS, 5);
    }
}

static void connect_to(uint16_t port)
{
    const struct connect_event event = {.client = prefix_of("192.0.2.7").addr, .local_port = port};
    session_id id;
    engine_connect(engine, &event, now, &id, &verdict);
}

/* The narrow one is past the first 256 places, its cap is what is judged last, and there is no room for half of it. */
START_TEST(who_keeps_out_is_told_however_much_there_is)
{
    scope_id listens[300];
    many_places(300, listens);
    rules_set(builder, listens[298], SETTING_LISTENER_SESSIONS, 1);
    limit_in(listens[299], CONNECTIONS, 2);
    start();
    explain_in(EXPLAIN_ROOM, client_of("192.0.2.7"));
    ck_assert_uint_eq(walk.told, EXPLAIN_ROOM);
    ck_assert_uint_eq(walk.left_out, 601 - EXPLAIN_ROOM);
    for (uint32_t i = 0; i < walk.told; i++) {
        ck_assert(!explain_told(&walk, i)->keeps_out);
        ck_assert_str_eq(explain_told(&walk, i)->name, i < 301 ? "client_connections" : "listener_sessions");
    }
    connect_to(1298);
    connect_to(1298);
    assert_refused("listener_sessions", 1, 1);
    explain_in(EXPLAIN_ROOM, client_of("192.0.2.7"));
    ck_assert_uint_eq(walk.left_out, 601 - EXPLAIN_ROOM);
    const struct explanation *last = explain_told(&walk, EXPLAIN_ROOM - 1);
    ck_assert(last->keeps_out && last->scope_number == listens[298] && strcmp(last->name, "listener_sessions") == 0);
    ck_assert(!explain_told(&walk, EXPLAIN_ROOM - 2)->keeps_out);
    /* Of two the first is told, whichever is found first. */
    for (int i = 0; i < 3; i++)
        connect_to(1299);
    assert_refused("client_connections", 2, 2);
    explain_in(1, client_of("192.0.2.7"));
    assert_told("client_connections");
    ck_assert(told[0].keeps_out && told[0].scope_number == listens[299]);
    ck_assert_uint_eq(walk.left_out, 600);
}
END_TEST

/* So that the engine's lock can be let go between. */
START_TEST(many_places_are_looked_at_in_steps)
{
    scope_id listens[100];
    many_places(100, listens);
    start();
    ck_assert_uint_eq(explain_in(EXPLAIN_ROOM, client_of("192.0.2.7")), 1 + 100 / (ENGINE_BATCH / (LIMITS_MAX + 7)));
    ck_assert_uint_eq(walk.told, 201);
    ck_assert_uint_eq(walk.left_out, 0);
    for (unsigned i = 0; i < 100; i++) { /* each is there once, in the order of the judging */
        ck_assert_uint_eq(explain_told(&walk, i)->scope_number, listens[i]);
        ck_assert_uint_eq(explain_told(&walk, 101 + i)->scope_number, listens[i]);
    }
}
END_TEST

static void ban(const char *block, const char *name, int64_t seconds)
{
    struct ban_target target = {.clients = {.bits = 0}};
    if (block)
        target.clients = prefix_of(block);
    else
        strcpy(target.name, name);
    ck_assert_int_ne(engine_ban(engine, &target, seconds * SECOND, now), BAN_NO_ROOM);
}

#define assert_ban(number, whose, left, over)                      \
    do {                                                           \
        ck_assert_str_eq(told[number].name, "ban");                \
        ck_assert_str_eq(told[number].key, whose);                 \
        ck_assert_int_eq(told[number].ban_left_ns, (left)*SECOND); \
        ck_assert_int_eq(told[number].next_ns, (over)*SECOND);     \
        ck_assert(told[number].keeps_out &&told[number].banned);   \
    } while (0)

START_TEST(each_ban_that_holds_is_told)
{
    struct prefix spared = prefix_of("192.0.0.0/16");
    rules_add_list_prefix(builder, LIST_EXEMPT, &spared);
    rules_add_list_sender(builder, LIST_EXEMPT, "b.example");
    start();
    ban("192.0.2.0/24", NULL, 7200);
    ban("192.0.2.0/25", NULL, 3600);
    ban("192.0.2.128/25", NULL, 9000);
    ban("192.0.0.0/16", NULL, 60);
    ban("192.0.0.0/8", NULL, 9000); /* the exempt entry is narrower */
    ban("0.0.0.0/0", NULL, 9000);
    explain(client_of("192.0.2.7"));
    assert_told("ban ban ban");
    assert_ban(0, "192.0.2.0/25", 3600, 7200);
    assert_ban(1, "192.0.2.0/24", 7200, 7200);
    assert_ban(2, "192.0.0.0/16", 60, 7200);
    explain(client_of("193.0.2.7"));
    assert_told("ban");
    assert_ban(0, "0.0.0.0/0", 9000, 9000);
    ban("2001:db8::/64", NULL, 50);
    ban("2001:db8::/65", NULL, 40);
    ban("2001:db8::1", NULL, 30);
    ban("::/0", NULL, 20);
    explain(client_of("2001:db8::1"));
    assert_told("ban ban ban ban");
    assert_ban(0, "2001:db8::1", 30, 50);
    assert_ban(1, "2001:db8::/65", 40, 50);
    assert_ban(2, "2001:db8::/64", 50, 50);
    assert_ban(3, "::/0", 20, 50);
    ban(NULL, "c.b.example", 100);
    ban(NULL, "d.c.b.example", 90);
    ban(NULL, "b.example", 110);
    ban(NULL, "example", 120); /* likewise */
    explain(sender_of("a@d.c.b.example", "d.c.b.example"));
    assert_told("ban ban ban");
    assert_ban(0, "d.c.b.example", 90, 110);
    assert_ban(1, "c.b.example", 100, 110);
    assert_ban(2, "b.example", 110, 110);
}
END_TEST

/* It keeps nobody out, nor does it stretch the time until those do no more that do. */
START_TEST(monitored_is_told_and_off_is_not)
{
    rules_set_term(builder, limit_in(RULES_SERVICE, CONNECTIONS, 1), TERM_MODE, MODE_MONITOR);
    rules_set_term(builder, limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 1), TERM_MODE, MODE_OFF);
    start();
    connect_from("192.0.2.7");
    explain(client_of("192.0.2.7"));
    assert_told("client_connections");
    ck_assert(told[0].mode == MODE_MONITOR && told[0].next == NEXT_AT && !explanation_refuses(&told[0]));
}
END_TEST

/* ---- values ---- */

static const struct evaluation *value_of(const char *limit, int term)
{
    for (size_t i = 0; i < count; i++)
        if (values[i].what == EVALUATED_TERM && (int)values[i].term == term && strcmp(values[i].limit, limit) == 0)
            return &values[i];
    return NULL;
}

static const struct evaluation *setting_of(enum setting setting)
{
    for (size_t i = 0; i < count; i++)
        if (values[i].what == EVALUATED_SETTING && values[i].setting == setting)
            return &values[i];
    return NULL;
}

static void evaluate(const char *client)
{
    struct explain_subject subject = client_of(client);
    subject.local_port = 25;
    count = engine_evaluate(engine, &subject, now, values, 200);
    ck_assert_uint_le(count, 200);
}

#define assert_value(one, expected, from, at_line) \
    do {                                           \
        const struct evaluation *one_ = one;       \
        ck_assert_ptr_nonnull(one_);               \
        ck_assert_int_eq(one_->value, expected);   \
        ck_assert_str_eq(one_->scope, from);       \
        ck_assert_uint_eq(one_->line, at_line);    \
    } while (0)

START_TEST(each_value_with_who_says_it)
{
    scope_id way = rules_add_scope(builder, SCOPE_PATHWAY, RULES_SERVICE, "way");
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    scope_id wide = rules_add_scope(builder, SCOPE_PEER, listener, "10.0.0.0/8");
    scope_id narrow = rules_add_scope(builder, SCOPE_PEER, listener, "10.1.0.0/16");
    struct prefix prefix = prefix_of("10.0.0.0/8"), one = prefix_of("10.1.1.1");
    rules_add_prefix(builder, wide, &prefix);
    prefix = prefix_of("10.1.0.0/16");
    rules_add_prefix(builder, narrow, &prefix);
    rules_at_line(builder, 2);
    rules_set(builder, RULES_SERVICE, SETTING_LISTENER_SESSIONS, 100);
    rules_at_line(builder, 4);
    rules_set(builder, listener, SETTING_PATHWAY, way);
    rules_at_line(builder, 6);
    rules_set(builder, wide, SETTING_IDLE_TIME, 300 * SECOND);
    rules_set(builder, wide, SETTING_LISTENER_SESSIONS, 9);
    rules_at_line(builder, 8);
    limit_block_id outer = limit_in(wide, CONNECTIONS, 3), inner = rules_add_limit_block(builder, narrow, CONNECTIONS);
    rules_at_line(builder, 10);
    rules_set_term(builder, inner, TERM_WINDOW, 30 * SECOND);
    rules_at_line(builder, 12);
    rules_add_key_prefix(builder, outer, &one, &(struct limit_maxima){.set = 1u << TERM_MAX, .max = {50}});
    rules_at_line(builder, 14);
    rules_set_term(builder, outer, TERM_MAX_AUTHENTICATED, 20);
    start();
    evaluate("10.1.2.3");
    assert_value(&values[0], 9, "listener[default]/peer[10.0.0.0/8]", 6); /* the peer that sets it */
    assert_value(&values[1], 100, "listener[default]", 2);
    assert_value(&values[2], 0, "pathway[way]", 0);
    assert_value(&values[3], 0, "service", 0);
    ck_assert_str_eq(values[3].limit, "service_sessions");
    assert_value(setting_of(SETTING_IDLE_TIME), 300 * SECOND, "listener[default]/peer[10.0.0.0/8]", 6);
    ck_assert_str_eq(setting_of(SETTING_PATHWAY)->text, "way");
    ck_assert_uint_eq(setting_of(SETTING_PATHWAY)->line, 4);
    assert_value(setting_of(SETTING_REFUSE_AT), REFUSE_AT_HELO, "service", 0);
    assert_value(value_of("client_connections", TERM_MAX), 3, "listener[default]/peer[10.0.0.0/8]", 8);
    assert_value(value_of("client_connections", TERM_WINDOW), 30 * SECOND, "listener[default]/peer[10.1.0.0/16]", 10);
    assert_value(value_of("client_connections", TERM_BAN), 0, "service", 0);
    assert_value(value_of("client_connections", TERM_MAX_AUTHENTICATED), 20, "listener[default]/peer[10.0.0.0/8]", 14);
    ck_assert_ptr_null(value_of("client_connections", TERM_MAX_GOOD));
    ck_assert_ptr_null(value_of("client_connections", TERM_SOFT));
    evaluate("10.1.1.1"); /* a key, which comes before what the limit says of those who have authenticated */
    assert_value(value_of("client_connections", TERM_MAX), 50, "listener[default]/peer[10.0.0.0/8]", 12);
    ck_assert_ptr_null(value_of("client_connections", TERM_MAX_AUTHENTICATED));
    evaluate("192.0.2.1");
    ck_assert_ptr_null(value_of("client_connections", TERM_MAX));
    struct explain_subject subject = client_of("10.1.2.3");
    ck_assert_uint_gt(engine_evaluate(engine, &subject, now, NULL, 0), 10);
}
END_TEST

/* "LIST ENTRY" of what decides before anything else, each. */
static void assert_decided(const char *client, const char *expected)
{
    char all[200] = "";
    evaluate(client);
    for (size_t i = 0; i < count && values[i].what == EVALUATED_LIST; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s %s", i > 0 ? ", " : "", values[i].limit,
                 values[i].text);
    ck_assert_str_eq(all, expected);
}

/* As they are judged: the narrowest ban comes before deny, and stands in place of exempt unless that says more. */
START_TEST(the_lists_that_hold_a_client)
{
    const struct prefix denied = prefix_of("192.0.2.0/24"), spared = prefix_of("10.0.0.0/8"),
                        more = prefix_of("10.1.1.1");
    struct ban_target target = {.clients = prefix_of("10.1.0.0/16")};
    rules_at_line(builder, 41);
    rules_add_list_prefix(builder, LIST_DENY, &denied);
    rules_set_deny(builder, MODE_SCORE, 7);
    rules_at_line(builder, 43);
    rules_add_list_prefix(builder, LIST_EXEMPT, &spared);
    rules_add_list_prefix(builder, LIST_EXEMPT, &more);
    rules_add_list_authenticated(builder, LIST_EXEMPT); /* nobody's address */
    start();
    assert_decided("198.51.100.1", "");
    assert_decided("192.0.2.7", "deny 192.0.2.0/24");
    assert_value(&values[0], 7, "service", 41);
    ck_assert_int_eq(values[0].mode, MODE_SCORE);
    assert_decided("10.1.2.3", "exempt 10.0.0.0/8");
    assert_value(&values[0], 0, "service", 43);
    engine_ban(engine, &target, 60 * SECOND, now);
    target.clients = prefix_of("192.0.0.0/16");
    engine_ban(engine, &target, 600 * SECOND, now);
    assert_decided("10.1.2.3", "ban 10.1.0.0/16");
    assert_value(&values[0], 0, "service", 0);
    ck_assert_int_eq(values[0].mode, MODE_BLOCK);
    assert_decided("10.1.1.1", "exempt 10.1.1.1");
    assert_decided("192.0.2.7", "ban 192.0.0.0/16, deny 192.0.2.0/24");
    now += 61 * SECOND; /* without an event that would tell the engine so */
    assert_decided("10.1.2.3", "exempt 10.0.0.0/8");
    rules_set_monitor(builder, true);
    rules_add_list_prefix(builder, LIST_DENY, &denied);
    reload();
    assert_decided("192.0.2.7", "ban 192.0.0.0/16, deny 192.0.2.0/24");
    ck_assert(values[0].mode == MODE_MONITOR && values[1].mode == MODE_MONITOR);
}
END_TEST

START_TEST(a_reload_brings_new_lines)
{
    rules_at_line(builder, 5);
    limit_in(RULES_SERVICE, CONNECTIONS, 2);
    start();
    connect_from("192.0.2.7");
    rules_at_line(builder, 8);
    limit_in(RULES_SERVICE, CONNECTIONS, 3);
    reload();
    explain(client_of("192.0.2.7"));
    assert_counted("client_connections", 8, 1, 3, NEXT_NOW);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("explain");
    TCase *tests = test_case(suite, "explain");
    tcase_add_checked_fixture(tests, case_setup, case_teardown);
    tcase_add_test(tests, a_window_with_its_line_count_and_next_admission);
    tcase_add_test(tests, a_ban_and_a_window_until_the_later);
    tcase_add_test(tests, what_is_open_waits_for_a_close);
    tcase_add_test(tests, keys_and_exceptions_have_their_lines);
    tcase_add_test(tests, lists_and_bans_with_the_entry);
    tcase_add_test(tests, networks_of_a_name);
    tcase_add_test(tests, a_counter_is_told_once);
    tcase_add_test(tests, who_keeps_out_is_told_however_much_there_is);
    tcase_add_test(tests, many_places_are_looked_at_in_steps);
    tcase_add_test(tests, each_ban_that_holds_is_told);
    tcase_add_test(tests, monitored_is_told_and_off_is_not);
    tcase_add_test(tests, each_value_with_who_says_it);
    tcase_add_test(tests, the_lists_that_hold_a_client);
    tcase_add_test(tests, a_reload_brings_new_lines);
    return suite;
}
