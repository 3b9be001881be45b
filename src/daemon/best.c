/*
 * best.c: the first few of many.
 */
#include "daemon/best.h"

#include <stdlib.h>
#include <string.h>

bool best_init(struct best *best, size_t wanted, size_t size, int (*compare)(const void *, const void *))
{
    *best = (struct best){.items = calloc(2 * wanted, size), .size = size, .wanted = wanted, .compare = compare};
    return best->items != NULL;
}

void best_free(struct best *best)
{
    free(best->items);
    best->items = NULL;
}

void best_sort(struct best *best)
{
    qsort(best->items, best->count, best->size, best->compare);
    if (best->count <= best->wanted)
        return;
    best->left_out += best->count - best->wanted;
    best->count = best->wanted;
}

void best_offer(struct best *best, const void *item)
{
    /* What was left out before was no better than the last of those that stayed, and they have not been lost since. */
    if (best->left_out > 0 && best->compare(item, (char *)best->items + (best->wanted - 1) * best->size) >= 0) {
        best->left_out++;
        return;
    }
    memcpy((char *)best->items + best->count * best->size, item, best->size);
    if (++best->count == 2 * best->wanted)
        best_sort(best);
}
