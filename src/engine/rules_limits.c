/*
 * rules_limits.c: the limits and lists of a rule set under construction.
 */
#include "builder.h"
#include "chain.h"
#include "hash.h"
#include "reputation.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the builder is told ---- */

void builder_begin_limits(struct rules_builder *builder)
{
    builder->deny_mode = MODE_BLOCK;
    for (uint32_t i = 0; i < LIMITS_BUILTIN; i++)
        rules_add_limit(builder, limit_builtins[i].name, limit_builtins[i].count, limit_builtins[i].per);
}

static void free_list(struct key_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->entries[i].name);
    free(list->entries);
}

void builder_free_limits(struct rules_builder *builder)
{
    for (size_t i = 0; i < builder->block_count; i++) {
        free(builder->blocks[i].reply);
        free_list(&builder->blocks[i].except);
        free_list(&builder->blocks[i].keys);
    }
    free(builder->blocks);
    for (size_t i = 0; i < RULES_LISTS; i++) {
        free(builder->lists[i].prefixes);
        free_list(&builder->lists[i].senders);
        free_list(&builder->lists[i].users);
    }
}

/* The window of a built-in limit in the record that it shares with the others of its per. */
static uint8_t builtin_slot(uint32_t number)
{
    uint8_t slot = 0;
    if (!limit_has_window(limit_builtins[number].count, limit_builtins[number].per))
        return LIMIT_SLOT_NONE;
    for (uint32_t i = 0; i < number; i++)
        slot += limit_builtins[i].per == limit_builtins[number].per &&
                limit_has_window(limit_builtins[i].count, limit_builtins[i].per);
    assert(slot < RECORD_WINDOWS);
    return slot;
}

limit_number rules_add_limit(struct rules_builder *builder, const char *name, enum limit_count count,
                             enum limit_per per)
{
    assert(limit_fits(count, per) && strlen(name) < LIMIT_NAME_SIZE);
    for (uint32_t i = 0; i < builder->limit_count; i++)
        if (strcmp(builder->limits[i].name, name) == 0) {
            assert(builder->limits[i].count == count && builder->limits[i].per == per);
            return i;
        }
    if (builder->limit_count == LIMITS_MAX)
        return RULES_NO_LIMIT;
    uint32_t number = builder->limit_count++;
    struct limit_kind *kind = &builder->limits[number];
    strcpy(kind->name, name);
    kind->count = count;
    kind->per = per;
    kind->slot = number < LIMITS_BUILTIN ? builtin_slot(number) : limit_has_window(count, per) ? 0 : LIMIT_SLOT_NONE;
    kind->session_index = -1;
    if (count == COUNT_SESSIONS) {
        kind->session_index = 0;
        for (uint32_t i = 0; i < number; i++)
            kind->session_index += builder->limits[i].count == COUNT_SESSIONS;
    }
    return number;
}

limit_block_id rules_add_limit_block(struct rules_builder *builder, scope_id scope, limit_number limit)
{
    if (!builder_usable(builder, scope))
        return 0;
    assert(limit < builder->limit_count);
    struct settings *settings = &builder->scopes[scope].settings;
    if (settings->limited >> limit & 1)
        for (size_t i = builder->block_count; i-- > 0;)
            if (builder->blocks[i].scope == scope && builder->blocks[i].limit == limit)
                return (limit_block_id)i;
    struct builder_block *blocks =
        builder_room(builder, builder->blocks, builder->block_count, &builder->block_room, sizeof *blocks);
    if (!blocks)
        return 0;
    builder->blocks = blocks;
    blocks[builder->block_count] = (struct builder_block){.scope = scope, .limit = limit};
    settings->limited |= UINT64_C(1) << limit;
    return (limit_block_id)builder->block_count++;
}

static struct builder_block *find_block(struct rules_builder *builder, limit_block_id block)
{
    assert(builder->no_memory || block < builder->block_count);
    return builder->no_memory ? NULL : &builder->blocks[block];
}

void rules_set_term(struct rules_builder *builder, limit_block_id id, enum limit_term term, int64_t value)
{
    struct builder_block *block = find_block(builder, id);
    if (!block)
        return;
    block->set |= 1u << term;
    block->value[term] = value;
    block->line[term] = builder->line;
}

void rules_set_reply(struct rules_builder *builder, limit_block_id id, const struct reply *reply)
{
    struct builder_block *block = find_block(builder, id);
    if (!block)
        return;
    if (!block->reply)
        block->reply = malloc(sizeof *reply);
    if (block->reply)
        *block->reply = *reply;
    else
        builder->no_memory = true;
}

