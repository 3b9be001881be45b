/*
 * bans.h: bans for people: what an administrator bans, which bans are in force, and how one is lifted.
 *
 * A limit bans one of its keys (a client, a domain, a user ...) when it is crossed and says so (TERM_BAN). An
 * administrator bans a block of clients or a domain: what it holds is refused as if it stood in the deny list, whatever
 * the mode of that list, with the reply of that list; a finding has LIMIT_BAN. Against the exempt list the longest
 * prefix holds, on a tie the ban; among names the most specific (an exempt user does not matter). Where everything is
 * only monitored (mode = monitor), so are they; one that is begun there never becomes real, but ends with the dry run.
 * Otherwise they outlive a reload, not a restart.
 *
 * Threads: as engine.h.
 */
#ifndef ENGINE_BANS_H
#define ENGINE_BANS_H

#include "engine.h"

/* So many bans of administrators at once. */
#define OPERATOR_BANS_MAX 10000

/* The longest of them; also what "for ever" is, as far as a restart is away. */
#define OPERATOR_BAN_NS_MAX (INT64_C(365) * 86400 * 1000000000)

/* Whom an administrator means: a block of clients, or, with clients.addr.family ADDR_NONE, a name in normal form
 * (mail/names.h): a domain with its subdomains; for engine_unban() any name that limits count. */
struct ban_target {
    struct prefix clients;
    char name[KEY_TEXT_SIZE];
};

enum ban_result {
    BAN_BEGUN,
    BAN_CHANGED, /* the target was banned already; from then on, but until the new end */
    BAN_NO_ROOM, /* OPERATOR_BANS_MAX are in force; nothing has changed */
};

/* Bans from now on, for length_ns, 1 s to OPERATOR_BAN_NS_MAX. Open sessions of a client go on; of a domain the next
 * MAIL is refused, or the next RCPT of a message that is under way. */
enum ban_result engine_ban(struct engine *engine, const struct ban_target *target, int64_t length_ns, int64_t now);

/* Whether a ban of that target is in force that was begun where everything is only monitored, and ends with that. */
bool engine_ban_monitored(const struct engine *engine, const struct ban_target *target, int64_t now);

/* How many of those there are. */
uint32_t engine_bans_of_dry_run(const struct engine *engine);

/* A ban that is in force. */
struct ban_view {
    enum limit_id limit;         /* LIMIT_BAN: an administrator's */
    char name[LIMIT_NAME_SIZE];  /* of the limit; "ban" */
    char scope[SCOPE_NAME_SIZE]; /* of the limit; "service" */
    enum limit_per per;          /* whom the limit counts; of an administrator's PER_CLIENT, or PER_SENDER_DOMAIN */
    struct prefix client;        /* family ADDR_NONE: it is a name that is banned */
    char key[KEY_TEXT_SIZE];     /* that name; "#" and 32 hexadecimal digits where the name is not known any more */
    enum action action;          /* ACTION_REFUSE, ACTION_SCORE, ACTION_MONITOR: what it does; where the limit's mode
                                    differs from session to session (its block says none itself), what it did when it
                                    began */
    int64_t since_ns, left_ns;   /* how long ago it began, and how long it will last. Of a limit's to a tick
                                    (window.h); when more than 255 different lengths of bans were in use since the
                                    start, `since_ns` of a further one is by the nearest of those */
};

/* Copies bans, first the administrators', then those found among ENGINE_BATCH records of the table from *next on, at
 * most `room` (8 or more), and moves *next on; it is 0 again after the last. 0 is returned where a stretch has none, so
 * *next says when to stop. A ban that ends or begins meanwhile may or may not be among them. */
size_t engine_bans(const struct engine *engine, int64_t now, uint64_t *next, struct ban_view *out, size_t room);

/* Which bans are to be lifted: those that fit everything that is given. */
struct unban {
    const struct ban_target *target; /* NULL: whoever it is. A block of clients: the bans of it, in it, and around it
                                        that limits have begun; an administrator's only if it is the same block or in
                                        it. A name, or what a ban_view has in its stead: that very name; of an
                                        administrator's its subdomains, too */
    bool users;                      /* the target is the name of a user: of limits per user alone */
    const char *limit;               /* its name; "ban": administrators'; NULL: whatever it is */
    int64_t since_ns;                /* began so long ago at most; 0: whenever */
};

/* What has been done so far: both grow from call to call. */
struct unbanned {
    size_t lifted;    /* bans, those that only monitor included */
    size_t forgotten; /* counts of a limit for a key, above 0, that were forgotten without a ban of theirs */
};

/*
 * Lifts them, looking at no more than ENGINE_BATCH records from *next on, and moves *next on; it is 0 again when all is
 * done. What the limit has counted for that key is forgotten with its ban, or the next event would ban it anew. With a
 * target and no `since_ns`, what the limits over windows (or the one that `limit` names) have counted for it is
 * forgotten also where there is no ban, but what is open stays counted. Bans that no limit in force has begun are as if
 * they were not there, here and in engine_bans().
 */
void engine_unban(struct engine *engine, const struct unban *unban, int64_t now, uint64_t *next, struct unbanned *done);

/* The narrowest ban of an administrator that keeps out all of the target, the sender if it is a name. False when there
 * is none, as in a dry run, or the exempt list has more detail, be it of a part. */
bool engine_held_by(const struct engine *engine, const struct ban_target *target, int64_t now, struct ban_view *out);

#endif
