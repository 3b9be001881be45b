/*
 * reply.h: what a refused client is told.
 *
 * The texts are promises (DESIGN.md, Promised interfaces). Pure; any thread.
 */
#ifndef ENGINE_REPLY_H
#define ENGINE_REPLY_H

#include "event.h"

/* The reply of what is no numbered limit: caps, deny, ban, idle_time, score. Constants. */
const struct reply *reply_of_limit(enum limit_id limit);

/* The catalogue's reply of a limit that counts this: at RCPT a 452 for the command alone, elsewhere a 421. Constants.
 */
const struct reply *reply_of_count(enum limit_count count, bool at_rcpt, bool of_session);

/* Writes the reply with {client}, {limit}, {count} and {max} of its text replaced by what the finding says. */
void reply_render(const struct reply *form, const struct finding *finding, struct reply *out);

/* Whether a refusal of that event in these words is the last one to the session: 421 is, and so is 5yz, but of a
 * recipient it is for that one alone; where the MTA has rejected the recipient itself, it is about the session. */
bool reply_ends_session(const struct reply *reply, enum event_kind kind, bool rejected);

#endif
