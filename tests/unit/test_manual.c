/*
 * test_manual.c: tidegate.conf(5) as it was built says of every section, option and limit what the tables say, and of
 * nothing else. tests/e2e/test_manual.py holds page, sample and parser together. Links src/config/options.c,
 * sections.c, values.c and src/engine/limits.c with what they need.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check_main.h"
#include "config/options.h"
#include "config/values.h"

static char *page;

/* The page lies where it was built: here, or, of an archive, in the source folder. */
static FILE *open_page(void)
{
    char path[4096];
    const char *srcdir = getenv("srcdir");
    FILE *file = fopen("src/man/tidegate.conf.5", "r");

    if (file != NULL)
        return file;
    snprintf(path, sizeof path, "%s/src/man/tidegate.conf.5", srcdir ? srcdir : ".");
    return fopen(path, "r");
}

static void set_up(void)
{
    enum { SIZE = 1 << 20 };
    FILE *file = open_page();

    ck_assert_msg(file != NULL, "make src/man/tidegate.conf.5");
    page = calloc(1, SIZE);
    ck_assert_ptr_nonnull(page);
    ck_assert_uint_lt(fread(page, 1, SIZE - 1, file), SIZE - 1);
    fclose(file);
}

static void tear_down(void)
{
    free(page);
}

/* One line of a page. */
#define LINE_SIZE 400

/* What the page says, on one line, under the first item whose line is `line`, or begins with it where that ends with a
 * blank; and how many such items there are that say `says` (NULL: whatever). One name may be several options. */
#define ITEM_SIZE 2000
static unsigned find_item(const char *line, const char *says, char out[ITEM_SIZE])
{
    unsigned found = 0;
    char start[LINE_SIZE], item[ITEM_SIZE];
    size_t length = (size_t)snprintf(start, sizeof start, "\n%s", line);

    for (const char *at = page; (at = strstr(at, start)) != NULL;) {
        size_t size = 0;
        at += length;
        if (*at != '\n' && line[strlen(line) - 1] != ' ')
            continue;
        at += strcspn(at, "\n");
        for (const char *c = at + 1; *c != '\0' && strncmp(c, "\n.It", 4) != 0 && strncmp(c, "\n.El", 4) != 0; c++) {
            ck_assert_uint_lt(size, sizeof item - 1);
            item[size++] = *c == '\n' ? ' ' : *c;
        }
        item[size] = '\0';
        if (says != NULL && strstr(item, says) == NULL)
            continue;
        if (found++ == 0)
            memcpy(out, item, size + 1);
    }
    return found;
}

/* How many lines there are that begin so and have that in them. */
static unsigned count_lines(const char *from, const char *to, const char *begin, const char *has)
{
    unsigned count = 0;
    const char *end = strstr(from, to);
    char start[40];

    snprintf(start, sizeof start, "\n%s", begin);
    for (const char *at = from; (at = strstr(at, start)) != NULL && (end == NULL || at < end);) {
        at++;
        const char *found = strstr(at, has);
        count += found != NULL && found < at + strcspn(at, "\n");
    }
    return count;
}

/* "a", "a and b", "a, b and c". */
static void places(unsigned where, char out[LINE_SIZE])
{
    const char *names[SECTION_COUNT];
    size_t count = 0, length = 0;

    for (size_t i = 0; i < SECTION_COUNT; i++)
        if ((where >> i & 1) != 0)
            names[count++] = section_place(&section_table[i]);
    out[0] = '\0';
    for (size_t i = 0; i < count; i++)
        length += (size_t)snprintf(out + length, LINE_SIZE - length, "%s%s",
                                   i == 0           ? ""
                                   : i == count - 1 ? " and "
                                                    : ", ",
                                   names[i]);
}

static void assert_says(const char *name, const char *item, const char *text)
{
    ck_assert_msg(strstr(item, text) != NULL, "the page does not say of %s \"%s\", but: %s", name, text, item);
}

START_TEST(every_section)
{
    for (size_t i = SECTION_TOP + 1; i < SECTION_COUNT; i++) {
        const struct section_row *section = &section_table[i];
        char line[LINE_SIZE], title[LINE_SIZE] = "", item[ITEM_SIZE], where[LINE_SIZE], says[ITEM_SIZE];

        if (section->title != NULL && section->title[0] == '"')
            snprintf(title, sizeof title, " Ar \"\\(dq%.*s\\(dq\"", (int)strlen(section->title) - 2,
                     section->title + 1);
        else if (section->title != NULL)
            snprintf(title, sizeof title, " Ar \"%s\"", section->title);
        snprintf(line, sizeof line, ".It Ic %s%s No \\(lC ... \\(rC", section->name, title);
        ck_assert_msg(find_item(line, NULL, item) == 1, "%s", line);
        assert_says(section->name, item, section->text);
        places(section->where, where);
        snprintf(says, sizeof says, ".br Stands in %s, %s.", where, section->many ? "any number of times" : "once");
        assert_says(section->name, item, says);
    }
    ck_assert_uint_eq(count_lines(page, "\n.Sh OPTIONS", ".It Ic ", " No \\(lC"), SECTION_COUNT - 1);
}
END_TEST

