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

/* ---- whose counts ---- */

const char *domain_of(const char *address)
{
    const char *at = address ? strrchr(address, '@') : NULL;
    return at ? at + 1 : NULL;
}

const char *name_of(const struct judging *judging, enum limit_per per)
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

struct terms_subject subject_of(const struct judging *judging, enum limit_per per)
{
    return (struct terms_subject){judging->client, subject_name(judging, per), judging->event->user,
                                  judging->reputation};
}

bool counted_key(const struct judging *judging, const struct terms *terms, uint64_t *group, uint32_t key[4])
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

/* The key changes with the epoch of the name (records.c): what was seen in another one is not found any more. */
void network_key(const struct judging *judging, const struct terms *terms, const uint32_t name[4], uint16_t epoch,
                 uint32_t key[4])
{
    bool ipv4 = judging->client.family == ADDR_IPV4;
    struct addr network =
        addr_cut(&judging->client, (unsigned)terms->value[ipv4 ? TERM_IPV4_PREFIX : TERM_IPV6_PREFIX]);
    uint64_t wide[2], words[] = {0, 0, network.hi, network.lo, network.family, epoch};

    memcpy(words, name, 2 * sizeof *words);
    hash_bytes_wide(judging->engine->seed, words, sizeof words, wide);
    memcpy(key, wide, sizeof wide);
}

/* ---- judging ---- */

void judge_begin(struct judging *judging)
{
    verdict_begin(judging->verdict);
    judging->taking_count = 0;
    judging->over_now = judging->client_blamed = judging->monitored = false;
    judge_know_client(judging);
}

void judge_know_client(struct judging *judging)
{
    struct prefix client = rules_client(judging->rules, &judging->client);
    uint32_t steps = rules_reputation_steps(judging->rules);

    judging->reputation = REPUTATION_NONE;
    key_of_addr(&client.addr, judging->client_key);
    if (steps == 0 || judging->client.family == ADDR_NONE)
        return;
    const struct record *record = record_find(
        judging->engine, rules_reputation_group(judging->rules) ^ judging->client.family, judging->client_key);
    if (record)
        judging->reputation = reputation_of(record, steps, judging->tick);
}

/* An administrator's ban keeps the client or the sender out. False when that refuses the event. */
static bool judge_ban(struct judging *judging, const struct operator_ban *ban)
{
    const bool monitor = rules_monitor(judging->rules), of_name = ban->target.clients.addr.family == ADDR_NONE;

    if (monitor && judging->over)
        return true;
    if (monitor)
        judge_would_end(judging);
    struct finding *finding =
        finding_add(judging, LIMIT_BAN, limit_name(LIMIT_BAN), monitor ? ACTION_MONITOR : ACTION_REFUSE, RULES_SERVICE);
    if (!finding)
        return monitor;
    if (of_name)
        strcpy(finding->key, ban->target.name);
    else
        finding->client = ban->target.clients;
    finding->banned = true;
    finding->ban_left_ns = ban->until - judging->engine->now;
    finding_cross(judging, finding, !of_name);
    if (!monitor)
        finding_refuse(judging, reply_of_limit(LIMIT_BAN), finding, judging->disconnect_delay_ns);
    return monitor;
}

