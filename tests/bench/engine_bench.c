/*
 * engine_bench.c: what it takes the engine to decide one connect and its close.
 *
 * usage: engine_bench [--check] [--clients NUMBER] [peers|clients|deny|activity]...     (without a name: all)
 *
 *   peers     with 10 and with 10,000 peers, caps in every scope;
 *   clients   with 10,000 and with 10 million clients (or NUMBER) known to the built-in client_* limits: beside it what
 *             one access of memory takes that must wait for the one before, and the resident memory of a known client;
 *   deny      without and with a deny list of a million blocks, in such accesses again;
 *   activity  without and with what people see of clients, of which there are more than it has room for.
 *
 * What is compared runs by turns in one process, and the medians of the rounds count. With --check the exit status is 1
 * when a target is missed three times running.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"

#define SESSIONS 20000
#define ROUNDS 15
#define ATTEMPTS 3
#define HIGH 1000000 /* a maximum that nobody reaches */

#define FEW_PEERS 10
#define MANY_PEERS 10000
#define PEERS_RATIO 2.0

#define FEW_CLIENTS 10000
#define MANY_CLIENTS 10000000
#define CLIENTS_MAX (1u << 24)
#define CLIENTS_RATIO 5.0
#define CLIENTS_ACCESSES 4.0
#define CLIENT_BYTES 96
#define CLIENT_BYTES_CONSTANT (1024 * 1024) /* what the resident memory may have besides, however many are known */

#define DENIED 1000000
#define DENY_SHORTEST 22
#define DENY_ACCESSES 3.0

#define MANY_SEEN 100000
#define ACTIVITY_RATIO 2.0

#define SECOND_NS INT64_C(1000000000)
#define BETWEEN_NS INT64_C(100000) /* from one event to the next */

struct subject {
    struct engine *engine;
    const struct addr *clients; /* SESSIONS of them */
    int64_t now;
    double ns[ROUNDS]; /* for one connect and its close */
};

static void die(const char *what)
{
    fprintf(stderr, "engine_bench: %s\n", what);
    exit(2);
}

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static struct addr ipv4(uint32_t number)
{
    return (struct addr){.hi = (uint64_t)number << 32, .family = ADDR_IPV4};
}

/* Each number below 2^24 is a client of its own, somewhere in 10.0.0.0/8. */
static struct addr client_of(uint32_t number)
{
    return ipv4(UINT32_C(10) << 24 | (number * UINT32_C(2654435761) & 0xffffff));
}

static struct engine *make_engine(struct rules_builder **builder, uint32_t table_records, bool activity)
{
    const struct engine_params params = {
        .session_records = 65536, .table_records = table_records, .seed = {1, 2}, .activity = activity};
    struct rules_error error;
    struct rules *rules = rules_build(*builder, &error);
    struct engine *engine = rules ? engine_new(&params, &rules) : NULL;

    rules_builder_free(builder);
    if (!engine)
        die("no engine");
    return engine;
}

/* The built-in client_* limits, in the service. */
static void add_client_limits(struct rules_builder *builder)
{
    for (unsigned i = LIMIT_NUMBER_CLIENT_SESSIONS; i <= LIMIT_NUMBER_CLIENT_ERRORS; i++) {
        const struct limit_builtin *builtin = &limit_builtins[i];
        limit_number limit = rules_add_limit(builder, builtin->name, builtin->count, builtin->per);
        rules_set_term(builder, rules_add_limit_block(builder, RULES_SERVICE, limit), TERM_MAX, HIGH);
    }
}

/* SESSIONS of them at once, each of which connects and closes. */
static double run_sessions(struct subject *subject)
{
    static session_id open[SESSIONS];
    struct verdict verdict;
    int64_t begin = clock_ns();

    for (uint32_t i = 0; i < SESSIONS; i++) {
        const struct connect_event event = {
            .client = subject->clients[i], .local_port = 25, .daemon_name = "mx.test.example"};
        engine_connect(subject->engine, &event, subject->now += BETWEEN_NS, &open[i], &verdict);
        if (open[i] == 0)
            die("a session was refused");
    }
    for (uint32_t i = 0; i < SESSIONS; i++)
        engine_close(subject->engine, open[i], subject->now += BETWEEN_NS);
    return (double)(clock_ns() - begin) / SESSIONS;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof *values, compare_doubles);
    return values[ROUNDS / 2];
}

