/*
 * test_background.c: the way into the background. Links src/daemon/process.c.
 *
 * Three processes: the test; the caller, which calls process_background() and is the one whose status counts; and the
 * daemon, which lives on. The daemon obeys one-letter commands on a pipe and answers on another; it ends when the
 * test does, because the pipe of commands then ends.
 */
#include "check_main.h"
#include "daemon/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILED_STATUS 77

static int to_daemon, from_daemon, from_stderr;
static pid_t caller;

/* What the daemon tells of itself. */
struct report {
    pid_t pid, session;
    char directory[64];
    bool returned;
};

static void obey(int commands, int answers, bool returned)
{
    char command;
    while (read(commands, &command, 1) == 1) {
        struct report report = {.pid = getpid(), .session = getsid(0), .returned = returned};
        if (command == 'e')
            _exit(3);
        if (command == 'r')
            process_ready();
        if (command == 'w' && write(STDERR_FILENO, "words", 5) < 0)
            _exit(4);
        if (!getcwd(report.directory, sizeof report.directory) || write(answers, &report, sizeof report) < 0)
            _exit(5);
    }
    _exit(0);
}

static void start(void)
{
    int commands[2], answers[2], errors[2];
    char error[PROCESS_ERROR_SIZE];

    ck_assert(pipe(commands) == 0 && pipe(answers) == 0 && pipe(errors) == 0);
    signal(SIGPIPE, SIG_IGN); /* as the daemon does before it calls process_background() */
    caller = fork();
    ck_assert_int_ge(caller, 0);
    if (caller == 0) {
        dup2(errors[1], STDERR_FILENO);
        close(errors[0]);
        close(errors[1]);
        close(commands[1]);
        close(answers[0]);
        bool returned = process_background(FAILED_STATUS, error);
        obey(commands[0], answers[1], returned);
    }
    close(commands[0]);
    close(answers[1]);
    close(errors[1]);
    to_daemon = commands[1];
    from_daemon = answers[0];
    from_stderr = errors[0];
}

static struct report ask(char command)
{
    struct report report;
    ck_assert_int_eq(write(to_daemon, &command, 1), 1);
    ck_assert_int_eq(read(from_daemon, &report, sizeof report), sizeof report);
    return report;
}

static int caller_status(void)
{
    int status;
    ck_assert_int_eq(waitpid(caller, &status, 0), caller);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Nobody has the other end any more: the daemon has ended. */
static void assert_daemon_ended(void)
{
    char byte;
    close(to_daemon);
    ck_assert_int_eq(read(from_daemon, &byte, 1), 0);
}

START_TEST(the_caller_waits_for_ready)
{
    start();
    struct report report = ask('?');
    ck_assert(report.returned);
    ck_assert_int_ne(report.pid, caller);
    ck_assert_int_ne(report.session, getsid(0));  /* a session of its own, */
    ck_assert_int_ne(report.session, report.pid); /* which it does not lead: no terminal can catch it */
    ck_assert_str_eq(report.directory, "/");
    ck_assert_int_eq(waitpid(caller, NULL, WNOHANG), 0); /* not ready, so the caller is still there */
    ask('r');
    ck_assert_int_eq(caller_status(), 0);
    ck_assert_int_eq(ask('?').pid, report.pid); /* and the daemon lives on */
    assert_daemon_ended();
}
END_TEST

START_TEST(the_caller_tells_of_failure)
{
    start();
    ask('?');
    ck_assert_int_eq(write(to_daemon, "e", 1), 1);
    ck_assert_int_eq(caller_status(), FAILED_STATUS);
    assert_daemon_ended();
}
END_TEST

START_TEST(a_killed_daemon_is_a_failure)
{
    start();
    struct report report = ask('?');
    ck_assert_int_eq(kill(report.pid, SIGKILL), 0);
    ck_assert_int_eq(caller_status(), FAILED_STATUS);
    assert_daemon_ended();
}
END_TEST

START_TEST(streams_are_kept_until_ready)
{
    char text[16] = "";
    start();
    ask('w');
    ck_assert_int_eq(read(from_stderr, text, sizeof text), 5);
    ck_assert_str_eq(text, "words");
    ask('r');
    ask('w'); /* goes nowhere, and hurts nobody */
    ck_assert_int_eq(caller_status(), 0);
    ck_assert_int_eq(read(from_stderr, text, sizeof text), 0); /* nobody holds the caller's streams any more */
    assert_daemon_ended();
}
END_TEST

START_TEST(ready_without_anybody_waiting)
{
    start();
    struct report report = ask('?');
    ck_assert_int_eq(kill(caller, SIGKILL), 0);
    ck_assert_int_eq(caller_status(), -SIGKILL);
    ck_assert_int_eq(ask('r').pid, report.pid);
    ck_assert_int_eq(ask('r').pid, report.pid); /* told twice */
    assert_daemon_ended();
}
END_TEST

START_TEST(ready_in_the_foreground_does_nothing)
{
    int ends[2];
    char text[16] = "";
    ck_assert_int_eq(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    process_ready();
    ssize_t wrote = write(STDERR_FILENO, "still", 5);
    dup2(saved, STDERR_FILENO);
    ck_assert_int_eq(wrote, 5);
    ck_assert_int_eq(read(ends[0], text, sizeof text), 5);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("background");
    TCase *tests = test_case(suite, "background");
    tcase_add_test(tests, the_caller_waits_for_ready);
    tcase_add_test(tests, the_caller_tells_of_failure);
    tcase_add_test(tests, a_killed_daemon_is_a_failure);
    tcase_add_test(tests, streams_are_kept_until_ready);
    tcase_add_test(tests, ready_without_anybody_waiting);
    tcase_add_test(tests, ready_in_the_foreground_does_nothing);
    return suite;
}
