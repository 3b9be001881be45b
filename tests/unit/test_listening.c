/*
 * test_listening.c: the sockets of our own, as the system sees them. Links src/daemon/listening.c and process.c and the
 * table of options. Ports are the system's choice; paths are in a temporary directory, which goes when the case is
 * done.
 */
#include "check_main.h"
#include "daemon/listening.h"
#include "directory_case.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[100];
static char error[PROCESS_ERROR_SIZE];
static char text[200]; /* of the socket */

static struct socket_config without_options(void)
{
    struct socket_config config = {.socket = text, .mode = 0660};
    for (size_t i = 0; i < SOCKET_OPTION_COUNT; i++)
        config.options.value[i] = SOCKET_UNSET;
    config.options.value[SOCKET_BACKLOG] = 0;
    return config;
}

/* On a port that the system chooses, or the one given. */
static struct socket_config tcp(enum socket_kind kind, uint16_t port)
{
    struct socket_config config = without_options();
    config.address = (struct socket_name){.kind = kind, .port = port};
    strcpy(config.address.host, kind == SOCKET_INET6 ? "::1" : "127.0.0.1");
    snprintf(text, sizeof text, "%s:%u@%s", kind == SOCKET_INET6 ? "inet6" : "inet", (unsigned)port,
             config.address.host);
    return config;
}

static struct socket_config local(const char *name)
{
    struct socket_config config = without_options();
    snprintf(path, sizeof path, "%s/%s", directory, name);
    config.address.kind = SOCKET_UNIX;
    strcpy(config.address.path, path);
    snprintf(text, sizeof text, "unix:%s", path);
    return config;
}

static bool has_ipv6(void)
{
    const struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int probe = socket(AF_INET6, SOCK_STREAM, 0);
    bool has = probe >= 0 && bind(probe, (const struct sockaddr *)&address, sizeof address) == 0;
    if (probe >= 0)
        close(probe);
    return has;
}

static void assert_opens(struct listening *listening, const struct socket_config *config)
{
    ck_assert_msg(listening_open(listening, config, "policy", error), "%s", error);
    ck_assert_int_ge(listening->descriptor, 0);
}

static void assert_fails(const struct socket_config *config, const char *start, const char *says)
{
    struct listening listening;
    char expected[300];
    ck_assert(!listening_open(&listening, config, "policy", error));
    snprintf(expected, sizeof expected, "%s %s: ", start, config->address.kind == SOCKET_UNIX ? path : text);
    ck_assert_msg(strncmp(error, expected, strlen(expected)) == 0, "\"%s\" was expected: %s", expected, error);
    ck_assert_msg(strstr(error, says) != NULL, "\"%s\" was expected: %s", says, error);
    ck_assert_int_eq(listening.descriptor, -1);
    listening_close(&listening);
    listening_remove(&listening);
}

static int get(int descriptor, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    ck_assert_msg(getsockopt(descriptor, level, name, &value, &size) == 0, "level %d, option %d: %s", level, name,
                  strerror(errno));
    return value;
}

static struct sockaddr_storage address_of(int descriptor)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    ck_assert_int_eq(getsockname(descriptor, (struct sockaddr *)&address, &size), 0);
    return address;
}

