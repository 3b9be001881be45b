/*
 * test_lpm.c: longest-prefix match against a linear scan. Links src/engine/lpm.c, addr.c.
 */
#include "check_main.h"
#include "engine/lpm.h"
#include "prng.h"

#include <string.h>

static struct addr addr_of(const char *text)
{
    struct addr addr;
    ck_assert(addr_parse(text, &addr));
    return addr;
}

static struct lpm_entry entry_of(const char *text, uint32_t value)
{
    struct lpm_entry entry = {.value = value};
    ck_assert(prefix_parse(text, &entry.prefix) == PREFIX_OK);
    return entry;
}

static uint32_t looked_up(const struct lpm *lpm, const char *text)
{
    struct addr addr = addr_of(text);
    return lpm_lookup(lpm, &addr);
}

/* The answer without any index, and with a comparison of bits of its own. */
static uint32_t scan(const struct lpm_entry *entries, size_t count, const struct addr *addr)
{
    int longest = -1;
    uint32_t value = LPM_NONE;

    for (size_t i = 0; i < count; i++) {
        const struct prefix *prefix = &entries[i].prefix;
        if (prefix->addr.family != addr->family || prefix->bits <= longest)
            continue;
        unsigned bit = 0;
        while (bit < prefix->bits && (bit < 64 ? (prefix->addr.hi ^ addr->hi) >> (63 - bit) & 1
                                               : (prefix->addr.lo ^ addr->lo) >> (127 - bit) & 1) == 0)
            bit++;
        if (bit == prefix->bits) {
            longest = prefix->bits;
            value = entries[i].value;
        }
    }
    return value;
}

/* Addresses close to each other, so that prefixes nest: a flipped or an added bit here and there. */
static struct addr random_addr(struct prng *prng, bool ipv6)
{
    struct addr addr = {.family = ipv6 ? ADDR_IPV6 : ADDR_IPV4};
    addr.hi = ipv6 ? UINT64_C(0x20010db800000000) : UINT64_C(0x0a00000000000000);
    for (uint32_t flips = prng_below(prng, 6); flips > 0; flips--) {
        uint32_t bit = prng_below(prng, addr_width(&addr));
        *(bit < 64 ? &addr.hi : &addr.lo) ^= UINT64_C(1) << (63 - bit % 64);
    }
    if (prng_below(prng, 4) == 0) {
        addr.hi = prng_next(prng) & (ipv6 ? UINT64_MAX : UINT64_C(0xffffffff00000000));
        addr.lo = ipv6 ? prng_next(prng) : 0;
    }
    return addr;
}

static int compare_entries(const void *a, const void *b)
{
    return prefix_compare(&((const struct lpm_entry *)a)->prefix, &((const struct lpm_entry *)b)->prefix);
}

/* Fills `entries` with at most `count` different prefixes of both families, and returns how many. */
static size_t random_entries(struct prng *prng, struct lpm_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct addr addr = random_addr(prng, prng_below(prng, 2));
        unsigned bits = prng_below(prng, addr_width(&addr) + 1);
        entries[i].prefix = (struct prefix){addr_cut(&addr, bits), (uint8_t)bits};
        /* Few values, so that neighbours share one, and large ones. */
        entries[i].value = prng_below(prng, 4) ? prng_below(prng, 3) : LPM_NONE - 1 - prng_below(prng, 2);
    }
    qsort(entries, count, sizeof *entries, compare_entries);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare_entries(&entries[kept - 1], &entries[i]) != 0)
            entries[kept++] = entries[i];
    for (size_t i = kept; i > 1; i--) { /* lpm_build() is to do the sorting */
        size_t other = prng_below(prng, (uint32_t)i);
        struct lpm_entry moved = entries[i - 1];
        entries[i - 1] = entries[other];
        entries[other] = moved;
    }
    return kept;
}

static void assert_same(const struct lpm *lpm, const struct lpm_entry *entries, size_t count, const struct addr *addr)
{
    char text[ADDR_TEXT_SIZE];
    uint32_t expected = scan(entries, count, addr), found = lpm_lookup(lpm, addr);
    ck_assert_msg(found == expected, "%s among %zu prefixes: %u instead of %u", addr_format(addr, text), count, found,
                  expected);
}

