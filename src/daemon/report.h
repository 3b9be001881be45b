/*
 * report.h: what the daemon has to tell, as lines of its log. Which keys a line has is a promise (README, The log).
 *
 * Threads: any.
 */
#ifndef DAEMON_REPORT_H
#define DAEMON_REPORT_H

#include <sys/types.h>

#include "config/messages.h"
#include "engine/bans.h"
#include "engine/engine.h"

/* A limit that an event was over; `client` is the whole address of the client it is about. */
void report_finding(const struct finding *finding, const struct addr *client);

/* A limit has stopped refusing (monitoring, scoring). */
void report_over(const struct crossing_report *report);

/* So many sessions were refused without a line each, as no crossing followed them. */
void report_unfollowed(uint64_t refused);

/* So many connections of the MTA were turned away for want of descriptors. */
void report_turned_away(uint64_t connections);

/* So many lines were lost, as nobody read the log; nothing is said of 0. */
void report_lines_lost(uint64_t lines);

/* There are fewer descriptors than sessions that are meant to be known. */
void report_few_descriptors(uint64_t wanted, uint64_t granted);

/* What a counter holds, and what all hold together. */
void report_counter(const struct counter_view *view);
void report_totals(const struct engine_totals *totals);

/* What a limit has done so far; nothing is said of one that has done nothing. */
void report_limit(const struct limit_view *view);

/* Something is to be changed over the control socket, by a process of that user; (uid_t)-1: the kernel does not know.
 */
void report_asked(const char *path, uid_t uid);

/* An administrator has banned `target`; has lifted bans: of a target, of a limit (either may be NULL), of those that
 * began so long ago at most (0: whenever). */
void report_ban(const char *target, int64_t length_ns);
void report_unban(const char *target, const char *limit, int64_t since_ns, const struct unbanned *done);

/* So many keys had to go before their time, and so many found no room, since this was last told. */
void report_evictions(uint64_t evicted, uint64_t untracked);

/* A connection of the policy door was closed without an answer, or none could be accepted; so many `more` were not told
 * of since. */
void report_policy_trouble(const char *peer, const char *why, uint64_t more);

/* What there is to say of a configuration file. */
void report_messages(const struct config_messages *messages);

#endif
