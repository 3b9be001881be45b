/*
 * upkeep.h: what the engine needs from time to time, and what is told of it then: reservations that lapse, crossings
 * that are over, losses, sessions whose connection is gone, old entries of the table; the counters for the log, for the
 * history and for the service manager.
 *
 * It takes the engine's lock for a moment at a time.
 *
 * Threads: the main one.
 */
#ifndef DAEMON_UPKEEP_H
#define DAEMON_UPKEEP_H

#include <stdatomic.h>

#include "daemon/control.h"
#include "daemon/session_watch.h"

/* All but the first two members are 0 at first, and upkeep's own. */
struct upkeep {
    struct control *control;         /* with engine, lock and clock */
    const atomic_bool *log_refusals; /* each refusal has a line of its own */
    bool lapsed_told;
    uint64_t unfollowed; /* refusals that are still to be told of, and when they may */
    uint64_t turned_away_told, evicted_told, untracked_told;
    int64_t losses_next;
    unsigned watch_failures; /* rounds in which the kernel did not answer, one after the other */
};

/* To be called once a second. */
void upkeep_second(struct upkeep *upkeep);

/* Tells of the crossings that are over, or, at the end, of all. */
void upkeep_crossings(struct upkeep *upkeep, bool all);

/* To be called every SESSION_WATCH_INTERVAL_MS. */
void upkeep_watch(struct upkeep *upkeep, struct session_watch *watch);

/* Logs every counter that is not 0 and what each limit has done. */
void upkeep_log_counters(struct upkeep *upkeep);

/* Adds a sample to the history. */
void upkeep_sample(struct upkeep *upkeep, struct history *history);

/* Tells the service manager how it is. */
void upkeep_status(struct upkeep *upkeep);

#endif