START_TEST(random_prefixes_as_a_linear_scan)
{
    struct prng prng = prng_seeded(3);
    for (int round = 0; round < 400; round++) {
        struct lpm_entry entries[300];
        size_t count = random_entries(&prng, entries, 1 + prng_below(&prng, 300));
        struct lpm *lpm = lpm_build(entries, count);
        ck_assert_ptr_nonnull(lpm);
        for (size_t i = 0; i < count; i++) { /* both edges of each block, and just outside */
            struct addr first = entries[i].prefix.addr, last = first, before = first, after;
            for (unsigned bit = entries[i].prefix.bits; bit < addr_width(&first); bit++)
                *(bit < 64 ? &last.hi : &last.lo) |= UINT64_C(1) << (63 - bit % 64);
            after = last;
            if (first.family == ADDR_IPV4) {
                before.hi -= UINT64_C(1) << 32;
                after.hi += UINT64_C(1) << 32;
            } else {
                before.hi -= before.lo-- == 0;
                after.hi += ++after.lo == 0;
            }
            assert_same(lpm, entries, count, &first);
            assert_same(lpm, entries, count, &last);
            assert_same(lpm, entries, count, &before);
            assert_same(lpm, entries, count, &after);
        }
        for (int i = 0; i < 100; i++) {
            struct addr addr = random_addr(&prng, i % 2);
            assert_same(lpm, entries, count, &addr);
        }
        lpm_free(&lpm);
        ck_assert_ptr_null(lpm);
    }
}
END_TEST

START_TEST(every_length_nested)
{
    struct lpm_entry entries[33 + 129];
    size_t count = 0;
    struct addr ipv4 = addr_of("10.20.30.41"), ipv6 = addr_of("2001:db8:5555:aaaa:5555:aaaa:5555:aaab");
    for (unsigned bits = 0; bits <= 32; bits++)
        entries[count++] = (struct lpm_entry){{addr_cut(&ipv4, bits), (uint8_t)bits}, bits};
    for (unsigned bits = 0; bits <= 128; bits++)
        entries[count++] = (struct lpm_entry){{addr_cut(&ipv6, bits), (uint8_t)bits}, 1000 + bits};
    struct lpm *lpm = lpm_build(entries, count);
    ck_assert_ptr_nonnull(lpm);
    ck_assert_uint_eq(lpm_lookup(lpm, &ipv4), 32);
    ck_assert_uint_eq(lpm_lookup(lpm, &ipv6), 1128);
    for (unsigned bit = 0; bit < 32; bit++) { /* with bit n flipped only the first n bits agree */
        struct addr addr = ipv4;
        addr.hi ^= UINT64_C(1) << (63 - bit);
        ck_assert_uint_eq(lpm_lookup(lpm, &addr), bit);
    }
    for (unsigned bit = 0; bit < 128; bit++) {
        struct addr addr = ipv6;
        *(bit < 64 ? &addr.hi : &addr.lo) ^= UINT64_C(1) << (63 - bit % 64);
        ck_assert_uint_eq(lpm_lookup(lpm, &addr), 1000 + bit);
    }
    lpm_free(&lpm);
}
END_TEST

START_TEST(families_never_mix)
{
    struct lpm_entry only4[] = {entry_of("0.0.0.0/0", 4)}, only6[] = {entry_of("::/0", 6)};
    struct lpm *four = lpm_build(only4, 1), *six = lpm_build(only6, 1);
    struct addr none = {0};
    ck_assert_uint_eq(looked_up(four, "1.2.3.4"), 4);
    ck_assert_uint_eq(looked_up(four, "102:304::"), LPM_NONE);
    ck_assert_uint_eq(looked_up(six, "102:304::"), 6);
    ck_assert_uint_eq(looked_up(six, "1.2.3.4"), LPM_NONE);
    ck_assert_uint_eq(lpm_lookup(four, &none), LPM_NONE);
    ck_assert_uint_eq(lpm_lookup(six, &none), LPM_NONE);
    ck_assert_uint_eq(looked_up(four, "::ffff:1.2.3.4"), 4); /* a mapped address is the IPv4 one */
    lpm_free(&four);
    lpm_free(&six);

    /* The same leading bits in both. */
    struct lpm_entry both[] = {entry_of("32.1.13.184", 1), entry_of("2001:db8::/32", 2)};
    struct lpm *lpm = lpm_build(both, 2);
    ck_assert_uint_eq(looked_up(lpm, "32.1.13.184"), 1);
    ck_assert_uint_eq(looked_up(lpm, "32.1.13.185"), LPM_NONE);
    ck_assert_uint_eq(looked_up(lpm, "2001:db8::"), 2);
    ck_assert_uint_eq(looked_up(lpm, "2001:db9::"), LPM_NONE);
    lpm_free(&lpm);
}
END_TEST

