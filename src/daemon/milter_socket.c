/*
 * milter_socket.c: the socket that the MTA connects to.
 */
#include "daemon/milter_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/listening.h"

/* Where the milter's socket listens, once that is known. The descriptor is libmilter's. */
static struct listening own_socket = {.descriptor = -1};

bool milter_socket_connects(void)
{
    int nudge = socket(own_socket.address.ss_family, SOCK_STREAM, 0);
    if (nudge < 0)
        return false;
    struct pollfd connected = {.fd = nudge, .events = POLLOUT};
    fcntl(nudge, F_SETFL, O_NONBLOCK);
    int result = connect(nudge, (struct sockaddr *)&own_socket.address, own_socket.length);
    /* On one host a TCP connection is there at once, too, although connect(2) does not wait to see it. */
    bool is_there =
        result == 0 || (errno == EINPROGRESS && poll(&connected, 1, 0) == 1 && connected.revents == POLLOUT);
    close(nudge);
    return is_there;
}

void milter_socket_nudge(void)
{
    /* Whether it comes to be accepted or finds a full queue, libmilter has a reason to look. */
    milter_socket_connects();
}

void milter_socket_remove(void)
{
    listening_remove(&own_socket);
}

bool milter_socket_open(const struct config *config, const struct driver_params *params, char error[PROCESS_ERROR_SIZE])
{
    const struct socket_config *milter = &config->milter;

    /* libmilter tells only the log why it cannot open a socket, so this is tried first in a way that can be told. */
    if (!listening_try(&own_socket, milter, "milter", error))
        return false;
    /* Nobody but us may connect until the socket has the rights that the configuration gives it. */
    mode_t mask = umask(0177);
    errno = 0;
    bool ok = driver_open(params);
    int cause = errno;
    umask(mask);
    if (!ok) {
        snprintf(error, PROCESS_ERROR_SIZE, "milter socket %s: cannot be opened: %s", milter->socket,
                 cause ? strerror(cause) : "see the mail log for libmilter's reason");
        return false;
    }
    return milter->address.kind != SOCKET_UNIX || listening_adopt(&own_socket, milter, error);
}
