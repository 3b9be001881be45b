/*
 * reading.h: what pages and log read of the engine, a few records at a time, so that its lock is never held for long.
 *
 * Threads: the main one, in which no reload comes between.
 */
#ifndef DAEMON_READING_H
#define DAEMON_READING_H

#include "daemon/best.h"
#include "daemon/control.h"
#include "engine/activity.h"
#include "engine/bans.h"

/* "connect", "helo" and so on: a string constant. */
const char *event_name(enum event_kind kind);

struct engine_totals read_totals(struct control *control);

/* Every limit; returns how many there are. */
size_t read_limits(struct control *control, struct limit_view out[LIMIT_END]);

/* Some counters of scopes, from that number on; returns how many, 0 at the end. */
#define COUNTERS_CHUNK 32
size_t read_counter_chunk(struct control *control, size_t from, struct counter_view out[COUNTERS_CHUNK]);

/* The counters of scopes, in their order, at most so many: those of the lowest class first. */
struct counters {
    struct counter_view *views;
    size_t count, left_out;
};
#define COUNTER_CLASSES 3
typedef unsigned counter_class(const struct counter_view *view); /* less than COUNTER_CLASSES */
/* False when memory is short; counters_free() is allowed all the same. */
bool read_counters(struct control *control, size_t most, counter_class *class_of, struct counters *out);
void counters_free(struct counters *counters);

/* Offers every client or domain (struct activity_view), or every ban (struct ban_view) of that limit, or of all with
 * NULL, to each of `count` lists. */
void read_activity(struct control *control, enum activity_kind kind, struct best *lists, size_t count);
struct activity_totals read_activity_totals(struct control *control, enum activity_kind kind);
void read_bans(struct control *control, const char *limit, struct best *list);

/* An order of struct ban_view. */
int most_time_left_first(const void *a, const void *b);

/* Orders of struct activity_view, the largest number first; by trouble: refused and monitored together. */
enum activity_order { BY_SESSIONS, BY_CONNECTIONS, BY_MESSAGES, BY_REFUSED, BY_MONITORED, BY_TROUBLE };
int (*activity_compare(enum activity_order order))(const void *, const void *);

/* control_activity.c. Sorts, and makes the array of a page. NULL when memory is, or was, short. What a list cannot say
 * itself, for lack of room, is put beside it; false when memory is short. */
json_t *activity_list(enum activity_kind kind, struct best *best);
bool put_activity_totals(struct control *control, enum activity_kind kind, json_t *page);

/* Of events so far: how many; the sum of what they took; the seconds that a part of them (in thousandths, 0 to 1000)
 * did not exceed, as the upper bound of a bucket; infinity when that is in the last one, or there were none. */
struct latency_reading {
    uint64_t buckets[LATENCY_BOUNDS + 1];
    uint64_t count;
    double sum;
};
struct latency_reading read_latency(const struct latency *latency);
double latency_part(const struct latency_reading *reading, unsigned permille);

#endif
