/*
 * test_kernel_dump.c: which connections of a port the kernel tells of, and dumps that are odd. Links
 * src/daemon/kernel_sockets.c and src/engine/addr.c. Where the system allows it, each test runs in a network namespace
 * of its own.
 */
#include "build-config.h"
#include "check_main.h"
#include "daemon/kernel_sockets.h"

#ifdef HAVE_SOCK_DIAG

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "connection_case.h"
#include "prng.h"

#define PATIENCE_S 60 /* what may take its time on a busy machine */
#define MANY 3000
#define ROWS 8192

static struct kernel_sockets *sockets;
static bool own_network;
static struct watched_connection rows[ROWS]; /* of the last dump */
static size_t row_count;

static void set_up(void)
{
    own_network = enter_own_network();
    sockets = kernel_sockets_open();
    ck_assert_msg(sockets != NULL, "kernel_sockets_open: %s", strerror(errno));
}

static void tear_down(void)
{
    kernel_sockets_close(&sockets);
    ck_assert_ptr_null(sockets);
}

static void take(void *context, const struct watched_connection *connections, size_t count)
{
    ck_assert_ptr_eq(context, rows);
    ck_assert(count >= 1 && count <= KERNEL_BATCH && row_count + count <= ROWS);
    memcpy(rows + row_count, connections, count * sizeof *rows);
    row_count += count;
}

static bool dump(uint16_t port)
{
    row_count = 0;
    return kernel_sockets_dump(sockets, port, take, rows);
}

/* How often the last dump told of that connection. */
static unsigned told(const struct watched_connection *wanted)
{
    unsigned times = 0;
    for (size_t i = 0; i < row_count; i++)
        times += addr_equal(&rows[i].client, &wanted->client) && addr_equal(&rows[i].local, &wanted->local) &&
                 rows[i].client_port == wanted->client_port && rows[i].local_port == wanted->local_port &&
                 rows[i].cookie == wanted->cookie;
    return times;
}

static enum kernel_answer alive(const struct watched_connection *seen, uint64_t *cookie)
{
    *cookie = 0;
    return kernel_socket_alive(sockets, seen, cookie);
}

/* Until the peer's FIN or reset has come through: until the port has so many connections. */
static void wait_for_rows(uint16_t port, size_t wanted)
{
    const struct timespec brief = {.tv_nsec = 2000000};
    time_t start = time(NULL);
    do {
        ck_assert(dump(port));
        ck_assert_msg(time(NULL) - start < PATIENCE_S, "%zu rows, not %zu", row_count, wanted);
    } while (row_count != wanted && nanosleep(&brief, NULL) == 0);
}

/* ---- what the kernel tells ---- */

START_TEST(tells_of_the_connections_of_a_port)
{
    if (!has((enum kind)_i))
        return;
    int listener = listen_as((enum kind)_i), elsewhere = listen_as(IPV4);
    uint16_t port = port_of(listener);
    ck_assert(dump(port));
    ck_assert_uint_eq(row_count, 0); /* the listener is none */
    struct pair first = connect_to((enum kind)_i, listener), second = connect_to((enum kind)_i, listener);
    struct pair other = connect_to(IPV4, elsewhere);
    ck_assert(dump(port));
    ck_assert_uint_eq(row_count, 2);
    ck_assert_uint_eq(told(&first.seen), 1);
    ck_assert_uint_eq(told(&second.seen), 1);
    ck_assert(dump(port_of(elsewhere)));
    ck_assert_uint_eq(row_count, 1);
    ck_assert_uint_eq(told(&other.seen), 1);
    ck_assert(dump(0));
    ck_assert(row_count == 6 || !own_network); /* both ends of three */
    ck_assert(told(&first.seen) == 1 && told(&second.seen) == 1 && told(&other.seen) == 1);
}
END_TEST

START_TEST(a_dual_stack_port_has_both)
{
    if (!has(IPV6))
        return;
    int listener = listen_as(IPV6);
    struct pair ipv6 = connect_to(IPV6, listener), ipv4 = connect_to(MAPPED, listener);
    ck_assert(dump(port_of(listener)));
    ck_assert_uint_eq(row_count, 2);
    ck_assert(told(&ipv6.seen) == 1 && told(&ipv4.seen) == 1);
}
END_TEST

