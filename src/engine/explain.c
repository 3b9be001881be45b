/*
 * explain.c: what the rules and counters say of somebody.
 *
 * As judge.c judges an event, but for every limit at once, on copies of what is remembered, and with an eye on when it
 * would be otherwise.
 */
#include "explain.h"

#include "asking.h"
#include "explain_list.h"

#include <string.h>

/* A limit in mode score that would give points, and until when. */
struct scored {
    uint32_t points;
    struct admission over;
};

struct explaining {
    struct asking asking;
    struct explain_walk *walk;
    const struct chain *chain; /* of the place that is looked at */
    bool named;                /* something that is said later is asked about: what is judged then counts, too */
    bool spared, names_spared; /* by the exempt list, at connect or from MAIL on */
    struct scored scored[LIMITS_MAX + 1];
    unsigned scored_count, list_scored;
};

/* ---- what is told ---- */

/* Whoever asks about a recipient asks about mail, not about bounces: a limit on those keeps nobody out but by its ban.
 */
static bool keeps_out(const struct explaining *explaining, const struct explanation *one)
{
    return explanation_refuses(one) && (one->at_connect || explaining->named) &&
           (one->count_of != COUNT_BOUNCES || one->banned);
}

/* When it does so no more. Of what is counted later a connection is refused by the ban alone. */
static struct admission over(const struct explaining *explaining, const struct explanation *one)
{
    bool later = one->limit >= LIMIT_NUMBERED && !(limit_events(one->count_of, one->per) >> EVENT_CONNECT & 1);
    bool ban_alone = later && !explaining->named;

    return (struct admission){ban_alone ? NEXT_AT : one->next, ban_alone ? one->ban_left_ns : one->next_ns};
}

static void tell(struct explaining *explaining, struct explanation *one)
{
    one->over = over(explaining, one);
    one->keeps_out = keeps_out(explaining, one);
    rules_scope_name(explaining->asking.judging.rules, one->scope_number, one->scope);
    explain_list_add(explaining->walk, explaining->asking.judging.engine->seed, one);
}

/* Points that the subject would get, from here on for so long: as it connects, of what is counted later, while it is
 * banned for it. */
static void note_score(struct explaining *explaining, const struct explanation *one, uint32_t points)
{
    if (one->mode != MODE_SCORE || one->exempt || one->next == NEXT_NOW || one->next == NEXT_SESSION ||
        !(one->at_connect || explaining->named))
        return;
    explaining->scored[explaining->scored_count++] = (struct scored){points, one->over};
}

/* ---- when there is room ---- */

/* How long until that tick is there. */
static int64_t until(const struct explaining *explaining, uint64_t tick)
{
    int64_t at = (int64_t)(tick << TICK_BITS);
    return at > explaining->asking.now ? at - explaining->asking.now : 0;
}

static void next_at(const struct explaining *explaining, struct explanation *one, uint64_t tick)
{
    one->next = tick > explaining->asking.judging.tick ? NEXT_AT : NEXT_NOW;
    one->next_ns = one->next == NEXT_AT ? until(explaining, tick) : 0;
}

/* The count of a window, and the first tick from `from` on at which there is room in it. */
static uint64_t look_at_window(struct explaining *explaining, const struct terms *terms, struct taking *taking,
                               const struct record *record, uint64_t from, struct explanation *one)
{
    const struct judging *judging = &explaining->asking.judging;
    struct window window = {.shape = 0};

    taking->shape = window_shape((uint64_t)terms->value[TERM_WINDOW], terms->largest);
    if (record) {
        struct record copy = *record;
        record_touch(&copy, judging->tick);
        window = copy.windows[terms->slot];
    }
    window_open(&window, taking->shape, judging->tick);
    one->count = window_count(&window);
    if (one->max == 0)
        return from;
    if (terms->count == COUNT_NETWORKS && judging->client.family != ADDR_NONE) {
        network_key(judging, terms, taking->key, networks_epoch(judging->engine, record), taking->network);
        const struct window sight = network_sight(judging, taking);
        /* A network that is known is let in as long as it is. */
        if (from < window_room_at(&sight, judging->tick, 1))
            return from;
    }
    uint64_t room = window_room_at(&window, judging->tick, one->max);
    return room > from ? room : from;
}

static void look_at_counter(struct explaining *explaining, const struct terms *terms, struct explanation *one,
                            struct taking *taking)
{
    const struct judging *judging = &explaining->asking.judging;
    uint64_t free_at = judging->tick;

