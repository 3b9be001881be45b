/*
 * clients.h: how many sessions each client has open, by the scope whose limit counts them.
 *
 * A hash table of fixed size under a keyed hash. An entry lives as long as its count is not 0. There is an entry at
 * most for each open session, so a table made for as many entries as there are session records is never full.
 */
#ifndef ENGINE_CLIENTS_H
#define ENGINE_CLIENTS_H

#include "addr.h"

#define CLIENTS_NONE UINT32_MAX

struct client_key {
    struct addr client; /* cut to the prefix that is one client */
    uint32_t scope;
};

struct clients;

/* A table for `room` entries (at least 1), keyed by the seed. NULL when memory is short. */
struct clients *clients_new(uint32_t room, const uint64_t seed[2]);
void clients_free(struct clients **clients);

/* Bytes that clients_new(room) reserves. */
size_t clients_bytes(uint32_t room);

/* The count of that client, 0 when it has none open. */
uint32_t clients_count(const struct clients *clients, const struct client_key *key);

/* Adds one to the client and returns its entry, to be given to clients_release(). The table must not be full. */
uint32_t clients_take(struct clients *clients, const struct client_key *key);

/* Takes one from that entry; it is gone when that was the last. */
void clients_release(struct clients *clients, uint32_t entry);

/* Entries in use. */
uint32_t clients_used(const struct clients *clients);

#endif
