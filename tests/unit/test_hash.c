/*
 * test_hash.c: the keyed hash against the published vectors of SipHash-2-4. Links src/engine/hash.c.
 */
#include "check_main.h"
#include "engine/hash.h"

#include <stdio.h>
#include <string.h>

/* Aumasson and Bernstein's vectors: key 00 01 .. 0f, input the first n of the bytes 00 01 02 .., output bytes in order.
 */
static const char *const vectors[64] = {
    "310e0edd47db6f72", "fd67dc93c539f874", "5a4fa9d909806c0d", "2d7efbd796666785", "b7877127e09427cf",
    "8da699cd64557618", "cee3fe586e46c9cb", "37d1018bf50002ab", "6224939a79f5f593", "b0e4a90bdf82009e",
    "f3b9dd94c5bb5d7a", "a7ad6b22462fb3f4", "fbe50e86bc8f1e75", "903d84c02756ea14", "eef27a8e90ca23f7",
    "e545be4961ca29a1", "db9bc2577fcc2a3f", "9447be2cf5e99a69", "9cd38d96f0b3c14b", "bd6179a71dc96dbb",
    "98eea21af25cd6be", "c7673b2eb0cbf2d0", "883ea3e395675393", "c8ce5ccd8c030ca8", "94af49f6c650adb8",
    "eab8858ade92e1bc", "f315bb5bb835d817", "adcf6b0763612e2f", "a5c91da7acaa4dde", "716595876650a2a6",
    "28ef495c53a387ad", "42c341d8fa92d832", "ce7cf2722f512771", "e37859f94623f3a7", "381205bb1ab0e012",
    "ae97a10fd434e015", "b4a31508beff4d31", "81396229f0907902", "4d0cf49ee5d4dcca", "5c73336a76d8bf9a",
    "d0a704536ba93e0e", "925958fcd6420cad", "a915c29bc8067318", "952b79f3bc0aa6d4", "f21df2e41d4535f9",
    "87577519048f53a9", "10a56cf5dfcd9adb", "eb75095ccd986cd0", "51a9cb9ecba312e6", "96afadfc2ce666c7",
    "72fe52975a4364ee", "5a1645b276d592a1", "b274cb8ebf87870a", "6f9bb4203de7b381", "eaecb2a30b22a87f",
    "9924a43cc1315724", "bd838d3aafbf8db7", "0b1a2a3265d51aea", "135079a3231ce660", "932b2846e4d70666",
    "e1915f5cb1eca46c", "f325965ca16d629f", "575ff28e60381be5", "724506eb4c328a95",
};

/* The key above as two little-endian words. */
static const uint64_t vector_key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};

START_TEST(published_vectors)
{
    unsigned char input[64];
    for (size_t size = 0; size < 64; size++) {
        input[size] = (unsigned char)size;
        uint64_t hash = hash_bytes(vector_key, input, size);
        char text[17];
        for (int i = 0; i < 8; i++)
            snprintf(text + 2 * i, 3, "%02x", (unsigned)(hash >> 8 * i & 0xff));
        ck_assert_msg(strcmp(text, vectors[size]) == 0, "%zu bytes: %s instead of %s", size, text, vectors[size]);
    }
}
END_TEST

START_TEST(where_the_bytes_lie_does_not_matter)
{
    unsigned char shifted[40];
    for (size_t offset = 0; offset < 8; offset++) {
        for (size_t i = 0; i < 15; i++)
            shifted[offset + i] = (unsigned char)i;
        uint64_t hash = hash_bytes(vector_key, shifted + offset, 15);
        ck_assert_uint_eq(hash, UINT64_C(0xa129ca6149be45e5)); /* the example of the paper's appendix */
    }
}
END_TEST

START_TEST(each_half_of_the_key_counts)
{
    const uint64_t keys[][2] = {{0, 0}, {1, 0}, {0, 1}, {UINT64_C(1) << 63, 0}, {0, UINT64_C(1) << 63}};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_ne(hash_bytes(keys[i], "abc", 3), hash_bytes(keys[j], "abc", 3));
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("hash");
    TCase *tests = test_case(suite, "siphash");
    tcase_add_test(tests, published_vectors);
    tcase_add_test(tests, where_the_bytes_lie_does_not_matter);
    tcase_add_test(tests, each_half_of_the_key_counts);
    return suite;
}
