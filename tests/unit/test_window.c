/*
 * test_window.c: sliding windows against an exact log of events. Links src/engine/window.c.
 */
#include "check_main.h"
#include "engine/window.h"
#include "prng.h"

#include <string.h>

#define TICK_NS (UINT64_C(1) << TICK_BITS)

/* The largest max of each width of a cell. */
static const uint32_t width_max[] = {0, 0xff, 0xffff, 0xffffff, UINT32_MAX};

/* A number whose order of magnitude is random as well. */
static uint64_t random_between(struct prng *prng, uint64_t least, uint64_t most)
{
    uint64_t span = (most - least) >> prng_below(prng, 40);
    return least + prng_next(prng) % (span + 1);
}

/* What a shape says, by the header. */
struct form {
    uint16_t shape;
    unsigned width, cells;
    uint64_t cell_ticks;
};

static struct form form_for(uint64_t length_ns, uint32_t max)
{
    uint16_t shape = window_shape(length_ns, max);
    unsigned width = 1 + (shape >> 14);
    return (struct form){shape, width, WINDOW_CELL_BYTES / width, (uint64_t)(shape & 511) << (shape >> 9 & 31)};
}

static struct form random_form(struct prng *prng, unsigned width, uint64_t *length)
{
    *length = random_between(prng, WINDOW_LENGTH_MIN_NS, WINDOW_LENGTH_MAX_NS);
    return form_for(*length, (uint32_t)random_between(prng, width_max[width - 1] + 1, width_max[width]));
}

/* How long to wait: not at all, up to the edges of cells and just over them, parts of the length, and far beyond it. */
static uint64_t random_gap(struct prng *prng, const struct form *form, uint64_t length, uint64_t now)
{
    uint64_t cell = form->cell_ticks * TICK_NS, edge = cell - now % cell;
    switch (prng_below(prng, 9)) {
    case 0:
        return 0;
    case 1:
        return prng_below(prng, 1000);
    case 2:
        return edge - 1;
    case 3:
        return edge;
    case 4:
        return edge + cell * prng_below(prng, form->cells + 1u) - prng_below(prng, 2);
    case 5:
        return length - prng_below(prng, 2) + prng_below(prng, 2);
    case 6:
        return prng_next(prng) % cell;
    case 7:
        return prng_next(prng) % (cell / 4);
    default:
        return prng_next(prng) % (prng_below(prng, 20) ? length / 8 : 10 * length);
    }
}

enum { EVENTS = 400 };

struct log {
    uint64_t at[EVENTS]; /* ns */
    unsigned count;
};

static unsigned log_since(const struct log *log, uint64_t now, uint64_t age_below)
{
    unsigned count = 0;
    for (unsigned i = 0; i < log->count; i++)
        count += now - log->at[i] < age_below;
    return count;
}

START_TEST(shapes)
{
    static const struct {
        uint32_t max;
        unsigned width;
    } cases[] = {{0, 1},     {1, 1},        {255, 1},      {256, 2},       {65535, 2},
                 {65536, 3}, {16777215, 3}, {16777216, 4}, {UINT32_MAX, 4}};
    struct prng prng = prng_seeded(1);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (unsigned times = 0; times < 1000; times++) {
            uint64_t length = times == 0   ? WINDOW_LENGTH_MIN_NS
                              : times == 1 ? WINDOW_LENGTH_MAX_NS
                              : times == 2 ? 3600 * TICK_NS /* exact for any k */
                                           : random_between(&prng, WINDOW_LENGTH_MIN_NS, WINDOW_LENGTH_MAX_NS);
            struct form form = form_for(length, cases[i].max);
            uint64_t whole = form.cells - 1u, ticks = (length + TICK_NS - 1) / TICK_NS;
            uint64_t least = (ticks + whole - 1) / whole; /* ticks of a cell */
            bool exact = least <= 511 || times == 2;
            ck_assert_msg(form.width == cases[i].width && form.cells == 10 / cases[i].width &&
                              form.cell_ticks >= least && (form.cell_ticks - least) * 256 < (exact ? 1 : least),
                          "max %u, %ju ns", cases[i].max, (uintmax_t)length);
        }
    }
    ck_assert_uint_eq(WINDOW_LENGTH_MAX_NS / 1000000000, 31536000);
}
END_TEST

