/*
 * model.h: the naive model that the engine is compared with. It keeps a list of the sessions that are open, a list of
 * every event that a limit has counted, and a plain description of the rules, and counts everything anew whenever it is
 * asked. It shares nothing with the engine but the types of event.h and the catalogue of limits.h.
 *
 * model_bans.c says whom administrators have banned and what bans there are,
 * model_rules.c where a session stands and what a limit means there, model_history.c what was counted,
 * model_judge.c what becomes of an event, with model_limits.c for the limits and model_findings.c for what is said,
 * model_requests.c what becomes of a request, model_crossing.c what the log is told, model.c the rest.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "plain.h"

#include "engine/bans.h"
#include "engine/request.h"

#define MODEL_SESSIONS 90 /* the most that are open at once */
#define MODEL_CROSSINGS 1000
#define MODEL_CLIENTS 33 /* so many different clients of a crossing are told apart */
#define MODEL_QUIET_NS (5 * INT64_C(1000000000))
#define MODEL_LEVELS 16
#define MODEL_SCORED_DENY PLAIN_KINDS /* the deny list, among the kinds that give points */

/* What a limit means for a session: the blocks of its chain put together. */
struct model_terms {
    int kind;
    uint32_t number; /* of the limit */
    int scope;       /* whose counter it is */
    int64_t value[LIMIT_TERMS];
    enum limit_mode mode;
    const struct reply *reply;        /* NULL: the catalogue's */
    const struct plain_limit *except; /* NULL: nobody */
    const struct plain_limit *blocks[MODEL_LEVELS];
    int block_count;
    int64_t largest; /* of all maxima that may apply */
};

/* Where a session stands: scopes by number, PLAIN_NONE for none; the implicit listener is number `count` of the rules.
 */
struct model_chain {
    int scopes[7], count; /* those that count it, the narrowest first */
    int levels[MODEL_LEVELS],
        level_count; /* whose settings hold, the most specific first; every matching peer is one */
    int listener;
    int64_t refuse_at, refuse_pending, delay, idle_time, idle_action, score_refuse;
    int idle_scope, score_scope; /* that give idle_time and score_refuse */
};

/* Whom a limit counts: a client, or a name. */
struct model_key {
    struct plain_addr addr;
    char name[64];
};

/* What requests have said of a session that they brought in. */
struct model_asked {
    enum request_hold hold; /* that is still in force */
    bool past_connect;
    bool helo_told, mail_told;
    char helo[64], message[32], sender[64]; /* as last told */
    uint32_t recipients;                    /* of this message, admitted */
    bool recipient_told, scored;            /* in this message */
    char recipient[64];                     /* as last named in it */
    int64_t reserved, last;                 /* when it came in; was last asked about, or lapsed */
    uint64_t order;                         /* of the last request, among all */
    uint64_t round, sight;                  /* of when it was last seen, or came; sights are numbered */
    uint64_t cookie, first_cookie;          /* as last seen; as said by the connect that was counted */
};

struct model_session {
    session_id id; /* 0: nobody has been told */
    bool asked;    /* a request brought it in, and no connect has claimed it */
    struct model_asked told;
    uint64_t number; /* in the order in which they came */
    bool pending;
    struct plain_facts facts;
    struct model_chain chain;           /* follows from the facts and the rules in force */
    bool over;                          /* a limit that is only monitored would have ended it */
    bool holds[PLAIN_KINDS];            /* a slot of that limit on sessions, */
    struct model_key slot[PLAIN_KINDS]; /* for whom, */
    int slot_scope[PLAIN_KINDS];        /* in which scope */
    bool scored[PLAIN_KINDS + 1];
    uint32_t errors, unknown_commands, recipients, messages, bounces, message_recipients;
    bool delivered, erred, refused;
    int64_t answered; /* when it last was */
    bool transfer, watched, idle;
    bool no_caps;              /* it holds no slot of any cap */
    char domain[64], user[64]; /* as last told; "": none */
    struct event last;         /* for the next one's names */
};

