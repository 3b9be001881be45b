/*
 * test_operator_bans.c: bans of administrators, the list of all bans, and how they are lifted. Links all of src/engine.
 */
#include "check_main.h"
#include "engine/bans.h"
#include "engine_case.h"
#include "prng.h"

#include <stdio.h>

#define VIEWS 16

static struct ban_view views[VIEWS]; /* of the last list() */

static struct ban_target block(const char *text)
{
    return (struct ban_target){.clients = prefix_of(text)};
}

static struct ban_target name(const char *text)
{
    struct ban_target target = {.clients = {.bits = 0}};
    snprintf(target.name, sizeof target.name, "%s", text);
    return target;
}

static void ban(struct ban_target target, int64_t length)
{
    ck_assert_int_eq(engine_ban(engine, &target, length, now), BAN_BEGUN);
}

/* All bans; returns how many there are. */
static size_t list(void)
{
    uint64_t next = 0;
    size_t count = 0;
    do
        count += engine_bans(engine, now, &next, &views[count], VIEWS - count);
    while (next != 0);
    return count;
}

/* Of the last list(), the one of that limit, whom it bans being that text. */
static const struct ban_view *view_of(size_t count, const char *limit, const char *whom)
{
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 0; i < count; i++) {
        bool of_name = views[i].client.addr.family == ADDR_NONE;
        if (strcmp(views[i].name, limit) == 0 &&
            strcmp(of_name ? views[i].key : prefix_format(&views[i].client, text), whom) == 0)
            return &views[i];
    }
    ck_abort_msg("no ban of %s by %s", whom, limit);
    return NULL;
}

static size_t lift(const struct ban_target *target, const char *limit, int64_t since)
{
    const struct unban unban = {.target = target, .limit = limit, .since_ns = since};
    uint64_t next = 0;
    struct unbanned done = {0};
    do
        engine_unban(engine, &unban, now, &next, &done);
    while (next != 0);
    return done.lifted;
}

static size_t lift_block(const char *text)
{
    struct ban_target target = block(text);
    return lift(&target, NULL, 0);
}

static size_t lift_name(const char *text)
{
    struct ban_target target = name(text);
    return lift(&target, NULL, 0);
}

static bool is_refused(const char *client)
{
    session_id id = connect_from(client);
    engine_close(engine, id, now);
    return verdict.kind == VERDICT_REFUSE;
}

static bool is_sender_refused(const char *sender)
{
    session_id id = connect_from("203.0.113.99");
    mail(id, sender);
    bool refused = verdict.kind == VERDICT_REFUSE;
    leave(id);
    return refused;
}

static limit_block_id banning(limit_number limit, int64_t max, int64_t length)
{
    limit_block_id of = limit_in(RULES_SERVICE, limit, max);
    rules_set_term(builder, of, TERM_BAN, length);
    return of;
}

static void exempt(const char *prefix)
{
    struct prefix exempted = prefix_of(prefix);
    rules_add_list_prefix(builder, LIST_EXEMPT, &exempted);
}

/* ---- an administrator's ---- */

START_TEST(a_block_is_refused_until_the_end)
{
    start();
    ban(block("192.0.2.0/24"), HOUR);
    connect_from("192.0.2.7");
    assert_refused("ban", 0, 0);
    assert_reply("421", "4.7.1", "Service unavailable, access denied.");
    const struct finding *found = finding_of("ban");
    ck_assert_int_eq(found->limit, LIMIT_BAN);
    ck_assert_str_eq(found->scope, "service");
    ck_assert(found->banned && !found->ban_began && found->crossing);
    ck_assert_int_eq(found->ban_left_ns, HOUR);
    ck_assert_uint_eq(found->client.bits, 24);
    ck_assert_str_eq(found->key, "");
    ck_assert(!is_refused("192.0.3.7") && !is_refused("2001:db8::1") && !is_refused(""));
    now += HOUR - 1;
    ck_assert(is_refused("192.0.2.7"));
    ck_assert_int_eq(verdict.findings[0].ban_left_ns, 1);
    now += 1;
    ck_assert(!is_refused("192.0.2.7"));
    ck_assert_uint_eq(limit_done("ban").actions[ACTION_REFUSE], 2);
}
END_TEST

START_TEST(a_domain_is_refused_at_mail_with_its_subdomains)
{
    start();
    ban(name("spam.example"), HOUR);
    session_id id = connect_from("192.0.2.1");
    assert_passed();
    mail(id, "joe@mail.spam.example");
    assert_refused("ban", 0, 0);
    ck_assert_str_eq(finding_of("ban")->key, "spam.example");
    ck_assert_int_eq(finding_of("ban")->ban_left_ns, HOUR);
    mail(id, "joe@notspam.example");
    assert_passed();
    mail(id, "");
    assert_passed();
    said.user = "spam.example"; /* neither a user nor a HELO name is a sender */
    helo(id, "spam.example");
    mail(id, "a@example");
    assert_passed();
    now += HOUR;
    ck_assert(!is_sender_refused("joe@spam.example"));
}
END_TEST

