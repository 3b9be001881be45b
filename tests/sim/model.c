/*
 * model.c: the sessions of the naive model, and what is counted of them.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *model_room(void *items, uint32_t count, uint32_t *room, size_t size)
{
    if (items && count < *room)
        return items;
    *room = count < 8 ? 16 : count * 2;
    items = realloc(items, *room * size);
    if (!items) {
        fprintf(stderr, "sim: no memory\n");
        exit(2);
    }
    return items;
}

uint64_t model_tick(const struct model *model)
{
    return (uint64_t)model->now >> 24;
}

struct limit_view *model_view(struct model *model, const char *name)
{
    for (int i = 0; i < model->view_count; i++)
        if (strcmp(model->views[i].name, name) == 0)
            return &model->views[i];
    struct limit_view *view = &model->views[model->view_count++];
    memset(view, 0, sizeof *view);
    snprintf(view->name, sizeof view->name, "%s", name);
    return view;
}

int model_scope_count(const struct model *model)
{
    return model->rules.count + (model_catch_all(&model->rules) == model->rules.count);
}

static int intern(struct model *model, const char *name)
{
    for (int i = 0; i < model->name_count; i++)
        if (strcmp(model->names[i], name) == 0)
            return i;
    if (model->name_count == MODEL_NAMES) {
        fprintf(stderr, "sim: more names of scopes than the model has room for\n");
        exit(2);
    }
    snprintf(model->names[model->name_count], SCOPE_NAME_SIZE, "%s", name);
    return model->name_count++;
}

/* Built-in limits are numbered as they stand in the catalogue, others as they are first heard of; 0: it is not. */
static void number_limits(struct model *model)
{
    const struct plain_rules *rules = &model->rules;
    uint32_t next = LIMITS_BUILTIN;
    bool known[PLAIN_KINDS] = {false};

    memset(model->numbers, 0, sizeof model->numbers);
    model->kind_count = 0;
    for (int i = 0; i < rules->limit_count; i++)
        known[rules->limits[i].kind] = true;
    for (int kind = 0; kind < LIMITS_BUILTIN; kind++) {
        model->numbers[kind] = (uint32_t)kind;
        if (known[kind])
            model->kinds[model->kind_count++] = kind;
    }
    for (int i = 0; i < rules->limit_count; i++) {
        const int kind = rules->limits[i].kind;
        if (kind < LIMITS_BUILTIN || model->numbers[kind] != 0)
            continue;
        model->numbers[kind] = next++;
        model->kinds[model->kind_count++] = kind;
    }
}

static void take_rules(struct model *model, const struct plain_rules *rules)
{
    char name[SCOPE_NAME_SIZE];

    model->rules = *rules;
    number_limits(model);
    for (int i = 0; i < model_scope_count(model); i++) {
        model_scope_name(rules, i, name);
        model->scope_names[i] = intern(model, name);
    }
}

void model_init(struct model *model, const struct plain_rules *rules, uint32_t records, int64_t idle_slack)
{
    memset(model, 0, sizeof *model);
    model->records = records;
    model->idle_slack = idle_slack;
    take_rules(model, rules);
}

void model_free(struct model *model)
{
    for (uint32_t i = 0; i < model->history_count; i++) {
        free(model->histories[i].ticks);
        free(model->histories[i].networks);
    }
    free(model->histories);
    free(model->bans);
    free(model->reputations);
}

struct model_session *model_find(struct model *model, session_id id)
{
    for (int i = 0; i < model->session_count; i++)
        if (model->sessions[i].id == id)
            return &model->sessions[i];
    return NULL;
}

void model_drop(struct model *model, struct model_session *session)
{
    *session = model->sessions[--model->session_count];
}

void model_close(struct model *model, struct model_session *session, int64_t now)
{
    if (now > model->now)
        model->now = now;
    if (session->delivered && !session->erred && !session->refused)
        model_repute(model, &session->facts.client, 1);
    model_drop(model, session);
}