/* The events that a limit in a scope of that name has counted for a key; of networks, when each was seen last. */
struct model_history {
    int scope; /* its place in the names of the model */
    int kind;
    struct model_key key;
    uint64_t *ticks;
    struct plain_addr *networks;
    uint32_t count, room;
};

/* A ban of a key, by one of the limits that share its record. */
struct model_ban {
    int scope, kind;
    struct model_key key;
    uint64_t since, until; /* ticks; until 0: there is none */
    int rank;              /* of its limit's mode: monitor, score, block */
};

/* A block of clients or a domain that an administrator has banned. */
struct model_operator_ban {
    struct plain_block block; /* family 0: it is a domain */
    char name[64];
    int64_t since, until; /* not in force: until is over, or 0 */
    bool rehearsed;       /* begun in a dry run */
};
#define MODEL_OPERATOR_BANS 200

struct model_reputation {
    struct model_key key;
    int score; /* in 1/256 points */
    uint64_t step;
};

struct model_crossing {
    char name[LIMIT_NAME_SIZE];
    enum action action;
    char scope[SCOPE_NAME_SIZE];
    struct prefix client; /* the key; all zero for what is not per client */
    char key[KEY_TEXT_SIZE];
    uint64_t refused;
    int64_t first, last;
    uint64_t order; /* of the last refusal */
    struct addr clients[MODEL_CLIENTS];
    uint32_t client_count; /* up to MODEL_CLIENTS */
};

/* What a long run must have met and no verdict tells. */
struct model_met {
    uint64_t maxima[4], of_keys[4]; /* that were asked for, by TERM_MAX and the three that follow */
    uint64_t excepted, spared, known_networks, off;
    uint64_t left_alone, renewed, claims, late_claims, late_refused, lapses, forgotten, made_way, cookies;
    uint64_t untracked, rehearsed, topped_up, rejected, twice, repeated_connects, never_seen, named_late, scores,
        scored_before;
};
extern struct model_met model_met;

#define MODEL_NAMES 512
#define MODEL_VIEWS (PLAIN_KINDS + 16)

struct model {
    struct plain_rules rules;
    uint32_t records;
    int64_t idle_slack;
    int64_t now;                              /* the latest time seen */
    char names[MODEL_NAMES][SCOPE_NAME_SIZE]; /* of scopes, under any rules so far */
    int name_count;
    int scope_names[PLAIN_SCOPES + 1];  /* of the scopes under the rules in force */
    int kinds[PLAIN_KINDS], kind_count; /* that have a block, by the number of the limit */
    uint32_t numbers[PLAIN_KINDS];      /* of the limits */
    struct model_session sessions[MODEL_SESSIONS];
    int session_count;
    struct model_history *histories;
    uint32_t history_count, history_room;
    struct model_ban *bans;
    uint32_t ban_count, ban_room;
    struct model_operator_ban operator_bans[MODEL_OPERATOR_BANS];
    uint32_t operator_ban_count;
    struct model_reputation *reputations;
    uint32_t reputation_count, reputation_room;
    struct model_crossing crossings[MODEL_CROSSINGS];
    uint32_t crossing_count;
    uint64_t comings, requests, round, sights;
    uint64_t claimed, lapsed;
    uint16_t watched[WATCHED_PORTS_MAX]; /* ports, in the order of their first session */
    unsigned watched_count;
    bool watched_more;
    uint64_t refusals;
    uint64_t unfollowed;                  /* refusals that found no room for their crossing */
    struct limit_view views[MODEL_VIEWS]; /* by name, in the order of their first appearance here */
    int view_count;
};

/* ---- model.c ---- */

void model_init(struct model *model, const struct plain_rules *rules, uint32_t records, int64_t idle_slack);
void model_free(struct model *model);

