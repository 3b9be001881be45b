/*
 * test_door_names.c: what the door makes of what it is told at connect and of the client's names, and what it keeps of
 * them. Includes milter/door.c (door_case.h) and links libmail.a and src/engine/addr.c.
 */
#include "door_case.h"

/* ---- names ---- */

START_TEST(names_are_kept)
{
    struct door_connect connect = {.client_name = "mail.client.test.example"};

    door_connect(&door, &session, &connect);
    ck_assert_str_eq(domain_at_connect, "test.example");
    say_unknown();
    ck_assert_str_eq(heard.client_domain, "test.example");
    ck_assert_str_eq(heard.helo, "NULL");
    ck_assert_str_eq(heard.sender, "NULL");
    ck_assert_str_eq(heard.user, "NULL");
    door_helo(&door, &session, "One.Test.Example.");
    ck_assert_str_eq(heard.helo, "one.test.example");
    door_helo(&door, &session, "two.test.example");
    ck_assert_str_eq(heard.helo, "two.test.example"); /* the old one is replaced */
    door_mail(&door, &session, "<A@Test.Example>", "Joe");
    ck_assert_str_eq(heard.helo, "two.test.example");
    ck_assert_str_eq(heard.sender, "a@test.example");
    ck_assert_str_eq(heard.user, "joe");
    ck_assert_str_eq(heard.recipient, "NULL");
    door_rcpt(&door, &session, "<R@Test.Example>", false);
    ck_assert_str_eq(heard.recipient, "r@test.example");
    ck_assert(!heard.rejected);
    door_rcpt(&door, &session, "<S@Test.Example>", true);
    ck_assert_str_eq(heard.recipient, "s@test.example");
    ck_assert(heard.rejected);
    ck_assert_str_eq(heard.sender, "a@test.example");
    ck_assert_str_eq(heard.user, "joe");
    ck_assert_str_eq(heard.client_domain, "test.example");
    say_data();
    ck_assert_str_eq(heard.recipient, "NULL");
    say_message();
    ck_assert_str_eq(heard.sender, "a@test.example");
    say_helo();
    ck_assert_str_eq(heard.sender, "NULL"); /* the message is over */
    ck_assert_str_eq(heard.user, "joe");    /* who has authenticated stays so */
    door_mail(&door, &session, "<b@test.example>", NULL);
    ck_assert_str_eq(heard.sender, "b@test.example");
    ck_assert_str_eq(heard.user, "NULL");
    door_abort(&door, &session);
    ck_assert_str_eq(heard.sender, "b@test.example");
    door_abort(&door, &session);
    ck_assert_str_eq(heard.sender, "NULL");
}
END_TEST

START_TEST(odd_names)
{
    static char longest[70000];
    memset(longest, 'x', sizeof longest - 1);
    static const char binary[] = "\x01\xff\r\n\t \"%s%n=\x7f";
    static const char *const texts[] = {"", longest, binary, "<", ">", "<>", "@", "..", "[192.0.2.1]", "<<@>>", "%00"};

    connect_plainly();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *names[] = {heard.helo, heard.sender, heard.user, heard.recipient};
        assert_goes_on(door_helo(&door, &session, texts[i]));
        assert_goes_on(door_mail(&door, &session, texts[i], texts[i]));
        assert_goes_on(door_rcpt(&door, &session, texts[i], i % 2 == 0));
        for (size_t j = 0; j < 4; j++) {
            ck_assert_str_ne(names[j], "NULL"); /* counted like any other */
            for (const char *c = names[j]; *c; c++)
                ck_assert(*c > ' ' && *c <= '~');
        }
    }
    door_helo(&door, &session, "");
    ck_assert_str_eq(heard.helo, ""); /* not the same as none */
    door_mail(&door, &session, "<>", "");
    ck_assert_str_eq(heard.sender, "");
    ck_assert_str_eq(heard.user, "");
    assert_goes_on(door_helo(&door, &session, NULL));
    ck_assert_str_eq(heard.helo, "NULL");
    assert_goes_on(door_mail(&door, &session, NULL, NULL));
    ck_assert_str_eq(heard.sender, "NULL");
    assert_goes_on(door_rcpt(&door, &session, NULL, false));
    ck_assert_str_eq(heard.recipient, "NULL");
}
END_TEST

