/*
 * chain.h: where a session stands in a rule set. Between the rules and the engine; nobody else needs it.
 */
#ifndef ENGINE_CHAIN_H
#define ENGINE_CHAIN_H

#include "event.h"
#include "rules.h"

/* Where a value comes from: a scope's block, and the line of the configuration; 0: it is a default, or not known. */
struct said {
    scope_id scope;
    uint32_t line;
};

/* What is kept of a session so that its chain can be derived again under other rules. */
struct session_facts {
    struct addr client;
    struct addr local;
    uint64_t daemon_name; /* rules_name_hash() */
    uint16_t local_port, client_port;
};

/* listen's peer, listener's peer, listen, listener, pathway, pathway_group, service */
#define CHAIN_MAX 7

struct chain {
    scope_id scopes[CHAIN_MAX]; /* those with a cap's counter, the narrowest first, the service last */
    uint8_t count;
    uint8_t level_count;
    uint32_t levels[CHAIN_MAX]; /* whose settings and limits apply, the most specific first: a scope's number, or that
                                   of a layer with CHAIN_LAYER set */
    scope_id listener;
    enum refuse_at refuse_at;
    uint32_t refuse_pending;
    int64_t disconnect_delay_ns;
};
#define CHAIN_LAYER (UINT32_C(1) << 31)

/* Any text to a number that is the same for the same text; 0 for NULL and "". */
uint64_t rules_name_hash(const char *name);

struct session_facts session_facts_of(const struct connect_event *event);

/* Derives the chain. Constant time: neither the number of peers nor that of listens matters. */
void rules_resolve(const struct rules *rules, const struct session_facts *facts, struct chain *chain);

/* The value of a setting in a chain of levels, 0 when none of them gives it. */
int64_t rules_setting(const struct rules *rules, const uint32_t *levels, unsigned count, enum setting setting);

/* The scope that gives it, RULES_SERVICE when none does; and where. */
scope_id rules_setting_scope(const struct rules *rules, const uint32_t *levels, unsigned count, enum setting setting);
struct said rules_setting_said(const struct rules *rules, const uint32_t *levels, unsigned count, enum setting setting);

/* The number of scopes; their ids are 0 up to it. */
uint32_t rules_scope_count(const struct rules *rules);

/* The cap on sessions of a scope, 0: none; the limit that it goes by; and where it is said, which for a listener and
 * the service may be in the other's block. */
uint32_t rules_cap(const struct rules *rules, scope_id scope);
enum limit_id rules_cap_limit(scope_id scope);
uint32_t rules_cap_line(const struct rules *rules, scope_id scope);

/* Where sessions come in, as far as the configuration knows: each listen; each listener with a daemon_name; and where
 * none of them matches. Fills in all facts but the client. */
uint32_t rules_place_count(const struct rules *rules);
void rules_place(const struct rules *rules, uint32_t number, struct session_facts *facts);

/* False when the configuration names where sessions come in, but has no listener for this one, which therefore stands
 * in the service alone. */
bool rules_place_known(const struct rules *rules, const struct session_facts *facts);

/* The client of an address as this rule set counts clients. */
struct prefix rules_client(const struct rules *rules, const struct addr *addr);

/* The scope's title, "" where it has none. */
const char *rules_scope_title(const struct rules *rules, scope_id scope);

/* The scope's name as logs show it. Returns `out`. */
const char *rules_scope_name(const struct rules *rules, scope_id scope, char out[SCOPE_NAME_SIZE]);

#endif
