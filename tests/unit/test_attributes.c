/*
 * test_attributes.c: requests of Postfix's policy delegation protocol, whole, cut and malformed, beside a reader that
 * goes byte by byte (tests/fuzz/plain_attributes.h). Links policy/attributes.c.
 */
#include "check_main.h"
#include "prng.h"
#include "tests/fuzz/plain_attributes.h"

#include <stdio.h>
#include <string.h>

/* ---- a request ---- */

static char *text; /* of the request read last, and not a byte more */
static size_t text_size;
static struct attributes attributes;

static void teardown(void)
{
    free(text);
}

/* Reads a copy of the request. Returns what is wrong with it, or NULL. */
static const char *read_bytes(const char *request, size_t size)
{
    free(text);
    text = malloc(size);
    ck_assert_ptr_nonnull(text);
    memcpy(text, request, size);
    text_size = size;
    memset(&attributes, 0xee, sizeof attributes);
    return attributes_read(text, size, &attributes);
}

static const char *read_text(const char *request)
{
    ck_assert_uint_eq(attributes_whole(request, strlen(request), 0), strlen(request));
    return read_bytes(request, strlen(request));
}

/* The value lies in the text, its end included. */
static void assert_inside(const char *value)
{
    ck_assert(value > text && value < text + text_size && memchr(value, '\0', (size_t)(text + text_size - value)));
}

/* NULL: the attribute is not there. */
static void assert_value(enum attribute attribute, const char *expected)
{
    if (!expected) {
        ck_assert_ptr_null(attributes.value[attribute]);
        return;
    }
    ck_assert_ptr_nonnull(attributes.value[attribute]);
    assert_inside(attributes.value[attribute]);
    ck_assert_str_eq(attributes.value[attribute], expected);
}

/* That attribute has that value, and no other attribute has any. */
static void assert_only(enum attribute attribute, const char *expected)
{
    for (int i = 0; i < ATTRIBUTE_COUNT; i++)
        assert_value(i, (enum attribute)i == attribute ? expected : NULL);
}

/* ---- what Postfix says ---- */

#define UNUSED ATTRIBUTE_COUNT /* an attribute that we make no use of */

/* In the order of SMTPD_POLICY_README, which says since when. */
static const struct line {
    unsigned since; /* Postfix 2.1 is 201, 3.9 is 309 */
    enum attribute attribute;
    const char *name, *value;
} lines[] = {
    {201, ATTRIBUTE_REQUEST, "request", "smtpd_access_policy"},
    {201, ATTRIBUTE_PROTOCOL_STATE, "protocol_state", "RCPT"},
    {201, UNUSED, "protocol_name", "ESMTP"},
    {201, ATTRIBUTE_HELO_NAME, "helo_name", "mail.client.example"},
    {201, UNUSED, "queue_id", "8045F2AB23"},
    {201, ATTRIBUTE_SENDER, "sender", "joe@client.example"},
    {201, ATTRIBUTE_RECIPIENT, "recipient", "ann@mx.example"},
    {201, ATTRIBUTE_RECIPIENT_COUNT, "recipient_count", "0"},
    {201, ATTRIBUTE_CLIENT_ADDRESS, "client_address", "2001:db8::25"},
    {201, ATTRIBUTE_CLIENT_NAME, "client_name", "mail.client.example"},
    {201, UNUSED, "reverse_client_name", "mail.client.example"},
    {201, ATTRIBUTE_INSTANCE, "instance", "123.456.7"},
    {202, UNUSED, "sasl_method", "plain"},
    {202, ATTRIBUTE_SASL_USERNAME, "sasl_username", "joe"},
    {202, UNUSED, "sasl_sender", ""},
    {202, UNUSED, "size", "12345"},
    {202, UNUSED, "ccert_subject", "mail.client.example"},
    {202, UNUSED, "ccert_issuer", "Some+20Authority"},
    {202, UNUSED, "ccert_fingerprint", "C2:9D:F4:87:71:73:73:D9:18:E7:C2:F3:C1:DA:6E:04"},
    {203, UNUSED, "encryption_protocol", "TLSv1.3"},
    {203, UNUSED, "encryption_cipher", "TLS_AES_256_GCM_SHA384"},
    {203, UNUSED, "encryption_keysize", "256"},
    {203, UNUSED, "etrn_domain", ""},
    {205, UNUSED, "stress", ""},
    {209, UNUSED, "ccert_pubkey_fingerprint", "68:B3:29:DA:98:93:E3:40:99:C7:D8:AD:5C:B9:C9:40"},
    {300, ATTRIBUTE_CLIENT_PORT, "client_port", "50123"},
    {301, ATTRIBUTE_POLICY_CONTEXT, "policy_context", "submission"},
    {302, ATTRIBUTE_SERVER_ADDRESS, "server_address", "2001:db8::1"},
    {302, ATTRIBUTE_SERVER_PORT, "server_port", "587"},
    {308, UNUSED, "compatibility_level", "3.8"},
    {308, UNUSED, "mail_version", "3.9.1"},
};
enum { LINES = sizeof lines / sizeof *lines };

