/*
 * config.c: from a file to a configuration, and what is asked of one afterwards.
 */
#include "config/config.h"

#include <stdio.h>
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

/* The value of an option that a reload cannot change, as a text. */
static const char *fixed_text(const struct config *config, enum config_global global, char room[16])
{
    switch (global) {
    case GLOBAL_MILTER_SOCKET:
        return config->milter_socket;
    case GLOBAL_MILTER_GROUP:
        return config->milter_group != NULL ? config->milter_group : "";
    case GLOBAL_MILTER_MODE:
        snprintf(room, 16, "%04o", (unsigned)config->milter_mode);
        return room;
    case GLOBAL_PID_FILE:
        return config->pid_file;
    case GLOBAL_SESSION_TABLE_SIZE:
        snprintf(room, 16, "%u", (unsigned)config->session_table_size);
        return room;
    case GLOBAL_TABLE_SIZE:
        snprintf(room, 16, "%u", (unsigned)config->table_size);
        return room;
    case GLOBAL_MONITOR:
    case GLOBAL_MAX_DELAY:
    case GLOBAL_MAX_WAITING:
    case GLOBAL_LOG_REFUSALS:
    case GLOBAL_COUNT:
    default:
        return "";
    }
}

bool config_needs_restart(const struct config *running, const struct config *next, char message[MESSAGE_SIZE])
{
    message[0] = '\0';
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &option_table[i];
        const char *old_text, *new_text;
        char old_room[16], new_room[16], line[16] = "";

        if (!option->needs_restart)
            continue;
        old_text = fixed_text(running, (enum config_global)option->number, old_room);
        new_text = fixed_text(next, (enum config_global)option->number, new_room);
        if (strcmp(old_text, new_text) == 0)
            continue;
        if (next->line[option->number] > 0)
            snprintf(line, sizeof line, ":%u", next->line[option->number]);
        snprintf(message, MESSAGE_SIZE, "%.300s%s: %s%s changes from \"%.200s\" to \"%.200s\": needs restart",
                 next->path, line, (option->where & IN(SECTION_MILTER)) != 0 ? "milter " : "", option->name, old_text,
                 new_text);
        return true;
    }
    return false;
}
