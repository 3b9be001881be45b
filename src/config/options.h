/*
 * options.h: what a configuration file may say, as tables.
 *
 * One row for each option and one for each section. The rows drive the mistake finder (scan.c), what libconfuse is told
 * (crosscheck.c), where a value goes (build.c, limits.c), the dump (dump.c) and the sample file's test. A new option is
 * a row here and, unless its value is a setting of the rules, a term of limits or an option of sockets, a line where
 * its section is read: build.c, globals.c, sockets.c, limits.c or lists.c.
 *
 * Everything here is constant; any thread.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/rules.h"

enum section_id {
    SECTION_TOP, /* the file itself */
    SECTION_MILTER,
    SECTION_POLICY,
    SECTION_HTTP,
    SECTION_CONTROL,
    SECTION_LISTENER,
    SECTION_LISTEN,
    SECTION_PEER,
    SECTION_PATHWAY_GROUP,
    SECTION_PATHWAY,
    SECTION_LIMIT,
    SECTION_KEY, /* of a limit */
    SECTION_DENY,
    SECTION_EXEMPT,
    SECTION_REPUTATION,
    SECTION_COUNT
};

/* The set of sections that has just this one. */
#define IN(section) (1u << (section))
#define ANYWHERE (~0u)

/* Every section that is a scope, the service included. */
#define IN_SCOPES                                                                                                 \
    (IN(SECTION_TOP) | IN(SECTION_LISTENER) | IN(SECTION_LISTEN) | IN(SECTION_PEER) | IN(SECTION_PATHWAY_GROUP) | \
     IN(SECTION_PATHWAY))

struct section_row {
    enum section_id id;
    const char *name;
    const char *alias;     /* another word for it, or NULL */
    unsigned where;        /* the sections it may stand in */
    const char *title;     /* what its title is, as in an example; NULL: it takes none */
    bool many;             /* may be repeated in one parent; a title never may */
    enum scope_kind scope; /* of the sections that are scopes */
    const char *text;      /* one line of documentation */
};

/* One name may be several options, in sections that differ. */
enum option_id {
    OPTION_SERVICE_MODE,
    OPTION_SERVICE_SESSIONS,
    OPTION_LISTENER_SESSIONS,
    OPTION_IDLE_TIME,
    OPTION_IDLE_ACTION,
    OPTION_SCORE_REFUSE,
    OPTION_REFUSE_AT,
    OPTION_REFUSE_PENDING,
    OPTION_DISCONNECT_DELAY,
    OPTION_MAX_DELAY,
    OPTION_MAX_WAITING,
    OPTION_CLIENT_IPV4_PREFIX,
    OPTION_CLIENT_IPV6_PREFIX,
    OPTION_SESSION_TABLE_SIZE,
    OPTION_TABLE_SIZE,
    OPTION_PID_FILE,
    OPTION_USER,
    OPTION_LOG_REFUSALS,
    OPTION_SOCKET,
    OPTION_POLICY_SOCKET,
    OPTION_HTTP_LISTEN,
    OPTION_CONTROL_SOCKET,
    OPTION_GROUP,
    OPTION_PERMISSIONS,
    OPTION_CONTROL_PERMISSIONS,
    OPTION_POLICY_SESSIONS,
    OPTION_CONNECTIONS,
    OPTION_BACKLOG,
    OPTION_NODELAY,
    OPTION_SEND_BUFFER,
    OPTION_RECEIVE_BUFFER,
    OPTION_REUSE_PORT,
    OPTION_REUSE_ADDRESS,
    OPTION_LINGER,
    OPTION_TTL,
    OPTION_TOS,
    OPTION_DAEMON_NAME,
    OPTION_PATHWAY,
    OPTION_LIMIT_COUNT,
    OPTION_LIMIT_PER,
    OPTION_MAX,
    OPTION_MAX_GOOD,
    OPTION_MAX_BAD,
    OPTION_MAX_AUTHENTICATED,
    OPTION_WINDOW,
    OPTION_LIMIT_MODE,
    OPTION_POINTS,
    OPTION_BAN,
    OPTION_SOFT,
    OPTION_ERROR_DELAY,
    OPTION_LIMIT_DISCONNECT_DELAY,
    OPTION_LIMIT_IPV4_PREFIX,
    OPTION_LIMIT_IPV6_PREFIX,
    OPTION_REPLY,
    OPTION_EXCEPT,
    OPTION_CLIENTS,
    OPTION_DOMAINS,
    OPTION_SENDERS,
    OPTION_USERS,
    OPTION_AUTHENTICATED,
    OPTION_FILE,
    OPTION_HALF_LIFE,
    OPTION_COUNT
};

