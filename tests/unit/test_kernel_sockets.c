/*
 * test_kernel_sockets.c: what the kernel says of TCP connections. Links src/daemon/kernel_sockets.c and
 * src/engine/addr.c. Wherever the system allows it, each test runs in a network namespace of its own; tests that end
 * connections run nowhere else.
 */
#include "build-config.h"
#include "check_main.h"
#include "daemon/kernel_sockets.h"

#include <errno.h>
#include <string.h>

#ifdef HAVE_SOCK_DIAG

#include <arpa/inet.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define TICK (10 * MS)      /* the coarsest that a kernel counts in */
#define QUIET (100 * MS)    /* a silence far above a tick */
#define PATIENCE_MS (60000) /* what may take its time on a busy machine */

/* How the MTA listens and its client comes. */
enum kind { IPV4, IPV6, MAPPED, KINDS };

struct pair {
    int listener, mta, client;
    struct watched_connection seen; /* from the MTA's side */
};

static bool own_network; /* this process has a network namespace, and all rights in it */
static struct kernel_sockets *sockets;
static char why[KERNEL_WHY_SIZE];

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void pause_briefly(void)
{
    const struct timespec brief = {.tv_nsec = 2 * MS};
    nanosleep(&brief, NULL);
}

static bool raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return up;
}

/* The raw call, as unshare(3) asks for _GNU_SOURCE. */
static bool leave(unsigned long namespaces)
{
    return syscall(SYS_unshare, namespaces) == 0;
}

static void set_up(void)
{
    own_network = (leave(CLONE_NEWNET) || leave(CLONE_NEWUSER | CLONE_NEWNET)) && raise_loopback();
    sockets = kernel_sockets_open();
    ck_assert_msg(sockets != NULL, "kernel_sockets_open: %s", strerror(errno));
}

static void tear_down(void)
{
    kernel_sockets_close(&sockets);
    ck_assert_ptr_null(sockets);
    kernel_sockets_close(&sockets);
}

static bool may_destroy(void)
{
    if (!own_network)
        fprintf(stderr, "test_kernel_sockets: no network namespace to be had, so nothing is ended here\n");
    return own_network;
}

static struct addr addr_of(const struct sockaddr_storage *address, uint16_t *port)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        *port = ntohs(in->sin_port);
        return addr_from_ipv4((const uint8_t *)&in->sin_addr);
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    *port = ntohs(in6->sin6_port);
    return addr_from_ipv6(in6->sin6_addr.s6_addr);
}

static bool has_ipv6(void)
{
    const struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof loopback) == 0;
    close(fd);
    return has;
}

/* A connection to a listener of its own, or to that of `beside`. */
static struct pair connect_pair(enum kind kind, const struct pair *beside)
{
    struct pair pair = {.listener = beside ? beside->listener : -1};
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
    socklen_t length = kind == IPV4 ? sizeof *in : sizeof *in6;
    const int on = 1, off = 0;

