/*
 * budget.c: sums of what each part says of itself.
 */
#include "daemon/budget.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "daemon/history.h"
#include "daemon/http_service.h"
#include "engine/engine.h"
#include "milter/libmilter_driver.h"
#include "policy/policy_service.h"

/* Descriptors besides those of sessions: sockets, logs, libraries. */
#define DESCRIPTORS_SPARE 64

/* Resident bytes besides the tables: the program with its libraries and threads, and what libmilter keeps for each
 * session that is open, its macros among it: so much where every name is as long as it may be. Measured; tests/bench
 * shows how well they hold. */
#define MEMORY_BASE (7 * 512 * 1024)
#define MEMORY_LIBMILTER_SESSION 1280

static uint64_t policy_connections(const struct config *config)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < config->policy_count; i++)
        sum += config->policies[i].connections;
    return sum;
}

static uint64_t policy_memory(const struct config *config)
{
    const uint64_t each = policy_connection_memory() + 2 * POLICY_KEPT_FREE;

    return config->policy_count > 0 ? policy_connections(config) * each + POLICY_KEPT_MAX : 0;
}

struct memory_budget budget_memory(const struct config *config)
{
    const bool watched = config_is_watched(config);
    struct engine_memory engine =
        engine_memory(config->session_table_size, config->table_size, config->policy_count > 0, watched, config->rules);
    return (struct memory_budget){
        .full = MEMORY_BASE +
                (uint64_t)config->session_table_size * (MEMORY_LIBMILTER_SESSION + driver_session_memory()) +
                policy_memory(config) + (watched ? history_bytes() + http_service_memory() : 0) + engine.sessions +
                engine.table + engine.per_rules,
        .reload = engine.per_rules,
    };
}

/* Each session of the MTA takes a descriptor, and each connection of the policy door. Where there are fewer, the latter
 * get half of them at most. Milter sessions that find none are turned away before libmilter runs out: it would try
 * again without a pause. */
bool budget_descriptors(const struct config *config, struct descriptor_budget *out, char error[PROCESS_ERROR_SIZE])
{
    const uint64_t spare = DESCRIPTORS_SPARE + (config_is_watched(config) ? HTTP_SERVICE_DESCRIPTORS : 0);
    const uint64_t policy = policy_connections(config), wanted = config->session_table_size + policy + spare;
    const uint64_t granted = process_raise_descriptors(wanted), least = spare + 2;

    if (granted < least) {
        snprintf(error, PROCESS_ERROR_SIZE,
                 "only %" PRIu64 " files may be open at once, and at least %" PRIu64
                 " are needed; raise the limit (ulimit -n, or LimitNOFILE= of the unit)",
                 granted, least);
        return false;
    }
    const uint64_t room = granted - spare, share = granted >= wanted || policy < room / 2 ? policy : room / 2;
    driver_set_room(room - share < UINT_MAX ? (unsigned)(room - share) : UINT_MAX);
    *out = (struct descriptor_budget){wanted, granted, share > 0 || policy == 0 ? (unsigned)share : 1};
    return true;
}
