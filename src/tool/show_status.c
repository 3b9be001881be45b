/*
 * show_status.c: the state of the daemon on one screen.
 */
#include <stdlib.h>
#include <string.h>

#include "tool/tool.h"

#define SCOPE_ROWS 12
#define BAR_WIDTH 20

/* The line about what a table leaves out. */
static void put_rest(const struct screen *screen, double count, const char *what)
{
    if (count >= 1)
        fprintf(screen->out, "... and %.0f more %s\n", count, what);
}

static enum style fill_style(double sessions, double max)
{
    return sessions >= max ? STYLE_BAD : sessions >= 0.8 * max ? STYLE_WARNING : STYLE_GOOD;
}

size_t scopes_in_use(const json_t *status)
{
    const json_t *scopes = field_list(status, "scopes"), *scope;
    size_t count = 0, i;

    json_array_foreach(scopes, i, scope)
    {
        count += field_number(scope, "sessions") > 0;
    }
    return count;
}

void show_scopes(const json_t *status, const struct screen *screen, size_t rows)
{
    static const struct column columns[] = {{.heading = "SCOPE", .cut = true, .tail = true},
                                            {.heading = "SESSIONS", .right = true},
                                            {.heading = "MAX", .right = true},
                                            {.heading = ""},
                                            {.heading = "PENDING", .right = true}};
    const json_t *scopes = field_list(status, "scopes");
    struct grid *grid = grid_new(columns, 5);
    char bar[TEXT_BAR_MAX + 3];
    size_t in_use = scopes_in_use(status), idle = rows > in_use ? rows - in_use : 0, shown = 0;

    for (size_t i = 0; i < json_array_size(scopes) && shown < rows; i++) {
        const json_t *scope = json_array_get(scopes, i);
        double sessions = field_number(scope, "sessions"), max = field_number(scope, "max");
        if (!(sessions > 0) && idle == 0)
            continue;
        idle -= !(sessions > 0);
        shown++;
        grid_cell(grid, STYLE_PLAIN, "%s", field_text(scope, "scope"));
        grid_number(grid, sessions);
        grid_number(grid, max > 0 ? max : -1);
        grid_cell(grid, fill_style(sessions, max), "%s", max > 0 ? text_bar(sessions, max, BAR_WIDTH, bar) : "");
        grid_number(grid, field_number(scope, "pending"));
    }
    grid_put(grid, screen);
    grid_free(&grid);
    double rest = (double)(json_array_size(scopes) - shown), left_out = field_number(status, "scopes_left_out");
    put_rest(screen, rest + (left_out > 0 ? left_out : 0), "scopes (tidegate --json status)");
}

/* The limits that have found anything. */
static void show_limits(const json_t *status, const struct screen *screen)
{
    static const char *const fields[] = {"refused", "monitored", "scored", "untracked", "bans"};
    static const struct column columns[] = {
        {.heading = "LIMIT", .cut = true},       {.heading = "REFUSED", .right = true},
        {.heading = "MONITORED", .right = true}, {.heading = "SCORED", .right = true},
        {.heading = "UNTRACKED", .right = true}, {.heading = "BANS BEGUN", .right = true}};
    const json_t *limits = field_list(status, "limits");
    struct grid *grid = grid_new(columns, 6);
    size_t shown = 0, i, k;
    const json_t *limit;

    json_array_foreach(limits, i, limit)
    {
        double sum = 0;
        for (k = 0; k < 5; k++)
            sum += field_number(limit, fields[k]);
        if (sum <= 0)
            continue;
        shown++;
        grid_cell(grid, STYLE_PLAIN, "%s", field_text(limit, "limit"));
        for (k = 0; k < 5; k++)
            grid_number(grid, field_number(limit, fields[k]));
    }
    grid_put(grid, screen);
    grid_free(&grid);
    if (shown == 0)
        fputs("No limit has refused anything yet.\n", screen->out);
}

