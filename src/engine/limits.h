/*
 * limits.h: what can be limited. One idea: count this, per that, over this window, at most so many; then do this.
 *
 * The built-in limits are rows of one table; the configuration may name others of the same kinds. Constant data; any
 * thread.
 */
#ifndef ENGINE_LIMITS_H
#define ENGINE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* What is counted. */
enum limit_count {
    COUNT_SESSIONS,         /* open now */
    COUNT_CONNECTIONS,      /* begun */
    COUNT_MESSAGES,         /* MAIL commands; for a recipient: accepted RCPT commands that name it */
    COUNT_BOUNCES,          /* the same, with the null sender (RFC 5321, 4.5.5) */
    COUNT_RECIPIENTS,       /* RCPT commands, those that the MTA rejects included; of one message: accepted ones */
    COUNT_ERRORS,           /* unknown commands and rejected recipients */
    COUNT_UNKNOWN_COMMANDS, /* commands that the MTA does not know */
    COUNT_NETWORKS,         /* different networks that clients come from */
    COUNT_KINDS
};

/* Whose counts they are. */
enum limit_per {
    PER_SESSION,
    PER_MESSAGE,
    PER_CLIENT,        /* an address, cut to client_ipv4_prefix or client_ipv6_prefix */
    PER_CLIENT_DOMAIN, /* the registrable domain of the verified host name */
    PER_HELO,
    PER_SENDER, /* the envelope sender; the null sender is nobody */
    PER_SENDER_DOMAIN,
    PER_RECIPIENT,
    PER_RECIPIENT_DOMAIN,
    PER_USER, /* who has authenticated */
    PER_KINDS
};

/* What becomes of an event that is over the limit. */
enum limit_mode {
    MODE_OFF,
    MODE_BLOCK,   /* it is refused */
    MODE_MONITOR, /* it passes, uncounted, and the log says that it would have been refused */
    MODE_SCORE,   /* it passes, counted, and the session gets points */
};

/* The numbers of a limit block. Each falls back singly: inner block, outer block, catalogue. */
enum limit_term {
    TERM_MAX,               /* 0: no limit, here and in the three that follow */
    TERM_MAX_GOOD,          /* for clients of good reputation */
    TERM_MAX_BAD,           /* for clients of bad reputation */
    TERM_MAX_AUTHENTICATED, /* for sessions with a user */
    TERM_WINDOW,            /* nanoseconds, LIMIT_WINDOW_MIN to LIMIT_TIME_MAX */
    TERM_MODE,              /* enum limit_mode */
    TERM_POINTS,            /* of MODE_SCORE, 0 to LIMIT_POINTS_MAX */
    TERM_BAN,               /* nanoseconds, 0 (none) to LIMIT_TIME_MAX */
    TERM_SOFT,              /* errors of a session after which every reply waits; 0: none */
    TERM_ERROR_DELAY,       /* nanoseconds that the reply to an error waits */
    TERM_DISCONNECT_DELAY,  /* nanoseconds; when no block gives it, that of the session's scope */
    TERM_IPV4_PREFIX,       /* bits that make one network, of COUNT_NETWORKS */
    TERM_IPV6_PREFIX,
    LIMIT_TERMS
};

/* A term without a value: the maxima after the first then are that one, the delay that of the session's scope. */
#define TERM_UNSET (-1)

#define LIMIT_WINDOW_MIN INT64_C(1000000000)
#define LIMIT_TIME_MAX (INT64_C(365) * 86400 * 1000000000)
#define LIMIT_POINTS_MAX 1000000

/* The longest name of a limit, end included. */
#define LIMIT_NAME_SIZE 40

/* So many limits, built-in ones included, fit into one rule set. */
#define LIMITS_MAX 63

struct limit_builtin {
    const char *name;
    enum limit_count count;
    enum limit_per per;
    int64_t value[LIMIT_TERMS];
    const char *text; /* one line of documentation */
};

/* In this order; a built-in limit's number is its place. */
enum {
    LIMIT_NUMBER_CLIENT_SESSIONS,
    LIMIT_NUMBER_CLIENT_CONNECTIONS,
    LIMIT_NUMBER_CLIENT_MESSAGES,
    LIMIT_NUMBER_CLIENT_RECIPIENTS,
    LIMIT_NUMBER_CLIENT_ERRORS,
    LIMIT_NUMBER_SENDER_RECIPIENTS,
    LIMIT_NUMBER_RECIPIENT_MESSAGES,
    LIMIT_NUMBER_RECIPIENT_BOUNCES,
    LIMIT_NUMBER_USER_RECIPIENTS,
    LIMIT_NUMBER_DOMAIN_NETWORKS,
    LIMIT_NUMBER_HELO_NETWORKS,
    LIMIT_NUMBER_SESSION_ERRORS,
    LIMIT_NUMBER_SESSION_UNKNOWN_COMMANDS,
    LIMIT_NUMBER_SESSION_RECIPIENTS,
    LIMIT_NUMBER_SESSION_MESSAGES,
    LIMIT_NUMBER_MESSAGE_RECIPIENTS,
    LIMITS_BUILTIN
};
extern const struct limit_builtin limit_builtins[LIMITS_BUILTIN];

/* What the options of a limit that is not built in are when no block gives them. */
extern const int64_t limit_custom_defaults[LIMIT_TERMS];

/* "sessions", "client_domain", "monitor": as in the configuration. Constants. */
const char *limit_count_name(enum limit_count count);
const char *limit_per_name(enum limit_per per);
const char *limit_mode_name(enum limit_mode mode);

/* Whether counting this per that makes sense. The matrix is in the manual. */
bool limit_fits(enum limit_count count, enum limit_per per);

/* Whether the pair counts over a window; else it counts what is open, or within one session or message. */
bool limit_has_window(enum limit_count count, enum limit_per per);

/* Whether a crossing of it may ban the key: of everything that outlives the session. */
bool limit_can_ban(enum limit_per per);

/* The events of a session. */
enum event_kind {
    EVENT_CONNECT,
    EVENT_HELO,
    EVENT_MAIL,
    EVENT_RCPT,
    EVENT_DATA,
    EVENT_UNKNOWN,  /* a command that the MTA does not know */
    EVENT_MESSAGE,  /* a message has arrived whole */
    EVENT_ABORT,    /* a message will not */
    EVENT_REJECTED, /* recipients that were told before have been rejected by the MTA since */
    EVENT_KINDS
};

/* The events at which the limit is judged and counted, and the one at which a ban of its key is, as sets (1 << event).
 */
unsigned limit_events(enum limit_count count, enum limit_per per);
unsigned limit_ban_events(enum limit_per per);

#endif
