/*
 * model_requests.c: sessions that are asked about, not told of.
 */
#include "judgement.h"

#include <stdio.h>
#include <string.h>

/* As far as both doors say where it came in. */
static bool same_connection(const struct plain_facts *a, const struct plain_facts *b)
{
    return a->client_port == b->client_port && model_same_addr(&a->client, &b->client) &&
           (a->local.family == 0 || b->local.family == 0 || model_same_addr(&a->local, &b->local)) &&
           (a->port == 0 || b->port == 0 || a->port == b->port);
}

struct model_session *model_of_connection(struct model *model, const struct plain_facts *facts)
{
    struct model_session *newest = NULL;
    for (int i = 0; i < model->session_count; i++) {
        struct model_session *session = &model->sessions[i];
        if (same_connection(&session->facts, facts) && (!newest || session->number > newest->number))
            newest = session;
    }
    return newest;
}

bool model_remembered(const struct model_session *session)
{
    return session->asked && session->told.hold == HOLD_NOTHING;
}

bool model_make_way(struct model *model)
{
    struct model_session *silent = NULL;

    if ((uint32_t)model->session_count < model->records)
        return true;
    for (int i = 0; i < model->session_count; i++) {
        struct model_session *session = &model->sessions[i];
        if (model_remembered(session) && (!silent || session->told.order < silent->told.order))
            silent = session;
    }
    if (!silent)
        return false;
    model_drop(model, silent);
    model_met.made_way++;
    return true;
}

/* The reservation that lapses next; NULL when none does. */
static struct model_session *next_lapsed(struct model *model)
{
    struct model_session *next = NULL;
    for (int i = 0; i < model->session_count; i++) {
        struct model_session *session = &model->sessions[i];
        if (session->asked && session->told.hold == HOLD_RESERVE &&
            model->now - session->told.reserved >= ENGINE_RESERVE_NS && (!next || session->number < next->number))
            next = session;
    }
    return next;
}

/* It is remembered from now on. */
static void hear_of(struct model *model, struct model_session *session)
{
    session->told.last = model->now;
    session->told.order = ++model->requests;
}

/* It gives back what it holds. */
static void let_go(struct model *model, struct model_session *session)
{
    session->told.hold = HOLD_NOTHING;
    session->no_caps = true;
    memset(session->holds, 0, sizeof session->holds);
    hear_of(model, session);
}

void model_lapse(struct model *model, int64_t now)
{
    struct model_session *lapsed;

    if (now > model->now)
        model->now = now;
    while ((lapsed = next_lapsed(model))) {
        let_go(model, lapsed);
        model->lapsed++;
        model_met.lapses++;
    }
    for (int i = model->session_count - 1; i >= 0; i--) {
        struct model_session *session = &model->sessions[i];
        if (!model_remembered(session) || model->now - session->told.last < ENGINE_REMEMBER_NS)
            continue;
        model_drop(model, session);
        model_met.forgotten++;
    }
}

/* ---- one request ---- */

struct asking {
    struct model *model;
    struct model_session *session;
    const struct request *request;
    int64_t now;
    struct request_answer *answer;
};

static struct verdict *next_verdict(struct request_answer *answer)
{
    return &answer->verdicts[answer->count++];
}

static void take_verdict(struct request_answer *answer, const struct verdict *verdict)
{
    answer->kind = verdict->kind;
    if (verdict->delay_ns > answer->delay_ns)
        answer->delay_ns = verdict->delay_ns;
}

/* Something new happens in the session. False when it is refused. */
static bool happen(struct asking *asking, enum event_kind kind, uint32_t times)
{
    struct event event = asking->request->names;
    struct verdict *verdict = next_verdict(asking->answer);

    event.kind = kind;
    event.times = times;
    event.rejected = false;
    if (times > 0)
        event.recipient = NULL;
    model_event(asking->model, asking->session, &event, asking->now, verdict);
    take_verdict(asking->answer, verdict);
    return verdict->kind != VERDICT_REFUSE;
}

static bool ask_helo(struct asking *asking)
{
    const struct request *request = asking->request;
    struct model_asked *told = &asking->session->told;
    const char *helo = request->names.helo;

    if (!helo || (!helo[0] && request->stage == REQUEST_CONNECT) || (told->helo_told && strcmp(told->helo, helo) == 0))
        return true;
    if (!happen(asking, EVENT_HELO, 0))
        return false;
    told->helo_told = true;
    snprintf(told->helo, sizeof told->helo, "%s", helo);
    return true;
}

