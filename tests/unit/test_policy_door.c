/*
 * test_policy_door.c: Postfix's questions and our answers. Links policy/policy_door.c, policy/attributes.c, libmail.a
 * and libengine.a; the engine itself is played here, so that each request can be seen and each answer chosen.
 */
#include "check_main.h"
#include "mail/names.h"
#include "policy/policy_door.h"
#include "prng.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* ---- the engine ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct request asked; /* its texts point into `texts` */
static unsigned times_asked;
static int64_t asked_at;
static struct request_answer next_answer;
static char texts[8][NAME_SIZE];
static unsigned text_count;
static char told[256]; /* the names of the limits of the verdicts that were told, "a b " */
static struct addr told_client;

static const char *copied(const char *text)
{
    if (!text)
        return NULL;
    ck_assert_uint_lt(text_count, sizeof texts / sizeof *texts);
    ck_assert_uint_lt(strlen(text), NAME_SIZE);
    return strcpy(texts[text_count++], text);
}

void engine_request(struct engine *engine, const struct request *request, int64_t now, struct request_answer *answer)
{
    (void)engine;
    ck_assert_int_ne(pthread_mutex_trylock(&lock), 0);
    text_count = 0;
    asked = *request;
    asked.connect.daemon_name = copied(request->connect.daemon_name);
    asked.connect.client_domain = copied(request->connect.client_domain);
    asked.connect.client_host = copied(request->connect.client_host);
    asked.names.helo = copied(request->names.helo);
    asked.names.sender = copied(request->names.sender);
    asked.names.recipient = copied(request->names.recipient);
    asked.names.user = copied(request->names.user);
    asked.message = copied(request->message);
    /* The engine need not be told the same thing differently. */
    ck_assert_ptr_eq(request->names.client_domain, request->connect.client_domain);
    ck_assert_ptr_eq(request->names.client_host, request->connect.client_host);
    asked_at = now;
    times_asked++;
    answer->kind = next_answer.kind;
    answer->delay_ns = next_answer.delay_ns;
    answer->count = next_answer.count;
    memcpy(answer->verdicts, next_answer.verdicts, next_answer.count * sizeof *answer->verdicts);
    strcpy(answer->score, next_answer.score);
}

static void tell(const struct verdict *verdict, const struct addr *client)
{
    ck_assert_int_eq(pthread_mutex_trylock(&lock), 0); /* a log must not be written under the engine's lock */
    pthread_mutex_unlock(&lock);
    ck_assert_uint_gt(verdict->finding_count, 0);
    strcat(strcat(told, verdict->findings[0].name), " ");
    told_client = *client;
}

static int64_t clock_time, clock_step; /* how much later it is the next time */

static int64_t clock_now(void)
{
    int64_t now = clock_time;
    clock_time += clock_step;
    return now;
}

static struct latency latency;
static const struct door_params door = {.lock = &lock, .now = clock_now, .tell = tell, .latency = &latency};

/* ---- Postfix ---- */

static struct policy_hosts hosts;
static struct policy_answer answer;

static void setup(void)
{
    times_asked = 0;
    told[0] = '\0';
    clock_time = 4711;
    clock_step = 0;
    memset(&next_answer, 0, sizeof next_answer);
    memset(&answer, 0xee, sizeof answer);
}

/* Asks a whole request, line ends and all. Returns what is wrong with it, or NULL. */
static const char *ask_whole(const char *request)
{
    char text[8192];
    struct attributes attributes;

    ck_assert_uint_lt(strlen(request), sizeof text);
    strcpy(text, request);
    const char *wrong = attributes_read(text, strlen(request), &attributes);
    ck_assert_ptr_null(wrong);
    return policy_answer(&door, &hosts, HOLD_WATCH, &attributes, &answer);
}

/* Asks in that state, with more lines. */
static const char *ask(const char *state, const char *more)
{
    char text[4096];

    snprintf(text, sizeof text, "request=smtpd_access_policy\nprotocol_state=%s\nclient_address=192.0.2.1\n%s\n", state,
             more);
    return ask_whole(text);
}

static void ask_well(const char *state, const char *more)
{
    const char *wrong = ask(state, more);
    ck_assert_msg(!wrong, "%s", wrong);
}

