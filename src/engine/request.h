/*
 * request.h: events for a door that is asked, not told: it never hears of a session's end, and each of its requests
 * repeats what was said before (Postfix's policy delegation, SMTPD_POLICY_README). The engine takes from a request what
 * is new: it knows a session by the addresses and ports of its connection, whichever door speaks of it, so a session is
 * counted once.
 *
 * For engines with engine_params.connections alone. Threads: as engine.h.
 */
#ifndef ENGINE_REQUEST_H
#define ENGINE_REQUEST_H

#include "engine.h"

/* Where the client is: the command that awaits its answer. */
enum request_stage {
    REQUEST_CONNECT,
    REQUEST_HELO,
    REQUEST_MAIL,
    REQUEST_RCPT,
    REQUEST_DATA,
    REQUEST_MESSAGE, /* the end of the message */
    REQUEST_OTHER,   /* any other command */
};

/* What a session holds that a request brings in, until the other door claims it. */
enum request_hold {
    HOLD_NOTHING, /* no slot: the caps and the limits on sessions are not judged, as nobody would know when to end them
                   */
    HOLD_RESERVE, /* at REQUEST_CONNECT its slots, for ENGINE_RESERVE_NS; nothing where the client's address or port is
                     not known, as nobody could claim it, nor at any other stage: the other door, which hears of the
                     connection before that stage, would know it */
    HOLD_WATCH,   /* its slots, until engine_watch_*() finds that its connection is gone; nothing where an address or a
                     port of the connection is not known, or they are of two families */
};

/* How long a slot is reserved for a session that the other door has not claimed. */
#define ENGINE_RESERVE_NS (10 * INT64_C(1000000000))

/* How long a session that holds nothing is remembered after its last request, or after it lapsed, so that its
 * connection is counted once: twice as long as Postfix waits for a command (smtpd_timeout). Before its time it goes
 * when a record is needed for another: the one that was silent longest. */
#define ENGINE_REMEMBER_NS (600 * INT64_C(1000000000))

/* An MTA may ask about one connect several times, but not for longer than this. */
#define ENGINE_CONNECT_NS INT64_C(1000000000)

struct request {
    enum request_stage stage;
    enum request_hold hold;
    /* Of the same connection are those of one client and client port (also 0: not known) that do not contradict each
     * other in where it came in: ADDR_NONE and port 0 are any. They are taken for partly heard, whatever is said. */
    struct connect_event connect;
    /* All that is known by now, in normal form; `kind`, `times` and `rejected` are not read. `sender`, `user` and
     * `recipient` matter at the stages that have them. */
    struct event names;
    /* Names the message (the attribute instance); NULL or "": it has no name yet. */
    const char *message;
    /* The kernel's name for the connection, which no other with the same addresses has; 0: unknown. */
    uint64_t cookie;
    uint32_t recipient_count; /* REQUEST_DATA, REQUEST_MESSAGE: recipients that the MTA has accepted; 0: not said */
};

/* The verdicts of one request, in the order of its events. */
#define REQUEST_VERDICTS 6
struct request_answer {
    /* VERDICT_REFUSE: the last of the verdicts says what; everything after it went unheard. */
    enum verdict_kind kind;
    int64_t delay_ns; /* the longest of all verdicts */
    unsigned count;
    struct verdict verdicts[REQUEST_VERDICTS];
    char score[SCORE_TEXT_SIZE]; /* the value of the score's header, at REQUEST_DATA or else REQUEST_MESSAGE, once a
                                    message; or "" */
};

