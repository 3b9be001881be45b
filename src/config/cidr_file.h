/*
 * cidr_file.h: a list of addresses and CIDR blocks in a file: one a line, blank lines, '#' and what follows it ignored.
 */
#ifndef CONFIG_CIDR_FILE_H
#define CONFIG_CIDR_FILE_H

#include <stdbool.h>

#include "config/messages.h"
#include "engine/addr.h"

/* Called for each block with the line it stands on. */
typedef void cidr_file_each(void *context, const struct prefix *prefix, unsigned line);

/* Reads the file, up to FILE_SIZE_MAX bytes. Mistakes go to `messages`, with the file's own name and line. True when
 * there were none; `each` has been called for every good line either way. */
bool cidr_file_read(const char *path, cidr_file_each *each, void *context, struct config_messages *messages);

#endif
