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

/* To find one that may go, as a crowd of clients must not cost more than what it is for is worth. */
#define LOOK 4
#define PASS 64

/* When a record was silent for so long, every window of it is empty (window.h). */
#define FORGOTTEN_TICKS ((uint64_t)(ACTIVITY_WINDOW_NS + ACTIVITY_WINDOW_NS / 3) >> TICK_BITS)

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
        table_set_look(activity->clients, LOOK, PASS);
        table_set_look(activity->domains, LOOK, PASS);
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

static bool is_dead(void *unused, struct record *record, uint64_t tick)
{
    (void)unused;
    return table_age(record, tick) >= FORGOTTEN_TICKS;
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
        index = table_obtain(table, group_of(&client), key, judging->tick, is_dead, NULL);
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
    uint32_t index = message ? table_obtain(activity->domains, 0, key, judging->tick, is_dead, NULL)
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
    table_sweep(engine->activity->clients, engine_tick(engine), records / 2, is_dead, NULL);
    table_sweep(engine->activity->domains, engine_tick(engine), records / 2, is_dead, NULL);
}

/* ---- looking ---- */

static struct prefix client_of(const struct record *record)
{
    return (struct prefix){.addr = addr_of_key(record->key, (enum addr_family)(record->group_low & 0xff)),
                           .bits = (uint8_t)(record->group_low >> 8)};
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
    const struct table *table = kind == ACTIVITY_OF_CLIENTS ? activity->clients : activity->domains;
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
