/*
 * vitals.c: signs of life.
 */
#include "daemon/vitals.h"

#include "daemon/milter_socket.h"
#include "milter/libmilter_driver.h"

#define SECOND_NS INT64_C(1000000000)

void vitals_tick(struct vitals *vitals)
{
    uint64_t turns = driver_turns();

    /* 0: this libmilter does not show its turns. */
    if (turns != vitals->milter_turns || turns == 0)
        vitals->milter_unanswered = 0;
    vitals->milter_turns = turns;
    if (milter_socket_connects())
        vitals->milter_unanswered++;
}

const char *vitals_trouble(const struct vitals *vitals, pthread_mutex_t *lock, const struct policy_thread *policy,
                           int64_t now)
{
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    if (policy && now - policy_thread_seen(policy) > VITALS_SILENCE_S * SECOND_NS)
        return "the policy door stands still";
    if (vitals->milter_unanswered > VITALS_SILENCE_S)
        return "libmilter takes no connections";
    return NULL;
}