    if (!beside) {
        pair.listener = socket(kind == IPV4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
        address.ss_family = kind == IPV4 ? AF_INET : AF_INET6;
        if (kind != IPV4)
            ck_assert_int_eq(setsockopt(pair.listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
        ck_assert_int_eq(bind(pair.listener, (struct sockaddr *)&address, length), 0);
        ck_assert_int_eq(listen(pair.listener, 8), 0);
    }
    ck_assert_int_eq(getsockname(pair.listener, (struct sockaddr *)&address, &length), 0);
    if (kind == IPV6) {
        in6->sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
    } else {
        in_port_t port = kind == IPV4 ? in->sin_port : in6->sin6_port;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        length = sizeof *in;
    }
    pair.client = socket(address.ss_family, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(pair.client, (struct sockaddr *)&address, length), 0);
    pair.mta = accept(pair.listener, NULL, NULL);
    ck_assert_int_ge(pair.mta, 0);
    ck_assert_int_eq(setsockopt(pair.mta, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    length = sizeof address;
    ck_assert_int_eq(getsockname(pair.mta, (struct sockaddr *)&address, &length), 0);
    ck_assert_int_eq(address.ss_family, kind == IPV4 ? AF_INET : AF_INET6);
    pair.seen.local = addr_of(&address, &pair.seen.local_port);
    length = sizeof address;
    ck_assert_int_eq(getpeername(pair.mta, (struct sockaddr *)&address, &length), 0);
    pair.seen.client = addr_of(&address, &pair.seen.client_port);
    ck_assert_int_eq(pair.seen.client.family, kind == IPV6 ? ADDR_IPV6 : ADDR_IPV4);
    return pair;
}

static void close_pair(const struct pair *pair)
{
    close(pair->client);
    close(pair->mta);
    close(pair->listener);
}

static void wait_readable(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&readable, 1, PATIENCE_MS), 1);
}

static void pass(int from, int to)
{
    char byte = 0;
    ck_assert_int_eq(send(from, "x", 1, MSG_NOSIGNAL), 1);
    wait_readable(to);
    ck_assert_int_eq(recv(to, &byte, 1, 0), 1);
    ck_assert_int_eq(byte, 'x');
}

static enum kernel_answer answer(const struct watched_connection *connection)
{
    int64_t silent = -1;
    bool owed;
    enum kernel_answer got = kernel_socket_silence(sockets, connection, &silent, &owed);
    ck_assert(got == KERNEL_FOUND ? silent >= 0 : silent == -1);
    return got;
}

static int64_t silence_of(const struct pair *pair)
{
    int64_t silent = -1;
    bool owed;
    ck_assert_int_eq(kernel_socket_silence(sockets, &pair->seen, &silent, &owed), KERNEL_FOUND);
    ck_assert_int_ge(silent, 0);
    return silent;
}

static void wait_silence(const struct pair *pair, int64_t wanted)
{
    for (int64_t start = now_ns(); silence_of(pair) < wanted; pause_briefly())
        ck_assert_msg(now_ns() - start < PATIENCE_MS * MS, "never silent");
}

static void wait_answer(const struct watched_connection *connection, enum kernel_answer wanted)
{
    for (int64_t start = now_ns(); answer(connection) != wanted; pause_briefly())
        ck_assert_msg(now_ns() - start < PATIENCE_MS * MS, "never answered %d", (int)wanted);
}

static struct tcp_info info_of(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info;
}

/* From here on nothing reaches the socket, as if its host had lost its power. */
static void deafen(int fd)
{
    struct sock_filter drop = {.code = BPF_RET | BPF_K, .k = 0};
    const struct sock_fprog filter = {.len = 1, .filter = &drop};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter), 0);
}

/* Runs `body` in a child; it returns 0 or the line that went wrong. */
static void in_child(int (*body)(const struct pair *), const struct pair *pair)
{
    int status = 0;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(body(pair) % 256);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "status %x: line %d (modulo 256)", (unsigned)status, WEXITSTATUS(status));
}

#define EXPECT(truth)        \
    do {                     \
        if (!(truth))        \
            return __LINE__; \
    } while (0)

/* ---- found and gone ---- */

START_TEST(is_found_until_it_is_closed)
{
    if (_i != IPV4 && !has_ipv6())
        return;
    struct pair pair = connect_pair((enum kind)_i, NULL), other = connect_pair((enum kind)_i, &pair);
    ck_assert_int_eq(answer(&pair.seen), KERNEL_FOUND);
    close(pair.mta);
    close(pair.client);
    /* The listener would take such a connection, and the kernel finds it in place of the connection. */
    ck_assert_int_eq(answer(&pair.seen), KERNEL_GONE);
    ck_assert_int_eq(answer(&other.seen), KERNEL_FOUND);
    close(pair.listener);
    ck_assert_int_eq(answer(&pair.seen), KERNEL_GONE);
    close(other.mta);
    close(other.client);
}
END_TEST

START_TEST(each_number_counts)
{
    if (_i != IPV4 && !has_ipv6())
        return;
    struct pair pair = connect_pair((enum kind)_i, NULL);
    struct watched_connection changed = pair.seen;
    changed.client_port ^= 1;
    ck_assert_int_eq(answer(&changed), KERNEL_GONE);
    changed = pair.seen;
    changed.local_port ^= 1;
    ck_assert_int_eq(answer(&changed), KERNEL_GONE);
    changed = pair.seen;
    *(_i == IPV6 ? &changed.client.lo : &changed.client.hi) ^= UINT64_C(1) << 33;
    ck_assert_int_eq(answer(&changed), KERNEL_GONE);
    changed = pair.seen;
    *(_i == IPV6 ? &changed.local.lo : &changed.local.hi) ^= UINT64_C(1) << 33;
    ck_assert_int_eq(answer(&changed), KERNEL_GONE);
    close_pair(&pair);
}
END_TEST

