/*
 * rules_build.c: from what the configuration says to a rule set.
 */
#include "builder.h"
#include "chain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void *builder_room(struct rules_builder *builder, void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    size_t wanted = *room ? *room * 2 : 16;
    void *grown = wanted < UINT32_MAX ? realloc(items, wanted * size) : NULL;
    if (grown)
        *room = wanted;
    else
        builder->no_memory = true;
    return grown;
}

static char *copy_text(struct rules_builder *builder, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        builder->no_memory = true;
    return copy;
}

struct rules_builder *rules_builder_new(void)
{
    struct rules_builder *builder = calloc(1, sizeof *builder);
    if (!builder)
        return NULL;
    rules_set_client_prefix(builder, 32, 64);
    builder_begin_limits(builder);
    rules_add_scope(builder, SCOPE_SERVICE, RULES_NO_SCOPE, NULL);
    if (builder->no_memory)
        rules_builder_free(&builder);
    return builder;
}

void rules_builder_free(struct rules_builder **builder)
{
    struct rules_builder *old = *builder;
    if (!old)
        return;
    for (size_t i = 0; i < old->scope_count; i++) {
        free(old->scopes[i].title);
        free(old->scopes[i].daemon_name);
    }
    free(old->scopes);
    free(old->prefixes);
    builder_free_limits(old);
    free(old);
    *builder = NULL;
}

void rules_at_line(struct rules_builder *builder, unsigned line)
{
    builder->line = line <= RULES_LINE_MAX ? line : 0;
}

static bool parent_fits(const struct rules_builder *builder, enum scope_kind kind, scope_id parent)
{
    if (kind == SCOPE_SERVICE)
        return parent == RULES_NO_SCOPE && builder->scope_count == 0;
    if (parent >= builder->scope_count)
        return false;
    enum scope_kind above = builder->scopes[parent].kind;
    switch (kind) {
    case SCOPE_PATHWAY_GROUP:
    case SCOPE_LISTENER:
        return above == SCOPE_SERVICE;
    case SCOPE_PATHWAY:
        return above == SCOPE_SERVICE || above == SCOPE_PATHWAY_GROUP;
    case SCOPE_LISTEN:
        return above == SCOPE_LISTENER;
    default:
        return above == SCOPE_LISTENER || above == SCOPE_LISTEN;
    }
}

scope_id rules_add_scope(struct rules_builder *builder, enum scope_kind kind, scope_id parent, const char *title)
{
    if (builder->no_memory)
        return RULES_SERVICE;
    assert(parent_fits(builder, kind, parent));
    struct scope *scopes =
        builder_room(builder, builder->scopes, builder->scope_count, &builder->scope_room, sizeof *scopes);
    if (!scopes)
        return RULES_SERVICE;
    builder->scopes = scopes;
    scope_id id = (scope_id)builder->scope_count++;
    builder->scopes[id] = (struct scope){.kind = kind, .parent = parent, .title = copy_text(builder, title)};
    if (kind == SCOPE_LISTEN && !builder->scopes[parent].has_listen) {
        builder->scopes[parent].has_listen = true;
        builder->scopes[parent].first_listen = id;
    }
    return id;
}

bool builder_usable(const struct rules_builder *builder, scope_id scope)
{
    assert(builder->no_memory || scope < builder->scope_count);
    return !builder->no_memory;
}

void rules_set(struct rules_builder *builder, scope_id scope, enum setting setting, int64_t value)
{
    if (!builder_usable(builder, scope))
        return;
    struct settings *settings = &builder->scopes[scope].settings;
    settings->set |= 1u << setting;
    settings->value[setting] = value;
    settings->origin[setting] = scope;
    settings->line[setting] = builder->line;
}

void rules_set_listen(struct rules_builder *builder, scope_id listen, const struct addr *addr, uint16_t port)
{
    if (!builder_usable(builder, listen))
        return;
    assert(builder->scopes[listen].kind == SCOPE_LISTEN);
    builder->scopes[listen].addr = *addr;
    builder->scopes[listen].port = port;
}

void rules_set_daemon_name(struct rules_builder *builder, scope_id listener, const char *name)
{
    if (!builder_usable(builder, listener))
        return;
    assert(builder->scopes[listener].kind == SCOPE_LISTENER);
    free(builder->scopes[listener].daemon_name);
    builder->scopes[listener].daemon_name = copy_text(builder, name);
}

void rules_add_prefix(struct rules_builder *builder, scope_id peer, const struct prefix *prefix)
{
    if (!builder_usable(builder, peer))
        return;
    assert(builder->scopes[peer].kind == SCOPE_PEER);
    struct peer_prefix *prefixes =
        builder_room(builder, builder->prefixes, builder->prefix_count, &builder->prefix_room, sizeof *prefixes);
    if (!prefixes)
        return;
    builder->prefixes = prefixes;
    builder->prefixes[builder->prefix_count++] = (struct peer_prefix){*prefix, peer};
}