START_TEST(the_ends_of_the_address_space)
{
    struct lpm_entry entries[] = {entry_of("0.0.0.0", 1), entry_of("255.255.255.255", 2), entry_of("::", 3),
                                  entry_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 4)};
    struct lpm *lpm = lpm_build(entries, 4);
    ck_assert_uint_eq(looked_up(lpm, "0.0.0.0"), 1);
    ck_assert_uint_eq(looked_up(lpm, "0.0.0.1"), LPM_NONE);
    ck_assert_uint_eq(looked_up(lpm, "255.255.255.255"), 2);
    ck_assert_uint_eq(looked_up(lpm, "255.255.255.254"), LPM_NONE);
    ck_assert_uint_eq(looked_up(lpm, "::"), 3);
    ck_assert_uint_eq(looked_up(lpm, "::1"), LPM_NONE);
    ck_assert_uint_eq(looked_up(lpm, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 4);
    ck_assert_uint_eq(looked_up(lpm, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"), LPM_NONE);
    lpm_free(&lpm);
}
END_TEST

START_TEST(nothing_holds_nothing)
{
    struct lpm_entry unused[1];
    struct lpm *lpm = lpm_build(unused, 0);
    ck_assert_ptr_nonnull(lpm);
    ck_assert_uint_eq(looked_up(lpm, "1.2.3.4"), LPM_NONE);
    ck_assert_uint_eq(looked_up(lpm, "::1"), LPM_NONE);
    ck_assert_uint_eq(looked_up(NULL, "1.2.3.4"), LPM_NONE);
    ck_assert_uint_eq(lpm_bytes(NULL), 0);
    ck_assert_uint_gt(lpm_bytes(lpm), 0);
    lpm_free(&lpm);
    lpm_free(&lpm);
}
END_TEST

START_TEST(a_hundred_thousand_prefixes)
{
    const size_t wanted = 100000;
    struct prng prng = prng_seeded(4);
    struct lpm_entry *entries = calloc(wanted, sizeof *entries);
    ck_assert_ptr_nonnull(entries);
    for (size_t i = 0; i < wanted; i++) { /* all different: every second one an IPv4 /24 or an IPv6 /64 of its own */
        struct addr addr = {.family = i % 2 ? ADDR_IPV6 : ADDR_IPV4};
        addr.hi = i % 2 ? UINT64_C(0x2001000000000000) | i << 8 : (uint64_t)i << 40;
        entries[i] = (struct lpm_entry){{addr, i % 2 ? 64 : 24}, (uint32_t)i};
    }
    struct lpm *lpm = lpm_build(entries, wanted);
    ck_assert_ptr_nonnull(lpm);
    for (size_t i = 0; i < wanted; i++) {
        struct addr addr = {.family = i % 2 ? ADDR_IPV6 : ADDR_IPV4};
        addr.hi = i % 2 ? UINT64_C(0x2001000000000000) | i << 8
                        : (uint64_t)i << 40 | prng_below(&prng, 256) * UINT64_C(1) << 32;
        addr.lo = i % 2 ? prng_next(&prng) : 0;
        ck_assert_uint_eq(lpm_lookup(lpm, &addr), i);
        addr.hi = i % 2 ? addr.hi | 1 : addr.hi | UINT64_C(1) << 40; /* a block that was left out */
        ck_assert_uint_eq(lpm_lookup(lpm, &addr), LPM_NONE);
    }
    ck_assert_uint_ge(lpm_bytes(lpm), wanted * sizeof(uint32_t));
    ck_assert_uint_lt(lpm_bytes(lpm), wanted * 100); /* no node a prefix and level */
    lpm_free(&lpm);
    free(entries);
}
END_TEST

START_TEST(a_hundred_thousand_random_prefixes_spot_checked)
{
    const size_t wanted = 100000;
    struct prng prng = prng_seeded(5);
    struct lpm_entry *entries = calloc(wanted, sizeof *entries);
    ck_assert_ptr_nonnull(entries);
    size_t count = random_entries(&prng, entries, wanted);
    ck_assert_uint_gt(count, wanted / 3); /* the rest stood twice */
    struct lpm *lpm = lpm_build(entries, count);
    ck_assert_ptr_nonnull(lpm);
    for (int i = 0; i < 200; i++) {
        struct addr addr = random_addr(&prng, i % 2);
        assert_same(lpm, entries, count, &addr);
    }
    lpm_free(&lpm);
    free(entries);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("lpm");
    TCase *tests = test_case(suite, "lookup");
    tcase_add_test(tests, random_prefixes_as_a_linear_scan);
    tcase_add_test(tests, every_length_nested);
    tcase_add_test(tests, families_never_mix);
    tcase_add_test(tests, the_ends_of_the_address_space);
    tcase_add_test(tests, nothing_holds_nothing);
    tcase_add_test(tests, a_hundred_thousand_prefixes);
    tcase_add_test(tests, a_hundred_thousand_random_prefixes_spot_checked);
    return suite;
}
