/*
 * arena.h: memory that is freed all at once. One thread at a time.
 */
#ifndef CONFIG_ARENA_H
#define CONFIG_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_chunk;

/* All zero is an empty arena. */
struct arena {
    struct arena_chunk *chunks;
    size_t used, size; /* of the newest chunk */
};

/* `size` bytes, zeroed and aligned for any type; NULL when memory is short. */
void *arena_new(struct arena *arena, size_t size);

/* A copy of the `length` bytes at `text`, with an end. NULL when memory is short. */
char *arena_text(struct arena *arena, const char *text, size_t length);

/* Frees everything and leaves an empty arena. */
void arena_clear(struct arena *arena);

#endif