uint32_t model_slots(const struct model *model, int scope, int kind, const struct model_key *key)
{
    uint32_t count = 0;
    for (int i = 0; i < model->session_count; i++) {
        const struct model_session *session = &model->sessions[i];
        count +=
            session->holds[kind] && session->slot_scope[kind] == scope && model_same_key(&session->slot[kind], key);
    }
    return count;
}

void model_release_monitored(const struct model *model, struct model_session *session)
{
    struct model_terms terms;

    session->no_caps = session->no_caps || model->rules.monitor;
    for (int kind = 0; kind < PLAIN_KINDS; kind++)
        if (session->holds[kind] && model_terms_of(model, &session->chain, kind, &terms) && terms.mode == MODE_MONITOR)
            session->holds[kind] = false;
}

/* Whom a limit on sessions counts, by what is known of the session since it was opened. */
static bool slot_key(const struct model *model, const struct model_session *session, enum limit_per per,
                     struct model_key *key)
{
    memset(key, 0, sizeof *key);
    if (per == PER_CLIENT) {
        key->addr = session->facts.client;
        plain_cut(&key->addr, key->addr.family == 4 ? model->rules.client_ipv4_bits : model->rules.client_ipv6_bits);
        return key->addr.family != 0;
    }
    snprintf(key->name, sizeof key->name, "%s", per == PER_USER ? session->user : session->domain);
    return key->name[0] != '\0';
}

/* The session holds what it would if it had come in under the rules in force; that it was over stays true. */
static void derive(const struct model *model, struct model_session *session)
{
    struct model_terms terms;

    model_chain_of(&model->rules, &session->facts, &session->chain);
    session->no_caps = model_remembered(session) || (session->over && model->rules.monitor);
    memset(session->holds, 0, sizeof session->holds);
    for (int i = 0; i < model->kind_count && !session->pending && !model_remembered(session); i++) {
        const int kind = model->kinds[i];
        if (plain_kind(kind)->count != COUNT_SESSIONS || !model_terms_of(model, &session->chain, kind, &terms) ||
            (session->over && terms.mode == MODE_MONITOR))
            continue;
        session->holds[kind] = slot_key(model, session, plain_kind(kind)->per, &session->slot[kind]);
        session->slot_scope[kind] = terms.scope;
    }
}

/* What a limit has done is forgotten with its name. */
static void drop_views(struct model *model)
{
    for (int i = 0; i < model->view_count;) {
        bool known = false;
        for (int kind = LIMITS_BUILTIN; kind < PLAIN_KINDS && !known; kind++)
            known = model->numbers[kind] == 0 && strcmp(plain_kind(kind)->name, model->views[i].name) == 0;
        if (known)
            model->views[i] = model->views[--model->view_count];
        else
            i++;
    }
}

void model_reload(struct model *model, const struct plain_rules *rules)
{
    take_rules(model, rules);
    drop_views(model);
    if (!rules->monitor)
        model_dry_run_over(model);
    for (int i = 0; i < model->session_count; i++) {
        struct model_session *session = &model->sessions[i];
        for (int kind = LIMITS_BUILTIN; kind < PLAIN_KINDS; kind++)
            session->scored[kind] = session->scored[kind] && model->numbers[kind] != 0;
        derive(model, session);
    }
}

static bool has_slot_before(const struct model *model, int sessions, int kind, const struct model_session *of)
{
    for (int i = 0; i < sessions; i++) {
        const struct model_session *session = &model->sessions[i];
        if (session->holds[kind] && session->slot_scope[kind] == of->slot_scope[kind] &&
            model_same_key(&session->slot[kind], &of->slot[kind]))
            return true;
    }
    return false;
}

void model_count(const struct model *model, struct model_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    for (int i = 0; i < model->session_count; i++) {
        const struct model_session *session = &model->sessions[i];
        if (session->pending) {
            counts->pending[session->chain.listener]++;
            counts->all_pending++;
            continue;
        }
        for (int j = 0; j < session->chain.count && !session->no_caps; j++)
            counts->count[session->chain.scopes[j]]++;
        for (int j = 0; j < model->kind_count; j++) {
            const int kind = model->kinds[j];
            counts->keys += session->holds[kind] && !has_slot_before(model, i, kind, session);
        }
    }
}
