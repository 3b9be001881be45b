/*
 * listening.h: opens the sockets of our own, with the options that the configuration gives them, and removes what is
 * left of them. Connections that are accepted have those options too.
 *
 * Threads: listening_open() changes the umask meanwhile, so before others run; everything else one thread at a time for
 * one structure.
 */
#ifndef DAEMON_LISTENING_H
#define DAEMON_LISTENING_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "config/sockets.h"
#include "daemon/process.h"

struct listening {
    int descriptor; /* -1: none */
    struct sockaddr_storage address;
    socklen_t length; /* of the address */
    dev_t device;     /* of a unix socket's path, so that nobody else's is removed */
    ino_t inode;      /* 0: there is none to remove */
};

/*
 * Listens, with a descriptor that does not block and is closed on exec. A unix socket's path is made free first, as
 * process_clear_socket() does, and has its group and mode before anybody can connect. On failure false, one line of
 * text, as "WHAT socket TEXT: reason", and nothing is left behind. An inet6 socket is for IPv6 alone, so that an inet
 * socket may have the same port.
 */
bool listening_open(struct listening *listening, const struct socket_config *config, const char *what,
                    char error[PROCESS_ERROR_SIZE]);

/* Finds out whether libmilter can listen there, and closes again: it reuses addresses, and leaves it to the system
 * whether its inet6 sockets are for IPv6 alone. Then only the address is filled in. Failure as above. */
bool listening_try(struct listening *listening, const struct socket_config *config, const char *what,
                   char error[PROCESS_ERROR_SIZE]);

/* Remembers the unix socket that stands at the path of the configuration as this one's, and gives it its group and
 * mode. On failure false, one line of text, and the path is removed. */
bool listening_adopt(struct listening *listening, const struct socket_config *config, char error[PROCESS_ERROR_SIZE]);

/* What listen(2) is given, 1 or more. */
int listening_backlog(const struct socket_options *options);

/* Closes the descriptor, if there is one. */
void listening_close(struct listening *listening);

/* Removes a unix socket's path, if it is still this socket's; without effect on others, and the second time. */
void listening_remove(struct listening *listening);

#endif