/* The promise of the header, in nanoseconds and in ticks. */
START_TEST(count_lies_between_two_exact_ones)
{
    unsigned width = (unsigned)_i;
    for (uint64_t run = 1; run <= 100; run++) {
        struct prng prng = prng_seeded(run * 8 + width);
        uint64_t length, now = prng_next(&prng) >> (8 + prng_below(&prng, 50)), last = now >> TICK_BITS;
        struct form form = random_form(&prng, width, &length);
        uint64_t whole = form.cells - 1u,
                 longest = (length + whole * TICK_NS) / whole * (whole + 1) / 256 * 257 + whole * TICK_NS;
        struct window window = {.shape = form.shape};
        struct log log = {.count = 0}, ticks = {.count = 0};
        /* So few that not even the narrowest cell is ever full. */
        while (log.count < width_max[1]) {
            now += random_gap(&prng, &form, length, now);
            uint64_t tick = now >> TICK_BITS;
            const uint32_t foreseen = window_count_at(&window, last, tick);
            window_advance(&window, last, tick);
            ck_assert_uint_eq(foreseen, window_count(&window));
            last = tick;
            if (prng_below(&prng, 2)) {
                window_add(&window, 1);
                log.at[log.count++] = now;
                ticks.at[ticks.count++] = tick;
            }
            uint32_t count = window_count(&window), least = log_since(&log, now, length + 1),
                     most = log_since(&log, now, longest),
                     least_by_ticks = log_since(&ticks, tick, whole * form.cell_ticks + 1),
                     most_by_ticks = log_since(&ticks, tick, (whole + 1) * form.cell_ticks);
            ck_assert_msg(count >= least && count <= most && count >= least_by_ticks && count <= most_by_ticks,
                          "run %u: %u, not %u to %u, by ticks %u to %u", (unsigned)run, count, least, most,
                          least_by_ticks, most_by_ticks);
        }
    }
}
END_TEST

START_TEST(both_ends_of_the_bound_are_reached)
{
    for (unsigned width = 1; width <= 4; width++) {
        struct form form = form_for(UINT64_C(90000000000), width_max[width]);
        uint64_t cell = form.cell_ticks, whole = form.cells - 1u;
        for (unsigned late = 0; late < 2; late++) {
            uint64_t event = late ? 101 * cell - 1 : 100 * cell, end = (101 + whole) * cell;
            struct window window = {.shape = form.shape};
            window_add(&window, 1);
            window_advance(&window, event, end - 1);
            ck_assert_uint_eq(window_count(&window), 1);
            window_advance(&window, end - 1, end);
            ck_assert_uint_eq(window_count(&window), 0);
            ck_assert_uint_eq(end - event, late ? whole * cell + 1 : (whole + 1) * cell);
        }
    }
}
END_TEST

/* What it is all for: who goes by the count never admits more than max in any stretch of that length. */
START_TEST(at_most_max_in_any_window)
{
    static const uint32_t maxima[] = {1, 2, 3, 10, 100, 255};
    for (uint64_t run = 1; run <= 300; run++) {
        struct prng prng = prng_seeded(run);
        uint32_t max = maxima[run % 6];
        uint64_t length = random_between(&prng, WINDOW_LENGTH_MIN_NS, WINDOW_LENGTH_MAX_NS);
        /* A wider cell than max needs is as good. */
        struct form form = form_for(length, run % 2 ? max : width_max[1 + run % 4]);
        uint64_t now = prng_next(&prng) >> 20, last = now >> TICK_BITS;
        struct window window = {.shape = form.shape};
        struct log log = {.count = 0};
        for (unsigned step = 0; step < 4000 && log.count < EVENTS; step++) {
            now += prng_below(&prng, 4) ? prng_next(&prng) % (length / max / 2) : random_gap(&prng, &form, length, now);
            window_advance(&window, last, now >> TICK_BITS);
            last = now >> TICK_BITS;
            if (window_count(&window) >= max)
                continue;
            window_add(&window, 1);
            log.at[log.count++] = now;
            ck_assert_msg(log_since(&log, now, length + 1) <= max, "run %u", (unsigned)run);
        }
        ck_assert_uint_gt(log.count, max); /* it did admit again */
    }
}
END_TEST

/* A window with anything in it: small numbers, gaps and full cells. */
static struct window filled(struct prng *prng, const struct form *form)
{
    struct window window = {.shape = form->shape};
    for (unsigned i = 0; i < form->cells; i++) {
        uint32_t value = (uint32_t)prng_next(prng) >> prng_below(prng, 32);
        if (prng_below(prng, 3) == 0)
            value = prng_below(prng, 8) ? 0 : UINT32_MAX;
        for (unsigned byte = 0; byte < form->width; byte++)
            window.cells[i * form->width + byte] = (uint8_t)(value >> 8 * byte);
    }
    return window;
}

