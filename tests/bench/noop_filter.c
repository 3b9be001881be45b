/*
 * noop_filter.c: a libmilter filter that does nothing, to measure others against. It negotiates the steps that it is
 * told (a number of SMFIP_ flags), asks for the same macros as tidegated does for these, and lets everybody in.
 *
 * usage: noop_filter SOCKET STEPS     (libmilter's notation; runs in the foreground until SIGTERM)
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <libmilter/mfapi.h>

static unsigned long negotiated;

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps, unsigned long unused2,
                             unsigned long unused3, unsigned long *wanted_actions, unsigned long *wanted_steps,
                             unsigned long *wanted2, unsigned long *wanted3)
{
    (void)unused2;
    (void)unused3;
    if (actions & SMFIF_SETSYMLIST) {
        smfi_setsymlist(ctx, SMFIM_CONNECT, "{daemon_name} {daemon_addr} {daemon_port} {if_addr} _");
        if (!(negotiated & SMFIP_NOMAIL))
            smfi_setsymlist(ctx, SMFIM_ENVFROM, "{auth_authen}");
        if (!(negotiated & SMFIP_NORCPT))
            smfi_setsymlist(ctx, SMFIM_ENVRCPT, "{rcpt_mailer}");
    }
    *wanted_actions = actions & SMFIF_SETSYMLIST;
    *wanted_steps = steps & negotiated;
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

static sfsistat on_rcpt(SMFICTX *ctx, char **arguments)
{
    (void)ctx;
    (void)arguments;
    return SMFIS_CONTINUE;
}

static sfsistat on_step(SMFICTX *ctx)
{
    (void)ctx;
    return SMFIS_CONTINUE;
}

static sfsistat on_unknown(SMFICTX *ctx, const char *command)
{
    (void)ctx;
    (void)command;
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
        .xxfi_envrcpt = on_rcpt,
        .xxfi_eom = on_step,
        .xxfi_abort = on_step,
        .xxfi_unknown = on_unknown,
        .xxfi_data = on_step,
        .xxfi_close = on_step,
        .xxfi_negotiate = on_negotiate,
    };

    if (argc != 3) {
        fputs("usage: noop_filter SOCKET STEPS\n", stderr);
        return 2;
    }
    negotiated = strtoul(argv[2], NULL, 0);
    if (smfi_setconn(argv[1]) != MI_SUCCESS || smfi_register(filter) != MI_SUCCESS ||
        smfi_settimeout(86400) != MI_SUCCESS || smfi_opensocket(true) != MI_SUCCESS) {
        fprintf(stderr, "noop_filter: cannot listen on %s\n", argv[1]);
        return 1;
    }
    fputs("event=ready\n", stderr);
    return smfi_main() == MI_SUCCESS ? 0 : 1;
}
