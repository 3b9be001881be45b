/*
 * state.h: what the engine knows, and what its files share. For those of the engine that judge, count and remember.
 */
#ifndef ENGINE_STATE_H
#define ENGINE_STATE_H

#include "crossing.h"
#include "engine.h"
#include "key_texts.h"
#include "operator_bans.h"
#include "request.h"
#include "table.h"
#include "tally.h"
#include "terms.h"

enum session_state { SESSION_FREE, SESSION_IN, SESSION_PENDING };

/* Who sees to it that a session's slots are given back. */
enum session_hold {
    HELD_BY_DOOR,  /* engine_close() */
    HELD_RESERVED, /* time, unless a door claims it */
    HELD_WATCHED,  /* engine_watch_missing() */
    HELD_NOTHING,  /* it has none */
    HOLDS
};

/* A session holds its client's records, so that they are not evicted under it: so many at most, more are rare. */
#define SESSION_PINS 8

/* What a door that only asks has said of the session before. */
struct told {
    uint64_t helo, message, sender, recipient; /* hashes of the last ones; 0: none, of a message: one without a name */
    uint64_t cookie;                           /* of its connection, as first told; 0: unknown */
    int64_t connected;                         /* when that was asked first */
    uint32_t recipients; /* of this message: so many were admitted, one by one or by their number */
    bool past_connect;
    bool scored; /* the message's score was handed on */
};

struct session {
    struct session_facts facts;
    uint32_t domain[4], user[4]; /* keys of client_domain and user, all 0: not known */
    uint32_t generation;         /* how often this record was freed; the upper half of the handle */
    uint32_t next_free;
    uint32_t next_connection; /* in its bucket, plus one; 0: it is the last */
    uint32_t older, newer;    /* among those held alike, but by a door; NO_SESSION at the ends */
    uint32_t round;           /* HELD_WATCHED: the last in which it was seen, or came */
    int64_t since;            /* HELD_RESERVED: when that began; HELD_NOTHING: when it was last asked about */
    uint64_t cookie;          /* of its connection; 0: never seen */
    struct told told;
    int64_t heard;   /* when its last command was answered, or the kernel heard of it */
    uint32_t errors; /* since the last message */
    uint32_t unknown_commands, recipients, messages, bounces, message_recipients;
    uint32_t pins[SESSION_PINS];    /* records, each plus one; 0: none */
    uint32_t activity;              /* record of its client in struct activity, plus one; 0: none */
    uint8_t state;                  /* enum session_state */
    uint8_t hold;                   /* enum session_hold */
    bool shown;                     /* as one of its client's open sessions: it has the record of activity pinned */
    bool over;                      /* some limit that is only monitored would have ended it */
    bool partly_heard;              /* whether it is in a transfer cannot be known: it is taken for one */
    bool transfer;                  /* between DATA and the end of the message */
    bool watched;                   /* the kernel knows its connection */
    bool idle;                      /* engine_idle() said so */
    bool delivered, erred, refused; /* in its whole life */
};

#define NO_SESSION UINT32_MAX

/* Sessions held alike, in the order of their `since`, or of their `round`. */
struct held {
    uint32_t oldest, newest; /* NO_SESSION: there is none */
    uint32_t count;
};

struct limit_totals {
    uint64_t actions[ACTIONS];
    uint64_t bans;
};

/* The ban byte of a record: which of its limits began it, and how much that counts. */
#define BAN_SLOT(ban) ((ban)&0x0f)
#define BAN_RANK(ban) ((ban) >> 4)
#define BAN(rank, slot) ((uint8_t)((rank) << 4 | (1 + (slot))))
enum { RANK_MONITOR, RANK_SCORE, RANK_BLOCK };
_Static_assert(BAN(RANK_MONITOR, RECORD_WINDOWS) <= TABLE_BAN_WATCHED && BAN(RANK_SCORE, 0) > TABLE_BAN_WATCHED,
               "the table knows which bans are only watched");

/* So many different lengths of bans are told apart. */
#define BAN_LENGTHS 255

struct activity;

