/*
 * limits.c: the catalogue of limits, and which pairs of count and per make sense.
 */
#include "limits.h"

#define SECONDS(n) ((n)*INT64_C(1000000000))
#define HOURS(n) SECONDS((n)*INT64_C(3600))

/* What every row says of its terms, unless it says otherwise. */
#define TERMS(...)                                                                                                  \
    {                                                                                                               \
        [TERM_MAX_GOOD] = TERM_UNSET, [TERM_MAX_BAD] = TERM_UNSET, [TERM_MAX_AUTHENTICATED] = TERM_UNSET,           \
        [TERM_MODE] = MODE_BLOCK, [TERM_POINTS] = 1, [TERM_DISCONNECT_DELAY] = TERM_UNSET, [TERM_IPV4_PREFIX] = 24, \
        [TERM_IPV6_PREFIX] = 64, __VA_ARGS__                                                                        \
    }

const int64_t limit_custom_defaults[LIMIT_TERMS] = TERMS([TERM_MAX] = 0);

const struct limit_builtin limit_builtins[LIMITS_BUILTIN] = {
    [LIMIT_NUMBER_CLIENT_SESSIONS] = {"client_sessions", COUNT_SESSIONS, PER_CLIENT, TERMS([TERM_MAX] = 5),
                                      "Sessions at once of one client."},
    [LIMIT_NUMBER_CLIENT_CONNECTIONS] = {"client_connections", COUNT_CONNECTIONS, PER_CLIENT,
                                         TERMS([TERM_MAX] = 10, [TERM_WINDOW] = SECONDS(90)),
                                         "Connections of one client in a while."},
    [LIMIT_NUMBER_CLIENT_MESSAGES] = {"client_messages", COUNT_MESSAGES, PER_CLIENT,
                                      TERMS([TERM_MAX] = 100, [TERM_WINDOW] = HOURS(1)),
                                      "Messages of one client in a while."},
    [LIMIT_NUMBER_CLIENT_RECIPIENTS] = {"client_recipients", COUNT_RECIPIENTS, PER_CLIENT,
                                        TERMS([TERM_MAX] = 500, [TERM_WINDOW] = HOURS(1)),
                                        "Recipients that one client names in a while, rejected ones included."},
    [LIMIT_NUMBER_CLIENT_ERRORS] = {"client_errors", COUNT_ERRORS, PER_CLIENT,
                                    TERMS([TERM_MAX] = 30, [TERM_WINDOW] = HOURS(1)),
                                    "Errors of one client in a while: unknown commands and rejected recipients."},
    [LIMIT_NUMBER_SENDER_RECIPIENTS] = {"sender_recipients", COUNT_RECIPIENTS, PER_SENDER,
                                        TERMS([TERM_MAX] = 500, [TERM_WINDOW] = HOURS(1)),
                                        "Recipients that one envelope sender writes to in a while."},
    [LIMIT_NUMBER_RECIPIENT_MESSAGES] = {"recipient_messages", COUNT_MESSAGES, PER_RECIPIENT,
                                         TERMS([TERM_MAX] = 200, [TERM_WINDOW] = HOURS(1)),
                                         "Messages to one recipient in a while."},
    [LIMIT_NUMBER_RECIPIENT_BOUNCES] = {"recipient_bounces", COUNT_BOUNCES, PER_RECIPIENT,
                                        TERMS([TERM_MAX] = 20, [TERM_WINDOW] = HOURS(1)),
                                        "Bounces (messages from the null sender) to one recipient in a while."},
    [LIMIT_NUMBER_USER_RECIPIENTS] = {"user_recipients", COUNT_RECIPIENTS, PER_USER,
                                      TERMS([TERM_MAX] = 1000, [TERM_WINDOW] = HOURS(24)),
                                      "Recipients that one authenticated user writes to in a while."},
    [LIMIT_NUMBER_DOMAIN_NETWORKS] = {"domain_networks", COUNT_NETWORKS, PER_SENDER_DOMAIN,
                                      TERMS([TERM_MAX] = 10, [TERM_WINDOW] = HOURS(2), [TERM_BAN] = HOURS(2)),
                                      "Different networks that one sender domain comes from in a while."},
    [LIMIT_NUMBER_HELO_NETWORKS] = {"helo_networks", COUNT_NETWORKS, PER_HELO,
                                    TERMS([TERM_MAX] = 10, [TERM_WINDOW] = HOURS(2), [TERM_BAN] = HOURS(2)),
                                    "Different networks that one HELO name comes from in a while."},
    [LIMIT_NUMBER_SESSION_ERRORS] = {"session_errors", COUNT_ERRORS, PER_SESSION,
                                     TERMS([TERM_MAX] = 20, [TERM_SOFT] = 10, [TERM_ERROR_DELAY] = SECONDS(1)),
                                     "Errors of a session since it last delivered a message."},
    [LIMIT_NUMBER_SESSION_UNKNOWN_COMMANDS] = {"session_unknown_commands", COUNT_UNKNOWN_COMMANDS, PER_SESSION,
                                               TERMS([TERM_MAX] = 10),
                                               "Commands of a session that the MTA does not know."},
    [LIMIT_NUMBER_SESSION_RECIPIENTS] = {"session_recipients", COUNT_RECIPIENTS, PER_SESSION, TERMS([TERM_MAX] = 1000),
                                         "Recipients that a session names, rejected ones included."},
    [LIMIT_NUMBER_SESSION_MESSAGES] = {"session_messages", COUNT_MESSAGES, PER_SESSION, TERMS([TERM_MAX] = 100),
                                       "Messages of a session."},
    [LIMIT_NUMBER_MESSAGE_RECIPIENTS] = {"message_recipients", COUNT_RECIPIENTS, PER_MESSAGE, TERMS([TERM_MAX] = 1000),
                                         "Recipients of one message."},
};

