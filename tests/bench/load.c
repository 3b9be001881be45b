/*
 * load.c: plays the MTA's side of the milter protocol (version 6) against a filter, as fast as the filter answers.
 *
 * Each session is a connection of its own: negotiation, connect with its macros, HELO, on request MAIL, RCPT and ABORT,
 * QUIT; it is over when the filter has closed the connection. A new session starts when one ends, so that always the
 * same number is in flight. What the filter asked to skip is not sent, what it said it would not answer is not waited
 * for, and what it does answer must be of the protocol.
 *
 * One thread and one epoll: the generator must cost less than what it measures.
 */
#define _POSIX_C_SOURCE 200809L
#include "generator.h"
#include "load_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <libmilter/mfdef.h>

#define STALL_LIMIT (30 * SECOND) /* a filter that does not answer for so long has failed */
#define RUN_LIMIT_SECONDS 600
#define SESSIONS_LIMIT 100000000L
#define OPEN_LIMIT 100000L
#define ERRORS_TOLD 10
#define INPUT_SIZE 2048
#define EVENTS_AT_ONCE 256

/* How many there are of each. A client writes from any of the sender's domains. */
#define USERS 1000u
#define SENDER_DOMAINS 2000u
#define SENDERS 100u /* of a domain */
#define RECIPIENTS 5000u

enum step { STEP_NEGOTIATE, STEP_CONNECT, STEP_HELO, STEP_MAIL, STEP_RCPT, STEP_HELD, STEP_QUIT };

struct session {
    int fd; /* -1: not in use */
    enum step step;
    bool held; /* stays open until the end of the run */
    bool wants_output;
    struct wire_negotiated negotiated;
    struct wire_client client;
    uint64_t random; /* of this session: who it comes from, who writes to whom */
    int64_t deadline;
    struct wire_output output;
    size_t input_used;
    unsigned char input[INPUT_SIZE];
};

struct options {
    const char *socket;
    struct wire_daemon daemon;
    long in_flight;
    long sessions;
    long held;
    long seconds;
    long networks;
    uint64_t seed;
    bool mail, long_names;
};

static struct options options = {
    .daemon = {.name = "mx.test.example", .port = "25"},
    .in_flight = 20,
    .sessions = -1,
    .seconds = -1,
    .networks = 10000,
    .seed = 1,
};

static struct {
    struct sockaddr_storage address;
    socklen_t address_size;
    int epoll;
    int64_t now;
    long started;
    long finished;
    long held;
    long errors;
    struct wire_negotiated negotiated; /* by the last session */
    long replies[256];
    long codes[1000];
} run;

/* ---- clients ---- */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* How many digits a number in a name has at least: `most` where names are as long as they may be, 255 in all and 63 in
 * each label of a registered domain. */
static int digits(int most)
{
    return options.long_names ? most : 1;
}

/* Network n is 10.(n / 256).(n % 256).0/24, each with a domain of its own. Sessions that stay open come from clients of
 * their own, the others from wherever the seed says. */
static void choose_client(struct session *session, long number)
{
    uint64_t random = mix(options.seed + (uint64_t)number);
    uint32_t network = (uint32_t)(random % (uint64_t)options.networks);
    uint32_t host = (uint32_t)(random >> 32) % 254;

    session->random = random;

    if (session->held) {
        network = (uint32_t)(number % options.networks);
        host = (uint32_t)(number / options.networks % 254);
    }
    session->client.address = (UINT32_C(10) << 24) + (network << 8) + host + 1;
    session->client.port = (uint16_t)(1024 + (random >> 48) % 60000);
    snprintf(session->client.host, sizeof session->client.host, "h%0*u.n%0*u.t%0*u", digits(125), (unsigned)host,
             digits(62), (unsigned)network, digits(62), 1u);
    snprintf(session->client.user, sizeof session->client.user, "u%0*u", digits(254), (unsigned)(random >> 40) % USERS);
}

/* ---- sessions ---- */

static void session_end(struct session *session)
{
    close(session->fd);
    session->fd = -1;
}

static void session_fail(struct session *session, const char *what)
{
    static const char *const steps[] = {"negotiation", "connect", "HELO", "MAIL", "RCPT", "an open session", "QUIT"};

    if (run.errors++ < ERRORS_TOLD)
        fprintf(stderr, "load: at %s: %s\n", steps[session->step], what);
    session_end(session);
}

