/*
 * fuzz_attributes.c: whatever comes over a connection of the policy door, from the bytes to the answers. A target for
 * libFuzzer; run.sh builds and runs it.
 *
 * The bytes are cut into requests, all at once and again as if they came one by one; each request is taken apart and
 * compared with what a plain reader finds, then put to an engine whose limits are low and whose tables are small. Every
 * input has an engine of its own, so that a finding depends on its input alone.
 */
#include <sanitizer/asan_interface.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "plain_attributes.h"
#include "policy/policy_door.h"

#define SECOND INT64_C(1000000000)

/* What must hold, on whatever input. */
#define REQUIRE(condition)                                                          \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the rules ---- */

static struct rules_builder *builder; /* made with the first engine, and never changed again */
static struct engine *engine;         /* NULL: none is made */
static struct policy_hosts hosts;
static bool asked; /* it has answered something */
static int64_t now;

/* A block of a built-in limit, in the service. */
static limit_block_id limit(unsigned number, int64_t max, enum limit_mode mode)
{
    limit_block_id block = rules_add_limit_block(builder, RULES_SERVICE, number);

    rules_set_term(builder, block, TERM_MAX, max);
    rules_set_term(builder, block, TERM_MODE, mode);
    rules_set_term(builder, block, TERM_POINTS, 7);
    return block;
}

static void add_limits(void)
{
    static const struct reply reply = {"452", "4.5.3", "{client} has {count} of {max} ({limit})."};

    limit(LIMIT_NUMBER_CLIENT_SESSIONS, 2, MODE_BLOCK);
    limit(LIMIT_NUMBER_CLIENT_MESSAGES, 5, MODE_SCORE);
    limit(LIMIT_NUMBER_CLIENT_RECIPIENTS, 9, MODE_BLOCK);
    limit(LIMIT_NUMBER_SENDER_RECIPIENTS, 2, MODE_SCORE);
    limit(LIMIT_NUMBER_RECIPIENT_MESSAGES, 2, MODE_MONITOR);
    limit(LIMIT_NUMBER_RECIPIENT_BOUNCES, 1, MODE_BLOCK);
    limit(LIMIT_NUMBER_DOMAIN_NETWORKS, 2, MODE_SCORE);
    limit(LIMIT_NUMBER_HELO_NETWORKS, 1, MODE_SCORE);
    limit(LIMIT_NUMBER_SESSION_ERRORS, 3, MODE_BLOCK);
    limit(LIMIT_NUMBER_SESSION_RECIPIENTS, 6, MODE_BLOCK);
    limit(LIMIT_NUMBER_SESSION_MESSAGES, 3, MODE_BLOCK);
    limit(LIMIT_NUMBER_MESSAGE_RECIPIENTS, 4, MODE_BLOCK);
    rules_set_reply(builder, limit(LIMIT_NUMBER_USER_RECIPIENTS, 2, MODE_BLOCK), &reply);

    limit_block_id banning = limit(LIMIT_NUMBER_CLIENT_CONNECTIONS, 4, MODE_BLOCK);
    rules_set_term(builder, banning, TERM_BAN, 60 * SECOND);
    rules_set_term(builder, banning, TERM_DISCONNECT_DELAY, 2 * SECOND);
    limit_block_id errors = limit(LIMIT_NUMBER_CLIENT_ERRORS, 4, MODE_BLOCK);
    rules_set_term(builder, errors, TERM_BAN, 60 * SECOND);
}

static void add_scopes(void)
{
    struct prefix home;
    scope_id submission = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, "submission");
    scope_id peer = rules_add_scope(builder, SCOPE_PEER, submission, "home");

    REQUIRE(prefix_parse("192.0.2.0/24", &home) == PREFIX_OK);
    rules_set_daemon_name(builder, submission, "submission");
    rules_add_prefix(builder, peer, &home);
    rules_set(builder, peer, SETTING_LISTENER_SESSIONS, 1);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 4);
    rules_set(builder, RULES_SERVICE, SETTING_SCORE_REFUSE, 40);
    rules_set(builder, RULES_SERVICE, SETTING_REFUSE_AT, REFUSE_AT_HELO);
}

static void add_lists(void)
{
    struct prefix denied, exempt;

    REQUIRE(prefix_parse("203.0.113.0/24", &denied) == PREFIX_OK);
    REQUIRE(prefix_parse("2001:db8:e::/48", &exempt) == PREFIX_OK);
    rules_add_list_prefix(builder, LIST_DENY, &denied);
    rules_add_list_prefix(builder, LIST_EXEMPT, &exempt);
    rules_add_list_sender(builder, LIST_DENY, "denied.example");
    rules_add_list_user(builder, LIST_EXEMPT, "postmaster");
    rules_set_reputation(builder, 3600 * SECOND);
}

static void start_engine(void)
{
    const struct engine_params params = {
        .session_records = 6, .table_records = 24, .seed = {5, 6}, .connections = true};
    struct rules_error error;

    if (!builder) {
        builder = rules_builder_new();
        REQUIRE(builder);
        add_scopes();
        add_limits();
        add_lists();
    }
    struct rules *rules = rules_build(builder, &error);
    REQUIRE(rules);
    engine = engine_new(&params, &rules);
    REQUIRE(engine);
}

