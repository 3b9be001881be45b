/*
 * build.c: what a scanned text means.
 */
#include "config/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/globals.h"
#include "config/limits.h"
#include "config/lists.h"
#include "config/peer_list.h"
#include "config/suggest.h"

struct pathway {
    const struct block *block;
    scope_id scope;
    bool taken; /* some scope takes it */
};

struct build {
    struct config *config;
    const struct scan *scan;
    struct config_messages *messages;
    struct rules_builder *rules;
    struct pathway *pathways; /* sorted by name */
    size_t pathway_count;
    const struct block **scopes; /* the block of each scope, by scope_id */
    size_t scope_count, scope_room;
    bool cap_beyond_table;                          /* some cap can never be reached, and that was told */
    const struct entry *idle_action, *score_refuse; /* the first that is set, and not to the default */
    struct limits limits;
};

#define TELL(build, line, ...) messages_error((build)->messages, (build)->config->path, line, __VA_ARGS__)
#define WARN(build, line, ...) messages_warning((build)->messages, (build)->config->path, line, __VA_ARGS__)

static void out_of_memory(struct build *build)
{
    TELL(build, 0, "out of memory");
}

static void set_client_prefixes(struct build *build)
{
    static const enum option_id ids[] = {OPTION_CLIENT_IPV4_PREFIX, OPTION_CLIENT_IPV6_PREFIX};
    int64_t bits[2] = {0, 0};

    for (size_t i = 0; i < 2; i++) {
        const struct option_row *option = &option_table[ids[i]];
        const struct entry *entry = block_entry(build->scan->top, ids[i]);
        char why[VALUE_WHY_SIZE];

        if (!value_count(entry != NULL ? entry->values->text : option->initial, option->min, option->max, &bits[i],
                         why))
            TELL(build, entry != NULL ? entry->line : 0, "%s: %s", option->name, why);
    }
    rules_set_client_prefix(build->rules, (unsigned)bits[0], (unsigned)bits[1]);
}

/* ---- pathways ---- */

static int compare_pathways(const void *left, const void *right)
{
    const struct pathway *a = left, *b = right;
    int order = strcasecmp(a->block->title, b->block->title);

    return order != 0 ? order : a->block->line < b->block->line ? -1 : a->block->line > b->block->line;
}

static struct pathway *find_pathway(struct build *build, const char *name)
{
    size_t low = 0, high = build->pathway_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcasecmp(build->pathways[middle].block->title, name);

