/*
 * config_loading.h: loads texts as configuration files, in a folder of the test's own.
 */
#ifndef UNIT_CONFIG_LOADING_H
#define UNIT_CONFIG_LOADING_H

#include <check.h>

#include "config/config.h"
#include "config_cases.h"
#include "engine/terms.h"

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

static inline bool load(const char *text)
{
    return load_size(text, strlen(text));
}

static inline void assert_loads(const char *text, size_t warnings)
{
    ck_assert_msg(load(text), "<%s> is refused: %s", text, messages.list[0].text);
    ck_assert_msg(messages.warnings == warnings, "%zu warnings, %zu were expected for <%s>: %s", messages.warnings,
                  warnings, text, messages.count > 0 ? messages.list[0].text : "none");
}

static inline void assert_warns(const char *text, unsigned line, const char *says)
{
    assert_loads(text, 1);
    ck_assert_msg(is_at(&messages.list[0], path, line), "line %u was expected for <%s>: %s", line, text,
                  messages.list[0].text);
    ck_assert_msg(strstr(messages.list[0].text, says) != NULL, "\"%s\" was expected: %s", says, messages.list[0].text);
}

/* Where a session stands in what is loaded. */
static inline struct chain chain_of(const char *client, const char *local, uint16_t port, const char *daemon_name)
{
    struct connect_event event = {.local_port = port, .daemon_name = daemon_name};
    struct chain chain;
    ck_assert(addr_parse(client, &event.client) && addr_parse(local, &event.local));
    struct session_facts facts = session_facts_of(&event);
    rules_resolve(config->rules, &facts, &chain);
    return chain;
}

/* What the limit of that name is there; false: it is off, or not at all. */
static inline bool terms_of(const struct chain *chain, const char *name, struct terms *terms)
{
    for (limit_number i = 0; i < rules_limit_count(config->rules); i++)
        if (strcmp(rules_limit_name(config->rules, i), name) == 0)
            return rules_terms(config->rules, chain->levels, chain->level_count, i, terms);
    return false;
}

/* A term of it. The test fails when the limit is off. */
static inline int64_t term_of(const struct chain *chain, const char *name, enum limit_term term)
{
    struct terms terms;
    ck_assert_msg(terms_of(chain, name, &terms), "%s is off", name);
    return terms.value[term];
}

/* The dump of what is loaded; the caller frees it. */
static inline char *dump_text(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(stream);
    ck_assert(config_dump(config, stream));
    ck_assert_int_eq(fclose(stream), 0);
    return text;
}

#endif
