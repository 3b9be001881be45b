/*
 * doors.h: what every door needs to reach the engine.
 */
#ifndef DOORS_DOORS_H
#define DOORS_DOORS_H

#include <pthread.h>

#include "engine/engine.h"

struct door_params {
    struct engine *engine;
    pthread_mutex_t *lock; /* held around each call of the engine, here and wherever else the engine is used */
    int64_t (*now)(void);  /* nanoseconds of a monotonic clock; any thread */
    /* Told of every verdict with findings, without the lock; `client` is the whole address of the session's client. Any
     * thread. */
    void (*tell)(const struct verdict *verdict, const struct addr *client);
};

#endif
