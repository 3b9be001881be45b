/*
 * model.c: the naive model.
 */
#include "model.h"

#include <stdio.h>
#include <string.h>

static unsigned bit_of(const struct plain_addr *addr, unsigned bit)
{
    return addr->bytes[bit / 8] >> (7 - bit % 8) & 1;
}

static bool holds(const struct plain_block *block, const struct plain_addr *addr)
{
    if (block->addr.family != addr->family)
        return false;
    for (unsigned bit = 0; bit < block->bits; bit++)
        if (bit_of(&block->addr, bit) != bit_of(addr, bit))
            return false;
    return true;
}

static bool same_addr(const struct plain_addr *a, const struct plain_addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bool same_block(const struct plain_block *a, const struct plain_block *b)
{
    return a->bits == b->bits && same_addr(&a->addr, &b->addr);
}

static struct prefix to_prefix(const struct plain_block *block)
{
    return (struct prefix){plain_to_addr(&block->addr), (uint8_t)block->bits};
}

static struct plain_block whole(const struct plain_addr *addr)
{
    return (struct plain_block){*addr, addr->family == 4 ? 32 : addr->family == 6 ? 128 : 0};
}

/* The listener that says neither a listen nor a name; the implicit one's number when there is none. */
static int find_catch_all(const struct plain_rules *rules)
{
    for (int i = 0; i < rules->count; i++) {
        bool listens = false;
        for (int j = 0; j < rules->count; j++)
            listens = listens || (rules->scopes[j].kind == SCOPE_LISTEN && rules->scopes[j].parent == i);
        if (rules->scopes[i].kind == SCOPE_LISTENER && !rules->scopes[i].daemon_name[0] && !listens)
            return i;
    }
    return rules->count;
}

static void find_listener(const struct plain_rules *rules, const struct plain_facts *facts, int *listener, int *listen)
{
    int best = -1;

    *listener = PLAIN_NONE;
    *listen = PLAIN_NONE;
    for (int i = 0; i < rules->count && facts->daemon_name[0]; i++)
        if (rules->scopes[i].kind == SCOPE_LISTENER && strcmp(rules->scopes[i].daemon_name, facts->daemon_name) == 0)
            *listener = i;
    for (int i = 0; i < rules->count; i++) {
        const struct plain_scope *scope = &rules->scopes[i];
        if (scope->kind != SCOPE_LISTEN)
            continue;
        if (*listener != PLAIN_NONE ? scope->parent != *listener : rules->scopes[scope->parent].daemon_name[0] != '\0')
            continue;
        if (scope->addr.family != 0 && !same_addr(&scope->addr, &facts->local))
            continue;
        if (scope->port != 0 && scope->port != facts->port)
            continue;
        int fit = (scope->addr.family != 0 ? 2 : 0) + (scope->port != 0 ? 1 : 0);
        if (fit > best) {
            best = fit;
            *listen = i;
        }
    }
    if (*listener == PLAIN_NONE)
        *listener = *listen != PLAIN_NONE ? rules->scopes[*listen].parent : find_catch_all(rules);
}

/* Of the peers in `parent` that hold the client and set the option, the one with the longest prefix. */
static int find_peer(const struct plain_rules *rules, int parent, const struct plain_addr *client, enum setting setting)
{
    int best = PLAIN_NONE, longest = -1;

    for (int i = 0; i < rules->count; i++) {
        const struct plain_scope *scope = &rules->scopes[i];
        if (scope->kind != SCOPE_PEER || scope->parent != parent || !scope->set[setting])
            continue;
        for (int j = 0; j < scope->block_count; j++) {
            if ((int)scope->blocks[j].bits > longest && holds(&scope->blocks[j], client)) {
                longest = (int)scope->blocks[j].bits;
                best = i;
            }
        }
    }
    return best;
}

struct place {
    const struct plain_rules *rules;
    const struct plain_addr *client;
    int listen, listener, pathway; /* PLAIN_NONE where there is none */
};

static bool sets(const struct place *place, int scope, enum setting setting)
{
    return scope != PLAIN_NONE && scope < place->rules->count && place->rules->scopes[scope].set[setting];
}

/* The scope that gives a setting: listen's peer, listener's peer, listen, listener, pathway, pathway_group, service. */
static int find_giver(const struct place *place, enum setting setting)
{
    int peer =
        place->listen == PLAIN_NONE ? PLAIN_NONE : find_peer(place->rules, place->listen, place->client, setting);
    if (peer == PLAIN_NONE)
        peer = find_peer(place->rules, place->listener, place->client, setting);
    if (peer != PLAIN_NONE)
        return peer;
    if (sets(place, place->listen, setting))
        return place->listen;
    if (sets(place, place->listener, setting))
        return place->listener;
    if (sets(place, place->pathway, setting))
        return place->pathway;
    int group = place->pathway == PLAIN_NONE ? PLAIN_NONE : place->rules->scopes[place->pathway].parent;
    if (sets(place, group, setting))
        return group;
    return sets(place, 0, setting) ? 0 : PLAIN_NONE;
}

static int64_t value_of(const struct place *place, enum setting setting, int64_t otherwise)
{
    int giver = find_giver(place, setting);
    return giver == PLAIN_NONE ? otherwise : place->rules->scopes[giver].value[setting];
}

static struct plain_block client_of(const struct plain_rules *rules, const struct plain_addr *addr)
{
    struct plain_block block = {*addr, addr->family == 4 ? rules->client_ipv4_bits : rules->client_ipv6_bits};
    for (unsigned bit = block.bits; bit < 128; bit++)
        block.addr.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    return block;
}

static void find_chain(const struct plain_rules *rules, const struct plain_facts *facts, struct model_chain *chain)
{
    struct place place = {.rules = rules, .client = &facts->client, .pathway = PLAIN_NONE};

    memset(chain, 0, sizeof *chain);
    find_listener(rules, facts, &place.listener, &place.listen);
    chain->listener = place.listener;
    int taker = find_giver(&place, SETTING_PATHWAY);
    if (taker != PLAIN_NONE)
        place.pathway = (int)rules->scopes[taker].value[SETTING_PATHWAY];

    const int candidates[] = {
        place.listen == PLAIN_NONE ? PLAIN_NONE
                                   : find_peer(rules, place.listen, &facts->client, SETTING_LISTENER_SESSIONS),
        find_peer(rules, place.listener, &facts->client, SETTING_LISTENER_SESSIONS),
        place.listen,
        place.listener,
        place.pathway,
        place.pathway == PLAIN_NONE || rules->scopes[place.pathway].parent == 0 ? PLAIN_NONE
                                                                                : rules->scopes[place.pathway].parent,
        0,
    };
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++)
        if (candidates[i] != PLAIN_NONE)
            chain->scopes[chain->count++] = candidates[i];

    chain->refuse_at = value_of(&place, SETTING_REFUSE_AT, REFUSE_AT_HELO);
    chain->refuse_pending = value_of(&place, SETTING_REFUSE_PENDING, 0);
    chain->delay = value_of(&place, SETTING_DISCONNECT_DELAY, 0);
    chain->client_cap = value_of(&place, SETTING_CLIENT_SESSIONS, 0);
    chain->client_scope = facts->client.family ? find_giver(&place, SETTING_CLIENT_SESSIONS) : PLAIN_NONE;
    chain->client = client_of(rules, &facts->client);
}

