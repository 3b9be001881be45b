/*
 * process.c: the daemon's place in the system.
 */
#define _GNU_SOURCE /* O_PATH, AT_EMPTY_PATH */

#include "daemon/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int ready_pipe = -1; /* to the process that waits for us to be ready */
static char *pid_path;      /* that we wrote, */
static int pid_file = -1;   /* and that holds its lock */

static bool fail(char error[PROCESS_ERROR_SIZE], const char *what, const char *path, const char *why)
{
    snprintf(error, PROCESS_ERROR_SIZE, "%s %s: %s", what, path, why);
    return false;
}

int64_t process_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void process_keep_streams(void)
{
    int null;

    do
        null = open("/dev/null", O_RDWR);
    while (null >= 0 && null <= 2);
    if (null > 2)
        close(null);
}

bool process_random(uint64_t seed[2])
{
    return getentropy(seed, 2 * sizeof seed[0]) == 0;
}

/* The first process: what the background one tells is what it exits with. */
static void wait_for_ready(int from, int failed_status)
{
    char byte;
    ssize_t got;

    do
        got = read(from, &byte, 1);
    while (got < 0 && errno == EINTR);
    _exit(got == 1 ? 0 : failed_status);
}

bool process_background(int failed_status, char error[PROCESS_ERROR_SIZE])
{
    int ends[2];

    if (pipe(ends) < 0)
        return fail(error, "cannot go to", "the background", strerror(errno));
    for (int generation = 0; generation < 2; generation++) {
        /* Twice: the second child is no session leader and so never gets a controlling terminal. */
        pid_t child = fork();
        if (child < 0) {
            close(ends[0]);
            close(ends[1]);
            return fail(error, "cannot go to", "the background", strerror(errno));
        }
        if (child > 0) {
            if (generation > 0)
                _exit(0);
            close(ends[1]);
            waitpid(child, NULL, 0);
            wait_for_ready(ends[0], failed_status);
        }
        if (generation == 0)
            setsid();
    }
    close(ends[0]);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    ready_pipe = ends[1];
    if (chdir("/") < 0)
        return fail(error, "cannot change to", "/", strerror(errno));
    return true;
}

void process_ready(void)
{
    if (ready_pipe < 0)
        return;
    int null = open("/dev/null", O_RDWR); /* above 2: process_keep_streams() */
    if (null >= 0) {
        for (int stream = 0; stream <= 2; stream++)
            dup2(null, stream);
        close(null);
    }
    /* Whoever waited may be gone; that is no reason to stop. */
    while (write(ready_pipe, "", 1) < 0 && errno == EINTR)
        continue;
    close(ready_pipe);
    ready_pipe = -1;
}

void process_make_directory_for(const char *path, uid_t user, gid_t group)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash && slash != path ? strndup(path, (size_t)(slash - path)) : NULL;
    /* Where that fails, opening what is in it tells why. A link cannot be followed: mkdir(2) does not take one. */
    if (directory && mkdir(directory, 0755) == 0 && lchown(directory, user, group) < 0)
        rmdir(directory);
    free(directory);
}

void process_make_directory_of(const char *path)
{
    process_make_directory_for(path, (uid_t)-1, (gid_t)-1);
}

/* Opens and locks the pid file; -1 when that fails. The daemon that held it may remove it while we wait to lock it:
 * what is locked then is no longer the file of that name, and the next try makes a new one. */
static int lock_pid_file(const char *path)
{
    for (;;) {
        struct stat locked, named;
        int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);

        if (file < 0)
            return -1;
        if (flock(file, LOCK_EX | LOCK_NB) < 0) {
            int cause = errno;
            close(file);
            errno = cause;
            return -1;
        }
        if (fstat(file, &locked) == 0 && stat(path, &named) == 0 && locked.st_dev == named.st_dev &&
            locked.st_ino == named.st_ino)
            return file;
        close(file);
    }
}

/* Empty, or digits and a line end: nothing that anybody would miss. */
static bool holds_pid(int file)
{
    char text[32];
    struct stat status;

    if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode))
        return false;
    ssize_t length = read(file, text, sizeof text);

    for (ssize_t i = 0; i < length; i++)
        if (!strchr("0123456789\n", text[i]) || text[i] == '\0')
            return false;
    return length >= 0 && length < (ssize_t)sizeof text;
}

bool process_pid_file(const char *path, char error[PROCESS_ERROR_SIZE])
{
    process_make_directory_of(path);
    int file = lock_pid_file(path);
    if (file < 0)
        return fail(error, "pid_file", path, errno == EWOULDBLOCK ? "another tidegated is running" : strerror(errno));
    if (!holds_pid(file)) {
        close(file);
        return fail(error, "pid_file", path, "holds something else than a pid; remove it or choose another path");
    }
    char text[24];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(file, 0) < 0 || pwrite(file, text, (size_t)length, 0) != length) {
        int cause = errno;
        close(file);
        unlink(path);
        return fail(error, "pid_file", path, strerror(cause));
    }
    pid_file = file;
    pid_path = strdup(path);
    return true;
}

