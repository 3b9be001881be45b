/*
 * config.c: from a file to a configuration, and what is asked of one afterwards.
 */
#include "config/config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/build.h"
#include "config/crosscheck.h"
#include "config/file.h"
#include "config/scan.h"

static bool load_text(struct config *config, char *text, size_t size, struct config_messages *messages)
{
    struct scan *scan = config->scan;

    return scan_text(config->path, text, size, scan, messages) &&
           crosscheck_text(config->path, text, size, scan, messages) && build_config(config, scan, messages);
}

bool config_load(const char *path, struct config **out, struct config_messages *messages)
{
    struct config *config = calloc(1, sizeof *config);
    size_t size;
    char *text = NULL;
    bool done = false;

    *out = NULL;
    if (config != NULL) {
        config->path = strdup(path);
        config->scan = calloc(1, sizeof *config->scan);
    }
    if (config == NULL || config->path == NULL || config->scan == NULL)
        messages_error(messages, path, 0, "out of memory");
    else if (file_read(path, &text, &size, messages))
        done = load_text(config, text, size, messages);
    free(text);
    if (done)
        *out = config;
    else
        config_free(&config);
    return done;
}

void config_free(struct config **config)
{
    struct config *old = *config;

    if (old == NULL)
        return;
    config_trim(old);
    rules_free(&old->rules);
    free(old->path);
    free(old->milter_socket);
    free(old->milter_group);
    free(old->pid_file);
    free(old);
    *config = NULL;
}

struct rules *config_take_rules(struct config *config)
{
    struct rules *rules = config->rules;

    config->rules = NULL;
    return rules;
}

void config_trim(struct config *config)
{
    if (config->scan == NULL)
        return;
    scan_clear(config->scan);
    free(config->scan);
    config->scan = NULL;
}

/* Writes the message about `option`, and returns true. */
static bool tell_restart(char message[MESSAGE_SIZE], const struct config *next, enum config_global global,
                         const char *format, ...) MESSAGE_FORMAT(4, 5);

static bool tell_restart(char message[MESSAGE_SIZE], const struct config *next, enum config_global global,
                         const char *format, ...)
{
    unsigned line = next->line[global];
    va_list arguments;
    int length;

    length = line > 0 ? snprintf(message, MESSAGE_SIZE, "%s:%u: ", next->path, line)
                      : snprintf(message, MESSAGE_SIZE, "%s: ", next->path);
    va_start(arguments, format);
    if (length >= 0 && length < MESSAGE_SIZE)
        vsnprintf(message + length, MESSAGE_SIZE - (size_t)length, format, arguments);
    va_end(arguments);
    return true;
}

static bool differ(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

bool config_needs_restart(const struct config *running, const struct config *next, char message[MESSAGE_SIZE])
{
    message[0] = '\0';
    if (differ(running->milter_socket, next->milter_socket))
        return tell_restart(message, next, GLOBAL_MILTER_SOCKET,
                            "milter socket changes from \"%s\" to \"%s\": needs restart", running->milter_socket,
                            next->milter_socket);
    if (differ(running->milter_group, next->milter_group) || running->milter_gid != next->milter_gid)
        return tell_restart(message, next, GLOBAL_MILTER_GROUP,
                            "milter group changes from \"%s\" to \"%s\": needs restart",
                            running->milter_group != NULL ? running->milter_group : "",
                            next->milter_group != NULL ? next->milter_group : "");
    if (running->milter_mode != next->milter_mode)
        return tell_restart(message, next, GLOBAL_MILTER_MODE, "milter mode changes from %04o to %04o: needs restart",
                            (unsigned)running->milter_mode, (unsigned)next->milter_mode);
    if (differ(running->pid_file, next->pid_file))
        return tell_restart(message, next, GLOBAL_PID_FILE, "pid_file changes from \"%s\" to \"%s\": needs restart",
                            running->pid_file, next->pid_file);
    if (running->session_table_size != next->session_table_size)
        return tell_restart(message, next, GLOBAL_SESSION_TABLE_SIZE,
                            "session_table_size changes from %u to %u: needs restart", running->session_table_size,
                            next->session_table_size);
    return false;
}
