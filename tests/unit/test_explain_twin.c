/*
 * test_explain_twin.c: what the engine explains, against what it does. Engines with the same rules and the same past
 * are asked, and tried: the one refuses exactly who the other says it would, by that limit, until the time that it
 * gives. And who asks leaves no trace. Links all of src/engine.
 */
#include "check_main.h"
#include "prng.h"

#include "engine/bans.h"
#include "engine/explain.h"

#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
#define CLIENTS 6
#define DOMAINS 3
#define DAEMONS 3
#define OPEN_MAX 40
#define STEPS 60
#define EXPLANATIONS 100

static const char *const clients[CLIENTS] = {"192.0.2.1",    "192.0.2.2", "198.51.100.7",
                                             "203.0.113.20", "10.1.1.1",  "2001:db8::1"};
static const char *const domains[DOMAINS] = {"one.example", "two.example", "mx.two.example"};
static const char *const senders[DOMAINS] = {"joe@one.example", "ann@two.example", "x@mx.two.example"};
static const char *const users[DOMAINS] = {NULL, "joe", "ann"};
static const char *const daemons[DAEMONS] = {NULL, "a", "b"};

struct open {
    session_id id;
    unsigned client, domain, daemon;
};

/* An engine with a past. */
struct world {
    struct engine *engine;
    struct prng prng;
    struct open open[OPEN_MAX];
    unsigned open_count;
    int64_t now;
    uint64_t digest; /* of all verdicts */
    bool asks;
};

static struct addr addr_of(const char *text)
{
    struct addr addr;
    ck_assert(addr_parse(text, &addr));
    return addr;
}

/* ---- rules ---- */

static const limit_number some_limits[] = {
    LIMIT_NUMBER_CLIENT_SESSIONS,   LIMIT_NUMBER_CLIENT_CONNECTIONS, LIMIT_NUMBER_CLIENT_MESSAGES,
    LIMIT_NUMBER_CLIENT_RECIPIENTS, LIMIT_NUMBER_SENDER_RECIPIENTS,  LIMIT_NUMBER_RECIPIENT_MESSAGES,
    LIMIT_NUMBER_USER_RECIPIENTS,   LIMIT_NUMBER_DOMAIN_NETWORKS,    LIMIT_NUMBER_HELO_NETWORKS,
};

static void add_limit(struct rules_builder *builder, struct prng *prng, scope_id scope, bool reputation)
{
    static const enum limit_mode modes[] = {MODE_BLOCK, MODE_BLOCK, MODE_BLOCK, MODE_MONITOR, MODE_SCORE, MODE_OFF};
    uint32_t which = prng_below(prng, sizeof some_limits / sizeof *some_limits + 2);
    limit_number number = which < sizeof some_limits / sizeof *some_limits ? some_limits[which]
                          : which % 2 == 0
                              ? rules_add_limit(builder, "domain_connections", COUNT_CONNECTIONS, PER_CLIENT_DOMAIN)
                              : rules_add_limit(builder, "domain_sessions", COUNT_SESSIONS, PER_CLIENT_DOMAIN);
    limit_block_id block = rules_add_limit_block(builder, scope, number);

    rules_set_term(builder, block, TERM_MAX, 1 + prng_below(prng, 4));
    rules_set_term(builder, block, TERM_WINDOW, (1 + prng_below(prng, 40)) * SECOND);
    rules_set_term(builder, block, TERM_BAN, prng_below(prng, 2) * prng_below(prng, 60) * SECOND);
    rules_set_term(builder, block, TERM_MODE, modes[prng_below(prng, sizeof modes / sizeof *modes)]);
    rules_set_term(builder, block, TERM_POINTS, 1 + prng_below(prng, 3));
    if (reputation) {
        rules_set_term(builder, block, TERM_MAX_GOOD, prng_below(prng, 8));
        rules_set_term(builder, block, TERM_MAX_BAD, 1 + prng_below(prng, 2));
    }
    if (prng_below(prng, 4) == 0)
        rules_set_term(builder, block, TERM_MAX_AUTHENTICATED, prng_below(prng, 6));
    if (prng_below(prng, 4) == 0)
        rules_add_key_name(builder, block, domains[prng_below(prng, DOMAINS)],
                           &(struct limit_maxima){.set = 1u << TERM_MAX, .max = {prng_below(prng, 6)}});
    if (prng_below(prng, 6) == 0)
        rules_add_except_user(builder, block, "ann");
    if (prng_below(prng, 6) == 0)
        rules_add_except_name(builder, block, domains[prng_below(prng, DOMAINS)]);
}

