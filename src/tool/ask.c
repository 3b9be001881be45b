/*
 * ask.c: the daemon is asked; what its answer means for how the command ends.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/values.h"
#include "tool/control_socket.h"
#include "tool/tool.h"

static void complain(const char *format, va_list arguments)
{
    char *text = text_print_list(format, arguments), *clean = text_clean(text);

    fprintf(stderr, "tidegate: %s\n", clean);
    free(clean);
    free(text);
}

void tool_complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
}

int tool_usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    return EX_USAGE;
}

char *tool_seconds(const char *what, const char *duration)
{
    char why[VALUE_WHY_SIZE];
    int64_t ns;

    if (value_duration(duration, INT64_C(1000000000), INT64_C(31536000) * 1000000000, &ns, why))
        return text_print("%" PRId64, ns / 1000000000);
    tool_complain("%s: %s", what, why);
    return NULL;
}

int tool_find_socket(struct tool *tool)
{
    if (!tool->socket)
        tool->socket = control_socket_find(tool->file, tool->file_given);
    return tool->socket ? EX_OK : EX_UNAVAILABLE;
}

int tool_unexpected(const char *missing)
{
    tool_complain("tidegated's answer has no \"%s\"; is it of another version?", missing);
    return EX_SOFTWARE;
}

int tool_judge_result(enum client_result result, const char *error)
{
    tool_complain("%s", error);
    return result == CLIENT_TOO_LONG ? EX_USAGE : result == CLIENT_BROKEN ? EX_SOFTWARE : EX_UNAVAILABLE;
}

void tool_pass_on(const json_t *answer)
{
    const json_t *messages = field_list(answer, "messages");
    double left_out = field_number(answer, "left_out");

    for (size_t i = 0; i < json_array_size(messages); i++) {
        const char *message = json_string_value(json_array_get(messages, i));
        tool_complain("%s", message ? message : "?");
    }
    if (left_out >= 1)
        tool_complain("and %.0f more", left_out);
}

/* What an answer other than 200 means: complains, and returns what to exit with. */
static int judge_refusal(long status, const json_t *answer)
{
    tool_pass_on(answer);
    if (*field_text(answer, "error"))
        tool_complain("%s", field_text(answer, "error"));
    else
        tool_complain("tidegated answered with HTTP status %ld", status);
    switch (status) {
    case 400:
    case 413:
        return EX_USAGE;
    case 409:
    case 503:
        return EX_TEMPFAIL;
    default:
        return EX_SOFTWARE;
    }
}

/* With --json the answer is printed as it is, if it is JSON at all; a line end is added where it lacks one. */
static void print_answer(const struct tool *tool, const struct answer *answer)
{
    fwrite(answer->body, 1, answer->size, tool->screen.out);
    if (answer->size > 0 && answer->body[answer->size - 1] != '\n')
        fputc('\n', tool->screen.out);
}

int tool_judge_answer(const struct tool *tool, const struct answer *answer, json_t **out)
{
    json_error_t where;
    json_t *json = json_loadb(answer->body, answer->size, JSON_REJECT_DUPLICATES, &where);
    int status = EX_OK;

    *out = NULL;
    if (tool->json && json_is_object(json))
        print_answer(tool, answer);
    if (answer->status != 200) {
        status = judge_refusal(answer->status, json);
    } else if (!json_is_object(json)) {
        tool_complain("tidegated's answer is no JSON object: %s", where.text);
        status = EX_SOFTWARE;
    }
    if (status == EX_OK)
        *out = json;
    else
        json_decref(json);
    return status;
}

int tool_ask(struct tool *tool, const struct question *question, json_t **out)
{
    char error[CLIENT_ERROR_SIZE];
    struct answer answer;

    *out = NULL;
    int status = tool_find_socket(tool);
    if (status != EX_OK)
        return status;
    struct client *client = client_new(tool->socket);
    if (!client) {
        tool_complain("libcurl does not work");
        return EX_SOFTWARE;
    }
    enum client_result result = client_ask(client, question, &answer, error);
    client_free(&client);
    if (result != CLIENT_ANSWERED)
        return tool_judge_result(result, error);
    status = tool_judge_answer(tool, &answer, out);
    free(answer.body);
    return status;
}

int tool_get(struct tool *tool, const char *page, const struct parameter *parameters, json_t **out)
{
    const struct question question = {.page = page, .parameters = parameters, .patience_s = TOOL_PATIENCE_S};

    return tool_ask(tool, &question, out);
}

int tool_post(struct tool *tool, const char *page, const struct parameter *parameters, json_t **out)
{
    const struct question question = {
        .page = page, .post = true, .parameters = parameters, .patience_s = TOOL_PATIENCE_S};

    return tool_ask(tool, &question, out);
}

const char *field_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

double field_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_number(value) ? json_number_value(value) : -1;
}

bool field_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

const json_t *field_list(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_array(value) ? value : NULL; /* without elements to all that jansson does with it */
}

const json_t *field_object(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_object(value) ? value : NULL;
}

char *field_place(const json_t *object)
{
    double line = field_number(object, "line");

    return line >= 1 ? text_print(" (%s:%.0f)", field_text(object, "file"), line) : text_copy("");
}
