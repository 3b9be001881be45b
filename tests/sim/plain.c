/*
 * plain.c: random scopes and their settings.
 */
#include "plain.h"

#include <stdio.h>
#include <string.h>

static const struct plain_addr few_clients[] = {
    {4, {10, 0, 0, 1}},
    {4, {10, 0, 0, 2}},
    {4, {10, 0, 1, 1}},
    {4, {10, 1, 2, 3}},
    {4, {192, 0, 2, 1}},
    {4, {192, 0, 2, 129}},
    {4, {32, 1, 13, 184}}, /* the same leading bits as the next */
    {6, {0x20, 0x01, 0x0d, 0xb8, [15] = 1}},
    {6, {0x20, 0x01, 0x0d, 0xb8, [15] = 2}},
    {6, {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, [15] = 1}},
    {6, {0x20, 0x01, 0x0d, 0xb8, 0x80, [8] = 0xff, [15] = 7}},
    {6, {[15] = 1}},
};
#define FEW_CLIENTS (sizeof few_clients / sizeof *few_clients)

static const struct plain_addr locals[] = {
    {0, {0}}, {4, {10, 0, 0, 1}}, {4, {10, 0, 0, 2}}, {6, {0x20, 0x01, 0x0d, 0xb8, [15] = 0x25}}, {4, {127, 0, 0, 9}},
};
#define LOCALS (sizeof locals / sizeof *locals)

static const uint16_t ports[] = {0, 25, 587, 2525};
#define PORTS (sizeof ports / sizeof *ports)

static const char *const names[] = {"", "mx", "out", "in", "other"};
#define NAMES (sizeof names / sizeof *names)

bool plain_chance(struct prng *prng, uint32_t percent)
{
    return prng_below(prng, 100) < percent;
}

