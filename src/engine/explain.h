/*
 * explain.h: what the rules and counters say of somebody, without an event and without leaving a trace: why a client
 * was refused, what applies to it, and when it may come again.
 *
 * Threads: as engine.h.
 */
#ifndef ENGINE_EXPLAIN_H
#define ENGINE_EXPLAIN_H

#include "engine.h"

/* Who is asked about. */
struct explain_subject {
    struct addr client; /* ADDR_NONE: no client in particular */
    /* Where it comes in, as struct connect_event has it. With `anywhere` nothing is known of that, and every place of
     * the configuration is looked at. */
    bool anywhere;
    struct addr local;
    uint16_t local_port;
    const char *daemon_name;
    /* Names in normal form by what limits count, NULL: none. A sender is at PER_SENDER and PER_SENDER_DOMAIN, and so
     * on: the caller takes them apart. PER_CLIENT_DOMAIN is the host name that keys and exceptions are compared with,
     * and client_domain its registrable part, which is counted. */
    const char *name[PER_KINDS];
    const char *client_domain;
};

/* When somebody at a cap gets in again, if nothing else happens. */
enum explain_next {
    NEXT_NOW,      /* there is room */
    NEXT_AT,       /* in next_ns */
    NEXT_ON_CLOSE, /* when an open session ends */
    NEXT_SESSION,  /* in another session or message: it counts within one */
    NEXT_NEVER,    /* as long as the configuration stays */
};

/* One limit (a cap, a list, a ban of an administrator) and somebody. */
struct explanation {
    enum limit_id limit;
    char name[LIMIT_NAME_SIZE];
    char scope[SCOPE_NAME_SIZE]; /* whose counter it is */
    unsigned line;               /* of the configuration that says the maximum, or the list; 0: the default */
    enum limit_mode mode;        /* MODE_BLOCK becomes MODE_MONITOR where everything is only monitored */
    enum limit_count count_of;   /* what is counted, */
    enum limit_per per;          /* per whom, */
    int64_t window_ns;           /* in how long; 0: what is open, or within one session or message */
    struct prefix client;        /* whom: the client; family ADDR_NONE: it is not per client */
    char key[KEY_TEXT_SIZE];     /* whom else; of lists the entry that holds it */
    uint32_t count, max;         /* max 0: no limit for that key (key, except, exempt) */
    bool exempt;                 /* it does not apply, as the exempt list or `except` spares this one */
    bool banned;
    int64_t ban_left_ns;
    enum explain_next next;
    int64_t next_ns;
};

/* Everything that concerns the subject, in the order in which it is judged, at most `room`, and returns how many there
 * are (more than `room`: the rest was left out). An exempt list that holds it is one too (LIMIT_NONE, name "exempt").
 * Nothing changes. Looks at every listen of the configuration where the subject is `anywhere`, but no more than
 * ENGINE_BATCH of them. */
size_t engine_explain(const struct engine *engine, const struct explain_subject *subject, int64_t now,
                      struct explanation *out, size_t room);

/* One value that applies to a session, and where it is said. */
struct evaluation {
    enum { EVALUATED_SETTING, EVALUATED_CAP, EVALUATED_TERM } what;
    enum setting setting;        /* EVALUATED_SETTING */
    char limit[LIMIT_NAME_SIZE]; /* EVALUATED_TERM; EVALUATED_CAP: service_sessions or listener_sessions */
    enum limit_term term;        /* EVALUATED_TERM */
    int64_t value;               /* as enum setting or enum limit_term has it; a cap in sessions */
    char scope[SCOPE_NAME_SIZE]; /* that says it */
    unsigned line;               /* of the configuration; 0: the default */
};

/* What applies to a session of that subject, whose place is given: first its caps, the narrowest first, with their
 * scope; then the settings; then the terms of each limit that applies. At most `room`; returns how many there are. */
size_t engine_evaluate(const struct engine *engine, const struct explain_subject *subject, struct evaluation *out,
                       size_t room);

#endif