bool judge_lists(struct judging *judging, bool *spared)
{
    const struct event *event = judging->event;
    const bool connect = event->kind == EVENT_CONNECT;
    const struct operator_ban *ban;
    const struct listed listed =
        connect ? engine_list_client(judging->engine, &judging->client, judging->engine->now, &ban)
                : engine_list_names(judging->engine, event->sender, event->user, judging->engine->now, &ban);

    *spared = listed.answer == LISTED_EXEMPT && !ban;
    if (ban)
        return judge_ban(judging, ban);
    if (listed.answer != LISTED_DENY)
        return true;
    switch (rules_deny_mode(judging->rules)) {
    case MODE_BLOCK:
        judge_found(judging, LIMIT_DENY, ACTION_REFUSE, RULES_SERVICE, 0, 0, 0);
        return false;
    case MODE_MONITOR:
        if (!judging->over)
            judge_found(judging, LIMIT_DENY, ACTION_MONITOR, RULES_SERVICE, 0, 0, 0);
        judge_would_end(judging);
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
static bool counts_event(const struct event *event, enum limit_count count, enum limit_per per)
{
    if (!(limit_events(count, per) >> event->kind & 1))
        return false;
    if (count == COUNT_BOUNCES && !(event->sender && event->sender[0] == '\0'))
        return false;
    if (event->kind != EVENT_RCPT)
        return true;
    if (count == COUNT_ERRORS)
        return event->rejected;
    return !event->rejected || (count == COUNT_RECIPIENTS && per != PER_MESSAGE);
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

/* The record of the network is left alone: `last` is when it was seen, and its one window holds that one sight. */
struct window network_sight(const struct judging *judging, const struct taking *taking)
{
    const struct record *record = record_find(judging->engine, taking->group ^ NETWORK_GROUP, taking->network);
    struct window window = {.shape = 0};

    if (record) {
        window = record->windows[0];
        window_advance(&window, judging->tick - table_age(record, judging->tick), judging->tick);
    }
    window_open(&window, taking->shape, judging->tick);
    return window;
}

bool banned_by(const struct rules *rules, const struct record *record, const struct terms *terms, uint64_t tick)
{
    if (!record || !table_banned(record, tick) || BAN_SLOT(record->ban) != BAN_SLOT(BAN(0, terms->slot)))
        return false;
    return terms->mode == MODE_MONITOR || rules_monitor(rules) || BAN_RANK(record->ban) > RANK_MONITOR;
}

/* The crossing begins a ban of the key, unless a ban that counts for more is in force. */
static bool begin_ban(struct judging *judging, const struct terms *terms, const struct taking *taking,
                      uint32_t *ban_until)
{
    struct engine *engine = judging->engine;
    /* What begins in a dry run never becomes real, also of a limit in mode score. */
    int rank = terms->mode == MODE_MONITOR || rules_monitor(judging->rules) ? RANK_MONITOR
               : terms->mode == MODE_SCORE                                  ? RANK_SCORE
                                                                            : RANK_BLOCK;
    uint32_t length = (uint32_t)((uint64_t)terms->value[TERM_BAN] >> TICK_BITS) + 1;
    uint64_t until = judging->tick + length;
    uint32_t index = record_obtain(engine, taking->group, taking->key, judging->tick);

    if (index == TABLE_NONE)
        return false;
    struct record *record = table_record(engine->table, index);
    record_touch(record, judging->tick);
    /* What counts for less gives way; of equals the one that ends later stays. */
    if (table_banned(record, judging->tick) &&
        (BAN_RANK(record->ban) > rank ||
         (BAN_RANK(record->ban) == rank && (int32_t)((uint32_t)until - record->ban_until) <= 0)))
        return false;
    *ban_until = (uint32_t)until;
    table_ban(engine->table, index, BAN(rank, terms->slot), ban_length_number(engine, length), *ban_until);
    const char *name = name_of(judging, terms->per);
    if (name)
        key_texts_keep(engine->key_texts, taking->key, name, until);
    if (rank != RANK_MONITOR) {
        engine->totals[LIMIT_NUMBERED + terms->number].bans++;
        if (terms->per == PER_CLIENT)
            client_history(engine, judging->rules, &judging->client, judging->tick, POINTS_BAN);
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
    enum action action = action_of_mode(terms->mode);
    const struct reply *form = terms->reply ? terms->reply
                                            : reply_of_count(terms->count, answers_452(judging, terms),
                                                             terms->per == PER_SESSION || terms->per == PER_MESSAGE);
    bool began = false, per_client = terms->per == PER_CLIENT;
    uint32_t ban_until = banned ? record->ban_until : 0;

    if (!banned && terms->value[TERM_BAN] > 0 && limit_can_ban(terms->per))
        began = begin_ban(judging, terms, taking, &ban_until);
    if (action == ACTION_SCORE) {
        if (judging->scored >> terms->number & 1)
            return true;
        judging->scored |= UINT64_C(1) << terms->number;
    }
    if (action == ACTION_MONITOR) {
        judging->over_now = true;
        if (judging->event->kind == EVENT_CONNECT ||
            reply_ends_session(form, judging->event->kind, judging->event->rejected))
            judge_would_end(judging);
    }
    if (action == ACTION_REFUSE)
        judging->client_blamed = terms->per == PER_SESSION || terms->per == PER_MESSAGE || per_client;

    struct finding *finding = finding_add(judging, LIMIT_NUMBERED + terms->number,
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
    finding_cross(judging, finding, per_client);
    if (action != ACTION_REFUSE)
        return true;
    finding_refuse(judging, form, finding,
                   terms->value[TERM_DISCONNECT_DELAY] != TERM_UNSET ? terms->value[TERM_DISCONNECT_DELAY]
                                                                     : judging->disconnect_delay_ns);
    return false;
}

/* A limit that the event may concern, and whom it counts. */
struct concerned {
    struct terms terms;
    uint64_t group;
    uint32_t key[4];
    const uint32_t *bucket; /* of the key's record; NULL: it has none */
};

/* False when the limit refuses the event. */
static bool judge_limit(struct judging *judging, const struct concerned *limit)
{
    const struct event *event = judging->event;
    const struct terms *terms = &limit->terms;
    bool counts = counts_event(event, terms->count, terms->per);
    /* The MTA has refused a rejected recipient itself: that is an error, and else only counted. */
    bool speaks = !event->rejected || terms->count == COUNT_ERRORS, judges = counts && speaks;
    bool bans = terms->value[TERM_BAN] > 0 && limit_can_ban(terms->per) && speaks &&
                (counts || limit_ban_events(terms->per) >> event->kind & 1);
    struct taking *taking = &judging->takings[judging->taking_count];

    if ((!counts && !bans) || (terms->mode == MODE_MONITOR && (judging->over || judging->over_now)))
        return true;
    taking->group = limit->group;
    memcpy(taking->key, limit->key, sizeof taking->key);
    if (terms->count == COUNT_NETWORKS && judging->client.family == ADDR_NONE)
        return true;
    const struct terms_subject subject = subject_of(judging, terms->per);
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
    bool windowed = limit_has_window(terms->count, terms->per);
    if (windowed)
        taking->shape = window_shape((uint64_t)terms->value[TERM_WINDOW], terms->largest);
    if (windowed || bans)
        record = record_find(judging->engine, taking->group, taking->key);
    if (record)
        record_touch(record, judging->tick);
    bool banned = max > 0 && bans && banned_by(judging->rules, record, terms, judging->tick);
    bool over = banned;
    uint32_t count = counts || banned ? count_now(judging, terms, taking, record) : 0;
    if (counts) {
        if (terms->count == COUNT_NETWORKS) {
            network_key(judging, terms, taking->key, networks_epoch(judging->engine, record), taking->network);
            const struct window sight = network_sight(judging, taking);
            taking->seen = window_count(&sight) > 0;
        }
        over = over || (judges && max > 0 && (uint64_t)count + event_times(event) > max &&
                        !(terms->count == COUNT_NETWORKS && taking->seen));
    }
    if (over && !judge_over(judging, terms, taking, count, max, banned, record))
        return false;
    bool passes = !over || terms->mode == MODE_SCORE;
    if (counts && passes && terms->per != PER_SESSION && terms->per != PER_MESSAGE)
        judging->taking_count++;
    return true;
}

/* Those that the event may concern. What is known of whom they count lies all over memory, and is on its way from there
 * while the next is put together. */
static unsigned find_concerned(const struct judging *judging, struct concerned concerned[LIMITS_MAX])
{
    const struct table *table = judging->engine->table;
    unsigned count = 0;

    for (uint64_t rest = rules_limits_at(judging->rules, judging->event->kind); rest != 0; rest &= rest - 1) {
        limit_number number = (limit_number)__builtin_ctzll(rest);
        const struct limit_kind *kind = &judging->rules->limits[number];
        struct concerned *limit = &concerned[count];
        if (judging->slots != SLOTS_TOO && (kind->count == COUNT_SESSIONS) != (judging->slots == SLOTS_ALONE))
            continue;
        /* Most of them need not be put together to see that this is not their event. */
        if (!counts_event(judging->event, kind->count, kind->per) &&
            !(limit_ban_events(kind->per) >> judging->event->kind & 1))
            continue;
        if (!rules_terms(judging->rules, judging->levels, judging->level_count, number, &limit->terms) ||
            !counted_key(judging, &limit->terms, &limit->group, limit->key))
            continue;
        limit->bucket = kind->per == PER_SESSION || kind->per == PER_MESSAGE
                            ? NULL
                            : table_fetch_bucket(table, limit->group, limit->key);
        count++;
    }
    for (unsigned i = 0; i < count; i++)
        if (concerned[i].bucket)
            table_fetch_record(table, concerned[i].bucket);
    return count;
}

bool judge_limits(struct judging *judging)
{
    struct concerned concerned[LIMITS_MAX];
    unsigned count = find_concerned(judging, concerned);

    for (unsigned i = 0; i < count; i++)
        if (!judge_limit(judging, &concerned[i]))
            return false;
    return true;
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
