/*
 * test_door.c: what an MTA says becomes events of the engine, and verdicts become answers. Links milter/door.c and
 * src/engine/addr.c; the engine is played by this file, so that each event can be seen and each verdict chosen.
 */
#include "check_main.h"
#include "milter/door.h"

#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char calls[256];            /* what the engine was asked, in order: "connect 1, spoken 1, close 1" by handle */
static struct connect_event event; /* of the last connect */
static int64_t event_now;
static session_id next_id;
static struct verdict next_verdict;
static unsigned told;
static struct verdict told_verdict;
static struct addr told_client;

/* Called by the door in place of the engine's own: the lock must be held. */
static void note(const char *what, session_id id)
{
    char text[32];
    ck_assert_int_ne(pthread_mutex_trylock(&lock), 0);
    snprintf(text, sizeof text, "%s%s %u", *calls ? ", " : "", what, (unsigned)id);
    ck_assert_uint_lt(strlen(calls) + strlen(text), sizeof calls);
    strcat(calls, text);
}

void engine_connect(struct engine *engine, const struct connect_event *connect, int64_t now, session_id *id,
                    struct verdict *verdict)
{
    (void)engine;
    event = *connect;
    event_now = now;
    *id = next_id;
    *verdict = next_verdict;
    note("connect", next_id);
}

void engine_spoken(struct engine *engine, session_id id)
{
    (void)engine;
    note("spoken", id);
}

bool engine_close(struct engine *engine, session_id id)
{
    (void)engine;
    note("close", id);
    return true;
}

static void tell(const struct verdict *verdict, const struct addr *client)
{
    ck_assert_int_eq(pthread_mutex_trylock(&lock), 0); /* a log must not be written under the engine's lock */
    pthread_mutex_unlock(&lock);
    told++;
    told_verdict = *verdict;
    told_client = *client;
}

static int64_t clock_now(void)
{
    return 4711;
}

static const struct door_params door = {.lock = &lock, .now = clock_now, .tell = tell};
static struct door_session session;

static void setup(void)
{
    calls[0] = '\0';
    told = 0;
    next_id = 1;
    next_verdict = (struct verdict){.kind = VERDICT_CONTINUE};
    session = (struct door_session){0};
}

static void teardown(void)
{
    ck_assert_int_eq(pthread_mutex_trylock(&lock), 0); /* let go, whatever happened */
    pthread_mutex_unlock(&lock);
}

static void will_refuse(enum refuse_at speak_at, session_id id, int64_t delay_ns)
{
    next_id = id;
    next_verdict = (struct verdict){
        .kind = VERDICT_REFUSE, .speak_at = speak_at, .limit = LIMIT_CLIENT_SESSIONS, .delay_ns = delay_ns};
}

static struct door_answer connect_plainly(void)
{
    struct door_connect connect = {.client = {.family = ADDR_NONE}};
    addr_parse("192.0.2.1", &connect.client);
    return door_connect(&door, &session, &connect);
}

static void assert_refused(struct door_answer answer, int64_t delay_ns)
{
    ck_assert(answer.refused);
    ck_assert_str_eq(answer.code, "421");
    ck_assert_str_eq(answer.enhanced, "4.4.5");
    ck_assert_str_eq(answer.text, "Service unavailable, concurrency limit reached.");
    ck_assert_int_eq(answer.delay_ns, delay_ns);
}

static void assert_goes_on(struct door_answer answer)
{
    ck_assert(!answer.refused);
}

START_TEST(let_in)
{
    assert_goes_on(connect_plainly());
    ck_assert_int_eq(event_now, 4711);
    for (int i = 0; i < 3; i++)
        assert_goes_on(door_command(&door, &session));
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 1, close 1");
    ck_assert_uint_eq(told, 0);
}
END_TEST

START_TEST(told_at_the_first_command)
{
    will_refuse(REFUSE_AT_HELO, 5, 300);
    assert_goes_on(connect_plainly());
    ck_assert_uint_eq(told, 1);
    ck_assert_int_eq(told_verdict.limit, LIMIT_CLIENT_SESSIONS);
    ck_assert_int_eq(told_client.family, ADDR_IPV4);
    assert_refused(door_command(&door, &session), 300);
    ck_assert_str_eq(calls, "connect 5, spoken 5");
    assert_refused(door_command(&door, &session), 0); /* an MTA that goes on: again, and at once */
    door_close(&door, &session);
    ck_assert_uint_eq(told, 1);
    ck_assert_ptr_null(strstr(calls, "close 5")); /* the engine let go of it when it was spoken */
}
END_TEST

