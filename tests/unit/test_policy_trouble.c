/*
 * test_policy_trouble.c: peers of the policy door that do not keep to the protocol, and a system that is short of what
 * they need: each costs its own connection, is told once, and nobody else notices. Links policy/, src/doors/waiting.c,
 * libmail.a and libengine.a. Meant to be run under -fsanitize=thread as well.
 */
#include "policy_case.h"

#include <sys/resource.h>

static int other;     /* a connection that asks all along */
static unsigned seen; /* troubles that were looked at */

static void check_other(void)
{
    ask(other, ASKING, DUNNO);
    ask(other, ASKING_DENIED ASKING, DENIED DUNNO);
}

static void start_all(void)
{
    start(0);
    other = connect_unix();
    check_other();
}

static void setup_other(void)
{
    setup();
    other = -1;
    seen = 0;
}

static void teardown_other(void)
{
    if (other >= 0)
        check_other();
    close(other);
    teardown();
}

/* Exactly one trouble more, with that connection: "PEER: WHY". */
static void expect_trouble(const char *peer, const char *why)
{
    char expected[160];

    snprintf(expected, sizeof expected, "%s: %s", peer, why);
    ck_assert_uint_eq(count_troubles(), seen + 1);
    ck_assert_str_eq(troubles[seen], expected);
    ck_assert_uint_eq(troubles_more[seen], 0);
    seen++;
    atomic_fetch_add(&fake_now, 2 * SECOND); /* so that none is one too many for its second */
}

/* ---- requests ---- */

static const struct {
    const char *text, *why;
} wrong[] = {
    {"\n", "no attribute"},
    {"HELO client.example.net\n\n", "a line without '='"},
    {"request=smtpd_access_policy\n=x\n\n", "an attribute without a name"},
    {"request=junk\nprotocol_state=RCPT\nclient_address=192.0.2.1\n\n", "request is not smtpd_access_policy"},
    {"request=smtpd_access_policy\nprotocol_state=RCPT\n\n", "no client_address"},
    {"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.1\nclient_port=x\n\n",
     "client_port is no port"},
};

/* Answers to what came before are there; what comes after is not heard. */
START_TEST(wrong_requests)
{
    char name[32];

    start_all();
    for (int i = 0; i < 2; i++) {
        int fd = i == 0 ? connect_tcp() : connect_unix();
        name_of(fd, name);
        say(fd, wrong[_i].text);
        expect_end(fd);
        expect_trouble(name, wrong[_i].why);
        check_other();
        fd = i == 0 ? connect_tcp() : connect_unix();
        char text[1024];
        name_of(fd, name);
        snprintf(text, sizeof text, ASKING ASKING_DENIED "%s" ASKING, wrong[_i].text);
        say(fd, text);
        expect(fd, DUNNO DENIED);
        expect_end(fd);
        expect_trouble(name, wrong[_i].why);
        check_other();
    }
}
END_TEST

/* Also behind an answer that waits. */
START_TEST(wrong_after_a_delay)
{
    char name[32];

    start(20 * MS);
    int fd = connect_tcp();
    name_of(fd, name);
    say(fd, ASKING_DENIED ASKING "wrong\n\n" ASKING);
    expect(fd, DENIED DUNNO);
    expect_end(fd);
    expect_trouble(name, "a line without '='");
}
END_TEST

START_TEST(binary)
{
    char bytes[4096], name[32];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 + i / 256);
    bytes[sizeof bytes - 1] = bytes[sizeof bytes - 2] = '\n';
    start_all();
    int fd = connect_tcp();
    name_of(fd, name);
    send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
    expect_end(fd);
    expect_trouble(name, "a NUL");
}
END_TEST

/* ---- without end ---- */

/* Sends until the service has closed the connection; at most so many times. */
static void send_on(int fd, const char *piece, int times)
{
    for (int i = 0; i < times; i++)
        if (send(fd, piece, strlen(piece), MSG_NOSIGNAL) < 0)
            return;
}

START_TEST(without_end)
{
    static const char *const pieces[] = {"x", "name=value\n", "\rx=1\r\n\r", "request=smtpd_access_policy\n"};
    char name[32];

    params.request_time_ms = PATIENCE_MS / 2;
    start_all();
    int fd = _i % 2 ? connect_tcp() : connect_unix();
    name_of(fd, name);
    say(fd, ASKING);
    send_on(fd, pieces[_i], 1000000);
    expect(fd, DUNNO);
    expect_end(fd);
    expect_trouble(name, "a request is too large");
}
END_TEST

