/*
 * privileges.h: the daemon opens its sockets as whoever started it, and then gives up what it no longer needs.
 *
 * Where the configuration names a `user` and root started us, we become that user. Every capability goes, the bounding
 * set too, and nothing that is executed can bring any back (no_new_privs). One may stay: CAP_NET_ADMIN, where
 * idle_action asks to end connections and we have it. Without libcap-ng, and on other systems than Linux, only user and
 * groups change, and nothing stays.
 *
 * Threads: capabilities are each thread's own, so call these from the main one before there are others.
 */
#ifndef DAEMON_PRIVILEGES_H
#define DAEMON_PRIVILEGES_H

#include "config/config.h"
#include "daemon/process.h"

/* Before the pid file and the sockets are opened: makes the folder of the control socket where it is missing, and gives
 * it to the user that we shall become. Where that fails, opening the socket tells why. The pid file's folder stays
 * root's unless it is the same: who can replace that file chooses the process that root's kill(1) hits. */
void privileges_make_directory(const struct config *config);

/*
 * After all that needs rights is open: gives the unix sockets to the user of the configuration, as if that user had
 * made them, becomes that user, and drops what is not needed. With no `user` root stays root, which the log is told,
 * and anybody else only drops capabilities. The log is also told when the configuration or a list's file cannot be read
 * any more.
 *
 * False, and one line of text, when we cannot become that user or drop what we should: do not go on then.
 */
bool privileges_settle(const struct config *config, char error[PROCESS_ERROR_SIZE]);

#endif
