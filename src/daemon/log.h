/*
 * log.h: the daemon's log, one line an event, each a list of key=value pairs.
 *
 * Lines go to syslog (facility mail) or, in the foreground, to standard error. A value that holds anything but
 * printable ASCII without spaces, quotes and backslashes is put in double quotes and its odd bytes escaped, so that
 * whatever a client or a file chose for a name, a line stays one line and a pair stays a pair.
 *
 * Threads: log_open() first, from one; everything else from any.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

#define LOG_LINE_SIZE 2048 /* bytes, end included; what does not fit is cut */

struct log_line {
    char text[LOG_LINE_SIZE];
    size_t used;
};

/* From here on to standard error, or to syslog. Where standard error is the journal (systemd says so in
 * JOURNAL_STREAM), each line begins with its priority as sd-daemon(3) has it, "<6>". */
void log_open(bool foreground);

/* Begins a line that the caller writes to standard error by itself: the same prefix, else "". */
const char *log_prefix(int priority);

/* An empty line to add to. */
void log_begin(struct log_line *line);

/* Adds a pair. `key` is a constant; NULL as a value reads "none". */
void log_text(struct log_line *line, const char *key, const char *value);
void log_number(struct log_line *line, const char *key, uint64_t value);

/* Adds a duration, in whole seconds and tenths: "12.3s". */
void log_seconds(struct log_line *line, const char *key, int64_t nanoseconds);

/* Writes the line; `priority` is syslog's (LOG_INFO, LOG_WARNING, LOG_ERR). */
void log_send(struct log_line *line, int priority);

/* Lines that found the reader of standard error standing still and were dropped, since this was last asked. */
uint64_t log_lines_lost(void);

/* One line "event=EVENT text=TEXT" in one call. */
void log_event(int priority, const char *event, const char *text);

#endif
