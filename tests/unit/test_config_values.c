/*
 * test_config_values.c: the texts of values, keys and list entries. Links src/config/values.c, keys.c, src/mail,
 * src/engine/addr.c, hash.c, libidn2.
 */
#include "check_main.h"
#include "config/keys.h"
#include "config/values.h"

#include <inttypes.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

static char why[VALUE_WHY_SIZE];

static void assert_why(const char *text, const char *says)
{
    ck_assert_msg(strstr(why, says) != NULL, "\"%s\" was expected for \"%s\", got: %s", says, text, why);
}

START_TEST(a_count_is_a_decimal_whole_number)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0}, {"5", 5}, {"10", 10}, {"1800", 1800}, {"4294967295", UINT32_MAX}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t value = -1;
        ck_assert_msg(value_count(good[i].text, 0, UINT32_MAX, &value, why), "%s: %s", good[i].text, why);
        ck_assert_int_eq(value, good[i].value);
    }
}
END_TEST

START_TEST(a_bad_count_is_refused_with_the_remedy)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "write a whole number from 0 to 4294967295"},
        {"010", "leading zero, numbers are decimal; write 10"},
        {"00", "write 0"},
        {"0x10", "not decimal"},
        {"0X10", "not decimal"},
        {"-5", "negative; write a whole number"},
        {"+5", "has a sign; write 5"},
        {"1.5", "no whole number"},
        {"1,5", "no whole number"},
        {"5 m", "no number"},
        {" 5", "no number"},
        {"5 ", "no number"},
        {"5m", "no number"},
        {"five", "no number"},
        {"-", "no number"},
        {"--5", "no number"},
        {"1e3", "no number"},
        {"4294967296", "too large; write a whole number from 0 to 4294967295"},
        {"9223372036854775807", "too large"},
        {"9223372036854775808", "too large"},
        {"18446744073709551616", "too large"},
        {"99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999", "too large"},
        {"\xd9\xa5", "no number"}, /* a digit five, but not ASCII's */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t value = -1;
        ck_assert_msg(!value_count(bad[i].text, 0, UINT32_MAX, &value, why), "\"%s\" is read", bad[i].text);
        ck_assert_int_eq(value, -1);
        assert_why(bad[i].text, bad[i].says);
    }
}
END_TEST

START_TEST(a_count_keeps_to_its_range)
{
    int64_t value = -1;
    ck_assert(!value_count("0", 1, 32, &value, why));
    assert_why("0", "too small; write a whole number from 1 to 32");
    ck_assert(!value_count("33", 1, 32, &value, why));
    assert_why("33", "too large; write a whole number from 1 to 32");
    ck_assert(value_count("1", 1, 32, &value, why) && value_count("32", 1, 32, &value, why));
    ck_assert_int_eq(value, 32);
}
END_TEST

START_TEST(a_duration_takes_units)
{
    static const struct {
        const char *text;
        int64_t seconds;
        const char *normal;
    } good[] = {{"0", 0, "0"},           {"0s", 0, "0"},       {"0d", 0, "0"},       {"1", 1, "1s"},
                {"60", 60, "1m"},        {"90", 90, "90s"},    {"90s", 90, "90s"},   {"5m", 300, "5m"},
                {"120m", 7200, "2h"},    {"2h", 7200, "2h"},   {"24h", 86400, "1d"}, {"7d", 604800, "7d"},
                {"3601", 3601, "3601s"}, {"3660", 3660, "61m"}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t value = -1, again = -1;
        char normal[DURATION_TEXT_SIZE];
        ck_assert_msg(value_duration(good[i].text, 0, 365 * 86400 * SECOND, &value, why), "%s: %s", good[i].text, why);
        ck_assert_int_eq(value, good[i].seconds * SECOND);
        ck_assert_str_eq(duration_format(value, normal), good[i].normal);
        ck_assert(value_duration(normal, 0, 365 * 86400 * SECOND, &again, why));
        ck_assert_int_eq(again, value);
    }
}
END_TEST

