/*
 * engine_bench.c: what deciding one connect and its close takes, with few peers and with many, in one run.
 *
 * Prints nanoseconds for both and their ratio. With --check the exit status tells whether the ratio is within 2.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/engine.h"

#define SESSIONS 20000
#define ROUNDS 15
#define FEW 10
#define MANY 10000

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct addr client_of(uint32_t number)
{
    /* 10.0.0.0/8, spread so that as many peers as there are get hit. */
    uint32_t mixed = number * 2654435761u;
    const uint8_t bytes[4] = {10, (uint8_t)(mixed >> 24), (uint8_t)(mixed >> 16), (uint8_t)(mixed >> 8)};
    return addr_from_ipv4(bytes);
}

/* Caps in every scope, none of them ever full, and `peers` blocks of 10.0.0.0/8. */
static struct engine *make_engine(uint32_t peers)
{
    const struct engine_params params = {.session_records = 65536, .seed = {1, 2}};
    struct rules_builder *builder = rules_builder_new();
    struct rules_error error;
    struct addr any = {0};

    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 1000000);
    rules_set(builder, RULES_SERVICE, SETTING_CLIENT_SESSIONS, 1000000);
    scope_id group = rules_add_scope(builder, SCOPE_PATHWAY_GROUP, RULES_SERVICE, "group");
    scope_id pathway = rules_add_scope(builder, SCOPE_PATHWAY, group, "pathway");
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    scope_id listen = rules_add_scope(builder, SCOPE_LISTEN, listener, ":25");
    rules_set_listen(builder, listen, &any, 25);
    rules_set(builder, listen, SETTING_PATHWAY, pathway);
    const scope_id capped[] = {group, pathway, listener, listen};
    for (size_t i = 0; i < sizeof capped / sizeof *capped; i++)
        rules_set(builder, capped[i], SETTING_LISTENER_SESSIONS, 1000000);
    for (uint32_t i = 0; i < peers; i++) {
        /* A /22 each: 16,384 of them fill the /8. */
        struct prefix block = {.addr = {.hi = (uint64_t)(10u << 24 | i * (16384 / peers) << 10) << 32,
                                        .family = ADDR_IPV4},
                               .bits = 22};
        scope_id peer = rules_add_scope(builder, SCOPE_PEER, i % 2 ? listener : listen, "block");
        rules_add_prefix(builder, peer, &block);
        rules_set(builder, peer, SETTING_LISTENER_SESSIONS, 1000000);
    }
    struct rules *rules = rules_build(builder, &error);
    rules_builder_free(&builder);
    struct engine *engine = rules ? engine_new(&params, &rules) : NULL;
    if (!engine) {
        fprintf(stderr, "engine_bench: no engine: error %d\n", (int)error.code);
        exit(1);
    }
    return engine;
}

/* Nanoseconds for one connect and its close, with SESSIONS open. */
static double run(struct engine *engine)
{
    static session_id open[SESSIONS];
    struct verdict verdict;
    int64_t begin = now_ns();

    for (uint32_t i = 0; i < SESSIONS; i++) {
        const struct connect_event event = {.client = client_of(i), .local_port = 25, .daemon_name = "mx.test.example"};
        engine_connect(engine, &event, 0, &open[i], &verdict);
        if (open[i] == 0) {
            fprintf(stderr, "engine_bench: session %u was refused\n", (unsigned)i);
            exit(1);
        }
    }
    for (uint32_t i = 0; i < SESSIONS; i++)
        engine_close(engine, open[i]);
    return (double)(now_ns() - begin) / SESSIONS;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct engine *few = make_engine(FEW), *many = make_engine(MANY);
    double few_ns[ROUNDS], many_ns[ROUNDS];

    run(few);
    run(many);
    for (int i = 0; i < ROUNDS; i++) {
        few_ns[i] = run(few);
        many_ns[i] = run(many);
    }
    qsort(few_ns, ROUNDS, sizeof *few_ns, compare_doubles);
    qsort(many_ns, ROUNDS, sizeof *many_ns, compare_doubles);
    double ratio = many_ns[ROUNDS / 2] / few_ns[ROUNDS / 2];
    printf("engine: connect and close, %d peers %.0f ns, %d peers %.0f ns, ratio %.2f (at most 2.00 wanted)\n", FEW,
           few_ns[ROUNDS / 2], MANY, many_ns[ROUNDS / 2], ratio);
    engine_free(&few);
    engine_free(&many);
    return argc > 1 && strcmp(argv[1], "--check") == 0 && ratio > 2;
}
