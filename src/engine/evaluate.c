/*
 * evaluate.c: which values apply to somebody, and who says so.
 */
#include "explain.h"

#include "asking.h"

#include <stdio.h>
#include <string.h>

struct evaluating {
    struct asking asking;
    struct evaluation *out;
    size_t room, all;
};

/* Room for one more, NULL when there is none. */
static struct evaluation *add(struct evaluating *evaluating, struct said said)
{
    struct evaluation *one = evaluating->all < evaluating->room ? &evaluating->out[evaluating->all] : NULL;

    evaluating->all++;
    if (!one)
        return NULL;
    memset(one, 0, sizeof *one);
    rules_scope_name(evaluating->asking.judging.rules, said.scope, one->scope);
    one->line = said.line;
    return one;
}

static void add_list(struct evaluating *evaluating, const char *name, const struct prefix *entry, enum limit_mode mode,
                     uint32_t line)
{
    struct evaluation *one = add(evaluating, (struct said){RULES_SERVICE, line});

    if (!one)
        return;
    one->what = EVALUATED_LIST;
    strcpy(one->limit, name);
    one->mode = mode;
    one->value = mode == MODE_SCORE ? rules_deny_points(evaluating->asking.judging.rules) : 0;
    prefix_format(entry, one->text);
}

/* As judge_lists() decides at connect. */
static void evaluate_lists(struct evaluating *evaluating)
{
    const struct judging *judging = &evaluating->asking.judging;
    const struct operator_ban *ban;
    const struct listed listed = engine_list_client(judging->engine, &judging->client, evaluating->asking.now, &ban);
    const struct prefix entry = {addr_cut(&judging->client, listed.bits), (uint8_t)listed.bits};

    if (ban)
        add_list(evaluating, limit_name(LIMIT_BAN), &ban->target.clients,
                 rules_monitor(judging->rules) ? MODE_MONITOR : MODE_BLOCK, 0);
    if (listed.answer == LISTED_DENY)
        add_list(evaluating, limit_name(LIMIT_DENY), &entry, rules_deny_mode(judging->rules), listed.line);
    else if (listed.answer == LISTED_EXEMPT && !ban)
        add_list(evaluating, "exempt", &entry, MODE_OFF, listed.line);
}

static void evaluate_caps(struct evaluating *evaluating, const struct chain *chain)
{
    const struct rules *rules = evaluating->asking.judging.rules;

    for (unsigned i = 0; i < chain->count; i++) {
        scope_id scope = chain->scopes[i];
        struct evaluation *one = add(evaluating, (struct said){scope, rules_cap_line(rules, scope)});
        if (!one)
            continue;
        one->what = EVALUATED_CAP;
        strcpy(one->limit, limit_name(rules_cap_limit(scope)));
        one->value = rules_cap(rules, scope);
    }
}

static void evaluate_settings(struct evaluating *evaluating)
{
    const struct judging *judging = &evaluating->asking.judging;

    for (enum setting setting = 0; setting < SETTING_COUNT; setting++) {
        int64_t value = rules_setting(judging->rules, judging->levels, judging->level_count, setting);
        if (setting == SETTING_SERVICE_SESSIONS || setting == SETTING_LISTENER_SESSIONS ||
            (setting == SETTING_PATHWAY && value == RULES_SERVICE))
            continue;
        struct evaluation *one =
            add(evaluating, rules_setting_said(judging->rules, judging->levels, judging->level_count, setting));
        if (!one)
            continue;
        one->what = EVALUATED_SETTING;
        one->setting = setting;
        one->value = value;
        if (setting == SETTING_PATHWAY)
            snprintf(one->text, sizeof one->text, "%s", rules_scope_title(judging->rules, (scope_id)value));
    }
}

static void add_term(struct evaluating *evaluating, const struct terms *terms, enum limit_term term, int64_t value,
                     struct said said)
{
    struct evaluation *one = add(evaluating, said);

    if (!one)
        return;
    one->what = EVALUATED_TERM;
    strcpy(one->limit, rules_limit_name(evaluating->asking.judging.rules, terms->number));
    one->term = term;
    one->mode = terms->mode;
    one->value = value;
}

/* A maximum, if it is one of its own for this client: who is good, bad or authenticated may be let in by the max. */
static void evaluate_max(struct evaluating *evaluating, const struct terms *terms, enum limit_term term)
{
    const struct judging *judging = &evaluating->asking.judging;
    struct terms_subject subject = subject_of(judging, terms->per);
    struct max_said said;

    subject.reputation = term == TERM_MAX_GOOD  ? REPUTATION_GOOD
                         : term == TERM_MAX_BAD ? REPUTATION_BAD
                                                : REPUTATION_NONE;
    if (term == TERM_MAX_AUTHENTICATED)
        subject.user = " "; /* somebody whom no key and no exception names */
    uint32_t max = terms_max_said(judging->rules, terms, &subject, &said);
    if (said.term == term)
        add_term(evaluating, terms, term, max, said.source == MAX_OF_LIMIT ? terms_said(terms, term) : said.said);
}

static bool matters(const struct terms *terms, enum limit_term term)
{
    switch (term) {
    case TERM_WINDOW:
        return limit_has_window(terms->count, terms->per);
    case TERM_POINTS:
        return terms->mode == MODE_SCORE;
    case TERM_BAN:
        return limit_can_ban(terms->per);
    case TERM_SOFT:
    case TERM_ERROR_DELAY:
        return terms->count == COUNT_ERRORS && terms->per == PER_SESSION;
    case TERM_IPV4_PREFIX:
    case TERM_IPV6_PREFIX:
        return terms->count == COUNT_NETWORKS;
    default:
        return terms->value[term] != TERM_UNSET;
    }
}

static void evaluate_limit(struct evaluating *evaluating, limit_number number)
{
    const struct judging *judging = &evaluating->asking.judging;
    struct terms terms;

    if (!rules_terms(judging->rules, judging->levels, judging->level_count, number, &terms))
        return;
    asking_concerns(&evaluating->asking, terms.count, terms.per);
    for (enum limit_term term = TERM_MAX; term <= TERM_MAX_AUTHENTICATED; term++)
        evaluate_max(evaluating, &terms, term);
    for (enum limit_term term = TERM_MAX_AUTHENTICATED + 1; term < LIMIT_TERMS; term++)
        if (matters(&terms, term))
            add_term(evaluating, &terms, term, terms.value[term], terms_said(&terms, term));
}

size_t engine_evaluate(const struct engine *engine, const struct explain_subject *subject, int64_t now,
                       struct evaluation *out, size_t room)
{
    struct evaluating evaluating = {.out = out, .room = room};
    const struct session_facts facts = asking_facts(subject);
    struct judging *judging = &evaluating.asking.judging;
    struct chain chain;

    asking_begin(&evaluating.asking, engine, subject, now);
    rules_resolve(judging->rules, &facts, &chain);
    judging->levels = chain.levels;
    judging->level_count = chain.level_count;
    evaluate_lists(&evaluating);
    evaluate_caps(&evaluating, &chain);
    evaluate_settings(&evaluating);
    for (limit_number number = 0; number < rules_limit_count(judging->rules); number++)
        evaluate_limit(&evaluating, number);
    return evaluating.all;
}
