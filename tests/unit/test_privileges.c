/*
 * test_privileges.c: what is left of the rights of whoever starts the daemon. Links src/daemon/privileges.c. Each way
 * of starting is tried in a process of its own, which then says what the kernel thinks of it. Root alone can try most.
 */
#include "check_main.h"
#include "daemon/log.h"
#include "daemon/privileges.h"
#include "directory_case.h"

#include "build-config.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef HAVE_LIBCAP_NG
#include <cap-ng.h>
#endif

#define NET_ADMIN (UINT64_C(1) << 12)
#ifdef HAVE_LIBCAP_NG
#define HAVE_CAPABILITIES 1
#else
#define HAVE_CAPABILITIES 0
#endif

/* Somebody who owns nothing, on every system. */
static const char nobody[] = "nobody";

static uid_t uid; /* of nobody */
static gid_t gid;
static struct config config;
static char path[128], other[128];
static char error[PROCESS_ERROR_SIZE];

/* What /proc/PID/status says, and what became of privileges_settle(). */
struct outcome {
    bool settled, root_again;
    char error[PROCESS_ERROR_SIZE];
    unsigned uid[4], gid[4];
    uint64_t inheritable, permitted, effective, bounding, ambient;
    unsigned no_new_privs;
    unsigned groups;
    char log[1024];
};

static void set_up(void)
{
    make_directory();
    chmod(directory, 0755);
}

static void set_up_config(void)
{
    const struct passwd *user = getpwnam(nobody);
    umask(022);
    ck_assert_ptr_nonnull(user);
    snprintf(path, sizeof path, "%s/conf", directory);
    close(open(path, O_CREAT | O_WRONLY, 0644));
    chmod(path, 0644);
    uid = user->pw_uid;
    gid = user->pw_gid;
    config = (struct config){.path = path, .user = (char *)nobody, .uid = uid, .gid = gid};
    config.line[GLOBAL_USER] = 7;
}

static void write_text(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    chmod(name, 0644);
}

static void read_status(struct outcome *outcome)
{
    char line[4096];
    FILE *status = fopen("/proc/self/status", "r");

    if (!status)
        return;
    while (fgets(line, sizeof line, status)) {
        unsigned *u = outcome->uid, *g = outcome->gid;
        sscanf(line, "Uid: %u %u %u %u", u, u + 1, u + 2, u + 3);
        sscanf(line, "Gid: %u %u %u %u", g, g + 1, g + 2, g + 3);
        sscanf(line, "CapInh: %" SCNx64, &outcome->inheritable);
        sscanf(line, "CapPrm: %" SCNx64, &outcome->permitted);
        sscanf(line, "CapEff: %" SCNx64, &outcome->effective);
        sscanf(line, "CapBnd: %" SCNx64, &outcome->bounding);
        sscanf(line, "CapAmb: %" SCNx64, &outcome->ambient);
        sscanf(line, "NoNewPrivs: %u", &outcome->no_new_privs);
    }
    fclose(status);
    outcome->groups = (unsigned)getgroups(0, NULL);
}

