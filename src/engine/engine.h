/*
 * engine.h: the session limiter itself, a deterministic state machine.
 *
 * It hears events (connect, the client's commands, close, a change of rules) and answers with verdicts. It has no
 * clock, no I/O, no threads and no globals; it allocates in engine_new() and engine_reload_begin() alone. The same
 * events with the same times and the same seed give the same verdicts.
 *
 * Threads: an engine is used by one thread at a time. Its owner holds one lock around each call, except for the calls
 * that say otherwise. No call walks more than ENGINE_BATCH records, but that
 * each key that is new to a full table may make it look at as many to find one that may go.
 *
 * Times: `now` is in nanoseconds on any monotonic clock, 0 or more. A clock that steps back does no harm: for windows,
 * bans, reputations and idle sessions time stands still until it has caught up, and the end of a crossing is delayed.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "event.h"
#include "rules.h"

/* The most records that one call looks at. */
#define ENGINE_BATCH 1000

/* A limit counts as over again when it has refused nobody for this long. */
#define ENGINE_CROSSING_QUIET_NS (5 * INT64_C(1000000000))

/* No delay is really longer: MTAs give up on a filter that takes 30 s. */
#define ENGINE_DELAY_MAX_NS (29 * INT64_C(1000000000))

struct engine;

struct engine_params {
    uint32_t session_records; /* sessions that can be known at once, 1 to ENGINE_SESSIONS_MAX */
    uint32_t table_records;   /* keys whose history can be known at once, 1 to ENGINE_TABLE_MAX */
    uint64_t seed[2];         /* of the keyed hash; random in the daemon, fixed in tests */
    /* A session that the kernel has not been asked about is idle only so much later; 0 or more. */
    int64_t idle_slack_ns;
    bool connections; /* sessions are found by their connection, too: for request.h */
    bool activity;    /* what clients and domains do is counted, for people to see: activity.h */
};
#define ENGINE_SESSIONS_MAX 16777216u
#define ENGINE_TABLE_MAX 134217728u

/* Takes over *rules (and sets it to NULL) when it succeeds. NULL when memory is short; *rules is then still the
 * caller's. All memory that the engine will ever use between reloads is reserved here. */
struct engine *engine_new(const struct engine_params *params, struct rules **rules);
/* Frees the engine with its rules and sets the caller's pointer to NULL. */
void engine_free(struct engine **engine);

/* Bytes that an engine of that size with these rules, and with `connections` and `activity` or not, will hold once
 * every table is full, the rules included. During a reload it is `per_rules` of the new rules more. */
struct engine_memory {
    size_t sessions;  /* records of sessions; the crossings, the bans of administrators, the names of banned keys */
    size_t table;     /* what is known of clients, domains and so on */
    size_t per_rules; /* the rule set and the counters under it */
};
struct engine_memory engine_memory(uint32_t session_records, uint32_t table_records, bool connections, bool activity,
                                   const struct rules *rules);

/*
 * A client has connected. Judges it and, when it is let in, takes its slot in every scope of its chain and counts it in
 * every limit: all or none. *id becomes the session's handle for the calls below; 0 when the engine keeps no record of
 * it: refused at connect (verdict->speak_at), exempt, or let in uncounted because the session records are full
 * (a finding says LIMIT_SESSION_TABLE). What is judged, in this order, the first that refuses ending it: the deny and
 * exempt lists; the limits by their number; the caps, the narrowest first: listen's peer, listener's peer, listen,
 * listener, pathway, pathway_group, service; the session's score.
 *
 * A session that engine_request() knows by this connection, and that no earlier call has got, is claimed: it continues
 * under its handle, without a verdict, and holds its slots until it is closed. When it holds none any more, its
 * connection was counted all the same: of the above only the limits on sessions and the caps are judged, and of what it
 * has done only its points, and that something monitored would have ended it, go on under the new handle.
 */
void engine_connect(struct engine *engine, const struct connect_event *event, int64_t now, session_id *id,
                    struct verdict *verdict);

/*
 * Something has happened in that session. Judged in this order: idle_time; at EVENT_MAIL the lists; the limits by their
 * number; the score. A refusal counts the event nowhere. EVENT_MESSAGE and EVENT_ABORT are never refused. A refused
 * session keeps its slots until it is closed. Continues, without any finding, for 0 and for a handle that is not open
 * or was refused at connect.
 */
void engine_event(struct engine *engine, session_id id, const struct event *event, int64_t now,
                  struct verdict *verdict);

/* Writes the value of the score's header field, "12 (client_connections=10, deny=2)", on one line of printable ASCII.
 * False, and nothing written, when the session has no points. */
#define SCORE_TEXT_SIZE 900
bool engine_score(const struct engine *engine, session_id id, char out[SCORE_TEXT_SIZE]);

/* The refusal of that session has been told to the client: it no longer counts against refuse_pending. Without effect
 * on a session that was let in, on 0 and on a handle that is closed. */
void engine_spoken(struct engine *engine, session_id id);

/* The session is over: gives back what it held. Returns false, and changes nothing, for 0 and for a handle that is not
 * open (so a second close of the same session is harmless). */
bool engine_close(struct engine *engine, session_id id, int64_t now);

/* ---- idle sessions ---- */

/* A session that has been silent for longer than its idle_time, as far as the engine knows. */
struct idle_candidate {
    session_id id;
    struct addr client, local; /* of its connection, as the MTA said: local may be ADDR_NONE, ports 0 */
    uint16_t client_port, local_port;
    int64_t idle_time_ns;
    enum idle_action action;
};

