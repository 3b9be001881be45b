/*
 * limits.h: what the blocks `limit NAME { }` mean.
 *
 * One load after the other: limits_begin() makes the names known, for which it goes through the whole file; then each
 * scope hands in its blocks; limits_end() tells what has no effect.
 */
#ifndef CONFIG_LIMITS_H
#define CONFIG_LIMITS_H

#include "config/config.h"
#include "config/scan.h"

/* A limit that the file names. */
struct known_limit {
    char name[LIMIT_NAME_SIZE];          /* in lower case */
    const struct limit_builtin *builtin; /* NULL: it is the administrator's own */
    enum limit_count count;
    enum limit_per per;
    limit_number number;
    const struct block *first; /* the first block of it in the file; of one's own it says count and per */
    const struct block *top;   /* the one at the top level, or NULL */
    size_t on, unsaid;         /* blocks with another mode than off; that give none */
    size_t score;              /* blocks in mode score */
    bool bans;                 /* some block says so */
    int64_t highest;           /* of all maxima that a block or key gives; INT64_MAX: one is without end; -1: none */
};

struct limits {
    const struct config *config;
    struct rules_builder *rules;
    struct config_messages *messages;
    bool reputation;       /* there is such a section */
    bool cap_beyond_table; /* some cap can never be reached, and that was told */
    bool key_told;         /* the block at hand has a key that can match nobody, and that was told */
    struct known_limit known[LIMITS_MAX];
    size_t count;
};

/* Learns the limits of the file. All pointers stay the caller's. Mistakes, here and below, go to `messages`. */
void limits_begin(struct limits *limits, const struct config *config, const struct scan *scan,
                  struct rules_builder *rules, struct config_messages *messages);

/* Gives a block to the rules. One whose limit limits_begin() has refused is passed over. */
void limits_add(struct limits *limits, scope_id scope, const struct block *block);

/* Warns of what has no effect. True when some block is in mode score. */
bool limits_end(const struct limits *limits);

#endif