void plain_cut(struct plain_addr *addr, unsigned bits)
{
    for (unsigned bit = bits; bit < 128; bit++)
        addr->bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

static int add(struct plain_rules *rules, enum scope_kind kind, int parent, const char *title)
{
    if (rules->count == PLAIN_SCOPES)
        return PLAIN_NONE;
    struct plain_scope *scope = &rules->scopes[rules->count];
    memset(scope, 0, sizeof *scope);
    scope->kind = kind;
    scope->parent = parent;
    snprintf(scope->title, sizeof scope->title, "%s", title);
    return rules->count++;
}

static void put(struct plain_scope *scope, enum setting setting, int64_t value)
{
    scope->set[setting] = true;
    scope->value[setting] = value;
}

static int64_t random_cap(struct prng *prng)
{
    static const int64_t caps[] = {0, 1, 2, 3, 10};
    return caps[prng_below(prng, 5)];
}

/* A pathway of the rule set, or PLAIN_NONE. */
static int random_pathway(struct prng *prng, const struct plain_rules *rules)
{
    int found = PLAIN_NONE;
    uint32_t seen = 0;
    for (int i = 0; i < rules->count; i++)
        if (rules->scopes[i].kind == SCOPE_PATHWAY && prng_below(prng, ++seen) == 0)
            found = i;
    return found;
}

void plain_random_settings(struct prng *prng, struct plain_rules *rules)
{
    static const unsigned ipv4_bits[] = {32, 32, 24, 31, 8, 0}, ipv6_bits[] = {64, 64, 128, 48, 127, 0};
    static const int64_t pending[] = {0, 1, 2, 20};
    static const int64_t delays[] = {0, 1, 3000000000, 8000000000};
    static const int64_t idle_times[] = {0, 1000000000, 60000000000, 300000000000}, scores[] = {0, 1, 3, 12};

    rules->client_ipv4_bits = ipv4_bits[prng_below(prng, 6)];
    rules->client_ipv6_bits = ipv6_bits[prng_below(prng, 6)];
    uint32_t often = 10 + prng_below(prng, 40);
    for (int i = 0; i < rules->count; i++) {
        struct plain_scope *scope = &rules->scopes[i];
        bool outer = scope->kind == SCOPE_SERVICE || scope->kind == SCOPE_LISTENER;
        memset(scope->set, 0, sizeof scope->set);
        if (outer && plain_chance(prng, often / 2))
            put(scope, SETTING_SERVICE_SESSIONS, random_cap(prng) * 3);
        if (plain_chance(prng, often))
            put(scope, SETTING_LISTENER_SESSIONS, random_cap(prng));
        if (plain_chance(prng, often / 3))
            put(scope, SETTING_REFUSE_AT, plain_chance(prng, 70) ? REFUSE_AT_HELO : REFUSE_AT_CONNECT);
        if (outer && plain_chance(prng, often))
            put(scope, SETTING_REFUSE_PENDING, pending[prng_below(prng, 4)]);
        if (plain_chance(prng, often / 3))
            put(scope, SETTING_DISCONNECT_DELAY, delays[prng_below(prng, 4)]);
        if (plain_chance(prng, often / 3))
            put(scope, SETTING_IDLE_TIME, idle_times[prng_below(prng, 4)]);
        if (plain_chance(prng, often / 3))
            put(scope, SETTING_IDLE_ACTION, plain_chance(prng, 50) ? IDLE_REFUSE : IDLE_DISCONNECT);
        if (plain_chance(prng, often / 2))
            put(scope, SETTING_SCORE_REFUSE, scores[prng_below(prng, 4)]);
        int pathway = random_pathway(prng, rules);
        bool takes = scope->kind == SCOPE_LISTENER || scope->kind == SCOPE_LISTEN || scope->kind == SCOPE_PEER;
        if (takes && pathway != PLAIN_NONE && plain_chance(prng, often))
            put(scope, SETTING_PATHWAY, pathway);
    }
    plain_random_limits(prng, rules);
}

struct plain_addr plain_random_client(struct prng *prng)
{
    struct plain_addr addr = few_clients[prng_below(prng, FEW_CLIENTS)];
    if (plain_chance(prng, 15)) { /* a neighbour of it */
        uint32_t bit = prng_below(prng, addr.family == 4 ? 32 : 128);
        addr.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
    }
    return addr;
}

/* One prefix stands once among the peers of a parent. */
static bool is_taken(const struct plain_rules *rules, int parent, const struct plain_block *block)
{
    for (int i = 0; i < rules->count; i++) {
        const struct plain_scope *scope = &rules->scopes[i];
        for (int j = 0; scope->kind == SCOPE_PEER && scope->parent == parent && j < scope->block_count; j++)
            if (scope->blocks[j].bits == block->bits &&
                memcmp(&scope->blocks[j].addr, &block->addr, sizeof block->addr) == 0)
                return true;
    }
    return false;
}

static void add_peers(struct prng *prng, struct plain_rules *rules, int parent)
{
    char title[24];

    for (uint32_t left = prng_below(prng, 5); left > 0; left--) {
        snprintf(title, sizeof title, "p%d", rules->count);
        int peer = add(rules, SCOPE_PEER, parent, title);
        for (uint32_t blocks = prng_below(prng, PLAIN_BLOCKS + 1); peer != PLAIN_NONE && blocks > 0; blocks--) {
            struct plain_block block = {.addr = plain_random_client(prng)};
            unsigned width = block.addr.family == 4 ? 32 : 128;
            block.bits = plain_chance(prng, 20) ? 0 : plain_chance(prng, 30) ? width : prng_below(prng, width + 1);
            plain_cut(&block.addr, block.bits);
            if (!is_taken(rules, parent, &block))
                rules->scopes[peer].blocks[rules->scopes[peer].block_count++] = block;
        }
    }
}

/* One address and port stands once among the listens of a named listener, and once among those of all others. */
static bool is_listened(const struct plain_rules *rules, int listener, const struct plain_addr *addr, uint16_t port)
{
    for (int i = 0; i < rules->count; i++) {
        const struct plain_scope *scope = &rules->scopes[i];
        if (scope->kind != SCOPE_LISTEN || scope->port != port || memcmp(&scope->addr, addr, sizeof *addr) != 0)
            continue;
        bool named = rules->scopes[listener].daemon_name[0], other_named = rules->scopes[scope->parent].daemon_name[0];
        if (scope->parent == listener || (!named && !other_named))
            return true;
    }
    return false;
}

static void add_listeners(struct prng *prng, struct plain_rules *rules)
{
    uint32_t names_used = 1; /* "" is none */
    bool catch_all = false;
    char title[24];

    for (uint32_t left = prng_below(prng, 5); left > 0; left--) {
        int listener = add(rules, SCOPE_LISTENER, 0, "");
        if (listener == PLAIN_NONE)
            return;
        if (plain_chance(prng, 40) && names_used < NAMES - 1) /* the last is nobody's */
            snprintf(rules->scopes[listener].daemon_name, sizeof rules->scopes[listener].daemon_name, "%s",
                     names[names_used++]);
        int listens = 0;
        for (uint32_t tries = prng_below(prng, 4); tries > 0; tries--) {
            struct plain_addr addr = locals[prng_below(prng, LOCALS - 1)];
            uint16_t port = ports[prng_below(prng, PORTS - 1)];
            if (is_listened(rules, listener, &addr, port))
                continue;
            snprintf(title, sizeof title, "l%d", rules->count);
            int listen = add(rules, SCOPE_LISTEN, listener, title);
            if (listen == PLAIN_NONE)
                break;
            listens++;
            rules->scopes[listen].addr = addr;
            rules->scopes[listen].port = port;
            add_peers(prng, rules, listen);
        }
        if (listens == 0 && !rules->scopes[listener].daemon_name[0]) {
            if (catch_all) { /* there is one already */
                rules->count--;
                continue;
            }
            catch_all = true;
        }
        add_peers(prng, rules, listener);
    }
}

void plain_empty(struct plain_rules *rules)
{
    rules->count = 0;
    rules->client_ipv4_bits = 32;
    rules->client_ipv6_bits = 64;
    rules->limit_count = 0;
    memset(rules->lists, 0, sizeof rules->lists);
    rules->deny_mode = MODE_BLOCK;
    rules->deny_points = 0;
    rules->monitor = false;
    add(rules, SCOPE_SERVICE, PLAIN_NONE, "");
}

void plain_random(struct prng *prng, struct plain_rules *rules)
{
    char title[24];

    plain_empty(rules);
    for (uint32_t groups = prng_below(prng, 3); groups > 0; groups--) {
        snprintf(title, sizeof title, "g%d", rules->count);
        int group = add(rules, SCOPE_PATHWAY_GROUP, 0, title);
        for (uint32_t ways = prng_below(prng, 3); ways > 0; ways--) {
            snprintf(title, sizeof title, "w%d", rules->count);
            add(rules, SCOPE_PATHWAY, plain_chance(prng, 80) ? group : 0, title);
        }
    }
    add_listeners(prng, rules);
    plain_random_settings(prng, rules);
}

struct plain_addr plain_stranger(uint32_t number)
{
    return (struct plain_addr){4, {172, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}};
}

void plain_random_facts(struct prng *prng, struct plain_facts *facts)
{
    static const char *const domains[] = {NULL, "", "example.org", "example.net", "example.co.uk"};

    memset(facts, 0, sizeof *facts);
    if (!plain_chance(prng, 4))
        facts->client = plain_random_client(prng);
    if (plain_chance(prng, 5))
        facts->client = plain_stranger(prng_below(prng, 1u << 24));
    facts->local = locals[prng_below(prng, LOCALS)];
    facts->port = ports[prng_below(prng, PORTS)];
    facts->client_port = (uint16_t)prng_below(prng, 3);
    facts->client_domain = domains[prng_below(prng, 5)];
    facts->partly_heard = prng_below(prng, 8) == 0;
    snprintf(facts->daemon_name, sizeof facts->daemon_name, "%s",
             names[plain_chance(prng, 50) ? 0 : prng_below(prng, NAMES)]);
}
