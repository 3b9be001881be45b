/*
 * shell_word.h: a text as a word on the command line of a shell, for the commands that we tell people.
 */
#ifndef CONFIG_SHELL_WORD_H
#define CONFIG_SHELL_WORD_H

#include <stddef.h>
#include <string.h>

/* Room for the word of a text of so many bytes. */
#define SHELL_WORD_SIZE(length) (4 * (length) + 8)

/* Writes the text as one word, in quotes where it must be, and with "-- " before it where it would be an option.
 * Returns `out`, of SHELL_WORD_SIZE bytes. */
static inline char *shell_word(const char *text, char *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/@_-";
    char *end = out;

    if (text[0] == '-')
        end = stpcpy(end, "-- ");
    if (text[0] && strspn(text, plain) == strlen(text)) {
        strcpy(end, text);
        return out;
    }
    *end++ = '\'';
    for (; *text; text++) {
        if (*text == '\'')
            end = stpcpy(end, "'\\''");
        else
            *end++ = *text;
    }
    strcpy(end, "'");
    return out;
}

#endif
