/*
 * bans.c: bans for people.
 *
 * A walk over all bans is a number that goes up: below OPERATOR_BANS_MAX it is the place of an administrator's, from
 * there on a record of the table. A record says whose it is by its group alone: the blocks of that group are looked up.
 */
#include "bans.h"

#include "scope.h"
#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint8_t ban_length_number(struct engine *engine, uint32_t ticks)
{
    uint8_t nearest = 0;
    uint32_t least = UINT32_MAX;

    for (uint8_t i = 0; i < engine->ban_length_count && least > 0; i++) {
        uint32_t known = engine->ban_lengths[i], apart = known > ticks ? known - ticks : ticks - known;
        if (apart < least) {
            least = apart;
            nearest = i;
        }
    }
    if (least == 0 || engine->ban_length_count == BAN_LENGTHS)
        return nearest;
    engine->ban_lengths[engine->ban_length_count] = ticks;
    return engine->ban_length_count++;
}

/* ---- an administrator's, and the lists ---- */

enum ban_result engine_ban(struct engine *engine, const struct ban_target *target, int64_t length_ns, int64_t now)
{
    struct ban_target banned = {.clients = target->clients};

    if (target->clients.addr.family == ADDR_NONE)
        snprintf(banned.name, sizeof banned.name, "%s", target->name);
    engine_advance(engine, now);
    return operator_bans_put(engine->operator_bans, &banned, engine->now, engine->now + length_ns,
                             rules_monitor(tally_rules(engine->current)));
}

bool engine_ban_monitored(const struct engine *engine, const struct ban_target *target, int64_t now)
{
    const struct operator_ban *ban = operator_bans_of(engine->operator_bans, target, engine_latest(engine, now));
    return ban && ban->monitored;
}

uint32_t engine_bans_of_dry_run(const struct engine *engine)
{
    return operator_bans_monitored(engine->operator_bans);
}

struct listed engine_list_client(const struct engine *engine, const struct addr *client, int64_t now,
                                 const struct operator_ban **ban)
{
    const struct listed listed = rules_listed_client(tally_rules(engine->current), client);

    *ban = operator_bans_client(engine->operator_bans, client, now);
    if (*ban && listed.answer == LISTED_EXEMPT && listed.bits > (*ban)->target.clients.bits)
        *ban = NULL;
    return listed;
}

struct listed engine_list_names(const struct engine *engine, const char *sender, const char *user, int64_t now,
                                const struct operator_ban **ban)
{
    const struct listed listed = rules_listed_names(tally_rules(engine->current), sender, user);

    *ban = sender && sender[0] ? operator_bans_name(engine->operator_bans, sender, now) : NULL;
    /* Both are ends of the sender, so the longer is the more specific. */
    if (*ban && listed.spared && strlen(listed.spared) > strlen((*ban)->target.name))
        *ban = NULL;
    return listed;
}

static void view_operator(const struct engine *engine, const struct operator_ban *ban, int64_t now,
                          struct ban_view *out)
{
    const struct rules *rules = tally_rules(engine->current);
    const bool of_name = ban->target.clients.addr.family == ADDR_NONE;

    memset(out, 0, sizeof *out);
    out->limit = LIMIT_BAN;
    strcpy(out->name, limit_name(LIMIT_BAN));
    rules_scope_name(rules, RULES_SERVICE, out->scope);
    out->per = of_name ? PER_SENDER_DOMAIN : PER_CLIENT;
    out->client = ban->target.clients;
    strcpy(out->key, ban->target.name);
    out->action = rules_monitor(rules) ? ACTION_MONITOR : ACTION_REFUSE;
    out->since_ns = now - ban->since;
    out->left_ns = ban->until - now;
}

/* ---- the records of limits ---- */

/* Whose a record is: the blocks of the rules in force that count in it. None for a record that no limit's ban is in. */
struct owners {
    const struct group_block *blocks;
    size_t count;
    enum addr_family family; /* of the client; ADDR_NONE: the key is a name's */
};

/* Whom the limits of that group count. */
static enum limit_per per_of(const struct rules *rules, const struct group_block *group)
{
    return rules->limits[rules->blocks[group->block].limit].per;
}

static bool of_clients(const struct rules *rules, const struct group_block *group)
{
    return per_of(rules, group) == PER_CLIENT;
}

static struct owners find_owners(const struct rules *rules, const struct record *record)
{
    static const enum addr_family families[] = {ADDR_NONE, ADDR_IPV4, ADDR_IPV6};
    const uint64_t group = (uint64_t)record->group_high << 32 | record->group_low;

    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        struct owners owners = {.family = families[i]};
        owners.blocks = rules_group_from(rules, group ^ families[i], &owners.count);
        if (owners.count > 0 && owners.blocks->group == (group ^ families[i]) &&
            of_clients(rules, owners.blocks) == (families[i] != ADDR_NONE))
            return owners;
    }
    return (struct owners){.count = 0};
}

