/*
 * policy_service.c: the sockets of the policy door, and the loop that waits for them.
 */
#define _GNU_SOURCE /* accept4(), pipe2() */

#include "policy_service.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy_connection.h"

/* Connections that one wake-up accepts, so that those who ask do not wait for those who come. */
#define ACCEPTS 32

/* How long nobody is accepted when there is no descriptor, or no memory, for one more. */
static const struct timeval accept_pause = {.tv_sec = 1};

/* How often the loop shows that it lives. */
static const struct timeval turn_interval = {.tv_sec = 1};

#define WHY_SIZE 128

struct listener {
    struct policy_service *service;
    struct connection_source source;
    struct event *readable;
    int descriptor; /* -1: closed, or the caller's */
};

struct policy_service {
    struct connection_host host;
    struct event *accept_again, *stop, *turn;
    atomic_llong seen; /* when the last turn was */
    int stop_ends[2];  /* pipe: readable once the service is to stop */
    bool pause_told;   /* nobody can be accepted, and that has been told */
    unsigned listener_count;
    struct listener listeners[];
};

/* ---- the sockets ---- */

static void on_accept_again(evutil_socket_t descriptor, short what, void *context)
{
    struct policy_service *service = context;

    (void)descriptor;
    (void)what;
    for (unsigned i = 0; i < service->listener_count; i++)
        if (event_add(service->listeners[i].readable, NULL) < 0)
            evtimer_add(service->accept_again, &accept_pause);
}

static void pause_accepting(struct listener *listener, int error)
{
    struct policy_service *service = listener->service;
    char why[WHY_SIZE];

    if (evtimer_add(service->accept_again, &accept_pause) == 0)
        for (unsigned i = 0; i < service->listener_count; i++)
            event_del(service->listeners[i].readable);
    snprintf(why, sizeof why, "no connection can be accepted: %s", strerror(error));
    if (!service->pause_told)
        connection_trouble(&service->host, listener->source.name, why);
    service->pause_told = true;
}

/* Whether accept(2) has failed for this wake-up, or this client, alone. */
static bool is_passing(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == ECONNABORTED;
}

static void on_connections(evutil_socket_t descriptor, short what, void *context)
{
    struct listener *listener = context;

    (void)what;
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t length = sizeof peer;
        int accepted = accept4(descriptor, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted < 0) {
            if (!is_passing(errno))
                pause_accepting(listener, errno);
            return;
        }
        listener->service->pause_told = false;
        connection_open(&listener->source, accepted, &peer);
    }
}

static bool open_listener(struct policy_service *service, struct listener *listener, const struct policy_socket *socket)
{
    listener->service = service;
    listener->source.host = &service->host;
    listener->source.name = socket->name;
    atomic_init(&listener->source.hold, socket->hold);
    listener->readable =
        event_new(service->host.base, socket->descriptor, EV_READ | EV_PERSIST, on_connections, listener);
    return listener->readable && evutil_make_socket_nonblocking(socket->descriptor) == 0 &&
           event_add(listener->readable, NULL) == 0;
}

static void close_listeners(struct policy_service *service)
{
    for (unsigned i = 0; i < service->listener_count; i++) {
        struct listener *listener = &service->listeners[i];
        if (listener->readable)
            event_free(listener->readable);
        listener->readable = NULL;
        if (listener->descriptor >= 0)
            close(listener->descriptor);
        listener->descriptor = -1;
    }
}

/* ---- the service ---- */

static void on_stop(evutil_socket_t descriptor, short what, void *context)
{
    struct policy_service *service = context;

    (void)descriptor;
    (void)what;
    event_base_loopbreak(service->host.base);
}

static void on_turn(evutil_socket_t descriptor, short what, void *context)
{
    struct policy_service *service = context;

    (void)descriptor;
    (void)what;
    atomic_store(&service->seen, service->host.door->now());
}

/* One thread alone uses it, so it needs no locks. */
static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
        base = event_base_new_with_config(config);
    if (config)
        event_config_free(config);
    return base;
}

static struct timeval time_of(int64_t given_ms, int64_t usual_s)
{
    int64_t ms = given_ms > 0 ? given_ms : usual_s * 1000;

    return (struct timeval){.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

static bool open_service(struct policy_service *service, const struct policy_socket *sockets)
{
    service->host.base = new_base();
    if (!service->host.base || pipe2(service->stop_ends, O_NONBLOCK | O_CLOEXEC) < 0)
        return false;
    service->accept_again = evtimer_new(service->host.base, on_accept_again, service);
    service->stop = event_new(service->host.base, service->stop_ends[0], EV_READ, on_stop, service);
    service->turn = event_new(service->host.base, -1, EV_PERSIST, on_turn, service);
    bool ok = service->accept_again && service->stop && service->turn && event_add(service->stop, NULL) == 0 &&
              event_add(service->turn, &turn_interval) == 0;
    for (unsigned i = 0; i < service->listener_count && ok; i++)
        ok = open_listener(service, &service->listeners[i], &sockets[i]);
    return ok;
}

struct policy_service *policy_service_new(const struct policy_params *params)
{
    struct policy_service *service = calloc(1, sizeof *service + params->socket_count * sizeof *service->listeners);

    if (!service)
        return NULL;
    service->stop_ends[0] = service->stop_ends[1] = -1;
    service->host.door = params->door;
    service->host.waiting = params->waiting;
    service->host.trouble = params->trouble;
    service->host.count_max = params->connections;
    service->host.request_time = time_of(params->request_time_ms, POLICY_REQUEST_TIME_S);
    service->host.answer_time = time_of(params->answer_time_ms, POLICY_ANSWER_TIME_S);
    service->listener_count = params->socket_count;
    for (unsigned i = 0; i < params->socket_count; i++)
        service->listeners[i].descriptor = -1;
    if (!open_service(service, params->sockets)) {
        policy_service_free(&service);
        return NULL;
    }
    for (unsigned i = 0; i < params->socket_count; i++)
        service->listeners[i].descriptor = params->sockets[i].descriptor;
    return service;
}

bool policy_service_run(struct policy_service *service)
{
    atomic_store(&service->seen, service->host.door->now());
    event_base_dispatch(service->host.base);
    bool stopped = event_base_got_break(service->host.base);
    connection_close_all(&service->host);
    close_listeners(service);
    return stopped;
}

void policy_service_set_hold(struct policy_service *service, unsigned socket, enum request_hold hold)
{
    atomic_store(&service->listeners[socket].source.hold, hold);
}

void policy_service_stop(struct policy_service *service)
{
    /* A full pipe has been told to stop already. */
    ssize_t ignored = write(service->stop_ends[1], "", 1);
    (void)ignored;
}

void policy_service_free(struct policy_service **service)
{
    if (!*service)
        return;
    close_listeners(*service);
    if ((*service)->accept_again)
        event_free((*service)->accept_again);
    if ((*service)->stop)
        event_free((*service)->stop);
    if ((*service)->turn)
        event_free((*service)->turn);
    if ((*service)->host.base)
        event_base_free((*service)->host.base);
    for (int i = 0; i < 2; i++)
        if ((*service)->stop_ends[i] >= 0)
            close((*service)->stop_ends[i]);
    free(*service);
    *service = NULL;
}

int64_t policy_service_seen(const struct policy_service *service)
{
    return atomic_load(&service->seen);
}

unsigned policy_service_connections(const struct policy_service *service)
{
    return atomic_load(&service->host.count);
}
