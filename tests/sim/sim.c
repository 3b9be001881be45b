/*
 * sim.c: random events against the engine and a naive model side by side; the two must say the same.
 *
 * sim [--seed N] [--steps N]. One seed gives one run, on every machine. On a difference the seed, the step and what
 * differed are printed, and the status is 1.
 */
#include "model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

#define SECOND INT64_C(1000000000)
#define WORLD_STEPS 2500
#define STALE 64 /* handles remembered after their session is over */
#define WIDE_RECORDS 3300
#define WIDE_USED 2600 /* of them used once, so that a reload takes several steps */
#define STORM_EVERY 25 /* worlds, of which one begins with a storm of clients */
#define DUMP_EVERY 8   /* steps between two comparisons of every counter */

/* How far a reload has come. */
enum reload { RELOAD_NONE, RELOAD_BEGUN, RELOAD_DERIVED };

struct stats {
    uint64_t let_in, untracked, refused[LIMIT_SESSION_TABLE + 1], at_helo, at_connect, spoken, closed, stale;
    uint64_t reloads, reload_steps, reloads_in_pieces, over, unfollowed, jumps, worlds;
};

static struct sim {
    uint64_t seed, step;
    struct prng prng;
    struct engine *engine;
    struct model model;
    int64_t now;
    session_id stale[STALE];
    uint32_t stale_count;
    enum reload reload;
    unsigned pieces; /* steps of this reload so far */
    struct tally *next;
    struct plain_rules next_rules;
    uint32_t ceiling[PLAIN_SCOPES + 1]; /* no counter may be above it: its cap, or what a reload found there */
    struct stats stats;
} sim;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "sim: seed %" PRIu64 ", step %" PRIu64 " (world %" PRIu64 "): ", sim.seed, sim.step,
            sim.stats.worlds);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nsim: to see it again: sim --seed %" PRIu64 " --steps %" PRIu64 "\n", sim.seed, sim.step + 1);
    va_end(arguments);
    exit(1);
}

static void expect(const char *what, uint64_t engine, uint64_t model)
{
    if (engine != model)
        fail("%s: the engine says %" PRIu64 ", the model %" PRIu64, what, engine, model);
}

static void expect_text(const char *what, const char *engine, const char *model)
{
    if (strcmp(engine, model) != 0)
        fail("%s: the engine says \"%s\", the model \"%s\"", what, engine, model);
}

static void expect_prefix(const char *what, const struct prefix *engine, const struct prefix *model)
{
    if (engine->addr.hi != model->addr.hi || engine->addr.lo != model->addr.lo ||
        engine->addr.family != model->addr.family || engine->bits != model->bits)
        fail("%s: the engine says %016" PRIx64 ".%016" PRIx64 "/%u, the model %016" PRIx64 ".%016" PRIx64 "/%u", what,
             engine->addr.hi, engine->addr.lo, engine->bits, model->addr.hi, model->addr.lo, model->bits);
}

static uint32_t below(uint32_t bound)
{
    return prng_below(&sim.prng, bound);
}

static void remember_stale(session_id id)
{
    sim.stale[sim.stale_count++ % STALE] = id;
}

static session_id random_stale(void)
{
    uint32_t known = sim.stale_count < STALE ? sim.stale_count : STALE;
    return known > 0 ? sim.stale[below(known)] : 0;
}

static void check_new_handle(session_id id, const struct model_session *record)
{
    expect("a record is kept", id != 0, record != NULL);
    if (id == 0)
        return;
    if (model_find(&sim.model, id))
        fail("handle %" PRIu64 " is another session's", id);
    for (uint32_t i = 0; i < STALE && i < sim.stale_count; i++)
        if (sim.stale[i] == id)
            fail("handle %" PRIu64 " has come back", id);
}

static void connect_with(const struct plain_facts *facts)
{
    struct connect_event event = {.client = plain_to_addr(&facts->client),
                                  .local = plain_to_addr(&facts->local),
                                  .local_port = facts->port,
                                  .daemon_name = facts->daemon_name};
    struct verdict got, expected;
    session_id id = 12345;

    if (!facts->daemon_name[0] && below(2))
        event.daemon_name = NULL;
    memset(&got, 0xee, sizeof got);
    engine_connect(sim.engine, &event, sim.now, &id, &got);
    struct model_session *record = model_connect(&sim.model, facts, sim.now, &expected);
    expect("kind of verdict", got.kind, expected.kind);
    expect("limit", got.limit, expected.limit);
    check_new_handle(id, record);
    if (record)
        record->id = id;
    sim.stats.refused[got.limit]++;
    expect("delay", (uint64_t)got.delay_ns, (uint64_t)expected.delay_ns);
    expect("crossing", got.crossing, expected.crossing);
    if (got.limit == LIMIT_NONE)
        return;
    expect_text("scope", got.scope, expected.scope);
    expect_prefix("client", &got.client, &expected.client);
    expect("count", got.count, expected.count);
    expect("max", got.max, expected.max);
    if (got.kind == VERDICT_REFUSE) {
        expect("speak_at", got.speak_at, expected.speak_at);
        ++*(got.speak_at == REFUSE_AT_HELO ? &sim.stats.at_helo : &sim.stats.at_connect);
    }
}