START_TEST(the_longest_wins_against_the_exempt_list_and_the_ban_on_a_tie)
{
    exempt("10.0.0.0/8");
    exempt("10.1.1.0/24");
    exempt("2001:db8::/32");
    rules_add_list_sender(builder, LIST_EXEMPT, "a.example");
    rules_add_list_sender(builder, LIST_EXEMPT, "friend@b.example");
    rules_add_list_sender(builder, LIST_EXEMPT, "c.b.example");
    rules_add_list_user(builder, LIST_EXEMPT, "joe");
    start();
    ban(block("10.0.0.0/8"), HOUR);
    ban(block("10.1.1.128/25"), HOUR);
    ban(block("2001:db8::/31"), HOUR);
    ban(block("2001:db8:1::/48"), HOUR);
    ck_assert(is_refused("10.0.0.1")); /* a tie */
    ck_assert(!is_refused("10.1.1.1"));
    ck_assert_int_eq(verdict.kind, VERDICT_EXEMPT);
    ck_assert(is_refused("10.1.1.129"));
    ck_assert(!is_refused("2001:db8::1"));
    ck_assert(is_refused("2001:db9::1") && is_refused("2001:db8:1::1"));
    ban(name("a.example"), HOUR);
    ban(name("b.example"), HOUR);
    ck_assert(is_sender_refused("x@a.example"));
    ck_assert(is_sender_refused("x@b.example"));
    ck_assert(!is_sender_refused("friend@b.example"));
    ck_assert(!is_sender_refused("x@c.b.example") && !is_sender_refused("x@d.c.b.example"));
    session_id id = connect_from("203.0.113.1");
    said.user = "joe";
    mail(id, "x@b.example");
    assert_refused("ban", 0, 0);
}
END_TEST

/* As it does whatever the mode of that list. */
START_TEST(beside_the_deny_list)
{
    static const enum limit_mode modes[] = {MODE_OFF, MODE_BLOCK, MODE_MONITOR, MODE_SCORE};
    const struct prefix all = prefix_of("0.0.0.0/0");
    for (size_t i = 0; i < 4; i++) {
        rules_set_deny(builder, modes[i], 3);
        rules_add_list_prefix(builder, LIST_DENY, &all);
        start();
        ban(block("192.0.2.1"), HOUR);
        connect_from("192.0.2.1");
        assert_refused("ban", 0, 0);
        ck_assert_uint_eq(verdict.finding_count, 1);
        ck_assert_int_eq(is_refused("192.0.2.2"), modes[i] == MODE_BLOCK);
    }
}
END_TEST

START_TEST(only_monitored_where_everything_is)
{
    rules_set_monitor(builder, true);
    start();
    ban(block("192.0.2.1"), HOUR);
    ban(name("spam.example"), HOUR);
    session_id id = connect_from("192.0.2.1");
    assert_monitored("ban", 0, 0);
    mail(id, "x@spam.example"); /* it would have been ended before */
    assert_passed();
    id = connect_from("192.0.2.2");
    mail(id, "x@spam.example");
    assert_monitored("ban", 0, 0);
    ck_assert(finding_of("ban")->banned);
    ck_assert_uint_eq(list(), 2);
    ck_assert_int_eq(views[0].action, ACTION_MONITOR);
}
END_TEST

static void reload_as_dry_run(bool dry)
{
    rules_set_monitor(builder, dry);
    reload();
}

static enum action action_listed(const char *whom)
{
    return view_of(list(), "ban", whom)->action;
}

START_TEST(a_ban_of_a_dry_run_never_becomes_real)
{
    struct ban_target client = block("192.0.2.1"), domain = name("spam.example"), real = block("198.51.100.0/24");
    start();
    ban(real, HOUR);
    reload_as_dry_run(true);
    ban(client, HOUR);
    ban(domain, HOUR);
    ck_assert(!is_refused("198.51.100.1")); /* a real one is watched for so long */
    ck_assert_int_eq(action_listed("198.51.100.0/24"), ACTION_MONITOR);
    ck_assert_int_eq(engine_ban(engine, &real, 2 * HOUR, now), BAN_CHANGED);
    ck_assert(engine_ban_monitored(engine, &client, now) && !engine_ban_monitored(engine, &real, now));
    ck_assert_uint_eq(engine_bans_of_dry_run(engine), 2);
    reload_as_dry_run(true);
    ck_assert_uint_eq(list(), 3);
    reload_as_dry_run(false);

    ck_assert_uint_eq(engine_bans_of_dry_run(engine), 0);
    ck_assert(is_refused("198.51.100.1"));
    ck_assert_int_eq(action_listed("198.51.100.0/24"), ACTION_REFUSE);
    ck_assert_uint_eq(list(), 1);
    ck_assert(!is_refused("192.0.2.1") && !is_sender_refused("x@spam.example"));
    connect_from("192.0.2.1");
    ck_assert_uint_eq(verdict.finding_count, 0);

    now += 10 * SECOND;
    ban(client, HOUR); /* a new one, from now on */
    ck_assert(is_refused("192.0.2.1") && !engine_ban_monitored(engine, &client, now));
    ck_assert_int_eq(view_of(list(), "ban", "192.0.2.1")->since_ns, 0);
    ban(domain, HOUR);
    reload_as_dry_run(true);
    reload_as_dry_run(false);
    ck_assert(is_refused("192.0.2.1") && is_sender_refused("x@a.spam.example"));
    ck_assert_uint_eq(lift(NULL, "ban", 0), 3);
}
END_TEST

static void assert_monitored_bans(uint32_t bans, uint32_t monitored)
{
    const struct engine_totals totals = engine_totals(engine);
    ck_assert_uint_eq(totals.operator_bans, bans);
    ck_assert_uint_eq(totals.operator_bans_monitored, monitored);
}

START_TEST(those_of_a_dry_run_are_counted_apart)
{
    start();
    ban(block("192.0.2.1"), HOUR);
    assert_monitored_bans(1, 0);
    reload_as_dry_run(true);
    assert_monitored_bans(1, 1); /* nobody is refused */
    for (int i = 0; i < 50; i++) {
        char text[PREFIX_TEXT_SIZE];
        snprintf(text, sizeof text, "198.51.100.%d", i);
        ban(block(text), i < 20 ? SECOND : HOUR);
    }
    assert_monitored_bans(51, 51);
    now += SECOND;
    engine_sweep(engine, now);
    ck_assert_uint_eq(lift(&(struct ban_target){.clients = prefix_of("198.51.100.49")}, NULL, 0), 1);
    ck_assert_uint_eq(engine_bans_of_dry_run(engine), 29);
    reload_as_dry_run(false);
    assert_monitored_bans(1, 0);
}
END_TEST

