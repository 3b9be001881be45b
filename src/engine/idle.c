/*
 * idle.c: sessions that have gone silent.
 */
#include "state.h"

bool judge_idle(struct judging *judging)
{
    const struct session *session = judging->session;
    int64_t idle_time = rules_setting(judging->rules, judging->levels, judging->level_count, SETTING_IDLE_TIME);
    /* What it hears with delay it has not heard yet. */
    int64_t silent = judging->engine->now > session->heard ? judging->engine->now - session->heard : 0;
    bool idle = session->idle || (!session->watched && silent > idle_time + judging->engine->idle_slack_ns);

    if (idle_time == 0 || session->transfer || !idle)
        return true;
    scope_id scope = rules_setting_scope(judging->rules, judging->levels, judging->level_count, SETTING_IDLE_TIME);
    return judge_whole(judging, LIMIT_IDLE_TIME, scope, (uint32_t)(silent / NS_PER_S),
                       (uint32_t)(idle_time / NS_PER_S));
}

/* What applies to that session, 0 where nothing does. */
static int64_t setting_of(const struct engine *engine, uint32_t number, enum setting setting)
{
    unsigned level_count;
    const uint32_t *levels = tally_levels(engine->current, number, &level_count);
    return rules_setting(tally_rules(engine->current), levels, level_count, setting);
}

/* Whether nothing has been heard of the session for longer than its idle_time. */
static bool has_gone_silent(const struct engine *engine, uint32_t number)
{
    int64_t idle_time = setting_of(engine, number, SETTING_IDLE_TIME);
    return idle_time > 0 && engine->now - engine->sessions[number].heard > idle_time;
}

size_t engine_idle_candidates(struct engine *engine, int64_t now, uint32_t *next, struct idle_candidate *out,
                              size_t room)
{
    const struct rules *rules = tally_rules(engine->current);
    size_t count = 0;

    engine_advance(engine, now);
    for (uint32_t looked = 0; looked < ENGINE_BATCH && *next < engine->fresh && count < room; looked++) {
        uint32_t number = (*next)++;
        const struct session *session = &engine->sessions[number];
        if (session->state != SESSION_IN || session->transfer || session->idle ||
            (session->over && rules_monitor(rules)) || !has_gone_silent(engine, number))
            continue;
        out[count++] = (struct idle_candidate){
            .id = session_handle(engine, number),
            .client = session->facts.client,
            .local = session->facts.local,
            .client_port = session->facts.client_port,
            .local_port = session->facts.local_port,
            .idle_time_ns = setting_of(engine, number, SETTING_IDLE_TIME),
            /* Where everything is only monitored nothing is ended. */
            .action =
                rules_monitor(rules) ? IDLE_REFUSE : (enum idle_action)setting_of(engine, number, SETTING_IDLE_ACTION),
        };
    }
    if (*next >= engine->fresh)
        *next = 0;
    return count;
}

void engine_heard(struct engine *engine, session_id id, int64_t silent_ns, int64_t now)
{
    struct session *session = session_find(engine, id);

    if (!session)
        return;
    engine_advance(engine, now);
    session->watched = true;
    if (engine->now - silent_ns > session->heard)
        session->heard = engine->now - silent_ns;
}

void engine_idle(struct engine *engine, session_id id, int64_t now, struct verdict *verdict)
{
    struct session *session = session_find(engine, id);
    const struct event event = {.kind = EVENT_UNKNOWN};

    if (verdict)
        verdict_begin(verdict);
    if (!session || session->state != SESSION_IN || session->idle || session->transfer)
        return;
    engine_advance(engine, now);
    uint32_t number = session_number(engine, session);
    if (!has_gone_silent(engine, number))
        return; /* it has spoken meanwhile */
    struct judging judging = {.engine = engine,
                              .rules = tally_rules(engine->current),
                              .event = &event,
                              .session = session,
                              .number = number,
                              .client = session->facts.client,
                              .over = session->over,
                              .now = now,
                              .tick = engine_tick(engine),
                              .verdict = verdict};
    session->idle = true;
    if (!verdict)
        return;
    judging.levels = tally_levels(engine->current, number, &judging.level_count);
    judge_begin(&judging);
    judge_idle(&judging);
    activity_event(&judging);
    if (judging.over && !session->over) {
        session->over = true;
        judge_release_monitored(&judging);
        session_derive_again(engine, number);
    }
}