static void close_handle(session_id id)
{
    struct model_session *session = id ? model_find(&sim.model, id) : NULL;
    expect("closed", engine_close(sim.engine, id), session != NULL);
    if (session) {
        model_remove(&sim.model, session);
        remember_stale(id);
        sim.stats.closed++;
    } else {
        sim.stats.stale++;
    }
}

static void speak_handle(session_id id)
{
    struct model_session *session = id ? model_find(&sim.model, id) : NULL;
    engine_spoken(sim.engine, id);
    if (session && session->pending) {
        model_remove(&sim.model, session);
        remember_stale(id);
        sim.stats.spoken++;
    }
}

static session_id random_handle(void)
{
    uint32_t what = below(20);
    if (what < 17 && sim.model.session_count > 0)
        return sim.model.sessions[below((uint32_t)sim.model.session_count)].id;
    return what < 19 ? random_stale() : below(2) ? prng_next(&sim.prng) : below(80);
}

static bool has_room(void)
{
    return sim.model.session_count < MODEL_SESSIONS;
}

static void event_connect(void)
{
    struct plain_facts facts;
    plain_random_facts(&sim.prng, &facts);
    if (sim.model.session_count > 0 && below(4) == 0) /* one more of the same */
        facts = sim.model.sessions[below((uint32_t)sim.model.session_count)].facts;
    if (has_room())
        connect_with(&facts);
    else
        close_handle(sim.model.sessions[0].id);
}

static void event_over(void)
{
    struct crossing_report reports[8];
    size_t room = below(8);
    bool all = below(20) == 0;
    const struct model_crossing *some = model_next_over(&sim.model, sim.now, true);
    /* At the very moment that it is over, and a nanosecond before. */
    if (some && below(3) == 0)
        sim.now = some->last + ENGINE_CROSSING_QUIET_NS - below(2);
    size_t count = engine_crossings_over(sim.engine, sim.now, all, reports, room);
    for (size_t i = 0; i < count; i++) {
        struct model_crossing *over = model_next_over(&sim.model, sim.now, all);
        if (!over)
            fail("crossing of %s is over too early", reports[i].scope);
        expect("limit of a crossing", reports[i].limit, over->limit);
        expect_text("scope of a crossing", reports[i].scope, over->scope);
        expect_prefix("client of a crossing", &reports[i].client, &over->client);
        expect("refusals of a crossing", reports[i].refused, over->refused);
        if (over->client_count <= CROSSING_CLIENTS_EXACT)
            expect("clients of a crossing", reports[i].clients, over->client_count);
        else if (reports[i].clients < CROSSING_CLIENTS_EXACT)
            fail("%u clients of a crossing, of at least %u", reports[i].clients, over->client_count);
        expect("length of a crossing", (uint64_t)reports[i].lasted_ns,
               (uint64_t)(over->last > over->first ? over->last - over->first : 0));
        model_end(&sim.model, over);
        sim.stats.over++;
    }
    if (count < room && model_next_over(&sim.model, sim.now, all))
        fail("crossing of %s is over and was not told", model_next_over(&sim.model, sim.now, all)->scope);
    sim.stats.unfollowed += sim.model.unfollowed;
    expect("refusals that no crossing follows", engine_crossings_unfollowed(sim.engine), sim.model.unfollowed);
    sim.model.unfollowed = 0;
}

static void event_clock(void)
{
    static const int64_t jumps[] = {SECOND, 5 * SECOND, 3600 * SECOND};
    int64_t jump = jumps[below(3)];
    sim.now += below(2) ? jump : -jump;
    sim.stats.jumps++;
}

static void set_ceilings(void)
{
    struct model_counts counts;
    model_count(&sim.model, &counts);
    for (int i = 0; i < model_scope_count(&sim.model); i++) {
        int64_t cap = model_cap(&sim.model.rules, i);
        sim.ceiling[i] = cap == 0 ? UINT32_MAX : cap > counts.count[i] ? (uint32_t)cap : counts.count[i];
    }
}

