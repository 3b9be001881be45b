/*
 * signals.h: signals, for those who wait with poll().
 *
 * From signals_open() on SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP and SIGCONT do nothing but make a
 * descriptor readable. Once in a process; one thread.
 */
#ifndef TOOL_SIGNALS_H
#define TOOL_SIGNALS_H

/* The descriptor; -1, and errno, when there is none to be had. */
int signals_open(void);

/* The signal that has come and was not taken yet; 0: none. Does not wait. */
int signals_take(void);

#endif