int64_t model_cap(const struct plain_rules *rules, int scope)
{
    int64_t cap = 0;

    if (scope == 0) { /* the smallest that anybody says */
        for (int i = 0; i < rules->count; i++) {
            const struct plain_scope *other = &rules->scopes[i];
            int64_t value = other->set[SETTING_SERVICE_SESSIONS] ? other->value[SETTING_SERVICE_SESSIONS] : 0;
            if (value != 0 && (cap == 0 || value < cap))
                cap = value;
        }
        return cap;
    }
    if (scope < rules->count && rules->scopes[scope].set[SETTING_LISTENER_SESSIONS])
        return rules->scopes[scope].value[SETTING_LISTENER_SESSIONS];
    bool listener = scope == rules->count || rules->scopes[scope].kind == SCOPE_LISTENER;
    return listener && rules->scopes[0].set[SETTING_LISTENER_SESSIONS]
               ? rules->scopes[0].value[SETTING_LISTENER_SESSIONS]
               : 0;
}

static void add_text(char out[SCOPE_NAME_SIZE], const char *kind, const char *title)
{
    size_t used = strlen(out);
    snprintf(out + used, SCOPE_NAME_SIZE - used, "%s[%s]", kind, title);
}

void model_scope_name(const struct plain_rules *rules, int number, char out[SCOPE_NAME_SIZE])
{
    const struct plain_scope *scope = &rules->scopes[number];
    const char *title = "default";

    out[0] = '\0';
    if (number == 0) {
        strcpy(out, "service");
        return;
    }
    if (number < rules->count && scope->kind != SCOPE_LISTENER) {
        if (scope->kind == SCOPE_LISTEN || scope->kind == SCOPE_PEER)
            model_scope_name(rules, scope->parent, out);
        add_text(out,
                 scope->kind == SCOPE_LISTEN    ? "/listen"
                 : scope->kind == SCOPE_PEER    ? "/peer"
                 : scope->kind == SCOPE_PATHWAY ? "pathway"
                                                : "pathway_group",
                 scope->title);
        return;
    }
    for (int i = rules->count - 1; i >= 0; i--)
        if (rules->scopes[i].kind == SCOPE_LISTEN && rules->scopes[i].parent == number)
            title = rules->scopes[i].title;
    if (number < rules->count && scope->daemon_name[0])
        title = scope->daemon_name;
    add_text(out, "listener", title);
}

