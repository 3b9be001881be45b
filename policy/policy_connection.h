/*
 * policy_connection.h: one connection of the policy door: its requests are read, answered in order, answers that have
 * to wait do so without holding up anybody else.
 *
 * Threads: everything here happens in the one that runs the event loop.
 */
#ifndef POLICY_POLICY_CONNECTION_H
#define POLICY_POLICY_CONNECTION_H

#include <event2/event.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "policy_door.h"
#include "policy_service.h"

/* What is read of one connection in one wake-up, so that none keeps the others waiting. */
#define READ_SIZE 16384

/* Answers that are put together before they are sent, and how many bytes of them may wait for a peer that does not take
 * them, but for one answer more; then its requests wait, too. */
#define ANSWERS_SIZE 16384

/* What all connections share. */
struct connection_host {
    struct event_base *base;
    const struct door_params *door;
    struct waiting_room *waiting;
    struct timeval request_time, answer_time;
    struct connection *first;
    atomic_uint count; /* of those that are open */
    unsigned count_max;
    void (*trouble)(const char *peer, const char *why, uint64_t more);
    unsigned troubles; /* that were told in the second that began at `troubles_since` */
    int64_t troubles_since;
    uint64_t troubles_untold;
    struct policy_hosts hosts;
    char input[READ_SIZE]; /* of the connection that is being read */
    char output[ANSWERS_SIZE + POLICY_ANSWER_SIZE];
    size_t output_length; /* 0 between callbacks */
    size_t kept;          /* bytes allocated for what is unfinished, up to POLICY_KEPT_MAX */
};

/* What the connections of one socket share. */
struct connection_source {
    struct connection_host *host;
    const char *name;
    atomic_int hold; /* enum request_hold */
};

/* Serves a non-blocking descriptor, which it takes over: closed at once, and told, when it is one too many or memory is
 * short. */
void connection_open(struct connection_source *source, int descriptor, const struct sockaddr_storage *peer);

/* Whoever waits is answered; then all are closed. */
void connection_close_all(struct connection_host *host);

/* Calls host->trouble(), but for what is too much of it. */
void connection_trouble(struct connection_host *host, const char *peer, const char *why);

#endif
