/*
 * history.c: how the counters went.
 */
#include "daemon/history.h"

#include <stdlib.h>
#include <string.h>

struct scope_series {
    char name[SCOPE_NAME_SIZE];
    uint32_t max;
    bool named; /* in this sample */
    uint32_t sessions[HISTORY_SAMPLES];
};

struct limit_series {
    char name[LIMIT_NAME_SIZE];
    bool named;
    bool told;          /* it has refused or monitored something */
    uint64_t before[2]; /* what it had done by the last sample: ACTION_REFUSE, ACTION_MONITOR */
    uint32_t refused[HISTORY_SAMPLES], monitored[HISTORY_SAMPLES];
};

struct history {
    unsigned samples; /* that there are */
    unsigned place;   /* of the last one in each ring */
    double when;
    size_t scope_count, limit_count;
    struct scope_series scopes[HISTORY_SCOPES];
    struct limit_series limits[HISTORY_LIMITS];
};

struct history *history_new(void)
{
    struct history *history = calloc(1, sizeof(struct history));
    if (history)
        history->place = HISTORY_SAMPLES - 1;
    return history;
}

void history_free(struct history **history)
{
    free(*history);
    *history = NULL;
}

size_t history_bytes(void)
{
    return sizeof(struct history);
}

/* ---- taking samples ---- */

void history_begin(struct history *history, double when)
{
    history->place = (history->place + 1) % HISTORY_SAMPLES;
    if (history->samples < HISTORY_SAMPLES)
        history->samples++;
    history->when = when;
    for (size_t i = 0; i < history->scope_count; i++)
        history->scopes[i].named = false;
    for (size_t i = 0; i < history->limit_count; i++)
        history->limits[i].named = false;
}

static void fill_unknown(uint32_t samples[HISTORY_SAMPLES])
{
    for (unsigned i = 0; i < HISTORY_SAMPLES; i++)
        samples[i] = HISTORY_UNKNOWN;
}

/* No count looks like one that is not known. */
static uint32_t known(uint64_t count)
{
    return count < HISTORY_UNKNOWN ? (uint32_t)count : HISTORY_UNKNOWN - 1;
}

/* NULL: there is no room. What has been named in this sample already is another of the same name. */
static struct scope_series *scope_of(struct history *history, const char *name)
{
    for (size_t i = 0; i < history->scope_count; i++)
        if (!history->scopes[i].named && strcmp(history->scopes[i].name, name) == 0)
            return &history->scopes[i];
    if (history->scope_count == HISTORY_SCOPES)
        return NULL;
    struct scope_series *series = &history->scopes[history->scope_count++];
    strcpy(series->name, name);
    fill_unknown(series->sessions);
    return series;
}

void history_counter(struct history *history, const struct counter_view *view)
{
    struct scope_series *series = view->max > 0 ? scope_of(history, view->scope) : NULL;

    if (!series)
        return;
    series->named = true;
    series->max = view->max;
    series->sessions[history->place] = known(view->count);
}

static struct limit_series *limit_of(struct history *history, const char *name)
{
    for (size_t i = 0; i < history->limit_count; i++)
        if (strcmp(history->limits[i].name, name) == 0)
            return &history->limits[i];
    if (history->limit_count == HISTORY_LIMITS)
        return NULL;
    struct limit_series *series = &history->limits[history->limit_count++];
    strcpy(series->name, name);
    series->told = false;
    memset(series->before, 0, sizeof series->before);
    fill_unknown(series->refused);
    fill_unknown(series->monitored);
    return series;
}

/* What has come since; a count that is smaller now has begun anew. */
static uint32_t grown(uint64_t *before, uint64_t now)
{
    uint64_t more = now >= *before ? now - *before : now;

    *before = now;
    return known(more);
}

void history_limit(struct history *history, const struct limit_view *view)
{
    struct limit_series *series = limit_of(history, view->name);

    if (!series)
        return;
    series->named = true;
    series->told = series->told || view->actions[ACTION_REFUSE] > 0 || view->actions[ACTION_MONITOR] > 0;
    series->refused[history->place] = grown(&series->before[0], view->actions[ACTION_REFUSE]);
    series->monitored[history->place] = grown(&series->before[1], view->actions[ACTION_MONITOR]);
}

void history_end(struct history *history)
{
    size_t kept = 0;

    for (size_t i = 0; i < history->scope_count; i++)
        if (history->scopes[i].named && kept++ != i)
            history->scopes[kept - 1] = history->scopes[i];
    history->scope_count = kept;
    kept = 0;
    for (size_t i = 0; i < history->limit_count; i++)
        if (history->limits[i].named && kept++ != i)
            history->limits[kept - 1] = history->limits[i];
    history->limit_count = kept;
}

/* ---- reading ---- */

size_t history_samples(const struct history *history)
{
    return history->samples;
}

double history_when(const struct history *history)
{
    return history->when;
}

static uint32_t at(const struct history *history, const uint32_t samples[HISTORY_SAMPLES], size_t sample)
{
    return samples[(history->place + 1 + HISTORY_SAMPLES - history->samples + sample) % HISTORY_SAMPLES];
}

size_t history_scopes(const struct history *history)
{
    return history->scope_count;
}

const char *history_scope_name(const struct history *history, size_t series)
{
    return history->scopes[series].name;
}

uint32_t history_scope_max(const struct history *history, size_t series)
{
    return history->scopes[series].max;
}

uint32_t history_sessions(const struct history *history, size_t series, size_t sample)
{
    return at(history, history->scopes[series].sessions, sample);
}

/* Those that are told are numbered among themselves. */
static const struct limit_series *told(const struct history *history, size_t series)
{
    const struct limit_series *limit = history->limits;

    for (;; limit++)
        if (limit->told && series-- == 0)
            return limit;
}

size_t history_limits(const struct history *history)
{
    size_t count = 0;

    for (size_t i = 0; i < history->limit_count; i++)
        count += history->limits[i].told;
    return count;
}

const char *history_limit_name(const struct history *history, size_t series)
{
    return told(history, series)->name;
}

uint32_t history_refused(const struct history *history, size_t series, size_t sample)
{
    return at(history, told(history, series)->refused, sample);
}

uint32_t history_monitored(const struct history *history, size_t series, size_t sample)
{
    return at(history, told(history, series)->monitored, sample);
}

uint64_t history_refused_before(const struct history *history, size_t series)
{
    return told(history, series)->before[0];
}

uint64_t history_monitored_before(const struct history *history, size_t series)
{
    return told(history, series)->before[1];
}
