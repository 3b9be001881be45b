/*
 * messages.c: a bounded list of errors and warnings.
 */
#include "config/messages.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A place for an error in a full list: that of the last warning. */
static struct message *take_warning(struct config_messages *messages)
{
    for (size_t i = messages->count; i > 0; i--) {
        struct message *message = &messages->list[i - 1];

        if (message->severity == MESSAGE_WARNING) {
            free(message->text);
            memmove(message, message + 1, (messages->count - i) * sizeof *message);
            return &messages->list[messages->count - 1];
        }
    }
    return NULL;
}

static void add(struct config_messages *messages, enum message_severity severity, const char *file, unsigned line,
                const char *format, va_list arguments)
{
    char text[MESSAGE_SIZE];
    struct message *message = NULL;
    int length;

    if (severity == MESSAGE_ERROR)
        messages->errors++;
    else
        messages->warnings++;
    if (messages->count < MESSAGES_MAX)
        message = &messages->list[messages->count++];
    else if (severity == MESSAGE_ERROR)
        message = take_warning(messages);
    if (message == NULL)
        return;

    if (file == NULL)
        length = 0;
    else if (line > 0)
        length = snprintf(text, sizeof text, "%s:%u: ", file, line);
    else
        length = snprintf(text, sizeof text, "%s: ", file);
    if (length >= 0 && (size_t)length < sizeof text)
        vsnprintf(text + length, sizeof text - (size_t)length, format, arguments);
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    message->severity = severity;
    message->text = strdup(text);
    if (message->text == NULL)
        messages->count--; /* always the last one; counted as told, though */
}

void messages_error(struct config_messages *messages, const char *file, unsigned line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add(messages, MESSAGE_ERROR, file, line, format, arguments);
    va_end(arguments);
}

void messages_warning(struct config_messages *messages, const char *file, unsigned line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add(messages, MESSAGE_WARNING, file, line, format, arguments);
    va_end(arguments);
}

const char *message_mark(const struct message *message)
{
    return message->severity == MESSAGE_WARNING ? "warning: " : "";
}

size_t messages_left_out(const struct config_messages *messages)
{
    return messages->errors + messages->warnings - messages->count;
}

bool messages_full(const struct config_messages *messages)
{
    return messages->errors >= MESSAGES_MAX;
}

void messages_clear(struct config_messages *messages)
{
    for (size_t i = 0; i < messages->count; i++)
        free(messages->list[i].text);
    memset(messages, 0, sizeof *messages);
}
