/*
 * waiting.h: the room where answers wait before a client is told that it is refused. Each one that waits holds a
 * process of the MTA, and in a driver whose callbacks block a thread as well, so the room is bounded.
 *
 * Threads: any number may wait; waiting_close() may be called from any thread, not from a signal handler.
 */
#ifndef DOORS_WAITING_H
#define DOORS_WAITING_H

#include <stdint.h>

struct waiting_room;

/* A room for `places` callbacks (0: any number), each for at most `longest_ns` (up to an hour or so). NULL when memory
 * is short. */
struct waiting_room *waiting_new(uint32_t places, int64_t longest_ns);
void waiting_free(struct waiting_room **room);

/* New bounds, from the next waiting_wait() or waiting_enter() on. */
void waiting_set(struct waiting_room *room, uint32_t places, int64_t longest_ns);

/* How many wait, and how many may (0: any number). */
struct waiting_totals {
    uint32_t taken, places;
};
struct waiting_totals waiting_totals(struct waiting_room *room);

/* Waits for `delay_ns`, or less: the longest that is allowed, until the room is closed, or not at all when every place
 * is taken. */
void waiting_wait(struct waiting_room *room, int64_t delay_ns);

/* For drivers that do not block: takes a place and returns how long to wait, in nanoseconds; 0, and no place is taken,
 * where waiting_wait() would not wait. Whoever got a place gives it back with waiting_leave() when its wait is over. */
int64_t waiting_enter(struct waiting_room *room, int64_t delay_ns);
void waiting_leave(struct waiting_room *room);

/* Wakes everybody; nobody waits from here on. (Those who do not block have to be told.) */
void waiting_close(struct waiting_room *room);

#endif
