/*
 * sim_check.c: what the engine says against what the model says.
 */
#include "sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void expect(const char *what, uint64_t engine, uint64_t model)
{
    if (engine != model)
        fail("%s: the engine says %" PRIu64 ", the model %" PRIu64, what, engine, model);
}

void expect_text(const char *what, const char *engine, const char *model)
{
    if (strcmp(engine, model) != 0)
        fail("%s: the engine says \"%s\", the model \"%s\"", what, engine, model);
}

void expect_prefix(const char *what, const struct prefix *engine, const struct prefix *model)
{
    if (engine->addr.hi != model->addr.hi || engine->addr.lo != model->addr.lo ||
        engine->addr.family != model->addr.family || engine->bits != model->bits)
        fail("%s: the engine says %016" PRIx64 ".%016" PRIx64 "/%u, the model %016" PRIx64 ".%016" PRIx64 "/%u", what,
             engine->addr.hi, engine->addr.lo, engine->bits, model->addr.hi, model->addr.lo, model->bits);
}

static void print_finding(const char *who, const struct finding *finding)
{
    fprintf(stderr, "sim:   %s: %s %s in %s for \"%s\"/%u: %u of %u, %u points%s%s, %" PRId64 " ns left\n", who,
            finding->name, action_name(finding->action), finding->scope, finding->key, finding->client.bits,
            finding->count, finding->max, finding->points, finding->banned ? ", banned" : "",
            finding->ban_began ? " now" : "", finding->ban_left_ns);
}

static bool same_findings(const struct verdict *got, const struct verdict *expected)
{
    if (got->finding_count != expected->finding_count)
        return false;
    for (unsigned i = 0; i < got->finding_count; i++) {
        const struct finding *a = &got->findings[i], *b = &expected->findings[i];
        if (a->limit != b->limit || a->action != b->action || strcmp(a->scope, b->scope) != 0 || a->count != b->count ||
            a->max != b->max || a->banned != b->banned || a->ban_began != b->ban_began)
            return false;
    }
    return true;
}

static void check_finding(const struct finding *got, const struct finding *expected)
{
    expect("limit", got->limit, expected->limit);
    expect_text("name of the limit", got->name, expected->name);
    expect("action", got->action, expected->action);
    expect_text("scope", got->scope, expected->scope);
    expect_text("key", got->key, expected->key);
    expect_prefix("client", &got->client, &expected->client);
    expect("count", got->count, expected->count);
    expect("max", got->max, expected->max);
    expect("points", got->points, expected->points);
    expect("banned", got->banned, expected->banned);
    expect("ban left", (uint64_t)got->ban_left_ns, (uint64_t)expected->ban_left_ns);
    expect("ban begun", got->ban_began, expected->ban_began);
    expect("crossing", got->crossing, expected->crossing);
}

/* Counts what a verdict has that a run must have met. */
static void note_verdict(const struct verdict *verdict)
{
    struct stats *stats = &sim.stats;

    stats->exempt += verdict->kind == VERDICT_EXEMPT;
    stats->delayed += verdict->kind == VERDICT_CONTINUE && verdict->delay_ns > 0;
    if (verdict->kind == VERDICT_REFUSE) {
        stats->not_ended += strcmp(verdict->reply.code, "452") == 0;
        stats->other_replies += strcmp(verdict->reply.code, "550") == 0;
    }
    for (unsigned i = 0; i < verdict->finding_count; i++) {
        const struct finding *finding = &verdict->findings[i];
        stats->crossings += finding->crossing;
        stats->keys += finding->key[0] != '\0';
        stats->banned += finding->banned && !finding->ban_began;
        stats->bans_began += finding->ban_began && finding->action == ACTION_REFUSE;
        stats->monitored_bans += finding->ban_began && finding->action == ACTION_MONITOR;
        if (finding->limit < LIMIT_NUMBERED) {
            stats->actions[finding->limit][finding->action]++;
            continue;
        }
        for (int kind = 0; kind < PLAIN_KINDS; kind++)
            if (strcmp(plain_kind(kind)->name, finding->name) == 0)
                stats->kinds[kind][finding->action]++;
    }
}