void rules_set_client_prefix(struct rules_builder *builder, unsigned ipv4_bits, unsigned ipv6_bits)
{
    assert(ipv4_bits <= 32 && ipv6_bits <= 128);
    builder->client_ipv4_bits = ipv4_bits;
    builder->client_ipv6_bits = ipv6_bits;
}

/* The rules under construction, and the error of the step that failed. */
struct build {
    const struct rules_builder *builder;
    struct rules *rules;
    struct rules_error *error;
};

static bool fail(struct build *build, enum rules_error_code code, scope_id a, scope_id b)
{
    *build->error = (struct rules_error){.code = code, .scope = a > b ? a : b, .other = a > b ? b : a};
    return false;
}

static bool fail_memory(struct build *build)
{
    return fail(build, RULES_NO_MEMORY, RULES_SERVICE, RULES_SERVICE);
}

/* malloc() may answer NULL for nothing at all, and that is no failure. */
static void *reserve(size_t count, size_t size)
{
    return calloc(count ? count : 1, size);
}

static bool is_catch_all(const struct scope *scope)
{
    return scope->kind == SCOPE_LISTENER && !scope->daemon_name && !scope->has_listen;
}

static bool copy_scopes(struct build *build)
{
    const struct rules_builder *builder = build->builder;
    struct rules *rules = build->rules;

    /* One more: the listener of sessions that no configured one matches, unless there is one. */
    rules->scopes = reserve(builder->scope_count + 1, sizeof *rules->scopes);
    if (!rules->scopes)
        return fail_memory(build);
    rules->catch_all = RULES_NO_SCOPE;
    for (size_t i = 0; i < builder->scope_count; i++) {
        const struct scope *from = &builder->scopes[i];
        struct scope *to = &rules->scopes[rules->scope_count++];
        *to = *from;
        to->title = from->title ? strdup(from->title) : NULL;
        to->daemon_name = from->daemon_name ? strdup(from->daemon_name) : NULL;
        if ((from->title && !to->title) || (from->daemon_name && !to->daemon_name))
            return fail_memory(build);
        if (!is_catch_all(from))
            continue;
        if (rules->catch_all != RULES_NO_SCOPE)
            return fail(build, RULES_DUPLICATE_CATCH_ALL, (scope_id)i, rules->catch_all);
        rules->catch_all = (scope_id)i;
        rules->catch_all_given = true;
    }
    if (rules->catch_all == RULES_NO_SCOPE) {
        rules->catch_all = rules->scope_count++;
        rules->scopes[rules->catch_all] = (struct scope){.kind = SCOPE_LISTENER, .parent = RULES_SERVICE};
    }
    return true;
}

/* The caps that are not simply the counter of the scope they stand in. */
static void place_caps(struct rules *rules)
{
    struct settings *service = &rules->scopes[RULES_SERVICE].settings;

    for (scope_id i = 0; i < rules->scope_count; i++) {
        struct settings *settings = &rules->scopes[i].settings;
        if (rules->scopes[i].kind != SCOPE_LISTENER)
            continue;
        if (settings->set >> SETTING_SERVICE_SESSIONS & 1) {
            int64_t value = settings->value[SETTING_SERVICE_SESSIONS];
            if (value != 0 &&
                (service->value[SETTING_SERVICE_SESSIONS] == 0 || value < service->value[SETTING_SERVICE_SESSIONS])) {
                service->set |= 1u << SETTING_SERVICE_SESSIONS;
                service->value[SETTING_SERVICE_SESSIONS] = value;
                service->line[SETTING_SERVICE_SESSIONS] = settings->line[SETTING_SERVICE_SESSIONS];
            }
        }
        if (!(settings->set >> SETTING_LISTENER_SESSIONS & 1) && service->set >> SETTING_LISTENER_SESSIONS & 1) {
            settings->set |= 1u << SETTING_LISTENER_SESSIONS;
            settings->value[SETTING_LISTENER_SESSIONS] = service->value[SETTING_LISTENER_SESSIONS];
            settings->origin[SETTING_LISTENER_SESSIONS] = i;
            settings->line[SETTING_LISTENER_SESSIONS] = service->line[SETTING_LISTENER_SESSIONS];
        }
    }
}

struct title_key {
    enum scope_kind kind;
    const char *title;
    scope_id scope;
};

static int compare_titles(const void *left, const void *right)
{
    const struct title_key *a = left, *b = right;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return strcmp(a->title ? a->title : "", b->title ? b->title : "");
}

