/*
 * globals.c: the values that are no part of the rules.
 */
#include "config/globals.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>

/* After so long Sendmail does as if the filter were down. */
#define SENDMAIL_PATIENCE_NS (10 * INT64_C(1000000000))

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

static bool read_user(struct globals *globals, const char *text, char why[VALUE_WHY_SIZE])
{
    const struct passwd *user;

    if (!value_name(text, why))
        return false;
    errno = 0;
    user = getpwnam(text);
    if (user == NULL)
        return value_refuse(
            why,
            "there is no user \"%.60s\"%s%.60s; create it (contrib/systemd/tidegate.sysusers is how), or "
            "name one of /etc/passwd",
            text, errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
    if (user->pw_uid == 0)
        return value_refuse(why, "user is there to give up root's rights, and \"%.60s\" is root; name another user",
                            text);
    globals->config->uid = user->pw_uid;
    globals->config->gid = user->pw_gid;
    keep_text(globals, &globals->config->user, text);
    return true;
}

/* Gives a global option its value; `line` is 0 for the default. */
static void set_global(struct globals *globals, const struct option_row *option, const char *text, unsigned line)
{
    struct config *config = globals->config;
    char why[VALUE_WHY_SIZE];
    int64_t number;
    bool good;

    config->line[option->number] = line;
    switch ((enum config_global)option->number) {
    case GLOBAL_PID_FILE:
        good = value_path(text, why);
        if (good)
            keep_text(globals, &config->pid_file, text);
        break;
    case GLOBAL_USER:
        good = read_user(globals, text, why);
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

/* Values that are in order and yet hardly meant. */
static void warn_of_globals(const struct globals *globals)
{
    const struct entry *delay = block_entry(globals->scan->top, OPTION_MAX_DELAY);

    if (delay != NULL && globals->config->max_delay_ns >= SENDMAIL_PATIENCE_NS)
        messages_warning(globals->messages, globals->config->path, delay->line,
                         "max_delay: Sendmail gives up on a filter after 10 s; write less if it is the mail server");
}

void globals_set(struct config *config, const struct scan *scan, struct config_messages *messages)
{
    struct globals globals = {.config = config, .scan = scan, .messages = messages};

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &option_table[i];
        const struct entry *entry;

        if (option->target != TO_GLOBAL)
            continue;
        entry = block_entry(scan->top, option->id);
        if (entry != NULL)
            set_global(&globals, option, entry->values->text, entry->line);
        else if (option->initial != NULL)
            set_global(&globals, option, option->initial, 0);
    }
    warn_of_globals(&globals);
}
