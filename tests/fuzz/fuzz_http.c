/*
 * fuzz_http.c: the HTTP service from the bytes that whoever connects sends to the bytes that come back: evhttp with our
 * bounds and our table of pages; the pages themselves are this file's own.
 *
 * The first byte says which socket it is, the others are what is sent; a byte of 0xff among them is a pause, in which
 * the service looks at what has come so far. Whatever is sent: what comes back is HTTP, the pages get parameters that
 * are texts, over TCP nothing that changes things is called, and at the end the connection's place is free.
 */
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/http_pages.h"
#include "daemon/page_files.h"
#include "daemon/report.h"

#define CHECK(condition)                                        \
    do {                                                        \
        if (!(condition)) {                                     \
            fprintf(stderr, "does not hold: %s\n", #condition); \
            abort();                                            \
        }                                                       \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_base *base;
static struct control control;
static struct http_place places[2];
static struct sockaddr_un addresses[2];
static bool over_tcp;

static json_t *page(const struct evkeyvalq *parameters)
{
    json_t *answer = json_array();

    for (const struct evkeyval *one = parameters->tqh_first; one; one = one->next.tqe_next)
        CHECK(json_array_append_new(answer, json_pack("[o, o]", control_text(one->key), control_text(one->value))) ==
              0);
    return answer;
}

#define READS(name)                                                                         \
    json_t *name(struct control *given, const struct evkeyvalq *parameters, int *status)    \
    {                                                                                       \
        static const char *const names[] = {"client", "name", "sort", "n", NULL};           \
        json_t *error;                                                                      \
        (void)given;                                                                        \
        return control_known(parameters, names, &error, status) ? page(parameters) : error; \
    }
#define CHANGES(name)                                                                    \
    json_t *name(struct control *given, const struct evkeyvalq *parameters, int *status) \
    {                                                                                    \
        (void)given, (void)status;                                                       \
        CHECK(!over_tcp);                                                                \
        return page(parameters);                                                         \
    }

READS(control_status)
READS(control_history)
READS(control_clients)
READS(control_domains)
READS(control_bans)
READS(control_explain)
READS(control_eval)
CHANGES(control_ban)
CHANGES(control_unban)

void report_asked(const char *path, uid_t uid)
{
    (void)path;
    CHECK(!over_tcp && uid == getuid());
}

bool control_metrics(struct control *given, struct evbuffer *out)
{
    (void)given;
    return evbuffer_add_printf(out, "tidegate_up 1\n") > 0;
}

const struct page_file page_files[] = {{"/", "text/html", (const unsigned char *)"x", 1}, {NULL, NULL, NULL, 0}};

static bool reload(struct config_messages *messages)
{
    CHECK(!over_tcp);
    messages_warning(messages, "x.conf", 1, "hardly meant");
    return true;
}

static double wall(void)
{
    return 1.5;
}

static void set_up(void)
{
    const struct timeval hour = {.tv_sec = 3600};
    const struct http_bounds bounds = {4, hour, hour, hour, 8192, 16384};

    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    struct http_events *events = http_events_new(wall);
    CHECK(base && events && http_events_start(events, base, &hour));
    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

        addresses[i].sun_family = AF_UNIX;
        snprintf(addresses[i].sun_path + 1, sizeof addresses[i].sun_path - 1, "tidegate-fuzz-http-%ld-%d",
                 (long)getpid(), i);
        CHECK(bind(fd, (struct sockaddr *)&addresses[i], sizeof addresses[i]) == 0 && listen(fd, 16) == 0);
        places[i] = (struct http_place){.control = &control, .reload = reload, .events = events, .tcp = i == 0};
        places[i].socket = http_socket_new(base, fd, &bounds, http_pages_answer, &places[i]);
        CHECK(places[i].socket);
    }
}

static char answer[1 << 20];
static size_t answer_length;

static void turn(int fd)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
    for (ssize_t got; (got = read(fd, answer + answer_length, sizeof answer - 1 - answer_length)) > 0;)
        answer_length += (size_t)got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (!base)
        set_up();
    const int place = data[0] % 2;
    const uint8_t *end = data + size;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    over_tcp = place == 0;
    answer_length = 0;
    CHECK(connect(fd, (struct sockaddr *)&addresses[place], sizeof addresses[place]) == 0);
    turn(fd);
    for (const uint8_t *from = data + 1, *to; from < end; from = to + 1) {
        to = memchr(from, 0xff, (size_t)(end - from));
        to = to ? to : end;
        if (send(fd, from, (size_t)(to - from), MSG_NOSIGNAL) < 0)
            break; /* they have hung up */
        turn(fd);
    }
    for (int i = 0; i < 3; i++)
        turn(fd);
    answer[answer_length] = '\0';
    CHECK(answer_length == 0 || strncmp(answer, "HTTP/", 5) == 0);
    CHECK(!strstr(answer, "\r\nServer:"));
    close(fd);
    for (int i = 0; i < 100 && http_socket_connections(places[place].socket) > 0; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    CHECK(http_socket_connections(places[place].socket) == 0);
    return 0;
}
