/*
 * test_limits.c: the catalogue of limits, which pairs of count and per there are, at which events they matter, and what
 * a refused client is told. Links src/engine/limits.c, reply.c, addr.c.
 */
#include "check_main.h"

#include "engine/limits.h"
#include "engine/reply.h"
#include <stdlib.h>

#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
#define HOUR (3600 * SECOND)

/* By count; a letter for each per that goes with it, in the order of enum limit_per. */
static const char *const matrix[COUNT_KINDS] = {
    [COUNT_SESSIONS] = "..CD.....U",         [COUNT_CONNECTIONS] = "..CD......", [COUNT_MESSAGES] = "S.CDHFORTU",
    [COUNT_BOUNCES] = "S.CDH..RT.",          [COUNT_RECIPIENTS] = "SMCDHFO..U",  [COUNT_ERRORS] = "S.CDH....U",
    [COUNT_UNKNOWN_COMMANDS] = "S.CDH.....", [COUNT_NETWORKS] = "....HFO..U",
};

START_TEST(the_matrix)
{
    for (enum limit_count count = 0; count < COUNT_KINDS; count++)
        for (enum limit_per per = 0; per < PER_KINDS; per++)
            ck_assert_msg(limit_fits(count, per) == (matrix[count][per] != '.'), "%s per %s", limit_count_name(count),
                          limit_per_name(per));
}
END_TEST

START_TEST(names_as_in_the_configuration)
{
    static const char *const counts[COUNT_KINDS] = {"sessions",   "connections", "messages",         "bounces",
                                                    "recipients", "errors",      "unknown_commands", "networks"};
    static const char *const pers[PER_KINDS] = {"session", "message",       "client",    "client_domain",    "helo",
                                                "sender",  "sender_domain", "recipient", "recipient_domain", "user"};
    static const char *const modes[] = {"off", "block", "monitor", "score"};
    for (enum limit_count count = 0; count < COUNT_KINDS; count++)
        ck_assert_str_eq(limit_count_name(count), counts[count]);
    for (enum limit_per per = 0; per < PER_KINDS; per++)
        ck_assert_str_eq(limit_per_name(per), pers[per]);
    for (enum limit_mode mode = MODE_OFF; mode <= MODE_SCORE; mode++)
        ck_assert_str_eq(limit_mode_name(mode), modes[mode]);
}
END_TEST