START_TEST(open_sessions_go_on_and_the_client_is_not_blamed)
{
    rules_set_reputation(builder, HOUR);
    start();
    session_id id = connect_from("192.0.2.1");
    uint32_t keys = engine_totals(engine).keys;
    ban(block("192.0.2.0/24"), HOUR);
    for (int i = 0; i < 10; i++)
        ck_assert(is_refused("192.0.2.2"));
    ck_assert_uint_eq(engine_totals(engine).keys, keys);
    deliver(id, "x@y.example");
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    leave(id);
    ck_assert(is_refused("192.0.2.1"));
}
END_TEST

START_TEST(it_outlives_a_reload_also_one_under_way)
{
    start();
    ban(block("192.0.2.1"), HOUR);
    struct tally *next = begin_reload();
    ban(name("spam.example"), HOUR);
    while (!engine_reload_step(engine, next))
        continue;
    finish_reload();
    ck_assert(is_refused("192.0.2.1") && is_sender_refused("x@spam.example"));
}
END_TEST

START_TEST(again_is_a_change_and_another_length)
{
    struct ban_target target = block("192.0.2.1"), again = target;
    snprintf(again.name, sizeof again.name, "ignored");
    start();
    ban(target, 2 * HOUR);
    now += HOUR;
    ck_assert_int_eq(engine_ban(engine, &again, SECOND, now), BAN_CHANGED);
    ck_assert_uint_eq(list(), 1);
    ck_assert_int_eq(views[0].since_ns, HOUR);
    ck_assert_int_eq(views[0].left_ns, SECOND);
    now += SECOND;
    ck_assert(!is_refused("192.0.2.1"));
    ck_assert_int_eq(engine_ban(engine, &target, 3 * HOUR, now), BAN_BEGUN);
    ck_assert_uint_eq(list(), 1);
    ck_assert_int_eq(views[0].since_ns, 0);
    ck_assert_uint_eq(engine_totals(engine).operator_bans, 1);
    ck_assert(is_refused("192.0.2.1"));
}
END_TEST

START_TEST(so_many_and_no_more)
{
    start();
    for (uint32_t i = 0; i < OPERATOR_BANS_MAX; i++) {
        struct ban_target target = {
            .clients = {addr_from_ipv4((const uint8_t[4]){11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}), 32}};
        ban(target, (i + 1) * SECOND);
    }
    struct ban_target more = name("more.example"), known = block("11.0.0.9");
    ck_assert_int_eq(engine_ban(engine, &more, HOUR, now), BAN_NO_ROOM);
    ck_assert(!is_sender_refused("x@more.example"));
    ck_assert_int_eq(engine_ban(engine, &known, 100000 * SECOND, now), BAN_CHANGED);
    now += SECOND; /* the first is over */
    ck_assert_int_eq(engine_ban(engine, &more, HOUR, now), BAN_BEGUN);
    ck_assert_int_eq(engine_ban(engine, &more, HOUR, now), BAN_CHANGED);
    ck_assert(!is_refused("11.0.0.0") && is_refused("11.0.0.1"));
    now += 5000 * SECOND;
    for (int i = 0; i < 6; i++)
        engine_sweep(engine, now);
    ck_assert_uint_eq(engine_totals(engine).operator_bans, 10000 - 5001 + 1); /* 0 to 5000 less 9 are over; plus one */
    ck_assert(is_refused("11.0.0.9") && !is_refused("11.0.19.136") && is_refused("11.0.19.137"));
    now += 100000 * SECOND;
    for (int i = 0; i < 6; i++)
        engine_sweep(engine, now);
    ck_assert_uint_eq(engine_totals(engine).operator_bans, 0);
    uint64_t next = 0;
    ck_assert_uint_eq(engine_bans(engine, now, &next, views, VIEWS), 0);
}
END_TEST

/* Blocks of all lengths against a list of them that is searched from one end to the other. */
START_TEST(random_blocks)
{
    enum { BANS = 400 };
    static struct {
        struct prefix prefix;
        int64_t until;
    } plain[BANS];
    struct prng prng = prng_seeded((uint64_t)_i);
    size_t count = 0;

    start();
    for (unsigned step = 0; step < 20000; step++) {
        bool ipv4 = prng_below(&prng, 2);
        uint8_t bytes[16] = {0x20, 0x01};
        for (size_t i = 2; i < 16; i++)
            bytes[i] = prng_below(&prng, 4) == 0;
        struct addr addr = ipv4 ? addr_from_ipv4(&bytes[2]) : addr_from_ipv6(bytes);
        unsigned bits = prng_below(&prng, addr_width(&addr) + 1);
        struct ban_target target = {.clients = {addr_cut(&addr, bits), (uint8_t)bits}};
        size_t at = 0;
        while (at < count && prefix_compare(&plain[at].prefix, &target.clients) != 0)
            at++;
        if (step % 4 == 0 && count < BANS) {
            int64_t length = (1 + prng_below(&prng, 400)) * SECOND;
            bool known = at < count && plain[at].until > now;
            ck_assert_int_eq(engine_ban(engine, &target, length, now), known ? BAN_CHANGED : BAN_BEGUN);
            plain[at].prefix = target.clients;
            plain[at].until = now + length;
            count += at == count;
        } else if (step % 40 == 1) {
            size_t expected = 0;
            for (size_t i = 0; i < count; i++)
                if (plain[i].until > now && plain[i].prefix.bits >= bits &&
                    prefix_contains(&target.clients, &plain[i].prefix.addr)) {
                    expected++;
                    plain[i].until = 0;
                }
            ck_assert_uint_eq(lift(&target, NULL, 0), expected);
        } else if (step % 40 == 2) {
            engine_sweep(engine, now);
        } else {
            const struct connect_event event = {.client = addr};
            session_id id;
            int longest = -1;
            int64_t until = 0;
            for (size_t i = 0; i < count; i++)
                if (plain[i].until > now && plain[i].prefix.bits > longest &&
                    prefix_contains(&plain[i].prefix, &addr)) {
                    longest = plain[i].prefix.bits;
                    until = plain[i].until;
                }
            engine_connect(engine, &event, now, &id, &verdict);
            engine_close(engine, id, now);
            ck_assert_int_eq(verdict.kind == VERDICT_REFUSE, longest >= 0);
            if (longest >= 0)
                ck_assert_msg(verdict.findings[0].client.bits == longest &&
                                  verdict.findings[0].ban_left_ns == until - now,
                              "step %u", step);
        }
        if (step % 100 == 0) { /* what is over goes from here, too */
            size_t kept = 0;
            for (size_t i = 0; i < count; i++)
                if (plain[i].until > now)
                    plain[kept++] = plain[i];
            count = kept;
        }
        now += prng_below(&prng, 2) * SECOND;
    }
}
END_TEST

