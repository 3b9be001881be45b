/*
 * model_limits.c: an event against the limits.
 */
#include "judgement.h"

#include <stdio.h>
#include <string.h>

bool is_error(const struct event *event)
{
    return event->kind == EVENT_UNKNOWN || event->kind == EVENT_REJECTED ||
           (event->kind == EVENT_RCPT && event->rejected);
}

uint32_t times_of(const struct event *event)
{
    return (event->kind == EVENT_RCPT || event->kind == EVENT_REJECTED) && event->times > 0 ? event->times : 1;
}

static bool is_own(enum limit_per per)
{
    return per == PER_SESSION || per == PER_MESSAGE;
}

static const struct reply *usual_reply(const struct judgement *judgement, const struct plain_kind *kind)
{
    static const struct reply sessions = {"421", "4.4.5", "Service unavailable, concurrency limit reached."};
    static const struct reply connections = {"421", "4.4.5", "Service unavailable, connection rate limit reached."};
    static const struct reply messages = {"421", "4.4.5", "Service unavailable, message rate limit reached."};
    static const struct reply recipients = {"421", "4.4.5", "Service unavailable, recipient rate limit reached."};
    static const struct reply errors = {"421", "4.4.5", "Service unavailable, too many errors."};
    static const struct reply networks = {"421", "4.4.5", "Service unavailable, too many networks for this domain."};
    static const struct reply many = {"452", "4.5.3", "Too many recipients."};
    static const struct reply rate = {"452", "4.5.3", "Recipient rate limit reached."};

    if (judgement->event->kind == EVENT_RCPT && kind->count != COUNT_ERRORS)
        return is_own(kind->per) ? &many : &rate;
    switch (kind->count) {
    case COUNT_SESSIONS:
        return &sessions;
    case COUNT_CONNECTIONS:
        return &connections;
    case COUNT_RECIPIENTS: /* a ban, at another event */
        return &recipients;
    case COUNT_ERRORS:
    case COUNT_UNKNOWN_COMMANDS:
        return &errors;
    case COUNT_NETWORKS:
        return &networks;
    default:
        return &messages;
    }
}

static const char *domain_of(const char *address)
{
    const char *at = strrchr(text_or_empty(address), '@');
    return at ? at + 1 : "";
}

/* Whom the limit counts at this event; false for nobody. */
static bool key_of(const struct judgement *judgement, enum limit_per per, struct model_key *key)
{
    const struct event *event = judgement->event;
    const struct model *model = judgement->model;
    const char *name = "";

    memset(key, 0, sizeof *key);
    switch (per) {
    case PER_SESSION:
    case PER_MESSAGE:
        return true;
    case PER_CLIENT:
        key->addr = judgement->session->facts.client;
        plain_cut(&key->addr, key->addr.family == 4 ? model->rules.client_ipv4_bits : model->rules.client_ipv6_bits);
        return key->addr.family != 0;
    case PER_HELO:
        snprintf(key->name, sizeof key->name, "%s", text_or_empty(event->helo));
        return event->helo != NULL;
    case PER_CLIENT_DOMAIN:
        name = event->client_domain;
        break;
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
    default:
        name = event->user;
        break;
    }
    snprintf(key->name, sizeof key->name, "%s", text_or_empty(name));
    return key->name[0] != '\0';
}

/* Whom keys and exceptions are compared with. */
static struct model_subject subject_of(const struct judgement *judgement, enum limit_per per)
{
    const struct event *event = judgement->event;
    const char *name = per == PER_HELO                                       ? event->helo
                       : per == PER_SENDER || per == PER_SENDER_DOMAIN       ? event->sender
                       : per == PER_RECIPIENT || per == PER_RECIPIENT_DOMAIN ? event->recipient
                       : per == PER_USER                                     ? NULL
                                                                             : event->client_domain;
    return (struct model_subject){judgement->session->facts.client, text_or_empty(name), text_or_empty(event->user),
                                  judgement->reputed};
}

