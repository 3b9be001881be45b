/*
 * sim_requests.c: connections of which two doors speak: one asks, one tells; and the kernel knows which of them live.
 */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#define PICK(list) ((list)[below(sizeof(list) / sizeof *(list))])
#define COOKIES 3 /* a connection's is seldom another than the one before */
#define NAME_SIZE 64

/* A connection to be spoken of, and where its client is. */
struct connection {
    struct plain_facts facts;
    bool lives; /* in the kernel's table */
    uint64_t cookie;
    enum request_hold hold;
    bool names_messages; /* its requests say which message they are about */
    bool begun;          /* something has been asked of it */
    enum request_stage stage;
    const char *helo, *sender, *user, *recipient;
    unsigned message;
    uint32_t recipients; /* of the message, asked about */
};

static struct connection pool[POOL], *busy; /* that most requests are about for a while */
static bool many_ports;                     /* of the MTA, more than are watched one by one */

/* Now and then it is not known. */
static uint64_t random_cookie(void)
{
    return below(COOKIES);
}

static void begin_connection(struct connection *connection)
{
    connection->stage = REQUEST_CONNECT;
    connection->helo = connection->sender = connection->user = connection->recipient = NULL;
    connection->recipients = 0;
    connection->message++;
    connection->begun = false;
}

static void make_connection(struct connection *connection)
{
    memset(connection, 0, sizeof *connection);
    plain_random_facts(&sim.prng, &connection->facts);
    connection->facts.partly_heard = false;
    /* Few of them by a port that any session may have. */
    connection->facts.client_port = (uint16_t)(below(6) == 0 ? below(3) : 1000 + below(3));
    if (many_ports || below(8) == 0)
        connection->facts.port = (uint16_t)(10025 + below(200));
    if (below(3) == 0) { /* the same client and port, from or to elsewhere */
        struct plain_facts *facts = &connection->facts;
        const struct plain_facts *other = &pool[below(POOL)].facts;
        facts->client = other->client;
        facts->client_port = other->client_port;
        if (below(2))
            facts->port = other->port;
    }
    connection->hold = many_ports ? HOLD_WATCH : (enum request_hold)below(3);
    if (connection->hold == HOLD_WATCH && below(8) > 0) /* the kernel can know it */
        connection->facts.local = connection->facts.client;
    connection->names_messages = below(3) > 0;
    connection->message = 1 + below(1000);
    connection->cookie = random_cookie();
    begin_connection(connection);
}

void make_connections(void)
{
    many_ports = below(10) == 0;
    for (int i = 0; i < POOL; i++)
        make_connection(&pool[i]);
    busy = pool;
}

static struct connection *random_connection(void)
{
    if (below(30) == 0)
        busy = &pool[below(POOL)];
    return below(3) > 0 ? busy : &pool[below(POOL)];
}

void claim_connection(void)
{
    static const char *const domains[] = {NULL, "example.org"};
    struct plain_facts facts = below(6) == 0 ? busy->facts : pool[below(POOL)].facts;

    facts.partly_heard = below(4) == 0;
    if (below(10) == 0)
        facts.client_domain = PICK(domains);
    if (below(10) == 0)
        snprintf(facts.daemon_name, sizeof facts.daemon_name, "%s", below(2) ? "" : "smtpd");
    connect_with(&facts);
}

/* ---- requests ---- */

/* Where most clients go on to, and what they have said when they are there. */
static void go_on(struct connection *connection)
{
    static const char *const helos[] = {"", "mail.example.org", "mx.example.net", "[192.0.2.1]", "localhost"};
    static const char *const senders[] = {"", "a@example.org", "b@example.net", "b@mail.example.org", NULL};
    static const char *const recipients[] = {"a@example.org", "b@example.net", "c@mail.example.org", "d@example.com"};
    static const char *const users[] = {NULL, NULL, "", "user1", "user2", "user3@example.org"};
    static const enum request_stage usual[][4] = {
        [REQUEST_CONNECT] = {REQUEST_HELO, REQUEST_HELO, REQUEST_MAIL, REQUEST_OTHER},
        [REQUEST_HELO] = {REQUEST_MAIL, REQUEST_MAIL, REQUEST_RCPT, REQUEST_OTHER},
        [REQUEST_MAIL] = {REQUEST_RCPT, REQUEST_RCPT, REQUEST_RCPT, REQUEST_MAIL},
        [REQUEST_RCPT] = {REQUEST_RCPT, REQUEST_RCPT, REQUEST_DATA, REQUEST_DATA},
        [REQUEST_DATA] = {REQUEST_MESSAGE, REQUEST_MESSAGE, REQUEST_MESSAGE, REQUEST_RCPT},
        [REQUEST_MESSAGE] = {REQUEST_MAIL, REQUEST_RCPT, REQUEST_OTHER, REQUEST_HELO},
        [REQUEST_OTHER] = {REQUEST_MAIL, REQUEST_MAIL, REQUEST_HELO, REQUEST_RCPT},
    };
    const enum request_stage before = connection->stage;

    connection->stage = below(12) > 0 ? PICK(usual[before]) : (enum request_stage)below(REQUEST_OTHER + 1);
    if (connection->stage == REQUEST_CONNECT || below(80) == 0) {
        begin_connection(connection);
        return;
    }
    if (connection->stage == REQUEST_HELO || !connection->helo)
        connection->helo = PICK(helos);
    if (connection->stage == REQUEST_MAIL || before == REQUEST_MESSAGE || connection->recipients == 0) {
        connection->sender = PICK(senders);
        connection->user = PICK(users);
        connection->recipients = 0;
        connection->message++;
    }
    if (connection->stage == REQUEST_RCPT) {
        connection->recipient = PICK(recipients);
        connection->recipients++;
    }
}

