/*
 * milter_socket.c: the socket that the MTA connects to.
 */
#include "daemon/milter_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Where the milter's socket listens, once that is known. */
static struct {
    struct sockaddr_storage address;
    socklen_t length;
    dev_t device; /* of a unix socket's path, so that nobody else's is removed */
    ino_t inode;
} own_socket;

void milter_socket_nudge(void)
{
    int nudge = socket(own_socket.address.ss_family, SOCK_STREAM, 0);
    if (nudge < 0)
        return;
    fcntl(nudge, F_SETFL, O_NONBLOCK);
    /* Whether it comes to be accepted or finds a full queue, libmilter has a reason to look. */
    (void)connect(nudge, (struct sockaddr *)&own_socket.address, own_socket.length);
    close(nudge);
}

void milter_socket_remove(void)
{
    const char *path = ((struct sockaddr_un *)&own_socket.address)->sun_path;
    struct stat status;

    if (own_socket.address.ss_family == AF_UNIX && lstat(path, &status) == 0 && status.st_dev == own_socket.device &&
        status.st_ino == own_socket.inode)
        unlink(path);
}

/* libmilter tells only the log why it cannot open a socket, so the same is tried first in a way that can be told. */
static bool probe_inet(const struct socket_name *name, const char *text, char error[PROCESS_ERROR_SIZE])
{
    const struct addrinfo hints = {
        .ai_family = name->kind == SOCKET_INET6 ? AF_INET6 : AF_INET,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE,
    };
    struct addrinfo *found = NULL;
    const int on = 1;
    char port[8];
    const char *why = NULL;

    snprintf(port, sizeof port, "%u", (unsigned)name->port);
    int result = getaddrinfo(*name->host ? name->host : NULL, port, &hints, &found);
    if (result != 0) {
        snprintf(error, PROCESS_ERROR_SIZE, "milter socket %s: %s", text, gai_strerror(result));
        return false;
    }
    int probe = socket(found->ai_family, found->ai_socktype, 0);
    if (probe < 0 || setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(probe, found->ai_addr, found->ai_addrlen) < 0 || listen(probe, 1) < 0)
        why = strerror(errno);
    if (probe >= 0)
        close(probe);
    memcpy(&own_socket.address, found->ai_addr, found->ai_addrlen);
    own_socket.length = found->ai_addrlen;
    freeaddrinfo(found);
    if (why)
        snprintf(error, PROCESS_ERROR_SIZE, "milter socket %s: %s", text, why);
    return !why;
}

bool milter_socket_open(const struct config *config, const struct driver_params *params, char error[PROCESS_ERROR_SIZE])
{
    const struct socket_name *name = &config->milter_address;
    bool local = name->kind == SOCKET_UNIX;

    if (local) {
        struct sockaddr_un *own = (struct sockaddr_un *)&own_socket.address;
        own->sun_family = AF_UNIX;
        strcpy(own->sun_path, name->path);
        own_socket.length = sizeof *own;
    }
    if (local ? !process_clear_socket(name->path, error) : !probe_inet(name, config->milter_socket, error))
        return false;
    /* Nobody but us may connect until the socket has the rights that the configuration gives it. */
    mode_t mask = umask(0177);
    errno = 0;
    bool ok = driver_open(params);
    int cause = errno;
    umask(mask);
    if (!ok) {
        snprintf(error, PROCESS_ERROR_SIZE, "milter socket %s: cannot be opened: %s", config->milter_socket,
                 cause ? strerror(cause) : "see the mail log for libmilter's reason");
        return false;
    }
    struct stat status;
    if (local && lstat(name->path, &status) == 0) {
        own_socket.device = status.st_dev;
        own_socket.inode = status.st_ino;
    }
    if (local && !process_own_socket(name->path, config->milter_group ? &config->milter_gid : NULL, config->milter_mode,
                                     error)) {
        milter_socket_remove();
        return false;
    }
    return true;
}