/* ---- those of limits ---- */

START_TEST(what_is_listed)
{
    const scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    limit_block_id domains = limit_in(listener, LIMIT_NUMBER_DOMAIN_NETWORKS, 1);
    rules_set_term(builder, domains, TERM_BAN, 2 * HOUR);
    rules_set_term(builder, domains, TERM_MODE, MODE_SCORE);
    limit_block_id users = custom_in(RULES_SERVICE, "user_messages", COUNT_MESSAGES, PER_USER, 1, HOUR);
    rules_set_term(builder, users, TERM_BAN, 3 * HOUR);
    rules_set_term(builder, users, TERM_MODE, MODE_MONITOR);
    rules_set_client_prefix(builder, 24, 56);
    start();
    connect_from("192.0.2.1");
    connect_from("192.0.2.2");
    assert_refused("client_connections", 1, 1);
    connect_from("2001:db8::1");
    connect_from("2001:db8::2");
    now += 60 * SECOND;
    session_id id = connect_from("10.0.0.1");
    said.user = "joe";
    mail(id, "x@spam.example");
    mail(id, "x@spam.example");
    assert_monitored("user_messages", 1, 1);
    id = connect_from("10.1.0.1");
    mail(id, "x@spam.example");
    assert_found("domain_networks", ACTION_SCORE, 1, 1);
    ban(block("198.51.100.0/24"), HOUR);
    now += 5 * SECOND;

    const size_t count = list();
    ck_assert_uint_eq(count, 5);
    ck_assert_uint_eq(engine_totals(engine).bans, 4);
    ck_assert_uint_eq(engine_totals(engine).bans_monitored, 1);
    ck_assert_uint_eq(engine_totals(engine).operator_bans, 1);
    ck_assert_uint_eq(engine_totals(engine).operator_bans_monitored, 0);
    ck_assert_int_eq(views[0].limit, LIMIT_BAN); /* the administrators' come first */
    ck_assert_str_eq(views[0].scope, "service");
    ck_assert_int_eq(views[0].since_ns, 5 * SECOND);
    ck_assert_int_eq(views[0].left_ns, HOUR - 5 * SECOND);
    ck_assert_int_eq(views[0].per, PER_CLIENT);
    const struct ban_view *view = view_of(count, "client_connections", "192.0.2.0/24");
    ck_assert_int_eq(view->limit,
                     LIMIT_CLIENT_SESSIONS - LIMIT_NUMBER_CLIENT_SESSIONS + LIMIT_NUMBER_CLIENT_CONNECTIONS);
    ck_assert_int_eq(view->per, PER_CLIENT);
    ck_assert_int_eq(view->action, ACTION_REFUSE);
    ck_assert_int_ge(view->since_ns, 65 * SECOND - TICK);
    ck_assert_int_le(view->since_ns, 65 * SECOND + TICK);
    ck_assert_int_ge(view->left_ns, HOUR - 65 * SECOND);
    ck_assert_int_le(view->left_ns, HOUR - 65 * SECOND + 2 * TICK);
    view_of(count, "client_connections", "2001:db8::/56");
    view = view_of(count, "domain_networks", "spam.example");
    ck_assert_str_eq(view->scope, "listener[default]");
    ck_assert_int_eq(view->action, ACTION_SCORE);
    ck_assert_int_eq(view->per, PER_SENDER_DOMAIN);
    view = view_of(count, "user_messages", "joe");
    ck_assert_int_eq(view->action, ACTION_MONITOR);
    ck_assert_int_le(view->since_ns, 5 * SECOND + TICK);

    now += HOUR; /* the first are over, and leave the count with the sweep */
    ck_assert_uint_eq(list(), 2);
    engine_sweep(engine, now);
    ck_assert_uint_eq(engine_totals(engine).bans, 2);
    ck_assert_uint_eq(engine_totals(engine).bans_monitored, 1);
    ck_assert_uint_eq(engine_totals(engine).operator_bans, 0);
}
END_TEST

/* What the rules in force do not know is passed over, and comes again with them. */
START_TEST(bans_of_limits_that_are_gone)
{
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    start();
    connect_from("192.0.2.1");
    connect_from("192.0.2.1");
    ck_assert_uint_eq(list(), 1);
    reload();
    ck_assert_uint_eq(list(), 0);
    ck_assert_uint_eq(lift_block("192.0.2.1"), 0);
    rules_set_term(builder, limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1), TERM_MODE, MODE_OFF);
    reload();
    ck_assert_uint_eq(list(), 0);
    limit_block_id score = banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 2 * HOUR);
    rules_set_term(builder, score, TERM_MODE, MODE_SCORE);
    reload();
    ck_assert_uint_eq(list(), 1);
    ck_assert_int_eq(views[0].action, ACTION_SCORE);
    ck_assert_int_le(views[0].since_ns, TICK); /* by how long it was when it began */
    rules_set_client_prefix(builder, 24, 64);
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    reload();
    ck_assert_uint_eq(list(), 0); /* nobody is counted by that key any more */
    ck_assert_uint_eq(lift_block("192.0.2.0/24"), 0);
    ck_assert(!is_refused("192.0.2.1"));
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    reload();
    ck_assert_uint_eq(list(), 1);
    ck_assert(is_refused("192.0.2.1"));
}
END_TEST

