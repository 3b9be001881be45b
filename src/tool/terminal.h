/*
 * terminal.h: the terminal while `top` has it.
 *
 * One thread.
 */
#ifndef TOOL_TERMINAL_H
#define TOOL_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Takes the terminal: a screen of our own, keys without echo and line ends, no cursor. False, and a complaint, when
 * standard input and output are no terminal that can do that. */
bool terminal_open(void);

/* Gives it back as it was. Without effect where it is not taken. */
void terminal_close(void);

/* Its size now. */
void terminal_size(size_t *rows, size_t *columns);

/* Shows a text that ends each line with '\n' in place of what is on the screen: its first `rows` lines. False when it
 * cannot be written. */
bool terminal_show(const char *text, size_t rows);

/* The next key, without waiting: '\0' when there is none, 4 (Ctrl-D) when there will be none any more. */
char terminal_key(void);

#endif
