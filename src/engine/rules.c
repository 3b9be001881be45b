/*
 * rules.c: the built rule set: from a session's facts to its chain of scopes.
 */
#include "builder.h"
#include "chain.h"
#include "hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int listen_key_compare(const void *left, const void *right)
{
    const struct listen_key *a = left, *b = right;
    int order = compare_u64(a->owner, b->owner);
    if (order == 0)
        order = compare_u64(a->addr.family, b->addr.family);
    if (order == 0)
        order = compare_u64(a->addr.hi, b->addr.hi);
    if (order == 0)
        order = compare_u64(a->addr.lo, b->addr.lo);
    return order != 0 ? order : compare_u64(a->port, b->port);
}

int name_key_compare(const void *a, const void *b)
{
    return compare_u64(((const struct name_key *)a)->hash, ((const struct name_key *)b)->hash);
}

uint64_t rules_name_hash(const char *name)
{
    /* The names come from the administrator and his MTA, so the key need not be secret; 0 is kept for "no name". */
    static const uint64_t key[2] = {0, 0};
    if (!name || !*name)
        return 0;
    uint64_t hash = hash_bytes(key, name, strlen(name));
    return hash ? hash : 1;
}

struct session_facts session_facts_of(const struct connect_event *event)
{
    return (struct session_facts){
        .client = event->client,
        .local = event->local,
        .daemon_name = rules_name_hash(event->daemon_name),
        .local_port = event->local_port,
        .client_port = event->client_port,
    };
}

/* The listen that fits best: an address beats a port, both beat one. RULES_NO_SCOPE when none fits. */
static scope_id find_listen(const struct rules *rules, scope_id owner, const struct session_facts *facts)
{
    const struct addr any = {0};
    const struct listen_key keys[] = {
        {owner, facts->local, facts->local_port, 0},
        {owner, facts->local, 0, 0},
        {owner, any, facts->local_port, 0},
        {owner, any, 0, 0},
    };
    if (rules->listen_count == 0)
        return RULES_NO_SCOPE;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct listen_key *found =
            bsearch(&keys[i], rules->listens, rules->listen_count, sizeof keys[i], listen_key_compare);
        if (found)
            return found->listen;
    }
    return RULES_NO_SCOPE;
}

static void find_listener(const struct rules *rules, const struct session_facts *facts, scope_id *listener,
                          scope_id *listen)
{
    const struct name_key key = {facts->daemon_name, 0};
    const struct name_key *name = NULL;

    if (facts->daemon_name != 0 && rules->name_count > 0)
        name = bsearch(&key, rules->names, rules->name_count, sizeof key, name_key_compare);
    *listen = find_listen(rules, name ? name->listener : RULES_NO_SCOPE, facts);
    if (name)
        *listener = name->listener;
    else
        *listener = *listen != RULES_NO_SCOPE ? rules->scopes[*listen].parent : rules->catch_all;
}

bool rules_place_known(const struct rules *rules, const struct session_facts *facts)
{
    scope_id listener, listen;

    find_listener(rules, facts, &listener, &listen);
    return listener != rules->catch_all || rules->catch_all_given || rules->listen_count + rules->name_count == 0;
}

const struct settings *level_settings(const struct rules *rules, uint32_t level)
{
    return level & CHAIN_LAYER ? &rules->layers[level & ~CHAIN_LAYER] : &rules->scopes[level].settings;
}

static const struct settings *find_setting(const struct rules *rules, const uint32_t *levels, unsigned count,
                                           enum setting setting)
{
    for (unsigned i = 0; i < count; i++) {
        const struct settings *settings = level_settings(rules, levels[i]);
        if (settings->set >> setting & 1)
            return settings;
    }
    return NULL;
}

int64_t rules_setting(const struct rules *rules, const uint32_t *levels, unsigned count, enum setting setting)
{
    const struct settings *settings = find_setting(rules, levels, count, setting);
    return settings ? settings->value[setting] : 0;
}

