/*
 * model_history.c: what limits have counted, bans, and the histories of clients.
 *
 * Windows as window.h promises them: a tick is 2^24 ns; a cell is so many ticks that k of them are as long as the
 * window, where k + 1 cells of 1 to 4 bytes are in 10 bytes, and so many rounded up to 9 binary digits; an event counts
 * in its own cell and the k cells after it.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
    uint64_t ticks, whole, most; /* of a cell; cells that an event counts on; what a cell holds */
};

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

static struct shape shape_of(const struct model_terms *terms)
{
    struct shape shape = {.most = 255};
    uint64_t width = 1, length = (uint64_t)terms->value[TERM_WINDOW], tick = UINT64_C(1) << 24, unit = 1;

    for (; (uint64_t)terms->largest > shape.most; width++)
        shape.most = shape.most * 256 + 255;
    shape.whole = 10 / width - 1;
    shape.ticks = divide_up(divide_up(length, tick), shape.whole);
    while (divide_up(shape.ticks, unit) >= 512)
        unit *= 2;
    shape.ticks = divide_up(shape.ticks, unit) * unit;
    return shape;
}

static bool counts(const struct shape *shape, uint64_t then, uint64_t now)
{
    return now / shape->ticks - then / shape->ticks <= shape->whole;
}

static struct model_history *history_of(struct model *model, const struct model_terms *terms,
                                        const struct model_key *key)
{
    const int scope = model->scope_names[terms->scope];

    for (uint32_t i = 0; i < model->history_count; i++) {
        struct model_history *history = &model->histories[i];
        if (history->kind == terms->kind && history->scope == scope && model_same_key(&history->key, key))
            return history;
    }
    model->histories =
        model_room(model->histories, model->history_count, &model->history_room, sizeof *model->histories);
    struct model_history *history = &model->histories[model->history_count++];
    *history = (struct model_history){.scope = scope, .kind = terms->kind, .key = *key};
    return history;
}

/* Drops what has been forgotten by now. */
static void forget(struct model_history *history, const struct shape *shape, uint64_t now)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        if (!counts(shape, history->ticks[i], now))
            continue;
        history->ticks[kept] = history->ticks[i];
        if (history->networks)
            history->networks[kept] = history->networks[i];
        kept++;
    }
    history->count = kept;
}

void model_forget(struct model_history *history)
{
    history->count = 0;
}

bool model_counts_any(const struct model *model, const struct model_history *history, const struct model_terms *terms)
{
    const struct shape shape = shape_of(terms);

    for (uint32_t i = 0; i < history->count; i++)
        if (counts(&shape, history->ticks[i], model_tick(model)))
            return true;
    return false;
}

uint32_t model_counted(struct model *model, const struct model_terms *terms, const struct model_key *key)
{
    struct model_history *history = history_of(model, terms, key);
    const struct shape shape = shape_of(terms);

    forget(history, &shape, model_tick(model));
    return history->count;
}

static void add(struct model_history *history, uint64_t now)
{
    if (history->count == history->room)
        history->ticks = model_room(history->ticks, history->count, &history->room, sizeof *history->ticks);
    history->ticks[history->count++] = now;
}

void model_count_event(struct model *model, const struct model_terms *terms, const struct model_key *key)
{
    struct model_history *history = history_of(model, terms, key);
    const struct shape shape = shape_of(terms);
    const uint64_t now = model_tick(model);
    uint64_t in_cell = 0;

    forget(history, &shape, now);
    for (uint32_t i = 0; i < history->count; i++)
        in_cell += history->ticks[i] / shape.ticks == now / shape.ticks;
    if (in_cell < shape.most)
        add(history, now);
}

bool model_seen(struct model *model, const struct model_terms *terms, const struct model_key *key,
                const struct plain_addr *network)
{
    struct model_history *history = history_of(model, terms, key);
    const struct shape shape = shape_of(terms);

    forget(history, &shape, model_tick(model));
    for (uint32_t i = 0; i < history->count; i++)
        if (model_same_addr(&history->networks[i], network))
            return true;
    return false;
}

