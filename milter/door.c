/*
 * door.c: from milter events to the engine and back.
 */
#include "door.h"

#include <stdlib.h>
#include <string.h>

/* All session caps say the same. */
static struct door_answer answer_refused(int64_t delay_ns)
{
    return (struct door_answer){
        .refused = true,
        .code = "421",
        .enhanced = "4.4.5",
        .text = "Service unavailable, concurrency limit reached.",
        .delay_ns = delay_ns,
    };
}

/* A port in decimal digits; 0 when the text is anything else. */
static uint16_t parse_port(const char *text)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return 0;
    unsigned long port = strtoul(text, NULL, 10);
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static bool is_wildcard(const struct addr *addr)
{
    return addr->hi == 0 && addr->lo == 0;
}

/* The address that the client reached: {daemon_addr}, or {if_addr} where the MTA listens on any. Sendmail puts if_addr
 * in brackets. ADDR_NONE when neither says. */
static struct addr local_addr(const struct door_connect *connect)
{
    const char *texts[] = {connect->daemon_addr, connect->if_addr};

    for (size_t i = 0; i < 2; i++) {
        struct addr addr;
        char bare[ADDR_TEXT_SIZE + 8];
        size_t length = texts[i] ? strlen(texts[i]) : 0;
        if (length == 0 || length >= sizeof bare)
            continue;
        bool bracketed = texts[i][0] == '[' && texts[i][length - 1] == ']';
        memcpy(bare, texts[i], length + 1);
        if (bracketed)
            bare[length - 1] = '\0';
        if (addr_parse(bare + bracketed, &addr) && !is_wildcard(&addr))
            return addr;
    }
    return (struct addr){0};
}

struct door_answer door_connect(const struct door_params *door, struct door_session *session,
                                const struct door_connect *connect)
{
    const struct connect_event event = {
        .client = connect->client,
        .local = local_addr(connect),
        .local_port = parse_port(connect->daemon_port),
        .daemon_name = connect->daemon_name,
    };
    struct verdict verdict;
    int64_t now = door->now();

    door_close(door, session);
    pthread_mutex_lock(door->lock);
    engine_connect(door->engine, &event, now, &session->id, &verdict);
    pthread_mutex_unlock(door->lock);
    if (verdict.limit != LIMIT_NONE)
        door->tell(&verdict, &connect->client);
    if (verdict.kind == VERDICT_CONTINUE)
        return (struct door_answer){.refused = false};
    session->refused = true;
    if (verdict.speak_at == REFUSE_AT_CONNECT)
        return answer_refused(verdict.delay_ns);
    session->delay_ns = verdict.delay_ns;
    return (struct door_answer){.refused = false};
}

struct door_answer door_command(const struct door_params *door, struct door_session *session)
{
    if (!session->refused)
        return (struct door_answer){.refused = false};
    pthread_mutex_lock(door->lock);
    engine_spoken(door->engine, session->id);
    pthread_mutex_unlock(door->lock);
    struct door_answer answer = answer_refused(session->delay_ns);
    session->id = 0;
    session->delay_ns = 0;
    return answer;
}

void door_close(const struct door_params *door, struct door_session *session)
{
    if (session->id != 0) {
        pthread_mutex_lock(door->lock);
        engine_close(door->engine, session->id);
        pthread_mutex_unlock(door->lock);
    }
    *session = (struct door_session){0};
}
