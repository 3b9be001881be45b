/*
 * test_session_watch.c: sessions that end with their connections. Links src/daemon/session_watch.c,
 * src/daemon/kernel_sockets.c and the engine. Where the system allows it, each test runs in a network namespace of its
 * own.
 */
#include "build-config.h"
#include "check_main.h"
#include "daemon/session_watch.h"

#include <errno.h>

#ifdef HAVE_SOCK_DIAG

#include <linux/netlink.h>
#include <stdio.h>
#include <time.h>

#include "connection_case.h"
#include "engine_case.h"

#define PATIENCE_S 60
#define CAP 2

static bool own_network;
static struct session_watch *watch;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int question_fd; /* of the watch: the number that was free when it opened it */

static int free_fd(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

static void start_with_cap(uint32_t cap, uint32_t sessions)
{
    rules_set(builder, RULES_SERVICE, SETTING_LISTENER_SESSIONS, cap);
    start_with(sessions, 256);
}

static void set_up(void)
{
    own_network = enter_own_network();
    case_setup();
    start_with_cap(CAP, 64);
    question_fd = free_fd();
    watch = session_watch_new();
    ck_assert_ptr_nonnull(watch);
}

static void tear_down(void)
{
    session_watch_free(&watch);
    ck_assert_ptr_null(watch);
    session_watch_free(&watch);
    case_teardown();
}

/* The policy service asks about that connection. True when it is let in, or was. */
static bool ask_held(const struct watched_connection *connection, enum request_hold hold)
{
    const struct request request = {.stage = REQUEST_CONNECT,
                                    .hold = hold,
                                    .connect = {.client = connection->client,
                                                .local = connection->local,
                                                .client_port = connection->client_port,
                                                .local_port = connection->local_port}};
    struct request_answer answer;
    engine_request(engine, &request, now, &answer);
    return answer.kind == VERDICT_CONTINUE;
}

static bool ask(const struct watched_connection *connection)
{
    return ask_held(connection, HOLD_WATCH);
}

/* A connection that never was. */
static struct watched_connection nowhere(uint32_t number)
{
    struct watched_connection connection = {.local_port = 25, .client_port = (uint16_t)(1025 + number % 50000)};
    char text[ADDR_TEXT_SIZE];
    snprintf(text, sizeof text, "198.51.100.%u", (unsigned)(1 + number / 50000));
    ck_assert(addr_parse("192.0.2.1", &connection.local) && addr_parse(text, &connection.client));
    return connection;
}

static bool run(void)
{
    const struct session_watch_params params = {engine, &lock};
    now += SESSION_WATCH_INTERVAL_MS * INT64_C(1000000);
    bool done = session_watch_run(watch, &params, now);
    ck_assert_int_eq(pthread_mutex_trylock(&lock), 0); /* it has been given back */
    pthread_mutex_unlock(&lock);
    return done;
}

static uint32_t sessions(void)
{
    return engine_totals(engine).sessions;
}

/* What the client did must come through first. */
static void run_until(uint32_t wanted)
{
    const struct timespec brief = {.tv_nsec = 2000000};
    time_t start_time = time(NULL);
    do {
        ck_assert(run());
        ck_assert_msg(time(NULL) - start_time < PATIENCE_S, "%u sessions, not %u", sessions(), wanted);
    } while (sessions() != wanted && nanosleep(&brief, NULL) == 0);
}

static void close_pair(const struct pair *pair)
{
    close(pair->client);
    close(pair->mta);
}

/* ---- with the real kernel ---- */

START_TEST(a_freed_slot_is_noticed_by_the_next_round)
{
    if (!has((enum kind)_i))
        return;
    int listener = listen_as((enum kind)_i);
    struct pair first = connect_to((enum kind)_i, listener), second = connect_to((enum kind)_i, listener);
    struct pair third = connect_to((enum kind)_i, listener), fourth = connect_to((enum kind)_i, listener);
    ck_assert(ask(&first.seen) && ask(&second.seen));
    ck_assert(!ask(&third.seen));
    ck_assert(run() && run());
    ck_assert(!ask(&third.seen));
    close_pair(&first);
    ck_assert(run());
    ck_assert_uint_eq(sessions(), 1);
    ck_assert(ask(&third.seen));
    ck_assert(!ask(&fourth.seen)); /* so the second has its slot yet */
    ck_assert(run());
    ck_assert_uint_eq(sessions(), 2);
    close_pair(&second); /* seen only by rounds before */
    close_pair(&third);
    ck_assert(run());
    ck_assert_uint_eq(sessions(), 0);
}
END_TEST

START_TEST(a_session_lasts_until_the_mta_closes)
{
    char byte;
    int listener = listen_as(IPV4);
    struct pair pair = connect_to(IPV4, listener);
    ck_assert(ask(&pair.seen));
    close(pair.client);
    ck_assert_int_eq(recv(pair.mta, &byte, 1, 0), 0);
    ck_assert(run());
    ck_assert_uint_eq(sessions(), 1);
    close(pair.mta);
    run_until(0);
}
END_TEST

START_TEST(a_connection_with_the_same_numbers_is_another)
{
    if (!own_network) /* elsewhere another may take the port */
        return;
    int listener = listen_as(IPV4);
    struct pair first = connect_to(IPV4, listener), other = connect_to(IPV4, listener);
    ck_assert(ask(&first.seen) && ask(&other.seen));
    ck_assert(run());
    reset(first.mta);
    close_when_reset(first.client);
    struct pair second = connect_from_port(IPV4, listener, first.seen.client_port);
    ck_assert_uint_eq(second.seen.client_port, first.seen.client_port);
    ck_assert(second.seen.cookie != first.seen.cookie);
    ck_assert(run());
    ck_assert_uint_eq(sessions(), 1);
    ck_assert(ask(&second.seen));
    ck_assert(run());
    ck_assert_uint_eq(sessions(), 2);
}
END_TEST

START_TEST(what_others_hold_is_left_alone)
{
    int listener = listen_as(IPV4);
    struct pair pair = connect_to(IPV4, listener);
    struct watched_connection reserved = nowhere(1);
    ck_assert(ask(&pair.seen) && ask_held(&reserved, HOLD_RESERVE));
    close_pair(&pair);
    ck_assert(run());
    ck_assert_uint_eq(sessions(), 1);
    session_id told = connect_from("198.51.100.7"); /* by the milter door */
    ck_assert(run() && run());
    ck_assert_uint_eq(sessions(), 2);
    leave(told);
}
END_TEST

START_TEST(nothing_is_asked_while_no_session_is_watched)
{
    int listener = listen_as(IPV4);
    struct pair pair = connect_to(IPV4, listener);
    int before = free_fd();
    ck_assert(ask_held(&pair.seen, HOLD_RESERVE) && run());
    ck_assert_int_eq(free_fd(), before); /* the way for dumps has not been opened */
}
END_TEST

/* More than there are in a batch or in a chunk, and in one round. */
START_TEST(ends_those_that_are_gone_of_many_and_no_others)
{
    enum { COUNT = 3 * 200 };
    static struct pair pairs[COUNT];
    allow_many_descriptors();
    int listeners[] = {listen_as(IPV4), listen_as(IPV4)};
    rules_builder_free(&builder);
    case_setup();
    start_with_cap(COUNT, 2 * COUNT);
    for (int i = 0; i < COUNT; i++) {
        pairs[i] = connect_to(IPV4, listeners[i % 2]);
        ck_assert(ask(&pairs[i].seen));
    }
    for (int round = 0; round < 2; round++) {
        for (int i = round; i < COUNT; i += 3)
            close_pair(&pairs[i]);
        ck_assert(run());
        ck_assert_uint_eq(sessions(), COUNT / 3 * (2 - round));
    }
    for (int i = 2; i < COUNT; i += 3)
        ck_assert(ask(&pairs[i].seen));
    ck_assert_uint_eq(sessions(), COUNT / 3); /* the right ones were left */
}
END_TEST

START_TEST(what_the_kernel_cannot_be_asked_about_is_not_held)
{
    struct watched_connection nameless[] = {nowhere(1), nowhere(2)};
    nameless[0].local = (struct addr){0};
    nameless[1].local_port = 0;
    ck_assert(ask(&nameless[0]) && ask(&nameless[1]));
    ck_assert(run());
    ck_assert_uint_eq(sessions(), 0);
}
END_TEST

START_TEST(a_round_asks_so_much_and_no_more)
{
    uint32_t count = SESSION_WATCH_QUESTIONS + 1000;
    rules_builder_free(&builder);
    case_setup();
    start_with_cap(count, count);
    for (uint32_t i = 0; i < count; i++) {
        struct watched_connection connection = nowhere(i);
        ck_assert(ask(&connection));
    }
    ck_assert(run());
    ck_assert_uint_gt(sessions(), 0);
    ck_assert_uint_le(sessions(), 1000);
    ck_assert(run());
    ck_assert_uint_eq(sessions(), 0);
}
END_TEST

static void end_unseen(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct watched_connection connection = nowhere(i);
        ck_assert(ask(&connection) && run());
        ck_assert_uint_eq(sessions(), 0);
    }
}

