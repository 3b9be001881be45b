/*
 * load_wire.c: see load_wire.h. The protocol is written down nowhere; libmilter/mfdef.h names its numbers.
 */
#define _POSIX_C_SOURCE 200809L
#include "load_wire.h"

#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>

/* What Postfix 3.7 offers. */
#define OFFERED_ACTIONS ((uint32_t)SMFI_CURR_ACTS)
#define OFFERED_PROTOCOL ((uint32_t)SMFI_CURR_PROT)

#define STAGE_LAST SMFIM_LAST

/* The macros that this MTA has a value for. */
#define MACROS_MAX 7
static const struct {
    uint32_t stage; /* as a filter names it when it asks for macros */
    char command;
    const char *names[MACROS_MAX + 1];
} stages[WIRE_STAGES] = {
    [WIRE_CONNECT] = {SMFIM_CONNECT,
                      SMFIC_CONNECT,
                      {"j", "_", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{if_addr}", "v"}},
    [WIRE_MAIL] = {SMFIM_ENVFROM, SMFIC_MAIL, {"{auth_authen}", "{mail_addr}"}},
    [WIRE_RCPT] = {SMFIM_ENVRCPT, SMFIC_RCPT, {"{rcpt_mailer}", "{rcpt_addr}"}},
};

const char *wire_read_socket(const char *text, struct sockaddr_storage *address, socklen_t *size)
{
    static const struct {
        const char *prefix;
        int family;
    } notations[] = {{"inet:", AF_INET}, {"inet6:", AF_INET6}, {"unix:", AF_UNIX}, {"local:", AF_UNIX}, {"", AF_UNIX}};
    size_t notation = 0;

    while (strncmp(text, notations[notation].prefix, strlen(notations[notation].prefix)) != 0)
        notation++;
    const char *rest = text + strlen(notations[notation].prefix);
    int family = notations[notation].family;

    memset(address, 0, sizeof *address);
    if (family == AF_UNIX) {
        struct sockaddr_un *local = (struct sockaddr_un *)address;
        if (*rest != '/' && rest == text)
            return "expected inet:PORT@HOST or unix:PATH";
        if (strlen(rest) >= sizeof local->sun_path)
            return "the path is too long";
        local->sun_family = AF_UNIX;
        memcpy(local->sun_path, rest, strlen(rest));
        *size = sizeof *local;
        return NULL;
    }

    char port[16];
    size_t length = strcspn(rest, "@");
    if (length == 0 || length >= sizeof port)
        return "expected a port";
    memcpy(port, rest, length);
    port[length] = '\0';
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int error = getaddrinfo(rest[length] == '@' ? rest + length + 1 : "localhost", port, &hints, &found);
    if (error != 0)
        return gai_strerror(error);
    memcpy(address, found->ai_addr, found->ai_addrlen);
    *size = found->ai_addrlen;
    freeaddrinfo(found);
    return NULL;
}

static void put_bytes(struct wire_output *output, const void *bytes, size_t length)
{
    assert(length <= sizeof output->bytes - output->used);
    memcpy(output->bytes + output->used, bytes, length);
    output->used += length;
}

static void put_byte(struct wire_output *output, unsigned byte)
{
    put_bytes(output, &(unsigned char){(unsigned char)byte}, 1);
}

static void put_u16(struct wire_output *output, uint16_t value)
{
    put_byte(output, value >> 8);
    put_byte(output, value & 255);
}

static void put_u32(struct wire_output *output, uint32_t value)
{
    put_u16(output, (uint16_t)(value >> 16));
    put_u16(output, (uint16_t)(value & 65535));
}

/* With the zero byte that ends it. */
static void put_string(struct wire_output *output, const char *text)
{
    put_bytes(output, text, strlen(text) + 1);
}

/* Returns what packet_end() needs to fill in the length. */
static size_t packet_begin(struct wire_output *output, char command)
{
    size_t start = output->used;

    put_u32(output, 0);
    put_byte(output, (unsigned char)command);
    return start;
}

static void packet_end(struct wire_output *output, size_t start)
{
    size_t end = output->used;

    output->used = start;
    put_u32(output, (uint32_t)(end - start - 4));
    output->used = end;
}

void wire_put_negotiate(struct wire_output *output)
{
    size_t start = packet_begin(output, SMFIC_OPTNEG);

    put_u32(output, SMFI_PROT_VERSION);
    put_u32(output, OFFERED_ACTIONS);
    put_u32(output, OFFERED_PROTOCOL);
    packet_end(output, start);
}

static void put_macros(struct wire_output *output, const struct wire_negotiated *negotiated, enum wire_stage stage,
                       const char *const values[])
{
    if (negotiated->macros[stage] == 0)
        return;
    size_t start = packet_begin(output, SMFIC_MACRO);
    put_byte(output, (unsigned char)stages[stage].command);
    for (size_t i = 0; stages[stage].names[i]; i++) {
        if (negotiated->macros[stage] >> i & 1) {
            put_string(output, stages[stage].names[i]);
            put_string(output, values[i]);
        }
    }
    packet_end(output, start);
}

void wire_put_connect(struct wire_output *output, const struct wire_negotiated *negotiated,
                      const struct wire_client *client, const struct wire_daemon *daemon)
{
    char address[16], link[WIRE_TEXT_SIZE + 20];
    const char *const values[] = {
        "mx.test.example", link, daemon->name, "192.0.2.1", daemon->port, "192.0.2.1", "Postfix 3.7.11",
    };

    snprintf(address, sizeof address, "%u.%u.%u.%u", client->address >> 24, client->address >> 16 & 255,
             client->address >> 8 & 255, client->address & 255);
    snprintf(link, sizeof link, "%s [%s]", client->host, address);
    put_macros(output, negotiated, WIRE_CONNECT, values);
    size_t start = packet_begin(output, SMFIC_CONNECT);
    put_string(output, client->host);
    put_byte(output, SMFIA_INET);
    put_u16(output, client->port);
    put_string(output, address);
    packet_end(output, start);
}

void wire_put_mail(struct wire_output *output, const struct wire_negotiated *negotiated,
                   const struct wire_client *client, const char *sender)
{
    const char *const values[] = {client->user, sender};

    put_macros(output, negotiated, WIRE_MAIL, values);
    wire_put_text(output, SMFIC_MAIL, sender);
}

void wire_put_rcpt(struct wire_output *output, const struct wire_negotiated *negotiated, const char *recipient)
{
    const char *const values[] = {"local", recipient};

    put_macros(output, negotiated, WIRE_RCPT, values);
    wire_put_text(output, SMFIC_RCPT, recipient);
}

void wire_put_text(struct wire_output *output, char command, const char *text)
{
    size_t start = packet_begin(output, command);

    put_string(output, text);
    packet_end(output, start);
}

void wire_put_empty(struct wire_output *output, char command)
{
    packet_end(output, packet_begin(output, command));
}

uint32_t wire_get_u32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Names are parted by blanks or commas. */
static uint32_t known_macros(enum wire_stage stage, const char *names)
{
    uint32_t macros = 0;

    for (names += strspn(names, " ,"); *names != '\0'; names += strspn(names, " ,")) {
        size_t length = strcspn(names, " ,");
        for (size_t i = 0; stages[stage].names[i]; i++)
            if (strlen(stages[stage].names[i]) == length && memcmp(stages[stage].names[i], names, length) == 0)
                macros |= UINT32_C(1) << i;
        names += length;
    }
    return macros;
}

const char *wire_read_negotiation(const unsigned char *data, size_t length, struct wire_negotiated *negotiated)
{
    if (length < MILTER_OPTLEN)
        return "a short answer to the negotiation";
    if (wire_get_u32(data) < 2 || wire_get_u32(data) > SMFI_PROT_VERSION)
        return "a protocol version that was not offered";
    if (wire_get_u32(data + 4) & ~OFFERED_ACTIONS)
        return "an action that was not offered";
    if (wire_get_u32(data + 8) & ~OFFERED_PROTOCOL)
        return "a protocol step that was not offered";
    negotiated->protocol = wire_get_u32(data + 8);
    /* A filter that says nothing about macros gets what the MTA has by default: all of ours. */
    for (size_t i = 0; i < WIRE_STAGES; i++)
        negotiated->macros[i] = UINT32_MAX;

    data += MILTER_OPTLEN;
    length -= MILTER_OPTLEN;
    while (length > 0) {
        const unsigned char *end = length > 4 ? memchr(data + 4, '\0', length - 4) : NULL;
        if (end == NULL)
            return "a list of macros without an end";
        if (wire_get_u32(data) > STAGE_LAST)
            return "a list of macros for no known stage";
        for (enum wire_stage i = WIRE_CONNECT; i < WIRE_STAGES; i++)
            if (wire_get_u32(data) == stages[i].stage)
                negotiated->macros[i] = known_macros(i, (const char *)data + 4);
        length -= (size_t)(end + 1 - data);
        data = end + 1;
    }
    return NULL;
}

const char *wire_read_answer(char command, const unsigned char *data, size_t length, bool in_mail, int *code)
{
    *code = 0;
    switch (command) {
    case SMFIR_CONTINUE:
    case SMFIR_PROGRESS:
    case SMFIR_ACCEPT:
    case SMFIR_REJECT:
    case SMFIR_TEMPFAIL:
        return length == 0 ? NULL : "an answer with something behind it";
    case SMFIR_DISCARD:
        if (length != 0)
            return "an answer with something behind it";
        return in_mail ? NULL : "discard before there is a message";
    case SMFIR_REPLYCODE:
        if (length < 4 || data[length - 1] != '\0')
            return "a reply without an end";
        if (strspn((const char *)data, "0123456789") != 3 || (data[0] != '4' && data[0] != '5'))
            return "a reply that is neither 4xx nor 5xx";
        *code = (data[0] - '0') * 100 + (data[1] - '0') * 10 + (data[2] - '0');
        return NULL;
    default:
        return "an answer that is none of the protocol";
    }
}
