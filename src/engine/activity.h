/*
 * activity.h: which clients and which sender domains are busy, and which are refused, for people to see. No verdict
 * depends on it.
 *
 * Of up to ACTIVITY_CLIENTS clients (as the rules count clients) and ACTIVITY_DOMAINS domains of envelope senders the
 * last hour is known (window.h: never less, up to a quarter more; of more than 65,535 in any quarter of an hour, not
 * all). When there are more, those of whom least is known are forgotten first, of equals who is silent for longest, as
 * far as a look at a few can tell (table.h), but no client with an open session; and how many, is known.
 * Nobody is counted that is exempt at connect, nor a client without an address. A connection of which both doors tell
 * is one.
 *
 * Threads: as engine.h.
 */
#ifndef ENGINE_ACTIVITY_H
#define ENGINE_ACTIVITY_H

#include "engine.h"

#define ACTIVITY_CLIENTS 16384
#define ACTIVITY_DOMAINS 4096
#define ACTIVITY_WINDOW_NS (INT64_C(3600) * 1000000000)

enum activity_kind { ACTIVITY_OF_CLIENTS, ACTIVITY_OF_DOMAINS };

struct activity_view {
    struct prefix client;       /* of clients */
    char domain[KEY_TEXT_SIZE]; /* of domains */
    uint32_t sessions;          /* open now, refused ones that await their HELO included; of clients alone */
    uint32_t connections;       /* in the last hour, refused ones included; of clients alone */
    uint32_t messages;          /* MAIL commands in the last hour, refused ones included */
    uint32_t refused;           /* connections and commands that were refused, and sessions that were ended as idle, */
    uint32_t monitored;         /* and those that would have been */
};

/* Copies those of which anything is known, found among ENGINE_BATCH records from *next on, at most `room` (8 or more),
 * and moves *next on; it is 0 again after the last. Nothing, and 0, when the engine was made without `activity`. */
size_t engine_activity(const struct engine *engine, enum activity_kind kind, int64_t now, uint64_t *next,
                       struct activity_view *out, size_t room);

/* All 0 when the engine was made without `activity`. */
struct activity_totals {
    uint32_t known, room;
    uint64_t evicted;   /* forgotten before their hour was over, since the start; who comes back is new */
    uint64_t untracked; /* times that a client found no room, as all that were looked at had an open session */
};
struct activity_totals engine_activity_totals(const struct engine *engine, enum activity_kind kind);

#endif
