/*
 * control_explain.c: /explain and /eval.
 */
#include "daemon/control.h"

json_t *control_explain(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    (void)control, (void)parameters;
    return control_error(status, 503, "not here yet");
}

json_t *control_eval(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    (void)control, (void)parameters;
    return control_error(status, 503, "not here yet");
}
