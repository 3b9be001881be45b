/*
 * control_activity.c: /clients and /domains.
 */
#include "daemon/control.h"

#include <string.h>

#include "daemon/json_parts.h"
#include "daemon/reading.h"

#define LISTED_MAX 10000
#define LISTED_DEFAULT 100

/* ---- order ---- */

static int by_number(uint64_t a, uint64_t b)
{
    return (a < b) - (a > b);
}

/* So that the same clients always stand in the same order. */
static int by_name(const struct activity_view *a, const struct activity_view *b)
{
    int order = by_number(a->connections, b->connections);

    if (order == 0)
        order = by_number(a->messages, b->messages);
    if (order == 0)
        order = prefix_compare(&a->client, &b->client);
    return order != 0 ? order : strcmp(a->domain, b->domain);
}

#define ORDER(name, number)                                 \
    static int name(const void *first, const void *second)  \
    {                                                       \
        const struct activity_view *a = first, *b = second; \
        int order = by_number(number(a), number(b));        \
        return order != 0 ? order : by_name(a, b);          \
    }
#define SESSIONS(view) (view)->sessions
#define CONNECTIONS(view) (view)->connections
#define MESSAGES(view) (view)->messages
#define REFUSED(view) (view)->refused
#define MONITORED(view) (view)->monitored
#define TROUBLE(view) ((uint64_t)(view)->refused + (view)->monitored)
ORDER(by_sessions, SESSIONS)
ORDER(by_connections, CONNECTIONS)
ORDER(by_messages, MESSAGES)
ORDER(by_refused, REFUSED)
ORDER(by_monitored, MONITORED)
ORDER(by_trouble, TROUBLE)

static const struct {
    const char *name; /* of the parameter; NULL: it has none */
    int (*compare)(const void *, const void *);
    bool of_domains;
} orders[] = {
    [BY_SESSIONS] = {"sessions", by_sessions, false},   [BY_CONNECTIONS] = {"connections", by_connections, false},
    [BY_MESSAGES] = {"messages", by_messages, true},    [BY_REFUSED] = {"refused", by_refused, true},
    [BY_MONITORED] = {"monitored", by_monitored, true}, [BY_TROUBLE] = {NULL, by_trouble, true},
};
#define ORDERS (sizeof orders / sizeof *orders)

int (*activity_compare(enum activity_order order))(const void *, const void *)
{
    return orders[order].compare;
}

/* ---- lists ---- */

static json_t *activity_json(enum activity_kind kind, const struct activity_view *view)
{
    char client[PREFIX_TEXT_SIZE];

    if (kind == ACTIVITY_OF_DOMAINS)
        return json_pack("{s:o, s:I, s:I, s:I}", "domain", control_text(view->domain), "messages",
                         (json_int_t)view->messages, "refused", (json_int_t)view->refused, "monitored",
                         (json_int_t)view->monitored);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "client", prefix_format(&view->client, client), "sessions",
                     (json_int_t)view->sessions, "connections", (json_int_t)view->connections, "messages",
                     (json_int_t)view->messages, "refused", (json_int_t)view->refused, "monitored",
                     (json_int_t)view->monitored);
}

json_t *activity_list(enum activity_kind kind, struct best *best)
{
    json_t *list = json_array();
    bool ok = best->items != NULL;

    best_sort(best);
    for (size_t i = 0; i < best->count && ok; i++)
        ok = add(list, activity_json(kind, (const struct activity_view *)best->items + i));
    return whole(list, ok);
}

bool put_activity_totals(struct control *control, enum activity_kind kind, json_t *page)
{
    const struct activity_totals totals = read_activity_totals(control, kind);

    return put(page, "room", json_integer(totals.room)) &&
           put(page, "evicted", json_integer((json_int_t)totals.evicted)) &&
           put(page, "untracked", json_integer((json_int_t)totals.untracked));
}

/* ---- pages ---- */

static bool read_order(const char *text, enum activity_kind kind, enum activity_order *out)
{
    for (size_t i = 0; i < ORDERS; i++) {
        if (!orders[i].name || strcmp(orders[i].name, text) != 0 ||
            (kind == ACTIVITY_OF_DOMAINS && !orders[i].of_domains))
            continue;
        *out = (enum activity_order)i;
        return true;
    }
    return false;
}

static json_t *activity_page(struct control *control, enum activity_kind kind, const struct evkeyvalq *parameters,
                             int *status)
{
    static const char *const names[] = {"sort", "n", NULL};
    const bool clients = kind == ACTIVITY_OF_CLIENTS;
    enum activity_order order = clients ? BY_CONNECTIONS : BY_MESSAGES;
    int64_t wanted = LISTED_DEFAULT;
    struct best best;
    json_t *error;

    if (!control_known(parameters, names, &error, status) ||
        !control_number(parameters, "n", "", LISTED_MAX, &wanted, &error, status))
        return error;
    const char *sort = control_parameter(parameters, "sort");
    if (sort && !read_order(sort, kind, &order))
        return control_error(status, 400, "sort is \"%.60s\"; give %smessages, refused or monitored", sort,
                             clients ? "sessions, connections, " : "");
    bool ok = best_init(&best, (size_t)wanted, sizeof(struct activity_view), orders[order].compare);
    if (ok)
        read_activity(control, kind, &best, 1);
    json_t *page = json_object();
    ok = put(page, clients ? "clients" : "domains", activity_list(kind, &best)) &&
         put(page, "left_out", json_integer((json_int_t)best.left_out)) && put_activity_totals(control, kind, page);
    best_free(&best);
    *status = 200;
    return whole(page, ok);
}

json_t *control_clients(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    return activity_page(control, ACTIVITY_OF_CLIENTS, parameters, status);
}

json_t *control_domains(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    return activity_page(control, ACTIVITY_OF_DOMAINS, parameters, status);
}