/* ---- memory ---- */

static size_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    bool read = file && fscanf(file, "%*u %lu", &pages) == 1;

    if (file)
        fclose(file);
    return read ? pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* One access of memory that must wait for the one before, as far apart as records of clients are. */
struct step {
    uint32_t next;
    char rest[CLIENT_BYTES - sizeof(uint32_t)];
};

/* One cycle through all steps, in random order (Sattolo). */
static struct step *make_chase(uint32_t count)
{
    struct step *steps = malloc(count * sizeof *steps);
    uint64_t random = 3;

    if (!steps)
        die("no memory for the chase");
    for (uint32_t i = 0; i < count; i++)
        steps[i].next = i;
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t other = (uint32_t)(next_random(&random) % i), next = steps[i].next;
        steps[i].next = steps[other].next;
        steps[other].next = next;
    }
    return steps;
}

/* Nanoseconds for one step. Where it stands is volatile, or the compiler would see that nobody asks. */
static double run_chase(const struct step *steps, volatile uint32_t *at)
{
    const uint32_t count = 4 * SESSIONS;
    uint32_t here = *at;
    int64_t begin = clock_ns();

    for (uint32_t i = 0; i < count; i++)
        here = steps[here].next;
    *at = here;
    return (double)(clock_ns() - begin) / count;
}

/* How many such accesses `more` takes above `less`, by the median of the rounds. */
static double median_accesses(const double less[ROUNDS], const double more[ROUNDS], const double chase[ROUNDS])
{
    double accesses[ROUNDS];

    for (int i = 0; i < ROUNDS; i++)
        accesses[i] = (more[i] - less[i]) / chase[i];
    return median(accesses);
}

/* ---- peers ---- */

/* Caps in every scope and `peers` blocks of 10.0.0.0/8. */
static struct engine *engine_with_peers(uint32_t peers)
{
    struct rules_builder *builder = rules_builder_new();
    struct addr any = {0};

    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, HIGH);
    add_client_limits(builder);
    scope_id group = rules_add_scope(builder, SCOPE_PATHWAY_GROUP, RULES_SERVICE, "group");
    scope_id pathway = rules_add_scope(builder, SCOPE_PATHWAY, group, "pathway");
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    scope_id listen = rules_add_scope(builder, SCOPE_LISTEN, listener, ":25");
    rules_set_listen(builder, listen, &any, 25);
    rules_set(builder, listen, SETTING_PATHWAY, pathway);
    const scope_id capped[] = {group, pathway, listener, listen};
    for (size_t i = 0; i < sizeof capped / sizeof *capped; i++)
        rules_set(builder, capped[i], SETTING_LISTENER_SESSIONS, HIGH);
    for (uint32_t i = 0; i < peers; i++) {
        /* A /22 each: 16,384 of them fill the /8. */
        struct prefix block = {.addr = ipv4(UINT32_C(10) << 24 | i * (16384 / peers) << 10), .bits = 22};
        scope_id peer = rules_add_scope(builder, SCOPE_PEER, i % 2 ? listener : listen, "block");
        rules_add_prefix(builder, peer, &block);
        rules_set(builder, peer, SETTING_LISTENER_SESSIONS, HIGH);
    }
    return make_engine(&builder, 65536, false);
}

static bool bench_peers(void)
{
    static struct addr clients[SESSIONS];
    struct subject few = {.engine = engine_with_peers(FEW_PEERS), .clients = clients};
    struct subject many = {.engine = engine_with_peers(MANY_PEERS), .clients = clients};
    double ratio = 0;

    for (uint32_t i = 0; i < SESSIONS; i++)
        clients[i] = client_of(i);
    for (int attempt = 0; attempt < ATTEMPTS && (attempt == 0 || ratio > PEERS_RATIO); attempt++) {
        run_sessions(&few);
        run_sessions(&many);
        for (int i = 0; i < ROUNDS; i++) {
            few.ns[i] = run_sessions(&few);
            many.ns[i] = run_sessions(&many);
        }
        double few_ns = median(few.ns), many_ns = median(many.ns);
        ratio = many_ns / few_ns;
        printf("bench=engine_peers ratio=%.2f target=%.2f ns_%d=%.0f ns_%d=%.0f\n", ratio, PEERS_RATIO, FEW_PEERS,
               few_ns, MANY_PEERS, many_ns);
    }
    engine_free(&few.engine);
    engine_free(&many.engine);
    return ratio <= PEERS_RATIO;
}

