/*
 * activity.c: who is busy and who is refused.
 */
#include "activity.h"

size_t engine_activity(const struct engine *engine, enum activity_kind kind, int64_t now, uint64_t *next,
                       struct activity_view *out, size_t room)
{
    (void)engine, (void)kind, (void)now, (void)out, (void)room;
    *next = 0;
    return 0;
}