static void add_lists(struct rules_builder *builder, struct prng *prng)
{
    static const char *const blocks[] = {"192.0.2.0/24", "192.0.2.2", "0.0.0.0/0", "2001:db8::/32", "10.0.0.0/8"};
    static const enum limit_mode modes[] = {MODE_BLOCK, MODE_MONITOR, MODE_SCORE, MODE_OFF};

    for (enum rules_list list = 0; list < RULES_LISTS; list++) {
        struct prefix prefix;
        ck_assert_int_eq(prefix_parse(blocks[prng_below(prng, 5)], &prefix), PREFIX_OK);
        if (prng_below(prng, 5) == 0)
            rules_add_list_prefix(builder, list, &prefix);
        if (prng_below(prng, 6) == 0)
            rules_add_list_sender(builder, list, prng_below(prng, 2) ? domains[1] : senders[prng_below(prng, DOMAINS)]);
        if (prng_below(prng, 8) == 0)
            rules_add_list_user(builder, list, "joe");
        if (prng_below(prng, 12) == 0)
            rules_add_list_authenticated(builder, list);
    }
    rules_set_deny(builder, modes[prng_below(prng, 4)], 1 + prng_below(prng, 3));
}

static struct rules *random_rules(struct prng *prng, bool reputation)
{
    struct rules_builder *builder = rules_builder_new();
    struct rules_error error;
    struct prefix ten, all;
    scope_id scopes[6] = {RULES_SERVICE};

    ck_assert_ptr_nonnull(builder);
    ck_assert(prefix_parse("192.0.2.0/24", &ten) == PREFIX_OK && prefix_parse("0.0.0.0/0", &all) == PREFIX_OK);
    scopes[1] = rules_add_scope(builder, SCOPE_PATHWAY, RULES_SERVICE, "way");
    for (unsigned i = 2; i < 4; i++) {
        scopes[i] = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
        rules_set_daemon_name(builder, scopes[i], daemons[i - 1]);
    }
    scopes[4] = rules_add_scope(builder, SCOPE_PEER, scopes[2], "ten");
    rules_add_prefix(builder, scopes[4], &ten);
    scopes[5] = rules_add_scope(builder, SCOPE_PEER, scopes[2], "all");
    rules_add_prefix(builder, scopes[5], &all);
    if (prng_below(prng, 2))
        rules_set(builder, scopes[3], SETTING_PATHWAY, scopes[1]);
    for (unsigned i = 0; i < 6; i++) {
        if (prng_below(prng, 4) == 0)
            rules_set(builder, scopes[i], SETTING_LISTENER_SESSIONS, 1 + prng_below(prng, 5));
        if (prng_below(prng, 4) == 0)
            rules_set(builder, scopes[i], SETTING_SCORE_REFUSE, prng_below(prng, 6));
        for (uint32_t j = prng_below(prng, i == 0 ? 7 : 3); j > 0; j--)
            add_limit(builder, prng, scopes[i], reputation);
    }
    if (prng_below(prng, 3) == 0)
        rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 3 + prng_below(prng, 5));
    if (reputation)
        rules_set_reputation(builder, 60 * SECOND);
    add_lists(builder, prng);
    rules_set_client_prefix(builder, prng_below(prng, 2) ? 32 : 24, 64);
    rules_set_monitor(builder, prng_below(prng, 8) == 0);
    struct rules *rules = rules_build(builder, &error);
    ck_assert_ptr_nonnull(rules);
    rules_builder_free(&builder);
    return rules;
}

/* ---- events ---- */

