/*
 * commands.c: the table of commands, and the help that comes from it.
 */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "tool/control_socket.h"
#include "tool/tool.h"

#define TAKES(option) (1u << (option))

const struct command commands[] = {
    {
        .name = "status",
        .arguments = "",
        .summary = "what is open, who is refused, on one screen",
        .text = "The sessions of each scope beside its cap, what each limit has refused, the\n"
                "bans, and the totals since the daemon started.\n",
        .run = tool_status,
    },
    {
        .name = "top",
        .arguments = "",
        .summary = "the same, live in the terminal",
        .text = "Shows every 2 seconds what is open and how many a second are refused by which\n"
                "limit, with the busiest and the most refused clients. q or Ctrl-C ends.\n",
        .run = tool_top,
    },
    {
        .name = "clients",
        .arguments = "",
        .options = TAKES(TOOL_SORT) | TAKES(TOOL_COUNT),
        .summary = "the clients of the last hour",
        .text = "KEY is sessions, connections (the default), messages, refused or monitored.\n",
        .run = tool_clients,
    },
    {
        .name = "domains",
        .arguments = "",
        .options = TAKES(TOOL_SORT) | TAKES(TOOL_COUNT),
        .summary = "the senders' domains of the last hour",
        .text = "KEY is messages (the default), refused or monitored.\n",
        .run = tool_domains,
    },
    {
        .name = "bans",
        .arguments = "",
        .options = TAKES(TOOL_LIMIT) | TAKES(TOOL_COUNT),
        .summary = "who is banned, by what, and for how long yet",
        .text = "Those with the most time left come first. The limit \"ban\" means an\n"
                "administrator's.\n",
        .run = tool_bans,
    },
    {
        .name = "ban",
        .arguments = "TARGET [for DURATION]",
        .least = 1,
        .most = 3,
        .summary = "refuse an address, a network or a domain for a while",
        .text = "TARGET is an address, a CIDR block or a domain; DURATION is 24 hours when it is\n"
                "not given. Who is banned already gets the new end. Sessions that are open go on.\n"
                "With mode = monitor it is only watched, and ends with that dry run; a ban from\n"
                "before is only watched meanwhile.\n"
                "\n"
                "    tidegate ban 192.0.2.0/24 for 2h\n"
                "    tidegate ban spam.example\n",
        .run = tool_ban,
    },
    {
        .name = "unban",
        .arguments = "[TARGET]",
        .options = TAKES(TOOL_LIMIT) | TAKES(TOOL_SINCE),
        .most = 1,
        .summary = "lift bans: one, a network's, all of a limit",
        .text = "Lifts the bans that fit everything that is given: those of TARGET (an address,\n"
                "a CIDR block with all that is in it, a domain or another name that is counted;\n"
                "user:NAME: of a user alone), those of a limit (\"ban\": administrators'), those\n"
                "that began not longer ago than a duration. A target or a limit must be given.\n"
                "Of a domain's subdomains those of administrators are lifted, not those of\n"
                "limits. With a target and no --since, what limits have counted for it is\n"
                "forgotten, too, be it banned or not. Exits with 1 when there was neither, or\n"
                "when an administrator's ban still keeps TARGET out: of a block or domain\n"
                "around it, or its own, which --limit or --since left. What lifts that is said.\n"
                "\n"
                "    tidegate unban 192.0.2.7\n"
                "    tidegate unban --limit client_connections --since 10m\n",
        .run = tool_unban,
    },
    {
        .name = "explain",
        .arguments = "WHO [WHO]",
        .options = TAKES(TOOL_LISTEN) | TAKES(TOOL_DAEMON_NAME),
        .least = 1,
        .most = 2,
        .summary = "would it be let in now; if not, why, until when, what helps",
        .text = "WHO is a client, or a domain, mail address or user; or one of each. A client is\n"
                "an address, in brackets or not, or what tidegate clients shows of it. Behind\n"
                "another client [ADDRESS] is the name that it says in HELO. Exits with 0 when it\n"
                "would be let in and with 1 when it would be refused.\n"
                "\n"
                "    tidegate explain 192.0.2.7\n"
                "    tidegate explain 192.0.2.7 spam.example --listen :25\n",
        .run = tool_explain,
    },
    {
        .name = "eval",
        .arguments = "CLIENT",
        .options = TAKES(TOOL_LISTEN) | TAKES(TOOL_DAEMON_NAME),
        .least = 1,
        .most = 1,
        .summary = "which values apply to a client, and which line says so",
        .text = "The caps, settings and limits that hold for sessions of CLIENT (an address, or\n"
                "what tidegate clients shows of it) on that listen (:25 unless given), each with\n"
                "the scope, the file and the line that it comes from; and whether an\n"
                "administrator has banned it, or it is denied or exempt.\n",
        .run = tool_eval,
    },
    {
        .name = "reload",
        .arguments = "",
        .summary = "have the daemon read its configuration again",
        .text = "No session, count or ban is lost. A file with mistakes changes nothing: they are\n"
                "printed, and the exit status is 75.\n",
        .run = tool_reload,
    },
    {
        .name = "check",
        .arguments = "[FILE]",
        .most = 1,
        .summary = "look for mistakes in a configuration, without a daemon",
        .text = "Reads FILE, or that of -c, as tidegated would. Every mistake is printed with\n"
                "file and line, and the exit status is 1 when there is one.\n",
        .run = tool_check,
    },
    {
        .name = "events",
        .arguments = "",
        .summary = "follow what limits find, line by line",
        .text = "A line for each event that a limit refuses, would refuse (monitor), gives points\n"
                "for (score) or finds no room for (untracked), from now until Ctrl-C.\n",
        .run = tool_events,
    },
    {
        .name = "help",
        .arguments = "[COMMAND]",
        .most = 1,
        .summary = "say what there is, or more about one command",
        .text = "",
        .run = tool_help,
    },
    {.name = NULL},
};