START_TEST(room_at_is_the_first_such_tick)
{
    for (uint64_t run = 1; run <= 4000; run++) {
        struct prng prng = prng_seeded(run);
        uint64_t length, now = prng_next(&prng) >> (8 + prng_below(&prng, 50));
        struct form form = random_form(&prng, 1 + run % 4, &length);
        struct window window = filled(&prng, &form), later;
        uint32_t max = (uint32_t)random_between(&prng, 1, width_max[form.width]);
        if (run % 5 == 0)
            max = UINT32_MAX;
        uint64_t at = window_room_at(&window, now, max);
        ck_assert_uint_ge(at, now);
        later = window;
        window_advance(&later, now, at);
        ck_assert_uint_lt(window_count(&later), max);
        if (at > now) {
            later = window;
            window_advance(&later, now, at - 1);
            ck_assert_msg(window_count(&later) >= max, "run %u", (unsigned)run);
        }
    }
}
END_TEST

START_TEST(moved_events_count_from_now)
{
    for (uint64_t run = 1; run <= 200; run++) {
        struct prng prng = prng_seeded(run);
        uint64_t length, now = prng_next(&prng) >> (30 + prng_below(&prng, 20)), moved = 0, failed = 0;
        struct form form = random_form(&prng, 1 + run % 4, &length);
        struct window window = {.shape = form.shape}, before;
        uint64_t at[20], last = now; /* ticks */
        unsigned count = 0;
        for (unsigned step = 0; step < 300; step++) {
            now += random_gap(&prng, &form, length, now << TICK_BITS) >> TICK_BITS;
            window_advance(&window, last, now);
            last = now;
            uint64_t cell = now / form.cell_ticks, oldest_cell = cell < form.cells ? 0 : cell - form.cells + 1;
            if (count < 20) {
                window_add(&window, 1);
                at[count++] = now;
            } else {
                unsigned which = prng_below(&prng, count);
                bool is_there = at[which] / form.cell_ticks >= oldest_cell;
                before = window;
                ck_assert_msg(window_move(&window, at[which], now) == is_there, "run %u", (unsigned)run);
                if (!is_there) {
                    ck_assert_mem_eq(&before, &window, sizeof window);
                    window_add(&window, 1);
                    failed++;
                } else {
                    moved++;
                }
                at[which] = now;
            }
            unsigned exact = 0;
            for (unsigned i = 0; i < count; i++)
                exact += at[i] / form.cell_ticks >= oldest_cell;
            ck_assert_msg(window_count(&window) == exact, "run %u", (unsigned)run);
        }
        ck_assert_uint_gt(moved, 0);
        ck_assert_uint_gt(failed, 0);
    }
}
END_TEST

START_TEST(nothing_to_move)
{
    struct form form = form_for(WINDOW_LENGTH_MIN_NS, 10);
    struct window window = {.shape = form.shape}, before;
    uint64_t now = UINT64_C(1000) * form.cell_ticks, long_ago = now - UINT64_C(256) * form.cell_ticks;
    window_add(&window, 1);
    before = window;
    ck_assert(!window_move(&window, now - 1, now)); /* an empty cell */
    ck_assert(!window_move(&window, now + 1, now));
    ck_assert(!window_move(&window, now + 20 * form.cell_ticks, now));
    ck_assert(!window_move(&window, long_ago, now));
    ck_assert(!window_move(&window, 0, now));
    ck_assert_mem_eq(&window, &before, sizeof window);
    ck_assert(window_move(&window, now, now));
    ck_assert_mem_eq(&window, &before, sizeof window);
}
END_TEST

