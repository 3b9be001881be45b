/*
 * metrics.c: /metrics, in Prometheus' text format 0.0.4: of each family its help and type, then all its samples.
 */
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build-config.h"
#include "daemon/control.h"
#include "daemon/reading.h"

/* More scopes than that are left out: whoever collects metrics pays for each of them at every scrape. */
#define SCOPES_MAX 1000

/* The page as it grows; what happens once `failed` is without effect. */
struct page {
    struct evbuffer *out;
    const char *family;
    bool failed;
};

static void family(struct page *page, const char *name, const char *type, const char *help)
{
    page->family = name;
    page->failed =
        page->failed || evbuffer_add_printf(page->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type) < 0;
}

/* What is between the quotes of a label: no byte of it ends it, or is no UTF-8. */
#define LABEL_SIZE (2 * SCOPE_NAME_SIZE)
static const char *label_text(const char *text, char out[LABEL_SIZE])
{
    char clean[SCOPE_NAME_SIZE] = "", *end = out;

    strncat(clean, text, sizeof clean - 1);
    control_clean(clean);
    for (const char *c = clean; *c; c++) {
        if (*c == '\\' || *c == '"' || *c == '\n')
            *end++ = '\\';
        *end++ = *c == '\n' ? 'n' : *c;
    }
    *end = '\0';
    return out;
}

static void sample(struct page *page, uint64_t value)
{
    page->failed =
        page->failed || evbuffer_add_printf(page->out, "%s %llu\n", page->family, (unsigned long long)value) < 0;
}

static void sample_real(struct page *page, double value)
{
    page->failed = page->failed || evbuffer_add_printf(page->out, "%s %.9f\n", page->family, value) < 0;
}

static void sample_of(struct page *page, const char *label, const char *text, uint64_t value)
{
    char escaped[LABEL_SIZE];

    page->failed = page->failed || evbuffer_add_printf(page->out, "%s{%s=\"%s\"} %llu\n", page->family, label,
                                                       label_text(text, escaped), (unsigned long long)value) < 0;
}

/* A family of one sample. */
static void gauge(struct page *page, const char *name, const char *help, uint64_t value)
{
    family(page, name, "gauge", help);
    sample(page, value);
}

static void counter(struct page *page, const char *name, const char *help, uint64_t value)
{
    family(page, name, "counter", help);
    sample(page, value);
}

/* ---- the daemon ---- */

static void add_daemon(struct page *page, const struct control *control)
{
    family(page, "tidegate_build_info", "gauge", "Always 1; the label tells the version.");
    sample_of(page, "version", PACKAGE_VERSION, 1);
    family(page, "tidegate_start_time_seconds", "gauge", "When the daemon was ready, in seconds since 1970.");
    sample_real(page, control->started);
    family(page, "tidegate_reload_time_seconds", "gauge",
           "When the daemon last took over a configuration, in seconds since 1970.");
    sample_real(page, control->reloaded);
    gauge(page, "tidegate_monitor_mode", "1 where the whole service is a dry run (mode = monitor).",
          control->config->monitor);
}

/* ---- scopes ---- */

static unsigned capped_first(const struct counter_view *view)
{
    return view->max > 0 ? 0 : 1;
}

static int compare_names(const void *a, const void *b)
{
    const struct counter_view *x = *(const struct counter_view *const *)a, *y = *(const struct counter_view *const *)b;
    const int order = strcmp(x->scope, y->scope);

    return order != 0 ? order : (x > y) - (x < y);
}

/* Prometheus takes no page in which two samples are the same, and names of scopes may be, as long ones are cut: the
 * second is told by a number, and is only as long as there is room. False when memory is short. */
