/*
 * config_loading.h: loads texts as configuration files, in a folder of the test's own.
 */
#ifndef UNIT_CONFIG_LOADING_H
#define UNIT_CONFIG_LOADING_H

#include <check.h>

#include "config/config.h"
#include "config_cases.h"

static struct scratch scratch;
static struct config_messages messages;
static struct config *config;
static const char *path; /* of the last file */

/* Unchecked fixtures of every case. */
static void set_up(void)
{
    scratch = scratch_open();
}

static void tear_down(void)
{
    scratch_close(&scratch);
}

/* What the last load brought. */
static void forget(void)
{
    config_free(&config);
    messages_clear(&messages);
}

/* Loads a file of that text, in place of the one before. */
static bool load_size(const char *text, size_t size)
{
    forget();
    path = scratch_write(&scratch, "x.conf", text, size);
    bool good = config_load(path, &config, &messages);
    ck_assert_uint_eq(good, messages.errors == 0);
    ck_assert_uint_eq(good, config != NULL);
    return good;
}

#endif
