/*
 * attributes.h: one request of Postfix's policy delegation protocol, taken apart (SMTPD_POLICY_README, "Protocol
 * description"): lines NAME=VALUE in any order, ended by an empty line. Unknown names are passed over.
 *
 * Pure: no I/O, no allocation, no state. Any thread.
 */
#ifndef POLICY_ATTRIBUTES_H
#define POLICY_ATTRIBUTES_H

#include <stdbool.h>
#include <stddef.h>

/* Those that Postfix sends up to 3.9 and that we make use of. The others are known by being passed over. */
enum attribute {
    ATTRIBUTE_REQUEST,
    ATTRIBUTE_PROTOCOL_STATE,
    ATTRIBUTE_HELO_NAME,
    ATTRIBUTE_SENDER,
    ATTRIBUTE_RECIPIENT,
    ATTRIBUTE_RECIPIENT_COUNT,
    ATTRIBUTE_CLIENT_ADDRESS,
    ATTRIBUTE_CLIENT_NAME,
    ATTRIBUTE_CLIENT_PORT,
    ATTRIBUTE_SERVER_ADDRESS,
    ATTRIBUTE_SERVER_PORT,
    ATTRIBUTE_INSTANCE,
    ATTRIBUTE_SASL_USERNAME,
    ATTRIBUTE_POLICY_CONTEXT,
    ATTRIBUTE_COUNT
};

/* A request is refused beyond these. Bytes with every line end; attributes, unknown ones included. */
#define ATTRIBUTES_SIZE_MAX 65536
#define ATTRIBUTES_COUNT_MAX 256

struct attributes {
    size_t size;                        /* bytes of the whole request */
    const char *value[ATTRIBUTE_COUNT]; /* into the text; NULL: not given. Given twice, the last one holds */
};

/*
 * The length of the first request in `data`, its empty line included; 0 when it is not whole yet. `from` is how many
 * bytes an earlier call has looked at already, so that a request that comes byte by byte is read but once; 0 at first.
 */
size_t attributes_whole(const char *data, size_t size, size_t from);

/*
 * Takes apart the request of `size` bytes (as attributes_whole() said) at `text`, whose line ends become NUL. The
 * values point into it. Returns NULL, or what is wrong with it, as a constant text for the log: no '=' in a line, no
 * name before it, a NUL, more than ATTRIBUTES_COUNT_MAX attributes, no attribute at all. A carriage return is a byte
 * like any other.
 */
const char *attributes_read(char *text, size_t size, struct attributes *out);

#endif
