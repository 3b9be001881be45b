/*
 * latency.h: how long the doors take to decide an event, as a histogram: from having read it to having the verdict, the
 * wait for the engine's lock included, a delay that the client is to suffer not. A request of the policy door is one
 * event here, whatever it stands for.
 *
 * Threads: any number may note; a reading is of one moment or nearly so.
 */
#ifndef DOORS_LATENCY_H
#define DOORS_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

/* Upper bounds of the buckets, in nanoseconds; one more bucket has what is longer. */
#define LATENCY_BOUNDS 12
extern const int64_t latency_bounds[LATENCY_BOUNDS];

struct latency {
    atomic_uint_fast64_t buckets[LATENCY_BOUNDS + 1];
    atomic_uint_fast64_t sum_ns;
};

/* An event took so long; less than 0 counts as 0. NULL: nothing is noted. */
void latency_note(struct latency *latency, int64_t took_ns);

#endif
