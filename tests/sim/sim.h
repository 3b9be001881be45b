/*
 * sim.h: the run. sim.c makes things happen, sim_requests.c those of which a door asks, sim_bans.c what an
 * administrator does, sim_check.c compares engine and model, sim_twin.c compares an engine that refuses with one that
 * only monitors, sim_narrow.c fills tables that are too small.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "model.h"

#define SECOND INT64_C(1000000000)

#define POOL 24  /* connections that both doors speak of */
#define STALE 64 /* handles remembered after their session is over */

/* How far a reload has come. */
enum reload { RELOAD_NONE, RELOAD_BEGUN, RELOAD_DERIVED };

/* What a long run must have met. */
struct stats {
    uint64_t actions[LIMIT_NUMBERED][ACTIONS], kinds[PLAIN_KINDS][ACTIONS];
    uint64_t let_in, exempt, at_helo, at_connect, spoken, closed, stale, not_ended, banned, bans_began, monitored_bans;
    uint64_t delayed, other_replies, keys, crossings, headers, candidates, told_idle, heard;
    uint64_t reloads, reloads_in_pieces, over, unfollowed, jumps, worlds, sweeps;
    uint64_t requests, watched_ends, all_ports;
    uint64_t bans_listed, bans_changed, bans_lifted, limit_bans_lifted, let_in_again;
    uint64_t twin_refusals, twin_worlds, narrow_worlds, untracked, evicted, not_full;
};

struct sim {
    uint64_t seed, step;
    struct prng prng;
    struct engine *engine;
    struct model model;
    int64_t now;
    session_id stale[STALE];
    uint32_t stale_count;
    enum reload reload;
    unsigned pieces; /* steps of this reload so far */
    struct tally *next;
    struct plain_rules next_rules;
    uint32_t ceiling[PLAIN_SCOPES + 1]; /* no counter may be above it: its cap, or what a reload found there */
    struct stats stats;
};
extern struct sim sim;

/* ---- sim.c ---- */

uint32_t below(uint32_t bound);
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* An engine of those rules, or the end of the run. */
struct engine *make_engine(const struct plain_rules *rules, uint32_t sessions, uint32_t keys, int64_t idle_slack);

struct verdict connect_with(const struct plain_facts *facts);
void close_handle(session_id id);
/* There may be one session more. */
bool has_room(void);

/* ---- sim_requests.c ---- */

void make_connections(void);
/* The door that tells hears of a connection that the other may have asked about. */
void claim_connection(void);
void event_request(void);
void event_lapse(void);
void event_watch(void);
void check_lapse(void);
/* None of the connections lives. */
void end_watched(void);

/* ---- sim_bans.c ---- */

void event_ban(void);
struct ban_target random_ban_target(bool any_name);
void event_unban(void);
/* Connects, and sees to it that whoever is refused as banned can be found and let in. */
void connect_perhaps_banned(const struct plain_facts *facts);
/* The list of all bans. */
void check_bans(void);

/* ---- sim_check.c ---- */

void expect(const char *what, uint64_t engine, uint64_t model);
void expect_text(const char *what, const char *engine, const char *model);
void expect_prefix(const char *what, const struct prefix *engine, const struct prefix *model);
void check_verdict(const struct verdict *got, const struct verdict *expected, bool at_connect);
void check_report(const struct crossing_report *got, const struct model_crossing *expected);
void check_new_handle(session_id id, const struct model_session *record);
void check_header(session_id id, const struct model_session *session);
void check_candidates(void);
void check_counters(void);
void check_limits(void);
void check_totals(void);
/* Prints what was met, and fails a long run that never met something. */
void check_coverage(void);

/* ---- worlds of their own ---- */

void twin_world(void);
void narrow_world(void);

#endif
