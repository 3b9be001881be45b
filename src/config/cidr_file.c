/*
 * cidr_file.c: a list of addresses and CIDR blocks in a file.
 */
#include "config/cidr_file.h"

#include <stdlib.h>
#include <string.h>

#include "config/file.h"
#include "config/values.h"

/* Cuts the comment and the blanks off a line, in place. */
static char *trim(char *line)
{
    char *end;

    line[strcspn(line, "#")] = '\0';
    line += strspn(line, " \t\r");
    end = line + strlen(line);
    while (end > line && strchr(" \t\r", end[-1]) != NULL)
        end--;
    *end = '\0';
    return line;
}

bool cidr_file_read(const char *path, cidr_file_each *each, void *context, struct config_messages *messages)
{
    char *text, *next;
    size_t size, errors = messages->errors;
    unsigned number = 0;

    if (!file_read(path, &text, &size, messages))
        return false;
    for (char *line = text; line < text + size && !messages_full(messages); line = next) {
        struct prefix prefix;
        char why[VALUE_WHY_SIZE];

        next = line + strcspn(line, "\n");
        *next++ = '\0';
        number++;
        line = trim(line);
        if (*line == '\0')
            continue;
        if (value_prefix(line, &prefix, why))
            each(context, &prefix, number);
        else
            messages_error(messages, path, number, "%s", why);
    }
    free(text);
    return messages->errors == errors;
}
