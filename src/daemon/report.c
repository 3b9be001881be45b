/*
 * report.c: the lines of the log.
 */
#include "daemon/report.h"

#include "daemon/log.h"

static void log_client(struct log_line *line, const struct prefix *client)
{
    char text[PREFIX_TEXT_SIZE];
    if (client->addr.family != ADDR_NONE)
        log_text(line, "client", prefix_format(client, text));
}

/* What a crossing's number counts. */
static const char *const action_counts[ACTIONS] = {
    [ACTION_REFUSE] = "refused",
    [ACTION_MONITOR] = "monitored",
    [ACTION_SCORE] = "scored",
    [ACTION_UNTRACKED] = "untracked",
};

void report_over(const struct crossing_report *report)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "limit", report->name);
    log_text(&line, "scope", report->scope);
    log_client(&line, &report->client);
    if (report->key[0])
        log_text(&line, "key", report->key);
    log_number(&line, action_counts[report->action], report->refused);
    log_number(&line, "clients", report->clients);
    log_seconds(&line, "lasted", report->lasted_ns);
    log_text(&line, "action", "over");
    log_send(&line, LOG_NOTICE);
}

void report_finding(const struct finding *finding, const struct addr *client)
{
    struct log_line line;
    char text[ADDR_TEXT_SIZE];

    log_begin(&line);
    log_text(&line, "limit", finding->name);
    log_text(&line, "scope", finding->scope);
    if (finding->client.bits == addr_width(client)) {
        log_text(&line, "client", addr_format(client, text));
    } else {
        log_client(&line, &finding->client);
        log_text(&line, "addr", addr_format(client, text));
    }
    if (finding->key[0])
        log_text(&line, "key", finding->key);
    log_number(&line, "count", finding->count);
    log_number(&line, "max", finding->max);
    if (finding->action == ACTION_SCORE)
        log_number(&line, "points", finding->points);
    if (finding->banned)
        log_seconds(&line, finding->ban_began ? "ban" : "ban_left", finding->ban_left_ns);
    log_text(&line, "action", action_name(finding->action));
    log_send(&line, LOG_NOTICE);
}

void report_unfollowed(uint64_t refused)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", "unlogged_refusals");
    log_number(&line, "refused", refused);
    log_text(&line, "text", "so many clients were refused at once that not each got a line");
    log_send(&line, LOG_NOTICE);
}

void report_turned_away(uint64_t connections)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", "few_descriptors");
    log_number(&line, "turned_away", connections);
    log_text(&line, "text", "connections of the MTA found no free descriptor: raise the limit on open files");
    log_send(&line, LOG_WARNING);
}

void report_lines_lost(uint64_t lines)
{
    struct log_line line;
    if (lines == 0)
        return;
    log_begin(&line);
    log_text(&line, "event", "log_lost");
    log_number(&line, "lines", lines);
    log_send(&line, LOG_WARNING);
}

void report_few_descriptors(uint64_t wanted, uint64_t granted)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", "few_descriptors");
    log_number(&line, "wanted", wanted);
    log_number(&line, "granted", granted);
    log_text(&line, "text", "each session takes one: raise the limit on open files or lower session_table_size");
    log_send(&line, LOG_WARNING);
}

void report_counter(const struct counter_view *view)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", "counter");
    log_text(&line, "limit", limit_name(view->limit));
    log_text(&line, "scope", view->scope);
    log_number(&line, "count", view->count);
    log_number(&line, "max", view->max);
    if (view->pending > 0)
        log_number(&line, "pending", view->pending);
    log_send(&line, LOG_INFO);
}

void report_totals(const struct engine_totals *totals)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", "counters");
    log_number(&line, "sessions", totals->sessions);
    log_number(&line, "pending", totals->pending);
    log_number(&line, "clients", totals->clients);
    log_number(&line, "crossings", totals->crossings);
    log_number(&line, "session_table_size", totals->session_records);
    log_number(&line, "keys", totals->keys);
    log_number(&line, "table_size", totals->table_records);
    log_number(&line, "evicted", totals->evicted);
    log_number(&line, "untracked", totals->untracked);
    log_number(&line, "remembered", totals->remembered);
    log_send(&line, LOG_INFO);
}

void report_limit(const struct limit_view *view)
{
    struct log_line line;
    uint64_t all = view->bans;

    for (unsigned i = 0; i < ACTIONS; i++)
        all += view->actions[i];
    if (all == 0)
        return;
    log_begin(&line);
    log_text(&line, "event", "limit");
    log_text(&line, "limit", view->name);
    for (unsigned i = 0; i < ACTIONS; i++)
        if (view->actions[i] > 0)
            log_number(&line, action_counts[i], view->actions[i]);
    if (view->bans > 0)
        log_number(&line, "bans", view->bans);
    log_send(&line, LOG_INFO);
}

void report_asked(const char *path, uid_t uid)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", "asked");
    log_text(&line, "path", path);
    if (uid != (uid_t)-1)
        log_number(&line, "uid", uid);
    log_send(&line, LOG_NOTICE);
}

void report_ban(const char *target, int64_t length_ns)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", "ban");
    log_text(&line, "target", target);
    log_seconds(&line, "length", length_ns);
    log_send(&line, LOG_NOTICE);
}

void report_unban(const char *target, const char *limit, int64_t since_ns, const struct unbanned *done)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", "unban");
    if (target)
        log_text(&line, "target", target);
    if (limit)
        log_text(&line, "limit", limit);
    if (since_ns > 0)
        log_seconds(&line, "since", since_ns);
    log_number(&line, "lifted", done->lifted);
    log_number(&line, "forgotten", done->forgotten);
    log_send(&line, LOG_NOTICE);
}

void report_evictions(uint64_t evicted, uint64_t untracked)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", "table_full");
    log_number(&line, "evicted", evicted);
    log_number(&line, "untracked", untracked);
    log_text(&line, "text", "keys were forgotten before their time: raise table_size");
    log_send(&line, LOG_WARNING);
}

void report_policy_trouble(const char *peer, const char *why, uint64_t more)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", "policy_trouble");
    log_text(&line, "peer", peer);
    log_text(&line, "why", why);
    if (more > 0)
        log_number(&line, "more", more);
    log_send(&line, LOG_WARNING);
}

void report_messages(const struct config_messages *messages)
{
    struct log_line line;

    for (size_t i = 0; i < messages->count; i++) {
        bool error = messages->list[i].severity == MESSAGE_ERROR;
        log_event(error ? LOG_ERR : LOG_WARNING, error ? "config_error" : "config_warning", messages->list[i].text);
    }
    if (messages_left_out(messages) > 0) {
        log_begin(&line);
        log_text(&line, "event", "config_error");
        log_number(&line, "more", messages_left_out(messages));
        log_send(&line, LOG_ERR);
    }
}
