/*
 * door.c: from milter events to the engine and back.
 */
#include "door.h"

#include "engine/reply.h"

#include <stdlib.h>
#include <string.h>

/* What a refused session hears when there is no memory to keep what it should hear. */
static const struct reply plain_refusal = {"421", "4.4.5", "Service unavailable, concurrency limit reached."};

/* A port in decimal digits; 0 when the text is anything else. */
static uint16_t parse_port(const char *text)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return 0;
    unsigned long port = strtoul(text, NULL, 10);
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static bool is_wildcard(const struct addr *addr)
{
    return addr->hi == 0 && addr->lo == 0;
}

/* The address that the client reached: {daemon_addr}, or {if_addr} where the MTA listens on any. Sendmail puts if_addr
 * in brackets. ADDR_NONE when neither says. */
static struct addr local_addr(const struct door_connect *connect)
{
    const char *texts[] = {connect->daemon_addr, connect->if_addr};

    for (size_t i = 0; i < 2; i++) {
        struct addr addr;
        char bare[ADDR_TEXT_SIZE + 8];
        size_t length = texts[i] ? strlen(texts[i]) : 0;
        if (length == 0 || length >= sizeof bare)
            continue;
        bool bracketed = texts[i][0] == '[' && texts[i][length - 1] == ']';
        memcpy(bare, texts[i], length + 1);
        if (bracketed)
            bare[length - 1] = '\0';
        if (addr_parse(bare + bracketed, &addr) && !is_wildcard(&addr))
            return addr;
    }
    return (struct addr){0};
}

/* The client's host name, "" unless the MTA has verified it, that is, has looked it up from the address and found the
 * address under it. For any other Postfix says "unknown"; Sendmail puts the address in brackets or, in the macro, has
 * its doubts about the name. */
static void verified_host(const struct door_connect *connect, char host[NAME_SIZE])
{
    const char *name = connect->client_name;
    bool verified = name && name[0] != '[' && strcmp(name, "unknown") != 0 &&
                    !(connect->remote && strstr(connect->remote, "may be forged"));

    name_domain(verified ? name : "", host);
}

/* The part of it that somebody registered: its end, or "". */
static const char *registrable_part(const char *host)
{
    char domain[NAME_SIZE];

    name_registrable(host, domain);
    return host + strlen(host) - strlen(domain);
}

static void keep_name(char **kept, const char *name)
{
    free(*kept);
    *kept = name ? strdup(name) : NULL;
}

/* `domain` is the end of `host`. */
static void keep_host(struct door_session *session, const char *host, const char *domain)
{
    keep_name(&session->client_host, host);
    session->client_domain = session->client_host ? session->client_host + (domain - host) : NULL;
}

static void forget_names(struct door_session *session)
{
    keep_name(&session->client_host, NULL);
    session->client_domain = NULL;
    keep_name(&session->helo, NULL);
    keep_name(&session->sender, NULL);
    keep_name(&session->user, NULL);
}

/* The engine has a record of the session and will still be asked about it: its names are needed. */
static bool is_followed(const struct door_session *session)
{
    return session->id != 0 && !session->refusal;
}

static void refuse_for_good(struct door_session *session, const struct reply *reply)
{
    forget_names(session); /* first, so that names and reply are never there together */
    struct reply *kept = malloc(sizeof *kept);
    if (kept)
        *kept = *reply;
    session->refusal = kept ? kept : &plain_refusal;
}

static struct door_answer go_on(int64_t delay_ns)
{
    return (struct door_answer){.kind = DOOR_CONTINUE, .delay_ns = delay_ns};
}

static struct door_answer refuse(const struct reply *reply, int64_t delay_ns)
{
    return (struct door_answer){.kind = DOOR_REFUSE, .reply = *reply, .delay_ns = delay_ns};
}

static struct door_answer refuse_again(const struct door_params *door, struct door_session *session)
{
    struct door_answer answer = refuse(session->refusal, session->delay_ns);

    /* 421 makes the MTA hang up; after any other code the client stays, and goes on counting as one to be told. */
    if (session->unspoken && strcmp(answer.reply.code, "421") == 0) {
        pthread_mutex_lock(door->lock);
        engine_spoken(door->engine, session->id);
        pthread_mutex_unlock(door->lock);
        session->id = 0; /* there is nothing left to close */
    }
    session->unspoken = false;
    session->delay_ns = 0;
    return answer;
}

