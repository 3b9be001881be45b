/*
 * config.h: a configuration file becomes a rule set and a few global values.
 *
 * A file is read once, checked by our own scan (scan.h), parsed by libconfuse, and what both found is compared; only
 * then are values read and the rules built. Nothing is printed here but by config_dump().
 *
 * Threads: libconfuse has global state, so one config_load() at a time in a process. A loaded configuration does not
 * change, except by config_take_rules() and config_trim(), and may be read by any thread.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "config/messages.h"
#include "config/options.h"
#include "config/sockets.h"
#include "config/values.h"
#include "engine/rules.h"

#define CONFIG_DEFAULT_PATH "/etc/tidegate/tidegate.conf"

struct scan; /* the blocks of the file, for config_dump() */

struct config {
    char *path; /* the file, as the caller named it */

    struct socket_config milter;
    struct socket_config *policies; /* in the order of socket_compare(); NULL without a policy section */
    size_t policy_count;
    struct socket_config http, control; /* `socket` NULL: there is no such section, and no such socket */
    char *pid_file;
    char *user;                  /* whom the daemon becomes; NULL: it stays who it is */
    uid_t uid;                   /* of `user` */
    gid_t gid;                   /* likewise, the first of its groups */
    uint32_t session_table_size; /* records, 1 to ENGINE_SESSIONS_MAX */
    uint32_t table_size;         /* records, 1 to ENGINE_TABLE_MAX */
    uint32_t max_waiting;        /* callbacks that may wait at once, 0 to 10000 */
    int64_t max_delay_ns;        /* all delays of one callback together, 0 to 29 s */
    bool log_refusals;
    bool monitor;                /* the whole service is a dry run; the rules know it too */
    bool idle_time;              /* some scope limits how long its sessions may be silent, */
    unsigned idle_disconnect;    /* and some scope wants the connection of such a session ended: the first line that
                                    says so; 0: none does */
    unsigned line[GLOBAL_COUNT]; /* where each was set; 0: nowhere, it is the default */

    struct rules *rules; /* NULL once taken */
    struct scan *scan;   /* NULL once trimmed */
};

/* Somebody may look at what goes on. */
static inline bool config_is_watched(const struct config *config)
{
    return config->http.socket || config->control.socket;
}

/*
 * Reads, checks and builds. On success true and a configuration in *out that the caller frees with config_free(); there
 * may be warnings in `messages`. On failure false, *out is NULL and `messages` has at least one error: as many as
 * one pass can see, each with FILE:LINE. `messages` is added to, so start with an empty one, and clear it afterwards.
 *
 * The `file` of a peer or a list is looked for in the directory of `path`. A caller that changes its directory gives an
 * absolute path.
 */
bool config_load(const char *path, struct config **out, struct config_messages *messages);

/* Frees the configuration, with its rules if they are still there, and sets the caller's pointer to NULL. */
void config_free(struct config **config);

/* Hands over the rules, for engine_new() or engine_reload_begin(): the caller owns them now. NULL the second time. */
struct rules *config_take_rules(struct config *config);

/* The path of the first file that loading it again would read and that cannot be opened now: the configuration itself
 * or one of a list; the caller frees it, and errno says why. NULL: there is none, or memory is short. */
char *config_unreadable(const struct config *config);

/* Frees what only config_dump() and config_unreadable() need. config_needs_restart() still works. */
void config_trim(struct config *config);

/*
 * Which option differs between the running configuration and the next one that only a restart can change (those with
 * needs_restart in options.c). True when there is one; `message` then names the first, as "FILE:LINE: OPTION ... needs
 * restart", without LINE where the next file does not set it. False when `next` can take over by a reload; `message` is
 * then empty, and the policies of both are the same, in the same order, but for their `sessions`.
 */
bool config_needs_restart(const struct config *running, const struct config *next, char message[MESSAGE_SIZE]);

/* Writes the effective configuration: every option of the top level and of milter and policy sections, defaults
 * filled in, and of other blocks what is set there; values in their normal form, paths absolute. It loads again to the
 * same rules. Not after config_trim(). Returns false when writing failed. */
bool config_dump(const struct config *config, FILE *out);

#endif
