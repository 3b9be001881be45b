/*
 * latency.c: how long the doors take.
 */
#include "doors/latency.h"

#include <stddef.h>

#define US INT64_C(1000)

const int64_t latency_bounds[LATENCY_BOUNDS] = {1 * US,   2 * US,   5 * US,    10 * US,   20 * US,    50 * US,
                                                100 * US, 500 * US, 1000 * US, 5000 * US, 20000 * US, 100000 * US};

void latency_note(struct latency *latency, int64_t took_ns)
{
    size_t bucket = 0;

    if (!latency)
        return;
    if (took_ns < 0)
        took_ns = 0;
    while (bucket < LATENCY_BOUNDS && took_ns > latency_bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&latency->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&latency->sum_ns, (uint_fast64_t)took_ns, memory_order_relaxed);
}