const char *limit_count_name(enum limit_count count)
{
    static const char *const names[COUNT_KINDS] = {
        [COUNT_SESSIONS] = "sessions",
        [COUNT_CONNECTIONS] = "connections",
        [COUNT_MESSAGES] = "messages",
        [COUNT_BOUNCES] = "bounces",
        [COUNT_RECIPIENTS] = "recipients",
        [COUNT_ERRORS] = "errors",
        [COUNT_UNKNOWN_COMMANDS] = "unknown_commands",
        [COUNT_NETWORKS] = "networks",
    };
    return names[count];
}

const char *limit_per_name(enum limit_per per)
{
    static const char *const names[PER_KINDS] = {
        [PER_SESSION] = "session",
        [PER_MESSAGE] = "message",
        [PER_CLIENT] = "client",
        [PER_CLIENT_DOMAIN] = "client_domain",
        [PER_HELO] = "helo",
        [PER_SENDER] = "sender",
        [PER_SENDER_DOMAIN] = "sender_domain",
        [PER_RECIPIENT] = "recipient",
        [PER_RECIPIENT_DOMAIN] = "recipient_domain",
        [PER_USER] = "user",
    };
    return names[per];
}

const char *limit_mode_name(enum limit_mode mode)
{
    static const char *const names[] = {
        [MODE_OFF] = "off", [MODE_BLOCK] = "block", [MODE_MONITOR] = "monitor", [MODE_SCORE] = "score"};
    return names[mode];
}

#define SET(kind) (1u << (kind))

/* What is known when a client names a recipient, and does not go with the recipient itself. */
#define OF_CLIENT                                                                                          \
    (SET(PER_CLIENT) | SET(PER_CLIENT_DOMAIN) | SET(PER_HELO) | SET(PER_SENDER) | SET(PER_SENDER_DOMAIN) | \
     SET(PER_USER))
#define OF_RECIPIENT (SET(PER_RECIPIENT) | SET(PER_RECIPIENT_DOMAIN))

/* Which pers each count goes with. Sessions, connections: what is known while the session can still be turned away as
 * a whole. Errors: an error need not belong to a message. Networks: not those of something that has just one. */
static const unsigned fitting[COUNT_KINDS] = {
    [COUNT_SESSIONS] = SET(PER_CLIENT) | SET(PER_CLIENT_DOMAIN) | SET(PER_USER),
    [COUNT_CONNECTIONS] = SET(PER_CLIENT) | SET(PER_CLIENT_DOMAIN),
    [COUNT_MESSAGES] = SET(PER_SESSION) | OF_CLIENT | OF_RECIPIENT,
    [COUNT_BOUNCES] = SET(PER_SESSION) | SET(PER_CLIENT) | SET(PER_CLIENT_DOMAIN) | SET(PER_HELO) | OF_RECIPIENT,
    [COUNT_RECIPIENTS] = SET(PER_SESSION) | SET(PER_MESSAGE) | OF_CLIENT,
    [COUNT_ERRORS] = SET(PER_SESSION) | SET(PER_CLIENT) | SET(PER_CLIENT_DOMAIN) | SET(PER_HELO) | SET(PER_USER),
    [COUNT_UNKNOWN_COMMANDS] = SET(PER_SESSION) | SET(PER_CLIENT) | SET(PER_CLIENT_DOMAIN) | SET(PER_HELO),
    [COUNT_NETWORKS] = SET(PER_HELO) | SET(PER_SENDER) | SET(PER_SENDER_DOMAIN) | SET(PER_USER),
};

bool limit_fits(enum limit_count count, enum limit_per per)
{
    return fitting[count] >> per & 1;
}

bool limit_has_window(enum limit_count count, enum limit_per per)
{
    return count != COUNT_SESSIONS && per != PER_SESSION && per != PER_MESSAGE;
}

bool limit_can_ban(enum limit_per per)
{
    return per != PER_SESSION && per != PER_MESSAGE;
}

unsigned limit_events(enum limit_count count, enum limit_per per)
{
    switch (count) {
    case COUNT_SESSIONS:
        return per == PER_USER ? SET(EVENT_MAIL) : SET(EVENT_CONNECT);
    case COUNT_CONNECTIONS:
        return SET(EVENT_CONNECT);
    case COUNT_MESSAGES:
    case COUNT_BOUNCES:
        return SET(per) & OF_RECIPIENT ? SET(EVENT_RCPT) : SET(EVENT_MAIL);
    case COUNT_RECIPIENTS:
        return SET(EVENT_RCPT);
    case COUNT_ERRORS:
        return SET(EVENT_RCPT) | SET(EVENT_UNKNOWN) | SET(EVENT_REJECTED);
    case COUNT_UNKNOWN_COMMANDS:
        return SET(EVENT_UNKNOWN);
    case COUNT_NETWORKS:
        return per == PER_HELO ? SET(EVENT_HELO) : SET(EVENT_MAIL);
    case COUNT_KINDS:
        break;
    }
    return 0;
}

unsigned limit_ban_events(enum limit_per per)
{
    switch (per) {
    case PER_CLIENT:
    case PER_CLIENT_DOMAIN:
        return SET(EVENT_CONNECT);
    case PER_HELO:
        return SET(EVENT_HELO);
    case PER_SENDER:
    case PER_SENDER_DOMAIN:
    case PER_USER:
        return SET(EVENT_MAIL);
    case PER_RECIPIENT:
    case PER_RECIPIENT_DOMAIN:
        return SET(EVENT_RCPT);
    case PER_SESSION:
    case PER_MESSAGE:
    case PER_KINDS:
        break;
    }
    return 0;
}