/* Asks with one attribute of that value. */
static const char *ask_with(const char *name, const char *value)
{
    char line[1024];

    snprintf(line, sizeof line, "%s=%s\n", name, value);
    return ask("RCPT", line);
}

/* ---- requests ---- */

START_TEST(states)
{
    static const struct {
        const char *state;
        enum request_stage stage;
    } rows[] = {
        {"CONNECT", REQUEST_CONNECT},
        {"EHLO", REQUEST_HELO},
        {"HELO", REQUEST_HELO},
        {"MAIL", REQUEST_MAIL},
        {"RCPT", REQUEST_RCPT},
        {"DATA", REQUEST_DATA},
        {"BDAT", REQUEST_DATA},
        {"END-OF-MESSAGE", REQUEST_MESSAGE},
        {"VRFY", REQUEST_OTHER},
        {"ETRN", REQUEST_OTHER},
        {"XCLIENT", REQUEST_CONNECT},
        {"AUTH", REQUEST_OTHER},
        {"connect", REQUEST_OTHER},
        {"RCPT ", REQUEST_OTHER},
        {"of a later Postfix", REQUEST_OTHER},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ask_well(rows[i].state, "");
        ck_assert_msg(asked.stage == rows[i].stage, "%s", rows[i].state);
        ck_assert_str_eq(answer.text, "action=DUNNO\n\n");
    }
}
END_TEST

/* What Postfix 3.9 says of a recipient. */
START_TEST(a_whole_request)
{
    ck_assert_ptr_null(ask_whole("request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
                                 "client_address=2001:db8::1\nclient_name=Mail.Example.ORG\nclient_port=54321\n"
                                 "reverse_client_name=mail.example.org\nserver_address=192.0.2.25\nserver_port=587\n"
                                 "helo_name=Client.Example.NET\nsender=Some.Body@Example.COM\n"
                                 "recipient=postmaster@EXAMPLE.net\nrecipient_count=0\nqueue_id=8045F2AB23\n"
                                 "instance=123.456.7\nsize=12345\netrn_domain=\nstress=\nsasl_method=plain\n"
                                 "sasl_username=You\nsasl_sender=\nccert_subject=\nccert_issuer=\n"
                                 "ccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=TLSv1.3\n"
                                 "encryption_cipher=TLS_AES_256_GCM_SHA384\nencryption_keysize=256\n"
                                 "policy_context=submission\ncompatibility_level=3.9\nmail_version=3.9.1\n\n"));
    struct addr client, local;
    addr_parse("2001:db8::1", &client);
    addr_parse("192.0.2.25", &local);
    ck_assert_uint_eq(times_asked, 1);
    ck_assert_int_eq(asked_at, 4711);
    ck_assert_int_eq(asked.stage, REQUEST_RCPT);
    ck_assert_int_eq(asked.hold, HOLD_WATCH);
    ck_assert(addr_equal(&asked.connect.client, &client));
    ck_assert(addr_equal(&asked.connect.local, &local));
    ck_assert_uint_eq(asked.connect.client_port, 54321);
    ck_assert_uint_eq(asked.connect.local_port, 587);
    ck_assert(asked.connect.partly_heard);
    ck_assert_str_eq(asked.connect.daemon_name, "submission");
    ck_assert_str_eq(asked.connect.client_host, "mail.example.org");
    ck_assert_str_eq(asked.connect.client_domain, "example.org");
    ck_assert_str_eq(asked.names.helo, "client.example.net");
    ck_assert_str_eq(asked.names.sender, "some.body@example.com");
    ck_assert_str_eq(asked.names.recipient, "postmaster@example.net");
    ck_assert_str_eq(asked.names.user, "you");
    ck_assert_str_eq(asked.message, "123.456.7");
    ck_assert_uint_eq(asked.recipient_count, 0);
}
END_TEST

