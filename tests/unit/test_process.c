/*
 * test_process.c: what a daemon needs of the system. Links src/daemon/process.c. Everything happens in a temporary
 * directory, which goes when the case is done, passed or failed.
 */
#include "check_main.h"
#include "daemon/process.h"
#include "directory_case.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[128];
static char error[PROCESS_ERROR_SIZE];

static const char *in_directory(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void assert_error_names(const char *what)
{
    ck_assert_msg(strstr(error, path) && strstr(error, what), "\"%s\" names %s and says \"%s\"", error, path, what);
    ck_assert_ptr_null(strchr(error, '\n'));
}

static void assert_file_holds(const char *expected)
{
    char text[64] = "";
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size_t got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    ck_assert_uint_eq(got, strlen(expected));
    ck_assert_str_eq(text, expected);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    fclose(file);
}

static bool exists(void)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

static int exit_status_of(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

START_TEST(the_clock_does_not_run_back)
{
    int64_t before = process_now();
    for (int i = 0; i < 10000; i++) {
        int64_t after = process_now();
        ck_assert_int_ge(after, before);
        before = after;
    }
}
END_TEST

START_TEST(seeds_differ)
{
    uint64_t a[2] = {0}, b[2] = {0};
    ck_assert(process_random(a) && process_random(b));
    ck_assert(a[0] != b[0] && a[1] != b[1] && a[0] != a[1] && a[0] && a[1]);
}
END_TEST

START_TEST(pid_file_holds_the_pid)
{
    char expected[32];
    in_directory("made/for/it");
    ck_assert(!process_pid_file(path, error)); /* the last directory only */
    assert_error_names(strerror(ENOENT));
    in_directory("made/pid");
    ck_assert(process_pid_file(path, error));
    snprintf(expected, sizeof expected, "%ld\n", (long)getpid());
    assert_file_holds(expected);
    process_remove_pid_file();
    ck_assert(!exists());
    process_remove_pid_file();
}
END_TEST

START_TEST(pid_file_that_is_something_else_is_refused)
{
    in_directory("fifo");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert(!process_pid_file(path, error)); /* and does not wait for a writer */
    assert_error_names("something else");
    in_directory("text");
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_eq(write(file, "dear diary\n", 11), 11);
    close(file);
    ck_assert(!process_pid_file(path, error));
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_size, 11);
}
END_TEST

START_TEST(pid_file_is_held_by_one)
{
    char expected[32];
    in_directory("held");
    ck_assert(process_pid_file(path, error));
    snprintf(expected, sizeof expected, "%ld\n", (long)getpid());
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            bool taken = process_pid_file(path, error);
            _exit(taken ? 1 : strstr(error, path) && strstr(error, "another") ? 0 : 2);
        }
        ck_assert_int_eq(exit_status_of(child), 0);
        assert_file_holds(expected); /* the loser changed nothing */
    }
    process_remove_pid_file();
    ck_assert(!exists());
}
END_TEST

START_TEST(a_dead_owner_holds_nothing)
{
    char expected[32];
    in_directory("left");
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(process_pid_file(path, error) ? 0 : 1);
    ck_assert_int_eq(exit_status_of(child), 0);
    ck_assert(exists());
    write_file("99999999999999999999\n"); /* longer than what comes */
    ck_assert(process_pid_file(path, error));
    snprintf(expected, sizeof expected, "%ld\n", (long)getpid());
    assert_file_holds(expected);
    process_remove_pid_file();
}
END_TEST

START_TEST(pid_file_that_cannot_be)
{
    in_directory("folder");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert(!process_pid_file(path, error));
    assert_error_names(strerror(EISDIR));
    process_remove_pid_file();
    ck_assert(exists());
}
END_TEST

