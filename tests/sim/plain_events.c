/*
 * plain_events.c: what may happen in a session.
 */
#include "plain.h"

#include <string.h>

#define PICK(prng, list) ((list)[prng_below(prng, sizeof(list) / sizeof *(list))])

void plain_random_event(struct prng *prng, const struct event *last, struct event *event)
{
    static const char *const helos[] = {"", "mail.example.org", "mx.example.net", "[192.0.2.1]", "localhost", NULL};
    static const char *const senders[] = {
        "", "", "a@example.org", "b@example.net", "b@mail.example.org", "c@example", "postmaster", NULL};
    static const char *const recipients[] = {
        "a@example.org", "b@example.net", "c@mail.example.org", "d@example.com", "postmaster", "", NULL};
    static const char *const users[] = {NULL, NULL, NULL, "", "user1", "user2", "user3@example.org"};
    /* Mostly the order of a real conversation, which some clients do not keep. */
    static const enum event_kind usual[] = {
        EVENT_HELO,    EVENT_MAIL,    EVENT_MAIL,    EVENT_MAIL,  EVENT_RCPT,     EVENT_RCPT,
        EVENT_RCPT,    EVENT_RCPT,    EVENT_RCPT,    EVENT_RCPT,  EVENT_RCPT,     EVENT_DATA,
        EVENT_MESSAGE, EVENT_UNKNOWN, EVENT_UNKNOWN, EVENT_ABORT, EVENT_REJECTED,
    };

    *event = *last;
    event->kind = PICK(prng, usual);
    if (last->kind == EVENT_DATA && plain_chance(prng, 80))
        event->kind = plain_chance(prng, 80) ? EVENT_MESSAGE : EVENT_ABORT;
    event->rejected = false;
    event->recipient = NULL;
    event->times = 0;
    switch (event->kind) {
    case EVENT_HELO:
        event->helo = PICK(prng, helos);
        break;
    case EVENT_MAIL:
        event->sender = PICK(prng, senders);
        if (plain_chance(prng, 30))
            event->user = PICK(prng, users);
        break;
    case EVENT_RCPT:
        event->recipient = PICK(prng, recipients);
        event->rejected = plain_chance(prng, 25);
        event->times = plain_chance(prng, 10) ? prng_below(prng, 6) : 0;
        break;
    case EVENT_REJECTED:
        event->times = prng_below(prng, 4);
        break;
    case EVENT_MESSAGE:
    case EVENT_ABORT:
        if (plain_chance(prng, 80))
            event->sender = NULL;
        break;
    default:
        break;
    }
}
