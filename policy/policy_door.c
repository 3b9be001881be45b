/*
 * policy_door.c: from Postfix's questions to the engine and back.
 */
#include "policy_door.h"

#include "mail/names.h"

#include <stdio.h>
#include <string.h>

/* What Postfix says where it does not know (mail_params.h, CLIENT_ATTR_UNKNOWN): of a name, an address or a port. */
#define UNKNOWN "unknown"

/* Names in normal form, which a request points to. */
struct names {
    char client_host[NAME_SIZE], helo[NAME_SIZE], sender[NAME_SIZE], recipient[NAME_SIZE], user[NAME_SIZE];
};

static const struct {
    const char *name;
    enum request_stage stage;
} states[] = {
    {"RCPT", REQUEST_RCPT},
    {"MAIL", REQUEST_MAIL},
    {"CONNECT", REQUEST_CONNECT},
    {"XCLIENT", REQUEST_CONNECT}, /* a proxy says who the client is: as if that one had connected */
    {"EHLO", REQUEST_HELO},
    {"HELO", REQUEST_HELO},
    {"DATA", REQUEST_DATA},
    {"BDAT", REQUEST_DATA},
    {"END-OF-MESSAGE", REQUEST_MESSAGE},
};
#define STATES (sizeof states / sizeof *states)

static enum request_stage stage_of(const char *state)
{
    for (size_t i = 0; i < STATES; i++)
        if (strcmp(state, states[i].name) == 0)
            return states[i].stage;
    return REQUEST_OTHER;
}

static bool is_said(const char *value)
{
    return value && *value;
}

/* A decimal number up to `max`; 0 for one that is not said. */
static bool read_number(const char *text, uint32_t max, uint32_t *out)
{
    uint64_t number = 0;

    *out = 0;
    if (!is_said(text))
        return true;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        number = number * 10 + (uint64_t)(*text - '0');
        if (number > max)
            return false;
    }
    *out = (uint32_t)number;
    return true;
}

static bool read_port(const char *text, uint16_t *out)
{
    uint32_t port = 0;
    bool ok = (text && strcmp(text, UNKNOWN) == 0) || read_number(text, UINT16_MAX, &port);

    *out = (uint16_t)port;
    return ok;
}

/* The address that the client reached; a wildcard says nothing of it. */
static struct addr local_addr(const char *text)
{
    struct addr addr = {0};

    if (text && addr_parse(text, &addr) && addr.hi == 0 && addr.lo == 0)
        addr = (struct addr){0};
    return addr;
}

/* Where the part of a host's name begins that somebody registered. */
static size_t domain_of(struct policy_hosts *hosts, const char *host)
{
    char domain[NAME_SIZE];
    size_t length = strlen(host);
    uint32_t hash = 2166136261u; /* FNV-1a; who makes hosts collide gains nothing but the look-up */

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)host[i]) * 16777619u;
    struct policy_host *known = &hosts->hosts[(hash ^ hash >> 16) % POLICY_HOSTS];
    if (strcmp(known->name, host) == 0) /* at first every one is "", whose part is empty, too */
        return known->domain;
    name_registrable(host, domain);
    size_t at = length - strlen(domain);
    if (length < sizeof known->name) {
        memcpy(known->name, host, length + 1);
        known->domain = (unsigned char)at;
    }
    return at;
}

/* The name that Postfix has verified, and the part of it that somebody registered: its end, or "". */
static void read_client_name(struct policy_hosts *hosts, const char *name, struct connect_event *connect,
                             char host[NAME_SIZE])
{
    host[0] = '\0';
    if (is_said(name) && strcmp(name, UNKNOWN) != 0)
        name_domain(name, host);
    connect->client_host = host;
    connect->client_domain = host + domain_of(hosts, host);
}

/* The addresses, ports and names of the connection. NULL, or what is wrong. */
static const char *read_connection(struct policy_hosts *hosts, const struct attributes *attributes,
                                   struct connect_event *connect, char host[NAME_SIZE])
{
    const char *const *value = attributes->value;

    if (!value[ATTRIBUTE_CLIENT_ADDRESS])
        return "no client_address";
    if (!read_port(value[ATTRIBUTE_CLIENT_PORT], &connect->client_port))
        return "client_port is no port";
    if (!read_port(value[ATTRIBUTE_SERVER_PORT], &connect->local_port))
        return "server_port is no port";
    addr_parse(value[ATTRIBUTE_CLIENT_ADDRESS], &connect->client);
    connect->local = local_addr(value[ATTRIBUTE_SERVER_ADDRESS]);
    connect->partly_heard = true;
    connect->daemon_name = is_said(value[ATTRIBUTE_POLICY_CONTEXT]) ? value[ATTRIBUTE_POLICY_CONTEXT] : NULL;
    read_client_name(hosts, value[ATTRIBUTE_CLIENT_NAME], connect, host);
    return NULL;
}

