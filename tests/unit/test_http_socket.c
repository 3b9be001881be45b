/*
 * test_http_socket.c: what whoever connects may take of an HTTP socket. Links http_socket.c and libevent alone.
 *
 * What must not happen in a test has an hour; what must happen has a fraction of a second, and the test waits for it.
 */
#include "http_case.h"

#include "daemon/http_socket.h"

#include <event2/buffer.h>
#include <signal.h>
#include <sys/resource.h>

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define HOUR           \
    {                  \
        .tv_sec = 3600 \
    }
#define SHORT_MS 200
#define SHORT                      \
    {                              \
        .tv_usec = SHORT_MS * 1000 \
    }

static struct http_socket *http;
static struct http_bounds bounds;
static struct sockaddr_un address; /* abstract: no file is left behind */
static size_t answer_size;
static struct evhttp_request *pending; /* the request that is not answered yet */
static bool stream;
static unsigned ended;
static int descriptors_before;

static void on_ended(void *context)
{
    ck_assert_ptr_eq(context, &ended);
    ended++;
}

static void answer(void *context, struct evhttp_request *request)
{
    ck_assert_ptr_eq(context, &answer_size);
    if (stream) {
        http_socket_endless(http, request, on_ended, &ended);
        evhttp_send_reply_start(request, 200, NULL);
        pending = request;
        return;
    }
    struct evbuffer *body = evbuffer_new();
    char *bytes = calloc(1, answer_size);
    memset(bytes, 'x', answer_size);
    evbuffer_add(body, bytes, answer_size);
    free(bytes);
    evhttp_send_reply(request, 200, NULL, body);
    evbuffer_free(body);
}

static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    descriptors_before = count_descriptors();
    base = event_base_new();
    bounds = (struct http_bounds){
        .connections = 4, .request = HOUR, .answer = HOUR, .idle = HOUR, .headers = 8192, .body = 16384};
    answer_size = 5;
    stream = false;
    pending = NULL;
    ended = 0;
}

static void start(void)
{
    static unsigned number;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "tidegate-http-socket-%ld-%u", (long)getpid(),
             number++);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 1024), 0);
    http = http_socket_new(base, fd, &bounds, answer, &answer_size);
    ck_assert_ptr_nonnull(http);
}

static void tear_down(void)
{
    http_socket_free(&http);
    ck_assert_ptr_null(http);
    event_base_free(base);
    ck_assert_int_eq(count_descriptors(), descriptors_before);
}

static int enter(void)
{
    return connect_to((struct sockaddr *)&address, sizeof address);
}

static void ask(int fd)
{
    say(fd, GET);
    ck_assert_int_eq(take(reading(fd), false).status, 200);
}

START_TEST(a_connection_serves_many_requests)
{
    start();
    int fd = enter();
    for (int i = 0; i < 100; i++)
        ask(fd);
    say(fd, GET GET GET);
    struct reader *reader = reading(fd);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(take(reader, false).status, 200);
    ck_assert_uint_eq(http_socket_connections(http), 1);
    close(fd);
    await(http_socket_connections(http) == 0);
}
END_TEST

START_TEST(no_more_connections_than_the_bound)
{
    int fds[12];
    start();
    for (int i = 0; i < 12; i++)
        fds[i] = enter();
    await(http_socket_connections(http) == 4);
    turn_for(50);
    ck_assert_uint_eq(http_socket_connections(http), 4);
    for (int i = 4; i < 12; i++)
        say(fds[i], GET);
    for (int i = 0; i < 4; i++)
        ask(fds[i]);
    ck_assert(!has_text(reading(fds[4]), "HTTP"));
    for (int i = 0; i < 12; i++) {
        if (i >= 4)
            ck_assert_int_eq(take(reading(fds[i]), false).status, 200);
        ck_assert_uint_le(http_socket_connections(http), 4);
        close(fds[i]);
    }
    await(http_socket_connections(http) == 0);
}
END_TEST

/* However a connection ends, its place is free again. */
static const char *const endings[] = {
    "",
    "G",
    "\r\n",
    GET,
    GET "GET",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "nonsense\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    "FROB / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nwithout colon\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 16385\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: miracles\r\n\r\n",
};

START_TEST(every_ending_frees_its_place)
{
    start();
    for (int round = 0; round < 9; round++) {
        int fd = enter();
        say(fd, endings[_i]);
        if (round % 3 == 0)
            await(http_socket_connections(http) == 1 || is_closed(reading(fd)));
        if (round % 3 == 1)
            shutdown(fd, SHUT_WR);
        else
            close(fd);
        await(http_socket_connections(http) == 0);
        if (round % 3 == 1)
            close(fd);
    }
}
END_TEST

