/*
 * findings.c: what a verdict says of the limits that an event was over.
 */
#include "state.h"

#include "reply.h"

#include <string.h>

void verdict_begin(struct verdict *verdict)
{
    verdict->kind = VERDICT_CONTINUE;
    verdict->speak_at = REFUSE_AT_HELO;
    verdict->delay_ns = 0;
    verdict->finding_count = 0;
    verdict->findings[0].limit = LIMIT_NONE;
}

struct finding *finding_add(struct judging *judging, enum limit_id limit, const char *name, enum action action,
                            scope_id scope)
{
    struct verdict *verdict = judging->verdict;
    unsigned place = verdict->finding_count;

    judging->engine->totals[limit].actions[action]++;
    judging->monitored = judging->monitored || action == ACTION_MONITOR;
    /* The last place is the refusal's: whatever else there is, that is told. */
    if (place == FINDINGS_MAX || (place == FINDINGS_MAX - 1 && action != ACTION_REFUSE))
        return NULL;
    verdict->finding_count++;
    struct finding *finding = &verdict->findings[place];
    finding->limit = limit;
    strcpy(finding->name, name);
    finding->action = action;
    rules_scope_name(judging->rules, scope, finding->scope);
    finding->client = (struct prefix){judging->client, (uint8_t)addr_width(&judging->client)};
    finding->key[0] = '\0';
    finding->count = finding->max = finding->points = 0;
    finding->banned = finding->ban_began = false;
    finding->ban_left_ns = 0;
    return finding;
}

void finding_cross(struct judging *judging, struct finding *finding, bool per_client)
{
    finding->crossing =
        crossings_found(judging->engine->crossings, finding, per_client, &judging->client, judging->now);
}

void finding_refuse(struct judging *judging, const struct reply *form, const struct finding *finding, int64_t delay_ns)
{
    judging->verdict->kind = VERDICT_REFUSE;
    judging->verdict->delay_ns = delay_ns;
    reply_render(form, finding, &judging->verdict->reply);
}

bool judge_whole(struct judging *judging, enum limit_id limit, scope_id scope, uint32_t count, uint32_t max)
{
    bool monitor = rules_monitor(judging->rules);

    if (monitor && judging->over)
        return true;
    judge_found(judging, limit, monitor ? ACTION_MONITOR : ACTION_REFUSE, scope, count, max, 0);
    if (monitor)
        judge_would_end(judging);
    return monitor;
}

void judge_would_end(struct judging *judging)
{
    judging->over = judging->over_now = true;
}

void judge_found(struct judging *judging, enum limit_id limit, enum action action, scope_id scope, uint32_t count,
                 uint32_t max, uint32_t points)
{
    struct finding *finding = finding_add(judging, limit, limit_name(limit), action, scope);
    if (!finding)
        return;
    finding->count = count;
    finding->max = max;
    finding->points = points;
    finding_cross(judging, finding, false);
    if (action == ACTION_REFUSE)
        finding_refuse(judging, reply_of_limit(limit), finding, judging->disconnect_delay_ns);
}