START_TEST(next_to_nothing)
{
    ask_well("RCPT", "");
    ck_assert_int_eq(asked.connect.local.family, ADDR_NONE);
    ck_assert_uint_eq(asked.connect.client_port, 0);
    ck_assert_uint_eq(asked.connect.local_port, 0);
    ck_assert(asked.connect.partly_heard);
    ck_assert_ptr_null(asked.connect.daemon_name);
    ck_assert_str_eq(asked.connect.client_host, "");
    ck_assert_str_eq(asked.connect.client_domain, "");
    ck_assert_ptr_null(asked.names.helo);
    ck_assert_ptr_null(asked.names.sender);
    ck_assert_ptr_null(asked.names.recipient);
    ck_assert_ptr_null(asked.names.user);
    ck_assert_ptr_null(asked.message);
    ck_assert_uint_eq(asked.recipient_count, 0);
}
END_TEST

START_TEST(client_addresses)
{
    static const char *const rows[][2] = {{"192.0.2.7", "192.0.2.7"},
                                          {"2001:DB8:0::7", "2001:db8::7"},
                                          {"::ffff:192.0.2.7", "192.0.2.7"},
                                          {"unknown", "none"},
                                          {"", "none"},
                                          {"/var/run/socket", "none"}};
    char text[ADDR_TEXT_SIZE];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_ptr_null(ask_with("client_address", rows[i][0]));
        ck_assert_str_eq(addr_format(&asked.connect.client, text), rows[i][1]);
    }
}
END_TEST

START_TEST(server_addresses)
{
    static const char *const rows[][2] = {{"192.0.2.25", "192.0.2.25"},
                                          {"2001:db8::25", "2001:db8::25"},
                                          {"0.0.0.0", "none"},
                                          {"::", "none"},
                                          {"::ffff:0.0.0.0", "none"},
                                          {"unknown", "none"},
                                          {"", "none"}};
    char text[ADDR_TEXT_SIZE];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_ptr_null(ask_with("server_address", rows[i][0]));
        ck_assert_str_eq(addr_format(&asked.connect.local, text), rows[i][1]);
    }
}
END_TEST

START_TEST(ports)
{
    static const struct {
        const char *text;
        int port; /* -1: it is none */
    } rows[] = {{"25", 25},     {"0", 0},      {"65535", 65535}, {"00025", 25},   {"", 0},
                {"unknown", 0}, {"65536", -1}, {"-1", -1},       {"+25", -1},     {" 25", -1},
                {"25 ", -1},    {"0x19", -1},  {"smtp", -1},     {"Unknown", -1}, {"18446744073709551641", -1}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *client = ask_with("client_port", rows[i].text);
        uint16_t client_port = asked.connect.client_port;
        const char *server = ask_with("server_port", rows[i].text);
        ck_assert_pstr_eq(client, rows[i].port < 0 ? "client_port is no port" : NULL);
        ck_assert_pstr_eq(server, rows[i].port < 0 ? "server_port is no port" : NULL);
        if (rows[i].port >= 0) {
            ck_assert_int_eq(client_port, rows[i].port);
            ck_assert_int_eq(asked.connect.local_port, rows[i].port);
        }
    }
}
END_TEST

START_TEST(recipient_counts)
{
    static const struct {
        const char *text;
        int64_t count; /* -1: it is none */
    } rows[] = {{"0", 0},     {"1", 1},           {"4294967295", UINT32_MAX},
                {"", 0},      {"4294967296", -1}, {"-1", -1},
                {"many", -1}, {"1.5", -1},        {"unknown", -1}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *wrong = ask_with("recipient_count", rows[i].text);
        ck_assert_pstr_eq(wrong, rows[i].count < 0 ? "recipient_count is no number" : NULL);
        if (rows[i].count >= 0)
            ck_assert_uint_eq(asked.recipient_count, (uint32_t)rows[i].count);
    }
}
END_TEST

START_TEST(client_names)
{
    static const char *const rows[][3] = {{"a.b.example.co.uk", "a.b.example.co.uk", "example.co.uk"},
                                          {"Example.ORG.", "example.org", "example.org"},
                                          {"m\xc3\xbcller.example.de", "xn--mller-kva.example.de", "example.de"},
                                          {"localhost", "localhost", ""},
                                          {"unknown", "", ""},
                                          {"", "", ""}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_ptr_null(ask_with("client_name", rows[i][0]));
        ck_assert_str_eq(asked.connect.client_host, rows[i][1]);
        ck_assert_str_eq(asked.connect.client_domain, rows[i][2]);
    }
}
END_TEST

