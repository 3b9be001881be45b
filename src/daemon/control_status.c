/*
 * control_status.c: /status.json and /history.json.
 */
#include "daemon/control.h"

#include <math.h>

#include "build-config.h"
#include "daemon/json_parts.h"
#include "daemon/reading.h"

#define SCOPES_LISTED 200
#define BANS_LISTED 20
#define BUSY_LISTED 10

/* How long a list that cost a walk is good for; one that took long is good for so many times longer than that. */
#define LISTS_KEPT_NS INT64_C(2000000000)
#define LISTS_KEPT_TIMES 10

static const char *const no_parameters[] = {NULL};

/* ---- parts ---- */

/* Infinity and the like are no numbers in JSON. */
static json_t *number_or_null(double number)
{
    return isfinite(number) ? json_real(number) : json_null();
}

static json_t *sessions_part(const struct engine_totals *totals)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "open", (json_int_t)totals->sessions, "pending",
                     (json_int_t)totals->pending, "remembered", (json_int_t)totals->remembered, "room",
                     (json_int_t)totals->session_records);
}

static unsigned busy_first(const struct counter_view *view)
{
    return view->count > 0 || view->pending > 0 ? 0 : view->max > 0 ? 1 : 2;
}

static json_t *scopes_part(const struct counters *counters)
{
    json_t *list = json_array();
    bool ok = true;

    for (size_t i = 0; i < counters->count && ok; i++) {
        const struct counter_view *view = &counters->views[i];
        ok = add(list, json_pack("{s:o, s:s, s:I, s:o, s:I}", "scope", control_text(view->scope), "limit",
                                 limit_name(view->limit), "sessions", (json_int_t)view->count, "max",
                                 view->max > 0 ? json_integer(view->max) : json_null(), "pending",
                                 (json_int_t)view->pending));
    }
    return whole(list, ok);
}

static json_t *limits_part(struct control *control)
{
    struct limit_view views[LIMIT_END];
    const size_t count = read_limits(control, views);
    json_t *list = json_array();
    bool ok = true;

    for (size_t i = 0; i < count && ok; i++)
        ok = add(list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "limit", views[i].name, "refused",
                                 (json_int_t)views[i].actions[ACTION_REFUSE], "monitored",
                                 (json_int_t)views[i].actions[ACTION_MONITOR], "scored",
                                 (json_int_t)views[i].actions[ACTION_SCORE], "untracked",
                                 (json_int_t)views[i].actions[ACTION_UNTRACKED], "bans", (json_int_t)views[i].bans));
    return whole(list, ok);
}

static json_t *events_part(const struct engine_totals *totals)
{
    json_t *events = json_object();
    bool ok = true;

    for (int kind = 0; kind < EVENT_KINDS && ok; kind++)
        ok = put(events, event_name((enum event_kind)kind), json_integer((json_int_t)totals->events[kind]));
    return whole(events, ok);
}

static json_t *table_part(const struct engine_totals *totals)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "keys", (json_int_t)totals->keys, "room",
                     (json_int_t)totals->table_records, "evicted", (json_int_t)totals->evicted, "untracked",
                     (json_int_t)totals->untracked);
}

static json_t *waiting_part(struct control *control)
{
    const struct waiting_totals totals = waiting_totals(control->waiting);
    return json_pack("{s:I, s:I}", "now", (json_int_t)totals.taken, "max", (json_int_t)totals.places);
}

static json_t *latency_part_of(struct control *control)
{
    const struct latency_reading reading = read_latency(control->latency);
    return json_pack("{s:I, s:f, s:o, s:o}", "count", (json_int_t)reading.count, "sum", reading.sum, "p50",
                     number_or_null(latency_part(&reading, 500)), "p99", number_or_null(latency_part(&reading, 990)));
}

static json_t *bans_part(const struct engine_totals *totals, json_t *list)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:O}", "limits", (json_int_t)(totals->bans - totals->bans_monitored),
                     "operator", (json_int_t)(totals->operator_bans - totals->operator_bans_monitored),
                     "limits_monitored", (json_int_t)totals->bans_monitored, "operator_monitored",
                     (json_int_t)totals->operator_bans_monitored, "list", list);
}

/* ---- lists ---- */

void control_forget(struct control *control)
{
    json_decref(control->lists.bans);
    json_decref(control->lists.clients);
    json_decref(control->lists.domains);
    control->lists.bans = control->lists.clients = control->lists.domains = NULL;
    control->lists.until = 0;
}

static json_t *list_bans(struct control *control)
{
    json_t *list = json_array();
    struct best best;
    bool ok = best_init(&best, BANS_LISTED, sizeof(struct ban_view), most_time_left_first);

    if (ok)
        read_bans(control, NULL, &best);
    best_sort(&best);
    for (size_t i = 0; i < best.count && ok; i++)
        ok = add(list, ban_json((const struct ban_view *)best.items + i));
    best_free(&best);
    return whole(list, ok);
}

