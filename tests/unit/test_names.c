/*
 * test_names.c: the normal form of domains, addresses and user names. Links src/mail/names.c,
 * libidn2 and libpsl.
 */
#include "check_main.h"
#include "mail/names.h"
#include "prng.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef void normalise_fn(const char *text, char out[NAME_SIZE]);

static normalise_fn *const normalisers[] = {name_domain, name_address, name_user};
enum { NORMALISERS = sizeof normalisers / sizeof *normalisers };

struct example {
    const char *text, *normal;
};

static void check_examples(normalise_fn *normalise, const struct example *examples, size_t count)
{
    char out[NAME_SIZE], again[NAME_SIZE];

    for (size_t i = 0; i < count; i++) {
        const char *text = examples[i].text ? examples[i].text : "NULL";
        memset(out, 'x', sizeof out);
        normalise(examples[i].text, out);
        ck_assert_msg(strcmp(out, examples[i].normal) == 0, "\"%s\": \"%s\" instead of \"%s\"", text, out,
                      examples[i].normal);
        normalise(out, again);
        ck_assert_msg(strcmp(out, again) == 0, "\"%s\": \"%s\", then \"%s\"", text, out, again);
    }
}

#define CHECK_EXAMPLES(normalise, examples) check_examples(normalise, examples, sizeof(examples) / sizeof *(examples))

/* `count` times `c`, then the tail. */
static const char *long_text(char c, size_t count, const char *tail)
{
    static char text[70000];

    ck_assert_uint_lt(count + strlen(tail), sizeof text);
    memset(text, c, count);
    strcpy(text + count, tail);
    return text;
}

/* ---- examples ---- */

static const char *domain_of(const char *address)
{
    const char *at = strrchr(address, '@');
    return at ? at + 1 : "";
}

START_TEST(domains)
{
    static const struct example examples[] = {
        {NULL, ""},
        {"", ""},
        {".", ""},
        {"...", ""},
        {"Example.COM", "example.com"},
        {"example.com.", "example.com"},
        {"example.com...", "example.com"},
        {".example..com", ".example..com"},
        {"localhost", "localhost"},
        {"[192.0.2.1]", "[192.0.2.1]"},
        {"[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"},
        {"192.0.2.1", "192.0.2.1"},
        {"my_host.example", "my_host.example"},
        {"-x--y-.example", "-x--y-.example"},
        {"a@b.Example.", "a@b.example"},
        {"two words", "two%20words"},
        {"a\tb\r\nc\x7f", "a%09b%0D%0Ac%7F"},
        {"\x01\xff", "%01%FF"},
        {"%01%FF", "%01%FF"},
        {"%ff%Ff%41%4A%5", "%ff%ff%41%4a%5"},
        {"100%", "100%"},
        {"%%FF%", "%%FF%"},
        {"%25%2B", "%25%2b"},
        {"%FG%G0", "%fg%g0"},
        {"!~ ", "!~%20"},
    };
    CHECK_EXAMPLES(name_domain, examples);
}
END_TEST

