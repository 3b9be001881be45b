/*
 * judge.c: one event against every limit that it may concern.
 *
 * First all limits are looked at, and the first that refuses ends it; what is admitted is counted only then, so a
 * refused event has left no trace but a ban. What is only monitored is left out of the counting where the event, or an
 * earlier one of the session, was over in something monitored: refused, it would not have been there.
 */
#include "state.h"

#include "hash.h"
#include "reply.h"
#include "scope.h"

#include <string.h>

/* The ban byte of a record: whose limit began it, and whether it is only monitored. */
#define BAN_MONITORED 0x80
#define BAN_SLOT(slot) ((uint8_t)(1 + (slot)))

/* Tells the records of networks from those of the names that come from them. */
#define NETWORK_GROUP UINT64_C(0x5aa5c33c0ff0)

void verdict_begin(struct verdict *verdict)
{
    verdict->kind = VERDICT_CONTINUE;
    verdict->speak_at = REFUSE_AT_HELO;
    verdict->delay_ns = 0;
    verdict->finding_count = 0;
    verdict->findings[0].limit = LIMIT_NONE;
}

/* ---- records ---- */

static void key_of_addr(const struct addr *addr, uint32_t key[4])
{
    key[0] = (uint32_t)(addr->hi >> 32);
    key[1] = (uint32_t)addr->hi;
    key[2] = (uint32_t)(addr->lo >> 32);
    key[3] = (uint32_t)addr->lo;
}

void key_of_name(const struct engine *engine, const char *name, uint32_t key[4])
{
    const uint64_t other[2] = {~engine->seed[0], engine->seed[1]};
    size_t length = strlen(name);
    const uint64_t low = hash_bytes(engine->seed, name, length), high = hash_bytes(other, name, length) | 1;

    memcpy(&key[0], &low, sizeof low);
    memcpy(&key[2], &high, sizeof high);
}

void record_touch(struct record *record, uint64_t tick)
{
    uint64_t last = tick - table_age(record, tick);
    for (unsigned i = 0; i < RECORD_WINDOWS; i++)
        window_advance(&record->windows[i], last, tick);
    record->last = (uint32_t)tick;
}

bool record_dead(void *context, const struct record *record, uint64_t tick)
{
    const struct engine *engine = context;
    uint32_t steps = rules_reputation_steps(tally_rules(engine->current));
    struct record copy = *record;

    record_touch(&copy, tick);
    for (unsigned i = 0; i < RECORD_WINDOWS; i++)
        if (window_count(&copy.windows[i]) > 0)
            return false;
    if (steps == 0)
        return true;
    reputation_decay(&copy, steps, tick);
    return copy.reputation == 0;
}

static struct record *record_find(const struct judging *judging, uint64_t group, const uint32_t key[4])
{
    uint32_t index = table_find(judging->engine->table, group, key);
    return index == TABLE_NONE ? NULL : table_record(judging->engine->table, index);
}

static uint32_t record_obtain(struct engine *engine, uint64_t group, const uint32_t key[4], uint64_t tick)
{
    return table_obtain(engine->table, group, key, tick, record_dead, engine);
}

void client_history(struct engine *engine, const struct rules *rules, const struct addr *client, uint64_t tick,
                    int points)
{
    uint32_t steps = rules_reputation_steps(rules), key[4];
    struct prefix counted = rules_client(rules, client);

    if (steps == 0 || client->family == ADDR_NONE)
        return;
    key_of_addr(&counted.addr, key);
    uint32_t index = record_obtain(engine, rules_reputation_group(rules) ^ client->family, key, tick);
    if (index == TABLE_NONE)
        return;
    record_touch(table_record(engine->table, index), tick);
    reputation_add(table_record(engine->table, index), steps, tick, points);
}

/* ---- whose counts ---- */

static const char *domain_of(const char *address)
{
    const char *at = address ? strrchr(address, '@') : NULL;
    return at ? at + 1 : NULL;
}