static bool tell_apart(struct counters *counters)
{
    struct counter_view **sorted = calloc(counters->count > 0 ? counters->count : 1, sizeof *sorted);
    unsigned same = 1;

    if (!sorted)
        return false;
    for (size_t i = 0; i < counters->count; i++)
        sorted[i] = &counters->views[i];
    qsort(sorted, counters->count, sizeof *sorted, compare_names);
    for (size_t i = counters->count; i-- > 1;) { /* from the end: whoever is compared with has its own name still */
        same = 1;
        while (same <= i && strcmp(sorted[i - same]->scope, sorted[i]->scope) == 0)
            same++;
        if (same == 1)
            continue;
        size_t length = strlen(sorted[i]->scope), room = SCOPE_NAME_SIZE - 8;
        snprintf(sorted[i]->scope + (length < room ? length : room), 8, "#%u", same);
    }
    free(sorted);
    return true;
}

static void add_scopes(struct page *page, struct control *control)
{
    struct counters counters;

    page->failed =
        !read_counters(control, SCOPES_MAX, capped_first, &counters) || !tell_apart(&counters) || page->failed;
    family(page, "tidegate_scope_sessions", "gauge", "Open sessions of a scope.");
    for (size_t i = 0; i < counters.count; i++)
        sample_of(page, "scope", counters.views[i].scope, counters.views[i].count);
    family(page, "tidegate_scope_sessions_max", "gauge", "How many sessions a scope may have, where it has a cap.");
    for (size_t i = 0; i < counters.count; i++)
        if (counters.views[i].max > 0)
            sample_of(page, "scope", counters.views[i].scope, counters.views[i].max);
    family(page, "tidegate_scope_pending", "gauge", "Refused sessions of a scope that await their HELO.");
    for (size_t i = 0; i < counters.count; i++)
        sample_of(page, "scope", counters.views[i].scope, counters.views[i].pending);
    gauge(page, "tidegate_scopes_left_out", "Scopes that are not among these, as there are too many.",
          counters.left_out);
    counters_free(&counters);
}

/* ---- what was decided ---- */

static void add_events(struct page *page, const struct engine_totals *totals)
{
    family(page, "tidegate_events_total", "counter", "What the mail server told of, refused or not.");
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        sample_of(page, "event", event_name((enum event_kind)kind), totals->events[kind]);
    counter(page, "tidegate_exempted_total", "Connections that were exempt.", totals->exempted);
}

static void add_verdicts(struct page *page, struct control *control)
{
    struct limit_view views[LIMIT_END];
    const size_t count = read_limits(control, views);

    family(page, "tidegate_verdicts_total", "counter", "Events that were over a limit, by what became of them.");
    for (size_t i = 0; i < count; i++)
        for (int action = 0; action < ACTIONS; action++)
            page->failed =
                page->failed ||
                evbuffer_add_printf(page->out, "%s{limit=\"%s\",action=\"%s\"} %llu\n", page->family, views[i].name,
                                    action_name((enum action)action), (unsigned long long)views[i].actions[action]) < 0;
    family(page, "tidegate_bans_begun_total", "counter", "Bans that a limit has begun.");
    for (size_t i = 0; i < count; i++)
        sample_of(page, "limit", views[i].name, views[i].bans);
}

static void add_bans(struct page *page, const struct engine_totals *totals)
{
    family(page, "tidegate_bans", "gauge",
           "Bans in force that keep somebody out or give points, by who has begun them.");
    sample_of(page, "by", "limit", totals->bans - totals->bans_monitored);
    sample_of(page, "by", "operator", totals->operator_bans - totals->operator_bans_monitored);
    family(page, "tidegate_bans_monitored", "gauge",
           "Bans that are only watched and keep nobody out, by who has begun them.");
    sample_of(page, "by", "limit", totals->bans_monitored);
    sample_of(page, "by", "operator", totals->operator_bans_monitored);
}

/* ---- how full, how fast ---- */

