/*
 * engine_case.h: the engine under test: rules for it, clients that talk to it, a look at its verdicts and counters. For
 * the tests of the engine as a whole.
 */
#ifndef UNIT_ENGINE_CASE_H
#define UNIT_ENGINE_CASE_H

#include <check.h>
#include <string.h>

#include "engine/engine.h"

#define SECOND INT64_C(1000000000)
#define HOUR (3600 * SECOND)

/* The longest that one tick of the engine's time lasts (window.h). */
#define TICK (INT64_C(1) << 24)

static struct rules_builder *builder; /* of the next start() or reload() */
static struct engine *engine;
static struct verdict verdict; /* of the last event */
static struct event said;      /* what the client has said of itself */
static int64_t now;
static int64_t idle_slack;

static inline void case_setup(void)
{
    builder = rules_builder_new();
    ck_assert_ptr_nonnull(builder);
    now = 1000 * SECOND;
    idle_slack = 0;
}

static inline void case_teardown(void)
{
    rules_builder_free(&builder);
    engine_free(&engine);
    ck_assert_ptr_null(engine);
}

/* ---- rules ---- */

/* A block of a built-in limit with that max. */
static inline limit_block_id limit_in(scope_id scope, limit_number limit, int64_t max)
{
    limit_block_id block = rules_add_limit_block(builder, scope, limit);
    rules_set_term(builder, block, TERM_MAX, max);
    return block;
}

/* A block of another limit. */
static inline limit_block_id custom_in(scope_id scope, const char *name, enum limit_count count, enum limit_per per,
                                       int64_t max, int64_t window)
{
    limit_block_id block = limit_in(scope, rules_add_limit(builder, name, count, per), max);
    if (window > 0)
        rules_set_term(builder, block, TERM_WINDOW, window);
    return block;
}

static inline struct prefix prefix_of(const char *text)
{
    struct prefix prefix;
    ck_assert_int_eq(prefix_parse(text, &prefix), PREFIX_OK);
    return prefix;
}

/* The rules, and a new builder for the next ones. */
static inline struct rules *build_rules(void)
{
    struct rules_error error;
    struct rules *rules = rules_build(builder, &error);
    ck_assert_ptr_nonnull(rules);
    rules_builder_free(&builder);
    builder = rules_builder_new();
    ck_assert_ptr_nonnull(builder);
    return rules;
}

static inline void start_with(uint32_t sessions, uint32_t keys)
{
    const struct engine_params params = {.session_records = sessions,
                                         .table_records = keys,
                                         .seed = {5, 6},
                                         .idle_slack_ns = idle_slack,
                                         .connections = true,
                                         .activity = true};
    struct rules *rules = build_rules();
    engine_free(&engine);
    engine = engine_new(&params, &rules);
    ck_assert_ptr_nonnull(engine);
    ck_assert_ptr_null(rules);
}

static inline void start(void)
{
    start_with(64, 256);
}

static inline struct tally *begin_reload(void)
{
    struct rules *rules = build_rules();
    struct tally *next = engine_reload_begin(engine, &rules);
    ck_assert_ptr_nonnull(next);
    ck_assert_ptr_null(rules);
    return next;
}

static inline void finish_reload(void)
{
    struct tally *retired = engine_reload_finish(engine);
    ck_assert_ptr_nonnull(retired);
    engine_retired_free(&retired);
    ck_assert_ptr_null(retired);
}

static inline void reload(void)
{
    struct tally *next = begin_reload();
    while (!engine_reload_step(engine, next))
        continue;
    finish_reload();
}

/* ---- clients ---- */

/* "" is a client without an address. It has said nothing but the domain of its name yet. */
static inline session_id connect_as(const char *client, const char *client_domain, const char *daemon_name)
{
    struct connect_event event = {.daemon_name = daemon_name, .client_domain = client_domain};
    session_id id = 99;
    ck_assert(!*client || addr_parse(client, &event.client));
    memset(&verdict, 0xee, sizeof verdict);
    engine_connect(engine, &event, now, &id, &verdict);
    said = (struct event){.client_domain = client_domain};
    return id;
}