/* The name that a limit counts per, NULL when the event has none. */
static const char *name_of(const struct judging *judging, enum limit_per per)
{
    const struct event *event = judging->event;
    const char *name = NULL;

    switch (per) {
    case PER_CLIENT_DOMAIN:
        name = event->client_domain;
        break;
    case PER_HELO:
        return event->helo; /* an empty one is a name like any other */
    case PER_SENDER:
        name = event->sender;
        break;
    case PER_SENDER_DOMAIN:
        name = domain_of(event->sender);
        break;
    case PER_RECIPIENT:
        name = event->recipient;
        break;
    case PER_RECIPIENT_DOMAIN:
        name = domain_of(event->recipient);
        break;
    case PER_USER:
        name = event->user;
        break;
    case PER_SESSION:
    case PER_MESSAGE:
    case PER_CLIENT:
    case PER_KINDS:
        break;
    }
    return name && name[0] ? name : NULL;
}

static const char *client_host(const struct event *event)
{
    return event->client_host && event->client_host[0] ? event->client_host : event->client_domain;
}

/* The name that a limit's keys and exceptions are compared with. */
static const char *subject_name(const struct judging *judging, enum limit_per per)
{
    switch (per) {
    case PER_HELO:
        return judging->event->helo;
    case PER_SENDER:
    case PER_SENDER_DOMAIN:
        return judging->event->sender;
    case PER_RECIPIENT:
    case PER_RECIPIENT_DOMAIN:
        return judging->event->recipient;
    case PER_USER:
        return NULL;
    default:
        return client_host(judging->event);
    }
}

/* Group and key of the limit's records; false when there is nobody to count. */
static bool counted_key(const struct judging *judging, const struct terms *terms, uint64_t *group, uint32_t key[4])
{
    *group = terms->group;
    if (terms->per == PER_SESSION || terms->per == PER_MESSAGE)
        return true;
    if (terms->per == PER_CLIENT) {
        *group ^= judging->client.family;
        memcpy(key, judging->client_key, sizeof judging->client_key);
        return judging->client.family != ADDR_NONE;
    }
    const char *name = name_of(judging, terms->per);
    if (name)
        key_of_name(judging->engine, name, key);
    return name != NULL;
}

static void network_key(const struct judging *judging, const struct terms *terms, const uint32_t name[4],
                        uint32_t key[4])
{
    bool ipv4 = judging->client.family == ADDR_IPV4;
    struct addr network =
        addr_cut(&judging->client, (unsigned)terms->value[ipv4 ? TERM_IPV4_PREFIX : TERM_IPV6_PREFIX]);
    const uint64_t other[2] = {~judging->engine->seed[0], judging->engine->seed[1]};
    uint64_t words[] = {0, 0, network.hi, network.lo, network.family};

    memcpy(words, name, 2 * sizeof *words);
    const uint64_t low = hash_bytes(judging->engine->seed, words, sizeof words),
                   high = hash_bytes(other, words, sizeof words);
    memcpy(&key[0], &low, sizeof low);
    memcpy(&key[2], &high, sizeof high);
}

/* ---- findings ---- */

static int64_t ticks_to_ns(uint64_t ticks)
{
    return (int64_t)(ticks << TICK_BITS);
}

static struct finding *add_finding(struct judging *judging, enum limit_id limit, const char *name, enum action action,
                                   scope_id scope)
{
    struct verdict *verdict = judging->verdict;
    unsigned place = verdict->finding_count;

    judging->engine->totals[limit].actions[action]++;
    /* The last place is the refusal's: whatever else there is, that is told. */
    if (place == FINDINGS_MAX || (place == FINDINGS_MAX - 1 && action != ACTION_REFUSE))
        return NULL;
    verdict->finding_count++;
    struct finding *finding = &verdict->findings[place];
    finding->limit = limit;
    strcpy(finding->name, name);
    finding->action = action;
    rules_scope_name(judging->rules, scope, finding->scope);
    finding->client = (struct prefix){judging->client, (uint8_t)addr_width(&judging->client)};
    finding->key[0] = '\0';
    finding->count = finding->max = finding->points = 0;
    finding->banned = finding->ban_began = false;
    finding->ban_left_ns = 0;
    return finding;
}

static void note_crossing(struct judging *judging, struct finding *finding, bool per_client)
{
    finding->crossing =
        crossings_found(judging->engine->crossings, finding, per_client, &judging->client, judging->now);
}

static void refuse(struct judging *judging, const struct reply *form, const struct finding *finding, int64_t delay_ns)
{
    judging->verdict->kind = VERDICT_REFUSE;
    judging->verdict->delay_ns = delay_ns;
    reply_render(form, finding, &judging->verdict->reply);
}

