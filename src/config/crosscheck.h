/*
 * crosscheck.h: libconfuse parses the text that was scanned, and both must have understood the same.
 *
 * libconfuse is the parser whose syntax we promise; the scan knows the lines and refuses what libconfuse passes over. A
 * difference between them is a bug, and refusing the file is the safe answer to it.
 *
 * libconfuse has global state: one call at a time in a process.
 */
#ifndef CONFIG_CROSSCHECK_H
#define CONFIG_CROSSCHECK_H

#include "config/scan.h"

/*
 * Parses `text`, as scan_text() left it, and compares each section with the scan: names, titles, which options are set,
 * their values. True when both agree; otherwise there is an error in `messages`.
 */
bool crosscheck_text(const char *file, char *text, size_t size, const struct scan *scan,
                     struct config_messages *messages);

#endif
