/*
 * server.c: the engine, its lock, and the loop around them.
 *
 * Threads: libmilter's, which come through tell_verdict() and the door; the one that runs libmilter; and the main one,
 * which runs the loop and is the only one to touch anything else in `server`.
 */
#include "daemon/server.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/log.h"
#include "engine/engine.h"
#include "milter/door.h"
#include "milter/libmilter_driver.h"
#include "milter/waiting.h"

/* How many reports or counters are taken at a time, so that the lock is held briefly and little stack is needed. */
#define CHUNK 16

/* Descriptors besides those of sessions: sockets, logs, libraries. */
#define DESCRIPTORS_SPARE 64

#define LOSSES_INTERVAL_NS INT64_C(60000000000)

/* How long a stop waits for the answers of refused sessions to arrive. */
#define STOP_GRACE_NS INT64_C(1000000000)

/* Resident bytes besides the tables: the program with its libraries and threads, and what libmilter keeps for each
 * session that is open. Measured; tests/bench shows how well they hold. */
#define MEMORY_BASE (3 * 1024 * 1024)
#define MEMORY_LIBMILTER_SESSION 640

static struct server {
    struct engine *engine;
    pthread_mutex_t lock; /* of the engine */
    struct door_params door;
    struct waiting_room *waiting;
    struct config *config;
    char *path;
    atomic_bool log_refusals;
    atomic_bool stopped; /* the last lines are written: libmilter's threads have no more to say */
    pthread_t milter_thread;
    int milter_ended[2]; /* pipe: a byte when libmilter has returned */
    bool milter_failed;  /* it gave up by itself; written before that byte */
    struct event_base *base;
    bool stopping;
    uint64_t unfollowed;  /* what log_losses() has still to tell, and when it may */
    uint64_t turned_away; /* driver_turned_away() when that was told */
    int64_t losses_next;
    int64_t stop_by; /* process_now() when nobody is waited for any more */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .milter_ended = {-1, -1}};

static const int handled_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
#define HANDLED_SIGNALS (sizeof handled_signals / sizeof *handled_signals)

static void log_client(struct log_line *line, const struct prefix *client)
{
    char text[PREFIX_TEXT_SIZE];
    if (client->addr.family != ADDR_NONE)
        log_text(line, "client", prefix_format(client, text));
}

static void log_over(const struct crossing_report *report)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "limit", limit_name(report->limit));
    log_text(&line, "scope", report->scope);
    log_client(&line, &report->client);
    log_number(&line, report->limit == LIMIT_SESSION_TABLE ? "untracked" : "refused", report->refused);
    log_number(&line, "clients", report->clients);
    log_seconds(&line, "lasted", report->lasted_ns);
    log_text(&line, "action", "over");
    log_send(&line, LOG_NOTICE);
}

static void tell_verdict(const struct verdict *verdict, const struct addr *client)
{
    struct log_line line;

    if ((!verdict->crossing && !atomic_load(&server.log_refusals)) || atomic_load(&server.stopped))
        return;
    log_begin(&line);
    log_text(&line, "limit", limit_name(verdict->limit));
    log_text(&line, "scope", verdict->scope);
    char text[ADDR_TEXT_SIZE];
    if (verdict->client.bits == addr_width(client)) {
        log_text(&line, "client", addr_format(client, text));
    } else {
        log_client(&line, &verdict->client);
        log_text(&line, "addr", addr_format(client, text));
    }
    log_number(&line, "count", verdict->count);
    log_number(&line, "max", verdict->max);
    log_text(&line, "action", verdict->kind == VERDICT_REFUSE ? "refuse" : "untracked");
    log_send(&line, LOG_NOTICE);
}

static void log_crossings_over(bool all)
{
    struct crossing_report reports[CHUNK];
    size_t count;

    do {
        pthread_mutex_lock(&server.lock);
        count = engine_crossings_over(server.engine, process_now(), all, reports, CHUNK);
        pthread_mutex_unlock(&server.lock);
        for (size_t i = 0; i < count; i++)
            log_over(&reports[i]);
    } while (count == CHUNK);
}

/* Once a minute at most, as long as there is something to tell: sessions that no crossing follows have no line of their
 * own. */
