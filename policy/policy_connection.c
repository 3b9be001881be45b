/*
 * policy_connection.c: what is read of a connection and written to it.
 *
 * A connection is in one of four states, told apart by what it waits for (settle()): for requests, for the rest of one,
 * for its peer to take answers, for the time of an answer that is delayed. In the latter two nothing is read.
 */
#include "policy_connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_US 1000

/* "[ADDRESS]:PORT" */
#define PEER_TEXT_SIZE (ADDR_TEXT_SIZE + 8)

/* What a connection takes besides its structure: malloc(3)'s own for that, and libevent's list of its events with what
 * malloc adds, in a table that may be twice as large as needed. */
#define MEMORY_BESIDE (16 + 48 + 2 * sizeof(void *))

static const char no_memory[] = "memory is short";

enum timing { TIMING_NOTHING, TIMING_REQUEST, TIMING_ANSWER, TIMING_WAIT };

struct bytes {
    char *data; /* NULL when there are none */
    size_t length, room;
};

struct connection {
    struct connection *next, *previous;
    struct connection_source *source;
    struct addr peer; /* ADDR_NONE: by a unix socket */
    uint16_t peer_port;
    short watched;       /* EV_READ or EV_WRITE: what `io` waits for; 0: nothing */
    bool over;           /* to be closed */
    const char *trouble; /* of a connection that is over: why, where that is worth telling */
    enum timing timing;  /* what `timer` ends */
    struct bytes rest;   /* read, not yet answered: the beginning of a request, or requests that have to wait */
    size_t looked_at;    /* bytes of it that hold no whole request */
    struct bytes unsent; /* answers */
    size_t held;         /* bytes at their end that are not to be sent yet: TIMING_WAIT */
    int descriptor;
    /* Room for libevent's events, whose size it alone knows: `struct event` is the engine's here. */
    _Alignas(max_align_t) char events[];
};

/* Waits for the descriptor. */
static struct event *io_of(struct connection *connection)
{
    return (struct event *)(void *)connection->events;
}

/* Waits for the time. */
static struct event *timer_of(struct connection *connection)
{
    return (struct event *)(void *)(connection->events + event_get_struct_event_size());
}

static size_t structure_size(void)
{
    return sizeof(struct connection) + 2 * event_get_struct_event_size();
}

/* ---- bytes ---- */

/* What every connection may keep is not counted: whoever keeps more shall not be in the way of those whose request
 * comes in two pieces, or whose answer waits. */
static size_t charged(size_t room)
{
    return room > POLICY_KEPT_FREE ? room - POLICY_KEPT_FREE : 0;
}

/* False when there is no room for them. */
static bool bytes_append(struct connection_host *host, struct bytes *bytes, const char *data, size_t size)
{
    size_t length = bytes->length + size;

    if (length > bytes->room) {
        size_t room = length > 2 * bytes->room ? length : 2 * bytes->room;
        size_t more = charged(room) - charged(bytes->room);
        char *grown = more <= POLICY_KEPT_MAX - host->kept ? realloc(bytes->data, room) : NULL;
        if (!grown)
            return false;
        host->kept += more;
        bytes->data = grown;
        bytes->room = room;
    }
    memcpy(bytes->data + bytes->length, data, size);
    bytes->length = length;
    return true;
}

/* Takes away the first `size` bytes; nothing stays allocated for nothing. */
static void bytes_drop(struct connection_host *host, struct bytes *bytes, size_t size)
{
    if (size == 0)
        return;
    bytes->length -= size;
    if (bytes->length == 0) {
        host->kept -= charged(bytes->room);
        free(bytes->data);
        *bytes = (struct bytes){0};
        return;
    }
    memmove(bytes->data, bytes->data + size, bytes->length);
    char *shrunk = realloc(bytes->data, bytes->length);
    if (shrunk) {
        host->kept -= charged(bytes->room) - charged(bytes->length);
        bytes->data = shrunk;
        bytes->room = bytes->length;
    }
}

/* ---- trouble ---- */

void connection_trouble(struct connection_host *host, const char *peer, const char *why)
{
    int64_t now = host->door->now();

    if (host->troubles == 0 || now < host->troubles_since || now - host->troubles_since >= NS_PER_S) {
        host->troubles_since = now;
        host->troubles = 0;
    }
    if (host->troubles >= POLICY_TROUBLES_MAX) {
        host->troubles_untold++;
        return;
    }
    host->troubles++;
    host->trouble(peer, why, host->troubles_untold);
    host->troubles_untold = 0;
}

static struct addr addr_of(const struct sockaddr_storage *address, uint16_t *port)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

    *port = 0;
    if (address->ss_family == AF_INET) {
        *port = ntohs(in->sin_port);
        return addr_from_ipv4((const uint8_t *)&in->sin_addr);
    }
    if (address->ss_family == AF_INET6) {
        *port = ntohs(in6->sin6_port);
        return addr_from_ipv6(in6->sin6_addr.s6_addr);
    }
    return (struct addr){0};
}

