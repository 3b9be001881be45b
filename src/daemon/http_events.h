/*
 * http_events.h: those who follow GET /events: verdicts from any thread, as lines of JSON to whoever asked for them.
 *
 * What is told waits in a queue of EVENTS_QUEUE findings for the loop; what finds no room there, or none in the buffer
 * of a follower who reads slowly, is left out, and the follower is told how many. Who has closed is noticed at once
 * where libevent can tell (EV_FEATURE_EARLY_CLOSE, as with epoll), elsewhere when a line, at the latest the next empty
 * one, cannot be sent.
 *
 * Threads: http_events_tell() is for any, everything else for the one that runs the loop.
 */
#ifndef DAEMON_HTTP_EVENTS_H
#define DAEMON_HTTP_EVENTS_H

#include <event2/event.h>
#include <event2/http.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/http_socket.h"
#include "engine/event.h"

#define EVENTS_QUEUE 1024
#define EVENTS_FOLLOWERS 8
#define EVENTS_BUFFER (256 * 1024) /* bytes that may wait for one follower */

struct http_events;

/* Bytes that http_events_new() takes. */
size_t http_events_bytes(void);

/* `wall` gives seconds since 1970, in any thread. NULL when memory is short. */
struct http_events *http_events_new(double (*wall)(void));

/* Begins to listen in that loop for what is told; an empty line every `heartbeat`. False when memory is short. */
bool http_events_start(struct http_events *events, struct event_base *base, const struct timeval *heartbeat);

/* Answers the request with all that is told from here on. False, and nothing is answered, when EVENTS_FOLLOWERS follow
 * already, or memory is short. The headers are the caller's. */
bool http_events_follow(struct http_events *events, struct http_socket *socket, struct evhttp_request *request);

/* Costs one look when nobody follows. */
void http_events_tell(struct http_events *events, const struct verdict *verdict, const struct addr *client);

/* Nobody follows any more: the sockets must be closed already. http_events_tell() is without effect from here on, but
 * may be called; so what it looks at is not freed. */
void http_events_stop(struct http_events *events);

/* Frees all the rest, when nobody can call http_events_tell() any more. Sets *events to NULL. */
void http_events_free(struct http_events **events);

#endif
