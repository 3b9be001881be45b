/*
 * restart.c: what a reload cannot change.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"

/* Writes what is told: "FILE:LINE: ...: needs restart", without LINE where it is 0. Always true. */
static bool tell(const struct config *next, unsigned line, char message[MESSAGE_SIZE], const char *format, ...)
    MESSAGE_FORMAT(4, 5);
static bool tell(const struct config *next, unsigned line, char message[MESSAGE_SIZE], const char *format, ...)
{
    char text[600], place[16] = "";
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (line > 0)
        snprintf(place, sizeof place, ":%u", line);
    snprintf(message, MESSAGE_SIZE, "%.300s%s: %s: needs restart", next->path, place, text);
    return true;
}

/* ---- the top level ---- */

/* The value of a global option that a reload cannot change, as a text. */
static const char *global_text(const struct config *config, enum config_global global, char room[16])
{
    switch (global) {
    case GLOBAL_PID_FILE:
        return config->pid_file;
    case GLOBAL_USER:
        return config->user != NULL ? config->user : "";
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

static bool globals_differ(const struct config *running, const struct config *next, char message[MESSAGE_SIZE])
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &option_table[i];
        const char *old_text, *new_text;
        char old_room[16], new_room[16];

        if (option->target != TO_GLOBAL || !option->needs_restart)
            continue;
        old_text = global_text(running, (enum config_global)option->number, old_room);
        new_text = global_text(next, (enum config_global)option->number, new_room);
        if (strcmp(old_text, new_text) != 0)
            return tell(next, next->line[option->number], message, "%s changes from \"%.200s\" to \"%.200s\"",
                        option->name, old_text, new_text);
    }
    return false;
}

/* ---- sockets ---- */

/* The socket of that section; `which` names it among those of its kind. */
static bool socket_differs(const struct config *next, enum section_id section, const char *which,
                           const struct socket_config *old_socket, const struct socket_config *new_socket,
                           char message[MESSAGE_SIZE])
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &option_table[i];
        const char *old_text, *new_text;
        char old_room[SOCKET_FIELD_TEXT_SIZE], new_room[SOCKET_FIELD_TEXT_SIZE];
        unsigned line;

        if (option->target != TO_SOCKET || (option->where & IN(section)) == 0 || !option->needs_restart)
            continue;
        old_text = socket_field_text(old_socket, option, old_room);
        new_text = socket_field_text(new_socket, option, new_room);
        if (strcmp(old_text, new_text) == 0)
            continue;
        line = new_socket->lines[option->number];
        return tell(next, line > 0 ? line : new_socket->line, message,
                    "%s%s%.100s %s changes from \"%.120s\" to \"%.120s\"", section_table[section].name,
                    which[0] != '\0' ? " " : "", which, option->name, old_text, new_text);
    }
    return false;
}

/* A section that may be missing: `socket` is NULL then. */
static bool optional_differs(const struct config *next, enum section_id section, const struct socket_config *old_socket,
                             const struct socket_config *new_socket, char message[MESSAGE_SIZE])
{
    if (old_socket->socket == NULL && new_socket->socket == NULL)
        return false;
    if (new_socket->socket == NULL)
        return tell(next, 0, message, "%s socket \"%.200s\" goes", section_table[section].name, old_socket->socket);
    if (old_socket->socket == NULL)
        return tell(next, new_socket->line, message, "%s socket \"%.200s\" is new", section_table[section].name,
                    new_socket->socket);
    return socket_differs(next, section, "", old_socket, new_socket, message);
}

/* Both lists are in the order of socket_compare(). */
static bool policies_differ(const struct config *running, const struct config *next, char message[MESSAGE_SIZE])
{
    for (size_t i = 0; i < running->policy_count || i < next->policy_count; i++) {
        const struct socket_config *old_policy = i < running->policy_count ? &running->policies[i] : NULL;
        const struct socket_config *new_policy = i < next->policy_count ? &next->policies[i] : NULL;
        int order = old_policy == NULL ? 1 : new_policy == NULL ? -1 : socket_compare(old_policy, new_policy);

        if (order < 0)
            return tell(next, 0, message, "policy socket \"%.200s\" goes", old_policy->socket);
        if (order > 0)
            return tell(next, new_policy->lines[SOCKET_ADDRESS], message, "policy socket \"%.200s\" is new",
                        new_policy->socket);
        if (socket_differs(next, SECTION_POLICY, new_policy->socket, old_policy, new_policy, message))
            return true;
    }
    return false;
}

bool config_needs_restart(const struct config *running, const struct config *next, char message[MESSAGE_SIZE])
{
    message[0] = '\0';
    return globals_differ(running, next, message) ||
           socket_differs(next, SECTION_MILTER, "", &running->milter, &next->milter, message) ||
           policies_differ(running, next, message) ||
           optional_differs(next, SECTION_HTTP, &running->http, &next->http, message) ||
           optional_differs(next, SECTION_CONTROL, &running->control, &next->control, message);
}
