/*
 * policy_door.h: the policy door without its hinges: what Postfix asks over the policy delegation protocol
 * (SMTPD_POLICY_README) becomes a request of the engine, and verdicts become actions of access(5). It knows no sockets
 * and never waits.
 *
 * Threads: any; but for what it is given it keeps nothing between calls. The engine is used under the lock that
 * door_params names, for the length of one engine call.
 */
#ifndef POLICY_POLICY_DOOR_H
#define POLICY_POLICY_DOOR_H

#include "attributes.h"
#include "doors/doors.h"
#include "engine/request.h"

/* Room for the longest answer, "action=...\n\n" and an end: a reply's line, or a score's header. */
#define POLICY_ANSWER_SIZE 1280

struct policy_answer {
    char text[POLICY_ANSWER_SIZE]; /* what to send, line ends included */
    size_t length;
    int64_t delay_ns; /* to wait before it is sent; 0 or more */
};

/* What clients' host names came to before, as looking that up costs more than all the rest of an answer: a client is
 * asked about many times. All zero at first; for one thread. */
#define POLICY_HOSTS 512
#define POLICY_HOST_SIZE 128 /* longer ones are looked up each time */
struct policy_hosts {
    struct policy_host {
        char name[POLICY_HOST_SIZE]; /* in normal form */
        unsigned char domain;        /* where the part begins that somebody registered */
    } hosts[POLICY_HOSTS];
};

/*
 * Answers one request. Returns NULL, or what is wrong with it, as a constant text for the log: then there is no answer,
 * and the protocol demands that the connection be closed without one. Wrong is: another `request` than
 * smtpd_access_policy, none; no protocol_state; no client_address; numbers that are none; a value that we make use of
 * and that is longer than 4096 bytes.
 *
 * The answer is DUNNO, "421 4.4.5 TEXT" and so on, or, for a session with points, "PREPEND X-Tidegate-Score: ..." at
 * DATA or END-OF-MESSAGE. A client_address that is no address ("unknown") is a client without one.
 */
const char *policy_answer(const struct door_params *door, struct policy_hosts *hosts, enum request_hold hold,
                          const struct attributes *attributes, struct policy_answer *out);

#endif
