/*
 * http_events.c: the queue of findings, and those who follow.
 */
#define _GNU_SOURCE /* pipe2() */

#include "daemon/http_events.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/control.h"

/* How many are taken from the queue at a time. */
#define CHUNK 16

struct told {
    double time;
    struct addr client;
    struct finding finding;
};

struct follower {
    struct http_events *events;
    struct evhttp_request *request; /* NULL: nobody */
    struct event *hung_up;          /* the other side has closed: evhttp does not look while it answers */
    struct evbuffer *text;          /* lines of this round */
    uint64_t lost;                  /* lines left out, and not told yet */
};

struct http_events {
    double (*wall)(void);
    atomic_uint following;
    struct event *readable, *heartbeat;
    struct event_base *base;
    int ends[2]; /* pipe: a byte when the queue is no longer empty; -1: closed */
    struct follower followers[EVENTS_FOLLOWERS];
    pthread_mutex_t lock; /* of all below, and of writing to the pipe */
    bool open;
    unsigned first, count;
    uint64_t lost;
    struct told queue[EVENTS_QUEUE];
};

size_t http_events_bytes(void)
{
    return sizeof(struct http_events);
}

struct http_events *http_events_new(double (*wall)(void))
{
    struct http_events *events = calloc(1, sizeof *events);

    if (!events)
        return NULL;
    events->wall = wall;
    events->ends[0] = events->ends[1] = -1;
    pthread_mutex_init(&events->lock, NULL);
    for (size_t i = 0; i < EVENTS_FOLLOWERS; i++)
        events->followers[i].events = events;
    return events;
}

/* ---- any thread ---- */

static void push(struct http_events *events, double time, const struct finding *finding, const struct addr *client)
{
    if (events->count == EVENTS_QUEUE) {
        events->lost++;
        return;
    }
    if (events->count == 0 && write(events->ends[1], "", 1) < 0) {
        events->lost++; /* the pipe is never full: at most one byte is in it for each time that it was emptied */
        return;
    }
    events->queue[(events->first + events->count++) % EVENTS_QUEUE] = (struct told){time, *client, *finding};
}

void http_events_tell(struct http_events *events, const struct verdict *verdict, const struct addr *client)
{
    if (verdict->finding_count == 0 || atomic_load_explicit(&events->following, memory_order_relaxed) == 0)
        return;
    double time = events->wall();
    pthread_mutex_lock(&events->lock);
    for (unsigned i = 0; i < verdict->finding_count && events->open; i++)
        push(events, time, &verdict->findings[i], client);
    pthread_mutex_unlock(&events->lock);
}

/* ---- the loop ---- */

/* Bytes on their way to the follower. */
static size_t waiting(const struct follower *follower)
{
    struct bufferevent *buffers = evhttp_connection_get_bufferevent(evhttp_request_get_connection(follower->request));

    return evbuffer_get_length(bufferevent_get_output(buffers)) + evbuffer_get_length(follower->text);
}

/* Adds a line to those of this round, and before it how many are missing; or leaves it out. */
static void add_line(struct follower *follower, const char *line, size_t length)
{
    if (waiting(follower) + length > EVENTS_BUFFER) {
        follower->lost++;
        return;
    }
    if (follower->lost > 0)
        evbuffer_add_printf(follower->text, "{\"lost\":%llu}\n", (unsigned long long)follower->lost);
    follower->lost = 0;
    evbuffer_add(follower->text, line, length);
}

static void send_lines(struct follower *follower)
{
    if (evbuffer_get_length(follower->text) > 0)
        evhttp_send_reply_chunk(follower->request, follower->text);
}

/* The line of one finding; the caller frees it. NULL when memory is short. */
static char *format(const struct told *told)
{
    const struct finding *finding = &told->finding;
    char client[ADDR_TEXT_SIZE] = "";
    char *text = NULL;

    if (told->client.family != ADDR_NONE)
        addr_format(&told->client, client);
    json_t *line = json_pack("{s:f, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:b}", "time", told->time, "action",
                             action_name(finding->action), "limit", control_text(finding->name), "scope",
                             control_text(finding->scope), "client", control_text(client), "key",
                             control_text(finding->key), "count", (json_int_t)finding->count, "max",
                             (json_int_t)finding->max, "points", (json_int_t)finding->points, "ban_left",
                             finding->banned ? json_real((double)finding->ban_left_ns / 1e9) : json_null(), "ban_began",
                             finding->banned && finding->ban_began);
    if (line)
        text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
    json_decref(line);
    return text;
}

static void tell_followers(struct http_events *events, const struct told *told)
{
    char *text = format(told);
    struct evbuffer *line = text ? evbuffer_new() : NULL;

    if (line && evbuffer_add_printf(line, "%s\n", text) > 0) {
        size_t length = evbuffer_get_length(line);
        const char *bytes = (const char *)evbuffer_pullup(line, -1);

        for (size_t i = 0; i < EVENTS_FOLLOWERS; i++)
            if (events->followers[i].request)
                add_line(&events->followers[i], bytes, length);
    } else {
        for (size_t i = 0; i < EVENTS_FOLLOWERS; i++)
            events->followers[i].lost++;
    }
    if (line)
        evbuffer_free(line);
    free(text);
}

