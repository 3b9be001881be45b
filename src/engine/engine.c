/*
 * engine.c: sessions and verdicts.
 */
#include "state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Of the records that one call sweeps, so many are those that people see. */
#define SWEEP_ACTIVITY 128

const char *limit_name(enum limit_id limit)
{
    static const char *const names[LIMIT_NUMBERED] = {
        [LIMIT_NONE] = "none",
        [LIMIT_SERVICE_SESSIONS] = "service_sessions",
        [LIMIT_LISTENER_SESSIONS] = "listener_sessions",
        [LIMIT_SESSION_TABLE] = "session_table_size",
        [LIMIT_TABLE] = "table_size",
        [LIMIT_DENY] = "deny",
        [LIMIT_IDLE_TIME] = "idle_time",
        [LIMIT_SCORE] = "score",
        [LIMIT_BAN] = "ban",
    };
    if (limit < LIMIT_NUMBERED)
        return names[limit];
    return limit < LIMIT_NUMBERED + LIMITS_BUILTIN ? limit_builtins[limit - LIMIT_NUMBERED].name : "none";
}

const char *action_name(enum action action)
{
    static const char *const names[ACTIONS] = {
        [ACTION_REFUSE] = "refuse",
        [ACTION_MONITOR] = "monitor",
        [ACTION_SCORE] = "score",
        [ACTION_UNTRACKED] = "untracked",
    };
    return names[action];
}

struct engine *engine_new(const struct engine_params *params, struct rules **rules)
{
    assert(params->session_records >= 1 && params->session_records <= ENGINE_SESSIONS_MAX);
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return NULL;
    memcpy(engine->seed, params->seed, sizeof engine->seed);
    engine->records = params->session_records;
    engine->free = NO_SESSION;
    engine->idle_slack_ns = params->idle_slack_ns;
    engine->sessions = calloc(engine->records, sizeof *engine->sessions);
    if (params->connections) {
        engine->connection_mask = connection_buckets(engine->records) - 1;
        engine->connections = calloc(engine->connection_mask + 1, sizeof *engine->connections);
    }
    for (unsigned i = 0; i < HOLDS; i++)
        engine->held[i].oldest = engine->held[i].newest = NO_SESSION;
    engine->crossings = crossings_new(engine->seed);
    engine->table = table_new(params->table_records, engine->seed);
    engine->activity = params->activity ? activity_new(engine->seed) : NULL;
    engine->operator_bans = operator_bans_new(engine->seed);
    engine->key_texts = key_texts_new();
    engine->networks_epoch = 1;
    if (engine->sessions && engine->crossings && engine->table && engine->operator_bans && engine->key_texts &&
        (engine->connections || !params->connections) && (engine->activity || !params->activity))
        engine->current = tally_new(rules, engine->records, engine->seed);
    if (!engine->current)
        engine_free(&engine);
    return engine;
}

void engine_free(struct engine **engine)
{
    if (!*engine)
        return;
    tally_free(&(*engine)->current);
    tally_free(&(*engine)->next);
    crossings_free(&(*engine)->crossings);
    table_free(&(*engine)->table);
    activity_free(&(*engine)->activity);
    operator_bans_free(&(*engine)->operator_bans);
    key_texts_free(&(*engine)->key_texts);
    free((*engine)->sessions);
    free((*engine)->connections);
    free(*engine);
    *engine = NULL;
}

struct engine_memory engine_memory(uint32_t session_records, uint32_t table_records, bool connections, bool activity,
                                   const struct rules *rules)
{
    return (struct engine_memory){
        .sessions = sizeof(struct engine) + session_records * sizeof(struct session) + crossings_bytes() +
                    operator_bans_bytes() + key_texts_bytes() +
                    (connections ? connection_buckets(session_records) * sizeof(uint32_t) : 0),
        .table = table_bytes(table_records) + (activity ? activity_bytes() : 0),
        .per_rules = tally_bytes(session_records, rules),
    };
}

int64_t engine_advance(struct engine *engine, int64_t now)
{
    if (now > engine->now)
        engine->now = now;
    return engine->now;
}

void judge_release_monitored(struct judging *judging)
{
    struct tally *tally = judging->engine->current;

    if (rules_monitor(judging->rules))
        tally_release_caps(tally, judging->number);
    for (limit_number limit = 0; limit < rules_limit_count(judging->rules); limit++) {
        int index = rules_session_index(judging->rules, limit);
        struct terms terms;
        if (index >= 0 && rules_terms(judging->rules, judging->levels, judging->level_count, limit, &terms) &&
            terms.mode == MODE_MONITOR)
            tally_release_slot(tally, judging->number, index);
    }
}

