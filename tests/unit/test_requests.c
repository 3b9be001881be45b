/*
 * test_requests.c: what of a request is new.
 */
#include <stdio.h>

#include "check_main.h"
#include "request_case.h"

START_TEST(a_connection_is_counted_once)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 1);
    custom_in(RULES_SERVICE, "helos", COUNT_NETWORKS, PER_HELO, 5, HOUR);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_MESSAGES, 2);
    start();
    ck_assert(ask(REQUEST_CONNECT));
    request.names.helo = "a.example.com";
    begin_message("m1", "a@example.com");
    for (int i = 0; i < 3; i++) {
        ck_assert(ask(REQUEST_HELO));
        ck_assert(ask(REQUEST_MAIL));
        ck_assert(ask_recipient("x@example.net"));
        ck_assert(ask_count(REQUEST_DATA, 3));
        ck_assert(ask_count(REQUEST_MESSAGE, 3));
    }
    now += 100 * SECOND; /* long after it has lapsed */
    begin_message("m2", "a@example.com");
    ck_assert(ask_recipient("x@example.net"));
    ck_assert_uint_eq(answer.count, 2);
    begin_message("m3", "a@example.com");
    ck_assert(!ask_recipient("x@example.net"));
    assert_refused("client_messages", 2, 2);
    ck_assert(!ask_recipient("x@example.net")); /* a refused one counts as not told */
    assert_refused("client_messages", 2, 2);
}
END_TEST

START_TEST(recipients_by_their_number)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_RECIPIENTS, 10);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_MESSAGE_RECIPIENTS, 6);
    start();
    begin_message("m1", "a@example.com");
    ck_assert(!ask_count(REQUEST_DATA, 7));
    assert_refused("message_recipients", 0, 6);
    assert_reply("452", "4.5.3", "Too many recipients.");
    ck_assert(!ask_count(REQUEST_DATA, 7)); /* nor does it pass when it comes again */
    begin_message("m2", "a@example.com");
    ck_assert(ask_recipient("a@example.net"));
    ck_assert(ask_count(REQUEST_DATA, 6)); /* five of them were not asked about */
    ck_assert(ask_count(REQUEST_MESSAGE, 6));
    begin_message("m3", "a@example.com");
    ck_assert(!ask_count(REQUEST_DATA, 5));
    assert_refused("client_recipients", 6, 10);
    assert_reply("452", "4.5.3", "Recipient rate limit reached.");
    begin_message("m4", "a@example.com");
    ck_assert(ask_count(REQUEST_DATA, 4)); /* what was refused took nothing */
    begin_message("m5", "a@example.com");
    ck_assert(!ask_recipient("a@example.net"));
    assert_refused("client_recipients", 10, 10);
}
END_TEST

START_TEST(recipients_come_after_data_was_rejected)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_MESSAGE_RECIPIENTS, 10);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_RECIPIENTS, 25);
    start();
    begin_message("m1", "a@example.com");
    ck_assert(ask_count(REQUEST_DATA, 5)); /* the MTA refuses DATA, and the client goes on */
    ck_assert(!ask_count(REQUEST_DATA, 15));
    assert_refused("message_recipients", 5, 10);
    ck_assert(ask_count(REQUEST_DATA, 10));
    ck_assert(ask_count(REQUEST_MESSAGE, 10));
    begin_message("m2", "a@example.com");
    ck_assert(ask_count(REQUEST_DATA, 10));
    begin_message("m3", "a@example.com");
    ck_assert(!ask_count(REQUEST_DATA, 6)); /* each was counted once */
    assert_refused("client_recipients", 20, 25);
}
END_TEST

START_TEST(a_refused_name_is_not_told)
{
    limit_block_id block = custom_in(RULES_SERVICE, "helos", COUNT_NETWORKS, PER_HELO, 1, HOUR);
    const struct reply reply = {"550", "5.7.1", "No."};
    rules_set_reply(builder, block, &reply);
    start();
    request.names.helo = "a.example.com";
    ck_assert(ask(REQUEST_HELO));
    client("198.51.100.7", 1);
    request.names.helo = "a.example.com";
    for (int i = 0; i < 3; i++)
        ck_assert(!ask(i == 0 ? REQUEST_HELO : REQUEST_RCPT));
}
END_TEST

START_TEST(many_errors_at_once_are_many)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, 10);
    rules_set_term(builder, block, TERM_MAX_BAD, 1);
    rules_set_reputation(builder, 24 * HOUR);
    start();
    begin_message("m1", "a@example.com");
    ck_assert(ask(REQUEST_MAIL));
    for (char name[] = "a@example.net"; name[0] < 'd'; name[0]++)
        ck_assert(ask_recipient(name));
    ck_assert(ask_count(REQUEST_DATA, 1));    /* two errors, */
    ck_assert(ask_count(REQUEST_MESSAGE, 1)); /* one message: it is bad still */
    client("192.0.2.1", 2);
    ck_assert(!ask(REQUEST_CONNECT));
    assert_refused("client_connections", 1, 1);
}
END_TEST

