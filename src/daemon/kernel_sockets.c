/*
 * kernel_sockets.c: questions over NETLINK_SOCK_DIAG, about single connections and about all of a port.
 */
#include "daemon/kernel_sockets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build-config.h"

#ifdef HAVE_SOCK_DIAG

#include <arpa/inet.h>
#include <endian.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/request.h"

#define ANSWER_SIZE 8192 /* bytes, many times those of an answer about one socket */
#define ANSWER_WAIT_S 1
#define ANSWER_TRIES 4  /* messages, among them answers that came too late for their question */
#define DUMP_SIZE 32768 /* bytes of one part of a dump: no kernel makes larger ones */
#define NS_PER_MS 1000000

/* The states in which the MTA holds a connection. */
#define HELD_STATES (1U << TCP_ESTABLISHED | 1U << TCP_CLOSE_WAIT)

struct kernel_sockets {
    int fd;
    int dump_fd;       /* a dump cut short leaves parts behind that no single question should meet; -1: not open */
    uint32_t sequence; /* of the latest question */
};

/* A question as it is sent. */
struct netlink_request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 question;
};

/* What the kernel says of one socket. */
struct sighting {
    struct inet_diag_msg socket;
    struct tcp_info tcp;
    bool has_tcp;
};

/* The attributes after the fixed part; of them, tcp_info, which kernels know to different lengths. */
static void read_attributes(const char *message, size_t size, size_t at, struct sighting *out)
{
    struct rtattr attribute;

    while (at + sizeof attribute <= size) {
        memcpy(&attribute, message + at, sizeof attribute);
        if (attribute.rta_len < RTA_LENGTH(0) || attribute.rta_len > size - at)
            return;
        size_t held = attribute.rta_len - RTA_LENGTH(0);
        if (attribute.rta_type == INET_DIAG_INFO) {
            memcpy(&out->tcp, message + at + RTA_LENGTH(0), held < sizeof out->tcp ? held : sizeof out->tcp);
            out->has_tcp = held >= offsetof(struct tcp_info, tcpi_last_data_recv) + sizeof out->tcp.tcpi_last_data_recv;
        }
        at += RTA_ALIGN(attribute.rta_len);
    }
}

/* Reads one message, all of whose length is there, into *out. Returns 0, the kernel's error, or EPROTO. */
static int read_message(const struct nlmsghdr *header, const char *message, struct sighting *out)
{
    size_t size = header->nlmsg_len;
    int error;

    *out = (struct sighting){0};
    if (header->nlmsg_type == NLMSG_ERROR) { /* with error 0 an acknowledgement */
        if (size < NLMSG_LENGTH(sizeof error))
            return EPROTO;
        memcpy(&error, message + NLMSG_LENGTH(0), sizeof error);
        return error <= 0 && error > -4096 ? -error : EPROTO;
    }
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || size < NLMSG_LENGTH(sizeof out->socket))
        return EPROTO;
    memcpy(&out->socket, message + NLMSG_LENGTH(0), sizeof out->socket);
    read_attributes(message, size, NLMSG_SPACE(sizeof out->socket), out);
    return 0;
}

/* Sends a question and reads its answer. Returns 0, the kernel's error, or what went wrong on the way. */
static int ask(struct kernel_sockets *sockets, uint16_t type, const struct inet_diag_req_v2 *question,
               struct sighting *out)
{
    const struct netlink_request request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = type,
                   .nlmsg_flags = NLM_F_REQUEST | (type == SOCK_DESTROY ? NLM_F_ACK : 0),
                   .nlmsg_seq = ++sockets->sequence},
        .question = *question};
    char message[ANSWER_SIZE];
    struct nlmsghdr header;

    if (send(sockets->fd, &request, sizeof request, MSG_NOSIGNAL) < 0)
        return errno;
    /* What is no dump is answered in one message, which is a datagram of its own. */
    for (int tries = 0; tries < ANSWER_TRIES; tries++) {
        ssize_t size = recv(sockets->fd, message, sizeof message, 0);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? ETIMEDOUT : errno;
        if ((size_t)size < sizeof header)
            continue;
        memcpy(&header, message, sizeof header);
        if (header.nlmsg_seq != sockets->sequence)
            continue;
        return header.nlmsg_len > (size_t)size ? EPROTO : read_message(&header, message, out);
    }
    return EPROTO;
}

static bool is_unspecified(const struct addr *addr)
{
    return addr->hi == 0 && addr->lo == 0;
}

static bool is_link_local(const struct addr *addr)
{
    return addr->family == ADDR_IPV6 && addr->hi >> 54 == 0xfe80 >> 6;
}

