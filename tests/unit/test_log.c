/*
 * test_log.c: key=value lines, read back through a pipe in place of standard error. Links src/daemon/log.c.
 */
#include "check_main.h"
#include "daemon/log.h"

#include <poll.h>

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int from_stderr = -1, saved_stderr = -1;
static struct log_line line;

static void setup(void)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    from_stderr = ends[0];
    log_open(true);
    log_begin(&line);
}

static void teardown(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(from_stderr);
}

/* What the line is when it is sent, its end included. */
static const char *sent(void)
{
    static char text[2 * LOG_LINE_SIZE];
    log_send(&line, LOG_INFO);
    ssize_t got = read(from_stderr, text, sizeof text - 1);
    ck_assert_int_gt(got, 0);
    text[got] = '\0';
    ck_assert_uint_eq(strlen(text), (size_t)got);
    return text;
}

/* Undoes the quoting of the value that begins at *at, which ends up after it. Returns false when it is not well formed.
 */
static bool unquote(const char **at, char *out)
{
    const char *c = *at;
    if (*c++ != '"')
        return false;
    for (; *c && *c != '"'; c++) {
        unsigned byte;
        if (*c != '\\')
            *out++ = *c;
        else if (c[1] == 'x' && sscanf(c + 2, "%2x", &byte) == 1 && byte != 0) {
            *out++ = (char)byte;
            c += 3;
        } else if (c[1] == '"' || c[1] == '\\')
            *out++ = *++c;
        else
            return false;
    }
    *out = '\0';
    *at = c + 1;
    return *c == '"';
}

START_TEST(plain_pairs)
{
    log_text(&line, "limit", "service_sessions");
    log_text(&line, "scope", "listener[:25]/peer[10.0.0.0/8]");
    log_number(&line, "count", 0);
    log_number(&line, "max", UINT64_MAX);
    log_text(&line, "odd", "a=b;'`$(){}~");
    ck_assert_str_eq(sent(), "limit=service_sessions scope=listener[:25]/peer[10.0.0.0/8] count=0 "
                             "max=18446744073709551615 odd=a=b;'`$(){}~\n");
}
END_TEST

START_TEST(quoted_values)
{
    log_text(&line, "spaces", "two words");
    log_text(&line, "quotes", "say \"hi\"");
    log_text(&line, "backslash", "a\\b");
    log_text(&line, "empty", "");
    ck_assert_str_eq(sent(), "spaces=\"two words\" quotes=\"say \\\"hi\\\"\" backslash=\"a\\\\b\" empty=\"\"\n");
}
END_TEST

START_TEST(nothing_reads_none)
{
    log_text(&line, "null", NULL);
    log_text(&line, "word", "none");
    ck_assert_str_eq(sent(), "null=none word=none\n");
}
END_TEST

START_TEST(control_characters_stay_in_their_value)
{
    log_text(&line, "name", "x\nlimit=forged\raction=refuse\t\x7f\x1b[31m");
    log_text(&line, "after", "1");
    ck_assert_str_eq(sent(), "name=\"x\\x0alimit=forged\\x0daction=refuse\\x09\\x7f\\x1b[31m\" after=1\n");
}
END_TEST

START_TEST(bytes_beyond_ascii)
{
    log_text(&line, "name", "gr\xc3\xbc\xc3\x9f\xff\x80");
    ck_assert_str_eq(sent(), "name=\"gr\\xc3\\xbc\\xc3\\x9f\\xff\\x80\"\n");
}
END_TEST

START_TEST(every_byte_comes_back)
{
    for (int byte = 1; byte < 256; byte++) {
        char value[4] = {'a', (char)byte, 'b', '\0'}, back[8];
        log_begin(&line);
        log_text(&line, "value", value);
        log_text(&line, "end", "1");
        const char *text = sent();
        ck_assert_msg(strchr(text, '\n') == text + strlen(text) - 1, "byte %d breaks the line", byte);
        ck_assert(strncmp(text, "value=", 6) == 0);
        text += 6;
        if (*text != '"') {
            ck_assert(strncmp(text, value, 3) == 0);
            text += 3;
        } else {
            ck_assert_msg(unquote(&text, back), "byte %d is not well quoted", byte);
            ck_assert_str_eq(back, value);
        }
        ck_assert_str_eq(text, " end=1\n");
    }
}
END_TEST

