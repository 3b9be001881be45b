/*
 * plain.h: rule sets as plain arrays, for the simulation. The naive model reads them as they are; the engine gets them
 * through its builder. Addresses are bytes here, so that model and engine share no arithmetic on them.
 *
 * plain.c makes random scopes and settings, plain_limits.c random limits and lists, plain_events.c what happens under
 * them, plain_build.c leads to the engine's builder.
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

/* What a limit can count. The built-in ones stand first, in their order; then comes one for each pair that fits. */
struct plain_kind {
    char name[LIMIT_NAME_SIZE];
    enum limit_count count;
    enum limit_per per;
    const int64_t *value; /* the catalogue's */
};
#define PLAIN_KINDS 57

/* What all blocks of a kind have in common in one world, reloads included, so that a counter never changes its shape:
 * what a change does to what has been counted is not promised exactly. */
struct plain_frame {
    int64_t fixed[LIMIT_TERMS]; /* of TERM_WINDOW, TERM_IPV4_PREFIX, TERM_IPV6_PREFIX */
    int64_t least;              /* of TERM_MAX: 0, or so much that cells must be wider */
    bool anchored;              /* the service has a block that says all this, so that others may leave it out */
};

/* A client's prefix or a name, with other maxima. */
struct plain_entry {
    struct plain_block block;
    const char *name; /* NULL: it is a prefix */
    bool set[4];      /* by TERM_MAX and the three that follow */
    int64_t max[4];
};
#define PLAIN_ENTRIES 4

struct plain_limit {
    int scope, kind;
    bool set[LIMIT_TERMS];
    int64_t value[LIMIT_TERMS];
    bool has_reply, has_except;
    struct reply reply;
    struct plain_entry except[PLAIN_ENTRIES], keys[PLAIN_ENTRIES];
    int except_count, key_count;
};
#define PLAIN_LIMITS 40

struct plain_list {
    struct plain_block blocks[PLAIN_ENTRIES];
    const char *senders[PLAIN_ENTRIES], *users[PLAIN_ENTRIES];
    int block_count, sender_count, user_count;
    bool authenticated;
};

/* The service is scope 0. */
struct plain_rules {
    struct plain_scope scopes[PLAIN_SCOPES];
    int count;
    unsigned client_ipv4_bits, client_ipv6_bits;
    struct plain_frame frames[PLAIN_KINDS];
    bool lengthy;      /* windows and bans may be as long as a year; else an hour */
    int64_t half_life; /* 0: no histories. It is one for each world too */
    struct plain_limit limits[PLAIN_LIMITS];
    int limit_count;
    struct plain_list lists[RULES_LISTS];
    enum limit_mode deny_mode;
    int64_t deny_points;
    bool monitor;
};

struct plain_facts {
    struct plain_addr client, local;
    uint16_t port, client_port;
    char daemon_name[8];       /* "": unknown */
    const char *client_domain; /* NULL or "": none */
    bool partly_heard;
};

const struct plain_kind *plain_kind(int kind);

/* The service alone, without any setting. */
void plain_empty(struct plain_rules *rules);

/* client_sessions { max = 1 } for the whole service. */
void plain_limit_clients(struct plain_rules *rules);

/* What limits of each kind have in common from here on; the rest of the rule set is left alone. */
void plain_random_frames(struct prng *prng, struct plain_rules *rules);

/* A valid rule set within its frames: nested scopes, overlapping peers of both families, small caps, limits. */
void plain_random(struct prng *prng, struct plain_rules *rules);

/* Other caps, settings and limits in the same scopes. */
void plain_random_settings(struct prng *prng, struct plain_rules *rules);

/* Other limits and lists alone. */
void plain_random_limits(struct prng *prng, struct plain_rules *rules);

/* A session that has a good chance to match something in a random rule set. */
void plain_random_facts(struct prng *prng, struct plain_facts *facts);

/* Something that may happen in a session whose last event was `last`. Of the names that it keeps all but the one that
 * the event brings stay. */
void plain_random_event(struct prng *prng, const struct event *last, struct event *event);

/* A client that many rule sets name, or one of its neighbours; a client among 2^24 that no rule set names. */
struct plain_addr plain_random_client(struct prng *prng);
struct plain_addr plain_stranger(uint32_t number);

/* Clears what comes after the first `bits` bits. */
void plain_cut(struct plain_addr *addr, unsigned bits);

/* True so many times in a hundred. */
bool plain_chance(struct prng *prng, uint32_t percent);

/* What the engine takes. plain_build() returns NULL when the engine's builder refuses. */
struct rules *plain_build(const struct plain_rules *rules);
struct addr plain_to_addr(const struct plain_addr *addr);

#endif
