/*
 * build.h: what a scanned text means: the global values and the rules.
 */
#ifndef CONFIG_BUILD_H
#define CONFIG_BUILD_H

#include "config/config.h"
#include "config/scan.h"

/*
 * Reads the values of a scan that crosscheck_text() has passed, fills in the global fields of `config` and builds its
 * rules. Mistakes and warnings go to `messages`. False after a mistake; the fields filled in so far stay, for
 * config_free(). config->path must be set.
 */
bool build_config(struct config *config, const struct scan *scan, struct config_messages *messages);

#endif