START_TEST(blind_is_who_does_not_see)
{
    end_unseen(SESSION_WATCH_BLIND - 1);
    ck_assert(!session_watch_blind(watch));
    end_unseen(1);
    ck_assert(session_watch_blind(watch));
    ck_assert(!session_watch_blind(watch)); /* told once */
    end_unseen(SESSION_WATCH_BLIND);
    ck_assert(!session_watch_blind(watch));
}
END_TEST

START_TEST(whom_it_saw_does_not_count)
{
    int listener = listen_as(IPV4);
    struct pair pair = connect_to(IPV4, listener);
    ck_assert(ask(&pair.seen) && run());
    close_pair(&pair);
    ck_assert(run());
    ck_assert_uint_eq(sessions(), 0);
    end_unseen(SESSION_WATCH_BLIND - 1);
    ck_assert(!session_watch_blind(watch));
}
END_TEST

/* ---- with a false one ---- */

static int real_end; /* of the descriptor that the false kernel took, to give it back */

/* Takes the place of that descriptor of the watch; the other end is returned. */
static int take_the_place_of(int fd)
{
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    real_end = dup(fd);
    ck_assert_int_eq(dup2(ends[0], fd), fd);
    close(ends[0]);
    return ends[1];
}

START_TEST(nobody_is_ended_when_the_kernel_fails)
{
    static const char nonsense[64] = {1};
    int listener = listen_as(IPV4);
    struct pair pair = connect_to(IPV4, listener);
    int dump_fd = free_fd(); /* the first dump opens it */
    ck_assert(ask(&pair.seen) && run());
    close_pair(&pair);
    int fd = _i ? question_fd : dump_fd;
    int other_end = take_the_place_of(fd);
    for (int i = 0; i < 4; i++) /* so often a single question listens */
        ck_assert_int_eq(send(other_end, nonsense, sizeof nonsense, MSG_NOSIGNAL), sizeof nonsense);
    ck_assert(!run());
    ck_assert_uint_eq(sessions(), 1);
    if (_i)
        dup2(real_end, fd);
    ck_assert(run()); /* a way for dumps that is no good is opened anew */
    ck_assert_uint_eq(sessions(), 0);
    close(other_end);
    close(real_end);
}
END_TEST