START_TEST(tells_of_what_the_mta_holds_alone)
{
    if (!has((enum kind)_i))
        return;
    uint64_t cookie;
    int listener = listen_as((enum kind)_i);
    uint16_t port = port_of(listener);
    struct pair left = connect_to((enum kind)_i, listener), ended = connect_to((enum kind)_i, listener);
    struct pair torn = connect_to((enum kind)_i, listener), kept = connect_to((enum kind)_i, listener);
    ck_assert_int_eq(shutdown(left.client, SHUT_WR), 0); /* CLOSE_WAIT, or soon */
    close(ended.mta);                                    /* FIN_WAIT2, as the client stays */
    reset(torn.client);
    wait_for_rows(port, 2);
    ck_assert(told(&left.seen) == 1 && told(&kept.seen) == 1);
    char byte;
    ck_assert_int_eq(recv(left.mta, &byte, 1, 0), 0); /* it has come */
    ck_assert(dump(port));
    ck_assert(row_count == 2 && told(&left.seen) == 1);
    ck_assert_int_eq(alive(&left.seen, &cookie), KERNEL_FOUND);
    close(left.mta);
    wait_for_rows(port, 1);
    ck_assert_uint_eq(told(&kept.seen), 1);
    ck_assert_int_eq(alive(&left.seen, &cookie), KERNEL_GONE);
    ck_assert_int_eq(alive(&ended.seen, &cookie), KERNEL_GONE);
    ck_assert_int_eq(alive(&torn.seen, &cookie), KERNEL_GONE);
}
END_TEST

/* As many as the test may have open, but no more than MANY. */
START_TEST(tells_of_thousands_each_once)
{
    const rlim_t files = allow_many_descriptors();
    size_t count = files < 2 * MANY + 100 ? (files - 100) / 2 : MANY;
    enum kind kind = has(IPV6) ? IPV6 : IPV4;
    int listener = listen_as(kind);
    static struct pair pairs[MANY];
    for (size_t i = 0; i < count; i++)
        pairs[i] = connect_to(kind == IPV6 && i % 2 ? MAPPED : kind, listener);
    ck_assert(dump(port_of(listener)));
    ck_assert_uint_eq(row_count, count);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(told(&pairs[i].seen), 1);
    for (size_t i = 0; i < count; i += 3)
        reset(pairs[i].mta);
    ck_assert(dump(port_of(listener)));
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(told(&pairs[i].seen), i % 3 != 0);
}
END_TEST

START_TEST(the_cookie_tells_connections_with_the_same_numbers_apart)
{
    if (!has((enum kind)_i) || !own_network) /* elsewhere another may take the port */
        return;
    uint64_t cookie;
    int listener = listen_as((enum kind)_i);
    struct pair first = connect_to((enum kind)_i, listener);
    ck_assert_int_eq(alive(&first.seen, &cookie), KERNEL_FOUND);
    ck_assert(cookie != 0 && cookie == first.seen.cookie);
    reset(first.client);
    wait_for_rows(port_of(listener), 0);
    struct pair second = connect_from_port((enum kind)_i, listener, first.seen.client_port);
    ck_assert_uint_eq(second.seen.client_port, first.seen.client_port);
    ck_assert_int_eq(alive(&first.seen, &cookie), KERNEL_FOUND);
    ck_assert(cookie == second.seen.cookie && cookie != first.seen.cookie);
    ck_assert(dump(port_of(listener)));
    ck_assert(told(&second.seen) == 1 && told(&first.seen) == 0);
}
END_TEST

START_TEST(what_names_no_connection_cannot_be_asked_for)
{
    static const struct {
        const char *local, *client;
        uint16_t local_port, client_port;
    } bad[] = {
        {NULL, "192.0.2.1", 25, 1025},        {"192.0.2.1", NULL, 25, 1025},     {"192.0.2.1", "0.0.0.0", 25, 1025},
        {"192.0.2.1", "192.0.2.2", 0, 1025},  {"192.0.2.1", "192.0.2.2", 25, 0}, {"192.0.2.1", "2001:db8::1", 25, 1025},
        {"fe80::1", "2001:db8::1", 25, 1025},
    };
    uint64_t cookie;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct watched_connection named = {.local_port = bad[i].local_port, .client_port = bad[i].client_port};
        ck_assert(!bad[i].local || addr_parse(bad[i].local, &named.local));
        ck_assert(!bad[i].client || addr_parse(bad[i].client, &named.client));
        ck_assert_msg(alive(&named, &cookie) == KERNEL_UNASKABLE, "row %zu", i);
        ck_assert_uint_eq(cookie, 0);
    }
}
END_TEST

/* ---- a false kernel ---- */

#define ANSWER_ROWS 5
#define FALSE_PORT 25

struct question {
    struct nlmsghdr header;
    struct inet_diag_req_v2 body;
};