struct engine {
    uint64_t seed[2];
    uint32_t records;
    uint32_t fresh; /* records from here on were never used, and their memory never touched */
    uint32_t free;  /* list of records that were */
    uint32_t in, pending;
    struct session *sessions;
    uint32_t *connections; /* the newest session of each bucket of connections, plus one; NULL: not asked for */
    uint32_t connection_mask;
    struct held held[HOLDS]; /* that of HELD_BY_DOOR stays empty */
    uint32_t round;          /* of engine_watch_begin() */
    struct watched_ports watched_ports;
    uint64_t claimed, lapsed;
    struct crossings *crossings;
    struct table *table;
    struct tally *current;
    struct tally *next;             /* during a reload: the tally under the new rules, */
    uint32_t next_derived;          /* which holds the sessions below this number */
    uint8_t next_limit[LIMITS_MAX]; /* what number a limit has in the new rules, LIMITS_MAX: none */
    int64_t now;                    /* the latest time seen */
    int64_t idle_slack_ns;
    struct limit_totals totals[LIMIT_END]; /* by enum limit_id */
    uint64_t events[EVENT_KINDS], exempted;
    struct activity *activity; /* NULL: nobody looks */
    struct operator_bans *operator_bans;
    struct key_texts *key_texts;
    uint32_t ban_lengths[BAN_LENGTHS]; /* ticks; what a record's ban_length counts from */
    uint8_t ban_length_count;
    uint16_t networks_epoch; /* the latest, of records.c; never 0 */
};

/* Which limits on sessions, and others, are judged. */
enum slots_judged {
    SLOTS_TOO,
    NO_SLOTS,    /* the session holds nothing */
    SLOTS_ALONE, /* everything else was judged before */
};

/* How a session comes in. */
struct coming {
    enum session_hold hold;
    enum slots_judged slots;
    bool late;       /* a door that only asks says so after the connect: perhaps not for the first time */
    bool over;       /* of the session that it goes on from */
    uint64_t scored; /* likewise */
};

/* A counter to be taken when nothing refuses the event. */
struct taking {
    enum limit_count count;
    limit_number number;
    scope_id scope;
    bool monitored, per_client;
    bool seen;    /* networks: it has one already, which becomes young again */
    uint8_t slot; /* of the window */
    int session_index;
    uint16_t shape;
    uint64_t group;
    uint32_t key[4], network[4];
};

/* One event under judgement. */
struct judging {
    struct engine *engine;
    const struct rules *rules;
    const struct event *event; /* at connect with the names alone */
    struct session *session;   /* NULL at connect */
    uint32_t number;           /* of the session */
    struct addr client;
    const uint32_t *levels;
    unsigned level_count;
    int64_t disconnect_delay_ns; /* of the scope */
    bool over;                   /* what is only monitored neither judges nor counts the session any more, */
    bool over_now;               /* or not this event */
    uint64_t scored;             /* before it and by it */
    enum slots_judged slots;
    int64_t now;   /* as the caller says */
    uint64_t tick; /* of the engine's time */
    struct verdict *verdict;
    struct taking *takings; /* room for LIMITS_MAX */
    unsigned taking_count;
    uint32_t client_key[4];
    enum reputation reputation;
    bool client_blamed; /* the refusal is by a limit of the client's own */
    bool monitored;     /* some limit would have refused it */
};

/* What a client's history is worth. */
#define POINTS_MESSAGE 1
#define POINTS_CLEAN_SESSION 1
#define POINTS_ERROR (-1) /* for each of them, up to POINTS_ERRORS_MAX at once */
#define POINTS_ERRORS_MAX 1000
#define POINTS_REFUSAL (-1)
#define POINTS_BAN (-5)

#define NS_PER_S INT64_C(1000000000)

/* engine.c. Time as the engine sees it: never back. What a session that was over something monitored holds of what is
 * only monitored, it gives back. Judges a connection and opens its session: the handle, or 0 as engine_connect() says;
 * refused, only one that a door holds is kept. */
int64_t engine_advance(struct engine *engine, int64_t now);
void judge_release_monitored(struct judging *judging);
session_id session_connect(struct engine *engine, const struct connect_event *event, const struct coming *coming,
                           int64_t now, struct verdict *verdict);

