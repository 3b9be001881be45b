/*
 * privileges.c: giving up what is no longer needed.
 */
#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build-config.h"
#ifdef HAVE_LIBCAP_NG
#include <cap-ng.h>
#include <sys/prctl.h>
#endif

#include "daemon/log.h"

static bool fail(char error[PROCESS_ERROR_SIZE], const struct config *config, const char *what, const char *why)
{
    snprintf(error, PROCESS_ERROR_SIZE, "%s:%u: user = %s: %s: %s", config->path, config->line[GLOBAL_USER],
             config->user, what, why);
    return false;
}

static bool becomes_another(const struct config *config)
{
    return config->user && geteuid() == 0;
}

/* ---- what the user is given ---- */

static void make_directory(const struct config *config, const char *path)
{
    bool given = becomes_another(config);

    process_make_directory_for(path, given ? config->uid : (uid_t)-1, given ? config->gid : (gid_t)-1);
}

void privileges_make_directory(const struct config *config)
{
    if (config->control.socket && config->control.address.kind == SOCKET_UNIX)
        make_directory(config, config->control.address.path);
}

static bool give_socket(const struct config *config, const struct socket_config *given, char error[PROCESS_ERROR_SIZE])
{
    if (!given->socket || given->address.kind != SOCKET_UNIX)
        return true;
    return process_give_socket(given->address.path, config->uid, given->group ? (gid_t)-1 : config->gid, error);
}

static bool give_sockets(const struct config *config, char error[PROCESS_ERROR_SIZE])
{
    bool ok = give_socket(config, &config->milter, error) && give_socket(config, &config->control, error);

    for (size_t i = 0; i < config->policy_count && ok; i++)
        ok = give_socket(config, &config->policies[i], error);
    return ok;
}

/* ---- user, groups and capabilities ---- */

#ifdef HAVE_LIBCAP_NG

/* Says which capabilities shall be left. Returns whether the bounding set can be emptied. */
static bool choose_capabilities(const struct config *config)
{
    capng_get_caps_process();
    bool has_net_admin = capng_have_capability(CAPNG_PERMITTED, CAP_NET_ADMIN),
         bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);

    capng_clear(CAPNG_SELECT_CAPS);
    if (config->idle_disconnect && has_net_admin)
        capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
    return bounds;
}

static bool change_identity(const struct config *config, char error[PROCESS_ERROR_SIZE])
{
    bool bounds = choose_capabilities(config);

    errno = 0;
    int result = capng_change_id((int)config->uid, (int)config->gid, bounds ? CAPNG_CLEAR_BOUNDING : CAPNG_NO_FLAG);
    return result == 0 || fail(error, config, "cannot become that user and give up the other rights of root",
                               errno != 0 ? strerror(errno) : "libcap-ng refuses");
}

static bool drop_capabilities(char error[PROCESS_ERROR_SIZE], const struct config *config)
{
    bool bounds = choose_capabilities(config);

    if (bounds)
        capng_clear(CAPNG_SELECT_BOUNDS);
    errno = 0;
    if (capng_apply(bounds ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) == 0)
        return true;
    snprintf(error, PROCESS_ERROR_SIZE, "capabilities that are not needed cannot be given up: %s", strerror(errno));
    return false;
}

static bool forbid_new_rights(char error[PROCESS_ERROR_SIZE])
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        return true;
    snprintf(error, PROCESS_ERROR_SIZE, "no_new_privs cannot be set: %s", strerror(errno));
    return false;
}

#else

static bool change_identity(const struct config *config, char error[PROCESS_ERROR_SIZE])
{
    if (setgid(config->gid) == 0 && setuid(config->uid) == 0)
        return true;
    return fail(error, config, "cannot become that user", strerror(errno));
}

static bool drop_capabilities(char error[PROCESS_ERROR_SIZE], const struct config *config)
{
    (void)error;
    (void)config;
    return true;
}

static bool forbid_new_rights(char error[PROCESS_ERROR_SIZE])
{
    (void)error;
    return true;
}

#endif

static bool become_user(const struct config *config, char error[PROCESS_ERROR_SIZE])
{
    if (!give_sockets(config, error))
        return false;
    if (initgroups(config->user, config->gid) < 0)
        return fail(error, config, "cannot take on the groups of that user", strerror(errno));
    if (!change_identity(config, error))
        return false;
    /* A way back would make all this a show. */
    if (config->uid != 0 && (setuid(0) == 0 || geteuid() != config->uid || getegid() != config->gid))
        return fail(error, config, "cannot become that user", "the system gives root's rights back");
    return true;
}

/* ---- what is told ---- */

static void warn_of_reload(const struct config *config)
{
    char text[PROCESS_ERROR_SIZE];
    char *file = config_unreadable(config);

    if (!file)
        return;
    snprintf(text, sizeof text, "a reload will fail: %.300s cannot be read by user %s: %s", file, config->user,
             strerror(errno));
    free(file);
    log_event(LOG_WARNING, "user", text);
}

bool privileges_settle(const struct config *config, char error[PROCESS_ERROR_SIZE])
{
    if (!config->user && geteuid() == 0) {
        log_event(
            LOG_WARNING, "user",
            "this daemon runs as root and keeps all of root's rights; write user = tidegate (or another user that "
            "owns nothing) to have it give them up");
        return true;
    }
    if (becomes_another(config)) {
        if (!become_user(config, error) || !forbid_new_rights(error))
            return false;
        warn_of_reload(config);
        return true;
    }
    if (config->user && config->uid != geteuid())
        return fail(error, config, "only root can become another user",
                    "start the daemon as root or as that user, or remove the option");
    return drop_capabilities(error, config) && forbid_new_rights(error);
}