/* One byte more than may be, whole in itself; or so many that no end can make it right. */
START_TEST(one_byte_too_large)
{
    char *text = malloc(ATTRIBUTES_SIZE_MAX + 1), name[32];

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', ATTRIBUTES_SIZE_MAX + 1);
    memcpy(text, "x=", 2);
    memcpy(text + ATTRIBUTES_SIZE_MAX - 1, "\n\n", 2);
    start_all();
    int fd = connect_unix();
    name_of(fd, name);
    send_bytes(fd, text, ATTRIBUTES_SIZE_MAX + 1);
    expect_end(fd);
    expect_trouble(name, "a request is too large");
    fd = connect_unix();
    send_bytes(fd, text, ATTRIBUTES_SIZE_MAX);
    expect_end(fd);
    expect_trouble(name, "a request is too large");
    free(text);
}
END_TEST

START_TEST(too_many_attributes)
{
    char name[32];

    start_all();
    int fd = connect_tcp();
    name_of(fd, name);
    for (int i = 0; i < ATTRIBUTES_COUNT_MAX; i++)
        say(fd, "x=1\n");
    say(fd, "x=1\n\n");
    expect_end(fd);
    expect_trouble(name, "too many attributes");
}
END_TEST

/* ---- time ---- */

START_TEST(not_whole_in_time)
{
    char name[32];

    params.request_time_ms = 50;
    params.answer_time_ms = HOUR / MS;
    start_all();
    int fd = connect_tcp();
    name_of(fd, name);
    say(fd, ASKING "request=");
    expect(fd, DUNNO);
    expect_end(fd);
    expect_trouble(name, "a request was not whole in time");
    fd = connect_tcp(); /* nor if a byte comes now and then */
    name_of(fd, name);
    while (is_silent(fd)) {
        const struct timespec pause = {.tv_nsec = 5000000};
        send(fd, "x", 1, MSG_NOSIGNAL);
        nanosleep(&pause, NULL);
    }
    expect_end(fd);
    expect_trouble(name, "a request was not whole in time");
}
END_TEST

/* The time is each request's own, and none passes while there is none. */
START_TEST(whole_in_time)
{
    const struct timespec pause = {.tv_nsec = 100000000};

    params.request_time_ms = 2000;
    start_all();
    int fd = connect_unix();
    say(fd, "request=smtpd");
    for (int i = 0; i < 25; i++) { /* each ends one request and begins another */
        nanosleep(&pause, NULL);
        say(fd, "_access_policy\nprotocol_state=CONNECT\nclient_address=192.0.2.1\n\nrequest=smtpd");
        expect(fd, DUNNO);
    }
    say(fd, "_access_policy\nprotocol_state=CONNECT\nclient_address=192.0.2.1\n\n");
    expect(fd, DUNNO);
    for (int i = 0; i < 21; i++)
        nanosleep(&pause, NULL);
    ask(fd, ASKING, DUNNO);
    close(fd);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

/* What all of them together may keep unfinished is bounded, whatever each of them may. */
START_TEST(too_much_unfinished)
{
    enum { ROOM = POLICY_KEPT_MAX / (ATTRIBUTES_SIZE_MAX - POLICY_KEPT_FREE), MANY = ROOM + 40 };
    const struct rlimit room = {.rlim_cur = 4000, .rlim_max = 4000};
    static char text[ATTRIBUTES_SIZE_MAX - 1000];
    int fds[MANY];
    char name[32], expected[160];

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &room), 0);
    params.connections = MANY + 1;
    params.request_time_ms = 3600 * 1000;
    start_all();
    memset(text, 'a', sizeof text);
    for (int i = 0; i < MANY; i++) {
        fds[i] = connect_tcp();
        send(fds[i], text, sizeof text, MSG_NOSIGNAL);
    }
    await(count_troubles() > 0);
    bool told = false;
    for (int i = 0; i < MANY && !told; i++) {
        snprintf(expected, sizeof expected, "%s: there is no room for what is unfinished", name_of(fds[i], name));
        told = strcmp(troubles[0], expected) == 0;
    }
    ck_assert_msg(told, "told: %s", troubles[0]);
    await(policy_service_connections(service) <= ROOM + 1);
    check_other();
    int halves = connect_tcp(); /* whose requests are as usual never notices */
    say(halves, "request=smtpd_access_policy\n");
    check_other();
    ask(halves, "protocol_state=CONNECT\nclient_address=192.0.2.1\n\n", DUNNO);
    close(halves);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    await(policy_service_connections(service) == 1);
    int fd = connect_tcp(); /* and there is room again */
    send_bytes(fd, text, sizeof text);
    ask(fd, "=\n" ASKING, DUNNO);
    close(fd);
}
END_TEST

START_TEST(answers_not_taken)
{
    char name[32];

    params.answer_time_ms = 50;
    params.request_time_ms = HOUR / MS;
    start_all();
    int fd = connect_tcp();
    name_of(fd, name);
    send_on(fd, ASKING_DENIED ASKING ASKING_DENIED, 1000000); /* and reads nothing */
    await(count_troubles() > 0);
    expect_trouble(name, "its answers were not taken in time");
    close(fd);
}
END_TEST

/* ---- the end ---- */

