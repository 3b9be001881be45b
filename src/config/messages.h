/*
 * messages.h: what the configuration room has to say about a file, as texts that the caller prints.
 *
 * The list is bounded: a file with ten thousand mistakes gives the first MESSAGES_MAX of them and a count of the rest.
 * A list belongs to one thread.
 */
#ifndef CONFIG_MESSAGES_H
#define CONFIG_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>

#define MESSAGES_MAX 50
#define MESSAGE_SIZE 1024 /* the longest text, end included; longer ones are cut */

enum message_severity { MESSAGE_WARNING, MESSAGE_ERROR };

struct message {
    enum message_severity severity;
    char *text; /* "FILE:LINE: what is wrong; what would be right", no line end; "FILE: ..." where no line is meant */
};

/* What is to stand before the text wherever it is shown: "warning: " or "". */
const char *message_mark(const struct message *message);

/* All zero is an empty list. */
struct config_messages {
    struct message list[MESSAGES_MAX];
    size_t count;    /* texts in `list` */
    size_t errors;   /* errors told, those that did not fit included */
    size_t warnings; /* warnings told, likewise */
};

#if defined(__GNUC__)
#define MESSAGE_FORMAT(string, first) __attribute__((format(printf, string, first)))
#else
#define MESSAGE_FORMAT(string, first)
#endif

/* Adds an error, or a warning, about line `line` of `file`; line 0 means the file as a whole; without a `file` the
 * text names it itself. A text that finds no room is counted only, but an error takes the place of the last warning.
 * Control characters come out as '?'. */
void messages_error(struct config_messages *messages, const char *file, unsigned line, const char *format, ...)
    MESSAGE_FORMAT(4, 5);
void messages_warning(struct config_messages *messages, const char *file, unsigned line, const char *format, ...)
    MESSAGE_FORMAT(4, 5);

/* How many were told that found no room. */
size_t messages_left_out(const struct config_messages *messages);

/* True when no further error would find room: time to stop looking for more. */
bool messages_full(const struct config_messages *messages);

/* Frees the texts and empties the list. */
void messages_clear(struct config_messages *messages);

#endif
