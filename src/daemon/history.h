/*
 * history.h: how the counters went over the last hour: a sample every HISTORY_INTERVAL_S seconds, in a ring of fixed
 * size.
 *
 * Known are the first HISTORY_SCOPES scopes that have a cap, by their name, and every limit that has refused or
 * monitored anything, by its name. A reload keeps the series whose names are still there.
 *
 * Threads: the main one.
 */
#ifndef DAEMON_HISTORY_H
#define DAEMON_HISTORY_H

#include "engine/engine.h"

#define HISTORY_INTERVAL_S 10
#define HISTORY_SAMPLES 360
#define HISTORY_SCOPES 64

struct history;

/* An empty one; all memory that it will ever use. NULL when memory is short. */
struct history *history_new(void);
void history_free(struct history **history);
size_t history_bytes(void);

/* Adds a sample, in three steps: begin; one call for each counter and each limit; end. */
void history_begin(struct history *history);
void history_counter(struct history *history, const struct counter_view *view);
void history_limit(struct history *history, const struct limit_view *view);
void history_end(struct history *history);

#endif