struct door_answer door_connect(const struct door_params *door, struct door_session *session,
                                const struct door_connect *connect)
{
    char client_host[NAME_SIZE];
    struct verdict verdict;

    door_close(door, session);
    verified_host(connect, client_host);
    const struct connect_event event = {
        .client = connect->client,
        .local = local_addr(connect),
        .local_port = parse_port(connect->daemon_port),
        .client_port = connect->client_port,
        .partly_heard = connect->partly_heard,
        .daemon_name = connect->daemon_name,
        .client_domain = registrable_part(client_host),
        .client_host = client_host,
    };
    int64_t now = door->now();
    pthread_mutex_lock(door->lock);
    engine_connect(door->engine, &event, now, &session->id, &verdict);
    pthread_mutex_unlock(door->lock);
    door_decided(door, now);
    if (verdict.finding_count > 0)
        door->tell(&verdict, &connect->client);
    if (verdict.kind == VERDICT_EXEMPT)
        return (struct door_answer){.kind = DOOR_ACCEPT};
    if (verdict.kind == VERDICT_CONTINUE) {
        session->client = connect->client;
        if (is_followed(session))
            keep_host(session, client_host, event.client_domain);
        return go_on(0);
    }
    refuse_for_good(session, &verdict.reply);
    if (verdict.speak_at == REFUSE_AT_CONNECT)
        return refuse(&verdict.reply, verdict.delay_ns);
    session->delay_ns = verdict.delay_ns;
    session->unspoken = true;
    return go_on(0);
}

/* Anything after connect. The event comes without the names that the session keeps. */
static struct door_answer hear(const struct door_params *door, struct door_session *session, struct event event)
{
    struct verdict verdict;

    if (session->refusal)
        return refuse_again(door, session);
    if (session->id == 0)
        return go_on(0);
    event.client_host = session->client_host;
    event.client_domain = session->client_domain;
    event.helo = session->helo;
    event.sender = session->sender;
    event.user = session->user;
    int64_t now = door->now();
    pthread_mutex_lock(door->lock);
    engine_event(door->engine, session->id, &event, now, &verdict);
    pthread_mutex_unlock(door->lock);
    door_decided(door, now);
    if (verdict.finding_count > 0)
        door->tell(&verdict, &session->client);
    if (verdict.kind != VERDICT_REFUSE)
        return go_on(verdict.delay_ns);
    bool for_good = reply_ends_session(&verdict.reply, event.kind, event.rejected);
    if (for_good)
        refuse_for_good(session, &verdict.reply);
    if (event.rejected) {
        /* The MTA refuses this one itself; Postfix does not listen, and Sendmail hangs up without a word. */
        session->delay_ns = for_good ? verdict.delay_ns : 0;
        return go_on(for_good ? 0 : verdict.delay_ns);
    }
    return refuse(&verdict.reply, verdict.delay_ns);
}

struct door_answer door_helo(const struct door_params *door, struct door_session *session, const char *name)
{
    char helo[NAME_SIZE];

    if (is_followed(session)) {
        if (name)
            name_domain(name, helo);
        keep_name(&session->helo, name ? helo : NULL);
    }
    return hear(door, session, (struct event){.kind = EVENT_HELO});
}

struct door_answer door_mail(const struct door_params *door, struct door_session *session, const char *sender,
                             const char *user)
{
    char normal[NAME_SIZE];

    if (is_followed(session)) {
        if (sender)
            name_address(sender, normal);
        keep_name(&session->sender, sender ? normal : NULL);
        if (user)
            name_user(user, normal);
        keep_name(&session->user, user ? normal : NULL);
    }
    return hear(door, session, (struct event){.kind = EVENT_MAIL});
}

struct door_answer door_rcpt(const struct door_params *door, struct door_session *session, const char *recipient,
                             bool rejected)
{
    char normal[NAME_SIZE];

    if (recipient && is_followed(session))
        name_address(recipient, normal);
    else
        recipient = NULL;
    return hear(door, session,
                (struct event){.kind = EVENT_RCPT, .rejected = rejected, .recipient = recipient ? normal : NULL});
}

struct door_answer door_data(const struct door_params *door, struct door_session *session)
{
    return hear(door, session, (struct event){.kind = EVENT_DATA});
}

struct door_answer door_unknown(const struct door_params *door, struct door_session *session)
{
    return hear(door, session, (struct event){.kind = EVENT_UNKNOWN});
}

struct door_answer door_message(const struct door_params *door, struct door_session *session,
                                char score[SCORE_TEXT_SIZE])
{
    struct door_answer answer = hear(door, session, (struct event){.kind = EVENT_MESSAGE});

    score[0] = '\0';
    if (is_followed(session)) {
        pthread_mutex_lock(door->lock);
        engine_score(door->engine, session->id, score);
        pthread_mutex_unlock(door->lock);
    }
    keep_name(&session->sender, NULL);
    return answer;
}

void door_abort(const struct door_params *door, struct door_session *session)
{
    /* A refusal must not be taken for told: there is no answer to this. */
    if (is_followed(session))
        hear(door, session, (struct event){.kind = EVENT_ABORT});
    keep_name(&session->sender, NULL);
}

void door_close(const struct door_params *door, struct door_session *session)
{
    if (session->id != 0) {
        int64_t now = door->now();
        pthread_mutex_lock(door->lock);
        engine_close(door->engine, session->id, now);
        pthread_mutex_unlock(door->lock);
    }
    forget_names(session);
    if (session->refusal != &plain_refusal)
        free((void *)session->refusal);
    *session = (struct door_session){0};
}
