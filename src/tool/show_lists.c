/*
 * show_lists.c: clients, domains, bans.
 */
#include "tool/show_lists.h"

#include <stdlib.h>
#include <string.h>

#include "config/values.h"
#include "tool/tool.h"

void show_name(struct grid *grid, const char *name)
{
    struct prefix prefix;

    if (prefix_parse(name, &prefix) == PREFIX_OK)
        grid_whole(grid, name);
    else
        grid_cell(grid, STYLE_PLAIN, "%s", name);
}

/* The first field is a name, the others are numbers. */
static void show_counts(const json_t *list, const struct column *columns, const char *const *fields, size_t count,
                        const struct screen *screen, size_t rows)
{
    struct grid *grid = grid_new(columns, count);

    for (size_t i = 0; i < json_array_size(list) && i < rows; i++) {
        const json_t *row = json_array_get(list, i);
        show_name(grid, field_text(row, fields[0]));
        for (size_t k = 1; k < count; k++)
            grid_number(grid, field_number(row, fields[k]));
    }
    grid_put(grid, screen);
    grid_free(&grid);
}

void show_clients(const json_t *clients, const struct screen *screen, size_t rows)
{
    static const char *const fields[] = {"client", "sessions", "connections", "messages", "refused", "monitored"};
    static const struct column columns[] = {
        {.heading = "CLIENT", .cut = true},        {.heading = "OPEN", .right = true},
        {.heading = "CONNECTIONS", .right = true}, {.heading = "MESSAGES", .right = true},
        {.heading = "REFUSED", .right = true},     {.heading = "MONITORED", .right = true}};

    show_counts(clients, columns, fields, 6, screen, rows);
}

void show_domains(const json_t *domains, const struct screen *screen, size_t rows)
{
    static const char *const fields[] = {"domain", "messages", "refused", "monitored"};
    static const struct column columns[] = {{.heading = "DOMAIN", .cut = true},
                                            {.heading = "MESSAGES", .right = true},
                                            {.heading = "REFUSED", .right = true},
                                            {.heading = "MONITORED", .right = true}};

    show_counts(domains, columns, fields, 4, screen, rows);
}

void show_bans(const json_t *bans, const struct screen *screen, size_t rows)
{
    static const struct column columns[] = {{.heading = "BANNED", .cut = true},
                                            {.heading = "BY LIMIT", .cut = true},
                                            {.heading = "SCOPE", .cut = true, .tail = true},
                                            {.heading = "ACTION"},
                                            {.heading = "SINCE", .right = true},
                                            {.heading = "LEFT", .right = true}};
    struct grid *grid = grid_new(columns, 6);
    char duration[TEXT_DURATION_SIZE];

    for (size_t i = 0; i < json_array_size(bans) && i < rows; i++) {
        const json_t *ban = json_array_get(bans, i);
        const char *client = field_text(ban, "client");
        show_name(grid, *client ? client : field_text(ban, "key"));
        grid_cell(grid, STYLE_PLAIN, "%s", field_text(ban, "limit"));
        grid_cell(grid, STYLE_PLAIN, "%s", field_text(ban, "scope"));
        grid_cell(grid, STYLE_PLAIN, "%s", field_text(ban, "action"));
        grid_cell(grid, STYLE_PLAIN, "%s", text_duration(field_number(ban, "since"), duration));
        grid_cell(grid, STYLE_PLAIN, "%s", text_duration(field_number(ban, "left"), duration));
    }
    grid_put(grid, screen);
    grid_free(&grid);
}

/* What has no place in a list that is full. Bans have no such bound. */
static void show_displaced(const json_t *answer, const struct screen *screen)
{
    const double evicted = field_number(answer, "evicted"), untracked = field_number(answer, "untracked");

    if (evicted >= 1 || untracked >= 1)
        screen_say(screen, 2,
                   "... there is room for %.0f, and the busiest stay: %.0f evicted since the start, %.0f found no room",
                   field_number(answer, "room"), evicted, untracked);
}

/* A page that is a list: what is asked, where it is in the answer, how it is shown, what is said when it is empty. */
struct list_page {
    const char *page, *field, *empty;
    long most; /* rows that the daemon gives at most */
    void (*show)(const json_t *list, const struct screen *screen, size_t rows);
};

static int show_list(struct tool *tool, const struct list_page *page)
{
    const char *rows = tool->option[TOOL_COUNT];
    const struct screen *screen = &tool->screen;
    char why[VALUE_WHY_SIZE];
    int64_t number;
    json_t *answer;

    if (rows && !value_count(rows, 1, page->most, &number, why))
        return tool_usage("-n: %s", why);
    const struct parameter parameters[] = {
        {"sort", tool->option[TOOL_SORT]}, {"limit", tool->option[TOOL_LIMIT]}, {"n", rows}, {NULL, NULL}};
    int status = tool_get(tool, page->page, parameters, &answer);
    if (status != EX_OK || tool->json) {
        json_decref(answer);
        return status;
    }
    const json_t *list = field_list(answer, page->field);
    double left_out = field_number(answer, "left_out");
    if (!list) {
        status = tool_unexpected(page->field);
    } else {
        page->show(list, screen, json_array_size(list));
        if (json_array_size(list) == 0)
            fprintf(screen->out, "%s\n", page->empty);
        if (left_out >= 1)
            fprintf(screen->out, "... and %.0f more (-n N shows more)\n", left_out);
        show_displaced(answer, screen);
    }
    json_decref(answer);
    return status;
}

int tool_clients(struct tool *tool)
{
    static const struct list_page page = {"/clients", "clients", "No client has come in the last hour.", 10000,
                                          show_clients};
    return show_list(tool, &page);
}

int tool_domains(struct tool *tool)
{
    static const struct list_page page = {"/domains", "domains", "No sender has come in the last hour.", 10000,
                                          show_domains};
    return show_list(tool, &page);
}

int tool_bans(struct tool *tool)
{
    static const struct list_page page = {"/bans", "bans", "Nobody is banned.", 10000, show_bans};

    return show_list(tool, &page);
}
