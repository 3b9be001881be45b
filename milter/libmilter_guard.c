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
 * And libmilter waits for SIGHUP, SIGTERM and SIGINT with sigwait(3), in a thread of its own, to stop within 5 seconds
 * or with an error. The kernel gives a signal to that thread whenever the main one cannot take it just then. The
 * sigwait() below never returns, so that signals are always ours.
 *
 * Where another libmilter does not call these functions, nothing happens; tests/conformance notices.
 */
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>

#define PACKET_TIMEOUT_S 30

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

char *mi_rd_cmd(int descriptor, struct timeval *timeout, char *command, size_t *length, char *name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct timeval packet_timeout = {.tv_sec = PACKET_TIMEOUT_S};
    struct pollfd readable = {.fd = descriptor, .events = POLLIN};

    pthread_once(&once, find_libmilters_own);
    /* Between packets the time is libmilter's; built with its pool of workers it comes here only when there is
     * something to read. */
    int wait_ms = timeout->tv_sec < 1000000 ? (int)timeout->tv_sec * 1000 : -1;
    if (poll(&readable, 1, wait_ms) > 0 && timeout->tv_sec > PACKET_TIMEOUT_S)
        timeout = &packet_timeout;
    char *data = libmilters_own(descriptor, timeout, command, length, name);
    /* A packet of nothing but its command brings no data; what went wrong is told as a command below all letters. */
    bool whole = data || *command >= SMFIC_ABORT;
    if (whole && answered_end(descriptor, *command)) {
        free(data);
        return mi_rd_cmd(descriptor, timeout, command, length, name);
    }
    if (data && *command == SMFIC_MACRO && *length > 0)
        *length = even_length(data, *length);
    return data;
}

int sigwait(const sigset_t *set, int *number)
{
    (void)set;
    (void)number;
    for (;;)
        pause();
}