    if (terms->per == PER_SESSION || terms->per == PER_MESSAGE) {
        one->next = NEXT_SESSION;
        return;
    }
    const struct record *record = record_find(judging->engine, taking->group, taking->key);
    one->banned = one->max > 0 && terms->value[TERM_BAN] > 0 && banned_by(judging->rules, record, terms, judging->tick);
    if (one->banned) {
        free_at += (uint32_t)(record->ban_until - (uint32_t)judging->tick);
        one->ban_left_ns = until(explaining, free_at);
    }
    if (terms->count == COUNT_SESSIONS) {
        const struct slot_key key = {taking->group, {taking->key[0], taking->key[1], taking->key[2], taking->key[3]}};
        one->count = tally_slot_count(judging->engine->current, &key);
        next_at(explaining, one, free_at);
        if (one->max > 0 && one->count >= one->max)
            one->next = NEXT_ON_CLOSE;
        return;
    }
    next_at(explaining, one, look_at_window(explaining, terms, taking, record, free_at, one));
}

/* ---- limits ---- */

/* Whether the exempt list keeps the limit from being judged: at connect all of it, later what is asked at MAIL and
 * RCPT. */
static bool is_spared(const struct explaining *explaining, const struct terms *terms, bool banned)
{
    unsigned events = limit_events(terms->count, terms->per);

    if (banned)
        events |= limit_ban_events(terms->per);
    return explaining->spared || (explaining->names_spared && (events & ~(1u << EVENT_MAIL | 1u << EVENT_RCPT)) == 0);
}

static void explain_limit(struct explaining *explaining, limit_number number)
{
    struct judging *judging = &explaining->asking.judging;
    struct taking taking = {.number = number};
    struct explanation one = {.limit = LIMIT_NUMBERED + (enum limit_id)number};
    struct terms terms;
    struct max_said said;

    if (!rules_terms(judging->rules, judging->levels, judging->level_count, number, &terms) ||
        !asking_concerns(&explaining->asking, terms.count, terms.per) ||
        !counted_key(judging, &terms, &taking.group, taking.key))
        return;
    const struct terms_subject subject = subject_of(judging, terms.per);
    one.max = terms_max_said(judging->rules, &terms, &subject, &said);
    if (said.source == MAX_OF_LIMIT)
        said.said = terms_said(&terms, said.term);
    one.line = said.said.line;
    one.term = said.term;
    strcpy(one.name, rules_limit_name(judging->rules, number));
    one.scope_number = terms.scope;
    one.mode = terms.mode;
    one.count_of = terms.count;
    one.per = terms.per;
    one.window_ns = limit_has_window(terms.count, terms.per) ? terms.value[TERM_WINDOW] : 0;
    if (terms.per == PER_CLIENT)
        one.client = rules_client(judging->rules, &judging->client);
    const char *name = name_of(judging, terms.per);
    if (name)
        strncat(one.key, name, sizeof one.key - 1);
    look_at_counter(explaining, &terms, &one, &taking);
    one.exempt = said.source == MAX_OF_EXCEPT || is_spared(explaining, &terms, one.banned);
    unsigned events = limit_events(terms.count, terms.per) | (one.banned ? limit_ban_events(terms.per) : 0);
    one.at_connect = events >> EVENT_CONNECT & 1;
    tell(explaining, &one);
    note_score(explaining, &one, (uint32_t)terms.value[TERM_POINTS]);
}

/* ---- what holds for the whole session ---- */

static enum limit_mode whole_mode(const struct explaining *explaining)
{
    return rules_monitor(explaining->asking.judging.rules) ? MODE_MONITOR : MODE_BLOCK;
}

static void explain_caps(struct explaining *explaining)
{
    const struct judging *judging = &explaining->asking.judging;

    for (unsigned i = 0; i < explaining->chain->count && judging->client.family != ADDR_NONE; i++) {
        scope_id scope = explaining->chain->scopes[i];
        struct explanation one = {.limit = rules_cap_limit(scope),
                                  .scope_number = scope,
                                  .line = rules_cap_line(judging->rules, scope),
                                  .mode = whole_mode(explaining),
                                  .count_of = COUNT_SESSIONS,
                                  .per = PER_KINDS,
                                  .count = tally_count(judging->engine->current, scope),
                                  .max = rules_cap(judging->rules, scope),
                                  .exempt = explaining->spared,
                                  .at_connect = true};
        if (one.max == 0)
            continue;
        strcpy(one.name, limit_name(one.limit));
        one.next = one.count >= one.max ? NEXT_ON_CLOSE : NEXT_NOW;
        tell(explaining, &one);
    }
}

