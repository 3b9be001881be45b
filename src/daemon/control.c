/*
 * control.c: what the pages share.
 */
#include "daemon/control.h"

#include <stdarg.h>
#include <stdio.h>

json_t *control_error(int *status, int code, const char *format, ...)
{
    char text[600];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    *status = code;
    return json_pack("{s:s}", "error", text);
}