/* No session that lives need be asked for one by one, on however many ports. */
START_TEST(a_dump_shows_the_sessions_of_all_ports)
{
    enum { PORTS = WATCHED_PORTS_MAX + 2 };
    int ports = _i ? PORTS : 2;
    rules_builder_free(&builder);
    case_setup();
    start_with_cap(PORTS, PORTS);
    for (int i = 0; i < ports; i++) {
        struct pair pair = connect_to(IPV4, listen_as(IPV4));
        ck_assert(ask(&pair.seen));
    }
    close(take_the_place_of(question_fd));
    ck_assert(run());
    ck_assert_uint_eq(sessions(), (unsigned)ports);
    close(real_end);
}
END_TEST

/* Ends every dump at once. */
static void *show_nothing(void *end)
{
    const int fd = *(const int *)end;
    struct nlmsghdr question[8]; /* more than its length */
    intptr_t locked = 0;

    while (recv(fd, question, sizeof question, 0) > 0) {
        const struct nlmsghdr done = {.nlmsg_len = sizeof done,
                                      .nlmsg_type = NLMSG_DONE,
                                      .nlmsg_flags = NLM_F_MULTI,
                                      .nlmsg_seq = question[0].nlmsg_seq};
        if (pthread_mutex_trylock(&lock) == 0)
            pthread_mutex_unlock(&lock);
        else
            locked++;
        send(fd, &done, sizeof done, MSG_NOSIGNAL);
    }
    return (void *)locked;
}