/* A unix socket at `path`; listens unless `backlog` is negative. */
static int make_socket(int type, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int made = socket(AF_UNIX, type, 0);
    ck_assert_int_ge(made, 0);
    ck_assert_uint_lt(strlen(path), sizeof address.sun_path);
    strcpy(address.sun_path, path);
    ck_assert_int_eq(bind(made, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert(backlog < 0 || listen(made, backlog) == 0);
    return made;
}

static int connect_to_path(int flags)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int made = socket(AF_UNIX, SOCK_STREAM | flags, 0);
    strcpy(address.sun_path, path);
    if (connect(made, (struct sockaddr *)&address, sizeof address) == 0)
        return made;
    close(made);
    return -1;
}

START_TEST(nothing_there_is_free)
{
    in_directory("free.sock");
    ck_assert(process_clear_socket(path, error));
    ck_assert(!exists());
}
END_TEST

START_TEST(a_stale_socket_is_removed)
{
    in_directory("stale.sock");
    close(make_socket(SOCK_STREAM, 5));
    ck_assert(exists());
    ck_assert(process_clear_socket(path, error));
    ck_assert(!exists());
    close(make_socket(SOCK_STREAM, -1)); /* bound, never listened on */
    ck_assert(process_clear_socket(path, error));
    ck_assert(!exists());
}
END_TEST

START_TEST(a_live_socket_is_left_alone)
{
    in_directory("live.sock");
    int listener = make_socket(SOCK_STREAM, 5);
    ck_assert(!process_clear_socket(path, error));
    assert_error_names("in use");
    ck_assert(exists());
    int client = connect_to_path(0);
    ck_assert_int_ge(client, 0);
    close(client);
    close(listener);
}
END_TEST

START_TEST(a_busy_live_socket_is_left_alone)
{
    int clients[64], count = 0;
    in_directory("busy.sock");
    int listener = make_socket(SOCK_STREAM, 1);
    while (count < 64 && (clients[count] = connect_to_path(SOCK_NONBLOCK)) >= 0) /* nobody accepts: until it is full */
        count++;
    ck_assert_int_gt(count, 0);
    ck_assert_int_lt(count, 64);
    /* In another process: a connect that waits for somebody to accept would wait for good. */
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        signal(SIGALRM, SIG_DFL); /* the test program has its own use for it */
        alarm(30);
        bool cleared = process_clear_socket(path, error);
        _exit(cleared ? 1 : strstr(error, "in use") ? 0 : 2);
    }
    int status = exit_status_of(child);
    ck_assert_msg(status != -SIGALRM, "it hangs while the live daemon's backlog is full");
    ck_assert_int_eq(status, 0);
    ck_assert(exists());
    while (count > 0)
        close(clients[--count]);
    close(listener);
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone)
{
    in_directory("precious");
    write_file("data\n");
    ck_assert(!process_clear_socket(path, error));
    assert_error_names("not a socket");
    assert_file_holds("data\n");
    in_directory("precious-folder");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert(!process_clear_socket(path, error));
    ck_assert(exists());
}
END_TEST

START_TEST(a_symbolic_link_is_left_alone)
{
    char target[160];
    in_directory("target.sock");
    close(make_socket(SOCK_STREAM, 5));
    strcpy(target, path);
    in_directory("link.sock");
    ck_assert_int_eq(symlink(target, path), 0);
    ck_assert(!process_clear_socket(path, error));
    ck_assert(exists());
    strcpy(path, target);
    ck_assert(exists());
}
END_TEST

START_TEST(a_socket_of_another_type_is_left_alone)
{
    in_directory("datagram.sock");
    int datagram = make_socket(SOCK_DGRAM, -1);
    ck_assert(!process_clear_socket(path, error));
    ck_assert(exists());
    close(datagram);
}
END_TEST

START_TEST(a_path_too_long_for_a_socket)
{
    static char longest[400];
    memset(longest, 'x', sizeof longest - 1);
    longest[0] = '/';
    ck_assert(!process_clear_socket(longest, error));
    ck_assert_ptr_nonnull(strstr(error, "too long"));
    ck_assert_uint_lt(strlen(error), PROCESS_ERROR_SIZE);
}
END_TEST

