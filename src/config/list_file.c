/*
 * list_file.c: a list in a file of its own.
 */
#include "config/list_file.h"

#include <stdlib.h>
#include <string.h>

#include "config/file.h"

char *list_file_path(const char *config_path, const char *file)
{
    const char *slash = strrchr(config_path, '/');
    size_t length = file[0] == '/' || slash == NULL ? 0 : (size_t)(slash - config_path) + 1;
    char *path = malloc(length + strlen(file) + 1);

    if (path == NULL)
        return NULL;
    memcpy(path, config_path, length);
    strcpy(path + length, file);
    return path;
}

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

static void read_lines(const char *path, list_file_each *each, void *context, size_t *count,
                       struct config_messages *messages)
{
    char *text, *next;
    size_t size;
    unsigned number = 0;

    if (!file_read(path, &text, &size, messages))
        return;
    for (char *line = text; line < text + size && !messages_full(messages); line = next) {
        char why[VALUE_WHY_SIZE];

        next = line + strcspn(line, "\n");
        *next++ = '\0';
        number++;
        line = trim(line);
        if (*line == '\0')
            continue;
        if (each(context, line, path, number, why))
            ++*count;
        else
            messages_error(messages, path, number, "%s", why);
    }
    free(text);
}

bool list_file_read(const char *config_path, const struct entry *option, list_file_each *each, void *context,
                    size_t *count, struct config_messages *messages)
{
    size_t errors = messages->errors;
    const char *file = option->values->text;
    char *path;

    *count = 0;
    if (file[0] == '\0') {
        messages_error(messages, config_path, option->line, "file: the path is empty; write one");
        return false;
    }
    path = list_file_path(config_path, file);
    if (path == NULL) {
        messages_error(messages, config_path, option->line, "out of memory");
        return false;
    }
    read_lines(path, each, context, count, messages);
    if (messages->errors > errors)
        messages_error(messages, config_path, option->line, "file: \"%.200s\" has mistakes (%zu); repair it", path,
                       messages->errors - errors);
    free(path);
    return messages->errors == errors;
}
