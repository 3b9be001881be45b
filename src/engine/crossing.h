/*
 * crossing.h: which limits are refusing at the moment, so that a log can tell the first refusal and the end instead of
 * every refusal. A crossing is over when nothing has been refused for ENGINE_CROSSING_QUIET_NS.
 *
 * It is known by what the log shows of it (limit, scope's name, client), so it lives on through a change of rules.
 */
#ifndef ENGINE_CROSSING_H
#define ENGINE_CROSSING_H

#include "event.h"

/* So many are followed at once. What is refused beyond that is counted, by crossings_unfollowed(). */
#define CROSSINGS_MAX 1000

struct crossings;

struct crossings *crossings_new(const uint64_t seed[2]);
void crossings_free(struct crossings **crossings);
size_t crossings_bytes(void);

/*
 * `client` was over a limit, as the finding says by its name, action, scope and key, and for a limit `per_client` by
 * its client. Returns true when this is the first of a crossing that is followed from here on.
 */
bool crossings_found(struct crossings *crossings, const struct finding *finding, bool per_client,
                     const struct addr *client, int64_t now);

/* Refusals that belong to no crossing, because there was no room for one, since this was last asked. */
uint64_t crossings_unfollowed(struct crossings *crossings);

/* Ends crossings: those that have been quiet for long enough, or `all`. Writes at most `room`, the longest quiet first,
 * and returns how many. */
size_t crossings_over(struct crossings *crossings, int64_t now, bool all, struct crossing_report *out, size_t room);

uint32_t crossings_used(const struct crossings *crossings);

#endif
