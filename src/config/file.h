/*
 * file.h: a whole file in memory.
 */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/messages.h"

#define FILE_SIZE_MAX (64u * 1024 * 1024)

/*
 * Reads a regular file of at most FILE_SIZE_MAX bytes. On success true; *text is its bytes, which the caller frees,
 * with a line end after the last of them if there was none, and a 0 after that; *size counts the line end, not the 0. A
 * file that is missing, unreadable, too large, no regular file, or holds a 0 byte is an error in `messages` and false.
 */
bool file_read(const char *path, char **text, size_t *size, struct config_messages *messages);

#endif
