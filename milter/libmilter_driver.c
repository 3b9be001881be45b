/*
 * libmilter_driver.c: libmilter's callbacks.
 *
 * Asked of the MTA is only what a session cap needs: connect takes the slot; HELO, MAIL and unknown commands carry a
 * refusal (a client may skip HELO, and even MAIL); close gives the slot back. A session that is let in must go on with
 * SMFIS_CONTINUE, never SMFIS_ACCEPT: Sendmail closes the filter's session on ACCEPT, and the slot would be lost.
 */
#include "libmilter_driver.h"

#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* libmilter ends a session that had no callback for this long; a slot is held as long as the MTA holds the session. It
 * counts in milliseconds in an int, so this is near the most there can be. */
#define SESSION_TIMEOUT_S (24 * 24 * 3600)

/* The steps that are not needed. What the MTA does not offer to leave out comes, and is answered with "continue". */
#define STEPS_SKIPPED (SMFIP_NORCPT | SMFIP_NODATA | SMFIP_NOHDRS | SMFIP_NOEOH | SMFIP_NOBODY)

/* The callbacks have no other way to reach these. */
static struct driver_params driver;

/* One session of the MTA. */
struct session {
    struct door_session door;
    bool answering; /* it was refused, and the MTA has not closed it yet */
};

static atomic_uint answering; /* how many of those there are */
static atomic_uint connections, room = UINT_MAX;
static atomic_ullong turned_away;

static struct session *session_of(SMFICTX *context)
{
    return smfi_getpriv(context);
}

/* The session of a connection that has none yet; NULL when there is no room or no memory for it. */
static struct session *session_new(SMFICTX *context)
{
    struct session *session = NULL;

    if (atomic_fetch_add(&connections, 1) < atomic_load(&room))
        session = calloc(1, sizeof *session);
    if (session && smfi_setpriv(context, session) == MI_SUCCESS)
        return session;
    free(session);
    atomic_fetch_sub(&connections, 1);
    atomic_fetch_add(&turned_away, 1);
    return NULL;
}

static sfsistat answer(SMFICTX *context, struct session *session, const struct door_answer *answer)
{
    if (!answer->refused)
        return SMFIS_CONTINUE;
    if (!session->answering)
        atomic_fetch_add(&answering, 1);
    session->answering = true;
    if (answer->delay_ns > 0) {
        /* libmilter may have given this thread another session's event as well, which it counts as idle from the moment
         * it is called until it runs; that event would wait as long as we do. A new connection makes it look again. */
        driver.nudge();
        waiting_wait(driver.waiting, answer->delay_ns);
    }
    smfi_setreply(context, (char *)answer->code, (char *)answer->enhanced, (char *)answer->text);
    return SMFIS_TEMPFAIL;
}

static struct addr addr_of(const _SOCK_ADDR *sockaddr)
{
    uint8_t bytes[16];

    if (!sockaddr)
        return (struct addr){0};
    /* The structure is libmilter's, made for any family: copied, not cast. */
    if (sockaddr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sockaddr, sizeof in);
        memcpy(bytes, &in.sin_addr, 4);
        return addr_from_ipv4(bytes);
    }
    if (sockaddr->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sockaddr, sizeof in6);
        memcpy(bytes, &in6.sin6_addr, 16);
        return addr_from_ipv6(bytes);
    }
    return (struct addr){0};
}

static sfsistat on_negotiate(SMFICTX *context, unsigned long actions, unsigned long steps, unsigned long unused2,
                             unsigned long unused3, unsigned long *want_actions, unsigned long *want_steps,
                             unsigned long *want2, unsigned long *want3)
{
    (void)unused2;
    (void)unused3;
    if (!session_new(context))
        return SMFIS_REJECT; /* the MTA goes on without us, as when we are down */
    *want_actions = actions & SMFIF_SETSYMLIST;
    *want_steps = steps & STEPS_SKIPPED;
    *want2 = 0;
    *want3 = 0;
    if (actions & SMFIF_SETSYMLIST)
        smfi_setsymlist(context, SMFIM_CONNECT, (char *)"{daemon_name} {daemon_addr} {daemon_port} {if_addr}");
    return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *context, char *host, _SOCK_ADDR *sockaddr)
{
    struct session *session = session_of(context);
    const struct door_connect connect = {
        .client = addr_of(sockaddr),
        .daemon_name = smfi_getsymval(context, (char *)"{daemon_name}"),
        .daemon_addr = smfi_getsymval(context, (char *)"{daemon_addr}"),
        .daemon_port = smfi_getsymval(context, (char *)"{daemon_port}"),
        .if_addr = smfi_getsymval(context, (char *)"{if_addr}"),
    };

    (void)host;
    /* An MTA may use the connection for another session after close, without negotiating again. */
    if (!session && !(session = session_new(context)))
        return SMFIS_ACCEPT;
    struct door_answer said = door_connect(driver.door, &session->door, &connect);
    return answer(context, session, &said);
}

static sfsistat on_command(SMFICTX *context)
{
    struct session *session = session_of(context);
    if (!session)
        return SMFIS_CONTINUE;
    struct door_answer said = door_command(driver.door, &session->door);
    return answer(context, session, &said);
}

static sfsistat on_helo(SMFICTX *context, char *name)
{
    (void)name;
    return on_command(context);
}

static sfsistat on_mail(SMFICTX *context, char **arguments)
{
    (void)arguments;
    return on_command(context);
}

static sfsistat on_unknown(SMFICTX *context, const char *command)
{
    (void)command;
    return on_command(context);
}

static sfsistat on_close(SMFICTX *context)
{
    struct session *session = session_of(context);

    /* Called once a session even when connect never was. */
    if (!session)
        return SMFIS_CONTINUE;
    smfi_setpriv(context, NULL);
    door_close(driver.door, &session->door);
    if (session->answering)
        atomic_fetch_sub(&answering, 1);
    atomic_fetch_sub(&connections, 1);
    free(session);
    return SMFIS_CONTINUE;
}

bool driver_open(const struct driver_params *params)
{
    static char name[] = "tidegate";
    struct smfiDesc filter = {
        .xxfi_name = name,
        .xxfi_version = SMFI_VERSION,
        .xxfi_flags = SMFIF_SETSYMLIST,
        .xxfi_connect = on_connect,
        .xxfi_helo = on_helo,
        .xxfi_envfrom = on_mail,
        .xxfi_unknown = on_unknown,
        .xxfi_close = on_close,
        .xxfi_negotiate = on_negotiate,
    };

    driver = *params;
    return smfi_setconn((char *)params->socket) == MI_SUCCESS && smfi_settimeout(SESSION_TIMEOUT_S) == MI_SUCCESS &&
           smfi_register(filter) == MI_SUCCESS && smfi_opensocket(0) == MI_SUCCESS;
}

bool driver_run(void)
{
    return smfi_main() == MI_SUCCESS;
}

unsigned driver_answering(void)
{
    return atomic_load(&answering);
}

void driver_set_room(unsigned wanted)
{
    atomic_store(&room, wanted);
}

uint64_t driver_turned_away(void)
{
    return atomic_load(&turned_away);
}
