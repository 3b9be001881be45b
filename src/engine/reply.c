/*
 * reply.c: what a refused client is told.
 */
#include "reply.h"

#include <stdio.h>
#include <string.h>

#define UNAVAILABLE(enhanced, reason)                       \
    {                                                       \
        "421", enhanced, "Service unavailable, " reason "." \
    }

static const struct reply too_many_sessions = UNAVAILABLE("4.4.5", "concurrency limit reached");

const struct reply *reply_of_limit(enum limit_id limit)
{
    static const struct reply deny = UNAVAILABLE("4.7.1", "access denied");
    static const struct reply idle = UNAVAILABLE("4.4.2", "idle for too long");
    static const struct reply score = UNAVAILABLE("4.7.1", "refused by policy");

    switch (limit) {
    case LIMIT_DENY:
    case LIMIT_BAN:
        return &deny;
    case LIMIT_IDLE_TIME:
        return &idle;
    case LIMIT_SCORE:
        return &score;
    default:
        return &too_many_sessions;
    }
}

const struct reply *reply_of_count(enum limit_count count, bool at_rcpt, bool of_session)
{
    static const struct reply too_many_recipients = {"452", "4.5.3", "Too many recipients."};
    static const struct reply recipient_rate = {"452", "4.5.3", "Recipient rate limit reached."};
    static const struct reply replies[COUNT_KINDS] = {
        [COUNT_CONNECTIONS] = UNAVAILABLE("4.4.5", "connection rate limit reached"),
        [COUNT_MESSAGES] = UNAVAILABLE("4.4.5", "message rate limit reached"),
        [COUNT_BOUNCES] = UNAVAILABLE("4.4.5", "message rate limit reached"),
        [COUNT_RECIPIENTS] = UNAVAILABLE("4.4.5", "recipient rate limit reached"),
        [COUNT_ERRORS] = UNAVAILABLE("4.4.5", "too many errors"),
        [COUNT_UNKNOWN_COMMANDS] = UNAVAILABLE("4.4.5", "too many errors"),
        [COUNT_NETWORKS] = UNAVAILABLE("4.4.5", "too many networks for this domain"),
    };
    if (at_rcpt)
        return of_session ? &too_many_recipients : &recipient_rate;
    return count == COUNT_SESSIONS ? &too_many_sessions : &replies[count];
}

/* What a placeholder at the beginning of `text` stands for, and its length; NULL: there is none. */
static const char *placeholder(const char *text, const struct finding *finding, char room[PREFIX_TEXT_SIZE],
                               size_t *length)
{
    static const char *const names[] = {"{client}", "{limit}", "{count}", "{max}"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *length = strlen(names[i]);
        if (strncmp(text, names[i], *length) != 0)
            continue;
        if (i == 1)
            return finding->name;
        if (i == 0)
            prefix_format(&finding->client, room);
        else
            snprintf(room, PREFIX_TEXT_SIZE, "%lu", (unsigned long)(i == 2 ? finding->count : finding->max));
        return room;
    }
    return NULL;
}

void reply_render(const struct reply *form, const struct finding *finding, struct reply *out)
{
    size_t used = 0;

    memcpy(out->code, form->code, sizeof out->code);
    memcpy(out->enhanced, form->enhanced, sizeof out->enhanced);
    for (const char *from = form->text; *from && used < sizeof out->text - 1;) {
        char room[PREFIX_TEXT_SIZE];
        size_t length = 0;
        const char *value = *from == '{' ? placeholder(from, finding, room, &length) : NULL;
        if (!value) {
            out->text[used++] = *from++;
            continue;
        }
        size_t left = sizeof out->text - 1 - used, wanted = strlen(value);
        memcpy(out->text + used, value, wanted < left ? wanted : left);
        used += wanted < left ? wanted : left;
        from += length;
    }
    out->text[used] = '\0';
}

bool reply_ends_session(const struct reply *reply, enum event_kind kind, bool rejected)
{
    if (strcmp(reply->code, "421") == 0)
        return true;
    return reply->code[0] == '5' && (kind != EVENT_RCPT || rejected);
}
