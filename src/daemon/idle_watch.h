/*
 * idle_watch.h: finds sessions that have gone silent, by asking the kernel about their connections (kernel_sockets.h),
 * and has the engine refuse their next command, or ends them where idle_action says so and the kernel allows it.
 *
 * A filter hears only of some commands; the kernel knows when the client last spoke. Sessions that the kernel does not
 * know (another host's, or one that a proxy stands in for) are judged by the engine alone, from command to command.
 *
 * Threads: one at a time. The engine's lock is taken for one engine call at a time, never over a question to the
 * kernel.
 */
#ifndef DAEMON_IDLE_WATCH_H
#define DAEMON_IDLE_WATCH_H

#include <pthread.h>

#include "engine/engine.h"

/* How much later a session may be found idle for the kernel being asked once a second: for engine_params. */
#define IDLE_WATCH_SLACK_NS (2 * INT64_C(1000000000))

struct idle_watch;

struct idle_watch_params {
    struct engine *engine;
    pthread_mutex_t *lock;
    void (*tell)(const struct verdict *verdict,
                 const struct addr *client); /* of sessions that were ended; no lock held */
};

/* NULL when the kernel cannot be asked, which is no error. */
struct idle_watch *idle_watch_new(void);
void idle_watch_free(struct idle_watch **watch);

/* Whether this process may end connections: as it was found when the watch was made, or by the last
 * idle_watch_rights_changed(). */
bool idle_watch_may_end(const struct idle_watch *watch);

/* To be told when the process has given up rights. NULL is left alone. */
void idle_watch_rights_changed(struct idle_watch *watch);

/* Looks at the sessions that seem idle at `now`, at most IDLE_WATCH_QUESTIONS of them; the next call goes on from
 * there. Call it once a second. */
#define IDLE_WATCH_QUESTIONS 2000
void idle_watch_run(struct idle_watch *watch, const struct idle_watch_params *params, int64_t now);

#endif
