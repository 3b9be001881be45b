/*
 * test_nameset.c: sets of names against a list that is searched from one end to the other. Links src/engine/nameset.c
 * and src/engine/hash.c.
 */
#include "check_main.h"
#include "engine/hash.h"
#include "engine/nameset.h"
#include "prng.h"

#include <stdio.h>
#include <string.h>

static const struct nameset_entry few[] = {
    {"example", 1}, {"b.example", 2}, {"joe@b.example", 3}, {"joe", 4}, {"joe@", 5}, {"co.test", 6}, {"[192.0.2.1]", 7},
};
enum { FEW = sizeof few / sizeof *few };

/* ---- some names ---- */

START_TEST(exact)
{
    struct nameset *set = nameset_build(few, FEW);

    ck_assert_ptr_nonnull(set);
    ck_assert_uint_eq(nameset_count(set), FEW);
    for (size_t i = 0; i < FEW; i++)
        ck_assert_uint_eq(nameset_exact(set, few[i].name), few[i].value);
    static const char *const others[] = {"", "a.b.example", "xample", "examples", "b.example.", "jo", "test", "@"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_uint_eq(nameset_exact(set, others[i]), NAMESET_NONE);
    nameset_free(&set);
    ck_assert_ptr_null(set);
}
END_TEST

START_TEST(addresses_and_domains)
{
    static const struct {
        const char *name;
        uint32_t value;
    } cases[] = {
        {"example", 1},
        {"c.example", 1},
        {"c.c.c.example", 1},
        {"b.example", 2},
        {"a.b.example", 2},
        {"ab.example", 1},
        {"bexample", NAMESET_NONE},
        {"example.com", NAMESET_NONE},
        {"b.example.", NAMESET_NONE},
        {"joe@b.example", 3},
        {"ann@b.example", 2},
        {"joe@a.b.example", 2},
        {"xjoe@b.example", 2},
        {"joe@example", 1},
        {"x@joe@b.example", 2}, /* the domain is what stands behind the last */
        {"\"a@example\"@test", NAMESET_NONE},
        {"joe", 4},
        {"joe@", 5},
        {"ann@", NAMESET_NONE},
        {"@b.example", 2},
        {"ann@co.test", 6},
        {"ann@test", NAMESET_NONE},
        {"ann@[192.0.2.1]", 7},
        {"", NAMESET_NONE},
        {".", NAMESET_NONE},
        {".example", 1},
        {"@", NAMESET_NONE},
    };
    struct nameset *set = nameset_build(few, FEW);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(nameset_address(set, cases[i].name) == cases[i].value, "\"%s\": %u", cases[i].name,
                      nameset_address(set, cases[i].name));
    nameset_free(&set);
}
END_TEST

START_TEST(the_last_of_equal_names_counts)
{
    const struct nameset_entry entries[] = {{"a.example", 1}, {"b.example", 2}, {"a.example", 3}, {"a.example", 0}};
    struct nameset *set = nameset_build(entries, 4);

    ck_assert_uint_eq(nameset_count(set), 2);
    ck_assert_uint_eq(nameset_exact(set, "a.example"), 0);
    ck_assert_uint_eq(nameset_exact(set, "b.example"), 2);
    nameset_free(&set);
}
END_TEST

START_TEST(names_are_copied)
{
    char name[] = "a.example";
    struct nameset_entry entry = {name, 1};
    struct nameset *set = nameset_build(&entry, 1);

    name[0] = 'b';
    entry.value = 2;
    ck_assert_uint_eq(nameset_exact(set, "a.example"), 1);
    ck_assert_uint_eq(nameset_exact(set, "b.example"), NAMESET_NONE);
    nameset_free(&set);
}
END_TEST

/* Two names that share 32 bits of their hash and the slot where a small table begins to look. */
START_TEST(equal_hashes_are_no_equal_names)
{
    static const struct nameset_entry entries[] = {{"d171415.example", 1}, {"d41191.example", 2}};
    static const uint64_t key[2] = {0, 0};
    uint64_t difference = hash_bytes(key, entries[0].name, strlen(entries[0].name)) ^
                          hash_bytes(key, entries[1].name, strlen(entries[1].name));
    struct nameset *set = nameset_build(entries, 1);

    ck_assert_uint_eq(difference & UINT64_C(0xffffffff00000007), 0); /* else find other names */
    ck_assert_uint_eq(nameset_exact(set, entries[0].name), 1);
    ck_assert_uint_eq(nameset_exact(set, entries[1].name), NAMESET_NONE);
    nameset_free(&set);
    set = nameset_build(entries, 2);
    ck_assert_uint_eq(nameset_count(set), 2);
    ck_assert_uint_eq(nameset_exact(set, entries[0].name), 1);
    ck_assert_uint_eq(nameset_exact(set, entries[1].name), 2);
    nameset_free(&set);
}
END_TEST

START_TEST(nothing)
{
    struct nameset *set = NULL;

    ck_assert_uint_eq(nameset_bytes(set), 0);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(nameset_count(set), 0);
        ck_assert_uint_eq(nameset_exact(set, "example"), NAMESET_NONE);
        ck_assert_uint_eq(nameset_exact(set, ""), NAMESET_NONE);
        ck_assert_uint_eq(nameset_address(set, "a@b.example"), NAMESET_NONE);
        nameset_free(&set);
        ck_assert_ptr_null(set);
        set = nameset_build(NULL, 0);
        ck_assert_ptr_nonnull(set);
    }
    ck_assert_uint_gt(nameset_bytes(set), 0);
    nameset_free(&set);
}
END_TEST

