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
#include "limits.h"

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

/* What becomes of an idle session: its next command is refused, or its connection is ended at once. */
enum idle_action { IDLE_REFUSE, IDLE_DISCONNECT };

/* What a scope's block can set. Where it may stand is in brackets; everything but the caps falls back from the most
 * specific scope that sets it to the service. What nobody sets is 0. */
enum setting {
    SETTING_SERVICE_SESSIONS,  /* [service, listener] sessions, 0 to UINT32_MAX; 0: no cap. One counter for the service:
                                  of several values the smallest that is not 0 holds */
    SETTING_LISTENER_SESSIONS, /* [all] sessions, 0 to UINT32_MAX; 0: no cap. At the service: the default of listeners
                                */
    SETTING_PATHWAY,           /* [listener, listen, peer] scope_id of a pathway */
    SETTING_REFUSE_AT,         /* [all] enum refuse_at */
    SETTING_REFUSE_PENDING,    /* [service, listener] refused sessions that may await their HELO, a listener;
                                  0: any number */
    SETTING_DISCONNECT_DELAY,  /* [all] nanoseconds */
    SETTING_IDLE_TIME,         /* [all] nanoseconds, 0: no limit */
    SETTING_IDLE_ACTION,       /* [all] enum idle_action */
    SETTING_SCORE_REFUSE,      /* [all] points at which a session is refused, 0 to UINT32_MAX; 0: never */
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

/* A limit's number: a built-in one's is its place in limit_builtins, the others follow. */
typedef uint32_t limit_number;
#define RULES_NO_LIMIT UINT32_MAX

/* One `limit NAME { }` of one scope. */
typedef uint32_t limit_block_id;

/* The maxima of a key, each of them 0 (no limit) to UINT32_MAX where `set` has its bit (1 << TERM_MAX and so on). */
struct limit_maxima {
    uint32_t set;
    uint32_t max[4]; /* by TERM_MAX, TERM_MAX_GOOD, TERM_MAX_BAD, TERM_MAX_AUTHENTICATED */
};

/* What is refused outright, and what is spared. */
enum rules_list { LIST_DENY, LIST_EXEMPT, RULES_LISTS };

struct rules;
struct rules_builder;

/* Starts a rule set that has the service scope alone. NULL when memory is short. */
struct rules_builder *rules_builder_new(void);

/* What the builder is told from here on is said in that line of the configuration; 0, as before any call: nowhere, it
 * is a default. For people (explain.h); beyond RULES_LINE_MAX it is as good as 0. */
void rules_at_line(struct rules_builder *builder, unsigned line);
#define RULES_LINE_MAX 8388607u
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

/* ---- limits ---- */

struct reply;

/* The number of the limit of that name, which is made known when it is new: at first only the built-in ones are, and
 * for those count and per must be their own. The name is copied. RULES_NO_LIMIT when LIMITS_MAX are known already. A
 * pair that does not fit (limit_fits()) is a bug of the caller. */
limit_number rules_add_limit(struct rules_builder *builder, const char *name, enum limit_count count,
                             enum limit_per per);

/* `limit NAME { }` in that scope. One for each scope and limit; a second call gives the same. */
limit_block_id rules_add_limit_block(struct rules_builder *builder, scope_id scope, limit_number limit);

/* What the block says, in the unit and range that enum limit_term gives. What it does not say falls back. */
void rules_set_term(struct rules_builder *builder, limit_block_id block, enum limit_term term, int64_t value);
/* Its reply, copied. In the text {client}, {limit}, {count} and {max} stand for what they say. */
void rules_set_reply(struct rules_builder *builder, limit_block_id block, const struct reply *reply);

/* Other maxima for some keys: clients of a prefix; a name in normal form (mail/names.h), that is an address ("a@b") or
 * a domain with its subdomains; a user. A key that is given twice keeps the last. */
void rules_add_key_prefix(struct rules_builder *builder, limit_block_id block, const struct prefix *prefix,
                          const struct limit_maxima *maxima);
void rules_add_key_name(struct rules_builder *builder, limit_block_id block, const char *name,
                        const struct limit_maxima *maxima);

void rules_add_key_user(struct rules_builder *builder, limit_block_id block, const char *name,
                        const struct limit_maxima *maxima);

/* Whom the limit spares. Unlike keys, the list of an inner block takes the place of an outer block's; an empty one does
 * too. */
void rules_set_except(struct rules_builder *builder, limit_block_id block);
void rules_add_except_prefix(struct rules_builder *builder, limit_block_id block, const struct prefix *prefix);
void rules_add_except_name(struct rules_builder *builder, limit_block_id block, const char *name);
void rules_add_except_user(struct rules_builder *builder, limit_block_id block, const char *name);

/* ---- what holds for the whole service ---- */

/* Everything is judged, nothing refused. Before any call false. */
void rules_set_monitor(struct rules_builder *builder, bool monitor);

/* Keeps a history of clients that halves in so many nanoseconds, 60 s to 30 days; 0 (as before any call): none.
 */
void rules_set_reputation(struct rules_builder *builder, int64_t half_life_ns);

/* Entries of the lists: clients; sender addresses and domains (with their subdomains); users, or anybody who has
 * authenticated. Names are in normal form. An entry that is given twice counts once. Of deny and exempt the longest
 * prefix, or the most specific name, wins; on a tie deny. */
void rules_add_list_prefix(struct rules_builder *builder, enum rules_list list, const struct prefix *prefix);
void rules_add_list_sender(struct rules_builder *builder, enum rules_list list, const char *name);
void rules_add_list_user(struct rules_builder *builder, enum rules_list list, const char *name);
void rules_add_list_authenticated(struct rules_builder *builder, enum rules_list list);

/* What the deny list does: any mode, with so many points in MODE_SCORE. Before any call MODE_BLOCK. */
void rules_set_deny(struct rules_builder *builder, enum limit_mode mode, uint32_t points);

/*
 * Checks and builds. The builder stays the caller's. On success a rule set that the caller owns (until the engine takes
 * it); otherwise NULL and *error, which names scopes by the numbers that rules_add_scope() gave.
 */
struct rules *rules_build(const struct rules_builder *builder, struct rules_error *error);
void rules_free(struct rules **rules);

/* What the engine must hear of for these rules to hold. Connect and close always. */
struct rules_needs {
    bool helo, mail, rcpt, data, unknown;
    bool rejected; /* recipients that the MTA rejects */
    bool message;  /* that one has arrived, also to add the score's header */
    bool speech;   /* some event may be refused or delayed; if not, no answer of ours matters */
};
/* With `bans` administrators may ban clients and domains at any time (bans.h). */
struct rules_needs rules_needs(const struct rules *rules, bool bans);

/* Bytes that the rule set holds. */
size_t rules_bytes(const struct rules *rules);

/* True when some peer covers 0.0.0.0/0 and its parent has no peer for ::/0; *scope is the peer. Ask again with the
 * scope last named to get the next one; start with RULES_NO_SCOPE. For the warning of `tidegated -t`. */
bool rules_lonely_ipv4_default(const struct rules *rules, scope_id *scope);

#endif