static bool is_new_message(const struct model_asked *told, enum request_stage stage, const char *message,
                           const char *sender)
{
    if (!told->mail_told)
        return true;
    if (message[0] && told->message[0])
        return strcmp(told->message, message) != 0;
    return (!message[0] && stage == REQUEST_MAIL) || strcmp(told->sender, sender) != 0;
}

static bool ask_mail(struct asking *asking)
{
    const enum request_stage stage = asking->request->stage;
    struct model_asked *told = &asking->session->told;
    const char *message = text_or_empty(asking->request->message);
    const char *sender = asking->request->names.sender ? asking->request->names.sender : "(none yet)";
    const bool new_message = is_new_message(told, stage, message, sender);

    if (new_message && !happen(asking, EVENT_MAIL, 0))
        return false;
    if (new_message) {
        told->mail_told = true;
        snprintf(told->sender, sizeof told->sender, "%s", sender);
        told->recipients = 0;
        told->recipient_told = told->scored = false;
    }
    model_met.named_late += !new_message && message[0] && !told->message[0];
    if (new_message || message[0])
        snprintf(told->message, sizeof told->message, "%s", message);
    return true;
}

static bool ask_recipient(struct asking *asking)
{
    struct model_asked *told = &asking->session->told;
    const char *recipient = text_or_empty(asking->request->names.recipient);

    if (told->message[0] && told->recipient_told && strcmp(told->recipient, recipient) == 0) {
        model_met.twice++;
        return true;
    }
    if (!happen(asking, EVENT_RCPT, 0))
        return false;
    told->recipient_told = true;
    snprintf(told->recipient, sizeof told->recipient, "%s", recipient);
    told->recipients++;
    return true;
}

static bool compare_recipients(struct asking *asking)
{
    struct model_asked *told = &asking->session->told;
    const uint32_t accepted = asking->request->recipient_count;

    if (accepted == 0 || accepted == told->recipients)
        return true;
    const bool more = accepted > told->recipients;
    *(more ? &model_met.topped_up : &model_met.rejected) += 1;
    if (!happen(asking, more ? EVENT_RCPT : EVENT_REJECTED,
                more ? accepted - told->recipients : told->recipients - accepted))
        return false;
    told->recipients = accepted;
    return true;
}

static bool ask_stage(struct asking *asking)
{
    const enum request_stage stage = asking->request->stage;

    if (!ask_helo(asking))
        return false;
    if (stage >= REQUEST_MAIL && stage <= REQUEST_MESSAGE && !ask_mail(asking))
        return false;
    if (stage == REQUEST_RCPT)
        return ask_recipient(asking);
    if (stage != REQUEST_DATA && stage != REQUEST_MESSAGE)
        return true;
    return compare_recipients(asking) && happen(asking, stage == REQUEST_DATA ? EVENT_DATA : EVENT_MESSAGE, 0);
}

static void ask_score(struct asking *asking)
{
    struct model_session *session = asking->session;
    const enum request_stage stage = asking->request->stage;
    char score[SCORE_TEXT_SIZE];

    if (stage != REQUEST_DATA && stage != REQUEST_MESSAGE)
        return;
    model_score(asking->model, session, score);
    model_met.scored_before += score[0] && session->told.scored;
    if (!score[0] || session->told.scored)
        return;
    memcpy(asking->answer->score, score, sizeof score);
    session->told.scored = true;
    model_met.scores++;
}

static void watch_port(struct model *model, uint16_t port)
{
    for (unsigned i = 0; i < model->watched_count; i++)
        if (model->watched[i] == port)
            return;
    if (model->watched_count < WATCHED_PORTS_MAX)
        model->watched[model->watched_count++] = port;
    else
        model->watched_more = true;
}

static enum request_hold hold_of(const struct request *request, const struct plain_facts *facts)
{
    const bool known = facts->client.family != 0 && facts->client_port != 0 && facts->port != 0;

    if (request->hold == HOLD_RESERVE &&
        (request->stage != REQUEST_CONNECT || facts->client.family == 0 || facts->client_port == 0))
        return HOLD_NOTHING; /* it comes too late, or nobody could claim it */
    if (request->hold == HOLD_WATCH && !(known && facts->local.family == facts->client.family))
        return HOLD_NOTHING; /* the kernel could not find it */
    return request->hold;
}