/* False when a cap keeps the session out. */
static bool judge_caps(struct judging *judging, const struct chain *chain)
{
    struct full full = tally_find_full(judging->engine->current, chain);
    return full.limit == LIMIT_NONE || judge_whole(judging, full.limit, full.scope, full.count, full.max);
}

/* A client that is refused as it connects: its session waits to be told, or is told at once. */
static session_id refuse_connect(struct engine *engine, const struct chain *chain, const struct session_facts *facts,
                                 struct verdict *verdict)
{
    uint32_t number;

    if (chain->refuse_at == REFUSE_AT_CONNECT || !session_available(engine) ||
        !tally_may_pend(engine->current, chain)) {
        verdict->speak_at = REFUSE_AT_CONNECT;
        return 0;
    }
    verdict->speak_at = REFUSE_AT_HELO;
    session_open(engine, facts, SESSION_PENDING, HELD_BY_DOOR, &number);
    tally_pend(engine->current, number, chain);
    session_derive_again(engine, number);
    return session_handle(engine, number);
}

/* What becomes of a connection; its handle, or 0 as engine_connect() says. */
static session_id judge_connect(struct judging *judging, const struct chain *chain, const struct session_facts *facts,
                                const struct connect_event *event, const struct coming *coming)
{
    struct engine *engine = judging->engine;
    const struct rules *rules = judging->rules;
    bool exempt = false, again = coming->slots == SLOTS_ALONE;

    judge_begin(judging);
    bool admitted = again || judge_lists(judging, &exempt);
    if (exempt) {
        judging->verdict->kind = VERDICT_EXEMPT;
        engine->exempted += !coming->late;
        return 0;
    }
    admitted = admitted && judge_limits(judging) && (coming->slots == NO_SLOTS || judge_caps(judging, chain)) &&
               (again || judge_score(judging));
    if (!admitted) {
        if (judging->client_blamed)
            client_history(engine, rules, &facts->client, judging->tick, POINTS_REFUSAL);
        if (coming->hold == HELD_BY_DOOR)
            return refuse_connect(engine, chain, facts, judging->verdict);
        judging->verdict->speak_at = REFUSE_AT_CONNECT;
        return 0;
    }
    if (!session_available(engine)) {
        judge_found(judging, LIMIT_SESSION_TABLE, ACTION_UNTRACKED, RULES_SERVICE, engine->records, engine->records, 0);
        return 0;
    }
    judging->session = session_open(engine, facts, SESSION_IN, coming->hold, &judging->number);
    judging->session->over = judging->over;
    /* Who only asks does not say when a transfer begins and ends. */
    judging->session->partly_heard = judging->session->transfer = event->partly_heard || coming->hold != HELD_BY_DOOR;
    if (event->client_domain && event->client_domain[0])
        key_of_name(engine, event->client_domain, judging->session->domain);
    tally_take(engine->current, judging->number, chain,
               coming->slots != NO_SLOTS && !(judging->over && rules_monitor(rules)));
    tally_set_scored(engine->current, judging->number, judging->scored);
    judge_commit(judging);
    session_derive_again(engine, judging->number);
    return session_handle(engine, judging->number);
}

session_id session_connect(struct engine *engine, const struct connect_event *event, const struct coming *coming,
                           int64_t now, struct verdict *verdict)
{
    const struct session_facts facts = session_facts_of(event);
    struct taking takings[LIMITS_MAX];
    const struct rules *rules = tally_rules(engine->current);
    const struct event names = {
        .kind = EVENT_CONNECT, .client_domain = event->client_domain, .client_host = event->client_host};
    struct chain chain;

    rules_resolve(rules, &facts, &chain);
    struct judging judging = {.engine = engine,
                              .rules = rules,
                              .event = &names,
                              .client = facts.client,
                              .levels = chain.levels,
                              .level_count = chain.level_count,
                              .disconnect_delay_ns = chain.disconnect_delay_ns,
                              .over = coming->over,
                              .scored = coming->scored,
                              .slots = coming->slots,
                              .now = now,
                              .tick = engine_tick(engine),
                              .verdict = verdict,
                              .takings = takings};
    session_id id = judge_connect(&judging, &chain, &facts, event, coming);
    /* Of a client that gets no session every request comes here. */
    const bool counts = coming->slots != SLOTS_ALONE && (!coming->late || id != 0 || verdict->kind == VERDICT_REFUSE);
    engine->events[EVENT_CONNECT] += counts;
    activity_connect(&judging, session_find(engine, id), counts);
    return id;
}

