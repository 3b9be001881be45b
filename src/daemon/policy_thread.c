/*
 * policy_thread.c: the policy door's sockets and thread.
 */
#include "daemon/policy_thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/listening.h"
#include "daemon/log.h"
#include "daemon/report.h"
#include "policy/policy_service.h"

struct policy_thread {
    struct policy_service *service;
    pthread_t thread;
    bool started;
    unsigned count;
    struct {
        struct listening listening;
        char *name;
    } sockets[];
};

static void free_sockets(struct policy_thread *thread)
{
    for (unsigned i = 0; i < thread->count; i++) {
        listening_close(&thread->sockets[i].listening);
        listening_remove(&thread->sockets[i].listening);
        free(thread->sockets[i].name);
    }
    free(thread);
}

static bool open_sockets(struct policy_thread *thread, const struct config *config, char error[PROCESS_ERROR_SIZE])
{
    for (size_t i = 0; i < config->policy_count; i++) {
        const struct socket_config *socket = &config->policies[i];

        if (!listening_open(&thread->sockets[i].listening, socket, "policy", error))
            return false;
        thread->count++;
        thread->sockets[i].name = strdup(socket->socket);
        if (!thread->sockets[i].name) {
            snprintf(error, PROCESS_ERROR_SIZE, "not enough memory for the policy sockets");
            return false;
        }
    }
    return true;
}

static struct policy_service *make_service(const struct policy_thread *thread, const struct config *config,
                                           const struct door_params *door, struct waiting_room *waiting,
                                           unsigned connections)
{
    struct policy_socket *sockets = calloc(thread->count, sizeof *sockets);
    struct policy_service *service = NULL;
    const struct policy_params params = {.door = door,
                                         .waiting = waiting,
                                         .sockets = sockets,
                                         .socket_count = thread->count,
                                         .connections = connections,
                                         .trouble = report_policy_trouble};

    for (unsigned i = 0; sockets && i < thread->count; i++)
        sockets[i] = (struct policy_socket){.descriptor = thread->sockets[i].listening.descriptor,
                                            .name = thread->sockets[i].name,
                                            .hold = config->policies[i].sessions};
    if (sockets)
        service = policy_service_new(&params);
    free(sockets);
    return service;
}

bool policy_thread_open(const struct config *config, const struct door_params *door, struct waiting_room *waiting,
                        unsigned connections, struct policy_thread **out, char error[PROCESS_ERROR_SIZE])
{
    *out = NULL;
    if (config->policy_count == 0)
        return true;
    struct policy_thread *thread = calloc(1, sizeof *thread + config->policy_count * sizeof thread->sockets[0]);
    if (!thread) {
        snprintf(error, PROCESS_ERROR_SIZE, "not enough memory for the policy sockets");
        return false;
    }
    if (open_sockets(thread, config, error)) {
        thread->service = make_service(thread, config, door, waiting, connections);
        if (thread->service) {
            for (unsigned i = 0; i < thread->count; i++)
                thread->sockets[i].listening.descriptor = -1; /* the service has them */
            *out = thread;
            return true;
        }
        snprintf(error, PROCESS_ERROR_SIZE, "no memory or event loop for the policy door");
    }
    free_sockets(thread);
    return false;
}

static void *run(void *data)
{
    if (!policy_service_run(((struct policy_thread *)data)->service)) {
        log_event(LOG_ERR, "failed", "the event loop of the policy door gave up");
        kill(getpid(), SIGTERM); /* a daemon with half its doors open helps nobody */
    }
    return NULL;
}

bool policy_thread_start(struct policy_thread *thread)
{
    if (thread)
        thread->started = pthread_create(&thread->thread, NULL, run, thread) == 0;
    return !thread || thread->started;
}

int64_t policy_thread_seen(const struct policy_thread *thread)
{
    return policy_service_seen(thread->service);
}

void policy_thread_set(struct policy_thread *thread, const struct config *config)
{
    for (unsigned i = 0; thread && i < thread->count; i++)
        policy_service_set_hold(thread->service, i, config->policies[i].sessions);
}

void policy_thread_stop(struct policy_thread **thread)
{
    if (!*thread)
        return;
    if ((*thread)->started) {
        policy_service_stop((*thread)->service);
        pthread_join((*thread)->thread, NULL);
    }
    policy_service_free(&(*thread)->service);
    free_sockets(*thread);
    *thread = NULL;
}