void check_verdict(const struct verdict *got, const struct verdict *expected, bool at_connect)
{
    if (got->kind != expected->kind || !same_findings(got, expected)) {
        for (unsigned i = 0; i < got->finding_count && i < FINDINGS_MAX; i++)
            print_finding("engine", &got->findings[i]);
        for (unsigned i = 0; i < expected->finding_count; i++)
            print_finding("model", &expected->findings[i]);
    }
    expect("findings", got->finding_count, expected->finding_count);
    for (unsigned i = 0; i < expected->finding_count; i++)
        check_finding(&got->findings[i], &expected->findings[i]);
    if (expected->finding_count == 0)
        expect("no finding", got->findings[0].limit, LIMIT_NONE);
    expect("kind of verdict", got->kind, expected->kind);
    expect("delay", (uint64_t)got->delay_ns, (uint64_t)expected->delay_ns);
    if (expected->kind == VERDICT_REFUSE) {
        expect_text("code", got->reply.code, expected->reply.code);
        expect_text("enhanced code", got->reply.enhanced, expected->reply.enhanced);
        expect_text("text", got->reply.text, expected->reply.text);
        if (at_connect)
            expect("speak_at", got->speak_at, expected->speak_at);
    }
    note_verdict(expected);
}

void check_report(const struct crossing_report *got, const struct model_crossing *expected)
{
    expect_text("limit of a crossing", got->name, expected->name);
    expect("action of a crossing", got->action, expected->action);
    expect_text("scope of a crossing", got->scope, expected->scope);
    expect_prefix("client of a crossing", &got->client, &expected->client);
    expect_text("key of a crossing", got->key, expected->key);
    expect("refusals of a crossing", got->refused, expected->refused);
    if (expected->client_count <= CROSSING_CLIENTS_EXACT)
        expect("clients of a crossing", got->clients, expected->client_count);
    else if (got->clients < CROSSING_CLIENTS_EXACT)
        fail("%u clients of a crossing, of at least %u", got->clients, expected->client_count);
    expect("length of a crossing", (uint64_t)got->lasted_ns,
           (uint64_t)(expected->last > expected->first ? expected->last - expected->first : 0));
}

void check_new_handle(session_id id, const struct model_session *record)
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

void check_header(session_id id, const struct model_session *session)
{
    char got[SCORE_TEXT_SIZE] = "", expected[SCORE_TEXT_SIZE] = "";

    if (session && !session->pending)
        model_score(&sim.model, session, expected);
    expect("header", engine_score(sim.engine, id, got), expected[0] != '\0');
    expect_text("score's header", got, expected);
    sim.stats.headers += got[0] != '\0';
}

static bool is_candidate(const struct model_session *session)
{
    const bool over = session->over && sim.model.rules.monitor;
    return !session->pending && !session->transfer && !session->idle && !over && session->chain.idle_time > 0 &&
           sim.model.now - session->answered > session->chain.idle_time;
}

void check_candidates(void)
{
    struct idle_candidate found[MODEL_SESSIONS];
    uint32_t next = 0;
    size_t count = 0, room = 1 + below(8), expected = 0;

    if (sim.now > sim.model.now)
        sim.model.now = sim.now;
    do {
        if (count + room > MODEL_SESSIONS)
            room = MODEL_SESSIONS - count;
        count += engine_idle_candidates(sim.engine, sim.now, &next, found + count, room);
    } while (next != 0 && count < MODEL_SESSIONS);
    for (int i = 0; i < sim.model.session_count; i++) {
        const struct model_session *session = &sim.model.sessions[i];
        const struct idle_candidate *candidate = NULL;
        for (size_t j = 0; j < count && !candidate; j++)
            if (found[j].id == session->id)
                candidate = &found[j];
        expect("candidate", candidate != NULL, is_candidate(session));
        expected += is_candidate(session);
        if (!candidate)
            continue;
        const struct addr client = plain_to_addr(&session->facts.client), local = plain_to_addr(&session->facts.local);
        expect("client of a candidate", addr_equal(&candidate->client, &client), true);
        expect("address of a candidate", addr_equal(&candidate->local, &local), true);
        expect("client's port", candidate->client_port, session->facts.client_port);
        expect("port", candidate->local_port, session->facts.port);
        expect("idle time", (uint64_t)candidate->idle_time_ns, (uint64_t)session->chain.idle_time);
        /* Where everything is only monitored nothing is ended. */
        expect("idle action", candidate->action,
               sim.model.rules.monitor ? IDLE_REFUSE : (uint64_t)session->chain.idle_action);
    }
    expect("candidates", count, expected);
    sim.stats.candidates += count;
}