static void log_losses(void)
{
    struct log_line line;

    pthread_mutex_lock(&server.lock);
    server.unfollowed += engine_crossings_unfollowed(server.engine);
    pthread_mutex_unlock(&server.lock);
    uint64_t turned_away = driver_turned_away();
    if ((server.unfollowed == 0 && turned_away == server.turned_away) || process_now() < server.losses_next)
        return;
    server.losses_next = process_now() + LOSSES_INTERVAL_NS;
    if (server.unfollowed > 0) {
        log_begin(&line);
        log_text(&line, "event", "unlogged_refusals");
        log_number(&line, "refused", server.unfollowed);
        log_text(&line, "text", "so many clients were refused at once that not each got a line");
        log_send(&line, LOG_NOTICE);
    }
    if (turned_away > server.turned_away) {
        log_begin(&line);
        log_text(&line, "event", "few_descriptors");
        log_number(&line, "turned_away", turned_away - server.turned_away);
        log_text(&line, "text", "connections of the MTA found no free descriptor: raise the limit on open files");
        log_send(&line, LOG_WARNING);
    }
    server.unfollowed = 0;
    server.turned_away = turned_away;
}

static void log_counters(void)
{
    struct counter_view views[CHUNK];
    struct engine_totals totals;
    struct log_line line;
    size_t count, from = 0;

    do {
        pthread_mutex_lock(&server.lock);
        count = engine_counters(server.engine, from, views, CHUNK);
        totals = engine_totals(server.engine);
        pthread_mutex_unlock(&server.lock);
        for (size_t i = 0; i < count; i++) {
            if (views[i].count == 0 && views[i].pending == 0)
                continue;
            log_begin(&line);
            log_text(&line, "event", "counter");
            log_text(&line, "limit", limit_name(views[i].limit));
            log_text(&line, "scope", views[i].scope);
            log_number(&line, "count", views[i].count);
            log_number(&line, "max", views[i].max);
            if (views[i].pending > 0)
                log_number(&line, "pending", views[i].pending);
            log_send(&line, LOG_INFO);
        }
        from += count;
    } while (count > 0);
    log_begin(&line);
    log_text(&line, "event", "counters");
    log_number(&line, "sessions", totals.sessions);
    log_number(&line, "pending", totals.pending);
    log_number(&line, "clients", totals.clients);
    log_number(&line, "crossings", totals.crossings);
    log_number(&line, "session_table_size", totals.session_records);
    log_send(&line, LOG_INFO);
}

