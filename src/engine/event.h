/*
 * event.h: what the engine is told and what it answers. Plain data; nothing here points into the engine.
 */
#ifndef ENGINE_EVENT_H
#define ENGINE_EVENT_H

#include "addr.h"
#include "limits.h"
#include "rules.h"

/* A session that the engine keeps a record of; 0 is none. A handle is never used twice within 2^32 sessions. */
typedef uint64_t session_id;

/* What spoke. The name in logs and configuration is in finding.name. */
enum limit_id {
    LIMIT_NONE,
    LIMIT_SERVICE_SESSIONS,
    LIMIT_LISTENER_SESSIONS, /* of any scope, finding.scope says which */
    LIMIT_SESSION_TABLE,     /* not a refusal: no record was free, so the session is let in uncounted */
    LIMIT_TABLE,             /* not a refusal: the table is full of what must stay, so the key goes untracked */
    LIMIT_DENY,              /* the deny list */
    LIMIT_IDLE_TIME,
    LIMIT_SCORE,    /* the session's points reach score_refuse */
    LIMIT_BAN,      /* a ban that an administrator has begun (bans.h) */
    LIMIT_NUMBERED, /* this plus a limit's number */
    LIMIT_CLIENT_SESSIONS = LIMIT_NUMBERED + LIMIT_NUMBER_CLIENT_SESSIONS,
    LIMIT_END = LIMIT_NUMBERED + LIMITS_MAX,
};

/* "service_sessions" and so on, also of the built-in limits; a string constant. "none" for any other. */
const char *limit_name(enum limit_id limit);

struct connect_event {
    struct addr client;      /* ADDR_NONE for a client without an IP address: no peer matches, no client is counted */
    struct addr local;       /* the address it came in on; ADDR_NONE when unknown: only a listen for any address fits */
    uint16_t local_port;     /* 0 when unknown: only a listen for any port fits */
    uint16_t client_port;    /* 0 when unknown: the kernel cannot be asked about the connection */
    bool partly_heard;       /* RCPT, DATA or others of its events will not be told: so it is never found idle */
    const char *daemon_name; /* the MTA's name of the listener, NULL when unknown; only read during the call */
    /* What the MTA has verified of the client's name, in normal form (mail/names.h); NULL or "": nothing. The domain is
     * the registrable one; a host that is not given is the domain. Keys and exceptions are compared with the host. */
    const char *client_domain, *client_host;
};

/* Anything after connect. The texts are in normal form and only read during the call. */
struct event {
    enum event_kind kind;                    /* EVENT_HELO to EVENT_REJECTED */
    bool rejected;                           /* EVENT_RCPT: by the MTA itself */
    uint32_t times;                          /* EVENT_RCPT, EVENT_REJECTED: so many at once; 0 is 1 */
    const char *client_domain, *client_host; /* as at connect */
    const char *helo;                        /* NULL: the client has not said any */
    const char *sender;                      /* "": the null sender; NULL: none yet */
    const char *user;                        /* NULL or "": not authenticated */
    const char *recipient;                   /* EVENT_RCPT */
};

enum verdict_kind {
    VERDICT_CONTINUE,
    VERDICT_EXEMPT, /* at connect alone: the engine need not hear of the session again, not even of its close */
    VERDICT_REFUSE,
};

/* Room for a code ("421"), an enhanced code ("4.4.5", RFC 3463) and a text, ends included. */
#define REPLY_TEXT_SIZE 512
struct reply {
    char code[4];
    char enhanced[12];
    char text[REPLY_TEXT_SIZE]; /* printable ASCII */
};

enum action {
    ACTION_REFUSE,    /* the event is refused */
    ACTION_MONITOR,   /* it would be */
    ACTION_SCORE,     /* the session gets points instead */
    ACTION_UNTRACKED, /* it passes uncounted for want of room */
    ACTIONS
};
/* "refuse", "monitor" and so on: a string constant. */
const char *action_name(enum action action);

/* Room for the text of a key: a client as a prefix, or a name; the end included. */
#define KEY_TEXT_SIZE 256

/* One limit that an event was over. */
struct finding {
    enum limit_id limit;        /* LIMIT_NONE: there is none; the other fields are then not set */
    char name[LIMIT_NAME_SIZE]; /* of the limit */
    enum action action;
    bool crossing; /* the first of its kind by this limit, in this scope, for this key, since it was last over */
    char scope[SCOPE_NAME_SIZE]; /* of the limit */
    struct prefix client;        /* the client as the limit counts it (elsewhere: its whole address) */
    char key[KEY_TEXT_SIZE]; /* whom else the limit counts: a domain, HELO name, sender, recipient or user; else "" */
    uint32_t count, max;     /* what was counted already, and how many there may be */
    uint32_t points;         /* ACTION_SCORE: those the session has got for it */
    bool banned;             /* the key is banned, */
    int64_t ban_left_ns;     /* for so long yet */
    bool ban_began;          /* this very event began the ban */
};

/* So many are told of one event; the first that refuses is always among them, as the last. */
#define FINDINGS_MAX 6

struct verdict {
    enum verdict_kind kind;
    enum refuse_at speak_at; /* VERDICT_REFUSE at connect: at once, or at the first callback that can carry the text */
    struct reply reply;      /* VERDICT_REFUSE: what to say. 421 ends the session; anything else refuses the command */
    int64_t delay_ns;        /* to wait before the answer, whatever it is; 0 or more */
    unsigned finding_count;
    struct finding findings[FINDINGS_MAX]; /* findings[0].limit is LIMIT_NONE when there are none */
};

/* A limit that has stopped refusing (or monitoring, or scoring). */
struct crossing_report {
    char name[LIMIT_NAME_SIZE];
    enum action action;
    char scope[SCOPE_NAME_SIZE];
    struct prefix client;    /* a limit per client: which; otherwise family ADDR_NONE */
    char key[KEY_TEXT_SIZE]; /* whom else it counts, or "" */
    uint64_t refused;        /* events, since the crossing */
    uint32_t clients;  /* different client addresses among them; exact up to CROSSING_CLIENTS_EXACT, then estimated */
    int64_t lasted_ns; /* from the first refusal to the last */
};
#define CROSSING_CLIENTS_EXACT 32

#endif