void engine_connect(struct engine *engine, const struct connect_event *event, int64_t now, session_id *id,
                    struct verdict *verdict)
{
    const struct watched_connection connection = connection_of(event);
    struct coming coming = {.hold = HELD_BY_DOOR};

    engine_lapse(engine, now);
    struct session *known = session_of_connection(engine, &connection);
    if (known && known->hold != HELD_BY_DOOR) {
        uint32_t number = session_number(engine, known);
        if (known->hold != HELD_NOTHING) {
            session_hold(engine, number, HELD_BY_DOOR);
            engine->claimed++;
            known->partly_heard = known->transfer = event->partly_heard;
            known->heard = engine->now;
            *id = session_handle(engine, number);
            verdict_begin(verdict);
            return;
        }
        coming.slots = SLOTS_ALONE;
        coming.over = known->over;
        coming.scored = tally_scored(engine->current, number);
        session_end(engine, known);
    }
    *id = session_connect(engine, event, &coming, now, verdict);
}

static void add(uint32_t *count, uint32_t number)
{
    *count += number < UINT32_MAX - *count ? number : UINT32_MAX - *count;
}

/* The session's own counters, of an event that was admitted. */
static void count_event(struct session *session, const struct event *event)
{
    uint32_t times = event_times(event);

    switch (event->kind) {
    case EVENT_MAIL:
        add(&session->messages, 1);
        add(&session->bounces, event->sender && event->sender[0] == '\0');
        session->message_recipients = 0;
        break;
    case EVENT_RCPT:
        add(&session->recipients, times);
        add(event->rejected ? &session->errors : &session->message_recipients, times);
        break;
    case EVENT_UNKNOWN:
        add(&session->unknown_commands, 1);
        add(&session->errors, 1);
        break;
    case EVENT_REJECTED:
        add(&session->errors, times);
        session->message_recipients -= times < session->message_recipients ? times : session->message_recipients;
        break;
    default:
        break;
    }
}

static bool is_error(const struct event *event)
{
    return event->kind == EVENT_UNKNOWN || event->kind == EVENT_REJECTED ||
           (event->kind == EVENT_RCPT && event->rejected);
}

/* The message is here, or will not come. */
static void end_message(struct judging *judging)
{
    struct session *session = judging->session;

    if (judging->event->kind == EVENT_MESSAGE) {
        session->errors = 0;
        session->delivered = true;
        client_history(judging->engine, judging->rules, &judging->client, judging->tick, POINTS_MESSAGE);
    }
    session->message_recipients = 0;
}

