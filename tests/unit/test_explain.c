#include "check_main.h"
#include "engine_case.h"
static Suite *test_suite(void)
{
    return suite_create("explain");
}