START_TEST(a_request_has_its_time_however_slowly_it_is_sent)
{
    static const char request[] = "GET / HTTP/1.1\r\nX: ";
    bounds.request = (struct timeval)SHORT;
    start();
    int64_t began = now_ms();
    int fd = enter(), other = enter();
    ask(other);
    struct reader *reader = reading(fd);
    for (size_t sent = 0; !is_closed(reader); sent++) {
        ck_assert_int_lt(now_ms() - began, PATIENCE_MS);
        send(fd, sent < sizeof request - 1 ? request + sent : "x", 1, MSG_NOSIGNAL);
        turn_for(2);
    }
    ck_assert_int_ge(now_ms() - began, SHORT_MS / 2); /* the loop's clock is coarse */
    ck_assert_uint_eq(reader->length, 0);
    close(fd);
    ask(other); /* which has been idle longer than a request may take */
    /* A body has no time of its own. */
    fd = enter();
    say(fd, "POST / HTTP/1.1\r\nContent-Length: 16384\r\n\r\n");
    reader = reading(fd);
    for (began = now_ms(); !is_closed(reader); turn_for(2)) {
        ck_assert_int_lt(now_ms() - began, PATIENCE_MS);
        send(fd, "x", 1, MSG_NOSIGNAL);
    }
    close(fd);
    close(other);
}
END_TEST

START_TEST(who_says_nothing_is_ended)
{
    bounds.request = (struct timeval)SHORT;
    start();
    int fd = enter();
    await(is_closed(reading(fd)));
    ck_assert_uint_eq(http_socket_connections(http), 0);
    close(fd);
}
END_TEST

START_TEST(silence_after_an_answer_is_ended_but_not_a_request_that_has_begun)
{
    bounds.idle = (struct timeval)SHORT;
    start();
    int idle = enter(), late = enter();
    ask(idle);
    ask(late);
    say(late, "G");
    await(is_closed(reading(idle)));
    turn_for(SHORT_MS);
    say(late, "ET / HTTP/1.1\r\n\r\n");
    ck_assert_int_eq(take(reading(late), false).status, 200);
    await(is_closed(reading(late)));
    close(idle);
    close(late);
}
END_TEST

START_TEST(what_is_sent_early_is_a_request_that_has_begun)
{
    bounds.request = (struct timeval)SHORT;
    start();
    int fd = enter();
    say(fd, GET "GET /");
    struct reader *reader = reading(fd);
    ck_assert_int_eq(take(reader, false).status, 200);
    await(is_closed(reader));
    close(fd);
}
END_TEST

START_TEST(an_answer_that_is_not_taken_is_ended)
{
    bounds.answer = (struct timeval)SHORT;
    answer_size = 8 << 20;
    start();
    int fd = enter();
    say(fd, GET);
    await(http_socket_connections(http) == 1);
    await(http_socket_connections(http) == 0);
    close(fd);
}
END_TEST

/* What nobody is to read yet stays where it is sent from, which is all that the sender's own buffer holds; or it is no
 * request, and the connection ends. */
static const struct {
    const char *begin, *more;
    bool stream, ends;
} floods[] = {
    {GET, "x", false, false},
    {GET, GET, false, false},
    {GET, "x", true, false},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "0", false, true},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x", false, true},
};

#define FLOOD_MAX (8 << 20)

START_TEST(what_is_sent_is_not_kept_without_end)
{
    static char piece[16384];
    const size_t length = strlen(floods[_i].more);
    size_t sent = 0, size = sizeof piece / length * length, place = 0;

    for (size_t i = 0; i < size; i += length)
        memcpy(piece + i, floods[_i].more, length);
    stream = floods[_i].stream;
    answer_size = 8 << 20;
    start();
    int fd = enter();
    say(fd, floods[_i].begin);
    const int64_t patience = floods[_i].ends ? PATIENCE_MS : 500; /* it ends, or nothing more is taken */
    for (int64_t last = now_ms(); now_ms() - last < patience && sent < FLOOD_MAX; turn()) {
        if (floods[_i].ends && http_socket_connections(http) == 0)
            break;
        ssize_t now = send(fd, piece + place, size - place, MSG_NOSIGNAL);
        if (now <= 0)
            continue;
        sent += (size_t)now;
        place = (place + (size_t)now) % size;
        last = now_ms();
    }
    ck_assert_uint_lt(sent, 1 << 20);
    ck_assert_uint_eq(http_socket_connections(http), !floods[_i].ends);
    close(fd);
}
END_TEST

/* The loop rests meanwhile. */
START_TEST(what_waits_costs_nothing)
{
    static char flood[100000];
    unsigned turns = 0;

    memset(flood, 'x', sizeof flood);
    stream = _i;
    answer_size = 8 << 20;
    start();
    int fd = enter();
    say(fd, GET);
    await(http_socket_connections(http) == 1);
    ck_assert_int_gt(send(fd, flood, sizeof flood, MSG_NOSIGNAL), 30000);
    turn_for(50);
    for (int64_t until = now_ms() + 200; now_ms() < until; turns++)
        turn();
    ck_assert_uint_lt(turns, 100);
    close(fd);
}
END_TEST

