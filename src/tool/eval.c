/*
 * eval.c: which values apply to a client, and which line of the configuration says so.
 */
#include <stdlib.h>

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
    screen_say(screen, 2, "What applies to %s on %s%s%s:", field_text(answer, "client"), field_text(answer, "listen"),
               *file ? "; lines are of " : "", file);
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
