/*
 * plain_attributes.h: a request of the policy delegation protocol read in the plainest way, byte by byte, for the tests
 * to compare policy/attributes.c with. It shares nothing with it but the enum and the bound.
 */
#ifndef FUZZ_PLAIN_ATTRIBUTES_H
#define FUZZ_PLAIN_ATTRIBUTES_H

#include <string.h>

#include "policy/attributes.h"

static const char *const plain_names[ATTRIBUTE_COUNT] = {
    [ATTRIBUTE_REQUEST] = "request",
    [ATTRIBUTE_PROTOCOL_STATE] = "protocol_state",
    [ATTRIBUTE_HELO_NAME] = "helo_name",
    [ATTRIBUTE_SENDER] = "sender",
    [ATTRIBUTE_RECIPIENT] = "recipient",
    [ATTRIBUTE_RECIPIENT_COUNT] = "recipient_count",
    [ATTRIBUTE_CLIENT_ADDRESS] = "client_address",
    [ATTRIBUTE_CLIENT_NAME] = "client_name",
    [ATTRIBUTE_CLIENT_PORT] = "client_port",
    [ATTRIBUTE_SERVER_ADDRESS] = "server_address",
    [ATTRIBUTE_SERVER_PORT] = "server_port",
    [ATTRIBUTE_INSTANCE] = "instance",
    [ATTRIBUTE_SASL_USERNAME] = "sasl_username",
    [ATTRIBUTE_POLICY_CONTEXT] = "policy_context",
};

/* Where each value lies in the text. */
struct plain_attributes {
    bool given[ATTRIBUTE_COUNT];
    size_t at[ATTRIBUTE_COUNT], length[ATTRIBUTE_COUNT];
};

/* The length of the first request, its empty line included; 0: not whole. */
static inline size_t plain_whole(const char *data, size_t size)
{
    size_t column = 0; /* how many bytes the line has so far */

    for (size_t i = 0; i < size; i++) {
        if (data[i] != '\n')
            column++;
        else if (column == 0)
            return i + 1;
        else
            column = 0;
    }
    return 0;
}

/* True when the request, which ends with its empty line, is to be read; *out is then filled in. */
static inline bool plain_read(const char *text, size_t size, struct plain_attributes *out)
{
    size_t count = 0, line = 0;

    memset(out, 0, sizeof *out);
    while (text[line] != '\n') {
        size_t equals = line, line_end;
        while (text[equals] != '=')
            if (text[equals++] == '\n')
                return false;
        if (equals == line)
            return false;
        for (line_end = equals; text[line_end] != '\n';)
            line_end++;
        for (int i = 0; i < ATTRIBUTE_COUNT; i++) {
            if (strlen(plain_names[i]) != equals - line || strncmp(plain_names[i], text + line, equals - line) != 0)
                continue;
            out->given[i] = true;
            out->at[i] = equals + 1;
            out->length[i] = line_end - equals - 1;
        }
        line = line_end + 1;
        count++;
    }
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\0')
            return false;
    return count >= 1 && count <= ATTRIBUTES_COUNT_MAX;
}

#endif
