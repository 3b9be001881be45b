/*
 * bans.c: bans for people.
 */
#include "bans.h"

enum ban_result engine_ban(struct engine *engine, const struct ban_target *target, int64_t length_ns, int64_t now)
{
    (void)engine, (void)target, (void)length_ns, (void)now;
    return BAN_NO_ROOM;
}

size_t engine_bans(const struct engine *engine, int64_t now, uint64_t *next, struct ban_view *out, size_t room)
{
    (void)engine, (void)now, (void)out, (void)room;
    *next = 0;
    return 0;
}

size_t engine_unban(struct engine *engine, const struct unban *unban, int64_t now, uint64_t *next)
{
    (void)engine, (void)unban, (void)now;
    *next = 0;
    return 0;
}
