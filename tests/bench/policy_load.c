/*
 * policy_load.c: plays Postfix's side of the policy delegation protocol (SMTPD_POLICY_README) against a policy server,
 * as fast as the server answers.
 *
 * Each connection is an smtpd process: it takes one session after the other and asks, waits for the answer, and asks
 * again, at every stage of a session that sends one message to two recipients, with all the attributes of Postfix 3.9.
 * Each session has a client, a port and an instance of its own. The requests are written before the clock starts. Every
 * answer must be DUNNO, or PREPEND.
 *
 * One thread and one epoll: the generator must cost less than what it measures.
 */
#define _POSIX_C_SOURCE 200809L
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

#include "generator.h"
#include "load_wire.h"

#define STALL_LIMIT_MS 30000 /* a server that answers nobody for so long has failed */
#define RUN_LIMIT_SECONDS 600
#define SESSIONS_LIMIT 1000000L
#define CONNECTIONS_LIMIT 100000L
#define ANSWER_SIZE 2048
#define EVENTS_AT_ONCE 256

/* How many there are of each. Networks of clients have a domain each; a client writes from any of the sender's domains.
 */
#define NETWORKS 10000u
#define HOSTS 6u /* of a network */
#define USERS 1000u
#define SENDER_DOMAINS 2000u
#define SENDERS 100u /* of a domain */
#define RECIPIENTS 5000u

#define REQUEST_SIZE_MAX 2048

struct who {
    char address[16], host[64], helo[64], sender[64], recipient[64], user[16], queue[16], instance[32];
    unsigned port;
};

/* What a session asks, in this order, and what is known by then. */
static const struct step {
    const char *state;
    bool helo, mail, recipient, queue, data;
} steps[] = {
    {.state = "CONNECT"},
    {.state = "EHLO", .helo = true},
    {.state = "MAIL", .helo = true, .mail = true},
    {.state = "RCPT", .helo = true, .mail = true, .recipient = true},
    {.state = "RCPT", .helo = true, .mail = true, .recipient = true, .queue = true},
    {.state = "DATA", .helo = true, .mail = true, .queue = true, .data = true},
    {.state = "END-OF-MESSAGE", .helo = true, .mail = true, .queue = true, .data = true},
};
#define STEPS (sizeof steps / sizeof *steps)

struct connection {
    int fd;
    size_t next, end; /* requests still to be asked, by their number */
    int64_t asked;
    size_t input_used;
    char input[ANSWER_SIZE];
};

static struct {
    const char *socket;
    long connections, sessions, seconds, idle;
    uint64_t seed;
} options = {.connections = 8, .sessions = 20000, .seconds = 60, .seed = 1};

static struct {
    struct sockaddr_storage address;
    socklen_t address_size;
    int epoll;
    int64_t end;
    char *text;     /* of all requests */
    size_t *starts; /* of each request, and the end of the last one */
    size_t requests, taken;
    uint32_t *latency; /* nanoseconds, of each answer in the order in which they came */
    size_t answers, prepended;
} run;

static void fail(const char *what)
{
    fprintf(stderr, "policy_load: %s\n", what);
    exit(1);
}

/* ---- the requests ---- */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static struct who choose_who(size_t session)
{
    uint64_t random = mix(options.seed << 32 | session);
    unsigned network = (unsigned)(random % NETWORKS), host = (unsigned)(random >> 32) % HOSTS;
    struct who who = {.port = 1024 + (unsigned)(random >> 48) % 60000};

    snprintf(who.address, sizeof who.address, "10.%u.%u.%u", network / 256, network % 256, host + 1);
    snprintf(who.host, sizeof who.host, "h%u.n%u.t1", host, network);
    snprintf(who.helo, sizeof who.helo, "h%u.n%u.t1", host, network);
    snprintf(who.sender, sizeof who.sender, "s%u@d%u.example", (unsigned)(random >> 8) % SENDERS,
             (unsigned)(random >> 16) % SENDER_DOMAINS);
    snprintf(who.user, sizeof who.user, "u%u", (unsigned)(random >> 40) % USERS);
    snprintf(who.queue, sizeof who.queue, "%010llX", (unsigned long long)(random & UINT64_C(0xffffffffff)));
    snprintf(who.instance, sizeof who.instance, "%x.%llx.%zx.0", 4711u, (unsigned long long)options.seed, session);
    return who;
}

