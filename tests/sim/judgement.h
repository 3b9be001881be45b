/*
 * judgement.h: one event while the model judges it. For model_judge.c, model_limits.c and model_findings.c alone.
 */
#ifndef SIM_JUDGEMENT_H
#define SIM_JUDGEMENT_H

#include "model.h"

#define SECOND INT64_C(1000000000)

/* Which limits are judged. */
enum judged {
    JUDGED_ALL,
    JUDGED_BUT_SESSIONS,  /* the session holds nothing */
    JUDGED_SESSIONS_ONLY, /* its connection was counted before */
};

/* One event under judgement. */
struct judgement {
    struct model *model;
    struct model_session *session; /* at connect the one that it will be if it is let in */
    const struct event *event;
    int64_t now; /* as the caller says */
    enum judged judged;
    enum model_reputed reputed;
    bool over_now; /* something monitored would have refused this event */
    bool blamed;   /* what refuses it is a limit of the client's own */
    struct verdict *verdict;
    struct counting {
        struct model_terms terms;
        struct model_key key;
    } counted[PLAIN_KINDS]; /* if nothing refuses */
    int counted_count;
};

/* ---- model_findings.c ---- */

/* "" for NULL. */
const char *text_or_empty(const char *text);
struct prefix judgement_prefix(const struct plain_addr *addr, unsigned ipv4_bits, unsigned ipv6_bits);

/* Something has spoken; NULL when there is no room to tell it. The last place is kept for a refusal. */
struct finding *judgement_find(struct judgement *judgement, enum limit_id limit, const char *name, enum action action,
                               int scope);
/* Fills in the finding's `crossing`. */
void judgement_cross(struct judgement *judgement, struct finding *finding, bool per_client);
void judgement_refuse(struct judgement *judgement, const struct reply *form, const struct finding *finding,
                      int64_t delay);
/* All of that for what speaks of the whole session: a cap, a list, idleness, the score, a table. */
void judgement_find_whole(struct judgement *judgement, enum limit_id limit, enum action action, int scope,
                          uint32_t count, uint32_t max, uint32_t points);

/* ---- model_limits.c ---- */

bool is_error(const struct event *event);
/* How often the event has happened. */
uint32_t times_of(const struct event *event);
/* False when a limit refuses. */
bool judgement_limits(struct judgement *judgement);
/* Nothing has refused: what the limits count is counted. */
void judgement_count(struct judgement *judgement);
/* How long the answer to an event that was admitted waits. */
int64_t judgement_error_delay(const struct judgement *judgement);

#endif