static void tell_trouble(struct connection_source *source, const struct addr *peer, uint16_t port, const char *why)
{
    char addr[ADDR_TEXT_SIZE], text[PEER_TEXT_SIZE];

    if (peer->family != ADDR_NONE)
        snprintf(text, sizeof text, peer->family == ADDR_IPV6 ? "[%s]:%u" : "%s:%u", addr_format(peer, addr), port);
    connection_trouble(source->host, peer->family != ADDR_NONE ? text : source->name, why);
}

/* It will be closed once nobody uses it any more; the first reason is the one that is told. */
static void end(struct connection *connection, const char *trouble)
{
    if (!connection->over)
        connection->trouble = trouble;
    connection->over = true;
}

static void keep(struct connection *connection, struct bytes *bytes, const char *data, size_t size)
{
    if (!bytes_append(connection->source->host, bytes, data, size))
        end(connection, "there is no room for what is unfinished");
}

/* ---- time ---- */

static void stop_timing(struct connection *connection)
{
    if (connection->timing != TIMING_NOTHING)
        evtimer_del(timer_of(connection));
    connection->timing = TIMING_NOTHING;
}

static void start_timing(struct connection *connection, enum timing timing, const struct timeval *time)
{
    stop_timing(connection);
    if (evtimer_add(timer_of(connection), time) < 0)
        end(connection, no_memory);
    else
        connection->timing = timing;
}

/* ---- answers ---- */

/* Sends as much as the peer takes now and returns how much that is. */
static size_t send_some(struct connection *connection, const char *data, size_t size)
{
    ssize_t sent = size > 0 ? send(connection->descriptor, data, size, MSG_NOSIGNAL) : 0;

    if (sent >= 0)
        return (size_t)sent;
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        end(connection, NULL);
    return 0;
}

/* Sends the answers that are put together; what the peer does not take is kept. */
static void send_output(struct connection *connection)
{
    struct connection_host *host = connection->source->host;
    size_t sent = send_some(connection, host->output, host->output_length);

    if (sent < host->output_length && !connection->over)
        keep(connection, &connection->unsent, host->output + sent, host->output_length - sent);
    host->output_length = 0;
}

/* Keeps the answer back for so long. The place in the waiting room is taken. */
static void hold_back(struct connection *connection, const struct policy_answer *answer, int64_t delay_ns)
{
    const struct timeval delay = {.tv_sec = (time_t)(delay_ns / NS_PER_S),
                                  .tv_usec = (suseconds_t)(delay_ns % NS_PER_S / NS_PER_US)};

    send_output(connection); /* what is ready does not wait with it */
    if (!connection->over)
        keep(connection, &connection->unsent, answer->text, answer->length);
    if (!connection->over)
        start_timing(connection, TIMING_WAIT, &delay);
    if (connection->timing == TIMING_WAIT)
        connection->held = answer->length;
    else
        waiting_leave(connection->source->host->waiting);
}

static void answer_request(struct connection *connection, char *text, size_t size)
{
    struct connection_host *host = connection->source->host;
    struct attributes attributes;
    struct policy_answer answer;

    const char *wrong = attributes_read(text, size, &attributes);
    if (!wrong)
        wrong = policy_answer(host->door, &host->hosts, (enum request_hold)atomic_load(&connection->source->hold),
                              &attributes, &answer);
    if (wrong) {
        end(connection, wrong);
        return;
    }
    int64_t delay_ns = answer.delay_ns > 0 ? waiting_enter(host->waiting, answer.delay_ns) : 0;
    if (delay_ns > 0) {
        hold_back(connection, &answer, delay_ns);
        return;
    }
    memcpy(host->output + host->output_length, answer.text, answer.length);
    host->output_length += answer.length;
    if (host->output_length >= ANSWERS_SIZE)
        send_output(connection);
}

/* Answers the whole requests at `data` until an answer has to wait, and returns how many bytes they were. */
static size_t answer_requests(struct connection *connection, char *data, size_t size)
{
    size_t done = 0;

    while (done < size && !connection->over && connection->unsent.length == 0) {
        size_t length = attributes_whole(data + done, size - done, connection->looked_at);
        if (length > ATTRIBUTES_SIZE_MAX || (length == 0 && size - done >= ATTRIBUTES_SIZE_MAX)) {
            end(connection, "a request is too large");
            break;
        }
        connection->looked_at = length > 0 ? 0 : size - done;
        if (length == 0)
            break;
        stop_timing(connection); /* that was the time of this request */
        answer_request(connection, data + done, length);
        done += length;
    }
    send_output(connection); /* in trouble, too: these come before it */
    return done;
}

/* ---- what happens ---- */

static void close_connection(struct connection *connection)
{
    struct connection_host *host = connection->source->host;

    if (connection->timing == TIMING_WAIT)
        waiting_leave(host->waiting);
    stop_timing(connection);
    if (connection->watched)
        event_del(io_of(connection));
    close(connection->descriptor);
    if (connection->next)
        connection->next->previous = connection->previous;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        host->first = connection->next;
    bytes_drop(host, &connection->rest, connection->rest.length);
    bytes_drop(host, &connection->unsent, connection->unsent.length);
    free(connection);
    atomic_fetch_sub(&host->count, 1);
}

