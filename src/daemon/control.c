/*
 * control.c: what the pages share.
 */
#include "daemon/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *control_error(int *status, int code, const char *format, ...)
{
    char text[600];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    *status = code;
    return json_pack("{s:o}", "error", control_text(text));
}

/* Adds to the list of names as much as there is room for. */
static void add_name(char *list, size_t size, const char *name)
{
    size_t length = strlen(list);

    snprintf(list + length, size - length, "%s%s", length > 0 ? ", " : "", name);
}

static bool is_given_later(const struct evkeyval *parameter)
{
    const struct evkeyval *later = parameter->next.tqe_next;

    while (later && evutil_ascii_strcasecmp(later->key, parameter->key) != 0)
        later = later->next.tqe_next;
    return later != NULL;
}

bool control_known(const struct evkeyvalq *parameters, const char *const names[], json_t **error, int *status)
{
    const struct evkeyval *parameter;
    char list[400] = "";

    for (size_t i = 0; names[i]; i++)
        add_name(list, sizeof list, names[i]);
    for (parameter = parameters->tqh_first; parameter; parameter = parameter->next.tqe_next) {
        bool known = false;

        for (size_t i = 0; names[i] && !known; i++)
            known = evutil_ascii_strcasecmp(parameter->key, names[i]) == 0;
        if (known && !is_given_later(parameter))
            continue;
        if (known) {
            *error = control_error(status, 400, "parameter \"%.60s\" is given twice; give it once", parameter->key);
            return false;
        }
        *error = control_error(status, 400, "parameter \"%.60s\" is unknown here; %s%s", parameter->key,
                               list[0] ? "there are: " : "this page takes none", list);
        return false;
    }
    return true;
}

/* A whole number from 1 on; false when it is none. */
static bool read_number(const char *text, int64_t max, int64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    int64_t number = 0;

    if (digits == 0 || digits > 9 || text[digits] != '\0')
        return false;
    for (; *text; text++)
        number = number * 10 + (*text - '0');
    *out = number;
    return number >= 1 && number <= max;
}

bool control_number(const struct evkeyvalq *parameters, const char *name, const char *unit, int64_t max, int64_t *out,
                    json_t **error, int *status)
{
    const char *text = control_parameter(parameters, name);

    if (!text || read_number(text, max, out))
        return true;
    *error = control_error(status, 400, "%s is \"%.60s\"; give a whole number%s from 1 to %lld", name, text, unit,
                           (long long)max);
    return false;
}

/* The length of the UTF-8 sequence that `text` begins with; 0: it begins with none. */
static size_t sequence_length(const unsigned char *text)
{
    static const struct {
        unsigned char first, last, low, high; /* of the first byte, and of the second */
        size_t length;
    } forms[] = {{0x01, 0x7f, 0, 0xff, 1},    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                 {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                 {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last)
            continue;
        if (text[1] < forms[i].low || text[1] > forms[i].high)
            return 0;
        for (size_t more = 2; more < forms[i].length; more++)
            if ((text[more] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

void control_clean(char *text)
{
    for (size_t length; *text; text += length) {
        length = sequence_length((unsigned char *)text);
        if (length == 0) {
            *text = '?';
            length = 1;
        }
    }
}

json_t *control_text(const char *text)
{
    json_t *string;
    char *copy;

    if (!text || !text[0])
        return json_null();
    string = json_string(text);
    if (string)
        return string;
    copy = strdup(text);
    if (copy)
        control_clean(copy);
    string = copy ? json_string(copy) : NULL;
    free(copy);
    return string;
}