START_TEST(group_and_mode_of_a_socket)
{
    struct stat status;
    gid_t group = getgid();
    in_directory("own.sock");
    close(make_socket(SOCK_STREAM, 5));
    static const mode_t modes[] = {0660, 0600, 0666};
    for (size_t i = 0; i < 3; i++) {
        ck_assert(process_own_socket(path, i % 2 ? NULL : &group, modes[i], error));
        ck_assert_int_eq(lstat(path, &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, modes[i]);
        ck_assert_uint_eq(status.st_gid, group);
    }
    if (geteuid() == 0) { /* only root may give it to any group */
        group = 12345;
        ck_assert(process_own_socket(path, &group, 0660, error));
        ck_assert_int_eq(lstat(path, &status), 0);
        ck_assert_uint_eq(status.st_gid, 12345);
    }
    in_directory("missing.sock");
    ck_assert(!process_own_socket(path, NULL, 0660, error));
    assert_error_names(strerror(ENOENT));
}
END_TEST

/* A process without root's rights and with no group but this one. */
static void become_nobody(void)
{
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(chmod(directory, 0777), 0);
    ck_assert_int_eq(setgroups(0, NULL), 0);
    ck_assert_int_eq(setgid(65534), 0);
    ck_assert_int_eq(setuid(65534), 0);
}

START_TEST(a_group_that_a_socket_cannot_be_given_is_named_with_a_remedy)
{
    const struct group *adm = getgrnam("adm");
    ck_assert_ptr_nonnull(adm);
    gid_t group = adm->gr_gid, unknown = 12345;
    become_nobody();
    in_directory("others.sock");
    close(make_socket(SOCK_STREAM, 5));
    ck_assert(!process_own_socket(path, &group, 0660, error));
    assert_error_names("the group \"adm\"");
    assert_error_names("SupplementaryGroups=adm ");
    ck_assert(!process_own_socket(path, &unknown, 0660, error));
    assert_error_names("the group \"12345\"");
    static char longest[400];
    memset(longest, 'x', sizeof longest - 1);
    ck_assert(!process_own_socket(longest, &group, 0660, error)); /* another error */
    ck_assert_ptr_null(strstr(error, "group"));
}
END_TEST

START_TEST(descriptors)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    uint64_t wanted = limit.rlim_max;
    ck_assert_uint_eq(process_raise_descriptors(10), wanted); /* all that takes no right */
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_eq(limit.rlim_cur, wanted);
    uint64_t got = process_raise_descriptors(UINT64_C(1) << 40); /* more than there can be: what there is */
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_eq(got, limit.rlim_cur);
    ck_assert_uint_ge(got, wanted);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("process");
    TCase *tests = test_case(suite, "process");
    tcase_add_unchecked_fixture(tests, make_directory, remove_directory);
    tcase_add_test(tests, the_clock_does_not_run_back);
    tcase_add_test(tests, seeds_differ);
    tcase_add_test(tests, pid_file_holds_the_pid);
    tcase_add_test(tests, pid_file_is_held_by_one);
    tcase_add_test(tests, pid_file_that_is_something_else_is_refused);
    tcase_add_test(tests, a_dead_owner_holds_nothing);
    tcase_add_test(tests, pid_file_that_cannot_be);
    tcase_add_test(tests, nothing_there_is_free);
    tcase_add_test(tests, a_stale_socket_is_removed);
    tcase_add_test(tests, a_live_socket_is_left_alone);
    tcase_add_test(tests, a_busy_live_socket_is_left_alone);
    tcase_add_test(tests, what_is_no_socket_is_left_alone);
    tcase_add_test(tests, a_symbolic_link_is_left_alone);
    tcase_add_test(tests, a_socket_of_another_type_is_left_alone);
    tcase_add_test(tests, a_path_too_long_for_a_socket);
    tcase_add_test(tests, group_and_mode_of_a_socket);
    tcase_add_test(tests, a_group_that_a_socket_cannot_be_given_is_named_with_a_remedy);
    tcase_add_test(tests, descriptors);
    return suite;
}
