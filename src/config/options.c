/*
 * options.c: the tables of options and sections.
 */
#include "config/options.h"

#include <strings.h>

#include "engine/engine.h"

#define SECONDS(n) ((n)*INT64_C(1000000000))
#define DAYS(n) SECONDS((n)*INT64_C(86400))

/* Every section that is a scope, the service included. */
#define IN_SCOPES                                                                                                 \
    (IN(SECTION_TOP) | IN(SECTION_LISTENER) | IN(SECTION_LISTEN) | IN(SECTION_PEER) | IN(SECTION_PATHWAY_GROUP) | \
     IN(SECTION_PATHWAY))

const struct section_row section_table[SECTION_COUNT] = {
    [SECTION_TOP] = {.id = SECTION_TOP, .name = "", .scope = SCOPE_SERVICE, .text = "The whole service."},
    [SECTION_MILTER] = {.id = SECTION_MILTER,
                        .name = "milter",
                        .where = IN(SECTION_TOP),
                        .text = "The door to the mail server: where it connects to."},
    [SECTION_LISTENER] = {.id = SECTION_LISTENER,
                          .name = "listener",
                          .alias = "esmtp_listener",
                          .where = IN(SECTION_TOP),
                          .many = true,
                          .scope = SCOPE_LISTENER,
                          .text = "One of the mail server's listeners, or several that share a budget."},
    [SECTION_LISTEN] = {.id = SECTION_LISTEN,
                        .name = "listen",
                        .where = IN(SECTION_LISTENER),
                        .title = "\":25\"",
                        .many = true,
                        .scope = SCOPE_LISTEN,
                        .text = "An address and port that the listener listens on."},
    [SECTION_PEER] = {.id = SECTION_PEER,
                      .name = "peer",
                      .where = IN(SECTION_LISTENER) | IN(SECTION_LISTEN),
                      .title = "\"10.0.0.0/8\"",
                      .many = true,
                      .scope = SCOPE_PEER,
                      .text = "A CIDR block of clients, or a named list of blocks."},
    [SECTION_PATHWAY_GROUP] = {.id = SECTION_PATHWAY_GROUP,
                               .name = "pathway_group",
                               .where = IN(SECTION_TOP),
                               .title = "\"clients\"",
                               .many = true,
                               .scope = SCOPE_PATHWAY_GROUP,
                               .text = "Pathways that share settings and a budget."},
    [SECTION_PATHWAY] = {.id = SECTION_PATHWAY,
                         .name = "pathway",
                         .where = IN(SECTION_TOP) | IN(SECTION_PATHWAY_GROUP),
                         .title = "\"submission\"",
                         .many = true,
                         .scope = SCOPE_PATHWAY,
                         .text = "Named settings that a listener, listen or peer takes by its option pathway."},
    [SECTION_LIMIT] = {.id = SECTION_LIMIT,
                       .name = "limit",
                       .where = IN_SCOPES,
                       .title = "client_sessions",
                       .many = true,
                       .text = "What is counted for each client in this scope, and how much of it is let in."},
};

