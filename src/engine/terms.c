/*
 * terms.c: limits as a session meets them.
 */
#include "terms.h"

#include "scope.h"

#include <string.h>

uint64_t rules_limits_at(const struct rules *rules, enum event_kind event)
{
    return rules->at_event[event];
}

/* The terms of a limit that nobody gives. */
static const int64_t *defaults_of(limit_number limit)
{
    return limit < LIMITS_BUILTIN ? limit_builtins[limit].value : limit_custom_defaults;
}

bool rules_terms(const struct rules *rules, const uint32_t *levels, unsigned level_count, limit_number limit,
                 struct terms *out)
{
    const struct limit_kind *kind = &rules->limits[limit];
    uint32_t missing = (1u << LIMIT_TERMS) - 1;

    memcpy(out->value, defaults_of(limit), sizeof out->value);
    out->block_count = 0;
    out->reply = NULL;
    out->except = NULL;
    out->largest = 0;
    for (unsigned i = 0; i < level_count; i++) {
        const struct settings *settings = level_settings(rules, levels[i]);
        if (!(settings->limited >> limit & 1))
            continue;
        const struct limit_block *block = &rules->blocks[settings->blocks[limit]];
        out->blocks[out->block_count++] = block;
        for (uint32_t news = block->set & missing; news != 0; news &= news - 1) {
            unsigned term = (unsigned)__builtin_ctz(news);
            out->value[term] = block->value[term];
        }
        missing &= ~block->set;
        if (!out->reply)
            out->reply = block->reply;
        if (!out->except)
            out->except = block->except;
        for (const struct limit_block *keys = block; keys;
             keys = keys->wider != RULES_NO_BLOCK ? &rules->blocks[keys->wider] : NULL)
            if (keys->keys && keys->keys->largest > out->largest)
                out->largest = keys->keys->largest;
    }
    if (out->block_count == 0)
        return false;
    for (unsigned term = TERM_MAX; term <= TERM_MAX_AUTHENTICATED; term++)
        if (out->value[term] > out->largest)
            out->largest = (uint32_t)out->value[term];
    out->number = limit;
    out->count = kind->count;
    out->per = kind->per;
    out->slot = kind->slot;
    out->mode = (enum limit_mode)out->value[TERM_MODE];
    if (rules->monitor && out->mode == MODE_BLOCK)
        out->mode = MODE_MONITOR;
    out->scope = out->blocks[0]->scope;
    out->group = out->blocks[0]->group;
    return out->mode != MODE_OFF;
}

/* What the set says of the subject; NULL when nothing. */
static const struct keyed_maxima *keyset_find(const struct keyset *set, const struct terms_subject *subject)
{
    uint32_t found = NAMESET_NONE;

    char user[USER_KEY_SIZE];
    if (subject->user && subject->user[0])
        found = nameset_exact(set->names, user_key(subject->user, user));
    if (found == NAMESET_NONE && subject->name && strchr(subject->name, '@'))
        found = nameset_exact(set->names, subject->name);
    if (found == NAMESET_NONE) {
        uint32_t client = lpm_lookup(set->clients, &subject->client);
        found = client == LPM_NONE ? NAMESET_NONE : client;
    }
    if (found == NAMESET_NONE && subject->name && subject->name[0])
        found = nameset_address(set->names, subject->name);
    return found == NAMESET_NONE ? NULL : &set->keys[found];
}

static const struct keyed_maxima *find_key(const struct rules *rules, const struct terms *terms,
                                           const struct terms_subject *subject, scope_id *scope)
{
    for (unsigned i = 0; i < terms->block_count; i++) {
        for (const struct limit_block *block = terms->blocks[i]; block;
             block = block->wider != RULES_NO_BLOCK ? &rules->blocks[block->wider] : NULL) {
            const struct keyed_maxima *found = block->keys ? keyset_find(block->keys, subject) : NULL;
            if (found) {
                *scope = block->keys->scope;
                return found;
            }
        }
    }
    return NULL;
}

struct said terms_said(const struct terms *terms, enum limit_term term)
{
    for (unsigned i = 0; i < terms->block_count; i++)
        if (terms->blocks[i]->set >> term & 1)
            return terms->blocks[i]->said[term];
    return (struct said){RULES_SERVICE, 0};
}

uint32_t terms_max_said(const struct rules *rules, const struct terms *terms, const struct terms_subject *subject,
                        struct max_said *said)
{
    const struct keyed_maxima *except = terms->except ? keyset_find(terms->except, subject) : NULL;

