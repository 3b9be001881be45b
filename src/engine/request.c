/*
 * request.c: what is new in a request.
 */
#include "state.h"

#include "hash.h"

#include <string.h>

static uint64_t name_hash(const struct engine *engine, const char *name)
{
    return hash_bytes(engine->seed, name ? name : "", name ? strlen(name) : 0) | 1;
}

/* Whether the other door could know the connection by what is said of it. */
static bool can_be_claimed(const struct connect_event *connect)
{
    return connect->client.family != ADDR_NONE && connect->client_port != 0;
}

/* Whether the kernel could. */
static bool can_be_watched(const struct connect_event *connect)
{
    return can_be_claimed(connect) && connect->local.family == connect->client.family && connect->local_port != 0;
}

static struct coming coming_of(const struct request *request)
{
    const bool late = request->stage != REQUEST_CONNECT;

    switch (request->hold) {
    case HOLD_WATCH:
        if (can_be_watched(&request->connect))
            return (struct coming){.hold = HELD_WATCHED, .late = late};
        break;
    case HOLD_RESERVE:
        if (!late && can_be_claimed(&request->connect))
            return (struct coming){.hold = HELD_RESERVED};
        break;
    case HOLD_NOTHING:
        break;
    }
    return (struct coming){.hold = HELD_NOTHING, .slots = NO_SLOTS, .late = late};
}

static void conclude(struct request_answer *answer)
{
    const struct verdict *verdict = &answer->verdicts[answer->count++];

    answer->kind = verdict->kind;
    if (verdict->delay_ns > answer->delay_ns)
        answer->delay_ns = verdict->delay_ns;
}

/* Whether the request is about another connection than the session's, from the same port. */
static bool is_another(const struct engine *engine, const struct session *session, const struct request *request)
{
    const struct told *told = &session->told;

    if (told->cookie != 0 && request->cookie != 0)
        return told->cookie != request->cookie;
    if (request->stage != REQUEST_CONNECT)
        return false;
    return told->past_connect || engine->now - told->connected >= ENGINE_CONNECT_NS;
}

/* The session that the request is about; NULL when there is nothing to tell it. */
static struct session *session_of_request(struct engine *engine, const struct request *request, int64_t now,
                                          struct request_answer *answer)
{
    const struct watched_connection connection = connection_of(&request->connect);
    struct session *session = session_of_connection(engine, &connection);

    if (session && session->hold == HELD_BY_DOOR)
        return NULL;
    if (session && is_another(engine, session, request)) {
        engine_close(engine, session_handle(engine, session_number(engine, session)), now);
        session = NULL;
    }
    if (session) {
        if (session->told.cookie == 0)
            session->told.cookie = request->cookie;
        if (session->cookie == 0)
            session->cookie = request->cookie;
        if (session->hold == HELD_NOTHING)
            session_hold(engine, session_number(engine, session), HELD_NOTHING);
        return session;
    }
    const struct coming coming = coming_of(request);
    session_id id = session_connect(engine, &request->connect, &coming, now, &answer->verdicts[answer->count]);
    conclude(answer);
    session = session_find(engine, id);
    if (!session)
        return NULL;
    session->cookie = session->told.cookie = request->cookie;
    session->told.connected = engine->now;
    if (coming.hold == HELD_WATCHED)
        watch_port(engine, connection.local_port);
    return session;
}

/* True when the session goes on. */
static bool tell(struct engine *engine, const struct session *session, const struct request *request,
                 enum event_kind kind, uint32_t times, int64_t now, struct request_answer *answer)
{
    struct event event = request->names;

    event.kind = kind;
    event.times = times;
    event.rejected = false;
    if (kind != EVENT_RCPT || request->stage != REQUEST_RCPT)
        event.recipient = NULL;
    engine_event(engine, session_handle(engine, session_number(engine, session)), &event, now,
                 &answer->verdicts[answer->count]);
    conclude(answer);
    return answer->kind == VERDICT_CONTINUE;
}

static bool tell_helo(struct engine *engine, struct session *session, const struct request *request, int64_t now,
                      struct request_answer *answer)
{
    const char *helo = request->names.helo;

