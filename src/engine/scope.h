/*
 * scope.h: what a rule set is made of. For rules*.c and terms.c alone.
 */
#ifndef ENGINE_SCOPE_H
#define ENGINE_SCOPE_H

#include <string.h>

#include "chain.h"
#include "lpm.h"
#include "nameset.h"
#include "rules.h"
#include "table.h"

#define RULES_NO_BLOCK UINT32_MAX

/* Values of settings, and which scope gave each: a peer's block may take what a wider peer's sets. */
struct settings {
    uint32_t set; /* bit n: setting n is given here */
    scope_id origin[SETTING_COUNT];
    int64_t value[SETTING_COUNT];
    uint64_t limited;       /* bit n: limit n has a block here */
    limit_block_id *blocks; /* by limit, RULES_NO_BLOCK for none; NULL: no limit has one */
    uint32_t line[SETTING_COUNT];
};

/* In a keyset a user's name begins with a blank, which no name in normal form has: an address that looks like a user's
 * name is no user. Returns `out`. */
#define USER_KEY_SIZE (KEY_TEXT_SIZE + 1)
static inline const char *user_key(const char *user, char out[USER_KEY_SIZE])
{
    out[0] = ' ';
    out[1] = '\0';
    return strncat(out, user, KEY_TEXT_SIZE - 1);
}

/* What one key says, and in which line. */
struct keyed_maxima {
    struct limit_maxima maxima;
    uint32_t line;
};

/* Keys of a limit with maxima of their own. */
struct keyset {
    struct lpm *clients;   /* to an index of keys */
    struct nameset *names; /* likewise */
    struct keyed_maxima *keys;
    uint32_t count;
    uint32_t largest; /* of all maxima */
    scope_id scope;   /* of its block */
};

/* One `limit NAME { }`; in a peer's layer, with what the wider peers of its parent say of the same limit. */
struct limit_block {
    scope_id scope;
    limit_number limit;
    uint32_t set; /* bit n: term n is given */
    int64_t value[LIMIT_TERMS];
    const struct reply *reply;     /* NULL: not given */
    const struct keyset *except;   /* NULL: not given */
    const struct keyset *keys;     /* NULL: none */
    limit_block_id wider;          /* of a layer: the block whose keys come after these; else RULES_NO_BLOCK */
    uint64_t group;                /* of the records that count for it */
    struct said said[LIMIT_TERMS]; /* by whom each term that is given is */
};

/* A block by the group of its records. */
struct group_block {
    uint64_t group;
    limit_block_id block;
};

struct limit_kind {
    char name[LIMIT_NAME_SIZE];
    enum limit_count count;
    enum limit_per per;
    uint8_t slot;      /* the window of the record, or LIMIT_SLOT_NONE */
    int session_index; /* COUNT_SESSIONS: its place among those; else -1 */
};
#define LIMIT_SLOT_NONE RECORD_WINDOWS

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

/* The deny and exempt lists. A value is the list that an entry is of, of a prefix its length, and its line: of equal
 * entries the least counts, so that deny beats exempt. Never LPM_NONE or NAMESET_NONE, as no prefix is 255 long. */
struct lists {
    struct lpm *clients;
    struct nameset *senders, *users;
    bool authenticated[RULES_LISTS]; /* the list has everybody with a user */
    uint32_t authenticated_line[RULES_LISTS];
    enum limit_mode deny_mode;
    uint32_t deny_points;
};

static inline uint32_t list_value(enum rules_list list, unsigned bits, uint32_t line)
{
    return (uint32_t)list << 31 | (uint32_t)bits << 23 | line;
}

static inline enum rules_list list_of_value(uint32_t value)
{
    return (enum rules_list)(value >> 31);
}

static inline unsigned bits_of_value(uint32_t value)
{
    return value >> 23 & 0xff;
}

static inline uint32_t line_of_value(uint32_t value)
{
    return value & RULES_LINE_MAX;
}

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
    bool catch_all_given;
    unsigned client_ipv4_bits, client_ipv6_bits;
    struct limit_kind limits[LIMITS_MAX];
    uint32_t limit_count;
    unsigned session_limits;        /* those on COUNT_SESSIONS */
    uint64_t at_event[EVENT_KINDS]; /* the limits that have a block and to which the event may matter, as bits */
    struct limit_block *blocks;     /* first those of the builder, in its order, then those of layers */
    uint32_t block_count;
    uint32_t own_blocks;        /* how many were the builder's: they own what they point to */
    struct group_block *groups; /* those, sorted by group and number */
    struct lists lists;
    bool has_deny; /* the deny list has an entry */
    bool monitor;
    int64_t half_life_ns;
    uint32_t reputation_steps;
    uint64_t reputation_group;
};

/* The settings of one level of a chain (chain.h). */
const struct settings *level_settings(const struct rules *rules, uint32_t level);

/* Orders by owner, address and port; what `listen` says does not matter. For qsort and bsearch. */
int listen_key_compare(const void *a, const void *b);
int name_key_compare(const void *a, const void *b);

#endif