/* ---- clients ---- */

static struct engine *engine_for_clients(uint32_t clients, bool activity)
{
    struct rules_builder *builder = rules_builder_new();

    add_client_limits(builder);
    return make_engine(&builder, clients, activity);
}

static void know_clients(struct subject *subject, uint32_t count)
{
    struct verdict verdict;
    session_id id;

    for (uint32_t i = 0; i < count; i++) {
        const struct connect_event event = {.client = client_of(i), .local_port = 25};
        engine_connect(subject->engine, &event, subject->now += BETWEEN_NS, &id, &verdict);
        engine_close(subject->engine, id, subject->now);
    }
    struct engine_totals totals = engine_totals(subject->engine);
    if (totals.keys != count || totals.evicted > 0)
        die("not all clients are known");
}

static void pick_clients(struct addr clients[SESSIONS], uint32_t known, uint64_t *random)
{
    for (uint32_t i = 0; i < SESSIONS; i++)
        clients[i] = client_of((uint32_t)(next_random(random) % known));
}

static bool bench_clients(uint32_t known)
{
    static struct addr few_clients[SESSIONS], many_clients[SESSIONS];
    struct subject few = {.engine = engine_for_clients(FEW_CLIENTS, false), .clients = few_clients};
    struct subject many = {.engine = engine_for_clients(known, false), .clients = many_clients};
    double chase[ROUNDS];
    uint64_t random = 5;
    volatile uint32_t at = 0;
    bool reached = false;

    know_clients(&few, FEW_CLIENTS);
    size_t before = resident_bytes();
    know_clients(&many, known);
    size_t grown = resident_bytes() - before;
    bool small = grown <= (size_t)known * CLIENT_BYTES + CLIENT_BYTES_CONSTANT;
    printf("bench=engine_client_memory bytes_each=%.2f target=%d clients=%u resident=%zu\n", (double)grown / known,
           CLIENT_BYTES, (unsigned)known, grown);

    struct step *steps = make_chase(known);
    for (int attempt = 0; attempt < ATTEMPTS && !reached; attempt++) {
        for (int i = 0; i < ROUNDS; i++) {
            pick_clients(few_clients, FEW_CLIENTS, &random);
            pick_clients(many_clients, known, &random);
            few.ns[i] = run_sessions(&few);
            chase[i] = run_chase(steps, &at);
            many.ns[i] = run_sessions(&many);
        }
        double accesses = median_accesses(few.ns, many.ns, chase);
        double few_ns = median(few.ns), many_ns = median(many.ns), chase_ns = median(chase);
        reached = accesses <= CLIENTS_ACCESSES && many_ns <= few_ns * CLIENTS_RATIO;
        printf("bench=engine_clients accesses=%.2f target=%.2f ratio=%.2f target_ratio=%.2f ns_%d=%.0f ns_%u=%.0f "
               "ns_access=%.0f\n",
               accesses, CLIENTS_ACCESSES, many_ns / few_ns, CLIENTS_RATIO, FEW_CLIENTS, few_ns, (unsigned)known,
               many_ns, chase_ns);
    }
    free(steps);
    engine_free(&few.engine);
    engine_free(&many.engine);
    return reached && small;
}

/* ---- deny ---- */

static struct engine *engine_with_denied(uint32_t blocks)
{
    struct rules_builder *builder = rules_builder_new();
    uint64_t random = 7;

    add_client_limits(builder);
    for (uint32_t i = 0; i < blocks; i++) {
        unsigned bits = DENY_SHORTEST + (unsigned)(next_random(&random) % (33 - DENY_SHORTEST));
        const struct addr addr = ipv4((uint32_t)next_random(&random));
        const struct prefix block = {.addr = addr_cut(&addr, bits), .bits = (uint8_t)bits};
        rules_add_list_prefix(builder, LIST_DENY, &block);
    }
    return make_engine(&builder, 65536, false);
}

