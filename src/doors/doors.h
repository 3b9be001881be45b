/*
 * doors.h: what every door needs to reach the engine.
 */
#ifndef DOORS_DOORS_H
#define DOORS_DOORS_H

#include <pthread.h>

#include "doors/latency.h"
#include "engine/engine.h"
#include "engine/request.h"

struct door_params {
    struct engine *engine;
    pthread_mutex_t *lock; /* held around each call of the engine, here and wherever else the engine is used */
    int64_t (*now)(void);  /* nanoseconds of a monotonic clock; any thread */
    /* Told of every verdict with findings, without the lock; `client` is the whole address of the session's client. Any
     * thread. */
    void (*tell)(const struct verdict *verdict, const struct addr *client);
    /* The kernel's name for a connection of the MTA, whose addresses and ports are given, by which it differs from any
     * that had the same before; 0: it does not know the connection, or cannot be asked. For one thread, without the
     * lock. NULL: it is never asked. */
    uint64_t (*cookie)(const struct watched_connection *connection);
    struct latency *latency; /* where it is noted how long events take; NULL: nowhere */
};

/* An event that came at `since` (by door->now()) has its verdict now, and the lock is let go. */
static inline void door_decided(const struct door_params *door, int64_t since)
{
    if (door->latency)
        latency_note(door->latency, door->now() - since);
}

#endif