/* In the order in which Postfix sends them. */
static size_t write_request(char text[REQUEST_SIZE_MAX], const struct who *who, const struct step *step,
                            const char *recipient)
{
    int length =
        snprintf(text, REQUEST_SIZE_MAX,
                 "request=smtpd_access_policy\nprotocol_state=%s\nprotocol_name=%s\nclient_address=%s\nclient_name=%s\n"
                 "client_port=%u\nreverse_client_name=%s\nserver_address=192.0.2.25\nserver_port=25\nhelo_name=%s\n"
                 "sender=%s\nrecipient=%s\nrecipient_count=%u\nqueue_id=%s\ninstance=%s\nsize=%u\netrn_domain=\n"
                 "stress=\nsasl_method=%s\nsasl_username=%s\nsasl_sender=\nccert_subject=\nccert_issuer=\n"
                 "ccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=%s\nencryption_cipher=%s\n"
                 "encryption_keysize=%u\npolicy_context=\ncompatibility_level=3.9\nmail_version=3.9.0\n\n",
                 step->state, step->helo ? "ESMTP" : "SMTP", who->address, who->host, who->port, who->host,
                 step->helo ? who->helo : "", step->mail ? who->sender : "", step->recipient ? recipient : "",
                 step->data ? 2 : 0, step->queue ? who->queue : "", step->mail ? who->instance : "",
                 step->data ? 4711 : 0, step->mail ? "PLAIN" : "", step->mail ? who->user : "",
                 step->mail ? "TLSv1.3" : "", step->mail ? "TLS_AES_256_GCM_SHA384" : "", step->mail ? 256 : 0);

    if (length < 0 || length >= REQUEST_SIZE_MAX)
        die("a request is too long");
    return (size_t)length;
}

static void write_requests(void)
{
    size_t used = 0, room = 0;

    run.requests = (size_t)options.sessions * STEPS;
    run.starts = calloc(run.requests + 1, sizeof *run.starts);
    run.latency = calloc(run.requests, sizeof *run.latency);
    if (!run.starts || !run.latency)
        die("%s", strerror(errno));
    for (size_t i = 0; i < run.requests; i++) {
        struct who who = choose_who(i / STEPS);
        char recipient[64];
        if (room - used < REQUEST_SIZE_MAX) {
            room = 2 * room + REQUEST_SIZE_MAX;
            run.text = realloc(run.text, room);
            if (!run.text)
                die("%s", strerror(errno));
        }
        snprintf(recipient, sizeof recipient, "recipient%u@test.example",
                 (unsigned)(mix(options.seed << 32 | i) % RECIPIENTS));
        run.starts[i] = used;
        used += write_request(run.text + used, &who, &steps[i % STEPS], recipient);
    }
    run.starts[run.requests] = used;
}

/* ---- connections ---- */

static void ask(struct connection *connection)
{
    const char *text = run.text + run.starts[connection->next];
    size_t length = run.starts[connection->next + 1] - run.starts[connection->next];

    /* One request is less than any socket holds. */
    if (send(connection->fd, text, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail("a request could not be sent at once");
    connection->next++;
}

/* Takes a session to ask about; false when there is none left. */
static bool take_session(struct connection *connection, int64_t now)
{
    if (run.taken == run.requests || now >= run.end)
        return false;
    connection->next = run.taken;
    connection->end = run.taken += STEPS;
    return true;
}

/* Reads; whether the answer is whole, which is then checked. */
static bool read_answer(struct connection *connection)
{
    ssize_t got =
        recv(connection->fd, connection->input + connection->input_used, ANSWER_SIZE - connection->input_used, 0);
    const char *text = connection->input;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0)
        fail(got < 0 ? strerror(errno) : "the server closed a connection");
    size_t used = connection->input_used += (size_t)got;
    if (used < 2 || memcmp(text + used - 2, "\n\n", 2) != 0) {
        if (used == ANSWER_SIZE)
            fail("an answer without an end");
        return false;
    }
    connection->input_used = 0;
    if (used >= 15 && memcmp(text, "action=PREPEND ", 15) == 0) {
        run.prepended++;
    } else if (used != 14 || memcmp(text, "action=DUNNO\n\n", 14) != 0) {
        fprintf(stderr, "policy_load: it was answered: %.*s", (int)used, text);
        exit(1);
    }
    return true;
}

static void open_connection(struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

    connection->fd = socket(run.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&run.address, run.address_size) != 0)
        die("%s: %s", options.socket, strerror(errno));
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

/* ---- the run ---- */

/* Everybody asks until the sessions are asked about. */
static void run_sessions(struct connection *connections)
{
    long busy = 0;
    int64_t now = now_ns();

    for (long i = 0; i < options.connections; i++) {
        if (!take_session(&connections[i], now))
            break;
        busy++;
        connections[i].asked = now;
        ask(&connections[i]);
    }
    while (busy > 0) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int ready = epoll_wait(run.epoll, events, EVENTS_AT_ONCE, STALL_LIMIT_MS);
        if (ready == 0)
            fail("no answer for 30 seconds");
        if (ready < 0 && errno != EINTR)
            die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!read_answer(connection))
                continue;
            now = now_ns();
            run.latency[run.answers++] = (uint32_t)(now - connection->asked);
            if (connection->next == connection->end && !take_session(connection, now)) {
                busy--;
                continue;
            }
            connection->asked = now;
            ask(connection);
        }
    }
}