/* A listener of two ports, the second of which leads to a pathway, with blocks of clients. */
static struct layers {
    scope_id listener, submission, pathway, wide, narrow;
} add_layers(void)
{
    static const char *const titles[] = {"10.0.0.0/8", "10.1.0.0/16"};
    static const uint16_t ports[] = {25, 587};
    const struct addr any = {.family = ADDR_NONE};
    struct layers layers = {.pathway = rules_add_scope(builder, SCOPE_PATHWAY, RULES_SERVICE, "submission"),
                            .listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL)};
    scope_id *const peers[] = {&layers.wide, &layers.narrow};

    for (size_t i = 0; i < 2; i++) {
        layers.submission = rules_add_scope(builder, SCOPE_LISTEN, layers.listener, i == 0 ? ":25" : ":587");
        rules_set_listen(builder, layers.submission, &any, ports[i]);
    }
    rules_set(builder, layers.submission, SETTING_PATHWAY, layers.pathway);
    for (size_t i = 0; i < 2; i++) {
        const struct prefix prefix = prefix_of(titles[i]);
        *peers[i] = rules_add_scope(builder, SCOPE_PEER, layers.listener, titles[i]);
        rules_add_prefix(builder, *peers[i], &prefix);
    }
    return layers;
}

/* A block that only says how many, once in every hour, and for how long to ban. */
static limit_block_id connections_in(scope_id scope, int64_t max, int64_t length)
{
    limit_block_id of = limit_in(scope, LIMIT_NUMBER_CLIENT_CONNECTIONS, max);
    rules_set_term(builder, of, TERM_WINDOW, HOUR);
    if (length > 0)
        rules_set_term(builder, of, TERM_BAN, length);
    return of;
}

static void mode_in(scope_id scope, enum limit_mode mode)
{
    rules_set_term(builder, rules_add_limit_block(builder, scope, LIMIT_NUMBER_CLIENT_CONNECTIONS), TERM_MODE, mode);
}

/* Whether the client is refused on that port; a session that comes about is over at once. */
static bool is_refused_at(const char *client, uint16_t port)
{
    struct connect_event event = {.local_port = port};
    session_id id;
    ck_assert(addr_parse(client, &event.client));
    engine_connect(engine, &event, now, &id, &verdict);
    engine_close(engine, id, now);
    return verdict.kind == VERDICT_REFUSE;
}

/* Whoever is banned in this very scope is listed with what the ban does, and in again at once when it is lifted. */
static void listed_and_lifted(uint16_t port, const char *scope)
{
    ck_assert(!is_refused_at("10.1.2.3", port) && !is_refused_at("10.1.2.3", port));
    ck_assert(is_refused_at("10.1.2.3", port) && is_refused_at("10.1.2.3", port));
    ck_assert(finding_of("client_connections")->banned && !finding_of("client_connections")->ban_began);
    ck_assert_str_eq(finding_of("client_connections")->scope, scope);
    ck_assert_uint_eq(engine_totals(engine).bans, 1);
    ck_assert_uint_eq(list(), 1);
    ck_assert_str_eq(view_of(1, "client_connections", "10.1.2.3")->scope, scope);
    ck_assert_int_eq(views[0].action, ACTION_REFUSE);
    ck_assert_uint_eq(lift_block("10.1.2.3"), 1);
    ck_assert_uint_eq(list(), 0);
    ck_assert(!is_refused_at("10.1.2.3", port) && !is_refused_at("10.1.2.3", port));
    ck_assert(is_refused_at("10.1.2.3", port));
    ck_assert_uint_eq(lift_block("10.0.0.0/8"), 1); /* found on a walk, too */
    ck_assert(!is_refused_at("10.1.2.3", port));
}

/* What holds is said by a wider block of clients, which is not around the narrower one. */
START_TEST(a_mode_of_a_wider_block_of_clients)
{
    const struct layers layers = add_layers();
    connections_in(RULES_SERVICE, 100, 0);
    mode_in(RULES_SERVICE, MODE_OFF);
    mode_in(layers.wide, MODE_BLOCK);
    connections_in(layers.narrow, 2, 2 * HOUR);
    start();
    listed_and_lifted(25, "listener[:25]/peer[10.1.0.0/16]");
}
END_TEST

/* Likewise by a pathway, which comes before the service. */
START_TEST(a_mode_of_a_pathway)
{
    static const enum limit_mode modes[] = {MODE_MONITOR, MODE_SCORE, MODE_OFF};
    for (size_t i = 0; i < 3; i++) {
        const struct layers layers = add_layers();
        connections_in(RULES_SERVICE, 100, 0);
        mode_in(RULES_SERVICE, modes[i]);
        mode_in(layers.pathway, MODE_BLOCK);
        connections_in(layers.submission, 2, 2 * HOUR);
        start();
        listed_and_lifted(587, "listener[:25]/listen[:587]");
    }
}
END_TEST