START_TEST(what_waited_is_read)
{
    static char requests[200000];
    size_t count = 0;

    for (; (count + 1) * (sizeof GET - 1) < sizeof requests; count++)
        memcpy(requests + count * (sizeof GET - 1), GET, sizeof GET);
    start();
    int fd = enter();
    say(fd, requests);
    struct reader *reader = reading(fd);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(take(reader, false).status, 200);
    close(fd);
    /* The longest body, and a request behind it that came with its end. */
    char *end = requests + sprintf(requests, "POST / HTTP/1.1\r\nContent-Length: 16384\r\n\r\n%016384d", 0);
    for (int i = 0; i < 600; i++)
        end += sprintf(end, "%s", GET);
    fd = enter();
    say(fd, requests);
    reader = reading(fd);
    for (size_t i = 0; i < 601; i++)
        ck_assert_int_eq(take(reader, false).status, 200);
    close(fd);
}
END_TEST

START_TEST(an_endless_answer_has_no_time_and_tells_of_its_end)
{
    bounds.answer = bounds.idle = bounds.request = (struct timeval)SHORT;
    stream = true;
    start();
    int fd = enter();
    say(fd, GET);
    await(pending);
    turn_for(2 * SHORT_MS);
    ck_assert_uint_eq(http_socket_connections(http), 1);
    ck_assert_uint_eq(ended, 0);
    struct evbuffer *text = evbuffer_new();
    evbuffer_add(text, "line\n", 5);
    evhttp_send_reply_chunk(pending, text);
    struct reader *reader = reading(fd);
    await(has_text(reader, "line"));
    close(fd);
    while (ended == 0) { /* a write tells, at the latest */
        evbuffer_add(text, "line\n", 5);
        evhttp_send_reply_chunk(pending, text);
        turn();
    }
    ck_assert_uint_eq(http_socket_connections(http), 0);
    fd = enter();
    say(fd, GET);
    await(http_socket_connections(http) == 1);
    turn();
    http_socket_free(&http);
    ck_assert_uint_eq(ended, 2);
    evbuffer_free(text);
    close(fd);
}
END_TEST

START_TEST(it_closes_whatever_state_its_connections_are_in)
{
    answer_size = 8 << 20;
    start();
    int waiting = enter(), answering = enter(), reading_now = enter(), fresh;
    say(answering, GET);
    say(reading_now, "GET /");
    await(http_socket_connections(http) == 3);
    await(has_text(reading(answering), "xxx"));
    fresh = enter();
    event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
    http_socket_free(&http);
    struct reader *reader = reading(waiting);
    await(is_closed(reader));
    close(waiting);
    close(answering);
    close(reading_now);
    close(fresh);
}
END_TEST

START_TEST(without_descriptors_nobody_is_accepted_and_the_loop_rests)
{
    struct rlimit limit, none;
    start();
    int fd = enter();
    say_bytes(fd, GET, sizeof GET - 1);
    close(fd); /* what is opened once is open now */
    await(http_socket_connections(http) == 0);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    unsigned turns = 0;
    for (int64_t until = now_ms() + 300; now_ms() < until; turns++)
        event_base_loop(base, EVLOOP_ONCE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_lt(turns, 10);
    ck_assert_uint_eq(http_socket_connections(http), 0);
    ask(fd);
    close(fd);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("http socket");
    TCase *tests = test_case(suite, "bounds");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_connection_serves_many_requests);
    tcase_add_test(tests, no_more_connections_than_the_bound);
    tcase_add_loop_test(tests, every_ending_frees_its_place, 0, sizeof endings / sizeof *endings);
    tcase_add_test(tests, a_request_has_its_time_however_slowly_it_is_sent);
    tcase_add_test(tests, who_says_nothing_is_ended);
    tcase_add_test(tests, silence_after_an_answer_is_ended_but_not_a_request_that_has_begun);
    tcase_add_test(tests, what_is_sent_early_is_a_request_that_has_begun);
    tcase_add_test(tests, an_answer_that_is_not_taken_is_ended);
    tcase_add_loop_test(tests, what_is_sent_is_not_kept_without_end, 0, sizeof floods / sizeof *floods);
    tcase_add_loop_test(tests, what_waits_costs_nothing, 0, 2);
    tcase_add_test(tests, what_waited_is_read);
    tcase_add_test(tests, an_endless_answer_has_no_time_and_tells_of_its_end);
    tcase_add_test(tests, it_closes_whatever_state_its_connections_are_in);
    tcase_add_test(tests, without_descriptors_nobody_is_accepted_and_the_loop_rests);
    return suite;
}
