/*
 * tally.h: all counts of what is open under one rule set: those of its scopes, those of its limits on sessions, and
 * what each session holds.
 *
 * A reload builds a second tally beside the first from the sessions that are open, and then takes its place.
 */
#ifndef ENGINE_TALLY_H
#define ENGINE_TALLY_H

#include "chain.h"
#include "slots.h"

struct tally;

/* For sessions numbered 0 to records - 1. Takes over *rules on success; NULL when memory is short. */
struct tally *tally_new(struct rules **rules, uint32_t records, const uint64_t seed[2]);
void tally_free(struct tally **tally);

/* Bytes that a tally of so many records and these rules reserves, the rules included. */
size_t tally_bytes(uint32_t records, const struct rules *rules);

const struct rules *tally_rules(const struct tally *tally);

/* A cap that has no room for one more. */
struct full {
    enum limit_id limit; /* LIMIT_NONE: there is room everywhere */
    scope_id scope;
    uint32_t count, max;
};

/* Looks for the narrowest cap in the chain that is full. Changes nothing. */
struct full tally_find_full(const struct tally *tally, const struct chain *chain);

/* True when one more refused session may await its HELO on the chain's listener. */
bool tally_may_pend(const struct tally *tally, const struct chain *chain);

/* Session `number`, which holds nothing, stands in this chain; with `caps` it takes its slot in every scope of it, full
 * or not. */
void tally_take(struct tally *tally, uint32_t number, const struct chain *chain, bool caps);

/* Session `number`, which holds nothing, was refused and awaits its HELO. */
void tally_pend(struct tally *tally, uint32_t number, const struct chain *chain);

/* Session `number` gives back its slots of caps; of a limit on sessions, by its rules_session_index(); all of them; and
 * it stands nowhere any more. */
void tally_release_caps(struct tally *tally, uint32_t number);
void tally_release_slot(struct tally *tally, uint32_t number, int index);
void tally_release_slots(struct tally *tally, uint32_t number);
void tally_release(struct tally *tally, uint32_t number);

/* The levels of the chain that session `number` stands in, for rules_setting() and rules_terms(). */
const uint32_t *tally_levels(const struct tally *tally, uint32_t number, unsigned *count);

/* The slots of a limit on sessions: how many the key has; whether the session holds one, whatever its key; take one, if
 * it holds none. */
uint32_t tally_slot_count(const struct tally *tally, const struct slot_key *key);
bool tally_has_slot(const struct tally *tally, uint32_t number, int index);
void tally_take_slot(struct tally *tally, uint32_t number, int index, const struct slot_key *key);

/* The limits that have given session `number` points, as bits; that of SCORED_DENY stands for the deny list. */
#define SCORED_DENY LIMITS_MAX
uint64_t tally_scored(const struct tally *tally, uint32_t number);
void tally_set_scored(struct tally *tally, uint32_t number, uint64_t scored);

uint32_t tally_count(const struct tally *tally, scope_id scope);
uint32_t tally_pending(const struct tally *tally, scope_id scope);
uint32_t tally_keys(const struct tally *tally);

#endif