struct said rules_setting_said(const struct rules *rules, const uint32_t *levels, unsigned count, enum setting setting)
{
    const struct settings *settings = find_setting(rules, levels, count, setting);
    return settings ? (struct said){settings->origin[setting], settings->line[setting]}
                    : (struct said){RULES_SERVICE, 0};
}

scope_id rules_setting_scope(const struct rules *rules, const uint32_t *levels, unsigned count, enum setting setting)
{
    return rules_setting_said(rules, levels, count, setting).scope;
}

void rules_resolve(const struct rules *rules, const struct session_facts *facts, struct chain *chain)
{
    scope_id listener, listen;

    chain->count = chain->level_count = 0;
    find_listener(rules, facts, &listener, &listen);
    chain->listener = listener;

    const scope_id parents[] = {listen, listener};
    for (size_t i = 0; i < 2; i++) {
        uint32_t layer = LPM_NONE;
        if (parents[i] != RULES_NO_SCOPE)
            layer = lpm_lookup(rules->scopes[parents[i]].peers, &facts->client);
        if (layer == LPM_NONE)
            continue;
        chain->levels[chain->level_count++] = layer | CHAIN_LAYER;
        const struct settings *settings = &rules->layers[layer];
        if (settings->set >> SETTING_LISTENER_SESSIONS & 1)
            chain->scopes[chain->count++] = settings->origin[SETTING_LISTENER_SESSIONS];
    }
    for (size_t i = 0; i < 2; i++) {
        if (parents[i] == RULES_NO_SCOPE)
            continue;
        chain->levels[chain->level_count++] = parents[i];
        chain->scopes[chain->count++] = parents[i];
    }
    /* A pathway's settings come after those of whoever takes it; its counters are shared by all who do. */
    const struct settings *taker = find_setting(rules, chain->levels, chain->level_count, SETTING_PATHWAY);
    scope_id scope = taker ? (scope_id)taker->value[SETTING_PATHWAY] : RULES_SERVICE;
    for (;; scope = rules->scopes[scope].parent) {
        chain->levels[chain->level_count++] = scope;
        chain->scopes[chain->count++] = scope;
        if (scope == RULES_SERVICE)
            break;
    }
    chain->refuse_at = (enum refuse_at)rules_setting(rules, chain->levels, chain->level_count, SETTING_REFUSE_AT);
    chain->refuse_pending = (uint32_t)rules_setting(rules, chain->levels, chain->level_count, SETTING_REFUSE_PENDING);
    chain->disconnect_delay_ns = rules_setting(rules, chain->levels, chain->level_count, SETTING_DISCONNECT_DELAY);
}

uint32_t rules_scope_count(const struct rules *rules)
{
    return rules->scope_count;
}

enum limit_id rules_cap_limit(scope_id scope)
{
    return scope == RULES_SERVICE ? LIMIT_SERVICE_SESSIONS : LIMIT_LISTENER_SESSIONS;
}

static enum setting cap_setting(scope_id scope)
{
    return scope == RULES_SERVICE ? SETTING_SERVICE_SESSIONS : SETTING_LISTENER_SESSIONS;
}

uint32_t rules_cap(const struct rules *rules, scope_id scope)
{
    enum setting setting = cap_setting(scope);
    const struct settings *settings = &rules->scopes[scope].settings;
    return settings->set >> setting & 1 ? (uint32_t)settings->value[setting] : 0;
}

uint32_t rules_cap_line(const struct rules *rules, scope_id scope)
{
    return rules->scopes[scope].settings.line[cap_setting(scope)];
}

uint32_t rules_place_count(const struct rules *rules)
{
    return rules->listen_count + rules->name_count + 1;
}

