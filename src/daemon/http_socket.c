/*
 * http_socket.c: an evhttp with bounds.
 *
 * evhttp 2.1 tells nobody of a connection before its first request is complete. So the bufferevent of each is made here
 * (evhttp_set_bevcb()): its input tells when a request begins, and its callbacks' argument, set by evhttp just after,
 * is the connection, which tells of its end.
 */
#include "daemon/http_socket.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http_struct.h>
#include <event2/listener.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* While there is no descriptor for one more, nobody is accepted for so long. */
static const struct timeval accept_pause = {.tv_sec = 1};

/* evhttp's own bound on silence, beyond all of ours but for an endless answer that nobody takes, in seconds. */
#define SILENCE 300

enum slot_state { SLOT_FREE, SLOT_NEW, SLOT_IDLE, SLOT_READING, SLOT_ANSWERING, SLOT_ENDLESS };

/* Room for a connection. */
struct slot {
    struct http_socket *socket;
    enum slot_state state;
    struct event *timer;
    struct bufferevent *buffers;
    struct evhttp_connection *connection;
    struct evhttp_request *endless; /* SLOT_ENDLESS: what is being answered */
    void (*ended)(void *context);
    void *ended_context;
};

struct http_socket {
    struct evhttp *http;
    struct evconnlistener *listener;
    struct event *accept_again;
    struct http_bounds bounds;
    http_request_fn *answer;
    void *context;
    unsigned used;
    struct slot slots[];
};

/* Bytes of the longest request. */
static size_t longest(const struct http_socket *socket)
{
    return socket->bounds.headers + socket->bounds.body;
}

/* While a request is read there is no watermark: libevent calls who reads again and again as long as it is reached. */
static void enter(struct slot *slot, enum slot_state state)
{
    const struct http_bounds *bounds = &slot->socket->bounds;
    bool answering = state == SLOT_ANSWERING || state == SLOT_ENDLESS;

    slot->state = state;
    bufferevent_setwatermark(slot->buffers, EV_READ, 0, answering ? longest(slot->socket) : 0);
    if (state == SLOT_ENDLESS)
        event_del(slot->timer);
    else
        event_add(slot->timer, state == SLOT_IDLE      ? &bounds->idle
                               : state == SLOT_READING ? &bounds->request
                                                       : &bounds->answer);
}

static void release(struct slot *slot)
{
    struct http_socket *socket = slot->socket;
    void (*ended)(void *) = slot->ended;

    event_del(slot->timer);
    slot->state = SLOT_FREE;
    slot->buffers = NULL;
    slot->connection = NULL;
    slot->ended = NULL;
    /* evhttp leaves a request to whoever has not answered it to the end, if writing to the connection has failed. */
    if (slot->endless && !evhttp_request_get_connection(slot->endless))
        evhttp_request_free(slot->endless);
    slot->endless = NULL;
    if (socket->used-- == socket->bounds.connections && socket->listener)
        evconnlistener_enable(socket->listener);
    if (ended)
        ended(slot->ended_context);
}

static void on_closed(struct evhttp_connection *connection, void *data)
{
    (void)connection;
    release(data);
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *data)
{
    struct slot *slot = data;
    size_t bound = longest(slot->socket) + bufferevent_get_max_single_read(slot->buffers);

    if (slot->state == SLOT_IDLE && info->n_added > 0)
        enter(slot, SLOT_READING);
    /* evhttp takes a request out as soon as it is whole, but has no bound on the line that begins a chunk. */
    if (slot->state == SLOT_READING && evbuffer_get_length(input) > bound)
        event_active(slot->timer, EV_TIMEOUT, 0);
}

/* evhttp has made a connection of the bufferevent, or failed to and let go of it, which clears its callbacks. */
static void adopt(struct slot *slot)
{
    struct bufferevent *buffers = slot->buffers;
    bufferevent_data_cb readable, writable;
    bufferevent_event_cb event;
    void *connection = NULL;

    bufferevent_getcb(buffers, &readable, &writable, &event, &connection);
    if (connection) {
        slot->connection = connection;
        evhttp_connection_set_closecb(connection, on_closed, slot);
        evbuffer_add_cb(bufferevent_get_input(buffers), on_input, slot);
        enter(slot, SLOT_READING);
    } else {
        release(slot);
    }
    bufferevent_decref(buffers);
}

static void on_timer(evutil_socket_t descriptor, short what, void *data)
{
    struct slot *slot = data;

    (void)descriptor;
    (void)what;
    if (slot->state == SLOT_NEW)
        adopt(slot);
    else if (slot->connection)
        evhttp_connection_free(slot->connection); /* on_closed() does the rest */
}

/* Somebody is accepted. There is a free slot, or the listener would be disabled. */
static struct bufferevent *on_accept(struct event_base *base, void *data)
{
    struct http_socket *socket = data;
    struct bufferevent *buffers = bufferevent_socket_new(base, -1, 0);
    struct slot *slot = socket->slots;

