/*
 * model_crossing.c: which limits are refusing at the moment.
 */
#include "model.h"

#include <string.h>

static struct model_crossing *longest_quiet(struct model *model)
{
    struct model_crossing *found = NULL;
    for (uint32_t i = 0; i < model->crossing_count; i++)
        if (!found || model->crossings[i].order < found->order)
            found = &model->crossings[i];
    return found;
}

void model_end(struct model *model, struct model_crossing *crossing)
{
    *crossing = model->crossings[--model->crossing_count];
}

/* A clock that steps back may delay the end of those that come after, hence only the longest quiet is asked. */
struct model_crossing *model_next_over(struct model *model, int64_t now, bool all)
{
    struct model_crossing *crossing = longest_quiet(model);
    return crossing && (all || now - crossing->last >= MODEL_QUIET_NS) ? crossing : NULL;
}

static bool same_client(const struct addr *a, const struct addr *b)
{
    return a->hi == b->hi && a->lo == b->lo && a->family == b->family;
}

static void add_client(struct model_crossing *crossing, const struct addr *client)
{
    for (uint32_t i = 0; i < crossing->client_count; i++)
        if (same_client(&crossing->clients[i], client))
            return;
    if (crossing->client_count < MODEL_CLIENTS)
        crossing->clients[crossing->client_count++] = *client;
}

void model_cross(struct model *model, struct finding *finding, bool per_client, const struct addr *client, int64_t now)
{
    struct model_crossing *crossing = NULL;
    struct prefix whom = {.bits = 0};

    if (per_client)
        whom = finding->client;
    for (uint32_t i = 0; i < model->crossing_count && !crossing; i++) {
        struct model_crossing *other = &model->crossings[i];
        if (other->action == finding->action && other->client.bits == whom.bits &&
            same_client(&other->client.addr, &whom.addr) && strcmp(other->name, finding->name) == 0 &&
            strcmp(other->scope, finding->scope) == 0 && strcmp(other->key, finding->key) == 0)
            crossing = other;
    }
    finding->crossing = !crossing && model->crossing_count < MODEL_CROSSINGS;
    if (!crossing && !finding->crossing) {
        model->unfollowed++;
        return;
    }
    if (!crossing) {
        crossing = &model->crossings[model->crossing_count++];
        memset(crossing, 0, sizeof *crossing);
        memcpy(crossing->name, finding->name, sizeof crossing->name);
        memcpy(crossing->scope, finding->scope, sizeof crossing->scope);
        memcpy(crossing->key, finding->key, sizeof crossing->key);
        crossing->action = finding->action;
        crossing->client = whom;
        crossing->first = now;
    }
    crossing->refused++;
    crossing->last = now;
    crossing->order = ++model->refusals;
    add_client(crossing, client);
}
