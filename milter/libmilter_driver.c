/*
 * libmilter_driver.c: libmilter's callbacks.
 *
 * Asked of the MTA is only what the rules need, besides connect and close. A session that is let in must go on with
 * SMFIS_CONTINUE, never SMFIS_ACCEPT: Sendmail closes the filter's session on ACCEPT, and the slot would be lost. That
 * is for exempt sessions, which hold none.
 */
#include "libmilter_driver.h"

#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* libmilter ends a session that had no callback for this long; a slot is held as long as the MTA holds the session. It
 * counts in milliseconds in an int, so this is near the most there can be. */
#define SESSION_TIMEOUT_S (24 * 24 * 3600)

/* smfi_setreply(3) takes no longer text, end included. */
#define REPLY_LINE_SIZE 980

/* The callbacks have no other way to reach these. */
static struct driver_params driver;

static pthread_mutex_t needs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rules_needs needs;

/* One session of the MTA. */
struct session {
    struct door_session door;
    bool answering;    /* it was refused, and the MTA has not closed it yet */
    bool partly_heard; /* some of its commands do not come here */
};

static atomic_uint answering; /* how many of those there are */
static atomic_uint connections, room = UINT_MAX;
static atomic_ullong turned_away;

static struct rules_needs needs_now(void)
{
    pthread_mutex_lock(&needs_lock);
    const struct rules_needs now = needs;
    pthread_mutex_unlock(&needs_lock);
    return now;
}

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

/* '%' begins a macro in what smfi_setreply(3) takes; doubled it stands for itself. What does not fit is cut. */
static void double_percents(const char *text, char out[REPLY_LINE_SIZE])
{
    size_t length = 0;

    for (; *text && length < REPLY_LINE_SIZE - 2; text++) {
        if (*text == '%')
            out[length++] = '%';
        out[length++] = *text;
    }
    out[length] = '\0';
}

static sfsistat refuse(SMFICTX *context, const struct reply *reply)
{
    char text[REPLY_LINE_SIZE];

    double_percents(reply->text, text);
    smfi_setreply(context, (char *)reply->code, (char *)reply->enhanced, text);
    /* Either takes a reply of its own class alone. */
    return reply->code[0] == '5' ? SMFIS_REJECT : SMFIS_TEMPFAIL;
}

static sfsistat answer(SMFICTX *context, struct session *session, const struct door_answer *answer)
{
    if (answer->kind == DOOR_REFUSE && session->door.refusal && !session->answering) {
        atomic_fetch_add(&answering, 1);
        session->answering = true;
    }
    if (answer->delay_ns > 0) {
        /* libmilter may have given this thread another session's event as well, which it counts as idle from the moment
         * it is called until it runs; that event would wait as long as we do. A new connection makes it look again. */
        driver.nudge();
        waiting_wait(driver.waiting, answer->delay_ns);
    }
    if (answer->kind == DOOR_REFUSE)
        return refuse(context, &answer->reply);
    return answer->kind == DOOR_ACCEPT ? SMFIS_ACCEPT : SMFIS_CONTINUE;
}

/* The client's address and port; ADDR_NONE and 0 when it has none. */
static struct addr addr_of(const _SOCK_ADDR *sockaddr, uint16_t *port)
{
    uint8_t bytes[16];

    *port = 0;
    if (!sockaddr)
        return (struct addr){0};
    /* The structure is libmilter's, made for any family: copied, not cast. */
    if (sockaddr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sockaddr, sizeof in);
        memcpy(bytes, &in.sin_addr, 4);
        *port = ntohs(in.sin_port);
        return addr_from_ipv4(bytes);
    }
    if (sockaddr->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sockaddr, sizeof in6);
        memcpy(bytes, &in6.sin6_addr, 16);
        *port = ntohs(in6.sin6_port);
        return addr_from_ipv6(bytes);
    }
    return (struct addr){0};
}

/* The steps that are needed, and each of them with an answer, be it that nothing will ever be said: Postfix tells of
 * one that has none only with the next that has, or with the end of the session, and a dry run would count too late. */
static unsigned long steps_wanted(const struct rules_needs *wanted)
{
    return SMFIP_NOHDRS | SMFIP_NOEOH | SMFIP_NOBODY | (wanted->rejected ? SMFIP_RCPT_REJ : 0) |
           (wanted->helo ? 0 : SMFIP_NOHELO) | (wanted->mail ? 0 : SMFIP_NOMAIL) | (wanted->rcpt ? 0 : SMFIP_NORCPT) |
           (wanted->data ? 0 : SMFIP_NODATA) | (wanted->unknown ? 0 : SMFIP_NOUNKNOWN);
}

