/*
 * sockets.c: the sockets of our own that a configuration names.
 */
#include "config/sockets.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/config.h"
#include "config/scan.h"

#define SECOND INT64_C(1000000000)

/* A smaller buffer than this is hardly meant, and the kernel has a least of its own. */
#define BUFFER_MIN 1024

#define WRITABLE_BY_GROUP 0020
#define WRITABLE_BY_OTHERS 0002

struct sockets {
    struct config *config;
    const struct scan *scan;
    struct config_messages *messages;
    unsigned taken; /* the set of the socket_fields that some socket can have */
};

#define TELL(sockets, line, ...) messages_error((sockets)->messages, (sockets)->config->path, line, __VA_ARGS__)
#define WARN(sockets, line, ...) messages_warning((sockets)->messages, (sockets)->config->path, line, __VA_ARGS__)

/* ---- values ---- */

static bool is_socket_option(const struct option_row *option)
{
    return option->target == TO_SOCKET && option->number < SOCKET_OPTION_COUNT;
}

const struct option_row *socket_address_option(enum section_id section)
{
    const struct option_row *option = option_table;

    while (option->target != TO_SOCKET || option->number != SOCKET_ADDRESS || (option->where & IN(section)) == 0)
        option++;
    return option;
}

bool option_fits(const struct option_row *option, enum socket_kind kind)
{
    return option->sockets == FOR_ALL_SOCKETS || (option->sockets == FOR_UNIX_SOCKETS) == (kind == SOCKET_UNIX);
}

/* Makes *field a copy of `text`. */
static bool keep_text(char **field, const char *text, char why[VALUE_WHY_SIZE])
{
    *field = strdup(text);
    return *field != NULL || value_refuse(why, "out of memory");
}