struct row {
    struct nlmsghdr header;
    struct inet_diag_msg socket;
    struct rtattr attribute;
    char value; /* and the next row is padded to */
};
#define ROW_LENGTH (offsetof(struct row, value) + 1)

/* A dump in one part, and room for one that is larger than any part may be. */
struct answer {
    struct row rows[ANSWER_ROWS];
    struct {
        struct nlmsghdr header;
        int error;
    } done;
    char beyond[40000];
};
#define ANSWER_LENGTH offsetof(struct answer, beyond)

enum oddity {
    NOTHING_ODD,
    NO_ROWS,
    EACH_APART,
    DONE_WITHOUT_STATUS,
    COMPLETE, /* all before this are */
    NEVER_DONE = COMPLETE,
    DONE_WITH_AN_ERROR,
    DONE_CUT,
    INTERRUPTED,
    INTERRUPTED_AT_THE_END,
    REFUSED,
    ACKNOWLEDGED,
    ANOTHER_TYPE,
    ANOTHER_SEQUENCE,
    LENGTH_0,
    DONE_OF_LENGTH_0,
    LENGTH_BELOW_THE_HEADER,
    LENGTH_BEYOND_THE_END,
    LENGTH_THAT_OVERFLOWS,
    BODY_CUT,
    HEADER_CUT,
    EMPTY_PART,
    PART_TOO_LONG,
    UNKNOWN_FAMILY,
    LISTENING,
    ODDITIES
};

static enum oddity oddity;
static int odd_turn;      /* of the two families asked for, the one answered oddly */
static int dump_fd = -1;  /* the handle's */
static int false_dump_fd; /* what takes its place */
static int false_kernel;  /* the other end of that */

static void set_up_false_kernel(void)
{
    int ends[2];

    set_up();
    /* The descriptor that is free now is the one that the handle will open, now and again. */
    dump_fd = dup(STDERR_FILENO);
    close(dump_fd);
    ck_assert(dump(1));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    false_dump_fd = ends[0];
    false_kernel = ends[1];
}

/* Puts the test's socket in place of the kernel's, without answers that came too late. */
static void take_the_kernels_place(void)
{
    char late[1024];

    while (recv(false_dump_fd, late, sizeof late, MSG_DONTWAIT) > 0)
        continue;
    ck_assert(dump(1));
    ck_assert_int_eq(dup2(false_dump_fd, dump_fd), dump_fd);
}

static void set_patience(int milliseconds)
{
    const struct timeval wait = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
    ck_assert_int_eq(setsockopt(false_dump_fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
}

/* In the child that plays the kernel: ends it with the line that went wrong. */
#define EXPECT(truth)        \
    do {                     \
        if (!(truth))        \
            return __LINE__; \
    } while (0)

static void answer_rightly(const struct question *question, struct answer *out)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < ANSWER_ROWS; i++) {
        struct row *row = &out->rows[i];
        row->header = (struct nlmsghdr){.nlmsg_len = ROW_LENGTH,
                                        .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                                        .nlmsg_flags = NLM_F_MULTI,
                                        .nlmsg_seq = question->header.nlmsg_seq};
        row->socket = (struct inet_diag_msg){.idiag_family = question->body.sdiag_family,
                                             .idiag_state = i % 2 ? TCP_ESTABLISHED : TCP_CLOSE_WAIT,
                                             .id = {.idiag_sport = htons(FALSE_PORT),
                                                    .idiag_dport = htons((uint16_t)(1025 + i)),
                                                    .idiag_src = {htonl(0x20010db8)},
                                                    .idiag_dst = {htonl(0x20010db8), 1},
                                                    .idiag_cookie = {7, 9}}};
        row->attribute = (struct rtattr){.rta_type = INET_DIAG_SHUTDOWN, .rta_len = RTA_LENGTH(1)};
    }
    out->done.header = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(sizeof out->done.error),
                                         .nlmsg_type = NLMSG_DONE,
                                         .nlmsg_flags = NLM_F_MULTI,
                                         .nlmsg_seq = question->header.nlmsg_seq};
}

