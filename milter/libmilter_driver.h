/*
 * libmilter_driver.h: the milter door's hinges: libmilter's callbacks lead to door.h.
 *
 * libmilter keeps one filter with one socket a process in global variables, so this driver is one as well:
 * driver_open(), then driver_run() in a thread of its own.
 */
#ifndef MILTER_LIBMILTER_DRIVER_H
#define MILTER_LIBMILTER_DRIVER_H

#include <stdbool.h>

#include "door.h"
#include "doors/waiting.h"

struct driver_params {
    const char *socket; /* in libmilter's notation, smfi_setconn(3) */
    const struct door_params *door;
    struct waiting_room *waiting;
    void (*nudge)(void); /* opens a connection to the socket and closes it; called by libmilter's threads */
    int backlog;         /* connections that may wait to be accepted, at least 1; the system may allow fewer */
};

/*
 * Registers the filter and opens its socket. Everything that `params` points to must live as long as the process.
 * Nothing may be there already at a unix socket's path. Returns false, with errno as libmilter left it, when the socket
 * cannot be opened.
 */
bool driver_open(const struct driver_params *params);

/* Serves until the process ends; returns earlier only when libmilter gives up by itself (false) or has taken a signal
 * to stop (true), which libmilter_guard.c keeps from it. Block all signals before the first thread is made. There is no
 * call to stop it: smfi_stop(3) blocks for up to 5 seconds and ends no session. Whoever wants to stop ends the process,
 * which cuts the sessions as well. */
bool driver_run(void);

/* What sessions that negotiate from now on are asked for, that is, which of their commands the engine hears of and may
 * refuse: rules_needs() of the rules in force. Before the first call connect and close alone; so call it before
 * driver_run(), and again just before new rules come into force. Any thread. */
void driver_set_needs(const struct rules_needs *wanted);

/* Bytes that a session takes at most, besides what libmilter itself and the engine keep of it. */
size_t driver_session_memory(void);

/* Sessions that were refused for good and that the MTA has not closed yet: their answers may still be on the way. Any
 * thread. */
unsigned driver_answering(void);

/* So many connections of the MTA are served at once; before the first call any number. Further ones are turned away
 * when they negotiate, and the MTA goes on as its configuration says. Any thread. */
void driver_set_room(unsigned wanted);

/* How often libmilter has gone to take a connection of the MTA; it goes whenever there is one. 0: this libmilter does
 * not show it. Any thread. */
uint64_t driver_turns(void);

/* How many were turned away so far. Any thread. */
uint64_t driver_turned_away(void);

#endif
