/*
 * key_texts.c: a cache of texts. A key may stand in one of a few places; who chooses names cannot choose those.
 */
#include "key_texts.h"

#include <stdlib.h>
#include <string.h>

#define WAYS 8u
#define SETS (KEY_TEXTS / WAYS)

struct key_text {
    uint32_t key[4];
    uint64_t until; /* 0: the place is free */
    char text[KEY_TEXT_SIZE];
};

struct key_texts {
    struct key_text sets[SETS][WAYS];
};

struct key_texts *key_texts_new(void)
{
    return calloc(1, sizeof(struct key_texts));
}

void key_texts_free(struct key_texts **texts)
{
    free(*texts);
    *texts = NULL;
}

size_t key_texts_bytes(void)
{
    return sizeof(struct key_texts);
}

static bool is_of(const struct key_text *text, const uint32_t key[4])
{
    return text->until != 0 && memcmp(text->key, key, sizeof text->key) == 0;
}

void key_texts_keep(struct key_texts *texts, const uint32_t key[4], const char *text, uint64_t until)
{
    struct key_text *set = texts->sets[key[0] % SETS], *place = NULL;

    for (unsigned way = 0; way < WAYS && !place; way++)
        if (is_of(&set[way], key))
            place = &set[way];
    if (place) { /* other limits may ban it longer */
        place->until = until > place->until ? until : place->until;
        return;
    }
    place = set;
    for (unsigned way = 1; way < WAYS; way++)
        if (set[way].until < place->until)
            place = &set[way];
    memcpy(place->key, key, sizeof place->key);
    place->until = until;
    place->text[0] = '\0';
    strncat(place->text, text, sizeof place->text - 1);
}

const char *key_texts_find(const struct key_texts *texts, const uint32_t key[4])
{
    const struct key_text *set = texts->sets[key[0] % SETS];

    for (unsigned way = 0; way < WAYS; way++)
        if (is_of(&set[way], key))
            return set[way].text;
    return NULL;
}