START_TEST(told_at_connect)
{
    will_refuse(REFUSE_AT_CONNECT, 0, 200);
    assert_refused(connect_plainly(), 200);
    assert_refused(door_command(&door, &session), 0);
    door_close(&door, &session);
    ck_assert_ptr_null(strstr(calls, "close"));
    ck_assert_uint_eq(told, 1);
}
END_TEST

START_TEST(left_before_it_was_told)
{
    will_refuse(REFUSE_AT_HELO, 5, 0);
    connect_plainly();
    door_close(&door, &session);
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 5, close 5");
}
END_TEST

START_TEST(let_in_uncounted)
{
    next_id = 0;
    next_verdict = (struct verdict){.kind = VERDICT_CONTINUE, .limit = LIMIT_SESSION_TABLE};
    assert_goes_on(connect_plainly());
    ck_assert_uint_eq(told, 1);
    ck_assert_int_eq(told_verdict.limit, LIMIT_SESSION_TABLE);
    assert_goes_on(door_command(&door, &session)); /* not a refusal */
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 0");
}
END_TEST

START_TEST(connect_again_closes_first)
{
    connect_plainly();
    next_id = 2;
    assert_goes_on(connect_plainly());
    ck_assert_str_eq(calls, "connect 1, close 1, connect 2");
    will_refuse(REFUSE_AT_HELO, 3, 0);
    connect_plainly();
    next_id = 4;
    next_verdict = (struct verdict){.kind = VERDICT_CONTINUE};
    connect_plainly();
    assert_goes_on(door_command(&door, &session)); /* the refusal was the session's before */
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 1, close 1, connect 2, close 2, connect 3, close 3, connect 4, close 4");
}
END_TEST

START_TEST(connect_again_after_a_refusal)
{
    will_refuse(REFUSE_AT_CONNECT, 0, 7);
    connect_plainly();
    next_id = 6;
    next_verdict = (struct verdict){.kind = VERDICT_CONTINUE};
    connect_plainly();
    assert_goes_on(door_command(&door, &session));
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 0, connect 6, close 6");
}
END_TEST

START_TEST(close_or_command_without_connect)
{
    assert_goes_on(door_command(&door, &session));
    door_close(&door, &session);
    door_close(&door, &session);
    ck_assert_str_eq(calls, "");
    assert_goes_on(connect_plainly()); /* and a session can still begin */
    door_close(&door, &session);
    door_close(&door, &session);
    ck_assert_str_eq(calls, "connect 1, close 1");
}
END_TEST

START_TEST(no_macros_and_no_address)
{
    const struct door_connect nothing = {.client = {.family = ADDR_NONE}};
    assert_goes_on(door_connect(&door, &session, &nothing));
    ck_assert_int_eq(event.client.family, ADDR_NONE);
    ck_assert_int_eq(event.local.family, ADDR_NONE);
    ck_assert_uint_eq(event.local_port, 0);
    ck_assert_ptr_null(event.daemon_name);
    door_close(&door, &session);
}
END_TEST

START_TEST(macros_are_handed_on)
{
    struct door_connect connect = {.daemon_name = "mx.example.org", .daemon_addr = "10.0.0.1", .daemon_port = "25"};
    struct addr client;
    addr_parse("2001:db8::1", &client);
    connect.client = client;
    door_connect(&door, &session, &connect);
    ck_assert(addr_equal(&event.client, &client));
    ck_assert_str_eq(event.daemon_name, "mx.example.org");
    ck_assert_uint_eq(event.local_port, 25);
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
        setup();
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
        setup();
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("door");
    TCase *tests = test_case(suite, "door");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, let_in);
    tcase_add_test(tests, told_at_the_first_command);
    tcase_add_test(tests, told_at_connect);
    tcase_add_test(tests, left_before_it_was_told);
    tcase_add_test(tests, let_in_uncounted);
    tcase_add_test(tests, connect_again_closes_first);
    tcase_add_test(tests, connect_again_after_a_refusal);
    tcase_add_test(tests, close_or_command_without_connect);
    tcase_add_test(tests, no_macros_and_no_address);
    tcase_add_test(tests, macros_are_handed_on);
    tcase_add_test(tests, local_addresses);
    tcase_add_test(tests, ports);
    return suite;
}