/* sessions.c. The record of a handle, NULL when that session is not open; the handle of a record; the newest open
 * session of a connection, of all or of those that are HELD_WATCHED; NULL when there is none or connections were not
 * asked for. */
struct session *session_find(const struct engine *engine, session_id id);
session_id session_handle(const struct engine *engine, uint32_t number);
struct session *session_of_connection(const struct engine *engine, const struct watched_connection *connection);
struct session *watched_of_connection(const struct engine *engine, const struct watched_connection *connection);
uint32_t connection_buckets(uint32_t records);

/* Whether there is a record for one more, if need be that of the session that is remembered longest; the record of a
 * new one, that holds nothing yet; its end. */
bool session_available(const struct engine *engine);
struct session *session_open(struct engine *engine, const struct session_facts *facts, enum session_state state,
                             enum session_hold hold, uint32_t *number);
void session_end(struct engine *engine, struct session *session);
/* Lets go of the records of the table. */
void session_unpin(struct engine *engine, struct session *session);

/* Counts a session in the tally of a reload under way; does so anew, where it was, when what it holds has changed. */
void session_derive(struct engine *engine, uint32_t number);
void session_derive_again(struct engine *engine, uint32_t number);

/* holds.c. The session gives back its slots and the records of its client, and is remembered. */
void session_lapse(struct engine *engine, uint32_t number);
/* From here on the session is held so, as the newest of its kind; what it has taken is the caller's business.
 */
void session_hold(struct engine *engine, uint32_t number, enum session_hold hold);
/* Takes a session that ends out of its kind. */
void session_let_go(struct engine *engine, uint32_t number);
/* Connections to that port are to be asked for. */
void watch_port(struct engine *engine, uint16_t port);

/* idle.c and score.c. False when that refuses the event. */
bool judge_idle(struct judging *judging);
bool judge_score(struct judging *judging);

/* judge.c. A verdict begins with judge_begin(); judge_lists() and judge_limits() return false when they refuse;
 * judge_commit() counts what was admitted for session `number`. */
void verdict_begin(struct verdict *verdict);
void judge_begin(struct judging *judging);
const char *domain_of(const char *address); /* NULL: it has none */
bool judge_lists(struct judging *judging, bool *spared);
bool judge_limits(struct judging *judging);
void judge_commit(struct judging *judging);
int64_t judge_error_delay(const struct judging *judging, bool was_error);

/* judge.c. Also for those who only ask. The client's key and reputation. Whom a limit counts of the event: his name,
 * NULL when there is none; as his maximum is looked up; the group and key of his records, false when there is nobody to
 * count. */
void judge_know_client(struct judging *judging);
const char *name_of(const struct judging *judging, enum limit_per per);
struct terms_subject subject_of(const struct judging *judging, enum limit_per per);
bool counted_key(const struct judging *judging, const struct terms *terms, uint64_t *group, uint32_t key[4]);

/* The key of the network that the client comes from, among those of a name in that epoch; a window that counts it once
 * as long as it is in the count of the name, of the shape in `taking`, brought to now. */
void network_key(const struct judging *judging, const struct terms *terms, const uint32_t name[4], uint16_t epoch,
                 uint32_t key[4]);
struct window network_sight(const struct judging *judging, const struct taking *taking);

/* True while the record, which may be NULL, is banned by that limit, as far as the limit's mode can see. */
bool banned_by(const struct rules *rules, const struct record *record, const struct terms *terms, uint64_t tick);
/* bans.c. What the lists say, and the ban of an administrator that keeps out all the same; NULL: there is none. */
struct listed engine_list_client(const struct engine *engine, const struct addr *client, int64_t now,
                                 const struct operator_ban **ban);
struct listed engine_list_names(const struct engine *engine, const char *sender, const char *user, int64_t now,
                                const struct operator_ban **ban);
/* What stands in a record for a ban of so many ticks. */
uint8_t ban_length_number(struct engine *engine, uint32_t ticks);

