/*
 * hash.h: a keyed hash (SipHash-2-4, Aumasson and Bernstein, 2012), so that nobody who chooses addresses or names can
 * choose where they fall in a table. Pure; any thread.
 */
#ifndef ENGINE_HASH_H
#define ENGINE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* 64 bits of `size` bytes at `data` under the key `seed`. */
uint64_t hash_bytes(const uint64_t seed[2], const void *data, size_t size);

/* 128 bits of them, where two different inputs are to stay different: SipHash-2-4-128, of the same authors. */
void hash_bytes_wide(const uint64_t seed[2], const void *data, size_t size, uint64_t out[2]);

#endif