/* What stands behind "Default ". */
static void initial_of(const struct option_row *option, char out[LINE_SIZE])
{
    char duration[DURATION_TEXT_SIZE];
    int64_t value = option->target == TO_TERM ? limit_custom_defaults[option->number] : TERM_UNSET;

    if (option->initial != NULL)
        snprintf(out, LINE_SIZE, option->type == TYPE_PERMISSIONS ? "Default \\(dq%s\\(dq" : "Default %s",
                 option->initial);
    else if (option->id == OPTION_AUTHENTICATED)
        snprintf(out, LINE_SIZE, "Default no");
    else if (value == TERM_UNSET || option->id == OPTION_WINDOW)
        snprintf(out, LINE_SIZE, "No default");
    else if (option->type == TYPE_DURATION)
        snprintf(out, LINE_SIZE, "Default %s", duration_format(value, duration));
    else if (option->type == TYPE_WORD)
        snprintf(out, LINE_SIZE, "Default %s", option->words[value]);
    else
        snprintf(out, LINE_SIZE, "Default %" PRId64, value);
}

static void assert_range(const struct option_row *option, const char *item)
{
    char range[LINE_SIZE], from[DURATION_TEXT_SIZE], to[DURATION_TEXT_SIZE];

    if (option->type == TYPE_COUNT || option->type == TYPE_BITS)
        snprintf(range, sizeof range, "; %" PRId64 " to %" PRId64 ".", option->min, option->max);
    else if (option->type == TYPE_DURATION)
        snprintf(range, sizeof range, "; %s to %s.", duration_format(option->min, from),
                 duration_format(option->max, to));
    else
        return;
    assert_says(option->name, item, range);
}

START_TEST(every_option)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &option_table[i];
        char start[LINE_SIZE], where[LINE_SIZE], says[ITEM_SIZE], item[ITEM_SIZE];

        places(option->where, where);
        snprintf(says, sizeof says, ".br In %s%s.", where, option->needs_restart ? "; needs a restart" : "");
        snprintf(start, sizeof start, ".It Ic %s No = Ar ", option->name);
        unsigned found = find_item(start, says, item);
        ck_assert_msg(found == 1, "%s: %u times \"%s\"", option->name, found, says);
        assert_says(option->name, item, option->text);
        initial_of(option, says);
        assert_says(option->name, item, says);
        assert_range(option, item);
        for (const char *const *word = option->words; word != NULL && *word != NULL; word++)
            assert_says(option->name, item, *word);
    }
    ck_assert_uint_eq(count_lines(page, "\n.Sh FILES", ".It Ic ", " No = Ar "), OPTION_COUNT);
}
END_TEST

START_TEST(every_limit)
{
    const char *limits = strstr(page, "\n.Sh BUILT-IN LIMITS\n");

    ck_assert_ptr_nonnull(limits);
    for (size_t i = 0; i < LIMITS_BUILTIN; i++) {
        const struct limit_builtin *limit = &limit_builtins[i];
        char line[LINE_SIZE], item[ITEM_SIZE], says[LINE_SIZE], duration[DURATION_TEXT_SIZE];

        snprintf(line, sizeof line, ".It Ic %s", limit->name);
        ck_assert_uint_eq(find_item(line, NULL, item), 1);
        assert_says(limit->name, item, limit->text);
        snprintf(says, sizeof says, "count = %s per = %s max = %" PRId64, limit_count_name(limit->count),
                 limit_per_name(limit->per), limit->value[TERM_MAX]);
        assert_says(limit->name, item, says);
        ck_assert_int_eq(strstr(item, " window = ") != NULL, limit_has_window(limit->count, limit->per));
        if (limit_has_window(limit->count, limit->per)) {
            snprintf(says, sizeof says, " window = %s", duration_format(limit->value[TERM_WINDOW], duration));
            assert_says(limit->name, item, says);
        }
        ck_assert_int_eq(strstr(item, " ban = ") != NULL, limit->value[TERM_BAN] != 0);
        if (limit->value[TERM_BAN] != 0) {
            snprintf(says, sizeof says, " ban = %s", duration_format(limit->value[TERM_BAN], duration));
            assert_says(limit->name, item, says);
        }
    }
    ck_assert_uint_eq(count_lines(limits, "\n.Sh FILES", ".It Ic ", ""), LIMITS_BUILTIN);
}
END_TEST

START_TEST(the_matrix)
{
    for (int count = 0; count < COUNT_KINDS; count++) {
        char line[LINE_SIZE], item[ITEM_SIZE], list[ITEM_SIZE + 2];

        snprintf(line, sizeof line, ".It Cm %s", limit_count_name((enum limit_count)count));
        ck_assert_msg(find_item(line, NULL, item) >= 1, "%s", line);
        /* Each name between blanks. */
        for (char *c = item; *c != '\0'; c++)
            if (*c == ',')
                *c = ' ';
        snprintf(list, sizeof list, " %s ", item);
        for (int per = 0; per < PER_KINDS; per++) {
            char word[40];
            snprintf(word, sizeof word, " %s ", limit_per_name((enum limit_per)per));
            ck_assert_msg((strstr(list, word) != NULL) == limit_fits((enum limit_count)count, (enum limit_per)per),
                          "%s per%s: %s", limit_count_name((enum limit_count)count), word, list);
        }
    }
}
END_TEST

START_TEST(no_place_holder_is_left)
{
    ck_assert_ptr_null(strstr(page, "\n@"));
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("manual");
    TCase *tests = test_case(suite, "tidegate.conf(5)");
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, every_section);
    tcase_add_test(tests, every_option);
    tcase_add_test(tests, every_limit);
    tcase_add_test(tests, the_matrix);
    tcase_add_test(tests, no_place_holder_is_left);
    return suite;
}
