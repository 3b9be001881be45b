/*
 * activity.c: who is busy and who is refused, in two tables of their own (table.h), so that no crowd of limits' keys
 * displaces what people look at, nor the other way round.
 */
#include "activity.h"

#include "state.h"

#include <stdlib.h>
#include <string.h>

/* The windows of a record. */
enum { CONNECTIONS, MESSAGES, REFUSED, MONITORED };
_Static_assert(MONITORED < RECORD_WINDOWS, "a window each");

/* What a cell of them holds: the largest number that leaves four of them in an hour. */
#define CELL_MAX 65535

/*
 * To find one that may go (table.h). Each look is paid for by everybody who is new in a crowd; but who is among the
 * busiest twentieth is as good as never the least of six. The hand is back at a newcomer when a sixth of the table has
 * gone: if he is as busy as others that are seen, he is above one of them by then. Those that came together, such as
 * the first after a start, stand together and are to be compared with others: from one to the next it is the golden
 * section of the table.
 */
#define LOOK 6
#define PASS 96
#define STRIDE(room) ((uint32_t)((uint64_t)(room)*0x9e3779b9 >> 32) | 1)
#define IS_POWER_OF_TWO(number) (((number) & ((number)-1)) == 0)
_Static_assert(IS_POWER_OF_TWO(ACTIVITY_CLIENTS) && IS_POWER_OF_TWO(ACTIVITY_DOMAINS), "any odd stride goes all round");

struct activity {
    struct table *clients, *domains;
    char (*names)[KEY_TEXT_SIZE]; /* of the domains, by the index of the record */
    uint16_t shape;
};

struct activity *activity_new(const uint64_t seed[2])
{
    struct activity *activity = calloc(1, sizeof *activity);
    if (!activity)
        return NULL;
    *activity = (struct activity){
        .clients = table_new(ACTIVITY_CLIENTS, seed),
        .domains = table_new(ACTIVITY_DOMAINS, seed),
        .names = calloc(ACTIVITY_DOMAINS, sizeof *activity->names),
        .shape = window_shape(ACTIVITY_WINDOW_NS, CELL_MAX),
    };
    if (!activity->clients || !activity->domains || !activity->names)
        activity_free(&activity);
    if (activity) {
        table_set_search(activity->clients, LOOK, PASS, STRIDE(ACTIVITY_CLIENTS));
        table_set_search(activity->domains, LOOK, PASS, STRIDE(ACTIVITY_DOMAINS));
    }
    return activity;
}

void activity_free(struct activity **activity)
{
    if (!*activity)
        return;
    table_free(&(*activity)->clients);
    table_free(&(*activity)->domains);
    free((*activity)->names);
    free(*activity);
    *activity = NULL;
}

size_t activity_bytes(void)
{
    return sizeof(struct activity) + table_bytes(ACTIVITY_CLIENTS) + table_bytes(ACTIVITY_DOMAINS) +
           (size_t)ACTIVITY_DOMAINS * KEY_TEXT_SIZE;
}

/* Whoever is high in any order of a list is worth much. */
static uint32_t worth_of(void *unused, struct record *record, uint64_t tick)
{
    (void)unused;
    return record_events(record, tick);
}

/* ---- counting ---- */

static void count(const struct judging *judging, struct record *record, unsigned column)
{
    struct window *window = &record->windows[column];

    window_open(window, judging->engine->activity->shape, judging->tick);
    window_add(window, 1);
}

static void count_outcome(const struct judging *judging, struct record *record)
{
    if (judging->verdict->kind == VERDICT_REFUSE)
        count(judging, record, REFUSED);
    if (judging->monitored)
        count(judging, record, MONITORED);
}

/* A client's group says how many bits of the address it is, so that what was counted under other rules stays what it
 * was. */
static uint32_t group_of(const struct prefix *client)
{
    return (uint32_t)client->bits << 8 | client->addr.family;
}

static bool is_of(const struct record *record, const struct prefix *client, const uint32_t key[4])
{
    return record && record->group_low == group_of(client) && memcmp(record->key, key, sizeof record->key) == 0;
}

/* The record of the client, brought to now; NULL when there is no room or it has no address. What the session, if there
 * is one, has found before costs no look-up: it is held, or it is seen that it is still the same. */
static struct record *client_record(struct judging *judging, struct session *session)
{
    struct table *table = judging->engine->activity->clients;
    const struct prefix client = rules_client(judging->rules, &judging->client);
    const uint32_t *key = judging->client_key;
    uint32_t index = session ? session->activity - 1 : TABLE_NONE;

    if (client.addr.family == ADDR_NONE)
        return NULL;
    if (index == TABLE_NONE || (!session->shown && !is_of(table_at(table, index), &client, key)))
        index = table_obtain(table, group_of(&client), key, judging->tick, worth_of, NULL);
    if (session)
        session->activity = index + 1;
    if (index == TABLE_NONE)
        return NULL;
    record_touch(table_record(table, index), judging->tick);
    return table_record(table, index);
}