static bool read_group(const char *text, gid_t *gid, char why[VALUE_WHY_SIZE])
{
    const struct group *group;

    if (!value_name(text, why))
        return false;
    errno = 0;
    group = getgrnam(text);
    if (group == NULL)
        return value_refuse(why, "there is no group \"%.60s\"%s%.60s; create it, or name one of /etc/group", text,
                            errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
    *gid = group->gr_gid;
    return true;
}

static bool read_option(const struct option_row *option, const char *text, int *out, char why[VALUE_WHY_SIZE])
{
    bool buffer = option->number == SOCKET_SEND_BUFFER || option->number == SOCKET_RECEIVE_BUFFER, yes;
    int64_t number;

    if (option->type == TYPE_BOOL) {
        if (!value_bool(text, &yes, why))
            return false;
        number = yes;
    } else if (!value_number(option, text, &number, why)) {
        return false;
    }
    if (buffer && number > 0 && number < BUFFER_MIN)
        return value_refuse(why, "%.40s is too small; write 0 or at least %d", text, BUFFER_MIN);
    *out = (int)(option->type == TYPE_DURATION ? number / SECOND : number);
    return true;
}

static bool read_field(struct socket_config *socket, const struct option_row *option, const char *text,
                       char why[VALUE_WHY_SIZE])
{
    int64_t number = 0;
    unsigned mode = 0;
    bool good;

    switch ((enum socket_field)option->number) {
    case SOCKET_ADDRESS:
        return value_socket_of(option, text, &socket->address, why) && keep_text(&socket->socket, text, why);
    case SOCKET_GROUP:
        return read_group(text, &socket->gid, why) && keep_text(&socket->group, text, why);
    case SOCKET_MODE:
        good = value_permissions(text, &mode, why);
        socket->mode = (mode_t)mode;
        return good;
    case SOCKET_SESSIONS:
        good = value_number(option, text, &number, why);
        socket->sessions = (enum request_hold)number;
        return good;
    case SOCKET_CONNECTIONS:
        good = value_number(option, text, &number, why);
        socket->connections = (uint32_t)number;
        return good;
    default:
        return read_option(option, text, &socket->options.value[option->number], why);
    }
}

const char *socket_field_text(const struct socket_config *socket, const struct option_row *option,
                              char room[SOCKET_FIELD_TEXT_SIZE])
{
    int64_t number;

    switch ((enum socket_field)option->number) {
    case SOCKET_ADDRESS:
        return socket->socket;
    case SOCKET_GROUP:
        return socket->group != NULL ? socket->group : "";
    case SOCKET_MODE:
        snprintf(room, SOCKET_FIELD_TEXT_SIZE, "%04o", (unsigned)socket->mode);
        return room;
    case SOCKET_SESSIONS:
        return option->words[socket->sessions];
    case SOCKET_CONNECTIONS:
        number = socket->connections;
        break;
    default:
        number = socket->options.value[option->number];
    }
    if (number == SOCKET_UNSET)
        return "";
    if (option->type == TYPE_BOOL)
        return number != 0 ? "yes" : "no";
    if (option->type == TYPE_DURATION)
        return duration_format(number * SECOND, room);
    snprintf(room, SOCKET_FIELD_TEXT_SIZE, "%lld", (long long)number);
    return room;
}

/* ---- sections ---- */

/* The entry that sets the option in the section itself; `block` is the top where the section is not written. */
static const struct entry *own_entry(const struct block *block, enum section_id section, enum option_id option)
{
    return block->section->id == section ? block_entry(block, option) : NULL;
}

/* Gives a field of the socket its value, whatever says it. */
static void set_field(struct sockets *sockets, const struct block *block, enum section_id section,
                      const struct option_row *option, struct socket_config *socket)
{
    const struct entry *entry = block_inherited(block, option->id);
    const char *text = entry != NULL ? entry->values->text : option->initial;
    char why[VALUE_WHY_SIZE];

    if (text == NULL)
        return;
    socket->lines[option->number] = entry != NULL ? entry->line : 0;
    /* What the top level says is looked at for its own sake, by check_top(). */
    if (!read_field(socket, option, text, why) && entry == own_entry(block, section, option->id))
        TELL(sockets, socket->lines[option->number], "%s: %s", option->name, why);
}

/* What is for another kind of socket is a mistake in the section itself, and passed over at the top level. */
static void check_kind(struct sockets *sockets, const struct block *block, enum section_id section,
                       const struct option_row *option, struct socket_config *socket)
{
    const struct entry *entry = own_entry(block, section, option->id);
    const char *remedy = option->sockets == FOR_TCP_SOCKETS ? "inet:7358@127.0.0.1"
                         : section == SECTION_MILTER        ? "unix:/run/tidegate/milter.sock"
                                                            : "unix:/run/tidegate/policy.sock";

    if (option_fits(option, socket->address.kind)) {
        sockets->taken |= 1u << option->number;
        return;
    }
    if (is_socket_option(option))
        socket->options.value[option->number] = SOCKET_UNSET;
    if (entry != NULL)
        TELL(sockets, entry->line,
             "%s is for a %s socket, and the socket is \"%.100s\"; remove it, or write socket = \"%s\"", option->name,
             option->sockets == FOR_TCP_SOCKETS ? "TCP" : "unix", socket->socket, remedy);
}

bool socket_is_loopback(const struct socket_name *address)
{
    return strncmp(address->host, "127.", 4) == 0 || strcmp(address->host, "::1") == 0;
}

/* Reads the section of a socket. */
static void read_socket(struct sockets *sockets, const struct block *block, enum section_id section,
                        struct socket_config *socket)
{
    socket->line = block->section->id == section ? block->line : 0;
    for (size_t i = 0; i < SOCKET_OPTION_COUNT; i++)
        socket->options.value[i] = SOCKET_UNSET;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (option_table[i].target == TO_SOCKET && (option_table[i].where & IN(section)) != 0)
            set_field(sockets, block, section, &option_table[i], socket);
    if (socket->socket == NULL)
        return;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (option_table[i].target == TO_SOCKET && (option_table[i].where & IN(section)) != 0)
            check_kind(sockets, block, section, &option_table[i], socket);
    /* The control socket is for root unless it says otherwise. */
    if (socket->address.kind == SOCKET_UNIX && socket->group == NULL && (socket->mode & WRITABLE_BY_OTHERS) == 0 &&
        (section != SECTION_CONTROL || (socket->mode & WRITABLE_BY_GROUP) != 0))
        WARN(sockets, socket->lines[SOCKET_ADDRESS] > 0 ? socket->lines[SOCKET_ADDRESS] : socket->line,
             "socket: without group = \"GROUP\" only processes of this daemon's own group can connect");
}

/* Each of the two has a socket of its own kind, so its mistakes are those of its options. */
static void add_http(struct sockets *sockets, const struct block *block)
{
    struct socket_config *http = &sockets->config->http;

    read_socket(sockets, block, SECTION_HTTP, http);
    if (http->socket != NULL && !socket_is_loopback(&http->address))
        WARN(sockets, http->lines[SOCKET_ADDRESS],
             "listen: whoever reaches \"%.100s\" can read what goes on here, without a password and by any name; "
             "127.0.0.1 and [::1] are this host's alone",
             http->socket);
}

static void add_control(struct sockets *sockets, const struct block *block)
{
    struct socket_config *control = &sockets->config->control;

    read_socket(sockets, block, SECTION_CONTROL, control);
    if (control->socket != NULL && (control->mode & WRITABLE_BY_OTHERS) != 0)
        WARN(sockets, control->lines[SOCKET_MODE],
             "mode: with \"%04o\" every user of this host can ban, lift bans and reload; write mode = \"0660\" and "
             "group = \"GROUP\"",
             (unsigned)control->mode);
    if (control->group != NULL && (control->mode & WRITABLE_BY_GROUP) == 0)
        WARN(sockets, control->lines[SOCKET_GROUP], "group has no effect with mode = \"%04o\"; write mode = \"0660\"",
             (unsigned)control->mode);
}

static void clear_socket(struct socket_config *socket)
{
    free(socket->socket);
    free(socket->group);
}

/* Adds the socket of a policy section to the others, if it has a good one. */
static void add_policy(struct sockets *sockets, const struct block *block)
{
    struct config *config = sockets->config;
    struct socket_config policy = {.line = 0}, *policies;

    read_socket(sockets, block, SECTION_POLICY, &policy);
    if (block_entry(block, OPTION_POLICY_SOCKET) == NULL)
        TELL(sockets, block->line, "policy has no socket; write socket = \"inet:7358@127.0.0.1\" in it");
    policies = policy.socket != NULL ? realloc(config->policies, (config->policy_count + 1) * sizeof *policies) : NULL;
    if (policies == NULL) {
        if (policy.socket != NULL)
            TELL(sockets, 0, "out of memory");
        clear_socket(&policy);
        return;
    }
    policies[config->policy_count++] = policy;
    config->policies = policies;
}

/* ---- what the sockets are to each other ---- */

/* One form for all that is written for one address; a name stays a name. */
static const char *host_form(const char *host, char out[ADDR_TEXT_SIZE])
{
    struct addr addr;

    return addr_parse(host, &addr) ? addr_format(&addr, out) : host;
}

/* Orders sockets by where they listen. */
static int compare_addresses(const struct socket_name *a, const struct socket_name *b)
{
    char a_form[ADDR_TEXT_SIZE], b_form[ADDR_TEXT_SIZE];

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == SOCKET_UNIX)
        return strcmp(a->path, b->path);
    if (a->port != b->port)
        return a->port < b->port ? -1 : 1;
    return strcasecmp(host_form(a->host, a_form), host_form(b->host, b_form));
}

