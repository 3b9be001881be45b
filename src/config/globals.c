/*
 * globals.c: the values that are no part of the rules.
 */
#include "config/globals.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After so long Sendmail does as if the filter were down. */
#define SENDMAIL_PATIENCE_NS (10 * INT64_C(1000000000))

#define WRITABLE_BY_OTHERS 0002

struct globals {
    struct config *config;
    const struct scan *scan;
    struct config_messages *messages;
};

#define TELL(globals, line, ...) messages_error((globals)->messages, (globals)->config->path, line, __VA_ARGS__)

/* Makes *field a copy of `text`. */
static void keep_text(struct globals *globals, char **field, const char *text)
{
    *field = strdup(text);
    if (*field == NULL)
        TELL(globals, 0, "out of memory");
}

static bool read_group(struct config *config, const char *text, char why[VALUE_WHY_SIZE])
{
    const struct group *group;

    if (!value_name(text, why))
        return false;
    errno = 0;
    group = getgrnam(text);
    if (group == NULL) {
        snprintf(why, VALUE_WHY_SIZE, "there is no group \"%.60s\"%s%.60s; create it, or name one of /etc/group", text,
                 errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
        return false;
    }
    config->milter_gid = group->gr_gid;
    return true;
}

/* Gives a global option its value; `line` is 0 for the default. */
static void set_global(struct globals *globals, const struct option_row *option, const char *text, unsigned line)
{
    struct config *config = globals->config;
    char why[VALUE_WHY_SIZE];
    int64_t number;
    unsigned mode;
    bool good;

    config->line[option->number] = line;
    switch ((enum config_global)option->number) {
    case GLOBAL_MILTER_SOCKET:
        good = value_socket(text, &config->milter_address, why);
        if (good)
            keep_text(globals, &config->milter_socket, text);
        break;
    case GLOBAL_MILTER_GROUP:
        good = read_group(config, text, why);
        if (good)
            keep_text(globals, &config->milter_group, text);
        break;
    case GLOBAL_MILTER_MODE:
        good = value_permissions(text, &mode, why);
        if (good)
            config->milter_mode = (mode_t)mode;
        break;
    case GLOBAL_PID_FILE:
        good = value_path(text, why);
        if (good)
            keep_text(globals, &config->pid_file, text);
        break;
    case GLOBAL_SESSION_TABLE_SIZE:
        good = value_count(text, option->min, option->max, &number, why);
        if (good)
            config->session_table_size = (uint32_t)number;
        break;
    case GLOBAL_TABLE_SIZE:
        good = value_count(text, option->min, option->max, &number, why);
        if (good)
            config->table_size = (uint32_t)number;
        break;
    case GLOBAL_MONITOR:
        good = value_number(option, text, &number, why);
        if (good)
            config->monitor = number == 1;
        break;
    case GLOBAL_MAX_WAITING:
        good = value_count(text, option->min, option->max, &number, why);
        if (good)
            config->max_waiting = (uint32_t)number;
        break;
    case GLOBAL_MAX_DELAY:
        good = value_duration(text, option->min, option->max, &number, why);
        if (good)
            config->max_delay_ns = number;
        break;
    case GLOBAL_LOG_REFUSALS:
        good = value_bool(text, &config->log_refusals, why);
        break;
    case GLOBAL_COUNT:
    default:
        good = true;
    }
    if (!good)
        TELL(globals, line, "%s: %s", option->name, why);
}

static const struct block *find_milter(const struct globals *globals)
{
    for (const struct block *block = globals->scan->top->blocks; block != NULL; block = block->next)
        if (block->section->id == SECTION_MILTER)
            return block;
    return NULL;
}

/* Where a global option is set; NULL: nowhere. */
static const struct entry *find_global(const struct globals *globals, const struct option_row *option)
{
    const struct block *milter = find_milter(globals);

    if ((option->where & IN(SECTION_MILTER)) == 0)
        return block_entry(globals->scan->top, option->id);
    return milter != NULL ? block_entry(milter, option->id) : NULL;
}

/* Values that are in order and yet hardly meant. */
static void warn_of_globals(const struct globals *globals)
{
    const struct config *config = globals->config;
    const struct entry *delay = find_global(globals, &option_table[OPTION_MAX_DELAY]);
    const struct entry *socket = find_global(globals, &option_table[OPTION_SOCKET]);

    if (delay != NULL && config->max_delay_ns >= SENDMAIL_PATIENCE_NS)
        messages_warning(globals->messages, config->path, delay->line,
                         "max_delay: Sendmail gives up on a filter after 10 s; write less if it is the mail server");
    if (config->milter_socket != NULL && config->milter_address.kind == SOCKET_UNIX && config->milter_group == NULL &&
        (config->milter_mode & WRITABLE_BY_OTHERS) == 0)
        messages_warning(globals->messages, config->path, socket->line,
                         "socket: without group = \"GROUP\" only processes of this daemon's own group can connect");
}

void globals_set(struct config *config, const struct scan *scan, struct config_messages *messages)
{
    struct globals globals = {.config = config, .scan = scan, .messages = messages};
    static const enum option_id of_unix[] = {OPTION_GROUP, OPTION_PERMISSIONS};

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &option_table[i];
        const struct entry *entry;

        if (option->target != TO_GLOBAL)
            continue;
        entry = find_global(&globals, option);
        if (entry != NULL)
            set_global(&globals, option, entry->values->text, entry->line);
        else if (option->initial != NULL)
            set_global(&globals, option, option->initial, 0);
    }
    warn_of_globals(&globals);
    if (config->milter_socket == NULL || config->milter_address.kind == SOCKET_UNIX)
        return;
    for (size_t i = 0; i < sizeof of_unix / sizeof of_unix[0]; i++) {
        const struct entry *entry = find_global(&globals, &option_table[of_unix[i]]);

        if (entry != NULL)
            TELL(&globals, entry->line,
                 "%s is for a unix socket, and the socket is \"%.100s\"; remove it, or write socket "
                 "= \"unix:/run/tidegate/milter.sock\"",
                 entry->option->name, config->milter_socket);
    }
}
