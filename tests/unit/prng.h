/*
 * prng.h: random numbers that are the same on every machine for the same seed (xorshift64*, Vigna, 2016).
 */
#ifndef UNIT_PRNG_H
#define UNIT_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t state;
};

static inline uint64_t prng_next(struct prng *prng)
{
    prng->state ^= prng->state >> 12;
    prng->state ^= prng->state << 25;
    prng->state ^= prng->state >> 27;
    return prng->state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Any seed does, and neighbouring ones give unrelated numbers (the mixing is splitmix64's, Steele et al., 2014). */
static inline struct prng prng_seeded(uint64_t seed)
{
    uint64_t mixed = seed + UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    mixed ^= mixed >> 31;
    return (struct prng){.state = mixed ? mixed : 1};
}

/* 0 to bound - 1; bound is at least 1. */
static inline uint32_t prng_below(struct prng *prng, uint32_t bound)
{
    return (uint32_t)((prng_next(prng) >> 32) * bound >> 32);
}

#endif