/* A question that could not name any connection would be answered with "there is none", or with a listening socket. */
static bool can_ask(const struct watched_connection *connection)
{
    const struct addr *local = &connection->local, *client = &connection->client;

    return local->family != ADDR_NONE && local->family == client->family && !is_unspecified(local) &&
           !is_unspecified(client) && !is_link_local(local) && !is_link_local(client) && connection->local_port != 0 &&
           connection->client_port != 0;
}

static void store_addr(uint32_t out[4], const struct addr *addr)
{
    const uint64_t words[] = {htobe64(addr->hi), htobe64(addr->lo)};
    memcpy(out, words, addr->family == ADDR_IPV4 ? 4 : 16);
}

static struct addr load_addr(uint8_t family, const uint32_t words[4])
{
    uint8_t bytes[16];

    memcpy(bytes, words, sizeof bytes);
    return family == AF_INET ? addr_from_ipv4(bytes) : family == AF_INET6 ? addr_from_ipv6(bytes) : (struct addr){0};
}

static struct inet_diag_req_v2 question_about(const struct watched_connection *connection)
{
    struct inet_diag_req_v2 question = {
        .sdiag_family = connection->local.family == ADDR_IPV4 ? AF_INET : AF_INET6,
        .sdiag_protocol = IPPROTO_TCP,
        .idiag_ext = 1 << (INET_DIAG_INFO - 1),
        .idiag_states = ~0U,
        .id = {.idiag_sport = htons(connection->local_port),
               .idiag_dport = htons(connection->client_port),
               .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
    };

    store_addr(question.id.idiag_src, &connection->local);
    store_addr(question.id.idiag_dst, &connection->client);
    return question;
}

static bool is_about(const struct inet_diag_msg *socket, const struct watched_connection *connection)
{
    struct addr local = load_addr(socket->idiag_family, socket->id.idiag_src);
    struct addr client = load_addr(socket->idiag_family, socket->id.idiag_dst);

    return addr_equal(&local, &connection->local) && addr_equal(&client, &connection->client) &&
           ntohs(socket->id.idiag_sport) == connection->local_port &&
           ntohs(socket->id.idiag_dport) == connection->client_port;
}

static bool is_held(const struct inet_diag_msg *socket)
{
    return socket->idiag_state < 32 && HELD_STATES >> socket->idiag_state & 1;
}

/* Looks for a connection that the MTA holds. Returns 0, ENOENT when there is none, or another error. */
static int look_up(struct kernel_sockets *sockets, const struct watched_connection *connection, struct sighting *out)
{
    if (!can_ask(connection))
        return EINVAL;
    /* Asked in AF_INET the kernel finds the connections of dual-stack sockets, too, and gives them as AF_INET6. */
    const struct inet_diag_req_v2 question = question_about(connection);
    int error = ask(sockets, SOCK_DIAG_BY_FAMILY, &question, out);
    if (error != 0)
        return error;
    /* Where there is no such connection, the kernel answers with the socket that would take it: the MTA's listener. */
    if (out->socket.idiag_state == TCP_LISTEN)
        return ENOENT;
    if (!is_about(&out->socket, connection))
        return EPROTO;
    return is_held(&out->socket) ? 0 : ENOENT;
}

/* A listening socket on a free port of the loopback, and the question that names it by its cookie; -1 and errno. */
static int open_probe(struct inet_diag_req_v2 *question)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address, cookie_length = sizeof(uint64_t);
    uint64_t cookie;

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_length) < 0) {
        int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    const struct watched_connection none = {.local = addr_from_ipv4((const uint8_t *)&address.sin_addr),
                                            .local_port = ntohs(address.sin_port),
                                            .client.family = ADDR_IPV4};
    *question = question_about(&none);
    question->id.idiag_cookie[0] = (uint32_t)cookie;
    question->id.idiag_cookie[1] = (uint32_t)(cookie >> 32);
    return fd;
}

/* Asks something about a socket made for it. Returns 0 or an error, ENOENT when the kernel does not even find that. */
static int try_on_own_socket(struct kernel_sockets *sockets, uint16_t type)
{
    struct inet_diag_req_v2 question;
    struct sighting seen;

    int fd = open_probe(&question);
    if (fd < 0)
        return errno;
    int error = ask(sockets, type, &question, &seen);
    close(fd);
    return error;
}

/* A way to the kernel; -1 and errno. */
static int open_netlink(void)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    const struct timeval wait = {.tv_sec = ANSWER_WAIT_S};

    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return -1;
    /* Connected, so that nobody but the kernel can be heard. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0 ||
        connect(fd, (const struct sockaddr *)&kernel, sizeof kernel) < 0) {
        int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

struct kernel_sockets *kernel_sockets_open(void)
{
    struct kernel_sockets *sockets = calloc(1, sizeof *sockets);

    if (!sockets)
        return NULL;
    sockets->dump_fd = -1;
    sockets->fd = open_netlink();
    int error = sockets->fd < 0 ? errno : try_on_own_socket(sockets, SOCK_DIAG_BY_FAMILY);
    if (error != 0) {
        kernel_sockets_close(&sockets);
        /* A kernel without tcp_diag says of every socket that it does not exist. */
        errno = error == ENOENT ? EOPNOTSUPP : error;
    }
    return sockets;
}