/* Where no ban has begun, what is counted is forgotten all the same. */
START_TEST(a_full_window_under_the_mode_of_a_pathway)
{
    const struct layers layers = add_layers();
    connections_in(RULES_SERVICE, 100, 0);
    mode_in(RULES_SERVICE, MODE_OFF);
    mode_in(layers.pathway, MODE_BLOCK);
    connections_in(layers.submission, 2, 0);
    start();
    is_refused_at("10.1.2.3", 587);
    is_refused_at("10.1.2.3", 587);
    ck_assert(is_refused_at("10.1.2.3", 587));
    lift_block("10.1.2.3");
    ck_assert(!is_refused_at("10.1.2.3", 587) && !is_refused_at("10.1.2.3", 587));
    ck_assert(is_refused_at("10.1.2.3", 587));
    lift_block("10.1.2.0/24");
    ck_assert(!is_refused_at("10.1.2.3", 587));
}
END_TEST

/* A mode that a block says itself holds, also when other rules have put it there since. */
START_TEST(the_mode_of_the_block_itself)
{
    static const enum limit_mode modes[] = {MODE_MONITOR, MODE_SCORE, MODE_BLOCK};
    static const enum action actions[] = {ACTION_MONITOR, ACTION_SCORE, ACTION_REFUSE};
    connections_in(RULES_SERVICE, 1, 2 * HOUR);
    mode_in(RULES_SERVICE, MODE_SCORE);
    start();
    is_refused("10.1.2.3");
    ck_assert(!is_refused("10.1.2.3"));
    for (size_t i = 0; i < 3; i++) {
        connections_in(RULES_SERVICE, 1, 2 * HOUR);
        mode_in(RULES_SERVICE, modes[i]);
        reload();
        ck_assert_uint_eq(list(), 1);
        ck_assert_int_eq(views[0].action, actions[i]);
        ck_assert_int_eq(is_refused("10.1.2.3"), actions[i] == ACTION_REFUSE);
        ck_assert_int_eq(finding_of("client_connections")->action, actions[i]);
    }
    connections_in(RULES_SERVICE, 1, 2 * HOUR);
    rules_set_monitor(builder, true);
    reload();
    ck_assert_uint_eq(list(), 1);
    ck_assert_int_eq(views[0].action, ACTION_MONITOR);
}
END_TEST

START_TEST(a_walk_in_small_steps)
{
    enum { CLIENTS = 3000 };
    struct ban_view few[8];
    static bool seen[CLIENTS];
    size_t count = 0;
    uint64_t next = 0;

    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    start_with(64, CLIENTS);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        const struct connect_event event = {
            .client = addr_from_ipv4((const uint8_t[4]){11, 0, (uint8_t)(i >> 8), (uint8_t)i})};
        session_id id;
        engine_connect(engine, &event, now, &id, &verdict);
        engine_close(engine, id, now);
        if (i % 2 == 0) {
            engine_connect(engine, &event, now, &id, &verdict);
            engine_close(engine, id, now);
        }
    }
    memset(seen, 0, sizeof seen);
    unsigned calls = 0;
    do {
        size_t found = engine_bans(engine, now, &next, few, 8);
        ck_assert_uint_le(found, 8);
        for (size_t i = 0; i < found; i++) {
            uint32_t number = (uint32_t)(few[i].client.addr.hi >> 32) & 0xffff;
            ck_assert(number < CLIENTS && number % 2 == 0 && !seen[number]);
            seen[number] = true;
        }
        count += found;
        calls++;
    } while (next != 0);
    ck_assert_uint_eq(count, CLIENTS / 2);
    ck_assert_uint_ge(calls, CLIENTS / 2 / 8);
    /* One client is looked up: the first call does it all. */
    const struct ban_target one = block("11.0.0.2"), some = block("11.0.0.4/31");
    const struct unban unban = {.target = &one}, of_some = {.target = &some};
    struct unbanned done = {0};
    engine_unban(engine, &unban, now, &next, &done);
    ck_assert_uint_eq(done.lifted, 1);
    ck_assert_uint_eq(next, 0);
    engine_unban(engine, &of_some, now, &next, &done);
    ck_assert_uint_ne(next, 0);
    lift(&some, NULL, 0);
    ck_assert_uint_eq(engine_totals(engine).bans, CLIENTS / 2 - 2);
    ck_assert_uint_eq(lift(NULL, "client_connections", 0), CLIENTS / 2 - 2);
    ck_assert_uint_eq(engine_totals(engine).bans, 0);
}
END_TEST

/* So many are told apart that all come with their names, and beyond that some. */
START_TEST(names_of_many_keys)
{
    enum { SENDERS = 6000 };
    struct ban_view few[8];
    uint64_t next = 0;
    uint32_t known = 0, lost = 0;
    char lost_key[KEY_TEXT_SIZE] = "", text[KEY_TEXT_SIZE];

    limit_block_id block = custom_in(RULES_SERVICE, "sender_messages", COUNT_MESSAGES, PER_SENDER, 1, HOUR);
    rules_set_term(builder, block, TERM_BAN, HOUR);
    start_with(64, 2 * SENDERS);
    session_id id = connect_from("192.0.2.1");
    for (uint32_t i = 0; i < SENDERS; i++) {
        snprintf(text, sizeof text, "sender%u@example.com", (unsigned)i);
        mail(id, text);
        mail(id, text);
        ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    }
    do {
        size_t found = engine_bans(engine, now, &next, few, 8);
        for (size_t i = 0; i < found; i++) {
            known += strncmp(few[i].key, "sender", 6) == 0;
            if (few[i].key[0] == '#') {
                ck_assert_uint_eq(strlen(few[i].key), 33);
                strcpy(lost_key, few[i].key);
                lost++;
            }
        }
    } while (next != 0);
    ck_assert_uint_eq(known + lost, SENDERS);
    ck_assert_uint_le(known, 4096);
    ck_assert_uint_gt(known, 3800);
    const struct ban_target lost_target = name(lost_key);
    const struct unban unban = {.target = &lost_target};
    struct unbanned done = {0};
    engine_unban(engine, &unban, now, &next, &done); /* at once, as it is looked up */
    ck_assert_uint_eq(done.lifted, 1);
    ck_assert_uint_eq(next, 0);
    ck_assert_uint_eq(lift_name(lost_key), 0);
}
END_TEST

