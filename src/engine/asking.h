/*
 * asking.h: somebody who is asked about, as if an event of his were judged. For explain.c and evaluate.c.
 */
#ifndef ENGINE_ASKING_H
#define ENGINE_ASKING_H

#include "explain.h"
#include "state.h"

struct asking {
    const struct explain_subject *subject;
    int64_t now; /* as the engine sees time; it is left as it is */
    struct event event;
    struct judging judging; /* of that event; the chain's levels are for each place to fill in */
    char sender[KEY_TEXT_SIZE + 1], recipient[KEY_TEXT_SIZE + 1];
};

void asking_begin(struct asking *asking, const struct engine *engine, const struct explain_subject *subject,
                  int64_t now);

/* Where the subject comes in. */
struct session_facts asking_facts(const struct explain_subject *subject);

/* Whether a limit of that kind counts anybody of whom something is asked, and the event as it is to be judged by it. */
bool asking_concerns(struct asking *asking, enum limit_count count, enum limit_per per);

#endif