void judge_found(struct judging *judging, enum limit_id limit, enum action action, scope_id scope, uint32_t count,
                 uint32_t max, uint32_t points)
{
    struct finding *finding = add_finding(judging, limit, limit_name(limit), action, scope);
    if (!finding)
        return;
    finding->count = count;
    finding->max = max;
    finding->points = points;
    note_crossing(judging, finding, false);
    if (action == ACTION_REFUSE)
        refuse(judging, reply_of_limit(limit), finding, judging->disconnect_delay_ns);
}

/* ---- judging ---- */

void judge_begin(struct judging *judging)
{
    struct prefix client = rules_client(judging->rules, &judging->client);
    uint32_t steps = rules_reputation_steps(judging->rules);

    verdict_begin(judging->verdict);
    judging->taking_count = 0;
    judging->over_now = judging->client_blamed = false;
    judging->reputation = REPUTATION_NONE;
    key_of_addr(&client.addr, judging->client_key);
    if (steps == 0 || judging->client.family == ADDR_NONE)
        return;
    const struct record *record =
        record_find(judging, rules_reputation_group(judging->rules) ^ judging->client.family, judging->client_key);
    if (record)
        judging->reputation = reputation_of(record, steps, judging->tick);
}

/* The session would have been ended here. */
static void would_end(struct judging *judging)
{
    judging->over = judging->over_now = true;
}

bool judge_lists(struct judging *judging, bool *spared)
{
    const struct event *event = judging->event;
    enum list_answer answer = event->kind == EVENT_CONNECT
                                  ? rules_list_client(judging->rules, &judging->client)
                                  : rules_list_names(judging->rules, event->sender, event->user);

    *spared = answer == LISTED_EXEMPT;
    if (answer != LISTED_DENY)
        return true;
    switch (rules_deny_mode(judging->rules)) {
    case MODE_BLOCK:
        judge_found(judging, LIMIT_DENY, ACTION_REFUSE, RULES_SERVICE, 0, 0, 0);
        return false;
    case MODE_MONITOR:
        if (!judging->over)
            judge_found(judging, LIMIT_DENY, ACTION_MONITOR, RULES_SERVICE, 0, 0, 0);
        would_end(judging);
        break;
    case MODE_SCORE:
        if (!(judging->scored >> SCORED_DENY & 1))
            judge_found(judging, LIMIT_DENY, ACTION_SCORE, RULES_SERVICE, 0, 0, rules_deny_points(judging->rules));
        judging->scored |= UINT64_C(1) << SCORED_DENY;
        break;
    case MODE_OFF:
        break;
    }
    return true;
}

/* Whether the limit counts this very event. */
static bool counts_event(const struct judging *judging, const struct terms *terms)
{
    const struct event *event = judging->event;

    if (!(limit_events(terms->count, terms->per) >> event->kind & 1))
        return false;
    if (terms->count == COUNT_BOUNCES && !(event->sender && event->sender[0] == '\0'))
        return false;
    if (event->kind != EVENT_RCPT)
        return true;
    if (terms->count == COUNT_ERRORS)
        return event->rejected;
    return !event->rejected || (terms->count == COUNT_RECIPIENTS && terms->per != PER_MESSAGE);
}

/* What the limit has counted so far. */
static uint32_t count_now(const struct judging *judging, const struct terms *terms, struct taking *taking,
                          struct record *record)
{
    const struct session *session = judging->session;

    if (terms->count == COUNT_SESSIONS) {
        const struct slot_key key = {taking->group, {taking->key[0], taking->key[1], taking->key[2], taking->key[3]}};
        return tally_slot_count(judging->engine->current, &key);
    }
    if (terms->per == PER_MESSAGE)
        return session->message_recipients;
    if (terms->per == PER_SESSION)
        return terms->count == COUNT_MESSAGES           ? session->messages
               : terms->count == COUNT_BOUNCES          ? session->bounces
               : terms->count == COUNT_RECIPIENTS       ? session->recipients
               : terms->count == COUNT_UNKNOWN_COMMANDS ? session->unknown_commands
                                                        : session->errors;
    if (!record)
        return 0;
    window_open(&record->windows[terms->slot], taking->shape, judging->tick);
    return window_count(&record->windows[terms->slot]);
}

