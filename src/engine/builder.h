/*
 * builder.h: what the configuration has said of a rule set so far. For rules_build.c and rules_limits.c alone.
 */
#ifndef ENGINE_BUILDER_H
#define ENGINE_BUILDER_H

#include "scope.h"

/* A block of clients and the peer that named it. */
struct peer_prefix {
    struct prefix prefix;
    scope_id peer;
};

/* A prefix or a name. */
struct key_entry {
    struct prefix prefix;
    uint32_t line;
    char *name; /* NULL: it is a prefix */
    struct limit_maxima maxima;
};

struct key_list {
    struct key_entry *entries;
    size_t count, room;
};

struct builder_block {
    scope_id scope;
    limit_number limit;
    uint32_t set;
    uint32_t line[LIMIT_TERMS];
    int64_t value[LIMIT_TERMS];
    struct reply *reply;
    bool has_except;
    struct key_list except, keys;
};

struct list_prefix {
    struct prefix prefix;
    uint32_t line;
};

struct builder_list {
    struct list_prefix *prefixes;
    size_t prefix_count, prefix_room;
    struct key_list senders, users;
    bool authenticated;
    uint32_t authenticated_line;
};

struct rules_builder {
    struct scope *scopes;
    size_t scope_count, scope_room;
    struct peer_prefix *prefixes;
    size_t prefix_count, prefix_room;
    unsigned client_ipv4_bits, client_ipv6_bits;
    struct limit_kind limits[LIMITS_MAX];
    uint32_t limit_count;
    struct builder_block *blocks;
    size_t block_count, block_room;
    struct builder_list lists[RULES_LISTS];
    enum limit_mode deny_mode;
    uint32_t deny_points;
    bool monitor;
    int64_t half_life_ns;
    uint32_t line; /* of what is told next */
    bool no_memory;
};

/* `items` with room for one more; NULL, and remembered, when memory is short. */
void *builder_room(struct rules_builder *builder, void *items, size_t count, size_t *room, size_t size);

/* False when memory ran short before: the numbers that scopes were given then mean nothing. */
bool builder_usable(const struct rules_builder *builder, scope_id scope);

/* Of rules_limits.c: knows the built-in limits; frees what it added to the builder. */
void builder_begin_limits(struct rules_builder *builder);
void builder_free_limits(struct rules_builder *builder);

/*
 * In rules_limits.c, in the order that rules_build() calls them. False when memory is short.
 * rules_place_blocks(): the builder's blocks go into the settings of their scopes.
 * rules_merge_blocks(): `to`, a layer, gets the blocks of a peer's settings over those of the wider layer, if any.
 * rules_finish_limits(): what follows from all blocks and layers; the lists.
 */
bool rules_place_blocks(struct rules *rules, const struct rules_builder *builder);
bool rules_merge_blocks(struct rules *rules, const struct settings *peer, const struct settings *wider,
                        struct settings *to, uint32_t *block_room);
bool rules_finish_limits(struct rules *rules, const struct rules_builder *builder);
void rules_free_limits(struct rules *rules);
size_t rules_limits_bytes(const struct rules *rules);

#endif