START_TEST(a_bad_duration_is_refused_with_the_remedy)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "s, m, h or d"},
        {"s", "no number"},
        {"5 m", "no duration; write a whole number with s, m, h or d"},
        {"5ms", "no duration"},
        {"5M", "no duration"},
        {"1m30s", "no duration"},
        {"5w", "no duration"},
        {"1.5h", "no whole number"},
        {"-5s", "negative"},
        {"+5s", "has a sign; write 5s"},
        {"010s", "leading zero, numbers are decimal; write 10s"},
        {"00s", "write 0s"},
        {"0x10", "not decimal"},
        {"31s", "too long; write 1s to 30s"},
        {"1m", "too long"},
        {"9223372036854775807d", "too long"},
        {"9223372036854775808", "too long"},
        {"153722867280912931m", "too long"},
        {"0", "too short; write 1s to 30s"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t value = -1;
        ck_assert_msg(!value_duration(bad[i].text, SECOND, 30 * SECOND, &value, why), "\"%s\" is read", bad[i].text);
        ck_assert_int_eq(value, -1);
        assert_why(bad[i].text, bad[i].says);
    }
}
END_TEST

START_TEST(words_are_read_in_any_letter_case)
{
    static const char *const yes[] = {"yes", "YES", "true", "on"}, *const no[] = {"no", "No", "false", "off"};
    static const char *const words[] = {"helo", "connect", "never", NULL};
    int64_t number = -1;
    for (size_t i = 0; i < 4; i++) {
        bool value = false;
        ck_assert(value_bool(yes[i], &value, why) && value);
        ck_assert(value_bool(no[i], &value, why) && !value);
    }
    for (int64_t i = 0; i < 3; i++) {
        ck_assert(value_word(words[i], words, &number, why));
        ck_assert_int_eq(number, i);
    }
    ck_assert(value_word("CONNect", words, &number, why) && number == 1);

    bool value = false;
    ck_assert(!value_bool("1", &value, why));
    assert_why("1", "neither yes nor no");
    ck_assert(!value_bool("", &value, why));
    ck_assert(!value_word("mail", words, &number, why) && !value_word("", words, &number, why));
    assert_why("", "\"\" is unknown here; write helo, connect or never");
    ck_assert_int_eq(number, 1);
}
END_TEST

START_TEST(a_mode_is_octal)
{
    unsigned mode = 0;
    ck_assert(value_permissions("0660", &mode, why) && mode == 0660);
    ck_assert(value_permissions("660", &mode, why) && mode == 0660);
    ck_assert(value_permissions("0", &mode, why) && mode == 0);
    ck_assert(value_permissions("777", &mode, why) && mode == 0777);
    static const char *const bad[] = {"", "0668", "rw", "0x1b0", "-660", "1777", "0660 ", "7777777777777777777777"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!value_permissions(bad[i], &mode, why), "\"%s\" is read", bad[i]);
    ck_assert_uint_eq(mode, 0777);
}
END_TEST

START_TEST(a_name_fits_a_log_line)
{
    static const char *const good[] = {"submission", "pool:outlook", "mx1.example.com", "a-b_c+d/e@f", "25", "*"};
    static const char *const bad[] = {"",     "two words", "tab\there", "line\nend",   "a=b", "a\"b",
                                      "a\\b", "a[b]",      "{x}",       "caf\xc3\xa9", "\x7f"};
    char longest[VALUE_NAME_SIZE + 1];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(value_name(good[i], why), "%s: %s", good[i], why);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!value_name(bad[i], why), "\"%s\" is read", bad[i]);
    memset(longest, 'x', sizeof longest);
    longest[VALUE_NAME_SIZE] = '\0';
    ck_assert(!value_name(longest, why));
    assert_why(longest, "write at most 100 characters");
    longest[VALUE_NAME_SIZE - 1] = '\0';
    ck_assert(value_name(longest, why));
}
END_TEST

START_TEST(a_path_is_absolute)
{
    ck_assert(value_path("/run/x.pid", why));
    ck_assert(!value_path("", why) && !value_path("x.pid", why) && !value_path("./x.pid", why));
    assert_why("./x.pid", "begins with /");
}
END_TEST