static bool check_pathways(struct build *build)
{
    const struct rules *rules = build->rules;
    struct title_key *keys = reserve(rules->scope_count, sizeof *keys);
    size_t count = 0;
    bool ok = true;

    if (!keys)
        return fail_memory(build);
    for (scope_id i = 0; i < rules->scope_count; i++)
        if (rules->scopes[i].kind == SCOPE_PATHWAY || rules->scopes[i].kind == SCOPE_PATHWAY_GROUP)
            keys[count++] = (struct title_key){rules->scopes[i].kind, rules->scopes[i].title, i};
    qsort(keys, count, sizeof *keys, compare_titles);
    for (size_t i = 1; i < count && ok; i++)
        if (compare_titles(&keys[i - 1], &keys[i]) == 0)
            ok = fail(build, RULES_DUPLICATE_PATHWAY, keys[i].scope, keys[i - 1].scope);
    free(keys);
    return ok;
}

static bool index_listens(struct build *build)
{
    struct rules *rules = build->rules;
    size_t listens = 0, names = 0;

    for (scope_id i = 0; i < rules->scope_count; i++) {
        listens += rules->scopes[i].kind == SCOPE_LISTEN;
        names += rules->scopes[i].daemon_name != NULL;
    }
    rules->listens = reserve(listens, sizeof *rules->listens);
    rules->names = reserve(names, sizeof *rules->names);
    if (!rules->listens || !rules->names)
        return fail_memory(build);
    for (scope_id i = 0; i < rules->scope_count; i++) {
        const struct scope *scope = &rules->scopes[i];
        if (scope->daemon_name) {
            rules->names[rules->name_count++] = (struct name_key){rules_name_hash(scope->daemon_name), i};
        } else if (scope->kind == SCOPE_LISTEN) {
            scope_id owner = rules->scopes[scope->parent].daemon_name ? scope->parent : RULES_NO_SCOPE;
            rules->listens[rules->listen_count++] = (struct listen_key){owner, scope->addr, scope->port, i};
        }
    }
    qsort(rules->listens, rules->listen_count, sizeof *rules->listens, listen_key_compare);
    for (uint32_t i = 1; i < rules->listen_count; i++)
        if (listen_key_compare(&rules->listens[i - 1], &rules->listens[i]) == 0)
            return fail(build, RULES_DUPLICATE_LISTEN, rules->listens[i].listen, rules->listens[i - 1].listen);
    qsort(rules->names, rules->name_count, sizeof *rules->names, name_key_compare);
    for (uint32_t i = 1; i < rules->name_count; i++)
        if (rules->names[i - 1].hash == rules->names[i].hash)
            return fail(build, RULES_DUPLICATE_DAEMON_NAME, rules->names[i].listener, rules->names[i - 1].listener);
    return true;
}

/* Blocks by the parent of their peer, then as prefixes, so that an enclosing one comes before what it encloses. */
struct placed_block {
    scope_id parent;
    struct peer_prefix block;
};

static int compare_blocks(const void *left, const void *right)
{
    const struct placed_block *a = left, *b = right;
    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1;
    return prefix_compare(&a->block.prefix, &b->block.prefix);
}

/* What the last block of a peer got, so that the thousands of blocks of one pool share one layer. */
struct last_layer {
    uint32_t enclosing, layer;
};

struct layer_stack {
    struct {
        struct prefix prefix;
        uint32_t layer;
    } levels[130]; /* as many as one prefix can lie in: lengths 0 to 128 */
    unsigned depth;
};

/* How much has been reserved while layers are added. */
struct room {
    size_t layers;
    uint32_t blocks;
};

/* The settings of `peer` over those of the block around it, as an index of rules->layers. */
static bool add_layer(struct build *build, struct last_layer *last, scope_id peer, uint32_t enclosing, uint32_t *layer,
                      struct room *room)
{
    struct rules *rules = build->rules;

    if (last[peer].layer != LPM_NONE && last[peer].enclosing == enclosing) {
        *layer = last[peer].layer;
        return true;
    }
    if (rules->layer_count == room->layers) {
        size_t wanted = room->layers ? room->layers * 2 : 16;
        void *grown = realloc(rules->layers, wanted * sizeof *rules->layers);
        if (!grown)
            return fail_memory(build);
        rules->layers = grown;
        room->layers = wanted;
    }
    struct settings *settings = &rules->layers[rules->layer_count];
    const struct settings *own = &rules->scopes[peer].settings;
    *settings = enclosing == LPM_NONE ? (struct settings){.set = 0} : rules->layers[enclosing];
    rules->layer_count++; /* it owns its blocks from here on, whatever fails */
    if (!rules_merge_blocks(rules, own, enclosing == LPM_NONE ? NULL : &rules->layers[enclosing], settings,
                            &room->blocks))
        return fail_memory(build);
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        if (own->set >> i & 1) {
            settings->set |= 1u << i;
            settings->value[i] = own->value[i];
            settings->origin[i] = own->origin[i];
            settings->line[i] = own->line[i];
        }
    }
    *layer = rules->layer_count - 1;
    last[peer] = (struct last_layer){enclosing, *layer};
    return true;
}

