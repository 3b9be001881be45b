/*
 * test_policy_service.c: the policy door's connections, over real sockets, judged by what their peers read. Links
 * policy/, src/doors/waiting.c, libmail.a and libengine.a. Meant to be run under -fsanitize=thread as well.
 *
 * What must wait is made to wait for an hour, so that no test measures how soon something happens.
 */
#include "policy_case.h"
#include "prng.h"

#include <event2/event.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

/* ---- answers ---- */

static void ask_state(int fd, const char *state, const char *more, const char *answer)
{
    char text[1024];

    snprintf(text, sizeof text,
             "request=smtpd_access_policy\nprotocol_state=%s\nclient_address=192.0.2.1\nclient_port=4711\n"
             "server_address=192.0.2.25\nserver_port=25\nhelo_name=client.example.net\n%s\n",
             state, more);
    ask(fd, text, answer);
}

START_TEST(every_state)
{
    limit_number connections = LIMIT_NUMBER_CLIENT_CONNECTIONS, recipients = LIMIT_NUMBER_MESSAGE_RECIPIENTS;
    limit_block_id scoring = rules_add_limit_block(builder, RULES_SERVICE, connections);

    rules_set_term(builder, scoring, TERM_MAX, 1);
    rules_set_term(builder, scoring, TERM_MODE, MODE_SCORE);
    rules_set_term(builder, scoring, TERM_POINTS, 5);
    rules_set_term(builder, rules_add_limit_block(builder, RULES_SERVICE, recipients), TERM_MAX, 1);
    rules_add_list_sender(builder, LIST_DENY, "spam.example");
    start(0);
    int fd = connect_tcp();
    ask(fd, ASKING, DUNNO); /* another session of that client */
    ask_state(fd, "CONNECT", "", DUNNO);
    ask_state(fd, "EHLO", "", DUNNO);
    ask_state(fd, "MAIL", "sender=a@spam.example\ninstance=1\n", DENIED);
    ask_state(fd, "MAIL", "sender=a@example.org\ninstance=2\n", DUNNO);
    ask_state(fd, "RCPT", "sender=a@example.org\ninstance=2\nrecipient=b@example.com\n", DUNNO);
    ask_state(fd, "RCPT", "sender=a@example.org\ninstance=2\nrecipient=c@example.com\n",
              "action=452 4.5.3 Too many recipients.\n\n");
    ask_state(fd, "DATA", "sender=a@example.org\ninstance=2\nrecipient_count=1\n",
              "action=PREPEND X-Tidegate-Score: 5 (client_connections=5)\n\n");
    ask_state(fd, "END-OF-MESSAGE", "sender=a@example.org\ninstance=2\nrecipient_count=1\n", DUNNO);
    ask_state(fd, "ETRN", "", DUNNO);
    ask(fd, ASKING_DENIED, DENIED);
    close(fd);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

START_TEST(several_sockets)
{
    start(0);
    int tcp = connect_tcp(), local = connect_unix(), other = connect_tcp();
    for (int i = 0; i < 3; i++) {
        ask(tcp, ASKING, DUNNO);
        ask(local, ASKING_DENIED, DENIED);
        ask(other, ASKING_DENIED, DENIED);
    }
    ck_assert_uint_eq(policy_service_connections(service), 3);
    close(local);
    await(policy_service_connections(service) == 2);
    ask(tcp, ASKING, DUNNO);
    close(tcp);
    close(other);
    await(policy_service_connections(service) == 0);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

/* Whether sessions hold a slot is said for each socket, at any time. */
START_TEST(what_sessions_hold)
{
    static const char port[] = "request=smtpd_access_policy\nprotocol_state=CONNECT\nclient_address=192.0.2.1\n"
                               "server_address=192.0.2.25\nserver_port=25\nclient_port=";
    static const char full[] = "action=421 4.4.5 Service unavailable, concurrency limit reached.\n\n";
    char text[512];

    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 2);
    sockets[0].hold = HOLD_NOTHING;
    sockets[1].hold = HOLD_RESERVE;
    start(0);
    int fds[] = {connect_tcp(), connect_unix()};
    static const struct {
        int by;
        const char *answer;
    } rows[] = {{1, DUNNO}, {0, DUNNO}, {0, DUNNO}, {1, DUNNO}, {1, full}, {0, DUNNO}, {0, full}, {1, DUNNO}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (i == 6) {
            policy_service_set_hold(service, 0, HOLD_RESERVE);
            policy_service_set_hold(service, 1, HOLD_NOTHING);
        }
        snprintf(text, sizeof text, "%s%u\n\n", port, i + 1);
        ask(fds[rows[i].by], text, rows[i].answer);
    }
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* ---- pieces ---- */

/* Until the service has read all that was sent: for unix sockets the kernel tells. */
static void await_read(int fd)
{
    int unread;
    await(ioctl(fd, SIOCOUTQ, &unread) == 0 && unread == 0);
}

START_TEST(cut_at_every_byte)
{
    static const char both[] = ASKING_DENIED ASKING;
    size_t size = sizeof both - 1;

    start(0);
    int fd = connect_unix();
    for (size_t cut = 1; cut < size; cut++) {
        send_bytes(fd, both, cut);
        await_read(fd);
        send_bytes(fd, both + cut, size - cut);
        expect(fd, DENIED);
        expect(fd, DUNNO);
    }
    for (int i = 0; i < 3; i++) {
        for (size_t at = 0; at < size; at++) {
            send_bytes(fd, both + at, 1);
            await_read(fd);
        }
        expect(fd, DENIED);
        expect(fd, DUNNO);
    }
    ck_assert(is_silent(fd));
    close(fd);
    await(policy_service_connections(service) == 0);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

/* A request as large as may be, byte by byte for the first part of it. */
START_TEST(the_largest_request)
{
    static const char last[] = "\nprotocol_state=CONNECT\nclient_address=192.0.2.66\n\n";
    char *text = malloc(ATTRIBUTES_SIZE_MAX + sizeof last);
    size_t filled = ATTRIBUTES_SIZE_MAX - (sizeof last - 1);

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', filled);
    memcpy(text, "request=smtpd_access_policy\nx=", 30);
    strcpy(text + filled, last);
    start(0);
    int fd = connect_unix();
    for (size_t at = 0; at < 2000; at++) {
        send_bytes(fd, text + at, 1);
        if (at % 10 == 0)
            await_read(fd);
    }
    send_bytes(fd, text + 2000, ATTRIBUTES_SIZE_MAX - 2000);
    expect(fd, DENIED);
    send_bytes(fd, text, ATTRIBUTES_SIZE_MAX);
    say(fd, ASKING);
    expect(fd, DENIED);
    expect(fd, DUNNO);
    close(fd);
    free(text);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

/* ---- many at once ---- */

enum { MANY = 5000 };

/* Requests whose answers tell them apart by their pattern; and the answers. */
static char *many_requests, *many_answers;

/* One in so many is denied. */
static void make_many(uint32_t one_in)
{
    struct prng prng = prng_seeded(11);

    many_requests = calloc(MANY, sizeof ASKING_DENIED);
    many_answers = calloc(MANY, sizeof DENIED);
    ck_assert(many_requests && many_answers);
    char *request = many_requests, *answer = many_answers;
    for (int i = 0; i < MANY; i++) {
        bool denied = prng_below(&prng, one_in) == 0;
        request = stpcpy(request, denied ? ASKING_DENIED : ASKING);
        answer = stpcpy(answer, denied ? DENIED : DUNNO);
    }
}

static void free_many(void)
{
    free(many_requests);
    free(many_answers);
}

static int connect_narrowly(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), size = 4096;

    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&tcp_address, sizeof tcp_address), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void narrow_sockets(void)
{
    int size = 4096;
    ck_assert_int_eq(setsockopt(sockets[0].descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    ck_assert_int_eq(setsockopt(sockets[0].descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
}

static bool takes_more(int fd, int for_ms)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    return poll(&writable, 1, for_ms) == 1;
}

/* The peer writes as long as it can before it reads a byte, and then reads little at a time. In the second round some
 * answers wait. */
START_TEST(thousands_in_one_write)
{
    make_many(_i == 0 ? 2 : 50);
    narrow_sockets();
    start(_i == 0 ? 0 : MS);
    int fd = connect_narrowly(), other = connect_unix();
    size_t size = strlen(many_requests), sent = 0, wanted = strlen(many_answers), got = 0;
    bool stuck = false;
    char piece[997];
    while (got < wanted) {
        if (sent < size && (sent == 0 || takes_more(fd, stuck ? 0 : 100))) {
            ssize_t more = send(fd, many_requests + sent, size - sent, MSG_NOSIGNAL);
            ck_assert_int_gt(more, 0);
            sent += (size_t)more;
            continue;
        }
        if (!stuck) { /* the service has stopped reading, but not for others */
            stuck = true;
            ck_assert_uint_lt(sent, size);
            for (int i = 0; i < 100; i++)
                ask(other, i % 2 ? ASKING_DENIED : ASKING, i % 2 ? DENIED : DUNNO);
        }
        size_t more = receive(fd, piece, sizeof piece);
        ck_assert_uint_gt(more, 0);
        ck_assert_uint_le(got + more, wanted);
        ck_assert_mem_eq(piece, many_answers + got, more);
        got += more;
    }
    ck_assert_uint_eq(sent, size);
    ck_assert(stuck);
    close(other);
    close(fd);
    ck_assert_uint_eq(count_troubles(), 0);
    free_many();
}
END_TEST

static void *write_many(void *fd)
{
    say(*(int *)fd, many_requests);
    shutdown(*(int *)fd, SHUT_WR);
    return NULL;
}

/* Answers that are much longer than their questions, and among them some that wait. */
START_TEST(long_answers)
{
    enum { ASKED = 2000, ROOM = 640 };
    static const char asking[] = "request=smtpd_access_policy\nprotocol_state=CONNECT\nclient_address=192.0.2.1\n"
                                 "client_port=%d\n\n";
    struct reply reply = {.code = "421", .enhanced = "4.7.0"};
    limit_block_id block = rules_add_limit_block(builder, RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS);
    char text[ROOM], got[ROOM];
    pthread_t writer;

    memset(reply.text, 'x', sizeof reply.text - 1);
    rules_set_reply(builder, block, &reply);
    rules_set_term(builder, block, TERM_MAX, 1);
    rules_set_term(builder, block, TERM_DISCONNECT_DELAY, 0);
    narrow_sockets();
    start(MS);
    int fd = connect_tcp();
    snprintf(text, sizeof text, asking, 1);
    ask(fd, text, DUNNO);
    snprintf(text, sizeof text, asking, 2);
    char *end = many_requests = calloc(ASKED, ROOM);
    ck_assert_ptr_nonnull(end);
    for (int i = 0; i < ASKED; i++)
        end = stpcpy(end, i % 60 == 59 ? ASKING_DENIED : text);
    ck_assert_int_eq(pthread_create(&writer, NULL, write_many, &fd), 0);
    snprintf(got, sizeof got, "action=421 4.7.0 %s\n\n", reply.text);
    await(!is_silent(fd));
    for (int i = 0; i < ASKED; i++)
        expect(fd, i % 60 == 59 ? DENIED : got);
    expect_end(fd);
    pthread_join(writer, NULL);
    free(many_requests);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

/* A peer that says it has no more to ask still gets all its answers. */
START_TEST(half_closed)
{
    pthread_t writer;
    char piece[4096];
    size_t wanted, got = 0;

    make_many(2);
    start(0);
    for (int i = 0; i < 4; i++) {
        int fd = i % 2 ? connect_tcp() : connect_unix();
        wanted = strlen(many_answers);
        got = 0;
        ck_assert_int_eq(pthread_create(&writer, NULL, write_many, &fd), 0);
        for (size_t more; (more = receive(fd, piece, sizeof piece)) > 0; got += more) {
            ck_assert_uint_le(got + more, wanted);
            ck_assert_mem_eq(piece, many_answers + got, more);
        }
        ck_assert_uint_eq(got, wanted);
        pthread_join(writer, NULL);
        close(fd);
    }
    free_many();
    int fd = connect_tcp();
    shutdown(fd, SHUT_WR);
    expect_end(fd);
    await(policy_service_connections(service) == 0);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

/* ---- delays ---- */

START_TEST(nobody_else_waits)
{
    start(HOUR);
    int fd = connect_tcp(), other = connect_tcp();
    say(fd, ASKING ASKING_DENIED ASKING);
    expect(fd, DUNNO); /* what comes before it does not wait with it */
    for (int i = 0; i < 100; i++)
        ask(other, ASKING, DUNNO);
    int later = connect_unix();
    ask(later, ASKING, DUNNO);
    ck_assert(is_silent(fd));
    stop(); /* whoever waits is answered at once */
    expect(fd, DENIED);
    expect_end(fd);
    expect_end(other);
    expect_end(later);
}
END_TEST

START_TEST(order_is_kept)
{
    start(20 * MS);
    int fd = connect_tcp();
    int64_t before = real_now();
    for (int i = 0; i < 3; i++) {
        say(fd, ASKING ASKING_DENIED ASKING ASKING_DENIED);
        say(fd, ASKING_DENIED ASKING);
    }
    for (int i = 0; i < 3; i++) {
        expect(fd, DUNNO);
        expect(fd, DENIED);
        expect(fd, DUNNO);
        expect(fd, DENIED);
        expect(fd, DENIED);
        expect(fd, DUNNO);
    }
    ck_assert_int_ge(real_now() - before, 9 * 10 * MS); /* the loop's clock is coarse */
    say(fd, ASKING_DENIED ASKING);
    shutdown(fd, SHUT_WR);
    expect(fd, DENIED);
    expect(fd, DUNNO);
    expect_end(fd);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

/* Part of a request lies behind the one that waits: its time does not run. */
START_TEST(what_waits_is_not_late)
{
    params.request_time_ms = 50;
    start(500 * MS);
    int fd = connect_unix();
    say(fd, ASKING_DENIED "request=smtpd");
    await_read(fd);
    say(fd, "_access_policy\nprotocol_state=CONNECT\nclient_address=192.0.2.1\n\n"); /* read after the answer */
    expect(fd, DENIED);
    expect(fd, DUNNO);
    close(fd);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

/* Not while the service may want the place itself. */
static bool has_place(void)
{
    bool has = waiting_enter(waiting, HOUR) > 0;
    if (has)
        waiting_leave(waiting);
    return has;
}

START_TEST(the_waiting_room_is_bounded)
{
    waiting_set(waiting, 1, HOUR);
    start(HOUR);
    int fd = connect_unix(), other = connect_tcp();
    say(fd, ASKING_DENIED);
    await_read(fd); /* and answered, before the service reads anything else */
    for (int i = 0; i < 3; i++)
        ask(other, ASKING_DENIED ASKING, DENIED DUNNO); /* full: at once */
    ck_assert(is_silent(fd));
    policy_service_stop(service);
    expect(fd, DENIED);
    expect_end(fd);
    expect_end(other);
    stop();
}
END_TEST

START_TEST(places_are_given_back)
{
    waiting_set(waiting, 1, HOUR);
    start(20 * MS);
    for (int i = 0; i < 8; i++) {
        int fd = i % 2 ? connect_tcp() : connect_unix();
        ask(fd, ASKING, DUNNO);
        int64_t before = real_now();
        say(fd, ASKING_DENIED);
        if (i < 4) { /* else the peer goes away while it waits */
            expect(fd, DENIED);
            ck_assert_int_ge(real_now() - before, 10 * MS); /* the loop's clock is coarse */
            ck_assert(has_place());
        }
        close(fd);
        await(policy_service_connections(service) == 0);
        ck_assert(has_place());
    }
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

/* Those who waited when the service was stopped have left. */
START_TEST(stopping_empties_the_room)
{
    waiting_set(waiting, 1, HOUR);
    start(HOUR);
    int fd = connect_unix();
    say(fd, ASKING_DENIED);
    await_read(fd);
    ck_assert(is_silent(fd));
    stop();
    ck_assert(has_place());
    expect(fd, DENIED);
    expect_end(fd);
}
END_TEST

START_TEST(never_longer_than_the_longest)
{
    waiting_set(waiting, 0, MS);
    start(HOUR);
    int fd = connect_tcp();
    ask(fd, ASKING_DENIED ASKING_DENIED, DENIED DENIED);
    close(fd);
}
END_TEST

/* ---- idle connections ---- */

enum { IDLE = 1000 };

static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

START_TEST(idle_connections_are_cheap)
{
    static int idle[IDLE];
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    params.connections = IDLE + 1;
    start(0);
    int other = connect_unix();
    ask(other, ASKING, DUNNO);
    size_t before = bytes_in_use();
    for (int i = 0; i < IDLE; i++) {
        idle[i] = i % 2 ? connect_tcp() : connect_unix();
        say(idle[i], i % 3 ? ASKING : ASKING_DENIED);
        expect(idle[i], i % 3 ? DUNNO : DENIED);
    }
    ask(other, ASKING, DUNNO);
    ck_assert_uint_eq(policy_service_connections(service), IDLE + 1);
    size_t each = (bytes_in_use() - before) / IDLE;
    ck_assert_msg(each <= policy_connection_memory(), "%zu bytes for each idle connection", each);
    ck_assert_uint_le(policy_connection_memory(), 1024);
    for (int i = 0; i < IDLE; i++)
        close(idle[i]);
    await(policy_service_connections(service) == 1);
    ask(other, ASKING, DUNNO);
    close(other);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

/* ---- the end ---- */

START_TEST(stopped_before_it_runs)
{
    start_engine(0);
    service = policy_service_new(&params);
    ck_assert_ptr_nonnull(service);
    policy_service_stop(service);
    policy_service_stop(service);
    policy_service_run(service);
}
END_TEST

START_TEST(never_run)
{
    start_engine(0);
    service = policy_service_new(&params);
    ck_assert_ptr_nonnull(service);
    ck_assert_uint_eq(policy_service_connections(service), 0);
}
END_TEST

static void say_nothing(int severity, const char *text)
{
    (void)severity;
    (void)text;
}

START_TEST(not_to_be_had)
{
    struct policy_socket bad[] = {sockets[0], {.descriptor = -1, .name = "nowhere"}};
    const struct policy_socket *good = params.sockets;

    event_set_log_callback(say_nothing);
    params.sockets = bad;
    ck_assert_ptr_null(policy_service_new(&params));
    params.sockets = good;
    start(0); /* the descriptors are still the caller's */
    int fd = connect_tcp();
    ask(fd, ASKING, DUNNO);
    close(fd);
}
END_TEST

START_TEST(stopped_in_the_midst)
{
    start(0);
    int asked = connect_tcp(), partly = connect_tcp(), silent = connect_unix();
    ask(asked, ASKING, DUNNO);
    say(partly, "request=");
    await(policy_service_connections(service) == 3);
    stop();
    expect_end(asked);
    expect_end(partly);
    expect_end(silent);
    ck_assert_uint_eq(count_troubles(), 0);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("policy_service");
    TCase *answers = test_case(suite, "answers"), *pieces = test_case(suite, "pieces"),
          *delays = test_case(suite, "delays"), *upkeep = test_case(suite, "upkeep");

    tcase_add_checked_fixture(answers, setup, teardown);
    tcase_add_test(answers, every_state);
    tcase_add_test(answers, several_sockets);
    tcase_add_test(answers, what_sessions_hold);
    tcase_add_checked_fixture(pieces, setup, teardown);
    tcase_add_test(pieces, cut_at_every_byte);
    tcase_add_test(pieces, the_largest_request);
    tcase_add_loop_test(pieces, thousands_in_one_write, 0, 2);
    tcase_add_test(pieces, long_answers);
    tcase_add_test(pieces, half_closed);
    tcase_add_checked_fixture(delays, setup, teardown);
    tcase_add_test(delays, nobody_else_waits);
    tcase_add_test(delays, order_is_kept);
    tcase_add_test(delays, what_waits_is_not_late);
    tcase_add_test(delays, the_waiting_room_is_bounded);
    tcase_add_test(delays, places_are_given_back);
    tcase_add_test(delays, stopping_empties_the_room);
    tcase_add_test(delays, never_longer_than_the_longest);
    tcase_add_checked_fixture(upkeep, setup, teardown);
    tcase_add_test(upkeep, idle_connections_are_cheap);
    tcase_add_test(upkeep, stopped_before_it_runs);
    tcase_add_test(upkeep, never_run);
    tcase_add_test(upkeep, not_to_be_had);
    tcase_add_test(upkeep, stopped_in_the_midst);
    return suite;
}