START_TEST(a_socket_is_in_libmilters_notation)
{
    static const struct {
        const char *text;
        enum socket_kind kind;
        const char *where;
        uint16_t port;
    } good[] = {
        {"inet:7357@127.0.0.1", SOCKET_INET, "127.0.0.1", 7357},
        {"inet:1@mx.example.com", SOCKET_INET, "mx.example.com", 1},
        {"inet:65535@[127.0.0.1]", SOCKET_INET, "127.0.0.1", 65535},
        {"inet6:7357@::1", SOCKET_INET6, "::1", 7357},
        {"inet6:7357@[2001:db8::1]", SOCKET_INET6, "2001:db8::1", 7357},
        {"unix:/run/tidegate/milter.sock", SOCKET_UNIX, "/run/tidegate/milter.sock", 0},
        {"local:/run/tidegate/milter.sock", SOCKET_UNIX, "/run/tidegate/milter.sock", 0},
        {"/run/tidegate/milter.sock", SOCKET_UNIX, "/run/tidegate/milter.sock", 0},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct socket_name name;
        ck_assert_msg(value_socket(good[i].text, &name, why), "%s: %s", good[i].text, why);
        ck_assert_int_eq(name.kind, good[i].kind);
        ck_assert_str_eq(name.kind == SOCKET_UNIX ? name.path : name.host, good[i].where);
        ck_assert_uint_eq(name.port, good[i].port);
    }
}
END_TEST

START_TEST(a_bad_socket_is_refused_with_the_remedy)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "write \"inet:PORT@HOST\""},
        {"7357", "write \"inet:PORT@HOST\""},
        {"tcp:7357@127.0.0.1", "write \"inet:PORT@HOST\""},
        {"INET:7357@127.0.0.1", "write \"inet:PORT@HOST\""}, /* libmilter does not take it either */
        {"inet:127.0.0.1:7357", "host first; write \"inet:7357@127.0.0.1\""},
        {"inet6:::1:7357", "host first; write \"inet6:7357@::1\""},
        {"inet:7357", "does not say where to listen"},
        {"inet:7357@", "does not say where to listen"},
        {"inet:@127.0.0.1", "no port"},
        {"inet:0@127.0.0.1", "no port"},
        {"inet:65536@127.0.0.1", "\"65536\" is no port"},
        {"inet:65561@127.0.0.1", "\"65561\" is no port"},
        {"inet:08@127.0.0.1", "no port"},
        {"inet:smtp@127.0.0.1", "no port"},
        {"inet:-1@127.0.0.1", "no port"},
        {"inet:1@a b", "no host"},
        {"inet:1@a@b", "no host"},
        {"inet:1@[]", "no host"},
        {"inet:1@127.0.0.300", "no address"},
        {"inet:1@::1", "write \"inet6:1@::1\""},
        {"inet6:1@127.0.0.1", "write \"inet:1@127.0.0.1\""},
        {"inet6:1@::g", "no address"},
        {"unix:run/x.sock", "no absolute path"},
        {"unix:", "path is empty"},
        {"unix:/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaa",
         "too long for a unix socket"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct socket_name name;
        ck_assert_msg(!value_socket(bad[i].text, &name, why), "\"%s\" is read", bad[i].text);
        assert_why(bad[i].text, bad[i].says);
    }
}
END_TEST

START_TEST(a_listen_is_an_address_and_a_port)
{
    static const struct {
        const char *text, *addr;
        uint16_t port;
    } good[] = {
        {"", "none", 0},
        {":25", "none", 25},
        {":65535", "none", 65535},
        {"10.0.0.1:25", "10.0.0.1", 25},
        {"10.0.0.1", "10.0.0.1", 0},
        {"[2001:db8::1]:25", "2001:db8::1", 25},
        {"[2001:DB8:0::1]", "2001:db8::1", 0},
        {"[IPv6:2001:db8::1]:25", "2001:db8::1", 25},
        {"[10.0.0.1]:25", "10.0.0.1", 25},
        {"[::ffff:10.0.0.1]:25", "10.0.0.1", 25},
        {"0.0.0.0", "none", 0},
        {"0.0.0.0:25", "none", 25},
        {"[::]", "none", 0},
        {"[::]:25", "none", 25},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct addr addr;
        uint16_t port = 1;
        char text[ADDR_TEXT_SIZE];
        ck_assert_msg(value_listen(good[i].text, &addr, &port, why), "%s: %s", good[i].text, why);
        ck_assert_str_eq(addr_format(&addr, text), good[i].addr);
        ck_assert_uint_eq(port, good[i].port);
    }
}
END_TEST