START_TEST(what_a_dump_leaves_out_is_asked_for)
{
    pthread_t kernel;
    void *locked;
    int listener = listen_as(IPV4);
    struct pair alive = connect_to(IPV4, listener), gone = connect_to(IPV4, listener);
    struct pair third = connect_to(IPV4, listener);
    int dump_fd = free_fd();
    ck_assert(ask(&alive.seen) && ask(&gone.seen) && run());
    close_pair(&gone);
    int other_end = take_the_place_of(dump_fd);
    ck_assert_int_eq(pthread_create(&kernel, NULL, show_nothing, &other_end), 0);
    ck_assert(run() && run());
    ck_assert_uint_eq(sessions(), 1);
    ck_assert(ask(&alive.seen) && ask(&third.seen) && run());
    reset(alive.mta);
    close_when_reset(alive.client);
    if (own_network)
        connect_from_port(IPV4, listener, alive.seen.client_port);
    ck_assert(run());
    ck_assert_uint_eq(sessions(), 1); /* though in its place another connection was found */
    ck_assert_int_eq(dup2(real_end, dump_fd), dump_fd);
    ck_assert_int_eq(pthread_join(kernel, &locked), 0);
    ck_assert_msg(locked == NULL, "the lock is held while the kernel is asked");
    close(other_end);
    close(real_end);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("session_watch");
    TCase *tests = test_case(suite, "session_watch");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, a_freed_slot_is_noticed_by_the_next_round, 0, KINDS);
    tcase_add_test(tests, a_session_lasts_until_the_mta_closes);
    tcase_add_test(tests, a_connection_with_the_same_numbers_is_another);
    tcase_add_test(tests, what_others_hold_is_left_alone);
    tcase_add_test(tests, nothing_is_asked_while_no_session_is_watched);
    tcase_add_test(tests, ends_those_that_are_gone_of_many_and_no_others);
    tcase_add_test(tests, what_the_kernel_cannot_be_asked_about_is_not_held);
    tcase_add_test(tests, a_round_asks_so_much_and_no_more);
    tcase_add_test(tests, blind_is_who_does_not_see);
    tcase_add_test(tests, whom_it_saw_does_not_count);
    tcase_add_loop_test(tests, nobody_is_ended_when_the_kernel_fails, 0, 2);
    tcase_add_loop_test(tests, a_dump_shows_the_sessions_of_all_ports, 0, 2);
    tcase_add_test(tests, what_a_dump_leaves_out_is_asked_for);
    return suite;
}

#else

START_TEST(nothing_is_available)
{
    errno = 0;
    ck_assert_ptr_null(session_watch_new());
    ck_assert_int_eq(errno, EOPNOTSUPP);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("session_watch");
    tcase_add_test(test_case(suite, "session_watch"), nothing_is_available);
    return suite;
}

#endif