START_TEST(internationalised_domains)
{
    static const struct example examples[] = {
        {"b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.example"},
        {"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
        {"B\xc3\x9c"
         "CHER.Example.",
         "xn--bcher-kva.example"},
        {"bu\xcc\x88"
         "cher.example",
         "xn--bcher-kva.example"},                    /* u and COMBINING DIAERESIS */
        {"fa\xc3\x9f.example", "xn--fa-hia.example"}, /* transitional processing would make it fass */
        {"mail.\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95", "mail.xn--fsqu00a.xn--0zwm56d"},
        {"\xd7\x90\xd7\x91"
         "1.example",
         "xn--1-zhcd.example"},                    /* right to left */
        {"\xef\xbd\x85xample.COM", "example.com"}, /* FULLWIDTH LATIN SMALL LETTER E */
        {"mail\xe3\x80\x82"                        /* IDEOGRAPHIC FULL STOP */
         "example.com\xe3\x80\x82",
         "mail.example.com"},
        {"\xc3\xbc_a.example", "xn--_a-wka.example"},
        /* What libidn2 refuses, and what is no part of a name after it, is written byte by byte... */
        {"\xe2\x98\x83.example", "%E2%98%83.example"}, /* SNOWMAN */
        {"\xc3(.example", "%C3(.example"},             /* no UTF-8 */
        {"b\xc3\xbc--x.example", "b%C3%BC--x.example"},
        {"a\xef\xbc\xa0" /* FULLWIDTH COMMERCIAL AT */
         "b.example",
         "a%EF%BC%A0b.example"},
        {"\xc2\xad.example", "%C2%AD.example"}, /* SOFT HYPHEN */
        {"a.\xe3\x80\x82", "a.%E3%80%82"},
        /* ... and the labels beside it are not. */
        {"A\xff.b\xc3\xbc"
         "cher.Example",
         "a%FF.xn--bcher-kva.example"},
    };
    CHECK_EXAMPLES(name_domain, examples);
}
END_TEST

START_TEST(a_label_too_long_for_libidn2)
{
    char text[600] = "", expected[NAME_SIZE], out[NAME_SIZE];

    memset(text, 'a', 64);
    strcat(text, "\xc3\xbc.example");
    snprintf(expected, sizeof expected, "%.64s%%C3%%BC.example", text);
    name_domain(text, out);
    ck_assert_str_eq(out, expected);
    /* SOFT HYPHEN is nothing in an A-label, but 255 bytes are the most that a domain may have. */
    for (size_t bytes = 254; bytes <= 257; bytes++) {
        text[0] = '\0';
        while (strlen(text) < bytes - 3)
            strcat(text, "\xc2\xad");
        strcat(text, bytes % 2 == 0 ? "AB" : "ABC");
        ck_assert_uint_eq(strlen(text), bytes);
        name_domain(text, out);
        ck_assert_int_eq(out[0] == 'a', bytes <= 255);
    }
}
END_TEST

START_TEST(addresses)
{
    static const struct example examples[] = {
        {NULL, ""},
        {"", ""},
        {"<>", ""},
        {"<<>>", ""},
        {"Joe@Example.COM", "joe@example.com"},
        {"<joe@example.com>", "joe@example.com"},
        {"<Joe@Example.com.>", "joe@example.com"},
        {"<joe@example.com>.", "joe@example.com"},
        {"joe@example.com..", "joe@example.com"},
        {"joe@b\xc3\xbc"
         "cher.example",
         "joe@xn--bcher-kva.example"},
        {"J\xc3\xb6@XN--BCHER-KVA.example", "j%C3%B6@xn--bcher-kva.example"},
        {"joe@[IPv6:2001:DB8::1]", "joe@[ipv6:2001:db8::1]"},
        {"Postmaster", "postmaster"},
        {"<Postmaster>", "postmaster"},
        {"joe.", "joe."},
        {"joe%Sub.example@relay.example", "joe%sub.example@relay.example"},
        {"a@b@C", "a@b@c"},
        {"joe@", "joe@"},
        {"joe@..", "joe@"},
        {"@example.com", "@example.com"},
        {"@", "@"},
        {"<", "<"},
        {">", ">"},
        {"<joe@example.com", "<joe@example.com"},
        {"joe@example.com>", "joe@example.com>"},
        {"joe smith@example.com", "joe%20smith@example.com"},
        /* source routes */
        {"<@a,@b:user@dom>", "user@dom"},
        {"@A.example:Joe@Example.com", "joe@example.com"},
        {"@a:<@b:<joe@c>>", "joe@c"},
        {"@a@b:Joe.", "joe."},
        {"@a:", ""},
        {"a:b@c", "a:b@c"},
        /* quoted local parts */
        {"\"Joe\"@Example.com", "joe@example.com"},
        {"\"joe.smith\"@example.com", "joe.smith@example.com"},
        {"\"j\\o\\e\"@example.com", "joe@example.com"},
        {"\"j\xc3\xb6\"@example.com", "j%C3%B6@example.com"},
        {"\"j%C3%B6\"@example.com", "j%C3%B6@example.com"},
        {"\"joe smith\"@example.com", "\"joe%20smith\"@example.com"},
        {"\"joe\\ smith\"@example.com", "\"joe%20smith\"@example.com"},
        {"\"Joe@Home\"@example.com", "\"joe@home\"@example.com"},
        {"\"a\\\"b\\\\c\"@example.com", "\"a\\\"b\\\\c\"@example.com"},
        {"\".joe\"@example.com", "\".joe\"@example.com"},
        {"\"joe.\"@example.com", "\"joe.\"@example.com"},
        {"\"j..e\"@example.com", "\"j..e\"@example.com"},
        {"\"%00\"@example.com", "\"%00\"@example.com"},
        {"\"\"@example.com", "\"\"@example.com"},
        {"\"joe\"", "joe"},
        {"<\"joe\">", "joe"},
        /* no quoted strings */
        {"\"joe@example.com", "\"joe@example.com"},
        {"\"", "\""},
        {"\"joe\\\"@example.com", "\"joe\\\"@example.com"},
        {"\"joe\"x@example.com", "\"joe\"x@example.com"},
        {"\"jo\"e\"@example.com", "\"jo\"e\"@example.com"},
        {"\"a\".\"b\"@example.com", "\"a\".\"b\"@example.com"},
    };
    CHECK_EXAMPLES(name_address, examples);
}
END_TEST

START_TEST(users)
{
    static const struct example examples[] = {
        {NULL, ""},
        {"", ""},
        {"Joe", "joe"},
        {"Joe.Smith@Example.COM.", "joe.smith@example.com."},
        {"EXAMPLE\\Joe", "example\\joe"},
        {"<joe>", "<joe>"},
        {"joe smith", "joe%20smith"},
        {"J\xc3\xb6@b\xc3\xbc.example", "j%C3%B6@b%C3%BC.example"},
    };
    CHECK_EXAMPLES(name_user, examples);
}
END_TEST

/* By parts of the Public Suffix List that are older than any libpsl with which this is built. */
START_TEST(registrable_domains)
{
    static const struct example examples[] = {
        {NULL, ""},
        {"", ""},
        {"..", ""},
        {"A.b.Example.co.UK.", "example.co.uk"},
        {"example.co.uk", "example.co.uk"},
        {"co.uk", ""},
        {"mail.test.example", "test.example"}, /* a top-level domain that is not in the list */
        {"localhost", ""},
        {"192.0.2.1", ""},
        {"[192.0.2.1]", ""},
        {"[IPv6:2001:db8::1]", ""},
        {"www.\xe9\xa3\x9f\xe7\x8b\xae.\xe5\x85\xac\xe5\x8f\xb8.cn", "xn--85x722f.xn--55qx5d.cn"},
    };
    CHECK_EXAMPLES(name_registrable, examples);
    char out[NAME_SIZE];
    name_registrable(long_text('a', 300, ".example.com"), out);
    ck_assert_str_eq(out, ""); /* it is cut */
}
END_TEST

/* ---- long names ---- */

/* Whether it is `kept` bytes of `c`, "#" and 16 digits. */
static bool is_cut(const char *text, char c, size_t kept)
{
    const char run[] = {c, '\0'};
    return strspn(text, run) == kept && text[kept] == '#' && strspn(text + kept + 1, "0123456789abcdef") == 16;
}

START_TEST(long_names_are_cut)
{
    char out[NAME_SIZE], other[NAME_SIZE];

    for (size_t i = 0; i < NORMALISERS; i++) {
        normalisers[i](long_text('A', 255, ""), out);
        ck_assert_str_eq(out, long_text('a', 255, ""));
        normalisers[i](long_text('A', 256, ""), out);
        ck_assert_msg(is_cut(out, 'a', 238) && strlen(out) == 255, "%s", out);
        normalisers[i](long_text('a', 256, ""), other);
        ck_assert_str_eq(out, other);
        normalisers[i](out, other);
        ck_assert_str_eq(out, other);
        normalisers[i](long_text('a', 255, "b"), other);
        ck_assert_str_ne(out, other);
        normalisers[i](long_text('a', 257, ""), other);
        ck_assert_str_ne(out, other);
        normalisers[i](long_text('a', 69000, ""), out);
        normalisers[i](long_text('a', 69000, "b"), other);
        ck_assert_str_ne(out, other);
    }
    name_domain(long_text('a', 255, "..."), out);
    ck_assert_str_eq(out, long_text('a', 255, ""));
    name_domain(long_text('.', 69000, ""), out);
    ck_assert_str_eq(out, "");
}
END_TEST

/* The hash is part of what stands in lists and tables, so it has to stay. */
START_TEST(the_hash)
{
    char out[NAME_SIZE];
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < 300; i++)
        hash = (hash ^ 'a') * UINT64_C(1099511628211);
    char expected[NAME_SIZE];
    snprintf(expected, sizeof expected, "%.238s#%016llx", long_text('a', 238, ""), (unsigned long long)hash);
    name_user(long_text('A', 300, ""), out);
    ck_assert_str_eq(out, expected);
}
END_TEST

