/*
 * globals.h: the values that are no part of the rules.
 */
#ifndef CONFIG_GLOBALS_H
#define CONFIG_GLOBALS_H

#include "config/config.h"
#include "config/scan.h"

/* Fills in the global fields of `config`, defaults included. Mistakes go to `messages`; their fields stay as they are.
 * config->path must be set. */
void globals_set(struct config *config, const struct scan *scan, struct config_messages *messages);

#endif
