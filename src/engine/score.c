/*
 * score.c: the points of a session.
 */
#include "state.h"

#include <stdio.h>
#include <string.h>

/* Room for the list without the sum around it, so that no entry is cut. */
#define LIST_SIZE (SCORE_TEXT_SIZE - sizeof "18446744073709551615 ()")

/* The sum of all points, as the rules now have them, and the list of who gave them. */
struct scoring {
    uint64_t sum;
    char *text; /* NULL: only the sum is wanted */
    size_t used;
};

static void add_points(struct scoring *scoring, const char *name, uint64_t points)
{
    scoring->sum += points;
    if (!scoring->text)
        return;
    int written = snprintf(scoring->text + scoring->used, LIST_SIZE - scoring->used, "%s%s=%llu",
                           scoring->used > 0 ? ", " : "", name, (unsigned long long)points);
    /* What does not fit is left out: the sum has it all the same. */
    if (written > 0 && (size_t)written < LIST_SIZE - scoring->used)
        scoring->used += (size_t)written;
    else
        scoring->text[scoring->used] = '\0';
}

static void add_all(struct scoring *scoring, const struct rules *rules, const uint32_t *levels, unsigned level_count,
                    uint64_t scored)
{
    if (scored >> SCORED_DENY & 1)
        add_points(scoring, limit_name(LIMIT_DENY), rules_deny_points(rules));
    for (uint64_t rest = scored & ~(UINT64_C(1) << SCORED_DENY); rest != 0; rest &= rest - 1) {
        limit_number number = (limit_number)__builtin_ctzll(rest);
        struct terms terms;
        if (rules_terms(rules, levels, level_count, number, &terms))
            add_points(scoring, rules_limit_name(rules, number), (uint64_t)terms.value[TERM_POINTS]);
    }
}

bool judge_score(struct judging *judging)
{
    int64_t most = rules_setting(judging->rules, judging->levels, judging->level_count, SETTING_SCORE_REFUSE);
    struct scoring scoring = {.text = NULL};

    if (most == 0 || judging->scored == 0)
        return true;
    add_all(&scoring, judging->rules, judging->levels, judging->level_count, judging->scored);
    if (scoring.sum < (uint64_t)most)
        return true;
    scope_id scope = rules_setting_scope(judging->rules, judging->levels, judging->level_count, SETTING_SCORE_REFUSE);
    return judge_whole(judging, LIMIT_SCORE, scope, scoring.sum < UINT32_MAX ? (uint32_t)scoring.sum : UINT32_MAX,
                       (uint32_t)most);
}

bool engine_score(const struct engine *engine, session_id id, char out[SCORE_TEXT_SIZE])
{
    const struct session *session = session_find(engine, id);
    char list[LIST_SIZE] = "";
    struct scoring scoring = {.text = list};
    unsigned level_count;

    if (!session || session->state != SESSION_IN)
        return false;
    uint32_t number = session_number(engine, session);
    uint64_t scored = tally_scored(engine->current, number);
    const uint32_t *levels = tally_levels(engine->current, number, &level_count);
    if (scored == 0 || rules_monitor(tally_rules(engine->current))) /* a dry run leaves the mail alone */
        return false;
    add_all(&scoring, tally_rules(engine->current), levels, level_count, scored);
    if (list[0] == '\0') /* the rules have none of them any more */
        return false;
    snprintf(out, SCORE_TEXT_SIZE, "%llu (%s)", (unsigned long long)scoring.sum, list);
    return true;
}
