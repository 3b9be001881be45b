/*
 * sim.c: random events against the engine and a naive model side by side; the two must say the same.
 *
 * sim [--seed N] [--steps N]. One seed gives one run, on every machine. On a difference the seed, the step and what
 * differed are printed, and the status is 1.
 */
#include "sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY (86400 * SECOND)
#define WORLD_STEPS 2500
#define TABLE_RECORDS 30000 /* more than any world needs */
#define WIDE_RECORDS 3300
#define WIDE_USED 2600  /* of them used once, so that a reload takes several steps */
#define STORM_EVERY 100 /* worlds, of which one begins with a storm of clients */
#define TWIN_EVERY 10   /* worlds, of which one is of twins */
#define NARROW_EVERY 20 /* worlds, of which one has a small table */
#define DUMP_EVERY 16   /* steps between two comparisons of every counter */

struct sim sim;

void fail(const char *format, ...)
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

uint32_t below(uint32_t bound)
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

struct engine *make_engine(const struct plain_rules *rules, uint32_t sessions, uint32_t keys, int64_t idle_slack)
{
    const struct engine_params params = {.session_records = sessions,
                                         .table_records = keys,
                                         .seed = {prng_next(&sim.prng), prng_next(&sim.prng)},
                                         .idle_slack_ns = idle_slack,
                                         .connections = true,
                                         .activity = true};
    struct rules *built = plain_build(rules);

    if (!built)
        fail("the builder refuses a valid rule set");
    struct engine *engine = engine_new(&params, &built);
    if (!engine || built)
        fail("no memory for an engine");
    return engine;
}

struct verdict connect_with(const struct plain_facts *facts)
{
    struct connect_event event = {.client = plain_to_addr(&facts->client),
                                  .local = plain_to_addr(&facts->local),
                                  .local_port = facts->port,
                                  .client_port = facts->client_port,
                                  .daemon_name = facts->daemon_name,
                                  .client_domain = facts->client_domain,
                                  .partly_heard = facts->partly_heard};
    struct verdict got, expected;
    session_id id = 12345;

    if (!facts->daemon_name[0] && below(2))
        event.daemon_name = NULL;
    memset(&got, 0xee, sizeof got);
    engine_connect(sim.engine, &event, sim.now, &id, &got);
    struct model_session *record = model_connect(&sim.model, facts, sim.now, &expected);
    check_verdict(&got, &expected, true);
    if (record && record->id != 0)
        expect("handle of a session that is claimed", id, record->id);
    else
        check_new_handle(id, record);
    if (record)
        record->id = id;
    sim.stats.let_in += record && !record->pending;
    if (got.kind == VERDICT_REFUSE)
        ++*(got.speak_at == REFUSE_AT_HELO ? &sim.stats.at_helo : &sim.stats.at_connect);
    return got;
}

/* Once freed, what the session said is not to be read any more: the engine gets copies that are overwritten. */
static void tell(session_id id, const struct event *event)
{
    const char *const texts[] = {event->client_domain, event->helo, event->sender, event->user, event->recipient};
    char copies[5][64];
    struct event told = {.kind = event->kind, .rejected = event->rejected, .times = event->times};
    const char **to[] = {&told.client_domain, &told.helo, &told.sender, &told.user, &told.recipient};
    struct model_session *session = id ? model_find(&sim.model, id) : NULL;
    struct verdict got, expected;

    for (int i = 0; i < 5; i++) {
        snprintf(copies[i], sizeof copies[i], "%s", texts[i] ? texts[i] : "");
        *to[i] = texts[i] ? copies[i] : NULL;
    }
    memset(&got, 0xee, sizeof got);
    memset(&expected, 0, sizeof expected);
    engine_event(sim.engine, id, &told, sim.now, &got);
    memset(copies, 'x', sizeof copies);
    if (session)
        model_event(&sim.model, session, event, sim.now, &expected);
    check_verdict(&got, &expected, false);
}

void close_handle(session_id id)
{
    struct model_session *session = id ? model_find(&sim.model, id) : NULL;
    expect("closed", engine_close(sim.engine, id, sim.now), session != NULL);
    if (session) {
        model_close(&sim.model, session, sim.now);
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
        model_drop(&sim.model, session);
        remember_stale(id);
        sim.stats.spoken++;
    }
}

/* Some that requests brought in have a handle that nobody has been told. */
static bool all_handles_known(void)
{
    for (int i = 0; i < sim.model.session_count; i++)
        if (sim.model.sessions[i].id == 0)
            return false;
    return true;
}

static session_id random_handle(void)
{
    uint32_t what = below(20);
    if (what < 17 && sim.model.session_count > 0)
        return sim.model.sessions[below((uint32_t)sim.model.session_count)].id;
    return what < 19 ? random_stale() : below(2) && all_handles_known() ? below(80) : prng_next(&sim.prng);
}

