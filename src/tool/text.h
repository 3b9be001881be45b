/*
 * text.h: texts for a terminal.
 *
 * Whatever the daemon or a file says is made harmless before it is shown: what the terminal would not print as one or
 * two columns (control characters, escape sequences, bytes that are no character of the locale, marks that change the
 * direction of writing) comes out as "\xHH", byte by byte.
 *
 * Texts that are returned belong to the caller, who frees them. Where memory is short the program ends: it has nothing
 * to undo. One thread.
 */
#ifndef TOOL_TEXT_H
#define TOOL_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#if defined(__GNUC__)
#define TEXT_FORMAT(string, first) __attribute__((format(printf, string, first)))
#else
#define TEXT_FORMAT(string, first)
#endif

/* As malloc(), realloc() and strdup(), but they never return NULL. */
void *text_memory(void *old, size_t size);
char *text_copy(const char *text);

/* printf() into a new text. */
char *text_print(const char *format, ...) TEXT_FORMAT(1, 2);
char *text_print_list(const char *format, va_list arguments);

/* The text, made harmless. */
char *text_clean(const char *text);

/* How many columns a harmless text takes. */
size_t text_width(const char *clean);

/* Writes at most `width` columns of a harmless text; one that is longer is cut between two characters and ends in
 * "...", or in as many dots as there is room for. Returns how many columns were written. */
size_t text_put_cut(const char *clean, size_t width, FILE *out);

/* The same, but it is the beginning that is cut, and the dots come first. */
size_t text_put_tail(const char *clean, size_t width, FILE *out);

/* Writes a text, made harmless, with line breaks between words so that no line has more than `width` columns (0: no
 * breaks); further lines begin with `indent` blanks. A word that is too long for a line is broken. Ends the line. */
void text_put_wrapped(const char *text, size_t width, size_t indent, FILE *out);

/* "0s", "59s", "1m 5s", "1h 52m", "3d 4h": at most two units, rounded down; what is below a second "<1s". Negative
 * numbers and what is no number are "-". */
#define TEXT_DURATION_SIZE 32
const char *text_duration(double seconds, char out[TEXT_DURATION_SIZE]);

/* A bar of `width` columns between brackets that is filled in the proportion of part to whole; never full or empty
 * when the proportion is not. */
#define TEXT_BAR_MAX 60
const char *text_bar(double part, double whole, size_t width, char out[TEXT_BAR_MAX + 3]);

#endif
