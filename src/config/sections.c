/*
 * sections.c: the table of sections.
 */
#include <strings.h>

#include "config/options.h"

const struct section_row section_table[SECTION_COUNT] = {
    [SECTION_TOP] = {.id = SECTION_TOP, .name = "", .scope = SCOPE_SERVICE, .text = "The whole service."},
    [SECTION_MILTER] = {.id = SECTION_MILTER,
                        .name = "milter",
                        .where = IN(SECTION_TOP),
                        .text = "The door to the mail server: where it connects to."},
    [SECTION_POLICY] = {.id = SECTION_POLICY,
                        .name = "policy",
                        .where = IN(SECTION_TOP),
                        .many = true,
                        .text = "A socket of the second door, for Postfix's check_policy_service. None: no such door."},
    [SECTION_HTTP] = {.id = SECTION_HTTP,
                      .name = "http",
                      .where = IN(SECTION_TOP),
                      .text = "A TCP socket with the status page and the metrics, read only. None: no such socket."},
    [SECTION_CONTROL] = {.id = SECTION_CONTROL,
                         .name = "control",
                         .where = IN(SECTION_TOP),
                         .text = "The unix socket that the tool tidegate speaks to. None: no such socket."},
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
                       .text = "Count this, per that, over this window, at most so many; then do this. What a block "
                               "does not say is taken from an outer block of the limit, at last from its defaults."},
    [SECTION_KEY] = {.id = SECTION_KEY,
                     .name = "key",
                     .where = IN(SECTION_LIMIT),
                     .title = "\"192.0.2.0/24\"",
                     .many = true,
                     .text = "Other numbers for some: an address or CIDR block, a domain with its subdomains, a whole "
                             "address (a@b), a user. The most specific one holds."},
    [SECTION_DENY] = {.id = SECTION_DENY, .name = "deny", .where = IN(SECTION_TOP), .text = "Who is refused outright."},
    [SECTION_EXEMPT] = {.id = SECTION_EXEMPT,
                        .name = "exempt",
                        .where = IN(SECTION_TOP),
                        .text = "Who is spared: clients all limits, the others those judged from MAIL on. The longest "
                                "prefix of deny and exempt holds, on a tie deny."},
    [SECTION_REPUTATION] = {.id = SECTION_REPUTATION,
                            .name = "reputation",
                            .where = IN(SECTION_TOP),
                            .text = "Keeps a history of each client, good or bad, for max_good and max_bad."},
};

const struct section_row *section_find(const char *name)
{
    for (size_t i = SECTION_TOP + 1; i < SECTION_COUNT; i++) {
        const struct section_row *section = &section_table[i];

        if (strcasecmp(section->name, name) == 0 || (section->alias != NULL && strcasecmp(section->alias, name) == 0))
            return section;
    }
    return NULL;
}

const char *section_place(const struct section_row *section)
{
    return section->id == SECTION_TOP ? "the top level" : section->name;
}