/* Whether the limit counts the event. */
static bool counts(const struct plain_kind *kind, const struct event *event)
{
    switch (kind->count) {
    case COUNT_SESSIONS:
        return event->kind == (kind->per == PER_USER ? EVENT_MAIL : EVENT_CONNECT);
    case COUNT_CONNECTIONS:
        return event->kind == EVENT_CONNECT;
    case COUNT_BOUNCES:
        if (!event->sender || event->sender[0])
            return false;
        /* fall through */
    case COUNT_MESSAGES:
        if (kind->per == PER_RECIPIENT || kind->per == PER_RECIPIENT_DOMAIN)
            return event->kind == EVENT_RCPT && !event->rejected;
        return event->kind == EVENT_MAIL;
    case COUNT_RECIPIENTS:
        return event->kind == EVENT_RCPT && !(event->rejected && kind->per == PER_MESSAGE);
    case COUNT_ERRORS:
        return is_error(event);
    case COUNT_UNKNOWN_COMMANDS:
        return event->kind == EVENT_UNKNOWN;
    default:
        return event->kind == (kind->per == PER_HELO ? EVENT_HELO : EVENT_MAIL);
    }
}

/* The event that a ban of such a key shuts, besides those that the limit counts. */
static bool shuts(enum limit_per per, enum event_kind event)
{
    static const enum event_kind shut[PER_KINDS] = {
        [PER_CLIENT] = EVENT_CONNECT, [PER_CLIENT_DOMAIN] = EVENT_CONNECT, [PER_HELO] = EVENT_HELO,
        [PER_SENDER] = EVENT_MAIL,    [PER_SENDER_DOMAIN] = EVENT_MAIL,    [PER_USER] = EVENT_MAIL,
        [PER_RECIPIENT] = EVENT_RCPT, [PER_RECIPIENT_DOMAIN] = EVENT_RCPT,
    };
    return !is_own(per) && shut[per] == event;
}

static struct plain_addr network_of(const struct judgement *judgement, const struct model_terms *terms)
{
    struct plain_addr network = judgement->session->facts.client;
    plain_cut(&network, (unsigned)terms->value[network.family == 4 ? TERM_IPV4_PREFIX : TERM_IPV6_PREFIX]);
    return network;
}

static uint32_t count_of(const struct judgement *judgement, const struct model_terms *terms,
                         const struct model_key *key)
{
    const struct plain_kind *kind = plain_kind(terms->kind);
    const struct model_session *session = judgement->session;

    if (kind->count == COUNT_SESSIONS)
        return model_slots(judgement->model, terms->scope, terms->kind, key);
    if (kind->per == PER_MESSAGE)
        return session->message_recipients;
    if (kind->per != PER_SESSION)
        return model_counted(judgement->model, terms, key);
    return kind->count == COUNT_MESSAGES           ? session->messages
           : kind->count == COUNT_BOUNCES          ? session->bounces
           : kind->count == COUNT_RECIPIENTS       ? session->recipients
           : kind->count == COUNT_UNKNOWN_COMMANDS ? session->unknown_commands
                                                   : session->errors;
}

/* A crossing begins a ban, unless one that counts for more is in force. */
static bool begin_ban(struct judgement *judgement, const struct model_terms *terms, struct model_ban *ban)
{
    struct model *model = judgement->model;
    const uint64_t now = model_tick(model), until = now + ((uint64_t)terms->value[TERM_BAN] >> 24) + 1;
    const int rank = terms->mode == MODE_MONITOR || model->rules.monitor ? 0 : terms->mode == MODE_SCORE ? 1 : 2;

    if (ban->until > now && (ban->rank > rank || (ban->rank == rank && until <= ban->until)))
        return false;
    ban->kind = terms->kind;
    ban->since = now;
    ban->until = until;
    ban->rank = rank;
    if (rank > 0) {
        model_view(model, plain_kind(terms->kind)->name)->bans++;
        if (plain_kind(terms->kind)->per == PER_CLIENT)
            model_repute(model, &judgement->session->facts.client, -5);
    }
    return true;
}

