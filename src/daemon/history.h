/*
 * history.h: how the counters went over the last hour: a sample every HISTORY_INTERVAL_S seconds, in a ring of fixed
 * size.
 *
 * Known are the first HISTORY_SCOPES scopes that have a cap, by their name, and every limit by its name. What a sample
 * does not name any more is forgotten with it; so a reload keeps the series whose names are still there.
 *
 * Threads: the main one.
 */
#ifndef DAEMON_HISTORY_H
#define DAEMON_HISTORY_H

#include "engine/engine.h"

#define HISTORY_INTERVAL_S 10
#define HISTORY_SAMPLES 360
#define HISTORY_SCOPES 64
#define HISTORY_LIMITS LIMIT_END

struct history;

/* An empty one; all memory that it will ever use. NULL when memory is short. */
struct history *history_new(void);
void history_free(struct history **history);
size_t history_bytes(void);

/* Adds a sample, taken at `when` (seconds since 1970), in three steps: begin; one call for each counter and each limit;
 * end. The oldest of more than HISTORY_SAMPLES goes. */
void history_begin(struct history *history, double when);
void history_counter(struct history *history, const struct counter_view *view);
void history_limit(struct history *history, const struct limit_view *view);
void history_end(struct history *history);

/* ---- reading, between samples ---- */

/* How many samples there are, 0 to HISTORY_SAMPLES, and when the last was taken; 0 when there is none. */
size_t history_samples(const struct history *history);
double history_when(const struct history *history);

/* What was not known then: the scope or limit had not that name yet, or the scope no cap. */
#define HISTORY_UNKNOWN UINT32_MAX

/* Series are numbered from 0 in the order in which they came; `sample` is 0 for the oldest, less than
 * history_samples(). Texts are good until the next sample. */
size_t history_scopes(const struct history *history);
const char *history_scope_name(const struct history *history, size_t series);
uint32_t history_scope_max(const struct history *history, size_t series); /* in the last sample */
uint32_t history_sessions(const struct history *history, size_t series, size_t sample);

/* Limits alone that have refused or monitored anything. Counted is what came since the sample before; of a limit that
 * is new, all that it has done. */
size_t history_limits(const struct history *history);
const char *history_limit_name(const struct history *history, size_t series);
uint32_t history_refused(const struct history *history, size_t series, size_t sample);
uint32_t history_monitored(const struct history *history, size_t series, size_t sample);
/* All that it had done by the last sample, since the start. */
uint64_t history_refused_before(const struct history *history, size_t series);
uint64_t history_monitored_before(const struct history *history, size_t series);

#endif