void process_remove_pid_file(void)
{
    /* A number that is left behind may be another process's one day. */
    if (pid_path && unlink(pid_path) < 0 && ftruncate(pid_file, 0) < 0)
        errno = 0; /* nothing more can be done */
    free(pid_path);
    pid_path = NULL;
}

bool process_clear_socket(const char *path, char error[PROCESS_ERROR_SIZE])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;

    if (strlen(path) >= sizeof address.sun_path)
        return fail(error, "socket", path, "the path is too long for a unix socket");
    strcpy(address.sun_path, path);
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? true : fail(error, "socket", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return fail(error, "socket", path, "something that is not a socket is there; remove it or choose another path");

    int probe = socket(AF_UNIX, SOCK_STREAM, 0);
    if (probe < 0)
        return fail(error, "socket", path, strerror(errno));
    /* A listener whose queue is full would keep a blocking connect(2) waiting; so it says EAGAIN. */
    fcntl(probe, F_SETFL, O_NONBLOCK);
    int result = connect(probe, (struct sockaddr *)&address, sizeof address), cause = errno;
    close(probe);
    if (result == 0 || cause == EAGAIN)
        return fail(error, "socket", path, "in use by another process; stop it or choose another path");
    if (cause != ECONNREFUSED)
        return fail(error, "socket", path, strerror(cause));
    return unlink(path) == 0 || fail(error, "socket", path, strerror(errno));
}

/* Changes owner, group (-1: as it is) and mode (NULL: as it is) of the unix socket at the path. Returns 0, or -1 and
 * errno. The group goes before the mode: a change of group may clear bits of it. */
#ifdef O_PATH

static int change_place(int place, uid_t user, gid_t group, const mode_t *mode)
{
    struct stat status;
    char name[32];

    if (fstat(place, &status) == 0 && !S_ISSOCK(status.st_mode)) {
        errno = ENOTSOCK;
        return -1;
    }
    if (fchownat(place, "", user, group, AT_EMPTY_PATH) < 0)
        return -1;
    snprintf(name, sizeof name, "/proc/self/fd/%d", place); /* fchmod(2) does not take such a descriptor */
    return mode ? chmod(name, *mode) : 0;
}

/* Others may be allowed to change the directory: what stands there is opened, looked at, and then no longer named. */
static int change_socket(const char *path, uid_t user, gid_t group, const mode_t *mode)
{
    int place = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (place < 0)
        return -1;
    int result = change_place(place, user, group, mode), cause = errno;
    close(place);
    errno = cause;
    return result;
}

#else

static int change_socket(const char *path, uid_t user, gid_t group, const mode_t *mode)
{
    return lchown(path, user, group) < 0 || (mode && chmod(path, *mode) < 0) ? -1 : 0;
}

#endif

/* Who is not root can give a file to a group of its own only. */
static bool fail_group(const char *path, gid_t group, char error[PROCESS_ERROR_SIZE])
{
    const struct group *entry = getgrgid(group);
    char number[24];

    snprintf(number, sizeof number, "%lu", (unsigned long)group);
    const char *name = entry ? entry->gr_name : number;
    snprintf(error, PROCESS_ERROR_SIZE,
             "socket %s: cannot give it the group \"%.64s\", as tidegated is not in it; add its user to that group, or "
             "the line SupplementaryGroups=%.64s to its unit (systemctl edit tidegated)",
             path, name, name);
    return false;
}

bool process_own_socket(const char *path, const gid_t *group, mode_t mode, char error[PROCESS_ERROR_SIZE])
{
    if (change_socket(path, (uid_t)-1, group ? *group : (gid_t)-1, &mode) == 0)
        return true;
    return group && errno == EPERM ? fail_group(path, *group, error) : fail(error, "socket", path, strerror(errno));
}

bool process_give_socket(const char *path, uid_t user, gid_t group, char error[PROCESS_ERROR_SIZE])
{
    return change_socket(path, user, group, NULL) == 0 || fail(error, "socket", path, strerror(errno));
}

void process_release_memory(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

uint64_t process_raise_descriptors(uint64_t wanted)
{
    struct rlimit limit, more;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    if (limit.rlim_max > wanted)
        wanted = limit.rlim_max;
    more = (struct rlimit){.rlim_cur = wanted, .rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted};
    /* More than the hard limit takes a right that we may not have; then what there is. */
    if (setrlimit(RLIMIT_NOFILE, &more) < 0) {
        more = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) < 0)
            more = limit;
    }
    return more.rlim_cur;
}