/* A finding about the whole session: a cap, a list, idleness. A refusal also becomes the verdict. `max` may be 0. */
void judge_found(struct judging *judging, enum limit_id limit, enum action action, scope_id scope, uint32_t count,
                 uint32_t max, uint32_t points);

/* The session is over what holds for the whole of it. False when that refuses it; where everything is only monitored it
 * is told, once, and from then on the session counts as ended. */
bool judge_whole(struct judging *judging, enum limit_id limit, scope_id scope, uint32_t count, uint32_t max);
void judge_would_end(struct judging *judging);

/* findings.c. A finding to be filled in, NULL when there is no room to tell it; then whether it is the first of its
 * kind; then, when it refuses, what is said. */
struct finding *finding_add(struct judging *judging, enum limit_id limit, const char *name, enum action action,
                            scope_id scope);
void finding_cross(struct judging *judging, struct finding *finding, bool per_client);
void finding_refuse(struct judging *judging, const struct reply *form, const struct finding *finding, int64_t delay_ns);

/* The client's history gets points. */
void client_history(struct engine *engine, const struct rules *rules, const struct addr *client, uint64_t tick,
                    int points);

/* Tells the records of networks from those of the names that come from them. */
#define NETWORK_GROUP UINT64_C(0x5aa5c33c0ff0)

/* activity.c. What people see of clients and domains; every call is without effect where `activity` is NULL. What
 * became of a connection, that of the session if it has one, and whether it is one that was not counted before; of an
 * event; a session that is open no longer. */
struct activity *activity_new(const uint64_t seed[2]);
void activity_free(struct activity **activity);
size_t activity_bytes(void);
void activity_connect(struct judging *judging, struct session *session, bool counts);
void activity_event(struct judging *judging);
void activity_leave(struct engine *engine, struct session *session);
void activity_sweep(struct engine *engine, uint32_t records);

/* records.c. The key of an address, and back; of a name under the engine's seed; never all 0. */
void key_of_addr(const struct addr *addr, uint32_t key[4]);
struct addr addr_of_key(const uint32_t key[4], enum addr_family family);
void key_of_name(const struct engine *engine, const char *name, uint32_t key[4]);

/* The record of a key, NULL when there is none; its index, made when there was none, TABLE_NONE when there is no room.
 * The latter may evict any record that no session holds. */
struct record *record_find(const struct engine *engine, uint64_t group, const uint32_t key[4]);
uint32_t record_obtain(struct engine *engine, uint64_t group, const uint32_t key[4], uint64_t tick);

/* The epoch of a name whose networks are counted; NULL: it has no record. */
uint16_t networks_epoch(const struct engine *engine, const struct record *name);

/* Everything of the record as it is at `tick`; then, where it is left alone, all that its windows count there: when a
 * network's record was touched is when the network was seen. What it is worth to the limits: 1, or 0. */
void record_touch(struct record *record, uint64_t tick);
uint32_t record_events(const struct record *record, uint64_t tick);
uint32_t record_worth(void *engine, struct record *record, uint64_t tick);

/* What a limit in that mode, which is not off, does to what is over it. */
static inline enum action action_of_mode(enum limit_mode mode)
{
    return mode == MODE_MONITOR ? ACTION_MONITOR : mode == MODE_SCORE ? ACTION_SCORE : ACTION_REFUSE;
}

static inline uint32_t session_number(const struct engine *engine, const struct session *session)
{
    return (uint32_t)(session - engine->sessions);
}

static inline struct watched_connection connection_of(const struct connect_event *event)
{
    return (struct watched_connection){event->client, event->local, event->client_port, event->local_port, 0};
}

static inline int64_t ticks_to_ns(uint64_t ticks)
{
    return (int64_t)(ticks << TICK_BITS);
}

static inline uint32_t event_times(const struct event *event)
{
    return event->times > 0 ? event->times : 1;
}

/* The engine's time, as it would be at `now`. */
static inline int64_t engine_latest(const struct engine *engine, int64_t now)
{
    return now > engine->now ? now : engine->now;
}

static inline uint64_t engine_tick(const struct engine *engine)
{
    return (uint64_t)engine->now >> TICK_BITS;
}

#endif
