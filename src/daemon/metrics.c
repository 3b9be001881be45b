/*
 * metrics.c: /metrics.
 */
#include <event2/buffer.h>

#include "daemon/control.h"

bool control_metrics(struct control *control, struct evbuffer *out)
{
    (void)control;
    return evbuffer_add_printf(out, "# not here yet\n") >= 0;
}
