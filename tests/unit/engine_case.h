/*
 * engine_case.h: the engine under test, and a look at its counters by name. For the tests of the engine as a whole.
 */
#ifndef UNIT_ENGINE_CASE_H
#define UNIT_ENGINE_CASE_H

#include <check.h>
#include <string.h>

#include "engine/engine.h"

static struct engine *engine;

/* The counter of that scope. */
static struct counter_view counter(const char *scope)
{
    struct counter_view view;
    for (size_t i = 0; engine_counters(engine, i, &view, 1) == 1; i++)
        if (strcmp(view.scope, scope) == 0)
            return view;
    ck_abort_msg("no counter for %s", scope);
    return view;
}

#endif