static void on_ready(evutil_socket_t descriptor, short what, void *connection);

static void watch(struct connection *connection, short what)
{
    if (what == connection->watched)
        return;
    if (connection->watched)
        event_del(io_of(connection));
    connection->watched = 0;
    if (what == 0)
        return;
    event_assign(io_of(connection), connection->source->host->base, connection->descriptor, (short)(what | EV_PERSIST),
                 on_ready, connection);
    if (event_add(io_of(connection), NULL) < 0)
        end(connection, no_memory);
    else
        connection->watched = what;
}

/* Arranges what to wait for next; the last thing in every callback, as the connection may be gone after it. */
static void settle(struct connection *connection)
{
    const struct connection_host *host = connection->source->host;
    bool waits = connection->timing == TIMING_WAIT, blocked = connection->unsent.length > connection->held;
    enum timing timing = waits                         ? TIMING_WAIT
                         : blocked                     ? TIMING_ANSWER
                         : connection->rest.length > 0 ? TIMING_REQUEST
                                                       : TIMING_NOTHING;

    if (!connection->over)
        watch(connection, blocked ? EV_WRITE : waits ? 0 : EV_READ);
    if (!connection->over && timing == TIMING_NOTHING)
        stop_timing(connection);
    else if (!connection->over && timing != connection->timing)
        start_timing(connection, timing, timing == TIMING_ANSWER ? &host->answer_time : &host->request_time);
    if (!connection->over)
        return;
    if (connection->trouble)
        tell_trouble(connection->source, &connection->peer, connection->peer_port, connection->trouble);
    close_connection(connection);
}

/* Sends what may be sent; once all is, the requests that waited behind it have their turn. */
static void go_on(struct connection *connection)
{
    size_t ready = connection->unsent.length - connection->held;

    bytes_drop(connection->source->host, &connection->unsent, send_some(connection, connection->unsent.data, ready));
    if (connection->over || connection->unsent.length > 0)
        return;
    stop_timing(connection);
    bytes_drop(connection->source->host, &connection->rest,
               answer_requests(connection, connection->rest.data, connection->rest.length));
}

static void read_requests(struct connection *connection)
{
    struct connection_host *host = connection->source->host;

    ssize_t size = recv(connection->descriptor, host->input, sizeof host->input, 0);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (size <= 0) {
        end(connection, size == 0 && connection->rest.length > 0 ? "it ended in the middle of a request" : NULL);
    } else if (connection->rest.length == 0) {
        size_t done = answer_requests(connection, host->input, (size_t)size);
        if (!connection->over && done < (size_t)size)
            keep(connection, &connection->rest, host->input + done, (size_t)size - done);
    } else {
        keep(connection, &connection->rest, host->input, (size_t)size);
        if (!connection->over)
            bytes_drop(connection->source->host, &connection->rest,
                       answer_requests(connection, connection->rest.data, connection->rest.length));
    }
}

static void on_ready(evutil_socket_t descriptor, short what, void *connection)
{
    (void)descriptor;
    if (what & EV_READ)
        read_requests(connection);
    else
        go_on(connection);
    settle(connection);
}

/* The answer has waited, or the peer has kept us waiting. */
static void on_time(evutil_socket_t descriptor, short what, void *context)
{
    struct connection *connection = context;
    enum timing timing = connection->timing;

    (void)descriptor;
    (void)what;
    connection->timing = TIMING_NOTHING;
    if (timing == TIMING_WAIT) {
        waiting_leave(connection->source->host->waiting);
        connection->held = 0;
        go_on(connection);
    } else {
        end(connection,
            timing == TIMING_ANSWER ? "its answers were not taken in time" : "a request was not whole in time");
    }
    settle(connection);
}

void connection_open(struct connection_source *source, int descriptor, const struct sockaddr_storage *peer)
{
    struct connection_host *host = source->host;
    bool full = atomic_load(&host->count) >= host->count_max;
    struct connection *connection = full ? NULL : calloc(1, structure_size());
    uint16_t port;
    struct addr addr = addr_of(peer, &port);

    if (!connection) {
        tell_trouble(source, &addr, port, full ? "there are too many connections" : no_memory);
        close(descriptor);
        return;
    }
    connection->source = source;
    connection->peer = addr;
    connection->peer_port = port;
    connection->descriptor = descriptor;
    evtimer_assign(timer_of(connection), host->base, on_time, connection);
    connection->next = host->first;
    if (host->first)
        host->first->previous = connection;
    host->first = connection;
    atomic_fetch_add(&host->count, 1);
    settle(connection);
}

void connection_close_all(struct connection_host *host)
{
    while (host->first) {
        struct connection *connection = host->first;
        send_some(connection, connection->unsent.data, connection->unsent.length);
        close_connection(connection);
    }
}

size_t policy_connection_memory(void)
{
    return structure_size() + MEMORY_BESIDE;
}
