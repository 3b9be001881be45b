/*
 * plain_build.c: from plain rule sets to the engine's builder.
 */
#include "plain.h"

#include <string.h>

struct addr plain_to_addr(const struct plain_addr *addr)
{
    struct addr out = {.family = (uint8_t)addr->family};
    for (int i = 0; i < 8; i++) {
        out.hi |= (uint64_t)addr->bytes[i] << (56 - 8 * i);
        out.lo |= (uint64_t)addr->bytes[8 + i] << (56 - 8 * i);
    }
    return out;
}

static struct prefix to_prefix(const struct plain_block *block)
{
    return (struct prefix){plain_to_addr(&block->addr), (uint8_t)block->bits};
}

static void add_scope(struct rules_builder *builder, int number, const struct plain_scope *scope)
{
    const scope_id id = (scope_id)number;

    if (number > 0)
        rules_add_scope(builder, scope->kind, (scope_id)scope->parent, scope->title[0] ? scope->title : NULL);
    if (scope->kind == SCOPE_LISTENER && scope->daemon_name[0])
        rules_set_daemon_name(builder, id, scope->daemon_name);
    if (scope->kind == SCOPE_LISTEN) {
        struct addr addr = plain_to_addr(&scope->addr);
        rules_set_listen(builder, id, &addr, scope->port);
    }
    for (int block = 0; block < scope->block_count; block++) {
        struct prefix prefix = to_prefix(&scope->blocks[block]);
        rules_add_prefix(builder, id, &prefix);
    }
    for (int setting = 0; setting < SETTING_COUNT; setting++)
        if (scope->set[setting])
            rules_set(builder, id, (enum setting)setting, scope->value[setting]);
}

/* The users of the simulation are known by how their names begin. */
static bool is_user(const char *name)
{
    return strncmp(name, "user", 4) == 0;
}

static void add_key(struct rules_builder *builder, limit_block_id block, const struct plain_entry *entry)
{
    const struct prefix prefix = to_prefix(&entry->block);
    struct limit_maxima maxima = {.set = 0};

    for (int i = 0; i < 4; i++) {
        maxima.set |= (uint32_t)entry->set[i] << i;
        maxima.max[i] = (uint32_t)entry->max[i];
    }
    if (entry->name && is_user(entry->name))
        rules_add_key_user(builder, block, entry->name, &maxima);
    else if (entry->name)
        rules_add_key_name(builder, block, entry->name, &maxima);
    else
        rules_add_key_prefix(builder, block, &prefix, &maxima);
}

static void add_limit(struct rules_builder *builder, const struct plain_limit *limit)
{
    const struct plain_kind *kind = plain_kind(limit->kind);
    const limit_number number = rules_add_limit(builder, kind->name, kind->count, kind->per);
    const limit_block_id block = rules_add_limit_block(builder, (scope_id)limit->scope, number);

    for (int term = 0; term < LIMIT_TERMS; term++)
        if (limit->set[term])
            rules_set_term(builder, block, (enum limit_term)term, limit->value[term]);
    if (limit->has_reply)
        rules_set_reply(builder, block, &limit->reply);
    if (limit->has_except)
        rules_set_except(builder, block);
    for (int i = 0; i < limit->except_count; i++) {
        const struct prefix prefix = to_prefix(&limit->except[i].block);
        if (limit->except[i].name && is_user(limit->except[i].name))
            rules_add_except_user(builder, block, limit->except[i].name);
        else if (limit->except[i].name)
            rules_add_except_name(builder, block, limit->except[i].name);
        else
            rules_add_except_prefix(builder, block, &prefix);
    }
    for (int i = 0; i < limit->key_count; i++)
        add_key(builder, block, &limit->keys[i]);
}

static void add_list(struct rules_builder *builder, enum rules_list which, const struct plain_list *list)
{
    for (int i = 0; i < list->block_count; i++) {
        const struct prefix prefix = to_prefix(&list->blocks[i]);
        rules_add_list_prefix(builder, which, &prefix);
    }
    for (int i = 0; i < list->sender_count; i++)
        rules_add_list_sender(builder, which, list->senders[i]);
    for (int i = 0; i < list->user_count; i++)
        rules_add_list_user(builder, which, list->users[i]);
    if (list->authenticated)
        rules_add_list_authenticated(builder, which);
}

struct rules *plain_build(const struct plain_rules *plain)
{
    struct rules_builder *builder = rules_builder_new();
    struct rules_error error;

    if (!builder)
        return NULL;
    rules_set_client_prefix(builder, plain->client_ipv4_bits, plain->client_ipv6_bits);
    for (int i = 0; i < plain->count; i++)
        add_scope(builder, i, &plain->scopes[i]);
    for (int i = 0; i < plain->limit_count; i++)
        add_limit(builder, &plain->limits[i]);
    for (int i = 0; i < RULES_LISTS; i++)
        add_list(builder, (enum rules_list)i, &plain->lists[i]);
    rules_set_deny(builder, plain->deny_mode, (uint32_t)plain->deny_points);
    rules_set_monitor(builder, plain->monitor);
    rules_set_reputation(builder, plain->half_life);
    struct rules *rules = rules_build(builder, &error);
    rules_builder_free(&builder);
    return rules;
}
