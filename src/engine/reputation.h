/*
 * reputation.h: a client's history as one number that fades.
 *
 * The score is in 1/256 points, within +-REPUTATION_POINTS_MAX points. It fades in steps of an eighth of the half-life,
 * which begin at fixed ticks (step = tick / step_ticks): each leaves 235/256 of it, rounded toward zero, so that eight
 * leave 0.504 and after at most 97 nothing is left. How often it is looked at makes no difference.
 *
 * The record keeps the low 16 bits of the step. A score that is decayed at least once in 65,536 steps (8,192
 * half-lives) fades as promised; one that is not seems up to so many steps younger than it is. Under another step_ticks
 * than the last time, a score fades by an arbitrary number of steps once.
 *
 * Integer arithmetic alone. The functions touch nothing but the record; threads as in table.h. Ticks as in window.h.
 */
#ifndef ENGINE_REPUTATION_H
#define ENGINE_REPUTATION_H

#include "table.h"

#define REPUTATION_POINTS_MAX 100

/* Good from +1 point, bad from -1 point. */
enum reputation { REPUTATION_NONE, REPUTATION_GOOD, REPUTATION_BAD };

/* Ticks of a step for a half-life of up to 2^58 ns (9 years): an eighth of it, rounded down, at least 1. */
uint32_t reputation_step_ticks(uint64_t half_life_ns);

/* Brings the record's score to `now`. */
void reputation_decay(struct record *record, uint32_t step_ticks, uint64_t now);

/* Brings the score to `now` and adds points, any number of either sign; the result stays within the bounds. */
void reputation_add(struct record *record, uint32_t step_ticks, uint64_t now, int points);

/* What the score would be worth if it were brought to `now`. */
enum reputation reputation_of(const struct record *record, uint32_t step_ticks, uint64_t now);

#endif
