/*
 * server.c: the engine, its lock, and the loop around them.
 *
 * Threads: libmilter's and the policy door's, which come through tell_verdict() and the doors; the one that runs
 * libmilter; and the main one, which runs the loop and is the only one to touch anything else in `server`.
 */
#include "daemon/server.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "build-config.h"
#include "daemon/budget.h"
#include "daemon/control.h"
#include "daemon/history.h"
#include "daemon/http_service.h"
#include "daemon/idle_watch.h"
#include "daemon/kernel_sockets.h"
#include "daemon/listening.h"
#include "daemon/log.h"
#include "daemon/milter_socket.h"
#include "daemon/policy_thread.h"
#include "daemon/privileges.h"
#include "daemon/report.h"
#include "daemon/session_watch.h"
#include "daemon/supervisor.h"
#include "daemon/upkeep.h"
#include "daemon/vitals.h"
#include "doors/waiting.h"
#include "engine/bans.h"
#include "engine/engine.h"
#include "engine/request.h"
#include "milter/door.h"
#include "milter/libmilter_driver.h"

/* When the kernel has not known so many connections one after the other, it is asked about one in so many. */
#define STRANGERS_MANY 1000
#define STRANGERS_ASKED 64

#define STATUS_INTERVAL_S 10

/* Why idle_action cannot have a right that there was at the start: it goes where nothing asks for it, and without
 * libcap-ng wherever we become another user (privileges.h). */
#ifdef HAVE_LIBCAP_NG
#define WHY_GIVEN_UP "needs a restart, as CAP_NET_ADMIN was given up at the start"
#else
#define WHY_GIVEN_UP "cannot be had together with user, as this tidegated was built without libcap-ng"
#endif

/* How long a stop waits for the answers of refused sessions to arrive. */
#define STOP_GRACE_NS INT64_C(1000000000)

static struct server {
    struct engine *engine;
    pthread_mutex_t lock; /* of the engine */
    struct door_params door;
    struct waiting_room *waiting;
    struct latency latency;
    struct history *history; /* NULL: nobody could look at it */
    struct control control;
    struct upkeep upkeep;
    struct http_service *http; /* NULL: no HTTP service */
    struct vitals vitals;
    struct idle_watch *idle;        /* NULL: the kernel cannot be asked */
    bool ending_given_up;           /* the right to end connections, at the start */
    struct policy_thread *policy;   /* NULL: no policy door */
    struct session_watch *watch;    /* NULL: no session is held by the kernel's word */
    struct kernel_sockets *cookies; /* the policy thread's way to ask the kernel, */
    uint64_t strangers;             /* and how many connections one after the other it did not know */
    struct config *config;
    char *path;
    atomic_bool log_refusals;
    atomic_bool stopped; /* the last lines are written: libmilter's threads have no more to say */
    pthread_t milter_thread;
    int milter_ended[2]; /* pipe: a byte when libmilter has returned */
    bool milter_failed;  /* it gave up by itself; written before that byte */
    struct event_base *base;
    bool stopping, trouble_told;
    int64_t stop_by; /* process_now() when nobody is waited for any more */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .milter_ended = {-1, -1}};

static const int handled_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
#define HANDLED_SIGNALS (sizeof handled_signals / sizeof *handled_signals)

static void tell_verdict(const struct verdict *verdict, const struct addr *client)
{
    bool every = atomic_load(&server.log_refusals);

    http_service_tell(server.http, verdict, client);
    for (unsigned i = 0; i < verdict->finding_count && !atomic_load(&server.stopped); i++)
        if (every || verdict->findings[i].crossing)
            report_finding(&verdict->findings[i], client);
}

