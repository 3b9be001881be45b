/*
 * upkeep.c: what the engine needs from time to time, and what is told of it then.
 */
#include "daemon/upkeep.h"

#include <inttypes.h>
#include <stdio.h>

#include "daemon/log.h"
#include "daemon/reading.h"
#include "daemon/report.h"
#include "daemon/supervisor.h"
#include "engine/request.h"

/* So many crossings are taken at a time. */
#define CHUNK 16

/* When so many reservations have lapsed and none was claimed, that is told. */
#define LAPSED_ALL 100

/* When so many rounds of the watch have failed, that is told. */
#define WATCH_FAILURES 10

#define LOSSES_INTERVAL_NS INT64_C(60000000000)

/* ---- once a second ---- */

/* Where no filter is used a reservation is in nobody's interest. */
static void lapse_reservations(struct upkeep *upkeep)
{
    struct control *control = upkeep->control;

    pthread_mutex_lock(control->lock);
    engine_lapse(control->engine, control->now());
    struct engine_totals totals = engine_totals(control->engine);
    pthread_mutex_unlock(control->lock);
    if (totals.claimed > 0 || totals.lapsed < LAPSED_ALL || upkeep->lapsed_told)
        return;
    upkeep->lapsed_told = true;
    log_event(LOG_WARNING, "policy_sessions",
              "no filter has claimed any slot that a policy request reserved: each is held for 10 s then; where the "
              "mail server uses no filter say sessions = kernel or sessions = none");
}

void upkeep_crossings(struct upkeep *upkeep, bool all)
{
    struct control *control = upkeep->control;
    struct crossing_report reports[CHUNK];
    size_t count;

    do {
        pthread_mutex_lock(control->lock);
        count = engine_crossings_over(control->engine, control->now(), all, reports, CHUNK);
        pthread_mutex_unlock(control->lock);
        for (size_t i = 0; i < count; i++)
            report_over(&reports[i]);
    } while (count == CHUNK);
}

/* Once a minute at most, as long as there is something to tell: sessions that no crossing follows have no line of their
 * own, connections that were turned away and keys that were forgotten neither. */
static void log_losses(struct upkeep *upkeep)
{
    struct control *control = upkeep->control;

    pthread_mutex_lock(control->lock);
    uint64_t unfollowed = engine_crossings_unfollowed(control->engine);
    struct engine_totals totals = engine_totals(control->engine);
    pthread_mutex_unlock(control->lock);
    if (!atomic_load(upkeep->log_refusals)) /* else each had its line */
        upkeep->unfollowed += unfollowed;
    uint64_t turned_away = control->turned_away() - upkeep->turned_away_told;
    uint64_t evicted = totals.evicted - upkeep->evicted_told, untracked = totals.untracked - upkeep->untracked_told;
    if ((upkeep->unfollowed == 0 && turned_away == 0 && evicted == 0 && untracked == 0) ||
        control->now() < upkeep->losses_next)
        return;
    upkeep->losses_next = control->now() + LOSSES_INTERVAL_NS;
    if (upkeep->unfollowed > 0)
        report_unfollowed(upkeep->unfollowed);
    if (turned_away > 0)
        report_turned_away(turned_away);
    if (evicted > 0 || untracked > 0)
        report_evictions(evicted, untracked);
    upkeep->unfollowed = 0;
    upkeep->turned_away_told += turned_away;
    upkeep->evicted_told += evicted;
    upkeep->untracked_told += untracked;
}

/* So that the whole table is looked at in a minute or so. */
static void sweep_table(struct upkeep *upkeep)
{
    struct control *control = upkeep->control;

    for (uint32_t left = control->config->table_size / 60 / ENGINE_BATCH + 1; left > 0; left--) {
        pthread_mutex_lock(control->lock);
        engine_sweep(control->engine, control->now());
        pthread_mutex_unlock(control->lock);
    }
}

void upkeep_second(struct upkeep *upkeep)
{
    lapse_reservations(upkeep);
    upkeep_crossings(upkeep, false);
    log_losses(upkeep);
    sweep_table(upkeep);
    report_lines_lost(log_lines_lost());
}

/* ---- sessions that the kernel ends ---- */

void upkeep_watch(struct upkeep *upkeep, struct session_watch *watch)
{
    struct control *control = upkeep->control;
    const struct session_watch_params params = {control->engine, control->lock};

    upkeep->watch_failures = session_watch_run(watch, &params, control->now()) ? 0 : upkeep->watch_failures + 1;
    if (upkeep->watch_failures == WATCH_FAILURES)
        log_event(
            LOG_WARNING, "policy_sessions",
            "the kernel does not tell which connections live: slots of sessions that it is asked about stay taken");
    if (session_watch_blind(watch))
        log_event(LOG_WARNING, "policy_sessions",
                  "the kernel does not know most of the connections that policy requests name, and their slots are "
                  "free at once: sessions = kernel is for a mail server on this host, without a proxy before it");
}

/* ---- what is told of the counters ---- */

void upkeep_log_counters(struct upkeep *upkeep)
{
    struct counter_view counters[COUNTERS_CHUNK];
    struct limit_view limits[LIMIT_END];
    size_t count, from = 0;

    while ((count = read_counter_chunk(upkeep->control, from, counters)) > 0) {
        for (size_t i = 0; i < count; i++)
            if (counters[i].count > 0 || counters[i].pending > 0)
                report_counter(&counters[i]);
        from += count;
    }
    count = read_limits(upkeep->control, limits);
    for (size_t i = 0; i < count; i++)
        report_limit(&limits[i]);
    struct engine_totals totals = read_totals(upkeep->control);
    report_totals(&totals);
}

void upkeep_sample(struct upkeep *upkeep, struct history *history)
{
    struct counter_view counters[COUNTERS_CHUNK];
    struct limit_view limits[LIMIT_END];
    size_t count, from = 0;

    history_begin(history, upkeep->control->wall());
    while ((count = read_counter_chunk(upkeep->control, from, counters)) > 0) {
        for (size_t i = 0; i < count; i++)
            history_counter(history, &counters[i]);
        from += count;
    }
    count = read_limits(upkeep->control, limits);
    for (size_t i = 0; i < count; i++)
        history_limit(history, &limits[i]);
    history_end(history);
}

void upkeep_status(struct upkeep *upkeep)
{
    struct limit_view limits[LIMIT_END];
    struct engine_totals totals = read_totals(upkeep->control);
    size_t count = read_limits(upkeep->control, limits);
    uint64_t refused = 0;
    char text[128];

    for (size_t i = 0; i < count; i++)
        refused += limits[i].actions[ACTION_REFUSE];
    snprintf(text, sizeof text, "%" PRIu32 " sessions, %" PRIu64 " refused since the start, %" PRIu32 " bans",
             totals.sessions - totals.pending, refused,
             totals.bans - totals.bans_monitored + totals.operator_bans - totals.operator_bans_monitored);
    supervisor_status(text);
}
