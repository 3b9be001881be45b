/*
 * policy_case.h: the policy service under test, in a thread of its own, on sockets of its own, with a real engine
 * behind it: rules, peers that ask, what the service had to complain of. To be included once, by the program's only
 * test file.
 *
 * The client 192.0.2.66 is denied, so its answers differ from those of any other; they wait as long as start() says.
 */
#ifndef UNIT_POLICY_CASE_H
#define UNIT_POLICY_CASE_H

#include "check_main.h"
#include "policy/attributes.h"
#include "policy/policy_service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define HOUR (3600 * SECOND)
#define PATIENCE_MS 60000 /* what may take its time on a busy machine */

#define DUNNO "action=DUNNO\n\n"
#define DENIED "action=421 4.7.1 Service unavailable, access denied.\n\n"
#define FROM(client) "request=smtpd_access_policy\nprotocol_state=CONNECT\nclient_address=" client "\n\n"
#define ASKING FROM("192.0.2.1")
#define ASKING_DENIED FROM("192.0.2.66")

#define TROUBLES_KEPT 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rules_builder *builder;
static struct door_params door = {.lock = &lock};
static struct waiting_room *waiting;
static struct policy_params params;
static struct policy_socket sockets[2]; /* TCP on the loopback, unix */
static struct sockaddr_in tcp_address;
static struct sockaddr_un unix_address; /* abstract: no file is left behind */
static struct policy_service *service;
static pthread_t service_thread;
static bool running;
static int descriptors_before;
static atomic_llong fake_now;

static pthread_mutex_t troubles_lock = PTHREAD_MUTEX_INITIALIZER;
static char troubles[TROUBLES_KEPT][160]; /* "PEER: WHY" */
static uint64_t troubles_more[TROUBLES_KEPT];
static unsigned trouble_count;

static inline int64_t real_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/* It moves when a test says so. */
static inline int64_t clock_now(void)
{
    return atomic_load(&fake_now);
}

static inline void tell(const struct verdict *verdict, const struct addr *client)
{
    (void)verdict;
    (void)client;
}

static inline void note_trouble(const char *peer, const char *why, uint64_t more)
{
    pthread_mutex_lock(&troubles_lock);
    snprintf(troubles[trouble_count % TROUBLES_KEPT], sizeof troubles[0], "%s: %s", peer, why);
    troubles_more[trouble_count++ % TROUBLES_KEPT] = more;
    pthread_mutex_unlock(&troubles_lock);
}

static inline unsigned count_troubles(void)
{
    pthread_mutex_lock(&troubles_lock);
    unsigned count = trouble_count;
    pthread_mutex_unlock(&troubles_lock);
    return count;
}

