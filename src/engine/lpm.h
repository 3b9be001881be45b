/*
 * lpm.h: longest-prefix match over any number of IPv4 and IPv6 prefixes.
 *
 * A multibit trie (six bits a level) with its children packed by bitmaps: a look-up touches at most one node for each
 * six bits of the longest prefix on its way, however many prefixes there are. Immutable once built; any thread may look
 * up.
 */
#ifndef ENGINE_LPM_H
#define ENGINE_LPM_H

#include "addr.h"

/* What a look-up answers when no prefix holds the address. */
#define LPM_NONE UINT32_MAX

struct lpm_entry {
    struct prefix prefix;
    uint32_t value; /* anything but LPM_NONE */
};

struct lpm;

/* Builds from `count` entries, which it sorts in place by prefix_compare(); no prefix may stand twice. The caller owns
 * the result; NULL when memory is short. */
struct lpm *lpm_build(struct lpm_entry *entries, size_t count);

/* Frees it and sets the caller's pointer to NULL; a NULL pointer is left alone. */
void lpm_free(struct lpm **lpm);

/* The value of the longest prefix that holds the address, or LPM_NONE. A NULL lpm holds nothing. */
uint32_t lpm_lookup(const struct lpm *lpm, const struct addr *addr);

/* Bytes it holds; 0 for NULL. */
size_t lpm_bytes(const struct lpm *lpm);

#endif