/* What an administrator asked for and does not get. `messages` may be NULL: the log tells it all the same. */
static void warn_of_idle_action(const struct config *config, struct config_messages *messages)
{
    char text[MESSAGE_SIZE];

    if (!config->idle_disconnect || idle_watch_may_end(server.idle))
        return;
    snprintf(text, sizeof text,
             "%.500s:%u: idle_action = disconnect %s; an idle session is refused at its next command instead",
             config->path, config->idle_disconnect,
             !server.idle             ? "has no effect, as the kernel cannot be asked about connections"
             : server.ending_given_up ? WHY_GIVEN_UP
                                      : "needs CAP_NET_ADMIN at the start, and a kernel with INET_DIAG_DESTROY");
    if (messages)
        messages_warning(messages, NULL, 0, "%s", text);
    log_event(LOG_WARNING, "idle_action", text);
}

/* Makes ready to ask the kernel which connections live, where some policy socket wants that. False, and why, when it
 * cannot be asked. */
static bool prepare_watch(const struct config *config, char error[PROCESS_ERROR_SIZE])
{
    bool wanted = false;

    for (size_t i = 0; i < config->policy_count; i++)
        wanted = wanted || config->policies[i].sessions == HOLD_WATCH;
    if (wanted && !server.watch)
        server.watch = session_watch_new();
    if (wanted && !server.watch)
        snprintf(error, PROCESS_ERROR_SIZE,
                 "policy sessions = kernel: the kernel cannot be asked about connections (%s); write milter or none",
                 strerror(errno));
    return !wanted || server.watch;
}

static void apply_settings(const struct config *config, struct config_messages *messages)
{
    waiting_set(server.waiting, config->max_waiting, config->max_delay_ns);
    policy_thread_set(server.policy, config);
    atomic_store(&server.log_refusals, config->log_refusals);
    warn_of_idle_action(config, messages);
}

/* Seconds since 1970. */
static double wall_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* What the MTA is asked to tell: also senders, where somebody may look at their domains. */
static struct rules_needs needs_of(const struct config *config, const struct rules *rules)
{
    struct rules_needs needs = rules_needs(rules, config->control.socket != NULL);

    needs.mail = needs.mail || config_is_watched(config);
    return needs;
}

static void swap_rules(struct tally *next)
{
    bool done;

    do {
        pthread_mutex_lock(&server.lock);
        done = engine_reload_step(server.engine, next);
        if (done)
            next = engine_reload_finish(server.engine);
        pthread_mutex_unlock(&server.lock);
    } while (!done);
    engine_retired_free(&next);
}

/* What an administrator may think will go on. */
static void warn_of_bans(const struct config *next, struct config_messages *messages)
{
    if (next->monitor)
        return;
    pthread_mutex_lock(&server.lock);
    const uint32_t ending = engine_bans_of_dry_run(server.engine);
    pthread_mutex_unlock(&server.lock);
    if (ending > 0)
        messages_warning(messages, NULL, 0,
                         "the bans that were imposed in the dry run (%" PRIu32
                         ") end with it; ban again whoever is to stay out",
                         ending);
}

/* False, and the rules stay as they were, when the file is no good; `messages` has what there is to say. */
static bool read_again(struct config_messages *messages)
{
    struct config *next = NULL;
    struct tally *tally = NULL;
    struct rules_needs needs;
    char text[MESSAGE_SIZE];
    bool loaded = config_load(server.path, &next, messages);

    if (loaded && (config_needs_restart(server.config, next, text) || !prepare_watch(next, text))) {
        messages_error(messages, NULL, 0, "%s", text);
        loaded = false;
    }
    if (loaded) {
        struct rules *rules = config_take_rules(next);
        needs = needs_of(next, rules);
        tally = engine_reload_begin(server.engine, &rules);
        if (!tally) {
            rules_free(&rules);
            messages_error(messages, server.path, 0, "not enough memory for the counters of the new rules");
            loaded = false;
        }
    }
    if (loaded)
        warn_of_bans(next, messages);
    report_messages(messages);
    if (loaded) {
        driver_set_needs(&needs);
        swap_rules(tally);
        apply_settings(next, messages);
        config_trim(next);
        config_free(&server.config);
        server.control.config = server.config = next;
        server.control.reloaded = wall_now();
        next = NULL;
        log_event(LOG_NOTICE, "reloaded", server.path);
    } else {
        log_event(LOG_ERR, "reload_failed", "the rules stay as they were");
    }
    config_free(&next);
    process_release_memory();
    return loaded;
}

