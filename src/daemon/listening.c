/*
 * listening.c: opens the sockets of our own.
 */
#include "daemon/listening.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* How setsockopt(2) is told of an option, for IPv4, or any socket, and for IPv6. */
struct how {
    enum socket_field option;
    int level, name;
    int ipv6_level, ipv6_name;
};

#define ALIKE(level, name) level, name, level, name

static const struct how switches[] = {
    {SOCKET_NODELAY, ALIKE(IPPROTO_TCP, TCP_NODELAY)},
    {SOCKET_REUSE_PORT, ALIKE(SOL_SOCKET, SO_REUSEPORT)},
    {SOCKET_REUSE_ADDRESS, ALIKE(SOL_SOCKET, SO_REUSEADDR)},
    {SOCKET_TTL, IPPROTO_IP, IP_TTL, IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {SOCKET_TOS, IPPROTO_IP, IP_TOS, IPPROTO_IPV6, IPV6_TCLASS},
};

static const struct how buffers[] = {
    {SOCKET_SEND_BUFFER, ALIKE(SOL_SOCKET, SO_SNDBUF)},
    {SOCKET_RECEIVE_BUFFER, ALIKE(SOL_SOCKET, SO_RCVBUF)},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The socket that is being opened, and how that is told. */
struct opening {
    struct listening *listening;
    const struct socket_config *config;
    const char *what;
    char *error; /* PROCESS_ERROR_SIZE bytes */
    bool ipv6_alone;
};

/* Writes why the socket cannot be had. Always false. */
static bool fail(const struct opening *opening, const char *why)
{
    snprintf(opening->error, PROCESS_ERROR_SIZE, "%s socket %s: %s", opening->what, opening->config->socket, why);
    return false;
}

/* The same, for an option of the socket. */
static bool fail_option(const struct opening *opening, enum socket_field field, const char *why)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (option_table[i].target == TO_SOCKET && option_table[i].number == (int)field)
            snprintf(opening->error, PROCESS_ERROR_SIZE, "%s socket %s: %s = %d: %s", opening->what,
                     opening->config->socket, option_table[i].name, opening->config->options.value[field], why);
    return false;
}

static bool resolve(const struct opening *opening)
{
    const struct socket_name *name = &opening->config->address;
    struct listening *listening = opening->listening;
    const struct addrinfo hints = {
        .ai_family = name->kind == SOCKET_INET6 ? AF_INET6 : AF_INET,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *found = NULL;
    char port[8];

    if (name->kind == SOCKET_UNIX) {
        struct sockaddr_un *local = (struct sockaddr_un *)&listening->address;
        local->sun_family = AF_UNIX;
        strcpy(local->sun_path, name->path);
        listening->length = sizeof *local;
        return true;
    }
    snprintf(port, sizeof port, "%u", (unsigned)name->port);
    int result = getaddrinfo(name->host, port, &hints, &found);
    if (result != 0)
        return fail(opening, gai_strerror(result));
    memcpy(&listening->address, found->ai_addr, found->ai_addrlen);
    listening->length = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static bool set_number(const struct opening *opening, const struct how *how)
{
    bool ipv6 = opening->config->address.kind == SOCKET_INET6;
    int value = opening->config->options.value[how->option];

    return setsockopt(opening->listening->descriptor, ipv6 ? how->ipv6_level : how->level,
                      ipv6 ? how->ipv6_name : how->name, &value, sizeof value) == 0 ||
           fail_option(opening, how->option, strerror(errno));
}

/* The kernel takes any number for a buffer and keeps to what it allows. */
static bool set_buffer(const struct opening *opening, const struct how *how)
{
    int given = 0;
    socklen_t size = sizeof given;

    if (!set_number(opening, how))
        return false;
    if (getsockopt(opening->listening->descriptor, how->level, how->name, &given, &size) < 0)
        return fail_option(opening, how->option, strerror(errno));
#ifdef __linux__
    given /= 2; /* socket(7): doubled, for what the kernel keeps there besides */
#endif
    if (given < opening->config->options.value[how->option])
        return fail_option(opening, how->option,
                           how->option == SOCKET_SEND_BUFFER
                               ? "the kernel allows less; write less, or raise net.core.wmem_max"
                               : "the kernel allows less; write less, or raise net.core.rmem_max");
    return true;
}

static bool set_options(const struct opening *opening)
{
    const int *value = opening->config->options.value, on = 1;
    const struct linger linger = {.l_onoff = 1, .l_linger = value[SOCKET_LINGER]};
    int descriptor = opening->listening->descriptor;

    if (opening->ipv6_alone && opening->config->address.kind == SOCKET_INET6 &&
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        return fail(opening, strerror(errno));
    for (size_t i = 0; i < COUNT(switches); i++)
        if (value[switches[i].option] != SOCKET_UNSET && !set_number(opening, &switches[i]))
            return false;
    for (size_t i = 0; i < COUNT(buffers); i++)
        if (value[buffers[i].option] > 0 && !set_buffer(opening, &buffers[i]))
            return false;
    return linger.l_linger == SOCKET_UNSET ||
           setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0 ||
           fail_option(opening, SOCKET_LINGER, strerror(errno));
}

bool listening_adopt(struct listening *listening, const struct socket_config *config, char error[PROCESS_ERROR_SIZE])
{
    const char *path = config->address.path;
    struct stat status;

    if (lstat(path, &status) == 0) {
        listening->device = status.st_dev;
        listening->inode = status.st_ino;
    }
    if (process_own_socket(path, config->group ? &config->gid : NULL, config->mode, error))
        return true;
    listening_remove(listening);
    return false;
}

static bool bind_socket(const struct opening *opening)
{
    struct listening *listening = opening->listening;
    bool local = opening->config->address.kind == SOCKET_UNIX;

    if (local && !process_clear_socket(opening->config->address.path, opening->error))
        return false;
    /* Nobody but us may connect until the socket has the rights that the configuration gives it. */
    mode_t mask = umask(0177);
    int result = bind(listening->descriptor, (struct sockaddr *)&listening->address, listening->length);
    int cause = errno;
    umask(mask);
    if (result < 0)
        return fail(opening, strerror(cause));
    return !local || listening_adopt(listening, opening->config, opening->error);
}

static bool open_descriptor(const struct opening *opening)
{
    struct listening *listening = opening->listening;

    listening->descriptor = socket(listening->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return listening->descriptor >= 0 || fail(opening, strerror(errno));
}

static bool start_listening(const struct opening *opening)
{
    return listen(opening->listening->descriptor, listening_backlog(&opening->config->options)) == 0 ||
           fail(opening, strerror(errno));
}

static bool open_all(const struct opening *opening)
{
    *opening->listening = (struct listening){.descriptor = -1};
    if (resolve(opening) && open_descriptor(opening) && set_options(opening) && bind_socket(opening) &&
        start_listening(opening))
        return true;
    listening_close(opening->listening);
    listening_remove(opening->listening);
    return false;
}

bool listening_open(struct listening *listening, const struct socket_config *config, const char *what,
                    char error[PROCESS_ERROR_SIZE])
{
    return open_all(&(struct opening){listening, config, what, error, .ipv6_alone = true});
}

bool listening_try(struct listening *listening, const struct socket_config *config, const char *what,
                   char error[PROCESS_ERROR_SIZE])
{
    struct socket_config alike = *config;

    alike.options.value[SOCKET_REUSE_ADDRESS] = 1;
    if (!open_all(&(struct opening){listening, &alike, what, error, .ipv6_alone = false}))
        return false;
    listening_close(listening);
    listening_remove(listening);
    return true;
}

int listening_backlog(const struct socket_options *options)
{
    int backlog = options->value[SOCKET_BACKLOG];

    return backlog > 0 ? backlog : INT_MAX; /* the kernel cuts it to what it allows */
}

void listening_close(struct listening *listening)
{
    if (listening->descriptor >= 0)
        close(listening->descriptor);
    listening->descriptor = -1;
}

void listening_remove(struct listening *listening)
{
    const char *path = ((struct sockaddr_un *)&listening->address)->sun_path;
    struct stat status;

    if (listening->inode != 0 && lstat(path, &status) == 0 && status.st_dev == listening->device &&
        status.st_ino == listening->inode)
        unlink(path);
    listening->inode = 0;
}