int model_scope_count(const struct model *model)
{
    return model->rules.count + (find_catch_all(&model->rules) == model->rules.count);
}

void model_init(struct model *model, const struct plain_rules *rules, uint32_t records)
{
    memset(model, 0, sizeof *model);
    model->rules = *rules;
    model->records = records;
}

void model_reload(struct model *model, const struct plain_rules *rules)
{
    model->rules = *rules;
    for (int i = 0; i < model->session_count; i++)
        find_chain(rules, &model->sessions[i].facts, &model->sessions[i].chain);
}

struct model_session *model_find(struct model *model, session_id id)
{
    for (int i = 0; i < model->session_count; i++)
        if (model->sessions[i].id == id)
            return &model->sessions[i];
    return NULL;
}

void model_remove(struct model *model, struct model_session *session)
{
    *session = model->sessions[--model->session_count];
}

static bool same_client(const struct model_chain *a, const struct model_chain *b)
{
    return a->client_scope == b->client_scope && same_block(&a->client, &b->client);
}

void model_count(const struct model *model, struct model_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    for (int i = 0; i < model->session_count; i++) {
        const struct model_session *session = &model->sessions[i];
        if (session->pending) {
            counts->pending[session->chain.listener]++;
            counts->all_pending++;
            continue;
        }
        for (int j = 0; j < session->chain.count; j++)
            counts->count[session->chain.scopes[j]]++;
        if (session->chain.client_scope == PLAIN_NONE)
            continue;
        bool seen = false;
        for (int j = 0; j < i && !seen; j++)
            seen = !model->sessions[j].pending && same_client(&session->chain, &model->sessions[j].chain);
        counts->clients += !seen;
    }
}

static uint32_t count_client(const struct model *model, const struct model_chain *chain)
{
    uint32_t count = 0;
    for (int i = 0; i < model->session_count; i++)
        count += !model->sessions[i].pending && same_client(chain, &model->sessions[i].chain);
    return count;
}

static bool same_prefix(const struct prefix *a, const struct prefix *b)
{
    return a->addr.hi == b->addr.hi && a->addr.lo == b->addr.lo && a->addr.family == b->addr.family &&
           a->bits == b->bits;
}

static struct model_crossing *longest_quiet(struct model *model)
{
    struct model_crossing *found = NULL;
    for (uint32_t i = 0; i < model->crossing_count; i++)
        if (!found || model->crossings[i].order < found->order)
            found = &model->crossings[i];
    return found;
}

void model_end(struct model *model, struct model_crossing *crossing)
{
    *crossing = model->crossings[--model->crossing_count];
}

/* A clock that steps back may delay the end of those that come after, hence only the longest quiet is asked. */
struct model_crossing *model_next_over(struct model *model, int64_t now, bool all)
{
    struct model_crossing *crossing = longest_quiet(model);
    return crossing && (all || now - crossing->last >= MODEL_QUIET_NS) ? crossing : NULL;
}