bool has_room(void)
{
    return sim.model.session_count < MODEL_SESSIONS;
}

/* Everything that is open comes to its end. */
static void end_sessions(void)
{
    for (int i = sim.model.session_count - 1; i >= 0; i--)
        if (sim.model.sessions[i].id != 0)
            close_handle(sim.model.sessions[i].id);
    end_watched();
    sim.now = sim.model.now + ENGINE_RESERVE_NS;
    check_lapse();
    sim.now += ENGINE_REMEMBER_NS;
    check_lapse();
    expect("sessions after the last", (uint64_t)sim.model.session_count, 0);
}

static void close_some(void)
{
    int which = 0;
    while (which < sim.model.session_count && sim.model.sessions[which].id == 0)
        which++;
    if (which < sim.model.session_count)
        close_handle(sim.model.sessions[which].id);
    else
        end_sessions();
}

static void event_connect(void)
{
    struct plain_facts facts;
    plain_random_facts(&sim.prng, &facts);
    if (sim.model.session_count > 0 && below(4) == 0) /* one more of the same */
        facts = sim.model.sessions[below((uint32_t)sim.model.session_count)].facts;
    if (has_room() && below(5) == 0)
        claim_connection();
    else if (has_room())
        connect_perhaps_banned(&facts);
    else
        close_some();
}

static void event_talk(void)
{
    static const struct event silence = {.kind = EVENT_CONNECT};
    session_id id = random_handle();
    struct model_session *session = id ? model_find(&sim.model, id) : NULL;
    struct event event;

    /* Some go on where they were, so that there are long conversations. */
    if (sim.model.session_count > 0 && below(2))
        session = &sim.model.sessions[below(1 + (uint32_t)sim.model.session_count / 4)];
    if (session && session->id == 0) { /* it is only asked about */
        session = NULL;
        id = 0;
    }
    plain_random_event(&sim.prng, session ? &session->last : &silence, &event);
    for (uint32_t times = event.kind == EVENT_RCPT ? 1 + below(4) : 1; times > 0; times--) {
        tell(session ? session->id : id, &event);
        event.rejected = below(4) == 0;
    }
    if (event.kind == EVENT_MESSAGE || below(50) == 0)
        check_header(session ? session->id : id, session);
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
        check_report(&reports[i], over);
        model_end(&sim.model, over);
        sim.stats.over++;
    }
    if (count < room && model_next_over(&sim.model, sim.now, all))
        fail("crossing of %s is over and was not told", model_next_over(&sim.model, sim.now, all)->scope);
    sim.stats.unfollowed += sim.model.unfollowed;
    expect("refusals that no crossing follows", engine_crossings_unfollowed(sim.engine), sim.model.unfollowed);
    sim.model.unfollowed = 0;
}

static void sweep(uint32_t records)
{
    for (uint32_t left = 0; left <= records; left += ENGINE_BATCH)
        engine_sweep(sim.engine, sim.now);
    if (sim.now > sim.model.now)
        sim.model.now = sim.now;
    sim.stats.sweeps++;
}

static void event_clock(void)
{
    static const int64_t jumps[] = {SECOND, 5 * SECOND, 60 * SECOND, 1200 * SECOND, 3600 * SECOND, 7200 * SECOND};
    static const int64_t leaps[] = {DAY, 10 * DAY, 70 * DAY, 365 * DAY, 730 * DAY};
    bool leap = sim.model.rules.lengthy && below(3) == 0;
    int64_t jump = leap ? leaps[below(5)] : jumps[below(6)];

    sim.stats.jumps++;
    if (!leap && below(3) == 0) {
        sim.now = sim.now > jump ? sim.now - jump : 0;
        return;
    }
    /* A session stays open for weeks at most, and the table is swept once a month at least. */
    if (jump > 10 * DAY)
        end_sessions();
    if (sim.now < sim.model.now)
        sim.now = sim.model.now;
    for (; jump > 0; jump -= 30 * DAY) {
        sim.now += jump < 30 * DAY ? jump : 30 * DAY;
        if (leap)
            sweep(TABLE_RECORDS);
    }
}