static uint32_t accepted_by_mta(const struct connection *connection)
{
    const uint32_t all = connection->recipients;
    switch (below(8)) {
    case 0:
        return 0;
    case 1:
        return all + 1 + below(4);
    case 2:
    case 3:
        return all > 1 ? 1 + below(all - 1) : all;
    default:
        return all;
    }
}

static void check_answer(const struct request_answer *got, const struct request_answer *expected, bool connected)
{
    expect("verdicts", got->count, expected->count);
    for (unsigned i = 0; i < expected->count; i++)
        check_verdict(&got->verdicts[i], &expected->verdicts[i], connected && i == 0);
    expect("kind of an answer", got->kind, expected->kind);
    expect("delay of an answer", (uint64_t)got->delay_ns, (uint64_t)expected->delay_ns);
    expect_text("score of an answer", got->score, expected->score);
}

/* Like tell() in sim.c: the engine gets copies that are overwritten afterwards. */
static void ask(const struct request *request, const struct plain_facts *facts)
{
    static struct request_answer got, expected;
    const char *const texts[] = {request->names.client_domain, request->names.helo,      request->names.sender,
                                 request->names.user,          request->names.recipient, request->message,
                                 facts->daemon_name,           facts->client_domain};
    enum { TEXTS = sizeof texts / sizeof *texts };
    char copies[TEXTS][NAME_SIZE];
    struct request asked = *request;
    const char **to[TEXTS] = {&asked.names.client_domain, &asked.names.helo,           &asked.names.sender,
                              &asked.names.user,          &asked.names.recipient,      &asked.message,
                              &asked.connect.daemon_name, &asked.connect.client_domain};

    for (int i = 0; i < TEXTS; i++) {
        snprintf(copies[i], sizeof copies[i], "%s", texts[i] ? texts[i] : "");
        *to[i] = texts[i] ? copies[i] : NULL;
    }
    asked.names.kind = (enum event_kind)below(EVENT_KINDS);
    asked.names.times = below(3);
    asked.names.rejected = below(2);
    memset(&got, 0xee, sizeof got);
    engine_request(sim.engine, &asked, sim.now, &got);
    memset(copies, 'x', sizeof copies);
    const bool connected = model_request(&sim.model, request, facts, sim.now, &expected);
    check_answer(&got, &expected, connected);
    sim.stats.requests++;
}

void event_request(void)
{
    struct connection *connection = random_connection();
    char message[NAME_SIZE] = "";

    if (below(many_ports ? 20 : 100) == 0)
        make_connection(connection);
    else if (connection->begun ? below(4) > 0 : below(4) == 0)
        go_on(connection); /* else the same is asked again, by another restriction */
    else if (below(10) == 0)
        connection->recipient = NULL;
    connection->begun = true;
    const struct plain_facts *facts = &connection->facts;
    const struct model_session *known = model_of_connection(&sim.model, facts);
    if (known && known->id != 0 && below(8) == 0)
        close_handle(known->id); /* so that what is asked is not always left to the other door */
    struct request request = {
        .stage = connection->stage,
        .hold = below(8) > 0 ? connection->hold : (enum request_hold)below(3),
        .connect = {.client = plain_to_addr(&facts->client),
                    .local = plain_to_addr(&facts->local),
                    .local_port = facts->port,
                    .client_port = facts->client_port,
                    .client_domain = facts->client_domain,
                    .partly_heard = below(2)},
        .names = {.client_domain = facts->client_domain,
                  .helo = connection->helo,
                  .sender = connection->sender,
                  .user = connection->user,
                  .recipient = connection->recipient},
        .cookie = below(connection->stage == REQUEST_CONNECT ? 2 : 8) == 0 ? connection->cookie : 0,
        .recipient_count = accepted_by_mta(connection),
    };

    if (connection->stage == REQUEST_CONNECT && below(2))
        request.names.helo = ""; /* not said yet, as Postfix has it */
    /* Postfix names them from the first recipient on. */
    if (connection->names_messages && (connection->stage > REQUEST_MAIL || below(4) == 0))
        snprintf(message, sizeof message, "%u", connection->message);
    if (message[0] || below(2))
        request.message = message;
    ask(&request, facts);
}

void check_lapse(void)
{
    engine_lapse(sim.engine, sim.now);
    model_lapse(&sim.model, sim.now);
}