/* Becomes what `prepare` makes of a process, settles, and tells. */
static struct outcome settle_as(void (*prepare)(void))
{
    struct outcome outcome = {.settled = false};
    int ends[2], logged[2], status;

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(pipe(logged), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(logged[1], STDERR_FILENO);
        log_open(true);
        if (prepare)
            prepare();
        outcome.settled = privileges_settle(&config, outcome.error);
        read_status(&outcome);
        outcome.root_again = outcome.uid[1] != 0 && (setuid(0) == 0 || seteuid(0) == 0);
        _exit(write(ends[1], &outcome, sizeof outcome) == sizeof outcome ? 0 : 1);
    }
    close(ends[1]);
    close(logged[1]);
    ck_assert_int_eq(read(ends[0], &outcome, sizeof outcome), sizeof outcome);
    ssize_t got = read(logged[0], outcome.log, sizeof outcome.log - 1);
    outcome.log[got > 0 ? got : 0] = '\0';
    close(ends[0]);
    close(logged[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return outcome;
}

static void assert_is_nobody(const struct outcome *outcome)
{
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(outcome->uid[i], uid);
        ck_assert_uint_eq(outcome->gid[i], gid);
    }
}

/* Nothing but `kept` is left, and nothing can come back. */
static void assert_has_only(const struct outcome *outcome, uint64_t kept)
{
    ck_assert_msg(outcome->settled, "settled: %s", outcome->error);
    ck_assert_uint_eq(outcome->permitted, kept);
    ck_assert_uint_eq(outcome->effective, kept);
    ck_assert_uint_eq(outcome->inheritable, 0);
    ck_assert_uint_eq(outcome->ambient, 0);
    ck_assert(!outcome->root_again);
    if (HAVE_CAPABILITIES)
        ck_assert_uint_eq(outcome->no_new_privs, 1);
}

START_TEST(root_becomes_the_user)
{
    gid_t groups[64];
    int count = 64;
    getgrouplist(nobody, config.gid, groups, &count);
    struct outcome outcome = settle_as(NULL);
    assert_is_nobody(&outcome);
    assert_has_only(&outcome, 0);
    ck_assert_uint_eq(outcome.groups, (unsigned)count);
    if (HAVE_CAPABILITIES)
        ck_assert_uint_eq(outcome.bounding, 0);
    ck_assert_str_eq(outcome.log, "");
}
END_TEST

START_TEST(one_capability_stays_where_it_is_asked_for)
{
    struct outcome before = {.settled = false};
    config.idle_disconnect = true;
    read_status(&before); /* in a container root itself may lack it */
    struct outcome outcome = settle_as(NULL);
    assert_is_nobody(&outcome);
    assert_has_only(&outcome, HAVE_CAPABILITIES ? before.permitted & NET_ADMIN : 0);
    if (HAVE_CAPABILITIES)
        ck_assert_uint_eq(outcome.bounding, 0);
}
END_TEST

START_TEST(without_a_user_root_stays_root_and_is_told)
{
    struct outcome before = {.settled = false};
    config.user = NULL;
    read_status(&before);
    struct outcome outcome = settle_as(NULL);
    ck_assert(outcome.settled);
    ck_assert_uint_eq(outcome.uid[1], 0);
    ck_assert_uint_eq(outcome.effective, before.effective);
    ck_assert_uint_eq(outcome.bounding, before.bounding);
    ck_assert_uint_eq(outcome.no_new_privs, before.no_new_privs);
    ck_assert_msg(strstr(outcome.log, "runs as root") && strstr(outcome.log, "user = "), "\"%s\"", outcome.log);
    ck_assert_ptr_eq(strchr(outcome.log, '\n'), outcome.log + strlen(outcome.log) - 1);
}
END_TEST

static void become_nobody(void)
{
    if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
        _exit(2);
}

START_TEST(who_is_that_user_already_only_drops)
{
    struct outcome outcome = settle_as(become_nobody);
    assert_is_nobody(&outcome);
    assert_has_only(&outcome, 0);
    config.user = NULL;
    outcome = settle_as(become_nobody);
    assert_is_nobody(&outcome);
    assert_has_only(&outcome, 0);
    ck_assert_str_eq(outcome.log, "");
}
END_TEST

START_TEST(nobody_else_can_become_the_user)
{
    config.user = (char *)"somebody";
    config.uid = uid + 1;
    struct outcome outcome = settle_as(become_nobody);
    ck_assert(!outcome.settled);
    ck_assert_msg(strstr(outcome.error, path) && strstr(outcome.error, ":7: user = somebody: only root"), "\"%s\"",
                  outcome.error);
}
END_TEST

#ifdef HAVE_LIBCAP_NG

/* As systemd starts a service with AmbientCapabilities=CAP_NET_ADMIN. */
static void become_nobody_with_ambient(void)
{
    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    become_nobody();
    capng_clear(CAPNG_SELECT_CAPS);
    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE, CAP_NET_ADMIN);
    if (capng_apply(CAPNG_SELECT_CAPS) != 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) != 0)
        _exit(3);
}

