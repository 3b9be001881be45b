/*
 * libmilter_guard.c: four holes of libmilter (seen with 8.17.1) closed from outside, on Linux and other ELF systems.
 *
 * What a shared library calls by way of the dynamic linker, the program can define itself. libmilter reads each packet
 * of the MTA through such a function of its own, mi_rd_cmd(). The one below takes its place, calls it, and mends what
 * it brings:
 *
 * - Macros come as names and values in turn. When the last name has no value, smfi_getsymval(3) reads past the end of
 *   its list, and one broken peer takes down the whole daemon. Such a name is cut off here.
 * - A peer that begins a packet and does not finish it holds a thread for as long as smfi_settimeout(3) says, which for
 *   us is longer than any session. Here it gets PACKET_TIMEOUT_S.
 * - After an unknown command libmilter takes RCPT, DATA or a new message. An end of message, which is what comes where
 *   those steps were left out, it neither hands on nor answers, and the MTA waits for minutes. It is answered here; who
 *   needs to hear of the end asks for DATA (rules_needs()), which leads libmilter back.
 *
 * A packet that is there whole is read by two system calls instead of libmilter's four: a session is mostly packets.
 *
 * And libmilter waits for SIGHUP, SIGTERM and SIGINT with sigwait(3), in a thread of its own, to stop within 5 seconds
 * or with an error. The kernel gives a signal to that thread whenever the main one cannot take it just then. The
 * sigwait() below never returns, so that signals are always ours.
 *
 * Last, the accept() below counts how often libmilter's own thread calls it, which is all that shows that it still
 * takes connections.
 *
 * Where another libmilter does not call these functions, nothing happens; tests/conformance notices.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>

#include "milter/libmilter_driver.h"

#define PACKET_TIMEOUT_S 30

/* The longest packet that is read at once. */
#define PACKET_SIZE 4096

typedef char *read_command(int descriptor, struct timeval *timeout, char *command, size_t *length, char *name);

read_command mi_rd_cmd;

static read_command *libmilters_own;

static void find_libmilters_own(void)
{
    /* POSIX has no better way from an object pointer to a function pointer, dlsym(3). */
    *(void **)&libmilters_own = dlsym(RTLD_NEXT, "mi_rd_cmd");
}

/* The length of a list of strings without a last one that lacks its partner. The first byte is the stage of the macros.
 */
static size_t even_length(const char *data, size_t length)
{
    size_t strings = 0, last = 1, here = 1;

    for (size_t i = 1; i < length; i++) {
        if (data[i] != '\0')
            continue;
        strings++;
        last = here;
        here = i + 1;
    }
    return strings % 2 == 0 ? length : last;
}

/* Whether the last packet on a descriptor was an unknown command. A session has one thread at a time. */
#define DESCRIPTORS (1u << 20)
static bool after_unknown[DESCRIPTORS];

/* True when the packet is an end of message that libmilter would leave without an answer; it has got one then. */
static bool answered_end(int descriptor, char command)
{
    static const char packet[] = {0, 0, 0, 1, SMFIR_CONTINUE};
    bool lost = descriptor >= 0 && (unsigned)descriptor < DESCRIPTORS && after_unknown[descriptor];

    if (descriptor >= 0 && (unsigned)descriptor < DESCRIPTORS && command != SMFIC_MACRO)
        after_unknown[descriptor] = command == SMFIC_UNKNOWN;
    return lost && command == SMFIC_BODYEOB && write(descriptor, packet, sizeof packet) == (ssize_t)sizeof packet;
}

/* Reads a packet when all of it is there, as it nearly always is, in two system calls where libmilter needs four.
 * False, with nothing read, when it is not all there, or is too long for here: those are for libmilter's own. Like that
 * one it gives the data from malloc(3) with a zero byte behind, and NULL when there is nothing but the command. */
static bool read_at_once(int descriptor, char **data, char *command, size_t *length)
{
    unsigned char packet[PACKET_SIZE];
    ssize_t there = recv(descriptor, packet, sizeof packet, MSG_PEEK | MSG_DONTWAIT);

    if (there < 5)
        return false;
    size_t size = (size_t)packet[0] << 24 | (size_t)packet[1] << 16 | (size_t)packet[2] << 8 | packet[3];
    if (size == 0 || size > (size_t)there - 4)
        return false;
    *data = size > 1 ? malloc(size) : NULL;
    if (size > 1 && !*data)
        return false;
    /* What was seen is there: nobody else reads from this connection. */
    if (recv(descriptor, packet, 4 + size, MSG_DONTWAIT) != (ssize_t)(4 + size)) {
        free(*data);
        return false;
    }
    *command = (char)packet[4];
    *length = size - 1;
    if (*data) {
        memcpy(*data, packet + 5, size - 1);
        (*data)[size - 1] = '\0';
    }
    return true;
}

/* Reads a packet as libmilter does, but for the time that one may take. */
static char *read_slowly(int descriptor, struct timeval *timeout, char *command, size_t *length, char *name)
{
    struct timeval packet_timeout = {.tv_sec = PACKET_TIMEOUT_S};
    struct pollfd readable = {.fd = descriptor, .events = POLLIN};

    /* Between packets the time is libmilter's; built with its pool of workers it comes here only when there is
     * something to read. */
    int wait_ms = timeout->tv_sec < 1000000 ? (int)timeout->tv_sec * 1000 : -1;
    if (poll(&readable, 1, wait_ms) > 0 && timeout->tv_sec > PACKET_TIMEOUT_S)
        timeout = &packet_timeout;
    return libmilters_own(descriptor, timeout, command, length, name);
}

char *mi_rd_cmd(int descriptor, struct timeval *timeout, char *command, size_t *length, char *name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char *data;

    pthread_once(&once, find_libmilters_own);
    if (!read_at_once(descriptor, &data, command, length))
        data = read_slowly(descriptor, timeout, command, length, name);
    /* A packet of nothing but its command brings no data; what went wrong is told as a command below all letters. */
    bool whole = data || *command >= SMFIC_ABORT;
    if (whole && answered_end(descriptor, *command)) {
        /* What libmilter gets instead has no answer and changes nothing: that the end of the message has no macros. */
        free(data);
        data = malloc(1);
        if (!data)
            return NULL; /* it passes over the end, as it would have */
        data[0] = SMFIC_BODYEOB;
        *command = SMFIC_MACRO;
        *length = 1;
        return data;
    }
    if (data && *command == SMFIC_MACRO && *length > 0)
        *length = even_length(data, *length);
    return data;
}

typedef int accept_connection(int descriptor, struct sockaddr *address, socklen_t *length);

static accept_connection *systems_own;
static atomic_ullong turns;
static _Thread_local bool takes_connections; /* in the thread that runs libmilter */

static void find_systems_own(void)
{
    *(void **)&systems_own = dlsym(RTLD_NEXT, "accept");
}

int accept(int descriptor, struct sockaddr *address, socklen_t *length)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, find_systems_own);
    int accepted = systems_own(descriptor, address, length);
    int cause = errno;
    if (takes_connections)
        atomic_fetch_add(&turns, 1);
    errno = cause;
    return accepted;
}

bool driver_run(void)
{
    takes_connections = true;
    return smfi_main() == MI_SUCCESS;
}

uint64_t driver_turns(void)
{
    return atomic_load(&turns);
}

int sigwait(const sigset_t *set, int *number)
{
    (void)set;
    (void)number;
    for (;;)
        pause();
}