static const char *const option_texts[TOOL_OPTIONS] = {
    [TOOL_SORT] = "  --sort KEY            the first row is the one with the most of KEY",
    [TOOL_COUNT] = "  -n, --count N         so many rows at most",
    [TOOL_LIMIT] = "  --limit NAME          of that limit alone, as the log names it",
    [TOOL_SINCE] = "  --since DURATION      that began so long ago at most: 90s, 5m, 2h",
    [TOOL_LISTEN] = "  --listen ADDR:PORT    coming in there: :25, 10.0.0.1:25",
    [TOOL_DAEMON_NAME] = "  --daemon-name NAME    coming in at the listener of that daemon_name",
};

static const char common[] = "  -c FILE               the configuration that names the control socket\n"
                             "                        (" CONFIG_DEFAULT_PATH ")\n"
                             "  --socket PATH         the control socket itself\n"
                             "  --json                print the daemon's answer as it is\n"
                             "  -h, --help            print this\n"
                             "  -V, --version         print the version\n";

static const char statuses[] = "Exit status: 0 done, or yes; 1 no (explain: it would be refused; unban: nothing\n"
                               "was lifted or forgotten, or a ban still holds it; check: there are mistakes); 64\n"
                               "bad usage; 69 the daemon cannot be reached; 70 an unexpected answer; 74 the\n"
                               "output cannot be written; 75 the daemon could not do it.\n";

const struct command *command_find(const char *name)
{
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

void help_all(FILE *out)
{
    fputs("usage: tidegate [-c FILE] [--socket PATH] [--json] COMMAND [ARGUMENT...]\n\n"
          "Shows and steers tidegated, through its control socket.\n\n",
          out);
    for (const struct command *command = commands; command->name; command++)
        fprintf(out, "  %-9s %s\n", command->name, command->summary);
    fprintf(out, "\n%s\ntidegate COMMAND --help says more about a command.\n%s", common, statuses);
}

void help_command(const struct command *command, FILE *out)
{
    fprintf(out, "usage: tidegate %s%s%s%s\n\n%s%s", command->name, command->options != 0 ? " [OPTION...]" : "",
            *command->arguments ? " " : "", command->arguments, command->text, *command->text ? "\n" : "");
    for (unsigned option = 0; option < TOOL_OPTIONS; option++)
        if (command->options & TAKES(option))
            fprintf(out, "%s\n", option_texts[option]);
    fputs(common, out);
}