int socket_compare(const struct socket_config *a, const struct socket_config *b)
{
    int order = compare_addresses(&a->address, &b->address);

    return order != 0 ? order : strcmp(a->socket, b->socket);
}

static int compare_policies(const void *left, const void *right)
{
    const struct socket_config *a = left, *b = right;
    int order = socket_compare(a, b);

    return order != 0 ? order : a->line < b->line ? -1 : a->line > b->line;
}

/* Two policies listen in one place. */
static void check_same(const struct sockets *sockets, const struct socket_config *a, const struct socket_config *b)
{
    const struct socket_config *first = a->line <= b->line ? a : b, *second = first == a ? b : a;

    if (a->options.value[SOCKET_REUSE_PORT] == 1 && b->options.value[SOCKET_REUSE_PORT] == 1)
        return;
    TELL(sockets, second->lines[SOCKET_ADDRESS], "socket: the policy section of line %u has \"%.100s\" already; %s",
         first->line, first->socket,
         first->address.kind == SOCKET_UNIX ? "choose another path, or remove one of them"
                                            : "choose another port, remove one of them, or write reuse_port = yes in "
                                              "both");
}

/* A socket that shares its place with none of the others. */
static void check_alone(const struct sockets *sockets, const struct socket_config *socket, const char *option)
{
    const struct config *config = sockets->config;
    const char *remedy = socket->address.kind == SOCKET_UNIX ? "path" : "port";
    unsigned line = socket->lines[SOCKET_ADDRESS] > 0 ? socket->lines[SOCKET_ADDRESS] : socket->line;

    if (config->milter.socket != NULL && compare_addresses(&socket->address, &config->milter.address) == 0)
        TELL(sockets, line, "%s: \"%.100s\" is the milter's; choose another %s", option, socket->socket, remedy);
    for (size_t i = 0; i < config->policy_count; i++)
        if (compare_addresses(&socket->address, &config->policies[i].address) == 0)
            TELL(sockets, line, "%s: the policy section of line %u has \"%.100s\" already; choose another %s", option,
                 config->policies[i].line, config->policies[i].socket, remedy);
}

