/*
 * test_tool_text.c: what the tool puts on a terminal: harmless texts, tables of a fixed width. Links src/tool/text.c
 * and src/tool/grid.c.
 */
#include "check_main.h"
#include "prng.h"
#include "tool/grid.h"

#include <locale.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

static char *printed;
static size_t printed_size;
static struct screen screen;

static void set_up(void)
{
    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
    screen = (struct screen){.out = open_memstream(&printed, &printed_size), .width = 80};
    ck_assert_ptr_nonnull(screen.out);
}

static void tear_down(void)
{
    fclose(screen.out);
    free(printed);
}

/* What has been printed since the last time. */
static const char *output(void)
{
    static char text[100000];

    fflush(screen.out);
    ck_assert_uint_lt(printed_size, sizeof text);
    memcpy(text, printed, printed_size);
    text[printed_size] = '\0';
    rewind(screen.out);
    return text;
}

static void clean_is(const char *text, const char *wanted)
{
    char *clean = text_clean(text);
    ck_assert_str_eq(clean, wanted);
    free(clean);
}

START_TEST(texts_are_made_harmless)
{
    clean_is("", "");
    clean_is("plain <a@b.example>", "plain <a@b.example>");
    clean_is("\033[2J", "\\x1b[2J");
    clean_is("a\nb\rc\td\177", "a\\x0ab\\x0dc\\x09d\\x7f");
    clean_is("gr\303\266\303\237e", "gr\303\266\303\237e");
    clean_is("\344\270\255", "\344\270\255");                      /* takes two columns */
    clean_is("\377\303", "\\xff\\xc3");                            /* no UTF-8, and one cut short */
    clean_is("\303(", "\\xc3(");                                   /* a character that breaks off */
    clean_is("\302\233", "\\xc2\\x9b");                            /* CSI in one character */
    clean_is("\342\200\256x", "\\xe2\\x80\\xaex");                 /* from right to left from here on */
    clean_is("a\314\201", "a\\xcc\\x81");                          /* takes no column of its own */
    clean_is("\355\240\200\300\200", "\\xed\\xa0\\x80\\xc0\\x80"); /* a surrogate, an overlong NUL */
}
END_TEST

START_TEST(other_locales_have_other_characters)
{
    setlocale(LC_CTYPE, "C");
    clean_is("gr\303\266n", "gr\\xc3\\xb6n");
}
END_TEST

/* Whatever the bytes are: nothing that a terminal would obey, and the columns that are told. */
START_TEST(any_bytes_are_made_harmless)
{
    struct prng prng = prng_seeded(7);

    for (int round = 0; round < 20000; round++) {
        char text[24];
        size_t size = prng_below(&prng, sizeof text);
        for (size_t i = 0; i < size; i++)
            text[i] = (char)(1 + prng_below(&prng, 255));
        text[size] = '\0';

        char *clean = text_clean(text), *again = text_clean(clean);
        ck_assert_str_eq(clean, again);
        wchar_t wide[200];
        size_t length = mbstowcs(wide, clean, 200);
        ck_assert_uint_ne(length, (size_t)-1);
        ck_assert_int_eq(wcswidth(wide, length), (int)text_width(clean));
        for (size_t i = 0; i < length; i++)
            ck_assert(iswprint((wint_t)wide[i]));

        size_t width = prng_below(&prng, 30), taken = text_put_cut(clean, width, screen.out);
        const char *cut = output();
        ck_assert_uint_le(taken, width);
        ck_assert_uint_eq(text_width(cut), taken);
        if (text_width(clean) <= width)
            ck_assert_str_eq(cut, clean);
        taken = text_put_tail(clean, width, screen.out);
        ck_assert_uint_le(taken, width);
        ck_assert_uint_eq(text_width(output()), taken);
        free(clean);
        free(again);
    }
}
END_TEST

static void cut_is(const char *text, size_t width, const char *wanted)
{
    text_put_cut(text, width, screen.out);
    ck_assert_str_eq(output(), wanted);
}

START_TEST(cut)
{
    cut_is("abcdef", 6, "abcdef");
    cut_is("abcdef", 5, "ab...");
    cut_is("abcdef", 3, "...");
    cut_is("abcdef", 2, "..");
    cut_is("abcdef", 0, "");
    cut_is("\344\270\255\344\270\255\344\270\255", 6, "\344\270\255\344\270\255\344\270\255");
    cut_is("\344\270\255\344\270\255\344\270\255", 5, "\344\270\255...");
    cut_is("\344\270\255\344\270\255\344\270\255", 4, "..."); /* half a character is none */
}
END_TEST

