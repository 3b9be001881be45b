/*
 * plain.h: rule sets as plain arrays, for the simulation. The naive model reads them as they are; the engine gets them
 * through its builder. Addresses are bytes here, so that model and engine share no arithmetic on them.
 */
#ifndef SIM_PLAIN_H
#define SIM_PLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "../unit/prng.h"
#include "engine/event.h"

#define PLAIN_SCOPES 64
#define PLAIN_BLOCKS 4
#define PLAIN_NONE (-1)

struct plain_addr {
    unsigned family; /* 0: none, 4, 6 */
    uint8_t bytes[16];
};

struct plain_block {
    struct plain_addr addr;
    unsigned bits;
};

struct plain_scope {
    enum scope_kind kind;
    int parent; /* PLAIN_NONE for the service */
    char title[24];
    char daemon_name[8]; /* listener; "": none */
    bool set[SETTING_COUNT];
    int64_t value[SETTING_COUNT];
    struct plain_addr addr;                  /* listen; family 0: any */
    uint16_t port;                           /* listen; 0: any */
    struct plain_block blocks[PLAIN_BLOCKS]; /* peer */
    int block_count;
};

/* The service is scope 0. */
struct plain_rules {
    struct plain_scope scopes[PLAIN_SCOPES];
    int count;
    unsigned client_ipv4_bits, client_ipv6_bits;
};

struct plain_facts {
    struct plain_addr client, local;
    uint16_t port;
    char daemon_name[8]; /* "": unknown */
};

/* The service alone, without any setting. */
void plain_empty(struct plain_rules *rules);

/* client_sessions { max = 1 } for the whole service. */
void plain_limit_clients(struct plain_rules *rules);

/* A valid rule set: nested scopes, overlapping peers of both families, small caps. */
void plain_random(struct prng *prng, struct plain_rules *rules);

/* Other caps and settings in the same scopes. */
void plain_random_settings(struct prng *prng, struct plain_rules *rules);

/* A session that has a good chance to match something in a random rule set. */
void plain_random_facts(struct prng *prng, struct plain_facts *facts);

/* A client among 2^24 that no rule set names. */
struct plain_addr plain_stranger(uint32_t number);

/* What the engine takes. plain_build() returns NULL when the engine's builder refuses. */
struct rules *plain_build(const struct plain_rules *rules);
struct addr plain_to_addr(const struct plain_addr *addr);

#endif
