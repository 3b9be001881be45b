/*
 * http_socket.h: one socket of the HTTP service: libevent's evhttp, and bounds on what whoever connects may take of it.
 *
 * There are so many connections at once; while they last, nobody else is accepted. A request must be complete in its
 * time, however slowly it is sent, and its answer taken; evhttp itself knows only how long a connection may be silent.
 * Of what is sent, little more is taken in than the longest request: the rest waits in the system's buffers while an
 * answer is on its way, and ends the connection otherwise.
 *
 * Threads: all in the one that runs the loop.
 */
#ifndef DAEMON_HTTP_SOCKET_H
#define DAEMON_HTTP_SOCKET_H

#include <event2/event.h>
#include <event2/http.h>
#include <stddef.h>

struct http_bounds {
    unsigned connections;   /* at once, 1 or more */
    struct timeval request; /* from its first byte to its last; from the beginning of the connection for the first */
    struct timeval answer;  /* until an answer has been taken */
    struct timeval idle;    /* from an answer to the first byte of the next request */
    size_t headers, body;   /* bytes of a request */
};

/* Called with each request that is complete; it must answer with evhttp_send_*(), there and then or later. */
typedef void http_request_fn(void *context, struct evhttp_request *request);

struct http_socket;

/* Begins to accept from a descriptor that listens and does not block; takes it, also when memory is short: then
 * NULL. `context` must live as long as the socket. */
struct http_socket *http_socket_new(struct event_base *base, int descriptor, const struct http_bounds *bounds,
                                    http_request_fn *answer, void *context);

/* Closes the socket and its connections. Sets *socket to NULL; NULL there is left alone. */
void http_socket_free(struct http_socket **socket);

/* The answer to this request, which is the connection's current one, has no end: it may take any time. `ended` is
 * called with `context` when the connection ends, whoever ends it; the request is gone then. */
void http_socket_endless(struct http_socket *socket, struct evhttp_request *request, void (*ended)(void *context),
                         void *context);

/* Bytes of answers that have not been taken yet, those in the system's buffers aside. */
size_t http_socket_waiting(const struct http_socket *socket);

/* How many connections there are. */
unsigned http_socket_connections(const struct http_socket *socket);

#endif