void activity_connect(struct judging *judging, struct session *session, bool counts)
{
    if (!judging->engine->activity || judging->verdict->kind == VERDICT_EXEMPT)
        return;
    struct record *record = client_record(judging, session);
    if (!record)
        return;
    if (counts)
        count(judging, record, CONNECTIONS);
    count_outcome(judging, record);
    if (session && session->hold != HELD_NOTHING) {
        table_pin(judging->engine->activity->clients, session->activity - 1);
        session->shown = true;
    }
}

void activity_leave(struct engine *engine, struct session *session)
{
    if (session->shown)
        table_unpin(engine->activity->clients, session->activity - 1);
    session->shown = false;
}

/* The record of the domain of the sender, brought to now; NULL when there is none. A message makes one. */
static struct record *domain_record(struct judging *judging, bool message)
{
    struct activity *activity = judging->engine->activity;
    const char *domain = domain_of(judging->event->sender);
    uint32_t key[4];

    if (!domain || !domain[0])
        return NULL;
    key_of_name(judging->engine, domain, key);
    uint32_t index = message ? table_obtain(activity->domains, 0, key, judging->tick, worth_of, NULL)
                             : table_find(activity->domains, 0, key);
    if (index == TABLE_NONE)
        return NULL;
    struct record *record = table_record(activity->domains, index);
    if (record->windows[MESSAGES].shape == 0) { /* it is new */
        activity->names[index][0] = '\0';
        strncat(activity->names[index], domain, KEY_TEXT_SIZE - 1);
    }
    record_touch(record, judging->tick);
    return record;
}

void activity_event(struct judging *judging)
{
    const bool message = judging->event->kind == EVENT_MAIL;

    if (!judging->engine->activity || (!message && judging->verdict->kind != VERDICT_REFUSE && !judging->monitored))
        return;
    struct record *records[] = {client_record(judging, judging->session), domain_record(judging, message)};
    for (unsigned i = 0; i < 2; i++) {
        if (!records[i])
            continue;
        if (message)
            count(judging, records[i], MESSAGES);
        count_outcome(judging, records[i]);
    }
}

void activity_sweep(struct engine *engine, uint32_t records)
{
    if (!engine->activity)
        return;
    table_sweep(engine->activity->clients, engine_tick(engine), records / 2, worth_of, NULL);
    table_sweep(engine->activity->domains, engine_tick(engine), records / 2, worth_of, NULL);
}

/* ---- looking ---- */

static struct prefix client_of(const struct record *record)
{
    return (struct prefix){.addr = addr_of_key(record->key, (enum addr_family)(record->group_low & 0xff)),
                           .bits = (uint8_t)(record->group_low >> 8)};
}

static const struct table *table_of(const struct activity *activity, enum activity_kind kind)
{
    return kind == ACTIVITY_OF_CLIENTS ? activity->clients : activity->domains;
}

struct activity_totals engine_activity_totals(const struct engine *engine, enum activity_kind kind)
{
    if (!engine->activity)
        return (struct activity_totals){.room = 0};
    const struct table_totals totals = table_totals(table_of(engine->activity, kind));
    return (struct activity_totals){totals.used, totals.room, totals.evicted, totals.untracked};
}

size_t engine_activity(const struct engine *engine, enum activity_kind kind, int64_t now, uint64_t *next,
                       struct activity_view *out, size_t room)
{
    const struct activity *activity = engine->activity;
    size_t found = 0;

    if (!activity) {
        *next = 0;
        return 0;
    }
    const struct table *table = table_of(activity, kind);
    const uint64_t tick = (uint64_t)engine_latest(engine, now) >> TICK_BITS;
    for (unsigned looked = 0; *next < table_extent(table) && looked < ENGINE_BATCH && found < room; looked++) {
        const uint32_t index = (uint32_t)(*next)++;
        const struct record *record = table_at(table, index);
        if (!record)
            continue;
        struct record copy = *record;
        record_touch(&copy, tick);
        struct activity_view *view = &out[found];
        view->client = kind == ACTIVITY_OF_CLIENTS ? client_of(record) : (struct prefix){.bits = 0};
        view->domain[0] = '\0';
        if (kind == ACTIVITY_OF_DOMAINS)
            memcpy(view->domain, activity->names[index], sizeof view->domain);
        view->sessions = record->pins;
        view->connections = window_count(&copy.windows[CONNECTIONS]);
        view->messages = window_count(&copy.windows[MESSAGES]);
        view->refused = window_count(&copy.windows[REFUSED]);
        view->monitored = window_count(&copy.windows[MONITORED]);
        found += view->sessions > 0 || view->connections > 0 || view->messages > 0 || view->refused > 0 ||
                 view->monitored > 0;
    }
    if (*next >= table_extent(table))
        *next = 0;
    return found;
}