START_TEST(verified_host_names)
{
    static const struct {
        const char *name, *remote, *domain;
    } cases[] = {
        {"mail.client.test.example", "mail.client.test.example [192.0.2.1]", "test.example"},
        {"mail.client.test.example", NULL, "test.example"},
        {"Mail.Client.Test.Example.", "", "test.example"},
        {"mail.client.test.example", "mail.client.test.example [192.0.2.1] (may be forged)", ""},
        {"mail.client.test.example", "joe@mail.client.test.example [192.0.2.1] (may be forged)", ""},
        {"unknown", "unknown [192.0.2.1]", ""},
        {"[192.0.2.1]", "[192.0.2.1]", ""},
        {"[2001:db8::1]", "[IPv6:2001:db8::1]", ""},
        {"[", NULL, ""},
        {"localhost", "localhost [127.0.0.1]", ""},
        {"", "", ""},
        {NULL, NULL, ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct door_connect connect = {.client_name = cases[i].name, .remote = cases[i].remote};
        door_connect(&door, &session, &connect);
        ck_assert_msg(strcmp(domain_at_connect, cases[i].domain) == 0, "case %zu: \"%s\"", i, domain_at_connect);
        say_helo();
        ck_assert_str_eq(heard.client_domain, cases[i].domain);
    }
}
END_TEST

/* ---- memory ---- */

/* A conversation that keeps everything that a session can keep. */
static void long_conversation(void)
{
    static char name[2 * NAME_SIZE];
    struct door_connect connect = {.client_name = name};

    memset(name, 'x', sizeof name - 1);
    memcpy(name + sizeof name - 10, ".example", 9);
    door_connect(&door, &session, &connect);
    assert_goes_on(door_helo(&door, &session, name));
    assert_goes_on(door_mail(&door, &session, name, name));
    assert_goes_on(door_rcpt(&door, &session, name, false));
}

START_TEST(a_session_stays_in_its_bound)
{
    most_bytes = 0;
    long_conversation();
    ck_assert_uint_gt(bytes, 3 * NAME_SIZE);
    will_refuse(REFUSE_AT_HELO, 1, 0);
    assert_refused(say_unknown(), 0);
    ck_assert_uint_eq(blocks, 1); /* the reply alone */
    ck_assert_uint_le(sizeof session + most_bytes, DOOR_SESSION_MEMORY);
}
END_TEST

START_TEST(out_of_memory)
{
    for (unsigned i = 1; i < 6; i++) {
        setup();
        failing = i;
        long_conversation(); /* goes on */
        door_close(&door, &session);
        ck_assert_uint_eq(blocks, 0);
    }
    failing = 1;
    connect_plainly();
    say_helo();
    ck_assert_str_eq(heard.helo, "NULL");
    say_mail();
    ck_assert_str_eq(heard.sender, "NULL");
    will_refuse_with("550", 5);
    assert_refused_with(say_unknown(), "550",
                        5); /* now its own words; after that they are forgotten, not the refusal */
    struct door_answer answer = say_helo();
    ck_assert_int_eq(answer.kind, DOOR_REFUSE);
    ck_assert_str_eq(answer.reply.code, "421");
    ck_assert_str_eq(answer.reply.enhanced, "4.4.5");
    ck_assert_str_ne(answer.reply.text, "");
    door_close(&door, &session);
    will_refuse(REFUSE_AT_HELO, 5, 300);
    assert_goes_on(connect_plainly());
    answer = say_helo();
    ck_assert_int_eq(answer.kind, DOOR_REFUSE);
    ck_assert_str_eq(answer.reply.code, "421");
    ck_assert_int_eq(answer.delay_ns, 300);
}
END_TEST

/* ---- what is said at connect ---- */

START_TEST(no_macros_and_no_address)
{
    const struct door_connect nothing = {.client = {.family = ADDR_NONE}};
    assert_goes_on(door_connect(&door, &session, &nothing));
    ck_assert_int_eq(event.client.family, ADDR_NONE);
    ck_assert_int_eq(event.local.family, ADDR_NONE);
    ck_assert_uint_eq(event.local_port, 0);
    ck_assert_uint_eq(event.client_port, 0);
    ck_assert_ptr_null(event.daemon_name);
    ck_assert_str_eq(domain_at_connect, "");
}
END_TEST

START_TEST(macros_are_handed_on)
{
    struct door_connect connect = {
        .client_port = 40000, .daemon_name = "mx.example.org", .daemon_addr = "10.0.0.1", .daemon_port = "25"};
    struct addr client;
    addr_parse("2001:db8::1", &client);
    connect.client = client;
    door_connect(&door, &session, &connect);
    ck_assert(addr_equal(&event.client, &client));
    ck_assert_str_eq(event.daemon_name, "mx.example.org");
    ck_assert_uint_eq(event.local_port, 25);
    ck_assert_uint_eq(event.client_port, 40000);
}
END_TEST

START_TEST(local_addresses)
{
    static const struct {
        const char *daemon_addr, *if_addr, *expected;
    } cases[] = {
        {"10.0.0.1", "10.0.0.9", "10.0.0.1"},
        {"10.0.0.1", NULL, "10.0.0.1"},
        {"2001:db8::1", NULL, "2001:db8::1"},
        {"[2001:db8::1]", NULL, "2001:db8::1"},
        {"IPv6:2001:db8::1", NULL, "2001:db8::1"},
        {"[IPv6:2001:db8::1]", NULL, "2001:db8::1"},
        {"[IPv6:1111:2222:3333:4444:5555:6666:7777:8888]", NULL, "1111:2222:3333:4444:5555:6666:7777:8888"},
        {"::ffff:10.0.0.1", NULL, "10.0.0.1"},
        {"0.0.0.0", "10.0.0.9", "10.0.0.9"},
        {"0.0.0.0", "[10.0.0.9]", "10.0.0.9"},
        {"::", "IPv6:2001:db8::9", "2001:db8::9"},
        {"[::]", "[IPv6:2001:db8::9]", "2001:db8::9"},
        {"IPv6:::", "2001:db8::9", "2001:db8::9"},
        {"::ffff:0.0.0.0", "10.0.0.9", "10.0.0.9"},
        {"0.0.0.0", "", "none"}, /* Sendmail on loopback */
        {"0.0.0.0", NULL, "none"},
        {"0.0.0.0", "0.0.0.0", "none"},
        {"", NULL, "none"},
        {NULL, NULL, "none"},
        {"localhost", NULL, "none"},
        {"[", NULL, "none"},
        {"]", NULL, "none"},
        {"[]", NULL, "none"},
        {"[10.0.0.1", NULL, "none"},
        {"10.0.0.1]", NULL, "none"},
        {"unix:/run/socket", NULL, "none"},
        {"10.0.0.1.10.0.0.1.10.0.0.1.10.0.0.1.10.0.0.1.10.0.0.1.10.0.0.1", NULL, "none"},
        {"[2001:db8::1]xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]", NULL,
         "none"},
    };
    char text[ADDR_TEXT_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct door_connect connect = {.daemon_addr = cases[i].daemon_addr, .if_addr = cases[i].if_addr};
        door_connect(&door, &session, &connect);
        ck_assert_msg(strcmp(addr_format(&event.local, text), cases[i].expected) == 0, "%s and %s: %s instead of %s",
                      cases[i].daemon_addr ? cases[i].daemon_addr : "NULL",
                      cases[i].if_addr ? cases[i].if_addr : "NULL", text, cases[i].expected);
    }
}
END_TEST

START_TEST(ports)
{
    static const struct {
        const char *text;
        uint16_t port;
    } cases[] = {{"25", 25},
                 {"1", 1},
                 {"65535", 65535},
                 {"0", 0},
                 {"65536", 0},
                 {"4294967321", 0},
                 {"-1", 0},
                 {"-25", 0},
                 {"", 0},
                 {"x", 0},
                 {"25x", 0},
                 {"25 ", 0},
                 {"0x19", 0},
                 {"smtp", 0},
                 {"2.5", 0},
                 {NULL, 0},
                 {"25,587", 0},
                 {"99999999999999999999999999", 0},
                 {"18446744073709551641", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct door_connect connect = {.daemon_port = cases[i].text};
        door_connect(&door, &session, &connect);
        ck_assert_msg(event.local_port == cases[i].port, "\"%s\": %u", cases[i].text ? cases[i].text : "NULL",
                      event.local_port);
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("door_names");
    TCase *tests = test_case(suite, "names");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, names_are_kept);
    tcase_add_test(tests, odd_names);
    tcase_add_test(tests, verified_host_names);
    tests = test_case(suite, "memory");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_session_stays_in_its_bound);
    tcase_add_test(tests, out_of_memory);
    tests = test_case(suite, "connect");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, no_macros_and_no_address);
    tcase_add_test(tests, macros_are_handed_on);
    tcase_add_test(tests, local_addresses);
    tcase_add_test(tests, ports);
    return suite;
}
