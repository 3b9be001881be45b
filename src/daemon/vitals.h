/*
 * vitals.h: whether the daemon still does what it is there for, for the watchdog (supervisor.h). Cheap enough to be
 * asked every second, and slow to speak: a daemon that is killed forgets its counters, one that is only slow does not.
 *
 * That the main loop runs shows in that it asks. That the engine's lock can be had shows in that it gets an answer:
 * whoever keeps the lock keeps the main loop, and the watchdog hears nothing. The policy door's loop says when it last
 * had its turn. The milter door is libmilter's; what can be seen of it is whether it takes the connections that we make
 * to it ourselves (milter_socket_nudge()).
 *
 * Threads: the main one.
 */
#ifndef DAEMON_VITALS_H
#define DAEMON_VITALS_H

#include <pthread.h>
#include <stdint.h>

#include "daemon/policy_thread.h"

/* A door is dead that has stood still for so long. */
#define VITALS_SILENCE_S 10

struct vitals {
    uint64_t milter_turns;      /* driver_turns() when we last connected, */
    unsigned milter_unanswered; /* and how many connections one after the other were not taken in a second */
};

/* Once a second: connects to the milter's socket, and sees what became of the last time. */
void vitals_tick(struct vitals *vitals);

/* Waits for the lock, and lets go of it. NULL: all is well; else what is wrong, for the log. */
const char *vitals_trouble(const struct vitals *vitals, pthread_mutex_t *lock, const struct policy_thread *policy,
                           int64_t now);

#endif
