/*
 * hash.c: SipHash-2-4.
 */
#include "hash.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

static void rounds(struct state *s, int count)
{
    while (count-- > 0) {
        s->v0 += s->v1;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v2 = rotate(s->v2, 32);
    }
}

static void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

/* Eight bytes, the lowest first: written out, which compilers turn into one load where they may. */
static uint64_t word_at(const unsigned char *bytes)
{
    return (uint64_t)bytes[0] | (uint64_t)bytes[1] << 8 | (uint64_t)bytes[2] << 16 | (uint64_t)bytes[3] << 24 |
           (uint64_t)bytes[4] << 32 | (uint64_t)bytes[5] << 40 | (uint64_t)bytes[6] << 48 | (uint64_t)bytes[7] << 56;
}

/* Everything up to the end of the input. */
static struct state take_in(const uint64_t seed[2], const void *data, size_t size, uint64_t variant)
{
    const unsigned char *bytes = data;
    struct state s = {
        seed[0] ^ 0x736f6d6570736575U,
        seed[1] ^ 0x646f72616e646f6dU ^ variant,
        seed[0] ^ 0x6c7967656e657261U,
        seed[1] ^ 0x7465646279746573U,
    };
    uint64_t rest = (uint64_t)size << 56;
    size_t whole = size - size % 8;

    for (size_t i = 0; i < whole; i += 8)
        absorb(&s, word_at(bytes + i));
    for (size_t i = whole; i < size; i++)
        rest |= (uint64_t)bytes[i] << (8 * (i % 8));
    absorb(&s, rest);
    return s;
}

uint64_t hash_bytes(const uint64_t seed[2], const void *data, size_t size)
{
    struct state s = take_in(seed, data, size, 0);
    s.v2 ^= 0xff;
    rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void hash_bytes_wide(const uint64_t seed[2], const void *data, size_t size, uint64_t out[2])
{
    struct state s = take_in(seed, data, size, 0xee);
    s.v2 ^= 0xee;
    rounds(&s, 4);
    out[0] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    s.v1 ^= 0xdd;
    rounds(&s, 4);
    out[1] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