    *said = (struct max_said){.source = MAX_OF_LIMIT, .term = TERM_MAX};
    if (except) {
        *said = (struct max_said){MAX_OF_EXCEPT, TERM_MAX, {terms->except->scope, except->line}};
        return 0;
    }
    scope_id scope = RULES_SERVICE;
    const struct keyed_maxima *key = find_key(rules, terms, subject, &scope);
    const struct {
        enum limit_term term;
        bool applies;
    } choices[] = {
        {TERM_MAX_AUTHENTICATED, subject->user && subject->user[0]},
        {TERM_MAX_GOOD, subject->reputation == REPUTATION_GOOD},
        {TERM_MAX_BAD, subject->reputation == REPUTATION_BAD},
        {TERM_MAX, true},
    };
    /* What a key says comes before all that the limit says of everybody. */
    for (size_t i = 0; i < sizeof choices / sizeof *choices && key; i++) {
        if (!choices[i].applies || !(key->maxima.set >> choices[i].term & 1))
            continue;
        *said = (struct max_said){MAX_OF_KEY, choices[i].term, {scope, key->line}};
        return key->maxima.max[choices[i].term];
    }
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (!choices[i].applies || terms->value[choices[i].term] == TERM_UNSET)
            continue;
        said->term = choices[i].term;
        return (uint32_t)terms->value[choices[i].term];
    }
    return 0;
}

uint32_t terms_max(const struct rules *rules, const struct terms *terms, const struct terms_subject *subject)
{
    struct max_said said;
    return terms_max_said(rules, terms, subject, &said);
}

unsigned rules_session_limits(const struct rules *rules)
{
    return rules->session_limits;
}

int rules_session_index(const struct rules *rules, limit_number limit)
{
    return rules->limits[limit].session_index;
}

uint32_t rules_limit_count(const struct rules *rules)
{
    return rules->limit_count;
}

const char *rules_limit_name(const struct rules *rules, limit_number limit)
{
    return rules->limits[limit].name;
}

bool rules_block_mode(const struct rules *rules, limit_block_id block, enum limit_mode *mode)
{
    const struct limit_block *of = &rules->blocks[block];
    const bool said = of->set >> TERM_MODE & 1;

    *mode = (enum limit_mode)(said ? of->value[TERM_MODE] : defaults_of(of->limit)[TERM_MODE]);
    return said || of->scope == RULES_SERVICE;
}

const struct group_block *rules_group_from(const struct rules *rules, uint64_t group, size_t *count)
{
    size_t first = 0, end = rules->own_blocks;

    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (rules->groups[middle].group < group)
            first = middle + 1;
        else
            end = middle;
    }
    for (*count = 0;
         first + *count < rules->own_blocks && rules->groups[first + *count].group == rules->groups[first].group;)
        ++*count;
    return &rules->groups[first];
}

static enum list_answer answer_of(uint32_t value)
{
    if (value == LPM_NONE) /* and NAMESET_NONE */
        return LISTED_NOWHERE;
    return list_of_value(value) == LIST_DENY ? LISTED_DENY : LISTED_EXEMPT;
}

struct listed rules_listed_client(const struct rules *rules, const struct addr *client)
{
    uint32_t value = lpm_lookup(rules->lists.clients, client);
    return (struct listed){.answer = answer_of(value), .line = line_of_value(value), .bits = bits_of_value(value)};
}

static struct listed list_user(const struct lists *lists, const char *user)
{
    uint32_t value = user && user[0] ? nameset_exact(lists->users, user) : NAMESET_NONE;
    struct listed listed = {.answer = answer_of(value), .line = line_of_value(value), .name = user};

    for (unsigned list = 0; list < RULES_LISTS && listed.answer == LISTED_NOWHERE && user && user[0]; list++)
        if (lists->authenticated[list])
            listed = (struct listed){.answer = list == LIST_DENY ? LISTED_DENY : LISTED_EXEMPT,
                                     .line = lists->authenticated_line[list]};
    return listed;
}

static struct listed list_sender(const struct lists *lists, const char *sender)
{
    const char *entry = NULL;
    uint32_t value = sender && sender[0] ? nameset_match(lists->senders, sender, &entry) : NAMESET_NONE;

    return (struct listed){.answer = answer_of(value), .line = line_of_value(value), .name = entry};
}

struct listed rules_listed_names(const struct rules *rules, const char *sender, const char *user)
{
    const struct listed by_user = list_user(&rules->lists, user), by_sender = list_sender(&rules->lists, sender);
    const bool user_decides =
        by_user.answer == LISTED_DENY || (by_user.answer == LISTED_EXEMPT && by_sender.answer != LISTED_DENY);
    struct listed listed = user_decides ? by_user : by_sender;

    listed.spared = by_sender.answer == LISTED_EXEMPT ? by_sender.name : NULL;
    return listed;
}

enum limit_mode rules_deny_mode(const struct rules *rules)
{
    enum limit_mode mode = rules->lists.deny_mode;
    return rules->monitor && mode == MODE_BLOCK ? MODE_MONITOR : mode;
}

