/*
 * dunno_server.c: a policy server that only ever says DUNNO, to measure others against. It reads no attribute, it only
 * looks for the empty line that ends a request; one thread, one event of libevent for each connection, and one read
 * and one write for all the requests that have arrived on it.
 *
 * usage: dunno_server SOCKET...     (libmilter's notation; runs in the foreground until SIGTERM)
 */
#define _GNU_SOURCE /* accept4() */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load_wire.h"

#define ANSWER "action=DUNNO\n\n"
#define ANSWER_LENGTH (sizeof ANSWER - 1)
#define INPUT_SIZE 16384
#define ANSWERS_AT_ONCE (INPUT_SIZE / 2 + 1)

struct connection {
    struct event readable;
    bool after_newline; /* the last byte ended a line, and not a request */
};

static struct event_base *base;
static char answers[ANSWERS_AT_ONCE * ANSWER_LENGTH];

static void die(const char *what)
{
    fprintf(stderr, "dunno_server: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void connection_close(struct connection *connection, int descriptor)
{
    event_del(&connection->readable);
    close(descriptor);
    free(connection);
}

/* How many requests end in these bytes. */
static size_t count_ends(struct connection *connection, const char *at, const char *end)
{
    size_t ends = 0;

    if (connection->after_newline && *at == '\n') {
        ends++;
        at++;
    }
    connection->after_newline = false;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        if (at == end) {
            connection->after_newline = true;
        } else if (*at == '\n') {
            ends++;
            at++;
        }
    }
    return ends;
}

static void on_readable(evutil_socket_t descriptor, short what, void *context)
{
    static char input[INPUT_SIZE];
    struct connection *connection = context;
    ssize_t got = recv(descriptor, input, sizeof input, 0);

    (void)what;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        connection_close(connection, descriptor);
        return;
    }
    size_t length = count_ends(connection, input, input + got) * ANSWER_LENGTH;
    /* Whoever does not read what little is written has failed. */
    if (length > 0 && send(descriptor, answers, length, MSG_NOSIGNAL) != (ssize_t)length)
        connection_close(connection, descriptor);
}

static void on_connection(evutil_socket_t listener, short what, void *context)
{
    int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)what;
    (void)context;
    if (descriptor < 0)
        return;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* fails on a unix socket, as it may */
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        die("a connection");
    event_assign(&connection->readable, base, descriptor, EV_READ | EV_PERSIST, on_readable, connection);
    if (event_add(&connection->readable, NULL) != 0)
        die("a connection");
}

static void listen_on(const char *text)
{
    struct sockaddr_storage address;
    socklen_t size;
    const char *wrong = wire_read_socket(text, &address, &size);

    if (wrong) {
        fprintf(stderr, "dunno_server: %s: %s\n", text, wrong);
        exit(2);
    }
    int descriptor = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        die(text);
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(descriptor, (struct sockaddr *)&address, size) != 0 || listen(descriptor, SOMAXCONN) != 0)
        die(text);
    struct event *readable = event_new(base, descriptor, EV_READ | EV_PERSIST, on_connection, NULL);
    if (!readable || event_add(readable, NULL) != 0)
        die(text);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: dunno_server SOCKET...\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < ANSWERS_AT_ONCE; i++)
        memcpy(answers + i * ANSWER_LENGTH, ANSWER, ANSWER_LENGTH);
    base = event_base_new();
    if (!base)
        die("libevent");
    for (int i = 1; i < argc; i++)
        listen_on(argv[i]);
    fputs("event=ready\n", stderr);
    return event_base_dispatch(base) == 0 ? 0 : 1; /* SIGTERM ends it */
}