void check_counters(void)
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

void check_limits(void)
{
    static const char *const others[] = {"service_sessions",   "listener_sessions", "deny", "idle_time", "score", "ban",
                                         "session_table_size", "table_size"};
    enum { OTHERS = sizeof others / sizeof *others };
    struct limit_view views[OTHERS + LIMITS_MAX];
    const char *names[OTHERS + LIMITS_MAX];
    size_t count = 0, room = 1 + below(OTHERS + LIMITS_MAX);

    for (; count < OTHERS; count++)
        names[count] = others[count];
    for (int kind = 0; kind < PLAIN_KINDS; kind++)
        if (kind < LIMITS_BUILTIN || sim.model.numbers[kind] != 0) {
            names[OTHERS + sim.model.numbers[kind]] = plain_kind(kind)->name;
            count++;
        }
    for (size_t from = 0, got; from < count; from += got) {
        got = engine_limits(sim.engine, from, views, room);
        expect("size of a page of limits", got, count - from < room ? count - from : room);
        for (size_t i = 0; i < got; i++) {
            const struct limit_view *expected = model_view(&sim.model, names[from + i]);
            expect_text("name of a limit", views[i].name, names[from + i]);
            for (int action = 0; action < ACTIONS; action++)
                expect(views[i].name, views[i].actions[action], expected->actions[action]);
            expect("bans", views[i].bans, expected->bans);
        }
    }
    expect("limits after the last", engine_limits(sim.engine, count, views, room), 0);
}

void check_totals(void)
{
    struct engine_totals totals = engine_totals(sim.engine);
    struct model_counts counts;
    uint64_t remembered = 0;

    model_count(&sim.model, &counts);
    for (int i = 0; i < sim.model.session_count; i++)
        remembered += model_remembered(&sim.model.sessions[i]);
    expect("sessions", totals.sessions, (uint64_t)sim.model.session_count - remembered);
    expect("remembered sessions", totals.remembered, remembered);
    expect("pending sessions", totals.pending, counts.all_pending);
    expect("keys that hold a slot", totals.clients, counts.keys);
    expect("crossings", totals.crossings, sim.model.crossing_count);
    expect("records", totals.session_records, sim.model.records);
    expect("evicted", totals.evicted, 0);
    expect("untracked", totals.untracked, 0);
    expect("claimed", totals.claimed, sim.model.claimed);
    expect("lapsed", totals.lapsed, sim.model.lapsed);
}

static void print_limits(void)
{
    for (int kind = 0; kind < PLAIN_KINDS; kind++) {
        const uint64_t *actions = sim.stats.kinds[kind];
        const char *name = plain_kind(kind)->name;
        printf("  %-34s %" PRIu64 " refused, %" PRIu64 " monitored, %" PRIu64 " scored\n", name, actions[ACTION_REFUSE],
               actions[ACTION_MONITOR], actions[ACTION_SCORE]);
        uint64_t least = actions[ACTION_REFUSE], all = 0;
        for (int action = ACTION_REFUSE; action <= ACTION_SCORE; action++) {
            least = actions[action] < least ? actions[action] : least;
            all += actions[action];
        }
        if ((sim.step >= 1000000 && kind < LIMITS_BUILTIN && least == 0) || (sim.step >= 2000000 && all == 0))
            fail("%s: not all that it can do in the whole run", name);
    }
}

