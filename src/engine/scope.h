/*
 * scope.h: what the builder collects and the rule set is made of. Shared by rules_build.c and rules.c alone.
 */
#ifndef ENGINE_SCOPE_H
#define ENGINE_SCOPE_H

#include "lpm.h"
#include "rules.h"

/* Values of settings, and which scope gave each: a peer's block may take what a wider peer's sets. */
struct settings {
    uint32_t set; /* bit n: setting n is given here */
    scope_id origin[SETTING_COUNT];
    int64_t value[SETTING_COUNT];
};

struct scope {
    enum scope_kind kind;
    scope_id parent; /* the service's own parent is RULES_NO_SCOPE */
    char *title;     /* may be NULL for a listener */
    struct settings settings;
    char *daemon_name;     /* listener; NULL: none */
    struct addr addr;      /* listen */
    uint16_t port;         /* listen */
    struct lpm *peers;     /* listener, listen: from an address to an index of struct rules' layers; NULL: no peers */
    bool all_ipv4;         /* peer: it holds 0.0.0.0/0 */
    bool all_ipv6;         /* listener, listen: some peer of it holds ::/0 */
    bool has_listen;       /* listener: some listen stands in it */
    scope_id first_listen; /* listener: names it; valid with has_listen */
};

/* Where a session that came in on this address and port belongs. */
struct listen_key {
    scope_id owner; /* a listener with a daemon_name, whose listens count only inside it; else RULES_NO_SCOPE */
    struct addr addr;
    uint16_t port;
    scope_id listen;
};

struct name_key {
    uint64_t hash;
    scope_id listener;
};

struct rules {
    struct scope *scopes;
    uint32_t scope_count;
    struct settings *layers; /* what a block of clients gets from the peers that hold it */
    uint32_t layer_count;
    struct listen_key *listens; /* sorted by listen_key_compare() */
    uint32_t listen_count;
    struct name_key *names; /* sorted by hash */
    uint32_t name_count;
    scope_id catch_all; /* the listener of a session that no other matches */
    unsigned client_ipv4_bits, client_ipv6_bits;
};

/* Orders by owner, address and port; what `listen` says does not matter. For qsort and bsearch. */
int listen_key_compare(const void *a, const void *b);
int name_key_compare(const void *a, const void *b);

#endif
