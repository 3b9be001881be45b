/*
 * rules.h: the rule set, that is, the configuration as the engine sees it.
 *
 * A rule set is a tree of scopes (DESIGN.md: service > pathway_group > pathway > listener > listen > peers), each with
 * the settings its block gives. The configuration describes it to a builder; rules_build() checks it and turns it into
 * an immutable `struct rules`, which resolves a session's chain of scopes in constant time.
 *
 * Threads: a builder belongs to one thread. A built rule set never changes and may be read by any number.
 */
#ifndef ENGINE_RULES_H
#define ENGINE_RULES_H

#include "addr.h"

enum scope_kind {
    SCOPE_SERVICE,
    SCOPE_PATHWAY_GROUP,
    SCOPE_PATHWAY,
    SCOPE_LISTENER,
    SCOPE_LISTEN,
    SCOPE_PEER,
};

/* A scope is known by its number in the order of rules_add_scope(); the service is always RULES_SERVICE. */
typedef uint32_t scope_id;
#define RULES_SERVICE 0u
#define RULES_NO_SCOPE UINT32_MAX

/* The longest name of a scope as logs and replies show it, end included; longer ones are cut. */
#define SCOPE_NAME_SIZE 384

enum refuse_at { REFUSE_AT_HELO, REFUSE_AT_CONNECT };

/* What a scope's block can set. Where it may stand is in brackets; everything but the caps falls back from the most
 * specific scope that sets it to the service. What nobody sets is 0. */
enum setting {
    SETTING_SERVICE_SESSIONS,  /* [service, listener] sessions, 0 to UINT32_MAX; 0: no cap. One counter for the service:
                                  of several values the smallest that is not 0 holds */
    SETTING_LISTENER_SESSIONS, /* [all] sessions, 0 to UINT32_MAX; 0: no cap. At the service: the default of listeners
                                */
    SETTING_CLIENT_SESSIONS,   /* [all] `max` of this scope's `limit client_sessions`; sessions, 0: no cap */
    SETTING_PATHWAY,           /* [listener, listen, peer] scope_id of a pathway */
    SETTING_REFUSE_AT,         /* [all] enum refuse_at */
    SETTING_REFUSE_PENDING,    /* [service, listener] refused sessions that may await their HELO, a listener;
                                  0: any number */
    SETTING_DISCONNECT_DELAY,  /* [all] nanoseconds */
    SETTING_COUNT
};

enum rules_error_code {
    RULES_OK = 0,
    RULES_NO_MEMORY,
    RULES_DUPLICATE_PATHWAY,     /* two pathways, or two pathway groups, of one name */
    RULES_DUPLICATE_LISTEN,      /* two listens that match the same address and port */
    RULES_DUPLICATE_DAEMON_NAME, /* two listeners with one daemon_name */
    RULES_DUPLICATE_CATCH_ALL,   /* two listeners with neither daemon_name nor listen */
    RULES_DUPLICATE_PEER,        /* one prefix in two peers of the same parent, or twice in one */
};

struct rules_error {
    enum rules_error_code code;
    scope_id scope;       /* the later of the two */
    scope_id other;       /* the earlier one */
    struct prefix prefix; /* RULES_DUPLICATE_PEER: the block in question */
};

struct rules;
struct rules_builder;

/* Starts a rule set that has the service scope alone. NULL when memory is short. */
struct rules_builder *rules_builder_new(void);
/* Frees the builder and sets the caller's pointer to NULL; a NULL pointer is left alone. */
void rules_builder_free(struct rules_builder **builder);

/*
 * Adds a scope and returns its number. `title` is copied; it may be NULL for a listener.
 * parent: the service for groups, pathways outside a group and listeners; a group for its pathways; a listener for its
 * listens; a listener or a listen for peers. A wrong parent is a bug of the caller (assert).
 * The builder remembers a shortage of memory and rules_build() reports it, so the result needs no check.
 */
scope_id rules_add_scope(struct rules_builder *builder, enum scope_kind kind, scope_id parent, const char *title);

/* Gives `setting` a value in that scope, in the unit and range that enum setting says; a second call replaces the
 * first. */
void rules_set(struct rules_builder *builder, scope_id scope, enum setting setting, int64_t value);

/* What a listen matches: ADDR_NONE is any address, port 0 any port. A listen that is never given one matches all. */
void rules_set_listen(struct rules_builder *builder, scope_id listen, const struct addr *addr, uint16_t port);

/* The MTA's {daemon_name} that a listener stands for. It is copied. Compared byte for byte. */
void rules_set_daemon_name(struct rules_builder *builder, scope_id listener, const char *name);

/* Adds a block of clients to a peer; a peer without any matches nobody. */
void rules_add_prefix(struct rules_builder *builder, scope_id peer, const struct prefix *prefix);

/* What "one client" is, in bits: 0 to 32 and 0 to 128. Before any call 32 and 64. */
void rules_set_client_prefix(struct rules_builder *builder, unsigned ipv4_bits, unsigned ipv6_bits);

/*
 * Checks and builds. The builder stays the caller's. On success a rule set that the caller owns (until the engine takes
 * it); otherwise NULL and *error, which names scopes by the numbers that rules_add_scope() gave.
 */
struct rules *rules_build(const struct rules_builder *builder, struct rules_error *error);
void rules_free(struct rules **rules);

/* Bytes that the rule set holds. */
size_t rules_bytes(const struct rules *rules);

/* True when some peer covers 0.0.0.0/0 and its parent has no peer for ::/0; *scope is the peer. Ask again with the
 * scope last named to get the next one; start with RULES_NO_SCOPE. For the warning of `tidegated -t`. */
bool rules_lonely_ipv4_default(const struct rules *rules, scope_id *scope);

#endif