/* The request of that version, its lines in that order. Returns its length. */
static size_t write_request(char *out, size_t room, unsigned version, const unsigned order[LINES])
{
    size_t length = 0;

    for (unsigned i = 0; i < LINES; i++)
        if (lines[order[i]].since <= version)
            length +=
                (size_t)snprintf(out + length, room - length, "%s=%s\n", lines[order[i]].name, lines[order[i]].value);
    length += (size_t)snprintf(out + length, room - length, "\n");
    ck_assert_uint_lt(length, room);
    return length;
}

static void in_order(unsigned order[LINES])
{
    for (unsigned i = 0; i < LINES; i++)
        order[i] = i;
}

static void shuffle(unsigned order[LINES], struct prng *prng)
{
    for (unsigned i = LINES - 1; i > 0; i--) {
        unsigned other = prng_below(prng, i + 1), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

static void assert_lines(unsigned version)
{
    for (unsigned i = 0; i < LINES; i++)
        if (lines[i].attribute != UNUSED)
            assert_value(lines[i].attribute, lines[i].since <= version ? lines[i].value : NULL);
}

START_TEST(every_version_in_any_order)
{
    static const unsigned versions[] = {201, 202, 203, 205, 209, 300, 301, 302, 308, 309};
    struct prng prng = prng_seeded(1);
    char request[4096];
    unsigned order[LINES];

    for (size_t version = 0; version < sizeof versions / sizeof *versions; version++) {
        in_order(order);
        for (int i = 0; i < 100; i++) {
            size_t size = write_request(request, sizeof request, versions[version], order);
            ck_assert_uint_eq(attributes_whole(request, size, 0), size);
            ck_assert_ptr_null(read_bytes(request, size));
            assert_lines(versions[version]);
            shuffle(order, &prng);
        }
    }
}
END_TEST

START_TEST(each_alone)
{
    char request[256];

    for (unsigned i = 0; i < LINES; i++) {
        snprintf(request, sizeof request, "%s=%s\n\n", lines[i].name, lines[i].value);
        ck_assert_ptr_null(read_text(request));
        assert_only(lines[i].attribute, lines[i].value);
    }
}
END_TEST

/* A name is known only as a whole and as it is written. */
START_TEST(names_that_are_nearly_known)
{
    char request[256];

    for (int i = 0; i < ATTRIBUTE_COUNT; i++) {
        const char *name = plain_names[i];
        size_t length = strlen(name);
        const char *const formats[] = {"%sx=1\n\n", "x%s=1\n\n", "%s =1\n\n", " %s=1\n\n", "%s\r=1\n\n"};
        for (size_t format = 0; format < sizeof formats / sizeof *formats; format++) {
            snprintf(request, sizeof request, formats[format], name);
            ck_assert_ptr_null(read_text(request));
            assert_only(UNUSED, NULL);
        }
        snprintf(request, sizeof request, "%.*s=1\n\n", (int)length - 1, name);
        ck_assert_ptr_null(read_text(request));
        assert_only(UNUSED, NULL);
        for (size_t at = 0; at < length; at++) { /* its case changed, its '_' another byte */
            snprintf(request, sizeof request, "%s=1\n\n", name);
            request[at] ^= 0x20;
            ck_assert_ptr_null(read_text(request));
            assert_only(UNUSED, NULL);
        }
    }
}
END_TEST

START_TEST(unknown_ones_are_passed_over)
{
    ck_assert_ptr_null(read_text("x=y\nsmtputf8=yes\nsender=a@b.example\nsenders=c@d.example\n_=\n\n"));
    assert_only(ATTRIBUTE_SENDER, "a@b.example");
    ck_assert_ptr_null(read_text("x=y\n\n"));
    assert_only(UNUSED, NULL);
}
END_TEST

START_TEST(the_last_of_repeated_ones_holds)
{
    ck_assert_ptr_null(read_text("sender=a\nsender=b\nhelo_name=h\nsender=c\n\n"));
    assert_value(ATTRIBUTE_SENDER, "c");
    assert_value(ATTRIBUTE_HELO_NAME, "h");
    ck_assert_ptr_null(read_text("sender=a\nsender=\n\n"));
    assert_only(ATTRIBUTE_SENDER, "");
}
END_TEST

/* ---- values ---- */

START_TEST(values_as_they_are)
{
    static const char *const values[] = {
        "",
        "=",
        "==x=",
        "a=b@c.example",
        "\"a b\"@c.example",
        " ",
        "a\r", /* a carriage return is a byte like any other */
        "\r",
        "\t\x01\x7f",
        "j\xc3\xb6rg@r\xc3\xbchl.example",
        "\x80\xfe\xff",
        "sender=x",
    };
    char request[256];

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        snprintf(request, sizeof request, "x=1\nsender=%s\n\n", values[i]);
        ck_assert_ptr_null(read_text(request));
        assert_only(ATTRIBUTE_SENDER, values[i]);
    }
}
END_TEST

/* Any byte but NUL and the line's end may stand in a value, and any but these and '=' in a name. */
START_TEST(every_byte)
{
    for (int byte = 1; byte < 256; byte++) {
        char request[] = "sender=a?b\nx?=1\n\n", value[] = "a?b";
        if (byte == '\n')
            continue;
        request[8] = request[12] = value[1] = (char)byte;
        ck_assert_ptr_null(read_text(request));
        assert_only(ATTRIBUTE_SENDER, value);
    }
}
END_TEST

START_TEST(a_long_value)
{
    enum { LONG = 60000 };
    static char request[LONG + 64], value[LONG + 1];
    size_t size;

    memset(value, 'x', LONG);
    size = (size_t)snprintf(request, sizeof request, "request=r\nsender=%s\nhelo_name=h\n\n", value);
    ck_assert_uint_le(size, ATTRIBUTES_SIZE_MAX);
    ck_assert_ptr_null(read_text(request));
    assert_value(ATTRIBUTE_REQUEST, "r");
    assert_value(ATTRIBUTE_SENDER, value);
    assert_value(ATTRIBUTE_HELO_NAME, "h");

    size = (size_t)snprintf(request, sizeof request, "%s=1\nhelo_name=h\n\n", value); /* a long name */
    ck_assert_ptr_null(read_bytes(request, size));
    assert_only(ATTRIBUTE_HELO_NAME, "h");

    size = (size_t)snprintf(request, sizeof request, "%s\n\n", value);
    ck_assert_ptr_nonnull(read_bytes(request, size));
}
END_TEST

/* ---- what is wrong ---- */

START_TEST(malformed_requests)
{
#define TEXT(bytes) bytes, sizeof bytes - 1
    static const struct {
        const char *bytes;
        size_t size;
        const char *why;
    } cases[] = {
        {TEXT("\n"), "no attribute"},
        {TEXT("sender\n\n"), "a line without '='"},
        {TEXT("sender=a\nsender\n\n"), "a line without '='"},
        {TEXT("sender\nsender=a\n\n"), "a line without '='"},
        {TEXT(" \n\n"), "a line without '='"},
        {TEXT("\r\n\n"), "a line without '='"},
        {TEXT("sender=a\r\n\r\n\n"), "a line without '='"}, /* its line ends are not the protocol's */
        {TEXT("=\n\n"), "an attribute without a name"},
        {TEXT("=a\n\n"), "an attribute without a name"},
        {TEXT("sender=a\n=sender\n\n"), "an attribute without a name"},
        {TEXT("==\n\n"), "an attribute without a name"},
        {TEXT("sender=a\0b\n\n"), "a NUL"},
        {TEXT("sender\0=a\n\n"), "a NUL"},
        {TEXT("sender=a\n\0\n\n"), "a NUL"},
        {TEXT("\0sender=a\n\n"), "a NUL"},
        {TEXT("x=\0\nsender=a\n\n"), "a NUL"},
    };
#undef TEXT

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_uint_eq(attributes_whole(cases[i].bytes, cases[i].size, 0), cases[i].size);
        const char *why = read_bytes(cases[i].bytes, cases[i].size);
        ck_assert_msg(why && strcmp(why, cases[i].why) == 0, "case %zu: %s", i, why ? why : "nothing");
    }
}
END_TEST

