/*
 * process.h: what a daemon needs of the system: the way into the background, its pid file, its unix socket's path and
 * rights, room for descriptors, time and randomness. Errors come back as one line of text, for the caller to print.
 *
 * Threads: process_now() is for any thread, process_release_memory() for one at a time, everything else for the main
 * thread before others run.
 */
#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_ERROR_SIZE 512

/* Nanoseconds of the monotonic clock. */
int64_t process_now(void);

/* Makes sure that descriptors 0 to 2 are open, as whatever is opened next would else be taken for a standard stream. */
void process_keep_streams(void);

/* Fills a seed from the kernel's random numbers. False when it has none. */
bool process_random(uint64_t seed[2]);

/*
 * Goes to the background. The calling process waits for process_ready() and then exits with status 0, or with
 * `failed_status` when the background one ended before; it never returns. The background process returns with a session
 * of its own and / as its directory, its standard streams still those of the caller. False, in the caller, when there
 * is no process to be had.
 */
bool process_background(int failed_status, char error[PROCESS_ERROR_SIZE]);

/* Tells the process that waits in process_background() that all is well, and lets go of the standard streams. Without
 * effect in the foreground. */
void process_ready(void);

/* Writes the pid to `path` and locks the file as long as this process lives, making the last directory of the path if
 * it is missing. False when another process holds it, when it holds something else than a pid, or when it cannot be
 * written. */
bool process_pid_file(const char *path, char error[PROCESS_ERROR_SIZE]);

/* Removes the pid file that process_pid_file() wrote, if any, or empties it where its directory does not permit that.
 */
void process_remove_pid_file(void);

/* Makes the last directory of the path, for everybody to see, where it is missing and can be made. */
void process_make_directory_of(const char *path);

/* The same, and gives one that it made to that user and group; -1: as it is. */
void process_make_directory_for(const char *path, uid_t user, gid_t group);

/* Makes the path of a unix socket free: a socket that nobody listens on is removed. False when somebody does, or when
 * something else is there. */
bool process_clear_socket(const char *path, char error[PROCESS_ERROR_SIZE]);

/* Gives the unix socket its group (NULL: left alone) and mode. Where this process may not give it that group the error
 * says what helps; it is not for several threads at once. Whatever else stands at the path by now is left alone and an
 * error, here and below. */
bool process_own_socket(const char *path, const gid_t *group, mode_t mode, char error[PROCESS_ERROR_SIZE]);

/* Gives the unix socket to that user, and to that group unless it is -1. */
bool process_give_socket(const char *path, uid_t user, gid_t group, char error[PROCESS_ERROR_SIZE]);

/* Gives memory that was freed back to the system, where the C library can: what reading a large configuration took. */
void process_release_memory(void);

/* Asks for at least `wanted` descriptors and for whatever is granted without asking. Returns how many there are. */
uint64_t process_raise_descriptors(uint64_t wanted);

#endif
