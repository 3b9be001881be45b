/*
 * window.h: how many events there were in the last so many seconds: a true sliding window in 12 bytes.
 *
 * Time is cut into cells at fixed ticks (cell number = tick / cell_ticks). A window is the counts of the newest cells,
 * and its count their sum. With k cells besides the newest, k whole cells are at least as long as the window's length
 * L, so:
 *
 *     an event is in the count while its age is at most k * cell_ticks ticks, and no more once it is
 *     (k + 1) * cell_ticks ticks: for at least L, and for less than (L + k ticks) * (1 + 1/k) * (1 + 1/256) + k ticks.
 *
 * Hence the count is never less than the events of the last L, and never more than those of that little longer time.
 * Who admits an event only when the count is below max admits at most max in any L. A cell holds at least max, and what
 * exceeds a cell is not counted, so a count that is too small for that is still max or more.
 *
 *     max up to        bytes a cell   cells   k   forgotten at the latest at (without the ticks and the 256th)
 *     255                         1      10   9  1.12 L
 *     65,535                      2       5   4  1.25 L
 *     16,777,215                  3       3   2  1.5 L
 *     4,294,967,295               4       2   1  2 L
 *
 * A window knows its own shape, so whoever has its record can bring it to any time.
 *
 * All functions are pure but for the window they are given, which is the caller's; any thread may call them.
 */
#ifndef ENGINE_WINDOW_H
#define ENGINE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/* The engine's times are kept in ticks of 2^24 ns, about 16.8 ms. */
#define TICK_BITS 24

#define WINDOW_LENGTH_MIN_NS UINT64_C(1000000000)                 /* 1 s */
#define WINDOW_LENGTH_MAX_NS (UINT64_C(365) * 86400 * 1000000000) /* 365 days */

/* All 0: a window without a shape, which counts nothing and needs window_open(). */
#define WINDOW_CELL_BYTES 10
struct window {
    uint16_t shape;                   /* bytes of a cell less one (2 bits), exponent (5), mantissa (9) of its ticks */
    uint8_t cells[WINDOW_CELL_BYTES]; /* the newest first, each with its lowest byte first */
};

/* The shape for counting up to `max`, any number, over `length_ns`, WINDOW_LENGTH_MIN_NS to WINDOW_LENGTH_MAX_NS:
 * the narrowest cells that hold `max`, and the shortest of which k are that long. Never 0. */
uint16_t window_shape(uint64_t length_ns, uint32_t max);

/* Gives the window that shape at tick `now`, to which it has been brought. Events counted under another shape go to the
 * newest cell that they may belong to, so none is forgotten too early. */
void window_open(struct window *window, uint16_t shape, uint64_t now);

/* Brings a window that was right at tick `last` to tick `now`: what is too old is forgotten. A `now` before `last`
 * changes nothing. The functions below expect a window that has been brought to now. */
void window_advance(struct window *window, uint64_t last, uint64_t now);

/* The count; UINT32_MAX also stands for more. The same at tick `now` of a window that is still as it was at tick
 * `last`, and stays so. */
uint32_t window_count(const struct window *window);
uint32_t window_count_at(const struct window *window, uint64_t last, uint64_t now);

/* Counts so many events now. A full cell stays as it is. */
void window_add(struct window *window, uint32_t events);

/* Counts an event of tick `then` as one of tick `now` instead. False, and nothing has changed, when there is none to
 * take: `then` is too old or after `now`, or its cell is 0. */
bool window_move(struct window *window, uint64_t then, uint64_t now);

/* The first tick at which the count is below `max`, at least 1, if no event comes: `now` when it is already. */
uint64_t window_room_at(const struct window *window, uint64_t now, uint32_t max);

#endif