/* The block of a client, as the rules count clients; false when they count them otherwise by now. */
static bool client_of(const struct rules *rules, const struct record *record, enum addr_family family,
                      struct prefix *out)
{
    const struct addr addr = addr_of_key(record->key, family);

    *out = rules_client(rules, &addr);
    return addr_equal(&out->addr, &addr);
}

static bool is_off(const struct rules *rules, limit_block_id block)
{
    enum limit_mode mode;
    return rules_block_mode(rules, block, &mode) && mode == MODE_OFF;
}

static bool banned_by_block(const struct rules *rules, const struct record *record, limit_block_id block, uint64_t tick)
{
    const uint8_t slot = rules->limits[rules->blocks[block].limit].slot;
    return table_banned(record, tick) && BAN_SLOT(record->ban) == BAN_SLOT(BAN(0, slot)) && !is_off(rules, block);
}

/* What a ban does that a limit with this block has begun. Where the mode differs from session to session, it is what it
 * did at first. */
static enum action action_of(const struct rules *rules, limit_block_id block, unsigned rank)
{
    static const enum action by_rank[] = {
        [RANK_MONITOR] = ACTION_MONITOR, [RANK_SCORE] = ACTION_SCORE, [RANK_BLOCK] = ACTION_REFUSE};
    enum limit_mode mode;
    const bool known = rules_block_mode(rules, block, &mode);
    const enum action action = known && rank != RANK_MONITOR ? action_of_mode(mode) : by_rank[rank];

    return action == ACTION_REFUSE && rules_monitor(rules) ? ACTION_MONITOR : action;
}

static int64_t since_of(const struct engine *engine, const struct record *record, uint64_t tick)
{
    const uint32_t left = record->ban_until - (uint32_t)tick, length = engine->ban_lengths[record->ban_length];
    return length > left ? ticks_to_ns(length - left) : 0;
}

/* The text that stands for a name that is not known any more. */
static void write_key(const uint32_t key[4], char out[KEY_TEXT_SIZE])
{
    snprintf(out, KEY_TEXT_SIZE, "#%08lx%08lx%08lx%08lx", (unsigned long)key[0], (unsigned long)key[1],
             (unsigned long)key[2], (unsigned long)key[3]);
}

/* False when no limit in force has banned the key of that record. */
static bool view_record(const struct engine *engine, const struct record *record, int64_t now, struct ban_view *out)
{
    const struct rules *rules = tally_rules(engine->current);
    const uint64_t tick = (uint64_t)now >> TICK_BITS;
    size_t i = 0;

    if (!table_banned(record, tick))
        return false;
    const struct owners owners = find_owners(rules, record);
    while (i < owners.count && !banned_by_block(rules, record, owners.blocks[i].block, tick))
        i++;
    if (i == owners.count)
        return false;
    const struct limit_block *block = &rules->blocks[owners.blocks[i].block];
    memset(out, 0, sizeof *out);
    if (owners.family != ADDR_NONE) {
        if (!client_of(rules, record, owners.family, &out->client))
            return false;
    } else {
        const char *text = key_texts_find(engine->key_texts, record->key);
        if (text)
            strcpy(out->key, text);
        else
            write_key(record->key, out->key);
    }
    out->limit = LIMIT_NUMBERED + block->limit;
    strcpy(out->name, rules_limit_name(rules, block->limit));
    rules_scope_name(rules, block->scope, out->scope);
    out->per = rules->limits[block->limit].per;
    out->action = action_of(rules, owners.blocks[i].block, BAN_RANK(record->ban));
    out->since_ns = since_of(engine, record, tick);
    out->left_ns = ticks_to_ns(record->ban_until - (uint32_t)tick);
    return true;
}

/* The next place of the walk, past those that were never used; UINT64_MAX after the last. */
static uint64_t walk_to(const struct engine *engine, uint64_t at)
{
    if (at < OPERATOR_BANS_MAX && at >= operator_bans_extent(engine->operator_bans))
        at = OPERATOR_BANS_MAX;
    return at - OPERATOR_BANS_MAX >= table_extent(engine->table) && at >= OPERATOR_BANS_MAX ? UINT64_MAX : at;
}