START_TEST(an_ambient_capability_goes_unless_it_is_asked_for)
{
    struct outcome before = {.settled = false};
    read_status(&before);
    if (!(before.permitted & NET_ADMIN))
        return;
    struct outcome outcome = settle_as(become_nobody_with_ambient);
    assert_is_nobody(&outcome);
    assert_has_only(&outcome, 0);
    config.idle_disconnect = true;
    outcome = settle_as(become_nobody_with_ambient);
    assert_is_nobody(&outcome);
    assert_has_only(&outcome, NET_ADMIN);
}
END_TEST

static void lose_net_admin(void)
{
    capng_get_caps_process();
    capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE, CAP_NET_ADMIN);
    if (capng_apply(CAPNG_SELECT_CAPS) != 0)
        _exit(3);
}

/* As in a container. What then is missing is told elsewhere. */
START_TEST(root_without_the_capability_goes_on_without)
{
    config.idle_disconnect = true;
    struct outcome outcome = settle_as(lose_net_admin);
    assert_is_nobody(&outcome);
    assert_has_only(&outcome, 0);
}
END_TEST

static void lose_setuid(void)
{
    capng_get_caps_process();
    capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SETUID);
    if (capng_apply(CAPNG_SELECT_CAPS) != 0)
        _exit(3);
}

START_TEST(root_that_cannot_change_says_so)
{
    struct outcome outcome = settle_as(lose_setuid);
    ck_assert(!outcome.settled);
    ck_assert_msg(strstr(outcome.error, ":7: user = nobody: cannot become"), "\"%s\"", outcome.error);
}
END_TEST

#endif

/* ---- what the user is given ---- */

