/*
 * policy_thread.h: the policy door as the configuration wants it: its sockets opened, and served in a thread of its
 * own.
 *
 * Threads: the main one.
 */
#ifndef DAEMON_POLICY_THREAD_H
#define DAEMON_POLICY_THREAD_H

#include "config/config.h"
#include "daemon/process.h"
#include "doors/doors.h"
#include "doors/waiting.h"

struct policy_thread;

/* Opens every policy socket of the configuration. At most `connections` are served at once. `door` and `waiting` must
 * live as long as the thread. On failure false and one line of text, and nothing is left open. *out is NULL, and all is
 * well, when the configuration has no policy section. */
bool policy_thread_open(const struct config *config, const struct door_params *door, struct waiting_room *waiting,
                        unsigned connections, struct policy_thread **out, char error[PROCESS_ERROR_SIZE]);

/* Begins to serve. Signals must be blocked. False when there is no thread to be had. NULL is true. */
bool policy_thread_start(struct policy_thread *thread);

/* policy_service_seen(). */
int64_t policy_thread_seen(const struct policy_thread *thread);

/* After a reload, whose configuration has the same sockets: what sessions hold from now on. */
void policy_thread_set(struct policy_thread *thread, const struct config *config);

/* Whoever waits is answered, everything is closed, unix sockets are removed. Sets the caller's pointer to NULL; NULL is
 * left alone. */
void policy_thread_stop(struct policy_thread **thread);

#endif
