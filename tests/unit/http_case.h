/*
 * http_case.h: an event loop that the test itself turns, and those who connect. To be included once, by the program's
 * only test file.
 */
#ifndef UNIT_HTTP_CASE_H
#define UNIT_HTTP_CASE_H

#include "check_main.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000 /* what may take its time on a busy machine */

static struct event_base *base;

static inline int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static inline void nothing(evutil_socket_t descriptor, short what, void *data)
{
    (void)descriptor, (void)what, (void)data;
}

/* Turns the loop until something has happened, or 5 ms have passed. */
static inline void turn(void)
{
    const struct timeval soon = {.tv_usec = 5000};
    event_base_once(base, -1, EV_TIMEOUT, nothing, NULL, &soon);
    event_base_loop(base, EVLOOP_ONCE);
}

#define await(condition)                                                         \
    do {                                                                         \
        for (int64_t until_ = now_ms() + PATIENCE_MS; !(condition); turn())      \
            ck_assert_msg(now_ms() < until_, "in vain awaited: %s", #condition); \
    } while (0)

static inline void turn_for(int64_t ms)
{
    for (int64_t until = now_ms() + ms; now_ms() < until; turn())
        ;
}

static inline int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Connects without waiting to be accepted. */
static inline int connect_to(const struct sockaddr *address, socklen_t length)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, address, length), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Sends as much as the other side takes now; the rest of what is sent is lost when it has closed. */
static inline void say_bytes(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return;
        if (sent > 0) {
            text += sent;
            size -= (size_t)sent;
        }
        turn();
    }
}

static inline void say(int fd, const char *text)
{
    say_bytes(fd, text, strlen(text));
}

/* What was read on a connection, and not yet taken. */
struct reader {
    int fd;
    bool closed;
    size_t length;
    char text[1 << 20];
};

/* Takes in what is there. */
static inline void look(struct reader *reader)
{
    ssize_t got;

    while (!reader->closed && reader->length < sizeof reader->text - 1) {
        got = read(reader->fd, reader->text + reader->length, sizeof reader->text - 1 - reader->length);
        if (got < 0 && errno == EAGAIN)
            break;
        if (got <= 0)
            reader->closed = true;
        else
            reader->length += (size_t)got;
    }
    reader->text[reader->length] = '\0';
}

static inline bool is_closed(struct reader *reader)
{
    look(reader);
    return reader->closed;
}

static inline bool has_text(struct reader *reader, const char *text)
{
    look(reader);
    return strstr(reader->text, text) != NULL;
}

/* Starts again with another connection. */
static inline struct reader *reading(int fd)
{
    static struct reader reader;
    reader.fd = fd;
    reader.closed = false;
    reader.length = 0;
    reader.text[0] = '\0';
    return &reader;
}

struct answer {
    int status;
    char head[4096], *body; /* the body is good until the next answer is read */
    size_t length;
};

/* Is a whole answer there? One to HEAD has no body. */
static inline bool has_answer(struct reader *reader, bool head)
{
    look(reader);
    char *end = strstr(reader->text, "\r\n\r\n"), *length = strstr(reader->text, "\r\nContent-Length: ");
    if (!end)
        return reader->closed;
    if (head)
        return true;
    return length && length < end ? strtoul(length + 18, NULL, 10) <= (size_t)(reader->text + reader->length - end - 4)
                                  : reader->closed;
}

/* The next answer; status 0 when the connection was closed instead. */
static inline struct answer take(struct reader *reader, bool head)
{
    static char body[sizeof reader->text];
    struct answer answer = {.status = 0, .body = body};

    body[0] = '\0';
    await(has_answer(reader, head));
    char *end = strstr(reader->text, "\r\n\r\n");
    if (!end)
        return answer;
    size_t size = (size_t)(end + 4 - reader->text);
    ck_assert_uint_lt(size, sizeof answer.head);
    memcpy(answer.head, reader->text, size);
    answer.head[size] = '\0';
    ck_assert_int_eq(sscanf(answer.head, "HTTP/1.%*1[01] %d", &answer.status), 1);
    char *length = strstr(answer.head, "\r\nContent-Length: ");
    answer.length = length ? strtoul(length + 18, NULL, 10) : reader->length - size;
    size_t taken = head ? 0 : answer.length;
    memcpy(body, reader->text + size, taken);
    body[taken] = '\0';
    reader->length -= size + taken;
    memmove(reader->text, reader->text + size + taken, reader->length + 1);
    return answer;
}

#endif