/* What the client has said of itself and of its message. */
static void read_names(const struct attributes *attributes, struct request *request, struct names *names)
{
    const char *const *value = attributes->value;
    bool has_sender = request->stage >= REQUEST_MAIL && request->stage <= REQUEST_MESSAGE
                          ? value[ATTRIBUTE_SENDER] != NULL
                          : is_said(value[ATTRIBUTE_SENDER]) && request->stage == REQUEST_OTHER;

    request->names.client_host = request->connect.client_host;
    request->names.client_domain = request->connect.client_domain;
    if (is_said(value[ATTRIBUTE_HELO_NAME])) { /* else the client has said none */
        name_domain(value[ATTRIBUTE_HELO_NAME], names->helo);
        request->names.helo = names->helo;
    }
    if (has_sender) {
        name_address(value[ATTRIBUTE_SENDER], names->sender);
        request->names.sender = names->sender;
    }
    if (is_said(value[ATTRIBUTE_RECIPIENT])) {
        name_address(value[ATTRIBUTE_RECIPIENT], names->recipient);
        request->names.recipient = names->recipient;
    }
    if (is_said(value[ATTRIBUTE_SASL_USERNAME])) {
        name_user(value[ATTRIBUTE_SASL_USERNAME], names->user);
        request->names.user = names->user;
    }
    request->message = value[ATTRIBUTE_INSTANCE];
}

/* Postfix's commands are no longer than its line_length_limit, 2048. */
#define VALUE_MAX 4096

static bool is_too_long(const struct attributes *attributes)
{
    for (unsigned i = 0; i < ATTRIBUTE_COUNT && attributes->size > VALUE_MAX; i++)
        if (attributes->value[i] && strnlen(attributes->value[i], VALUE_MAX + 1) > VALUE_MAX)
            return true;
    return false;
}

/* NULL, or what is wrong. */
static const char *read_request(struct policy_hosts *hosts, const struct attributes *attributes, enum request_hold hold,
                                struct request *request, struct names *names)
{
    const char *const *value = attributes->value;

    if (is_too_long(attributes))
        return "a value is too long";
    if (!is_said(value[ATTRIBUTE_REQUEST]))
        return "no request";
    if (strcmp(value[ATTRIBUTE_REQUEST], "smtpd_access_policy") != 0)
        return "request is not smtpd_access_policy";
    if (!is_said(value[ATTRIBUTE_PROTOCOL_STATE]))
        return "no protocol_state";
    if (!read_number(value[ATTRIBUTE_RECIPIENT_COUNT], UINT32_MAX, &request->recipient_count))
        return "recipient_count is no number";
    request->stage = stage_of(value[ATTRIBUTE_PROTOCOL_STATE]);
    request->hold = hold;
    const char *wrong = read_connection(hosts, attributes, &request->connect, names->client_host);
    if (!wrong)
        read_names(attributes, request, names);
    return wrong;
}

static void write_answer(const struct request_answer *answer, enum request_stage stage, struct policy_answer *out)
{
    static const char dunno[] = "action=DUNNO\n\n";
    int length = sizeof dunno - 1;

    if (answer->kind == VERDICT_REFUSE && answer->count > 0) {
        const struct reply *reply = &answer->verdicts[answer->count - 1].reply;
        length = snprintf(out->text, sizeof out->text, "action=%s%s%s %s\n\n", reply->code, *reply->enhanced ? " " : "",
                          reply->enhanced, reply->text);
    } else if (answer->score[0] && (stage == REQUEST_DATA || stage == REQUEST_MESSAGE)) {
        length = snprintf(out->text, sizeof out->text, "action=PREPEND X-Tidegate-Score: %s\n\n", answer->score);
    } else {
        memcpy(out->text, dunno, sizeof dunno);
    }
    out->length = (size_t)length;
    out->delay_ns = answer->delay_ns > 0 ? answer->delay_ns : 0;
}

const char *policy_answer(const struct door_params *door, struct policy_hosts *hosts, enum request_hold hold,
                          const struct attributes *attributes, struct policy_answer *out)
{
    struct request request = {0};
    struct names names;
    struct request_answer answer;

    const char *wrong = read_request(hosts, attributes, hold, &request, &names);
    if (wrong)
        return wrong;
    /* Elsewhere a question for each command would cost too much. */
    if (door->cookie && (request.stage == REQUEST_CONNECT || hold == HOLD_WATCH)) {
        const struct watched_connection connection = {request.connect.client, request.connect.local,
                                                      request.connect.client_port, request.connect.local_port, 0};
        request.cookie = door->cookie(&connection);
    }
    int64_t now = door->now();
    pthread_mutex_lock(door->lock);
    engine_request(door->engine, &request, now, &answer);
    pthread_mutex_unlock(door->lock);
    door_decided(door, now);
    for (unsigned i = 0; i < answer.count; i++)
        if (answer.verdicts[i].finding_count > 0)
            door->tell(&answer.verdicts[i], &request.connect.client);
    write_answer(&answer, request.stage, out);
    return NULL;
}
