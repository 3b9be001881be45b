/*
 * test_threads.c: many threads at one door while the rules change. Links milter/door.c, libmail.a and all of
 * src/engine. Meant to be run under -fsanitize=thread as well.
 *
 * Sessions are counted here, outside, from what the door answers: one is counted after its connect was let in and no
 * longer before its close begins, so that the count is never above the truth, and must never be above the cap.
 */
#include "check_main.h"
#include "milter/door.h"
#include "prng.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 8, SEATS = 4, CAP = 10, ROUNDS = 16, EVENTS = 10000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier; /* the threads and the main one */
static struct door_params door;
static atomic_int inside, most_inside, hammering;
static atomic_ulong refused_by_door, refused_for_good, refused_for_once, told;
static atomic_bool too_many, wrong_answer;
static atomic_llong ticks;

struct seat {
    struct door_session session;
    bool open, let_in;
};

static int64_t clock_now(void)
{
    return atomic_fetch_add(&ticks, 1000000);
}

static void tell(const struct verdict *verdict, const struct addr *client)
{
    (void)client;
    if (verdict->kind != VERDICT_REFUSE)
        atomic_store(&wrong_answer, true); /* there are more records than seats and keys */
    atomic_fetch_add(&told, 1);
}

static void add_limit(struct rules_builder *builder, limit_number number, int64_t max)
{
    const struct limit_builtin *limit = &limit_builtins[number];
    rules_add_limit(builder, limit->name, limit->count, limit->per);
    rules_set_term(builder, rules_add_limit_block(builder, RULES_SERVICE, number), TERM_MAX, max);
}

/* Both with the same cap of the service; the second with scopes inside that are narrower for some, and with limits on
 * what comes after connect. */
static struct rules *make_rules(bool narrow)
{
    struct rules_builder *builder = rules_builder_new();
    struct rules_error error;

    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, CAP);
    if (narrow) {
        struct prefix block;
        scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
        scope_id peer = rules_add_scope(builder, SCOPE_PEER, listener, "10.0.0.0/30");
        prefix_parse("10.0.0.0/30", &block);
        rules_add_prefix(builder, peer, &block);
        rules_set(builder, peer, SETTING_LISTENER_SESSIONS, 2);
        rules_set(builder, listener, SETTING_LISTENER_SESSIONS, 9);
        add_limit(builder, LIMIT_NUMBER_CLIENT_SESSIONS, 3);
        add_limit(builder, LIMIT_NUMBER_SESSION_UNKNOWN_COMMANDS, 3);
        add_limit(builder, LIMIT_NUMBER_MESSAGE_RECIPIENTS, 1);
        rules_set(builder, RULES_SERVICE, SETTING_REFUSE_PENDING, 2);
    }
    struct rules *rules = rules_build(builder, &error);
    rules_builder_free(&builder);
    return rules;
}

static void leave(struct seat *seat)
{
    if (seat->let_in)
        atomic_fetch_sub(&inside, 1);
    seat->let_in = seat->open = false;
}

static void seat_connect(struct seat *seat, struct prng *prng)
{
    struct door_connect connect = {.daemon_addr = "127.0.0.1", .daemon_port = "25"};

    connect.client =
        (struct addr){.hi = (uint64_t)(UINT32_C(0x0a000000) + prng_below(prng, 8)) << 32, .family = ADDR_IPV4};
    leave(seat); /* a connect on a seat that is taken closes the session before */
    struct door_answer answer = door_connect(&door, &seat->session, &connect);
    seat->open = true;
    seat->let_in = !seat->session.refusal;
    if (!seat->let_in) {
        atomic_fetch_add(&refused_by_door, 1);
        return;
    }
    int now_inside = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
    while (now_inside > most && !atomic_compare_exchange_weak(&most_inside, &most, now_inside))
        continue;
    if (now_inside > CAP)
        atomic_store(&too_many, true);
    if (answer.kind != DOOR_CONTINUE)
        atomic_store(&wrong_answer, true);
}

static void seat_command(struct seat *seat, struct prng *prng)
{
    char name[32], score[SCORE_TEXT_SIZE];
    bool refused = seat->session.refusal != NULL;
    struct door_answer answer = {.kind = refused ? DOOR_REFUSE : DOOR_CONTINUE};

    snprintf(name, sizeof name, "user%u@test.example", prng_below(prng, 5));
    switch (prng_below(prng, 7)) {
    case 0:
        answer = door_helo(&door, &seat->session, "client.test.example");
        break;
    case 1:
        answer = door_mail(&door, &seat->session, name, name);
        break;
    case 2:
        answer = door_rcpt(&door, &seat->session, name, false);
        break;
    case 3:
        answer = door_data(&door, &seat->session);
        break;
    case 4:
        answer = door_unknown(&door, &seat->session);
        break;
    case 5:
        answer = door_message(&door, &seat->session, score);
        break;
    default:
        door_abort(&door, &seat->session);
    }
    if (refused && answer.kind != DOOR_REFUSE)
        atomic_store(&wrong_answer, true);
    if (!refused && answer.kind == DOOR_REFUSE) {
        atomic_fetch_add(&refused_by_door, 1);
        atomic_fetch_add(seat->session.refusal ? &refused_for_good : &refused_for_once, 1);
    }
}