/*
 * Judges and counts what is new in the request. In this order, the first refusal ending it:
 *
 *  1. The session, found by its connection. A session that the other door holds (engine_connect()), let in or refused,
 *     is left alone: that door hears and answers everything, so the request continues without a verdict. One that is
 *     not known is judged as engine_connect() does, and counted, but for `hold`. So is another connection from the
 *     same port, which ends the session of the old one: one with another cookie than was told first, or, where either
 *     is unknown, at REQUEST_CONNECT, when requests have gone past the old one's connect or that was first asked about
 *     ENGINE_CONNECT_NS ago or longer. Refused, exempt or out of records it leaves no record: the next request is
 *     judged as the first.
 *  2. EVENT_HELO, when names.helo is not NULL, nor empty before the HELO stage, and differs from the last one told (a
 *     refused one counts as not told).
 *  3. From REQUEST_MAIL to REQUEST_MESSAGE: EVENT_MAIL, when it is about another message than the last one told of (a
 *     refused one counts as not told). With a name: another than that one's; or, if that one has none yet, another
 *     sender; else it takes the name. Without: at REQUEST_MAIL always, later when the sender is another.
 *  4. REQUEST_RCPT: EVENT_RCPT, but when the message has a name and the recipient is the one last told, and admitted:
 * then it is one command that the MTA asks about several times.
 *  5. REQUEST_DATA and REQUEST_MESSAGE, when recipient_count is not 0: compared with the recipients of this message
 * that were admitted so far. Those that are more are counted as one EVENT_RCPT of so many `times` without a recipient;
 *     those that are fewer were rejected by the MTA: one EVENT_REJECTED of so many times. Admitted, that is their
 * number from here on.
 *  6. REQUEST_DATA: EVENT_DATA. REQUEST_MESSAGE: EVENT_MESSAGE.
 *
 * `score` is filled at REQUEST_DATA and REQUEST_MESSAGE when the session has points, nothing was refused and it was not
 * filled for this message before; never where everything is only monitored. `answer` need not be initialised.
 */
void engine_request(struct engine *engine, const struct request *request, int64_t now, struct request_answer *answer);

/* ---- reservations that lapse, sessions that are forgotten ---- */

/* Gives back what is reserved no longer and forgets what is remembered no longer, ENGINE_BATCH records at most.
 * engine_connect() and engine_request() do so first; call it once a second for the counters' sake. */
void engine_lapse(struct engine *engine, int64_t now);

/* ---- sessions that the kernel's table of connections ends (HOLD_WATCH) ---- */

/* A connection of the MTA as the kernel knows it. */
struct watched_connection {
    struct addr client, local;
    uint16_t client_port, local_port;
    uint64_t cookie; /* the kernel's name for it: another connection with the same addresses has another; 0: unknown */
};

/* Ports of this host that watched sessions came in on, since the engine was made. */
#define WATCHED_PORTS_MAX 16
struct watched_ports {
    unsigned count; /* 0 with `all` false: nothing need be asked */
    bool all;       /* there are more: ask for every port */
    uint16_t ports[WATCHED_PORTS_MAX];
};

/* Begins a round: from here on engine_watch_seen() is told of every connection of those ports that lives. Sessions that
 * come in after this call are not missed by this round. */
struct watched_ports engine_watch_begin(struct engine *engine);

/* These live; at most ENGINE_BATCH a call. A session whose connection was seen before, with another cookie, is that of
 * an old connection, and ends. Sessions that came in, or were seen, since the round began are passed over. */
void engine_watch_seen(struct engine *engine, const struct watched_connection *connections, size_t count, int64_t now);

struct watched_session {
    session_id id;
    struct watched_connection connection; /* cookie 0: it was never seen */
};

/* Copies watched sessions that were not seen in this round, the longest unseen first, at most `room` (and
 * ENGINE_BATCH), and returns how many. Whoever finds one gone ends it with engine_watch_end(); whoever finds it alive
 * says so with engine_watch_seen(). Either way the next call gives others; 0: the round is over. */
size_t engine_watch_missing(const struct engine *engine, struct watched_session *out, size_t room);

/* The connection of that session is gone. One that was never seen, as its MTA is on another host or names another
 * client than the one that is connected, gives back its slots, but is remembered. False, and nothing changes, when the
 * session is not watched (any more). */
bool engine_watch_end(struct engine *engine, session_id id, int64_t now);

#endif
