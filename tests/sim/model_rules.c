/*
 * model_rules.c: where a session stands, and what a limit means there.
 */
#include "model.h"

#include <stdio.h>
#include <string.h>

struct model_met model_met;

static unsigned bit_of(const struct plain_addr *addr, unsigned bit)
{
    return addr->bytes[bit / 8] >> (7 - bit % 8) & 1;
}

bool model_holds(const struct plain_block *block, const struct plain_addr *addr)
{
    if (block->addr.family != addr->family)
        return false;
    for (unsigned bit = 0; bit < block->bits; bit++)
        if (bit_of(&block->addr, bit) != bit_of(addr, bit))
            return false;
    return true;
}

bool model_same_addr(const struct plain_addr *a, const struct plain_addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* The listener that says neither a listen nor a name; the implicit one's number when there is none. */
int model_catch_all(const struct plain_rules *rules)
{
    for (int i = 0; i < rules->count; i++) {
        bool listens = false;
        for (int j = 0; j < rules->count; j++)
            listens = listens || (rules->scopes[j].kind == SCOPE_LISTEN && rules->scopes[j].parent == i);
        if (rules->scopes[i].kind == SCOPE_LISTENER && !rules->scopes[i].daemon_name[0] && !listens)
            return i;
    }
    return rules->count;
}

static void find_listener(const struct plain_rules *rules, const struct plain_facts *facts, int *listener, int *listen)
{
    int best = -1;

    *listener = PLAIN_NONE;
    *listen = PLAIN_NONE;
    for (int i = 0; i < rules->count && facts->daemon_name[0]; i++)
        if (rules->scopes[i].kind == SCOPE_LISTENER && strcmp(rules->scopes[i].daemon_name, facts->daemon_name) == 0)
            *listener = i;
    for (int i = 0; i < rules->count; i++) {
        const struct plain_scope *scope = &rules->scopes[i];
        if (scope->kind != SCOPE_LISTEN)
            continue;
        if (*listener != PLAIN_NONE ? scope->parent != *listener : rules->scopes[scope->parent].daemon_name[0] != '\0')
            continue;
        if (scope->addr.family != 0 && !model_same_addr(&scope->addr, &facts->local))
            continue;
        if (scope->port != 0 && scope->port != facts->port)
            continue;
        int fit = (scope->addr.family != 0 ? 2 : 0) + (scope->port != 0 ? 1 : 0);
        if (fit > best) {
            best = fit;
            *listen = i;
        }
    }
    if (*listener == PLAIN_NONE)
        *listener = *listen != PLAIN_NONE ? rules->scopes[*listen].parent : model_catch_all(rules);
}

/* The length of the longest block of the peer that holds the client, -1 for none. */
static int match_peer(const struct plain_scope *peer, const struct plain_addr *client)
{
    int longest = -1;
    for (int i = 0; i < peer->block_count; i++)
        if ((int)peer->blocks[i].bits > longest && model_holds(&peer->blocks[i], client))
            longest = (int)peer->blocks[i].bits;
    return longest;
}

/* The peers in `parent` that hold the client, the one with the longest prefix first. */
static void add_peers(const struct plain_rules *rules, int parent, const struct plain_addr *client,
                      struct model_chain *chain)
{
    int lengths[MODEL_LEVELS], first = chain->level_count;

    for (int i = 0; i < rules->count; i++) {
        if (rules->scopes[i].kind != SCOPE_PEER || rules->scopes[i].parent != parent)
            continue;
        int bits = match_peer(&rules->scopes[i], client), at = chain->level_count;
        if (bits < 0)
            continue;
        for (; at > first && lengths[at - 1] < bits; at--) {
            chain->levels[at] = chain->levels[at - 1];
            lengths[at] = lengths[at - 1];
        }
        chain->levels[at] = i;
        lengths[at] = bits;
        chain->level_count++;
    }
}

/* The first level from `from` on that gives a setting, PLAIN_NONE for none. */
static int find_giver(const struct plain_rules *rules, const struct model_chain *chain, int from, int to,
                      enum setting setting)
{
    for (int i = from; i < to; i++)
        if (chain->levels[i] < rules->count && rules->scopes[chain->levels[i]].set[setting])
            return chain->levels[i];
    return PLAIN_NONE;
}

static int64_t value_of(const struct plain_rules *rules, const struct model_chain *chain, enum setting setting)
{
    int giver = find_giver(rules, chain, 0, chain->level_count, setting);
    return giver == PLAIN_NONE ? 0 : rules->scopes[giver].value[setting];
}

static void add_scope(struct model_chain *chain, int scope)
{
    if (scope != PLAIN_NONE)
        chain->scopes[chain->count++] = scope;
}

void model_chain_of(const struct plain_rules *rules, const struct plain_facts *facts, struct model_chain *chain)
{
    int listener, listen;

    memset(chain, 0, sizeof *chain);
    find_listener(rules, facts, &listener, &listen);
    chain->listener = listener;
    if (listen != PLAIN_NONE)
        add_peers(rules, listen, &facts->client, chain);
    const int of_listen = chain->level_count;
    add_peers(rules, listener, &facts->client, chain);
    add_scope(chain, find_giver(rules, chain, 0, of_listen, SETTING_LISTENER_SESSIONS));
    add_scope(chain, find_giver(rules, chain, of_listen, chain->level_count, SETTING_LISTENER_SESSIONS));
    if (listen != PLAIN_NONE)
        chain->levels[chain->level_count++] = listen;
    chain->levels[chain->level_count++] = listener;
    add_scope(chain, listen);
    add_scope(chain, listener);

    int taker = find_giver(rules, chain, 0, chain->level_count, SETTING_PATHWAY);
    if (taker != PLAIN_NONE) {
        int pathway = (int)rules->scopes[taker].value[SETTING_PATHWAY], group = rules->scopes[pathway].parent;
        chain->levels[chain->level_count++] = pathway;
        add_scope(chain, pathway);
        if (group != 0) {
            chain->levels[chain->level_count++] = group;
            add_scope(chain, group);
        }
    }
    chain->levels[chain->level_count++] = 0;
    add_scope(chain, 0);

    chain->refuse_at = value_of(rules, chain, SETTING_REFUSE_AT);
    chain->refuse_pending = value_of(rules, chain, SETTING_REFUSE_PENDING);
    chain->delay = value_of(rules, chain, SETTING_DISCONNECT_DELAY);
    chain->idle_time = value_of(rules, chain, SETTING_IDLE_TIME);
    chain->idle_action = value_of(rules, chain, SETTING_IDLE_ACTION);
    chain->score_refuse = value_of(rules, chain, SETTING_SCORE_REFUSE);
    chain->idle_scope = find_giver(rules, chain, 0, chain->level_count, SETTING_IDLE_TIME);
    chain->score_scope = find_giver(rules, chain, 0, chain->level_count, SETTING_SCORE_REFUSE);
}

int64_t model_cap(const struct plain_rules *rules, int scope)
{
    int64_t cap = 0;

    if (scope == 0) { /* the smallest that anybody says */
        for (int i = 0; i < rules->count; i++) {
            const struct plain_scope *other = &rules->scopes[i];
            int64_t value = other->set[SETTING_SERVICE_SESSIONS] ? other->value[SETTING_SERVICE_SESSIONS] : 0;
            if (value != 0 && (cap == 0 || value < cap))
                cap = value;
        }
        return cap;
    }
    if (scope < rules->count && rules->scopes[scope].set[SETTING_LISTENER_SESSIONS])
        return rules->scopes[scope].value[SETTING_LISTENER_SESSIONS];
    bool listener = scope == rules->count || rules->scopes[scope].kind == SCOPE_LISTENER;
    return listener && rules->scopes[0].set[SETTING_LISTENER_SESSIONS]
               ? rules->scopes[0].value[SETTING_LISTENER_SESSIONS]
               : 0;
}

static void add_text(char out[SCOPE_NAME_SIZE], const char *kind, const char *title)
{
    size_t used = strlen(out);
    snprintf(out + used, SCOPE_NAME_SIZE - used, "%s[%s]", kind, title);
}

void model_scope_name(const struct plain_rules *rules, int number, char out[SCOPE_NAME_SIZE])
{
    const struct plain_scope *scope = &rules->scopes[number];
    const char *title = "default";

    out[0] = '\0';
    if (number == 0) {
        strcpy(out, "service");
        return;
    }
    if (number < rules->count && scope->kind != SCOPE_LISTENER) {
        if (scope->kind == SCOPE_LISTEN || scope->kind == SCOPE_PEER)
            model_scope_name(rules, scope->parent, out);
        add_text(out,
                 scope->kind == SCOPE_LISTEN    ? "/listen"
                 : scope->kind == SCOPE_PEER    ? "/peer"
                 : scope->kind == SCOPE_PATHWAY ? "pathway"
                                                : "pathway_group",
                 scope->title);
        return;
    }
    for (int i = rules->count - 1; i >= 0; i--)
        if (rules->scopes[i].kind == SCOPE_LISTEN && rules->scopes[i].parent == number)
            title = rules->scopes[i].title;
    if (number < rules->count && scope->daemon_name[0])
        title = scope->daemon_name;
    add_text(out, "listener", title);
}

/* ---- limits ---- */

bool model_terms_of(const struct model *model, const struct model_chain *chain, int kind, struct model_terms *terms)
{
    const struct plain_rules *rules = &model->rules;
    bool set[LIMIT_TERMS] = {false};

    memset(terms, 0, sizeof *terms);
    terms->kind = kind;
    terms->number = model->numbers[kind];
    memcpy(terms->value, plain_kind(kind)->value, sizeof terms->value);
    for (int level = 0; level < chain->level_count; level++) {
        for (int i = 0; i < rules->limit_count; i++) {
            const struct plain_limit *limit = &rules->limits[i];
            if (limit->kind != kind || limit->scope != chain->levels[level])
                continue;
            terms->blocks[terms->block_count++] = limit;
            for (int term = 0; term < LIMIT_TERMS; term++) {
                if (limit->set[term] && !set[term]) {
                    terms->value[term] = limit->value[term];
                    set[term] = true;
                }
            }
            if (limit->has_reply && !terms->reply)
                terms->reply = &limit->reply;
            if (limit->has_except && !terms->except)
                terms->except = limit;
            for (int key = 0; key < limit->key_count; key++)
                for (int term = 0; term < 4; term++)
                    if (limit->keys[key].set[term] && limit->keys[key].max[term] > terms->largest)
                        terms->largest = limit->keys[key].max[term];
        }
    }
    for (int term = TERM_MAX; term <= TERM_MAX_AUTHENTICATED; term++)
        if (terms->value[term] > terms->largest)
            terms->largest = terms->value[term];
    model_met.off += terms->block_count > 0 && terms->value[TERM_MODE] == MODE_OFF;
    if (terms->block_count == 0 || terms->value[TERM_MODE] == MODE_OFF)
        return false;
    terms->scope = terms->blocks[0]->scope;
    terms->mode = rules->monitor && terms->value[TERM_MODE] == MODE_BLOCK ? MODE_MONITOR
                                                                          : (enum limit_mode)terms->value[TERM_MODE];
    return true;
}

/* Whether a key is that very name. */
static bool is_name(const struct plain_entry *entry, const char *name)
{
    return entry->name && name[0] && strcmp(entry->name, name) == 0;
}

/* The last of the entries that is that name. */
static const struct plain_entry *find_name(const struct plain_entry *entries, int count, const char *name)
{
    for (int i = count - 1; i >= 0; i--)
        if (is_name(&entries[i], name))
            return &entries[i];
    return NULL;
}

/* The domain of an address, or the name itself, and then one parent after the other; NULL after the last. */
const char *model_first_domain(const char *name)
{
    const char *at = strrchr(name, '@');
    return at ? at + 1 : name;
}

const char *model_next_domain(const char *domain)
{
    const char *dot = strchr(domain, '.');
    return dot ? dot + 1 : NULL;
}

static const struct plain_entry *find_domain(const struct plain_entry *entries, int count, const char *name)
{
    for (const char *domain = model_first_domain(name); domain; domain = model_next_domain(domain)) {
        const struct plain_entry *found = find_name(entries, count, domain);
        if (found)
            return found;
    }
    return NULL;
}

/* The longest prefix that holds the client, of equal ones the last. */
static const struct plain_entry *find_prefix(const struct plain_entry *entries, int count,
                                             const struct plain_addr *client)
{
    const struct plain_entry *longest = NULL;
    for (int i = 0; i < count; i++)
        if (!entries[i].name && model_holds(&entries[i].block, client) &&
            (!longest || entries[i].block.bits >= longest->block.bits))
            longest = &entries[i];
    return longest;
}

/* The user, the whole address, the client's prefix, the domain: the first that an entry has. */
static const struct plain_entry *find_entry(const struct plain_entry *entries, int count,
                                            const struct model_subject *subject)
{
    const struct plain_entry *found = find_name(entries, count, subject->user);

    if (!found && strchr(subject->name, '@'))
        found = find_name(entries, count, subject->name);
    if (!found)
        found = find_prefix(entries, count, &subject->client);
    return found ? found : find_domain(entries, count, subject->name);
}

/* By what comes first of: a user, a good history, a bad one; PLAIN_NONE where none of the terms is set. */
static int choose(const bool set[4], const struct model_subject *subject)
{
    const struct {
        int term;
        bool applies;
    } choices[] = {{TERM_MAX_AUTHENTICATED, subject->user[0] != '\0'},
                   {TERM_MAX_GOOD, subject->reputed == REPUTED_GOOD},
                   {TERM_MAX_BAD, subject->reputed == REPUTED_BAD},
                   {TERM_MAX, true}};
    for (size_t i = 0; i < 4; i++)
        if (choices[i].applies && set[choices[i].term])
            return choices[i].term;
    return PLAIN_NONE;
}

int64_t model_max(const struct model_terms *terms, const struct model_subject *subject)
{
    bool set[4];

    if (terms->except && find_entry(terms->except->except, terms->except->except_count, subject)) {
        model_met.excepted++;
        return 0;
    }
    for (int i = 0; i < terms->block_count; i++) {
        const struct plain_limit *block = terms->blocks[i];
        const struct plain_entry *key = find_entry(block->keys, block->key_count, subject);
        int term = key ? choose(key->set, subject) : PLAIN_NONE;
        if (term != PLAIN_NONE) {
            model_met.of_keys[term]++;
            return key->max[term];
        }
        if (key)
            break;
    }
    for (int term = 0; term < 4; term++)
        set[term] = terms->value[term] != TERM_UNSET;
    const int term = choose(set, subject);
    model_met.maxima[term]++;
    return terms->value[term];
}

/* ---- lists ---- */

enum model_listed model_list_client(const struct plain_rules *rules, const struct plain_addr *client, int *bits)
{
    enum model_listed listed = LISTED_NOT;
    int longest = -1;

    for (int list = 0; list < RULES_LISTS; list++) {
        const struct plain_list *entries = &rules->lists[list];
        if (list == LIST_DENY && rules->deny_mode == MODE_OFF)
            continue;
        for (int i = 0; i < entries->block_count; i++) {
            const struct plain_block *block = &entries->blocks[i];
            if (!model_holds(block, client) || (int)block->bits < longest)
                continue;
            if ((int)block->bits > longest || list == LIST_DENY)
                listed = list == LIST_DENY ? LISTED_TO_DENY : LISTED_TO_SPARE;
            longest = (int)block->bits;
        }
    }
    *bits = longest;
    return listed;
}

static bool has_text(const char *const *texts, int count, const char *text)
{
    for (int i = 0; i < count; i++)
        if (strcmp(texts[i], text) == 0)
            return true;
    return false;
}

enum model_listed model_list_names(const struct plain_rules *rules, const char *sender, const char *user,
                                   const char **spared)
{
    const bool off = rules->deny_mode == MODE_OFF;
    const struct plain_list none = {.block_count = 0};
    const struct plain_list *deny = off ? &none : &rules->lists[LIST_DENY], *exempt = &rules->lists[LIST_EXEMPT];
    enum model_listed by_user = LISTED_NOT, by_sender = LISTED_NOT;

    if (user[0]) {
        by_user = has_text(deny->users, deny->user_count, user)       ? LISTED_TO_DENY
                  : has_text(exempt->users, exempt->user_count, user) ? LISTED_TO_SPARE
                  : deny->authenticated                               ? LISTED_TO_DENY
                  : exempt->authenticated                             ? LISTED_TO_SPARE
                                                                      : LISTED_NOT;
    }
    *spared = NULL;
    for (const char *name = sender; name[0] && by_sender == LISTED_NOT;) {
        by_sender = has_text(deny->senders, deny->sender_count, name)       ? LISTED_TO_DENY
                    : has_text(exempt->senders, exempt->sender_count, name) ? LISTED_TO_SPARE
                                                                            : LISTED_NOT;
        *spared = by_sender == LISTED_TO_SPARE ? name : NULL;
        name = name == sender && strchr(name, '@') ? model_first_domain(name) : model_next_domain(name);
        if (!name)
            break;
    }
    if (by_user == LISTED_TO_DENY || by_sender == LISTED_TO_DENY)
        return LISTED_TO_DENY;
    return by_user != LISTED_NOT ? by_user : by_sender;
}

bool model_same_key(const struct model_key *a, const struct model_key *b)
{
    return model_same_addr(&a->addr, &b->addr) && strcmp(a->name, b->name) == 0;
}