START_TEST(a_bad_listen_is_refused_with_the_remedy)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"25", "write \":25\" for the port"},
        {":", "no port"},
        {":0", "no port"},
        {":025", "no port"},
        {":65536", "\"65536\" is no port"},
        {":65561", "\"65561\" is no port"},
        {":smtp", "no port"},
        {":-1", "no port"},
        {"10.0.0.1:", "no port"},
        {"10.0.0.1:25 ", "no port"},
        {"10.0.0.256:25", "no address"},
        {"10.0.0:25", "no address"},
        {"mx.example.com:25", "host names are not looked up"},
        {"*:25", "no address"},
        {"2001:db8::1", "in brackets; write \"[2001:db8::1]\""},
        {"::", "in brackets"},
        {"2001:db8::g", "no address"},
        {"[2001:db8::1:25", "no closing bracket"},
        {"[2001:db8::1]25", "after the bracket"},
        {"[2001:db8::1]:", "no port"},
        {"[]:25", "no address"},
        {"[mx]:25", "no address"},
        {"10.0.0.0/8", "no address"},
        {"10.0.0.1:25:26", "no address"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:25",
         "no address"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct addr addr;
        uint16_t port;
        ck_assert_msg(!value_listen(bad[i].text, &addr, &port, why), "\"%s\" is read", bad[i].text);
        assert_why(bad[i].text, bad[i].says);
    }
}
END_TEST

START_TEST(a_prefix_has_no_host_bits)
{
    struct prefix prefix;
    char text[PREFIX_TEXT_SIZE];
    ck_assert(value_prefix("10.0.0.0/8", &prefix, why));
    ck_assert_str_eq(prefix_format(&prefix, text), "10.0.0.0/8");
    ck_assert(value_prefix("192.0.2.1", &prefix, why));
    ck_assert(value_prefix("::/0", &prefix, why));
    ck_assert(!value_prefix("10.0.0.1/8", &prefix, why));
    assert_why("10.0.0.1/8", "10.0.0.1/8 has host bits set; write 10.0.0.0/8");
    ck_assert(!value_prefix("2001:db8::1/32", &prefix, why));
    assert_why("2001:db8::1/32", "write 2001:db8::/32");
    ck_assert(!value_prefix("10.0.0.0/33", &prefix, why));
    assert_why("10.0.0.0/33", "/0 to /32");
    ck_assert(!value_prefix("10.0.0.0/", &prefix, why));
    ck_assert(!value_prefix("10.0.0/8", &prefix, why));
    assert_why("10.0.0/8", "no address and no CIDR block");
    ck_assert(!value_prefix("", &prefix, why));
}
END_TEST

START_TEST(an_attempt_at_a_prefix_is_told_from_a_name)
{
    static const char *const like[] = {"10.0.0.1/8", "10.0.0/8",     "10.0.0.0/33", "10.0.0.300", "10.0.0",
                                       "fe80::/129", "2001:db8:::1", "10.0.0.0/x",  "1.2.3.4.5",  "/8"};
    static const char *const unlike[] = {"pool:outlook", "outlook", "abc", "bad",  "5",
                                         "partner-1",    "a.b",     "x/y", "de:ad"};
    for (size_t i = 0; i < sizeof like / sizeof like[0]; i++)
        ck_assert_msg(value_looks_like_prefix(like[i]), "%s", like[i]);
    for (size_t i = 0; i < sizeof unlike / sizeof unlike[0]; i++)
        ck_assert_msg(!value_looks_like_prefix(unlike[i]), "%s", unlike[i]);
}
END_TEST

