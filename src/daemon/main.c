/*
 * main.c: tidegated's command line.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "build-config.h"
#include "config/config.h"
#include "daemon/budget.h"
#include "daemon/log.h"
#include "daemon/privileges.h"
#include "daemon/process.h"
#include "daemon/report.h"
#include "daemon/server.h"

#define MIB (1024.0 * 1024.0)

struct options {
    const char *file;
    bool test, dump, foreground;
};

static const char usage[] = "usage: tidegated [-c FILE] [-f] [-t] [-d] [-V]\n"
                            "  -c FILE  read this configuration (" CONFIG_DEFAULT_PATH ")\n"
                            "  -f       stay in the foreground and log to standard error\n"
                            "  -t       check the configuration, say how much memory it takes, and exit\n"
                            "  -d       print the effective configuration and exit\n"
                            "  -V       print the version and exit\n"
                            "  -h       print this\n"
                            "SIGUSR1 reloads the configuration, SIGUSR2 logs the counters; SIGTERM, SIGINT and\n"
                            "SIGHUP stop.\n";

static void print_messages(const struct config_messages *messages)
{
    for (size_t i = 0; i < messages->count; i++) {
        const struct message *message = &messages->list[i];
        fprintf(stderr, "%stidegated: %s%s\n", log_prefix(message->severity == MESSAGE_WARNING ? LOG_WARNING : LOG_ERR),
                message_mark(message), message->text);
    }
    size_t left_out = messages_left_out(messages);
    if (left_out > 0)
        fprintf(stderr, "%stidegated: and %zu more\n", log_prefix(LOG_ERR), left_out);
}

/* In the background what goes wrong before all is well is told on the terminal and in the log: either may be where
 * somebody looks. */
static bool tells_log(const struct options *options)
{
    return !options->test && !options->dump && !options->foreground;
}

/* Loads and tells what there is to say. NULL when the file has errors. */
static struct config *load(const struct options *options, const char *file)
{
    struct config_messages messages = {.count = 0};
    struct config *config;

    config_load(file, &config, &messages);
    print_messages(&messages);
    if (tells_log(options))
        report_messages(&messages);
    messages_clear(&messages);
    return config;
}

static int test_config(const struct config *config, const char *file)
{
    struct memory_budget memory = budget_memory(config);

    printf("%s: the configuration is valid\n", file);
    printf("memory: %" PRIu64 " bytes (%.1f MiB) with every table full; %.1f MiB more during a reload\n", memory.full,
           (double)memory.full / MIB, (double)memory.reload / MIB);
    return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

static int dump_config(const struct config *config)
{
    return config_dump(config, stdout) && fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

static int fail(const struct options *options, int status, const char *error)
{
    fprintf(stderr, "%stidegated: %s\n", log_prefix(LOG_ERR), error);
    if (tells_log(options))
        log_event(LOG_ERR, "failed", error);
    process_remove_pid_file();
    return status;
}

static void announce(void)
{
    struct log_line line;
    log_begin(&line);
    log_text(&line, "event", "ready");
    log_text(&line, "version", PACKAGE_VERSION);
    log_send(&line, LOG_NOTICE);
    process_ready();
}

/* Goes where the options say and opens what the server needs. */
static bool start(const struct options *options, struct config **config, const char *path,
                  char error[PROCESS_ERROR_SIZE])
{
    if (!options->foreground && !process_background(EX_OSERR, error))
        return false;
    server_block_signals();
    privileges_make_directory(*config);
    if (!options->foreground && !process_pid_file((*config)->pid_file, error))
        return false;
    return server_open(config, path, error);
}

static int run(const struct options *options, struct config *config, const char *path)
{
    char error[PROCESS_ERROR_SIZE];

    if (!start(options, &config, path, error)) {
        config_free(&config);
        return fail(options, EX_OSERR, error);
    }
    bool ok = server_run(announce);
    process_remove_pid_file();
    return ok ? EX_OK : EX_SOFTWARE;
}

/* Returns -1 when there is work to do, otherwise the status to exit with. */
static int parse_options(int argc, char **argv, struct options *options)
{
    int option;

    while ((option = getopt(argc, argv, "c:ftdVh")) != -1) {
        switch (option) {
        case 'c':
            options->file = optarg;
            break;
        case 'f':
            options->foreground = true;
            break;
        case 't':
            options->test = true;
            break;
        case 'd':
            options->dump = true;
            break;
        case 'V':
            puts("tidegated " PACKAGE_VERSION);
            return EX_OK;
        case 'h':
            fputs(usage, stdout);
            return EX_OK;
        default:
            fputs(usage, stderr);
            return EX_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "tidegated: %s: no argument is expected here\n%s", argv[optind], usage);
        return EX_USAGE;
    }
    if (options->test && options->dump) {
        fputs("tidegated: -t and -d do not go together\n", stderr);
        return EX_USAGE;
    }
    return -1;
}

/* The file by a path that holds in any directory. Links stay links: a reload follows them anew. */
static bool absolute_path(const char *file, char out[PATH_MAX])
{
    char directory[PATH_MAX] = "";
    int length;

    if (file[0] != '/' && !getcwd(directory, sizeof directory))
        return false;
    length = snprintf(out, PATH_MAX, file[0] == '/' ? "%s%s" : "%s/%s", directory, file);
    return length >= 0 && length < PATH_MAX;
}

int main(int argc, char **argv)
{
    struct options options = {.file = CONFIG_DEFAULT_PATH};
    char path[PATH_MAX];

    process_keep_streams();
    int status = parse_options(argc, argv, &options);
    if (status >= 0)
        return status;
    log_open(!tells_log(&options));
    if (options.test || options.dump) {
        struct config *config = load(&options, options.file);
        if (!config)
            return EX_CONFIG;
        status = options.test ? test_config(config, options.file) : dump_config(config);
        config_free(&config);
        return status;
    }
    if (!absolute_path(options.file, path))
        return fail(&options, EX_OSERR, "the path of the configuration file is too long");
    struct config *config = load(&options, path);
    return config ? run(&options, config, path) : EX_CONFIG;
}
