/*
 * sockets.h: the sockets of our own that a configuration names: the milter door's, those of the policy door, and the
 * two of the HTTP service.
 *
 * A socket option that the section of a socket does not set is taken from the top level, and at last from its default.
 * What is for TCP alone passes a unix socket over there; in the section itself it is a mistake.
 */
#ifndef CONFIG_SOCKETS_H
#define CONFIG_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/messages.h"
#include "config/options.h"
#include "config/values.h"
#include "engine/request.h"

struct config;
struct scan;

/* Not set, or not for this socket: the system's own. */
#define SOCKET_UNSET (-1)

/* By enum socket_field: SOCKET_UNSET, or: backlog (0: as much as the system allows), send_buffer and receive_buffer
 * (bytes, 0: the kernel's own), nodelay, reuse_port and reuse_address (0 or 1), linger (seconds), ttl, tos. */
struct socket_options {
    int value[SOCKET_OPTION_COUNT];
};

struct socket_config {
    char *socket;               /* as written: "inet:7357@127.0.0.1", "unix:/run/x", "127.0.0.1:7359" */
    struct socket_name address; /* the same, taken apart */
    char *group;                /* of a unix socket; NULL: leave the group as it is */
    gid_t gid;                  /* of `group` */
    mode_t mode;                /* of a unix socket: 0 to 0777 */
    struct socket_options options;
    enum request_hold sessions;         /* of a policy section */
    uint32_t connections;               /* of a policy section: 1 to 1000000 */
    unsigned line;                      /* of the section; 0: it is the default */
    unsigned lines[SOCKET_FIELD_COUNT]; /* where each was set; 0: nowhere, it is the default */
};

/* Fills in config->milter, policies, http and control, defaults included. Mistakes go to `messages`; config->path must
 * be set. Asks the system for the groups of unix sockets. */
void sockets_set(struct config *config, const struct scan *scan, struct config_messages *messages);

/* Frees what sockets_set() has made. */
void sockets_clear(struct config *config);

/* Whether only this host reaches it: an address of `http`. */
bool socket_is_loopback(const struct socket_name *address);

/* The option that says where the socket of that section listens. */
const struct option_row *socket_address_option(enum section_id section);

/* True when a socket of that kind can have the option, which is of TO_SOCKET. */
bool option_fits(const struct option_row *option, enum socket_kind kind);

/* The value of an option of TO_SOCKET as a text, "" when it is not set. May be written to `room`. */
#define SOCKET_FIELD_TEXT_SIZE 24
const char *socket_field_text(const struct socket_config *socket, const struct option_row *option,
                              char room[SOCKET_FIELD_TEXT_SIZE]);

/* Orders sockets by where they listen, then by how that is written. */
int socket_compare(const struct socket_config *a, const struct socket_config *b);

#endif