/* Copies candidates among ENGINE_BATCH session records from *next on, at most `room`, and moves *next on; it is 0 again
 * when all have been looked at. Sessions in the middle of a message's transfer and those already told of are none. */
size_t engine_idle_candidates(struct engine *engine, int64_t now, uint32_t *next, struct idle_candidate *out,
                              size_t room);

/* The kernel knows the connection and says that it has been silent for so long: from here on only engine_idle() makes
 * that session idle, not the time since its last command. */
void engine_heard(struct engine *engine, session_id id, int64_t silent_ns, int64_t now);

/* The session is idle: its next command is refused. A verdict is filled in for the log when the session is ended
 * without another command (ACTION_REFUSE, or ACTION_MONITOR where everything is only monitored); with NULL the next
 * command tells. No findings when it is not open or was called idle before. */
void engine_idle(struct engine *engine, session_id id, int64_t now, struct verdict *verdict);

/* ---- upkeep ---- */

/* Frees entries of the table that no longer matter, ENGINE_BATCH looked at a call. Call it from time to time. */
void engine_sweep(struct engine *engine, int64_t now);

/*
 * Crossings that are over: no refusal since ENGINE_CROSSING_QUIET_NS, or, with `all`, whatever is under way. Writes at
 * most `room` of them to `out` and returns how many; call it once a second or so, again at once when it filled `out`.
 */
size_t engine_crossings_over(struct engine *engine, int64_t now, bool all, struct crossing_report *out, size_t room);

/* Refusals since the last call that no crossing follows, as too many limits and clients are crossed at once
 * (CROSSINGS_MAX): their verdicts say `crossing = false`, so a log owes its reader their number. */
uint64_t engine_crossings_unfollowed(struct engine *engine);

/*
 * A change of rules, in steps, so that the lock is never held for long:
 *   1. engine_reload_begin(): reserves the counters of the new rules. Needs no lock: it reads nothing that changes.
 *   2. engine_reload_step(), with what begin returned, until it returns true: derives the chain of ENGINE_BATCH
 * sessions a call. Sessions may come and go between the steps; the old rules decide.
 *   3. engine_reload_finish(): the new rules decide from here on. Returns the old ones.
 *   4. engine_retired_free(): needs no lock.
 * Counters and sessions are kept: what the new counters say is what is open. A cap that is now lower evicts nobody.
 * What administrators have banned in a dry run ends with it. begin returns NULL, and leaves *rules the caller's, when
 * memory is short. One reload at a time.
 */
struct tally;
struct tally *engine_reload_begin(const struct engine *engine, struct rules **rules);
bool engine_reload_step(struct engine *engine, struct tally *next);
struct tally *engine_reload_finish(struct engine *engine);
void engine_retired_free(struct tally **retired);

/* What one counter holds. */
struct counter_view {
    char scope[SCOPE_NAME_SIZE];
    enum limit_id limit;
    uint32_t count, max; /* max 0: no cap */
    uint32_t pending;    /* listeners: refused sessions that await their HELO */
};

/* Copies the scope counters from number `from` on, at most `room` (and ENGINE_BATCH), and returns how many; 0 at the
 * end. The numbering holds until the next reload. */
size_t engine_counters(const struct engine *engine, size_t from, struct counter_view *out, size_t room);

/* What one limit has done since the engine was made; a reload keeps it. */
struct limit_view {
    char name[LIMIT_NAME_SIZE]; /* a numbered limit's, or service_sessions, deny, idle_time, table_size ... */
    uint64_t actions[ACTIONS];  /* events by what became of them */
    uint64_t bans;              /* begun, those of MODE_MONITOR not counted */
};

/* Copies those of number `from` on, at most `room`, and returns how many; 0 at the end. */
size_t engine_limits(const struct engine *engine, size_t from, struct limit_view *out, size_t room);

struct engine_totals {
    uint32_t sessions;   /* sessions that are in, and refused ones that await their HELO */
    uint32_t pending;    /* of these, the latter */
    uint32_t remembered; /* sessions that hold nothing (request.h); their records go first when others need them */
    uint32_t clients;    /* keys (clients, users and so on) that hold a slot of a limit on sessions */
    uint32_t crossings;
    uint32_t session_records; /* room */
    uint32_t keys;            /* entries of the table in use */
    uint32_t table_records;   /* room */
    uint64_t evicted;         /* keys that had to go before their time, since the start */
    uint64_t untracked;       /* keys that found no room */
    uint64_t claimed;         /* sessions of engine_request() that came to engine_connect() while they held something */
    uint64_t lapsed;          /* reservations that did not */
    /* Those the engine was told of, refused ones too: connections, one that both doors tell of once; recipients, also
     * where many are told at once. Of a session that it keeps no record of it hears connections alone. */
    uint64_t events[EVENT_KINDS];
    uint64_t exempted; /* connections that were exempt; of a door that only asks those that it asked about at connect */
    /* In force: those of limits, monitored ones too, and of administrators. One that has run out leaves the former with
     * the sweep of its record, the latter with the next engine_sweep(). */
    uint32_t bans, operator_bans;
    /* Of these, those that keep nobody out, by what they were when they began; all where everything is only monitored.
     */
    uint32_t bans_monitored, operator_bans_monitored;
};
struct engine_totals engine_totals(const struct engine *engine);

#endif