static void tail_is(const char *text, size_t width, const char *wanted)
{
    text_put_tail(text, width, screen.out);
    ck_assert_str_eq(output(), wanted);
}

START_TEST(tail)
{
    tail_is("abcdef", 6, "abcdef");
    tail_is("abcdef", 5, "...ef");
    tail_is("abcdef", 3, "...");
    tail_is("abcdef", 1, ".");
    tail_is("abcdef", 0, "");
    tail_is("\344\270\255\344\270\255\344\270\255", 5, "...\344\270\255");
    tail_is("\344\270\255\344\270\255\344\270\255", 4, "...");
}
END_TEST

static void wrapped_is(const char *text, size_t width, size_t indent, const char *wanted)
{
    text_put_wrapped(text, width, indent, screen.out);
    ck_assert_str_eq(output(), wanted);
}

START_TEST(wrapped)
{
    wrapped_is("", 10, 2, "\n");
    wrapped_is("one two three", 0, 2, "one two three\n");
    wrapped_is("one two three", 13, 2, "one two three\n");
    wrapped_is("one two three", 12, 2, "one two\n  three\n");
    wrapped_is("one two three", 7, 2, "one two\n  three\n");
    wrapped_is("one two three", 6, 2, "one\n  two\n  thre\n  e\n");
    wrapped_is("abcdefgh", 4, 0, "abcd\nefgh\n");
    wrapped_is("abcdefgh", 1, 4, "a\n    b\n    c\n    d\n    e\n    f\n    g\n    h\n");
    wrapped_is("a\nb", 10, 0, "a\\x0ab\n");
}
END_TEST

static void duration_is(double seconds, const char *wanted)
{
    char text[TEXT_DURATION_SIZE];
    ck_assert_str_eq(text_duration(seconds, text), wanted);
}

START_TEST(durations)
{
    duration_is(0, "0s");
    duration_is(0.4, "<1s");
    duration_is(59.9, "59s");
    duration_is(60, "1m");
    duration_is(65, "1m 5s");
    duration_is(6720, "1h 52m");
    duration_is(7200, "2h");
    duration_is(86399, "23h 59m");
    duration_is(86400, "1d");
    duration_is(273600, "3d 4h");
    duration_is(-1, "-");
    duration_is(0.0 / 0.0, "-");
    duration_is(1e300, "-");
    duration_is(9e14, "10416666666d 16h");
}
END_TEST

static void bar_is(double part, double whole, size_t width, const char *wanted)
{
    char text[TEXT_BAR_MAX + 3];
    ck_assert_str_eq(text_bar(part, whole, width, text), wanted);
}

START_TEST(bars)
{
    bar_is(0, 10, 4, "[....]");
    bar_is(1, 1000, 4, "[#...]"); /* not empty */
    bar_is(5, 10, 4, "[##..]");
    bar_is(999, 1000, 4, "[###.]"); /* not full */
    bar_is(10, 10, 4, "[####]");
    bar_is(20, 10, 4, "[####]");
    bar_is(-1, 10, 4, "[....]");
    bar_is(1, 0, 4, "[....]");
    char text[TEXT_BAR_MAX + 3];
    ck_assert_uint_eq(strlen(text_bar(1, 1, 10 * TEXT_BAR_MAX, text)), TEXT_BAR_MAX + 2);
}
END_TEST

static const struct column columns[] = {
    {.heading = "NAME", .cut = true}, {.heading = "COUNT", .right = true}, {.heading = "STATE"}};

static struct grid *some_rows(void)
{
    struct grid *grid = grid_new(columns, 3);

    grid_cell(grid, STYLE_PLAIN, "%s", "a");
    grid_number(grid, 7);
    grid_cell(grid, STYLE_GOOD, "open");
    grid_cell(grid, STYLE_PLAIN, "%s", "a-long-name.example");
    grid_number(grid, -1);
    grid_cell(grid, STYLE_BAD, "full");
    grid_cell(grid, STYLE_PLAIN, "%s", "\344\270\255\033");
    grid_number(grid, 1234567);
    grid_cell(grid, STYLE_PLAIN, "%s", "");
    return grid;
}