uint32_t rules_deny_points(const struct rules *rules)
{
    return rules->lists.deny_points;
}

bool rules_monitor(const struct rules *rules)
{
    return rules->monitor;
}

uint32_t rules_reputation_steps(const struct rules *rules)
{
    return rules->reputation_steps;
}

uint64_t rules_reputation_group(const struct rules *rules)
{
    return rules->reputation_group;
}

static bool setting_anywhere(const struct rules *rules, enum setting setting)
{
    for (scope_id i = 0; i < rules->scope_count; i++)
        if (rules->scopes[i].settings.set >> setting & 1 && rules->scopes[i].settings.value[setting] > 0)
            return true;
    return false;
}

/* Of one limit, whatever its chain turns out to be: what a block says in `mode` may be what holds. */
static void add_needs(const struct rules *rules, const struct limit_block *block, bool score_refuses,
                      struct rules_needs *needs)
{
    const struct limit_kind *kind = &rules->limits[block->limit];
    unsigned events = limit_events(kind->count, kind->per);
    bool given = block->set >> TERM_MODE & 1;
    enum limit_mode mode = given ? (enum limit_mode)block->value[TERM_MODE] : MODE_BLOCK;

    if (mode == MODE_OFF)
        return;
    if (limit_can_ban(kind->per))
        events |= limit_ban_events(kind->per);
    needs->helo = needs->helo || events >> EVENT_HELO & 1 || kind->per == PER_HELO;
    needs->mail = needs->mail || events >> EVENT_MAIL & 1 || kind->per == PER_USER || kind->per == PER_SENDER ||
                  kind->per == PER_SENDER_DOMAIN || kind->per == PER_MESSAGE;
    /* Who authenticated is said at MAIL. */
    if ((block->set >> TERM_MAX_AUTHENTICATED & 1 || block->keys || block->except) &&
        events & (1u << EVENT_RCPT | 1u << EVENT_UNKNOWN))
        needs->mail = true;
    needs->rcpt = needs->rcpt || events >> EVENT_RCPT & 1;
    needs->unknown = needs->unknown || events >> EVENT_UNKNOWN & 1;
    needs->rejected =
        needs->rejected || kind->count == COUNT_ERRORS || (kind->count == COUNT_RECIPIENTS && kind->per != PER_MESSAGE);
    needs->message = needs->message || mode == MODE_SCORE || (kind->count == COUNT_ERRORS && kind->per == PER_SESSION);
    needs->speech = needs->speech || mode == MODE_BLOCK || (mode == MODE_SCORE && score_refuses);
}

struct rules_needs rules_needs(const struct rules *rules, bool bans)
{
    const struct lists *lists = &rules->lists;
    struct rules_needs needs = {.helo = false};
    bool score_refuses = setting_anywhere(rules, SETTING_SCORE_REFUSE);
    bool idle = setting_anywhere(rules, SETTING_IDLE_TIME);
    bool names = nameset_count(lists->senders) > 0 || nameset_count(lists->users) > 0 ||
                 lists->authenticated[LIST_DENY] || lists->authenticated[LIST_EXEMPT];
    bool denies = lists->deny_mode != MODE_OFF && rules->has_deny;

    for (uint32_t i = 0; i < rules->block_count; i++)
        add_needs(rules, &rules->blocks[i], score_refuses, &needs);
    needs.mail = needs.mail || names || bans;
    needs.message = needs.message || (denies && lists->deny_mode == MODE_SCORE);
    if (rules->half_life_ns > 0) /* every error counts in the client's history */
        needs.rcpt = needs.rejected = needs.unknown = needs.message = true;
    needs.speech = needs.speech || bans || idle || setting_anywhere(rules, SETTING_LISTENER_SESSIONS) ||
                   setting_anywhere(rules, SETTING_SERVICE_SESSIONS) ||
                   (denies && (lists->deny_mode == MODE_BLOCK || (lists->deny_mode == MODE_SCORE && score_refuses)));
    needs.speech = needs.speech && !rules->monitor;
    /* A refusal that waits must be told by whatever the client says first; what it says shows that it is not idle. */
    if (needs.speech)
        needs.helo = needs.mail = needs.unknown = true;
    if (idle) /* and the end of a message that its transfer is over */
        needs.helo = needs.mail = needs.rcpt = needs.unknown = needs.message = true;
    needs.data = idle || (needs.speech && needs.rejected);
    needs.rcpt = needs.rcpt || needs.data;
    /* Without DATA no filter on libmilter hears the end of a message after an unknown command. */
    needs.data = needs.data || (needs.message && needs.unknown);
    needs.mail = needs.mail || needs.rcpt; /* who the sender and the user are is only said there */
    return needs;
}