START_TEST(no_escape_is_cut_in_two)
{
    char out[NAME_SIZE], again[NAME_SIZE];

    for (size_t count = 230; count < 240; count++) {
        name_user(long_text('a', count, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), out);
        ck_assert_uint_ge(strlen(out), 253);
        name_user(out, again);
        ck_assert_str_eq(out, again);
    }
}
END_TEST

START_TEST(a_long_local_part_keeps_the_domain)
{
    char out[NAME_SIZE], other[NAME_SIZE], domain[NAME_SIZE];

    name_address(long_text('A', 300, "@Spam.Example"), out);
    ck_assert_uint_eq(strlen(out), 255);
    ck_assert(is_cut(out, 'a', 225));
    ck_assert_str_eq(domain_of(out), "spam.example");
    name_address(out, other);
    ck_assert_str_eq(out, other);
    name_address(long_text('A', 301, "@Spam.Example"), other);
    ck_assert_str_ne(out, other);
    name_address(long_text('a', 242, "@spam.example"), out);
    ck_assert_str_eq(out, long_text('a', 242, "@spam.example"));

    for (size_t size = 236; size <= 260; size++) {
        char address[1000] = "an.ample.local.part@";
        strcat(address, long_text('d', size, ""));
        name_address(address, out);
        strcpy(domain, domain_of(out));
        ck_assert_uint_eq(strlen(out), 255);
        ck_assert_int_eq(strcmp(domain, long_text('d', size, "")) == 0, size <= 237);
        ck_assert_int_eq(out[0] == '#' || out[1] == '#', size == 236 || size == 237);
        name_address(out, other);
        ck_assert_str_eq(out, other);
        address[0] = 'A';
        name_address(address, other);
        ck_assert_str_eq(out, other);
        address[0] = 'b';
        name_address(address, other);
        ck_assert_str_ne(out, other);
        address[0] = 'a';
        strcat(address, "e");
        name_address(address, other);
        ck_assert_str_ne(out, other);
    }
}
END_TEST

