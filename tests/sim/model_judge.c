/*
 * model_judge.c: what becomes of an event.
 */
#include "judgement.h"

#include <stdio.h>
#include <string.h>

/* A ban of an administrator is in force. False when it refuses. */
static bool judge_ban(struct judgement *judgement, const struct model_operator_ban *ban)
{
    static const struct reply denied = {"421", "4.7.1", "Service unavailable, access denied."};
    const struct model *model = judgement->model;
    const enum action action = model->rules.monitor ? ACTION_MONITOR : ACTION_REFUSE;

    if (model->rules.monitor && judgement->session->over)
        return true;
    if (model->rules.monitor)
        judgement->session->over = judgement->over_now = true;
    struct finding *finding = judgement_find(judgement, LIMIT_BAN, "ban", action, 0);
    if (ban->block.addr.family == 0)
        snprintf(finding->key, sizeof finding->key, "%s", ban->name);
    else
        finding->client = judgement_prefix(&ban->block.addr, ban->block.bits, ban->block.bits);
    finding->banned = true;
    finding->ban_left_ns = ban->until - model->now;
    judgement_cross(judgement, finding, ban->block.addr.family != 0);
    if (action == ACTION_REFUSE)
        judgement_refuse(judgement, &denied, finding, judgement->session->chain.delay);
    return action == ACTION_MONITOR;
}

/* False when they refuse. */
static bool judge_lists(struct judgement *judgement, bool *spared)
{
    const struct model *model = judgement->model;
    const struct event *event = judgement->event;
    struct model_session *session = judgement->session;
    const bool connect = event->kind == EVENT_CONNECT;
    const char *sender = text_or_empty(event->sender), *spared_by = NULL;
    int bits = -1;
    const enum model_listed listed =
        connect ? model_list_client(&model->rules, &session->facts.client, &bits)
                : model_list_names(&model->rules, sender, text_or_empty(event->user), &spared_by);
    const struct model_operator_ban *ban =
        connect ? model_banned_client(model, &session->facts.client) : model_banned_sender(model, sender);
    const bool monitor =
        model->rules.deny_mode == MODE_MONITOR || (model->rules.monitor && model->rules.deny_mode == MODE_BLOCK);

    /* Whatever is exempt more specifically stays so. */
    if (ban && connect && listed == LISTED_TO_SPARE && bits > (int)ban->block.bits)
        ban = NULL;
    if (ban && spared_by && strlen(spared_by) > strlen(ban->name))
        ban = NULL;
    *spared = listed == LISTED_TO_SPARE && !ban;
    if (ban)
        return judge_ban(judgement, ban);
    if (listed != LISTED_TO_DENY)
        return true;
    if (!monitor && model->rules.deny_mode == MODE_BLOCK) {
        judgement_find_whole(judgement, LIMIT_DENY, ACTION_REFUSE, 0, 0, 0, 0);
        return false;
    }
    if (monitor) {
        if (!session->over)
            judgement_find_whole(judgement, LIMIT_DENY, ACTION_MONITOR, 0, 0, 0, 0);
        session->over = judgement->over_now = true;
    } else {
        if (!session->scored[MODEL_SCORED_DENY])
            judgement_find_whole(judgement, LIMIT_DENY, ACTION_SCORE, 0, 0, 0, (uint32_t)model->rules.deny_points);
        session->scored[MODEL_SCORED_DENY] = true;
    }
    return true;
}

static bool judge_caps(struct judgement *judgement)
{
    const struct model *model = judgement->model;
    const bool monitor = model->rules.monitor;
    const struct model_chain *chain = &judgement->session->chain;
    struct model_counts counts;

    model_count(model, &counts);
    for (int i = 0; i < chain->count; i++) {
        const int scope = chain->scopes[i];
        const int64_t cap = model_cap(&model->rules, scope);
        if (cap == 0 || counts.count[scope] < cap)
            continue;
        if (monitor && judgement->session->over)
            return true;
        judgement_find_whole(judgement, scope == 0 ? LIMIT_SERVICE_SESSIONS : LIMIT_LISTENER_SESSIONS,
                             monitor ? ACTION_MONITOR : ACTION_REFUSE, scope, counts.count[scope], (uint32_t)cap, 0);
        if (!monitor)
            return false;
        judgement->session->over = judgement->over_now = true;
        return true;
    }
    return true;
}