START_TEST(full_cells_and_full_sums)
{
    for (unsigned width = 1; width <= 4; width++) {
        struct form form = form_for(WINDOW_LENGTH_MIN_NS, width_max[width]);
        struct window window = {.shape = form.shape};
        memset(window.cells, 0xff, width);
        window.cells[0] = 0xfe;
        for (unsigned i = 0; i < 3; i++) {
            window_add(&window, 1);
            ck_assert_uint_eq(window_count(&window), width_max[width]);
        }
        /* One full cell beside others: only the widest cells reach the end of 32 bits. */
        uint64_t now = UINT64_C(100) * form.cell_ticks;
        for (unsigned i = 1; i < form.cells; i++) {
            window_advance(&window, now, now + form.cell_ticks);
            now += form.cell_ticks;
            memset(window.cells, 0xff, width);
            uint64_t total = (i + 1) * (uint64_t)width_max[width];
            ck_assert_uint_eq(window_count(&window), total < UINT32_MAX ? total : UINT32_MAX);
        }
        /* A move into a full cell leaves it full: the count is still at least what any max can be. */
        ck_assert(window_move(&window, now - form.cell_ticks, now));
        ck_assert_uint_ge(window_count(&window), width_max[width]);
        ck_assert_uint_eq(window.cells[0], 0xff);
    }
}
END_TEST

START_TEST(time_that_stands_still_or_goes_back)
{
    for (unsigned width = 1; width <= 4; width++) {
        struct form form = form_for(UINT64_C(60000000000), width_max[width]);
        struct window window = {.shape = form.shape}, before;
        uint64_t now = UINT64_C(50) * form.cell_ticks;
        for (unsigned i = 0; i < WINDOW_CELL_BYTES; i++)
            window.cells[i] = (uint8_t)(i + 1);
        before = window;
        window_advance(&window, now, now);
        window_advance(&window, now, now - 1);
        window_advance(&window, now, now - form.cell_ticks);
        window_advance(&window, now, 0);
        window_advance(&window, now, now + form.cell_ticks - 1);
        ck_assert_mem_eq(&window, &before, sizeof window);
        for (unsigned i = 0; i < 200; i++)
            window_add(&window, 1);
        ck_assert_mem_eq(window.cells + width, before.cells + width, WINDOW_CELL_BYTES - width);
    }
}
END_TEST

START_TEST(long_gaps_leave_nothing)
{
    for (unsigned width = 1; width <= 4; width++) {
        static const uint8_t empty[WINDOW_CELL_BYTES];
        struct form form = form_for(WINDOW_LENGTH_MIN_NS, width_max[width]);
        uint64_t cell = form.cell_ticks;
        /* Cells gone by, also such that are few in 8, 16 or 32 bits. */
        uint64_t gaps[] = {form.cells, 13, 255, 256, 257, 65536, 65537, UINT64_C(1) << 32, (UINT64_C(1) << 40) + 1};
        for (unsigned i = 0; i < sizeof gaps / sizeof *gaps; i++) {
            struct window window = {.shape = form.shape};
            memset(window.cells, 0x55, form.width * form.cells);
            window_advance(&window, 5 * cell, (5 + gaps[i]) * cell);
            ck_assert_mem_eq(window.cells, empty, sizeof empty);
            window_add(&window, 1);
            ck_assert_uint_eq(window_count(&window), 1);
        }
    }
}
END_TEST

/* Nothing is forgotten before its time under the new shape, nor kept for more than a cell of the old one beyond it. */
START_TEST(another_shape_takes_all_along)
{
    unsigned lost = 0;
    for (unsigned run = 1; run <= 1000; run++) {
        struct prng prng = prng_seeded(run);
        uint64_t length, now = prng_next(&prng) >> (8 + prng_below(&prng, 50)), last = now >> TICK_BITS;
        struct form old = random_form(&prng, 1 + run % 4, &length);
        uint64_t other = length / 4 * (1 + prng_below(&prng, 12));
        other = other < WINDOW_LENGTH_MIN_NS ? WINDOW_LENGTH_MIN_NS : other;
        other = other > WINDOW_LENGTH_MAX_NS ? WINDOW_LENGTH_MAX_NS : other;
        struct form form = form_for(other, width_max[1 + run / 4 % 4]);
        struct window window = {0};
        struct log log = {.count = 0}, ticks = {.count = 0};
        window_open(&window, old.shape, last);
        for (unsigned step = 0; step < 60; step++) {
            uint64_t kept = (old.cells - 1u) * old.cell_ticks, dropped = old.cells * old.cell_ticks;
            now += random_gap(&prng, step < 40 ? &old : &form, length, now) / (step < 40 ? 16 : 1);
            uint64_t tick = now >> TICK_BITS;
            window_advance(&window, last, tick);
            last = tick;
            if (step >= 40) {
                uint32_t before = window_count(&window);
                window_open(&window, form.shape, tick);
                lost += window_count(&window) < before;
                kept = (form.cells - 1u) * form.cell_ticks;
                dropped = form.cells * form.cell_ticks + old.cell_ticks - 1;
                /* What the old shape had forgotten by then stays so. */
                for (unsigned i = 0; step == 40 && i < ticks.count; i++)
                    if (tick - ticks.at[i] > (old.cells - 1u) * old.cell_ticks)
                        ticks.at[i--] = ticks.at[--ticks.count];
            }
            uint32_t count = window_count(&window);
            ck_assert_msg(count >= log_since(&ticks, tick, kept + 1) && count <= log_since(&log, tick, dropped),
                          "run %u, step %u", run, step);
            window_add(&window, 1);
            log.at[log.count++] = ticks.at[ticks.count++] = tick;
        }
    }
    ck_assert_uint_gt(lost, 0); /* what is too old under the new shape goes at once */
}
END_TEST