static void digest(struct world *world, const struct verdict *verdict)
{
    world->digest = world->digest * 31 + verdict->kind + 1;
    for (unsigned i = 0; i < verdict->finding_count; i++) {
        const struct finding *finding = &verdict->findings[i];
        const uint64_t facts[] = {finding->limit,  finding->action, finding->count,       finding->max,
                                  finding->banned, finding->points, finding->ban_left_ns, finding->crossing};
        for (unsigned j = 0; j < sizeof facts / sizeof *facts; j++)
            world->digest = world->digest * 1000003 + facts[j];
    }
}

static session_id do_connect(struct world *world, const struct open *who, struct verdict *verdict)
{
    const struct connect_event event = {.client = addr_of(clients[who->client]),
                                        .daemon_name = daemons[who->daemon],
                                        .client_domain = who->domain == 0 ? domains[0] : domains[1],
                                        .client_host = domains[who->domain]};
    session_id id;

    engine_connect(world->engine, &event, world->now, &id, verdict);
    digest(world, verdict);
    return id;
}

static void do_event(struct world *world, const struct open *who, enum event_kind kind, unsigned name,
                     struct verdict *verdict)
{
    const struct event event = {.kind = kind,
                                .client_domain = who->domain == 0 ? domains[0] : domains[1],
                                .client_host = domains[who->domain],
                                .helo = domains[name],
                                .sender = senders[name],
                                .user = users[name],
                                .recipient = kind == EVENT_RCPT ? senders[name] : NULL};

    engine_event(world->engine, who->id, &event, world->now, verdict);
    digest(world, verdict);
}

/* An administrator bans somebody, or lifts it. */
static void intervene(struct world *world)
{
    static const char *const blocks[] = {"192.0.2.0/24", "192.0.2.2", "10.1.1.1"};
    struct prng *prng = &world->prng;
    struct ban_target target = {.clients = {.bits = 0}};
    const struct unban unban = {.target = &target};
    struct unbanned done = {0};
    uint64_t next = 0;

    if (prng_below(prng, 2))
        ck_assert_int_eq(prefix_parse(blocks[prng_below(prng, 3)], &target.clients), PREFIX_OK);
    else
        strcpy(target.name, domains[prng_below(prng, DOMAINS)]);
    if (prng_below(prng, 3) > 0) {
        engine_ban(world->engine, &target, (1 + (int64_t)prng_below(prng, 30)) * SECOND, world->now);
        return;
    }
    do
        engine_unban(world->engine, &unban, world->now, &next, &done);
    while (next != 0);
}

static void random_step(struct world *world)
{
    struct prng *prng = &world->prng;
    struct verdict verdict;
    uint32_t what = prng_below(prng, 10);

    world->now += (int64_t)(prng_next(prng) % (uint64_t)(prng_below(prng, 8) == 0 ? 20 * SECOND : SECOND));
    if (prng_below(prng, 30) == 0) {
        intervene(world);
    } else if (what < 4 && world->open_count < OPEN_MAX) {
        struct open *who = &world->open[world->open_count];
        *who = (struct open){0, prng_below(prng, CLIENTS), prng_below(prng, DOMAINS), prng_below(prng, DAEMONS)};
        who->id = do_connect(world, who, &verdict);
        if (verdict.kind == VERDICT_REFUSE)
            engine_close(world->engine, who->id, world->now);
        else if (who->id != 0)
            world->open_count++;
    } else if (what < 9 && world->open_count > 0) {
        static const enum event_kind kinds[] = {EVENT_HELO, EVENT_MAIL, EVENT_RCPT, EVENT_UNKNOWN, EVENT_MESSAGE};
        do_event(world, &world->open[prng_below(prng, world->open_count)], kinds[prng_below(prng, 5)],
                 prng_below(prng, DOMAINS), &verdict);
    } else if (world->open_count > 0) {
        uint32_t place = prng_below(prng, world->open_count);
        engine_close(world->engine, world->open[place].id, world->now);
        world->open[place] = world->open[--world->open_count];
    }
}

/* ---- questions ---- */

/* The client alone, or what it says in that session, too. */
static struct explain_subject subject_of(const struct open *who, bool anywhere, int name)
{
    struct explain_subject subject = {.client = addr_of(clients[who->client]),
                                      .anywhere = anywhere,
                                      .daemon_name = daemons[who->daemon],
                                      .client_domain = who->domain == 0 ? domains[0] : domains[1]};

