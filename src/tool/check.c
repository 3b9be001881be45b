/*
 * check.c: a configuration is checked as tidegated would, without one.
 */
#include <stdlib.h>

#include "config/config.h"
#include "tool/tool.h"

static int print_json(FILE *out, bool valid, const struct config_messages *messages)
{
    json_t *list = json_array();

    for (size_t i = 0; i < messages->count; i++) {
        char *text = text_print("%s%s", message_mark(&messages->list[i]), messages->list[i].text);
        json_t *value = json_string(text);
        /* A file may hold bytes that are no UTF-8, and a message may have been cut within a character. */
        if (!value) {
            for (char *byte = text; *byte; byte++)
                if ((unsigned char)*byte >= 0x80)
                    *byte = '?';
            value = json_string(text);
        }
        json_array_append_new(list, value);
        free(text);
    }
    json_t *json = json_pack("{s:b, s:o, s:I}", "valid", valid, "messages", list, "left_out",
                             (json_int_t)messages_left_out(messages));
    bool written = json && json_dumpf(json, out, JSON_ENSURE_ASCII) == 0;
    fputc('\n', out);
    json_decref(json);
    return written ? EX_OK : EX_IOERR;
}

static void print_messages(const struct config_messages *messages)
{
    for (size_t i = 0; i < messages->count; i++)
        tool_complain("%s%s", message_mark(&messages->list[i]), messages->list[i].text);
    if (messages_left_out(messages) > 0)
        tool_complain("and %zu more", messages_left_out(messages));
}

int tool_check(struct tool *tool)
{
    const char *file = tool->word_count > 0 ? tool->words[0] : tool->file;
    struct config_messages messages = {.count = 0};
    struct config *config;
    int status = EX_OK;

    bool valid = config_load(file, &config, &messages);
    if (tool->json) {
        status = print_json(tool->screen.out, valid, &messages);
    } else {
        print_messages(&messages);
        if (valid) {
            screen_say(&tool->screen, 0, "%s: the configuration is valid", file);
        }
    }
    messages_clear(&messages);
    config_free(&config);
    return status != EX_OK ? status : valid ? EX_OK : TOOL_NO;
}