void engine_event(struct engine *engine, session_id id, const struct event *event, int64_t now, struct verdict *verdict)
{
    struct session *session = session_find(engine, id);
    struct taking takings[LIMITS_MAX];

    verdict_begin(verdict);
    if (!session || session->state != SESSION_IN)
        return;
    engine_advance(engine, now);
    engine->events[event->kind] += event_times(event);
    uint32_t number = session_number(engine, session);
    struct judging judging = {.engine = engine,
                              .rules = tally_rules(engine->current),
                              .event = event,
                              .session = session,
                              .number = number,
                              .client = session->facts.client,
                              .over = session->over,
                              .scored = tally_scored(engine->current, number),
                              .slots = session->hold == HELD_NOTHING ? NO_SLOTS : SLOTS_TOO,
                              .now = now,
                              .tick = engine_tick(engine),
                              .verdict = verdict,
                              .takings = takings};
    const uint64_t scored = judging.scored;
    const bool over = judging.over, ends_message = event->kind == EVENT_MESSAGE || event->kind == EVENT_ABORT;

    judging.levels = tally_levels(engine->current, number, &judging.level_count);
    judging.disconnect_delay_ns =
        rules_setting(judging.rules, judging.levels, judging.level_count, SETTING_DISCONNECT_DELAY);
    judge_begin(&judging);
    if (ends_message) {
        end_message(&judging);
    } else {
        bool spared = false;
        bool admitted = judge_idle(&judging);
        if (event->kind == EVENT_MAIL || event->kind == EVENT_RCPT)
            admitted = admitted && judge_lists(&judging, &spared);
        admitted =
            admitted && (spared || judge_limits(&judging)) && (judging.scored == scored || judge_score(&judging));
        if (admitted) {
            /* As in a session that was really refused this event. */
            if (!(rules_monitor(judging.rules) && judging.over_now))
                count_event(session, event);
            judge_commit(&judging);
        } else {
            session->refused = true;
            if (judging.client_blamed)
                client_history(engine, judging.rules, &judging.client, judging.tick, POINTS_REFUSAL);
        }
        /* Whose slot a reload gives the session: only that of a user who was judged and let in. */
        if (event->kind == EVENT_MAIL && event->user && event->user[0] && admitted && !spared &&
            !(rules_monitor(judging.rules) && (judging.over || judging.over_now)))
            key_of_name(engine, event->user, session->user);
        if (is_error(event)) {
            uint32_t errors = event_times(event) < POINTS_ERRORS_MAX ? event_times(event) : POINTS_ERRORS_MAX;
            session->erred = true;
            client_history(engine, judging.rules, &judging.client, judging.tick, (int)errors * POINTS_ERROR);
        }
        if (admitted)
            verdict->delay_ns = judge_error_delay(&judging, is_error(event));
        activity_event(&judging);
    }
    session->transfer = session->partly_heard || (event->kind == EVENT_DATA && verdict->kind == VERDICT_CONTINUE);
    session->heard = engine->now + (verdict->delay_ns < ENGINE_DELAY_MAX_NS ? verdict->delay_ns : ENGINE_DELAY_MAX_NS);
    if (verdict->kind == VERDICT_CONTINUE)
        session->idle = false;
    session->over = judging.over;
    tally_set_scored(engine->current, number, judging.scored);
    if (judging.over && !over)
        judge_release_monitored(&judging);
    if (judging.over != over || judging.scored != scored || event->kind == EVENT_MAIL)
        session_derive_again(engine, number);
}

void engine_spoken(struct engine *engine, session_id id)
{
    struct session *session = session_find(engine, id);
    if (session && session->state == SESSION_PENDING)
        session_end(engine, session);
}

bool engine_close(struct engine *engine, session_id id, int64_t now)
{
    struct session *session = session_find(engine, id);
    if (!session)
        return false;
    engine_advance(engine, now);
    if (session->delivered && !session->erred && !session->refused)
        client_history(engine, tally_rules(engine->current), &session->facts.client, engine_tick(engine),
                       POINTS_CLEAN_SESSION);
    session_end(engine, session);
    return true;
}

void engine_sweep(struct engine *engine, int64_t now)
{
    engine_advance(engine, now);
    activity_sweep(engine, SWEEP_ACTIVITY);
    table_sweep(engine->table, engine_tick(engine), ENGINE_BATCH - SWEEP_ACTIVITY, record_worth, engine);
    operator_bans_expire(engine->operator_bans, engine->now, ENGINE_BATCH);
}

size_t engine_crossings_over(struct engine *engine, int64_t now, bool all, struct crossing_report *out, size_t room)
{
    return crossings_over(engine->crossings, now, all, out, room < ENGINE_BATCH ? room : ENGINE_BATCH);
}

uint64_t engine_crossings_unfollowed(struct engine *engine)
{
    return crossings_unfollowed(engine->crossings);
}

struct tally *engine_reload_begin(const struct engine *engine, struct rules **rules)
{
    return tally_new(rules, engine->records, engine->seed);
}

/* Which number each limit has under the new rules. */
static void map_limits(struct engine *engine, const struct rules *new_rules)
{
    const struct rules *rules = tally_rules(engine->current);

    for (limit_number i = 0; i < LIMITS_MAX; i++) {
        engine->next_limit[i] = LIMITS_MAX;
        for (limit_number j = 0; i < rules_limit_count(rules) && j < rules_limit_count(new_rules); j++)
            if (strcmp(rules_limit_name(rules, i), rules_limit_name(new_rules, j)) == 0)
                engine->next_limit[i] = (uint8_t)j;
    }
}

/* What each limit has done so far goes on under its new number. */
static void move_totals(struct engine *engine)
{
    struct limit_totals moved[LIMITS_MAX] = {{.bans = 0}}, *old = &engine->totals[LIMIT_NUMBERED];

    for (limit_number i = 0; i < LIMITS_MAX; i++)
        if (engine->next_limit[i] != LIMITS_MAX)
            moved[engine->next_limit[i]] = old[i];
    memcpy(old, moved, sizeof moved);
}

