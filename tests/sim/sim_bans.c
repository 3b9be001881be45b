/*
 * sim_bans.c: what an administrator does: bans, looks at all bans, lifts some.
 */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#define VIEWS 4096

static struct ban_view listed[VIEWS], expected[VIEWS];

/* A block of clients or a domain that has a good chance to matter; for lifting any name that limits count. */
static struct model_operator_ban random_target(bool any_name)
{
    static const char *const names[] = {"example.org",   "example.net", "org", "mail.example.org", "example",
                                        "b@example.net", "user1",       "",    "[192.0.2.1]",      "a@example.org"};
    struct model_operator_ban target;

    memset(&target, 0, sizeof target);
    if (below(2)) {
        snprintf(target.name, sizeof target.name, "%s", names[below(any_name ? 10 : 5)]);
        return target;
    }
    target.block.addr = plain_random_client(&sim.prng);
    const unsigned width = target.block.addr.family == 4 ? 32 : 128;
    target.block.bits = below(2) ? width : below(width + 1);
    plain_cut(&target.block.addr, target.block.bits);
    return target;
}

static struct ban_target told_target(const struct model_operator_ban *target)
{
    struct ban_target told = {.clients = {plain_to_addr(&target->block.addr), (uint8_t)target->block.bits}};
    snprintf(told.name, sizeof told.name, "%s", target->name);
    return told;
}

struct ban_target random_ban_target(bool any_name)
{
    const struct model_operator_ban target = random_target(any_name);
    return told_target(&target);
}

void event_ban(void)
{
    static const int64_t lengths[] = {SECOND, 10 * SECOND, 600 * SECOND, 7200 * SECOND};
    const struct model_operator_ban target = random_target(false);
    const int64_t length = lengths[below(4)];
    struct ban_target told = told_target(&target);

    if (sim.model.operator_ban_count == MODEL_OPERATOR_BANS)
        return;
    const enum ban_result result = engine_ban(sim.engine, &told, length, sim.now);
    memset(&told, 'x', sizeof told);
    const bool changed = model_ban(&sim.model, &target, length, sim.now);
    expect("what became of a ban", result, changed ? BAN_CHANGED : BAN_BEGUN);
    sim.stats.bans_changed += changed;
}

void event_unban(void)
{
    static const int64_t sinces[] = {0, 0, 1, SECOND, 60 * SECOND, 3600 * SECOND};
    const struct model_operator_ban target = random_target(true);
    const struct ban_target told = told_target(&target);
    const bool whom = below(3) > 0;
    const int kinds = sim.model.kind_count;
    const char *limit = below(3) == 0           ? "ban"
                        : below(2) && kinds > 0 ? plain_kind(sim.model.kinds[below((uint32_t)kinds)])->name
                                                : NULL;
    const struct unban unban = {whom ? &told : NULL, limit, sinces[below(6)]};
    uint64_t next = 0;
    struct unbanned done = {0}, wanted = {0};

    do
        engine_unban(sim.engine, &unban, sim.now, &next, &done);
    while (next != 0);
    model_unban(&sim.model, whom ? &target : NULL, limit, unban.since_ns, sim.now, &wanted);
    expect("bans lifted", done.lifted, wanted.lifted);
    expect("counts forgotten", done.forgotten, wanted.forgotten);
    sim.stats.bans_lifted += done.lifted;
    sim.stats.limit_bans_lifted += limit && strcmp(limit, "ban") != 0 ? done.lifted : 0;
}

static bool same_whom(const struct ban_view *a, const struct ban_view *b)
{
    return a->limit == b->limit && strcmp(a->scope, b->scope) == 0 && prefix_compare(&a->client, &b->client) == 0 &&
           strcmp(a->key, b->key) == 0;
}

void check_bans(void)
{
    const size_t room = 8 + below(30), count = model_bans(&sim.model, sim.now, expected, VIEWS);
    size_t got = 0;
    uint64_t next = 0;

    do {
        if (got + room > VIEWS)
            fail("too many bans to list");
        size_t more = engine_bans(sim.engine, sim.now, &next, &listed[got], room);
        if (more > room)
            fail("more bans than there is room for");
        got += more;
    } while (next != 0);
    expect("bans listed", got, count);
    for (size_t i = 0; i < count; i++) {
        const struct ban_view *want = &expected[i];
        size_t at = 0;
        while (at < got && !same_whom(&listed[at], want))
            at++;
        if (at == got)
            fail("no ban of %s by %s is listed", want->key, want->name);
        expect_text("name of a ban", listed[at].name, want->name);
        expect("per of a ban", listed[at].per, want->per);
        expect("action of a ban", listed[at].action, want->action);
        expect("age of a ban", (uint64_t)listed[at].since_ns, (uint64_t)want->since_ns);
        expect("time left of a ban", (uint64_t)listed[at].left_ns, (uint64_t)want->left_ns);
    }
    sim.stats.bans_listed += count;
    const struct engine_totals totals = engine_totals(sim.engine);
    if (totals.bans < model_limit_bans(&sim.model))
        fail("%u bans in all, and %zu in force", totals.bans, model_limit_bans(&sim.model));
}