/* More of them than are kept, in any order. */
START_TEST(many_client_names)
{
    struct prng prng = prng_seeded(5);

    for (int i = 0; i < 5000; i++) {
        char name[NAME_SIZE], domain[NAME_SIZE];
        uint32_t number = prng_below(&prng, 2 * POLICY_HOSTS);
        snprintf(name, sizeof name, "h%u.%*s.%s", number, number % 5 == 0 ? 100 : 1, "x", number % 2 ? "co.uk" : "org");
        for (char *c = name; *c; c++)
            *c = *c == ' ' ? 'a' : *c;
        name_registrable(name, domain);
        ck_assert_ptr_null(ask_with("client_name", name));
        ck_assert_str_eq(asked.connect.client_host, name);
        ck_assert_str_eq(asked.connect.client_domain, domain);
    }
}
END_TEST

START_TEST(values_that_are_too_long)
{
    char request[8000];
    int length = snprintf(request, sizeof request,
                          "request=smtpd_access_policy\nprotocol_state=MAIL\n"
                          "client_address=192.0.2.1\nsender=");

    for (int size = 4096; size <= 4097; size++) {
        memset(request + length, 'a', (size_t)size);
        strcpy(request + length + size, "\n\n");
        const char *wrong = ask_whole(request);
        if (size == 4096)
            ck_assert_ptr_null(wrong);
        else
            ck_assert_str_eq(wrong, "a value is too long");
    }
}
END_TEST

START_TEST(listener_names)
{
    ck_assert_ptr_null(ask_with("policy_context", ""));
    ck_assert_ptr_null(asked.connect.daemon_name);
    ck_assert_ptr_null(ask_with("policy_context", "Port 25"));
    ck_assert_str_eq(asked.connect.daemon_name, "Port 25");
}
END_TEST

/* "" is the null sender once there is one; before MAIL there is none. */
START_TEST(senders)
{
    static const struct {
        const char *state, *line, *sender;
    } rows[] = {
        {"CONNECT", "sender=\n", NULL},
        {"EHLO", "sender=\n", NULL},
        {"HELO", "sender=a@example.org\n", NULL},
        {"MAIL", "sender=\n", ""},
        {"MAIL", "sender=A@Example.org\n", "a@example.org"},
        {"MAIL", "", NULL},
        {"RCPT", "sender=\n", ""},
        {"DATA", "sender=a@example.org\n", "a@example.org"},
        {"BDAT", "sender=\n", ""},
        {"END-OF-MESSAGE", "sender=\n", ""},
        {"VRFY", "sender=\n", NULL},
        {"ETRN", "sender=a@example.org\n", "a@example.org"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ask_well(rows[i].state, rows[i].line);
        ck_assert_pstr_eq(asked.names.sender, rows[i].sender);
    }
}
END_TEST

START_TEST(other_names)
{
    ask_well("CONNECT", "helo_name=\nrecipient=\nsasl_username=\ninstance=\n");
    ck_assert_ptr_null(asked.names.helo);
    ck_assert_ptr_null(asked.names.recipient);
    ck_assert_ptr_null(asked.names.user);
    ck_assert_str_eq(asked.message, "");
    ask_well("EHLO", "helo_name=[192.0.2.1]\n");
    ck_assert_str_eq(asked.names.helo, "[192.0.2.1]");
    ask_well("RCPT", "recipient=a=b@Example.org\nsasl_username=A B\n");
    ck_assert_str_eq(asked.names.recipient, "a=b@example.org");
    ck_assert_str_eq(asked.names.user, "a%20b");
}
END_TEST

START_TEST(holds)
{
    static const enum request_hold rows[] = {HOLD_NOTHING, HOLD_RESERVE, HOLD_WATCH};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct attributes attributes = {.value = {[ATTRIBUTE_REQUEST] = "smtpd_access_policy",
                                                        [ATTRIBUTE_PROTOCOL_STATE] = "CONNECT",
                                                        [ATTRIBUTE_CLIENT_ADDRESS] = "192.0.2.1"}};
        ck_assert_ptr_null(policy_answer(&door, &hosts, rows[i], &attributes, &answer));
        ck_assert_int_eq(asked.hold, rows[i]);
    }
}
END_TEST