/* The same, and the service manager is told. */
static bool reload(struct config_messages *messages)
{
    supervisor_reloading(process_now());
    bool loaded = read_again(messages);
    supervisor_ready();
    return loaded;
}

static void reload_by_signal(void)
{
    struct config_messages messages = {.count = 0};

    reload(&messages);
    messages_clear(&messages);
}

/* The events stay for the life of the process, so they are not kept track of. */
static bool add_event(int descriptor_or_signal, short what, event_callback_fn callback, const struct timeval *interval)
{
    struct event *event = event_new(server.base, descriptor_or_signal, what | EV_PERSIST, callback, NULL);
    return event && event_add(event, interval) == 0;
}

static void on_stopping(evutil_socket_t descriptor, short what, void *data)
{
    (void)descriptor;
    (void)what;
    (void)data;
    if (driver_answering() == 0 || process_now() >= server.stop_by)
        event_base_loopbreak(server.base);
}

static void stop(void)
{
    const struct timeval interval = {.tv_usec = 5 * 1000};

    if (server.stopping)
        return;
    server.stopping = true;
    supervisor_stopping();
    server.stop_by = process_now() + STOP_GRACE_NS;
    /* Who waits is woken, and gets the time that it takes for the answer to reach the MTA. */
    waiting_close(server.waiting);
    policy_thread_stop(&server.policy);
    if (!add_event(-1, 0, on_stopping, &interval))
        event_base_loopbreak(server.base);
}

static void on_signal(evutil_socket_t number, short what, void *data)
{
    (void)what;
    (void)data;
    if (number == SIGUSR1)
        reload_by_signal();
    else if (number == SIGUSR2)
        upkeep_log_counters(&server.upkeep);
    else
        stop();
}

static void watch_idle(void)
{
    const struct idle_watch_params params = {server.engine, &server.lock, tell_verdict};

    if (server.idle && server.config->idle_time)
        idle_watch_run(server.idle, &params, process_now());
}

static void on_watch(evutil_socket_t descriptor, short what, void *data)
{
    (void)descriptor;
    (void)what;
    (void)data;
    if (server.watch)
        upkeep_watch(&server.upkeep, server.watch);
}

static void on_tick(evutil_socket_t descriptor, short what, void *data)
{
    (void)descriptor;
    (void)what;
    (void)data;
    upkeep_second(&server.upkeep);
    watch_idle();
    /* A peer that sends half a packet holds a thread of libmilter as well; whom that holds up waits a second at most:
     * this connects to libmilter. */
    vitals_tick(&server.vitals);
}

static void on_sample(evutil_socket_t descriptor, short what, void *data)
{
    (void)descriptor;
    (void)what;
    (void)data;
    upkeep_sample(&server.upkeep, server.history);
}

static void on_status(evutil_socket_t descriptor, short what, void *data)
{
    (void)descriptor;
    (void)what;
    (void)data;
    upkeep_status(&server.upkeep);
}

static void on_watchdog(evutil_socket_t descriptor, short what, void *data)
{
    (void)descriptor;
    (void)what;
    (void)data;
    const char *trouble = vitals_trouble(&server.vitals, &server.lock, server.policy, process_now());
    if (!trouble)
        supervisor_alive();
    else if (!server.trouble_told)
        log_event(LOG_CRIT, "watchdog", trouble);
    server.trouble_told = trouble != NULL;
}