static void add_entry(struct rules_builder *builder, struct key_list *list, const struct prefix *prefix,
                      const char *name, const struct limit_maxima *maxima)
{
    const struct limit_maxima none = {.set = 1u << TERM_MAX};
    struct key_entry *entries = builder_room(builder, list->entries, list->count, &list->room, sizeof *entries);
    if (!entries)
        return;
    list->entries = entries;
    struct key_entry *entry = &entries[list->count++];
    *entry = (struct key_entry){.line = builder->line, .maxima = maxima ? *maxima : none};
    if (prefix)
        entry->prefix = *prefix;
    else if (!(entry->name = strdup(name)))
        builder->no_memory = true;
}

void rules_add_key_prefix(struct rules_builder *builder, limit_block_id id, const struct prefix *prefix,
                          const struct limit_maxima *maxima)
{
    struct builder_block *block = find_block(builder, id);
    if (block)
        add_entry(builder, &block->keys, prefix, NULL, maxima);
}

void rules_add_key_name(struct rules_builder *builder, limit_block_id id, const char *name,
                        const struct limit_maxima *maxima)
{
    struct builder_block *block = find_block(builder, id);
    if (block)
        add_entry(builder, &block->keys, NULL, name, maxima);
}

void rules_add_key_user(struct rules_builder *builder, limit_block_id id, const char *name,
                        const struct limit_maxima *maxima)
{
    char marked[USER_KEY_SIZE];
    rules_add_key_name(builder, id, user_key(name, marked), maxima);
}

void rules_set_except(struct rules_builder *builder, limit_block_id id)
{
    struct builder_block *block = find_block(builder, id);
    if (block)
        block->has_except = true;
}

void rules_add_except_prefix(struct rules_builder *builder, limit_block_id id, const struct prefix *prefix)
{
    struct builder_block *block = find_block(builder, id);
    rules_set_except(builder, id);
    if (block)
        add_entry(builder, &block->except, prefix, NULL, NULL);
}

void rules_add_except_name(struct rules_builder *builder, limit_block_id id, const char *name)
{
    struct builder_block *block = find_block(builder, id);
    rules_set_except(builder, id);
    if (block)
        add_entry(builder, &block->except, NULL, name, NULL);
}

void rules_add_except_user(struct rules_builder *builder, limit_block_id id, const char *name)
{
    char marked[USER_KEY_SIZE];
    rules_add_except_name(builder, id, user_key(name, marked));
}

void rules_set_monitor(struct rules_builder *builder, bool monitor)
{
    builder->monitor = monitor;
}

void rules_set_reputation(struct rules_builder *builder, int64_t half_life_ns)
{
    builder->half_life_ns = half_life_ns;
}

void rules_add_list_prefix(struct rules_builder *builder, enum rules_list list, const struct prefix *prefix)
{
    struct builder_list *to = &builder->lists[list];
    struct list_prefix *prefixes =
        builder_room(builder, to->prefixes, to->prefix_count, &to->prefix_room, sizeof *prefixes);
    if (!prefixes)
        return;
    to->prefixes = prefixes;
    prefixes[to->prefix_count++] = (struct list_prefix){*prefix, builder->line};
}

void rules_add_list_sender(struct rules_builder *builder, enum rules_list list, const char *name)
{
    add_entry(builder, &builder->lists[list].senders, NULL, name, NULL);
}

void rules_add_list_user(struct rules_builder *builder, enum rules_list list, const char *name)
{
    add_entry(builder, &builder->lists[list].users, NULL, name, NULL);
}

void rules_add_list_authenticated(struct rules_builder *builder, enum rules_list list)
{
    builder->lists[list].authenticated = true;
    builder->lists[list].authenticated_line = builder->line;
}

void rules_set_deny(struct rules_builder *builder, enum limit_mode mode, uint32_t points)
{
    builder->deny_mode = mode;
    builder->deny_points = points;
}

/* ---- what is made of it ---- */

static void *reserve(size_t count, size_t size)
{
    return calloc(count ? count : 1, size);
}

static int compare_entries(const void *left, const void *right)
{
    return prefix_compare(&((const struct lpm_entry *)left)->prefix, &((const struct lpm_entry *)right)->prefix);
}