START_TEST(lengths_of_bans_beyond_those_told_apart)
{
    for (unsigned i = 0; i < 300; i++) {
        limit_block_id of = banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR + i * SECOND);
        rules_set_term(builder, of, TERM_WINDOW, SECOND);
        if (i == 0)
            start();
        else
            reload();
        while (!is_refused("192.0.2.1"))
            continue;
        ck_assert_uint_eq(list(), 1);
        ck_assert_int_le(views[0].since_ns, i < 255 ? TICK : 46 * SECOND);
        ck_assert_uint_eq(lift_block("192.0.2.1"), 1);
    }
}
END_TEST

/* ---- lifting ---- */

START_TEST(a_client_is_in_again_at_once)
{
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 2, HOUR);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 1);
    start();
    session_id id = connect_from("192.0.2.1");
    mail(id, "x@y.example");
    connect_from("192.0.2.1");
    ck_assert(is_refused("192.0.2.1"));
    ck_assert_uint_eq(lift_block("192.0.2.2"), 0);
    ck_assert(is_refused("192.0.2.1"));
    ck_assert_uint_eq(lift_block("192.0.2.1"), 1);
    ck_assert_uint_eq(engine_totals(engine).bans, 0);
    ck_assert_uint_eq(list(), 0);
    mail(id, "x@y.example"); /* what the other limits have counted is forgotten too, */
    assert_passed();
    ck_assert(!is_refused("192.0.2.1")); /* and it has its full share again */
    ck_assert(!is_refused("192.0.2.1"));
    ck_assert(is_refused("192.0.2.1"));
    ck_assert(verdict.findings[0].ban_began);
}
END_TEST

START_TEST(one_limit_alone)
{
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 1);
    start();
    session_id id = connect_from("192.0.2.1");
    mail(id, "x@y.example");
    struct ban_target target = block("192.0.2.1");
    ban(target, HOUR);
    ck_assert_uint_eq(lift(&target, "client_messages", 0), 0);
    mail(id, "x@y.example");
    assert_passed();
    ck_assert_uint_eq(lift(&target, "ban", 0), 1);
    ck_assert(is_refused("192.0.2.1")); /* what the limit has counted stays */
    ban(target, HOUR);
    ck_assert_uint_eq(lift(&target, "client_connections", 0), 1);
    ck_assert_uint_eq(list(), 1);
    ck_assert_uint_eq(lift(NULL, "ban", 0), 1);
    ck_assert_uint_eq(lift(NULL, "no such limit", 0), 0);
    ck_assert(!is_refused("192.0.2.1"));
}
END_TEST

START_TEST(what_is_open_stays_counted)
{
    banning(LIMIT_NUMBER_CLIENT_SESSIONS, 1, HOUR);
    start();
    session_id id = connect_from("192.0.2.1");
    ck_assert(is_refused("192.0.2.1"));
    ck_assert_uint_eq(list(), 1);
    ck_assert_uint_eq(lift_block("192.0.2.1"), 1);
    ck_assert(is_refused("192.0.2.1"));
    assert_refused("client_sessions", 1, 1);
    ck_assert(verdict.findings[0].ban_began);
    leave(id);
    ck_assert(is_refused("192.0.2.1"));
    ck_assert_uint_eq(lift_block("192.0.2.1"), 1);
    ck_assert(!is_refused("192.0.2.1"));
}
END_TEST

START_TEST(blocks_in_and_around)
{
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    rules_set_client_prefix(builder, 24, 64);
    start();
    static const char *const clients[] = {"192.0.2.1", "192.0.3.1", "192.0.4.1"};
    for (size_t i = 0; i < 3; i++) {
        connect_from(clients[i]);
        ck_assert(is_refused(clients[i]));
    }
    ban(block("192.0.2.0/23"), HOUR);
    ban(block("192.0.2.0/25"), HOUR);
    ban(block("192.0.0.0/16"), HOUR);
    ck_assert_uint_eq(lift_block("192.0.2.9"), 1);    /* the limit's, around it, but no wider one of an administrator */
    ck_assert_uint_eq(lift_block("192.0.2.0/23"), 3); /* two of an administrator, and of 192.0.3.0/24 */
    ck_assert_uint_eq(list(), 2);
    view_of(2, "ban", "192.0.0.0/16");
    view_of(2, "client_connections", "192.0.4.0/24");
    ck_assert_uint_eq(lift_block("::/0"), 0);
    ck_assert_uint_eq(lift_block("0.0.0.0/0"), 2);
}
END_TEST

START_TEST(since)
{
    banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, 10 * HOUR);
    start();
    connect_from("192.0.2.1");
    ck_assert(is_refused("192.0.2.1"));
    ban(block("10.0.0.0/8"), 10 * HOUR);
    now += HOUR;
    connect_from("192.0.2.2");
    ck_assert(is_refused("192.0.2.2"));
    ban(block("10.0.0.0/9"), 10 * HOUR);
    now += HOUR;
    ck_assert_uint_eq(lift(NULL, NULL, HOUR - SECOND), 0);
    ck_assert_uint_eq(lift(NULL, "client_connections", HOUR + SECOND), 1);
    struct ban_target all = block("0.0.0.0/0");
    ck_assert_uint_eq(lift(&all, NULL, HOUR + SECOND), 1);
    ck_assert_uint_eq(list(), 2);
    view_of(2, "ban", "10.0.0.0/8");
    view_of(2, "client_connections", "192.0.2.1");
    ck_assert_uint_eq(lift(NULL, NULL, 3 * HOUR), 2);
}
END_TEST