START_TEST(errors_by_the_number_of_recipients)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_ERRORS, 3);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_ERRORS, 100);
    start();
    begin_message("m1", "a@example.com");
    ck_assert(ask_recipient("a@example.net"));
    ck_assert(ask_recipient("b@example.net"));
    ck_assert(ask_recipient("c@example.net"));
    ck_assert(ask_count(REQUEST_DATA, 1)); /* two were rejected */
    begin_message("m2", "a@example.com");
    ck_assert(ask_recipient("a@example.net"));
    ck_assert(ask_recipient("a@example.net")); /* one command asked about twice */
    ck_assert_uint_eq(answer.count, 0);
    ck_assert(ask_count(REQUEST_DATA, 1));
    begin_message("m3", "a@example.com");
    ck_assert(ask_recipient("a@example.net"));
    ck_assert(ask_recipient("b@example.net"));
    ck_assert(ask_recipient("c@example.net"));
    ck_assert(!ask_count(REQUEST_DATA, 1));
    assert_refused("session_errors", 2, 3);
    assert_reply("421", "4.4.5", "Service unavailable, too many errors.");
}
END_TEST

START_TEST(a_message_sets_the_errors_back)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_ERRORS, 2);
    start();
    for (int i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", i);
        begin_message(name, "");
        ck_assert(ask_recipient("a@example.net"));
        ck_assert(ask_recipient("b@example.net"));
        ck_assert(ask_count(REQUEST_DATA, 1));
        ck_assert(ask_count(REQUEST_MESSAGE, 1));
    }
}
END_TEST

START_TEST(the_score_is_handed_on_once_a_message)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 1);
    rules_set_term(builder, block, TERM_MODE, MODE_SCORE);
    rules_set_term(builder, block, TERM_POINTS, 3);
    start();
    begin_message("m1", "a@example.com");
    ck_assert(ask(REQUEST_DATA));
    ck_assert_str_eq(answer.score, "");
    begin_message("m2", "a@example.com");
    ck_assert(ask_recipient("x@example.net"));
    ck_assert_str_eq(answer.score, "");
    ck_assert(ask(REQUEST_DATA));
    ck_assert_str_eq(answer.score, "3 (session_messages=3)");
    ck_assert(ask(REQUEST_DATA));
    ck_assert_str_eq(answer.score, "");
    ck_assert(ask(REQUEST_MESSAGE));
    ck_assert_str_eq(answer.score, "");
    begin_message("m3", "a@example.com");
    ck_assert(ask(REQUEST_MESSAGE));
    ck_assert_str_eq(answer.score, "3 (session_messages=3)");
}
END_TEST

START_TEST(the_sender_alone_tells_messages_apart)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 2);
    start();
    begin_message("", "a@example.com");
    ck_assert(ask(REQUEST_MAIL));
    ck_assert(ask_recipient("x@example.net"));
    begin_message(NULL, "");
    ck_assert(ask(REQUEST_MAIL));
    begin_message(NULL, "b@example.com");
    ck_assert(!ask(REQUEST_MAIL));
    assert_refused("session_messages", 2, 2);
}
END_TEST

START_TEST(a_message_gets_its_name_late)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 3);
    start();
    begin_message("", "a@example.com");
    ck_assert(ask(REQUEST_MAIL)); /* 1 */
    begin_message("m1", "a@example.com");
    ck_assert(ask_recipient("x@example.net"));
    ck_assert(ask_recipient("y@example.net"));
    begin_message("", "a@example.com");
    ck_assert(ask(REQUEST_MAIL)); /* 2: the same sender begins anew */
    begin_message("m2", "a@example.com");
    ck_assert(ask_recipient("x@example.net"));
    begin_message("", "a@example.com");
    ck_assert(ask(REQUEST_MAIL)); /* 3 */
    begin_message("m3", "b@example.com");
    ck_assert(!ask_recipient("x@example.net")); /* which is not that one */
    assert_refused("session_messages", 3, 3);
}
END_TEST

START_TEST(delays_add_up)
{
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_ERRORS, 50);
    rules_set_term(builder, block, TERM_ERROR_DELAY, 2 * SECOND);
    start();
    begin_message("m1", "a@example.com");
    ck_assert(ask_recipient("a@example.net"));
    ck_assert(ask_recipient("b@example.net"));
    ck_assert(ask_count(REQUEST_DATA, 1));
    ck_assert_int_eq(answer.delay_ns, 2 * SECOND);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("requests");
    TCase *news = test_case(suite, "news");
    tcase_add_checked_fixture(news, request_setup, case_teardown);
    tcase_add_test(news, a_connection_is_counted_once);
    tcase_add_test(news, recipients_by_their_number);
    tcase_add_test(news, recipients_come_after_data_was_rejected);
    tcase_add_test(news, a_refused_name_is_not_told);
    tcase_add_test(news, many_errors_at_once_are_many);
    tcase_add_test(news, errors_by_the_number_of_recipients);
    tcase_add_test(news, a_message_sets_the_errors_back);
    tcase_add_test(news, the_score_is_handed_on_once_a_message);
    tcase_add_test(news, the_sender_alone_tells_messages_apart);
    tcase_add_test(news, a_message_gets_its_name_late);
    tcase_add_test(news, delays_add_up);
    return suite;
}
