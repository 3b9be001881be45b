/*
 * json_parts.h: JSON put together from parts, any of which may be NULL for want of memory: a part is taken over either
 * way, and who looks at the end knows whether everything is there.
 */
#ifndef DAEMON_JSON_PARTS_H
#define DAEMON_JSON_PARTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* False, and nothing leaks, when there is no object, or no part. */
static inline bool put(json_t *object, const char *name, json_t *part)
{
    return json_object_set_new(object, name, part) == 0;
}

static inline bool add(json_t *array, json_t *part)
{
    return json_array_append_new(array, part) == 0;
}

/* What is not whole is nothing. */
static inline json_t *whole(json_t *json, bool ok)
{
    if (ok)
        return json;
    json_decref(json);
    return NULL;
}

#endif