size_t engine_bans(const struct engine *engine, int64_t now, uint64_t *next, struct ban_view *out, size_t room)
{
    uint64_t at = walk_to(engine, *next);
    size_t count = 0;

    now = engine_latest(engine, now);
    for (uint32_t left = ENGINE_BATCH; at != UINT64_MAX && left > 0 && count < room; left--) {
        if (at < OPERATOR_BANS_MAX) {
            const struct operator_ban *ban = operator_bans_at(engine->operator_bans, (uint32_t)at);
            if (ban && ban->until > now)
                view_operator(engine, ban, now, &out[count++]);
        } else {
            const struct record *record = table_at(engine->table, (uint32_t)(at - OPERATOR_BANS_MAX));
            count += record && view_record(engine, record, now, &out[count]);
        }
        at = walk_to(engine, at + 1);
    }
    *next = at != UINT64_MAX ? at : 0;
    return count;
}

/* ---- lifting ---- */

/* One step of engine_unban(). */
struct lifting {
    struct engine *engine;
    const struct rules *rules;
    const struct unban *unban;
    struct unbanned *done;
    uint32_t keys[2][4]; /* the only ones that the target's records may have, and how many; 0: it may have any */
    unsigned key_count;
    uint64_t tick;
};

/* One block of clients lies in the other. */
static bool holds(const struct prefix *outer, const struct prefix *inner)
{
    return outer->bits <= inner->bits && prefix_contains(outer, &inner->addr);
}

static bool domain_holds(const char *domain, const char *name)
{
    size_t length = strlen(domain), whole = strlen(name);
    return whole >= length && strcmp(name + whole - length, domain) == 0 &&
           (whole == length || name[whole - length - 1] == '.');
}

static bool recent(const struct unban *unban, int64_t since_ns)
{
    return unban->since_ns == 0 || since_ns <= unban->since_ns;
}

/* Whether counts without a ban are forgotten, too. */
static bool forgets(const struct unban *unban)
{
    return unban->target && unban->since_ns == 0;
}

static void lift_operator(struct lifting *lifting, uint32_t index)
{
    const struct operator_ban *ban = operator_bans_at(lifting->engine->operator_bans, index);
    const struct unban *unban = lifting->unban;
    const int64_t now = lifting->engine->now;

    if (!ban || unban->users || ban->until <= now || !recent(unban, now - ban->since) ||
        (unban->limit && strcmp(unban->limit, limit_name(LIMIT_BAN)) != 0))
        return;
    if (unban->target) {
        const struct ban_target *target = unban->target, *banned = &ban->target;
        const bool of_name = target->clients.addr.family == ADDR_NONE;
        if (of_name != (banned->clients.addr.family == ADDR_NONE) ||
            !(of_name ? domain_holds(target->name, banned->name) : holds(&target->clients, &banned->clients)))
            return;
    }
    operator_bans_remove(lifting->engine->operator_bans, index);
    lifting->done->lifted++;
}

/* The key for which write_key() has written that text; false when it has not. */
static bool read_key(const char *text, uint32_t key[4])
{
    return strlen(text) == 33 && text[0] == '#' && strspn(text + 1, "0123456789abcdef") == 32 &&
           sscanf(text, "#%8" SCNx32 "%8" SCNx32 "%8" SCNx32 "%8" SCNx32, &key[0], &key[1], &key[2], &key[3]) == 4;
}

/* A name and a single client are looked up; of a wider block the whole table may have something. */
static void find_keys(struct lifting *lifting)
{
    const struct ban_target *target = lifting->unban->target;

    if (!target)
        return;
    if (target->clients.addr.family == ADDR_NONE) {
        key_of_name(lifting->engine, target->name, lifting->keys[0]);
        lifting->key_count = read_key(target->name, lifting->keys[1]) ? 2 : 1;
        return;
    }
    const struct prefix client = rules_client(lifting->rules, &target->clients.addr);
    if (target->clients.bits < client.bits)
        return;
    key_of_addr(&client.addr, lifting->keys[0]);
    lifting->key_count = 1;
}

/* Whether that window of the record still counts anything. */
static bool counts_in(const struct record *record, unsigned slot, uint64_t tick)
{
    return window_count_at(&record->windows[slot], tick - table_age(record, tick), tick) > 0;
}

/* One ban at most is lifted. */
static void lift_record(struct lifting *lifting, uint32_t index, const struct owners *owners)
{
    struct engine *engine = lifting->engine;
    struct record *record = table_record(engine->table, index);
    const struct unban *unban = lifting->unban;

    for (size_t i = 0; i < owners->count; i++) {
        const limit_block_id block = owners->blocks[i].block;
        const struct limit_kind *kind = &lifting->rules->limits[lifting->rules->blocks[block].limit];
        if (is_off(lifting->rules, block) || (unban->limit && strcmp(kind->name, unban->limit) != 0))
            continue;
        const bool lifts = banned_by_block(lifting->rules, record, block, lifting->tick) &&
                           recent(unban, since_of(engine, record, lifting->tick));
        if (lifts) {
            table_unban(engine->table, index);
            lifting->done->lifted++;
        }
        if (!lifts && !forgets(unban))
            continue;
        if (kind->slot < RECORD_WINDOWS && !lifts)
            lifting->done->forgotten += counts_in(record, kind->slot, lifting->tick);
        if (kind->slot < RECORD_WINDOWS)
            record->windows[kind->slot] = (struct window){.shape = 0};
        if (kind->count == COUNT_NETWORKS)
            record->reputation_step = engine->networks_epoch;
    }
}

