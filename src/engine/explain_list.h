/*
 * explain_list.h: the list of what is told of somebody, which has room for so much. For explain.c.
 */
#ifndef ENGINE_EXPLAIN_LIST_H
#define ENGINE_EXPLAIN_LIST_H

#include "explain.h"

/* Adds a copy of a finished explanation in its place, unless the same counter is there already, seen from another place
 * where the same holds. Where there is no room, what keeps the subject out stays before what does not, and of equals
 * what is judged first; the rest is counted in `left_out`. `seed` is the engine's. */
void explain_list_add(struct explain_walk *walk, const uint64_t seed[2], const struct explanation *one);

#endif