static inline int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Waits for what another thread does. */
#define await(condition)                                                           \
    do {                                                                           \
        for (int64_t until_ = real_now() + PATIENCE_MS * MS; !(condition);) {      \
            ck_assert_msg(real_now() < until_, "in vain awaited: %s", #condition); \
            sched_yield();                                                         \
        }                                                                          \
    } while (0)

/* ---- the service ---- */

static inline void open_sockets(void)
{
    static unsigned number;
    socklen_t length = sizeof tcp_address;

    tcp_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    sockets[0] = (struct policy_socket){.descriptor = socket(AF_INET, SOCK_STREAM, 0), .name = "inet"};
    ck_assert_int_eq(bind(sockets[0].descriptor, (struct sockaddr *)&tcp_address, length), 0);
    ck_assert_int_eq(getsockname(sockets[0].descriptor, (struct sockaddr *)&tcp_address, &length), 0);
    unix_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(unix_address.sun_path + 1, sizeof unix_address.sun_path - 1, "tidegate-policy-case-%ld-%u", (long)getpid(),
             number++);
    sockets[1] = (struct policy_socket){.descriptor = socket(AF_UNIX, SOCK_STREAM, 0), .name = "unix:here"};
    ck_assert_int_eq(bind(sockets[1].descriptor, (struct sockaddr *)&unix_address, sizeof unix_address), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(listen(sockets[i].descriptor, 1024), 0);
}

/* What a test may change before it calls start(). */
static inline void setup(void)
{
    struct prefix denied;

    trouble_count = 0;
    atomic_store(&fake_now, 1000 * SECOND);
    descriptors_before = count_descriptors();
    builder = rules_builder_new();
    ck_assert_ptr_nonnull(builder);
    prefix_parse("192.0.2.66", &denied);
    rules_add_list_prefix(builder, LIST_DENY, &denied);
    waiting = waiting_new(0, HOUR);
    open_sockets();
    params = (struct policy_params){.door = &door,
                                    .waiting = waiting,
                                    .sockets = sockets,
                                    .socket_count = 2,
                                    .connections = 100,
                                    .trouble = note_trouble};
}

static inline void *run_service(void *unused)
{
    (void)unused;
    policy_service_run(service);
    return NULL;
}

/* The engine with the rules of `builder`. */
static inline void start_engine(int64_t delay_ns)
{
    const struct engine_params engine_params = {
        .session_records = 1000, .table_records = 1000, .seed = {7, 8}, .connections = true};
    struct rules_error error;

    rules_set(builder, RULES_SERVICE, SETTING_DISCONNECT_DELAY, delay_ns);
    struct rules *rules = rules_build(builder, &error);
    ck_assert_ptr_nonnull(rules);
    rules_builder_free(&builder);
    door.engine = engine_new(&engine_params, &rules);
    ck_assert_ptr_nonnull(door.engine);
    door.now = clock_now;
    door.tell = tell;
}

/* Those who are denied wait for so long. */
static inline void start(int64_t delay_ns)
{
    start_engine(delay_ns);
    service = policy_service_new(&params);
    ck_assert_ptr_nonnull(service);
    ck_assert_int_eq(pthread_create(&service_thread, NULL, run_service, NULL), 0);
    running = true;
}

static inline void stop(void)
{
    policy_service_stop(service);
    ck_assert_int_eq(pthread_join(service_thread, NULL), 0);
    running = false;
    ck_assert_uint_eq(policy_service_connections(service), 0);
}

/* Nothing may be left, whatever the test did. */
static inline void teardown(void)
{
    if (running)
        stop();
    policy_service_free(&service);
    ck_assert_ptr_null(service);
    ck_assert_int_eq(count_descriptors(), descriptors_before);
    waiting_free(&waiting);
    rules_builder_free(&builder);
    engine_free(&door.engine);
}

/* ---- its peers ---- */

static inline int connect_tcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&tcp_address, sizeof tcp_address), 0);
    return fd;
}

static inline int connect_unix(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&unix_address, sizeof unix_address), 0);
    return fd;
}

/* As the service names it. */
static inline const char *name_of(int fd, char out[32])
{
    struct sockaddr_in address = {0};
    socklen_t length = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &length);
    if (address.sin_family == AF_INET)
        snprintf(out, 32, "127.0.0.1:%u", ntohs(address.sin_port));
    else
        snprintf(out, 32, "unix:here");
    return out;
}

static inline void send_bytes(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        ck_assert_msg(sent > 0, "send: %s", strerror(errno));
        data += sent;
        size -= (size_t)sent;
    }
}

static inline void say(int fd, const char *text)
{
    send_bytes(fd, text, strlen(text));
}

/* The next bytes to come, at most `size`; 0 at the end, by a reset, too. */
static inline size_t receive(int fd, char *out, size_t size)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&readable, 1, PATIENCE_MS), 1);
    ssize_t got = recv(fd, out, size, 0);
    ck_assert(got >= 0 || errno == ECONNRESET);
    return got > 0 ? (size_t)got : 0;
}

/* These bytes must come next. */
static inline void expect(int fd, const char *text)
{
    char got[2048];
    size_t length = 0, wanted = strlen(text);

    ck_assert_uint_lt(wanted, sizeof got);
    while (length < wanted) {
        size_t more = receive(fd, got + length, wanted - length);
        ck_assert_msg(more > 0, "the connection ended before \"%s\"", text);
        length += more;
    }
    got[length] = '\0';
    ck_assert_str_eq(got, text);
}

/* The service must close this connection, without another word. */
static inline void expect_end(int fd)
{
    char byte;
    ck_assert_uint_eq(receive(fd, &byte, 1), 0);
    close(fd);
}

static inline bool is_silent(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    return poll(&readable, 1, 0) == 0;
}

static inline void ask(int fd, const char *request, const char *answer)
{
    say(fd, request);
    expect(fd, answer);
}

#endif
