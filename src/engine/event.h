/*
 * event.h: what the engine is told and what it answers. Plain data; nothing here points into the engine.
 */
#ifndef ENGINE_EVENT_H
#define ENGINE_EVENT_H

#include "addr.h"
#include "rules.h"

/* A session that the engine keeps a record of; 0 is none. A handle is never used twice within 2^32 sessions. */
typedef uint64_t session_id;

/* What refused. The name in logs and configuration is limit_name(). */
enum limit_id {
    LIMIT_NONE,
    LIMIT_SERVICE_SESSIONS,
    LIMIT_LISTENER_SESSIONS, /* of any scope, verdict.scope says which */
    LIMIT_CLIENT_SESSIONS,
    LIMIT_SESSION_TABLE, /* not a refusal: no record was free, so the session is let in uncounted */
};

/* "service_sessions" and so on; a string constant. */
const char *limit_name(enum limit_id limit);

struct connect_event {
    struct addr client;      /* ADDR_NONE for a client without an IP address: no peer matches, no client is counted */
    struct addr local;       /* the address it came in on; ADDR_NONE when unknown: only a listen for any address fits */
    uint16_t local_port;     /* 0 when unknown: only a listen for any port fits */
    const char *daemon_name; /* the MTA's name of the listener, NULL when unknown; only read during the call */
};

/* A limit that has stopped refusing. */
struct crossing_report {
    enum limit_id limit;
    char scope[SCOPE_NAME_SIZE];
    struct prefix client; /* a limit per client: which; otherwise family ADDR_NONE */
    uint64_t refused;     /* sessions, since the crossing */
    uint32_t clients;  /* different client addresses among them; exact up to CROSSING_CLIENTS_EXACT, then estimated */
    int64_t lasted_ns; /* from the first refusal to the last */
};
#define CROSSING_CLIENTS_EXACT 32

enum verdict_kind { VERDICT_CONTINUE, VERDICT_REFUSE };

struct verdict {
    enum verdict_kind kind;
    enum refuse_at speak_at; /* VERDICT_REFUSE: at once, or at the first callback that can carry the text */
    enum limit_id limit;     /* LIMIT_NONE when nothing was crossed; the fields below are then not set */
    bool crossing;           /* the first refusal by this limit, in this scope, for this key, since it was last over */
    char scope[SCOPE_NAME_SIZE]; /* of the limit */
    struct prefix client;        /* the client as the limit counts it (for a scope's cap: its whole address) */
    uint32_t count, max;         /* sessions in at the moment of the refusal, and the cap */
    int64_t delay_ns;            /* to wait before the refusal is told, 0 or more */
};

#endif