/* The points that are left when what ends by then is over. */
static uint64_t points_at(const struct explaining *explaining, int64_t ns, enum explain_next *left)
{
    uint64_t sum = 0;

    *left = NEXT_ON_CLOSE;
    for (unsigned i = 0; i < explaining->scored_count; i++) {
        const struct scored *scored = &explaining->scored[i];
        if (scored->over.when == NEXT_AT && scored->over.ns <= ns)
            continue;
        sum += scored->points;
        if (scored->over.when == NEXT_NEVER)
            *left = NEXT_NEVER;
    }
    return sum;
}

static void explain_score(struct explaining *explaining)
{
    const struct judging *judging = &explaining->asking.judging;
    struct said said = rules_setting_said(judging->rules, judging->levels, judging->level_count, SETTING_SCORE_REFUSE);
    struct explanation one = {.limit = LIMIT_SCORE,
                              .scope_number = said.scope,
                              .line = said.line,
                              .mode = whole_mode(explaining),
                              .count_of = COUNT_KINDS,
                              .per = PER_KINDS,
                              .exempt = explaining->spared,
                              .at_connect = !explaining->named};
    enum explain_next left;

    one.max = (uint32_t)rules_setting(judging->rules, judging->levels, judging->level_count, SETTING_SCORE_REFUSE);
    if (one.max == 0)
        return;
    uint64_t sum = points_at(explaining, -1, &left);
    one.count = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
    strcpy(one.name, limit_name(one.limit));
    one.next = sum >= one.max ? left : NEXT_NOW;
    /* The earliest end of a limit's that leaves too few. */
    for (unsigned i = 0; i < explaining->scored_count && sum >= one.max; i++) {
        const struct scored *scored = &explaining->scored[i];
        if (scored->over.when != NEXT_AT || points_at(explaining, scored->over.ns, &left) >= one.max)
            continue;
        if (one.next != NEXT_AT || scored->over.ns < one.next_ns) {
            one.next = NEXT_AT;
            one.next_ns = scored->over.ns;
        }
    }
    tell(explaining, &one);
}

static void tell_ban(struct explaining *explaining, enum limit_per per, const struct operator_ban *ban, int64_t over)
{
    struct explanation one = {.limit = LIMIT_BAN,
                              .scope_number = RULES_SERVICE,
                              .mode = whole_mode(explaining),
                              .count_of = COUNT_KINDS,
                              .per = per,
                              .client = ban->target.clients,
                              .banned = true,
                              .ban_left_ns = ban->until - explaining->asking.now,
                              .at_connect = per == PER_CLIENT,
                              .next = NEXT_AT,
                              .next_ns = over - explaining->asking.now};
    char text[PREFIX_TEXT_SIZE];

    strcpy(one.name, limit_name(LIMIT_BAN));
    strcpy(one.key, per == PER_CLIENT ? prefix_format(&ban->target.clients, text) : ban->target.name);
    tell(explaining, &one);
}

/* How much is named: bits of the prefix, or bytes of the name. */
static size_t detail(const struct operator_ban *ban)
{
    return ban->target.clients.addr.family != ADDR_NONE ? ban->target.clients.bits : strlen(ban->target.name);
}

/* The bans of administrators that hold the subject, from the narrowest on, which come before the deny list and stand in
 * place of the exempt list: those around it too, but what names less than the entry of the exempt list. False when
 * there is none. */
static bool explain_bans(struct explaining *explaining, enum limit_per per, const struct operator_ban *narrowest,
                         size_t spared)
{
    const struct operator_bans *bans = explaining->asking.judging.engine->operator_bans;
    const int64_t now = explaining->asking.now;
    int64_t over = 0;

    for (const struct operator_ban *ban = narrowest; ban && detail(ban) >= spared;
         ban = operator_bans_around(bans, ban, now))
        over = ban->until > over ? ban->until : over;
    for (const struct operator_ban *ban = narrowest; ban && detail(ban) >= spared;
         ban = operator_bans_around(bans, ban, now))
        tell_ban(explaining, per, ban, over);
    return narrowest != NULL;
}

