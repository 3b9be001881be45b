/*
 * sim_twin.c: two engines under the same rules hear the same events; one refuses, the other only monitors everything.
 * What the one refuses the other must report, and nothing else, as long as a session that was refused sends nothing
 * more to the one; what it goes on sending to the other must not matter. So both count the same at any time.
 */
#include "sim.h"

#include <string.h>

#define TWIN_STEPS 1200
#define TWIN_SESSIONS 40
#define TWIN_RECORDS 1000
#define TWIN_KEYS 20000

struct twin_session {
    session_id block, monitor; /* block: 0 from when it was refused */
    struct event last;
};

static struct twins {
    struct engine *block, *monitor;
    struct plain_rules rules;
    struct twin_session sessions[TWIN_SESSIONS];
    uint32_t count;
    int64_t now;
} twins;

/* Rules under which a monitored refusal can be told from a real one by nothing but what is said: no points, as those
 * are monitored as well; no histories, as these know refusals; no delays, as nobody waits for what is only monitored.
 */
static void make_alike(struct plain_rules *rules)
{
    rules->monitor = false;
    rules->half_life = 0;
    if (rules->deny_mode != MODE_OFF)
        rules->deny_mode = MODE_BLOCK;
    for (int i = 0; i < rules->count; i++)
        rules->scopes[i].set[SETTING_DISCONNECT_DELAY] = false;
    for (int i = 0; i < rules->limit_count; i++) {
        struct plain_limit *limit = &rules->limits[i];
        if (limit->value[TERM_MODE] != MODE_OFF)
            limit->set[TERM_MODE] = false;
        limit->set[TERM_DISCONNECT_DELAY] = false;
        limit->set[TERM_SOFT] = limit->set[TERM_ERROR_DELAY] = true;
        limit->value[TERM_SOFT] = limit->value[TERM_ERROR_DELAY] = 0;
    }
}

static void make_rules(bool anew)
{
    if (anew)
        plain_random(&sim.prng, &twins.rules);
    else
        plain_random_settings(&sim.prng, &twins.rules);
    make_alike(&twins.rules);
}

static void check_alike(const struct verdict *block, const struct verdict *monitor)
{
    if (block->kind != VERDICT_REFUSE) {
        expect("findings of a twin", monitor->finding_count, 0);
        expect("kind of a twin's verdict", monitor->kind, block->kind);
        return;
    }
    const struct finding *refused = &block->findings[block->finding_count - 1], *reported = &monitor->findings[0];
    expect("kind of what is only monitored", monitor->kind, VERDICT_CONTINUE);
    expect("findings of what refuses", block->finding_count, 1);
    expect("findings of what is only monitored", monitor->finding_count, 1);
    expect("action of what is only monitored", reported->action, ACTION_MONITOR);
    expect("limit of a twin", reported->limit, refused->limit);
    expect_text("scope of a twin", reported->scope, refused->scope);
    expect_text("key of a twin", reported->key, refused->key);
    expect_prefix("client of a twin", &reported->client, &refused->client);
    expect("count of a twin", reported->count, refused->count);
    expect("max of a twin", reported->max, refused->max);
    expect("ban of a twin", reported->banned, refused->banned);
    expect("beginning of a twin's ban", reported->ban_began, refused->ban_began);
    expect("time left of a twin's ban", (uint64_t)reported->ban_left_ns, (uint64_t)refused->ban_left_ns);
    sim.stats.twin_refusals++;
}

static void twin_connect(void)
{
    struct plain_facts facts;
    struct verdict block, monitor;
    struct twin_session *session = &twins.sessions[twins.count];

    plain_random_facts(&sim.prng, &facts);
    const struct connect_event event = {.client = plain_to_addr(&facts.client),
                                        .local = plain_to_addr(&facts.local),
                                        .local_port = facts.port,
                                        .daemon_name = facts.daemon_name,
                                        .client_domain = facts.client_domain};
    engine_connect(twins.block, &event, twins.now, &session->block, &block);
    engine_connect(twins.monitor, &event, twins.now, &session->monitor, &monitor);
    check_alike(&block, &monitor);
    session->last = (struct event){.kind = EVENT_CONNECT, .client_domain = facts.client_domain};
    if (block.kind == VERDICT_REFUSE) {
        engine_close(twins.block, session->block, twins.now);
        session->block = 0;
    }
    twins.count += session->monitor != 0;
}

