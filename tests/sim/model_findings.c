/*
 * model_findings.c: what a verdict says.
 */
#include "judgement.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

struct prefix judgement_prefix(const struct plain_addr *addr, unsigned ipv4_bits, unsigned ipv6_bits)
{
    const unsigned bits = addr->family == 4 ? ipv4_bits : addr->family == 6 ? ipv6_bits : 0;
    struct plain_addr cut = *addr;
    plain_cut(&cut, bits);
    return (struct prefix){plain_to_addr(&cut), (uint8_t)bits};
}

static void write_client(const struct plain_addr *addr, unsigned bits, char out[80])
{
    char text[INET6_ADDRSTRLEN] = "none";
    if (addr->family != 0)
        inet_ntop(addr->family == 4 ? AF_INET : AF_INET6, addr->bytes, text, sizeof text);
    if (bits < (addr->family == 4 ? 32 : addr->family == 6 ? 128 : 0))
        snprintf(out, 80, "%s/%u", text, bits);
    else
        snprintf(out, 80, "%s", text);
}

static void render(const struct judgement *judgement, const struct reply *form, const struct finding *finding)
{
    struct reply *out = &judgement->verdict->reply;
    struct plain_addr client = judgement->session->facts.client;
    char values[4][80];
    static const char *const names[] = {"{client}", "{limit}", "{count}", "{max}"};
    size_t used = 0;

    plain_cut(&client, finding->client.bits);
    write_client(&client, finding->client.bits, values[0]);
    snprintf(values[1], sizeof values[1], "%s", finding->name);
    snprintf(values[2], sizeof values[2], "%u", finding->count);
    snprintf(values[3], sizeof values[3], "%u", finding->max);
    *out = *form;
    for (const char *from = form->text; *from;) {
        int which = 0;
        while (which < 4 && strncmp(from, names[which], strlen(names[which])) != 0)
            which++;
        used += (size_t)snprintf(out->text + used, sizeof out->text - used, "%.*s", which < 4 ? 80 : 1,
                                 which < 4 ? values[which] : from);
        from += which < 4 ? strlen(names[which]) : 1;
    }
    out->text[used] = '\0';
}

struct finding *judgement_find(struct judgement *judgement, enum limit_id limit, const char *name, enum action action,
                               int scope)
{
    struct verdict *verdict = judgement->verdict;
    const struct plain_addr *client = &judgement->session->facts.client;

    model_view(judgement->model, name)->actions[action]++;
    if (verdict->finding_count >= FINDINGS_MAX - (action == ACTION_REFUSE ? 0u : 1u))
        return NULL;
    struct finding *finding = &verdict->findings[verdict->finding_count++];
    memset(finding, 0, sizeof *finding);
    finding->limit = limit;
    snprintf(finding->name, sizeof finding->name, "%s", name);
    finding->action = action;
    model_scope_name(&judgement->model->rules, scope, finding->scope);
    finding->client = judgement_prefix(client, 32, 128);
    return finding;
}

void judgement_cross(struct judgement *judgement, struct finding *finding, bool per_client)
{
    const struct addr client = plain_to_addr(&judgement->session->facts.client);
    model_cross(judgement->model, finding, per_client, &client, judgement->now);
}

void judgement_refuse(struct judgement *judgement, const struct reply *form, const struct finding *finding,
                      int64_t delay)
{
    judgement->verdict->kind = VERDICT_REFUSE;
    judgement->verdict->delay_ns = delay;
    render(judgement, form, finding);
}

void judgement_find_whole(struct judgement *judgement, enum limit_id limit, enum action action, int scope,
                          uint32_t count, uint32_t max, uint32_t points)
{
    static const struct {
        const char *name;
        struct reply reply;
    } whole[LIMIT_NUMBERED] = {
        [LIMIT_SERVICE_SESSIONS] = {"service_sessions",
                                    {"421", "4.4.5", "Service unavailable, concurrency limit reached."}},
        [LIMIT_LISTENER_SESSIONS] = {"listener_sessions",
                                     {"421", "4.4.5", "Service unavailable, concurrency limit reached."}},
        [LIMIT_SESSION_TABLE] = {"session_table_size", {"", "", ""}},
        [LIMIT_DENY] = {"deny", {"421", "4.7.1", "Service unavailable, access denied."}},
        [LIMIT_BAN] = {"ban", {"421", "4.7.1", "Service unavailable, access denied."}},
        [LIMIT_IDLE_TIME] = {"idle_time", {"421", "4.4.2", "Service unavailable, idle for too long."}},
        [LIMIT_SCORE] = {"score", {"421", "4.7.1", "Service unavailable, refused by policy."}},
    };
    struct finding *finding = judgement_find(judgement, limit, whole[limit].name, action, scope);

    if (!finding)
        return;
    finding->count = count;
    finding->max = max;
    finding->points = points;
    judgement_cross(judgement, finding, false);
    if (action == ACTION_REFUSE)
        judgement_refuse(judgement, &whole[limit].reply, finding, judgement->session->chain.delay);
}
