/*
 * crossing.c: limits that are refusing.
 *
 * The number of different clients is counted in fixed room: the CROSSING_CLIENTS_EXACT smallest hashes of their
 * addresses are kept. While there are fewer, their number is exact; then it follows from how densely they lie
 * ("k minimum values", Bar-Yossef et al., 2002).
 */
#include "crossing.h"

#include "engine.h"
#include "hash.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024 /* a power of two, about as many as CROSSINGS_MAX */
#define NONE UINT32_MAX

struct crossing {
    uint64_t hash; /* of limit, action, scope and key */
    char name[LIMIT_NAME_SIZE];
    enum action action;
    char scope[SCOPE_NAME_SIZE];
    struct prefix client; /* ADDR_NONE: it is no limit per client */
    char key[KEY_TEXT_SIZE];
    uint64_t refused;
    int64_t first, last;      /* refusal */
    uint32_t bucket_next;     /* or the next free one */
    uint32_t quieter, busier; /* neighbours in the order of the last refusal */
    uint32_t hash_count;
    uint64_t hashes[CROSSING_CLIENTS_EXACT + 1]; /* of clients, ascending: one more tells "exactly" from "or more" */
};

struct crossings {
    uint64_t seed[2];
    uint32_t used;
    uint32_t free;
    uint32_t quietest, busiest;
    uint64_t unfollowed;
    uint32_t buckets[BUCKETS];
    struct crossing items[CROSSINGS_MAX];
};

struct crossings *crossings_new(const uint64_t seed[2])
{
    struct crossings *crossings = calloc(1, sizeof *crossings);
    if (!crossings)
        return NULL;
    crossings->seed[0] = seed[0];
    crossings->seed[1] = seed[1];
    crossings->quietest = crossings->busiest = NONE;
    for (uint32_t i = 0; i < BUCKETS; i++)
        crossings->buckets[i] = NONE;
    for (uint32_t i = 0; i < CROSSINGS_MAX; i++)
        crossings->items[i].bucket_next = i + 1 < CROSSINGS_MAX ? i + 1 : NONE;
    return crossings;
}

void crossings_free(struct crossings **crossings)
{
    free(*crossings);
    *crossings = NULL;
}

size_t crossings_bytes(void)
{
    return sizeof(struct crossings);
}

uint32_t crossings_used(const struct crossings *crossings)
{
    return crossings->used;
}

static uint64_t hash_addr(const struct crossings *crossings, const struct addr *addr)
{
    const uint64_t words[] = {addr->hi, addr->lo, addr->family};
    return hash_bytes(crossings->seed, words, sizeof words);
}

static void order_remove(struct crossings *crossings, uint32_t number)
{
    struct crossing *crossing = &crossings->items[number];
    *(crossing->quieter != NONE ? &crossings->items[crossing->quieter].busier : &crossings->quietest) =
        crossing->busier;
    *(crossing->busier != NONE ? &crossings->items[crossing->busier].quieter : &crossings->busiest) = crossing->quieter;
}

static void order_add_busiest(struct crossings *crossings, uint32_t number)
{
    struct crossing *crossing = &crossings->items[number];
    crossing->busier = NONE;
    crossing->quieter = crossings->busiest;
    *(crossings->busiest != NONE ? &crossings->items[crossings->busiest].busier : &crossings->quietest) = number;
    crossings->busiest = number;
}

static void add_client(struct crossing *crossing, uint64_t hash)
{
    const uint32_t room = CROSSING_CLIENTS_EXACT + 1;
    uint32_t at = crossing->hash_count;

    while (at > 0 && crossing->hashes[at - 1] > hash)
        at--;
    if (at == room || (at > 0 && crossing->hashes[at - 1] == hash))
        return;
    uint32_t moved = (crossing->hash_count < room ? crossing->hash_count++ : room - 1) - at;
    memmove(&crossing->hashes[at + 1], &crossing->hashes[at], moved * sizeof hash);
    crossing->hashes[at] = hash;
}

