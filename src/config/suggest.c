/*
 * suggest.c: the nearest name, by edit distance (Wagner and Fischer, 1974), two swapped letters being one change.
 */
#include "config/suggest.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define LENGTH_MAX 64

static unsigned min_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Both texts are at most LENGTH_MAX long. */
static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    unsigned rows[3][LENGTH_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_length; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *spare = before;

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned changed = last[j - 1] + !same_letter(a[i - 1], b[j - 1]);

            row[j] = min_of(changed, min_of(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]))
                row[j] = min_of(row[j], before[j - 2] + 1);
        }
        before = last;
        last = row;
        row = spare;
    }
    return last[b_length];
}

void suggest_begin(struct suggestion *suggestion, const char *wanted)
{
    suggestion->wanted = wanted;
    suggestion->best = NULL;
    suggestion->distance = 0;
}

void suggest_consider(struct suggestion *suggestion, const char *candidate)
{
    size_t wanted_length = strlen(suggestion->wanted), length = strlen(candidate);
    size_t longer = wanted_length > length ? wanted_length : length;
    unsigned changes;

    if (longer > LENGTH_MAX)
        return;
    changes = distance(suggestion->wanted, wanted_length, candidate, length);
    if (changes * 3 > longer || (suggestion->best != NULL && changes >= suggestion->distance))
        return;
    suggestion->best = candidate;
    suggestion->distance = changes;
}