START_TEST(an_address_is_found_in_what_stands_around_it)
{
    static const struct {
        const char *text;
        enum address_form form;
        const char *address;
    } cases[] = {
        {"192.0.2.7", ADDRESS_ALONE, "192.0.2.7"},
        {"2001:db8::5", ADDRESS_ALONE, "2001:db8::5"},
        {"IPv6:2001:db8::5", ADDRESS_ALONE, "2001:db8::5"},
        {"[192.0.2.7]", ADDRESS_LITERAL, "192.0.2.7"},
        {"[2001:db8::5]", ADDRESS_LITERAL, "2001:db8::5"},
        {"[IPv6:2001:db8::5]", ADDRESS_LITERAL, "2001:db8::5"},
        {"[::ffff:192.0.2.7]", ADDRESS_LITERAL, "192.0.2.7"},
        {"192.0.2.7:25", ADDRESS_WITH_PORT, "192.0.2.7"},
        {"192.0.2.7:", ADDRESS_WITH_PORT, "192.0.2.7"},
        {"[192.0.2.7]:25", ADDRESS_WITH_PORT, "192.0.2.7"},
        {"[2001:db8::5]:25", ADDRESS_WITH_PORT, "2001:db8::5"},
        {"fe80::1%eth0", ADDRESS_WITH_ZONE, "fe80::1"},
        {"[fe80::1%eth0]", ADDRESS_WITH_ZONE, "fe80::1"},
        {"[fe80::1%eth0]:25", ADDRESS_WITH_ZONE, "fe80::1"},
        {"", ADDRESS_NONE, "none"},
        {"[", ADDRESS_NONE, "none"},
        {"[]", ADDRESS_NONE, "none"},
        {":25", ADDRESS_NONE, "none"},
        {"%eth0", ADDRESS_NONE, "none"},
        {"[192.0.2.7", ADDRESS_NONE, "none"},
        {"[192.0.2.7]x", ADDRESS_NONE, "none"},
        {"[[192.0.2.7]]", ADDRESS_NONE, "none"},
        {"[mail.example]", ADDRESS_NONE, "none"},
        {"mail.example:25", ADDRESS_NONE, "none"},
        {"192.0.2.0/24", ADDRESS_NONE, "none"},
        {"192.0.2.777:25", ADDRESS_NONE, "none"},
        {"joe@192.0.2.7", ADDRESS_NONE, "none"},
        {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", ADDRESS_NONE, "none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct addr addr;
        char text[ADDR_TEXT_SIZE];
        ck_assert_msg(value_address(cases[i].text, &addr) == cases[i].form, "%s", cases[i].text);
        ck_assert_str_eq(addr_format(&addr, text), cases[i].address);
    }
}
END_TEST

START_TEST(a_number_goes_by_its_option)
{
    static const char *const words[] = {"off", "on", NULL};
    static const struct option_row options[] = {{.type = TYPE_COUNT, .min = 2, .max = 9},
                                                {.type = TYPE_BITS, .max = 32},
                                                {.type = TYPE_DURATION, .min = SECOND, .max = 90 * SECOND},
                                                {.type = TYPE_WORD, .words = words}};
    static const char *const good[] = {"9", "32", "1m", "ON"}, *const bad[] = {"1", "33", "2m", "1"};
    static const int64_t expected[] = {9, 32, 60 * SECOND, 1};
    for (size_t i = 0; i < 4; i++) {
        int64_t value = -1;
        ck_assert(!value_number(&options[i], bad[i], &value, why) && value == -1);
        ck_assert(value_number(&options[i], good[i], &value, why));
        ck_assert_int_eq(value, expected[i]);
    }
}
END_TEST

START_TEST(a_reply_has_codes_and_a_text)
{
    static const struct {
        const char *text, *code, *enhanced, *rest;
    } good[] = {
        {"421 4.4.5 Service unavailable.", "421", "4.4.5", "Service unavailable."},
        {"421 Later", "421", "4.7.1", "Later"},
        {"550 No", "550", "5.7.1", "No"},
        {"559  5.999.999   No", "559", "5.999.999", "No"},
        {"450 4.0.0 {client} {limit} {count}{max}", "450", "4.0.0", "{client} {limit} {count}{max}"},
        {"452 10 a minute, 100%", "452", "4.7.1", "10 a minute, 100%"},
    };
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "does not begin with a code of three digits; write a reply as \"421 4.7.1 Try later.\""},
        {"Later", "does not begin with a code"},
        {"42 Later", "does not begin with a code"},
        {"4210 Later", "does not begin with a code"},
        {"421-Later", "does not begin with a code"},
        {" 421 Later", "does not begin with a code"},
        {"420 Later", "420 is no code for a refusal; write 421, 450 to 459 or 550 to 559"},
        {"250 OK", "250 is no code"},
        {"500 No", "500 is no code"},
        {"460 No", "460 is no code"},
        {"421", "the reply says nothing after its code"},
        {"421 ", "says nothing"},
        {"421 4.4.5", "says nothing"},
        {"421 5.4.5 No", "5.4.5 does not go with 421; write 4.4.5"},
        {"550 4.4.5 No", "4.4.5 does not go with 550; write 5.4.5"},
        {"550 2.0.0 No", "write 5.0.0"},
        {"421 4.4 No", "\"4.4\" is no enhanced code (RFC 3463); write one, as 4.7.1, or leave it out"},
        {"421 4.04.1 No", "\"4.04.1\" is no enhanced code"},
        {"421 4.4.1000 No", "is no enhanced code"},
        {"459 4.7.1.2 No", "is no enhanced code"},
        {"421 a\tb", "characters that SMTP does not carry"},
        {"421 caf\xc3\xa9", "characters that SMTP does not carry"},
        {"421 {Client}", "\"{Client}\" is unknown here; {client}, {limit}, {count} and {max} are filled in"},
        {"421 {user}", "unknown here"},
        {"421 {client", "unknown here"},
        {"421 client}", "unknown here"},
        {"421 {}", "unknown here"},
        {"421 {{client}}", "unknown here"},
    };
    char longest[REPLY_TEXT_SIZE + 5];
    struct reply reply;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(value_reply(good[i].text, &reply, why), "%s: %s", good[i].text, why);
        ck_assert_str_eq(reply.code, good[i].code);
        ck_assert_str_eq(reply.enhanced, good[i].enhanced);
        ck_assert_str_eq(reply.text, good[i].rest);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!value_reply(bad[i].text, &reply, why), "\"%s\" is read", bad[i].text);
        assert_why(bad[i].text, bad[i].says);
    }
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "421 ", 4);
    longest[REPLY_TEXT_SIZE + 4] = '\0';
    ck_assert(!value_reply(longest, &reply, why));
    assert_why(longest, "write at most 511 characters");
    longest[REPLY_TEXT_SIZE + 3] = '\0';
    ck_assert(value_reply(longest, &reply, why));
}
END_TEST

