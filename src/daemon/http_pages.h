/*
 * http_pages.h: what is served where: from a request to its answer.
 *
 * Threads: all in the one that runs the loop.
 */
#ifndef DAEMON_HTTP_PAGES_H
#define DAEMON_HTTP_PAGES_H

#include <event2/http.h>
#include <stdbool.h>

#include "config/messages.h"
#include "daemon/control.h"
#include "daemon/http_events.h"
#include "daemon/http_socket.h"

/* Where requests come in. */
struct http_place {
    struct control *control;
    bool (*reload)(struct config_messages *messages); /* as http_service.h says */
    struct http_events *events;
    struct http_socket *socket;
    bool tcp;      /* only what is for everybody on this host, and changes nothing */
    bool any_host; /* Host may be any name: others than this host are meant to look at it */
};

/* An http_request_fn; `place` is a struct http_place. */
void http_pages_answer(void *place, struct evhttp_request *request);

#endif
