/*
 * model_bans.c: whom administrators have banned, what bans there are, and how they are lifted.
 */
#include "model.h"

#include <stdio.h>
#include <string.h>

static bool same_target(const struct model_operator_ban *a, const struct model_operator_ban *b)
{
    return model_same_addr(&a->block.addr, &b->block.addr) && a->block.bits == b->block.bits &&
           strcmp(a->name, b->name) == 0;
}

static void advance(struct model *model, int64_t now)
{
    if (now > model->now)
        model->now = now;
}

bool model_ban(struct model *model, const struct model_operator_ban *ban, int64_t length, int64_t now)
{
    uint32_t at = 0;

    advance(model, now);
    for (uint32_t i = 0; i < model->operator_ban_count;) /* what is over goes */
        if (model->operator_bans[i].until <= model->now)
            model->operator_bans[i] = model->operator_bans[--model->operator_ban_count];
        else
            i++;
    while (at < model->operator_ban_count && !same_target(&model->operator_bans[at], ban))
        at++;
    const bool changed = at < model->operator_ban_count;
    if (!changed) {
        model->operator_bans[model->operator_ban_count++] = *ban;
        model->operator_bans[at].since = model->now;
        model->operator_bans[at].rehearsed = model->rules.monitor;
    }
    model->operator_bans[at].until = model->now + length;
    return changed;
}

void model_dry_run_over(struct model *model)
{
    for (uint32_t i = 0; i < model->operator_ban_count; i++) {
        model_met.rehearsed += model->operator_bans[i].rehearsed && model->operator_bans[i].until > model->now;
        if (model->operator_bans[i].rehearsed)
            model->operator_bans[i].until = 0;
    }
}

const struct model_operator_ban *model_banned_client(const struct model *model, const struct plain_addr *client)
{
    const struct model_operator_ban *longest = NULL;

    for (uint32_t i = 0; i < model->operator_ban_count && client->family != 0; i++) {
        const struct model_operator_ban *ban = &model->operator_bans[i];
        if (ban->until > model->now && model_holds(&ban->block, client) &&
            (!longest || ban->block.bits > longest->block.bits))
            longest = ban;
    }
    return longest;
}

const struct model_operator_ban *model_banned_sender(const struct model *model, const char *sender)
{
    for (const char *name = sender[0] ? model_first_domain(sender) : NULL; name; name = model_next_domain(name))
        for (uint32_t i = 0; i < model->operator_ban_count; i++) {
            const struct model_operator_ban *ban = &model->operator_bans[i];
            if (ban->until > model->now && ban->block.addr.family == 0 && strcmp(ban->name, name) == 0)
                return ban;
        }
    return NULL;
}

/* ---- those of limits ---- */

/* The mode of whoever is counted in the scope of that `limit { }`. It need not be the same for everybody, unless the
 * block says it, or has nothing around it: PLAIN_NONE. */
static int mode_of(const struct plain_limit *limit)
{
    if (limit->set[TERM_MODE])
        return (int)limit->value[TERM_MODE];
    return limit->scope == 0 ? (int)plain_kind(limit->kind)->value[TERM_MODE] : PLAIN_NONE;
}

/* As far as it is the same for everybody whom the limit counts: the shape of its windows (struct plain_frame). */
static void terms_of(const struct model *model, const struct plain_limit *limit, struct model_terms *terms)
{
    struct model_chain chain = {.level_count = 0};

    for (int scope = limit->scope; scope != PLAIN_NONE; scope = model->rules.scopes[scope].parent)
        chain.levels[chain.level_count++] = scope;
    model_terms_of(model, &chain, limit->kind, terms);
}

/* The client of a key, as clients are counted now; false when they are counted otherwise. */
static bool client_of(const struct model *model, const struct model_key *key, struct plain_block *out)
{
    const unsigned bits = key->addr.family == 4 ? model->rules.client_ipv4_bits : model->rules.client_ipv6_bits;
    *out = (struct plain_block){key->addr, bits};
    plain_cut(&out->addr, bits);
    return model_same_addr(&out->addr, &key->addr);
}

static struct prefix prefix_of(const struct plain_block *block)
{
    return (struct prefix){plain_to_addr(&block->addr), (uint8_t)block->bits};
}

/* The limit in force that has begun the ban, or NULL. */
static const struct plain_limit *limit_of(const struct model *model, const struct model_ban *ban)
{
    for (int i = 0; i < model->rules.limit_count; i++) {
        const struct plain_limit *limit = &model->rules.limits[i];
        if (limit->kind == ban->kind && model->scope_names[limit->scope] == ban->scope && mode_of(limit) != MODE_OFF)
            return limit;
    }
    return NULL;
}

static enum action action_of(const struct model *model, const struct model_ban *ban, const struct plain_limit *limit)
{
    const int mode = mode_of(limit);

    if (ban->rank == 0 || mode == MODE_MONITOR)
        return ACTION_MONITOR;
    if (mode == MODE_SCORE || (mode == PLAIN_NONE && ban->rank == 1))
        return ACTION_SCORE;
    return model->rules.monitor ? ACTION_MONITOR : ACTION_REFUSE;
}

