/*
 * http_service.c: the HTTP service.
 */
#include "daemon/http_service.h"

bool http_service_open(const struct config *config, struct control *control, http_reload *reload,
                       struct http_service **out, char error[PROCESS_ERROR_SIZE])
{
    (void)config, (void)control, (void)reload, (void)error;
    *out = NULL;
    return true;
}

bool http_service_start(struct http_service *service, struct event_base *base)
{
    (void)service, (void)base;
    return true;
}

void http_service_tell(struct http_service *service, const struct verdict *verdict, const struct addr *client)
{
    (void)service, (void)verdict, (void)client;
}

void http_service_close(struct http_service *service)
{
    (void)service;
}