static inline session_id connect_from(const char *client)
{
    return connect_as(client, NULL, NULL);
}

static inline void event(session_id id, enum event_kind kind)
{
    said.kind = kind;
    memset(&verdict, 0xee, sizeof verdict);
    engine_event(engine, id, &said, now, &verdict);
}

static inline void helo(session_id id, const char *name)
{
    said.helo = name;
    event(id, EVENT_HELO);
}

static inline void mail(session_id id, const char *sender)
{
    said.sender = sender;
    event(id, EVENT_MAIL);
}

static inline void rcpt(session_id id, const char *recipient)
{
    said.recipient = recipient;
    event(id, EVENT_RCPT);
    said.recipient = NULL;
}

/* A recipient that the MTA rejects. */
static inline void rejected(session_id id, const char *recipient)
{
    said.rejected = true;
    rcpt(id, recipient);
    said.rejected = false;
}

static inline void unknown(session_id id)
{
    event(id, EVENT_UNKNOWN);
}

/* A whole message to one recipient. */
static inline void deliver(session_id id, const char *sender)
{
    mail(id, sender);
    rcpt(id, "somebody@example.net");
    event(id, EVENT_DATA);
    event(id, EVENT_MESSAGE);
}

static inline void leave(session_id id)
{
    ck_assert(engine_close(engine, id, now));
}

/* ---- verdicts ---- */

#define assert_passed()                                          \
    do {                                                         \
        ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);        \
        ck_assert_uint_eq(verdict.finding_count, 0);             \
        ck_assert_int_eq(verdict.findings[0].limit, LIMIT_NONE); \
    } while (0)

/* The finding of that limit; it must be there. */
static inline const struct finding *finding_of(const char *name)
{
    for (unsigned i = 0; i < verdict.finding_count; i++)
        if (strcmp(verdict.findings[i].name, name) == 0)
            return &verdict.findings[i];
    ck_abort_msg("no finding of %s", name);
    return NULL;
}

#define assert_found(limit, done, counted, most)          \
    do {                                                  \
        const struct finding *found_ = finding_of(limit); \
        ck_assert_int_eq(found_->action, done);           \
        ck_assert_uint_eq(found_->count, counted);        \
        ck_assert_uint_eq(found_->max, most);             \
    } while (0)

/* Refused by that limit, which is the last that is told. */
#define assert_refused(limit, counted, most)                                       \
    do {                                                                           \
        ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);                            \
        ck_assert_str_eq(verdict.findings[verdict.finding_count - 1].name, limit); \
        assert_found(limit, ACTION_REFUSE, counted, most);                         \
    } while (0)

/* It passes, and one limit says that it would have been refused. */
#define assert_monitored(limit, counted, most)              \
    do {                                                    \
        ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);   \
        ck_assert_uint_eq(verdict.finding_count, 1);        \
        assert_found(limit, ACTION_MONITOR, counted, most); \
    } while (0)

#define assert_reply(expected_code, expected_enhanced, expected_text) \
    do {                                                              \
        ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);               \
        ck_assert_str_eq(verdict.reply.code, expected_code);          \
        ck_assert_str_eq(verdict.reply.enhanced, expected_enhanced);  \
        ck_assert_str_eq(verdict.reply.text, expected_text);          \
    } while (0)

/* ---- counters ---- */

/* The counter of that scope. */
static inline struct counter_view counter(const char *scope)
{
    struct counter_view view;
    for (size_t i = 0; engine_counters(engine, i, &view, 1) == 1; i++)
        if (strcmp(view.scope, scope) == 0)
            return view;
    ck_abort_msg("no counter for %s", scope);
    return view;
}

/* What that limit has done. */
static inline struct limit_view limit_done(const char *name)
{
    struct limit_view view;
    for (size_t i = 0; engine_limits(engine, i, &view, 1) == 1; i++)
        if (strcmp(view.name, name) == 0)
            return view;
    ck_abort_msg("no limit %s", name);
    return view;
}

#endif
