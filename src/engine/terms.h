/*
 * terms.h: what a limit means for one session: the blocks of its chain put together, and what follows for a key.
 *
 * Between the rules and the engine; nobody else needs it. Pure; any thread.
 */
#ifndef ENGINE_TERMS_H
#define ENGINE_TERMS_H

#include "chain.h"
#include "reputation.h"
#include "window.h"

struct limit_block;

struct terms {
    limit_number number;
    enum limit_count count;
    enum limit_per per;
    enum limit_mode mode;        /* MODE_BLOCK becomes MODE_MONITOR where everything is only monitored */
    scope_id scope;              /* of the counter: the innermost block's */
    uint64_t group;              /* of its records */
    uint8_t slot;                /* the record's window, or RECORD_WINDOWS for a limit without one */
    int64_t value[LIMIT_TERMS];  /* TERM_UNSET where nobody gives it */
    uint32_t largest;            /* of all maxima that may apply */
    const struct reply *reply;   /* NULL: the catalogue's */
    const struct keyset *except; /* NULL: nobody */
    const struct limit_block *blocks[CHAIN_MAX]; /* the innermost first */
    unsigned block_count;
};

/* The mode of all sessions that the block counts. It counts those alone to which no other block of its limit is nearer,
 * so what it says itself holds for them all. False when it says nothing and there may be another around it: then the
 * mode may differ from session to session. */
bool rules_block_mode(const struct rules *rules, uint32_t block, enum limit_mode *mode);

/* The blocks whose limits keep their counts in the records of one group, that or else the next above it, and how many
 * there are: 0 when there is no such group. */
const struct group_block *rules_group_from(const struct rules *rules, uint64_t group, size_t *count);

/* The limits with a block somewhere that have something to look at when this event comes, as bits (1 << number). */
uint64_t rules_limits_at(const struct rules *rules, enum event_kind event);

/* Puts the limit together for a session in this chain of levels. False when no block of the chain names it, or it is
 * off. */
bool rules_terms(const struct rules *rules, const uint32_t *levels, unsigned level_count, limit_number limit,
                 struct terms *out);

/* Whose maximum is asked for. Names are in normal form; NULL or "" where there is none. */
struct terms_subject {
    struct addr client;
    const char *name; /* an address or domain, as the limit's per has it */
    const char *user;
    enum reputation reputation;
};

/* How many there may be for that key; 0: any number. */
uint32_t terms_max(const struct rules *rules, const struct terms *terms, const struct terms_subject *subject);

/* The same, and who says so: the limit, a key of it, or its exceptions. */
enum max_source { MAX_OF_LIMIT, MAX_OF_KEY, MAX_OF_EXCEPT };
struct max_said {
    enum max_source source;
    enum limit_term term; /* MAX_OF_LIMIT, MAX_OF_KEY: which of the maxima it is */
    struct said said;     /* MAX_OF_KEY, MAX_OF_EXCEPT; of the limit's own terms_said() tells */
};
uint32_t terms_max_said(const struct rules *rules, const struct terms *terms, const struct terms_subject *subject,
                        struct max_said *said);

/* Where a term of the limit is said. */
struct said terms_said(const struct terms *terms, enum limit_term term);

/* The limits on sessions: how many, and the place of one among them (-1: it counts something else). */
unsigned rules_session_limits(const struct rules *rules);
int rules_session_index(const struct rules *rules, limit_number limit);

/* Names of limits, the pairs they count, and how many are known. */
uint32_t rules_limit_count(const struct rules *rules);
const char *rules_limit_name(const struct rules *rules, limit_number limit);

/* What the lists say of a client, a sender, a user, with the entry that answers. */
enum list_answer { LISTED_NOWHERE, LISTED_DENY, LISTED_EXEMPT };
struct listed {
    enum list_answer answer;
    uint32_t line;
    unsigned bits;      /* of rules_listed_client(): the length of the entry */
    const char *name;   /* of rules_listed_names(): the entry, a part of what was asked; NULL: whoever authenticates */
    const char *spared; /* likewise: the part of `sender` by which the sender is exempt, NULL when it is not */
};
struct listed rules_listed_client(const struct rules *rules, const struct addr *client);
/* By the user first and the sender then; deny by either beats exempt by the other. NULL and "": there is none. */
struct listed rules_listed_names(const struct rules *rules, const char *sender, const char *user);
enum limit_mode rules_deny_mode(const struct rules *rules);
uint32_t rules_deny_points(const struct rules *rules);

bool rules_monitor(const struct rules *rules);
/* In ticks, of reputation.h; 0: no histories are kept. */
uint32_t rules_reputation_steps(const struct rules *rules);
/* The group of the records that hold the histories of clients. */
uint64_t rules_reputation_group(const struct rules *rules);

#endif
