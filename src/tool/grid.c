/*
 * grid.c: tables on a terminal.
 */
#include "tool/grid.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Between two columns. */
#define GAP 2

/* What is cut to less says nothing. */
#define NARROWEST 4

struct cell {
    char *text;
    enum style style;
    bool whole;
};

/* Columns of the screen: what a column of the table wants, cannot do without, and gets. */
struct place {
    size_t wanted, least, width;
    bool left_out;
};

struct grid {
    const struct column *columns;
    size_t column_count;
    struct cell *cells; /* row by row */
    size_t count, room;
};

struct grid *grid_new(const struct column *columns, size_t count)
{
    struct grid *grid = text_memory(NULL, sizeof *grid);

    *grid = (struct grid){.columns = columns, .column_count = count};
    return grid;
}

void grid_free(struct grid **grid)
{
    if (!*grid)
        return;
    for (size_t i = 0; i < (*grid)->count; i++)
        free((*grid)->cells[i].text);
    free((*grid)->cells);
    free(*grid);
    *grid = NULL;
}

/* Takes the text over. */
static void add(struct grid *grid, enum style style, char *text, bool whole)
{
    if (grid->count == grid->room) {
        grid->room = grid->room > 0 ? 2 * grid->room : 64;
        grid->cells = text_memory(grid->cells, grid->room * sizeof *grid->cells);
    }
    grid->cells[grid->count++] = (struct cell){text_clean(text), style, whole};
    free(text);
}

void grid_cell(struct grid *grid, enum style style, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(grid, style, text_print_list(format, arguments), false);
    va_end(arguments);
}

void grid_whole(struct grid *grid, const char *text)
{
    add(grid, STYLE_PLAIN, text_copy(text), true);
}

void grid_number(struct grid *grid, double number)
{
    if (number >= 0)
        grid_cell(grid, STYLE_PLAIN, "%.0f", number);
    else
        grid_cell(grid, STYLE_PLAIN, "-");
}

/* The widest of the columns that have anything to give, names alone or all; the number of columns where none has. */
static size_t widest(const struct grid *grid, const struct place *places, bool all)
{
    size_t found = grid->column_count;

    for (size_t i = 0; i < grid->column_count; i++)
        if (!places[i].left_out && (all || grid->columns[i].cut) && places[i].width > places[i].least &&
            (found == grid->column_count || places[i].width > places[found].width))
            found = i;
    return found;
}

/* Takes from the widest, first of names, then of all if need be, until a line fits. False: it never does. */
static bool narrow(const struct grid *grid, struct place *places, bool all, size_t width)
{
    size_t sum = 0;

    for (size_t i = 0; i < grid->column_count; i++) {
        places[i].width = places[i].wanted;
        if (!places[i].left_out)
            sum += places[i].width + (i > 0 ? GAP : 0);
    }
    for (; sum > width; sum--) {
        size_t column = widest(grid, places, false);
        if (column == grid->column_count && all)
            column = widest(grid, places, true);
        if (column == grid->column_count)
            return false;
        places[column].width--;
    }
    return true;
}

/* The last column, of names alone or of all, but never the first, which says what a line is about. False: none is
 * left. */
static bool leave_out(const struct grid *grid, struct place *places, bool all)
{
    for (size_t i = grid->column_count - 1; i > 0; i--)
        if (!places[i].left_out && (all || grid->columns[i].cut))
            return places[i].left_out = true;
    return false;
}

static void lay_out(const struct grid *grid, struct place *places, size_t width)
{
    for (size_t i = 0; i < grid->column_count; i++)
        places[i] = (struct place){.wanted = strlen(grid->columns[i].heading), .least = NARROWEST};
    for (size_t i = 0; i < grid->count; i++) {
        struct place *place = &places[i % grid->column_count];
        size_t taken = text_width(grid->cells[i].text);
        if (taken > place->wanted)
            place->wanted = taken;
        if ((grid->cells[i].whole || !grid->columns[i % grid->column_count].cut) && taken > place->least)
            place->least = taken;
    }
    bool fits = false;
    for (int all = 0; all <= 1 && !fits; all++)
        do
            fits = narrow(grid, places, all, width);
        while (!fits && leave_out(grid, places, all));
}

static const char *const escapes[STYLE_COUNT] = {
    [STYLE_HEADING] = "\033[1m",
    [STYLE_GOOD] = "\033[32m",
    [STYLE_WARNING] = "\033[33m",
    [STYLE_BAD] = "\033[31m",
};

void screen_say(const struct screen *screen, size_t indent, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = text_print_list(format, arguments);
    va_end(arguments);

    text_put_wrapped(text, screen->width, indent, screen->out);
    free(text);
}

void screen_cut(const struct screen *screen, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = text_print_list(format, arguments), *clean = text_clean(text);
    va_end(arguments);

    text_put_cut(clean, screen->width > 0 ? screen->width : text_width(clean), screen->out);
    fputc('\n', screen->out);
    free(clean);
    free(text);
}

void style_begin(const struct screen *screen, enum style style)
{
    if (screen->colours && escapes[style])
        fputs(escapes[style], screen->out);
}

void style_end(const struct screen *screen, enum style style)
{
    if (screen->colours && escapes[style])
        fputs("\033[0m", screen->out);
}

/* Returns how many blanks stand before the next cell: those at the end of a line are left out, as they may not fit. */
static size_t put_cell(const struct column *column, const struct screen *screen, size_t blanks, size_t width,
                       const char *text, enum style style)
{
    size_t taken = text_width(text);

    if (column->right && taken < width)
        blanks += width - taken;
    fprintf(screen->out, "%*s", (int)blanks, "");
    style_begin(screen, style);
    taken = (column->tail && style != STYLE_HEADING ? text_put_tail : text_put_cut)(text, width, screen->out);
    style_end(screen, style);
    return GAP + (column->right ? 0 : width - taken);
}

void grid_put(const struct grid *grid, const struct screen *screen)
{
    struct place *places = text_memory(NULL, grid->column_count * sizeof *places);
    size_t blanks = 0;

    lay_out(grid, places, screen->width > 0 ? screen->width : SIZE_MAX);
    for (size_t i = 0; grid->count > 0 && i < grid->column_count; i++)
        if (!places[i].left_out)
            blanks =
                put_cell(&grid->columns[i], screen, blanks, places[i].width, grid->columns[i].heading, STYLE_HEADING);
    for (size_t i = 0; i < grid->count; i++) {
        const struct cell *cell = &grid->cells[i];
        size_t column = i % grid->column_count;
        if (column == 0) {
            fputc('\n', screen->out);
            blanks = 0;
        }
        if (!places[column].left_out)
            blanks = put_cell(&grid->columns[column], screen, blanks, places[column].width, cell->text, cell->style);
    }
    if (grid->count > 0)
        fputc('\n', screen->out);
    free(places);
}
