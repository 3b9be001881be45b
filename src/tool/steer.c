/*
 * steer.c: ban, unban, reload.
 */
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"
#include "config/shell_word.h"
#include "config/values.h"
#include "tool/tool.h"

/* What becomes of a ban in a dry run. */
static const char *watched(const json_t *answer)
{
    if (strcmp(field_text(answer, "action"), "monitor") != 0)
        return "";
    return field_true(answer, "monitored") ? ", but mode = monitor: it is only watched, and ends with the dry run"
                                           : ", but mode = monitor: it is only watched as long as the dry run lasts";
}

int tool_ban(struct tool *tool)
{
    char *seconds = NULL;
    json_t *answer;
    char left[TEXT_DURATION_SIZE];

    if (tool->word_count == 2 || (tool->word_count == 3 && strcmp(tool->words[1], "for") != 0))
        return tool_usage("usage: tidegate ban TARGET [for DURATION], as in: tidegate ban 192.0.2.7 for 2h");
    if (tool->word_count == 3 && !(seconds = tool_seconds("for", tool->words[2])))
        return EX_USAGE;

    const struct parameter parameters[] = {{"target", tool->words[0]}, {"for", seconds}, {NULL, NULL}};
    int status = tool_post(tool, "/ban", parameters, &answer);
    free(seconds);
    if (status != EX_OK)
        return status;
    double length = field_number(answer, "for");
    if (length < 0)
        status = tool_unexpected("for");
    if (status == EX_OK && !tool->json)
        screen_say(&tool->screen, 0, "%s %s %s%s", field_text(answer, "target"),
                   field_true(answer, "changed") ? "was banned already; now it is for" : "is banned for",
                   text_duration(length, left), watched(answer));
    json_decref(answer);
    return status;
}

/* What tells more of a target for which nothing was lifted: a new text. A block is nobody to be explained, nor is a
 * user without a name. */
static char *hint(const char *target)
{
    char address[PREFIX_TEXT_SIZE], *word, *text;
    struct prefix block;

    if (prefix_parse(target, &block) == PREFIX_OK && block.bits == addr_width(&block.addr))
        target = prefix_format(&block, address);
    else if (!*target || strcmp(target, KEY_USER_MARK) == 0 || value_looks_like_prefix(target))
        return text_copy("");
    word = text_memory(NULL, SHELL_WORD_SIZE(strlen(target)));
    text = text_print("tidegate explain %s, and ", shell_word(target, word));
    free(word);
    return text;
}

static void put_unbanned(const struct screen *screen, const json_t *answer, const char *target)
{
    const double lifted = field_number(answer, "lifted"), forgotten = field_number(answer, "forgotten");
    const json_t *held_by = field_object(answer, "held_by");

    if (lifted >= 1)
        fprintf(screen->out, "%.0f %s lifted\n", lifted, lifted < 2 ? "ban was" : "bans were");
    if (forgotten >= 1)
        fprintf(screen->out, "%.0f %s forgotten\n", forgotten, forgotten < 2 ? "count was" : "counts were");
    if (held_by) {
        const char *client = field_text(held_by, "client");
        screen_say(screen, 0, "still banned by %s: %s", *client ? client : field_text(held_by, "key"),
                   field_text(held_by, "lift"));
    } else if (lifted < 1 && forgotten < 1) {
        char *more = target ? hint(target) : text_copy("");
        screen_say(screen, 0, "no such ban was in force%s%s%s", target ? "; see " : "", more,
                   target ? "tidegate bans" : "");
        free(more);
    }
}

int tool_unban(struct tool *tool)
{
    const char *target = tool->word_count > 0 ? tool->words[0] : NULL;
    const char *limit = tool->option[TOOL_LIMIT];
    char *seconds = NULL;
    json_t *answer;

    if (!target && !limit)
        return tool_usage("unban: say whose bans to lift, a target or --limit NAME");
    if (tool->option[TOOL_SINCE] && !(seconds = tool_seconds("--since", tool->option[TOOL_SINCE])))
        return EX_USAGE;

    const struct parameter parameters[] = {{"target", target}, {"limit", limit}, {"since", seconds}, {NULL, NULL}};
    int status = tool_post(tool, "/unban", parameters, &answer);
    free(seconds);
    if (status != EX_OK)
        return status;
    const double lifted = field_number(answer, "lifted");
    if (lifted < 0)
        status = tool_unexpected("lifted");
    else if ((lifted < 1 && field_number(answer, "forgotten") < 1) || field_object(answer, "held_by"))
        status = TOOL_NO;
    if (lifted >= 0 && !tool->json)
        put_unbanned(&tool->screen, answer, target);
    json_decref(answer);
    return status;
}

int tool_reload(struct tool *tool)
{
    const struct question question = {.page = "/reload", .post = true, .patience_s = TOOL_RELOAD_PATIENCE_S};
    json_t *answer;

    int status = tool_ask(tool, &question, &answer);
    if (status != EX_OK)
        return status;
    if (!field_true(answer, "reloaded"))
        status = tool_unexpected("reloaded");
    if (!tool->json)
        tool_pass_on(answer);
    if (status == EX_OK && !tool->json)
        fputs("the new rules are in effect\n", tool->screen.out);
    json_decref(answer);
    return status;
}
