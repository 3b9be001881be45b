/*
 * lists.h: what the sections deny and exempt mean.
 */
#ifndef CONFIG_LISTS_H
#define CONFIG_LISTS_H

#include "config/config.h"
#include "config/scan.h"

/*
 * Gives `rules` the lists of `scan`, those in files included, and what the deny list does. Mistakes and warnings go to
 * `messages`. *score becomes true when the deny list gives points.
 */
void lists_set(const struct config *config, const struct scan *scan, struct rules_builder *rules, bool *score,
               struct config_messages *messages);

#endif