    if (!buffers)
        return NULL;
    while (slot->state != SLOT_FREE)
        slot++;
    if (++socket->used == socket->bounds.connections)
        evconnlistener_disable(socket->listener);
    bufferevent_incref(buffers);
    slot->buffers = buffers;
    slot->state = SLOT_NEW;
    event_active(slot->timer, EV_TIMEOUT, 0); /* before anything can be read from it */
    return buffers;
}

static void on_accept_failed(struct evconnlistener *listener, void *data)
{
    (void)data;
    evconnlistener_disable(listener);
}

static void on_accept_again(evutil_socket_t descriptor, short what, void *data)
{
    struct http_socket *socket = data;

    (void)descriptor;
    (void)what;
    if (socket->used < socket->bounds.connections)
        evconnlistener_enable(socket->listener);
}

/* NULL: memory was short, and evhttp has made a connection that we know nothing of. */
static struct slot *slot_of(struct http_socket *socket, struct evhttp_request *request)
{
    const struct evhttp_connection *connection = evhttp_request_get_connection(request);

    for (unsigned i = 0; i < socket->bounds.connections; i++)
        if (socket->slots[i].connection == connection)
            return &socket->slots[i];
    return NULL;
}

/* The whole answer is on its way. */
static void on_answered(struct evhttp_request *request, void *data)
{
    struct slot *slot = data;

    (void)request;
    enter(slot, evbuffer_get_length(bufferevent_get_input(slot->buffers)) > 0 ? SLOT_READING : SLOT_IDLE);
}

static void on_request(struct evhttp_request *request, void *data)
{
    struct http_socket *socket = data;
    struct slot *slot = slot_of(socket, request);

    if (!slot) {
        evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
        return;
    }
    enter(slot, SLOT_ANSWERING);
    evhttp_request_set_on_complete_cb(request, on_answered, slot);
    socket->answer(socket->context, request);
}

static bool make(struct http_socket *socket, struct event_base *base, int descriptor)
{
    for (unsigned i = 0; i < socket->bounds.connections; i++) {
        struct slot *slot = &socket->slots[i];

        slot->socket = socket;
        slot->timer = event_new(base, -1, 0, on_timer, slot);
        if (!slot->timer)
            return false;
    }
    socket->accept_again = event_new(base, -1, EV_PERSIST, on_accept_again, socket);
    socket->http = evhttp_new(base);
    if (!socket->accept_again || !socket->http || event_add(socket->accept_again, &accept_pause) < 0)
        return false;
    evhttp_set_max_headers_size(socket->http, (ev_ssize_t)socket->bounds.headers);
    evhttp_set_max_body_size(socket->http, (ev_ssize_t)socket->bounds.body);
    evhttp_set_timeout(socket->http, SILENCE);
    evhttp_set_allowed_methods(socket->http, UINT16_MAX); /* so that we say what is wrong with the others */
    evhttp_set_bevcb(socket->http, on_accept, socket);
    evhttp_set_gencb(socket->http, on_request, socket);
    struct evhttp_bound_socket *bound = evhttp_accept_socket_with_handle(socket->http, descriptor);
    if (!bound)
        return false;
    socket->listener = evhttp_bound_socket_get_listener(bound);
    evconnlistener_set_error_cb(socket->listener, on_accept_failed);
    return true;
}

struct http_socket *http_socket_new(struct event_base *base, int descriptor, const struct http_bounds *bounds,
                                    http_request_fn *answer, void *context)
{
    struct http_socket *socket = calloc(1, sizeof *socket + bounds->connections * sizeof socket->slots[0]);

    if (socket) {
        socket->bounds = *bounds;
        socket->answer = answer;
        socket->context = context;
    }
    if (!socket || !make(socket, base, descriptor)) {
        close(descriptor);
        http_socket_free(&socket);
    }
    return socket;
}

void http_socket_free(struct http_socket **socket)
{
    struct http_socket *old = *socket;

    if (!old)
        return;
    *socket = NULL;
    old->listener = NULL; /* evhttp frees it before it closes connections */
    if (old->http)
        evhttp_free(old->http);
    for (unsigned i = 0; i < old->bounds.connections && old->slots[i].timer; i++) {
        if (old->slots[i].state == SLOT_NEW)
            bufferevent_decref(old->slots[i].buffers);
        event_free(old->slots[i].timer);
    }
    if (old->accept_again)
        event_free(old->accept_again);
    free(old);
}

void http_socket_endless(struct http_socket *socket, struct evhttp_request *request, void (*ended)(void *context),
                         void *context)
{
    struct slot *slot = slot_of(socket, request);

    enter(slot, SLOT_ENDLESS);
    slot->endless = request;
    slot->ended = ended;
    slot->ended_context = context;
}

size_t http_socket_waiting(const struct http_socket *socket)
{
    size_t waiting = 0;

    for (unsigned i = 0; i < socket->bounds.connections; i++)
        if (socket->slots[i].connection)
            waiting += evbuffer_get_length(bufferevent_get_output(socket->slots[i].buffers));
    return waiting;
}

unsigned http_socket_connections(const struct http_socket *socket)
{
    return socket->used;
}