void model_see(struct model *model, const struct model_terms *terms, const struct model_key *key,
               const struct plain_addr *network)
{
    const bool known = model_seen(model, terms, key, network);
    struct model_history *history = history_of(model, terms, key);

    model_met.known_networks += known;
    for (uint32_t i = 0; i < history->count && known; i++)
        if (model_same_addr(&history->networks[i], network))
            history->ticks[i] = model_tick(model);
    if (known)
        return;
    uint32_t room = history->room;
    history->networks = model_room(history->networks, history->count, &room, sizeof *history->networks);
    add(history, model_tick(model));
    history->networks[history->count - 1] = *network;
}

/* Limits of one scope that count per the same share a record, unless they are not built in. */
static bool share(int kind, int other)
{
    return kind == other ||
           (kind < LIMITS_BUILTIN && other < LIMITS_BUILTIN && plain_kind(kind)->per == plain_kind(other)->per);
}

struct model_ban *model_ban_of(struct model *model, const struct model_terms *terms, const struct model_key *key)
{
    const int scope = model->scope_names[terms->scope];

    for (uint32_t i = 0; i < model->ban_count; i++) {
        struct model_ban *ban = &model->bans[i];
        if (ban->scope == scope && share(ban->kind, terms->kind) && model_same_key(&ban->key, key))
            return ban;
    }
    model->bans = model_room(model->bans, model->ban_count, &model->ban_room, sizeof *model->bans);
    struct model_ban *ban = &model->bans[model->ban_count++];
    *ban = (struct model_ban){.scope = scope, .kind = terms->kind, .key = *key};
    return ban;
}

/* ---- histories of clients ---- */

static struct model_key client_key(const struct model *model, const struct plain_addr *client)
{
    struct model_key key = {.addr = *client};
    plain_cut(&key.addr, client->family == 4 ? model->rules.client_ipv4_bits : model->rules.client_ipv6_bits);
    return key;
}

/* An eighth of the half-life. */
static uint64_t step_now(const struct model *model)
{
    uint64_t ticks = ((uint64_t)model->rules.half_life / 8) >> 24;
    return model_tick(model) / (ticks > 0 ? ticks : 1);
}

static struct model_reputation *find_reputation(struct model *model, const struct plain_addr *client)
{
    const struct model_key key = client_key(model, client);
    for (uint32_t i = 0; i < model->reputation_count; i++)
        if (model_same_key(&model->reputations[i].key, &key))
            return &model->reputations[i];
    return NULL;
}

/* What a score of `step` is worth now: of every eighth of the half-life 235/256 of it stay. */
static int faded(const struct model *model, const struct model_reputation *reputation)
{
    int score = reputation->score;
    for (uint64_t step = reputation->step; step < step_now(model) && score != 0; step++)
        score = score * 235 / 256;
    return score;
}

enum model_reputed model_reputed(struct model *model, const struct plain_addr *client)
{
    const struct model_reputation *reputation = find_reputation(model, client);
    if (model->rules.half_life == 0 || client->family == 0 || !reputation)
        return REPUTED_NONE;
    int score = faded(model, reputation);
    return score >= 256 ? REPUTED_GOOD : score <= -256 ? REPUTED_BAD : REPUTED_NONE;
}

void model_repute(struct model *model, const struct plain_addr *client, int points)
{
    struct model_reputation *reputation = find_reputation(model, client);

    if (model->rules.half_life == 0 || client->family == 0 || points == 0)
        return;
    if (!reputation) {
        model->reputations = model_room(model->reputations, model->reputation_count, &model->reputation_room,
                                        sizeof *model->reputations);
        reputation = &model->reputations[model->reputation_count++];
        *reputation = (struct model_reputation){.key = client_key(model, client)};
    }
    int score = faded(model, reputation) + points * 256;
    reputation->score = score > 25600 ? 25600 : score < -25600 ? -25600 : score;
    reputation->step = step_now(model);
}