/* "connect 100, helo 98, ...": wrapped, as it can be long. */
static void show_counts(const char *heading, const json_t *counts, const struct screen *screen)
{
    char *text = text_copy(heading);
    const char *name;
    json_t *count;
    bool first = true;

    /* jansson keeps the order of the answer. */
    json_object_foreach((json_t *)counts, name, count)
    {
        char *longer = text_print("%s%s %s %.0f", text, first ? "" : ",", name, json_number_value(count));
        free(text);
        text = longer;
        first = false;
    }
    text_put_wrapped(text, screen->width, 2, screen->out);
    free(text);
}

/* What is only worth a line when it is not zero. */
static void show_trouble(const json_t *status, const struct screen *screen)
{
    static const struct {
        const char *object, *field, *text;
    } rows[] = {
        {"table", "evicted", "records were evicted from the full table: raise table_size"},
        {"table", "untracked", "events found no room in the table and went uncounted: raise table_size"},
        {"clients", "evicted", "clients were evicted from the full list of clients, the least busy first"},
        {"clients", "untracked", "events of clients found no room in the list of clients"},
        {"domains", "evicted", "sender domains were evicted from the full list of domains, the least busy first"},
        {NULL, "turned_away", "connections of the mail server were turned away, for want of descriptors"},
        {NULL, "lapsed", "sessions that another door had announced never came"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double count = field_number(rows[i].object ? field_object(status, rows[i].object) : status, rows[i].field);
        if (count < 1)
            continue;
        screen_say(screen, 2, "%.0f %s", count, rows[i].text);
    }
}

static void show_head(const json_t *status, const struct screen *screen)
{
    const json_t *sessions = field_object(status, "sessions");
    char up[TEXT_DURATION_SIZE], read[TEXT_DURATION_SIZE];
    double now = field_number(status, "now");
    bool monitor = strcmp(field_text(status, "mode"), "monitor") == 0;

    text_duration(now - field_number(status, "started"), up);
    text_duration(now - field_number(status, "reloaded"), read);
    char *text =
        text_print("tidegated %s, %s, up %s; %s read %s ago", field_text(status, "version"),
                   monitor ? "only monitoring: nobody is refused" : "blocking", up, field_text(status, "file"), read);
    text_put_wrapped(text, screen->width, 2, screen->out);
    free(text);
    screen_say(screen, 2, "%.0f sessions open (room for %.0f), %.0f of them refused and not told yet",
               field_number(sessions, "open"), field_number(sessions, "room"), field_number(sessions, "pending"));
}

static void show_totals(const json_t *status, const struct screen *screen)
{
    const json_t *bans = field_object(status, "bans"), *table = field_object(status, "table");
    const json_t *latency = field_object(status, "latency");

    const double of_limits = field_number(bans, "limits_monitored");
    const double watched = of_limits + field_number(bans, "operator_monitored");

    screen_say(screen, 2, "Bans in force: %.0f by limits, %.0f by an administrator", field_number(bans, "limits"),
               field_number(bans, "operator"));
    if (watched >= 1)
        screen_say(screen, 2, "Bans that are only watched: %.0f by limits, %.0f by an administrator", of_limits,
                   watched - of_limits);
    show_counts("Events:", field_object(status, "events"), screen);
    screen_say(screen, 2, "Records: %.0f of %.0f; exempted: %.0f", field_number(table, "keys"),
               field_number(table, "room"), field_number(status, "exempted"));
    if (field_number(latency, "p99") >= 0)
        screen_say(screen, 2, "99 of 100 events take at most %.3g ms", 1000 * field_number(latency, "p99"));
    show_trouble(status, screen);
}

int tool_status(struct tool *tool)
{
    const struct screen *screen = &tool->screen;
    json_t *status;

    int result = tool_get(tool, "/status.json", NULL, &status);
    if (result != EX_OK || tool->json) {
        json_decref(status);
        return result;
    }
    if (!field_object(status, "sessions")) {
        json_decref(status);
        return tool_unexpected("sessions");
    }
    show_head(status, screen);
    fputc('\n', screen->out);
    show_scopes(status, screen, SCOPE_ROWS);
    fputc('\n', screen->out);
    show_limits(status, screen);
    fputc('\n', screen->out);
    show_totals(status, screen);
    json_decref(status);
    return EX_OK;
}
