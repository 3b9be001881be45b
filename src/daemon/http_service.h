/*
 * http_service.h: the HTTP service: two sockets (libevent's evhttp), one with everything and one that is read only, and
 * the table of what is served there.
 *
 * Threads: everything in the main one, within its loop, but http_service_tell(), which any thread may call.
 */
#ifndef DAEMON_HTTP_SERVICE_H
#define DAEMON_HTTP_SERVICE_H

#include <event2/event.h>
#include <stdint.h>

#include "config/config.h"
#include "daemon/control.h"
#include "daemon/process.h"
#include "engine/event.h"

struct http_service;

/* Connections at once, on each of the sockets; and the descriptors that the service takes at most. */
#define HTTP_SERVICE_CONNECTIONS 32
#define HTTP_SERVICE_DESCRIPTORS (2 * (HTTP_SERVICE_CONNECTIONS + 1) + 2)

/* Bytes that the service takes when every connection is in use, for the promise of budget_memory(). */
uint64_t http_service_memory(void);

/* Opens the sockets that the configuration names: before other threads run, as listening.h says. `control` must live as
 * long as the service. `reload` reads the configuration again and returns whether it was taken over; what there was to
 * say goes to `messages`, which the caller clears. On failure false and one line of text, and nothing is left open.
 * *out is NULL, and all is well, when the configuration names neither. */
typedef bool http_reload(struct config_messages *messages);
bool http_service_open(const struct config *config, struct control *control, http_reload *reload,
                       struct http_service **out, char error[PROCESS_ERROR_SIZE]);

/* Begins to serve in that loop. False when memory is short. NULL is true. */
bool http_service_start(struct http_service *service, struct event_base *base);

/* A verdict with findings, for those who follow GET /events. Costs next to nothing when nobody does. NULL is left
 * alone. */
void http_service_tell(struct http_service *service, const struct verdict *verdict, const struct addr *client);

/* Everything is closed, the control socket removed. What memory is left stays for those who are in http_service_tell()
 * yet, or come to it: it is without effect from here on. NULL is left alone. */
void http_service_close(struct http_service *service);

#endif