/* The event is over the limit. False when that refuses it. */
static bool judge_over(struct judgement *judgement, const struct model_terms *terms, const struct model_key *key,
                       uint32_t count, int64_t max, bool banned)
{
    const struct plain_kind *kind = plain_kind(terms->kind);
    struct model *model = judgement->model;
    struct model_session *session = judgement->session;
    const struct reply *form = terms->reply ? terms->reply : usual_reply(judgement, kind);
    const enum action action = terms->mode == MODE_BLOCK     ? ACTION_REFUSE
                               : terms->mode == MODE_MONITOR ? ACTION_MONITOR
                                                             : ACTION_SCORE;
    struct model_ban *ban = is_own(kind->per) ? NULL : model_ban_of(model, terms, key);
    const bool began = !banned && terms->value[TERM_BAN] > 0 && ban && begin_ban(judgement, terms, ban);

    if (action == ACTION_SCORE && session->scored[terms->kind])
        return true;
    if (action == ACTION_SCORE)
        session->scored[terms->kind] = true;
    if (action == ACTION_MONITOR) {
        judgement->over_now = true;
        const struct event *event = judgement->event;
        const bool for_good = form->code[0] == '5' && (event->kind != EVENT_RCPT || event->rejected);
        if (for_good || strcmp(form->code, "421") == 0 || event->kind == EVENT_CONNECT)
            session->over = true;
    }
    if (action == ACTION_REFUSE)
        judgement->blamed = is_own(kind->per) || kind->per == PER_CLIENT;
    struct finding *finding =
        judgement_find(judgement, (enum limit_id)(LIMIT_NUMBERED + terms->number), kind->name, action, terms->scope);
    if (!finding)
        return true;
    snprintf(finding->key, sizeof finding->key, "%s", key->name);
    if (kind->per == PER_CLIENT)
        finding->client =
            judgement_prefix(&session->facts.client, model->rules.client_ipv4_bits, model->rules.client_ipv6_bits);
    finding->count = count;
    finding->max = (uint32_t)max;
    finding->points = action == ACTION_SCORE ? (uint32_t)terms->value[TERM_POINTS] : 0;
    finding->banned = banned || began;
    finding->ban_began = began;
    if (finding->banned)
        finding->ban_left_ns = (int64_t)((ban->until - model_tick(model)) << 24);
    judgement_cross(judgement, finding, kind->per == PER_CLIENT);
    if (action == ACTION_REFUSE)
        judgement_refuse(judgement, form, finding,
                         terms->value[TERM_DISCONNECT_DELAY] != TERM_UNSET ? terms->value[TERM_DISCONNECT_DELAY]
                                                                           : session->chain.delay);
    return action != ACTION_REFUSE;
}