/* Builds from entries in which a prefix may stand more than once: the one with the least value counts. */
static struct lpm *build_lpm(struct lpm_entry *entries, size_t count)
{
    size_t kept = 0;
    qsort(entries, count, sizeof *entries, compare_entries);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || compare_entries(&entries[kept - 1], &entries[i]) != 0)
            entries[kept++] = entries[i];
        else if (entries[i].value < entries[kept - 1].value)
            entries[kept - 1].value = entries[i].value;
    }
    return lpm_build(entries, kept);
}

static void keyset_free(struct keyset *set)
{
    if (!set)
        return;
    lpm_free(&set->clients);
    nameset_free(&set->names);
    free(set->keys);
    free(set);
}

/* The last of several equal keys counts, so the values go backwards for the prefixes. */
static struct keyset *keyset_build(const struct key_list *list, scope_id scope)
{
    struct keyset *set = calloc(1, sizeof *set);
    struct lpm_entry *prefixes = reserve(list->count, sizeof *prefixes);
    struct nameset_entry *names = reserve(list->count, sizeof *names);
    size_t prefix_count = 0, name_count = 0;
    bool ok = set && prefixes && names && (set->keys = reserve(list->count, sizeof *set->keys)) != NULL;

    for (size_t i = 0; i < list->count && ok; i++) {
        const struct key_entry *entry = &list->entries[list->count - 1 - i];
        set->keys[i] = (struct keyed_maxima){entry->maxima, entry->line};
        for (unsigned term = TERM_MAX; term <= TERM_MAX_AUTHENTICATED; term++)
            if (entry->maxima.set >> term & 1 && entry->maxima.max[term] > set->largest)
                set->largest = entry->maxima.max[term];
        if (!entry->name)
            prefixes[prefix_count++] = (struct lpm_entry){entry->prefix, (uint32_t)i};
        else
            names[list->count - ++name_count] = (struct nameset_entry){entry->name, (uint32_t)i};
    }
    if (ok) {
        set->count = (uint32_t)list->count;
        set->scope = scope;
        ok = (set->clients = build_lpm(prefixes, prefix_count)) != NULL &&
             (set->names = nameset_build(names + list->count - name_count, name_count)) != NULL;
    }
    free(prefixes);
    free(names);
    if (!ok) {
        keyset_free(set);
        set = NULL;
    }
    return set;
}

static size_t keyset_bytes(const struct keyset *set)
{
    return set ? sizeof *set + lpm_bytes(set->clients) + nameset_bytes(set->names) + set->count * sizeof *set->keys : 0;
}

/* Whose counters: the same as long as the scope's name, the per and, of limits that are not built in, name and count
 * stay, so records outlive a change of rules. 48 bits of a hash without a secret: the names are the administrator's. */
static uint64_t group_of(const struct rules *rules, const struct limit_block *block)
{
    static const uint64_t seed[2] = {0, 0};
    char scope[SCOPE_NAME_SIZE];
    const struct limit_kind *kind = &rules->limits[block->limit];
    const char *name = block->limit < LIMITS_BUILTIN ? "" : kind->name;

    rules_scope_name(rules, block->scope, scope);
    const uint64_t words[] = {hash_bytes(seed, scope, strlen(scope)), kind->per, hash_bytes(seed, name, strlen(name)),
                              block->limit < LIMITS_BUILTIN ? (uint64_t)COUNT_KINDS : (uint64_t)kind->count};
    return hash_bytes(seed, words, sizeof words) >> 16;
}

static bool give_block(struct rules *rules, struct settings *settings, uint32_t number)
{
    if (!settings->blocks) {
        settings->blocks = reserve(rules->limit_count, sizeof *settings->blocks);
        if (!settings->blocks)
            return false;
        for (uint32_t i = 0; i < rules->limit_count; i++)
            settings->blocks[i] = RULES_NO_BLOCK;
    }
    settings->limited |= UINT64_C(1) << rules->blocks[number].limit;
    settings->blocks[rules->blocks[number].limit] = number;
    return true;
}

