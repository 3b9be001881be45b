/*
 * door.h: the milter door without its hinges: what an MTA says over the milter protocol becomes events of the engine,
 * and verdicts become answers. It knows no libmilter types and never waits, so any driver of the protocol can use it.
 *
 * Threads: all functions may be called from any thread; calls about one session come one after the other. The engine is
 * used under the lock that door_params names, for the length of one engine call.
 */
#ifndef MILTER_DOOR_H
#define MILTER_DOOR_H

#include <pthread.h>

#include "engine/engine.h"

struct door_params {
    struct engine *engine;
    pthread_mutex_t *lock; /* held around each call of the engine, here and wherever else the engine is used */
    int64_t (*now)(void);  /* nanoseconds of a monotonic clock */
    /* Told of every verdict with a limit, without the lock; `client` is the address that was refused. */
    void (*tell)(const struct verdict *verdict, const struct addr *client);
};

/* One session of the MTA. All zero to begin with. */
struct door_session {
    session_id id;    /* 0: the engine has no record of it */
    bool refused;     /* it was not let in */
    int64_t delay_ns; /* still to wait when that is told */
};

/* What the MTA says at connect. Texts may be NULL: not every MTA sends every macro. */
struct door_connect {
    struct addr client;      /* ADDR_NONE: no IP address */
    const char *daemon_name; /* macro {daemon_name} */
    const char *daemon_addr; /* {daemon_addr} */
    const char *daemon_port; /* {daemon_port} */
    const char *if_addr;     /* {if_addr}, for an MTA that listens on a wildcard address */
};

/* What to answer. Refused: after `delay_ns` the reply, whose parts are string constants. Else the session goes on. */
struct door_answer {
    bool refused;
    const char *code, *enhanced, *text; /* RFC 5321 and RFC 3463; no '%' in the text */
    int64_t delay_ns;
};

/* A client has connected. A session that is still open on `session` is closed first: an MTA may use one connection for
 * several (SMFIC_QUIT_NC). */
struct door_answer door_connect(const struct door_params *door, struct door_session *session,
                                const struct door_connect *connect);

/* HELO, MAIL or an unknown command: the first that comes carries a refusal that could not be told at connect. An MTA
 * that goes on all the same is refused again, without delay. */
struct door_answer door_command(const struct door_params *door, struct door_session *session);

/* The session is over. Harmless when it never began or was closed before. */
void door_close(const struct door_params *door, struct door_session *session);

#endif
