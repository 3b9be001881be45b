/*
 * grid.h: tables on a terminal: columns aligned, numbers to the right, no line longer than it may be. Where it would
 * be, names are cut; where that is not enough their columns are left out, the last of them first; then the same is done
 * with all columns, but of others than names only the heading is cut: half a number is another one. The first one
 * always stays.
 *
 * One thread.
 */
#ifndef TOOL_GRID_H
#define TOOL_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "tool/text.h"

/* Where a table or a text is written. */
struct screen {
    FILE *out;
    size_t width; /* columns of a line; 0: any number */
    bool colours;
};

enum style { STYLE_PLAIN, STYLE_HEADING, STYLE_GOOD, STYLE_WARNING, STYLE_BAD, STYLE_COUNT };

struct column {
    const char *heading;
    bool right; /* numbers stand to the right */
    bool cut;   /* names give way first; others are never cut, but left out when that does not help */
    bool tail;  /* what is cut of a cell is the beginning: the end says most */
};

struct grid;

/* A table without rows. `columns` is kept by pointer. */
struct grid *grid_new(const struct column *columns, size_t count);

/* Adds the next cell; rows fill up from the left. The text is made harmless. */
void grid_cell(struct grid *table, enum style style, const char *format, ...) TEXT_FORMAT(3, 4);

/* The same of a plain text that is never cut, as it would be of no use: an address. Where the screen is narrower than
 * such a text of the first column, its line is longer than the screen is wide. */
void grid_whole(struct grid *table, const char *text);

/* A number, or "-" where it is negative. */
void grid_number(struct grid *table, double number);

/* Writes the heading and the rows; a last row that is not full is left as it is. Without rows nothing is written. */
void grid_put(const struct grid *table, const struct screen *screen);

/* Frees the table and sets the caller's pointer to NULL. */
void grid_free(struct grid **table);

/* A text, made harmless and wrapped; further lines begin with `indent` blanks. Ends the line. */
void screen_say(const struct screen *screen, size_t indent, const char *format, ...) TEXT_FORMAT(3, 4);

/* A text, made harmless, on one line: what the screen has no room for is cut. Ends the line. */
void screen_cut(const struct screen *screen, const char *format, ...) TEXT_FORMAT(2, 3);

/* Begins and ends a stretch of text in that style, where the screen has colours. */
void style_begin(const struct screen *screen, enum style style);
void style_end(const struct screen *screen, enum style style);

#endif
