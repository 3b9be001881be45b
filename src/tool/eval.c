/*
 * eval.c: which values apply to a client, and which line of the configuration says so.
 */
#include <stdlib.h>
#include <string.h>

#include "tool/tool.h"

static const struct column columns[] = {{.heading = "WHAT", .cut = true},
                                        {.heading = "VALUE", .cut = true},
                                        {.heading = "SCOPE", .cut = true, .tail = true},
                                        {.heading = "LINE", .right = true}};

static void add_row(struct grid *grid, const char *what, const char *value, const json_t *said)
{
    grid_cell(grid, STYLE_PLAIN, "%s", what);
    grid_cell(grid, STYLE_PLAIN, "%s", value);
    grid_cell(grid, STYLE_PLAIN, "%s", field_text(said, "scope"));
    if (field_number(said, "line") >= 1)
        grid_number(grid, field_number(said, "line"));
    else
        grid_cell(grid, STYLE_PLAIN, "default");
}

static void add_caps(struct grid *grid, const json_t *caps)
{
    const json_t *cap;
    size_t i;

    json_array_foreach(caps, i, cap)
    {
        double max = field_number(cap, "max");
        char *value = max >= 0 ? text_print("%.0f", max) : text_copy("no limit");
        add_row(grid, field_text(cap, "limit"), value, cap);
        free(value);
    }
}

static void add_limit(struct grid *grid, const json_t *limit)
{
    const json_t *terms = field_list(limit, "terms"), *term;
    size_t i;

    json_array_foreach(terms, i, term)
    {
        char *what = text_print("%s %s", field_text(limit, "limit"), field_text(term, "name"));
        add_row(grid, what, field_text(term, "value"), term);
        free(what);
    }
}

/* The file that the lines are of: that of the first thing that has a line. */
static const char *first_file(const json_t *list)
{
    const json_t *said;
    size_t i;

    json_array_foreach(list, i, said)
    {
        if (field_number(said, "line") >= 1)
            return field_text(said, "file");
    }
    return "";
}

/* What becomes of a client that stands there: a new text. */
static char *effect(const json_t *list)
{
    const char *mode = field_text(list, "mode");

    if (!*mode)
        return text_copy("nothing below applies to it");
    if (strcmp(mode, "score") == 0)
        return text_print("its connections get %.0f points", field_number(list, "points"));
    return text_copy(strcmp(mode, "monitor") == 0 ? "its connections are only watched" : "its connections are refused");
}

/* What decides before anything in the table does. */
static void put_lists(const json_t *answer, const struct screen *screen)
{
    const char *client = field_text(answer, "client");
    const json_t *lists = field_list(answer, "lists"), *list;
    size_t i;

    json_array_foreach(lists, i, list)
    {
        const char *limit = field_text(list, "limit"), *key = field_text(list, "key");
        const char *is = strcmp(limit, "deny") == 0  ? "denied"
                         : strcmp(limit, "ban") == 0 ? "banned by an administrator"
                                                     : limit;
        bool whole = strcmp(key, client) == 0;
        char *where = field_place(list), *what = effect(list);
        screen_say(screen, 2, "%s is %s%s%s%s: %s.", client, is, whole ? "" : " as ", whole ? "" : key, where, what);
        free(where);
        free(what);
    }
}

/* To whom and where, and what all of it comes to: "192.0.2.7 on :25, only monitored: mode = monitor". */
static void put_head(const json_t *answer, const char *file, const struct screen *screen)
{
    const char *listen = field_text(answer, "listen"), *name = field_text(answer, "daemon_name");
    bool monitored = strcmp(field_text(answer, "mode"), "monitor") == 0;

    screen_say(screen, 2, "What applies to %s%s%s%s%s%s%s%s:", field_text(answer, "client"), *listen ? " on " : "",
               listen, *name ? " at daemon_name " : "", name, monitored ? ", only monitored: mode = monitor" : "",
               *file ? "; lines are of " : "", file);
}

static void put_answer(const json_t *answer, const struct screen *screen)
{
    const json_t *settings = field_list(answer, "settings"), *limits = field_list(answer, "limits"), *said;
    const char *file = first_file(field_list(answer, "caps"));
    struct grid *grid = grid_new(columns, 4);
    size_t i;

    if (!*file)
        file = first_file(settings);
    json_array_foreach(limits, i, said)
    {
        if (!*file)
            file = first_file(field_list(said, "terms"));
    }
    put_lists(answer, screen);
    put_head(answer, file, screen);
    add_caps(grid, field_list(answer, "caps"));
    json_array_foreach(settings, i, said)
    {
        add_row(grid, field_text(said, "name"), field_text(said, "value"), said);
    }
    json_array_foreach(limits, i, said)
    {
        add_limit(grid, said);
    }
    fputc('\n', screen->out);
    grid_put(grid, screen);
    grid_free(&grid);
}

int tool_eval(struct tool *tool)
{
    const struct parameter parameters[] = {{"client", tool->words[0]},
                                           {"listen", tool->option[TOOL_LISTEN]},
                                           {"daemon_name", tool->option[TOOL_DAEMON_NAME]},
                                           {NULL, NULL}};
    json_t *answer;

    int status = tool_get(tool, "/eval", parameters, &answer);
    if (status != EX_OK)
        return status;
    if (!field_list(answer, "limits"))
        status = tool_unexpected("limits");
    else if (!tool->json)
        put_answer(answer, &tool->screen);
    json_decref(answer);
    return status;
}