static bool judge_idle(struct judgement *judgement)
{
    const struct model *model = judgement->model;
    struct model_session *session = judgement->session;
    const int64_t silent = model->now - session->answered, most = session->chain.idle_time;
    const bool idle = session->idle || (!session->watched && silent > most + model->idle_slack);

    if (most == 0 || session->transfer || !idle || (model->rules.monitor && session->over))
        return true;
    judgement_find_whole(judgement, LIMIT_IDLE_TIME, model->rules.monitor ? ACTION_MONITOR : ACTION_REFUSE,
                         session->chain.idle_scope, silent > 0 ? (uint32_t)(silent / SECOND) : 0,
                         (uint32_t)(most / SECOND), 0);
    if (model->rules.monitor)
        session->over = judgement->over_now = true;
    return model->rules.monitor;
}

static bool judge_score(struct judgement *judgement)
{
    const struct model *model = judgement->model;
    const struct model_session *session = judgement->session;
    int64_t sum = session->scored[MODEL_SCORED_DENY] ? model->rules.deny_points : 0, most = session->chain.score_refuse;
    bool any = session->scored[MODEL_SCORED_DENY];
    struct model_terms terms;

    for (int i = 0; i < model->kind_count; i++) {
        any = any || session->scored[model->kinds[i]];
        if (session->scored[model->kinds[i]] && model_terms_of(model, &session->chain, model->kinds[i], &terms))
            sum += terms.value[TERM_POINTS];
    }
    if (most == 0 || !any || sum < most || (model->rules.monitor && session->over))
        return true;
    judgement_find_whole(judgement, LIMIT_SCORE, model->rules.monitor ? ACTION_MONITOR : ACTION_REFUSE,
                         session->chain.score_scope, (uint32_t)sum, (uint32_t)most, 0);
    if (model->rules.monitor)
        judgement->session->over = judgement->over_now = true;
    return model->rules.monitor;
}

void model_score(const struct model *model, const struct model_session *session, char out[SCORE_TEXT_SIZE])
{
    char list[SCORE_TEXT_SIZE] = "";
    size_t used = 0;
    int64_t sum = 0;
    struct model_terms terms;

    out[0] = '\0';
    if (model->rules.monitor)
        return; /* a dry run leaves the mail alone */
    if (session->scored[MODEL_SCORED_DENY]) {
        sum = model->rules.deny_points;
        used = (size_t)snprintf(list, sizeof list, ", deny=%d", (int)sum);
    }
    for (int i = 0; i < model->kind_count; i++) {
        const int kind = model->kinds[i];
        if (!session->scored[kind] || !model_terms_of(model, &session->chain, kind, &terms))
            continue;
        sum += terms.value[TERM_POINTS];
        used += (size_t)snprintf(list + used, sizeof list - used, ", %s=%d", plain_kind(kind)->name,
                                 (int)terms.value[TERM_POINTS]);
    }
    out[0] = '\0';
    if (used > 0)
        snprintf(out, SCORE_TEXT_SIZE, "%d (%.*s)", (int)sum, SCORE_TEXT_SIZE - 20, list + 2);
}

/* ---- events ---- */

static void begin(struct judgement *judgement)
{
    memset(judgement->verdict, 0, sizeof *judgement->verdict);
    if (judgement->now > judgement->model->now)
        judgement->model->now = judgement->now;
    judgement->reputed = model_reputed(judgement->model, &judgement->session->facts.client);
}