/* Makes the answer odd, in its middle or at its end; returns its length. */
static size_t make_odd(struct answer *answer, enum oddity how)
{
    struct row *middle = &answer->rows[ANSWER_ROWS / 2];
    const int refused = -ENOENT;

    switch (how) {
    case NO_ROWS:
        memmove(answer, &answer->done, sizeof answer->done);
        return sizeof answer->done;
    case DONE_WITHOUT_STATUS:
        answer->done.header.nlmsg_len = NLMSG_LENGTH(0);
        return ANSWER_LENGTH - sizeof answer->done.error;
    case NEVER_DONE:
        return sizeof answer->rows;
    case DONE_WITH_AN_ERROR:
        answer->done.error = -EINVAL;
        break;
    case DONE_CUT:
        return ANSWER_LENGTH - 1;
    case INTERRUPTED:
        middle->header.nlmsg_flags |= NLM_F_DUMP_INTR;
        break;
    case INTERRUPTED_AT_THE_END:
        answer->done.header.nlmsg_flags |= NLM_F_DUMP_INTR;
        break;
    case REFUSED:
    case ACKNOWLEDGED:
        middle->header.nlmsg_type = NLMSG_ERROR;
        memcpy(NLMSG_DATA(&middle->header), how == REFUSED ? &refused : &answer->done.error, sizeof refused);
        break;
    case ANOTHER_TYPE:
        middle->header.nlmsg_type = RTM_NEWLINK;
        break;
    case ANOTHER_SEQUENCE:
        middle->header.nlmsg_seq--;
        break;
    case LENGTH_0:
        middle->header.nlmsg_len = 0;
        break;
    case DONE_OF_LENGTH_0:
        answer->done.header.nlmsg_len = 0;
        break;
    case LENGTH_BELOW_THE_HEADER:
        middle->header.nlmsg_len = sizeof middle->header - 1;
        break;
    case LENGTH_BEYOND_THE_END:
        answer->done.header.nlmsg_len++;
        break;
    case LENGTH_THAT_OVERFLOWS:
        middle->header.nlmsg_len = UINT32_MAX;
        break;
    case BODY_CUT:
        middle->header.nlmsg_len = offsetof(struct row, attribute) - 1;
        break;
    case HEADER_CUT:
        return sizeof answer->rows + sizeof answer->done.header - 1;
    case EMPTY_PART:
        return 0;
    case PART_TOO_LONG:
        return sizeof *answer;
    case UNKNOWN_FAMILY:
        middle->socket.idiag_family = AF_UNIX;
        break;
    case LISTENING:
        middle->socket.idiag_state = TCP_LISTEN;
        break;
    default:
        break;
    }
    return ANSWER_LENGTH;
}

/* Plays the kernel until the handle is closed. */
static int play_the_kernel(void)
{
    static struct answer answer;
    struct question question;

    const struct timeval soon = {.tv_usec = 100000};

    if (oddity != NEVER_DONE)
        close(false_dump_fd);
    close(dump_fd);
    for (int turn = 0; recv(false_kernel, &question, sizeof question, 0) > 0; turn++) {
        EXPECT(question.header.nlmsg_len == sizeof question);
        EXPECT(question.header.nlmsg_type == SOCK_DIAG_BY_FAMILY && question.header.nlmsg_flags & NLM_F_DUMP);
        EXPECT(question.body.sdiag_family == (turn % 2 ? AF_INET6 : AF_INET));
        EXPECT(question.body.sdiag_protocol == IPPROTO_TCP && question.body.id.idiag_sport == htons(FALSE_PORT));
        EXPECT(question.body.idiag_states == (1U << TCP_ESTABLISHED | 1U << TCP_CLOSE_WAIT));
        answer_rightly(&question, &answer);
        /* Whoever asks waits for long, but for what never comes. */
        if (turn == odd_turn && oddity == NEVER_DONE) {
            EXPECT(setsockopt(false_dump_fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon) == 0);
            close(false_dump_fd);
        }
        size_t size = make_odd(&answer, turn == odd_turn ? oddity : NOTHING_ODD), step = size;
        if (turn == odd_turn && oddity == EACH_APART)
            step = sizeof answer.rows[0];
        for (size_t at = 0; at < size || at == 0; at += step ? step : 1)
            EXPECT(send(false_kernel, (char *)&answer + at, size - at < step ? size - at : step, MSG_NOSIGNAL) >= 0);
    }
    return 0;
}