static void add_room(struct page *page, struct control *control, const struct engine_totals *totals)
{
    const struct waiting_totals waiting = waiting_totals(control->waiting);

    gauge(page, "tidegate_sessions", "Open sessions, refused ones that await their HELO included.", totals->sessions);
    gauge(page, "tidegate_sessions_pending", "Refused sessions that await their HELO.", totals->pending);
    gauge(page, "tidegate_sessions_remembered", "Sessions that hold nothing, remembered so that they count once.",
          totals->remembered);
    gauge(page, "tidegate_sessions_room", "Sessions that can be known at once (session_table_size).",
          totals->session_records);
    gauge(page, "tidegate_table_keys", "Clients, domains and so on whose history is known.", totals->keys);
    gauge(page, "tidegate_table_room", "How many can be known at once (table_size).", totals->table_records);
    counter(page, "tidegate_table_evicted_total", "Keys that had to go before their time, for want of room.",
            totals->evicted);
    counter(page, "tidegate_table_untracked_total", "Times that a key found no room and passed uncounted.",
            totals->untracked);
    gauge(page, "tidegate_waiting", "Answers that are being delayed.", waiting.taken);
    gauge(page, "tidegate_waiting_max", "How many may be at once (max_waiting); 0: any number.", waiting.places);
    gauge(page, "tidegate_crossings", "Limits, scopes and clients at which somebody is being refused.",
          totals->crossings);
    counter(page, "tidegate_turned_away_total", "Connections of the mail server that found no descriptor left.",
            control->turned_away());
    counter(page, "tidegate_claimed_total", "Sessions that the policy door reserved and the milter door took.",
            totals->claimed);
    counter(page, "tidegate_lapsed_total", "Sessions that the policy door reserved and nobody took.", totals->lapsed);
}

static void add_activity(struct page *page, struct control *control)
{
    const struct activity_totals clients = read_activity_totals(control, ACTIVITY_OF_CLIENTS),
                                 domains = read_activity_totals(control, ACTIVITY_OF_DOMAINS);

    family(page, "tidegate_activity_evicted_total", "counter",
           "Clients and sender domains of the last hour that are listed no more, for want of room; no limit depends on "
           "it.");
    sample_of(page, "of", "clients", clients.evicted);
    sample_of(page, "of", "domains", domains.evicted);
    family(page, "tidegate_activity_untracked_total", "counter",
           "Times that one of them found no room, as all that were looked at had open sessions.");
    sample_of(page, "of", "clients", clients.untracked);
    sample_of(page, "of", "domains", domains.untracked);
}

static void add_latency(struct page *page, const struct latency *latency)
{
    const struct latency_reading reading = read_latency(latency);
    uint64_t sum = 0;

    family(page, "tidegate_event_seconds", "histogram",
           "How long an event took to decide, the wait for others included, delays of clients not.");
    for (unsigned i = 0; i < LATENCY_BOUNDS; i++) {
        sum += reading.buckets[i];
        page->failed =
            page->failed || evbuffer_add_printf(page->out, "tidegate_event_seconds_bucket{le=\"%g\"} %llu\n",
                                                (double)latency_bounds[i] / 1e9, (unsigned long long)sum) < 0;
    }
    page->failed =
        page->failed ||
        evbuffer_add_printf(page->out,
                            "tidegate_event_seconds_bucket{le=\"+Inf\"} %llu\n"
                            "tidegate_event_seconds_sum %.9f\ntidegate_event_seconds_count %llu\n",
                            (unsigned long long)reading.count, reading.sum, (unsigned long long)reading.count) < 0;
}

bool control_metrics(struct control *control, struct evbuffer *out)
{
    struct page page = {.out = out};
    const struct engine_totals totals = read_totals(control);

    add_daemon(&page, control);
    add_scopes(&page, control);
    add_room(&page, control, &totals);
    add_activity(&page, control);
    add_events(&page, &totals);
    add_verdicts(&page, control);
    add_bans(&page, &totals);
    add_latency(&page, control->latency);
    return !page.failed;
}