/* Reservations end at the very moment that they lapse, and not a nanosecond before; likewise what is remembered. */
void event_lapse(void)
{
    if (sim.model.session_count > 0 && below(2)) {
        const struct model_session *some = &sim.model.sessions[below((uint32_t)sim.model.session_count)];
        const struct model_asked *told = &some->told;
        if (some->asked && told->hold == HOLD_RESERVE)
            sim.now = told->reserved + ENGINE_RESERVE_NS - below(2);
        else if (model_remembered(some) && below(4) == 0)
            sim.now = told->last + ENGINE_REMEMBER_NS - below(2);
    }
    if (below(2))
        check_lapse();
    else
        event_request();
}

/* ---- the kernel ---- */

static void expect_ports(const struct watched_ports *got, const struct watched_ports *expected)
{
    expect("watched ports", got->count, expected->count);
    expect("all ports are watched", got->all, expected->all);
    for (unsigned i = 0; i < expected->count; i++)
        expect("watched port", got->ports[i], expected->ports[i]);
}

static struct watched_connection to_watched(const struct plain_facts *facts, uint64_t cookie)
{
    return (struct watched_connection){.client = plain_to_addr(&facts->client),
                                       .local = plain_to_addr(&facts->local),
                                       .client_port = facts->client_port,
                                       .local_port = facts->port,
                                       .cookie = cookie};
}

static void see(const struct plain_facts *const *facts, const uint64_t *cookies, size_t count)
{
    struct watched_connection connections[POOL];

    for (size_t i = 0; i < count; i++)
        connections[i] = to_watched(facts[i], cookies[i]);
    if (count == 0)
        return;
    engine_watch_seen(sim.engine, connections, count, sim.now);
    for (size_t i = 0; i < count; i++)
        model_watch_seen(&sim.model, facts[i], cookies[i], sim.now);
}

/* Tells of all that live, some at a time. */
static void dump_connections(void)
{
    const struct plain_facts *facts[POOL];
    uint64_t cookies[POOL];
    size_t count = 0;

    for (uint32_t i = 0, first = below(POOL); i < POOL; i++) {
        const struct connection *connection = &pool[(first + i) % POOL];
        if (!connection->lives)
            continue;
        facts[count] = &connection->facts;
        cookies[count++] = connection->cookie;
        if (below(3) == 0) {
            see(facts, cookies, count);
            count = 0;
        }
    }
    see(facts, cookies, count);
}

/* All that were not seen: most are gone. With `all` every one of them is. */
static void settle_missing(bool all)
{
    struct watched_session missing[MODEL_SESSIONS];

    for (;;) {
        const size_t room = 1 + below(6), count = engine_watch_missing(sim.engine, missing, room);
        session_id ids[MODEL_SESSIONS];
        struct model_session *session = NULL;
        for (size_t i = 0; i < count; i++) {
            session = model_next_missing(&sim.model, session);
            if (!session)
                fail("%zu missing sessions where the model has %zu", count, i);
            const struct watched_connection *got = &missing[i].connection;
            const struct watched_connection expected = to_watched(&session->facts, session->told.cookie);
            expect("client of a missing session", addr_equal(&got->client, &expected.client), true);
            expect("address of a missing session", addr_equal(&got->local, &expected.local), true);
            expect("client's port of a missing session", got->client_port, expected.client_port);
            expect("port of a missing session", got->local_port, expected.local_port);
            expect("cookie of a missing session", got->cookie, expected.cookie);
            expect("a missing session has a handle", missing[i].id != 0, true);
            if (session->id == 0)
                check_new_handle(missing[i].id, session);
            else
                expect("handle of a missing session", missing[i].id, session->id);
            ids[i] = session->id = missing[i].id;
        }
        if (count < room && model_next_missing(&sim.model, session))
            fail("a session is missing and was not told of");
        if (count == 0)
            return;
        for (size_t i = 0; i < count; i++) {
            session = model_find(&sim.model, ids[i]);
            if (session && !all && below(4) == 0) { /* overlooked */
                const struct plain_facts facts = session->facts, *const seen = &facts;
                const uint64_t cookie = below(2) ? session->told.cookie : random_cookie();
                see(&seen, &cookie, 1);
            } else {
                const bool ended = engine_watch_end(sim.engine, ids[i], sim.now);
                expect("a watched session ends", ended, true);
                model_watch_end(&sim.model, ids[i], sim.now);
                sim.stats.watched_ends++;
            }
        }
        if (!all && below(8) == 0)
            return; /* cut short */
    }
}

void event_watch(void)
{
    for (int i = 0; i < POOL; i++) {
        if (below(4) > 0)
            continue;
        pool[i].lives = below(3) > 0;
        if (below(4) == 0)
            pool[i].cookie = random_cookie();
    }
    const struct watched_ports got = engine_watch_begin(sim.engine), expected = model_watch_begin(&sim.model);
    expect_ports(&got, &expected);
    sim.stats.all_ports += expected.all;
    for (uint32_t requests = below(3); requests > 0 && has_room(); requests--)
        event_request(); /* what comes in meanwhile is not missed */
    dump_connections();
    if (below(8) > 0)
        settle_missing(false);
}

void end_watched(void)
{
    engine_watch_begin(sim.engine);
    model_watch_begin(&sim.model);
    settle_missing(true);
}
