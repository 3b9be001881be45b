/*
 * window.c: sliding windows.
 */
#include "window.h"

#include <assert.h>
#include <string.h>

#define MANTISSA_BITS 9
#define EXPONENT_BITS 5
#define MANTISSA_MAX ((1u << MANTISSA_BITS) - 1)

struct form {
    unsigned width, cells;
    uint64_t cell_ticks;
};

static struct form form_of(uint16_t shape)
{
    unsigned width = (shape >> (MANTISSA_BITS + EXPONENT_BITS)) + 1u;
    unsigned exponent = shape >> MANTISSA_BITS & ((1u << EXPONENT_BITS) - 1);
    return (struct form){width, WINDOW_CELL_BYTES / width, (uint64_t)(shape & MANTISSA_MAX) << exponent};
}

static uint32_t cell_max(unsigned width)
{
    return UINT32_MAX >> (32 - 8 * width);
}

static uint32_t cell_get(const struct window *window, unsigned width, unsigned index)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < width; i++)
        value |= (uint32_t)window->cells[index * width + i] << 8 * i;
    return value;
}

/* Adds as much as the cell holds. */
static void cell_add(struct window *window, unsigned width, unsigned index, uint32_t number)
{
    uint32_t value = cell_get(window, width, index), left = cell_max(width) - value;
    value += number < left ? number : left;
    for (unsigned i = 0; i < width; i++)
        window->cells[index * width + i] = (uint8_t)(value >> 8 * i);
}

static uint64_t sum(const struct window *window, unsigned width, unsigned cells)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < cells; i++)
        total += cell_get(window, width, i);
    return total;
}

uint16_t window_shape(uint64_t length_ns, uint32_t max)
{
    assert(length_ns >= WINDOW_LENGTH_MIN_NS && length_ns <= WINDOW_LENGTH_MAX_NS);
    unsigned width = 1, exponent = 0;
    while (max > cell_max(width))
        width++;
    unsigned whole = WINDOW_CELL_BYTES / width - 1;
    uint64_t ticks = ((length_ns - 1) >> TICK_BITS) + 1, mantissa = (ticks + whole - 1) / whole;
    while (mantissa > MANTISSA_MAX) {
        mantissa = (mantissa + 1) / 2;
        exponent++;
    }
    return (uint16_t)((width - 1) << (MANTISSA_BITS + EXPONENT_BITS) | exponent << MANTISSA_BITS | mantissa);
}

void window_open(struct window *window, uint16_t shape, uint64_t now)
{
    if (window->shape == shape)
        return;
    const struct window old = *window;
    const struct form from = form_of(old.shape), to = form_of(shape);

    *window = (struct window){.shape = shape};
    for (unsigned i = 0; i < from.cells && from.cell_ticks > 0; i++) {
        uint64_t latest = (now / from.cell_ticks - i + 1) * from.cell_ticks - 1;
        uint64_t index = now / to.cell_ticks - (latest < now ? latest : now) / to.cell_ticks;
        if (now / from.cell_ticks >= i && index < to.cells)
            cell_add(window, to.width, (unsigned)index, cell_get(&old, from.width, i));
    }
}

/* So many of its cells, all at most, are too old at tick `now` when the window was right at tick `last`. */
static unsigned cells_gone(const struct form *form, uint64_t last, uint64_t now)
{
    if (now <= last || form->cell_ticks == 0)
        return 0;
    uint64_t gone = now / form->cell_ticks - last / form->cell_ticks;
    return gone < form->cells ? (unsigned)gone : form->cells;
}

void window_advance(struct window *window, uint64_t last, uint64_t now)
{
    const struct form form = form_of(window->shape);
    const unsigned gone = cells_gone(&form, last, now);
    const size_t cleared = gone < form.cells ? (size_t)gone * form.width : WINDOW_CELL_BYTES;

    if (gone == 0)
        return;
    memmove(window->cells + cleared, window->cells, WINDOW_CELL_BYTES - cleared);
    memset(window->cells, 0, cleared);
}

uint32_t window_count_at(const struct window *window, uint64_t last, uint64_t now)
{
    if (window->shape == 0)
        return 0;
    const struct form form = form_of(window->shape);
    uint64_t total = sum(window, form.width, form.cells - cells_gone(&form, last, now));
    return total < UINT32_MAX ? (uint32_t)total : UINT32_MAX;
}

uint32_t window_count(const struct window *window)
{
    return window_count_at(window, 0, 0);
}

void window_add(struct window *window, uint32_t events)
{
    cell_add(window, form_of(window->shape).width, 0, events);
}

bool window_move(struct window *window, uint64_t then, uint64_t now)
{
    const struct form form = form_of(window->shape);

    if (then > now || form.cell_ticks == 0)
        return false;
    uint64_t index = now / form.cell_ticks - then / form.cell_ticks;
    if (index >= form.cells)
        return false;
    uint32_t count = cell_get(window, form.width, (unsigned)index);
    if (count == 0)
        return false;
    memset(&window->cells[(unsigned)index * form.width], 0, form.width);
    cell_add(window, form.width, (unsigned)index, count - 1);
    window_add(window, 1);
    return true;
}

uint64_t window_room_at(const struct window *window, uint64_t now, uint32_t max)
{
    const struct form form = form_of(window->shape);
    uint64_t left = sum(window, form.width, form.cells), at = now;

    assert(max >= 1);
    for (unsigned index = form.cells; left >= max;) {
        index--;
        left -= cell_get(window, form.width, index);
        at = (now / form.cell_ticks + form.cells - index) * form.cell_ticks;
    }
    return at;
}