static void twin_talk(struct twin_session *session)
{
    struct verdict block, monitor;
    struct event event;

    plain_random_event(&sim.prng, &session->last, &event);
    session->last = event;
    engine_event(twins.monitor, session->monitor, &event, twins.now, &monitor);
    if (session->block == 0) {
        expect("findings of a session that was refused", monitor.finding_count, 0);
        expect("verdict of a session that was refused", monitor.kind, VERDICT_CONTINUE);
        return;
    }
    engine_event(twins.block, session->block, &event, twins.now, &block);
    check_alike(&block, &monitor);
    const bool for_good = block.reply.code[0] == '5' && (event.kind != EVENT_RCPT || event.rejected);
    if (block.kind == VERDICT_REFUSE && (for_good || strcmp(block.reply.code, "421") == 0)) {
        engine_close(twins.block, session->block, twins.now);
        session->block = 0;
    }
}

static void twin_close(struct twin_session *session)
{
    if (session->block != 0)
        engine_close(twins.block, session->block, twins.now);
    engine_close(twins.monitor, session->monitor, twins.now);
    *session = twins.sessions[--twins.count];
}

static void reload(struct engine *engine, bool monitor)
{
    static struct plain_rules plain;

    plain = twins.rules;
    plain.monitor = monitor;
    struct rules *rules = plain_build(&plain);
    struct tally *next = rules ? engine_reload_begin(engine, &rules) : NULL;
    if (!next)
        fail("no memory for a reload");
    while (!engine_reload_step(engine, next))
        ;
    struct tally *retired = engine_reload_finish(engine);
    engine_retired_free(&retired);
}

static void check_counts(void)
{
    struct counter_view block[PLAIN_SCOPES + 1], monitor[PLAIN_SCOPES + 1];
    const size_t count = engine_counters(twins.block, 0, block, PLAIN_SCOPES + 1);
    const struct engine_totals a = engine_totals(twins.block), b = engine_totals(twins.monitor);

    expect("counters of a twin", engine_counters(twins.monitor, 0, monitor, PLAIN_SCOPES + 1), count);
    for (size_t i = 0; i < count; i++)
        expect(block[i].scope, monitor[i].count, block[i].count);
    expect("keys that hold a slot with a twin", b.clients, a.clients);
    expect("keys of a twin", b.keys, a.keys);
}

/* A monitored ban is lifted like a real one. */
static void twin_unban(void)
{
    const struct ban_target target = random_ban_target(true);
    const struct unban unban = {.target = below(2) ? &target : NULL};
    struct engine *const both[] = {twins.block, twins.monitor};
    struct unbanned done[2] = {{0}, {0}};

    for (int i = 0; i < 2; i++) {
        uint64_t next = 0;
        do
            engine_unban(both[i], &unban, twins.now, &next, &done[i]);
        while (next != 0);
    }
    expect("bans of a twin that are lifted", done[1].lifted, done[0].lifted);
}

void twin_world(void)
{
    plain_random_frames(&sim.prng, &twins.rules);
    make_rules(true);
    twins.count = 0;
    twins.now = 1000 * SECOND;
    twins.block = make_engine(&twins.rules, TWIN_RECORDS, TWIN_KEYS, 0);
    twins.rules.monitor = true;
    twins.monitor = make_engine(&twins.rules, TWIN_RECORDS, TWIN_KEYS, 0);
    for (uint32_t i = 0; i < TWIN_STEPS; i++) {
        uint32_t what = below(1000);
        twins.now += below(100) == 0 ? (int64_t)below(100) * SECOND : below(200000000);
        if (twins.count == TWIN_SESSIONS || (what < 100 && twins.count > 0)) {
            twin_close(&twins.sessions[below(twins.count)]);
        } else if (what < 350 || twins.count == 0) {
            twin_connect();
        } else if (what < 353) {
            make_rules(below(2));
            reload(twins.block, false);
            reload(twins.monitor, true);
        } else if (what < 355) {
            const struct ban_target target = random_ban_target(false);
            engine_ban(twins.block, &target, 10 * SECOND, twins.now);
            engine_ban(twins.monitor, &target, 10 * SECOND, twins.now);
        } else if (what < 358) {
            twin_unban();
        } else {
            twin_talk(&twins.sessions[below(twins.count)]);
        }
        check_counts();
        sim.step++;
    }
    engine_free(&twins.block);
    engine_free(&twins.monitor);
    sim.stats.twin_worlds++;
}