struct model_session *model_enter(struct model *model, const struct model_coming *coming, int64_t now,
                                  struct verdict *verdict)
{
    const struct plain_facts *facts = coming->facts;
    const struct event event = {.kind = EVENT_CONNECT, .client_domain = facts->client_domain};
    struct model_session session = {.facts = *facts, .asked = coming->asked, .told.hold = coming->hold};
    struct judgement judgement = {.model = model, .session = &session, .event = &event, .now = now, .verdict = verdict};
    const bool again = coming->before != NULL, nothing = model_remembered(&session);
    struct model_counts counts;
    bool exempt = false;

    judgement.judged = again ? JUDGED_SESSIONS_ONLY : nothing ? JUDGED_BUT_SESSIONS : JUDGED_ALL;
    if (again) {
        session.over = coming->before->over;
        memcpy(session.scored, coming->before->scored, sizeof session.scored);
    }
    model_chain_of(&model->rules, facts, &session.chain);
    begin(&judgement);
    session.last.client_domain = facts->client_domain;
    bool admitted = again || judge_lists(&judgement, &exempt);
    if (exempt) {
        verdict->kind = VERDICT_EXEMPT;
        return NULL;
    }
    admitted = admitted && judgement_limits(&judgement) && (nothing || judge_caps(&judgement)) &&
               (again || judge_score(&judgement));
    if (!admitted) {
        if (judgement.blamed)
            model_repute(model, &facts->client, -1);
        model_count(model, &counts);
        session.pending = !coming->asked && session.chain.refuse_at == REFUSE_AT_HELO &&
                          (session.chain.refuse_pending == 0 ||
                           counts.pending[session.chain.listener] < session.chain.refuse_pending) &&
                          model_make_way(model);
        verdict->speak_at = session.pending ? REFUSE_AT_HELO : REFUSE_AT_CONNECT;
        if (!session.pending)
            return NULL;
        memset(session.scored, 0, sizeof session.scored);
        session.over = false;
    } else if (!model_make_way(model)) { /* let in, uncounted, told */
        judgement_find_whole(&judgement, LIMIT_SESSION_TABLE, ACTION_UNTRACKED, 0, model->records, model->records, 0);
        model_met.untracked += coming->asked;
        return NULL;
    } else {
        judgement_count(&judgement);
        session.no_caps = nothing || (session.over && model->rules.monitor);
        session.answered = model->now;
        session.facts.partly_heard = session.transfer = facts->partly_heard || coming->asked;
        snprintf(session.domain, sizeof session.domain, "%s", text_or_empty(facts->client_domain));
    }
    session.number = ++model->comings;
    model->sessions[model->session_count] = session;
    return &model->sessions[model->session_count++];
}

struct model_session *model_connect(struct model *model, const struct plain_facts *facts, int64_t now,
                                    struct verdict *verdict)
{
    model_lapse(model, now);
    struct model_session *known = model_of_connection(model, facts), before;
    struct model_coming coming = {.facts = facts};

    memset(verdict, 0, sizeof *verdict);
    if (known && known->asked && !model_remembered(known)) {
        known->asked = false;
        known->facts.partly_heard = known->transfer = facts->partly_heard;
        known->answered = model->now;
        model->claimed++;
        model_met.claims++;
        return known;
    }
    if (known && known->asked) {
        before = *known;
        coming.before = &before;
        model_drop(model, known);
        model_met.late_claims++;
    }
    struct model_session *session = model_enter(model, &coming, now, verdict);
    model_met.late_refused += coming.before && verdict->kind == VERDICT_REFUSE;
    return session;
}

/* The session's own counters. */
static void count_own(struct model_session *session, const struct event *event)
{
    if (event->kind == EVENT_MAIL) {
        session->messages++;
        session->bounces += event->sender && !event->sender[0];
        session->message_recipients = 0;
    }
    const uint32_t times = times_of(event);
    session->recipients += event->kind == EVENT_RCPT ? times : 0;
    session->message_recipients += event->kind == EVENT_RCPT && !event->rejected ? times : 0;
    if (event->kind == EVENT_REJECTED)
        session->message_recipients -= times < session->message_recipients ? times : session->message_recipients;
    session->unknown_commands += event->kind == EVENT_UNKNOWN;
    session->errors += is_error(event) ? times : 0;
}