void rules_place(const struct rules *rules, uint32_t number, struct session_facts *facts)
{
    facts->local = (struct addr){.family = ADDR_NONE};
    facts->local_port = 0;
    facts->daemon_name = 0;
    if (number < rules->listen_count) {
        const struct listen_key *listen = &rules->listens[number];
        facts->local = listen->addr;
        facts->local_port = listen->port;
        if (listen->owner != RULES_NO_SCOPE)
            facts->daemon_name = rules_name_hash(rules->scopes[listen->owner].daemon_name);
    } else if (number - rules->listen_count < rules->name_count) {
        facts->daemon_name = rules->names[number - rules->listen_count].hash;
    }
}

struct prefix rules_client(const struct rules *rules, const struct addr *addr)
{
    unsigned bits = addr->family == ADDR_IPV4 ? rules->client_ipv4_bits : rules->client_ipv6_bits;
    if (bits > addr_width(addr))
        bits = addr_width(addr);
    return (struct prefix){.addr = addr_cut(addr, bits), .bits = (uint8_t)bits};
}

const char *rules_scope_title(const struct rules *rules, scope_id scope)
{
    return rules->scopes[scope].title ? rules->scopes[scope].title : "";
}

const char *rules_scope_name(const struct rules *rules, scope_id scope, char out[SCOPE_NAME_SIZE])
{
    const struct scope *s = &rules->scopes[scope];
    const char *title = rules_scope_title(rules, scope);

    switch (s->kind) {
    case SCOPE_SERVICE:
        snprintf(out, SCOPE_NAME_SIZE, "service");
        break;
    case SCOPE_PATHWAY_GROUP:
        snprintf(out, SCOPE_NAME_SIZE, "pathway_group[%s]", title);
        break;
    case SCOPE_PATHWAY:
        snprintf(out, SCOPE_NAME_SIZE, "pathway[%s]", title);
        break;
    case SCOPE_LISTENER:
        snprintf(out, SCOPE_NAME_SIZE, "listener[%s]",
                 s->daemon_name  ? s->daemon_name
                 : s->has_listen ? rules->scopes[s->first_listen].title
                                 : "default");
        break;
    case SCOPE_LISTEN:
    case SCOPE_PEER: {
        rules_scope_name(rules, s->parent, out);
        size_t used = strlen(out);
        snprintf(out + used, SCOPE_NAME_SIZE - used, "/%s[%s]", s->kind == SCOPE_LISTEN ? "listen" : "peer", title);
        break;
    }
    }
    return out;
}

size_t rules_bytes(const struct rules *rules)
{
    size_t bytes = sizeof *rules + rules->scope_count * sizeof *rules->scopes +
                   rules->layer_count * sizeof *rules->layers + rules->listen_count * sizeof *rules->listens +
                   rules->name_count * sizeof *rules->names + rules_limits_bytes(rules);
    for (uint32_t i = 0; i < rules->scope_count; i++) {
        const struct scope *scope = &rules->scopes[i];
        bytes += lpm_bytes(scope->peers) + (scope->title ? strlen(scope->title) + 1 : 0) +
                 (scope->daemon_name ? strlen(scope->daemon_name) + 1 : 0);
    }
    return bytes;
}

void rules_free(struct rules **rules)
{
    struct rules *old = *rules;
    if (!old)
        return;
    for (uint32_t i = 0; i < old->scope_count; i++) {
        free(old->scopes[i].title);
        free(old->scopes[i].daemon_name);
        lpm_free(&old->scopes[i].peers);
    }
    rules_free_limits(old);
    free(old->scopes);
    free(old->layers);
    free(old->listens);
    free(old->names);
    free(old);
    *rules = NULL;
}

bool rules_lonely_ipv4_default(const struct rules *rules, scope_id *scope)
{
    for (scope_id i = *scope == RULES_NO_SCOPE ? 0 : *scope + 1; i < rules->scope_count; i++) {
        const struct scope *s = &rules->scopes[i];
        if (s->kind == SCOPE_PEER && s->all_ipv4 && !rules->scopes[s->parent].all_ipv6) {
            *scope = i;
            return true;
        }
    }
    return false;
}
