/*
 * best.h: the first few of many, by some order, without keeping the many.
 *
 * Threads: one at a time for each.
 */
#ifndef DAEMON_BEST_H
#define DAEMON_BEST_H

#include <stdbool.h>
#include <stddef.h>

struct best {
    void *items;                                /* room for twice as many as are wanted */
    size_t size;                                /* bytes of each */
    size_t wanted;                              /* 1 or more */
    size_t count;                               /* there are so many */
    size_t left_out;                            /* and so many are none of the best; right after best_sort() */
    int (*compare)(const void *, const void *); /* less than 0: the first comes before the second */
};

/* False when memory is short; best_free() is allowed all the same. */
bool best_init(struct best *best, size_t wanted, size_t size, int (*compare)(const void *, const void *));
void best_free(struct best *best);

/* Offers a copy of an item. */
void best_offer(struct best *best, const void *item);

/* After the last: `items` begins with `count` of them, at most as many as were wanted, the first one first. */
void best_sort(struct best *best);

#endif