static void close_dump(struct kernel_sockets *sockets)
{
    if (sockets->dump_fd >= 0)
        close(sockets->dump_fd);
    sockets->dump_fd = -1;
}

void kernel_sockets_close(struct kernel_sockets **sockets)
{
    if (!*sockets)
        return;
    close_dump(*sockets);
    if ((*sockets)->fd >= 0)
        close((*sockets)->fd);
    free(*sockets);
    *sockets = NULL;
}

/* In milliseconds; the header says why it is counted so. */
static uint32_t silence(const struct sighting *seen)
{
    const struct tcp_info *tcp = &seen->tcp;

    if (seen->socket.idiag_rqueue > 0 && seen->socket.idiag_wqueue == 0)
        return 0;
    if (tcp->tcpi_retransmits > 0 || tcp->tcpi_last_data_recv < tcp->tcpi_last_data_sent)
        return tcp->tcpi_last_data_recv;
    return tcp->tcpi_last_data_sent;
}

enum kernel_answer kernel_socket_silence(struct kernel_sockets *sockets, const struct watched_connection *connection,
                                         int64_t *silent_ns, bool *owed)
{
    struct sighting seen;

    int error = look_up(sockets, connection, &seen);
    if (error != 0)
        return error == ENOENT ? KERNEL_GONE : KERNEL_ERROR;
    if (!seen.has_tcp)
        return KERNEL_ERROR;
    *silent_ns = (int64_t)silence(&seen) * NS_PER_MS;
    *owed = seen.tcp.tcpi_retransmits == 0 && seen.tcp.tcpi_last_data_recv < seen.tcp.tcpi_last_data_sent;
    return KERNEL_FOUND;
}

static uint64_t cookie_of(const struct inet_diag_msg *socket)
{
    return (uint64_t)socket->id.idiag_cookie[1] << 32 | socket->id.idiag_cookie[0];
}

enum kernel_answer kernel_socket_alive(struct kernel_sockets *sockets, const struct watched_connection *connection,
                                       uint64_t *cookie)
{
    struct sighting seen;

    switch (look_up(sockets, connection, &seen)) {
    case 0:
        *cookie = cookie_of(&seen.socket);
        return KERNEL_FOUND;
    case ENOENT:
        return KERNEL_GONE;
    case EINVAL: /* also what a kernel without IPv6 says of such addresses */
        return KERNEL_UNASKABLE;
    default:
        return KERNEL_ERROR;
    }
}

/* ---- all connections of a port ---- */

/* What has been read of a dump and not been handed on. */
struct dump {
    uint32_t sequence;
    bool done;
    kernel_batch_taker *take;
    void *context;
    size_t count;
    struct watched_connection batch[KERNEL_BATCH];
};

static void hand_on(struct dump *dump)
{
    if (dump->count > 0)
        dump->take(dump->context, dump->batch, dump->count);
    dump->count = 0;
}

/* One connection of a dump. False when it is none that was asked for. */
static bool read_row(struct dump *dump, const struct inet_diag_msg *socket)
{
    const struct watched_connection row = {.client = load_addr(socket->idiag_family, socket->id.idiag_dst),
                                           .local = load_addr(socket->idiag_family, socket->id.idiag_src),
                                           .client_port = ntohs(socket->id.idiag_dport),
                                           .local_port = ntohs(socket->id.idiag_sport),
                                           .cookie = cookie_of(socket)};

    if (row.client.family == ADDR_NONE || !is_held(socket))
        return false;
    dump->batch[dump->count++] = row;
    if (dump->count == KERNEL_BATCH)
        hand_on(dump);
    return true;
}

/* The last message of a dump: with an error, when the dump ends before the table does. */
static bool ended_well(const struct nlmsghdr *header, const char *message)
{
    int error = 0;

    if (header->nlmsg_len >= NLMSG_LENGTH(sizeof error))
        memcpy(&error, message + NLMSG_LENGTH(0), sizeof error);
    return error == 0;
}

