/*
 * key_texts.h: the texts of names that limits have banned, of which the table keeps hashes alone. So many at most:
 * those whose ban ends first give way.
 *
 * All memory is reserved by key_texts_new() and touched only as it is used. Threads: as the engine's.
 */
#ifndef ENGINE_KEY_TEXTS_H
#define ENGINE_KEY_TEXTS_H

#include "event.h"

#define KEY_TEXTS 4096

struct key_texts;

/* NULL when memory is short. */
struct key_texts *key_texts_new(void);
/* Frees them and sets the caller's pointer to NULL; a NULL pointer is left alone. */
void key_texts_free(struct key_texts **texts);

/* Bytes that key_texts_new() reserves. */
size_t key_texts_bytes(void);

/* Keeps the text of a key, which is a keyed hash of it, that is banned until that tick. */
void key_texts_keep(struct key_texts *texts, const uint32_t key[4], const char *text, uint64_t until);

/* The text, good until the next call; NULL when it is not known. */
const char *key_texts_find(const struct key_texts *texts, const uint32_t key[4]);

#endif
