/*
 * reading.c: what the pages read of the engine.
 */
#include "daemon/reading.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* So many are read at a time: as many as fit on the stack well. */
#define CHUNK 32

const char *event_name(enum event_kind kind)
{
    static const char *const names[EVENT_KINDS] = {
        [EVENT_CONNECT] = "connect", [EVENT_HELO] = "helo",   [EVENT_MAIL] = "mail",
        [EVENT_RCPT] = "rcpt",       [EVENT_DATA] = "data",   [EVENT_UNKNOWN] = "unknown",
        [EVENT_MESSAGE] = "message", [EVENT_ABORT] = "abort", [EVENT_REJECTED] = "rejected",
    };
    return names[kind];
}

struct engine_totals read_totals(struct control *control)
{
    pthread_mutex_lock(control->lock);
    struct engine_totals totals = engine_totals(control->engine);
    pthread_mutex_unlock(control->lock);
    return totals;
}

size_t read_limits(struct control *control, struct limit_view out[LIMIT_END])
{
    size_t count = 0, more;

    do {
        pthread_mutex_lock(control->lock);
        more = engine_limits(control->engine, count, out + count, LIMIT_END - count);
        pthread_mutex_unlock(control->lock);
        count += more;
    } while (more > 0);
    return count;
}

/* ---- counters ---- */

size_t read_counter_chunk(struct control *control, size_t from, struct counter_view out[COUNTERS_CHUNK])
{
    pthread_mutex_lock(control->lock);
    size_t count = engine_counters(control->engine, from, out, COUNTERS_CHUNK);
    pthread_mutex_unlock(control->lock);
    return count;
}

/* How many of each class there is room for. Returns how many that is in all. */
static size_t share_room(struct control *control, size_t most, counter_class *class_of, size_t room[COUNTER_CLASSES],
                         size_t *all)
{
    struct counter_view chunk[COUNTERS_CHUNK];
    size_t there[COUNTER_CLASSES] = {0}, taken = 0, count;

    *all = 0;
    while ((count = read_counter_chunk(control, *all, chunk)) > 0) {
        for (size_t i = 0; i < count; i++)
            there[class_of(&chunk[i])]++;
        *all += count;
    }
    for (unsigned i = 0; i < COUNTER_CLASSES; i++) {
        room[i] = there[i] < most - taken ? there[i] : most - taken;
        taken += room[i];
    }
    return taken;
}

bool read_counters(struct control *control, size_t most, counter_class *class_of, struct counters *out)
{
    struct counter_view chunk[COUNTERS_CHUNK];
    size_t room[COUNTER_CLASSES], from = 0, all, count;
    const size_t taken = share_room(control, most, class_of, room, &all);

    *out = (struct counters){.views = calloc(taken > 0 ? taken : 1, sizeof *out->views)};
    while (out->views && (count = read_counter_chunk(control, from, chunk)) > 0) {
        for (size_t i = 0; i < count; i++) {
            /* One whose class has changed since it was counted may find that class full. */
            size_t *left = &room[class_of(&chunk[i])];
            if (*left == 0)
                continue;
            --*left;
            out->views[out->count++] = chunk[i];
        }
        from += count;
    }
    out->left_out = all - out->count;
    return out->views != NULL;
}

void counters_free(struct counters *counters)
{
    free(counters->views);
    counters->views = NULL;
}

/* ---- activity and bans ---- */

void read_activity(struct control *control, enum activity_kind kind, struct best *lists, size_t count)
{
    struct activity_view views[CHUNK];
    uint64_t next = 0;

    do {
        pthread_mutex_lock(control->lock);
        size_t found = engine_activity(control->engine, kind, control->now(), &next, views, CHUNK);
        pthread_mutex_unlock(control->lock);
        for (size_t i = 0; i < found; i++)
            for (size_t list = 0; list < count; list++)
                best_offer(&lists[list], &views[i]);
    } while (next != 0);
}

struct activity_totals read_activity_totals(struct control *control, enum activity_kind kind)
{
    pthread_mutex_lock(control->lock);
    const struct activity_totals totals = engine_activity_totals(control->engine, kind);
    pthread_mutex_unlock(control->lock);
    return totals;
}

int most_time_left_first(const void *a, const void *b)
{
    const struct ban_view *x = a, *y = b;
    return (x->left_ns < y->left_ns) - (x->left_ns > y->left_ns);
}

void read_bans(struct control *control, const char *limit, struct best *list)
{
    const struct engine_totals totals = read_totals(control);
    struct ban_view views[CHUNK];
    uint64_t next = 0;

    /* The table may be large, and most of the time nobody is banned. */
    if (totals.bans == 0 && totals.operator_bans == 0)
        return;
    do {
        pthread_mutex_lock(control->lock);
        size_t found = engine_bans(control->engine, control->now(), &next, views, CHUNK);
        pthread_mutex_unlock(control->lock);
        for (size_t i = 0; i < found; i++)
            if (!limit || strcmp(views[i].name, limit) == 0)
                best_offer(list, &views[i]);
    } while (next != 0);
}

/* ---- latency ---- */

struct latency_reading read_latency(const struct latency *latency)
{
    struct latency_reading reading = {.count = 0};

    /* The sum first: an event that comes meanwhile must not be in it alone. */
    reading.sum = (double)atomic_load(&latency->sum_ns) / 1e9;
    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++) {
        reading.buckets[i] = atomic_load(&latency->buckets[i]);
        reading.count += reading.buckets[i];
    }
    return reading;
}

double latency_part(const struct latency_reading *reading, unsigned permille)
{
    const uint64_t rank = reading->count - reading->count / 1000 * (1000 - permille) -
                          reading->count % 1000 * (1000 - permille) / 1000; /* rounded up */
    uint64_t sum = 0;

    for (unsigned i = 0; i < LATENCY_BOUNDS && reading->count > 0; i++) {
        sum += reading->buckets[i];
        if (sum >= rank)
            return (double)latency_bounds[i] / 1e9;
    }
    return INFINITY;
}
