/*
 * explain.c: would somebody be let in now; if not, why, until when, and what helps.
 */
#include <stdlib.h>
#include <string.h>

#include "config/values.h"
#include "tool/show_lists.h"
#include "tool/tool.h"

static bool is_over(const json_t *limit)
{
    const char *state = field_text(limit, "state");

    return strcmp(state, "full") == 0 || strcmp(state, "banned") == 0 || strcmp(state, "denied") == 0;
}

/* The limit that refuses, or would if it were not only monitored; NULL: there is none. */
static const json_t *refusing(const json_t *answer)
{
    const json_t *limits = field_list(answer, "limits"), *limit;
    const char *name = field_text(answer, "refused_by");
    size_t i;

    json_array_foreach(limits, i, limit)
    {
        if (*name ? field_true(limit, "keeps_out")
                  : is_over(limit) && strcmp(field_text(limit, "mode"), "monitor") == 0)
            return limit;
    }
    return NULL;
}

/* "10 of at most 10 connections in 90s": a new text. */
static char *amount(const json_t *limit)
{
    char window[DURATION_TEXT_SIZE];
    double seconds = field_number(limit, "window");
    char within[DURATION_TEXT_SIZE + 8] = "";

    if (seconds > 0)
        snprintf(within, sizeof within, " in %s", duration_format((int64_t)seconds * 1000000000, window));
    return text_print("%.0f of at most %.0f %s%s", field_number(limit, "count"), field_number(limit, "max"),
                      field_text(limit, "count_of"), within);
}

/* When there is room again: a new text. */
static char *until(const json_t *limit)
{
    const char *when = field_text(limit, "next_when");
    char duration[TEXT_DURATION_SIZE];

    if (strcmp(when, "at") == 0)
        return text_print("in %s", text_duration(field_number(limit, "next"), duration));
    if (strcmp(when, "close") == 0)
        return text_copy("when an open session ends");
    if (strcmp(when, "session") == 0)
        return text_copy("in another session");
    if (strcmp(when, "never") == 0)
        return text_copy("once the rules change");
    return text_copy("now");
}

/* Why that limit refuses: a new text. */
static char *reason(const json_t *limit)
{
    if (strcmp(field_text(limit, "state"), "denied") == 0)
        return text_copy("it stands in a list");
    if (field_true(limit, "banned"))
        return text_print("%s is banned", *field_text(limit, "key") ? field_text(limit, "key") : "it");
    char *counted = amount(limit), *text = text_print("%s are counted", counted);
    free(counted);
    return text;
}

/* The first sentence: a new text. */
static char *sentence(const json_t *answer, const char *who)
{
    const json_t *limit = refusing(answer);
    bool admitted = field_true(answer, "admitted");

    if (!limit && admitted)
        return text_print("%s would be let in.", who);
    if (!limit)
        return text_print("%s would be refused by %s.", who, field_text(answer, "refused_by"));

    bool of_administrator = strcmp(field_text(limit, "limit"), "ban") == 0;
    const char *name = of_administrator ? "an administrator" : field_text(limit, "limit");
    char *why = reason(limit), *where = field_place(limit), *when = until(answer), *text;
    if (admitted && of_administrator)
        text = text_print("%s would be let in. An administrator has banned %s, but mode = monitor: it is only watched.",
                          who, *field_text(limit, "key") ? field_text(limit, "key") : "it");
    else if (admitted)
        text = text_print("%s would be let in. If %s%s were not only monitored, it would be refused, as %s.", who, name,
                          where, why);
    else
        text = text_print("%s would be refused by %s%s, as %s. It may come again %s.", who, name, where, why, when);
    free(why);
    free(where);
    free(when);
    return text;
}

static void put_sentence(const json_t *answer, const char *who, const struct screen *screen)
{
    enum style style = field_true(answer, "admitted") ? STYLE_GOOD : STYLE_BAD;
    char *text = sentence(answer, who);

    style_begin(screen, style);
    text_put_wrapped(text, screen->width, 2, screen->out);
    style_end(screen, style);
    free(text);
}