static uint16_t port_of(int descriptor)
{
    struct sockaddr_storage address = address_of(descriptor);
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

/* Connects to a socket that listens, and accepts it there. */
static int accept_one(int descriptor, int *client)
{
    struct sockaddr_storage address = address_of(descriptor);
    struct pollfd ready = {.fd = descriptor, .events = POLLIN};
    *client = socket(address.ss_family, SOCK_STREAM, 0);
    ck_assert_int_ge(*client, 0);
    socklen_t size = address.ss_family == AF_INET    ? sizeof(struct sockaddr_in)
                     : address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                     : sizeof(struct sockaddr_un);
    ck_assert_int_eq(connect(*client, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(poll(&ready, 1, 30000), 1);
    int accepted = accept(descriptor, NULL, NULL);
    ck_assert_int_ge(accepted, 0);
    return accepted;
}

static bool exists(void)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

/* ---- options ---- */

/* What socket(7) says a buffer reads as. */
#ifdef __linux__
#define BUFFER(bytes) (2 * (bytes))
#else
#define BUFFER(bytes) (bytes)
#endif

#define SEND_BYTES 30000
#define RECEIVE_BYTES 20000

static void assert_options(int descriptor, bool ipv6)
{
    struct linger linger = {0};
    socklen_t size = sizeof linger;
    ck_assert_int_eq(get(descriptor, SOL_SOCKET, SO_SNDBUF), BUFFER(SEND_BYTES));
    ck_assert_int_eq(get(descriptor, SOL_SOCKET, SO_RCVBUF), BUFFER(RECEIVE_BYTES));
    ck_assert_int_ne(get(descriptor, IPPROTO_TCP, TCP_NODELAY), 0);
    ck_assert_int_eq(getsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, &size), 0);
    ck_assert_int_ne(linger.l_onoff, 0);
    ck_assert_int_eq(linger.l_linger, 7);
    ck_assert_int_eq(ipv6 ? get(descriptor, IPPROTO_IPV6, IPV6_UNICAST_HOPS) : get(descriptor, IPPROTO_IP, IP_TTL), 9);
    ck_assert_int_eq(ipv6 ? get(descriptor, IPPROTO_IPV6, IPV6_TCLASS) : get(descriptor, IPPROTO_IP, IP_TOS), 16);
}

START_TEST(options_are_those_of_the_socket_and_of_its_connections)
{
    bool ipv6 = _i == 1;
    if (ipv6 && !has_ipv6())
        return;
    struct socket_config config = tcp(ipv6 ? SOCKET_INET6 : SOCKET_INET, 0);
    config.options = (struct socket_options){{[SOCKET_BACKLOG] = 3,
                                              [SOCKET_NODELAY] = 1,
                                              [SOCKET_SEND_BUFFER] = SEND_BYTES,
                                              [SOCKET_RECEIVE_BUFFER] = RECEIVE_BYTES,
                                              [SOCKET_REUSE_PORT] = 1,
                                              [SOCKET_REUSE_ADDRESS] = 1,
                                              [SOCKET_LINGER] = 7,
                                              [SOCKET_TTL] = 9,
                                              [SOCKET_TOS] = 16}};
    struct listening listening;
    assert_opens(&listening, &config);
    assert_options(listening.descriptor, ipv6);
    ck_assert_int_ne(get(listening.descriptor, SOL_SOCKET, SO_REUSEPORT), 0);
    ck_assert_int_ne(get(listening.descriptor, SOL_SOCKET, SO_REUSEADDR), 0);
    ck_assert_int_ne(get(listening.descriptor, SOL_SOCKET, SO_ACCEPTCONN), 0);
    if (ipv6)
        ck_assert_int_ne(get(listening.descriptor, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    int client, accepted = accept_one(listening.descriptor, &client);
    assert_options(accepted, ipv6);
    close(accepted);
    close(client);
    listening_close(&listening);
}
END_TEST

START_TEST(what_is_not_set_is_left_to_the_system)
{
    struct socket_config config = tcp(SOCKET_INET, 0);
    int plain = socket(AF_INET, SOCK_STREAM, 0);
    struct listening listening;
    struct linger linger = {.l_onoff = 1};
    socklen_t size = sizeof linger;
    for (int zero = 0; zero < 2; zero++) {
        /* 0 is the kernel's own buffer, and no. */
        for (int i = SOCKET_NODELAY; zero && i <= SOCKET_REUSE_ADDRESS; i++)
            config.options.value[i] = 0;
        assert_opens(&listening, &config);
        static const int names[] = {SO_SNDBUF, SO_RCVBUF, SO_REUSEPORT, SO_REUSEADDR};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            ck_assert_int_eq(get(listening.descriptor, SOL_SOCKET, names[i]), get(plain, SOL_SOCKET, names[i]));
        ck_assert_int_eq(get(listening.descriptor, IPPROTO_TCP, TCP_NODELAY), 0);
        ck_assert_int_eq(get(listening.descriptor, IPPROTO_IP, IP_TTL), get(plain, IPPROTO_IP, IP_TTL));
        ck_assert_int_eq(get(listening.descriptor, IPPROTO_IP, IP_TOS), get(plain, IPPROTO_IP, IP_TOS));
        ck_assert_int_eq(getsockopt(listening.descriptor, SOL_SOCKET, SO_LINGER, &linger, &size), 0);
        ck_assert_int_eq(linger.l_onoff, 0);
        listening_close(&listening);
    }
    close(plain);
}
END_TEST

START_TEST(a_linger_of_zero_resets)
{
    struct socket_config config = tcp(SOCKET_INET, 0);
    struct listening listening;
    config.options.value[SOCKET_LINGER] = 0;
    assert_opens(&listening, &config);
    int client, accepted = accept_one(listening.descriptor, &client);
    char byte;
    close(accepted);
    ck_assert_int_eq(recv(client, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    close(client);
    listening_close(&listening);
}
END_TEST

START_TEST(the_descriptor_waits_for_nobody_and_is_not_inherited)
{
    const struct socket_config configs[] = {tcp(SOCKET_INET, 0), local("flags")};
    for (size_t i = 0; i < 2; i++) {
        struct listening listening;
        assert_opens(&listening, &configs[i]);
        ck_assert_int_ne(fcntl(listening.descriptor, F_GETFL) & O_NONBLOCK, 0);
        ck_assert_int_ne(fcntl(listening.descriptor, F_GETFD) & FD_CLOEXEC, 0);
        ck_assert_int_eq(accept(listening.descriptor, NULL, NULL), -1);
        ck_assert_int_eq(errno, EAGAIN);
        listening_close(&listening);
        ck_assert_int_eq(listening.descriptor, -1);
        listening_remove(&listening);
    }
}
END_TEST

/* Connections that fit into a socket's queue before one would have to wait. A unix socket's tells at once. */
static int queued(int backlog)
{
    enum { MOST = 64 };
    struct socket_config config = local("queue");
    struct listening listening;
    int clients[MOST], count = 0;
    config.options.value[SOCKET_BACKLOG] = backlog;
    assert_opens(&listening, &config);
    for (bool room = true; room && count < MOST; count += room) {
        clients[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        ck_assert_int_ge(clients[count], 0);
        room = connect(clients[count], (struct sockaddr *)&listening.address, listening.length) == 0;
        if (!room)
            close(clients[count]);
    }
    for (int i = 0; i < count; i++)
        close(clients[i]);
    listening_close(&listening);
    listening_remove(&listening);
    return count;
}

START_TEST(the_backlog_is_as_long_as_it_is_set)
{
    int three = queued(3), nine = queued(9);
    ck_assert_int_ge(three, 3);
    ck_assert_int_eq(nine - three, 6);
    ck_assert_int_gt(queued(0), nine);
    ck_assert_int_eq(listening_backlog(&(struct socket_options){{[SOCKET_BACKLOG] = 5}}), 5);
    ck_assert_int_gt(listening_backlog(&(struct socket_options){{[SOCKET_BACKLOG] = 0}}), 65535);
    ck_assert_int_gt(listening_backlog(&(struct socket_options){{[SOCKET_BACKLOG] = SOCKET_UNSET}}), 65535);
}
END_TEST

START_TEST(a_buffer_that_the_kernel_cuts_is_refused)
{
    struct socket_config config = tcp(SOCKET_INET, 0);
    config.options.value[SOCKET_SEND_BUFFER] = 1 << 30;
    assert_fails(&config, "policy socket", "send_buffer = 1073741824: the kernel allows less; write less");
    config.options.value[SOCKET_SEND_BUFFER] = 0;
    config.options.value[SOCKET_RECEIVE_BUFFER] = 1 << 30;
    assert_fails(&config, "policy socket", "receive_buffer = 1073741824: the kernel allows less");
}
END_TEST

/* ---- places ---- */

START_TEST(a_port_that_is_taken_is_refused)
{
    struct socket_config config = tcp(SOCKET_INET, 0);
    struct listening first, second;
    config.options.value[SOCKET_REUSE_ADDRESS] = 1;
    config.options.value[SOCKET_REUSE_PORT] = 1;
    assert_opens(&first, &config);
    config = tcp(SOCKET_INET, port_of(first.descriptor));
    config.options.value[SOCKET_REUSE_ADDRESS] = 1;
    assert_fails(&config, "policy socket", strerror(EADDRINUSE));
    config.options.value[SOCKET_REUSE_PORT] = 1;
    assert_opens(&second, &config); /* both have said so */
    ck_assert_int_eq(port_of(second.descriptor), port_of(first.descriptor));
    listening_close(&first);
    listening_close(&second);
}
END_TEST

START_TEST(an_ipv6_socket_leaves_ipv4_alone)
{
    if (!has_ipv6())
        return;
    struct socket_config six = tcp(SOCKET_INET6, 0);
    struct listening first, second;
    strcpy(six.address.host, "::");
    assert_opens(&first, &six);
    struct socket_config four = tcp(SOCKET_INET, port_of(first.descriptor));
    strcpy(four.address.host, "0.0.0.0");
    if (listening_open(&second, &four, "policy", error))
        listening_close(&second);
    else /* another process may have that port of IPv4, but never we */
        ck_assert_ptr_nonnull(strstr(error, strerror(EADDRINUSE)));
    ck_assert_int_ne(get(first.descriptor, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    listening_close(&first);
}
END_TEST

START_TEST(a_try_leaves_nothing_but_the_address)
{
    struct socket_config config = tcp(SOCKET_INET, 0);
    struct listening tried, taken;
    assert_opens(&taken, &config);
    config = tcp(SOCKET_INET, port_of(taken.descriptor));
    ck_assert(!listening_try(&tried, &config, "milter", error));
    ck_assert_ptr_nonnull(strstr(error, strerror(EADDRINUSE)));
    listening_close(&taken);
    config = tcp(SOCKET_INET, 0);
    ck_assert_msg(listening_try(&tried, &config, "milter", error), "%s", error);
    ck_assert_int_eq(tried.descriptor, -1);
    ck_assert_int_eq(tried.address.ss_family, AF_INET);
    ck_assert_uint_eq(tried.length, sizeof(struct sockaddr_in));

    config = local("tried");
    ck_assert_msg(listening_try(&tried, &config, "milter", error), "%s", error);
    ck_assert(!exists());
    ck_assert_str_eq(((struct sockaddr_un *)&tried.address)->sun_path, path);

    /* Whoever then makes the socket may have it adopted. */
    struct stat status;
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(other, (struct sockaddr *)&tried.address, tried.length), 0);
    config.mode = 0602;
    ck_assert(listening_adopt(&tried, &config, error));
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0602);
    listening_remove(&tried);
    ck_assert(!exists());
    close(other);
}
END_TEST

START_TEST(a_host_that_is_not_ours_is_refused)
{
    struct socket_config config = tcp(SOCKET_INET, 0);
    strcpy(config.address.host, "192.0.2.1");
    assert_fails(&config, "policy socket", strerror(EADDRNOTAVAIL));
    strcpy(config.address.host, "no host");
    assert_fails(&config, "policy socket", "");
}
END_TEST

START_TEST(a_unix_socket_has_its_group_and_mode)
{
    gid_t group = getgid();
    char group_name[] = "group";
    static const mode_t modes[] = {0660, 0606, 0000, 0777};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct socket_config config = local("owned");
        struct listening listening;
        struct stat status;
        config.mode = modes[i];
        config.group = i % 2 ? group_name : NULL;
        config.gid = group;
        mode_t mask = umask(0027);
        assert_opens(&listening, &config);
        ck_assert_uint_eq(umask(mask), 0027);
        ck_assert_int_eq(lstat(path, &status), 0);
        ck_assert(S_ISSOCK(status.st_mode));
        ck_assert_uint_eq(status.st_mode & 07777, modes[i]);
        ck_assert_uint_eq(status.st_gid, group);
        listening_close(&listening);
        listening_remove(&listening);
        ck_assert(!exists());
    }
}
END_TEST

START_TEST(a_socket_that_another_process_listens_on_is_refused)
{
    struct socket_config config = local("live");
    int ends[2];
    char byte;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct listening listening;
        byte = listening_open(&listening, &config, "policy", error) ? 'y' : 'n';
        if (write(ends[1], &byte, 1) == 1)
            pause();
        _exit(1);
    }
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    ck_assert_int_eq(byte, 'y');
    assert_fails(&config, "socket", "in use by another process; stop it or choose another path");
    ck_assert(exists());
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert(exists()); /* stale now */
    struct listening listening;
    assert_opens(&listening, &config);
    int client, accepted = accept_one(listening.descriptor, &client);
    close(accepted);
    close(client);
    listening_close(&listening);
    listening_remove(&listening);
    ck_assert(!exists());
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(what_is_no_socket_stays)
{
    struct socket_config config = local("file");
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    assert_fails(&config, "socket", "something that is not a socket is there; remove it");
    ck_assert(exists());
    config = local("none/such");
    ck_assert(!listening_open(&(struct listening){0}, &config, "policy", error));
    ck_assert_ptr_nonnull(strstr(error, strerror(ENOENT)));
}
END_TEST

START_TEST(only_our_own_path_is_removed)
{
    struct socket_config config = local("ours");
    struct listening first, second;
    assert_opens(&first, &config);
    ck_assert_int_eq(unlink(path), 0); /* while it is open nothing else has its inode */
    assert_opens(&second, &config);
    listening_remove(&first);
    ck_assert(exists());
    listening_remove(&second);
    ck_assert(!exists());
    FILE *file = fopen(path, "w"); /* of somebody else, with whatever inode */
    ck_assert_ptr_nonnull(file);
    fclose(file);
    listening_remove(&second);
    listening_remove(&first);
    ck_assert(exists());
    listening_close(&first);
    listening_close(&second);
}
END_TEST

START_TEST(a_socket_that_cannot_have_its_group_is_not_left_behind)
{
    struct socket_config config = local("group");
    char group_name[] = "group";
    int status;
    ck_assert_int_eq(chmod(directory, 0777), 0);
    config.group = group_name;
    config.gid = 1; /* neither ours nor root's */
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct listening listening;
        bool refused = (geteuid() != 0 || seteuid(65534) == 0) && !listening_open(&listening, &config, "policy", error);
        _exit(refused && listening.descriptor == -1 && strstr(error, path) && strstr(error, "SupplementaryGroups=")
                  ? 0
                  : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert(!exists());
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("listening");
    TCase *options = test_case(suite, "options");
    tcase_add_unchecked_fixture(options, make_directory, remove_directory);
    tcase_add_loop_test(options, options_are_those_of_the_socket_and_of_its_connections, 0, 2);
    tcase_add_test(options, what_is_not_set_is_left_to_the_system);
    tcase_add_test(options, a_linger_of_zero_resets);
    tcase_add_test(options, the_descriptor_waits_for_nobody_and_is_not_inherited);
    tcase_add_test(options, the_backlog_is_as_long_as_it_is_set);
    tcase_add_test(options, a_buffer_that_the_kernel_cuts_is_refused);
    TCase *places = test_case(suite, "places");
    tcase_add_unchecked_fixture(places, make_directory, remove_directory);
    tcase_add_test(places, a_port_that_is_taken_is_refused);
    tcase_add_test(places, an_ipv6_socket_leaves_ipv4_alone);
    tcase_add_test(places, a_try_leaves_nothing_but_the_address);
    tcase_add_test(places, a_host_that_is_not_ours_is_refused);
    tcase_add_test(places, a_unix_socket_has_its_group_and_mode);
    tcase_add_test(places, a_socket_that_another_process_listens_on_is_refused);
    tcase_add_test(places, what_is_no_socket_stays);
    tcase_add_test(places, only_our_own_path_is_removed);
    tcase_add_test(places, a_socket_that_cannot_have_its_group_is_not_left_behind);
    return suite;
}
