/*
 * door_case.h: milter/door.c with its memory counted, an engine that is played here, so that each event can be seen and
 * each verdict chosen, and an MTA that says the usual. To be included once, by the program's only test file.
 */
#ifndef UNIT_DOOR_CASE_H
#define UNIT_DOOR_CASE_H

#include "check_main.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

/* Before each block stands its size. */
#define BLOCK_HEAD 16
static size_t blocks, bytes, most_bytes;
static unsigned allocations, failing; /* the number of the allocation that fails, and all after it; 0: none */

static inline void *counting_malloc(size_t size)
{
    allocations++;
    if (failing && allocations >= failing)
        return NULL;
    char *block = malloc(BLOCK_HEAD + size);
    ck_assert_ptr_nonnull(block);
    memcpy(block, &size, sizeof size);
    blocks++;
    bytes += size + 2 * sizeof(void *);
    if (bytes > most_bytes)
        most_bytes = bytes;
    return block + BLOCK_HEAD;
}

static inline char *counting_strdup(const char *text)
{
    char *copy = counting_malloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

static inline void counting_free(void *memory)
{
    size_t size;

    if (!memory)
        return;
    memcpy(&size, (char *)memory - BLOCK_HEAD, sizeof size);
    blocks--;
    bytes -= size + 2 * sizeof(void *);
    free((char *)memory - BLOCK_HEAD);
}

#define malloc counting_malloc
#undef strdup
#define strdup counting_strdup
#define free counting_free
#include "milter/door.c"
#undef malloc
#undef strdup
#undef free

/* ---- the engine ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char calls[1024]; /* what the engine was asked, in order: "connect 1, helo 1, close 1" by handle */
static struct connect_event event;
static char domain_at_connect[NAME_SIZE];
static int64_t event_now;
static session_id next_id;
static struct verdict next_verdict;
static const char *next_score; /* NULL: no points */
static unsigned told;
static struct verdict told_verdict;
static struct addr told_client;

/* The last event, its names copied; "NULL" for one that is not there. */
static struct heard {
    enum event_kind kind;
    bool rejected;
    char client_domain[NAME_SIZE], helo[NAME_SIZE], sender[NAME_SIZE], user[NAME_SIZE], recipient[NAME_SIZE];
} heard;

/* Called by the door in place of the engine's own: the lock must be held. */
static inline void note(const char *what, session_id id)
{
    char text[32];
    ck_assert_int_ne(pthread_mutex_trylock(&lock), 0);
    snprintf(text, sizeof text, "%s%s %u", *calls ? ", " : "", what, (unsigned)id);
    ck_assert_uint_lt(strlen(calls) + strlen(text), sizeof calls);
    strcat(calls, text);
}

static inline void copy_name(char out[NAME_SIZE], const char *name)
{
    ck_assert(!name || strlen(name) < NAME_SIZE);
    strcpy(out, name ? name : "NULL");
}

void engine_connect(struct engine *engine, const struct connect_event *connect, int64_t now, session_id *id,
                    struct verdict *verdict)
{
    (void)engine;
    event = *connect;
    copy_name(domain_at_connect, connect->client_domain);
    event_now = now;
    *id = next_id;
    *verdict = next_verdict;
    note("connect", next_id);
}

void engine_event(struct engine *engine, session_id id, const struct event *said, int64_t now, struct verdict *verdict)
{
    static const char *const names[EVENT_KINDS] = {"", "helo", "mail", "rcpt", "data", "unknown", "message", "abort"};

    (void)engine;
    ck_assert_uint_ne(id, 0);
    heard.kind = said->kind;
    heard.rejected = said->rejected;
    copy_name(heard.client_domain, said->client_domain);
    copy_name(heard.helo, said->helo);
    copy_name(heard.sender, said->sender);
    copy_name(heard.user, said->user);
    copy_name(heard.recipient, said->recipient);
    event_now = now;
    *verdict = next_verdict;
    note(names[said->kind], id);
}

bool engine_score(const struct engine *engine, session_id id, char out[SCORE_TEXT_SIZE])
{
    (void)engine;
    note("score", id);
    if (next_score)
        strcpy(out, next_score);
    return next_score != NULL;
}

void engine_spoken(struct engine *engine, session_id id)
{
    (void)engine;
    note("spoken", id);
}

bool engine_close(struct engine *engine, session_id id, int64_t now)
{
    (void)engine;
    event_now = now;
    note("close", id);
    return true;
}

static inline void tell(const struct verdict *verdict, const struct addr *client)
{
    ck_assert_int_eq(pthread_mutex_trylock(&lock), 0); /* a log must not be written under the engine's lock */
    pthread_mutex_unlock(&lock);
    told++;
    told_verdict = *verdict;
    told_client = *client;
}

static int64_t clock_time = 4711, clock_step; /* how much later it is the next time */

static inline int64_t clock_now(void)
{
    int64_t now = clock_time;
    clock_time += clock_step;
    return now;
}

/* ---- the MTA ---- */

static const struct door_params door = {.lock = &lock, .now = clock_now, .tell = tell};
static struct door_session session;
static char score[SCORE_TEXT_SIZE];

static inline void setup(void)
{
    calls[0] = '\0';
    told = 0;
    clock_time = 4711;
    clock_step = 0;
    allocations = failing = 0;
    next_id = 1;
    next_verdict = (struct verdict){.kind = VERDICT_CONTINUE};
    next_score = NULL;
    session = (struct door_session){0};
}

static inline void teardown(void)
{
    ck_assert_int_eq(pthread_mutex_trylock(&lock), 0); /* let go, whatever happened */
    pthread_mutex_unlock(&lock);
    door_close(&door, &session);
    ck_assert_uint_eq(blocks, 0);
}

static inline void will_go_on(session_id id)
{
    next_id = id;
    next_verdict = (struct verdict){.kind = VERDICT_CONTINUE};
}

static inline void will_refuse(enum refuse_at speak_at, session_id id, int64_t delay_ns)
{
    next_id = id;
    next_verdict = (struct verdict){.kind = VERDICT_REFUSE,
                                    .speak_at = speak_at,
                                    .reply = {"421", "4.4.5", "Too many."},
                                    .delay_ns = delay_ns,
                                    .finding_count = 1,
                                    .findings = {{.limit = LIMIT_CLIENT_SESSIONS}}};
}

static inline void will_refuse_with(const char *code, int64_t delay_ns)
{
    will_refuse(REFUSE_AT_HELO, 1, delay_ns);
    strcpy(next_verdict.reply.code, code);
    next_verdict.reply.enhanced[0] = code[0];
}

static inline struct door_answer connect_plainly(void)
{
    struct door_connect connect = {.client = {.family = ADDR_NONE}};
    addr_parse("192.0.2.1", &connect.client);
    return door_connect(&door, &session, &connect);
}

/* The callbacks that are answered, connect apart. */
static inline struct door_answer say_helo(void)
{
    return door_helo(&door, &session, "client.test.example");
}

static inline struct door_answer say_mail(void)
{
    return door_mail(&door, &session, "<sender@client.test.example>", NULL);
}

static inline struct door_answer say_rcpt(void)
{
    return door_rcpt(&door, &session, "<rcpt@mx.test.example>", false);
}

static inline struct door_answer say_rejected(void)
{
    return door_rcpt(&door, &session, "<nobody@mx.test.example>", true);
}

static inline struct door_answer say_data(void)
{
    return door_data(&door, &session);
}

static inline struct door_answer say_unknown(void)
{
    return door_unknown(&door, &session);
}

static inline struct door_answer say_message(void)
{
    return door_message(&door, &session, score);
}

static struct door_answer (*const sayings[])(void) = {say_helo, say_mail,    say_rcpt,   say_rejected,
                                                      say_data, say_unknown, say_message};
enum { SAYINGS = sizeof sayings / sizeof *sayings };

static inline void assert_refused_with(struct door_answer answer, const char *code, int64_t delay_ns)
{
    ck_assert_int_eq(answer.kind, DOOR_REFUSE);
    ck_assert_str_eq(answer.reply.code, code);
    ck_assert_str_eq(answer.reply.text, "Too many.");
    ck_assert_int_eq(answer.reply.enhanced[0], code[0]);
    ck_assert_str_eq(answer.reply.enhanced + 1, ".4.5");
    ck_assert_int_eq(answer.delay_ns, delay_ns);
}

static inline void assert_refused(struct door_answer answer, int64_t delay_ns)
{
    assert_refused_with(answer, "421", delay_ns);
}

static inline void assert_goes_on(struct door_answer answer)
{
    ck_assert_int_eq(answer.kind, DOOR_CONTINUE);
    ck_assert_int_eq(answer.delay_ns, 0);
}

#endif
