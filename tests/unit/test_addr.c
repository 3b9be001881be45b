/*
 * test_addr.c: addresses and prefixes. Links src/engine/addr.c.
 */
#include "check_main.h"
#include "engine/addr.h"
#include "prng.h"

#include <stdio.h>
#include <string.h>

static struct addr parsed(const char *text)
{
    struct addr addr;
    ck_assert_msg(addr_parse(text, &addr), "\"%s\" is an address", text);
    return addr;
}

static struct prefix block(const char *text)
{
    struct prefix prefix;
    ck_assert_msg(prefix_parse(text, &prefix) == PREFIX_OK, "\"%s\" is a block", text);
    return prefix;
}

static void assert_formats_as(const char *text, const char *expected)
{
    char out[ADDR_TEXT_SIZE];
    struct addr addr = parsed(text);
    ck_assert_str_eq(addr_format(&addr, out), expected);
}

/* Bit `index` of an address, the first one being 0. */
static unsigned bit_of(const struct addr *addr, unsigned index)
{
    return (unsigned)((index < 64 ? addr->hi >> (63 - index) : addr->lo >> (127 - index)) & 1);
}

static struct addr random_addr(struct prng *prng, bool ipv6)
{
    uint8_t bytes[16];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = prng_below(prng, 3) ? (uint8_t)prng_next(prng) : 0; /* zeros, so that "::" appears */
    return ipv6 ? addr_from_ipv6(bytes) : addr_from_ipv4(bytes);
}

START_TEST(ipv4_fills_the_top_bits)
{
    struct addr addr = parsed("192.0.2.129");
    ck_assert_uint_eq(addr.family, ADDR_IPV4);
    ck_assert_uint_eq(addr.hi, UINT64_C(0xc000028100000000));
    ck_assert_uint_eq(addr.lo, 0);
    struct addr from_bytes = addr_from_ipv4((const uint8_t[]){192, 0, 2, 129});
    ck_assert(addr_equal(&addr, &from_bytes));
    ck_assert_uint_eq(addr_width(&addr), 32);
}
END_TEST

START_TEST(ipv6_fills_all_bits)
{
    struct addr addr = parsed("2001:db8:1:2:3:4:5:6");
    ck_assert_uint_eq(addr.family, ADDR_IPV6);
    ck_assert_uint_eq(addr.hi, UINT64_C(0x20010db800010002));
    ck_assert_uint_eq(addr.lo, UINT64_C(0x0003000400050006));
    ck_assert_uint_eq(addr_width(&addr), 128);
}
END_TEST