    subject.name[PER_CLIENT_DOMAIN] = domains[who->domain];
    if (name < 0)
        return subject;
    subject.name[PER_HELO] = domains[name];
    subject.name[PER_SENDER] = subject.name[PER_RECIPIENT] = senders[name];
    subject.name[PER_SENDER_DOMAIN] = subject.name[PER_RECIPIENT_DOMAIN] = domains[name];
    subject.name[PER_USER] = subject.user = users[name];
    return subject;
}

static struct explain_walk walk;

/* With room for so many. */
static void explain(const struct engine *engine, const struct explain_subject *subject, int64_t now, uint32_t room)
{
    memset(&walk, 0, sizeof walk);
    walk.subject = *subject;
    walk.room = room;
    while (!engine_explain(engine, &walk, now))
        continue;
}

static void ask(struct world *world, uint64_t seed)
{
    struct prng prng = prng_seeded(seed);
    const struct open who = {0, prng_below(&prng, CLIENTS), prng_below(&prng, DOMAINS), prng_below(&prng, DAEMONS)};
    const struct explain_subject subject =
        subject_of(&who, prng_below(&prng, 2), (int)prng_below(&prng, DOMAINS + 1) - 1);
    struct evaluation values[8];

    explain(world->engine, &subject, world->now + (int64_t)prng_below(&prng, 100) * SECOND, 1 + prng_below(&prng, 8));
    engine_evaluate(world->engine, &subject, world->now, values, prng_below(&prng, 9));
}

static struct world world_of(uint64_t seed, bool reputation, bool asks)
{
    const struct engine_params params = {.session_records = 64, .table_records = 4096, .seed = {5, seed}};
    struct world world = {.prng = prng_seeded(seed), .now = 1000 * SECOND, .asks = asks};
    struct rules *rules = random_rules(&world.prng, reputation);

    world.engine = engine_new(&params, &rules);
    ck_assert_ptr_nonnull(world.engine);
    for (unsigned i = 0; i < STEPS; i++) {
        random_step(&world);
        if (asks)
            ask(&world, seed * 1000 + i);
    }
    return world;
}

/* ---- what is tried ---- */

/* The subject connects, or says something in a session that it has. */
struct attempt {
    enum event_kind kind;
    struct open who;
    unsigned name;
};

static void attempt(struct world *world, const struct attempt *attempt, int64_t now, struct verdict *verdict)
{
    world->now = now;
    if (attempt->kind == EVENT_CONNECT)
        do_connect(world, &attempt->who, verdict);
    else
        do_event(world, &attempt->who, attempt->kind, attempt->name, verdict);
}

static struct verdict try_at(uint64_t seed, bool reputation, const struct attempt *what, int64_t now)
{
    struct world world = world_of(seed, reputation, false);
    struct verdict verdict;

    attempt(&world, what, now, &verdict);
    engine_free(&world.engine);
    return verdict;
}

/* Whether what is explained is judged at that event. */
static bool is_judged_at(const struct explanation *one, enum event_kind kind)
{
    if (one->limit >= LIMIT_NUMBERED)
        return (limit_events(one->count_of, one->per) | (one->banned ? limit_ban_events(one->per) : 0)) >> kind & 1;
    if (one->limit == LIMIT_SCORE)
        return kind == EVENT_CONNECT; /* later the session has points of what it has done */
    return kind == EVENT_CONNECT ? one->at_connect : !one->at_connect;
}

static const struct explanation *refusal(const struct explanation *told, size_t count, enum event_kind kind)
{
    /* Whose name is exempt may still be banned before it is told; with a session it is past that. */
    for (size_t i = 0; i < count && kind != EVENT_CONNECT; i++)
        if (told[i].limit == LIMIT_NONE)
            return NULL;
    /* The caps are judged before the score, which is told last. */
    for (size_t i = 0; i < count; i++)
        if (explanation_refuses(&told[i]) && is_judged_at(&told[i], kind)) {
            ck_assert(kind != EVENT_CONNECT || told[i].at_connect);
            return &told[i];
        }
    return NULL;
}