START_TEST(durations)
{
    log_seconds(&line, "none", 0);
    log_seconds(&line, "short", 99999999);
    log_seconds(&line, "tenth", 100000000);
    log_seconds(&line, "usual", INT64_C(12345678901));
    log_seconds(&line, "long", INT64_C(86400000000000));
    ck_assert_str_eq(sent(), "none=0.0s short=0.0s tenth=0.1s usual=12.3s long=86400.0s\n");
}
END_TEST

START_TEST(a_line_begins_anew)
{
    log_text(&line, "a", "1");
    ck_assert_str_eq(sent(), "a=1\n");
    log_begin(&line);
    log_text(&line, "b", "2");
    ck_assert_str_eq(sent(), "b=2\n");
}
END_TEST

START_TEST(events_in_one_call)
{
    char text[256];
    log_event(LOG_ERR, "reload_failed", "the rules stay as they were");
    ssize_t got = read(from_stderr, text, sizeof text - 1);
    ck_assert_int_gt(got, 0);
    text[got] = '\0';
    ck_assert_str_eq(text, "event=reload_failed text=\"the rules stay as they were\"\n");
}
END_TEST

/* A value of `length` times `c`: the line is cut, and stays one line that fits. */
static const char *sent_with(char c, size_t length)
{
    static char value[3 * LOG_LINE_SIZE];
    ck_assert_uint_lt(length, sizeof value);
    memset(value, c, length);
    value[length] = '\0';
    log_begin(&line);
    log_text(&line, "value", value);
    log_text(&line, "after", "two words");
    log_number(&line, "number", UINT64_MAX);
    const char *text = sent();
    ck_assert_uint_lt(strlen(text), LOG_LINE_SIZE);
    ck_assert(strchr(text, '\n') == text + strlen(text) - 1);
    ck_assert(strncmp(text, "value=", 6) == 0);
    return text;
}

START_TEST(over_long_values_are_cut)
{
    static const char kinds[] = {'x', ' ', '\n', '"', '\\', '\x80'};
    for (size_t kind = 0; kind < sizeof kinds; kind++) {
        sent_with(kinds[kind], 3 * LOG_LINE_SIZE - 1);
        for (size_t length = LOG_LINE_SIZE - 80; length < LOG_LINE_SIZE + 10; length++) /* around the edge */
            sent_with(kinds[kind], length);
        for (size_t length = LOG_LINE_SIZE / 4 - 30; length < LOG_LINE_SIZE / 4 + 10; length++)
            sent_with(kinds[kind], length);
    }
}
END_TEST

START_TEST(a_cut_value_is_still_a_pair)
{
    static const char kinds[] = {' ', '\n', '"', '\\', '\x80'};
    static char back[LOG_LINE_SIZE];
    for (size_t kind = 0; kind < sizeof kinds; kind++) {
        for (size_t length = LOG_LINE_SIZE; length < LOG_LINE_SIZE + 8; length++) {
            const char *text = sent_with(kinds[kind], length) + 6;
            ck_assert_msg(unquote(&text, back), "%zu bytes 0x%02x end in an open quote or half an escape", length,
                          (unsigned char)kinds[kind]);
        }
    }
}
END_TEST

START_TEST(a_reader_that_stands_still_is_not_waited_for)
{
    char text[LOG_LINE_SIZE];
    uint64_t sent_lines = 0, read_lines = 0;
    ck_assert_uint_eq(log_lines_lost(), 0);
    while (sent_lines < 100000) { /* more than any pipe holds */
        log_event(LOG_INFO, "x", "nobody reads this");
        sent_lines++;
    }
    uint64_t lost = log_lines_lost();
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_eq(log_lines_lost(), 0);
    struct pollfd waiting = {.fd = from_stderr, .events = POLLIN};
    while (poll(&waiting, 1, 0) == 1) {
        ssize_t got = read(from_stderr, text, sizeof text);
        ck_assert_int_gt(got, 0);
        for (ssize_t i = 0; i < got; i++)
            read_lines += text[i] == '\n';
    }
    ck_assert_uint_eq(read_lines + lost, sent_lines);
}
END_TEST