bool rules_place_blocks(struct rules *rules, const struct rules_builder *builder)
{
    rules->limit_count = builder->limit_count;
    memcpy(rules->limits, builder->limits, sizeof rules->limits);
    for (uint32_t i = 0; i < rules->limit_count; i++)
        rules->session_limits += rules->limits[i].session_index >= 0;
    rules->blocks = reserve(builder->block_count, sizeof *rules->blocks);
    if (!rules->blocks)
        return false;
    for (size_t i = 0; i < builder->block_count; i++) {
        const struct builder_block *from = &builder->blocks[i];
        struct limit_block *to = &rules->blocks[i];
        struct reply *reply = NULL;

        *to =
            (struct limit_block){.scope = from->scope, .limit = from->limit, .set = from->set, .wider = RULES_NO_BLOCK};
        rules->own_blocks = ++rules->block_count;
        memcpy(to->value, from->value, sizeof to->value);
        for (unsigned term = 0; term < LIMIT_TERMS; term++)
            to->said[term] = (struct said){from->scope, from->line[term]};
        to->group = group_of(rules, to);
        if (from->reply) {
            to->reply = reply = malloc(sizeof *reply);
            if (!reply)
                return false;
            *reply = *from->reply;
        }
        if (from->has_except && !(to->except = keyset_build(&from->except, from->scope)))
            return false;
        if (from->keys.count > 0 && !(to->keys = keyset_build(&from->keys, from->scope)))
            return false;
        if (!give_block(rules, &rules->scopes[to->scope].settings, (uint32_t)i))
            return false;
    }
    return true;
}

/* A block for a layer: what `narrow` says, and where it says nothing `wide`. */
static bool add_merged(struct rules *rules, limit_block_id narrow, limit_block_id wide, uint32_t *room)
{
    if (rules->block_count >= *room) {
        uint32_t wanted = rules->block_count < UINT32_MAX / 4 ? rules->block_count * 2 + 16 : 0;
        void *grown = wanted ? realloc(rules->blocks, wanted * sizeof *rules->blocks) : NULL;
        if (!grown)
            return false;
        rules->blocks = grown;
        *room = wanted;
    }
    struct limit_block *merged = &rules->blocks[rules->block_count++];
    const struct limit_block *other = &rules->blocks[wide];
    *merged = rules->blocks[narrow];
    for (unsigned term = 0; term < LIMIT_TERMS; term++) {
        if (merged->set >> term & 1)
            continue;
        merged->value[term] = other->value[term];
        merged->said[term] = other->said[term];
    }
    merged->set |= other->set;
    if (!merged->reply)
        merged->reply = other->reply;
    if (!merged->except)
        merged->except = other->except;
    merged->wider = wide;
    return true;
}

bool rules_merge_blocks(struct rules *rules, const struct settings *peer, const struct settings *wider,
                        struct settings *to, uint32_t *block_room)
{
    to->blocks = NULL;
    to->limited = 0;
    for (uint32_t limit = 0; limit < rules->limit_count; limit++) {
        limit_block_id own = peer->blocks ? peer->blocks[limit] : RULES_NO_BLOCK;
        limit_block_id outer = wider && wider->blocks ? wider->blocks[limit] : RULES_NO_BLOCK;
        limit_block_id block = own != RULES_NO_BLOCK ? own : outer;
        if (own != RULES_NO_BLOCK && outer != RULES_NO_BLOCK) {
            if (!add_merged(rules, own, outer, block_room))
                return false;
            block = rules->block_count - 1;
        }
        if (block != RULES_NO_BLOCK && !give_block(rules, to, block))
            return false;
    }
    return true;
}

/* The events at which some limit has something to look at. */
static void note_events(struct rules *rules)
{
    for (uint32_t i = 0; i < rules->block_count; i++) {
        const struct limit_block *block = &rules->blocks[i];
        const struct limit_kind *kind = &rules->limits[block->limit];
        unsigned events = limit_events(kind->count, kind->per);
        int64_t usual = block->limit < LIMITS_BUILTIN ? limit_builtins[block->limit].value[TERM_BAN] : 0;
        if (usual > 0 || (block->set >> TERM_BAN & 1 && block->value[TERM_BAN] > 0))
            events |= limit_ban_events(kind->per);
        for (unsigned event = 0; event < EVENT_KINDS; event++)
            if (events >> event & 1)
                rules->at_event[event] |= UINT64_C(1) << block->limit;
    }
}

static struct nameset *build_names(const struct key_list lists[RULES_LISTS])
{
    struct nameset_entry *entries = reserve(lists[0].count + lists[1].count, sizeof *entries);
    struct nameset *set = NULL;
    size_t count = 0;

    /* Of one name in both the last wins, and that is to be deny. */
    for (size_t i = RULES_LISTS; i-- > 0 && entries;)
        for (size_t j = 0; j < lists[i].count; j++)
            entries[count++] = (struct nameset_entry){lists[i].entries[j].name,
                                                      list_value((enum rules_list)i, 0, lists[i].entries[j].line)};
    if (entries)
        set = nameset_build(entries, count);
    free(entries);
    return set;
}