/* True when the network that the client comes from is in the count of the name. Its record is left alone: `last` is
 * when it was seen, and its one window holds that one sight. */
static bool network_known(const struct judging *judging, const struct taking *taking)
{
    const struct record *record = record_find(judging, taking->group ^ NETWORK_GROUP, taking->network);
    if (!record)
        return false;
    struct window window = record->windows[0];
    window_advance(&window, judging->tick - table_age(record, judging->tick), judging->tick);
    window_open(&window, taking->shape, judging->tick);
    return window_count(&window) > 0;
}

/* True while the record is banned by that limit, as far as the limit's mode can see. */
static bool banned_by(const struct record *record, const struct terms *terms, uint64_t tick)
{
    if (!record || !table_banned(record, tick) || (record->ban & ~BAN_MONITORED) != BAN_SLOT(terms->slot))
        return false;
    return terms->mode == MODE_MONITOR || !(record->ban & BAN_MONITORED);
}

/* The crossing begins a ban of the key, unless a ban that counts for more is in force. */
static bool begin_ban(struct judging *judging, const struct terms *terms, const struct taking *taking)
{
    bool monitored = terms->mode == MODE_MONITOR;
    uint64_t until = judging->tick + ((uint64_t)terms->value[TERM_BAN] >> TICK_BITS) + 1;
    uint32_t index = record_obtain(judging->engine, taking->group, taking->key, judging->tick);

    if (index == TABLE_NONE)
        return false;
    struct record *record = table_record(judging->engine->table, index);
    record_touch(record, judging->tick);
    if (table_banned(record, judging->tick)) {
        bool real = !(record->ban & BAN_MONITORED);
        if (real && (monitored || (int32_t)((uint32_t)until - record->ban_until) <= 0))
            return false;
        if (!real && monitored && (int32_t)((uint32_t)until - record->ban_until) <= 0)
            return false;
    }
    record->ban = (uint8_t)(BAN_SLOT(terms->slot) | (monitored ? BAN_MONITORED : 0));
    record->ban_until = (uint32_t)until;
    if (!monitored) {
        judging->engine->totals[LIMIT_NUMBERED + terms->number].bans++;
        if (terms->per == PER_CLIENT)
            client_history(judging->engine, judging->rules, &judging->client, judging->tick, POINTS_BAN);
    }
    return true;
}

static bool answers_452(const struct judging *judging, const struct terms *terms)
{
    return judging->event->kind == EVENT_RCPT && terms->count != COUNT_ERRORS;
}

/* The event is over the limit. False when that refuses it. */
static bool judge_over(struct judging *judging, const struct terms *terms, const struct taking *taking, uint32_t count,
                       uint32_t max, bool banned, const struct record *record)
{
    static const enum action actions[] = {
        [MODE_BLOCK] = ACTION_REFUSE, [MODE_MONITOR] = ACTION_MONITOR, [MODE_SCORE] = ACTION_SCORE};
    enum action action = actions[terms->mode];
    const struct reply *form = terms->reply ? terms->reply
                                            : reply_of_count(terms->count, answers_452(judging, terms),
                                                             terms->per == PER_SESSION || terms->per == PER_MESSAGE);
    bool began = false, per_client = terms->per == PER_CLIENT;
    uint32_t ban_until = banned ? record->ban_until : 0;

    if (!banned && terms->value[TERM_BAN] > 0 && limit_can_ban(terms->per)) {
        began = begin_ban(judging, terms, taking);
        if (began)
            ban_until = (uint32_t)(judging->tick + ((uint64_t)terms->value[TERM_BAN] >> TICK_BITS) + 1);
    }
    if (action == ACTION_SCORE) {
        if (judging->scored >> terms->number & 1)
            return true;
        judging->scored |= UINT64_C(1) << terms->number;
    }
    if (action == ACTION_MONITOR) {
        judging->over_now = true;
        if (form->code[0] == '5' || strcmp(form->code, "421") == 0 || judging->event->kind == EVENT_CONNECT)
            would_end(judging);
    }
    if (action == ACTION_REFUSE)
        judging->client_blamed = terms->per == PER_SESSION || terms->per == PER_MESSAGE || per_client;

    struct finding *finding = add_finding(judging, LIMIT_NUMBERED + terms->number,
                                          rules_limit_name(judging->rules, terms->number), action, terms->scope);
    if (!finding)
        return action != ACTION_REFUSE;
    const char *name = name_of(judging, terms->per);
    if (name)
        strncat(finding->key, name, sizeof finding->key - 1);
    if (per_client)
        finding->client = rules_client(judging->rules, &judging->client);
    finding->count = count;
    finding->max = max;
    finding->points = action == ACTION_SCORE ? (uint32_t)terms->value[TERM_POINTS] : 0;
    finding->banned = banned || began;
    finding->ban_began = began;
    if (finding->banned)
        finding->ban_left_ns = ticks_to_ns((uint32_t)(ban_until - (uint32_t)judging->tick));
    note_crossing(judging, finding, per_client);
    if (action != ACTION_REFUSE)
        return true;
    refuse(judging, form, finding,
           terms->value[TERM_DISCONNECT_DELAY] != TERM_UNSET ? terms->value[TERM_DISCONNECT_DELAY]
                                                             : judging->disconnect_delay_ns);
    return false;
}

