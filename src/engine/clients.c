/*
 * clients.c: sessions open by client.
 */
#include "clients.h"

#include "hash.h"

#include <assert.h>
#include <stdlib.h>

struct entry {
    struct client_key key;
    uint32_t count;
    uint32_t next; /* in its bucket, or in the list of free entries */
};

struct clients {
    uint64_t seed[2];
    uint32_t mask; /* buckets less one; a power of two of them */
    uint32_t room, used;
    uint32_t fresh;    /* entries from here on were never used, and their memory never touched */
    uint32_t free;     /* list of entries that were */
    uint32_t *buckets; /* first entry, plus one; 0: empty */
    struct entry *entries;
};

static uint32_t bucket_count(uint32_t room)
{
    uint32_t count = 1;
    while (count < room)
        count *= 2;
    return count;
}

size_t clients_bytes(uint32_t room)
{
    return sizeof(struct clients) + bucket_count(room) * sizeof(uint32_t) + room * sizeof(struct entry);
}

struct clients *clients_new(uint32_t room, const uint64_t seed[2])
{
    struct clients *clients = calloc(1, sizeof *clients);
    if (!clients)
        return NULL;
    *clients = (struct clients){
        .seed = {seed[0], seed[1]},
        .mask = bucket_count(room) - 1,
        .room = room,
        .free = CLIENTS_NONE,
        .buckets = calloc(bucket_count(room), sizeof *clients->buckets),
        .entries = calloc(room, sizeof *clients->entries),
    };
    if (!clients->buckets || !clients->entries)
        clients_free(&clients);
    return clients;
}

void clients_free(struct clients **clients)
{
    if (!*clients)
        return;
    free((*clients)->buckets);
    free((*clients)->entries);
    free(*clients);
    *clients = NULL;
}

static uint32_t *find_bucket(const struct clients *clients, const struct client_key *key)
{
    /* Field by field: the padding of the structure holds anything. */
    const uint64_t words[] = {key->client.hi, key->client.lo, (uint64_t)key->client.family << 32 | key->scope};
    return &clients->buckets[hash_bytes(clients->seed, words, sizeof words) & clients->mask];
}

static uint32_t find_entry(const struct clients *clients, const uint32_t *bucket, const struct client_key *key)
{
    for (uint32_t link = *bucket; link != 0;) {
        const struct entry *entry = &clients->entries[link - 1];
        if (entry->key.scope == key->scope && addr_equal(&entry->key.client, &key->client))
            return link - 1;
        link = entry->next;
    }
    return CLIENTS_NONE;
}

uint32_t clients_count(const struct clients *clients, const struct client_key *key)
{
    uint32_t entry = find_entry(clients, find_bucket(clients, key), key);
    return entry == CLIENTS_NONE ? 0 : clients->entries[entry].count;
}

uint32_t clients_take(struct clients *clients, const struct client_key *key)
{
    uint32_t *bucket = find_bucket(clients, key);
    uint32_t entry = find_entry(clients, bucket, key);

    if (entry == CLIENTS_NONE) {
        entry = clients->free;
        if (entry != CLIENTS_NONE) {
            clients->free = clients->entries[entry].next;
        } else {
            assert(clients->fresh < clients->room);
            entry = clients->fresh++;
        }
        clients->entries[entry] = (struct entry){.key = *key, .next = *bucket};
        *bucket = entry + 1;
        clients->used++;
    }
    clients->entries[entry].count++;
    return entry;
}

void clients_release(struct clients *clients, uint32_t number)
{
    struct entry *entry = &clients->entries[number];

    assert(number < clients->fresh && entry->count > 0);
    if (--entry->count > 0)
        return;
    uint32_t *link = find_bucket(clients, &entry->key);
    while (*link != number + 1)
        link = &clients->entries[*link - 1].next;
    *link = entry->next;
    entry->next = clients->free;
    clients->free = number;
    clients->used--;
}

uint32_t clients_used(const struct clients *clients)
{
    return clients->used;
}