START_TEST(a_key_is_told_by_how_it_is_written)
{
    static const struct {
        const char *text;
        enum key_kind kind;
        const char *name;
    } good[] = {
        {"192.0.2.1", KEY_PREFIX, "192.0.2.1"},
        {"10.0.0.0/8", KEY_PREFIX, "10.0.0.0/8"},
        {"2001:DB8::/32", KEY_PREFIX, "2001:db8::/32"},
        {"::ffff:192.0.2.0/120", KEY_PREFIX, "192.0.2.0/24"},
        {"Joe@Example.COM.", KEY_ADDRESS, "joe@example.com"},
        {"<joe@example.com>", KEY_ADDRESS, "joe@example.com"},
        {"\"joe smith\"@example.com", KEY_ADDRESS, "\"joe%20smith\"@example.com"},
        {"joe@[192.0.2.1]", KEY_ADDRESS, "joe@[192.0.2.1]"},
        {"joe@localhost", KEY_ADDRESS, "joe@localhost"},
        {"Example.COM", KEY_DOMAIN, "example.com"},
        {"TOP.", KEY_DOMAIN, "top"},
        {"xn--p1ai", KEY_DOMAIN, "xn--p1ai"},
        {"b\xc3\xbc"
         "cher.example",
         KEY_DOMAIN, "xn--bcher-kva.example"},
        {"\xd1\x80\xd1\x84", KEY_DOMAIN, "xn--p1ai"},
        {"_dmarc.a-b.example", KEY_DOMAIN, "_dmarc.a-b.example"},
        {"[192.0.2.1]", KEY_DOMAIN, "[192.0.2.1]"},
        {"[IPv6:2001:db8::1].", KEY_DOMAIN, "[ipv6:2001:db8::1]"},
        {"Joe", KEY_USER, "joe"},
        {"joe+x", KEY_USER, "joe+x"},
        {"user:Joe.Smith", KEY_USER, "joe.smith"},
        {"USER:10.0.0.1", KEY_USER, "10.0.0.1"},
    };
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "the name is empty"},
        {"user:", "the name is empty"},
        {"10.0.0.1/8", "has host bits set; write 10.0.0.0/8"},
        {"10.0.0.300", "is no address and no CIDR block"},
        {"10.0.0.0/33", "has no prefix length that fits"},
        {".example.com", "\".example.com\": a domain takes its subdomains along; write example.com"},
        {"*.example.com", "write example.com"},
        {"a..example", "\"a..example\" is no domain; write one, as example.com"},
        {"mx.*.example", "is no domain"},
        {"a.example b.example", "is no domain"},
        {"a.example:25", "is no domain"},
        {"[a.example", "is no domain"},
        {"@example.com", "\"@example.com\" has nothing before the @; write the domain alone"},
        {"joe@", "is no mail address; write one, as joe@example.com"},
        {"joe@a..b", "is no mail address"},
        {"joe@*.example", "is no mail address"},
        {"a@b.example,c@d.example", "is no mail address"},
        {"a@b.example c@d.example", "is no mail address"},
        {"joe smith", "has blanks and is no user name"},
        {"user:a b", "has blanks"},
    };
    char longest[NAME_SIZE + 1], form[PREFIX_TEXT_SIZE];
    struct key key;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(key_read(good[i].text, &key, why), "%s: %s", good[i].text, why);
        ck_assert_msg(key.kind == good[i].kind, "%s is taken for %d", good[i].text, (int)key.kind);
        ck_assert_str_eq(key.kind == KEY_PREFIX ? prefix_format(&key.prefix, form) : key.name, good[i].name);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!key_read(bad[i].text, &key, why), "\"%s\" is read", bad[i].text);
        assert_why(bad[i].text, bad[i].says);
    }
    memset(longest, 'x', sizeof longest);
    longest[NAME_SIZE] = '\0';
    ck_assert(!key_read(longest, &key, why));
    assert_why(longest, "write at most 255 characters");
}
END_TEST

