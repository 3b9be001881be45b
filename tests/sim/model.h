/*
 * model.h: the naive model that the engine is compared with. It keeps a list of the sessions that are open and a plain
 * description of the rules, and counts everything anew whenever it is asked. It shares nothing with the engine but the
 * types of event.h.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "plain.h"

#define MODEL_SESSIONS 60 /* the most that are open at once */
#define MODEL_CROSSINGS 1000
#define MODEL_CLIENTS 33 /* so many different clients of a crossing are told apart */
#define MODEL_QUIET_NS (5 * INT64_C(1000000000))

/* Where a session stands: scopes by number, PLAIN_NONE for none; the implicit listener is number `count` of the rules.
 */
struct model_chain {
    int scopes[7], count; /* those that count it, the narrowest first */
    int listener;
    int client_scope;
    struct plain_block client; /* as client_scope counts it */
    int64_t client_cap, refuse_at, refuse_pending, delay;
};

struct model_session {
    session_id id;
    bool pending;
    struct plain_facts facts;
    struct model_chain chain; /* follows from the facts and the rules in force */
};

struct model_crossing {
    enum limit_id limit;
    char scope[SCOPE_NAME_SIZE];
    struct prefix client; /* the key; all zero for the cap of a scope */
    uint64_t refused;
    int64_t first, last;
    uint64_t order; /* of the last refusal */
    struct addr clients[MODEL_CLIENTS];
    uint32_t client_count; /* up to MODEL_CLIENTS */
};

struct model {
    struct plain_rules rules;
    uint32_t records;
    struct model_session sessions[MODEL_SESSIONS];
    int session_count;
    struct model_crossing crossings[MODEL_CROSSINGS];
    uint32_t crossing_count;
    uint64_t refusals;
    uint64_t unfollowed; /* refusals that found no room for their crossing */
};

void model_init(struct model *model, const struct plain_rules *rules, uint32_t records);

/* Says what the verdict must be. Returns the record that the engine must have made, for the caller to put the handle
 * into; NULL when there must be none. The caller sees to it that there are fewer than MODEL_SESSIONS. */
struct model_session *model_connect(struct model *model, const struct plain_facts *facts, int64_t now,
                                    struct verdict *verdict);

/* NULL when no session of that handle is open. */
struct model_session *model_find(struct model *model, session_id id);
void model_remove(struct model *model, struct model_session *session);

/* Other rules are in force. */
void model_reload(struct model *model, const struct plain_rules *rules);

/* The crossing that must be reported next as over, or NULL; and its end. */
struct model_crossing *model_next_over(struct model *model, int64_t now, bool all);
void model_end(struct model *model, struct model_crossing *crossing);

/* Scopes, the implicit listener included. */
int model_scope_count(const struct model *model);
void model_scope_name(const struct plain_rules *rules, int scope, char out[SCOPE_NAME_SIZE]);
int64_t model_cap(const struct plain_rules *rules, int scope);

/* Everything counted anew. */
struct model_counts {
    uint32_t count[PLAIN_SCOPES + 1], pending[PLAIN_SCOPES + 1];
    uint32_t all_pending, clients;
};
void model_count(const struct model *model, struct model_counts *counts);

#endif
