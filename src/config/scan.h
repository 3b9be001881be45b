/*
 * scan.h: a configuration text as a tree of blocks, each thing with its line.
 *
 * The scan finds the mistakes that libconfuse passes over or reports badly: unclosed blocks, unknown and misplaced
 * names, repetitions. It does not look at what values mean.
 *
 * One thread at a time.
 */
#ifndef CONFIG_SCAN_H
#define CONFIG_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "config/arena.h"
#include "config/messages.h"
#include "config/options.h"

struct value {
    struct value *next;
    const char *text;
    unsigned line;
};

/* An option that is set. */
struct entry {
    struct entry *next; /* in the order of the file */
    const struct option_row *option;
    unsigned line;
    struct value *values; /* just one, unless the option is a list */
};

/* A section, or the file itself. */
struct block {
    struct block *next; /* its next sibling in the order of the file */
    struct block *parent;
    const struct section_row *section;
    const char *title; /* NULL for sections that take none */
    unsigned line;     /* where its name stands; 1 for the file */
    struct entry *entries, *last_entry;
    struct block *blocks, *last_block;
    size_t block_count;
    struct block *next_closed; /* the block that is closed next: libconfuse hands sections over in that order */
};

struct scan {
    struct arena arena; /* everything below */
    struct block *top;
    struct block *first_closed; /* the top, closed last, included */
};

/*
 * Scans the `size` bytes at `text` (see lexer_begin(); comments are blanked out in it). Mistakes go to `messages` with
 * `file` and their line. True when there were none. Either way *scan is filled and the caller frees it with
 * scan_clear(); after mistakes it is incomplete. The text may be freed before the scan.
 */
bool scan_text(const char *file, char *text, size_t size, struct scan *scan, struct config_messages *messages);

void scan_clear(struct scan *scan);

/* The entry that sets `option` in the block; NULL: it is not set there. */
const struct entry *block_entry(const struct block *block, enum option_id option);

/* The entry of `option` that holds in the block: its own, else that of the nearest block around it, if the option may
 * stand there; NULL: it is set in none of them. */
const struct entry *block_inherited(const struct block *block, enum option_id option);

#endif