/* From all over the address space, so that each look-up ends deep in the list, but none that is denied. */
static void pick_allowed(struct subject *subject, struct addr clients[SESSIONS])
{
    uint64_t random = 9;

    for (uint32_t i = 0; i < SESSIONS;) {
        const struct connect_event event = {.client = ipv4((uint32_t)next_random(&random)), .local_port = 25};
        struct verdict verdict;
        session_id id;
        engine_connect(subject->engine, &event, subject->now, &id, &verdict);
        engine_close(subject->engine, id, subject->now);
        if (verdict.kind == VERDICT_CONTINUE)
            clients[i++] = event.client;
    }
}

static bool bench_deny(void)
{
    static struct addr clients[SESSIONS];
    struct subject without = {.engine = engine_with_denied(0), .clients = clients};
    size_t before = resident_bytes();
    struct subject with = {.engine = engine_with_denied(DENIED), .clients = clients};
    size_t grown = resident_bytes() - before;
    struct step *steps = make_chase((uint32_t)(grown / sizeof *steps) + 2);
    double chase[ROUNDS], accesses = 0;
    volatile uint32_t at = 0;

    pick_allowed(&with, clients);
    for (int attempt = 0; attempt < ATTEMPTS && (attempt == 0 || accesses > DENY_ACCESSES); attempt++) {
        run_sessions(&without);
        run_sessions(&with);
        for (int i = 0; i < ROUNDS; i++) {
            without.ns[i] = run_sessions(&without);
            chase[i] = run_chase(steps, &at);
            with.ns[i] = run_sessions(&with);
        }
        accesses = median_accesses(without.ns, with.ns, chase);
        double without_ns = median(without.ns), with_ns = median(with.ns), chase_ns = median(chase);
        printf("bench=engine_deny accesses=%.2f target=%.2f ns_0=%.0f ns_%d=%.0f ns_access=%.0f resident=%zu\n",
               accesses, DENY_ACCESSES, without_ns, DENIED, with_ns, chase_ns, grown);
    }
    free(steps);
    engine_free(&without.engine);
    engine_free(&with.engine);
    return accesses <= DENY_ACCESSES;
}

/* ---- activity ---- */

static bool bench_activity(void)
{
    static struct addr clients[SESSIONS];
    struct subject without = {.engine = engine_for_clients(MANY_SEEN, false), .clients = clients};
    struct subject with = {.engine = engine_for_clients(MANY_SEEN, true), .clients = clients};
    uint64_t random = 11;
    double ratio = 0;

    know_clients(&without, MANY_SEEN);
    know_clients(&with, MANY_SEEN);
    for (int attempt = 0; attempt < ATTEMPTS && (attempt == 0 || ratio > ACTIVITY_RATIO); attempt++) {
        for (int i = 0; i < ROUNDS; i++) {
            pick_clients(clients, MANY_SEEN, &random);
            without.ns[i] = run_sessions(&without);
            with.ns[i] = run_sessions(&with);
        }
        double without_ns = median(without.ns), with_ns = median(with.ns);
        ratio = with_ns / without_ns;
        printf("bench=engine_activity ratio=%.2f target=%.2f ns_without=%.0f ns_with=%.0f\n", ratio, ACTIVITY_RATIO,
               without_ns, with_ns);
    }
    engine_free(&without.engine);
    engine_free(&with.engine);
    return ratio <= ACTIVITY_RATIO;
}

int main(int argc, char **argv)
{
    uint32_t known = MANY_CLIENTS;
    bool check = false, peers = false, clients = false, deny = false, activity = false, reached = true;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0)
            check = true;
        else if (strcmp(argv[i], "--clients") == 0 && i + 1 < argc)
            known = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "peers") == 0)
            peers = true;
        else if (strcmp(argv[i], "clients") == 0)
            clients = true;
        else if (strcmp(argv[i], "deny") == 0)
            deny = true;
        else if (strcmp(argv[i], "activity") == 0)
            activity = true;
        else
            die("usage: engine_bench [--check] [--clients NUMBER] [peers|clients|deny|activity]...");
    }
    if (known < FEW_CLIENTS || known > CLIENTS_MAX)
        die("--clients: expected a number from 10000 to 16777216");
    bool all = !peers && !clients && !deny && !activity;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (all || peers)
        reached = bench_peers() && reached;
    if (all || clients)
        reached = bench_clients(known) && reached;
    if (all || deny)
        reached = bench_deny() && reached;
    if (all || activity)
        reached = bench_activity() && reached;
    return check && !reached;
}
