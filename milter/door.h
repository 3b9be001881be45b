/*
 * door.h: the milter door without its hinges: what an MTA says over the milter protocol becomes events of the engine,
 * and verdicts become answers. It knows no libmilter types and never waits, so any driver of the protocol can use it.
 *
 * Threads: all functions may be called from any thread; calls about one session come one after the other. The engine is
 * used under the lock that door_params names, for the length of one engine call.
 */
#ifndef MILTER_DOOR_H
#define MILTER_DOOR_H

#include "doors/doors.h"
#include "engine/engine.h"
#include "mail/names.h"

/* One session of the MTA. All zero to begin with. The names are in normal form and belong to the session; NULL is one
 * that is not known, or that memory was too short for. */
struct door_session {
    session_id id;               /* 0: the engine has no record of it */
    struct addr client;          /* as it was at connect */
    char *client_host, *helo;    /* of the client */
    const char *client_domain;   /* the end of client_host that somebody registered */
    char *sender, *user;         /* since the last MAIL */
    const struct reply *refusal; /* it is refused: what every callback answers from now on; else NULL */
    int64_t delay_ns;            /* still to wait when that is told */
    bool unspoken;               /* the engine waits to hear that it was told */
};

/* The most bytes that a session takes, with what malloc(3) adds to each of its blocks. */
#define DOOR_SESSION_MEMORY (sizeof(struct door_session) + 4 * (NAME_SIZE + 2 * sizeof(void *)))

/* What the MTA says at connect. Texts may be NULL: not every MTA sends every macro. */
struct door_connect {
    struct addr client;      /* ADDR_NONE: no IP address */
    uint16_t client_port;    /* 0: unknown */
    bool partly_heard;       /* the MTA does not tell of every step of the session */
    const char *client_name; /* the host name that xxfi_connect(3) is given */
    const char *remote;      /* macro _, where Sendmail says of a name that it "may be forged" */
    const char *daemon_name; /* macro {daemon_name} */
    const char *daemon_addr; /* {daemon_addr} */
    const char *daemon_port; /* {daemon_port} */
    const char *if_addr;     /* {if_addr}, for an MTA that listens on a wildcard address */
};

/* What to answer after `delay_ns`. */
struct door_answer {
    enum {
        DOOR_CONTINUE, /* the session goes on */
        DOOR_ACCEPT,   /* at connect alone: it is exempt, so the MTA need not ask about it again */
        DOOR_REFUSE,   /* `reply`; a code of 4yz is a temporary failure, one of 5yz a permanent one (RFC 5321, 4.2.1) */
    } kind;
    struct reply reply; /* '%' stands for itself */
    int64_t delay_ns;   /* 0 or more; not above 0 at a connect that goes on */
};

/* A client has connected. A session that is still open on `session` is closed first: an MTA may use one connection for
 * several (SMFIC_QUIT_NC). */
struct door_answer door_connect(const struct door_params *door, struct door_session *session,
                                const struct door_connect *connect);

/*
 * The client's commands. The first that comes carries a refusal that could not be told at connect. A refusal of 421 or
 * 5yz (of a recipient: 421) is for the whole session: whatever the MTA asks after it is answered the same, without
 * delay. (Postfix ignores what a filter says to a recipient that it rejects itself, so the next command has to carry
 * it.) Any other 4yz is for that one command.
 *
 * The texts are as the MTA gives them, of any length and content. NULL: it says none.
 */
struct door_answer door_helo(const struct door_params *door, struct door_session *session, const char *name);
/* `user`: macro {auth_authen}; NULL or "" when the client has not authenticated. */
struct door_answer door_mail(const struct door_params *door, struct door_session *session, const char *sender,
                             const char *user);
/* `rejected`: by the MTA itself. */
struct door_answer door_rcpt(const struct door_params *door, struct door_session *session, const char *recipient,
                             bool rejected);
struct door_answer door_data(const struct door_params *door, struct door_session *session);
/* A command that the MTA does not know. */
struct door_answer door_unknown(const struct door_params *door, struct door_session *session);

/* The end of a message. `score` becomes what its header is to say of the session's points (engine_score()), or "". */
struct door_answer door_message(const struct door_params *door, struct door_session *session,
                                char score[SCORE_TEXT_SIZE]);

/* The message that had begun will not end. Harmless when none had; an MTA may say it twice. */
void door_abort(const struct door_params *door, struct door_session *session);

/* The session is over. Harmless when it never began or was closed before. */
void door_close(const struct door_params *door, struct door_session *session);

#endif