START_TEST(wrong_requests)
{
    static const char *const rows[][2] = {
        {"protocol_state=RCPT\nclient_address=192.0.2.1\n\n", "no request"},
        {"request=\nprotocol_state=RCPT\nclient_address=192.0.2.1\n\n", "no request"},
        {"request=junk\nprotocol_state=RCPT\nclient_address=192.0.2.1\n\n", "request is not smtpd_access_policy"},
        {"request=smtpd_access_policy\nclient_address=192.0.2.1\n\n", "no protocol_state"},
        {"request=smtpd_access_policy\nprotocol_state=\nclient_address=192.0.2.1\n\n", "no protocol_state"},
        {"request=smtpd_access_policy\nprotocol_state=RCPT\n\n", "no client_address"},
        {"unknown=1\n\n", "no request"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_pstr_eq(ask_whole(rows[i][0]), rows[i][1]);
    ck_assert_uint_eq(times_asked, 0);
    ck_assert_str_eq(told, "");
}
END_TEST

/* ---- answers ---- */

static void add_verdict(enum verdict_kind kind, const char *limit)
{
    struct verdict *verdict = &next_answer.verdicts[next_answer.count++];

    verdict->kind = kind;
    if (limit) {
        verdict->finding_count = 1;
        verdict->findings[0].limit = LIMIT_DENY;
        strcpy(verdict->findings[0].name, limit);
    }
}

static void will_refuse(const char *code, const char *enhanced, const char *text)
{
    add_verdict(VERDICT_REFUSE, "refusing");
    struct reply *reply = &next_answer.verdicts[next_answer.count - 1].reply;
    next_answer.kind = VERDICT_REFUSE;
    strcpy(reply->code, code);
    strcpy(reply->enhanced, enhanced);
    strcpy(reply->text, text);
}

#define assert_answer(expected)                             \
    do {                                                    \
        ck_assert_str_eq(answer.text, expected);            \
        ck_assert_uint_eq(answer.length, strlen(expected)); \
    } while (0)

START_TEST(dunno)
{
    ask_well("RCPT", "");
    assert_answer("action=DUNNO\n\n");
    ck_assert_int_eq(answer.delay_ns, 0);
    add_verdict(VERDICT_EXEMPT, NULL);
    next_answer.kind = VERDICT_EXEMPT;
    ask_well("CONNECT", "");
    assert_answer("action=DUNNO\n\n");
    ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(refusals)
{
    will_refuse("421", "4.4.5", "Service unavailable, concurrency limit reached.");
    ask_well("CONNECT", "");
    assert_answer("action=421 4.4.5 Service unavailable, concurrency limit reached.\n\n");
    next_answer.count = 0;
    will_refuse("452", "4.5.3", "Too many recipients.");
    ask_well("RCPT", "");
    assert_answer("action=452 4.5.3 Too many recipients.\n\n");
    next_answer.count = 0;
    will_refuse("550", "", "No.");
    ask_well("RCPT", "");
    assert_answer("action=550 No.\n\n");
}
END_TEST

/* What was monitored before it is told, but does not speak. */
START_TEST(the_last_verdict_refuses)
{
    struct addr client;

    add_verdict(VERDICT_CONTINUE, "first");
    add_verdict(VERDICT_CONTINUE, NULL);
    add_verdict(VERDICT_CONTINUE, "third");
    will_refuse("421", "4.7.0", "Enough.");
    ask_well("MAIL", "");
    assert_answer("action=421 4.7.0 Enough.\n\n");
    ck_assert_str_eq(told, "first third refusing ");
    addr_parse("192.0.2.1", &client);
    ck_assert(addr_equal(&told_client, &client));
}
END_TEST

START_TEST(monitored)
{
    for (unsigned i = 0; i < REQUEST_VERDICTS; i++)
        add_verdict(VERDICT_CONTINUE, (const char *[]){"a", "b", "c", "d", "e", "f"}[i]);
    ask_well("DATA", "");
    assert_answer("action=DUNNO\n\n");
    ck_assert_str_eq(told, "a b c d e f ");
}
END_TEST

START_TEST(scores)
{
    strcpy(next_answer.score, "12 (client_connections=10, deny=2)");
    ask_well("DATA", "");
    assert_answer("action=PREPEND X-Tidegate-Score: 12 (client_connections=10, deny=2)\n\n");
    ask_well("BDAT", "");
    assert_answer("action=PREPEND X-Tidegate-Score: 12 (client_connections=10, deny=2)\n\n");
    ask_well("END-OF-MESSAGE", "");
    assert_answer("action=PREPEND X-Tidegate-Score: 12 (client_connections=10, deny=2)\n\n");
    ask_well("RCPT", "");
    assert_answer("action=DUNNO\n\n");
    will_refuse("421", "4.7.1", "Service unavailable, refused by policy.");
    ask_well("DATA", "");
    assert_answer("action=421 4.7.1 Service unavailable, refused by policy.\n\n");
}
END_TEST

START_TEST(the_longest_answers)
{
    char text[REPLY_TEXT_SIZE], expected[POLICY_ANSWER_SIZE];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    will_refuse("554", "5.123.1234", text);
    ask_well("RCPT", "");
    snprintf(expected, sizeof expected, "action=554 5.123.1234 %s\n\n", text);
    assert_answer(expected);
    setup();
    memset(next_answer.score, 'y', SCORE_TEXT_SIZE - 1);
    ask_well("DATA", "");
    snprintf(expected, sizeof expected, "action=PREPEND X-Tidegate-Score: %s\n\n", next_answer.score);
    assert_answer(expected);
}
END_TEST

START_TEST(delays)
{
    next_answer.delay_ns = 2000;
    ask_well("RCPT", "");
    assert_answer("action=DUNNO\n\n");
    ck_assert_int_eq(answer.delay_ns, 2000);
    will_refuse("421", "4.4.5", "Too many.");
    ask_well("RCPT", "");
    assert_answer("action=421 4.4.5 Too many.\n\n");
    ck_assert_int_eq(answer.delay_ns, 2000);
    next_answer.delay_ns = 0;
    ask_well("RCPT", "");
    ck_assert_int_eq(answer.delay_ns, 0);
}
END_TEST

START_TEST(how_long_it_took)
{
    clock_step = 3000;
    atomic_store(&latency.sum_ns, 0);
    ask_well("RCPT", "");
    ck_assert_int_eq(asked_at, 4711);
    ck_assert_uint_eq(atomic_load(&latency.sum_ns), 3000);
    ck_assert_ptr_nonnull(ask("RCPT", "client_port=x\n")); /* no question to the engine */
    ck_assert_uint_eq(atomic_load(&latency.sum_ns), 3000);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("policy_door");
    TCase *requests = test_case(suite, "requests"), *answers = test_case(suite, "answers");

    tcase_add_checked_fixture(requests, setup, NULL);
    tcase_add_test(requests, states);
    tcase_add_test(requests, a_whole_request);
    tcase_add_test(requests, next_to_nothing);
    tcase_add_test(requests, client_addresses);
    tcase_add_test(requests, server_addresses);
    tcase_add_test(requests, ports);
    tcase_add_test(requests, recipient_counts);
    tcase_add_test(requests, client_names);
    tcase_add_test(requests, many_client_names);
    tcase_add_test(requests, values_that_are_too_long);
    tcase_add_test(requests, listener_names);
    tcase_add_test(requests, senders);
    tcase_add_test(requests, other_names);
    tcase_add_test(requests, holds);
    tcase_add_test(requests, wrong_requests);
    tcase_add_checked_fixture(answers, setup, NULL);
    tcase_add_test(answers, dunno);
    tcase_add_test(answers, refusals);
    tcase_add_test(answers, the_last_verdict_refuses);
    tcase_add_test(answers, monitored);
    tcase_add_test(answers, scores);
    tcase_add_test(answers, the_longest_answers);
    tcase_add_test(answers, delays);
    tcase_add_test(answers, how_long_it_took);
    return suite;
}