/* NULL when no session of that handle is open. */
struct model_session *model_find(struct model *model, session_id id);
void model_close(struct model *model, struct model_session *session, int64_t now);
/* Nothing but the session's end. */
void model_drop(struct model *model, struct model_session *session);

/* Other rules are in force. */
void model_reload(struct model *model, const struct plain_rules *rules);

/* Scopes, the implicit listener included. */
int model_scope_count(const struct model *model);

/* Everything counted anew. */
struct model_counts {
    uint32_t count[PLAIN_SCOPES + 1], pending[PLAIN_SCOPES + 1];
    uint32_t all_pending, keys;
};
void model_count(const struct model *model, struct model_counts *counts);

/* Room for one more in an array that grows. */
void *model_room(void *items, uint32_t count, uint32_t *room, size_t size);
/* The tick of the latest time. */
uint64_t model_tick(const struct model *model);
/* What that limit has done so far. */
struct limit_view *model_view(struct model *model, const char *name);
/* Sessions that hold a slot of that limit for that key. */
uint32_t model_slots(const struct model *model, int scope, int kind, const struct model_key *key);
/* The session is over something monitored from here on: what it holds of what is only monitored goes back. */
void model_release_monitored(const struct model *model, struct model_session *session);

/* ---- model_rules.c ---- */

void model_chain_of(const struct plain_rules *rules, const struct plain_facts *facts, struct model_chain *chain);
int64_t model_cap(const struct plain_rules *rules, int scope);
void model_scope_name(const struct plain_rules *rules, int scope, char out[SCOPE_NAME_SIZE]);
int model_catch_all(const struct plain_rules *rules);

/* False when the limit does not exist in that chain, or is off. */
bool model_terms_of(const struct model *model, const struct model_chain *chain, int kind, struct model_terms *terms);

enum model_reputed { REPUTED_NONE, REPUTED_GOOD, REPUTED_BAD };

/* Whose maximum is asked for; "" for a name that there is not. */
struct model_subject {
    struct plain_addr client;
    const char *name, *user;
    enum model_reputed reputed;
};
int64_t model_max(const struct model_terms *terms, const struct model_subject *subject);

enum model_listed { LISTED_NOT, LISTED_TO_DENY, LISTED_TO_SPARE };
/* *bits becomes the length of the prefix that says so. */
enum model_listed model_list_client(const struct plain_rules *rules, const struct plain_addr *client, int *bits);
/* *spared becomes the part of the sender by which it is exempt, NULL for none. */
enum model_listed model_list_names(const struct plain_rules *rules, const char *sender, const char *user,
                                   const char **spared);

/* Whether the address lies in the block; the domain that a name is in first, and those above it (NULL after the last).
 */
bool model_holds(const struct plain_block *block, const struct plain_addr *addr);
const char *model_first_domain(const char *name);
const char *model_next_domain(const char *domain);

bool model_same_addr(const struct plain_addr *a, const struct plain_addr *b);
bool model_same_key(const struct model_key *a, const struct model_key *b);

/* ---- model_history.c ---- */

uint32_t model_counted(struct model *model, const struct model_terms *terms, const struct model_key *key);
void model_count_event(struct model *model, const struct model_terms *terms, const struct model_key *key);
/* Of networks. */
bool model_seen(struct model *model, const struct model_terms *terms, const struct model_key *key,
                const struct plain_addr *network);
void model_see(struct model *model, const struct model_terms *terms, const struct model_key *key,
               const struct plain_addr *network);

/* The ban of the record, whosever it is; it may be over. Never NULL, and good until the next call. */
struct model_ban *model_ban_of(struct model *model, const struct model_terms *terms, const struct model_key *key);

enum model_reputed model_reputed(struct model *model, const struct plain_addr *client);
void model_repute(struct model *model, const struct plain_addr *client, int points);

/* What has been counted for that key is forgotten. */
void model_forget(struct model_history *history);
/* Whether it still counts anything, under those terms. */
bool model_counts_any(const struct model *model, const struct model_history *history, const struct model_terms *terms);