START_TEST(mapped_ipv6_is_ipv4)
{
    static const uint8_t bytes[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
    struct addr expected = parsed("192.0.2.1"), addr = addr_from_ipv6(bytes);
    ck_assert(addr_equal(&addr, &expected));
    static const char *const texts[] = {"::ffff:192.0.2.1", "::FFFF:c000:201", "0:0:0:0:0:ffff:192.0.2.1",
                                        "IPv6:::ffff:192.0.2.1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        addr = parsed(texts[i]);
        ck_assert_msg(addr_equal(&addr, &expected), "%s", texts[i]);
    }
}
END_TEST

START_TEST(only_the_mapped_block_is_ipv4)
{
    static const char *const texts[] = {
        "::192.0.2.1", "::fffe:192.0.2.1", "::1:ffff:192.0.2.1", "1::ffff:192.0.2.1", "64:ff9b::192.0.2.1", "::",
        "::1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(parsed(texts[i]).family == ADDR_IPV6, "%s", texts[i]);
}
END_TEST

START_TEST(a_leading_ipv6_word_is_cut)
{
    struct addr expected = parsed("2001:db8::1");
    static const char *const texts[] = {"IPv6:2001:db8::1", "ipv6:2001:db8::1", "IPV6:2001:DB8::1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct addr addr = parsed(texts[i]);
        ck_assert_msg(addr_equal(&addr, &expected), "%s", texts[i]);
    }
}
END_TEST

START_TEST(anything_else_is_no_address)
{
    static const char *const texts[] = {
        "",
        " ",
        "none",
        "localhost",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.-4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.4:25",
        "1.2.3.4/32",
        "0x1.2.3.4",
        "1.2.3.4\n",
        "[::1]",
        "[1.2.3.4]",
        "::1%lo",
        "fe80::1%eth0",
        ":::",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "::g",
        "::12345",
        "IPv6:",
        "IPv6:1.2.3.4",
        "IPv6:IPv6:::1",
        "IPv4:1.2.3.4",
        "::1.2.3.256",
        "01.2.3.4",
        "16909060",
        "1.2.3.4.",
        "::ffff:1.2.3",
        "IPv6:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct addr addr = {1, 2, ADDR_IPV6};
        ck_assert_msg(!addr_parse(texts[i], &addr), "\"%s\" is no address", texts[i]);
        ck_assert_msg(addr.family == ADDR_NONE && addr.hi == 0 && addr.lo == 0, "\"%s\" leaves nothing", texts[i]);
    }
}
END_TEST

START_TEST(formats_the_usual_text)
{
    assert_formats_as("0.0.0.0", "0.0.0.0");
    assert_formats_as("255.255.255.255", "255.255.255.255");
    assert_formats_as("::", "::");
    assert_formats_as("::1", "::1");
    assert_formats_as("2001:DB8:0:0:0:0:0:1", "2001:db8::1");
    assert_formats_as("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"); /* one zero is not shortened */
    assert_formats_as("2001:0:0:1:0:0:0:1", "2001:0:0:1::1");          /* the longest run is */
    assert_formats_as("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1");    /* the first of two is */
    assert_formats_as("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    assert_formats_as("::ffff:10.0.0.1", "10.0.0.1");
    char out[ADDR_TEXT_SIZE];
    struct addr none = {0};
    ck_assert_str_eq(addr_format(&none, out), "none");
    ck_assert_uint_eq(addr_width(&none), 0);
}
END_TEST

START_TEST(format_and_parse_are_inverse)
{
    struct prng prng = prng_seeded(1);
    for (int i = 0; i < 20000; i++) {
        struct addr addr = random_addr(&prng, i % 2), again;
        char out[ADDR_TEXT_SIZE];
        ck_assert_ptr_eq(addr_format(&addr, out), out);
        ck_assert_msg(addr_parse(out, &again) && addr_equal(&addr, &again), "number %d: %s", i, out);

        struct prefix prefix = {.bits = (uint8_t)prng_below(&prng, addr_width(&addr) + 1)}, same;
        prefix.addr = addr_cut(&addr, prefix.bits);
        char text[PREFIX_TEXT_SIZE];
        ck_assert_ptr_eq(prefix_format(&prefix, text), text);
        ck_assert_msg(prefix_parse(text, &same) == PREFIX_OK && prefix_compare(&prefix, &same) == 0, "number %d: %s", i,
                      text);
    }
}
END_TEST

START_TEST(cut_at_every_width)
{
    struct prng prng = prng_seeded(2);
    for (int round = 0; round < 20; round++) {
        struct addr addr = random_addr(&prng, round % 2);
        for (unsigned bits = 0; bits <= 140; bits++) {
            struct addr cut = addr_cut(&addr, bits);
            ck_assert_uint_eq(cut.family, addr.family);
            for (unsigned index = 0; index < 128; index++)
                ck_assert_msg(bit_of(&cut, index) == (index < bits ? bit_of(&addr, index) : 0),
                              "round %d, cut to %u, bit %u", round, bits, index);
        }
    }
}
END_TEST

START_TEST(every_bit_counts_for_equality)
{
    struct addr addr = parsed("2001:db8::1"), other = addr;
    ck_assert(addr_equal(&addr, &other));
    for (unsigned index = 0; index < 128; index++) {
        other = addr;
        *(index < 64 ? &other.hi : &other.lo) ^= UINT64_C(1) << index % 64;
        ck_assert(!addr_equal(&addr, &other));
    }
    struct addr ipv4 = parsed("0.0.0.0"), ipv6 = parsed("::"), none = {0};
    ck_assert(!addr_equal(&ipv4, &ipv6));
    ck_assert(!addr_equal(&ipv4, &none));
}
END_TEST

START_TEST(reads_prefixes)
{
    static const struct {
        const char *text, *expected;
        enum prefix_error error;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0/8", PREFIX_OK},
        {"0.0.0.0/0", "0.0.0.0/0", PREFIX_OK},
        {"::/0", "::/0", PREFIX_OK},
        {"192.0.2.1", "192.0.2.1", PREFIX_OK},
        {"192.0.2.1/32", "192.0.2.1", PREFIX_OK},
        {"2001:db8::1", "2001:db8::1", PREFIX_OK},
        {"2001:db8::/32", "2001:db8::/32", PREFIX_OK},
        {"2001:db8::1/128", "2001:db8::1", PREFIX_OK},
        {"IPv6:2001:db8::/33", "2001:db8::/33", PREFIX_OK},
        {"::ffff:10.0.0.0/104", "10.0.0.0/8", PREFIX_OK},
        {"::ffff:0:0/96", "0.0.0.0/0", PREFIX_OK},
        {"::ffff:192.0.2.1", "192.0.2.1", PREFIX_OK},
        {"::ffff:192.0.2.1/128", "192.0.2.1", PREFIX_OK},
        {"10.0.0.1/8", "10.0.0.0/8", PREFIX_HOST_BITS},
        {"10.0.0.1/31", "10.0.0.0/31", PREFIX_HOST_BITS},
        {"0.0.0.1/0", "0.0.0.0/0", PREFIX_HOST_BITS},
        {"2001:db8::1/64", "2001:db8::/64", PREFIX_HOST_BITS},
        {"2001:db8:0:0:8000::/64", "2001:db8::/64", PREFIX_HOST_BITS},
        {"2001:db8::1/127", "2001:db8::/127", PREFIX_HOST_BITS},
        {"::ffff:10.0.0.1/104", "10.0.0.0/8", PREFIX_HOST_BITS},
        {"10.0.0.0/33", NULL, PREFIX_BAD_LENGTH},
        {"2001:db8::/129", NULL, PREFIX_BAD_LENGTH},
        {"10.0.0.0/", NULL, PREFIX_BAD_LENGTH},
        {"10.0.0.0/-1", NULL, PREFIX_BAD_LENGTH},
        {"10.0.0.0/+8", NULL, PREFIX_BAD_LENGTH},
        {"10.0.0.0/ 8", NULL, PREFIX_BAD_LENGTH},
        {"10.0.0.0/8 ", NULL, PREFIX_BAD_LENGTH},
        {"10.0.0.0/08", NULL, PREFIX_BAD_LENGTH},
        {"10.0.0.0/0x8", NULL, PREFIX_BAD_LENGTH},
        {"10.0.0.0/8/8", NULL, PREFIX_BAD_LENGTH},
        {"10.0.0.0/255.0.0.0", NULL, PREFIX_BAD_LENGTH},
        {"10.0.0.0/4294967304", NULL, PREFIX_BAD_LENGTH}, /* 8 in 32 bits */
        {"2001:db8::/256", NULL, PREFIX_BAD_LENGTH},      /* 0 in 8 bits */
        {"::ffff:10.0.0.0/95", NULL, PREFIX_BAD_LENGTH},
        {"::ffff:10.0.0.0/129", NULL, PREFIX_BAD_LENGTH},
        {"", NULL, PREFIX_BAD_ADDRESS},
        {"/8", NULL, PREFIX_BAD_ADDRESS},
        {"10.0.0/8", NULL, PREFIX_BAD_ADDRESS},
        {"10.0.0.0 /8", NULL, PREFIX_BAD_ADDRESS},
        {"[2001:db8::]/32", NULL, PREFIX_BAD_ADDRESS},
        {"pool:outlook", NULL, PREFIX_BAD_ADDRESS},
        {"0000000000000000000000000000000000000000000000000000000000000000000000001/8", NULL, PREFIX_BAD_ADDRESS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prefix prefix;
        char out[PREFIX_TEXT_SIZE];
        ck_assert_msg(prefix_parse(cases[i].text, &prefix) == cases[i].error, "\"%s\"", cases[i].text);
        if (cases[i].expected)
            ck_assert_str_eq(prefix_format(&prefix, out), cases[i].expected);
    }
}
END_TEST

START_TEST(longest_texts_fit)
{
    struct prefix prefix = block("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
    char out[PREFIX_TEXT_SIZE];
    ck_assert_str_eq(prefix_format(&prefix, out), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
}
END_TEST

START_TEST(a_block_holds_its_addresses_alone)
{
    struct prefix ten = block("10.0.0.0/8"), ipv4 = block("0.0.0.0/0"), ipv6 = block("::/0"), one = block("::1");
    struct addr in = parsed("10.255.255.255"), out = parsed("11.0.0.0"), six = parsed("a00::"), none = {0};
    ck_assert(prefix_contains(&ten, &in));
    ck_assert(!prefix_contains(&ten, &out));
    ck_assert(!prefix_contains(&ten, &six)); /* the same leading bits */
    ck_assert(prefix_contains(&ipv4, &out));
    ck_assert(!prefix_contains(&ipv4, &six));
    ck_assert(prefix_contains(&ipv6, &six));
    ck_assert(!prefix_contains(&ipv6, &out));
    ck_assert(!prefix_contains(&ipv4, &none) && !prefix_contains(&ipv6, &none));
    struct addr first = parsed("::1"), second = parsed("::2");
    ck_assert(prefix_contains(&one, &first));
    ck_assert(!prefix_contains(&one, &second));
}
END_TEST

START_TEST(order_is_family_address_bits)
{
    static const char *const sorted[] = {"0.0.0.0/0",   "0.0.0.0",       "10.0.0.0/8",    "10.0.0.0/16",
                                         "10.0.0.0",    "10.128.0.0/9",  "::/0",          "::1",
                                         "::1:0:0:0:0", "2001:db8::/32", "2001:db8::/64", "fe80::/10"};
    const size_t count = sizeof sorted / sizeof *sorted;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            struct prefix a = block(sorted[i]), b = block(sorted[j]);
            int order = prefix_compare(&a, &b);
            ck_assert_msg(i < j ? order < 0 : i > j ? order > 0 : order == 0, "%s, %s", sorted[i], sorted[j]);
        }
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("addr");
    TCase *addresses = test_case(suite, "addresses");
    tcase_add_test(addresses, ipv4_fills_the_top_bits);
    tcase_add_test(addresses, ipv6_fills_all_bits);
    tcase_add_test(addresses, mapped_ipv6_is_ipv4);
    tcase_add_test(addresses, only_the_mapped_block_is_ipv4);
    tcase_add_test(addresses, a_leading_ipv6_word_is_cut);
    tcase_add_test(addresses, anything_else_is_no_address);
    tcase_add_test(addresses, formats_the_usual_text);
    tcase_add_test(addresses, format_and_parse_are_inverse);
    tcase_add_test(addresses, cut_at_every_width);
    tcase_add_test(addresses, every_bit_counts_for_equality);
    TCase *prefixes = test_case(suite, "prefixes");
    tcase_add_test(prefixes, reads_prefixes);
    tcase_add_test(prefixes, longest_texts_fit);
    tcase_add_test(prefixes, a_block_holds_its_addresses_alone);
    tcase_add_test(prefixes, order_is_family_address_bits);
    return suite;
}