static sfsistat on_negotiate(SMFICTX *context, unsigned long actions, unsigned long steps, unsigned long unused2,
                             unsigned long unused3, unsigned long *want_actions, unsigned long *want_steps,
                             unsigned long *want2, unsigned long *want3)
{
    struct session *session = session_new(context);

    (void)unused2;
    (void)unused3;
    if (!session)
        return SMFIS_REJECT; /* the MTA goes on without us, as when we are down */
    const struct rules_needs wanted = needs_now();
    /* A step that the MTA does not offer to leave out comes all the same, and is heard. */
    *want_steps = steps & steps_wanted(&wanted);
    session->partly_heard = (*want_steps & (SMFIP_NOMAIL | SMFIP_NORCPT | SMFIP_NODATA | SMFIP_NOUNKNOWN)) != 0;
    *want_actions = actions & (SMFIF_SETSYMLIST | (wanted.message ? SMFIF_ADDHDRS : 0));
    *want2 = 0;
    *want3 = 0;
    if (actions & SMFIF_SETSYMLIST) {
        smfi_setsymlist(context, SMFIM_CONNECT, (char *)"{daemon_name} {daemon_addr} {daemon_port} {if_addr} _");
        if (wanted.mail)
            smfi_setsymlist(context, SMFIM_ENVFROM, (char *)"{auth_authen}");
        if (wanted.rcpt)
            smfi_setsymlist(context, SMFIM_ENVRCPT, (char *)"{rcpt_mailer}");
    }
    return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *context, char *host, _SOCK_ADDR *sockaddr)
{
    struct session *session = session_of(context);
    uint16_t port;
    const struct addr client = addr_of(sockaddr, &port);
    const struct door_connect connect = {
        .client = client,
        .client_port = port,
        .partly_heard = session ? session->partly_heard : !needs_now().data,
        .client_name = host,
        .remote = smfi_getsymval(context, (char *)"_"),
        .daemon_name = smfi_getsymval(context, (char *)"{daemon_name}"),
        .daemon_addr = smfi_getsymval(context, (char *)"{daemon_addr}"),
        .daemon_port = smfi_getsymval(context, (char *)"{daemon_port}"),
        .if_addr = smfi_getsymval(context, (char *)"{if_addr}"),
    };

    /* An MTA may use the connection for another session after close, without negotiating again. What was negotiated is
     * then forgotten; libmilter keeps to it all the same. */
    if (!session && !(session = session_new(context)))
        return SMFIS_ACCEPT;
    struct door_answer said = door_connect(driver.door, &session->door, &connect);
    return answer(context, session, &said);
}

static sfsistat on_helo(SMFICTX *context, char *name)
{
    struct session *session = session_of(context);
    if (!session)
        return SMFIS_CONTINUE;
    struct door_answer said = door_helo(driver.door, &session->door, name);
    return answer(context, session, &said);
}

static sfsistat on_mail(SMFICTX *context, char **arguments)
{
    struct session *session = session_of(context);
    if (!session)
        return SMFIS_CONTINUE;
    struct door_answer said =
        door_mail(driver.door, &session->door, arguments[0], smfi_getsymval(context, (char *)"{auth_authen}"));
    return answer(context, session, &said);
}

static sfsistat on_rcpt(SMFICTX *context, char **arguments)
{
    struct session *session = session_of(context);
    if (!session)
        return SMFIS_CONTINUE;
    const char *mailer = smfi_getsymval(context, (char *)"{rcpt_mailer}");
    bool rejected = mailer && strcmp(mailer, "error") == 0;
    struct door_answer said = door_rcpt(driver.door, &session->door, arguments[0], rejected);
    return answer(context, session, &said);
}

static sfsistat on_data(SMFICTX *context)
{
    struct session *session = session_of(context);
    if (!session)
        return SMFIS_CONTINUE;
    struct door_answer said = door_data(driver.door, &session->door);
    return answer(context, session, &said);
}

static sfsistat on_unknown(SMFICTX *context, const char *command)
{
    struct session *session = session_of(context);

    (void)command;
    if (!session)
        return SMFIS_CONTINUE;
    struct door_answer said = door_unknown(driver.door, &session->door);
    return answer(context, session, &said);
}

static sfsistat on_message(SMFICTX *context)
{
    struct session *session = session_of(context);
    char score[SCORE_TEXT_SIZE];

    if (!session)
        return SMFIS_CONTINUE;
    struct door_answer said = door_message(driver.door, &session->door, score);
    /* Topmost, so that none which the client has sent itself comes before it. Fails where it was not negotiated. */
    if (*score)
        smfi_insheader(context, 0, (char *)"X-Tidegate-Score", score);
    return answer(context, session, &said);
}

static sfsistat on_abort(SMFICTX *context)
{
    struct session *session = session_of(context);
    if (session)
        door_abort(driver.door, &session->door);
    return SMFIS_CONTINUE;
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
        .xxfi_flags = SMFIF_SETSYMLIST | SMFIF_ADDHDRS,
        .xxfi_connect = on_connect,
        .xxfi_helo = on_helo,
        .xxfi_envfrom = on_mail,
        .xxfi_envrcpt = on_rcpt,
        .xxfi_eom = on_message,
        .xxfi_abort = on_abort,
        .xxfi_unknown = on_unknown,
        .xxfi_data = on_data,
        .xxfi_close = on_close,
        .xxfi_negotiate = on_negotiate,
    };

    driver = *params;
    return smfi_setconn((char *)params->socket) == MI_SUCCESS && smfi_setbacklog(params->backlog) == MI_SUCCESS &&
           smfi_settimeout(SESSION_TIMEOUT_S) == MI_SUCCESS && smfi_register(filter) == MI_SUCCESS &&
           smfi_opensocket(0) == MI_SUCCESS;
}

void driver_set_needs(const struct rules_needs *wanted)
{
    pthread_mutex_lock(&needs_lock);
    needs = *wanted;
    pthread_mutex_unlock(&needs_lock);
}

size_t driver_session_memory(void)
{
    return sizeof(struct session) - sizeof(struct door_session) + DOOR_SESSION_MEMORY;
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