static void event_idle(void)
{
    session_id id = random_handle();
    struct verdict got, expected;

    /* Whoever still waits for an answer has been silent for less than no time. */
    for (int i = 0; i < sim.model.session_count; i++)
        if (sim.model.sessions[i].answered > sim.now && below(2))
            id = sim.model.sessions[i].id;
    struct model_session *session = id ? model_find(&sim.model, id) : NULL;
    switch (below(8)) {
    case 0: {
        int64_t silent = below(2) ? below(1000000) : (int64_t)below(100) * SECOND;
        engine_heard(sim.engine, id, silent, sim.now);
        if (session)
            model_heard(&sim.model, session, silent, sim.now);
        sim.stats.heard++;
        break;
    }
    case 1: {
        const bool told = below(2);
        memset(&got, 0xee, sizeof got);
        memset(&expected, 0, sizeof expected);
        engine_idle(sim.engine, id, sim.now, told ? &got : NULL);
        if (session)
            model_idle(&sim.model, session, sim.now, told ? &expected : NULL);
        if (told)
            check_verdict(&got, &expected, false);
        sim.stats.told_idle++;
        break;
    }
    default:
        check_candidates();
        break;
    }
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

static void reload_finish(void)
{
    struct tally *retired = engine_reload_finish(sim.engine);
    engine_retired_free(&retired);
    sim.next = NULL;
    sim.reload = RELOAD_NONE;
    model_reload(&sim.model, &sim.next_rules);
    set_ceilings();
    check_counters();
    check_limits();
    sim.stats.reloads++;
    sim.stats.reloads_in_pieces += sim.pieces > 1;
}

static void event_reload(void)
{
    if (sim.reload == RELOAD_NONE) {
        sim.next_rules = sim.model.rules;
        uint32_t what = below(4);
        if (what == 0)
            plain_random(&sim.prng, &sim.next_rules);
        else if (what == 1)
            plain_random_limits(&sim.prng, &sim.next_rules);
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

    sim.now += below(8) == 0 ? below(1000000000) : below(20000000);
    if (what < 170)
        event_connect();
    else if (what < 420 && has_room())
        event_request();
    else if (what < 790)
        event_talk();
    else if (what < 800 && has_room())
        event_lapse();
    else if (what < 810 && has_room())
        event_watch();
    else if (what < 890)
        close_handle(random_handle());
    else if (what < 910)
        speak_handle(random_handle());
    else if (what < 940)
        event_over();
    else if (what < 960)
        event_idle();
    else if (what < 965)
        event_clock();
    else if (what < 967)
        sweep(below(3) * ENGINE_BATCH);
    else if (what < 972 || (what < 976 && sim.reload != RELOAD_NONE))
        event_reload();
    else if (what < 980)
        event_ban();
    else if (what < 986)
        event_unban();
    else
        event_talk();
    check_totals();
    if (++sim.step % DUMP_EVERY == 0) {
        check_counters();
        check_limits();
        check_bans();
    }
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
        expect("findings without limits", verdict.finding_count, 0);
    }
    for (uint32_t left = count; left > 0; left--) {
        uint32_t which = below(left);
        expect("closed", engine_close(sim.engine, ids[which], sim.now), true);
        ids[which] = ids[left - 1];
    }
    free(ids);
    sim.model.now = sim.now;
}

static void world_begin(void)
{
    bool storm = sim.stats.worlds % STORM_EVERY == 0, wide = !storm && below(8) == 0;
    uint32_t records = wide ? WIDE_RECORDS : storm ? 2 : below(2) ? MODEL_SESSIONS : 1 + below(MODEL_SESSIONS);
    int64_t idle_slack = below(2) ? 0 : 5 * SECOND;
    /* The last are near where ticks of 32 and half as many bits begin anew. */
    static const int64_t starts[] = {0, 1000000 * SECOND, INT64_C(0xffffff00) << 24, INT64_C(0x7fffff00) << 24};
    static struct plain_rules rules;

    plain_random_frames(&sim.prng, &rules);
    if (wide || storm)
        plain_empty(&rules);
    else
        plain_random(&sim.prng, &rules);
    if (storm)
        plain_limit_clients(&rules);
    sim.engine = make_engine(&rules, records, TABLE_RECORDS, idle_slack);
    model_init(&sim.model, &rules, records, idle_slack);
    set_ceilings();
    sim.now = starts[below(4)];
    sim.stale_count = 0;
    make_connections();
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
    end_sessions();
    check_totals();
    check_counters();
    check_limits();
    if (sim.next && sim.reload == RELOAD_BEGUN && sim.pieces == 0)
        engine_retired_free(&sim.next); /* the engine was never given it */
    sim.next = NULL;
    sim.reload = RELOAD_NONE;
    engine_free(&sim.engine);
    model_free(&sim.model);
}

static void world(uint64_t steps)
{
    sim.stats.worlds++;
    if (sim.stats.worlds % TWIN_EVERY == 5) {
        twin_world();
        return;
    }
    if (sim.stats.worlds % NARROW_EVERY == 7) {
        narrow_world();
        return;
    }
    world_begin();
    for (uint64_t left = WORLD_STEPS; left > 0 && sim.step < steps; left--)
        step();
    world_end();
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