enum { WRITERS = 4, LINES = 12 }; /* all of them fit in a pipe, so that none is dropped */

static void *write_lines(void *which)
{
    char value[1001];
    memset(value, *(const char *)which, sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < LINES; i++)
        log_event(LOG_INFO, "thread", value);
    return NULL;
}

START_TEST(lines_of_threads_do_not_mix)
{
    static const char names[WRITERS] = {'a', 'b', 'c', 'd'};
    pthread_t threads[WRITERS];
    int counts[WRITERS] = {0};
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, (void *)&names[i]), 0);
    FILE *reader = fdopen(dup(from_stderr), "r");
    char text[LOG_LINE_SIZE];
    const char *head = "event=thread text=";
    for (int i = 0; i < WRITERS * LINES; i++) {
        ck_assert_ptr_nonnull(fgets(text, sizeof text, reader));
        ck_assert(strncmp(text, head, strlen(head)) == 0);
        char name = text[strlen(head)];
        ck_assert_uint_eq(strspn(text + strlen(head), (const char[]){name, '\0'}), 1000);
        ck_assert_str_eq(text + strlen(head) + 1000, "\n");
        ck_assert(name >= 'a' && name <= 'd');
        counts[name - 'a']++;
    }
    fclose(reader);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(counts[i], LINES);
    }
}
END_TEST

static void name_stream(bool right)
{
    char stream[64];
    struct stat status;

    ck_assert_int_eq(fstat(STDERR_FILENO, &status), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino + !right);
    setenv("JOURNAL_STREAM", stream, 1);
    log_open(true);
}

START_TEST(the_journal_is_told_the_priority)
{
    name_stream(true);
    log_text(&line, "a", "b");
    ck_assert_str_eq(sent(), "<6>a=b\n");
    log_event(LOG_ERR, "c", "d");
    char text[64] = "";
    ck_assert_int_gt(read(from_stderr, text, sizeof text - 1), 0);
    ck_assert_str_eq(text, "<3>event=c text=d\n");
    ck_assert_str_eq(log_prefix(LOG_WARNING), "<4>");
    ck_assert_str_eq(log_prefix(LOG_MAIL | LOG_DEBUG), "<7>");
}
END_TEST

START_TEST(whoever_else_reads_is_not)
{
    static const char *const others[] = {"", "1", "1:", ":1", "x:y", "1:2:3", "18446744073709551616:1"};

    name_stream(false);
    log_text(&line, "a", "b");
    ck_assert_str_eq(sent(), "a=b\n");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        setenv("JOURNAL_STREAM", others[i], 1);
        log_open(true);
        ck_assert_str_eq(log_prefix(LOG_ERR), "");
    }
    unsetenv("JOURNAL_STREAM");
    log_open(true);
    ck_assert_str_eq(log_prefix(LOG_ERR), "");
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = test_case(suite, "lines");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, plain_pairs);
    tcase_add_test(tests, quoted_values);
    tcase_add_test(tests, nothing_reads_none);
    tcase_add_test(tests, control_characters_stay_in_their_value);
    tcase_add_test(tests, bytes_beyond_ascii);
    tcase_add_test(tests, every_byte_comes_back);
    tcase_add_test(tests, durations);
    tcase_add_test(tests, a_line_begins_anew);
    tcase_add_test(tests, events_in_one_call);
    tcase_add_test(tests, a_reader_that_stands_still_is_not_waited_for);
    tcase_add_test(tests, over_long_values_are_cut);
    tcase_add_test(tests, a_cut_value_is_still_a_pair);
    tcase_add_test(tests, the_journal_is_told_the_priority);
    tcase_add_test(tests, whoever_else_reads_is_not);
    tcase_add_test(tests, lines_of_threads_do_not_mix);
    return suite;
}
