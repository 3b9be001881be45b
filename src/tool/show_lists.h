/*
 * show_lists.h: the lists of clients, domains and bans as tables, and how they show a name.
 */
#ifndef TOOL_SHOW_LISTS_H
#define TOOL_SHOW_LISTS_H

#include <jansson.h>

#include "tool/grid.h"

/* At most `rows` of them. */
void show_clients(const json_t *clients, const struct screen *screen, size_t rows);
void show_domains(const json_t *domains, const struct screen *screen, size_t rows);
void show_bans(const json_t *bans, const struct screen *screen, size_t rows);

/* Adds a cell: an address or a block is copied from there, and must be whole; a name may be as long as a client makes
 * it. */
void show_name(struct grid *grid, const char *name);

#endif
