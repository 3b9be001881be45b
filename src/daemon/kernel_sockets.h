/*
 * kernel_sockets.h: what the Linux kernel knows of a TCP connection of an MTA on this host: whether it is there, how
 * long it has been silent, and the means to end it (sock_diag(7)); and which connections there are. Elsewhere, and with
 * --disable-kernel-sockets, the same functions say that none of it is available.
 *
 * The kernel answers for the network namespace of the process that opened the handle. It does not find connections of
 * sockets bound to a device or a VRF (SO_BINDTODEVICE): those are KERNEL_GONE.
 *
 * How silence is counted. A connection has been silent since either side last sent data that is new:
 * - Data that the client sent and the MTA has not read, its FIN included, means that it is the MTA's turn: silence is
 * 0, however long that takes. Except while data of the MTA is not acknowledged: a client that sends commands and never
 *   takes the replies makes an MTA stop reading, and would never be silent.
 * - Data that the client's side does not acknowledge, or has no window for, is no activity: the MTA has spoken and the
 *   client has not, and one that never acknowledges would else hold its slot for as long as it likes. What the kernel
 *   sends again of it does not count as the MTA speaking either.
 * - A command that the MTA has read and not yet answered counts from the command on, and is told as `owed`: the kernel
 *   cannot tell an MTA that is still at work on it from one that waits for the rest of half a command.
 *
 * Threads: any, but one at a time for each handle. No function blocks for longer than a few seconds, and none at all as
 * long as the kernel answers at once, as it does. Do not call them with the engine's lock held: each is a system call.
 */
#ifndef DAEMON_KERNEL_SOCKETS_H
#define DAEMON_KERNEL_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/request.h"

/* Room for any reason that kernel_socket_end() gives, the end included. */
#define KERNEL_WHY_SIZE 128

/* A connection (engine/request.h) is meant as the MTA sees it: the client's address is the one that its kernel sees,
 * not one that a proxy told the MTA. A client of IPv4 on a dual-stack socket is simply one of IPv4. Its cookie is not
 * looked at by those that ask. */

struct kernel_sockets;

/* Opens a way to the kernel and tries it on a listening socket of its own, on a free port of 127.0.0.1 and closed at
 * once. NULL: not available, errno says why (EOPNOTSUPP: not built in, or the kernel has no tcp_diag). */
struct kernel_sockets *kernel_sockets_open(void);

/* Closes it and sets the pointer to NULL; NULL is let pass. */
void kernel_sockets_close(struct kernel_sockets **sockets);

enum kernel_answer {
    KERNEL_FOUND, /* established, or closed by the client alone (CLOSE_WAIT): the MTA still holds it */
    KERNEL_GONE,  /* there is none, or the MTA has closed it and only the kernel still winds it up */
    KERNEL_ERROR, /* no usable answer, or not a connection that can be asked for: an address is missing, a wildcard or
                     IPv6 link-local (which needs an interface), the families differ, or a port is 0 */
    KERNEL_UNASKABLE, /* kernel_socket_alive() alone: the latter, so that no later answer will be any better */
};

/* How long the connection has been silent, in nanoseconds, 0 or more, as exact as the kernel's tick (1 to 10 ms).
 * *silent_ns and *owed are written on KERNEL_FOUND alone. Owed: the client spoke last, as far as the
 * kernel's tick can tell. Needs no privilege. */
enum kernel_answer kernel_socket_silence(struct kernel_sockets *sockets, const struct watched_connection *connection,
                                         int64_t *silent_ns, bool *owed);

/* Whether the MTA holds the connection; on KERNEL_FOUND, and only then, *cookie is the kernel's name for it (never 0),
 * by which it differs from any connection that had the same addresses before. Needs no privilege. */
enum kernel_answer kernel_socket_alive(struct kernel_sockets *sockets, const struct watched_connection *connection,
                                       uint64_t *cookie);

/* Takes some connections of a dump, 1 to KERNEL_BATCH; they are only lent. */
#define KERNEL_BATCH 256
typedef void kernel_batch_taker(void *context, const struct watched_connection *connections, size_t count);

/*
 * Hands every connection to `take` that came in on, or went out from, that port of this host, 0 being every port, and
 * that is held on this side as KERNEL_FOUND says. True when all have been handed on; false when the kernel broke off,
 * when its answer is not to be understood, or when there is no way to it now: then there may be others. Even of a
 * complete dump the kernel may leave one out, when its table is changed at that moment: ask for it with
 * kernel_socket_alive() before it is taken for gone. Needs no privilege; costs a walk through the kernel's table for
 * each family, and about a microsecond for each connection handed on.
 */
bool kernel_sockets_dump(struct kernel_sockets *sockets, uint16_t port, kernel_batch_taker *take, void *context);

/*
 * Ends the connection: the MTA's next call on it fails with ECONNABORTED, the client reads a reset. Whatever is found
 * under the four numbers is ended and nothing that comes after it, so ask for its silence right before: a connection
 * that took the place of the one that was meant is not silent. False, with one line in `why`, when it is gone or the
 * kernel refuses.
 */
bool kernel_socket_end(struct kernel_sockets *sockets, const struct watched_connection *connection,
                       char why[KERNEL_WHY_SIZE]);

/*
 * Whether the kernel lets this process end connections: it was built to (CONFIG_INET_DIAG_DESTROY), and the process has
 * CAP_NET_ADMIN in the user namespace that owns its network namespace. The kernel looks for the connection before it
 * looks at the privilege, so this is tried on a listening socket as in kernel_sockets_open(). False when it cannot be
 * tried, too. Any thread.
 */
bool kernel_may_end(void);

#endif
