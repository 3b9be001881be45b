/*
 * suggest.h: the nearest of some known names to one that is not known. Pure; any thread.
 */
#ifndef CONFIG_SUGGEST_H
#define CONFIG_SUGGEST_H

struct suggestion {
    const char *wanted;
    const char *best; /* the nearest so far that is near enough, or NULL */
    unsigned distance;
};

/* Begins a search; `wanted` and the candidates are kept by pointer. */
void suggest_begin(struct suggestion *suggestion, const char *wanted);

/* Considers a name. Near enough is at most a third of the longer of the two in changes, letter case aside. */
void suggest_consider(struct suggestion *suggestion, const char *candidate);

#endif
