/*
 * peer_list.c: the CIDR blocks of a peer.
 */
#include "config/peer_list.h"

#include <stdlib.h>
#include <string.h>

#include "config/cidr_file.h"
#include "config/values.h"

/* One file that is being read. */
struct reading {
    const char *path;
    peer_list_each *each;
    void *context;
    size_t count;
};

char *peer_list_path(const char *config_path, const char *file)
{
    const char *slash = strrchr(config_path, '/');
    size_t length = file[0] == '/' || slash == NULL ? 0 : (size_t)(slash - config_path) + 1;
    char *path = malloc(length + strlen(file) + 1);

    if (path == NULL)
        return NULL;
    memcpy(path, config_path, length);
    strcpy(path + length, file);
    return path;
}

static void pass_on(void *context, const struct prefix *prefix, unsigned line)
{
    struct reading *reading = context;

    reading->count++;
    reading->each(reading->context, prefix, reading->path, line);
}

static void read_list_file(const char *config_path, const struct block *peer, const struct entry *file,
                           struct reading *reading, struct config_messages *messages)
{
    size_t errors = messages->errors;
    char *path;

    if (file->values->text[0] == '\0') {
        messages_error(messages, config_path, file->line, "file: the path is empty; write one");
        return;
    }
    path = peer_list_path(config_path, file->values->text);
    if (path == NULL) {
        messages_error(messages, config_path, file->line, "out of memory");
        return;
    }
    reading->path = path;
    if (!cidr_file_read(path, pass_on, reading, messages))
        messages_error(messages, config_path, file->line, "file: \"%.200s\" has mistakes (%zu); repair it", path,
                       messages->errors - errors);
    else if (reading->count == 0)
        messages_warning(messages, config_path, file->line, "peer \"%.100s\" matches nobody: \"%.200s\" is empty",
                         peer->title, path);
    free(path);
}

/* A peer whose title is a name. */
static void read_lists(const char *config_path, const struct block *peer, peer_list_each *each, void *context,
                       struct config_messages *messages)
{
    const struct entry *clients = block_entry(peer, OPTION_CLIENTS), *file = block_entry(peer, OPTION_FILE);
    struct reading reading = {.each = each, .context = context};
    char why[VALUE_WHY_SIZE];

    for (const struct value *value = clients != NULL ? clients->values : NULL; value != NULL; value = value->next) {
        struct prefix prefix;

        reading.count++;
        if (value_prefix(value->text, &prefix, why))
            each(context, &prefix, config_path, value->line);
        else
            messages_error(messages, config_path, value->line, "clients: %s", why);
    }
    if (file != NULL)
        read_list_file(config_path, peer, file, &reading, messages);
    else if (reading.count == 0)
        messages_error(
            messages, config_path, peer->line,
            "peer \"%.100s\" matches nobody; write an address or CIDR block as its title, or give it clients "
            "or a file",
            peer->title);
}

void peer_list_read(const char *config_path, const struct block *peer, peer_list_each *each, void *context,
                    struct config_messages *messages)
{
    const struct entry *list = block_entry(peer, OPTION_CLIENTS);
    char why[VALUE_WHY_SIZE];
    struct prefix prefix;

    if (list == NULL)
        list = block_entry(peer, OPTION_FILE);
    if (value_prefix(peer->title, &prefix, why)) {
        each(context, &prefix, config_path, peer->line);
        if (list != NULL)
            messages_error(messages, config_path, list->line,
                           "%s in a peer whose title is a CIDR block; give the peer a name as its title",
                           list->option->name);
    } else if (value_looks_like_prefix(peer->title)) {
        messages_error(messages, config_path, peer->line, "title of peer: %s", why);
    } else {
        if (!value_name(peer->title, why))
            messages_error(messages, config_path, peer->line, "title of peer: %s", why);
        read_lists(config_path, peer, each, context, messages);
    }
}