static void check_counters(void)
{
    struct counter_view views[PLAIN_SCOPES + 2];
    struct model_counts counts;
    char name[SCOPE_NAME_SIZE];
    size_t room = 1 + below(PLAIN_SCOPES + 2), scopes = (size_t)model_scope_count(&sim.model);

    model_count(&sim.model, &counts);
    for (size_t from = 0, got; from < scopes; from += got) { /* in pages of any size */
        got = engine_counters(sim.engine, from, views, room);
        expect("size of a page of counters", got, scopes - from < room ? scopes - from : room);
        for (size_t i = 0; i < got; i++) {
            int scope = (int)(from + i);
            model_scope_name(&sim.model.rules, scope, name);
            expect_text("name of a counter", views[i].scope, name);
            if (views[i].count != counts.count[scope] || views[i].pending != counts.pending[scope])
                fail("%s: the engine counts %u and %u pending, the model %u and %u", name, views[i].count,
                     views[i].pending, counts.count[scope], counts.pending[scope]);
            expect("cap of a counter", views[i].max, (uint64_t)model_cap(&sim.model.rules, scope));
            expect("limit of a counter", views[i].limit, scope == 0 ? LIMIT_SERVICE_SESSIONS : LIMIT_LISTENER_SESSIONS);
            if (views[i].count > sim.ceiling[scope])
                fail("%s: %u are in, at most %u may be", name, views[i].count, sim.ceiling[scope]);
            if (views[i].count < sim.ceiling[scope] && views[i].max > 0) /* what came down stays down */
                sim.ceiling[scope] = views[i].count > views[i].max ? views[i].count : views[i].max;
        }
    }
    expect("counters after the last", engine_counters(sim.engine, scopes, views, room), 0);
}

static void check_totals(void)
{
    struct engine_totals totals = engine_totals(sim.engine);
    struct model_counts counts;

    model_count(&sim.model, &counts);
    expect("sessions", totals.sessions, (uint64_t)sim.model.session_count);
    expect("pending sessions", totals.pending, counts.all_pending);
    expect("clients", totals.clients, counts.clients);
    expect("crossings", totals.crossings, sim.model.crossing_count);
    expect("records", totals.session_records, sim.model.records);
}

static void reload_finish(void)
{
    struct tally *retired = engine_reload_finish(sim.engine);
    engine_retired_free(&retired);
    sim.next = NULL;
    sim.reload = RELOAD_NONE;
    model_reload(&sim.model, &sim.next_rules);
    set_ceilings();
    check_counters();
    sim.stats.reloads++;
    sim.stats.reloads_in_pieces += sim.pieces > 1;
}

static void event_reload(void)
{
    if (sim.reload == RELOAD_NONE) {
        sim.next_rules = sim.model.rules;
        if (below(2))
            plain_random(&sim.prng, &sim.next_rules);
        else
            plain_random_settings(&sim.prng, &sim.next_rules);
        struct rules *rules = plain_build(&sim.next_rules);
        if (!rules)
            fail("the builder refuses a valid rule set");
        sim.next = engine_reload_begin(sim.engine, &rules);
        if (!sim.next || rules)
            fail("no memory for a reload");
        sim.pieces = 0;
        sim.reload = RELOAD_BEGUN;
    } else if (sim.reload == RELOAD_BEGUN) {
        if (engine_reload_step(sim.engine, sim.next))
            sim.reload = RELOAD_DERIVED;
        sim.pieces++;
        sim.stats.reload_steps++;
    } else {
        reload_finish();
    }
}

/* More crossings than are followed at once: one client after the other comes once more than it may. */
static void storm_of_clients(void)
{
    for (uint32_t i = 0; i < 1100; i++) {
        struct plain_facts facts = {.client = plain_stranger(i)};
        connect_with(&facts);
        connect_with(&facts);
        while (sim.model.session_count > 0)
            close_handle(sim.model.sessions[0].id);
        check_totals();
        sim.step += 4;
    }
}

static void step(void)
{
    uint32_t what = below(1000);

    sim.now += below(20000000);
    if (what < 450)
        event_connect();
    else if (what < 780)
        close_handle(random_handle());
    else if (what < 880)
        speak_handle(random_handle());
    else if (what < 940)
        event_over();
    else if (what < 945)
        event_clock();
    else if (what < 950 || sim.reload != RELOAD_NONE)
        event_reload();
    else
        close_handle(random_handle());
    check_totals();
    if (++sim.step % DUMP_EVERY == 0)
        check_counters();
}

/* Uses many records once and lets go of them in random order, under rules without any cap. */
static void use_records(uint32_t count)
{
    session_id *ids = calloc(count, sizeof *ids);
    struct verdict verdict;

    if (!ids)
        fail("no memory");
    for (uint32_t i = 0; i < count; i++) {
        const struct plain_addr client = plain_stranger(i);
        const struct connect_event event = {.client = plain_to_addr(&client)};
        engine_connect(sim.engine, &event, sim.now, &ids[i], &verdict);
        expect("limit where there is none", verdict.limit, LIMIT_NONE);
    }
    for (uint32_t left = count; left > 0; left--) {
        uint32_t which = below(left);
        expect("closed", engine_close(sim.engine, ids[which]), true);
        ids[which] = ids[left - 1];
    }
    free(ids);
}

