/*
 * report.h: what the daemon has to tell, as lines of its log. Which keys a line has is a promise (README, The log).
 *
 * Threads: any.
 */
#ifndef DAEMON_REPORT_H
#define DAEMON_REPORT_H

#include "config/messages.h"
#include "engine/engine.h"

/* A verdict that has a limit; `client` is the whole address of the client it is about. */
void report_verdict(const struct verdict *verdict, const struct addr *client);

/* A limit has stopped refusing. */
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

/* What there is to say of a configuration file. */
void report_messages(const struct config_messages *messages);

#endif