bool engine_reload_step(struct engine *engine, struct tally *next)
{
    if (!engine->next) {
        engine->next = next;
        engine->next_derived = 0;
        map_limits(engine, tally_rules(next));
    }
    assert(engine->next == next);
    for (uint32_t i = 0; i < ENGINE_BATCH && engine->next_derived < engine->fresh; i++) {
        uint32_t number = engine->next_derived++;
        if (engine->sessions[number].state != SESSION_FREE)
            session_derive(engine, number);
    }
    /* A record that is used for the first time after this lies above next_derived: it is derived by another step, or,
     * once all are, when its session is opened. */
    if (engine->next_derived < engine->fresh)
        return false;
    engine->next_derived = engine->records;
    return true;
}

struct tally *engine_reload_finish(struct engine *engine)
{
    struct tally *retired = engine->current;
    assert(engine->next && engine->next_derived == engine->records);
    move_totals(engine);
    engine->current = engine->next;
    engine->next = NULL;
    if (!rules_monitor(tally_rules(engine->current)))
        operator_bans_end_monitored(engine->operator_bans);
    return retired;
}

void engine_retired_free(struct tally **retired)
{
    tally_free(retired);
}

size_t engine_counters(const struct engine *engine, size_t from, struct counter_view *out, size_t room)
{
    const struct rules *rules = tally_rules(engine->current);
    size_t count = 0;

    if (room > ENGINE_BATCH)
        room = ENGINE_BATCH;
    for (size_t i = from; i < rules_scope_count(rules) && count < room; i++) {
        struct counter_view *view = &out[count++];
        scope_id scope = (scope_id)i;
        rules_scope_name(rules, scope, view->scope);
        view->limit = rules_cap_limit(scope);
        view->count = tally_count(engine->current, scope);
        view->max = rules_cap(rules, scope);
        view->pending = tally_pending(engine->current, scope);
    }
    return count;
}

struct engine_totals engine_totals(const struct engine *engine)
{
    struct table_totals table = table_totals(engine->table);
    const uint32_t operator_bans = operator_bans_count(engine->operator_bans);
    const bool dry = rules_monitor(tally_rules(engine->current));
    struct engine_totals totals = {
        .sessions = engine->in + engine->pending - engine->held[HELD_NOTHING].count,
        .pending = engine->pending,
        .remembered = engine->held[HELD_NOTHING].count,
        .clients = tally_keys(engine->current),
        .crossings = crossings_used(engine->crossings),
        .session_records = engine->records,
        .keys = table.used,
        .table_records = table.room,
        .evicted = table.evicted,
        .untracked = table.untracked,
        .claimed = engine->claimed,
        .lapsed = engine->lapsed,
        .exempted = engine->exempted,
        .bans = table.banned,
        .operator_bans = operator_bans,
        .bans_monitored = dry ? table.banned : table.watched,
        .operator_bans_monitored = dry ? operator_bans : 0,
    };
    memcpy(totals.events, engine->events, sizeof totals.events);
    return totals;
}

size_t engine_limits(const struct engine *engine, size_t from, struct limit_view *out, size_t room)
{
    static const enum limit_id others[] = {LIMIT_SERVICE_SESSIONS,
                                           LIMIT_LISTENER_SESSIONS,
                                           LIMIT_DENY,
                                           LIMIT_IDLE_TIME,
                                           LIMIT_SCORE,
                                           LIMIT_BAN,
                                           LIMIT_SESSION_TABLE,
                                           LIMIT_TABLE};
    const size_t other_count = sizeof others / sizeof *others;
    const struct rules *rules = tally_rules(engine->current);
    size_t count = 0;

    for (size_t i = from; count < room && i < other_count + rules_limit_count(rules); i++) {
        struct limit_view *view = &out[count++];
        enum limit_id limit = i < other_count ? others[i] : LIMIT_NUMBERED + (enum limit_id)(i - other_count);
        strcpy(view->name,
               i < other_count ? limit_name(limit) : rules_limit_name(rules, (limit_number)(i - other_count)));
        memcpy(view->actions, engine->totals[limit].actions, sizeof view->actions);
        view->bans = engine->totals[limit].bans;
    }
    return count;
}