/* By what can be foreseen. */
static bool is_refused_at(const struct verdict *verdict, enum event_kind kind)
{
    return verdict->kind == VERDICT_REFUSE &&
           (kind == EVENT_CONNECT || verdict->findings[verdict->finding_count - 1].limit != LIMIT_SCORE);
}

static unsigned refused_for_a_while, refused_till_close, refused_for_good, banned, let_in;

/* An administrator's ban holds until its end. What comes then is another question: it hides an exempt list. */
static void check_ban(uint64_t seed, const struct attempt *what, int64_t now, const struct explanation *ban)
{
    struct verdict last = try_at(seed, false, what, now + ban->next_ns - 1);
    ck_assert_msg(is_refused_at(&last, what->kind) && last.findings[last.finding_count - 1].limit == LIMIT_BAN,
                  "seed %llu: not banned to the end", (unsigned long long)seed);
    struct verdict over = try_at(seed, false, what, now + ban->next_ns);
    ck_assert_msg(over.findings[0].limit != LIMIT_BAN, "seed %llu: banned after the end", (unsigned long long)seed);
    banned++;
}

static void check_next(uint64_t seed, const struct attempt *what, int64_t now, const struct explanation *told,
                       size_t count)
{
    int64_t longest = 0;
    bool ends = true, never = false;

    for (size_t i = 0; i < count; i++) {
        if (!explanation_refuses(&told[i]) || !is_judged_at(&told[i], what->kind))
            continue;
        ck_assert_int_ge(told[i].next_ns, 0);
        /* What counts something else than this event refuses it only by a ban. */
        bool counts = told[i].limit < LIMIT_NUMBERED || limit_events(told[i].count_of, told[i].per) >> what->kind & 1;
        ends = ends && (told[i].next == NEXT_AT || !counts);
        never = never || told[i].next == NEXT_NEVER;
        int64_t left = counts ? told[i].next_ns : told[i].ban_left_ns;
        if (left > longest)
            longest = left;
    }
    if (!ends) {
        struct verdict verdict = try_at(seed, false, what, now + 1000 * SECOND);
        ck_assert_msg(is_refused_at(&verdict, what->kind), "seed %llu: let in although nobody left",
                      (unsigned long long)seed);
        ++*(never ? &refused_for_good : &refused_till_close);
        return;
    }
    struct verdict before = try_at(seed, false, what, now + longest - 1),
                   then = try_at(seed, false, what, now + longest);
    ck_assert_msg(is_refused_at(&before, what->kind), "seed %llu: let in before %lld ns are over",
                  (unsigned long long)seed, (long long)longest);
    ck_assert_msg(!is_refused_at(&then, what->kind), "seed %llu: refused by %s after %lld ns", (unsigned long long)seed,
                  then.findings[then.finding_count - 1].name, (long long)longest);
    refused_for_a_while++;
}

static void check_attempt(uint64_t seed, bool reputation, const struct attempt *what, int64_t now)
{
    struct world world = world_of(seed, reputation, false);
    const struct explain_subject subject =
        subject_of(&what->who, false, what->kind == EVENT_CONNECT ? -1 : (int)what->name);
    struct explanation told[EXPLANATIONS];
    struct verdict verdict;
    size_t count;

    explain(world.engine, &subject, now, EXPLANATIONS);
    ck_assert_uint_eq(walk.left_out, 0);
    for (count = 0; count < walk.told; count++)
        told[count] = *explain_told(&walk, (uint32_t)count);
    attempt(&world, what, now, &verdict);
    engine_free(&world.engine);
    const struct explanation *one = refusal(told, count, what->kind);
    if (!is_refused_at(&verdict, what->kind)) {
        ck_assert_msg(one == NULL, "seed %llu: let in, and %s (%u of %u) would refuse it", (unsigned long long)seed,
                      one ? one->name : "", one ? one->count : 0, one ? one->max : 0);
        let_in++;
        return;
    }
    const struct finding *finding = &verdict.findings[verdict.finding_count - 1];
    ck_assert_msg(one != NULL, "seed %llu: refused by %s, which was not foreseen", (unsigned long long)seed,
                  finding->name);
    ck_assert_msg(strcmp(one->name, finding->name) == 0 && strcmp(one->scope, finding->scope) == 0,
                  "seed %llu: refused by %s in %s, not by %s in %s", (unsigned long long)seed, finding->name,
                  finding->scope, one->name, one->scope);
    if (one->limit != LIMIT_DENY && one->limit != LIMIT_BAN) {
        ck_assert_uint_eq(one->count, finding->count);
        ck_assert_uint_eq(one->max, finding->max);
        ck_assert(!one->banned || finding->banned);
    }
    if (!reputation && one->limit == LIMIT_BAN)
        check_ban(seed, what, now, one);
    else if (!reputation)
        check_next(seed, what, now, told, count);
}

