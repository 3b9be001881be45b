/*
 * session_watch.c: sessions whose connection is gone.
 */
#include "daemon/session_watch.h"

#include <stdlib.h>

#include "daemon/kernel_sockets.h"
#include "engine/request.h"

#define CHUNK 64

/* So many ports are asked for one by one. */
#define DUMPS 3

/* A round gives up when so many questions go without an answer. */
#define ERRORS 3

struct session_watch {
    struct kernel_sockets *kernel;
    uint64_t known, unknown; /* sessions that have ended and whose connection the kernel knew, or never knew */
    bool told;
};

struct session_watch *session_watch_new(void)
{
    struct kernel_sockets *kernel = kernel_sockets_open();
    struct session_watch *watch = kernel ? calloc(1, sizeof *watch) : NULL;

    if (watch)
        watch->kernel = kernel;
    else
        kernel_sockets_close(&kernel);
    return watch;
}

void session_watch_free(struct session_watch **watch)
{
    if (!*watch)
        return;
    kernel_sockets_close(&(*watch)->kernel);
    free(*watch);
    *watch = NULL;
}

struct round {
    const struct session_watch_params *params;
    int64_t now;
};

static void seen(void *context, const struct watched_connection *connections, size_t count)
{
    const struct round *round = context;

    pthread_mutex_lock(round->params->lock);
    engine_watch_seen(round->params->engine, connections, count, round->now);
    pthread_mutex_unlock(round->params->lock);
}

static void end(struct session_watch *watch, const struct round *round, const struct watched_session *session)
{
    pthread_mutex_lock(round->params->lock);
    bool ended = engine_watch_end(round->params->engine, session->id, round->now);
    pthread_mutex_unlock(round->params->lock);
    *(session->connection.cookie != 0 ? &watch->known : &watch->unknown) += ended;
}

/* Asks for one session that no dump has shown. False when the kernel gives no answer: the session is spared. */
static bool confirm(struct session_watch *watch, struct round *round, const struct watched_session *session)
{
    const struct watched_connection *connection = &session->connection;
    struct watched_connection found = *connection;

    switch (kernel_socket_alive(watch->kernel, connection, &found.cookie)) {
    /* Dumps alone can show what no question finds, and they have not: spared once more, it would hold its slot for
     * good. */
    case KERNEL_UNASKABLE:
    case KERNEL_GONE:
        end(watch, round, session);
        return true;
    case KERNEL_FOUND:
        seen(round, &found, 1);
        return true;
    case KERNEL_ERROR:
        break;
    }
    seen(round, connection, 1);
    return false;
}

static bool dump(struct session_watch *watch, struct round *round, const struct watched_ports *ports)
{
    /* Each walks through the whole table of the kernel. */
    if (ports->all || ports->count > DUMPS)
        return kernel_sockets_dump(watch->kernel, 0, seen, round);
    for (unsigned i = 0; i < ports->count; i++)
        if (!kernel_sockets_dump(watch->kernel, ports->ports[i], seen, round))
            return false;
    return true;
}

bool session_watch_run(struct session_watch *watch, const struct session_watch_params *params, int64_t now)
{
    struct round round = {params, now};
    struct watched_session missing[CHUNK];
    size_t asked = 0, count;
    unsigned errors = 0;

    pthread_mutex_lock(params->lock);
    const struct watched_ports ports = engine_watch_begin(params->engine);
    pthread_mutex_unlock(params->lock);
    if (!dump(watch, &round, &ports))
        return false;
    do {
        pthread_mutex_lock(params->lock);
        count = engine_watch_missing(params->engine, missing, CHUNK);
        pthread_mutex_unlock(params->lock);
        for (size_t i = 0; i < count; i++, asked++)
            if (!confirm(watch, &round, &missing[i]) && ++errors == ERRORS)
                return false;
    } while (count > 0 && asked < SESSION_WATCH_QUESTIONS);
    return errors == 0;
}

bool session_watch_blind(struct session_watch *watch)
{
    bool blind = !watch->told && watch->unknown >= SESSION_WATCH_BLIND && watch->unknown > watch->known;

    watch->told = watch->told || blind;
    return blind;
}
