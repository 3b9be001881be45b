/*
 * noop_filter.c: a libmilter filter that does nothing, to measure others against. It negotiates the same steps and asks
 * for the same macros as tidegated, and lets everybody in.
 *
 * usage: noop_filter SOCKET       (libmilter's notation; runs in the foreground until SIGTERM)
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <libmilter/mfapi.h>

/* The steps that nobody listens to: the MTA is asked not to send them. */
#define SKIPPED (SMFIP_NORCPT | SMFIP_NODATA | SMFIP_NOHDRS | SMFIP_NOEOH | SMFIP_NOBODY)

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps, unsigned long unused2,
                             unsigned long unused3, unsigned long *wanted_actions, unsigned long *wanted_steps,
                             unsigned long *wanted2, unsigned long *wanted3)
{
    (void)unused2;
    (void)unused3;
    if (actions & SMFIF_SETSYMLIST)
        smfi_setsymlist(ctx, SMFIM_CONNECT, "{daemon_name} {daemon_addr} {daemon_port} {if_addr}");
    *wanted_actions = actions & SMFIF_SETSYMLIST;
    *wanted_steps = steps & SKIPPED;
    *wanted2 = *wanted3 = 0;
    return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *ctx, char *name, _SOCK_ADDR *address)
{
    (void)ctx;
    (void)name;
    (void)address;
    return SMFIS_CONTINUE;
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
    (void)ctx;
    (void)name;
    return SMFIS_CONTINUE;
}

static sfsistat on_mail(SMFICTX *ctx, char **arguments)
{
    (void)ctx;
    (void)arguments;
    return SMFIS_CONTINUE;
}

static sfsistat on_unknown(SMFICTX *ctx, const char *command)
{
    (void)ctx;
    (void)command;
    return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
    (void)ctx;
    return SMFIS_CONTINUE;
}

int main(int argc, char **argv)
{
    struct smfiDesc filter = {
        .xxfi_name = "noop",
        .xxfi_version = SMFI_VERSION,
        .xxfi_flags = SMFIF_SETSYMLIST,
        .xxfi_connect = on_connect,
        .xxfi_helo = on_helo,
        .xxfi_envfrom = on_mail,
        .xxfi_unknown = on_unknown,
        .xxfi_close = on_close,
        .xxfi_negotiate = on_negotiate,
    };

    if (argc != 2) {
        fputs("usage: noop_filter SOCKET\n", stderr);
        return 2;
    }
    if (smfi_setconn(argv[1]) != MI_SUCCESS || smfi_register(filter) != MI_SUCCESS ||
        smfi_settimeout(86400) != MI_SUCCESS || smfi_opensocket(true) != MI_SUCCESS) {
        fprintf(stderr, "noop_filter: cannot listen on %s\n", argv[1]);
        return 1;
    }
    fputs("event=ready\n", stderr);
    return smfi_main() == MI_SUCCESS ? 0 : 1;
}