static unsigned let_in_anywhere, kept_out_somewhere;

/* The first that keeps the subject out, however little there is room for; NULL: nothing does. */
static const struct explanation *first_refusal(const struct engine *engine, const struct explain_subject *subject,
                                               int64_t now, uint32_t room)
{
    explain(engine, subject, now, room);
    for (uint32_t i = 0; i < walk.told; i++)
        if (explain_told(&walk, i)->keeps_out)
            return explain_told(&walk, i);
    return NULL;
}

/* Of a client alone: it is let in when it is at each place. */
static void check_anywhere(uint64_t seed, bool reputation, struct open who, int64_t now, uint32_t room)
{
    struct world world = world_of(seed, reputation, false);
    const struct explain_subject subject = subject_of(&who, true, -1);
    const struct explanation *one = first_refusal(world.engine, &subject, now, room);
    bool by_it = false, refused = false;

    for (who.daemon = 0; who.daemon < DAEMONS; who.daemon++) {
        const struct verdict verdict =
            try_at(seed, reputation, &(struct attempt){.kind = EVENT_CONNECT, .who = who}, now);
        refused = refused || verdict.kind == VERDICT_REFUSE;
        by_it = by_it || (one && verdict.kind == VERDICT_REFUSE &&
                          strcmp(verdict.findings[verdict.finding_count - 1].name, one->name) == 0);
    }
    ck_assert_msg(refused == (one != NULL), "seed %llu: anywhere %s, and it is not", (unsigned long long)seed,
                  one ? one->name : "let in");
    ck_assert_msg(by_it == refused, "seed %llu: %s keeps out nowhere", (unsigned long long)seed, one ? one->name : "");
    ++*(refused ? &kept_out_somewhere : &let_in_anywhere);
    engine_free(&world.engine);
}

static void check_seed(uint64_t seed, bool reputation)
{
    struct world world = world_of(seed, reputation, false);
    struct prng prng = prng_seeded(~seed);
    int64_t now = world.now + (int64_t)(prng_next(&prng) % (uint64_t)(3 * SECOND));

    for (unsigned i = 0; i < 3; i++) {
        struct attempt what = {
            .kind = EVENT_CONNECT,
            .who = {0, prng_below(&prng, CLIENTS), prng_below(&prng, DOMAINS), prng_below(&prng, DAEMONS)},
            .name = prng_below(&prng, DOMAINS)};
        check_attempt(seed, reputation, &what, now);
        if (i == 0)
            check_anywhere(seed, reputation, what.who, now, 1 + prng_below(&prng, 4));
        /* A session in which nothing was over, or scored, yet: of what it has done before nothing is told. */
        if (world.open_count == 0)
            continue;
        what.kind = prng_below(&prng, 2) ? EVENT_MAIL : EVENT_RCPT;
        what.who = world.open[prng_below(&prng, world.open_count)];
        check_attempt(seed, reputation, &what, now);
    }
    engine_free(&world.engine);
}

/* ---- the tests ---- */

#define SEEDS 600

START_TEST(it_refuses_whom_it_says_until_then)
{
    refused_for_a_while = refused_till_close = refused_for_good = banned = let_in = 0;
    let_in_anywhere = kept_out_somewhere = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        check_seed(seed, false);
    /* All of it has been seen. */
    ck_assert_uint_gt(refused_for_a_while, SEEDS / 10);
    ck_assert_uint_gt(refused_till_close, SEEDS / 20);
    ck_assert_uint_gt(refused_for_good, SEEDS / 20);
    ck_assert_uint_gt(banned, SEEDS / 20);
    ck_assert_uint_gt(let_in, SEEDS);
    ck_assert_uint_gt(let_in_anywhere, SEEDS / 10);
    ck_assert_uint_gt(kept_out_somewhere, SEEDS / 10);
}
END_TEST