/* What one of the lists answers. */
static void explain_listed(struct explaining *explaining, const struct listed *listed, const char *key,
                           enum limit_per per)
{
    const struct judging *judging = &explaining->asking.judging;
    bool denied = listed->answer == LISTED_DENY;
    struct explanation one = {.limit = denied ? LIMIT_DENY : LIMIT_NONE,
                              .scope_number = RULES_SERVICE,
                              .line = listed->line,
                              .mode = denied ? rules_deny_mode(judging->rules) : MODE_BLOCK,
                              .count_of = COUNT_KINDS,
                              .per = per,
                              .exempt = !denied,
                              .at_connect = per == PER_CLIENT,
                              .next = denied ? NEXT_NEVER : NEXT_NOW};

    strcpy(one.name, denied ? limit_name(LIMIT_DENY) : "exempt");
    if (per == PER_CLIENT)
        one.client = (struct prefix){judging->client, (uint8_t)addr_width(&judging->client)};
    strncat(one.key, key, sizeof one.key - 1);
    tell(explaining, &one);
    note_score(explaining, &one, rules_deny_points(judging->rules));
}

static void explain_client_lists(struct explaining *explaining)
{
    const struct judging *judging = &explaining->asking.judging;
    const struct operator_ban *ban;
    const struct listed listed = engine_list_client(judging->engine, &judging->client, explaining->asking.now, &ban);
    const struct prefix entry = {addr_cut(&judging->client, listed.bits), (uint8_t)listed.bits};
    char text[PREFIX_TEXT_SIZE];

    if (explain_bans(explaining, PER_CLIENT, ban, listed.answer == LISTED_EXEMPT ? listed.bits : 0) &&
        listed.answer != LISTED_DENY)
        return;
    if (listed.answer != LISTED_NOWHERE)
        explain_listed(explaining, &listed, prefix_format(&entry, text), PER_CLIENT);
    explaining->spared = listed.answer == LISTED_EXEMPT;
}

static void explain_name_lists(struct explaining *explaining)
{
    const struct judging *judging = &explaining->asking.judging;
    const char *sender = judging->event->sender, *user = explaining->asking.subject->user;
    const struct operator_ban *ban;
    const struct listed listed = engine_list_names(judging->engine, sender, user, explaining->asking.now, &ban);

    if (explain_bans(explaining, PER_SENDER_DOMAIN, ban, listed.spared ? strlen(listed.spared) : 0) &&
        listed.answer != LISTED_DENY)
        return;
    if (listed.answer != LISTED_NOWHERE)
        explain_listed(explaining, &listed, listed.name ? listed.name : "",
                       !listed.name || listed.name == user ? PER_USER
                       : strchr(listed.name, '@')          ? PER_SENDER
                                                           : PER_SENDER_DOMAIN);
    explaining->names_spared = listed.answer == LISTED_EXEMPT;
}

static void explain_lists(struct explaining *explaining)
{
    explain_client_lists(explaining);
    if (!explaining->spared) /* else nobody looks at its names any more */
        explain_name_lists(explaining);
    /* Deny is judged at connect and later, but gives its points once. */
    explaining->list_scored = explaining->scored_count < 2 ? explaining->scored_count : 1;
}

/* ---- places ---- */

static void explain_place(struct explaining *explaining, const struct session_facts *facts)
{
    struct judging *judging = &explaining->asking.judging;
    struct chain chain;

    rules_resolve(judging->rules, facts, &chain);
    judging->levels = chain.levels;
    judging->level_count = chain.level_count;
    explaining->chain = &chain;
    explaining->scored_count = explaining->list_scored;
    for (limit_number number = 0; number < rules_limit_count(judging->rules); number++)
        explain_limit(explaining, number);
    explain_caps(explaining);
    explain_score(explaining);
}

bool engine_explain(const struct engine *engine, struct explain_walk *walk, int64_t now)
{
    struct explaining explaining = {.walk = walk};
    const struct explain_subject *subject = &walk->subject;
    const struct rules *rules = tally_rules(engine->current);
    const uint32_t places = subject->anywhere ? rules_place_count(rules) : 1;

    asking_begin(&explaining.asking, engine, subject, now);
    explaining.named = subject->user != NULL;
    for (unsigned per = 0; per < PER_KINDS; per++)
        explaining.named = explaining.named || (per != PER_CLIENT_DOMAIN && subject->name[per] != NULL);
    explain_lists(&explaining); /* told once, but what they say matters at each place */
    for (uint32_t left = ENGINE_BATCH / (LIMITS_MAX + CHAIN_MAX); left > 0 && walk->next_place < places; left--) {
        struct session_facts facts = asking_facts(subject);
        if (subject->anywhere)
            rules_place(rules, walk->next_place, &facts);
        explain_place(&explaining, &facts);
        walk->next_place++;
    }
    return walk->next_place >= places;
}