START_TEST(as_many_attributes_as_may_be)
{
    static const char *const fillers[] = {"x=\n", "sender=a\n"};
    char request[ATTRIBUTES_COUNT_MAX * 16];

    for (size_t filler = 0; filler < 2; filler++) {
        strcpy(request, "helo_name=h\n");
        for (int i = 1; i < ATTRIBUTES_COUNT_MAX; i++)
            strcat(request, fillers[filler]);
        strcat(request, "\n");
        ck_assert_ptr_null(read_text(request));
        assert_value(ATTRIBUTE_HELO_NAME, "h");
        strcpy(strstr(request, "\n\n"), "\nx=\n\n");
        ck_assert_str_eq(read_text(request), "too many attributes");
    }
}
END_TEST

/* ---- how far a request goes ---- */

/* The bytes, come one by one, each looked at once: the request is whole with the last one and not before. (An assertion
 * that holds costs a system call, so there is one for all.) */
static void assert_grows(const char *bytes, size_t size)
{
    size_t wrong = 0, length;

    for (length = 0; length <= size && !wrong; length++) {
        char *part = malloc(length ? length : 1); /* so that a byte too far is seen */
        memcpy(part, bytes, length);
        size_t expected = length == size ? size : 0;
        wrong += attributes_whole(part, length, 0) != expected;
        wrong += attributes_whole(part, length, length ? length - 1 : 0) != expected;
        free(part);
    }
    ck_assert_msg(!wrong, "%zu bytes of %zu", length - 1, size);
}

