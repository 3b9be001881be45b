/*
 * signals.c: signals, for those who wait with poll(). A handler may do little more than write a byte to a pipe.
 */
#include "tool/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT, SIGQUIT};

static int ends[2] = {-1, -1};

static void note(int number)
{
    int saved = errno;
    unsigned char byte = (unsigned char)number;

    /* A full pipe says already that there is something. */
    ssize_t written = write(ends[1], &byte, 1);
    (void)written;
    errno = saved;
}

int signals_open(void)
{
    struct sigaction action = {.sa_handler = note};

    if (pipe(ends) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    }
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof watched / sizeof watched[0]; i++) {
        /* What ends us also ends a write that nobody takes; what does not end us waits until it is taken. */
        bool ends_us = watched[i] != SIGWINCH && watched[i] != SIGTSTP && watched[i] != SIGCONT;
        action.sa_flags = ends_us ? 0 : SA_RESTART;
        sigaction(watched[i], &action, NULL);
    }
    return ends[0];
}

int signals_take(void)
{
    unsigned char byte;

    return read(ends[0], &byte, 1) == 1 ? byte : 0;
}
