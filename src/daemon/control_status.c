/*
 * control_status.c: /status.json, /history.json, /clients and /domains.
 */
#include "daemon/control.h"

json_t *control_status(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    (void)control, (void)parameters;
    return control_error(status, 503, "not here yet");
}

json_t *control_history(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    (void)control, (void)parameters;
    return control_error(status, 503, "not here yet");
}

json_t *control_clients(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    (void)control, (void)parameters;
    return control_error(status, 503, "not here yet");
}

json_t *control_domains(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    (void)control, (void)parameters;
    return control_error(status, 503, "not here yet");
}