#define PLACES 700

/* So many places, of which at random one or another is at its cap: it is refused where the engine says so, and told. */
START_TEST(one_place_of_many_is_at_its_cap)
{
    struct rules_builder *builder = rules_builder_new();
    const struct engine_params params = {.session_records = 64, .table_records = 64, .seed = {5, 6}};
    struct prng prng = prng_seeded(7);
    struct rules_error error;
    struct connect_event event = {.client = addr_of(clients[0])};
    const struct explain_subject subject = {.client = addr_of(clients[0]), .anywhere = true};
    struct verdict verdict;
    session_id first, second;
    char name[20];

    for (unsigned i = 0; i < PLACES; i++) {
        scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
        snprintf(name, sizeof name, "d%u", i);
        rules_set_daemon_name(builder, listener, name);
        rules_set(builder, listener, SETTING_LISTENER_SESSIONS, 1);
    }
    struct rules *rules = rules_build(builder, &error);
    struct engine *engine = engine_new(&params, &rules);
    rules_builder_free(&builder);
    ck_assert_ptr_nonnull(engine);
    event.daemon_name = name;
    for (unsigned i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "d%u", i == 0 ? PLACES - 1 : prng_below(&prng, PLACES));
        ck_assert_ptr_null(first_refusal(engine, &subject, 0, EXPLAIN_ROOM));
        engine_connect(engine, &event, 0, &first, &verdict);
        engine_connect(engine, &event, 0, &second, &verdict);
        ck_assert_int_eq(verdict.kind, VERDICT_REFUSE);
        const struct explanation *one = first_refusal(engine, &subject, 0, EXPLAIN_ROOM);
        ck_assert_msg(one != NULL, "%s is full, and nothing is said of it", name);
        ck_assert_str_eq(one->scope, verdict.findings[verdict.finding_count - 1].scope);
        ck_assert_uint_eq(walk.told + walk.left_out, PLACES);
        engine_close(engine, second, 0);
        engine_close(engine, first, 0);
    }
    engine_free(&engine);
}
END_TEST

START_TEST(it_refuses_whom_it_says_with_a_history)
{
    let_in = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        check_seed(seed, true);
    ck_assert_uint_gt(let_in, SEEDS);
}
END_TEST

START_TEST(who_asks_leaves_no_trace)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world asked = world_of(seed, seed % 2, true), left_alone = world_of(seed, seed % 2, false);
        struct engine_totals a = engine_totals(asked.engine), b = engine_totals(left_alone.engine);
        ck_assert_msg(asked.digest == left_alone.digest, "seed %llu: other verdicts", (unsigned long long)seed);
        ck_assert_uint_eq(a.keys, b.keys);
        ck_assert_uint_eq(a.sessions, b.sessions);
        ck_assert_uint_eq(a.clients, b.clients);
        ck_assert_uint_eq(a.crossings, b.crossings);
        ck_assert_uint_eq(a.evicted, b.evicted);
        struct limit_view views[2];
        for (size_t i = 0; engine_limits(asked.engine, i, &views[0], 1) == 1; i++) {
            ck_assert_uint_eq(engine_limits(left_alone.engine, i, &views[1], 1), 1);
            ck_assert_mem_eq(views[0].actions, views[1].actions, sizeof views[0].actions);
            ck_assert_uint_eq(views[0].bans, views[1].bans);
        }
        engine_free(&asked.engine);
        engine_free(&left_alone.engine);
    }
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("explain twin");
    TCase *tests = test_case(suite, "twin");
    tcase_add_test(tests, it_refuses_whom_it_says_until_then);
    tcase_add_test(tests, one_place_of_many_is_at_its_cap);
    tcase_add_test(tests, it_refuses_whom_it_says_with_a_history);
    tcase_add_test(tests, who_asks_leaves_no_trace);
    return suite;
}