static void put_table(const json_t *answer, const struct screen *screen)
{
    static const struct column columns[] = {{.heading = "LIMIT", .cut = true},
                                            {.heading = "SCOPE", .cut = true, .tail = true},
                                            {.heading = "KEY", .cut = true},
                                            {.heading = "COUNT", .right = true},
                                            {.heading = "MAX", .right = true},
                                            {.heading = "IN", .right = true},
                                            {.heading = "STATE"},
                                            {.heading = "LINE", .right = true}};
    const json_t *limits = field_list(answer, "limits"), *limit;
    struct grid *grid = grid_new(columns, 8);
    char window[DURATION_TEXT_SIZE];
    size_t i;

    json_array_foreach(limits, i, limit)
    {
        const char *key = field_text(limit, "key"), *mode = field_text(limit, "mode");
        double seconds = field_number(limit, "window");
        bool known = strcmp(key, field_text(answer, "client")) == 0 || strcmp(key, field_text(answer, "name")) == 0;
        bool plain = strcmp(mode, "block") == 0;
        grid_cell(grid, STYLE_PLAIN, "%s", field_text(limit, "limit"));
        grid_cell(grid, STYLE_PLAIN, "%s", field_text(limit, "scope"));
        show_name(grid, known ? "" : key);
        grid_number(grid, field_number(limit, "count"));
        grid_number(grid, field_number(limit, "max"));
        grid_cell(grid, STYLE_PLAIN, "%s", seconds > 0 ? duration_format((int64_t)seconds * 1000000000, window) : "");
        grid_cell(grid, is_over(limit) ? STYLE_BAD : STYLE_GOOD, "%s%s%s", field_text(limit, "state"),
                  plain ? "" : ", ", plain ? "" : mode);
        grid_number(grid, field_number(limit, "line"));
    }
    grid_put(grid, screen);
    grid_free(&grid);
}

/* What lifts those that are not open. */
static void put_lifts(const json_t *limits, const struct screen *screen)
{
    const json_t *limit;
    size_t i;

    json_array_foreach(limits, i, limit)
    {
        const char *lift = field_text(limit, "lift");
        if (!*lift || strcmp(field_text(limit, "state"), "open") == 0)
            continue;
        char *when = until(limit);
        screen_say(screen, 2, "%s: room %s, or: %s", field_text(limit, "limit"), when, lift);
        free(when);
    }
}

static void put_limits(const json_t *answer, const struct screen *screen)
{
    const json_t *limits = field_list(answer, "limits");
    double left_out = field_number(answer, "left_out");

    if (json_array_size(limits) == 0)
        return;
    screen_say(screen, 2, "Lines are of %s.", field_text(json_array_get(limits, 0), "file"));
    fputc('\n', screen->out);
    put_table(answer, screen);
    if (left_out >= 1)
        fprintf(screen->out, "... and %.0f more\n", left_out);
    put_lifts(limits, screen);
}

static bool is_client(const char *word)
{
    struct addr addr;

    return value_address(word, &addr) != ADDRESS_NONE || value_looks_like_prefix(word);
}

/* An address in brackets is what a client may say in HELO, too. */
static bool is_literal(const char *word)
{
    struct addr addr;

    return value_address(word, &addr) == ADDRESS_LITERAL;
}

int tool_explain(struct tool *tool)
{
    const char *client = NULL, *name = NULL;
    json_t *answer;

    for (int i = 0; i < tool->word_count; i++) {
        const char *word = tool->words[i];
        const char **which = is_client(word) && !(client && is_literal(word)) ? &client : &name;
        if (*which)
            return tool_usage("explain: %s and %s: one client's address and one name at most", *which, word);
        *which = word;
    }
    const struct parameter parameters[] = {{"client", client},
                                           {"name", name},
                                           {"listen", tool->option[TOOL_LISTEN]},
                                           {"daemon_name", tool->option[TOOL_DAEMON_NAME]},
                                           {NULL, NULL}};
    int status = tool_get(tool, "/explain", parameters, &answer);
    if (status != EX_OK)
        return status;
    if (!json_is_boolean(json_object_get(answer, "admitted"))) {
        status = tool_unexpected("admitted");
    } else {
        status = field_true(answer, "admitted") ? EX_OK : TOOL_NO;
        if (!tool->json) {
            const char *whom = client ? field_text(answer, "client") : name;
            char *who = client && name ? text_print("%s with %s", whom, name) : text_copy(whom);
            put_sentence(answer, who, &tool->screen);
            free(who);
            put_limits(answer, &tool->screen);
        }
    }
    json_decref(answer);
    return status;
}
