/*
 * directory_case.h: a folder of the test's own. Its functions are unchecked fixtures.
 */
#ifndef UNIT_DIRECTORY_CASE_H
#define UNIT_DIRECTORY_CASE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char directory[64];

static int remove_entry(const char *name, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(name);
}

/* Unchecked fixtures run in the process that outlives a failed test. */
static void make_directory(void)
{
    const char *base = getenv("TMPDIR");
    if (!base || strlen(base) > 40)
        base = "/tmp";
    snprintf(directory, sizeof directory, "%s/unit.XXXXXX", base);
    if (!mkdtemp(directory))
        abort();
}

static void remove_directory(void)
{
    nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