const struct option_row option_table[OPTION_COUNT] = {
    [OPTION_SERVICE_SESSIONS] = {.id = OPTION_SERVICE_SESSIONS,
                                 .name = "service_sessions",
                                 .type = TYPE_COUNT,
                                 .where = IN(SECTION_TOP) | IN(SECTION_LISTENER),
                                 .max = UINT32_MAX,
                                 .initial = "0",
                                 .target = TO_SETTING,
                                 .number = SETTING_SERVICE_SESSIONS,
                                 .text = "Sessions at once over all listeners together; 0: no cap. Of several values "
                                         "the smallest holds."},
    [OPTION_LISTENER_SESSIONS] = {.id = OPTION_LISTENER_SESSIONS,
                                  .name = "listener_sessions",
                                  .type = TYPE_COUNT,
                                  .where = IN_SCOPES,
                                  .max = UINT32_MAX,
                                  .initial = "0",
                                  .target = TO_SETTING,
                                  .number = SETTING_LISTENER_SESSIONS,
                                  .text = "Sessions at once in this scope; 0: no cap. At the top level the default of "
                                          "every listener that says nothing."},
    [OPTION_IDLE_TIME] = {.id = OPTION_IDLE_TIME,
                          .name = "idle_time",
                          .type = TYPE_DURATION,
                          .where = IN_SCOPES,
                          .max = DAYS(365),
                          .initial = "0",
                          .target = TO_BUILD,
                          .text = "Silence after which a client is disconnected; 0: never. Not enforced by this "
                                  "version."},
    [OPTION_REFUSE_AT] = {.id = OPTION_REFUSE_AT,
                          .name = "refuse_at",
                          .type = TYPE_REFUSE_AT,
                          .where = IN_SCOPES,
                          .initial = "helo",
                          .target = TO_SETTING,
                          .number = SETTING_REFUSE_AT,
                          .text = "When a refusal is told: helo (the client reads our reply) or connect (the mail "
                                  "server is free sooner)."},
    [OPTION_REFUSE_PENDING] = {.id = OPTION_REFUSE_PENDING,
                               .name = "refuse_pending",
                               .type = TYPE_COUNT,
                               .where = IN(SECTION_TOP) | IN(SECTION_LISTENER),
                               .max = UINT32_MAX,
                               .initial = "20",
                               .target = TO_SETTING,
                               .number = SETTING_REFUSE_PENDING,
                               .text = "Refused sessions of a listener that may await their HELO; more are refused at "
                                       "connect. 0: any number."},
    [OPTION_DISCONNECT_DELAY] = {.id = OPTION_DISCONNECT_DELAY,
                                 .name = "disconnect_delay",
                                 .type = TYPE_DURATION,
                                 .where = IN_SCOPES,
                                 .max = DAYS(1),
                                 .initial = "0",
                                 .target = TO_SETTING,
                                 .number = SETTING_DISCONNECT_DELAY,
                                 .text = "How long a refused session waits before it is told so."},
    [OPTION_MAX_DELAY] = {.id = OPTION_MAX_DELAY,
                          .name = "max_delay",
                          .type = TYPE_DURATION,
                          .where = IN(SECTION_TOP),
                          .max = SECONDS(29),
                          .initial = "8s",
                          .target = TO_GLOBAL,
                          .number = GLOBAL_MAX_DELAY,
                          .text = "All delays of one callback together; Sendmail gives up after 10 s, Postfix after "
                                  "30 s."},
    [OPTION_MAX_WAITING] = {.id = OPTION_MAX_WAITING,
                            .name = "max_waiting",
                            .type = TYPE_COUNT,
                            .where = IN(SECTION_TOP),
                            .max = 10000,
                            .initial = "100",
                            .target = TO_GLOBAL,
                            .number = GLOBAL_MAX_WAITING,
                            .text = "Callbacks that may wait at once; beyond it nobody waits. 0: any number."},
    [OPTION_CLIENT_IPV4_PREFIX] = {.id = OPTION_CLIENT_IPV4_PREFIX,
                                   .name = "client_ipv4_prefix",
                                   .type = TYPE_BITS,
                                   .where = IN(SECTION_TOP),
                                   .max = 32,
                                   .initial = "32",
                                   .target = TO_BUILD,
                                   .text = "How many bits of an IPv4 address make one client."},
    [OPTION_CLIENT_IPV6_PREFIX] = {.id = OPTION_CLIENT_IPV6_PREFIX,
                                   .name = "client_ipv6_prefix",
                                   .type = TYPE_BITS,
                                   .where = IN(SECTION_TOP),
                                   .max = 128,
                                   .initial = "64",
                                   .target = TO_BUILD,
                                   .text = "How many bits of an IPv6 address make one client."},
    [OPTION_SESSION_TABLE_SIZE] = {.id = OPTION_SESSION_TABLE_SIZE,
                                   .name = "session_table_size",
                                   .type = TYPE_COUNT,
                                   .where = IN(SECTION_TOP),
                                   .min = 1,
                                   .max = ENGINE_SESSIONS_MAX,
                                   .initial = "65536",
                                   .target = TO_GLOBAL,
                                   .number = GLOBAL_SESSION_TABLE_SIZE,
                                   .needs_restart = true,
                                   .text = "Sessions that can be known at once; memory for all of them is taken at "
                                           "start."},
    [OPTION_PID_FILE] = {.id = OPTION_PID_FILE,
                         .name = "pid_file",
                         .type = TYPE_PATH,
                         .where = IN(SECTION_TOP),
                         .initial = "/run/tidegate/tidegated.pid",
                         .target = TO_GLOBAL,
                         .number = GLOBAL_PID_FILE,
                         .needs_restart = true,
                         .text = "Where the daemon writes its process number when it runs in the background."},
    [OPTION_LOG_REFUSALS] = {.id = OPTION_LOG_REFUSALS,
                             .name = "log_refusals",
                             .type = TYPE_BOOL,
                             .where = IN(SECTION_TOP),
                             .initial = "no",
                             .target = TO_GLOBAL,
                             .number = GLOBAL_LOG_REFUSALS,
                             .text = "Log every refusal, not only the first and last of a crossing."},
    [OPTION_SOCKET] = {.id = OPTION_SOCKET,
                       .name = "socket",
                       .type = TYPE_SOCKET,
                       .where = IN(SECTION_MILTER),
                       .initial = "inet:7357@127.0.0.1",
                       .target = TO_GLOBAL,
                       .number = GLOBAL_MILTER_SOCKET,
                       .needs_restart = true,
                       .text = "inet:PORT@HOST, inet6:PORT@HOST or unix:PATH."},
    [OPTION_GROUP] = {.id = OPTION_GROUP,
                      .name = "group",
                      .type = TYPE_NAME,
                      .where = IN(SECTION_MILTER),
                      .target = TO_GLOBAL,
                      .number = GLOBAL_MILTER_GROUP,
                      .needs_restart = true,
                      .text = "The group that a unix socket is given; the mail server must be in it."},
    [OPTION_MODE] = {.id = OPTION_MODE,
                     .name = "mode",
                     .type = TYPE_MODE,
                     .where = IN(SECTION_MILTER),
                     .initial = "0660",
                     .target = TO_GLOBAL,
                     .number = GLOBAL_MILTER_MODE,
                     .needs_restart = true,
                     .text = "The permissions of a unix socket, in octal."},
    [OPTION_DAEMON_NAME] = {.id = OPTION_DAEMON_NAME,
                            .name = "daemon_name",
                            .type = TYPE_NAME,
                            .where = IN(SECTION_LISTENER),
                            .target = TO_BUILD,
                            .text = "The mail server's {daemon_name} that this listener stands for."},
    [OPTION_PATHWAY] = {.id = OPTION_PATHWAY,
                        .name = "pathway",
                        .type = TYPE_NAME,
                        .where = IN(SECTION_LISTENER) | IN(SECTION_LISTEN) | IN(SECTION_PEER),
                        .target = TO_BUILD,
                        .text = "The pathway whose settings and budget sessions of this scope take."},
    [OPTION_CLIENTS] = {.id = OPTION_CLIENTS,
                        .name = "clients",
                        .type = TYPE_CLIENTS,
                        .where = IN(SECTION_PEER),
                        .target = TO_BUILD,
                        .text = "Addresses and CIDR blocks of a peer whose title is a name."},
    [OPTION_FILE] = {.id = OPTION_FILE,
                     .name = "file",
                     .type = TYPE_FILE,
                     .where = IN(SECTION_PEER),
                     .target = TO_BUILD,
                     .text = "A file of addresses and CIDR blocks, one a line, beside this file or by absolute path."},
    [OPTION_MAX] = {.id = OPTION_MAX,
                    .name = "max",
                    .type = TYPE_COUNT,
                    .where = IN(SECTION_LIMIT),
                    .max = UINT32_MAX,
                    .target = TO_LIMIT,
                    .text = "At most so many; 0: no limit."},
};

const struct limit_row limit_table[] = {
    {"client_sessions", SETTING_CLIENT_SESSIONS, "Sessions at once of one client."},
};
const size_t limit_table_size = sizeof limit_table / sizeof limit_table[0];

const struct section_row *section_find(const char *name)
{
    for (size_t i = SECTION_TOP + 1; i < SECTION_COUNT; i++) {
        const struct section_row *section = &section_table[i];

        if (strcasecmp(section->name, name) == 0 || (section->alias != NULL && strcasecmp(section->alias, name) == 0))
            return section;
    }
    return NULL;
}

const struct option_row *option_find(const char *name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strcasecmp(option_table[i].name, name) == 0)
            return &option_table[i];
    return NULL;
}

const struct limit_row *limit_find(const char *name)
{
    for (size_t i = 0; i < limit_table_size; i++)
        if (strcasecmp(limit_table[i].name, name) == 0)
            return &limit_table[i];
    return NULL;
}

const char *section_place(const struct section_row *section)
{
    return section->id == SECTION_TOP ? "the top level" : section->name;
}

bool option_is_list(const struct option_row *option)
{
    return option->type == TYPE_CLIENTS;
}