static void on_milter_ended(evutil_socket_t descriptor, short what, void *data)
{
    (void)descriptor;
    (void)what;
    (void)data;
    supervisor_stopping();
    waiting_close(server.waiting);
    event_base_loopbreak(server.base);
}

static void *run_milter(void *data)
{
    (void)data;
    server.milter_failed = !driver_run();
    while (write(server.milter_ended[1], "", 1) < 0 && errno == EINTR)
        continue;
    return NULL;
}

static void signal_set(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < HANDLED_SIGNALS; i++)
        sigaddset(set, handled_signals[i]);
}

void server_block_signals(void)
{
    sigset_t set;
    signal_set(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* For the policy door, in its thread. A kernel that has known none of many connections, as the MTA is on another host,
 * is seldom asked until it knows one. */
static uint64_t cookie_of(const struct watched_connection *connection)
{
    uint64_t cookie = 0;

    bool asks = server.cookies && (server.strangers < STRANGERS_MANY || server.strangers % STRANGERS_ASKED == 0);
    if (asks && kernel_socket_alive(server.cookies, connection, &cookie) == KERNEL_FOUND) {
        server.strangers = 0;
        return cookie;
    }
    server.strangers++;
    return 0;
}

/* Closes what open_doors() opened, before libmilter runs. */
static void close_doors(void)
{
    http_service_close(server.http);
    milter_socket_remove();
    policy_thread_stop(&server.policy);
}

/* Opens what the MTA connects to. */
static bool open_doors(const struct config *config, char error[PROCESS_ERROR_SIZE])
{
    const struct driver_params driver = {config->milter.socket, &server.door, server.waiting, milter_socket_nudge,
                                         listening_backlog(&config->milter.options)};
    struct descriptor_budget descriptors;

    if (!budget_descriptors(config, &descriptors, error))
        return false;
    if (config->policy_count > 0)
        server.cookies = kernel_sockets_open(); /* NULL where the kernel cannot be asked: then nobody is */
    if (!policy_thread_open(config, &server.door, server.waiting, descriptors.connections, &server.policy, error))
        return false;
    if (!milter_socket_open(config, &driver, error)) {
        policy_thread_stop(&server.policy);
        return false;
    }
    if (!http_service_open(config, &server.control, reload, &server.http, error)) {
        close_doors();
        return false;
    }
    if (descriptors.granted < descriptors.wanted)
        report_few_descriptors(descriptors.wanted, descriptors.granted);
    return true;
}

/* Once everything is open. */
static bool give_up_rights(const struct config *config, char error[PROCESS_ERROR_SIZE])
{
    const bool could_end = idle_watch_may_end(server.idle);
    bool ok = privileges_settle(config, error);

    idle_watch_rights_changed(server.idle);
    server.ending_given_up = could_end && !idle_watch_may_end(server.idle);
    if (!ok)
        close_doors();
    return ok;
}

bool server_open(struct config **config, const char *path, char error[PROCESS_ERROR_SIZE])
{
    server.idle = idle_watch_new();
    struct engine_params params = {.session_records = (*config)->session_table_size,
                                   .table_records = (*config)->table_size,
                                   .idle_slack_ns = server.idle ? IDLE_WATCH_SLACK_NS : 0,
                                   .connections = (*config)->policy_count > 0,
                                   .activity = config_is_watched(*config)};
    struct rules *rules = config_take_rules(*config);

    if (!process_random(params.seed)) {
        rules_free(&rules);
        snprintf(error, PROCESS_ERROR_SIZE, "no random numbers from the kernel: %s", strerror(errno));
        return false;
    }
    const struct rules_needs needs = needs_of(*config, rules);
    driver_set_needs(&needs);
    server.engine = engine_new(&params, &rules);
    server.waiting = waiting_new((*config)->max_waiting, (*config)->max_delay_ns);
    server.path = strdup(path);
    server.door =
        (struct door_params){server.engine, &server.lock, process_now,
                             tell_verdict,  cookie_of,    config_is_watched(*config) ? &server.latency : NULL};
    server.history = config_is_watched(*config) ? history_new() : NULL;
    server.control = (struct control){.engine = server.engine,
                                      .lock = &server.lock,
                                      .now = process_now,
                                      .wall = wall_now,
                                      .config = *config,
                                      .waiting = server.waiting,
                                      .latency = &server.latency,
                                      .history = server.history,
                                      .turned_away = driver_turned_away};
    server.upkeep = (struct upkeep){.control = &server.control, .log_refusals = &server.log_refusals};
    rules_free(&rules);
    if (!server.engine || !server.waiting || !server.path || (config_is_watched(*config) && !server.history)) {
        snprintf(error, PROCESS_ERROR_SIZE, "not enough memory for session_table_size = %u and table_size = %u",
                 (unsigned)(*config)->session_table_size, (unsigned)(*config)->table_size);
    } else if (prepare_watch(*config, error) && open_doors(*config, error) && give_up_rights(*config, error)) {
        server.config = *config;
        *config = NULL;
        config_trim(server.config);
        apply_settings(server.config, NULL);
        process_release_memory();
        return true;
    }
    engine_free(&server.engine);
    waiting_free(&server.waiting);
    idle_watch_free(&server.idle);
    session_watch_free(&server.watch);
    kernel_sockets_close(&server.cookies);
    history_free(&server.history);
    free(server.path);
    return false;
}

static bool start(void)
{
    const struct timeval second = {.tv_sec = 1}, round = {.tv_usec = SESSION_WATCH_INTERVAL_MS * 1000},
                         sample = {.tv_sec = HISTORY_INTERVAL_S}, status = {.tv_sec = STATUS_INTERVAL_S};
    const uint64_t half_us = supervisor_patience_us() / 2;
    const struct timeval watchdog = {.tv_sec = (time_t)(half_us / 1000000),
                                     .tv_usec = (suseconds_t)(half_us % 1000000)};
    bool ok = pipe(server.milter_ended) == 0 && (server.base = event_base_new()) != NULL &&
              add_event(-1, 0, on_tick, &second) && add_event(-1, 0, on_watch, &round) &&
              add_event(server.milter_ended[0], EV_READ, on_milter_ended, NULL) &&
              add_event(-1, 0, on_status, &status) && (half_us == 0 || add_event(-1, 0, on_watchdog, &watchdog)) &&
              (!server.history || add_event(-1, 0, on_sample, &sample)) && http_service_start(server.http, server.base);
    server.control.started = server.control.reloaded = wall_now();

    for (size_t i = 0; i < HANDLED_SIGNALS && ok; i++)
        ok = add_event(handled_signals[i], EV_SIGNAL, on_signal, NULL);
    return ok && policy_thread_start(server.policy) &&
           pthread_create(&server.milter_thread, NULL, run_milter, NULL) == 0;
}

bool server_run(void (*ready)(void))
{
    struct log_line line;
    sigset_t set;

    if (!start()) {
        log_event(LOG_ERR, "failed", "no thread, pipe or event loop to be had");
        close_doors();
        return false;
    }
    /* In this thread alone: the kernel then has nobody else to give them to. */
    signal_set(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    ready();
    supervisor_ready();
    on_status(-1, 0, NULL);
    event_base_dispatch(server.base);

    policy_thread_stop(&server.policy);
    atomic_store(&server.stopped, true);
    upkeep_crossings(&server.upkeep, true);
    http_service_close(server.http);
    control_forget(&server.control);
    milter_socket_remove();
    log_begin(&line);
    log_text(&line, "event", server.milter_failed ? "failed" : "stopped");
    if (server.milter_failed)
        log_text(&line, "text", "libmilter gave up by itself; the mail log has its reason");
    log_send(&line, server.milter_failed ? LOG_ERR : LOG_NOTICE);
    return !server.milter_failed;
}
