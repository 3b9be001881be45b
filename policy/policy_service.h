/*
 * policy_service.h: the policy door's hinges: its sockets and connections, on libevent, in one thread of their own. A
 * connection of the MTA is not a session: it asks about many, one after the other (master(8), max_use).
 */
#ifndef POLICY_POLICY_SERVICE_H
#define POLICY_POLICY_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doors/doors.h"
#include "doors/waiting.h"
#include "engine/request.h"

struct policy_socket {
    int descriptor;         /* listens; the service makes it non-blocking and closes it at the end */
    const char *name;       /* for the log; must live as long as the service */
    enum request_hold hold; /* until policy_service_set_hold() says otherwise */
};

struct policy_params {
    const struct door_params *door; /* must live as long as the service */
    struct waiting_room *waiting;   /* likewise */
    const struct policy_socket *sockets;
    unsigned socket_count;
    unsigned connections; /* at once, over all sockets; one more is closed as soon as it is accepted */
    int64_t request_time_ms, answer_time_ms; /* 0: POLICY_REQUEST_TIME_S, POLICY_ANSWER_TIME_S */
    /* A connection was closed without an answer, as the protocol demands in trouble, or none can be accepted; `peer` is
     * "127.0.0.1:4711", "[::1]:4711" or the socket's name, `why` text for the log. In the service's thread, at most
     * POLICY_TROUBLES_MAX a second; `more` were not told since. */
    void (*trouble)(const char *peer, const char *why, uint64_t more);
};
#define POLICY_TROUBLES_MAX 10

/* A request must be whole so long after its first byte; and an answer taken so long after it was ready. */
#define POLICY_REQUEST_TIME_S 10
#define POLICY_ANSWER_TIME_S 60

/* Of requests that are not whole yet or wait for their turn, and of answers that wait or are not taken, so many bytes
 * each are kept for every connection, and so many more for all of them together. Who needs yet more is closed. */
#define POLICY_KEPT_FREE 2048
#define POLICY_KEPT_MAX ((size_t)16 << 20)

struct policy_service;

/* NULL when memory, or an event loop, is not to be had; the descriptors are then still the caller's. */
struct policy_service *policy_service_new(const struct policy_params *params);

/* Serves until policy_service_stop(). False when the event loop gave up before. Block all signals before: it is made to
 * be a thread's main function. */
bool policy_service_run(struct policy_service *service);

/* What sessions hold that requests through that socket bring in, from now on. Any thread. */
void policy_service_set_hold(struct policy_service *service, unsigned socket, enum request_hold hold);

/* Whoever waits is answered at once, then everything is closed and policy_service_run() returns. Any thread, not from a
 * signal handler. */
void policy_service_stop(struct policy_service *service);

/* After policy_service_run() has returned, or when it was never called. Sets the caller's pointer to NULL. */
void policy_service_free(struct policy_service **service);

/* Connections that are open now. Any thread. */
unsigned policy_service_connections(const struct policy_service *service);

/* When its loop last had its turn, by the clock of the door; 0 before policy_service_run(). Never much more than a
 * second ago while it lives. Any thread. */
int64_t policy_service_seen(const struct policy_service *service);

/* Bytes that an idle connection takes at most in this process, with what malloc(3) adds. */
size_t policy_connection_memory(void);

#endif