/* ---- any bytes ---- */

/* Printable, letters in lower case but in %XX. */
static bool is_normal(const char *text)
{
    for (const char *c = text; *c; c++) {
        bool digit = (c - text >= 1 && c[-1] == '%') || (c - text >= 2 && c[-2] == '%');
        if (*c <= ' ' || *c > '~' || (*c >= 'A' && *c <= 'Z' && !(digit && *c <= 'F')))
            return false;
    }
    return true;
}

static const char *escaped(const char *text)
{
    static char out[4 * 1024 + 1];
    char *at = out;

    for (; *text && at < out + sizeof out - 5; text++)
        at += sprintf(at, *text > ' ' && *text <= '~' && *text != '\\' ? "%c" : "\\x%02x", (unsigned char)*text);
    *at = '\0';
    return out;
}

static void check_any(const char *text)
{
    char out[NAME_SIZE + 1], again[NAME_SIZE];

    for (size_t i = 0; i < NORMALISERS; i++) {
        memset(out, 'X', sizeof out);
        normalisers[i](text, out);
        ck_assert_msg(memchr(out, '\0', NAME_SIZE) != NULL && out[NAME_SIZE] == 'X', "%s", escaped(text));
        ck_assert_msg(is_normal(out), "%zu: %s: %s", i, escaped(text), out);
        normalisers[i](out, again);
        ck_assert_msg(strcmp(out, again) == 0, "%zu: %s: %s, then %s", i, escaped(text), out, again);
    }
}

static void random_text(struct prng *prng, char *text, size_t size)
{
    static const char *const pieces[] = {
        "<",
        ">",
        "@",
        ":",
        ".",
        "\"",
        "\\",
        "%",
        "#",
        " ",
        "C3",
        "FF",
        "20",
        "8",
        "0",
        "a",
        "B",
        "example",
        "\xc3\xbc",
        "\xe3\x80\x82",
        "\xef\xbc\xa0",
        "\xef\xbc\x9e",
        "\xc2\xad",
        "\xff",
        "\x01",
        "xn--",
        "@a.",
        "\"@",
    };
    uint32_t length = 1 + prng_below(prng, prng_below(prng, 4) == 0 ? (uint32_t)size - 16 : 16);
    bool bytes = prng_below(prng, 4) == 0;

    for (*text = '\0'; strlen(text) < length;) {
        if (bytes)
            strcat(text, (char[]){(char)(1 + prng_below(prng, 255)), '\0'});
        else
            strcat(text, pieces[prng_below(prng, sizeof pieces / sizeof *pieces)]);
    }
}