        if (order == 0)
            return &build->pathways[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The pathways of all groups share one set of names: `pathway = NAME` gives no group. */
static void check_pathways(struct build *build)
{
    if (build->pathway_count > 1)
        qsort(build->pathways, build->pathway_count, sizeof *build->pathways, compare_pathways);
    for (size_t i = 1; i < build->pathway_count; i++) {
        const struct block *first = build->pathways[i - 1].block, *second = build->pathways[i].block;

        if (strcasecmp(first->title, second->title) == 0 && first->parent != second->parent)
            TELL(build, second->line, "pathway \"%.100s\" is defined twice; line %u has the first, rename one of them",
                 second->title, first->line);
    }
}

static void set_pathway(struct build *build, scope_id scope, const struct entry *entry)
{
    const char *name = entry->values->text;
    struct pathway *pathway = find_pathway(build, name);
    struct suggestion suggestion;

    if (pathway != NULL) {
        pathway->taken = true;
        rules_at_line(build->rules, entry->line);
        rules_set(build->rules, scope, SETTING_PATHWAY, pathway->scope);
        return;
    }
    suggest_begin(&suggestion, name);
    for (size_t i = 0; i < build->pathway_count; i++)
        suggest_consider(&suggestion, build->pathways[i].block->title);
    if (suggestion.best != NULL)
        TELL(build, entry->line, "pathway \"%.100s\" is not defined; did you mean \"%.100s\"?", name, suggestion.best);
    else if (build->pathway_count > 0)
        TELL(build, entry->line, "pathway \"%.100s\" is not defined; add pathway \"%.100s\" { }, or take \"%.100s\"",
             name, name, build->pathways[0].block->title);
    else
        TELL(build, entry->line, "pathway \"%.100s\" is not defined; add pathway \"%.100s\" { }", name, name);
}

/* ---- scopes ---- */

static void set_scope_block(struct build *build, scope_id scope, const struct block *block)
{
    if (scope >= build->scope_room) {
        size_t room = build->scope_room * 2 > scope ? build->scope_room * 2 : scope + 64;
        const struct block **scopes = realloc(build->scopes, room * sizeof *scopes);

        if (scopes == NULL) {
            out_of_memory(build);
            return;
        }
        build->scopes = scopes;
        build->scope_room = room;
    }
    while (build->scope_count <= scope)
        build->scopes[build->scope_count++] = NULL;
    build->scopes[scope] = block;
}

static scope_id add_scope(struct build *build, scope_id parent, const struct block *block, const char *title)
{
    /* Once memory is short the builder's numbers mean nothing, and so the blocks do not; nothing is built then. */
    scope_id scope = rules_add_scope(build->rules, block->section->scope, parent, title);

    set_scope_block(build, scope, block);
    return scope;
}

static bool is_session_cap(enum setting setting)
{
    return setting == SETTING_SERVICE_SESSIONS || setting == SETTING_LISTENER_SESSIONS;
}

/* Keeps the earlier of two places in the file. */
static void note_first(const struct entry **first, const struct entry *entry)
{
    if (*first == NULL || entry->line < (*first)->line)
        *first = entry;
}

/* What is told of a value that is in order. */
static void note_setting(struct build *build, const struct entry *entry, int64_t number)
{
    enum setting setting = (enum setting)entry->option->number;

    if (setting == SETTING_DISCONNECT_DELAY && number > build->config->max_delay_ns)
        WARN(build, entry->line, "%s: %s is cut to max_delay", entry->option->name, entry->values->text);
    if (is_session_cap(setting) && number > build->config->session_table_size && !build->cap_beyond_table) {
        build->cap_beyond_table = true; /* once: there may be thousands of peers */
        WARN(build, entry->line, "%s: only session_table_size = %u sessions can be counted; raise it or write less",
             entry->option->name, (unsigned)build->config->session_table_size);
    }
    if (setting == SETTING_IDLE_TIME && number > 0)
        build->config->idle_time = true;
    if (setting == SETTING_IDLE_ACTION && number == IDLE_DISCONNECT)
        note_first(&build->idle_action, entry);
    if (setting == SETTING_SCORE_REFUSE && number > 0)
        note_first(&build->score_refuse, entry);
}

/* Gives a setting of the rules its value; `entry` is NULL for the default. */
static void set_setting(struct build *build, scope_id scope, const struct option_row *option, const struct entry *entry)
{
    char why[VALUE_WHY_SIZE];
    int64_t number;

    if (!value_number(option, entry != NULL ? entry->values->text : option->initial, &number, why)) {
        TELL(build, entry != NULL ? entry->line : 0, "%s: %s", option->name, why);
        return;
    }
    if (entry != NULL)
        note_setting(build, entry, number);
    rules_at_line(build->rules, entry != NULL ? entry->line : 0);
    rules_set(build->rules, scope, (enum setting)option->number, number);
}

/* What a scope's block says of itself, apart from what it is called and the scopes in it. */
static void set_scope(struct build *build, scope_id scope, const struct block *block)
{
    char why[VALUE_WHY_SIZE];

    for (const struct entry *entry = block->entries; entry != NULL; entry = entry->next) {
        const struct option_row *option = entry->option;

        if (option->target == TO_SETTING)
            set_setting(build, scope, option, entry);
        else if (option->id == OPTION_PATHWAY)
            set_pathway(build, scope, entry);
        else if (option->id == OPTION_DAEMON_NAME && value_name(entry->values->text, why))
            rules_set_daemon_name(build->rules, scope, entry->values->text);
        else if (option->id == OPTION_DAEMON_NAME)
            TELL(build, entry->line, "%s: %s", option->name, why);
    }
    for (const struct block *child = block->blocks; child != NULL; child = child->next)
        if (child->section->id == SECTION_LIMIT)
            limits_add(&build->limits, scope, child);
}

static void check_title(struct build *build, const struct block *block)
{
    char why[VALUE_WHY_SIZE];

    if (!value_name(block->title, why))
        TELL(build, block->line, "title of %s: %s", block->section->name, why);
}

/* Pathways come first, as any scope may name them. */
static void add_pathways(struct build *build, scope_id parent, const struct block *block)
{
    for (const struct block *child = block->blocks; child != NULL; child = child->next) {
        scope_id scope;

        if (child->section->id != SECTION_PATHWAY && child->section->id != SECTION_PATHWAY_GROUP)
            continue;
        check_title(build, child);
        scope = add_scope(build, parent, child, child->title);
        set_scope(build, scope, child);
        if (child->section->id == SECTION_PATHWAY_GROUP) {
            add_pathways(build, scope, child);
        } else {
            struct pathway *pathways = realloc(build->pathways, (build->pathway_count + 1) * sizeof *pathways);

            if (pathways == NULL) {
                out_of_memory(build);
                return;
            }
            pathways[build->pathway_count++] = (struct pathway){.block = child, .scope = scope};
            build->pathways = pathways;
        }
    }
}

struct peer {
    struct rules_builder *rules;
    scope_id scope;
};

static void add_prefix(void *context, const struct prefix *prefix, const char *file, unsigned line)
{
    const struct peer *peer = context;

    (void)file, (void)line;
    rules_add_prefix(peer->rules, peer->scope, prefix);
}

static void add_peer(struct build *build, scope_id parent, const struct block *block)
{
    struct peer peer = {.rules = build->rules};
    struct prefix prefix;
    char title[PREFIX_TEXT_SIZE], why[VALUE_WHY_SIZE];
    bool is_prefix = value_prefix(block->title, &prefix, why);

    peer.scope = add_scope(build, parent, block, is_prefix ? prefix_format(&prefix, title) : block->title);
    peer_list_read(build->config->path, block, add_prefix, &peer, build->messages);
    set_scope(build, peer.scope, block);
}

static void add_peers(struct build *build, scope_id parent, const struct block *block)
{
    for (const struct block *child = block->blocks; child != NULL && !messages_full(build->messages);
         child = child->next)
        if (child->section->id == SECTION_PEER)
            add_peer(build, parent, child);
}

static void add_listen(struct build *build, scope_id parent, const struct block *block)
{
    char why[VALUE_WHY_SIZE];
    struct addr addr;
    uint16_t port;
    scope_id scope = add_scope(build, parent, block, block->title[0] != '\0' ? block->title : "any");

    if (value_listen(block->title, &addr, &port, why))
        rules_set_listen(build->rules, scope, &addr, port);
    else
        TELL(build, block->line, "title of listen: %s", why);
    set_scope(build, scope, block);
    add_peers(build, scope, block);
}

static void add_listener(struct build *build, const struct block *block)
{
    scope_id scope = add_scope(build, RULES_SERVICE, block, NULL);

    set_scope(build, scope, block);
    for (const struct block *child = block->blocks; child != NULL; child = child->next)
        if (child->section->id == SECTION_LISTEN)
            add_listen(build, scope, child);
    add_peers(build, scope, block);
}

static void add_service(struct build *build)
{
    const struct block *top = build->scan->top;

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &option_table[i];

        if (option->target == TO_SETTING && (option->where & IN(SECTION_TOP)) != 0)
            set_setting(build, RULES_SERVICE, option, NULL);
    }
    set_client_prefixes(build);
    set_scope_block(build, RULES_SERVICE, top);
    add_pathways(build, RULES_SERVICE, top);
    check_pathways(build);
    set_scope(build, RULES_SERVICE, top);
    for (const struct block *child = top->blocks; child != NULL; child = child->next)
        if (child->section->id == SECTION_LISTENER)
            add_listener(build, child);
    for (size_t i = 0; i < build->pathway_count; i++)
        if (!build->pathways[i].taken)
            WARN(build, build->pathways[i].block->line, "pathway \"%.100s\" is taken by no listener, listen or peer",
                 build->pathways[i].block->title);
}

static void set_reputation(struct build *build)
{
    const struct option_row *option = &option_table[OPTION_HALF_LIFE];

    for (const struct block *block = build->scan->top->blocks; block != NULL; block = block->next) {
        const struct entry *entry = block_entry(block, OPTION_HALF_LIFE);
        char why[VALUE_WHY_SIZE];
        int64_t half_life;

        if (block->section->id != SECTION_REPUTATION)
            continue;
        if (value_number(option, entry != NULL ? entry->values->text : option->initial, &half_life, why))
            rules_set_reputation(build->rules, half_life);
        else
            TELL(build, entry != NULL ? entry->line : 0, "%s: %s", option->name, why);
    }
}

/* What the parts of the configuration lack from each other. */
static void warn_of_parts(struct build *build, bool score)
{
    if (build->idle_action != NULL && !build->config->idle_time)
        WARN(build, build->idle_action->line, "idle_action has no effect without an idle_time; add one");
    if (build->idle_action != NULL && build->config->idle_time)
        build->config->idle_disconnect = build->idle_action->line;
    if (build->score_refuse != NULL && !score)
        WARN(build, build->score_refuse->line, "score_refuse has no effect without a limit in mode score; add one");
}

/* ---- the rules ---- */

static const char *label(const struct block *block)
{
    return block->title != NULL ? block->title : "";
}

/* Looks for the places of one prefix in a peer's lists. */
struct places {
    const struct prefix *prefix;
    char file[2][256]; /* of the first two */
    unsigned line[2];
    size_t count;
};

static void note_place(void *context, const struct prefix *prefix, const char *file, unsigned line)
{
    struct places *places = context;

    if (prefix_compare(prefix, places->prefix) == 0 && places->count++ < 2) {
        snprintf(places->file[places->count - 1], sizeof places->file[0], "%s", file);
        places->line[places->count - 1] = line;
    }
}

static void find_places(struct build *build, const struct block *peer, struct places *places)
{
    struct config_messages unread = {.count = 0}; /* the lists were good when they were read before */

    peer_list_read(build->config->path, peer, note_place, places, &unread);
    messages_clear(&unread);
}

/* The block stands in the peers `a` and `b`, or twice in one. */
static void tell_duplicate_prefix(struct build *build, const struct prefix *prefix, const struct block *a,
                                  const struct block *b)
{
    struct places in_a = {.prefix = prefix}, in_b = {.prefix = prefix};
    char text[PREFIX_TEXT_SIZE];

    prefix_format(prefix, text);
    find_places(build, b, &in_b);
    if (a == b && in_b.count > 1) {
        messages_error(build->messages, in_b.file[1], in_b.line[1],
                       "%s stands twice in peer \"%.100s\"; %s:%u has the first, remove one of them", text, b->title,
                       in_b.file[0], in_b.line[0]);
        return;
    }
    find_places(build, a, &in_a);
    messages_error(build->messages, in_b.count > 0 ? in_b.file[0] : build->config->path,
                   in_b.count > 0 ? in_b.line[0] : b->line,
                   "%s of peer \"%.100s\" belongs to peer \"%.100s\" already; %s:%u has the first, remove one of them",
                   text, b->title, a->title, in_a.count > 0 ? in_a.file[0] : build->config->path,
                   in_a.count > 0 ? in_a.line[0] : a->line);
}

static void tell_rules_error(struct build *build, const struct rules_error *error)
{
    const struct block *a = error->other < build->scope_count ? build->scopes[error->other] : NULL;
    const struct block *b = error->scope < build->scope_count ? build->scopes[error->scope] : NULL;

    if (error->code == RULES_NO_MEMORY || a == NULL || b == NULL) {
        out_of_memory(build);
        return;
    }
    switch (error->code) {
    case RULES_DUPLICATE_LISTEN:
        TELL(build, b->line, "listen \"%.100s\" matches the same as listen \"%.100s\" of line %u; remove one of them",
             label(b), label(a), a->line);
        break;
    case RULES_DUPLICATE_DAEMON_NAME:
        TELL(build, b->line, "this listener has the daemon_name of the listener of line %u; rename one of them",
             a->line);
        break;
    case RULES_DUPLICATE_CATCH_ALL:
        TELL(build, b->line,
             "this listener and the one of line %u have neither daemon_name nor listen, so both match "
             "everything; give one of them",
             a->line);
        break;
    case RULES_DUPLICATE_PEER:
        tell_duplicate_prefix(build, &error->prefix, a, b);
        break;
    default:
        TELL(build, b->line, "the rules cannot be built of this section and line %u", a->line);
    }
}

static void build_rules(struct build *build)
{
    struct rules_error error = {.code = RULES_NO_MEMORY};
    scope_id scope = RULES_NO_SCOPE;

    build->config->rules = rules_build(build->rules, &error);
    if (build->config->rules == NULL) {
        tell_rules_error(build, &error);
        return;
    }
    while (rules_lonely_ipv4_default(build->config->rules, &scope))
        if (scope < build->scope_count && build->scopes[scope] != NULL)
            WARN(build, build->scopes[scope]->line,
                 "0.0.0.0/0 is every IPv4 client and no IPv6 one; add peer \"::/0\" { } beside it");
}

bool build_config(struct config *config, const struct scan *scan, struct config_messages *messages)
{
    struct build build = {.config = config, .scan = scan, .messages = messages, .rules = rules_builder_new()};
    size_t errors = messages->errors;
    bool limits_score, deny_scores;

    if (build.rules == NULL) {
        out_of_memory(&build);
        return false;
    }
    globals_set(config, scan, messages);
    sockets_set(config, scan, messages);
    rules_set_monitor(build.rules, config->monitor);
    limits_begin(&build.limits, config, scan, build.rules, messages);
    add_service(&build);
    set_reputation(&build);
    lists_set(config, scan, build.rules, &deny_scores, messages);
    limits_score = limits_end(&build.limits);
    warn_of_parts(&build, limits_score || deny_scores);
    if (messages->errors == errors)
        build_rules(&build);
    rules_builder_free(&build.rules);
    free(build.pathways);
    free(build.scopes);
    return messages->errors == errors;
}