static void make_socket(const char *name, struct socket_config *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", directory, name);
    unlink(address.sun_path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    chmod(address.sun_path, 0640);
    *out = (struct socket_config){.socket = (char *)"unix:", .address.kind = SOCKET_UNIX};
    snprintf(out->address.path, sizeof out->address.path, "%s", address.sun_path);
}

static void assert_belongs(const char *name, uid_t owner, gid_t group, mode_t mode)
{
    struct stat status;
    ck_assert_int_eq(lstat(name, &status), 0);
    ck_assert_uint_eq(status.st_uid, owner);
    ck_assert_uint_eq(status.st_gid, group);
    ck_assert_uint_eq(status.st_mode & 0777, mode);
}

START_TEST(sockets_are_given_to_the_user)
{
    struct socket_config policies[2] = {{.socket = (char *)"inet:1@127.0.0.1", .address.kind = SOCKET_INET}};
    config.policies = policies;
    config.policy_count = 2;
    make_socket("milter", &config.milter);
    make_socket("policy", &policies[1]);
    make_socket("control", &config.control);
    config.control.group = (char *)"root"; /* a group that the configuration names stays */
    struct outcome outcome = settle_as(NULL);
    ck_assert_msg(outcome.settled, "%s", outcome.error);
    assert_belongs(config.milter.address.path, uid, gid, 0640);
    assert_belongs(policies[1].address.path, uid, gid, 0640);
    assert_belongs(config.control.address.path, uid, 0, 0640);
}
END_TEST

/* The user may own the directory. */
START_TEST(what_took_a_sockets_place_is_not_given_away)
{
    make_socket("milter", &config.milter);
    unlink(config.milter.address.path);
    ck_assert_int_eq(symlink(path, config.milter.address.path), 0);
    struct outcome outcome = settle_as(NULL);
    ck_assert(!outcome.settled);
    ck_assert_msg(strstr(outcome.error, config.milter.address.path) != NULL, "\"%s\"", outcome.error);
    assert_belongs(path, 0, 0, 0644);
    ck_assert(!process_own_socket(config.milter.address.path, NULL, 0666, error));
    assert_belongs(path, 0, 0, 0644);
}
END_TEST

START_TEST(the_folder_of_the_control_socket_is_given_to_the_user)
{
    snprintf(other, sizeof other, "%s/run/tidegated.pid", directory);
    config.pid_file = other;
    config.control = (struct socket_config){.socket = (char *)"unix:", .address.kind = SOCKET_UNIX};
    snprintf(config.control.address.path, sizeof config.control.address.path, "%s/steer/control.sock", directory);
    privileges_make_directory(&config);
    privileges_make_directory(&config);
    snprintf(other, sizeof other, "%s/run", directory);
    ck_assert_int_lt(access(other, F_OK), 0); /* who holds the pid file says whom root kills */
    snprintf(other, sizeof other, "%s/steer", directory);
    assert_belongs(other, uid, gid, 0755);
    /* One that was there before keeps its owner. */
    ck_assert_int_eq(chown(other, 0, 0), 0);
    privileges_make_directory(&config);
    assert_belongs(other, 0, 0, 0755);
}
END_TEST

START_TEST(a_configuration_that_the_user_cannot_read_is_told)
{
    chmod(path, 0600);
    struct outcome outcome = settle_as(NULL);
    ck_assert(outcome.settled);
    ck_assert_msg(strstr(outcome.log, "a reload will fail") && strstr(outcome.log, path) && strstr(outcome.log, nobody),
                  "\"%s\"", outcome.log);
}
END_TEST

START_TEST(a_list_that_the_user_cannot_read_is_told)
{
    struct config_messages messages = {.count = 0};
    struct config *loaded;
    char text[300];
    snprintf(other, sizeof other, "%s/list", directory);
    snprintf(text, sizeof text, "user = %s\nlistener { peer office { file = \"list\" } }\ndeny { file = \"list\" }\n",
             nobody);
    write_text(other, "192.0.2.1\n");
    write_text(path, text);
    ck_assert_msg(config_load(path, &loaded, &messages), "%s", messages.count ? messages.list[0].text : "");
    config = *loaded;
    struct outcome outcome = settle_as(NULL);
    ck_assert(outcome.settled);
    ck_assert_msg(!strstr(outcome.log, "a reload will fail"), "\"%s\"", outcome.log);
    chmod(other, 0600);
    outcome = settle_as(NULL);
    ck_assert(outcome.settled);
    ck_assert_msg(strstr(outcome.log, "a reload will fail") && strstr(outcome.log, other), "\"%s\"", outcome.log);
    config_free(&loaded);
}
END_TEST

/* As whoever runs the tests. */
START_TEST(without_a_user_it_starts)
{
    config.user = NULL;
    struct outcome outcome = settle_as(NULL);
    ck_assert(outcome.settled);
    ck_assert_uint_eq(outcome.uid[1], geteuid());
    if (geteuid() != 0)
        assert_has_only(&outcome, 0);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("privileges");
    TCase *anybody = test_case(suite, "anybody");
    tcase_add_unchecked_fixture(anybody, set_up, remove_directory);
    tcase_add_checked_fixture(anybody, set_up_config, NULL);
    tcase_add_test(anybody, without_a_user_it_starts);
    if (geteuid() != 0)
        return suite;
    TCase *rights = test_case(suite, "rights"), *gifts = test_case(suite, "gifts");
    tcase_add_unchecked_fixture(rights, set_up, remove_directory);
    tcase_add_checked_fixture(rights, set_up_config, NULL);
    tcase_add_test(rights, root_becomes_the_user);
    tcase_add_test(rights, one_capability_stays_where_it_is_asked_for);
    tcase_add_test(rights, without_a_user_root_stays_root_and_is_told);
    tcase_add_test(rights, who_is_that_user_already_only_drops);
    tcase_add_test(rights, nobody_else_can_become_the_user);
#ifdef HAVE_LIBCAP_NG
    tcase_add_test(rights, an_ambient_capability_goes_unless_it_is_asked_for);
    tcase_add_test(rights, root_without_the_capability_goes_on_without);
    tcase_add_test(rights, root_that_cannot_change_says_so);
#endif
    tcase_add_unchecked_fixture(gifts, set_up, remove_directory);
    tcase_add_checked_fixture(gifts, set_up_config, NULL);
    tcase_add_test(gifts, sockets_are_given_to_the_user);
    tcase_add_test(gifts, what_took_a_sockets_place_is_not_given_away);
    tcase_add_test(gifts, the_folder_of_the_control_socket_is_given_to_the_user);
    tcase_add_test(gifts, a_configuration_that_the_user_cannot_read_is_told);
    tcase_add_test(gifts, a_list_that_the_user_cannot_read_is_told);
    return suite;
}