enum option_type {
    TYPE_COUNT,       /* a whole number from min to max */
    TYPE_BITS,        /* the same, a prefix length */
    TYPE_DURATION,    /* min and max in nanoseconds */
    TYPE_BOOL,        /* yes or no */
    TYPE_WORD,        /* one of `words` */
    TYPE_PERMISSIONS, /* of a file, in octal */
    TYPE_NAME,        /* one word, fit for a log line */
    TYPE_PATH,        /* an absolute path */
    TYPE_FILE,        /* a path, relative to the directory of the configuration file */
    TYPE_SOCKET,      /* libmilter's notation */
    TYPE_TCP,         /* an address and a port */
    TYPE_UNIX,        /* the path of a unix socket */
    TYPE_REPLY,       /* what the client is told */
    TYPE_LIST,        /* addresses, CIDR blocks and names, as keys.h reads them */
};

/* Where a value goes. */
enum option_target {
    TO_SETTING, /* `number` is the enum setting of the scope that the section is */
    TO_TERM,    /* `number` is the enum limit_term of the limit or key that the section is; deny takes two of them */
    TO_GLOBAL,  /* `number` is the enum config_global */
    TO_SOCKET,  /* `number` is the enum socket_field */
    TO_BUILD,   /* build.c knows */
};

/* The options whose value is no part of the rules. */
enum config_global {
    GLOBAL_PID_FILE,
    GLOBAL_USER,
    GLOBAL_SESSION_TABLE_SIZE,
    GLOBAL_TABLE_SIZE,
    GLOBAL_MONITOR,
    GLOBAL_MAX_DELAY,
    GLOBAL_MAX_WAITING,
    GLOBAL_LOG_REFUSALS,
    GLOBAL_COUNT
};

/* What is said of a socket of ours. The first ones are those of struct socket_options, which the top level may say for
 * all sockets. */
enum socket_field {
    SOCKET_BACKLOG,
    SOCKET_NODELAY,
    SOCKET_SEND_BUFFER,
    SOCKET_RECEIVE_BUFFER,
    SOCKET_REUSE_PORT,
    SOCKET_REUSE_ADDRESS,
    SOCKET_LINGER,
    SOCKET_TTL,
    SOCKET_TOS,
    SOCKET_OPTION_COUNT,
    SOCKET_ADDRESS = SOCKET_OPTION_COUNT,
    SOCKET_GROUP,
    SOCKET_MODE,
    SOCKET_SESSIONS,
    SOCKET_CONNECTIONS,
    SOCKET_FIELD_COUNT
};

/* The sockets that an option is for. */
enum option_sockets { FOR_ALL_SOCKETS, FOR_UNIX_SOCKETS, FOR_TCP_SOCKETS };

struct option_row {
    enum option_id id;
    const char *name;
    enum option_type type;
    unsigned where;           /* the sections it may stand in */
    int64_t min, max;         /* of numbers and durations */
    const char *const *words; /* of TYPE_WORD, in the order of the enum that the value is; NULL ends them */
    const char *initial; /* its value at the top level, or in a socket's section, when not set; NULL: it has none */
    enum option_target target;
    int number;
    enum option_sockets sockets; /* of TO_SOCKET */
    bool needs_restart; /* a reload cannot change it; of TO_GLOBAL and TO_SOCKET alone: config_needs_restart() */
    const char *text;   /* one line of documentation */
};

extern const struct section_row section_table[SECTION_COUNT];
extern const struct option_row option_table[OPTION_COUNT];

/* The row of that name (or alias), in any letter case; NULL: there is none. */
const struct section_row *section_find(const char *name);

/* The first row of that name, in any letter case, that may stand in one of the sections of the set `where`; NULL: there
 * is none. In one section a name has one row at most. */
const struct option_row *option_find(const char *name, unsigned where);

/* All sections that an option of that name may stand in; 0: no option is called so. */
unsigned option_places(const char *name);

/* "the top level", or the section's name. */
const char *section_place(const struct section_row *section);

/* True when a list of values is written to that option, in braces. */
bool option_is_list(const struct option_row *option);

#endif