START_TEST(columns_are_aligned)
{
    struct grid *grid = some_rows();

    grid_put(grid, &screen);
    ck_assert_str_eq(output(), "NAME                   COUNT  STATE\n"
                               "a                          7  open\n"
                               "a-long-name.example        -  full\n"
                               "\344\270\255\\x1b               1234567  \n");
    screen.width = 27;
    grid_put(grid, &screen);
    ck_assert_str_eq(output(), "NAME           COUNT  STATE\n"
                               "a                  7  open\n"
                               "a-long-n...        -  full\n"
                               "\344\270\255\\x1b       1234567  \n");
    screen.width = 0;
    screen.colours = true;
    grid_put(grid, &screen);
    ck_assert_ptr_nonnull(strstr(output(), "\033[31mfull\033[0m\n"));
    grid_free(&grid);
    ck_assert_ptr_null(grid);
    grid_free(&grid);
}
END_TEST

#define ADDRESS "fd00:1db8:1234:5678:9abc:def0:1234:5678"

/* The others give way to it: they are cut, then they go, names first. */
START_TEST(what_is_whole_is_never_cut)
{
    static const struct column some_columns[] = {{.heading = "NAME", .cut = true},
                                                 {.heading = "SCOPE", .cut = true, .tail = true},
                                                 {.heading = "COUNT", .right = true},
                                                 {.heading = "STATE"}};
    struct grid *grid = grid_new(some_columns, 4);

    grid_whole(grid, ADDRESS);
    grid_cell(grid, STYLE_PLAIN, "service");
    grid_number(grid, 12);
    grid_cell(grid, STYLE_PLAIN, "open");
    grid_cell(grid, STYLE_PLAIN, "a-name-is-cut.and-is-longer-than-an-address.example");
    grid_cell(grid, STYLE_PLAIN, "service");
    grid_number(grid, 123);
    grid_cell(grid, STYLE_PLAIN, "open, monitor");
    screen.width = 67;
    grid_put(grid, &screen);
    ck_assert_str_eq(output(),
                     "NAME                                     S...  COUNT  STATE\n" ADDRESS "  ...e     12  open\n"
                     "a-name-is-cut.and-is-longer-than-an-...  ...e    123  open, monitor\n");
    screen.width = 60;
    grid_put(grid, &screen);
    ck_assert_str_eq(output(), "NAME                                     C...  STATE\n" ADDRESS "    12  open\n"
                               "a-name-is-cut.and-is-longer-than-an-...   123  open, monitor\n");
    screen.width = 48;
    grid_put(grid, &screen);
    ck_assert_str_eq(output(), "NAME                                       COUNT\n" ADDRESS "       12\n"
                               "a-name-is-cut.and-is-longer-than-an-ad...    123\n");
    for (screen.width = 44; screen.width >= 1; screen.width--) {
        grid_put(grid, &screen);
        ck_assert_ptr_nonnull(strstr(output(), "\n" ADDRESS "\n"));
    }
    grid_free(&grid);
}
END_TEST

START_TEST(nothing_is_said_of_no_rows)
{
    struct grid *grid = grid_new(columns, 3);

    grid_put(grid, &screen);
    ck_assert_str_eq(output(), "");
    grid_free(&grid);
}
END_TEST

/* Whatever the cells hold, no line is longer than it may be. */
START_TEST(no_line_is_too_long)
{
    struct prng prng = prng_seeded(8);

    for (int round = 0; round < 300; round++) {
        struct grid *grid = grid_new(columns, 3);
        screen.width = 20 + prng_below(&prng, 80);
        for (int i = 0; i < 30; i++) {
            char text[100];
            size_t size = prng_below(&prng, sizeof text);
            for (size_t k = 0; k < size; k++)
                text[k] = (char)(1 + prng_below(&prng, 255));
            text[size] = '\0';
            grid_cell(grid, STYLE_PLAIN, "%s", text);
        }
        grid_put(grid, &screen);
        char *rest = NULL, *text = strdup(output());
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            ck_assert_uint_le(text_width(line), screen.width);
        free(text);
        grid_free(&grid);
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("tool_text");
    TCase *texts = test_case(suite, "texts"), *tables = test_case(suite, "tables");

    tcase_add_checked_fixture(texts, set_up, tear_down);
    tcase_add_test(texts, texts_are_made_harmless);
    tcase_add_test(texts, other_locales_have_other_characters);
    tcase_add_test(texts, any_bytes_are_made_harmless);
    tcase_add_test(texts, cut);
    tcase_add_test(texts, tail);
    tcase_add_test(texts, wrapped);
    tcase_add_test(texts, durations);
    tcase_add_test(texts, bars);
    tcase_add_checked_fixture(tables, set_up, tear_down);
    tcase_add_test(tables, columns_are_aligned);
    tcase_add_test(tables, what_is_whole_is_never_cut);
    tcase_add_test(tables, nothing_is_said_of_no_rows);
    tcase_add_test(tables, no_line_is_too_long);
    return suite;
}
