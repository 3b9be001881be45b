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
    /* Who has authenticated, for whom max_authenticated, keys of users and lists of users hold; NULL: nobody. The one
     * at PER_USER is only counted. */
    const char *user;
};

/* When somebody at a cap gets in again, if nothing else happens. */
enum explain_next {
    NEXT_NOW,      /* there is room */
    NEXT_AT,       /* in next_ns */
    NEXT_ON_CLOSE, /* when an open session ends, and not before next_ns */
    NEXT_SESSION,  /* in another session or message: it counts within one */
    NEXT_NEVER,    /* as long as the configuration stays */
};

struct admission {
    enum explain_next when;
    int64_t ns; /* of NEXT_AT */
};

/* One limit (a cap, a list, a ban of an administrator, the score) and somebody. */
struct explanation {
    enum limit_id limit; /* LIMIT_NONE: the exempt list, whose name is "exempt" */
    char name[LIMIT_NAME_SIZE];
    char scope[SCOPE_NAME_SIZE]; /* whose counter it is */
    scope_id scope_number;       /* that scope's number, until the next reload */
    unsigned line;               /* of the configuration that says the maximum, or the list; 0: the default */
    enum limit_term term;        /* which of the maxima it is */
    enum limit_mode mode;        /* MODE_BLOCK becomes MODE_MONITOR where everything is only monitored */
    enum limit_count count_of;   /* what is counted, COUNT_KINDS: nothing (lists, bans), or points (the score) */
    enum limit_per per;          /* per whom, PER_KINDS: nobody in particular (caps, the score) */
    int64_t window_ns;           /* in how long; 0: what is open, or within one session or message */
    struct prefix client;        /* whom: the client; family ADDR_NONE: it is not per client */
    char key[KEY_TEXT_SIZE];     /* whom else; of lists the entry that holds it, "": whoever has authenticated */
    uint32_t count, max;         /* what is counted now; max 0: no limit for that key (key, except, exempt) */
    bool exempt;                 /* it does not apply, as the exempt list or `except` spares this one */
    bool banned;                 /* by the limit itself */
    int64_t ban_left_ns;
    bool at_connect; /* it would refuse a connection, not only a later command; of what is counted later, its ban alone
                        does, for ban_left_ns */
    bool keeps_out;  /* it refuses what is asked about: a connection or, where more than the client and its host name
                        is asked about, what it would say */
    enum explain_next next;
    int64_t next_ns;       /* 0 or more */
    struct admission over; /* when it keeps nobody out any more: `next`, or of a ban that alone does, its end */
};

/* Whether it would refuse the subject now, whatever else there is. */
static inline bool explanation_refuses(const struct explanation *one)
{
    return one->mode == MODE_BLOCK && !one->exempt && one->next != NEXT_NOW && one->next != NEXT_SESSION;
}

/* A question under way, for its asker to keep: all 0, but for the subject and `room`. Too large for a stack. */
#define EXPLAIN_ROOM 500
#define EXPLAIN_SEEN 32768 /* a power of two */
struct explain_walk {
    struct explain_subject subject; /* what it points to stays until the end */
    uint32_t room;                  /* at most so many are told, 1 to EXPLAIN_ROOM */
    uint32_t told;                  /* so many are: explain_told() */
    uint32_t left_out;              /* there was no room for so many */
    /* From here on the engine's own. */
    uint32_t next_place;
    struct {
        uint8_t rank;
        bool keeps_out;
        uint16_t at; /* in `list` */
    } order[EXPLAIN_ROOM];
    struct explanation list[EXPLAIN_ROOM];
    uint32_t seen_count;
    uint64_t seen[EXPLAIN_SEEN]; /* hashes of what was told or left out; 0: none */
};

/* The explanations in the order in which they are judged (of several places: lists, limits by number, caps, the score),
 * 0 to `told`. */
static inline const struct explanation *explain_told(const struct explain_walk *walk, uint32_t number)
{
    return &walk->list[walk->order[number].at];
}

/*
 * Tells what concerns the subject at the next places where it may come in, about ENGINE_BATCH limits in all, and
 * returns true when that was the last: call it again until then. The engine's lock may be let go between, but no reload
 * finish. Nothing changes.
 *
 * Every place of the configuration is looked at where the subject is `anywhere`; a counter that is reached from several
 * is told once, and counted once in `left_out` (unless there are more than three quarters of EXPLAIN_SEEN, or what it
 * says changes meanwhile). What keeps the subject out takes the room of what does not, so that the first that does is
 * always told; else what is judged last is left out.
 *
 * Of several bans of administrators that hold it each is told, the narrowest first; their next_ns is when all are over.
 * What a name says of itself (a sender, a HELO) is judged with its own command. Without a client the number of its
 * networks is told as for one that comes from a new network. Whether a session has points before is not known: the
 * score is that of what is told here. After a reload has changed a limit's window, `next` may come a little later than
 * the first time at which there is room.
 */
bool engine_explain(const struct engine *engine, struct explain_walk *walk, int64_t now);

/* The client that an address belongs to: the address itself, or a block around it. */
struct prefix engine_client(const struct engine *engine, const struct addr *addr);

/* False when the configuration names where sessions come in, but not where the subject does, to which therefore applies
 * what is said of the whole service alone. */
bool engine_place_known(const struct engine *engine, const struct explain_subject *subject);

/* One value that applies to a session, or what decides before any value does, and where it is said. */
struct evaluation {
    enum { EVALUATED_LIST, EVALUATED_SETTING, EVALUATED_CAP, EVALUATED_TERM } what;
    enum setting setting;        /* EVALUATED_SETTING */
    char limit[LIMIT_NAME_SIZE]; /* EVALUATED_TERM; EVALUATED_CAP: service_sessions or listener_sessions;
                                    EVALUATED_LIST: ban (an administrator's), deny or exempt */
    enum limit_term term;        /* EVALUATED_TERM */
    enum limit_mode mode;        /* EVALUATED_TERM: what the limit does, as in struct explanation; EVALUATED_LIST: what
                                    ban or deny does, MODE_OFF for exempt */
    int64_t value;               /* as enum setting or enum limit_term has it; a cap in sessions; the points of deny in
                                    MODE_SCORE */
    char text[SCOPE_NAME_SIZE]; /* SETTING_PATHWAY: its title; EVALUATED_LIST: the entry, or the block that is banned */
    char scope[SCOPE_NAME_SIZE]; /* that says it, "service" for a default; of a cap the one that it holds for */
    unsigned line;               /* of the configuration; 0: the default */
};

/*
 * What applies to a session of that subject, whose place is given: first what is decided as it connects, before any
 * limit is looked at: the narrowest ban that holds its client, then the entry of deny or exempt, an exempt client being
 * one to which nothing else applies. Lists and bans of names are judged from MAIL on, and not told. Then its caps, the
 * narrowest first, with their scope; then the settings, without SETTING_PATHWAY where it takes none; then the terms of
 * each limit that applies, but those that do not matter to it and, without a value, those that may have none. A maximum
 * is that of the limit's key or exceptions where they name the client or its host. At most `room`; returns how many
 * there are.
 */
size_t engine_evaluate(const struct engine *engine, const struct explain_subject *subject, int64_t now,
                       struct evaluation *out, size_t room);

#endif
