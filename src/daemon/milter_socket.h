/*
 * milter_socket.h: the socket that the MTA connects to: made free or refused with a reason before libmilter opens it,
 * given its rights after, removed at the end. There is one a process, as libmilter has but one.
 *
 * Threads: milter_socket_nudge() and milter_socket_connects() from any once the socket is open, everything else from
 * the main thread.
 */
#ifndef DAEMON_MILTER_SOCKET_H
#define DAEMON_MILTER_SOCKET_H

#include "config/config.h"
#include "daemon/process.h"
#include "milter/libmilter_driver.h"

/* Opens the socket of the configuration through driver_open(). On failure false and one line of text. */
bool milter_socket_open(const struct config *config, const struct driver_params *params,
                        char error[PROCESS_ERROR_SIZE]);

/* Connects to the socket and hangs up, without waiting. */
void milter_socket_nudge(void);

/* The same, and whether there was a connection: it is now for libmilter to take it. */
bool milter_socket_connects(void);

/* Removes a unix socket's path; without effect on others. */
void milter_socket_remove(void);

#endif