START_TEST(any_bytes)
{
    struct prng prng = prng_seeded(1);
    char text[600];

    for (unsigned byte = 1; byte < 256; byte++)
        check_any((char[]){(char)byte, '\0'});
    for (unsigned i = 0; i < 100000; i++) {
        random_text(&prng, text, sizeof text);
        check_any(text);
    }
}
END_TEST

/* No two texts of a few characters share a form but for what the form is meant to leave out. */
START_TEST(different_names_stay_different)
{
    static const char alphabet[] = "ab.@%\x01\xff ";
    enum { LETTERS = sizeof alphabet - 1, TEXTS = LETTERS * LETTERS * LETTERS };
    static char forms[TEXTS][NAME_SIZE];

    for (unsigned i = 0; i < TEXTS; i++) {
        const char text[] = {alphabet[i % LETTERS], alphabet[i / LETTERS % LETTERS],
                             alphabet[i / LETTERS / LETTERS % LETTERS], '\0'};
        name_user(text, forms[i]);
        for (unsigned j = 0; j < i; j++)
            ck_assert_msg(strcmp(forms[i], forms[j]) != 0, "%s", forms[i]);
    }
}
END_TEST

START_TEST(case_and_dots_do_not_matter)
{
    struct prng prng = prng_seeded(2);
    char text[600], other[610], out[NAME_SIZE], again[NAME_SIZE];

    for (unsigned i = 0; i < 20000; i++) {
        random_text(&prng, text, sizeof text);
        /* A letter after '%' may be a digit of an escape, which is in upper case. */
        for (char *c = text; *c; c++)
            if (*c == '%')
                *c = '-';
        strcpy(other, text);
        for (char *c = other; *c; c++)
            if (prng_below(&prng, 2) == 0 && ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z')))
                *c ^= 0x20;
        for (size_t j = 0; j < NORMALISERS; j++) {
            normalisers[j](text, out);
            normalisers[j](other, again);
            ck_assert_msg(strcmp(out, again) == 0, "%s: %s, %s", escaped(text), out, again);
        }
        strcat(other, prng_below(&prng, 2) ? "." : "...");
        name_domain(text, out);
        name_domain(other, again);
        ck_assert_msg(strcmp(out, again) == 0, "%s: %s, %s", escaped(text), out, again);
        if (strchr(text, '@') && text[0] != '@' && text[0] != '<') {
            name_address(text, out);
            name_address(other, again);
            ck_assert_msg(strcmp(out, again) == 0, "%s: %s, %s", escaped(text), out, again);
        }
    }
}
END_TEST

/* A plain name is only copied; what must not make a difference has it looked at as any other. */
START_TEST(plain_names_are_as_others)
{
    static const char alphabet[] = "abcxyzABCXYZ0189.-_+=@@..";
    struct prng prng = prng_seeded(11);

    for (int i = 0; i < 200000; i++) {
        char text[300] = "", wrapped[310], dotted[310], got[NAME_SIZE], expected[NAME_SIZE];
        uint32_t size = prng_below(&prng, prng_below(&prng, 20) == 0 ? 290 : 30);
        for (uint32_t j = 0; j < size; j++)
            text[j] = alphabet[prng_below(&prng, sizeof alphabet - 1)];
        snprintf(wrapped, sizeof wrapped, "<%s>", text);
        name_address(text, got);
        name_address(wrapped, expected);
        ck_assert_msg(strcmp(got, expected) == 0, "%s: %s, not %s", text, got, expected);
        snprintf(dotted, sizeof dotted, "%s..", text);
        name_domain(text, got);
        name_domain(dotted, expected);
        ck_assert_msg(strcmp(got, expected) == 0, "%s: %s, not %s", text, got, expected);
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("names");
    TCase *tests = test_case(suite, "examples");
    tcase_add_test(tests, domains);
    tcase_add_test(tests, internationalised_domains);
    tcase_add_test(tests, a_label_too_long_for_libidn2);
    tcase_add_test(tests, addresses);
    tcase_add_test(tests, users);
    tcase_add_test(tests, registrable_domains);
    tests = test_case(suite, "long_names");
    tcase_add_test(tests, long_names_are_cut);
    tcase_add_test(tests, the_hash);
    tcase_add_test(tests, no_escape_is_cut_in_two);
    tcase_add_test(tests, a_long_local_part_keeps_the_domain);
    tests = test_case(suite, "any_bytes");
    tcase_add_test(tests, any_bytes);
    tcase_add_test(tests, different_names_stay_different);
    tcase_add_test(tests, case_and_dots_do_not_matter);
    tcase_add_test(tests, plain_names_are_as_others);
    return suite;
}