static void world_begin(void)
{
    bool storm = sim.stats.worlds % STORM_EVERY == 0, wide = !storm && below(4) == 0;
    uint32_t records = wide ? WIDE_RECORDS : storm ? 2 : 1 + below(MODEL_SESSIONS);
    struct engine_params params = {.session_records = records, .seed = {prng_next(&sim.prng), prng_next(&sim.prng)}};
    struct plain_rules rules;

    if (wide || storm)
        plain_empty(&rules);
    else
        plain_random(&sim.prng, &rules);
    if (storm)
        plain_limit_clients(&rules);
    struct rules *built = plain_build(&rules);
    if (!built)
        fail("the builder refuses a valid rule set");
    sim.engine = engine_new(&params, &built);
    if (!sim.engine)
        fail("no memory for an engine");
    model_init(&sim.model, &rules, records);
    set_ceilings();
    sim.now = 1000000 * SECOND;
    sim.stale_count = 0;
    if (wide)
        use_records(WIDE_USED);
    if (storm)
        storm_of_clients();
}

static void world_end(void)
{
    /* An engine may end in the middle of a reload; half of the worlds finish theirs. */
    bool finish = below(2);
    while (finish && sim.reload != RELOAD_NONE)
        event_reload();
    while (sim.model.session_count > 0)
        close_handle(sim.model.sessions[below((uint32_t)sim.model.session_count)].id);
    check_totals();
    check_counters();
    if (sim.next && sim.reload == RELOAD_BEGUN && sim.pieces == 0)
        engine_retired_free(&sim.next); /* the engine was never given it */
    sim.next = NULL;
    sim.reload = RELOAD_NONE;
    engine_free(&sim.engine);
}

static void world(uint64_t steps)
{
    sim.stats.worlds++;
    world_begin();
    for (uint64_t left = WORLD_STEPS; left > 0 && sim.step < steps; left--)
        step();
    world_end();
}

/* A run that never meets a kind of event proves nothing about it. */
static void check_coverage(void)
{
    const struct {
        const char *what;
        uint64_t count;
    } seen[] = {
        {"sessions let in", sim.stats.refused[LIMIT_NONE]},
        {"refused by service_sessions", sim.stats.refused[LIMIT_SERVICE_SESSIONS]},
        {"refused by listener_sessions", sim.stats.refused[LIMIT_LISTENER_SESSIONS]},
        {"refused by client_sessions", sim.stats.refused[LIMIT_CLIENT_SESSIONS]},
        {"let in uncounted", sim.stats.refused[LIMIT_SESSION_TABLE]},
        {"refused at HELO", sim.stats.at_helo},
        {"refused at connect", sim.stats.at_connect},
        {"refusals spoken", sim.stats.spoken},
        {"closed", sim.stats.closed},
        {"closed twice or never open", sim.stats.stale},
        {"reloads", sim.stats.reloads},
        {"reloads in several steps", sim.stats.reloads_in_pieces},
        {"crossings over", sim.stats.over},
        {"refusals not followed", sim.stats.unfollowed},
        {"clock jumps", sim.stats.jumps},
    };
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
        printf("  %-30s %" PRIu64 "\n", seen[i].what, seen[i].count);
        if (seen[i].count == 0 && sim.step >= 500000)
            fail("%s: not once in the whole run", seen[i].what);
    }
}

static uint64_t parse_number(const char *option, const char *text)
{
    char *end;
    errno = 0;
    unsigned long long value = text ? strtoull(text, &end, 10) : 0;
    if (!text || errno != 0 || *text < '0' || *text > '9' || *end != '\0') {
        fprintf(stderr, "sim: %s wants a number\n", option);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    uint64_t steps = 1000000;

    sim.seed = 1;
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            sim.seed = parse_number(argv[i], argv[i + 1]);
        else if (strcmp(argv[i], "--steps") == 0)
            steps = parse_number(argv[i], argv[i + 1]);
        else {
            fprintf(stderr, "usage: sim [--seed N] [--steps N]\n");
            return 2;
        }
    }
    sim.prng = prng_seeded(sim.seed);
    while (sim.step < steps)
        world(steps);
    printf("sim: seed %" PRIu64 ": %" PRIu64 " events in %" PRIu64 " worlds, engine and model agree\n", sim.seed,
           sim.step, sim.stats.worlds);
    check_coverage();
    return 0;
}