START_TEST(a_key_of_a_list_must_be_of_its_kind)
{
    struct key key;
    ck_assert(key_read_as(KEY_DOMAIN, "Localhost", &key, why) && key.kind == KEY_DOMAIN);
    ck_assert_str_eq(key.name, "localhost");
    ck_assert(key_read_as(KEY_USER, "Joe@Example.com", &key, why) && key.kind == KEY_USER);
    ck_assert_str_eq(key.name, "joe@example.com");
    ck_assert(key_read_as(KEY_USER, "10.0.0.1", &key, why));
    ck_assert(key_read_as(KEY_USER, "user:joe", &key, why));
    ck_assert_str_eq(key.name, "joe");
    ck_assert(!key_read_as(KEY_PREFIX, "example.com", &key, why));
    ck_assert(!key_read_as(KEY_ADDRESS, "example.com", &key, why));
    ck_assert(!key_read_as(KEY_DOMAIN, "a@example.com", &key, why));
    ck_assert(!key_read_as(KEY_DOMAIN, "10.0.0.1", &key, why));
    assert_why("10.0.0.1", "is an address and no domain; write it where clients may stand");
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("config values");
    TCase *numbers = test_case(suite, "numbers");
    tcase_add_test(numbers, a_count_is_a_decimal_whole_number);
    tcase_add_test(numbers, a_bad_count_is_refused_with_the_remedy);
    tcase_add_test(numbers, a_count_keeps_to_its_range);
    tcase_add_test(numbers, a_duration_takes_units);
    tcase_add_test(numbers, a_bad_duration_is_refused_with_the_remedy);
    TCase *words = test_case(suite, "words");
    tcase_add_test(words, words_are_read_in_any_letter_case);
    tcase_add_test(words, a_mode_is_octal);
    tcase_add_test(words, a_name_fits_a_log_line);
    tcase_add_test(words, a_path_is_absolute);
    TCase *addresses = test_case(suite, "addresses");
    tcase_add_test(addresses, a_socket_is_in_libmilters_notation);
    tcase_add_test(addresses, a_bad_socket_is_refused_with_the_remedy);
    tcase_add_test(addresses, a_listen_is_an_address_and_a_port);
    tcase_add_test(addresses, a_bad_listen_is_refused_with_the_remedy);
    tcase_add_test(addresses, a_prefix_has_no_host_bits);
    tcase_add_test(addresses, an_attempt_at_a_prefix_is_told_from_a_name);
    tcase_add_test(addresses, an_address_is_found_in_what_stands_around_it);
    TCase *rest = test_case(suite, "limits");
    tcase_add_test(rest, a_number_goes_by_its_option);
    tcase_add_test(rest, a_reply_has_codes_and_a_text);
    tcase_add_test(rest, a_key_is_told_by_how_it_is_written);
    tcase_add_test(rest, a_key_of_a_list_must_be_of_its_kind);
    return suite;
}