/* The request brings the session in. */
static struct model_session *come_in(struct asking *asking, const struct plain_facts *facts)
{
    struct model *model = asking->model;
    const struct model_coming coming = {.facts = facts, .asked = true, .hold = hold_of(asking->request, facts)};
    struct verdict *verdict = next_verdict(asking->answer);
    struct model_session *session = model_enter(model, &coming, asking->now, verdict);

    take_verdict(asking->answer, verdict);
    if (!session)
        return NULL;
    session->told.reserved = model->now;
    session->told.round = model->round;
    session->told.sight = ++model->sights;
    session->told.cookie = session->told.first_cookie = asking->request->cookie;
    if (coming.hold == HOLD_WATCH)
        watch_port(model, facts->port);
    return session;
}

bool model_request(struct model *model, const struct request *request, const struct plain_facts *facts, int64_t now,
                   struct request_answer *answer)
{
    struct asking asking = {.model = model, .request = request, .now = now, .answer = answer};
    bool anew = false;

    memset(answer, 0, sizeof *answer);
    model_lapse(model, now);
    struct model_session *session = model_of_connection(model, facts);
    if (session && !session->asked) {
        model_met.left_alone++;
        return false;
    }
    if (session &&
        (session->told.first_cookie && request->cookie
             ? session->told.first_cookie != request->cookie
             : request->stage == REQUEST_CONNECT &&
                   (session->told.past_connect || model->now - session->told.reserved >= ENGINE_CONNECT_NS))) {
        model_close(model, session, now);
        session = NULL;
        model_met.renewed++;
    }
    model_met.repeated_connects += session && request->stage == REQUEST_CONNECT;
    if (!session) {
        session = come_in(&asking, facts);
        anew = true;
        if (!session)
            return true;
    }
    if (!session->told.first_cookie)
        session->told.first_cookie = request->cookie;
    if (!session->told.cookie)
        session->told.cookie = request->cookie;
    hear_of(model, session);
    session->told.past_connect = session->told.past_connect || request->stage != REQUEST_CONNECT;
    asking.session = session;
    if (ask_stage(&asking))
        ask_score(&asking);
    return anew;
}

/* ---- watched sessions ---- */

static bool is_watched(const struct model_session *session)
{
    return session->asked && session->told.hold == HOLD_WATCH;
}

struct watched_ports model_watch_begin(struct model *model)
{
    struct watched_ports ports = {.count = 0};

    model->round++;
    for (int i = 0; i < model->session_count; i++)
        if (is_watched(&model->sessions[i])) {
            ports.count = model->watched_count;
            ports.all = model->watched_more;
            memcpy(ports.ports, model->watched, sizeof ports.ports);
        }
    return ports;
}

void model_watch_seen(struct model *model, const struct plain_facts *facts, uint64_t cookie, int64_t now)
{
    struct model_session *session = NULL;

    if (now > model->now)
        model->now = now;
    for (int i = 0; i < model->session_count; i++) {
        struct model_session *one = &model->sessions[i];
        if (is_watched(one) && same_connection(&one->facts, facts) && (!session || one->number > session->number))
            session = one;
    }
    if (!session || session->told.round == model->round)
        return;
    if (cookie != 0 && session->told.cookie != 0 && cookie != session->told.cookie) {
        model_close(model, session, now);
        model_met.cookies++;
        return;
    }
    if (cookie != 0)
        session->told.cookie = cookie;
    session->told.round = model->round;
    session->told.sight = ++model->sights;
}

void model_watch_end(struct model *model, session_id id, int64_t now)
{
    struct model_session *session = model_find(model, id);

    if (!session || !is_watched(session))
        return;
    if (session->told.cookie != 0) {
        model_close(model, session, now);
        return;
    }
    if (now > model->now)
        model->now = now;
    let_go(model, session);
    model_met.never_seen++;
}

struct model_session *model_next_missing(struct model *model, const struct model_session *after)
{
    struct model_session *next = NULL;
    for (int i = 0; i < model->session_count; i++) {
        struct model_session *session = &model->sessions[i];
        if (is_watched(session) && session->told.round != model->round &&
            (!after || session->told.sight > after->told.sight) && (!next || session->told.sight < next->told.sight))
            next = session;
    }
    return next;
}
