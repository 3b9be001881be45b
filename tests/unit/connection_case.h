/*
 * connection_case.h: real connections on the loopback, for tests of what the kernel tells of them. To be included after
 * check.h.
 */
#ifndef UNIT_CONNECTION_CASE_H
#define UNIT_CONNECTION_CASE_H

#include <arpa/inet.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/request.h"

/* Leaves the host's network for one of this process's own, with nothing in it but a loopback. False when the system
 * does not allow it: the tests then run beside whatever else there is. */
static inline bool enter_own_network(void)
{
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};

    /* The raw call, as unshare(3) asks for _GNU_SOURCE. */
    bool left = syscall(SYS_unshare, CLONE_NEWNET) == 0 || syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNET) == 0;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert(!left || ioctl(fd, SIOCSIFFLAGS, &loopback) == 0);
    close(fd);
    return left;
}

/* How the MTA listens and its client comes. */
enum kind { IPV4, IPV6, MAPPED, KINDS };

struct pair {
    int mta, client;
    struct watched_connection seen; /* from the MTA's side */
};

static inline bool has(enum kind kind)
{
    const struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = kind == IPV4 ? 0 : socket(AF_INET6, SOCK_STREAM, 0);
    bool bound = kind == IPV4 || (fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof loopback) == 0);
    if (fd > 0)
        close(fd);
    return bound;
}

static inline struct addr addr_of(const struct sockaddr_storage *address, uint16_t *port)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

    *port = ntohs(address->ss_family == AF_INET ? in->sin_port : in6->sin6_port);
    return address->ss_family == AF_INET ? addr_from_ipv4((const uint8_t *)&in->sin_addr)
                                         : addr_from_ipv6(in6->sin6_addr.s6_addr);
}

static inline int listen_as(enum kind kind)
{
    struct sockaddr_storage any = {.ss_family = kind == IPV4 ? AF_INET : AF_INET6};
    const int off = 0;

    int fd = socket(any.ss_family, SOCK_STREAM, 0);
    if (kind != IPV4)
        ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    return fd;
}

static inline uint16_t port_of(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    uint16_t port;

    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    addr_of(&address, &port);
    return port;
}

/* A connection to that listener, from that port of the client's host; 0: any. */
static inline struct pair connect_from_port(enum kind kind, int listener, uint16_t client_port)
{
    struct pair pair;
    struct sockaddr_storage address = {0}, from = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
    socklen_t length = sizeof address, cookie_length = sizeof pair.seen.cookie;
    const int on = 1;

    if (kind == IPV6)
        *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    else
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    from = address;
    /* The port stands at the same place in both. */
    in->sin_port = htons(port_of(listener));
    ((struct sockaddr_in *)&from)->sin_port = htons(client_port);
    pair.client = socket(address.ss_family, SOCK_STREAM, 0);
    ck_assert_int_ge(pair.client, 0);
    if (client_port != 0) {
        ck_assert_int_eq(setsockopt(pair.client, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
        ck_assert_int_eq(bind(pair.client, (struct sockaddr *)&from, sizeof from), 0);
    }
    ck_assert_int_eq(connect(pair.client, (struct sockaddr *)&address, sizeof address), 0);
    pair.mta = accept(listener, NULL, NULL);
    ck_assert_int_ge(pair.mta, 0);
    ck_assert_int_eq(getsockname(pair.mta, (struct sockaddr *)&address, &length), 0);
    pair.seen.local = addr_of(&address, &pair.seen.local_port);
    length = sizeof address;
    ck_assert_int_eq(getpeername(pair.mta, (struct sockaddr *)&address, &length), 0);
    pair.seen.client = addr_of(&address, &pair.seen.client_port);
    ck_assert_int_eq(pair.seen.client.family, kind == IPV6 ? ADDR_IPV6 : ADDR_IPV4);
    ck_assert_int_eq(getsockopt(pair.mta, SOL_SOCKET, SO_COOKIE, &pair.seen.cookie, &cookie_length), 0);
    return pair;
}

static inline struct pair connect_to(enum kind kind, int listener)
{
    return connect_from_port(kind, listener, 0);
}

/* Closes so that the connection is gone at once, on both sides. */
static inline void reset(int fd)
{
    const struct linger linger = {.l_onoff = 1};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(fd);
}

/* Closes the other side of such a one, once it has heard of it: before, the port would not be free. */
static inline void close_when_reset(int fd)
{
    char byte;
    ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
    close(fd);
}

/* As many as this process may have; returns how many those are. */
static inline rlim_t allow_many_descriptors(void)
{
    struct rlimit files;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    return files.rlim_cur;
}

#endif