static bool build_lists(struct rules *rules, const struct rules_builder *builder)
{
    struct lists *lists = &rules->lists;
    struct key_list senders[RULES_LISTS] = {{.count = 0}}, users[RULES_LISTS] = {{.count = 0}};
    size_t count = 0, total = builder->lists[LIST_DENY].prefix_count + builder->lists[LIST_EXEMPT].prefix_count;
    struct lpm_entry *entries = reserve(total, sizeof *entries);

    lists->deny_mode = builder->deny_mode;
    lists->deny_points = builder->deny_points;
    for (uint32_t i = 0; i < RULES_LISTS && entries; i++) {
        if (i == LIST_DENY && builder->deny_mode == MODE_OFF)
            continue; /* it is as if there were none */
        senders[i] = builder->lists[i].senders;
        users[i] = builder->lists[i].users;
        lists->authenticated[i] = builder->lists[i].authenticated;
        lists->authenticated_line[i] = builder->lists[i].authenticated_line;
        for (size_t j = 0; j < builder->lists[i].prefix_count; j++) {
            const struct list_prefix *from = &builder->lists[i].prefixes[j];
            entries[count++] =
                (struct lpm_entry){from->prefix, list_value((enum rules_list)i, from->prefix.bits, from->line)};
        }
    }
    if (entries)
        lists->clients = build_lpm(entries, count);
    free(entries);
    lists->senders = build_names(senders);
    lists->users = build_names(users);
    return lists->clients && lists->senders && lists->users;
}

static int compare_groups(const void *left, const void *right)
{
    const struct group_block *a = left, *b = right;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return a->block < b->block ? -1 : a->block > b->block;
}

static bool build_groups(struct rules *rules)
{
    rules->groups = reserve(rules->own_blocks, sizeof *rules->groups);
    if (!rules->groups)
        return false;
    for (limit_block_id i = 0; i < rules->own_blocks; i++)
        rules->groups[i] = (struct group_block){rules->blocks[i].group, i};
    qsort(rules->groups, rules->own_blocks, sizeof *rules->groups, compare_groups);
    return true;
}

bool rules_finish_limits(struct rules *rules, const struct rules_builder *builder)
{
    rules->monitor = builder->monitor;
    rules->half_life_ns = builder->half_life_ns;
    rules->reputation_steps = builder->half_life_ns > 0 ? reputation_step_ticks((uint64_t)builder->half_life_ns) : 0;
    rules->reputation_group =
        group_of(rules, &(struct limit_block){.scope = RULES_SERVICE, .limit = LIMIT_NUMBER_CLIENT_SESSIONS});
    const struct builder_list *deny = &builder->lists[LIST_DENY];
    rules->has_deny = deny->prefix_count > 0 || deny->senders.count > 0 || deny->users.count > 0 || deny->authenticated;
    note_events(rules);
    return build_groups(rules) && build_lists(rules, builder);
}

void rules_free_limits(struct rules *rules)
{
    for (uint32_t i = 0; i < rules->scope_count; i++)
        free(rules->scopes[i].settings.blocks);
    for (uint32_t i = 0; i < rules->layer_count; i++)
        free(rules->layers[i].blocks);
    for (uint32_t i = 0; i < rules->own_blocks; i++) {
        free((struct reply *)rules->blocks[i].reply);
        keyset_free((struct keyset *)rules->blocks[i].except);
        keyset_free((struct keyset *)rules->blocks[i].keys);
    }
    free(rules->blocks);
    free(rules->groups);
    lpm_free(&rules->lists.clients);
    nameset_free(&rules->lists.senders);
    nameset_free(&rules->lists.users);
}

size_t rules_limits_bytes(const struct rules *rules)
{
    size_t bytes = rules->block_count * sizeof *rules->blocks + rules->own_blocks * sizeof *rules->groups +
                   lpm_bytes(rules->lists.clients) + nameset_bytes(rules->lists.senders) +
                   nameset_bytes(rules->lists.users);

    for (uint32_t i = 0; i < rules->scope_count; i++)
        bytes += rules->scopes[i].settings.blocks ? rules->limit_count * sizeof(limit_block_id) : 0;
    for (uint32_t i = 0; i < rules->layer_count; i++)
        bytes += rules->layers[i].blocks ? rules->limit_count * sizeof(limit_block_id) : 0;
    for (uint32_t i = 0; i < rules->own_blocks; i++) {
        const struct limit_block *block = &rules->blocks[i];
        bytes += (block->reply ? sizeof *block->reply : 0) + keyset_bytes(block->except) + keyset_bytes(block->keys);
    }
    return bytes;
}