START_TEST(labels_are_bounded)
{
    const struct nameset_entry entry = {"example", 1};
    char name[4 * NAMESET_LABELS] = "";
    struct nameset *set = nameset_build(&entry, 1);

    for (unsigned label = 1; label < NAMESET_LABELS; label++)
        strcat(name, "a.");
    strcat(name, "example");
    ck_assert_uint_eq(nameset_address(set, name), 1);
    memmove(name + 2, name, strlen(name) + 1);
    ck_assert_uint_eq(nameset_address(set, name), NAMESET_NONE);
    nameset_free(&set);
}
END_TEST

/* ---- many names ---- */

enum { NAMES = 200, NAME_BYTES = 40 };

static uint32_t list_exact(const struct nameset_entry *entries, size_t count, const char *name)
{
    while (count-- > 0)
        if (strcmp(entries[count].name, name) == 0)
            return entries[count].value;
    return NAMESET_NONE;
}

static uint32_t list_address(const struct nameset_entry *entries, size_t count, const char *name)
{
    uint32_t value = list_exact(entries, count, name);

    if (value != NAMESET_NONE)
        return value;
    for (const char *c = name + strlen(name); c > name && value == NAMESET_NONE; c--)
        if (c[-1] == '@')
            return list_address(entries, count, c);
    for (const char *c = name; *c; c++)
        if (*c == '.')
            return list_address(entries, count, c + 1);
    return NAMESET_NONE;
}

/* Of so few letters that many names are equal, or lie above each other. */
static void random_name(struct prng *prng, char name[NAME_BYTES])
{
    static const char *const labels[] = {"a", "b", "aa", "", "example"};
    uint32_t count = 1 + prng_below(prng, 4);

    strcpy(name, prng_below(prng, 3) == 0 ? (prng_below(prng, 2) ? "joe@" : "x.y@") : "");
    for (uint32_t i = 0; i < count; i++) {
        strcat(name, i > 0 ? "." : "");
        strcat(name, labels[prng_below(prng, 5)]);
    }
}

START_TEST(random_sets)
{
    static char names[NAMES][NAME_BYTES];
    struct nameset_entry entries[NAMES];
    struct prng prng = prng_seeded(1);
    unsigned found = 0, missed = 0;

    for (unsigned round = 0; round < 300; round++) {
        uint32_t count = prng_below(&prng, prng_below(&prng, 2) ? NAMES : 6);
        size_t different = 0;
        for (uint32_t i = 0; i < count; i++) {
            random_name(&prng, names[i]);
            entries[i] = (struct nameset_entry){names[i], prng_below(&prng, NAMESET_NONE)};
            different += list_exact(entries, i, names[i]) == NAMESET_NONE;
        }
        struct nameset *set = nameset_build(entries, count);
        ck_assert_ptr_nonnull(set);
        ck_assert_uint_eq(nameset_count(set), different);
        for (unsigned i = 0; i < 200; i++) {
            char name[NAME_BYTES];
            random_name(&prng, name);
            uint32_t expected = list_address(entries, count, name);
            ck_assert_msg(nameset_exact(set, name) == list_exact(entries, count, name), "round %u: %s", round, name);
            ck_assert_msg(nameset_address(set, name) == expected, "round %u: %s", round, name);
            *(expected == NAMESET_NONE ? &missed : &found) += 1;
        }
        nameset_free(&set);
    }
    ck_assert_uint_gt(found, 1000);
    ck_assert_uint_gt(missed, 1000);
}
END_TEST

START_TEST(a_million_names)
{
    enum { MILLION = 1000000, BYTES = 24 };
    char *texts = malloc((size_t)MILLION * BYTES), name[BYTES + 8];
    struct nameset_entry *entries = malloc(MILLION * sizeof *entries);
    uint32_t right = 0;

    ck_assert(texts && entries);
    for (uint32_t i = 0; i < MILLION; i++) {
        entries[i] = (struct nameset_entry){texts + (size_t)i * BYTES, i};
        snprintf(texts + (size_t)i * BYTES, BYTES, "d%u.example", i);
    }
    struct nameset *set = nameset_build(entries, MILLION);
    free(texts);
    free(entries);
    ck_assert_ptr_nonnull(set);
    ck_assert_uint_eq(nameset_count(set), MILLION);
    ck_assert_uint_lt(nameset_bytes(set), 64 * 1024 * 1024);
    for (uint32_t i = 0; i < MILLION; i++) {
        snprintf(name, sizeof name, "x@y.d%u.example", i);
        right += nameset_exact(set, name + 4) == i && nameset_address(set, name) == i &&
                 nameset_exact(set, name) == NAMESET_NONE;
    }
    ck_assert_uint_eq(right, MILLION);
    ck_assert_uint_eq(nameset_exact(set, "d1000000.example"), NAMESET_NONE);
    nameset_free(&set);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("nameset");
    TCase *tests = test_case(suite, "few");
    tcase_add_test(tests, exact);
    tcase_add_test(tests, addresses_and_domains);
    tcase_add_test(tests, the_last_of_equal_names_counts);
    tcase_add_test(tests, names_are_copied);
    tcase_add_test(tests, equal_hashes_are_no_equal_names);
    tcase_add_test(tests, nothing);
    tcase_add_test(tests, labels_are_bounded);
    tests = test_case(suite, "many");
    tcase_add_test(tests, random_sets);
    tcase_add_test(tests, a_million_names);
    return suite;
}
