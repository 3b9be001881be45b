/*
 * http_service.c: the HTTP service: its two sockets and what they have in common.
 */
#include "daemon/http_service.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/http_events.h"
#include "daemon/http_pages.h"
#include "daemon/http_socket.h"
#include "daemon/listening.h"

static const struct http_bounds bounds = {
    .connections = HTTP_SERVICE_CONNECTIONS,
    .request = {.tv_sec = 10},
    .answer = {.tv_sec = 30},
    .idle = {.tv_sec = 30},
    .headers = 8 * 1024,
    .body = 16 * 1024,
};
static const struct timeval heartbeat = {.tv_sec = 15};

enum { TCP, CONTROL, SOCKETS };

struct http_service {
    struct listening listening[SOCKETS];
    struct http_place places[SOCKETS];
    struct http_events *events;
};

/* A connection with its request and answer: twice what the longest requests, and answers that nobody takes, were seen
 * to cost. */
#define MEMORY_CONNECTION (64 * 1024)

uint64_t http_service_memory(void)
{
    return http_events_bytes() + SOCKETS * HTTP_SERVICE_CONNECTIONS * MEMORY_CONNECTION;
}

static void close_sockets(struct http_service *service)
{
    for (size_t i = 0; i < SOCKETS; i++) {
        http_socket_free(&service->places[i].socket);
        listening_close(&service->listening[i]);
        listening_remove(&service->listening[i]);
    }
}

/* The administrator has chosen an address that others reach, by whatever name. */
static bool is_for_others(const struct config *config)
{
    return config->http.socket && !socket_is_loopback(&config->http.address);
}

static bool open_sockets(struct http_service *service, const struct config *config, char error[PROCESS_ERROR_SIZE])
{
    if (config->http.socket && !listening_open(&service->listening[TCP], &config->http, "http", error))
        return false;
    if (!config->control.socket)
        return true;
    return listening_open(&service->listening[CONTROL], &config->control, "control", error);
}

bool http_service_open(const struct config *config, struct control *control, http_reload *reload,
                       struct http_service **out, char error[PROCESS_ERROR_SIZE])
{
    *out = NULL;
    if (!config->http.socket && !config->control.socket)
        return true;
    struct http_service *service = calloc(1, sizeof *service);
    struct http_events *events = http_events_new(control->wall);
    if (!service || !events) {
        snprintf(error, PROCESS_ERROR_SIZE, "not enough memory for the HTTP service");
        http_events_free(&events);
        free(service);
        return false;
    }
    service->events = events;
    for (size_t i = 0; i < SOCKETS; i++) {
        service->listening[i].descriptor = -1;
        service->places[i] = (struct http_place){
            .control = control, .reload = reload, .events = events, .tcp = i == TCP, .any_host = is_for_others(config)};
    }
    if (open_sockets(service, config, error)) {
        *out = service;
        return true;
    }
    close_sockets(service);
    http_events_free(&service->events);
    free(service);
    return false;
}

bool http_service_start(struct http_service *service, struct event_base *base)
{
    if (!service)
        return true;
    for (size_t i = 0; i < SOCKETS; i++) {
        int descriptor = service->listening[i].descriptor;

        if (descriptor < 0)
            continue;
        service->listening[i].descriptor = -1; /* the socket has it, even if it fails */
        service->places[i].socket = http_socket_new(base, descriptor, &bounds, http_pages_answer, &service->places[i]);
        if (!service->places[i].socket)
            return false;
    }
    return http_events_start(service->events, base, &heartbeat);
}

void http_service_tell(struct http_service *service, const struct verdict *verdict, const struct addr *client)
{
    if (service)
        http_events_tell(service->events, verdict, client);
}

void http_service_close(struct http_service *service)
{
    if (!service)
        return;
    close_sockets(service);
    http_events_stop(service->events);
}