static void apply_settings(const struct config *config)
{
    waiting_set(server.waiting, config->max_waiting, config->max_delay_ns);
    atomic_store(&server.log_refusals, config->log_refusals);
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

void server_log_messages(const struct config_messages *messages)
{
    struct log_line line;

    for (size_t i = 0; i < messages->count; i++) {
        bool error = messages->list[i].severity == MESSAGE_ERROR;
        log_event(error ? LOG_ERR : LOG_WARNING, error ? "config_error" : "config_warning", messages->list[i].text);
    }
    if (messages->errors + messages->warnings > messages->count) {
        log_begin(&line);
        log_text(&line, "event", "config_error");
        log_number(&line, "more", messages->errors + messages->warnings - messages->count);
        log_send(&line, LOG_ERR);
    }
}

static void reload(void)
{
    struct config_messages messages = {.count = 0};
    struct config *next = NULL;
    struct tally *tally = NULL;
    char text[MESSAGE_SIZE];
    bool loaded = config_load(server.path, &next, &messages);

    server_log_messages(&messages);
    if (loaded && config_needs_restart(server.config, next, text)) {
        log_event(LOG_ERR, "config_error", text);
        loaded = false;
    }
    if (loaded) {
        struct rules *rules = config_take_rules(next);
        tally = engine_reload_begin(server.engine, &rules);
        if (!tally) {
            rules_free(&rules);
            log_event(LOG_ERR, "config_error", "not enough memory for the counters of the new rules");
            loaded = false;
        }
    }
    if (loaded) {
        swap_rules(tally);
        apply_settings(next);
        config_trim(next);
        config_free(&server.config);
        server.config = next;
        next = NULL;
        log_event(LOG_NOTICE, "reloaded", server.path);
    } else {
        log_event(LOG_ERR, "reload_failed", "the rules stay as they were");
    }
    config_free(&next);
    messages_clear(&messages);
    process_release_memory();
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
    server.stop_by = process_now() + STOP_GRACE_NS;
    /* Who waits is woken, and gets the time that it takes for the answer to reach the MTA. */
    waiting_close(server.waiting);
    if (!add_event(-1, 0, on_stopping, &interval))
        event_base_loopbreak(server.base);
}

static void on_signal(evutil_socket_t number, short what, void *data)
{
    (void)what;
    (void)data;
    if (number == SIGUSR1)
        reload();
    else if (number == SIGUSR2)
        log_counters();
    else
        stop();
}

/* Where the milter's socket listens, for nudge_milter(). */
static struct {
    struct sockaddr_storage address;
    socklen_t length;
} own_socket;

static void nudge_milter(void)
{
    int nudge = socket(own_socket.address.ss_family, SOCK_STREAM, 0);
    if (nudge < 0)
        return;
    fcntl(nudge, F_SETFL, O_NONBLOCK);
    /* Whether it comes to be accepted or finds a full queue, libmilter has a reason to look. */
    if (connect(nudge, (struct sockaddr *)&own_socket.address, own_socket.length) < 0)
        errno = 0;
    close(nudge);
}

static void on_tick(evutil_socket_t descriptor, short what, void *data)
{
    (void)descriptor;
    (void)what;
    (void)data;
    log_crossings_over(false);
    log_losses();
    /* A peer that sends half a packet holds a thread of libmilter as well; whom that holds up waits a second at most.
     */
    nudge_milter();
}

static void on_milter_ended(evutil_socket_t descriptor, short what, void *data)
{
    (void)descriptor;
    (void)what;
    (void)data;
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

struct server_memory server_memory(const struct config *config)
{
    struct engine_memory engine = engine_memory(config->session_table_size, config->rules);
    return (struct server_memory){
        .full = MEMORY_BASE + (uint64_t)config->session_table_size * MEMORY_LIBMILTER_SESSION + engine.sessions +
                engine.per_rules,
        .reload = engine.per_rules,
    };
}

/* libmilter tells only the log why it cannot open a socket, so the same is tried first in a way that can be told. */
static bool probe_inet(const struct socket_name *name, const char *text, char error[PROCESS_ERROR_SIZE])
{
    const struct addrinfo hints = {
        .ai_family = name->kind == SOCKET_INET6 ? AF_INET6 : AF_INET,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE,
    };
    struct addrinfo *found = NULL;
    const int on = 1;
    char port[8];
    const char *why = NULL;

    snprintf(port, sizeof port, "%u", (unsigned)name->port);
    int result = getaddrinfo(*name->host ? name->host : NULL, port, &hints, &found);
    if (result != 0) {
        snprintf(error, PROCESS_ERROR_SIZE, "milter socket %s: %s", text, gai_strerror(result));
        return false;
    }
    int probe = socket(found->ai_family, found->ai_socktype, 0);
    if (probe < 0 || setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(probe, found->ai_addr, found->ai_addrlen) < 0 || listen(probe, 1) < 0)
        why = strerror(errno);
    if (probe >= 0)
        close(probe);
    memcpy(&own_socket.address, found->ai_addr, found->ai_addrlen);
    own_socket.length = found->ai_addrlen;
    freeaddrinfo(found);
    if (why)
        snprintf(error, PROCESS_ERROR_SIZE, "milter socket %s: %s", text, why);
    return !why;
}

static bool open_milter(const struct config *config, char error[PROCESS_ERROR_SIZE])
{
    const struct driver_params params = {config->milter_socket, &server.door, server.waiting, nudge_milter};
    const struct socket_name *name = &config->milter_address;
    bool local = name->kind == SOCKET_UNIX;

    if (local) {
        struct sockaddr_un *own = (struct sockaddr_un *)&own_socket.address;
        own->sun_family = AF_UNIX;
        strcpy(own->sun_path, name->path);
        own_socket.length = sizeof *own;
    }
    if (local ? !process_clear_socket(name->path, error) : !probe_inet(name, config->milter_socket, error))
        return false;
    /* Nobody but us may connect until the socket has the rights that the configuration gives it. */
    mode_t mask = umask(0177);
    errno = 0;
    bool ok = driver_open(&params);
    int cause = errno;
    umask(mask);
    if (!ok) {
        snprintf(error, PROCESS_ERROR_SIZE, "milter socket %s: cannot be opened: %s", config->milter_socket,
                 cause ? strerror(cause) : "see the mail log for libmilter's reason");
        return false;
    }
    if (local && !process_own_socket(name->path, config->milter_group ? &config->milter_gid : NULL, config->milter_mode,
                                     error)) {
        unlink(name->path);
        return false;
    }
    return true;
}

bool server_open(struct config **config, const char *path, char error[PROCESS_ERROR_SIZE])
{
    struct engine_params params = {.session_records = (*config)->session_table_size};
    struct rules *rules = config_take_rules(*config);

    if (!process_random(params.seed)) {
        rules_free(&rules);
        snprintf(error, PROCESS_ERROR_SIZE, "no random numbers from the kernel: %s", strerror(errno));
        return false;
    }
    server.engine = engine_new(&params, &rules);
    server.waiting = waiting_new((*config)->max_waiting, (*config)->max_delay_ns);
    server.path = strdup(path);
    server.door = (struct door_params){server.engine, &server.lock, process_now, tell_verdict};
    rules_free(&rules);
    if (!server.engine || !server.waiting || !server.path) {
        snprintf(error, PROCESS_ERROR_SIZE, "not enough memory for session_table_size = %u",
                 (unsigned)(*config)->session_table_size);
    } else if (open_milter(*config, error)) {
        server.config = *config;
        *config = NULL;
        config_trim(server.config);
        apply_settings(server.config);
        process_release_memory();
        return true;
    }
    engine_free(&server.engine);
    waiting_free(&server.waiting);
    free(server.path);
    return false;
}

/* Each session of the MTA takes a descriptor. Those that find none are turned away before libmilter runs out: it would
 * try again without a pause. */
static void raise_descriptors(void)
{
    uint64_t wanted = (uint64_t)server.config->session_table_size + DESCRIPTORS_SPARE;
    uint64_t granted = process_raise_descriptors(wanted);
    struct log_line line;

    driver_set_room(granted > DESCRIPTORS_SPARE ? (unsigned)(granted - DESCRIPTORS_SPARE) : 1);
    if (granted >= wanted)
        return;
    log_begin(&line);
    log_text(&line, "event", "few_descriptors");
    log_number(&line, "wanted", wanted);
    log_number(&line, "granted", granted);
    log_text(&line, "text", "each session takes one: raise the limit on open files or lower session_table_size");
    log_send(&line, LOG_WARNING);
}

static bool start(void)
{
    const struct timeval second = {.tv_sec = 1};
    bool ok = pipe(server.milter_ended) == 0 && (server.base = event_base_new()) != NULL &&
              add_event(-1, 0, on_tick, &second) && add_event(server.milter_ended[0], EV_READ, on_milter_ended, NULL);

    for (size_t i = 0; i < HANDLED_SIGNALS && ok; i++)
        ok = add_event(handled_signals[i], EV_SIGNAL, on_signal, NULL);
    return ok && pthread_create(&server.milter_thread, NULL, run_milter, NULL) == 0;
}

static void remove_socket(void)
{
    if (server.config->milter_address.kind == SOCKET_UNIX)
        unlink(server.config->milter_address.path);
}

bool server_run(void (*ready)(void))
{
    struct log_line line;
    sigset_t set;

    raise_descriptors();
    if (!start()) {
        log_event(LOG_ERR, "failed", "no thread, pipe or event loop to be had");
        remove_socket();
        return false;
    }
    /* In this thread alone: the kernel then has nobody else to give them to. */
    signal_set(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    ready();
    event_base_dispatch(server.base);

    atomic_store(&server.stopped, true);
    log_crossings_over(true);
    remove_socket();
    log_begin(&line);
    log_text(&line, "event", server.milter_failed ? "failed" : "stopped");
    if (server.milter_failed)
        log_text(&line, "text", "libmilter gave up by itself; the mail log has its reason");
    log_send(&line, server.milter_failed ? LOG_ERR : LOG_NOTICE);
    return !server.milter_failed;
}