static void check_places(const struct sockets *sockets)
{
    struct config *config = sockets->config;
    struct socket_config *policies = config->policies;

    if (config->policy_count > 1)
        qsort(policies, config->policy_count, sizeof *policies, compare_policies);
    if (config->http.socket != NULL)
        check_alone(sockets, &config->http, "listen");
    if (config->control.socket != NULL)
        check_alone(sockets, &config->control, "socket");
    for (size_t i = 0; i < config->policy_count; i++) {
        if (config->milter.socket != NULL && compare_addresses(&policies[i].address, &config->milter.address) == 0)
            TELL(sockets, policies[i].lines[SOCKET_ADDRESS], "socket: \"%.100s\" is the milter's; choose another %s",
                 policies[i].socket, policies[i].address.kind == SOCKET_UNIX ? "path" : "port");
        if (i > 0 && compare_addresses(&policies[i - 1].address, &policies[i].address) == 0)
            check_same(sockets, &policies[i - 1], &policies[i]);
    }
}

/* The socket options of the top level: their mistakes, and those that no socket can have. What is said to be what it
 * would be anyway does no harm. */
static void check_top(const struct sockets *sockets)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &option_table[i];
        const struct entry *entry = block_entry(sockets->scan->top, option->id);
        int set = SOCKET_UNSET, initial = SOCKET_UNSET;
        char why[VALUE_WHY_SIZE];

        if (!is_socket_option(option) || entry == NULL)
            continue;
        if (!read_option(option, entry->values->text, &set, why))
            TELL(sockets, entry->line, "%s: %s", option->name, why);
        else if ((sockets->taken & (1u << option->number)) == 0 &&
                 (option->initial == NULL || !read_option(option, option->initial, &initial, why) || set != initial))
            WARN(sockets, entry->line, "%s has no effect: no socket can have it; add a policy section with a%s socket",
                 option->name, option->sockets == FOR_TCP_SOCKETS ? " TCP" : "");
    }
}

static void warn_of_daemon_names(const struct sockets *sockets)
{
    for (const struct block *block = sockets->scan->top->blocks; block != NULL; block = block->next) {
        const struct entry *entry = block_entry(block, OPTION_DAEMON_NAME);

        if (entry == NULL)
            continue;
        WARN(sockets, entry->line,
             "daemon_name: a policy request names no daemon; give check_policy_service a policy_context with the "
             "daemon_name");
        return;
    }
}

void sockets_set(struct config *config, const struct scan *scan, struct config_messages *messages)
{
    struct sockets sockets = {.config = config, .scan = scan, .messages = messages};
    const struct block *milter = scan->top;

    for (const struct block *block = scan->top->blocks; block != NULL; block = block->next)
        if (block->section->id == SECTION_MILTER)
            milter = block;
    read_socket(&sockets, milter, SECTION_MILTER, &config->milter);
    for (const struct block *block = scan->top->blocks; block != NULL && !messages_full(messages); block = block->next)
        if (block->section->id == SECTION_POLICY)
            add_policy(&sockets, block);
        else if (block->section->id == SECTION_HTTP)
            add_http(&sockets, block);
        else if (block->section->id == SECTION_CONTROL)
            add_control(&sockets, block);
    check_places(&sockets);
    check_top(&sockets);
    if (config->policy_count > 0)
        warn_of_daemon_names(&sockets);
}

void sockets_clear(struct config *config)
{
    clear_socket(&config->milter);
    clear_socket(&config->http);
    clear_socket(&config->control);
    for (size_t i = 0; i < config->policy_count; i++)
        clear_socket(&config->policies[i]);
    free(config->policies);
    config->policies = NULL;
    config->policy_count = 0;
}
