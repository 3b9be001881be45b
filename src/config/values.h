/*
 * values.h: the texts of values, read and written.
 *
 * The readers are strict: decimal whole numbers alone, no sign, no leading zero, no blanks. Each returns true and fills
 * *out, or returns false and leaves in `why` what was wrong and what would be right, in VALUE_WHY_SIZE bytes at most.
 * Pure; any thread.
 */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "config/options.h"
#include "engine/addr.h"
#include "engine/event.h"

#define VALUE_WHY_SIZE 400

/* The longest name of a scope or daemon that is taken, end included. */
#define VALUE_NAME_SIZE 101

/* A whole number, 0 <= min <= max. */
bool value_count(const char *text, int64_t min, int64_t max, int64_t *out, char why[VALUE_WHY_SIZE]);

/* "90", "90s", "5m", "2h", "1d"; min, max and *out in nanoseconds, at most a hundred years. */
bool value_duration(const char *text, int64_t min, int64_t max, int64_t *out, char why[VALUE_WHY_SIZE]);

/* yes, no, true, false, on, off, in any letter case. */
bool value_bool(const char *text, bool *out, char why[VALUE_WHY_SIZE]);

/* One of `words` (NULL ends them), in any letter case: *out is its place among them. */
bool value_word(const char *text, const char *const *words, int64_t *out, char why[VALUE_WHY_SIZE]);

/* A value of an option that is a number, a prefix length, a duration or a word. */
bool value_number(const struct option_row *option, const char *text, int64_t *out, char why[VALUE_WHY_SIZE]);

/* "0660", "660": octal, 0 to 0777. */
bool value_permissions(const char *text, unsigned *out, char why[VALUE_WHY_SIZE]);

/* One word of plain ASCII that can stand in a log line and in a scope's name. */
bool value_name(const char *text, char why[VALUE_WHY_SIZE]);

/* An absolute path. */
bool value_path(const char *text, char why[VALUE_WHY_SIZE]);

enum socket_kind { SOCKET_UNIX, SOCKET_INET, SOCKET_INET6 };

struct socket_name {
    enum socket_kind kind;
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* SOCKET_UNIX */
    char host[256];                                       /* SOCKET_INET, SOCKET_INET6: a name or address */
    uint16_t port;                                        /* likewise, 1 to 65535 */
};

/* libmilter's notation: "inet:PORT@HOST", "inet6:PORT@HOST", "unix:PATH", "local:PATH", or an absolute path alone. */
bool value_socket(const char *text, struct socket_name *out, char why[VALUE_WHY_SIZE]);

/* "ADDRESS:PORT" or "[IPV6]:PORT": an address, no name. */
bool value_tcp(const char *text, struct socket_name *out, char why[VALUE_WHY_SIZE]);

/* The path of a unix socket, with "unix:" before it or without. */
bool value_unix(const char *text, struct socket_name *out, char why[VALUE_WHY_SIZE]);

/* The address of a socket, in the notation that the option has. */
bool value_socket_of(const struct option_row *option, const char *text, struct socket_name *out,
                     char why[VALUE_WHY_SIZE]);

/* The title of a listen: ":25", "10.0.0.1:25", "10.0.0.1", "[2001:db8::1]:25", "[2001:db8::1]", "". ADDR_NONE in *addr
 * is any address, 0 in *port any port. */
bool value_listen(const char *text, struct addr *addr, uint16_t *port, char why[VALUE_WHY_SIZE]);

/* How a text that was copied from somewhere names an address. */
enum address_form {
    ADDRESS_NONE,
    ADDRESS_ALONE,     /* "192.0.2.7", "2001:db8::7", "IPv6:2001:db8::7" */
    ADDRESS_LITERAL,   /* "[192.0.2.7]", "[IPv6:2001:db8::7]" (RFC 5321, 4.1.3), "[2001:db8::7]" */
    ADDRESS_WITH_PORT, /* "192.0.2.7:25", "[2001:db8::7]:25" */
    ADDRESS_WITH_ZONE, /* "fe80::7%eth0", with brackets and a port or without */
};

/* *out is the address, ADDR_NONE with ADDRESS_NONE. */
enum address_form value_address(const char *text, struct addr *out);

/* An address or a CIDR block without host bits. */
bool value_prefix(const char *text, struct prefix *out, char why[VALUE_WHY_SIZE]);

/* What a client is told: "CODE TEXT" or "CODE ENHANCED TEXT". The code is 421, 450 to 459 or 550 to 559; the enhanced
 * code (RFC 3463) is of the code's class, and 4.7.1 or 5.7.1 when none is given; {client}, {limit}, {count} and {max}
 * may stand in the text, and no other braces. */
bool value_reply(const char *text, struct reply *out, char why[VALUE_WHY_SIZE]);

/* True when `text` is so much like an address or CIDR block that it can hardly be meant as a name. */
bool value_looks_like_prefix(const char *text);

/* For readers of values elsewhere: writes the reason, and is always false. */
bool value_refuse(char why[VALUE_WHY_SIZE], const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* Writes the shortest text that value_duration() reads as `duration` (whole seconds). Returns `out`. */
#define DURATION_TEXT_SIZE 24
const char *duration_format(int64_t duration, char out[DURATION_TEXT_SIZE]);

#endif