/* False when the limit refuses the event. */
static bool judge_limit(struct judging *judging, const struct terms *terms)
{
    const struct event *event = judging->event;
    bool counts = counts_event(judging, terms);
    /* The MTA has refused a rejected recipient itself: that is an error, and else only counted. */
    bool judges = counts && !(event->rejected && terms->count != COUNT_ERRORS);
    bool bans = terms->value[TERM_BAN] > 0 && limit_can_ban(terms->per) &&
                (judges || limit_ban_events(terms->per) >> event->kind & 1);
    struct taking *taking = &judging->takings[judging->taking_count];

    if ((!counts && !bans) || (terms->mode == MODE_MONITOR && (judging->over || judging->over_now)) ||
        !counted_key(judging, terms, &taking->group, taking->key))
        return true;
    if (terms->count == COUNT_NETWORKS && judging->client.family == ADDR_NONE)
        return true;
    const struct terms_subject subject = {judging->client, subject_name(judging, terms->per), event->user,
                                          judging->reputation};
    uint32_t max = terms_max(judging->rules, terms, &subject);
    if (max == 0 && terms->count != COUNT_SESSIONS)
        return true;
    taking->count = terms->count;
    taking->number = terms->number;
    taking->scope = terms->scope;
    taking->monitored = terms->mode == MODE_MONITOR;
    taking->per_client = terms->per == PER_CLIENT;
    taking->slot = terms->slot;
    taking->session_index = rules_session_index(judging->rules, terms->number);
    if (taking->session_index >= 0 && judging->session &&
        tally_has_slot(judging->engine->current, judging->number, taking->session_index))
        return true;

    struct record *record = NULL;
    if (limit_has_window(terms->count, terms->per)) {
        taking->shape = window_shape((uint64_t)terms->value[TERM_WINDOW], terms->largest);
        record = record_find(judging, taking->group, taking->key);
    } else if (bans) {
        record = record_find(judging, taking->group, taking->key);
    }
    if (record)
        record_touch(record, judging->tick);
    bool banned = max > 0 && bans && banned_by(record, terms, judging->tick);
    bool over = banned;
    uint32_t count = counts || banned ? count_now(judging, terms, taking, record) : 0;
    if (counts) {
        if (terms->count == COUNT_NETWORKS) {
            network_key(judging, terms, taking->key, taking->network);
            taking->seen = network_known(judging, taking);
        }
        over = over || (judges && max > 0 && count >= max && !(terms->count == COUNT_NETWORKS && taking->seen));
    }
    if (over && !judge_over(judging, terms, taking, count, max, banned, record))
        return false;
    bool passes = !over || terms->mode == MODE_SCORE;
    if (counts && passes && terms->per != PER_SESSION && terms->per != PER_MESSAGE)
        judging->taking_count++;
    return true;
}

bool judge_limits(struct judging *judging)
{
    for (uint64_t rest = rules_limits_at(judging->rules, judging->event->kind); rest != 0; rest &= rest - 1) {
        struct terms terms;
        limit_number number = (limit_number)__builtin_ctzll(rest);
        if (rules_terms(judging->rules, judging->levels, judging->level_count, number, &terms) &&
            !judge_limit(judging, &terms))
            return false;
    }
    return true;
}

/* ---- counting ---- */

