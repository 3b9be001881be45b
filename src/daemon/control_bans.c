/*
 * control_bans.c: bans over HTTP.
 */
#include "daemon/control.h"

json_t *control_bans(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    (void)control, (void)parameters;
    return control_error(status, 503, "not here yet");
}

json_t *control_ban(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    (void)control, (void)parameters;
    return control_error(status, 503, "not here yet");
}

json_t *control_unban(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    (void)control, (void)parameters;
    return control_error(status, 503, "not here yet");
}
