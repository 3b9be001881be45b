/*
 * reputation.c: a client's history.
 */
#include "reputation.h"

#include <assert.h>

#define POINT 256
#define SCORE_MAX (REPUTATION_POINTS_MAX * POINT)

/* 256 * 2^(-1/8) would be 234.75. */
#define KEPT 235

uint32_t reputation_step_ticks(uint64_t half_life_ns)
{
    assert(half_life_ns <= UINT64_C(1) << 58);
    uint64_t ticks = half_life_ns / 8 >> TICK_BITS;
    return ticks > 0 ? (uint32_t)ticks : 1;
}

static uint16_t step_of(uint32_t step_ticks, uint64_t now)
{
    return (uint16_t)(now / step_ticks);
}

static int decayed(const struct record *record, uint32_t step_ticks, uint64_t now)
{
    int score = record->reputation;
    uint16_t steps = (uint16_t)(step_of(step_ticks, now) - record->reputation_step);
    for (; steps > 0 && score != 0; steps--)
        score = score * KEPT / 256;
    return score;
}

void reputation_decay(struct record *record, uint32_t step_ticks, uint64_t now)
{
    record->reputation = (int16_t)decayed(record, step_ticks, now);
    record->reputation_step = step_of(step_ticks, now);
}

static int clamp(int value, int most)
{
    return value > most ? most : value < -most ? -most : value;
}

void reputation_add(struct record *record, uint32_t step_ticks, uint64_t now, int points)
{
    reputation_decay(record, step_ticks, now);
    int change = clamp(points, 2 * REPUTATION_POINTS_MAX) * POINT;
    record->reputation = (int16_t)clamp(record->reputation + change, SCORE_MAX);
}

enum reputation reputation_of(const struct record *record, uint32_t step_ticks, uint64_t now)
{
    int score = decayed(record, step_ticks, now);
    return score >= POINT ? REPUTATION_GOOD : score <= -POINT ? REPUTATION_BAD : REPUTATION_NONE;
}
