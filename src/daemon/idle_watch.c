/*
 * idle_watch.c: sessions that have gone silent.
 */
#include "daemon/idle_watch.h"

#include <stdlib.h>

#include "daemon/kernel_sockets.h"

#define CHUNK 16

/* How much longer a session is spared whose client spoke last: the MTA may be at work on what it said, and another
 * filter or a slow look-up is not the client's fault. A client gives an MTA ten minutes to take over a message
 * (RFC 5321, 4.5.3.2.6); one that only said half a command falls to the MTA's own time-out before. */
#define WORK_NS (600 * INT64_C(1000000000))

struct idle_watch {
    struct kernel_sockets *kernel;
    uint32_t next; /* session record to go on with */
    bool may_end;
};

struct idle_watch *idle_watch_new(void)
{
    struct idle_watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return NULL;
    watch->kernel = kernel_sockets_open();
    if (!watch->kernel)
        idle_watch_free(&watch);
    else
        watch->may_end = kernel_may_end();
    return watch;
}

void idle_watch_free(struct idle_watch **watch)
{
    if (!*watch)
        return;
    kernel_sockets_close(&(*watch)->kernel);
    free(*watch);
    *watch = NULL;
}

bool idle_watch_may_end(const struct idle_watch *watch)
{
    return watch && watch->may_end;
}

void idle_watch_rights_changed(struct idle_watch *watch)
{
    if (watch)
        watch->may_end = kernel_may_end();
}

/* Ends the connection of an idle session. */
static void end(struct idle_watch *watch, const struct idle_watch_params *params,
                const struct idle_candidate *candidate, const struct watched_connection *connection, int64_t now)
{
    struct verdict verdict;
    char why[KERNEL_WHY_SIZE];

    /* First, for once the connection has ended the MTA may close the session before the engine is asked about it. */
    pthread_mutex_lock(params->lock);
    engine_idle(params->engine, candidate->id, now, &verdict);
    pthread_mutex_unlock(params->lock);
    if (verdict.finding_count == 0)
        return; /* it has spoken meanwhile, or is gone */
    params->tell(&verdict, &candidate->client);
    /* Where this fails, the connection has ended by itself, or its next command is refused all the same. */
    kernel_socket_end(watch->kernel, connection, why);
}

static void ask(struct idle_watch *watch, const struct idle_watch_params *params,
                const struct idle_candidate *candidate, int64_t now)
{
    const struct watched_connection connection = {candidate->client, candidate->local, candidate->client_port,
                                                  candidate->local_port, 0};
    bool ends = candidate->action == IDLE_DISCONNECT && watch->may_end;
    int64_t silent;
    bool owed;

    if (kernel_socket_silence(watch->kernel, &connection, &silent, &owed) != KERNEL_FOUND)
        return;
    bool idle = silent > candidate->idle_time_ns + (owed ? WORK_NS : 0);
    pthread_mutex_lock(params->lock);
    engine_heard(params->engine, candidate->id, silent, now);
    if (idle && !ends)
        engine_idle(params->engine, candidate->id, now, NULL);
    pthread_mutex_unlock(params->lock);
    if (idle && ends)
        end(watch, params, candidate, &connection, now);
}

void idle_watch_run(struct idle_watch *watch, const struct idle_watch_params *params, int64_t now)
{
    struct idle_candidate candidates[CHUNK];
    unsigned asked = 0;

    do {
        pthread_mutex_lock(params->lock);
        size_t count = engine_idle_candidates(params->engine, now, &watch->next, candidates, CHUNK);
        pthread_mutex_unlock(params->lock);
        for (size_t i = 0; i < count; i++, asked++)
            ask(watch, params, &candidates[i], now);
    } while (watch->next != 0 && asked < IDLE_WATCH_QUESTIONS);
}
