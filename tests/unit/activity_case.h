/*
 * activity_case.h: what is known of clients and domains in the engine of engine_case.h. For the tests of activity.
 */
#ifndef UNIT_ACTIVITY_CASE_H
#define UNIT_ACTIVITY_CASE_H

#include "engine_case.h"

#include "engine/activity.h"

/* What is known of that client or domain; all 0 when nothing is. Fails when it is told twice. */
static inline struct activity_view seen(enum activity_kind kind, const char *name)
{
    struct activity_view views[8], found = {.sessions = 0};
    uint64_t next = 0;
    unsigned times = 0;

    do {
        size_t count = engine_activity(engine, kind, now, &next, views, 8);
        for (size_t i = 0; i < count; i++) {
            char text[PREFIX_TEXT_SIZE];
            prefix_format(&views[i].client, text);
            if (strcmp(kind == ACTIVITY_OF_CLIENTS ? text : views[i].domain, name) != 0)
                continue;
            found = views[i];
            times++;
        }
    } while (next != 0);
    ck_assert_uint_le(times, 1);
    return found;
}

#define assert_client(name, sessions_, connections_, messages_, refused_, monitored_) \
    do {                                                                              \
        const struct activity_view view_ = seen(ACTIVITY_OF_CLIENTS, name);           \
        ck_assert_uint_eq(view_.sessions, sessions_);                                 \
        ck_assert_uint_eq(view_.connections, connections_);                           \
        ck_assert_uint_eq(view_.messages, messages_);                                 \
        ck_assert_uint_eq(view_.refused, refused_);                                   \
        ck_assert_uint_eq(view_.monitored, monitored_);                               \
    } while (0)

#define assert_domain(name, messages_, refused_, monitored_)                \
    do {                                                                    \
        const struct activity_view view_ = seen(ACTIVITY_OF_DOMAINS, name); \
        ck_assert_uint_eq(view_.messages, messages_);                       \
        ck_assert_uint_eq(view_.refused, refused_);                         \
        ck_assert_uint_eq(view_.monitored, monitored_);                     \
    } while (0)

static inline unsigned known(enum activity_kind kind)
{
    static struct activity_view views[ENGINE_BATCH + 1];
    uint64_t next = 0;
    unsigned count = 0;

    do {
        size_t some = engine_activity(engine, kind, now, &next, views, ENGINE_BATCH + 1);
        ck_assert_uint_le(some, ENGINE_BATCH);
        count += (unsigned)some;
    } while (next != 0);
    return count;
}

static inline unsigned messages_of_all(void)
{
    struct activity_view views[8];
    uint64_t next = 0;
    unsigned sum = 0;

    do {
        size_t count = engine_activity(engine, ACTIVITY_OF_CLIENTS, now, &next, views, 8);
        for (size_t i = 0; i < count; i++)
            sum += views[i].messages;
    } while (next != 0);
    return sum;
}

#endif