START_TEST(odd_dumps_are_not_complete_and_do_no_harm)
{
    int status = 0;
    uint64_t cookie;
    struct watched_connection nobody = {.client_port = 1025, .local_port = 25};
    ck_assert(addr_parse("127.1.2.3", &nobody.client) && addr_parse("127.1.2.4", &nobody.local));
    oddity = (enum oddity)(_i / 2);
    odd_turn = _i % 2;
    set_patience(1000 * PATIENCE_S);
    take_the_kernels_place();
    pid_t child = fork();
    if (child == 0)
        _exit(play_the_kernel() % 256);
    bool complete = dump(FALSE_PORT);
    size_t told_of = row_count;
    ck_assert_int_eq(alive(&nobody, &cookie), KERNEL_GONE); /* single questions never notice */
    if (!complete)
        ck_assert_msg(dump(1) && row_count == 0, "no more dumps from the real kernel");
    kernel_sockets_close(&sockets);
    close(false_dump_fd);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "status %x: line %d (modulo 256)", (unsigned)status, WEXITSTATUS(status));
    ck_assert_int_eq(complete, oddity < COMPLETE);
    if (complete)
        ck_assert_uint_eq(told_of, oddity == NO_ROWS ? ANSWER_ROWS : 2 * ANSWER_ROWS);
    else
        ck_assert(told_of >= (size_t)odd_turn * ANSWER_ROWS && told_of <= (size_t)(odd_turn + 1) * ANSWER_ROWS);
}
END_TEST

/* Right answers with some bytes of them wrong. */
static int play_a_broken_kernel(void)
{
    static struct answer answer;
    struct question question;
    struct prng prng = prng_seeded(7);

    close(false_dump_fd);
    close(dump_fd);
    while (recv(false_kernel, &question, sizeof question, 0) > 0) {
        answer_rightly(&question, &answer);
        for (uint32_t left = 1 + prng_below(&prng, 3); left > 0; left--)
            ((unsigned char *)&answer)[prng_below(&prng, ANSWER_LENGTH)] = (unsigned char)prng_next(&prng);
        size_t size = prng_below(&prng, 4) ? ANSWER_LENGTH : prng_below(&prng, ANSWER_LENGTH + 1);
        send(false_kernel, &answer, size, MSG_NOSIGNAL);
    }
    return 0;
}

/* Nothing but sanitizers can find much wrong here. */
START_TEST(broken_dumps_do_no_harm)
{
    int complete = 0;
    set_patience(100);
    take_the_kernels_place();
    pid_t child = fork();
    if (child == 0)
        _exit(play_a_broken_kernel());
    for (int i = 0; i < 1000; i++) {
        if (dump(FALSE_PORT))
            complete++;
        else
            take_the_kernels_place();
        ck_assert_uint_le(row_count, 2 * ANSWER_ROWS);
    }
    ck_assert_int_gt(complete, 0);
    kernel_sockets_close(&sockets);
    close(false_dump_fd);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}
END_TEST

START_TEST(waits_no_longer_than_some_seconds)
{
    struct timeval wait = {0};
    socklen_t length = sizeof wait;
    ck_assert_int_eq(getsockopt(dump_fd, SOL_SOCKET, SO_RCVTIMEO, &wait, &length), 0);
    ck_assert(wait.tv_sec >= 1 && wait.tv_sec <= 5);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("kernel_dump");
    TCase *told_of = test_case(suite, "kernel_dump"), *odd = test_case(suite, "odd_dumps");
    tcase_add_checked_fixture(told_of, set_up, tear_down);
    tcase_add_loop_test(told_of, tells_of_the_connections_of_a_port, 0, KINDS);
    tcase_add_test(told_of, a_dual_stack_port_has_both);
    tcase_add_loop_test(told_of, tells_of_what_the_mta_holds_alone, 0, KINDS);
    tcase_add_test(told_of, tells_of_thousands_each_once);
    tcase_add_loop_test(told_of, the_cookie_tells_connections_with_the_same_numbers_apart, 0, KINDS);
    tcase_add_test(told_of, what_names_no_connection_cannot_be_asked_for);
    tcase_add_checked_fixture(odd, set_up_false_kernel, tear_down);
    tcase_add_loop_test(odd, odd_dumps_are_not_complete_and_do_no_harm, 0, 2 * ODDITIES);
    tcase_add_test(odd, broken_dumps_do_no_harm);
    tcase_add_test(odd, waits_no_longer_than_some_seconds);
    return suite;
}

#else

static void take(void *context, const struct watched_connection *connections, size_t count)
{
    (void)context;
    (void)connections;
    (void)count;
    ck_abort_msg("nothing is there to be told of");
}

START_TEST(nothing_is_available)
{
    const struct watched_connection connection = {.local_port = 25};
    uint64_t cookie;
    ck_assert(!kernel_sockets_dump(NULL, 25, take, NULL));
    ck_assert_int_eq(kernel_socket_alive(NULL, &connection, &cookie), KERNEL_ERROR);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("kernel_dump");
    tcase_add_test(test_case(suite, "kernel_dump"), nothing_is_available);
    return suite;
}

#endif