/* ---- model_bans.c ---- */

/* True when the target was banned already. There are fewer than MODEL_OPERATOR_BANS in force. */
bool model_ban(struct model *model, const struct model_operator_ban *ban, int64_t length, int64_t now);
/* What was banned in a dry run is not any more. */
void model_dry_run_over(struct model *model);
/* The ban with the longest block that holds the client; of the longest domain of the sender. NULL: there is none. */
const struct model_operator_ban *model_banned_client(const struct model *model, const struct plain_addr *client);
const struct model_operator_ban *model_banned_sender(const struct model *model, const char *sender);

/* The bans that must be listed, in any order. */
size_t model_bans(struct model *model, int64_t now, struct ban_view *out, size_t room);
/* Those of limits that are in force, be the limits known any more or not. */
size_t model_limit_bans(const struct model *model);

/* As engine_unban(); NULL for target: whoever it is. */
void model_unban(struct model *model, const struct model_operator_ban *target, const char *limit, int64_t since,
                 int64_t now, struct unbanned *done);

/* ---- model_judge.c ---- */

/* Says what the verdict must be. Returns the record that the engine must have made, or claimed, for the caller to put
 * the handle into; NULL when there must be none. The caller sees to it that there are fewer than MODEL_SESSIONS. */
struct model_session *model_connect(struct model *model, const struct plain_facts *facts, int64_t now,
                                    struct verdict *verdict);
void model_event(struct model *model, struct model_session *session, const struct event *event, int64_t now,
                 struct verdict *verdict);
/* Somebody says that the session is idle. With NULL for the verdict the next command will tell. */
void model_idle(struct model *model, struct model_session *session, int64_t now, struct verdict *verdict);
/* The kernel says that it has been silent for so long. */
void model_heard(struct model *model, struct model_session *session, int64_t silent, int64_t now);
/* How a session comes in. */
struct model_coming {
    const struct plain_facts *facts;
    bool asked; /* by a request */
    enum request_hold hold;
    const struct model_session *before; /* that was counted; NULL: none */
};
/* Likewise, for model_connect() and model_request(). */
struct model_session *model_enter(struct model *model, const struct model_coming *coming, int64_t now,
                                  struct verdict *verdict);
/* The value of the score's header; "" for no points. */
void model_score(const struct model *model, const struct model_session *session, char out[SCORE_TEXT_SIZE]);

/* ---- model_requests.c ---- */

/* The newest session of that connection, or NULL. */
struct model_session *model_of_connection(struct model *model, const struct plain_facts *facts);
/* It holds nothing any more, but that its connection was counted. */
bool model_remembered(const struct model_session *session);
/* Sees to it that there is a record for one more, if need be by forgetting somebody. False when there is none. */
bool model_make_way(struct model *model);
void model_lapse(struct model *model, int64_t now);

/* Returns whether the first verdict is one on the connection. `facts` are those of request->connect. */
bool model_request(struct model *model, const struct request *request, const struct plain_facts *facts, int64_t now,
                   struct request_answer *answer);

struct watched_ports model_watch_begin(struct model *model);
void model_watch_seen(struct model *model, const struct plain_facts *facts, uint64_t cookie, int64_t now);
/* Of the sessions that were not seen in this round, the one unseen longest of those after `after`, or NULL. */
/* Its connection is gone, as far as that session is watched. */
void model_watch_end(struct model *model, session_id id, int64_t now);
struct model_session *model_next_missing(struct model *model, const struct model_session *after);

/* ---- model_crossing.c ---- */

/* The limit of a finding has spoken: fills in its `crossing`. `per_client`: the finding's client is whom it counts. */
void model_cross(struct model *model, struct finding *finding, bool per_client, const struct addr *client, int64_t now);

/* The crossing that must be reported next as over, or NULL; and its end. */
struct model_crossing *model_next_over(struct model *model, int64_t now, bool all);
void model_end(struct model *model, struct model_crossing *crossing);

#endif