START_TEST(the_same_shape_changes_nothing)
{
    struct prng prng = prng_seeded(1);
    for (unsigned run = 0; run < 100; run++) {
        uint64_t length, now = prng_next(&prng) >> 20;
        struct form form = random_form(&prng, 1 + run % 4, &length);
        struct window window = filled(&prng, &form), before = window;
        window_open(&window, form.shape, now);
        ck_assert_mem_eq(&window, &before, sizeof window);
    }
}
END_TEST

START_TEST(cells_of_as_many_ticks_keep_their_place)
{
    struct form narrow = form_for(9 * 100 * TICK_NS, 255), wide = form_for(4 * 100 * TICK_NS, 256);
    struct window window = {.shape = narrow.shape, .cells = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}};
    const struct window expected = {.shape = wide.shape, .cells = {1, 0, 2, 0, 3, 0, 4, 0, 5, 0}};
    ck_assert_uint_eq(narrow.cell_ticks, 100);
    ck_assert_uint_eq(wide.cell_ticks, 100);
    window_open(&window, wide.shape, 100037);
    ck_assert_mem_eq(&window, &expected, sizeof window);
}
END_TEST

START_TEST(a_narrower_cell_takes_what_it_holds)
{
    struct form wide = form_for(WINDOW_LENGTH_MIN_NS, UINT32_MAX), narrow = form_for(WINDOW_LENGTH_MIN_NS, 255);
    uint64_t now = 1000 * wide.cell_ticks;
    struct window window = {.shape = wide.shape, .cells = {0x34, 0x12}};
    window_open(&window, narrow.shape, now);
    ck_assert_uint_eq(window_count(&window), 255);
    window_open(&window, wide.shape, now);
    ck_assert_uint_eq(window_count(&window), 255);
}
END_TEST

START_TEST(a_window_without_a_shape_holds_nothing)
{
    struct window window = {0};
    window_advance(&window, 5, 5000);
    ck_assert_uint_eq(window_count(&window), 0);
    ck_assert_uint_eq(window_count_at(&window, 5, 6000), 0);
    ck_assert(!window_move(&window, 5000, 5000));
    ck_assert_uint_eq(window_room_at(&window, 5000, 1), 5000);
    window_open(&window, window_shape(WINDOW_LENGTH_MIN_NS, 3), 5000);
    ck_assert_uint_eq(window_count(&window), 0);
    window_add(&window, 1);
    ck_assert_uint_eq(window_count(&window), 1);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("window");
    TCase *tests = test_case(suite, "properties");
    tcase_add_loop_test(tests, count_lies_between_two_exact_ones, 1, 5);
    tcase_add_test(tests, at_most_max_in_any_window);
    tcase_add_test(tests, room_at_is_the_first_such_tick);
    tcase_add_test(tests, moved_events_count_from_now);
    tcase_add_test(tests, another_shape_takes_all_along);
    tests = test_case(suite, "edges");
    tcase_add_test(tests, shapes);
    tcase_add_test(tests, both_ends_of_the_bound_are_reached);
    tcase_add_test(tests, nothing_to_move);
    tcase_add_test(tests, full_cells_and_full_sums);
    tcase_add_test(tests, time_that_stands_still_or_goes_back);
    tcase_add_test(tests, long_gaps_leave_nothing);
    tcase_add_test(tests, the_same_shape_changes_nothing);
    tcase_add_test(tests, cells_of_as_many_ticks_keep_their_place);
    tcase_add_test(tests, a_narrower_cell_takes_what_it_holds);
    tcase_add_test(tests, a_window_without_a_shape_holds_nothing);
    return suite;
}
