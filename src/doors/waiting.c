/*
 * waiting.c: a bounded room to wait in.
 */
#include "doors/waiting.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

struct waiting_room {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* on the monotonic clock: a change of the time of day must not stretch a wait */
    uint32_t places, taken;
    int64_t longest_ns;
    bool closed;
};

struct waiting_room *waiting_new(uint32_t places, int64_t longest_ns)
{
    struct waiting_room *room = calloc(1, sizeof *room);
    pthread_condattr_t attributes;

    if (!room)
        return NULL;
    pthread_mutex_init(&room->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&room->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    waiting_set(room, places, longest_ns);
    return room;
}

void waiting_free(struct waiting_room **room)
{
    if (!*room)
        return;
    pthread_cond_destroy(&(*room)->wake);
    pthread_mutex_destroy(&(*room)->lock);
    free(*room);
    *room = NULL;
}

void waiting_set(struct waiting_room *room, uint32_t places, int64_t longest_ns)
{
    pthread_mutex_lock(&room->lock);
    room->places = places;
    room->longest_ns = longest_ns;
    pthread_mutex_unlock(&room->lock);
}

struct waiting_totals waiting_totals(struct waiting_room *room)
{
    pthread_mutex_lock(&room->lock);
    const struct waiting_totals totals = {room->taken, room->places};
    pthread_mutex_unlock(&room->lock);
    return totals;
}

/* The room is locked. */
static int64_t enter(struct waiting_room *room, int64_t delay_ns)
{
    if (delay_ns > room->longest_ns)
        delay_ns = room->longest_ns;
    if (delay_ns <= 0 || room->closed || (room->places != 0 && room->taken >= room->places))
        return 0;
    room->taken++;
    return delay_ns;
}

int64_t waiting_enter(struct waiting_room *room, int64_t delay_ns)
{
    pthread_mutex_lock(&room->lock);
    delay_ns = enter(room, delay_ns);
    pthread_mutex_unlock(&room->lock);
    return delay_ns;
}

void waiting_leave(struct waiting_room *room)
{
    pthread_mutex_lock(&room->lock);
    room->taken--;
    pthread_mutex_unlock(&room->lock);
}

void waiting_wait(struct waiting_room *room, int64_t delay_ns)
{
    struct timespec until;

    if (delay_ns <= 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &until);
    pthread_mutex_lock(&room->lock);
    delay_ns = enter(room, delay_ns);
    if (delay_ns > 0) {
        delay_ns += until.tv_nsec;
        until.tv_sec += (time_t)(delay_ns / NS_PER_S);
        until.tv_nsec = (long)(delay_ns % NS_PER_S);
        while (!room->closed && pthread_cond_timedwait(&room->wake, &room->lock, &until) != ETIMEDOUT)
            continue;
        room->taken--;
    }
    pthread_mutex_unlock(&room->lock);
}

void waiting_close(struct waiting_room *room)
{
    pthread_mutex_lock(&room->lock);
    room->closed = true;
    pthread_cond_broadcast(&room->wake);
    pthread_mutex_unlock(&room->lock);
}