static void add_client(struct model_crossing *crossing, const struct addr *client)
{
    for (uint32_t i = 0; i < crossing->client_count; i++)
        if (crossing->clients[i].hi == client->hi && crossing->clients[i].lo == client->lo &&
            crossing->clients[i].family == client->family)
            return;
    if (crossing->client_count < MODEL_CLIENTS)
        crossing->clients[crossing->client_count++] = *client;
}

static void cross(struct model *model, const struct prefix *key, const struct addr *client, int64_t now,
                  struct verdict *verdict)
{
    struct model_crossing *crossing = NULL;

    for (uint32_t i = 0; i < model->crossing_count && !crossing; i++) {
        struct model_crossing *other = &model->crossings[i];
        if (other->limit == verdict->limit && same_prefix(&other->client, key) &&
            strcmp(other->scope, verdict->scope) == 0)
            crossing = other;
    }
    verdict->crossing = !crossing && model->crossing_count < MODEL_CROSSINGS;
    if (!crossing && !verdict->crossing) {
        model->unfollowed++;
        return;
    }
    if (!crossing) {
        crossing = &model->crossings[model->crossing_count++];
        memset(crossing, 0, sizeof *crossing);
        crossing->limit = verdict->limit;
        memcpy(crossing->scope, verdict->scope, sizeof crossing->scope);
        crossing->client = *key;
        crossing->first = now;
    }
    crossing->refused++;
    crossing->last = now;
    crossing->order = ++model->refusals;
    add_client(crossing, client);
}

struct model_session *model_connect(struct model *model, const struct plain_facts *facts, int64_t now,
                                    struct verdict *verdict)
{
    struct model_counts counts;
    struct model_chain chain;
    struct prefix key = {0};
    const struct addr client = plain_to_addr(&facts->client);
    const struct plain_block itself = whole(&facts->client);
    bool room = (uint32_t)model->session_count < model->records, pending = false;

    memset(verdict, 0, sizeof *verdict);
    model_count(model, &counts);
    find_chain(&model->rules, facts, &chain);
    verdict->client = to_prefix(&itself);
    uint32_t of_client = chain.client_scope == PLAIN_NONE ? 0 : count_client(model, &chain);
    int full = PLAIN_NONE;
    if (chain.client_scope != PLAIN_NONE && chain.client_cap != 0 && of_client >= chain.client_cap) {
        full = chain.client_scope;
        verdict->limit = LIMIT_CLIENT_SESSIONS;
        verdict->count = of_client;
        verdict->max = (uint32_t)chain.client_cap;
        verdict->client = key = to_prefix(&chain.client);
    }
    for (int i = 0; i < chain.count && full == PLAIN_NONE; i++) {
        int64_t cap = model_cap(&model->rules, chain.scopes[i]);
        if (cap == 0 || counts.count[chain.scopes[i]] < cap)
            continue;
        full = chain.scopes[i];
        verdict->limit = full == 0 ? LIMIT_SERVICE_SESSIONS : LIMIT_LISTENER_SESSIONS;
        verdict->count = counts.count[full];
        verdict->max = (uint32_t)cap;
    }
    if (full != PLAIN_NONE) {
        verdict->kind = VERDICT_REFUSE;
        verdict->delay_ns = chain.delay;
        pending = chain.refuse_at == REFUSE_AT_HELO && room && (chain.refuse_pending == 0 || counts.pending[chain.listener] < chain.refuse_pending);
        verdict->speak_at = pending ? REFUSE_AT_HELO : REFUSE_AT_CONNECT;
    } else if (!room) { /* let in, uncounted, told */
        full = 0;
        verdict->limit = LIMIT_SESSION_TABLE;
        verdict->count = verdict->max = model->records;
    }
    if (full != PLAIN_NONE) {
        model_scope_name(&model->rules, full, verdict->scope);
        cross(model, &key, &client, now, verdict);
        if (!pending)
            return NULL;
    }
    struct model_session *session = &model->sessions[model->session_count++];
    *session = (struct model_session){.pending = pending, .facts = *facts, .chain = chain};
    return session;
}
