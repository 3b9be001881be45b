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

static size_t unban_both(const struct model_operator_ban *target, const char *limit, int64_t since_ns)
{
    const struct ban_target told = target ? told_target(target) : (struct ban_target){.name = ""};
    const struct unban unban = {.target = target ? &told : NULL, .limit = limit, .since_ns = since_ns};
    uint64_t next = 0;
    struct unbanned done = {0}, wanted = {0};

    do
        engine_unban(sim.engine, &unban, sim.now, &next, &done);
    while (next != 0);
    model_unban(&sim.model, target, limit, since_ns, sim.now, &wanted);
    expect("bans lifted", done.lifted, wanted.lifted);
    expect("counts forgotten", done.forgotten, wanted.forgotten);
    return done.lifted;
}

void event_unban(void)
{
    static const int64_t sinces[] = {0, 0, 1, SECOND, 60 * SECOND, 3600 * SECOND};
    const struct model_operator_ban target = random_target(true);
    const bool whom = below(3) > 0;
    const int kinds = sim.model.kind_count;
    const char *limit = below(3) == 0           ? "ban"
                        : below(2) && kinds > 0 ? plain_kind(sim.model.kinds[below((uint32_t)kinds)])->name
                                                : NULL;
    const size_t lifted = unban_both(whom ? &target : NULL, limit, sinces[below(6)]);

    sim.stats.bans_lifted += lifted;
    sim.stats.limit_bans_lifted += limit && strcmp(limit, "ban") != 0 ? lifted : 0;
}

/* The finding of a limit that has refused; NULL when another has, or a ban of an administrator. */
static const struct finding *refused_by_limit(const struct verdict *verdict)
{
    const struct finding *last = verdict->finding_count > 0 ? &verdict->findings[verdict->finding_count - 1] : NULL;
    return verdict->kind == VERDICT_REFUSE && last && last->limit >= LIMIT_NUMBERED && last->action == ACTION_REFUSE
               ? last
               : NULL;
}

static int kind_named(const char *name)
{
    for (int i = 0; i < sim.model.kind_count; i++)
        if (strcmp(plain_kind(sim.model.kinds[i])->name, name) == 0)
            return sim.model.kinds[i];
    fail("no limit %s", name);
}

/* What the engine's list says of the ban, one more than its action; 0 when it is not there. */
static int action_listed(const struct finding *finding)
{
    const bool of_client = plain_kind(kind_named(finding->name))->per == PER_CLIENT;
    uint64_t next = 0;

    do {
        size_t count = engine_bans(sim.engine, sim.now, &next, listed, VIEWS);
        for (size_t i = 0; i < count; i++)
            if (strcmp(listed[i].name, finding->name) == 0 && strcmp(listed[i].scope, finding->scope) == 0 &&
                (of_client ? prefix_compare(&listed[i].client, &finding->client) == 0
                           : strcmp(listed[i].key, finding->key) == 0))
                return 1 + listed[i].action;
    } while (next != 0);
    return 0;
}

/* That is judged from outside, whatever the model thinks of bans. */
void connect_perhaps_banned(const struct plain_facts *facts)
{
    const struct verdict before = connect_with(facts);
    const struct finding *refusal = refused_by_limit(&before);
    struct model_operator_ban target;
    struct plain_facts again = *facts;

    if (!refusal || !refusal->banned)
        return;
    const int action = action_listed(refusal);
    /* What has begun with points refuses where another mode is around it. */
    if (action != 1 + ACTION_REFUSE && action != 1 + ACTION_SCORE)
        fail("%s in %s refuses as banned and is listed with %d", refusal->name, refusal->scope, action);
    if (below(3) > 0 || !has_room())
        return;
    memset(&target, 0, sizeof target);
    if (plain_kind(kind_named(refusal->name))->per == PER_CLIENT)
        target.block = (struct plain_block){facts->client, facts->client.family == 4 ? 32 : 128};
    else
        memcpy(target.name, refusal->key, sizeof target.name - 1); /* names of the simulation are short */
    unban_both(&target, NULL, 0);
    if (action_listed(refusal) != 0)
        fail("%s in %s is listed after it was lifted", refusal->name, refusal->scope);
    again.client_port = 0;
    const struct verdict after = connect_with(&again);
    const struct finding *other = refused_by_limit(&after);
    const bool still_open = other && plain_kind(kind_named(other->name))->count == COUNT_SESSIONS;
    if (other && !still_open && other->limit == refusal->limit && strcmp(other->scope, refusal->scope) == 0)
        fail("%s in %s still refuses after it was lifted", other->name, other->scope);
    sim.stats.let_in_again += after.kind != VERDICT_REFUSE;
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
