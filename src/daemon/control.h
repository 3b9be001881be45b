/*
 * control.h: what the HTTP service answers, page by page (API.md says what each looks like).
 *
 * A page is a function from the state of the daemon and the parameters of the request to an answer. It takes the
 * engine's lock for a moment at a time, and never while it writes.
 *
 * Threads: the main one.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "daemon/history.h"
#include "doors/latency.h"
#include "doors/waiting.h"
#include "engine/bans.h"
#include "engine/engine.h"

struct control {
    struct engine *engine;
    pthread_mutex_t *lock;       /* of the engine */
    int64_t (*now)(void);        /* nanoseconds of the monotonic clock */
    double (*wall)(void);        /* seconds since 1970 */
    double started, reloaded;    /* by wall(): when the daemon was ready, when it last took over a configuration */
    const struct config *config; /* what is in effect, without its rules */
    struct waiting_room *waiting;
    const struct latency *latency;
    const struct history *history;
    uint64_t (*turned_away)(void); /* connections of the MTA, for want of descriptors */
    /* What of /status.json costs a walk; made anew from `until` on. All 0: there is none yet. */
    struct {
        json_t *bans, *clients, *domains;
        int64_t until; /* by now() */
    } lists;
};

/* Frees what the pages keep; they go on working. */
void control_forget(struct control *control);

/* The value of a parameter of the request, decoded; NULL: it is not given. */
static inline const char *control_parameter(const struct evkeyvalq *parameters, const char *name)
{
    return evhttp_find_header(parameters, name);
}

/* True when every parameter is one of `names`, which NULL ends, and given once. Else false, and the answer is in
 * *error, its status in *status: `if (!control_known(parameters, names, &error, status)) return error;` */
bool control_known(const struct evkeyvalq *parameters, const char *const names[], json_t **error, int *status);

/* A parameter that is a whole number from 1 to `max`, up to 999999999; *out stays as it is when it is not given. Else
 * false, and the answer is in *error; `unit` is "" or as " of seconds". */
bool control_number(const struct evkeyvalq *parameters, const char *name, const char *unit, int64_t max, int64_t *out,
                    json_t **error, int *status);

/* Bytes that are no UTF-8 become '?'. */
void control_clean(char *text);

/* A text that somebody sent as a JSON string: bytes that are no UTF-8 come out as '?'. NULL and "" are null. NULL when
 * memory is short. */
json_t *control_text(const char *text);

/* Each page: an answer that the caller lets go of with json_decref(), and its HTTP status in *status. NULL when memory
 * is short. A mistake of the caller's is {"error": "what was wrong and what would be right"} with a status of 400 to
 * 499. */
typedef json_t *control_page(struct control *control, const struct evkeyvalq *parameters, int *status);

/* {"error": TEXT}, for pages. Sets *status. */
json_t *control_error(int *status, int code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

control_page control_status;  /* GET /status.json */
control_page control_history; /* GET /history.json */
control_page control_clients; /* GET /clients */
control_page control_domains; /* GET /domains */
control_page control_bans;    /* GET /bans */
control_page control_ban;     /* POST /ban */
control_page control_unban;   /* POST /unban */
control_page control_explain; /* GET /explain */
control_page control_eval;    /* GET /eval */

/* One ban, as in /bans. NULL when memory is short. */
json_t *ban_json(const struct ban_view *ban);

/* The command that lifts what is counted of a client or a name, and of a user alone, who may have the name of somebody
 * else. It is fit for a shell: a name may hold anything printable, so it is quoted where it must be. NULL when memory
 * is short. */
json_t *lift_command(const char *key, enum limit_per per);

/* GET /metrics: adds the whole page to `out`. False when memory is short. */
bool control_metrics(struct control *control, struct evbuffer *out);

#endif
