/*
 * nameset.h: an immutable set of names, each with a value: lists of domains, addresses and users.
 *
 * Names are in normal form (mail/names.h) and compared byte by byte. A look-up costs the same however many there are.
 * Immutable once built; any thread may look up. A NULL set holds nothing.
 */
#ifndef ENGINE_NAMESET_H
#define ENGINE_NAMESET_H

#include <stddef.h>
#include <stdint.h>

/* What a look-up answers when there is nothing. */
#define NAMESET_NONE UINT32_MAX

struct nameset_entry {
    const char *name; /* copied */
    uint32_t value;   /* anything but NAMESET_NONE */
};

struct nameset;

/* Of a name that is given twice the last counts. The caller owns the result; NULL when memory is short, or the names
 * take 4 GiB. */
struct nameset *nameset_build(const struct nameset_entry *entries, size_t count);

/* Frees it and sets the caller's pointer to NULL; a NULL pointer is left alone. */
void nameset_free(struct nameset **set);

/* Different names, and bytes, that it holds; 0 for NULL. */
size_t nameset_count(const struct nameset *set);
size_t nameset_bytes(const struct nameset *set);

/* The value of just that name, or NAMESET_NONE. */
uint32_t nameset_exact(const struct nameset *set, const char *name);

/* At most so many labels of a domain are looked at: a normal form has no more. */
#define NAMESET_LABELS 128

/* The value of the address if it is in the set, else of the longest among its domain and the domains above that
 * ("a@b.c.example": "b.c.example", "c.example", "example"); of a name without '@', which is a domain, those alone.
 * NAMESET_NONE when there is none. */
uint32_t nameset_address(const struct nameset *set, const char *name);

/* The same; *entry becomes the part of `name` that is in the set, and is left alone when there is none. */
uint32_t nameset_match(const struct nameset *set, const char *name, const char **entry);

#endif