START_TEST(what_names_no_connection_is_an_error)
{
    static const struct {
        const char *local, *client;
        uint16_t local_port, client_port;
    } bad[] = {
        {NULL, "192.0.2.1", 25, 1025},
        {"192.0.2.1", NULL, 25, 1025},
        {NULL, NULL, 25, 1025},
        {"0.0.0.0", "192.0.2.1", 25, 1025},
        {"192.0.2.1", "0.0.0.0", 25, 1025},
        {"::", "2001:db8::1", 25, 1025},
        {"192.0.2.1", "192.0.2.2", 0, 1025},
        {"192.0.2.1", "192.0.2.2", 25, 0},
        {"192.0.2.1", "2001:db8::1", 25, 1025},
        {"fe80::1", "2001:db8::1", 25, 1025},
        {"2001:db8::1", "febf::1", 25, 1025},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct watched_connection connection = {.local_port = bad[i].local_port, .client_port = bad[i].client_port};
        ck_assert(!bad[i].local || addr_parse(bad[i].local, &connection.local));
        ck_assert(!bad[i].client || addr_parse(bad[i].client, &connection.client));
        ck_assert_msg(answer(&connection) == KERNEL_ERROR, "row %zu", i);
        ck_assert(!kernel_socket_end(sockets, &connection, why));
        ck_assert_ptr_nonnull(strstr(why, "addresses"));
    }
    struct watched_connection beside = {.local_port = 25,
                                        .client_port = 1025}; /* no link-local addresses, only near them */
    ck_assert(addr_parse("fec0::1", &beside.local) && addr_parse("fe7f::1", &beside.client));
    if (has_ipv6())
        ck_assert_int_eq(answer(&beside), KERNEL_GONE);
}
END_TEST

START_TEST(what_the_mta_closed_is_gone)
{
    struct pair pair = connect_pair(IPV4, NULL);
    close(pair.mta); /* FIN_WAIT2, as the client stays */
    ck_assert_int_eq(answer(&pair.seen), KERNEL_GONE);
    close(pair.client); /* TIME_WAIT */
    ck_assert_int_eq(answer(&pair.seen), KERNEL_GONE);
    close(pair.listener);
}
END_TEST

START_TEST(what_the_client_closed_is_the_mtas_until_it_closes)
{
    char byte;
    struct pair pair = connect_pair(IPV4, NULL);
    ck_assert_int_eq(shutdown(pair.client, SHUT_WR), 0);
    wait_readable(pair.mta);
    for (int64_t start = now_ns(); now_ns() - start < 3 * TICK; pause_briefly())
        ck_assert_int_eq(silence_of(&pair), 0); /* the MTA has not seen the end yet */
    ck_assert_int_eq(recv(pair.mta, &byte, 1, 0), 0);
    wait_silence(&pair, 3 * TICK);
    close(pair.mta);
    wait_answer(&pair.seen, KERNEL_GONE);
    close(pair.client);
    close(pair.listener);
}
END_TEST

