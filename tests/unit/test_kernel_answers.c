/*
 * test_kernel_answers.c: what is sent to the kernel, and answers of it that are odd. Links src/daemon/kernel_sockets.c
 * and src/engine/addr.c. A child of the test takes the kernel's place.
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
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define PATIENCE_S 60

static struct kernel_sockets *sockets;
static int false_kernel; /* the other end of what the handle takes for the kernel */

/* In the child that plays the kernel: ends it with the line that went wrong. */
#define EXPECT(truth)        \
    do {                     \
        if (!(truth))        \
            return __LINE__; \
    } while (0)

/* Puts a socket of the test's in place of the kernel's. The handle's descriptor is the one that was free before. */
static void open_with_false_kernel(void)
{
    int ends[2];

    int own = dup(STDERR_FILENO);
    close(own);
    sockets = kernel_sockets_open();
    ck_assert_ptr_nonnull(sockets);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    const struct timeval wait = {.tv_sec = PATIENCE_S};
    ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    ck_assert_int_eq(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    ck_assert_int_eq(dup2(ends[0], own), own);
    close(ends[0]);
    false_kernel = ends[1];
}

static void close_false_kernel(void)
{
    close(false_kernel);
    kernel_sockets_close(&sockets);
}

struct question {
    struct nlmsghdr header;
    struct inet_diag_req_v2 body;
};

struct kernel_reply {
    struct nlmsghdr header;
    union {
        struct inet_diag_msg socket;
        int error;
    } body;
    struct rtattr attribute;
    struct tcp_info tcp;
};

/* The answer that the kernel would give: silent for 7 ms. */
static struct kernel_reply right_reply(const struct question *question)
{
    struct kernel_reply reply = {
        .header = {.nlmsg_len = sizeof reply,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_seq = question->header.nlmsg_seq},
        .body.socket = {.idiag_family = question->body.sdiag_family,
                        .idiag_state = TCP_ESTABLISHED,
                        .id = question->body.id},
        .attribute = {.rta_type = INET_DIAG_INFO, .rta_len = RTA_LENGTH(sizeof reply.tcp)},
        .tcp = {.tcpi_last_data_sent = 7, .tcpi_last_data_recv = 9},
    };
    reply.body.socket.id.idiag_cookie[0] = 0x12345678;
    reply.body.socket.id.idiag_cookie[1] = 0x9abcdef0;
    return reply;
}

enum oddity {
    NOTHING_ODD,
    LATE_ANSWER_FIRST,
    SHORT_MESSAGE_FIRST,
    SHORTER_TCP_INFO,
    FIRST_WITHOUT_ERROR, /* all before this are answered right in the end */
    ONLY_OTHER_SEQUENCE = FIRST_WITHOUT_ERROR,
    ANOTHER_CONNECTION,
    UNKNOWN_FAMILY,
    NO_TCP_INFO,
    TCP_INFO_TOO_SHORT,
    ATTRIBUTE_BEYOND_THE_END,
    ATTRIBUTE_OF_NO_LENGTH,
    LENGTH_BEYOND_THE_END,
    LENGTH_BELOW_THE_HEADER,
    BODY_CUT,
    ANOTHER_TYPE,
    ERROR_CUT,
    ERROR_POSITIVE,
    ERROR_MINIMAL,
    ACKNOWLEDGED_ONLY,
    REFUSED,
    ODDITIES
};

static enum oddity oddity;

static int answer_oddly(void)
{
    struct question question;
    EXPECT(recv(false_kernel, &question, sizeof question, 0) == (ssize_t)sizeof question);
    EXPECT(question.header.nlmsg_len == sizeof question && question.header.nlmsg_type == SOCK_DIAG_BY_FAMILY);
    struct kernel_reply reply = right_reply(&question);
    size_t size = sizeof reply;
    int times = 1;

    switch (oddity) {
    case LATE_ANSWER_FIRST:
        reply.header.nlmsg_seq--;
        reply.tcp.tcpi_last_data_sent = 1;
        EXPECT(send(false_kernel, &reply, sizeof reply, 0) > 0);
        reply = right_reply(&question);
        break;
    case SHORT_MESSAGE_FIRST:
        EXPECT(send(false_kernel, &reply, sizeof reply.header - 1, 0) > 0);
        break;
    case SHORTER_TCP_INFO:
        size = reply.header.nlmsg_len =
            offsetof(struct kernel_reply, tcp) + offsetof(struct tcp_info, tcpi_last_ack_recv);
        reply.attribute.rta_len = RTA_LENGTH(offsetof(struct tcp_info, tcpi_last_ack_recv));
        break;
    case ONLY_OTHER_SEQUENCE:
        reply.header.nlmsg_seq++;
        times = 10;
        break;
    case ANOTHER_CONNECTION:
        reply.body.socket.id.idiag_dport ^= 1;
        break;
    case UNKNOWN_FAMILY:
        reply.body.socket.idiag_family = AF_UNIX;
        break;
    case NO_TCP_INFO:
        reply.attribute.rta_type = INET_DIAG_MEMINFO;
        break;
    case TCP_INFO_TOO_SHORT:
        reply.attribute.rta_len = RTA_LENGTH(offsetof(struct tcp_info, tcpi_last_data_recv));
        break;
    case ATTRIBUTE_BEYOND_THE_END:
        reply.attribute.rta_len++;
        break;
    case ATTRIBUTE_OF_NO_LENGTH:
        reply.attribute.rta_len = 0;
        break;
    case LENGTH_BEYOND_THE_END:
        reply.header.nlmsg_len++;
        break;
    case LENGTH_BELOW_THE_HEADER:
        reply.header.nlmsg_len = sizeof reply.header - 1;
        break;
    case BODY_CUT:
        reply.header.nlmsg_len = offsetof(struct kernel_reply, attribute) - 1;
        reply.body.socket.idiag_state = TCP_TIME_WAIT; /* to read on would be to answer that it is gone */
        break;
    case ANOTHER_TYPE:
        reply.header.nlmsg_type = NLMSG_DONE;
        break;
    case ERROR_CUT:
        reply.header.nlmsg_type = NLMSG_ERROR;
        reply.header.nlmsg_len = sizeof reply.header + sizeof reply.body.error - 1;
        reply.body.error = -ENOENT;
        break;
    case ERROR_POSITIVE:
    case ERROR_MINIMAL:
    case ACKNOWLEDGED_ONLY:
    case REFUSED:
        reply.header.nlmsg_type = NLMSG_ERROR;
        reply.body.error = oddity == ERROR_POSITIVE  ? ENOENT
                           : oddity == ERROR_MINIMAL ? -0x7fffffff - 1
                           : oddity == REFUSED       ? -EACCES
                                                     : 0;
        break;
    default:
        break;
    }
    for (int i = 0; i < times; i++)
        EXPECT(send(false_kernel, &reply, size, 0) == (ssize_t)size);
    return 0;
}

static const struct watched_connection some_connection = {
    .local = {.hi = UINT64_C(0xc000020100000000), .family = ADDR_IPV4}, /* 192.0.2.1 */
    .client = {.hi = UINT64_C(0xc000020200000000), .family = ADDR_IPV4},
    .local_port = 25,
    .client_port = 40000,
};

START_TEST(odd_answers_do_no_harm)
{
    oddity = (enum oddity)_i;
    int status = 0;
    int64_t silent = -1;
    bool owed;
    pid_t child = fork();
    if (child == 0)
        _exit(answer_oddly() % 256);
    enum kernel_answer got = kernel_socket_silence(sockets, &some_connection, &silent, &owed);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(got, oddity < FIRST_WITHOUT_ERROR ? KERNEL_FOUND : KERNEL_ERROR);
    ck_assert_int_eq(silent, oddity < FIRST_WITHOUT_ERROR ? 7 * MS : -1);
}
END_TEST

/* What is sent to end a connection names it by all four numbers and by the cookie that was found. */
static int expect_to_end(void)
{
    struct question first, second;
    const ssize_t size = sizeof first;

    EXPECT(recv(false_kernel, &first, sizeof first, 0) == size);
    EXPECT(first.header.nlmsg_type == SOCK_DIAG_BY_FAMILY && !(first.header.nlmsg_flags & NLM_F_DUMP));
    struct kernel_reply reply = right_reply(&first);
    EXPECT(send(false_kernel, &reply, sizeof reply, 0) > 0);
    EXPECT(recv(false_kernel, &second, sizeof second, 0) == size);
    EXPECT(second.header.nlmsg_type == SOCK_DESTROY && second.header.nlmsg_seq != first.header.nlmsg_seq);
    EXPECT(second.header.nlmsg_flags & NLM_F_ACK);
    EXPECT(second.body.sdiag_family == AF_INET && second.body.sdiag_protocol == IPPROTO_TCP);
    EXPECT(memcmp(&second.body.id, &reply.body.socket.id, sizeof second.body.id) == 0);
    EXPECT(second.body.id.idiag_src[0] == htonl(0xc0000201) && second.body.id.idiag_dst[0] == htonl(0xc0000202));
    EXPECT(second.body.id.idiag_sport == htons(25) && second.body.id.idiag_dport == htons(40000));
    reply = right_reply(&second);
    reply.header.nlmsg_type = NLMSG_ERROR;
    reply.body.error = oddity == REFUSED ? -EOPNOTSUPP : 0;
    EXPECT(send(false_kernel, &reply, sizeof reply, 0) > 0);
    return 0;
}

START_TEST(the_cookie_goes_along)
{
    oddity = _i ? REFUSED : NOTHING_ODD;
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(expect_to_end() % 256);
    char why[KERNEL_WHY_SIZE] = "";
    bool ended = kernel_socket_end(sockets, &some_connection, why);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "line %d (modulo 256)", WEXITSTATUS(status));
    ck_assert_int_eq(ended, _i == 0);
    ck_assert(ended || strstr(why, "CONFIG_INET_DIAG_DESTROY"));
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("kernel_answers");
    TCase *tests = test_case(suite, "kernel_answers");
    tcase_add_checked_fixture(tests, open_with_false_kernel, close_false_kernel);
    tcase_add_loop_test(tests, odd_answers_do_no_harm, 0, ODDITIES);
    tcase_add_loop_test(tests, the_cookie_goes_along, 0, 2);
    return suite;
}

#else

START_TEST(nothing_is_available)
{
    char why[KERNEL_WHY_SIZE];
    int64_t silent;
    bool owed;
    const struct watched_connection connection = {.local_port = 25};
    ck_assert(!kernel_may_end());
    ck_assert_int_eq(kernel_socket_silence(NULL, &connection, &silent, &owed), KERNEL_ERROR);
    ck_assert(!kernel_socket_end(NULL, &connection, why));
    ck_assert_str_eq(why, "connections cannot be ended: not built in");
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("kernel_answers");
    tcase_add_test(test_case(suite, "kernel_answers"), nothing_is_available);
    return suite;
}

#endif
