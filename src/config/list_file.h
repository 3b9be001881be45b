/*
 * list_file.h: a list in a file of its own: one entry a line; blank lines, '#' and what follows it ignored.
 */
#ifndef CONFIG_LIST_FILE_H
#define CONFIG_LIST_FILE_H

#include "config/messages.h"
#include "config/scan.h"
#include "config/values.h"

/* Called for each entry with the place it stands at. False and the reason in `why`: the entry is a mistake. */
typedef bool list_file_each(void *context, const char *text, const char *file, unsigned line, char why[VALUE_WHY_SIZE]);

/*
 * Reads the file, of up to FILE_SIZE_MAX bytes, that `option` names in the configuration file `config_path`. Mistakes
 * go to `messages` with their own file and line, and one more with the option's. True when there were none; `each` has
 * been called for every line either way, unless the messages are full. *count is how many entries were good.
 */
bool list_file_read(const char *config_path, const struct entry *option, list_file_each *each, void *context,
                    size_t *count, struct config_messages *messages);

/* The path of such a file, as it is opened: absolute when `file` is, else in the directory of `config_path`. The caller
 * frees it; NULL when memory is short. */
char *list_file_path(const char *config_path, const char *file);

#endif