static void session_watch(struct session *session, int operation)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};

    if (session->wants_output)
        event.events |= EPOLLOUT;
    if (epoll_ctl(run.epoll, operation, session->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void session_flush(struct session *session)
{
    struct wire_output *output = &session->output;
    bool wanted = session->wants_output;

    while (output->sent < output->used) {
        ssize_t sent = send(session->fd, output->bytes + output->sent, output->used - output->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN) {
            session_fail(session, strerror(errno));
            return;
        }
        if (sent < 0)
            break;
        output->sent += (size_t)sent;
    }
    session->wants_output = output->sent < output->used;
    if (!session->wants_output)
        output->sent = output->used = 0;
    if (wanted != session->wants_output)
        session_watch(session, EPOLL_CTL_MOD);
}

static void put_mail(struct session *session)
{
    char sender[WIRE_TEXT_SIZE];

    snprintf(sender, sizeof sender, "<s%0*u@d%u.example>", digits(230), (unsigned)(session->random >> 8) % SENDERS,
             (unsigned)(session->random >> 16) % SENDER_DOMAINS);
    wire_put_mail(&session->output, &session->negotiated, &session->client, sender);
}

static void put_rcpt(struct session *session)
{
    char recipient[WIRE_TEXT_SIZE];

    snprintf(recipient, sizeof recipient, "<recipient%u@test.example>", (unsigned)(session->random >> 24) % RECIPIENTS);
    wire_put_rcpt(&session->output, &session->negotiated, recipient);
}

/* Goes on from a step that is done to the next one that waits for an answer. */
static void session_advance(struct session *session)
{
    struct wire_output *output = &session->output;
    uint32_t protocol = session->negotiated.protocol;
    bool waits = false;

    session->deadline = run.now + STALL_LIMIT;
    while (!waits) {
        switch (session->step) {
        case STEP_NEGOTIATE:
            session->step = STEP_CONNECT;
            if (!(protocol & SMFIP_NOCONNECT)) {
                wire_put_connect(output, &session->negotiated, &session->client, &options.daemon);
                waits = !(protocol & SMFIP_NR_CONN);
            }
            break;
        case STEP_CONNECT:
            session->step = STEP_HELO;
            if (!(protocol & SMFIP_NOHELO)) {
                wire_put_text(output, SMFIC_HELO, session->client.host);
                waits = !(protocol & SMFIP_NR_HELO);
            }
            break;
        case STEP_HELO:
            session->step = STEP_MAIL;
            if (options.mail && !(protocol & SMFIP_NOMAIL)) {
                put_mail(session);
                waits = !(protocol & SMFIP_NR_MAIL);
            }
            break;
        case STEP_MAIL:
            if (session->held) {
                session->step = STEP_HELD;
                run.held++;
                waits = true;
                break;
            }
            session->step = STEP_RCPT;
            if (options.mail && !(protocol & SMFIP_NORCPT)) {
                put_rcpt(session);
                waits = !(protocol & SMFIP_NR_RCPT);
            }
            break;
        case STEP_RCPT:
            if (options.mail)
                wire_put_empty(output, SMFIC_ABORT);
            /* fall through */
        case STEP_HELD:
            session->step = STEP_QUIT;
            wire_put_empty(output, SMFIC_QUIT);
            waits = true; /* for the filter to close */
            break;
        case STEP_QUIT:
            return;
        }
    }
    session_flush(session);
}

/* As an MTA does once the filter has refused or accepted the whole session. */
static void session_cut_short(struct session *session)
{
    session->deadline = run.now + STALL_LIMIT;
    session->step = STEP_QUIT;
    wire_put_empty(&session->output, SMFIC_QUIT);
    session_flush(session);
}

/* One whole packet from the filter. */
static void session_answer(struct session *session, char command, const unsigned char *data, size_t length)
{
    const char *wrong;
    int code = 0;

    if (session->step == STEP_HELD || session->step == STEP_QUIT)
        wrong = "an answer to nothing";
    else if (session->step != STEP_NEGOTIATE)
        wrong =
            wire_read_answer(command, data, length, session->step == STEP_MAIL || session->step == STEP_RCPT, &code);
    else if (command != SMFIC_OPTNEG)
        wrong = "no answer to the negotiation";
    else
        wrong = wire_read_negotiation(data, length, &session->negotiated);
    if (wrong != NULL) {
        session_fail(session, wrong);
        return;
    }

    run.codes[code]++;
    if (session->step == STEP_NEGOTIATE)
        run.negotiated = session->negotiated;
    else
        run.replies[(unsigned char)command]++;
    if (session->step == STEP_NEGOTIATE || command == SMFIR_CONTINUE)
        session_advance(session);
    else if (command == SMFIR_PROGRESS)
        session->deadline = run.now + STALL_LIMIT;
    else
        session_cut_short(session);
}

/* Takes the whole packets out of what was read. */
static void session_parse(struct session *session)
{
    size_t at = 0;

    while (session->fd >= 0 && session->input_used - at >= 4) {
        uint32_t length = wire_get_u32(session->input + at);
        if (length == 0 || length > INPUT_SIZE - 4) {
            session_fail(session, "an answer of an impossible length");
            return;
        }
        if (session->input_used - at - 4 < length)
            break;
        session_answer(session, (char)session->input[at + 4], session->input + at + 5, length - 1);
        at += 4 + length;
    }
    memmove(session->input, session->input + at, session->input_used - at);
    session->input_used -= at;
}

static void session_read(struct session *session)
{
    ssize_t got = recv(session->fd, session->input + session->input_used, INPUT_SIZE - session->input_used, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0) {
        session->input_used += (size_t)got;
        session_parse(session);
        return;
    }
    if (got < 0) {
        session_fail(session, strerror(errno));
    } else if (session->step != STEP_QUIT || session->input_used != 0) {
        session_fail(session, "the filter closed the connection");
    } else {
        if (!session->held)
            run.finished++;
        session_end(session);
    }
}

static void session_start(struct session *session, bool held, long number)
{
    int family = run.address.ss_family;

    memset(session, 0, offsetof(struct session, input));
    session->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    session->held = held;
    session->deadline = run.now + STALL_LIMIT;
    if (session->fd < 0)
        die("socket: %s", strerror(errno));
    choose_client(session, number);

    /* A full backlog makes a unix socket's non-blocking connect fail, where TCP's waits: so that one blocks. */
    struct timeval limit = {.tv_sec = STALL_LIMIT / SECOND};
    if (family == AF_UNIX)
        setsockopt(session->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    else
        fcntl(session->fd, F_SETFL, O_NONBLOCK);
    if (connect(session->fd, (struct sockaddr *)&run.address, run.address_size) != 0 && errno != EINPROGRESS)
        die("%s: %s", options.socket, strerror(errno));
    if (family == AF_UNIX)
        fcntl(session->fd, F_SETFL, O_NONBLOCK);

    session_watch(session, EPOLL_CTL_ADD);
    wire_put_negotiate(&session->output);
    session_flush(session);
}

/* ---- the run ---- */

/* Waits for events and deals with them. */
static void run_turn(struct session *sessions, long count)
{
    static int64_t looked;
    struct epoll_event events[EVENTS_AT_ONCE];
    int ready = epoll_wait(run.epoll, events, EVENTS_AT_ONCE, 1000);

    if (ready < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    run.now = now_ns();
    for (int i = 0; i < ready; i++) {
        struct session *session = events[i].data.ptr;
        if (session->fd >= 0 && events[i].events & EPOLLOUT)
            session_flush(session);
        if (session->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            session_read(session);
    }
    if (run.now - looked < SECOND)
        return;
    looked = run.now;
    for (long i = 0; i < count; i++)
        if (sessions[i].fd >= 0 && sessions[i].step != STEP_HELD && sessions[i].deadline < run.now)
            session_fail(&sessions[i], "no answer for 30 seconds");
}

/* Opens the sessions that stay, no more of them under way at once than the run has in flight. */
static void open_held(struct session *held)
{
    long done = 0;

    for (long i = 0; i < options.held; i++)
        held[i].fd = -1;
    for (long next = 0; done < options.held && run.errors == 0;) {
        while (next < options.held && next - done < options.in_flight) {
            session_start(&held[next], true, next);
            next++;
        }
        run_turn(held, next);
        while (done < next && (held[done].fd < 0 || held[done].step == STEP_HELD))
            done++;
    }
    if (run.errors == 0 && run.held < options.held)
        die("%ld of the %ld sessions to be held open were refused", options.held - run.held, options.held);
}

static void close_held(struct session *held)
{
    long open;

    do {
        open = 0;
        for (long i = 0; i < options.held; i++) {
            if (held[i].fd >= 0 && held[i].step == STEP_HELD)
                session_advance(&held[i]);
            open += held[i].fd >= 0;
        }
        if (open > 0)
            run_turn(held, options.held);
    } while (open > 0);
}

static void run_sessions(struct session *active, int64_t end)
{
    long open = 0;

    for (long i = 0; i < options.in_flight; i++)
        active[i].fd = -1;
    do {
        open = 0;
        for (long i = 0; i < options.in_flight; i++) {
            bool more = run.started < options.sessions && run.now < end && run.errors < ERRORS_TOLD;
            if (active[i].fd < 0 && more)
                session_start(&active[i], false, run.started++);
            open += active[i].fd >= 0;
        }
        if (open > 0)
            run_turn(active, options.in_flight);
    } while (open > 0);
}

/* Holds the open sessions until whoever started the program closes its standard input, or the time is over. */
static void wait_for_input_end(int64_t end)
{
    char scrap[256];

    while ((run.now = now_ns()) < end) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        int ready = poll(&input, 1, (int)((end - run.now) / 1000000 + 1));
        if (ready > 0 && read(STDIN_FILENO, scrap, sizeof scrap) <= 0)
            return;
    }
}

static void print_result(int64_t took)
{
    double seconds = (double)took / (double)SECOND;

    printf("sessions=%ld seconds=%.3f rate=%.0f held=%ld continue=%ld accept=%ld tempfail=%ld reject=%ld discard=%ld "
           "reply=%ld errors=%ld protocol=%#x macros=%x:%x:%x",
           run.finished, seconds, seconds > 0 ? (double)run.finished / seconds : 0.0, run.held,
           run.replies[SMFIR_CONTINUE], run.replies[SMFIR_ACCEPT], run.replies[SMFIR_TEMPFAIL],
           run.replies[SMFIR_REJECT], run.replies[SMFIR_DISCARD], run.replies[SMFIR_REPLYCODE], run.errors,
           (unsigned)run.negotiated.protocol, (unsigned)run.negotiated.macros[WIRE_CONNECT],
           (unsigned)run.negotiated.macros[WIRE_MAIL], (unsigned)run.negotiated.macros[WIRE_RCPT]);
    for (int code = 1; code < 1000; code++)
        if (run.codes[code] != 0)
            printf(" reply_%d=%ld", code, run.codes[code]);
    putchar('\n');
}

static void usage(void)
{
    fputs("usage: load -s SOCKET [options]\n"
          "  -s SOCKET   the filter: inet:PORT@HOST or unix:PATH\n"
          "  -c NUMBER   sessions in flight (20)\n"
          "  -n NUMBER   sessions in all (10000, or as many as fit with -t); 0: only hold those of -o until standard\n"
          "              input ends\n"
          "  -t SECONDS  start no session after so long (60); at most 600\n"
          "  -o NUMBER   sessions from as many clients held open meanwhile (0)\n"
          "  -m          each session also says MAIL, RCPT and RSET, those of -o MAIL alone\n"
          "  -l          all names are as long as they may be\n"
          "  -N NUMBER   clients come from so many networks of 254, from 10.0.0.0/24 on (10000); at most 65536\n"
          "  -p PORT     the {daemon_port} (25)\n"
          "  -d NAME     the {daemon_name} (mx.test.example)\n"
          "  -S SEED     which client each session comes from (1)\n"
          "Ends with 0 when every answer was of the protocol, with 1 when one was not, with 2 when it could not run.\n",
          stderr);
    exit(2);
}

static void parse_options(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "s:c:n:t:o:mlN:p:d:S:")) != -1) {
        switch (option) {
        case 's':
            options.socket = optarg;
            break;
        case 'c':
            options.in_flight = parse_number(optarg, 1, OPEN_LIMIT);
            break;
        case 'n':
            options.sessions = parse_number(optarg, 0, SESSIONS_LIMIT);
            break;
        case 't':
            options.seconds = parse_number(optarg, 1, RUN_LIMIT_SECONDS);
            break;
        case 'o':
            options.held = parse_number(optarg, 0, OPEN_LIMIT);
            break;
        case 'm':
            options.mail = true;
            break;
        case 'l':
            options.long_names = true;
            break;
        case 'N':
            options.networks = parse_number(optarg, 1, 65536);
            break;
        case 'p':
            parse_number(optarg, 1, 65535);
            options.daemon.port = optarg;
            break;
        case 'd':
            options.daemon.name = optarg;
            break;
        case 'S':
            options.seed = (uint64_t)parse_number(optarg, 0, INT32_MAX);
            break;
        default:
            usage();
        }
    }
    if (options.socket == NULL || optind != argc)
        usage();
    if (strlen(options.daemon.name) >= WIRE_TEXT_SIZE)
        die("the daemon name is too long");
    if (options.sessions < 0)
        options.sessions = options.seconds < 0 ? 10000 : SESSIONS_LIMIT;
    if (options.seconds < 0)
        options.seconds = 60;
    const char *wrong = wire_read_socket(options.socket, &run.address, &run.address_size);
    if (wrong != NULL)
        die("%s: %s", options.socket, wrong);
}

int main(int argc, char **argv)
{
    struct rlimit files;

    parse_options(argc, argv);
    alarm(RUN_LIMIT_SECONDS + 60); /* against a filter that says "progress" for ever */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct session *held = calloc((size_t)options.held + 1, sizeof *held);
    struct session *active = calloc((size_t)options.in_flight, sizeof *active);
    if (run.epoll < 0 || held == NULL || active == NULL)
        die("%s", strerror(errno));

    run.now = now_ns();
    open_held(held);
    int64_t start = run.now = now_ns();
    int64_t end = start + options.seconds * SECOND;
    if (options.sessions > 0) {
        run_sessions(active, end);
    } else {
        printf("event=holding sessions=%ld\n", run.held);
        fflush(stdout);
        wait_for_input_end(end);
    }
    int64_t took = run.now - start;
    close_held(held);
    print_result(took);
    free(held);
    free(active);
    return run.errors == 0 ? 0 : 1;
}
