/*
 * terms_case.h: rules with limits, and what those mean for a session. For test_terms.c and test_maxima.c.
 */
#ifndef UNIT_TERMS_CASE_H
#define UNIT_TERMS_CASE_H

#include <check.h>
#include <string.h>

#include "engine/terms.h"

#define SECOND INT64_C(1000000000)
#define HOUR (3600 * SECOND)

static struct rules_builder *builder;
static struct rules *rules;
static struct chain chain; /* of the last session() */
static struct terms terms; /* of the last terms_of() */

static inline void setup(void)
{
    builder = rules_builder_new();
    ck_assert_ptr_nonnull(builder);
}

static inline void teardown(void)
{
    rules_builder_free(&builder);
    rules_free(&rules);
}

static inline scope_id add(enum scope_kind kind, scope_id parent, const char *title)
{
    return rules_add_scope(builder, kind, parent, title);
}

static inline struct prefix prefix_of(const char *text)
{
    struct prefix prefix;
    ck_assert_int_eq(prefix_parse(text, &prefix), PREFIX_OK);
    return prefix;
}

static inline scope_id add_peer(scope_id parent, const char *cidr)
{
    struct prefix prefix = prefix_of(cidr);
    scope_id peer = add(SCOPE_PEER, parent, cidr);
    rules_add_prefix(builder, peer, &prefix);
    return peer;
}

static inline limit_block_id add_block(scope_id scope, limit_number limit)
{
    return rules_add_limit_block(builder, scope, limit);
}

static inline limit_block_id add_block_with(scope_id scope, limit_number limit, enum limit_term term, int64_t value)
{
    limit_block_id block = add_block(scope, limit);
    rules_set_term(builder, block, term, value);
    return block;
}

static inline void build(void)
{
    struct rules_error error;
    rules_free(&rules);
    rules = rules_build(builder, &error);
    ck_assert_ptr_nonnull(rules);
}

static inline struct addr addr_of(const char *text)
{
    struct addr addr = {0};
    ck_assert(!*text || addr_parse(text, &addr));
    return addr;
}

/* A client on port 25. */
static inline void session(const char *client)
{
    struct session_facts facts = {.client = addr_of(client), .local_port = 25};
    rules_resolve(rules, &facts, &chain);
}

static inline bool terms_of(limit_number limit)
{
    memset(&terms, 0xee, sizeof terms);
    return rules_terms(rules, chain.levels, chain.level_count, limit, &terms);
}

static inline void assert_scope(const char *expected)
{
    char name[SCOPE_NAME_SIZE];
    ck_assert_str_eq(rules_scope_name(rules, terms.scope, name), expected);
}

#define CONNECTIONS LIMIT_NUMBER_CLIENT_CONNECTIONS

#endif
