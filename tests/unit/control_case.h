/*
 * control_case.h: a struct control around the engine of engine_case.h, with a clock that is told, and looks at what the
 * pages answer. For the tests of pages.
 */
#ifndef UNIT_CONTROL_CASE_H
#define UNIT_CONTROL_CASE_H

#include "engine_case.h"

#include <event2/buffer.h>
#include <stdlib.h>

#include "daemon/control.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct config config;
static struct latency latency;
static struct history *history;
static struct control control;
static double wall;
static uint64_t turned_away;

static inline int64_t clock_now(void)
{
    return now;
}

static inline double clock_wall(void)
{
    return wall;
}

static inline uint64_t count_turned_away(void)
{
    return turned_away;
}

static inline void control_setup(void)
{
    case_setup();
    wall = 1795286000.5;
    turned_away = 0;
    config = (struct config){.path = (char *)"/etc/tidegate/tidegate.conf"};
    memset(&latency, 0, sizeof latency);
    history = history_new();
    control = (struct control){.lock = &lock,
                               .now = clock_now,
                               .wall = clock_wall,
                               .started = 1795280000,
                               .reloaded = 1795281000.25,
                               .config = &config,
                               .waiting = waiting_new(100, SECOND),
                               .latency = &latency,
                               .history = history,
                               .turned_away = count_turned_away};
    ck_assert(control.waiting && history);
}

static inline void control_teardown(void)
{
    ck_assert_int_eq(pthread_mutex_trylock(&lock), 0); /* let go, whatever happened */
    pthread_mutex_unlock(&lock);
    control_forget(&control);
    waiting_free(&control.waiting);
    history_free(&history);
    case_teardown();
}

/* An engine with the rules so far. */
static inline void serve(void)
{
    start();
    control.engine = engine;
}

/* The answer to a query like "sort=refused&n=5"; its status must be that. The caller lets go of it. */
static inline json_t *get(control_page *page, const char *query, int expected)
{
    struct evkeyvalq parameters;
    int status = 0;

    ck_assert_int_eq(evhttp_parse_query_str(query, &parameters), 0);
    json_t *answer = page(&control, &parameters, &status);
    evhttp_clear_headers(&parameters);
    ck_assert_ptr_nonnull(answer);
    ck_assert_int_eq(status, expected);
    char *text = json_dumps(answer, 0); /* whatever is in it, it is JSON */
    ck_assert_ptr_nonnull(text);
    json_decref(answer);
    answer = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(answer);
    free(text);
    return answer;
}

/* The value at a path like "sessions.open" or "scopes.0.max"; it must be there. */
static inline json_t *value_at(json_t *json, const char *path)
{
    char part[64];

    for (const char *rest = path; *rest;) {
        size_t length = strcspn(rest, ".");
        ck_assert_uint_lt(length, sizeof part);
        memcpy(part, rest, length);
        part[length] = '\0';
        json = json_is_array(json) ? json_array_get(json, (size_t)atoi(part)) : json_object_get(json, part);
        ck_assert_msg(json, "there is no %s in %s", part, path);
        rest += length + (rest[length] == '.');
    }
    return json;
}

#define assert_int(json, path, expected)                        \
    do {                                                        \
        json_t *value_ = value_at(json, path);                  \
        ck_assert_msg(json_is_integer(value_), "%s", path);     \
        ck_assert_int_eq(json_integer_value(value_), expected); \
    } while (0)
#define assert_text(json, path, expected) ck_assert_str_eq(json_string_value(value_at(json, path)), expected)
#define assert_real(json, path, expected)                                                    \
    ck_assert_msg(json_number_value(value_at(json, path)) == (expected), "%s is %.9g", path, \
                  json_number_value(value_at(json, path)))
#define assert_null(json, path) ck_assert_msg(json_is_null(value_at(json, path)), "%s", path)
#define assert_size(json, path, expected) ck_assert_uint_eq(json_array_size(value_at(json, path)), expected)

#endif
