/*
 * supervisor.c: messages to the service manager.
 */
#include "daemon/supervisor.h"

#include "build-config.h"

#ifdef HAVE_LIBSYSTEMD

#include <inttypes.h>
#include <systemd/sd-daemon.h>

void supervisor_ready(void)
{
    sd_notify(0, "READY=1");
}

void supervisor_reloading(int64_t now)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, now / 1000);
}

void supervisor_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

void supervisor_status(const char *text)
{
    sd_notifyf(0, "STATUS=%s", text);
}

uint64_t supervisor_patience_us(void)
{
    uint64_t patience = 0;

    return sd_watchdog_enabled(0, &patience) > 0 ? patience : 0;
}

void supervisor_alive(void)
{
    sd_notify(0, "WATCHDOG=1");
}

#else

void supervisor_ready(void)
{
}

void supervisor_reloading(int64_t now)
{
    (void)now;
}

void supervisor_stopping(void)
{
}

void supervisor_status(const char *text)
{
    (void)text;
}

uint64_t supervisor_patience_us(void)
{
    return 0;
}

void supervisor_alive(void)
{
}

#endif