static void seat_close(struct seat *seat)
{
    leave(seat);
    door_close(&door, &seat->session);
}

static void *run_thread(void *number)
{
    struct prng prng = prng_seeded(*(const int *)number);
    struct seat seats[SEATS];

    memset(seats, 0, sizeof seats);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier); /* hammer, while the main thread changes the rules */
        for (int i = 0; i < EVENTS; i++) {
            struct seat *seat = &seats[prng_below(&prng, SEATS)];
            uint32_t what = prng_below(&prng, 10);
            if (what < 2)
                seat_connect(seat, &prng);
            else if (what < 9)
                seat_command(seat, &prng);
            else
                seat_close(seat);
        }
        for (int i = 0; i < SEATS; i++)
            seat_close(&seats[i]);
        atomic_fetch_sub(&hammering, 1);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier); /* all at once, and stay */
        for (int i = 0; i < SEATS; i++)
            seat_connect(&seats[i], &prng);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier); /* and go */
        for (int i = 0; i < SEATS; i++)
            seat_close(&seats[i]);
    }
    return NULL;
}

static void reload(bool narrow)
{
    struct rules *rules = make_rules(narrow);
    struct tally *next = engine_reload_begin(door.engine, &rules);
    bool done;
    do {
        pthread_mutex_lock(&lock);
        done = engine_reload_step(door.engine, next);
        if (done)
            next = engine_reload_finish(door.engine);
        pthread_mutex_unlock(&lock);
    } while (!done);
    engine_retired_free(&next);
}

/* Sessions that the engine says hold a slot of the service; and all counters added up. */
static void read_counters(uint32_t *service, uint32_t *sum)
{
    struct counter_view views[8];
    struct crossing_report report;

    pthread_mutex_lock(&lock);
    size_t count = engine_counters(door.engine, 0, views, 8);
    struct engine_totals totals = engine_totals(door.engine);
    engine_crossings_over(door.engine, clock_now(), false, &report, 1);
    pthread_mutex_unlock(&lock);
    *service = views[0].count;
    *sum = totals.sessions + totals.pending + totals.clients;
    for (size_t i = 0; i < count; i++)
        *sum += views[i].count + views[i].pending;
}

START_TEST(never_above_the_cap_and_never_adrift)
{
    struct engine_params params = {.session_records = 2 * THREADS * SEATS, .table_records = 1000, .seed = {1, 2}};
    struct rules *rules = make_rules(false);
    struct engine *engine = engine_new(&params, &rules);
    pthread_t threads[THREADS];
    int numbers[THREADS];
    uint32_t service, sum, reloads = 0;

    ck_assert_ptr_nonnull(engine);
    door = (struct door_params){.engine = engine, .lock = &lock, .now = clock_now, .tell = tell};
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_thread, &numbers[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        atomic_store(&hammering, THREADS);
        pthread_barrier_wait(&barrier);
        while (atomic_load(&hammering) > 0) {
            reload(reloads++ % 2 == 0);
            read_counters(&service, &sum);
            ck_assert_uint_le(service, CAP);
            sched_yield();
        }
        pthread_barrier_wait(&barrier);
        read_counters(&service, &sum);
        ck_assert_uint_eq(sum, 0); /* everybody has left */
        ck_assert_int_eq(atomic_load(&inside), 0);
        reload(false);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        read_counters(&service, &sum);
        ck_assert_int_eq(atomic_load(&inside), CAP); /* 32 at once for 10 slots: exactly 10 are in */
        ck_assert_uint_eq(service, CAP);
        pthread_barrier_wait(&barrier);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    read_counters(&service, &sum);
    ck_assert_uint_eq(sum, 0);
    ck_assert_uint_ge(reloads, ROUNDS);
    ck_assert(!atomic_load(&too_many));
    ck_assert(!atomic_load(&wrong_answer));
    ck_assert_int_eq(atomic_load(&most_inside), CAP);
    ck_assert_uint_eq(atomic_load(&told), atomic_load(&refused_by_door));
    ck_assert_uint_gt(atomic_load(&refused_for_good), 0);
    ck_assert_uint_gt(atomic_load(&refused_for_once), 0);
    ck_assert_uint_gt(atomic_load(&told), 0);
    engine_free(&engine);
    pthread_barrier_destroy(&barrier);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("threads");
    TCase *tests = test_case(suite, "door");
    tcase_add_test(tests, never_above_the_cap_and_never_adrift);
    return suite;
}
