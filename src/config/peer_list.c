/*
 * peer_list.c: the CIDR blocks of a peer.
 */
#include "config/peer_list.h"

#include "config/list_file.h"
#include "config/values.h"

/* One peer that is being read. */
struct reading {
    peer_list_each *each;
    void *context;
};

static bool read_line(void *context, const char *text, const char *file, unsigned line, char why[VALUE_WHY_SIZE])
{
    const struct reading *reading = context;
    struct prefix prefix;

    if (!value_prefix(text, &prefix, why))
        return false;
    reading->each(reading->context, &prefix, file, line);
    return true;
}

/* A peer whose title is a name. */
static void read_lists(const char *config_path, const struct block *peer, peer_list_each *each, void *context,
                       struct config_messages *messages)
{
    const struct entry *clients = block_entry(peer, OPTION_CLIENTS), *file = block_entry(peer, OPTION_FILE);
    struct reading reading = {.each = each, .context = context};
    size_t listed = 0, in_file;
    char why[VALUE_WHY_SIZE];

    for (const struct value *value = clients != NULL ? clients->values : NULL; value != NULL; value = value->next) {
        struct prefix prefix;

        listed++;
        if (value_prefix(value->text, &prefix, why))
            each(context, &prefix, config_path, value->line);
        else
            messages_error(messages, config_path, value->line, "clients: %s", why);
    }
    if (file == NULL && listed == 0)
        messages_error(
            messages, config_path, peer->line,
            "peer \"%.100s\" matches nobody; write an address or CIDR block as its title, or give it clients "
            "or a file",
            peer->title);
    if (file != NULL && list_file_read(config_path, file, read_line, &reading, &in_file, messages) &&
        listed + in_file == 0)
        messages_warning(messages, config_path, file->line, "peer \"%.100s\" matches nobody: \"%.200s\" is empty",
                         peer->title, file->values->text);
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
