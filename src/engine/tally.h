/*
 * tally.h: all counts under one rule set: those of its scopes, those of its clients, and what each session holds.
 *
 * A reload builds a second tally beside the first from the sessions that are open, and then takes its place.
 */
#ifndef ENGINE_TALLY_H
#define ENGINE_TALLY_H

#include "chain.h"

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
    struct prefix client; /* as the limit counts it */
    uint32_t count, max;
};

/* Looks for the narrowest cap in the chain that is full. Changes nothing. */
struct full tally_find_full(const struct tally *tally, const struct chain *chain, const struct addr *client);

/* True when one more refused session may await its HELO on the chain's listener. */
bool tally_may_pend(const struct tally *tally, const struct chain *chain);

/* Session `number`, which holds nothing, takes its slot in every scope of the chain, full or not. */
void tally_take(struct tally *tally, uint32_t number, const struct chain *chain, const struct addr *client);

/* Session `number`, which holds nothing, was refused and awaits its HELO. */
void tally_pend(struct tally *tally, uint32_t number, const struct chain *chain);

/* Session `number` gives back what it holds, if anything. */
void tally_release(struct tally *tally, uint32_t number);

uint32_t tally_count(const struct tally *tally, scope_id scope);
uint32_t tally_pending(const struct tally *tally, scope_id scope);
uint32_t tally_clients(const struct tally *tally);

#endif