static uint32_t count_clients(const struct crossing *crossing)
{
    if (crossing->hash_count <= CROSSING_CLIENTS_EXACT)
        return crossing->hash_count;
    double share = (double)crossing->hashes[CROSSING_CLIENTS_EXACT] / 18446744073709551616.0; /* 2^64 */
    double estimate = CROSSING_CLIENTS_EXACT / share;
    return estimate < UINT32_MAX ? (uint32_t)estimate : UINT32_MAX;
}

/* Forgets a crossing, after writing what it was. */
static void end(struct crossings *crossings, uint32_t number, struct crossing_report *report)
{
    struct crossing *crossing = &crossings->items[number];

    memcpy(report->name, crossing->name, sizeof report->name);
    report->action = crossing->action;
    memcpy(report->scope, crossing->scope, sizeof report->scope);
    report->client = crossing->client;
    memcpy(report->key, crossing->key, sizeof report->key);
    report->refused = crossing->refused;
    report->clients = count_clients(crossing);
    report->lasted_ns = crossing->last > crossing->first ? crossing->last - crossing->first : 0;

    uint32_t *link = &crossings->buckets[crossing->hash % BUCKETS];
    while (*link != number)
        link = &crossings->items[*link].bucket_next;
    *link = crossing->bucket_next;
    order_remove(crossings, number);
    crossing->bucket_next = crossings->free;
    crossings->free = number;
    crossings->used--;
}

static uint64_t hash_text(const struct crossings *crossings, const char *text)
{
    return hash_bytes(crossings->seed, text, strlen(text));
}

bool crossings_found(struct crossings *crossings, const struct finding *finding, bool per_client,
                     const struct addr *client, int64_t now)
{
    const struct prefix nobody = {0};
    uint64_t words[] = {
        hash_text(crossings, finding->name),   finding->action,
        hash_text(crossings, finding->scope),  per_client ? hash_addr(crossings, &finding->client.addr) : 0,
        per_client ? finding->client.bits : 0, hash_text(crossings, finding->key)};
    uint64_t hash = hash_bytes(crossings->seed, words, sizeof words);
    uint32_t *bucket = &crossings->buckets[hash % BUCKETS], number = *bucket;

    /* 64 bits under a secret key are as good as the key itself. */
    while (number != NONE && crossings->items[number].hash != hash)
        number = crossings->items[number].bucket_next;
    bool first = number == NONE;
    if (first) {
        number = crossings->free;
        if (number == NONE) {
            crossings->unfollowed++;
            return false;
        }
        struct crossing *crossing = &crossings->items[number];
        crossings->free = crossing->bucket_next;
        crossings->used++;
        crossing->hash = hash;
        memcpy(crossing->name, finding->name, sizeof crossing->name);
        crossing->action = finding->action;
        memcpy(crossing->scope, finding->scope, sizeof crossing->scope);
        crossing->client = per_client ? finding->client : nobody;
        memcpy(crossing->key, finding->key, sizeof crossing->key);
        crossing->refused = 0;
        crossing->first = now;
        crossing->hash_count = 0;
        crossing->bucket_next = *bucket;
        *bucket = number;
    } else {
        order_remove(crossings, number);
    }
    struct crossing *crossing = &crossings->items[number];
    order_add_busiest(crossings, number);
    crossing->refused++;
    crossing->last = now;
    add_client(crossing, hash_addr(crossings, client));
    return first;
}

size_t crossings_over(struct crossings *crossings, int64_t now, bool all, struct crossing_report *out, size_t room)
{
    size_t count = 0;
    while (count < room && crossings->quietest != NONE &&
           (all || now - crossings->items[crossings->quietest].last >= ENGINE_CROSSING_QUIET_NS))
        end(crossings, crossings->quietest, &out[count++]);
    return count;
}

uint64_t crossings_unfollowed(struct crossings *crossings)
{
    uint64_t count = crossings->unfollowed;
    crossings->unfollowed = 0;
    return count;
}