static json_t *list_activity(struct control *control, enum activity_kind kind)
{
    const enum activity_order busiest = kind == ACTIVITY_OF_CLIENTS ? BY_CONNECTIONS : BY_MESSAGES;
    struct best best[2];
    json_t *lists = json_object();
    bool ok = best_init(&best[0], BUSY_LISTED, sizeof(struct activity_view), activity_compare(busiest));

    ok = best_init(&best[1], BUSY_LISTED, sizeof(struct activity_view), activity_compare(BY_TROUBLE)) && ok;
    if (ok)
        read_activity(control, kind, best, 2);
    ok = put(lists, "busiest", activity_list(kind, &best[0])) && ok;
    /* Who was never refused is none of the most refused. */
    best_sort(&best[1]);
    const struct activity_view *views = best[1].items;
    while (best[1].count > 0 && views[best[1].count - 1].refused + (uint64_t)views[best[1].count - 1].monitored == 0)
        best[1].count--;
    ok = put(lists, "refused", activity_list(kind, &best[1])) && put_activity_totals(control, kind, lists) && ok;
    best_free(&best[0]);
    best_free(&best[1]);
    return whole(lists, ok);
}

static bool refresh_lists(struct control *control)
{
    const int64_t began = control->now();

    if (control->lists.bans && control->lists.clients && control->lists.domains && began < control->lists.until)
        return true;
    control_forget(control);
    control->lists.bans = list_bans(control);
    control->lists.clients = list_activity(control, ACTIVITY_OF_CLIENTS);
    control->lists.domains = list_activity(control, ACTIVITY_OF_DOMAINS);
    const int64_t now = control->now(), kept = LISTS_KEPT_TIMES * (now - began);
    control->lists.until = now + (kept > LISTS_KEPT_NS ? kept : LISTS_KEPT_NS);
    return control->lists.bans && control->lists.clients && control->lists.domains;
}

/* ---- pages ---- */

json_t *control_status(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    json_t *error;

    if (!control_known(parameters, no_parameters, &error, status))
        return error;
    struct counters counters;
    bool ok = refresh_lists(control);
    ok = read_counters(control, SCOPES_LISTED, busy_first, &counters) && ok;
    const struct engine_totals totals = read_totals(control);
    json_t *page =
        json_pack("{s:s, s:o, s:s, s:f, s:f, s:f}", "version", PACKAGE_VERSION, "file",
                  control_text(control->config->path), "mode", control->config->monitor ? "monitor" : "block", "now",
                  control->wall(), "started", control->started, "reloaded", control->reloaded);
    ok = ok && put(page, "sessions", sessions_part(&totals)) && put(page, "scopes", scopes_part(&counters)) &&
         put(page, "scopes_left_out", json_integer((json_int_t)counters.left_out)) &&
         put(page, "limits", limits_part(control)) && put(page, "events", events_part(&totals)) &&
         put(page, "exempted", json_integer((json_int_t)totals.exempted)) && put(page, "table", table_part(&totals)) &&
         put(page, "waiting", waiting_part(control)) && put(page, "crossings", json_integer(totals.crossings)) &&
         put(page, "turned_away", json_integer((json_int_t)control->turned_away())) &&
         put(page, "claimed", json_integer((json_int_t)totals.claimed)) &&
         put(page, "lapsed", json_integer((json_int_t)totals.lapsed)) &&
         put(page, "latency", latency_part_of(control)) && put(page, "bans", bans_part(&totals, control->lists.bans)) &&
         put(page, "clients", json_incref(control->lists.clients)) &&
         put(page, "domains", json_incref(control->lists.domains));
    counters_free(&counters);
    *status = 200;
    return whole(page, ok);
}

typedef uint32_t sample_of(const struct history *history, size_t series, size_t sample);

static json_t *samples_part(const struct history *history, sample_of *value, size_t series)
{
    json_t *list = json_array();
    bool ok = true;

    for (size_t i = 0; i < history_samples(history) && ok; i++) {
        const uint32_t sample = value(history, series, i);
        ok = add(list, sample == HISTORY_UNKNOWN ? json_null() : json_integer(sample));
    }
    return whole(list, ok);
}

json_t *control_history(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    const struct history *history = control->history;
    json_t *error;

    if (!control_known(parameters, no_parameters, &error, status))
        return error;
    json_t *scopes = json_array(), *limits = json_array();
    bool ok = true;
    for (size_t i = 0; i < history_scopes(history) && ok; i++)
        ok = add(scopes, json_pack("{s:o, s:I, s:o}", "scope", control_text(history_scope_name(history, i)), "max",
                                   (json_int_t)history_scope_max(history, i), "sessions",
                                   samples_part(history, history_sessions, i)));
    for (size_t i = 0; i < history_limits(history) && ok; i++)
        ok = add(limits, json_pack("{s:s, s:o, s:o, s:I, s:I}", "limit", history_limit_name(history, i), "refused",
                                   samples_part(history, history_refused, i), "monitored",
                                   samples_part(history, history_monitored, i), "refused_before",
                                   (json_int_t)history_refused_before(history, i), "monitored_before",
                                   (json_int_t)history_monitored_before(history, i)));
    json_t *page = json_object();
    ok = put(page, "interval", json_integer(HISTORY_INTERVAL_S)) && ok;
    ok = put(page, "end", history_samples(history) > 0 ? json_real(history_when(history)) : json_null()) && ok;
    ok = put(page, "scopes", scopes) && ok;
    ok = put(page, "limits", limits) && ok;
    *status = 200;
    return whole(page, ok);
}