    if (!helo || (helo[0] == '\0' && request->stage == REQUEST_CONNECT))
        return true;
    uint64_t hash = name_hash(engine, helo);
    if (hash == session->told.helo)
        return true;
    if (!tell(engine, session, request, EVENT_HELO, 1, now, answer))
        return false;
    session->told.helo = hash;
    return true;
}

/* Postfix names a message from its first recipient on, so a name may come to one that had none. */
static bool is_new_message(const struct told *told, enum request_stage stage, uint64_t message, uint64_t sender)
{
    if (message == 0)
        return stage == REQUEST_MAIL || told->sender != sender;
    return told->message != message && (told->message != 0 || told->sender != sender);
}

static bool tell_mail(struct engine *engine, struct session *session, const struct request *request, int64_t now,
                      struct request_answer *answer)
{
    struct told *told = &session->told;
    bool named = request->message && request->message[0];
    uint64_t message = named ? name_hash(engine, request->message) : 0;
    uint64_t sender = name_hash(engine, request->names.sender) ^ (request->names.sender != NULL) << 1;

    if (!is_new_message(told, request->stage, message, sender)) {
        told->message = named ? message : told->message;
        return true;
    }
    if (!tell(engine, session, request, EVENT_MAIL, 1, now, answer))
        return false;
    told->message = message;
    told->sender = sender;
    told->recipient = 0;
    told->recipients = 0;
    told->scored = false;
    return true;
}

static bool tell_recipient(struct engine *engine, struct session *session, const struct request *request, int64_t now,
                           struct request_answer *answer)
{
    struct told *told = &session->told;
    uint64_t hash = name_hash(engine, request->names.recipient);

    if (told->message != 0 && hash == told->recipient)
        return true;
    if (!tell(engine, session, request, EVENT_RCPT, 1, now, answer))
        return false;
    told->recipient = hash;
    told->recipients += told->recipients < UINT32_MAX;
    return true;
}

/* The MTA's own count puts right what was told one by one. */
static bool tell_count(struct engine *engine, struct session *session, const struct request *request, int64_t now,
                       struct request_answer *answer)
{
    struct told *told = &session->told;
    uint32_t accepted = request->recipient_count;

    if (accepted == 0)
        return true;
    if (accepted > told->recipients &&
        !tell(engine, session, request, EVENT_RCPT, accepted - told->recipients, now, answer))
        return false;
    if (accepted < told->recipients &&
        !tell(engine, session, request, EVENT_REJECTED, told->recipients - accepted, now, answer))
        return false;
    told->recipients = accepted;
    return true;
}

/* False when something was refused. */
static bool tell_all(struct engine *engine, struct session *session, const struct request *request, int64_t now,
                     struct request_answer *answer)
{
    enum request_stage stage = request->stage;

    if (!tell_helo(engine, session, request, now, answer))
        return false;
    if (stage < REQUEST_MAIL || stage > REQUEST_MESSAGE)
        return true;
    if (!tell_mail(engine, session, request, now, answer))
        return false;
    if (stage == REQUEST_RCPT)
        return tell_recipient(engine, session, request, now, answer);
    if (stage == REQUEST_MAIL)
        return true;
    return tell_count(engine, session, request, now, answer) &&
           tell(engine, session, request, stage == REQUEST_DATA ? EVENT_DATA : EVENT_MESSAGE, 1, now, answer);
}

void engine_request(struct engine *engine, const struct request *request, int64_t now, struct request_answer *answer)
{
    answer->kind = VERDICT_CONTINUE;
    answer->delay_ns = 0;
    answer->count = 0;
    answer->score[0] = '\0';
    engine_lapse(engine, now);
    struct session *session = session_of_request(engine, request, now, answer);
    if (!session)
        return;
    session->told.past_connect = session->told.past_connect || request->stage != REQUEST_CONNECT;
    if (tell_all(engine, session, request, now, answer) && !session->told.scored &&
        (request->stage == REQUEST_DATA || request->stage == REQUEST_MESSAGE))
        session->told.scored =
            engine_score(engine, session_handle(engine, session_number(engine, session)), answer->score);
}