static unsigned take(struct http_events *events, struct told *out, uint64_t *lost)
{
    unsigned count = 0;

    pthread_mutex_lock(&events->lock);
    while (count < CHUNK && events->count > 0) {
        out[count++] = events->queue[events->first];
        events->first = (events->first + 1) % EVENTS_QUEUE;
        events->count--;
    }
    *lost = 0;
    if (events->count == 0) {
        *lost = events->lost;
        events->lost = 0;
    }
    pthread_mutex_unlock(&events->lock);
    return count;
}

/* Tells those who follow what is in the queue. */
static void pass_on(struct http_events *events)
{
    struct told told[CHUNK];
    unsigned count, left = EVENTS_QUEUE;
    uint64_t lost;
    char bytes[64];

    while (read(events->ends[0], bytes, sizeof bytes) > 0)
        continue;
    do {
        count = take(events, told, &lost);
        for (unsigned i = 0; i < count; i++)
            tell_followers(events, &told[i]);
        for (size_t i = 0; i < EVENTS_FOLLOWERS; i++)
            events->followers[i].lost += lost;
        left -= count;
    } while (count == CHUNK && left >= CHUNK);
    if (count == CHUNK)
        event_active(events->readable, EV_READ, 0); /* others have their turn before the rest */
    for (size_t i = 0; i < EVENTS_FOLLOWERS; i++)
        if (events->followers[i].request)
            send_lines(&events->followers[i]);
}

static void on_told(evutil_socket_t descriptor, short what, void *data)
{
    (void)descriptor;
    (void)what;
    pass_on(data);
}

static void on_heartbeat(evutil_socket_t descriptor, short what, void *data)
{
    struct http_events *events = data;

    (void)descriptor;
    (void)what;
    for (size_t i = 0; i < EVENTS_FOLLOWERS; i++) {
        struct follower *follower = &events->followers[i];

        if (!follower->request || waiting(follower) + 1 > EVENTS_BUFFER)
            continue;
        add_line(follower, "\n", 1);
        send_lines(follower);
    }
}

bool http_events_start(struct http_events *events, struct event_base *base, const struct timeval *heartbeat)
{
    events->base = base;
    if (pipe2(events->ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    events->readable = event_new(base, events->ends[0], EV_READ | EV_PERSIST, on_told, events);
    events->heartbeat = event_new(base, -1, EV_PERSIST, on_heartbeat, events);
    pthread_mutex_lock(&events->lock);
    events->open = true;
    pthread_mutex_unlock(&events->lock);
    return events->readable && events->heartbeat && event_add(events->readable, NULL) == 0 &&
           event_add(events->heartbeat, heartbeat) == 0;
}

static void on_ended(void *data)
{
    struct follower *follower = data;

    event_free(follower->hung_up);
    evbuffer_free(follower->text);
    *follower = (struct follower){.events = follower->events};
    atomic_fetch_sub(&follower->events->following, 1);
}

static void on_hung_up(evutil_socket_t descriptor, short what, void *data)
{
    struct follower *follower = data;

    (void)descriptor;
    (void)what;
    evhttp_connection_free(evhttp_request_get_connection(follower->request)); /* on_ended() does the rest */
}

bool http_events_follow(struct http_events *events, struct http_socket *socket, struct evhttp_request *request)
{
    struct bufferevent *buffers = evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
    struct follower *follower = NULL;

    pass_on(events); /* what was before is not for this one */
    for (size_t i = 0; i < EVENTS_FOLLOWERS && !follower; i++)
        if (!events->followers[i].request)
            follower = &events->followers[i];
    if (!follower)
        return false;
    *follower = (struct follower){.events = events, .text = evbuffer_new()};
    follower->hung_up = event_new(events->base, bufferevent_getfd(buffers), EV_CLOSED, on_hung_up, follower);
    if (!follower->text || !follower->hung_up || event_add(follower->hung_up, NULL) < 0) {
        if (follower->text)
            evbuffer_free(follower->text);
        if (follower->hung_up)
            event_free(follower->hung_up);
        *follower = (struct follower){.events = events};
        return false;
    }
    follower->request = request;
    atomic_fetch_add(&events->following, 1);
    http_socket_endless(socket, request, on_ended, follower);
    evhttp_send_reply_start(request, 200, NULL);
    return true;
}

void http_events_stop(struct http_events *events)
{
    pthread_mutex_lock(&events->lock);
    events->open = false;
    pthread_mutex_unlock(&events->lock);
    if (events->readable) /* before what it looks at is closed */
        event_free(events->readable);
    if (events->heartbeat)
        event_free(events->heartbeat);
    for (size_t i = 0; i < 2; i++)
        if (events->ends[i] >= 0)
            close(events->ends[i]);
    events->readable = events->heartbeat = NULL;
    events->ends[0] = events->ends[1] = -1;
}

void http_events_free(struct http_events **events)
{
    if (!*events)
        return;
    http_events_stop(*events);
    pthread_mutex_destroy(&(*events)->lock);
    free(*events);
    *events = NULL;
}