/* ---- the door ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t clock_now(void)
{
    return now;
}

static void tell(const struct verdict *verdict, const struct addr *client)
{
    (void)client;
    REQUIRE(verdict->finding_count > 0 && verdict->finding_count <= FINDINGS_MAX);
    REQUIRE(pthread_mutex_trylock(&lock) == 0); /* a log is not written under the engine's lock */
    pthread_mutex_unlock(&lock);
}

static bool is_printable(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return length > 0;
}

/* One line "action=...", printable, and an empty one. */
static void check_answer(const struct policy_answer *answer)
{
    REQUIRE(answer->length > sizeof "action=\n\n" - 1 && answer->length < POLICY_ANSWER_SIZE);
    REQUIRE(answer->text[answer->length] == '\0');
    REQUIRE(strncmp(answer->text, "action=", 7) == 0);
    REQUIRE(strcmp(answer->text + answer->length - 2, "\n\n") == 0);
    REQUIRE(is_printable(answer->text, answer->length - 2));
    REQUIRE(answer->delay_ns >= 0);
}

static void ask(enum request_hold hold, const struct attributes *attributes)
{
    if (!engine)
        start_engine();
    const struct door_params door = {.engine = engine, .lock = &lock, .now = clock_now, .tell = tell};
    struct policy_answer answer;

    memset(&answer, 0xee, sizeof answer);
    const char *wrong = policy_answer(&door, &hosts, hold, attributes, &answer);
    now += SECOND;
    if (wrong) {
        REQUIRE(is_printable(wrong, strlen(wrong)));
        return;
    }
    asked = true;
    check_answer(&answer);
}

/* Once everybody is gone nothing is held any more. */
static void end_engine(void)
{
    struct watched_session watched;
    struct counter_view counter;

    now += ENGINE_REMEMBER_NS + SECOND;
    engine_lapse(engine, now);
    engine_watch_begin(engine);
    while (engine_watch_missing(engine, &watched, 1) > 0)
        REQUIRE(engine_close(engine, watched.id, now));
    for (size_t i = 0; engine_counters(engine, i, &counter, 1) > 0; i++)
        REQUIRE(counter.count == 0 && counter.pending == 0);
    REQUIRE(engine_totals(engine).sessions == 0);
    REQUIRE(engine_totals(engine).clients == 0);
    engine_free(&engine);
    asked = false;
}

/* ---- the bytes ---- */

/* The request as attributes_whole() gave it. */
static void check_request(enum request_hold hold, const char *request, size_t size)
{
    struct plain_attributes plain;
    struct attributes attributes;
    char *text = malloc(size); /* not a byte more, so that one too far is found */

    memcpy(text, request, size);
    memset(&attributes, 0xee, sizeof attributes);
    const char *wrong = attributes_read(text, size, &attributes);
    bool good = plain_read(request, size, &plain);
    REQUIRE(good == !wrong);
    for (int i = 0; good && i < ATTRIBUTE_COUNT; i++) {
        const char *value = attributes.value[i];
        if (!plain.given[i]) {
            REQUIRE(!value);
            continue;
        }
        REQUIRE(value > text && value < text + size && memchr(value, '\0', (size_t)(text + size - value)));
        REQUIRE(value == text + plain.at[i] && strlen(value) == plain.length[i]);
        REQUIRE(memcmp(value, request + plain.at[i], plain.length[i]) == 0);
    }
    if (good)
        ask(hold, &attributes);
    else
        REQUIRE(is_printable(wrong, strlen(wrong)));
    free(text);
}

/* Lets one more byte of what is poisoned be read; all before it can be already. */
static void reveal(const char *byte)
{
    size_t past = (uintptr_t)byte % 8; /* the sanitizer knows eight bytes at a time, and how many of them may be read */

    ASAN_UNPOISON_MEMORY_REGION(byte - past, past + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size + 1);
    size_t start = 0;
    unsigned requests = 0;

    now = 1000 * SECOND;
    memcpy(bytes, data, size);
    ASAN_POISON_MEMORY_REGION(bytes, size + 1);
    for (size_t seen = 1; seen <= size; seen++) {
        reveal(bytes + seen - 1);
        size_t whole = attributes_whole(bytes + start, seen - start, seen - start - 1);
        if (whole == 0)
            continue;
        REQUIRE(whole == seen - start);
        REQUIRE(whole == attributes_whole((const char *)data + start, size - start, 0));
        REQUIRE(whole == plain_whole((const char *)data + start, size - start));
        if (whole <= ATTRIBUTES_SIZE_MAX)
            check_request((enum request_hold)((size + requests) % 3), bytes + start, whole);
        start = seen;
        requests++;
    }
    REQUIRE(attributes_whole((const char *)data + start, size - start, 0) == 0);
    REQUIRE(plain_whole((const char *)data + start, size - start) == 0);
    if (asked)
        end_engine();
    ASAN_UNPOISON_MEMORY_REGION(bytes, size + 1);
    free(bytes);
    return 0;
}
