/*
 * config.c: from a file to a configuration.
 */
#include "config/config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/build.h"
#include "config/crosscheck.h"
#include "config/file.h"
#include "config/list_file.h"
#include "config/scan.h"

static bool load_text(struct config *config, char *text, size_t size, struct config_messages *messages)
{
    struct scan *scan = config->scan;

    return scan_text(config->path, text, size, scan, messages) &&
           crosscheck_text(config->path, text, size, scan, messages) && build_config(config, scan, messages);
}

bool config_load(const char *path, struct config **out, struct config_messages *messages)
{
    struct config *config = calloc(1, sizeof *config);
    size_t size;
    char *text = NULL;
    bool done = false;

    *out = NULL;
    if (config != NULL) {
        config->path = strdup(path);
        config->scan = calloc(1, sizeof *config->scan);
    }
    if (config == NULL || config->path == NULL || config->scan == NULL)
        messages_error(messages, path, 0, "out of memory");
    else if (file_read(path, &text, &size, messages))
        done = load_text(config, text, size, messages);
    free(text);
    if (done)
        *out = config;
    else
        config_free(&config);
    return done;
}

void config_free(struct config **config)
{
    struct config *old = *config;

    if (old == NULL)
        return;
    config_trim(old);
    rules_free(&old->rules);
    free(old->path);
    sockets_clear(old);
    free(old->pid_file);
    free(old->user);
    free(old);
    *config = NULL;
}

struct rules *config_take_rules(struct config *config)
{
    struct rules *rules = config->rules;

    config->rules = NULL;
    return rules;
}

static bool opens(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (file >= 0)
        close(file);
    return file >= 0;
}

char *config_unreadable(const struct config *config)
{
    if (!opens(config->path))
        return strdup(config->path);
    /* Of the blocks, which are closed one after the other, each has one file at most. */
    for (const struct block *block = config->scan ? config->scan->first_closed : NULL; block;
         block = block->next_closed) {
        const struct entry *file = block_entry(block, OPTION_FILE);
        char *path = file ? list_file_path(config->path, file->values->text) : NULL;

        if (path && !opens(path))
            return path;
        free(path);
    }
    return NULL;
}

void config_trim(struct config *config)
{
    if (config->scan == NULL)
        return;
    scan_clear(config->scan);
    free(config->scan);
    config->scan = NULL;
}