START_TEST(what_the_client_reset_is_gone)
{
    const struct linger reset = {.l_onoff = 1};
    struct pair pair = connect_pair(IPV4, NULL);
    ck_assert_int_eq(setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(pair.client);
    wait_answer(&pair.seen, KERNEL_GONE);
    close(pair.mta);
    close(pair.listener);
}
END_TEST

/* ---- silence ---- */

/* Both sides' data ends a silence; a new connection has none to begin with. */
START_TEST(silence_grows_while_nobody_speaks)
{
    if (_i != IPV4 && !has_ipv6())
        return;
    int64_t start = now_ns();
    struct pair pair = connect_pair((enum kind)_i, NULL);
    int64_t silent = silence_of(&pair);
    ck_assert_int_le(silent, now_ns() - start + QUIET / 2);
    wait_silence(&pair, QUIET);
    ck_assert_int_le(silence_of(&pair), now_ns() - start + QUIET / 2);
    for (int turn = 0; turn < 2; turn++) {
        start = now_ns();
        if (turn == 0)
            pass(pair.client, pair.mta);
        else
            pass(pair.mta, pair.client);
        silent = silence_of(&pair);
        ck_assert_msg(silent <= now_ns() - start + QUIET / 2, "turn %d: %lld ns", turn, (long long)silent);
        wait_silence(&pair, QUIET);
    }
    close_pair(&pair);
}
END_TEST

static bool is_owed(const struct pair *pair)
{
    int64_t silent;
    bool owed = false;
    ck_assert_int_eq(kernel_socket_silence(sockets, &pair->seen, &silent, &owed), KERNEL_FOUND);
    return owed;
}

START_TEST(a_command_without_an_answer_is_owed)
{
    struct pair pair = connect_pair(IPV4, NULL);
    pass(pair.mta, pair.client);
    wait_silence(&pair, QUIET); /* so that the kernel's tick tells what came before */
    ck_assert(!is_owed(&pair));
    pass(pair.client, pair.mta);
    ck_assert(is_owed(&pair));
    wait_silence(&pair, QUIET);
    ck_assert(is_owed(&pair));
    pass(pair.mta, pair.client);
    ck_assert(!is_owed(&pair));
    close_pair(&pair);
}
END_TEST

START_TEST(unread_data_is_no_silence)
{
    char byte;
    struct pair pair = connect_pair(IPV4, NULL);
    ck_assert_int_eq(send(pair.client, "x", 1, 0), 1);
    wait_readable(pair.mta);
    for (int64_t start = now_ns(); now_ns() - start < 3 * TICK; pause_briefly())
        ck_assert_int_eq(silence_of(&pair), 0);
    ck_assert_int_eq(recv(pair.mta, &byte, 1, 0), 1);
    wait_silence(&pair, 3 * TICK);
    close_pair(&pair);
}
END_TEST

START_TEST(what_the_kernel_sends_again_does_not_count)
{
    struct pair pair = connect_pair(IPV4, NULL);
    pass(pair.mta, pair.client);
    pass(pair.client, pair.mta);
    wait_silence(&pair, QUIET);
    deafen(pair.client);
    ck_assert_int_eq(send(pair.mta, "x", 1, 0), 1);
    struct tcp_info before = {0};
    for (int64_t start = now_ns(); before.tcpi_retransmits == 0; pause_briefly()) {
        ck_assert_msg(now_ns() - start < PATIENCE_MS * MS, "never sent again");
        before = info_of(pair.mta);
    }
    int64_t client_silent = before.tcpi_last_data_recv * MS;
    ck_assert_int_ge(client_silent, before.tcpi_last_data_sent * MS + QUIET / 2);
    ck_assert_int_ge(silence_of(&pair), client_silent);
    close_pair(&pair);
}
END_TEST

START_TEST(a_client_that_takes_no_reply_is_silent_whatever_it_sent)
{
    struct pair pair = connect_pair(IPV4, NULL);
    deafen(pair.client);
    ck_assert_int_eq(send(pair.mta, "x", 1, 0), 1);
    ck_assert_int_eq(send(pair.client, "x", 1, 0), 1);
    wait_readable(pair.mta);
    wait_silence(&pair, 3 * TICK);
    close_pair(&pair);
}
END_TEST

/* ---- ending ---- */

START_TEST(ends_one_connection_and_no_other)
{
    char byte;
    if (!may_destroy() || (_i != IPV4 && !has_ipv6()))
        return;
    struct pair pair = connect_pair((enum kind)_i, NULL), other = connect_pair((enum kind)_i, &pair);
    ck_assert_msg(kernel_socket_end(sockets, &pair.seen, why), "%s", why);
    wait_readable(pair.mta);
    ck_assert_int_eq(recv(pair.mta, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNABORTED);
    wait_readable(pair.client);
    ck_assert_int_eq(recv(pair.client, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    ck_assert_int_eq(answer(&pair.seen), KERNEL_GONE);
    /* The MTA's listener is what the kernel finds now: it must be left alone. */
    ck_assert(!kernel_socket_end(sockets, &pair.seen, why));
    ck_assert_ptr_nonnull(strstr(why, "gone"));
    pass(other.client, other.mta);
    pass(other.mta, other.client);
    struct pair third = connect_pair((enum kind)_i, &pair);
    pass(third.client, third.mta);
    close_pair(&pair);
    close(other.mta);
    close(other.client);
    close(third.mta);
    close(third.client);
}
END_TEST

START_TEST(what_the_mta_closed_is_not_ended)
{
    if (!may_destroy())
        return;
    struct pair pair = connect_pair(IPV4, NULL);
    ck_assert_int_eq(send(pair.mta, "x", 1, 0), 1);
    close(pair.mta);
    ck_assert(!kernel_socket_end(sockets, &pair.seen, why));
    ck_assert_ptr_nonnull(strstr(why, "gone"));
    char byte;
    ck_assert_int_eq(recv(pair.client, &byte, 1, 0), 1); /* the farewell arrives, and no reset after it */
    ck_assert_int_eq(recv(pair.client, &byte, 1, 0), 0);
    close(pair.client);
    close(pair.listener);
}
END_TEST

START_TEST(may_end_with_the_privilege)
{
    if (may_destroy())
        ck_assert(kernel_may_end());
}
END_TEST

static int try_to_end_without_the_right(const struct pair *pair)
{
    int64_t silent;
    bool owed;
    char byte = 0;

    EXPECT(!kernel_may_end());
    EXPECT(!kernel_socket_end(sockets, &pair->seen, why));
    EXPECT(strstr(why, "CAP_NET_ADMIN"));
    EXPECT(kernel_socket_silence(sockets, &pair->seen, &silent, &owed) == KERNEL_FOUND);
    EXPECT(send(pair->client, "x", 1, MSG_NOSIGNAL) == 1);
    EXPECT(recv(pair->mta, &byte, 1, 0) == 1);
    return 0;
}

static int drop_capability(const struct pair *pair)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};

    EXPECT(syscall(SYS_capset, &header, sets) == 0);
    return try_to_end_without_the_right(pair);
}

START_TEST(may_not_end_without_the_capability)
{
    struct pair pair = connect_pair(IPV4, NULL);
    in_child(drop_capability, &pair);
    close_pair(&pair);
}
END_TEST

/* All capabilities, but in a user namespace that does not own the network. */
static int enter_user_namespace(const struct pair *pair)
{
    return leave(CLONE_NEWUSER) ? try_to_end_without_the_right(pair) : 0;
}

START_TEST(may_not_end_with_the_capability_of_another_namespace)
{
    struct pair pair = connect_pair(IPV4, NULL);
    in_child(enter_user_namespace, &pair);
    close_pair(&pair);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("kernel_sockets");
    TCase *tests = test_case(suite, "kernel_sockets");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, is_found_until_it_is_closed, 0, KINDS);
    tcase_add_loop_test(tests, each_number_counts, 0, KINDS);
    tcase_add_test(tests, what_names_no_connection_is_an_error);
    tcase_add_test(tests, what_the_mta_closed_is_gone);
    tcase_add_test(tests, what_the_client_closed_is_the_mtas_until_it_closes);
    tcase_add_test(tests, what_the_client_reset_is_gone);
    tcase_add_loop_test(tests, silence_grows_while_nobody_speaks, 0, KINDS);
    tcase_add_test(tests, a_command_without_an_answer_is_owed);
    tcase_add_test(tests, unread_data_is_no_silence);
    tcase_add_test(tests, what_the_kernel_sends_again_does_not_count);
    tcase_add_test(tests, a_client_that_takes_no_reply_is_silent_whatever_it_sent);
    tcase_add_loop_test(tests, ends_one_connection_and_no_other, 0, KINDS);
    tcase_add_test(tests, what_the_mta_closed_is_not_ended);
    tcase_add_test(tests, may_end_with_the_privilege);
    tcase_add_test(tests, may_not_end_without_the_capability);
    tcase_add_test(tests, may_not_end_with_the_capability_of_another_namespace);
    return suite;
}

#else

START_TEST(nothing_is_available)
{
    struct kernel_sockets *sockets = kernel_sockets_open();
    ck_assert_ptr_null(sockets);
    ck_assert_int_eq(errno, EOPNOTSUPP);
    ck_assert(!kernel_may_end());
    kernel_sockets_close(&sockets);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("kernel_sockets");
    tcase_add_test(test_case(suite, "kernel_sockets"), nothing_is_available);
    return suite;
}

#endif