static void tell_untracked(struct judging *judging, const struct taking *taking)
{
    struct table_totals totals = table_totals(judging->engine->table);
    struct finding *finding =
        add_finding(judging, LIMIT_TABLE, limit_name(LIMIT_TABLE), ACTION_UNTRACKED, taking->scope);
    if (!finding)
        return;
    finding->count = totals.used;
    finding->max = totals.room;
    note_crossing(judging, finding, false);
}

/* The session holds the record of its client. */
static void pin(struct judging *judging, uint32_t index)
{
    struct session *session = judging->session;
    for (unsigned i = 0; i < SESSION_PINS; i++) {
        if (session->pins[i] == index + 1)
            return;
        if (session->pins[i] == 0) {
            session->pins[i] = index + 1;
            table_pin(judging->engine->table, index);
            return;
        }
    }
}

/* Notes that the network was seen now. When the one sight before is in the window of the name, it is taken out of it;
 * false when there is no room to note it. */
static bool take_network(struct judging *judging, const struct taking *taking, struct window *names)
{
    struct engine *engine = judging->engine;
    uint32_t index = record_obtain(engine, taking->group ^ NETWORK_GROUP, taking->network, judging->tick);

    if (index == TABLE_NONE)
        return false;
    struct record *network = table_record(engine->table, index);
    uint64_t then = judging->tick - table_age(network, judging->tick);
    struct window *sight = &network->windows[0];
    bool moved = taking->seen && window_move(names, then, judging->tick);
    *sight = (struct window){.shape = 0};
    window_open(sight, taking->shape, judging->tick);
    window_add(sight);
    network->last = (uint32_t)judging->tick;
    if (!moved)
        window_add(names);
    return true;
}

static void take_window(struct judging *judging, const struct taking *taking)
{
    struct engine *engine = judging->engine;
    uint32_t index = record_obtain(engine, taking->group, taking->key, judging->tick);

    if (index == TABLE_NONE) {
        tell_untracked(judging, taking);
        return;
    }
    struct record *record = table_record(engine->table, index);
    struct window *window = &record->windows[taking->slot];
    record_touch(record, judging->tick);
    window_open(window, taking->shape, judging->tick);
    if (taking->count != COUNT_NETWORKS) {
        window_add(window);
    } else {
        /* Obtaining the network's record must not evict the name's. */
        table_pin(engine->table, index);
        if (!take_network(judging, taking, window))
            tell_untracked(judging, taking);
        table_unpin(engine->table, index);
    }
    if (taking->per_client)
        pin(judging, index);
}

void judge_commit(struct judging *judging)
{
    for (unsigned i = 0; i < judging->taking_count; i++) {
        const struct taking *taking = &judging->takings[i];
        if (taking->monitored && judging->over_now)
            continue;
        if (taking->count == COUNT_SESSIONS) {
            struct slot_key key = {.group = taking->group};
            memcpy(key.key, taking->key, sizeof key.key);
            tally_take_slot(judging->engine->current, judging->number, taking->session_index, &key);
        } else {
            take_window(judging, taking);
        }
    }
}

int64_t judge_error_delay(const struct judging *judging, bool was_error)
{
    uint32_t errors = judging->session->errors;
    int64_t longest = 0;

    for (uint64_t rest = rules_limits_at(judging->rules, EVENT_UNKNOWN); rest != 0 && errors > 0; rest &= rest - 1) {
        struct terms terms;
        if (!rules_terms(judging->rules, judging->levels, judging->level_count, (limit_number)__builtin_ctzll(rest),
                         &terms) ||
            terms.count != COUNT_ERRORS || terms.per != PER_SESSION || terms.mode != MODE_BLOCK)
            continue;
        const struct terms_subject subject = {judging->client, client_host(judging->event), judging->event->user,
                                              judging->reputation};
        if (terms_max(judging->rules, &terms, &subject) == 0)
            continue;
        int64_t delay = 0;
        if (terms.value[TERM_SOFT] > 0 && errors > terms.value[TERM_SOFT])
            delay =
                errors * NS_PER_S > terms.value[TERM_ERROR_DELAY] ? errors * NS_PER_S : terms.value[TERM_ERROR_DELAY];
        else if (was_error)
            delay = terms.value[TERM_ERROR_DELAY];
        if (delay > longest)
            longest = delay;
    }
    return longest;
}