START_TEST(cut_at_every_byte)
{
    char request[4096];
    unsigned order[LINES];

    in_order(order);
    size_t size = write_request(request, sizeof request, 309, order);
    assert_grows(request, size);
    for (size_t cut = 0; cut < size; cut++) /* in two pieces */
        ck_assert_uint_eq(attributes_whole(request, size, cut), size);
    assert_grows("\n", 1);
    assert_grows("\0=\n\n", 4);
}
END_TEST

START_TEST(nothing_yet)
{
    ck_assert_uint_eq(attributes_whole(NULL, 0, 0), 0);
    ck_assert_uint_eq(attributes_whole("sender=a\r\n\r\n", 12, 0), 0);
    ck_assert_uint_eq(attributes_whole("a\n\n", 2, 0), 0); /* what lies behind is not looked at */
    ck_assert_uint_eq(attributes_whole("a\n\n", 2, 1), 0);
}
END_TEST

START_TEST(back_to_back)
{
    const char pipelined[] = "sender=a\n\nsender=b\nhelo_name=h\n\n\nsender=c\n\nsender=d\n";
    const size_t sizes[] = {10, 22, 1, 10, 0};
    size_t at = 0;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = attributes_whole(pipelined + at, sizeof pipelined - 1 - at, 0);
        ck_assert_uint_eq(size, sizes[i]);
        if (size > 1) {
            ck_assert_ptr_null(read_bytes(pipelined + at, size));
            char value[] = {pipelined[at + 7], '\0'};
            assert_value(ATTRIBUTE_SENDER, value);
        }
        at += size;
    }
}
END_TEST