void check_coverage(void)
{
    const struct stats *stats = &sim.stats;
    const struct {
        const char *what;
        uint64_t count;
    } seen[] = {
        {"sessions let in", stats->let_in},
        {"exempt", stats->exempt},
        {"refused by service_sessions", stats->actions[LIMIT_SERVICE_SESSIONS][ACTION_REFUSE]},
        {"refused by listener_sessions", stats->actions[LIMIT_LISTENER_SESSIONS][ACTION_REFUSE]},
        {"monitored by service_sessions", stats->actions[LIMIT_SERVICE_SESSIONS][ACTION_MONITOR]},
        {"monitored by listener_sessions", stats->actions[LIMIT_LISTENER_SESSIONS][ACTION_MONITOR]},
        {"let in uncounted", stats->actions[LIMIT_SESSION_TABLE][ACTION_UNTRACKED]},
        {"denied", stats->actions[LIMIT_DENY][ACTION_REFUSE]},
        {"denial monitored", stats->actions[LIMIT_DENY][ACTION_MONITOR]},
        {"denial scored", stats->actions[LIMIT_DENY][ACTION_SCORE]},
        {"refused by an administrator's ban", stats->actions[LIMIT_BAN][ACTION_REFUSE]},
        {"administrators' bans monitored", stats->actions[LIMIT_BAN][ACTION_MONITOR]},
        {"bans listed", stats->bans_listed},
        {"bans changed", stats->bans_changed},
        {"bans lifted", stats->bans_lifted},
        {"bans of limits lifted", stats->limit_bans_lifted},
        {"banned by a limit and let in", stats->let_in_again},
        {"idle", stats->actions[LIMIT_IDLE_TIME][ACTION_REFUSE]},
        {"idleness monitored", stats->actions[LIMIT_IDLE_TIME][ACTION_MONITOR]},
        {"refused by score", stats->actions[LIMIT_SCORE][ACTION_REFUSE]},
        {"bans begun", stats->bans_began},
        {"bans monitored", stats->monitored_bans},
        {"banned", stats->banned},
        {"refused by name", stats->keys},
        {"refused with 452", stats->not_ended},
        {"refused with 550", stats->other_replies},
        {"replies to errors delayed", stats->delayed},
        {"max", model_met.maxima[TERM_MAX]},
        {"max_good", model_met.maxima[TERM_MAX_GOOD]},
        {"max_bad", model_met.maxima[TERM_MAX_BAD]},
        {"max_authenticated", model_met.maxima[TERM_MAX_AUTHENTICATED]},
        {"max of a key", model_met.of_keys[TERM_MAX]},
        {"max_good of a key", model_met.of_keys[TERM_MAX_GOOD]},
        {"max_bad of a key", model_met.of_keys[TERM_MAX_BAD]},
        {"max_authenticated of a key", model_met.of_keys[TERM_MAX_AUTHENTICATED]},
        {"excepted", model_met.excepted},
        {"exempt messages", model_met.spared},
        {"limits that are off", model_met.off},
        {"networks seen again", model_met.known_networks},
        {"headers", stats->headers},
        {"idle candidates", stats->candidates},
        {"told idle", stats->told_idle},
        {"heard of by the kernel", stats->heard},
        {"refused at HELO", stats->at_helo},
        {"refused at connect", stats->at_connect},
        {"refusals spoken", stats->spoken},
        {"closed", stats->closed},
        {"closed twice or never open", stats->stale},
        {"reloads", stats->reloads},
        {"reloads in several steps", stats->reloads_in_pieces},
        {"crossings", stats->crossings},
        {"crossings over", stats->over},
        {"refusals not followed", stats->unfollowed},
        {"clock jumps", stats->jumps},
        {"sweeps", stats->sweeps},
        {"requests", stats->requests},
        {"left to the other door", model_met.left_alone},
        {"claims", model_met.claims},
        {"late claims", model_met.late_claims},
        {"late claims refused", model_met.late_refused},
        {"new connections from the same port", model_met.renewed},
        {"connects asked about again", model_met.repeated_connects},
        {"messages named after their sender", model_met.named_late},
        {"reservations lapsed", model_met.lapses},
        {"sessions forgotten", model_met.forgotten},
        {"sessions forgotten for another", model_met.made_way},
        {"requests without a record", model_met.untracked},
        {"bans that ended with a dry run", model_met.rehearsed},
        {"recipients topped up", model_met.topped_up},
        {"recipients rejected", model_met.rejected},
        {"recipients asked about twice", model_met.twice},
        {"watched sessions never seen", model_met.never_seen},
        {"scores of messages", model_met.scores},
        {"scores once a message", model_met.scored_before},
        {"watched sessions ended", stats->watched_ends},
        {"every port watched", stats->all_ports},
        {"cookies of other connections", model_met.cookies},
        {"worlds of twins", stats->twin_worlds},
        {"refused by one twin", stats->twin_refusals},
        {"worlds with a small table", stats->narrow_worlds},
        {"keys evicted", stats->evicted},
        {"keys untracked", stats->untracked},
        {"small tables with room", stats->not_full},
    };
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
        printf("  %-34s %" PRIu64 "\n", seen[i].what, seen[i].count);
        if (seen[i].count == 0 && sim.step >= 500000)
            fail("%s: not once in the whole run", seen[i].what);
    }
    print_limits();
}