START_TEST(the_catalogue)
{
    static const struct {
        const char *name;
        enum limit_count count;
        enum limit_per per;
        int64_t max, window, ban, soft, error_delay;
    } rows[LIMITS_BUILTIN] = {
        {"client_sessions", COUNT_SESSIONS, PER_CLIENT, 5, 0, 0, 0, 0},
        {"client_connections", COUNT_CONNECTIONS, PER_CLIENT, 10, 90 * SECOND, 0, 0, 0},
        {"client_messages", COUNT_MESSAGES, PER_CLIENT, 100, HOUR, 0, 0, 0},
        {"client_recipients", COUNT_RECIPIENTS, PER_CLIENT, 500, HOUR, 0, 0, 0},
        {"client_errors", COUNT_ERRORS, PER_CLIENT, 30, HOUR, 0, 0, 0},
        {"sender_recipients", COUNT_RECIPIENTS, PER_SENDER, 500, HOUR, 0, 0, 0},
        {"recipient_messages", COUNT_MESSAGES, PER_RECIPIENT, 200, HOUR, 0, 0, 0},
        {"recipient_bounces", COUNT_BOUNCES, PER_RECIPIENT, 20, HOUR, 0, 0, 0},
        {"user_recipients", COUNT_RECIPIENTS, PER_USER, 1000, 24 * HOUR, 0, 0, 0},
        {"domain_networks", COUNT_NETWORKS, PER_SENDER_DOMAIN, 10, 2 * HOUR, 2 * HOUR, 0, 0},
        {"helo_networks", COUNT_NETWORKS, PER_HELO, 10, 2 * HOUR, 2 * HOUR, 0, 0},
        {"session_errors", COUNT_ERRORS, PER_SESSION, 20, 0, 0, 10, SECOND},
        {"session_unknown_commands", COUNT_UNKNOWN_COMMANDS, PER_SESSION, 10, 0, 0, 0, 0},
        {"session_recipients", COUNT_RECIPIENTS, PER_SESSION, 1000, 0, 0, 0, 0},
        {"session_messages", COUNT_MESSAGES, PER_SESSION, 100, 0, 0, 0, 0},
        {"message_recipients", COUNT_RECIPIENTS, PER_MESSAGE, 1000, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < LIMITS_BUILTIN; i++) {
        const struct limit_builtin *limit = &limit_builtins[i];
        ck_assert_str_eq(limit->name, rows[i].name);
        ck_assert_uint_lt(strlen(limit->name), LIMIT_NAME_SIZE);
        ck_assert_int_eq(limit->count, rows[i].count);
        ck_assert_int_eq(limit->per, rows[i].per);
        ck_assert_int_eq(limit->value[TERM_MAX], rows[i].max);
        ck_assert_int_eq(limit->value[TERM_WINDOW], rows[i].window);
        ck_assert_int_eq(limit->value[TERM_BAN], rows[i].ban);
        ck_assert_int_eq(limit->value[TERM_SOFT], rows[i].soft);
        ck_assert_int_eq(limit->value[TERM_ERROR_DELAY], rows[i].error_delay);
        ck_assert(limit_fits(limit->count, limit->per));
        ck_assert((limit->value[TERM_WINDOW] > 0) == limit_has_window(limit->count, limit->per));
        ck_assert(limit->value[TERM_BAN] == 0 || limit_can_ban(limit->per));
        ck_assert_uint_gt(strlen(limit->text), 10);
    }
}
END_TEST

static void assert_common(const int64_t value[LIMIT_TERMS])
{
    for (enum limit_term term = TERM_MAX_GOOD; term <= TERM_MAX_AUTHENTICATED; term++)
        ck_assert_int_eq(value[term], TERM_UNSET);
    ck_assert_int_eq(value[TERM_MODE], MODE_BLOCK);
    ck_assert_int_eq(value[TERM_POINTS], 1);
    ck_assert_int_eq(value[TERM_DISCONNECT_DELAY], TERM_UNSET);
    ck_assert_int_eq(value[TERM_IPV4_PREFIX], 24);
    ck_assert_int_eq(value[TERM_IPV6_PREFIX], 64);
}

START_TEST(what_all_rows_have)
{
    for (size_t i = 0; i < LIMITS_BUILTIN; i++)
        assert_common(limit_builtins[i].value);
    assert_common(limit_custom_defaults);
    ck_assert_int_eq(limit_custom_defaults[TERM_MAX], 0);
    ck_assert_int_eq(limit_custom_defaults[TERM_BAN], 0);
    ck_assert_int_eq(limit_custom_defaults[TERM_SOFT], 0);
    ck_assert_int_eq(limit_custom_defaults[TERM_ERROR_DELAY], 0);
}
END_TEST

START_TEST(what_has_a_window_and_what_can_ban)
{
    for (enum limit_count count = 0; count < COUNT_KINDS; count++)
        for (enum limit_per per = 0; per < PER_KINDS; per++)
            ck_assert(limit_has_window(count, per) ==
                      (count != COUNT_SESSIONS && per != PER_SESSION && per != PER_MESSAGE));
    for (enum limit_per per = 0; per < PER_KINDS; per++) {
        ck_assert(limit_can_ban(per) == (per > PER_MESSAGE));
        ck_assert((limit_ban_events(per) != 0) == limit_can_ban(per));
    }
}
END_TEST

#define AT(event) (1u << (event))
#define ERRORS_AT (AT(EVENT_RCPT) | AT(EVENT_UNKNOWN) | AT(EVENT_REJECTED))

START_TEST(at_which_events)
{
    static const struct {
        enum limit_count count;
        unsigned usual, per_recipient, per_user, per_helo;
    } rows[] = {
        {COUNT_SESSIONS, AT(EVENT_CONNECT), 0, AT(EVENT_MAIL), 0},
        {COUNT_CONNECTIONS, AT(EVENT_CONNECT), 0, 0, 0},
        {COUNT_MESSAGES, AT(EVENT_MAIL), AT(EVENT_RCPT), AT(EVENT_MAIL), AT(EVENT_MAIL)},
        {COUNT_BOUNCES, AT(EVENT_MAIL), AT(EVENT_RCPT), AT(EVENT_MAIL), AT(EVENT_MAIL)},
        {COUNT_RECIPIENTS, AT(EVENT_RCPT), 0, AT(EVENT_RCPT), AT(EVENT_RCPT)},
        {COUNT_ERRORS, ERRORS_AT, 0, ERRORS_AT, ERRORS_AT},
        {COUNT_UNKNOWN_COMMANDS, AT(EVENT_UNKNOWN), 0, 0, AT(EVENT_UNKNOWN)},
        {COUNT_NETWORKS, AT(EVENT_MAIL), 0, AT(EVENT_MAIL), AT(EVENT_HELO)},
    };
    ck_assert_uint_eq(sizeof rows / sizeof *rows, COUNT_KINDS);
    for (size_t i = 0; i < COUNT_KINDS; i++)
        for (enum limit_per per = 0; per < PER_KINDS; per++) {
            unsigned expected = per == PER_USER                                       ? rows[i].per_user
                                : per == PER_HELO                                     ? rows[i].per_helo
                                : per == PER_RECIPIENT || per == PER_RECIPIENT_DOMAIN ? rows[i].per_recipient
                                                                                      : rows[i].usual;
            if (limit_fits(rows[i].count, per))
                ck_assert_msg(limit_events(rows[i].count, per) == expected, "%s per %s",
                              limit_count_name(rows[i].count), limit_per_name(per));
        }
}
END_TEST

START_TEST(at_which_events_bans_are_judged)
{
    static const unsigned events[PER_KINDS] = {0,
                                               0,
                                               AT(EVENT_CONNECT),
                                               AT(EVENT_CONNECT),
                                               AT(EVENT_HELO),
                                               AT(EVENT_MAIL),
                                               AT(EVENT_MAIL),
                                               AT(EVENT_RCPT),
                                               AT(EVENT_RCPT),
                                               AT(EVENT_MAIL)};
    for (enum limit_per per = 0; per < PER_KINDS; per++)
        ck_assert_uint_eq(limit_ban_events(per), events[per]);
}
END_TEST

/* ---- replies ---- */

static void assert_reply(const struct reply *reply, const char *expected)
{
    char text[sizeof *reply + 2];
    snprintf(text, sizeof text, "%s %s %s", reply->code, reply->enhanced, reply->text);
    ck_assert_str_eq(text, expected);
}

START_TEST(replies_of_what_is_no_numbered_limit)
{
    assert_reply(reply_of_limit(LIMIT_SERVICE_SESSIONS), "421 4.4.5 Service unavailable, concurrency limit reached.");
    assert_reply(reply_of_limit(LIMIT_LISTENER_SESSIONS), "421 4.4.5 Service unavailable, concurrency limit reached.");
    assert_reply(reply_of_limit(LIMIT_DENY), "421 4.7.1 Service unavailable, access denied.");
    assert_reply(reply_of_limit(LIMIT_IDLE_TIME), "421 4.4.2 Service unavailable, idle for too long.");
    assert_reply(reply_of_limit(LIMIT_SCORE), "421 4.7.1 Service unavailable, refused by policy.");
}
END_TEST

START_TEST(replies_of_limits)
{
    static const char *const replies[COUNT_KINDS] = {
        [COUNT_SESSIONS] = "421 4.4.5 Service unavailable, concurrency limit reached.",
        [COUNT_CONNECTIONS] = "421 4.4.5 Service unavailable, connection rate limit reached.",
        [COUNT_MESSAGES] = "421 4.4.5 Service unavailable, message rate limit reached.",
        [COUNT_BOUNCES] = "421 4.4.5 Service unavailable, message rate limit reached.",
        [COUNT_RECIPIENTS] = "421 4.4.5 Service unavailable, recipient rate limit reached.",
        [COUNT_ERRORS] = "421 4.4.5 Service unavailable, too many errors.",
        [COUNT_UNKNOWN_COMMANDS] = "421 4.4.5 Service unavailable, too many errors.",
        [COUNT_NETWORKS] = "421 4.4.5 Service unavailable, too many networks for this domain.",
    };
    for (enum limit_count count = 0; count < COUNT_KINDS; count++)
        for (int of_session = 0; of_session < 2; of_session++)
            assert_reply(reply_of_count(count, false, of_session), replies[count]);
    assert_reply(reply_of_count(COUNT_RECIPIENTS, true, true), "452 4.5.3 Too many recipients.");
    assert_reply(reply_of_count(COUNT_RECIPIENTS, true, false), "452 4.5.3 Recipient rate limit reached.");
    assert_reply(reply_of_count(COUNT_MESSAGES, true, false), "452 4.5.3 Recipient rate limit reached.");
}
END_TEST

static const char *render(const char *text, const struct finding *finding)
{
    static struct reply out;
    struct reply form = {.code = "450", .enhanced = "4.7.0"};
    strcpy(form.text, text);
    memset(&out, 'x', sizeof out);
    reply_render(&form, finding, &out);
    ck_assert_str_eq(out.code, "450");
    ck_assert_str_eq(out.enhanced, "4.7.0");
    return out.text;
}

START_TEST(placeholders)
{
    struct finding finding = {.name = "client_messages", .count = 12, .max = UINT32_MAX};
    prefix_parse("2001:db8::/64", &finding.client);
    ck_assert_str_eq(render("{limit}: {client} has {count} of {max}{max}", &finding),
                     "client_messages: 2001:db8::/64 has 12 of 42949672954294967295");
    ck_assert_str_eq(render("", &finding), "");
    ck_assert_str_eq(render("{", &finding), "{");
    ck_assert_str_eq(render("{{count}}", &finding), "{12}");
    ck_assert_str_eq(render("{Count} {coun} {count {} 100%s", &finding), "{Count} {coun} {count {} 100%s");
    finding.client = (struct prefix){.bits = 0};
    ck_assert_str_eq(render("{client}", &finding), "none");
}
END_TEST

START_TEST(a_reply_that_grows_too_long_is_cut)
{
    struct finding finding = {.count = UINT32_MAX};
    memset(finding.name, 'n', sizeof finding.name - 1);
    for (size_t before = 440; before + sizeof "{limit}{count}" <= REPLY_TEXT_SIZE; before++) {
        char text[REPLY_TEXT_SIZE];
        memset(text, '.', before);
        strcpy(&text[before], "{limit}{count}");
        const char *out = render(text, &finding);
        size_t length = before + strlen(finding.name) + strlen("4294967295");
        ck_assert_uint_eq(strlen(out), length < REPLY_TEXT_SIZE ? length : REPLY_TEXT_SIZE - 1);
        ck_assert_uint_eq(strspn(out, "."), before);
    }
}
END_TEST

/* ---- the manual ---- */

/* The cells of the row of conf/limits.md that begins with that name, without the blanks around them; false: there is
 * none. */
#define CELLS 6
#define CELL_SIZE 300
static bool find_row(const char *name, char cells[CELLS][CELL_SIZE])
{
    char path[4096], line[1000];
    const char *srcdir = getenv("srcdir");
    bool found = false;

    snprintf(path, sizeof path, "%s/conf/limits.md", srcdir ? srcdir : ".");
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    while (!found && fgets(line, sizeof line, file)) {
        char *rest = line;
        for (int i = 0; i < CELLS; i++)
            cells[i][0] = '\0';
        if (*rest++ != '|')
            continue;
        for (int i = 0; i < CELLS && rest; i++) {
            char *cell = rest + strspn(rest, " \n"), *end = strchr(rest, '|');
            rest = end ? end + 1 : NULL;
            if (end)
                *end = '\0';
            for (end = cell + strlen(cell); end > cell && (end[-1] == ' ' || end[-1] == '\n');)
                *--end = '\0';
            snprintf(cells[i], CELL_SIZE, "%s", cell);
        }
        found = strcmp(cells[0], name) == 0;
    }
    fclose(file);
    return found;
}

static const char *time_text(int64_t ns, char out[32])
{
    int64_t seconds = ns / INT64_C(1000000000);
    if (seconds == 0)
        out[0] = '\0';
    else if (seconds % 86400 == 0)
        snprintf(out, 32, "%dd", (int)(seconds / 86400));
    else if (seconds % 3600 == 0)
        snprintf(out, 32, "%dh", (int)(seconds / 3600));
    else
        snprintf(out, 32, "%ds", (int)seconds);
    return out;
}

START_TEST(the_manual_has_the_catalogue)
{
    for (int i = 0; i < LIMITS_BUILTIN; i++) {
        const struct limit_builtin *limit = &limit_builtins[i];
        char cells[CELLS][CELL_SIZE], text[32], besides[100] = "";
        ck_assert_msg(find_row(limit->name, cells), "%s", limit->name);
        ck_assert_msg(atoi(cells[2]) == limit->value[TERM_MAX], "%s: %s", limit->name, cells[2]);
        ck_assert_str_eq(cells[3], time_text(limit->value[TERM_WINDOW], text));
        if (limit->value[TERM_BAN] > 0)
            snprintf(besides, sizeof besides, "ban = %s", time_text(limit->value[TERM_BAN], text));
        if (limit->value[TERM_SOFT] > 0)
            snprintf(besides, sizeof besides, "soft = %d, error_delay = %s", (int)limit->value[TERM_SOFT],
                     time_text(limit->value[TERM_ERROR_DELAY], text));
        ck_assert_str_eq(cells[4], besides);
    }
}
END_TEST

START_TEST(the_manual_has_the_matrix)
{
    for (int count = 0; count < COUNT_KINDS; count++) {
        char cells[CELLS][CELL_SIZE];
        ck_assert(find_row(limit_count_name((enum limit_count)count), cells));
        char list[CELL_SIZE + 4];
        snprintf(list, sizeof list, ", %s,", cells[1]);
        for (int per = 0; per < PER_KINDS; per++) {
            char word[40];
            snprintf(word, sizeof word, " %s,", limit_per_name((enum limit_per)per));
            ck_assert_msg((strstr(list, word) != NULL) == limit_fits((enum limit_count)count, (enum limit_per)per),
                          "%s per %s", limit_count_name((enum limit_count)count), limit_per_name((enum limit_per)per));
        }
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("limits");
    TCase *tests = test_case(suite, "catalogue");
    tcase_add_test(tests, the_matrix);
    tcase_add_test(tests, names_as_in_the_configuration);
    tcase_add_test(tests, the_catalogue);
    tcase_add_test(tests, what_all_rows_have);
    tcase_add_test(tests, what_has_a_window_and_what_can_ban);
    tcase_add_test(tests, at_which_events);
    tcase_add_test(tests, at_which_events_bans_are_judged);
    TCase *replies = test_case(suite, "replies");
    tcase_add_test(replies, replies_of_what_is_no_numbered_limit);
    tcase_add_test(replies, replies_of_limits);
    tcase_add_test(replies, placeholders);
    tcase_add_test(replies, a_reply_that_grows_too_long_is_cut);
    tests = test_case(suite, "manual");
    tcase_add_test(tests, the_manual_has_the_catalogue);
    tcase_add_test(tests, the_manual_has_the_matrix);
    return suite;
}