/* Reading in place leaves the next request alone. */
START_TEST(in_place)
{
    char pipelined[] = "sender=a\n\nsender=b\n\n";
    struct attributes first, second;

    ck_assert_ptr_null(attributes_read(pipelined, 10, &first));
    ck_assert_uint_eq(attributes_whole(pipelined + 10, 10, 0), 10);
    ck_assert_ptr_null(attributes_read(pipelined + 10, 10, &second));
    ck_assert_str_eq(first.value[ATTRIBUTE_SENDER], "a");
    ck_assert_str_eq(second.value[ATTRIBUTE_SENDER], "b");
}
END_TEST

/* ---- random texts ---- */

/* Pieces, as bytes alone would hardly ever make a name. Returns the length. */
static size_t random_text(struct prng *prng, char *out, size_t room)
{
    size_t length = 0;

    for (unsigned left = prng_below(prng, 40); left > 0; left--) {
        char piece[32] = "";
        unsigned kind = prng_below(prng, 64);
        if (kind < 24)
            snprintf(piece, sizeof piece, "%s=", plain_names[prng_below(prng, ATTRIBUTE_COUNT)]);
        else if (kind < 32)
            snprintf(piece, sizeof piece, "%s=", lines[prng_below(prng, LINES)].name);
        else if (kind < 52)
            strcpy(piece, "\n");
        else if (kind < 55)
            strcpy(piece, "=");
        else
            piece[0] = (char)prng_below(prng, kind < 63 ? 128 : 256);
        size_t size = *piece ? strlen(piece) : 1;
        if (size > room - length)
            break;
        memcpy(out + length, piece, size);
        length += size;
    }
    return length;
}

/* Returns whether the request is good. */
static bool assert_as_plain(const char *bytes, size_t size)
{
    struct plain_attributes plain;
    bool good = plain_read(bytes, size, &plain);

    ck_assert_int_eq(read_bytes(bytes, size) == NULL, good);
    for (int i = 0; good && i < ATTRIBUTE_COUNT; i++) {
        if (!plain.given[i]) {
            ck_assert_ptr_null(attributes.value[i]);
            continue;
        }
        ck_assert_ptr_eq(attributes.value[i], text + plain.at[i]);
        assert_inside(attributes.value[i]);
        ck_assert_uint_eq(strlen(attributes.value[i]), plain.length[i]);
        ck_assert_mem_eq(attributes.value[i], bytes + plain.at[i], plain.length[i]);
    }
    return good;
}

START_TEST(as_the_plain_reader)
{
    struct prng prng = prng_seeded(2);
    unsigned good = 0, bad = 0;

    for (int i = 0; i < 10000; i++) {
        char bytes[512];
        size_t size = random_text(&prng, bytes, sizeof bytes), at = 0, whole;
        while ((whole = attributes_whole(bytes + at, size - at, 0)) > 0) {
            ck_assert_uint_eq(whole, plain_whole(bytes + at, size - at));
            assert_grows(bytes + at, whole);
            *(assert_as_plain(bytes + at, whole) ? &good : &bad) += 1;
            at += whole;
        }
        ck_assert_uint_eq(plain_whole(bytes + at, size - at), 0);
    }
    ck_assert_uint_gt(good, 1000);
    ck_assert_uint_gt(bad, 1000);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("attributes");

    TCase *reading = test_case(suite, "reading");
    tcase_add_checked_fixture(reading, NULL, teardown);
    tcase_add_test(reading, every_version_in_any_order);
    tcase_add_test(reading, each_alone);
    tcase_add_test(reading, names_that_are_nearly_known);
    tcase_add_test(reading, unknown_ones_are_passed_over);
    tcase_add_test(reading, the_last_of_repeated_ones_holds);
    tcase_add_test(reading, values_as_they_are);
    tcase_add_test(reading, every_byte);
    tcase_add_test(reading, a_long_value);
    tcase_add_test(reading, malformed_requests);
    tcase_add_test(reading, as_many_attributes_as_may_be);

    TCase *whole = test_case(suite, "whole");
    tcase_add_checked_fixture(whole, NULL, teardown);
    tcase_add_test(whole, cut_at_every_byte);
    tcase_add_test(whole, nothing_yet);
    tcase_add_test(whole, back_to_back);
    tcase_add_test(whole, in_place);

    TCase *random = test_case(suite, "random");
    tcase_add_checked_fixture(random, NULL, teardown);
    tcase_add_test(random, as_the_plain_reader);
    return suite;
}
