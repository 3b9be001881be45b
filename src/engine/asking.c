/*
 * asking.c: an event that does not happen.
 */
#include "asking.h"

#include <stdio.h>

/* An address; of a domain alone one without a local part, which is in no list and no count but as its domain. */
static const char *address_of(const char *address, const char *domain, char out[KEY_TEXT_SIZE + 1])
{
    if (address || !domain)
        return address;
    snprintf(out, KEY_TEXT_SIZE + 1, "@%s", domain);
    return out;
}

void asking_begin(struct asking *asking, const struct engine *engine, const struct explain_subject *subject,
                  int64_t now)
{
    asking->subject = subject;
    asking->now = engine_latest(engine, now);
    asking->event = (struct event){
        .kind = EVENT_CONNECT,
        .client_domain = subject->client_domain,
        .client_host = subject->name[PER_CLIENT_DOMAIN],
        .helo = subject->name[PER_HELO],
        .sender = address_of(subject->name[PER_SENDER], subject->name[PER_SENDER_DOMAIN], asking->sender),
        .recipient = address_of(subject->name[PER_RECIPIENT], subject->name[PER_RECIPIENT_DOMAIN], asking->recipient),
        .user = subject->user,
    };
    asking->judging = (struct judging){
        .engine = (struct engine *)engine, /* which nothing changes that is called from here */
        .rules = tally_rules(engine->current),
        .event = &asking->event,
        .client = subject->client,
        .now = asking->now,
        .tick = (uint64_t)asking->now >> TICK_BITS,
    };
    judge_know_client(&asking->judging);
}

struct session_facts asking_facts(const struct explain_subject *subject)
{
    return (struct session_facts){.client = subject->client,
                                  .local = subject->local,
                                  .daemon_name = rules_name_hash(subject->daemon_name),
                                  .local_port = subject->local_port};
}

struct prefix engine_client(const struct engine *engine, const struct addr *addr)
{
    return rules_client(tally_rules(engine->current), addr);
}

bool engine_place_known(const struct engine *engine, const struct explain_subject *subject)
{
    const struct session_facts facts = asking_facts(subject);
    return subject->anywhere || rules_place_known(tally_rules(engine->current), &facts);
}

bool asking_concerns(struct asking *asking, enum limit_count count, enum limit_per per)
{
    const struct explain_subject *subject = asking->subject;
    const unsigned early = 1u << EVENT_CONNECT | 1u << EVENT_HELO;

    /* Before MAIL nobody knows who has authenticated. */
    asking->event.user = per == PER_USER                            ? subject->name[PER_USER]
                         : (limit_events(count, per) & ~early) == 0 ? NULL
                                                                    : subject->user;
    switch (per) {
    case PER_SESSION:
    case PER_MESSAGE:
    case PER_CLIENT:
        return subject->client.family != ADDR_NONE;
    case PER_SENDER:
    case PER_RECIPIENT:
        return subject->name[per] != NULL;
    default:
        return true; /* whose name is not given is not found */
    }
}