static bool judge_limit(struct judgement *judgement, const struct model_terms *terms)
{
    const struct plain_kind *kind = plain_kind(terms->kind);
    const struct event *event = judgement->event;
    struct model *model = judgement->model;
    struct model_session *session = judgement->session;
    const struct model_subject subject = subject_of(judgement, kind->per);
    const bool counted = counts(kind, event);
    /* A recipient that the MTA has rejected itself is an error; of all else it is no more than counted. */
    const bool judged = counted && !(event->rejected && kind->count != COUNT_ERRORS);
    const bool may_ban = terms->value[TERM_BAN] > 0 && (shuts(kind->per, event->kind) || judged) &&
                         !is_own(kind->per) && !(event->rejected && kind->count != COUNT_ERRORS);
    const int64_t max = model_max(terms, &subject);
    struct model_key key;

    if ((!counted && !may_ban) || !key_of(judgement, kind->per, &key) ||
        (terms->mode == MODE_MONITOR && (session->over || judgement->over_now)))
        return true;
    if (kind->count == COUNT_NETWORKS && session->facts.client.family == 0)
        return true;
    if (kind->count == COUNT_SESSIONS ? session->holds[terms->kind] : max == 0)
        return true;

    bool banned = false, over = false;
    if (may_ban && max > 0) {
        const struct model_ban *ban = model_ban_of(model, terms, &key);
        banned = ban->kind == terms->kind && ban->until > model_tick(model) &&
                 (ban->rank > 0 || terms->mode == MODE_MONITOR || model->rules.monitor);
    }
    const uint32_t count = counted || banned ? count_of(judgement, terms, &key) : 0;
    if (judged && max > 0) {
        const struct plain_addr network = network_of(judgement, terms);
        over = (int64_t)count + times_of(event) > max &&
               !(kind->count == COUNT_NETWORKS && model_seen(model, terms, &key, &network));
    }
    over = over || banned;
    if (over && !judge_over(judgement, terms, &key, count, max, banned))
        return false;
    if (counted && (!over || terms->mode == MODE_SCORE))
        judgement->counted[judgement->counted_count++] = (struct counting){*terms, key};
    return true;
}

bool judgement_limits(struct judgement *judgement)
{
    struct model_terms terms;

    for (int i = 0; i < judgement->model->kind_count; i++) {
        const int kind = judgement->model->kinds[i];
        if (judgement->judged ==
            (plain_kind(kind)->count == COUNT_SESSIONS ? JUDGED_BUT_SESSIONS : JUDGED_SESSIONS_ONLY))
            continue;
        if (model_terms_of(judgement->model, &judgement->session->chain, kind, &terms) &&
            !judge_limit(judgement, &terms))
            return false;
    }
    return true;
}

void judgement_count(struct judgement *judgement)
{
    for (int i = 0; i < judgement->counted_count; i++) {
        const struct model_terms *terms = &judgement->counted[i].terms;
        const struct model_key *key = &judgement->counted[i].key;
        const struct plain_kind *kind = plain_kind(terms->kind);
        if (is_own(kind->per) || (terms->mode == MODE_MONITOR && judgement->over_now))
            continue;
        if (kind->count == COUNT_SESSIONS) {
            judgement->session->holds[terms->kind] = true;
            judgement->session->slot[terms->kind] = *key;
            judgement->session->slot_scope[terms->kind] = terms->scope;
        } else if (kind->count == COUNT_NETWORKS) {
            const struct plain_addr network = network_of(judgement, terms);
            model_see(judgement->model, terms, key, &network);
        } else {
            for (uint32_t times = times_of(judgement->event); times > 0; times--)
                model_count_event(judgement->model, terms, key);
        }
    }
}

int64_t judgement_error_delay(const struct judgement *judgement)
{
    const uint32_t errors = judgement->session->errors;
    int64_t longest = 0;
    struct model_terms terms;

    for (int i = 0; i < judgement->model->kind_count; i++) {
        const struct plain_kind *kind = plain_kind(judgement->model->kinds[i]);
        const struct model_subject subject = subject_of(judgement, PER_SESSION);
        if (kind->count != COUNT_ERRORS || kind->per != PER_SESSION || errors == 0 ||
            !model_terms_of(judgement->model, &judgement->session->chain, judgement->model->kinds[i], &terms) ||
            terms.mode != MODE_BLOCK || model_max(&terms, &subject) == 0)
            continue;
        int64_t delay = is_error(judgement->event) ? terms.value[TERM_ERROR_DELAY] : 0;
        if (terms.value[TERM_SOFT] > 0 && errors > terms.value[TERM_SOFT])
            delay = errors * SECOND > terms.value[TERM_ERROR_DELAY] ? errors * SECOND : terms.value[TERM_ERROR_DELAY];
        if (delay > longest)
            longest = delay;
    }
    return longest;
}