/* What there may be at one place of the table. */
static void lift_walked(struct lifting *lifting, uint32_t index)
{
    const struct record *record = table_at(lifting->engine->table, index);
    const struct ban_target *target = lifting->unban->target;
    struct prefix client;

    /* Most records are passed over by a look at two of their fields. */
    if (!record || (!forgets(lifting->unban) && !table_banned(record, lifting->tick)))
        return;
    const struct owners owners = find_owners(lifting->rules, record);
    if (target && (owners.family != target->clients.addr.family ||
                   !client_of(lifting->rules, record, owners.family, &client) || !holds(&target->clients, &client)))
        return;
    lift_record(lifting, index, &owners);
}

/* What the limits of the first group from `group` on have for the target. */
static void lift_looked_up(struct lifting *lifting, uint64_t group)
{
    const struct table *table = lifting->engine->table;
    struct owners owners = {.family = (enum addr_family)lifting->unban->target->clients.addr.family};

    owners.blocks = rules_group_from(lifting->rules, group, &owners.count);
    if (owners.count == 0 || of_clients(lifting->rules, owners.blocks) != (owners.family != ADDR_NONE) ||
        (lifting->unban->users && per_of(lifting->rules, owners.blocks) != PER_USER))
        return;
    for (unsigned i = 0; i < lifting->key_count; i++) {
        uint32_t index = table_find(table, owners.blocks->group ^ owners.family, lifting->keys[i]);
        if (index != TABLE_NONE)
            lift_record(lifting, index, &owners);
    }
}

/* As walk_to(); where the target is looked up, past the administrators' there is a place for each group. */
static uint64_t lift_to(const struct lifting *lifting, uint64_t at)
{
    size_t count;

    if (lifting->key_count == 0)
        return walk_to(lifting->engine, at);
    if (at < operator_bans_extent(lifting->engine->operator_bans))
        return at;
    const uint64_t from = at > OPERATOR_BANS_MAX ? at - OPERATOR_BANS_MAX : 0;
    const struct group_block *group = rules_group_from(lifting->rules, from, &count);
    return count > 0 ? OPERATOR_BANS_MAX + group->group : UINT64_MAX;
}

void engine_unban(struct engine *engine, const struct unban *unban, int64_t now, uint64_t *next, struct unbanned *done)
{
    struct lifting lifting = {.engine = engine, .rules = tally_rules(engine->current), .unban = unban, .done = done};

    engine_advance(engine, now);
    lifting.tick = engine_tick(engine);
    find_keys(&lifting);
    if (*next == 0 && ++engine->networks_epoch == 0)
        engine->networks_epoch = 1;
    uint64_t at = lift_to(&lifting, *next);
    for (uint32_t left = ENGINE_BATCH; at != UINT64_MAX && left > 0; left--) {
        if (at < OPERATOR_BANS_MAX)
            lift_operator(&lifting, (uint32_t)at);
        else if (lifting.key_count > 0)
            lift_looked_up(&lifting, at - OPERATOR_BANS_MAX);
        else
            lift_walked(&lifting, (uint32_t)(at - OPERATOR_BANS_MAX));
        at = lift_to(&lifting, at + 1);
    }
    *next = at != UINT64_MAX ? at : 0;
}

/* An entry of the exempt list with more detail spares some of the block, or all of it. */
static const struct operator_ban *block_ban(const struct engine *engine, const struct prefix *block, int64_t now)
{
    const struct listed listed = rules_listed_client(tally_rules(engine->current), &block->addr);
    const struct operator_ban *ban = operator_bans_block(engine->operator_bans, block, now);

    return ban && !(listed.answer == LISTED_EXEMPT && listed.bits > ban->target.clients.bits) ? ban : NULL;
}

bool engine_held_by(const struct engine *engine, const struct ban_target *target, int64_t now, struct ban_view *out)
{
    const struct operator_ban *ban = NULL;

    now = engine_latest(engine, now);
    if (rules_monitor(tally_rules(engine->current)))
        return false;
    if (target->clients.addr.family == ADDR_NONE)
        engine_list_names(engine, target->name, NULL, now, &ban);
    else
        ban = block_ban(engine, &target->clients, now);
    if (ban)
        view_operator(engine, ban, now, out);
    return ban != NULL;
}