size_t model_bans(struct model *model, int64_t now, struct ban_view *out, size_t room)
{
    const int64_t latest = now > model->now ? now : model->now;
    const uint64_t tick = (uint64_t)latest >> 24;
    size_t count = 0;

    for (uint32_t i = 0; i < model->operator_ban_count && count < room; i++) {
        const struct model_operator_ban *ban = &model->operator_bans[i];
        struct ban_view *view = &out[count];
        const bool of_name = ban->block.addr.family == 0;
        if (ban->until <= latest)
            continue;
        memset(view, 0, sizeof *view);
        view->limit = LIMIT_BAN;
        strcpy(view->name, "ban");
        strcpy(view->scope, "service");
        view->per = of_name ? PER_SENDER_DOMAIN : PER_CLIENT;
        view->client = prefix_of(&ban->block);
        snprintf(view->key, sizeof view->key, "%s", ban->name);
        view->action = model->rules.monitor ? ACTION_MONITOR : ACTION_REFUSE;
        view->since_ns = latest - ban->since;
        view->left_ns = ban->until - latest;
        count++;
    }
    for (uint32_t i = 0; i < model->ban_count && count < room; i++) {
        const struct model_ban *ban = &model->bans[i];
        const struct plain_kind *kind = plain_kind(ban->kind);
        struct ban_view *view = &out[count];
        const struct plain_limit *limit = limit_of(model, ban);
        struct plain_block client = {.bits = 0};
        if (ban->until <= tick || !limit || (kind->per == PER_CLIENT && !client_of(model, &ban->key, &client)))
            continue;
        memset(view, 0, sizeof *view);
        view->limit = (enum limit_id)(LIMIT_NUMBERED + model->numbers[ban->kind]);
        snprintf(view->name, sizeof view->name, "%s", kind->name);
        strcpy(view->scope, model->names[ban->scope]);
        view->per = kind->per;
        view->client = prefix_of(&client);
        strcpy(view->key, ban->key.name);
        view->action = action_of(model, ban, limit);
        view->since_ns = (int64_t)((tick - ban->since) << 24);
        view->left_ns = (int64_t)((ban->until - tick) << 24);
        count++;
    }
    return count;
}

size_t model_limit_bans(const struct model *model)
{
    size_t count = 0;
    for (uint32_t i = 0; i < model->ban_count; i++)
        count += model->bans[i].until > model_tick(model);
    return count;
}

/* ---- lifting ---- */

/* One of the blocks lies in the other. */
static bool overlap(const struct plain_block *a, const struct plain_block *b)
{
    return a->bits < b->bits ? model_holds(a, &b->addr) : model_holds(b, &a->addr);
}

static bool is_target(const struct model *model, const struct model_operator_ban *target, enum limit_per per,
                      const struct model_key *key)
{
    struct plain_block client;

    if (!target)
        return true;
    if (target->block.addr.family == 0)
        return per != PER_CLIENT && strcmp(target->name, key->name) == 0;
    return per == PER_CLIENT && client_of(model, key, &client) && overlap(&client, &target->block);
}

static bool ends_in_domain(const char *name, const char *domain)
{
    for (; name; name = model_next_domain(name))
        if (strcmp(name, domain) == 0)
            return true;
    return false;
}

static size_t lift_operators(struct model *model, const struct model_operator_ban *target, int64_t since)
{
    size_t lifted = 0;

    for (uint32_t i = 0; i < model->operator_ban_count; i++) {
        struct model_operator_ban *ban = &model->operator_bans[i];
        const bool of_name = ban->block.addr.family == 0;
        if (ban->until <= model->now || (since > 0 && model->now - ban->since > since))
            continue;
        if (target && of_name != (target->block.addr.family == 0))
            continue;
        if (target && (of_name ? !ends_in_domain(ban->name, target->name)
                               : ban->block.bits < target->block.bits || !overlap(&ban->block, &target->block)))
            continue;
        ban->until = 0;
        lifted++;
    }
    return lifted;
}

static void lift_of_limit(struct model *model, const struct model_operator_ban *target, const struct plain_limit *limit,
                          const struct model_terms *terms, int64_t since, struct unbanned *done)
{
    const int scope = model->scope_names[limit->scope];
    const enum limit_per per = plain_kind(limit->kind)->per;

    for (uint32_t i = 0; i < model->ban_count; i++) {
        struct model_ban *ban = &model->bans[i];
        if (ban->scope != scope || ban->kind != limit->kind || ban->until <= model_tick(model) ||
            (since > 0 && (int64_t)((model_tick(model) - ban->since) << 24) > since) ||
            !is_target(model, target, per, &ban->key))
            continue;
        ban->until = 0;
        done->lifted++;
        for (uint32_t j = 0; j < model->history_count; j++)
            if (model->histories[j].scope == scope && model->histories[j].kind == limit->kind &&
                model_same_key(&model->histories[j].key, &ban->key))
                model_forget(&model->histories[j]);
    }
    for (uint32_t j = 0; target && since == 0 && j < model->history_count; j++)
        if (model->histories[j].scope == scope && model->histories[j].kind == limit->kind &&
            is_target(model, target, per, &model->histories[j].key)) {
            done->forgotten += model_counts_any(model, &model->histories[j], terms);
            model_forget(&model->histories[j]);
        }
}

void model_unban(struct model *model, const struct model_operator_ban *target, const char *limit, int64_t since,
                 int64_t now, struct unbanned *done)
{
    struct model_terms terms;

    advance(model, now);
    if (!limit || strcmp(limit, "ban") == 0)
        done->lifted += lift_operators(model, target, since);
    for (int i = 0; i < model->rules.limit_count; i++) {
        const struct plain_limit *of = &model->rules.limits[i];
        if ((limit && strcmp(limit, plain_kind(of->kind)->name) != 0) || mode_of(of) == MODE_OFF)
            continue;
        terms_of(model, of, &terms);
        lift_of_limit(model, target, of, &terms, since, done);
    }
}
