/*
 * nameset.c: names in an open-addressed hash table, their texts one after the other.
 */
#include "nameset.h"

#include "hash.h"

#include <stdlib.h>
#include <string.h>

struct slot {
    uint32_t text; /* where its name begins in `texts`, plus one; 0: empty */
    uint32_t tag;  /* more of its hash, so that hardly any other name's text is looked at */
    uint32_t value;
};

struct nameset {
    size_t count, mask; /* slots less one; a power of two of them, at most half of them taken */
    size_t text_bytes;  /* reserved */
    struct slot *slots;
    char *texts;
};

/* The name's slot, or the empty one where it belongs, with its tag. */
static struct slot *find(const struct nameset *set, const char *name, size_t length, uint32_t *tag)
{
    static const uint64_t key[2] = {0, 0}; /* the names are the administrator's, so it need not be secret */
    uint64_t hash = hash_bytes(key, name, length);
    size_t at = (size_t)hash & set->mask;

    *tag = (uint32_t)(hash >> 32);
    for (;; at = (at + 1) & set->mask) {
        struct slot *slot = &set->slots[at];
        if (slot->text == 0 || (slot->tag == *tag && strcmp(&set->texts[slot->text - 1], name) == 0))
            return slot;
    }
}

struct nameset *nameset_build(const struct nameset_entry *entries, size_t count)
{
    struct nameset *set = calloc(1, sizeof *set);
    size_t slots = 2, used = 0;

    if (!set)
        return NULL;
    while (slots < count * 2)
        slots *= 2;
    set->text_bytes = 1; /* malloc(0) may give NULL */
    for (size_t i = 0; i < count; i++)
        set->text_bytes += strlen(entries[i].name) + 1;
    if (set->text_bytes <= UINT32_MAX) {
        set->slots = calloc(slots, sizeof *set->slots);
        set->texts = malloc(set->text_bytes);
    }
    if (!set->slots || !set->texts) {
        nameset_free(&set);
        return NULL;
    }
    set->mask = slots - 1;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(entries[i].name);
        uint32_t tag;
        struct slot *slot = find(set, entries[i].name, length, &tag);
        if (slot->text == 0) {
            memcpy(&set->texts[used], entries[i].name, length + 1);
            *slot = (struct slot){.text = (uint32_t)used + 1, .tag = tag};
            used += length + 1;
            set->count++;
        }
        slot->value = entries[i].value;
    }
    return set;
}

void nameset_free(struct nameset **set)
{
    if (!*set)
        return;
    free((*set)->slots);
    free((*set)->texts);
    free(*set);
    *set = NULL;
}

size_t nameset_count(const struct nameset *set)
{
    return set ? set->count : 0;
}

size_t nameset_bytes(const struct nameset *set)
{
    return set ? sizeof *set + (set->mask + 1) * sizeof *set->slots + set->text_bytes : 0;
}

uint32_t nameset_exact(const struct nameset *set, const char *name)
{
    uint32_t tag;

    if (!set || set->count == 0)
        return NAMESET_NONE;
    const struct slot *slot = find(set, name, strlen(name), &tag);
    return slot->text != 0 ? slot->value : NAMESET_NONE;
}

uint32_t nameset_match(const struct nameset *set, const char *name, const char **entry)
{
    const char *domain = strrchr(name, '@'), *part = name;
    uint32_t value = NAMESET_NONE;

    if (!set || set->count == 0)
        return NAMESET_NONE;
    if (domain)
        value = nameset_exact(set, name);
    domain = domain ? domain + 1 : name;
    for (unsigned label = 0; value == NAMESET_NONE && domain && label < NAMESET_LABELS; label++) {
        part = domain;
        value = nameset_exact(set, part);
        domain = strchr(part, '.');
        domain = domain ? domain + 1 : NULL;
    }
    if (value != NAMESET_NONE)
        *entry = part;
    return value;
}

uint32_t nameset_address(const struct nameset *set, const char *name)
{
    const char *entry;
    return nameset_match(set, name, &entry);
}