/* Each asks once, the same, for a connection that never did may cost less; then nobody does. */
static void hold_idle(struct connection *idle)
{
    for (long i = 0; i < options.idle; i++) {
        struct pollfd readable = {.events = POLLIN};
        open_connection(&idle[i]);
        ask(&idle[i]);
        readable.fd = idle[i].fd;
        do {
            if (poll(&readable, 1, STALL_LIMIT_MS) == 0)
                fail("no answer for 30 seconds");
        } while (!read_answer(&idle[i]));
    }
}

/* Until whoever started the program closes its standard input, or the time is over. */
static void wait_for_input_end(void)
{
    char scrap[256];
    int64_t now;

    while ((now = now_ns()) < run.end) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        int ready = poll(&input, 1, (int)((run.end - now) / 1000000 + 1));
        if (ready > 0 && read(STDIN_FILENO, scrap, sizeof scrap) <= 0)
            return;
    }
}

static int compare_latency(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static void print_result(int64_t took)
{
    double seconds = (double)took / (double)SECOND;
    double p50 = 0, p99 = 0;

    qsort(run.latency, run.answers, sizeof *run.latency, compare_latency);
    if (run.answers > 0) {
        p50 = run.latency[run.answers / 2] / 1000.0;
        p99 = run.latency[run.answers - 1 - run.answers / 100] / 1000.0;
    }
    printf("requests=%zu seconds=%.3f rate=%.0f p50_us=%.1f p99_us=%.1f prepended=%zu\n", run.answers, seconds,
           seconds > 0 ? (double)run.answers / seconds : 0.0, p50, p99, run.prepended);
}

static void usage(void)
{
    fputs(
        "usage: policy_load -s SOCKET [options]\n"
        "  -s SOCKET   the policy server: inet:PORT@HOST or unix:PATH\n"
        "  -c NUMBER   connections that ask (8)\n"
        "  -n NUMBER   sessions in all, of seven requests each (20000); each takes about 5 kB\n"
        "  -t SECONDS  start no session after so long (60); at most 600\n"
        "  -o NUMBER   only open so many connections, each of which asks once, and hold them until standard input\n"
        "              ends\n"
        "  -S SEED     which client each session comes from (1)\n"
        "Ends with 0 when every answer was DUNNO or PREPEND, with 1 when one was not, with 2 when it could not run.\n",
        stderr);
    exit(2);
}

static void parse_options(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "s:c:n:t:o:S:")) != -1) {
        switch (option) {
        case 's':
            options.socket = optarg;
            break;
        case 'c':
            options.connections = parse_number(optarg, 1, CONNECTIONS_LIMIT);
            break;
        case 'n':
            options.sessions = parse_number(optarg, 1, SESSIONS_LIMIT);
            break;
        case 't':
            options.seconds = parse_number(optarg, 1, RUN_LIMIT_SECONDS);
            break;
        case 'o':
            options.idle = parse_number(optarg, 1, CONNECTIONS_LIMIT);
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
    const char *wrong = wire_read_socket(options.socket, &run.address, &run.address_size);
    if (wrong != NULL)
        die("%s: %s", options.socket, wrong);
}

int main(int argc, char **argv)
{
    struct rlimit files;

    parse_options(argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (options.idle > 0)
        options.sessions = 1;
    long count = options.idle > 0 ? options.idle : options.connections;
    struct connection *connections = calloc((size_t)count, sizeof *connections);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (run.epoll < 0 || connections == NULL)
        die("%s", strerror(errno));
    write_requests();

    if (options.idle > 0) {
        run.end = now_ns() + options.seconds * SECOND;
        hold_idle(connections);
        printf("event=holding connections=%ld\n", options.idle);
        fflush(stdout);
        wait_for_input_end();
    } else {
        for (long i = 0; i < count; i++)
            open_connection(&connections[i]);
        int64_t start = now_ns();
        run.end = start + options.seconds * SECOND;
        run_sessions(connections);
        print_result(now_ns() - start);
    }
    for (long i = 0; i < count; i++)
        close(connections[i].fd);
    free(connections);
    free(run.text);
    free(run.starts);
    free(run.latency);
    return 0;
}
