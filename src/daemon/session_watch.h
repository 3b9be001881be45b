/*
 * session_watch.h: ends the sessions whose connection is gone from the kernel's table (kernel_sockets.h), for the door
 * that never hears of a session's end (engine_watch_begin() and its neighbours, engine/request.h).
 *
 * Each round reads the kernel's whole table of the ports that such sessions came in on, so its cost grows with the
 * connections that are open, not with the requests made. Works where the MTA's connections are in this process's
 * network namespace; elsewhere every session loses its slots at the next round, which session_watch_blind() tells.
 *
 * Threads: one at a time. The engine's lock is taken for one engine call at a time, never over a question to the
 * kernel.
 */
#ifndef DAEMON_SESSION_WATCH_H
#define DAEMON_SESSION_WATCH_H

#include <pthread.h>

#include "engine/engine.h"

/* How often to call session_watch_run(): a slot is free again within a second of its connection's end, the time that a
 * round takes included. */
#define SESSION_WATCH_INTERVAL_MS 400

/* At most so many sessions are asked for one by one in a round, some microseconds each; the next goes on with the
 * others. */
#define SESSION_WATCH_QUESTIONS 20000

/* session_watch_blind() speaks when the kernel never knew the connections of so many sessions. */
#define SESSION_WATCH_BLIND 100

struct session_watch;

struct session_watch_params {
    struct engine *engine; /* with engine_params.connections */
    pthread_mutex_t *lock;
};

/* NULL and errno when the kernel cannot be asked (EOPNOTSUPP: not built in, or not by this kernel). */
struct session_watch *session_watch_new(void);
void session_watch_free(struct session_watch **watch);

/* One round: the sessions whose connections are gone are ended as of `now`. Asks nothing while no session is watched.
 * False when the kernel failed on the way: the sessions that it has not told of are left as they are. */
bool session_watch_run(struct session_watch *watch, const struct session_watch_params *params, int64_t now);

/* True once, when SESSION_WATCH_BLIND sessions have lost their slots as the kernel never knew their connections: the
 * MTA is on another host or in another network namespace, or sends other addresses than those of its connections. */
bool session_watch_blind(struct session_watch *watch);

#endif