static void judge_command(struct judgement *judgement)
{
    struct model *model = judgement->model;
    struct model_session *session = judgement->session;
    const struct event *event = judgement->event;
    bool scored[PLAIN_KINDS + 1], spared = false;

    memcpy(scored, session->scored, sizeof scored);
    bool admitted = judge_idle(judgement);
    if (event->kind == EVENT_MAIL || event->kind == EVENT_RCPT)
        admitted = admitted && judge_lists(judgement, &spared);
    model_met.spared += admitted && spared;
    admitted = admitted && (spared || judgement_limits(judgement)) &&
               (memcmp(scored, session->scored, sizeof scored) == 0 || judge_score(judgement));
    if (admitted) {
        if (!(model->rules.monitor && judgement->over_now))
            count_own(session, event);
        judgement_count(judgement);
    } else {
        session->refused = true;
        if (judgement->blamed)
            model_repute(model, &session->facts.client, -1);
    }
    if (event->kind == EVENT_MAIL && text_or_empty(event->user)[0] && admitted && !spared &&
        !(model->rules.monitor && (session->over || judgement->over_now)))
        snprintf(session->user, sizeof session->user, "%s", event->user);
    if (is_error(event)) {
        session->erred = true;
        model_repute(model, &session->facts.client, event->times > 1 ? -(int)event->times : -1);
    }
    if (admitted)
        judgement->verdict->delay_ns = judgement_error_delay(judgement);
}

void model_event(struct model *model, struct model_session *session, const struct event *event, int64_t now,
                 struct verdict *verdict)
{
    struct judgement judgement = {.model = model, .session = session, .event = event, .now = now, .verdict = verdict};
    const bool over = session->over;

    memset(verdict, 0, sizeof *verdict);
    if (session->pending)
        return;
    judgement.judged = model_remembered(session) ? JUDGED_BUT_SESSIONS : JUDGED_ALL;
    begin(&judgement);
    if (event->kind == EVENT_MESSAGE) {
        session->errors = 0;
        session->delivered = true;
        model_repute(model, &session->facts.client, 1);
    }
    if (event->kind == EVENT_MESSAGE || event->kind == EVENT_ABORT)
        session->message_recipients = 0;
    else
        judge_command(&judgement);
    session->transfer = session->facts.partly_heard || (event->kind == EVENT_DATA && verdict->kind == VERDICT_CONTINUE);
    session->answered = model->now + (verdict->delay_ns < 29 * SECOND ? verdict->delay_ns : 29 * SECOND);
    if (verdict->kind == VERDICT_CONTINUE)
        session->idle = false;
    session->last = *event;
    if (session->over && !over)
        model_release_monitored(model, session);
}

void model_idle(struct model *model, struct model_session *session, int64_t now, struct verdict *verdict)
{
    const struct event event = {.kind = EVENT_UNKNOWN};
    struct judgement judgement = {.model = model, .session = session, .event = &event, .now = now, .verdict = verdict};
    const bool over = session->over;

    if (now > model->now && !session->pending && !session->idle && !session->transfer)
        model->now = now;
    if (verdict)
        memset(verdict, 0, sizeof *verdict);
    if (session->pending || session->idle || session->transfer)
        return;
    if (session->chain.idle_time == 0 || model->now - session->answered <= session->chain.idle_time)
        return;
    session->idle = true;
    if (!verdict)
        return; /* the next command tells */
    begin(&judgement);
    judge_idle(&judgement);
    verdict->delay_ns = 0; /* there is nobody to answer */
    if (session->over && !over)
        model_release_monitored(model, session);
}

void model_heard(struct model *model, struct model_session *session, int64_t silent, int64_t now)
{
    if (now > model->now)
        model->now = now;
    session->watched = true;
    if (model->now - silent > session->answered)
        session->answered = model->now - silent;
}
