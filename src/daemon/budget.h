/*
 * budget.h: what the daemon takes of the system: memory and descriptors.
 *
 * Threads: the main one.
 */
#ifndef DAEMON_BUDGET_H
#define DAEMON_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "daemon/process.h"

/* Bytes that the daemon's memory comes to with every table full, and how many more the counters of new rules take
 * during a reload. */
struct memory_budget {
    uint64_t full, reload;
};
struct memory_budget budget_memory(const struct config *config);

/* Descriptors for sessions, connections of the policy door and everything else. */
struct descriptor_budget {
    uint64_t wanted, granted;
    unsigned connections; /* of the policy door: its share of what is granted */
};

/* Raises the limit on open files to what is wanted, and tells libmilter's driver its share of what is granted. False,
 * with one line of text, when that is enough for nobody. */
bool budget_descriptors(const struct config *config, struct descriptor_budget *out, char error[PROCESS_ERROR_SIZE]);

#endif
