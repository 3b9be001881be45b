/*
 * peer_list.h: the CIDR blocks of a peer: its title, or what its clients and file list.
 */
#ifndef CONFIG_PEER_LIST_H
#define CONFIG_PEER_LIST_H

#include "config/messages.h"
#include "config/scan.h"
#include "engine/addr.h"

/* Called for each block with the place it stands at. */
typedef void peer_list_each(void *context, const struct prefix *prefix, const char *file, unsigned line);

/* Reads the blocks of `peer`, a section of the file `config_path`. Mistakes and warnings go to `messages`. */
void peer_list_read(const char *config_path, const struct block *peer, peer_list_each *each, void *context,
                    struct config_messages *messages);

#endif
