/*
 * attributes.c: a request of Postfix's policy delegation protocol, taken apart.
 */
#include "attributes.h"

#include <string.h>

/* Where a name of that length with these first and last letters stands in the table below. The factors are such that no
 * two names meet; a compiler that warns tells when they do (the later initializer would win). */
#define PLACES 32
#define PLACE(length, first, last) (((length) + 3u * (unsigned char)(first) + 5u * (unsigned char)(last)) % PLACES)
#define NAME(name, first, last, attribute) [PLACE(sizeof(name) - 1, first, last)] = {name, sizeof(name) - 1, attribute}

static const struct {
    const char *name; /* NULL: nobody stands here */
    size_t length;
    enum attribute attribute;
} names[PLACES] = {
    NAME("request", 'r', 't', ATTRIBUTE_REQUEST),
    NAME("protocol_state", 'p', 'e', ATTRIBUTE_PROTOCOL_STATE),
    NAME("helo_name", 'h', 'e', ATTRIBUTE_HELO_NAME),
    NAME("sender", 's', 'r', ATTRIBUTE_SENDER),
    NAME("recipient", 'r', 't', ATTRIBUTE_RECIPIENT),
    NAME("recipient_count", 'r', 't', ATTRIBUTE_RECIPIENT_COUNT),
    NAME("client_address", 'c', 's', ATTRIBUTE_CLIENT_ADDRESS),
    NAME("client_name", 'c', 'e', ATTRIBUTE_CLIENT_NAME),
    NAME("client_port", 'c', 't', ATTRIBUTE_CLIENT_PORT),
    NAME("server_address", 's', 's', ATTRIBUTE_SERVER_ADDRESS),
    NAME("server_port", 's', 't', ATTRIBUTE_SERVER_PORT),
    NAME("instance", 'i', 'e', ATTRIBUTE_INSTANCE),
    NAME("sasl_username", 's', 'e', ATTRIBUTE_SASL_USERNAME),
    NAME("policy_context", 'p', 't', ATTRIBUTE_POLICY_CONTEXT),
};

/* ATTRIBUTE_COUNT for a name that is not among them; `length` is at least 1. */
static enum attribute attribute_named(const char *name, size_t length)
{
    size_t place = PLACE(length, name[0], name[length - 1]);

    if (names[place].length != length || memcmp(names[place].name, name, length) != 0)
        return ATTRIBUTE_COUNT;
    return names[place].attribute;
}

size_t attributes_whole(const char *data, size_t size, size_t from)
{
    if (size == 0)
        return 0;
    if (data[0] == '\n')
        return 1;
    const char *end = data + size;
    /* A line that ended with the last byte seen before may have the empty one behind it by now. */
    for (const char *at = data + (from > 0 ? from - 1 : 0); (at = memchr(at, '\n', (size_t)(end - at))) != NULL;) {
        if (++at == end)
            return 0;
        if (*at == '\n')
            return (size_t)(at + 1 - data);
    }
    return 0;
}

const char *attributes_read(char *text, size_t size, struct attributes *out)
{
    *out = (struct attributes){.size = size};
    if (size <= 1)
        return "no attribute";
    if (memchr(text, '\0', size))
        return "a NUL";
    char *end = text + size - 1; /* the empty line */
    unsigned count = 0;
    for (char *line = text, *next; line < end; line = next) {
        char *line_end = memchr(line, '\n', (size_t)(end - line));
        char *equals = memchr(line, '=', (size_t)(line_end - line));
        if (!equals)
            return "a line without '='";
        if (equals == line)
            return "an attribute without a name";
        if (++count > ATTRIBUTES_COUNT_MAX)
            return "too many attributes";
        enum attribute attribute = attribute_named(line, (size_t)(equals - line));
        if (attribute != ATTRIBUTE_COUNT)
            out->value[attribute] = equals + 1;
        *line_end = '\0';
        next = line_end + 1;
    }
    *end = '\0';
    return NULL;
}
