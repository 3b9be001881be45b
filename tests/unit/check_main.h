/*
 * check_main.h: the main() of a test program. To be included once, by the program's only test file, which defines
 * test_suite(). The program returns 0 when every test passed.
 *
 * CK_FORK=no runs the tests in one process (for a debugger), CK_RUN_CASE=NAME one case alone.
 */
#ifndef UNIT_CHECK_MAIN_H
#define UNIT_CHECK_MAIN_H

#include <check.h>
#include <stdlib.h>

/* Far beyond what any test takes: it ends a test that hangs, on however slow a machine. */
#define TEST_TIMEOUT_S 120

static Suite *test_suite(void);

/* A new case of the suite, to add tests to. */
static inline TCase *test_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_set_timeout(tests, TEST_TIMEOUT_S);
    suite_add_tcase(suite, tests);
    return tests;
}

int main(void)
{
    SRunner *runner = srunner_create(test_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner), ran = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && ran > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