/* Gives each block of one parent its layer and indexes them. */
static bool index_parent(struct build *build, const struct placed_block *blocks, size_t count, struct last_layer *last,
                         struct room *room)
{
    struct rules *rules = build->rules;
    struct lpm_entry *entries = reserve(count, sizeof *entries);
    struct layer_stack stack = {.depth = 0};
    bool ok = entries || fail_memory(build);

    for (size_t i = 0; i < count && ok; i++) {
        const struct peer_prefix *block = &blocks[i].block;
        while (stack.depth > 0 && !prefix_contains(&stack.levels[stack.depth - 1].prefix, &block->prefix.addr))
            stack.depth--;
        uint32_t enclosing = stack.depth > 0 ? stack.levels[stack.depth - 1].layer : LPM_NONE, layer = LPM_NONE;
        ok = add_layer(build, last, block->peer, enclosing, &layer, room);
        if (!ok)
            break;
        stack.levels[stack.depth].prefix = block->prefix;
        stack.levels[stack.depth++].layer = layer;
        entries[i] = (struct lpm_entry){block->prefix, layer};
        if (block->prefix.bits == 0 && block->prefix.addr.family == ADDR_IPV4)
            rules->scopes[block->peer].all_ipv4 = true;
        if (block->prefix.bits == 0 && block->prefix.addr.family == ADDR_IPV6)
            rules->scopes[blocks->parent].all_ipv6 = true;
    }
    if (ok) {
        rules->scopes[blocks->parent].peers = lpm_build(entries, count);
        ok = rules->scopes[blocks->parent].peers || fail_memory(build);
    }
    free(entries);
    return ok;
}

static bool index_peers(struct build *build)
{
    const struct rules_builder *builder = build->builder;
    struct rules *rules = build->rules;
    size_t count = builder->prefix_count;
    struct room room = {.blocks = rules->block_count};
    struct placed_block *blocks = reserve(count, sizeof *blocks);
    struct last_layer *last = reserve(rules->scope_count, sizeof *last);
    bool ok = (blocks && last) || fail_memory(build);

    for (size_t i = 0; i < count && ok; i++)
        blocks[i] = (struct placed_block){rules->scopes[builder->prefixes[i].peer].parent, builder->prefixes[i]};
    for (uint32_t i = 0; i < rules->scope_count && ok; i++)
        last[i].layer = LPM_NONE;
    if (ok)
        qsort(blocks, count, sizeof *blocks, compare_blocks);
    for (size_t i = 1; i < count && ok; i++) {
        if (compare_blocks(&blocks[i - 1], &blocks[i]) == 0) {
            ok = fail(build, RULES_DUPLICATE_PEER, blocks[i].block.peer, blocks[i - 1].block.peer);
            build->error->prefix = blocks[i].block.prefix;
        }
    }
    for (size_t begin = 0, end; begin < count && ok; begin = end) {
        for (end = begin + 1; end < count && blocks[end].parent == blocks[begin].parent;)
            end++;
        ok = index_parent(build, &blocks[begin], end - begin, last, &room);
    }
    if (ok && rules->layer_count > 0) {
        void *fitting = realloc(rules->layers, rules->layer_count * sizeof *rules->layers);
        rules->layers = fitting ? fitting : rules->layers;
    }
    free(blocks);
    free(last);
    return ok;
}

struct rules *rules_build(const struct rules_builder *builder, struct rules_error *error)
{
    struct rules *rules = calloc(1, sizeof *rules);
    struct build build = {builder, rules, error};

    *error = (struct rules_error){.code = RULES_OK};
    if (!rules || builder->no_memory) {
        fail_memory(&build);
        free(rules);
        return NULL;
    }
    rules->client_ipv4_bits = builder->client_ipv4_bits;
    rules->client_ipv6_bits = builder->client_ipv6_bits;
    if (!copy_scopes(&build)) {
        rules_free(&rules);
        return NULL;
    }
    place_caps(rules);
    if (!check_pathways(&build) || !index_listens(&build) ||
        (!rules_place_blocks(rules, builder) && !fail_memory(&build)) || !index_peers(&build) ||
        (!rules_finish_limits(rules, builder) && !fail_memory(&build)))
        rules_free(&rules);
    return rules;
}
