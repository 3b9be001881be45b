/*
 * supervisor.h: what the daemon tells the one that started it, by sd_notify(3): that it is ready, that it reads its
 * configuration again, that it stops, how it is, and, where a watchdog was set (systemd.service(5), WatchdogSec), that
 * it lives. Built without libsystemd, or started by somebody who does not listen, all of it does nothing.
 *
 * Threads: the main one.
 */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H

#include <stdint.h>

void supervisor_ready(void);

/* Around a reload: `now` is nanoseconds of the monotonic clock. Afterwards supervisor_ready(), however it went. */
void supervisor_reloading(int64_t now);

void supervisor_stopping(void);

/* One line for a person. */
void supervisor_status(const char *text);

/* How long the watchdog waits for supervisor_alive(), in microseconds; 0: there is none. Call supervisor_alive() twice
 * in that time, and only while all is well. */
uint64_t supervisor_patience_us(void);
void supervisor_alive(void);

#endif
