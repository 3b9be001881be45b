/*
 * grid.c: tables on a terminal.
 */
#include "tool/grid.h"

#include <stdlib.h>
#include <string.h>

/* Between two columns. */
#define GAP 2

/* Columns of names are not cut below that before others are cut, too. */
#define NARROWEST_NAME 4

struct cell {
    char *text;
    enum style style;
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

void grid_cell(struct grid *grid, enum style style, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = text_print_list(format, arguments);
    va_end(arguments);

    if (grid->count == grid->room) {
        grid->room = grid->room > 0 ? 2 * grid->room : 64;
        grid->cells = text_memory(grid->cells, grid->room * sizeof *grid->cells);
    }
    grid->cells[grid->count++] = (struct cell){text_clean(text), style};
    free(text);
}

void grid_number(struct grid *grid, double number)
{
    if (number >= 0)
        grid_cell(grid, STYLE_PLAIN, "%.0f", number);
    else
        grid_cell(grid, STYLE_PLAIN, "-");
}

/* The widest column of those that may be cut, or of all of them; the number of columns where none can be. */
static size_t widest(const struct grid *grid, const size_t *widths, bool any)
{
    size_t found = grid->column_count;

    for (size_t i = 0; i < grid->column_count; i++)
        if ((any || grid->columns[i].cut) && widths[i] > (any ? 1 : NARROWEST_NAME) &&
            (found == grid->column_count || widths[i] > widths[found]))
            found = i;
    return found;
}

/* Takes columns from the widest until a line fits. */
static void narrow(const struct grid *grid, size_t *widths, size_t width)
{
    size_t sum = GAP * (grid->column_count - 1);

    for (size_t i = 0; i < grid->column_count; i++)
        sum += widths[i];
    for (; sum > width; sum--) {
        size_t column = widest(grid, widths, false);
        if (column == grid->column_count)
            column = widest(grid, widths, true);
        if (column == grid->column_count)
            return;
        widths[column]--;
    }
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

/* Blanks at the end of a line are left out: they may not fit. */
static void put_cell(const struct grid *grid, const struct screen *screen, const size_t *widths, size_t column,
                     const char *text, enum style style)
{
    bool last = column + 1 == grid->column_count;
    size_t taken = text_width(text);
    size_t blanks = taken < widths[column] ? widths[column] - taken : 0;

    if (grid->columns[column].right)
        fprintf(screen->out, "%*s", (int)blanks, "");
    style_begin(screen, style);
    taken = (grid->columns[column].tail ? text_put_tail : text_put_cut)(text, widths[column], screen->out);
    style_end(screen, style);
    if (last)
        return;
    if (!grid->columns[column].right)
        fprintf(screen->out, "%*s", (int)(widths[column] - taken), "");
    fprintf(screen->out, "%*s", GAP, "");
}

void grid_put(const struct grid *grid, const struct screen *screen)
{
    size_t *widths = text_memory(NULL, grid->column_count * sizeof *widths);

    for (size_t i = 0; i < grid->column_count; i++)
        widths[i] = strlen(grid->columns[i].heading);
    for (size_t i = 0; i < grid->count; i++) {
        size_t column = i % grid->column_count, width = text_width(grid->cells[i].text);
        if (width > widths[column])
            widths[column] = width;
    }
    if (screen->width > 0)
        narrow(grid, widths, screen->width);

    for (size_t i = 0; grid->count > 0 && i < grid->column_count; i++)
        put_cell(grid, screen, widths, i, grid->columns[i].heading, STYLE_HEADING);
    for (size_t i = 0; i < grid->count; i++) {
        if (i % grid->column_count == 0)
            fputc('\n', screen->out);
        put_cell(grid, screen, widths, i % grid->column_count, grid->cells[i].text, grid->cells[i].style);
    }
    if (grid->count > 0)
        fputc('\n', screen->out);
    free(widths);
}
