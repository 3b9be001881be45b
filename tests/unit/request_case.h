/*
 * request_case.h: the door that asks, beside the one that tells (engine_case.h). For the tests of requests.
 */
#ifndef UNIT_REQUEST_CASE_H
#define UNIT_REQUEST_CASE_H

#include "engine_case.h"

#include "engine/request.h"

static struct request request; /* the next one; its connection stays the same from one to the next */
static struct request_answer answer;

static inline void request_setup(void)
{
    case_setup();
    memset(&request, 0, sizeof request);
    request.hold = HOLD_RESERVE;
    request.connect.local_port = 25;
    ck_assert(addr_parse("198.51.100.1", &request.connect.local));
    ck_assert(addr_parse("192.0.2.1", &request.connect.client));
    request.connect.client_port = 1024;
}

static inline void client(const char *address, uint16_t port)
{
    ck_assert(addr_parse(address, &request.connect.client));
    request.connect.client_port = port;
    request.names = (struct event){.helo = NULL};
    request.message = NULL;
}

/* The verdict of the last event is left in `verdict`. */
static inline bool ask(enum request_stage stage)
{
    request.stage = stage;
    memset(&answer, 0xee, sizeof answer);
    engine_request(engine, &request, now, &answer);
    ck_assert_uint_le(answer.count, REQUEST_VERDICTS);
    if (answer.count > 0)
        verdict = answer.verdicts[answer.count - 1];
    return answer.kind == VERDICT_CONTINUE;
}

static inline bool ask_recipient(const char *recipient)
{
    request.names.recipient = recipient;
    bool passed = ask(REQUEST_RCPT);
    request.names.recipient = NULL;
    return passed;
}

static inline bool ask_count(enum request_stage stage, uint32_t recipients)
{
    request.recipient_count = recipients;
    bool passed = ask(stage);
    request.recipient_count = 0;
    return passed;
}

static inline void begin_message(const char *message, const char *sender)
{
    request.message = message;
    request.names.sender = sender;
}

/* The same connection at the other door. */
static inline session_id arrive(void)
{
    session_id id = 99;
    memset(&verdict, 0xee, sizeof verdict);
    engine_connect(engine, &request.connect, now, &id, &verdict);
    return id;
}

static inline uint32_t sessions(void)
{
    return counter("service").count;
}

static inline void caps(uint32_t cap)
{
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, cap);
    start();
}

#endif
