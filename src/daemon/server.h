/*
 * server.h: the running daemon: one engine behind one lock, the door that leads to it, and the loop that answers
 * signals and the clock. There is one a process, since libmilter's callbacks have no other way to it.
 */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include <stdbool.h>

#include "config/config.h"
#include "daemon/process.h"

/* Blocks the signals that the server handles, in the calling thread and all that it makes from then on. Call it before
 * anything that may start a thread. */
void server_block_signals(void);

/*
 * Makes the engine of the configuration and opens the milter's socket. `path` is read again at each reload and must
 * mean the same file whatever the process's directory. On success the server owns *config (and sets it to NULL) and
 * server_run() may be called; on failure false, one line of text, and nothing is left behind.
 */
bool server_open(struct config **config, const char *path, char error[PROCESS_ERROR_SIZE]);

/* Calls `ready` once clients are served, then serves until SIGTERM, SIGINT or SIGHUP. False when libmilter ended by
 * itself or the loop could not be set up; a line of the log says so. Sessions may still be running in libmilter's
 * threads when it returns, so the process is expected to exit. */
bool server_run(void (*ready)(void));

#endif
