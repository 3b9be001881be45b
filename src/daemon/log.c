/*
 * log.c: key=value lines to syslog or standard error.
 */
#include "daemon/log.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* One byte is kept for the line's end on standard error, one for the string's. */
#define LOG_TEXT_MAX (LOG_LINE_SIZE - 2)

static bool to_stderr = true, to_journal;
static atomic_ullong lines_lost;
static pthread_mutex_t stderr_lock = PTHREAD_MUTEX_INITIALIZER;

/* systemd.exec(5): the device and inode of the stream that it made for us. Somebody in between may have redirected
 * standard error since. */
static bool is_journal(int descriptor)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat status;
    int end = 0;

    return stream && sscanf(stream, "%ju:%ju%n", &device, &inode, &end) == 2 && stream[end] == '\0' &&
           fstat(descriptor, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

void log_open(bool foreground)
{
    to_stderr = foreground;
    to_journal = is_journal(STDERR_FILENO);
    /* In the foreground too: libmilter has its say through syslog(3). */
    openlog("tidegated", LOG_PID, LOG_MAIL);
}

const char *log_prefix(int priority)
{
    static const char *const prefixes[] = {"<0>", "<1>", "<2>", "<3>", "<4>", "<5>", "<6>", "<7>"};

    return to_journal ? prefixes[priority & LOG_PRIMASK] : "";
}

void log_begin(struct log_line *line)
{
    line->used = 0;
    line->text[0] = '\0';
}

static void add_char(struct log_line *line, char c)
{
    if (line->used < LOG_TEXT_MAX) {
        line->text[line->used++] = c;
        line->text[line->used] = '\0';
    }
}

static void add_plain(struct log_line *line, const char *text)
{
    while (*text)
        add_char(line, *text++);
}

static bool is_plain(char c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* Cut where it must be so that the last escape is whole and the quote is closed. */
static void add_quoted(struct log_line *line, const char *text)
{
    add_char(line, '"');
    for (; *text; text++) {
        char escaped[5] = {*text, '\0'};
        if (*text == '"' || *text == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", *text);
        else if (*text != ' ' && !is_plain(*text))
            snprintf(escaped, sizeof escaped, "\\x%02x", (unsigned)(unsigned char)*text);
        if (line->used + strlen(escaped) + 1 > LOG_TEXT_MAX)
            break;
        add_plain(line, escaped);
    }
    add_char(line, '"');
}

static void add_key(struct log_line *line, const char *key)
{
    if (line->used > 0)
        add_char(line, ' ');
    add_plain(line, key);
    add_char(line, '=');
}

void log_text(struct log_line *line, const char *key, const char *value)
{
    bool plain = value != NULL && *value != '\0';

    /* A pair that has no room even for an empty value, ` key=""`, is left out whole. */
    if (line->used + strlen(key) + 4 > LOG_TEXT_MAX)
        return;
    add_key(line, key);
    if (!value)
        value = "none";
    for (const char *c = value; *c; c++)
        plain = plain && is_plain(*c);
    if (plain || strcmp(value, "none") == 0)
        add_plain(line, value);
    else
        add_quoted(line, value);
}

void log_number(struct log_line *line, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    log_text(line, key, text);
}

void log_seconds(struct log_line *line, const char *key, int64_t nanoseconds)
{
    char text[32];
    int64_t tenths = nanoseconds / 100000000;
    snprintf(text, sizeof text, "%" PRId64 ".%" PRId64 "s", tenths / 10, tenths % 10);
    log_text(line, key, text);
}

void log_send(struct log_line *line, int priority)
{
    if (!to_stderr) {
        syslog(priority, "%s", line->text);
        return;
    }
    /* A reader that stands still must not make clients wait, nor hold up a stop: its lines are dropped and counted.
     * What poll(2) calls writable takes a line whole (pipe(7): PIPE_BUF). */
    struct pollfd reader = {.fd = STDERR_FILENO, .events = POLLOUT};
    line->text[line->used] = '\n';
    const char *prefix = log_prefix(priority);
    struct iovec parts[] = {{(void *)prefix, strlen(prefix)}, {line->text, line->used + 1}};
    /* One at a time, or another thread's line might take the room in between; this never waits for long. */
    pthread_mutex_lock(&stderr_lock);
    bool lost = poll(&reader, 1, 0) == 0 || writev(STDERR_FILENO, parts, 2) < 0;
    pthread_mutex_unlock(&stderr_lock);
    if (lost)
        atomic_fetch_add(&lines_lost, 1);
}

void log_event(int priority, const char *event, const char *text)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", event);
    log_text(&line, "text", text);
    log_send(&line, priority);
}

uint64_t log_lines_lost(void)
{
    return atomic_exchange(&lines_lost, 0);
}