START_TEST(names_are_lifted_exactly_but_an_administrators_with_subdomains)
{
    limit_block_id of = custom_in(RULES_SERVICE, "domain_messages", COUNT_MESSAGES, PER_SENDER_DOMAIN, 1, HOUR);
    rules_set_term(builder, of, TERM_BAN, HOUR);
    start();
    session_id id = connect_from("192.0.2.1");
    for (int i = 0; i < 2; i++) {
        mail(id, "x@spam.example");
        mail(id, "x@a.spam.example");
    }
    ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
    ban(name("spam.example"), HOUR);
    ban(name("b.spam.example"), HOUR);
    ban(name("notspam.example"), HOUR);
    ck_assert_uint_eq(list(), 5);
    ck_assert_uint_eq(lift_name("example.com"), 0);
    ck_assert_uint_eq(lift_name("spam.example"), 3);
    ck_assert_uint_eq(list(), 2);
    view_of(2, "ban", "notspam.example");
    view_of(2, "domain_messages", "a.spam.example");
    mail(id, "x@spam.example");
    assert_passed();
}
END_TEST

/* Networks are counted anew: neither those that were seen before are known, nor do they stand in the way. */
START_TEST(networks_are_forgotten_with_the_ban)
{
    limit_block_id of = banning(LIMIT_NUMBER_DOMAIN_NETWORKS, 2, HOUR);
    rules_set_term(builder, of, TERM_WINDOW, 10 * HOUR);
    rules_set_reputation(builder, HOUR);
    start();
    static const char *const clients[] = {"10.1.0.1", "10.2.0.1", "10.3.0.1", "10.4.0.1"};
    for (int way = 0; way < 2; way++) {
        for (size_t i = 0; i < 2; i++) {
            session_id id = connect_from(clients[i]);
            mail(id, "x@spam.example");
            assert_passed();
            leave(id);
        }
        session_id id = connect_from(clients[2]);
        mail(id, "x@spam.example");
        assert_refused("domain_networks", 2, 2);
        leave(id);
        ck_assert_uint_eq(way ? lift(NULL, "domain_networks", 0) : lift_name("spam.example"), 1);
        for (int i = 0; i < 3; i++)
            engine_sweep(engine, now); /* also when the name has been forgotten since */
        for (size_t i = 2; i < 4; i++) {
            id = connect_from(clients[i]);
            mail(id, "x@spam.example");
            assert_passed();
            leave(id);
        }
        id = connect_from(clients[0]); /* not known any more */
        mail(id, "x@spam.example");
        assert_refused("domain_networks", 2, 2);
        leave(id);
        id = connect_from(clients[3]);
        ck_assert_uint_eq(lift_name("spam.example"), 1);
        leave(id);
    }
}
END_TEST

START_TEST(what_only_monitors_is_lifted_too)
{
    limit_block_id of = banning(LIMIT_NUMBER_CLIENT_CONNECTIONS, 1, HOUR);
    rules_set_term(builder, of, TERM_MODE, MODE_MONITOR);
    start();
    connect_from("192.0.2.1");
    connect_from("192.0.2.1");
    assert_monitored("client_connections", 1, 1);
    ck_assert_uint_eq(engine_totals(engine).bans, 1);
    ck_assert_uint_eq(lift_block("192.0.2.1"), 1);
    connect_from("192.0.2.1");
    assert_passed();
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("operator_bans");
    TCase *operators = test_case(suite, "operators");
    tcase_add_checked_fixture(operators, case_setup, case_teardown);
    tcase_add_test(operators, a_block_is_refused_until_the_end);
    tcase_add_test(operators, a_domain_is_refused_at_mail_with_its_subdomains);
    tcase_add_test(operators, the_longest_wins_against_the_exempt_list_and_the_ban_on_a_tie);
    tcase_add_test(operators, beside_the_deny_list);
    tcase_add_test(operators, only_monitored_where_everything_is);
    tcase_add_test(operators, a_ban_of_a_dry_run_never_becomes_real);
    tcase_add_test(operators, those_of_a_dry_run_are_counted_apart);
    tcase_add_test(operators, open_sessions_go_on_and_the_client_is_not_blamed);
    tcase_add_test(operators, it_outlives_a_reload_also_one_under_way);
    tcase_add_test(operators, again_is_a_change_and_another_length);
    tcase_add_test(operators, so_many_and_no_more);
    tcase_add_loop_test(operators, random_blocks, 0, 4);
    TCase *limits = test_case(suite, "limits");
    tcase_add_checked_fixture(limits, case_setup, case_teardown);
    tcase_add_test(limits, what_is_listed);
    tcase_add_test(limits, bans_of_limits_that_are_gone);
    tcase_add_test(limits, a_mode_of_a_wider_block_of_clients);
    tcase_add_test(limits, a_mode_of_a_pathway);
    tcase_add_test(limits, a_full_window_under_the_mode_of_a_pathway);
    tcase_add_test(limits, the_mode_of_the_block_itself);
    tcase_add_test(limits, a_walk_in_small_steps);
    tcase_add_test(limits, names_of_many_keys);
    tcase_add_test(limits, lengths_of_bans_beyond_those_told_apart);
    TCase *lifted = test_case(suite, "lifted");
    tcase_add_checked_fixture(lifted, case_setup, case_teardown);
    tcase_add_test(lifted, a_client_is_in_again_at_once);
    tcase_add_test(lifted, one_limit_alone);
    tcase_add_test(lifted, what_is_open_stays_counted);
    tcase_add_test(lifted, blocks_in_and_around);
    tcase_add_test(lifted, since);
    tcase_add_test(lifted, names_are_lifted_exactly_but_an_administrators_with_subdomains);
    tcase_add_test(lifted, networks_are_forgotten_with_the_ban);
    tcase_add_test(lifted, what_only_monitors_is_lifted_too);
    return suite;
}