START_TEST(ended_in_a_request)
{
    char name[32];

    start_all();
    for (int i = 0; i < 4; i++) {
        int fd = i % 2 ? connect_tcp() : connect_unix();
        name_of(fd, name);
        say(fd, i < 2 ? "r" : ASKING "request=smtpd_access_policy\n");
        if (i >= 2)
            expect(fd, DUNNO);
        shutdown(fd, SHUT_WR);
        expect_end(fd);
        expect_trouble(name, "it ended in the middle of a request");
        check_other();
    }
}
END_TEST

/* What is not worth a word. */
START_TEST(plain_ends)
{
    const struct linger reset = {.l_onoff = 1};

    start_all();
    for (int i = 0; i < 20; i++) {
        int fd = i % 2 ? connect_tcp() : connect_unix();
        if (i % 3 == 1)
            ask(fd, ASKING, DUNNO);
        if (i % 3 == 2)
            say(fd, ASKING ASKING_DENIED);
        if (i >= 15 && i % 2) { /* in the middle of a request */
            say(fd, ASKING "request=");
            expect(fd, DUNNO);
        }
        if (i >= 10)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    await(policy_service_connections(service) == 1);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

/* ---- bounds ---- */

START_TEST(one_connection_too_many)
{
    char name[32];

    params.connections = 3;
    start_all();
    int fd = connect_tcp(), next = connect_unix();
    ask(fd, ASKING, DUNNO);
    ask(next, ASKING, DUNNO);
    for (int i = 0; i < 4; i++) {
        int late = i % 2 ? connect_tcp() : connect_unix();
        name_of(late, name);
        expect_end(late);
        expect_trouble(name, "there are too many connections");
        check_other();
    }
    close(next);
    await(policy_service_connections(service) == 2);
    next = connect_tcp();
    ask(next, ASKING, DUNNO);
    close(next);
    close(fd);
}
END_TEST

static int64_t cpu_time(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * SECOND + used.tv_nsec;
}

/* For longer than one pause; it is told once, and nobody waits in a hurry. */
START_TEST(no_descriptors_left)
{
    const struct timespec pause = {.tv_sec = 1, .tv_nsec = 500000000};
    int fds[3];
    struct rlimit limit, none;

    start_all();
    for (int i = 0; i < 3; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = (rlim_t)fds[2]; /* the lowest that are free are all below it */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&tcp_address, sizeof tcp_address), 0);
    await(count_troubles() > 0);
    expect_trouble("inet", "no connection can be accepted: Too many open files");
    int64_t used = cpu_time();
    nanosleep(&pause, NULL);
    ck_assert_int_lt(cpu_time() - used, SECOND / 2);
    check_other();
    ck_assert_uint_eq(count_troubles(), 1);
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < 3; i++) {
        ask(fds[i], ASKING, DUNNO);
        close(fds[i]);
    }
    ck_assert_uint_eq(count_troubles(), 1);
}
END_TEST

START_TEST(troubles_are_told_in_measure)
{
    start_all();
    for (int i = 0; i < 3 * POLICY_TROUBLES_MAX; i++) {
        int fd = connect_tcp();
        say(fd, "\n");
        expect_end(fd);
    }
    ck_assert_uint_eq(count_troubles(), POLICY_TROUBLES_MAX);
    atomic_fetch_add(&fake_now, SECOND);
    for (int i = 0; i < 2; i++) {
        int fd = connect_tcp();
        say(fd, "\n");
        expect_end(fd);
        ck_assert_uint_eq(count_troubles(), POLICY_TROUBLES_MAX + 1 + i);
        ck_assert_uint_eq(troubles_more[POLICY_TROUBLES_MAX + i], i == 0 ? 2 * POLICY_TROUBLES_MAX : 0);
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("policy_trouble");
    TCase *requests = test_case(suite, "requests"), *time = test_case(suite, "time"),
          *bounds = test_case(suite, "bounds");

    tcase_add_checked_fixture(requests, setup_other, teardown_other);
    tcase_add_loop_test(requests, wrong_requests, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(requests, wrong_after_a_delay);
    tcase_add_test(requests, binary);
    tcase_add_loop_test(requests, without_end, 0, 4);
    tcase_add_test(requests, one_byte_too_large);
    tcase_add_test(requests, too_many_attributes);
    tcase_add_test(requests, ended_in_a_request);
    tcase_add_test(requests, plain_ends);
    tcase_add_checked_fixture(time, setup_other, teardown_other);
    tcase_add_test(time, not_whole_in_time);
    tcase_add_test(time, whole_in_time);
    tcase_add_test(time, answers_not_taken);
    tcase_add_checked_fixture(bounds, setup_other, teardown_other);
    tcase_add_test(bounds, one_connection_too_many);
    tcase_add_test(bounds, too_much_unfinished);
    tcase_add_test(bounds, no_descriptors_left);
    tcase_add_test(bounds, troubles_are_told_in_measure);
    return suite;
}
