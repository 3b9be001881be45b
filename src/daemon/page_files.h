/*
 * page_files.h: the files of the status page (src/page), which the build puts into the program.
 *
 * Constant; any thread.
 */
#ifndef DAEMON_PAGE_FILES_H
#define DAEMON_PAGE_FILES_H

#include <stddef.h>

struct page_file {
    const char *path; /* where it is served */
    const char *type; /* of its content */
    const unsigned char *bytes;
    size_t size;
};

/* A row without a path ends the table. */
extern const struct page_file page_files[];

#endif
