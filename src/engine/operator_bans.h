/*
 * operator_bans.h: the bans of administrators: up to OPERATOR_BANS_MAX blocks of clients and domains, each for a time.
 *
 * All memory is reserved by operator_bans_new() and touched only as it is used. A look-up costs one access for each
 * length of prefix in use, or for each label of the name; nothing while there are no bans.
 *
 * Times are nanoseconds of the engine's time. Threads: as the engine's.
 */
#ifndef ENGINE_OPERATOR_BANS_H
#define ENGINE_OPERATOR_BANS_H

#include "bans.h"

struct operator_ban {
    struct ban_target target;
    int64_t since, until; /* in force up to, not at, `until` */
    bool monitored;       /* it was begun in a dry run, with which it ends */
    uint32_t next;        /* in its bucket, or among the free ones: its index plus one, 0: none */
    uint32_t place;       /* among all by their end; OPERATOR_BANS_MAX: it is free */
};

struct operator_bans;

/* NULL when memory is short. */
struct operator_bans *operator_bans_new(const uint64_t seed[2]);
/* Frees them and sets the caller's pointer to NULL; a NULL pointer is left alone. */
void operator_bans_free(struct operator_bans **bans);

/* Bytes that operator_bans_new() reserves. */
size_t operator_bans_bytes(void);

/* Bans from `now` until `until`; `monitored`: in a dry run. One of the same target that is in force keeps when it
 * began, and whether that was in one. */
enum ban_result operator_bans_put(struct operator_bans *bans, const struct ban_target *target, int64_t now,
                                  int64_t until, bool monitored);

/* The ban with the longest prefix that holds the address; of the longest domain that the name is, or is in. A name with
 * an '@' is that of its domain. NULL when none is in force. */
const struct operator_ban *operator_bans_client(const struct operator_bans *bans, const struct addr *client,
                                                int64_t now);
const struct operator_ban *operator_bans_name(const struct operator_bans *bans, const char *name, int64_t now);

/* The narrowest that holds all of the block. NULL when none is in force. */
const struct operator_ban *operator_bans_block(const struct operator_bans *bans, const struct prefix *block,
                                               int64_t now);

/* The ban of that very target; NULL when none is in force. */
const struct operator_ban *operator_bans_of(const struct operator_bans *bans, const struct ban_target *target,
                                            int64_t now);

/* Of the bans around that one in force the narrowest: of a shorter prefix, or of a domain that it is in. NULL when
 * there is none. */
const struct operator_ban *operator_bans_around(const struct operator_bans *bans, const struct operator_ban *ban,
                                                int64_t now);

/* Drops those that were begun in a dry run. */
void operator_bans_end_monitored(struct operator_bans *bans);

/* Drops bans that are over, at most so many. */
void operator_bans_expire(struct operator_bans *bans, int64_t now, uint32_t most);

/* Bans there are, also those that are over and were not dropped yet; how many of them were begun in a dry run. */
uint32_t operator_bans_count(const struct operator_bans *bans);
uint32_t operator_bans_monitored(const struct operator_bans *bans);

/* Indices from here on have never been used. The ban at an index below that; NULL: there is none. Its end. */
uint32_t operator_bans_extent(const struct operator_bans *bans);
const struct operator_ban *operator_bans_at(const struct operator_bans *bans, uint32_t index);
void operator_bans_remove(struct operator_bans *bans, uint32_t index);

#endif
