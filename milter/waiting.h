/*
 * waiting.h: the room where callbacks wait before they tell a client that it is refused. For drivers whose callbacks
 * block; each one that waits holds a thread, so the room is bounded.
 *
 * Threads: any number may wait; waiting_close() may be called from any thread, not from a signal handler.
 */
#ifndef MILTER_WAITING_H
#define MILTER_WAITING_H

#include <stdint.h>

struct waiting_room;

/* A room for `places` callbacks (0: any number), each for at most `longest_ns` (up to an hour or so). NULL when memory
 * is short. */
struct waiting_room *waiting_new(uint32_t places, int64_t longest_ns);
void waiting_free(struct waiting_room **room);

/* New bounds, from the next waiting_wait() on. */
void waiting_set(struct waiting_room *room, uint32_t places, int64_t longest_ns);

/* Waits for `delay_ns`, or less: the longest that is allowed, until the room is closed, or not at all when every place
 * is taken. */
void waiting_wait(struct waiting_room *room, int64_t delay_ns);

/* Wakes everybody; nobody waits from here on. */
void waiting_close(struct waiting_room *room);

#endif