/* One part of a dump: messages, each beginning at a multiple of four bytes. False when the dump is no good. */
static bool read_part(struct dump *dump, const char *part, size_t size)
{
    struct nlmsghdr header;
    struct sighting seen;

    for (size_t at = 0; at < size; at += NLMSG_ALIGN(header.nlmsg_len)) {
        if (size - at < sizeof header)
            return false;
        memcpy(&header, part + at, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > size - at || header.nlmsg_seq != dump->sequence ||
            header.nlmsg_flags & NLM_F_DUMP_INTR)
            return false;
        if (header.nlmsg_type == NLMSG_DONE) {
            dump->done = true;
            return ended_well(&header, part + at);
        }
        if (read_message(&header, part + at, &seen) != 0 || !read_row(dump, &seen.socket))
            return false;
    }
    return true;
}

/* Asks for the connections of one family and reads them all. */
static bool dump_family(struct kernel_sockets *sockets, uint8_t family, uint16_t port, struct dump *dump)
{
    const struct netlink_request request = {.header = {.nlmsg_len = sizeof request,
                                                       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                                                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                                                       .nlmsg_seq = ++sockets->sequence},
                                            .question = {.sdiag_family = family,
                                                         .sdiag_protocol = IPPROTO_TCP,
                                                         .idiag_states = HELD_STATES,
                                                         .id.idiag_sport = htons(port)}};
    char part[DUMP_SIZE];

    dump->sequence = sockets->sequence;
    dump->done = false;
    if (send(sockets->dump_fd, &request, sizeof request, MSG_NOSIGNAL) < 0)
        return false;
    while (!dump->done) {
        ssize_t size = recv(sockets->dump_fd, part, sizeof part, MSG_TRUNC);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0 || (size_t)size > sizeof part || !read_part(dump, part, (size_t)size))
            return false;
    }
    return true;
}

bool kernel_sockets_dump(struct kernel_sockets *sockets, uint16_t port, kernel_batch_taker *take, void *context)
{
    struct dump dump = {.take = take, .context = context};

    if (sockets->dump_fd < 0)
        sockets->dump_fd = open_netlink();
    bool complete = sockets->dump_fd >= 0 && dump_family(sockets, AF_INET, port, &dump) &&
                    dump_family(sockets, AF_INET6, port, &dump);
    /* What was read before the dump broke off is as true as the rest. */
    hand_on(&dump);
    if (!complete)
        close_dump(sockets);
    return complete;
}

bool kernel_socket_end(struct kernel_sockets *sockets, const struct watched_connection *connection,
                       char why[KERNEL_WHY_SIZE])
{
    struct sighting seen;

    int error = look_up(sockets, connection, &seen);
    if (error == 0) {
        struct inet_diag_req_v2 question = question_about(connection);
        memcpy(question.id.idiag_cookie, seen.socket.id.idiag_cookie, sizeof question.id.idiag_cookie);
        error = ask(sockets, SOCK_DESTROY, &question, &seen);
    }
    const char *reason = error == ENOENT       ? "it is gone"
                         : error == EINVAL     ? "its addresses do not name one connection"
                         : error == EPERM      ? "this process lacks CAP_NET_ADMIN"
                         : error == EOPNOTSUPP ? "this kernel was built without CONFIG_INET_DIAG_DESTROY"
                                               : strerror(error);
    if (error != 0)
        snprintf(why, KERNEL_WHY_SIZE, "the connection cannot be ended: %s", reason);
    return error == 0;
}

bool kernel_may_end(void)
{
    struct kernel_sockets *sockets = kernel_sockets_open();
    bool may = sockets && try_on_own_socket(sockets, SOCK_DESTROY) == 0;

    kernel_sockets_close(&sockets);
    return may;
}

#else

struct kernel_sockets *kernel_sockets_open(void)
{
    errno = EOPNOTSUPP;
    return NULL;
}

void kernel_sockets_close(struct kernel_sockets **sockets)
{
    *sockets = NULL;
}

enum kernel_answer kernel_socket_silence(struct kernel_sockets *sockets, const struct watched_connection *connection,
                                         int64_t *silent_ns, bool *owed)
{
    (void)sockets;
    (void)connection;
    (void)silent_ns;
    (void)owed;
    return KERNEL_ERROR;
}

enum kernel_answer kernel_socket_alive(struct kernel_sockets *sockets, const struct watched_connection *connection,
                                       uint64_t *cookie)
{
    (void)sockets;
    (void)connection;
    (void)cookie;
    return KERNEL_ERROR;
}

bool kernel_sockets_dump(struct kernel_sockets *sockets, uint16_t port, kernel_batch_taker *take, void *context)
{
    (void)sockets;
    (void)port;
    (void)take;
    (void)context;
    return false;
}

bool kernel_socket_end(struct kernel_sockets *sockets, const struct watched_connection *connection,
                       char why[KERNEL_WHY_SIZE])
{
    (void)sockets;
    (void)connection;
    snprintf(why, KERNEL_WHY_SIZE, "connections cannot be ended: not built in");
    return false;
}

bool kernel_may_end(void)
{
    return false;
}

#endif
