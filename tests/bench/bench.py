#!/usr/bin/python3
"""How fast, and how big: tidegated against a filter, and a policy server, that do nothing.

Prints five results:
  1. sessions a second through tidegated and through the do-nothing filter, in short runs by turns, first with caps
     alone (one in every scope, 10,000 peers), then with every limit, the lists and the histories on; the ratio is the
     median over the pairs, for then a machine that is slow for a while slows both runs of a pair, or spoils a few pairs
     and not the median;
  2. what the engine takes to decide a connect and its close (engine_bench, when it has been built): with many peers,
     with 10 million clients known, with a million blocks denied, with activity counted;
  3. the time that `tidegated -t` takes with a file of a million denied blocks;
  4. the resident memory of a tidegated whose tables are all full, beside what `tidegated -t` said it would be;
  5. requests a second through the policy door with every limit on, and through a policy server that only ever says
     DUNNO, by turns as above, over a unix socket and over TCP; for information the same where sessions hold slots; and
     the memory and the threads that idle connections take.

The binaries are tidegated and, in tests/bench, load, noop_filter, engine_bench, policy_load and dunno_server below the
current directory, or what TIDEGATED, LOAD, NOOP, ENGINE_BENCH, POLICY_LOAD and DUNNO name. The exit status is 2 when
something could not be measured and, with --check, 1 when a target was missed in three attempts.
"""

import argparse
import ipaddress
import os
import random
import re
import resource
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from socket import create_server

START_LIMIT = 60.0
RUN_LIMIT = 300.0
LISTENER_PEERS = 10000
HIGH = 1000000  # a cap that nobody reaches

ATTEMPTS = 3
RATE_TARGETS = {"caps": 0.97, "every_limit": 0.95}
LOAD_TARGET = 3.0
# Never much more than promised; less by the bans of administrators and the names of banned keys, 4 MB, which stay empty here.
MEMORY_TARGETS = (0.85, 1.03)

DENIED = 1000000
LOAD_RUNS = 3
CLIENTS = 10000000
CLIENT_BYTES = 2 * 96  # engine_bench has a table and a chase of the same size

POLICY_TARGET = 0.7
POLICY_CONNECTIONS = 8
POLICY_SESSIONS = 20000  # in a run, of seven requests each
POLICY_TABLE = 65536  # session records: full, from the warming up on, where sessions are only remembered
POLICY_RESERVED = 524288  # where each is reserved for ten seconds, and nobody claims it
IDLE_TARGET = 1024  # bytes
IDLE_CONNECTIONS = 5000

LIMITS = """client_sessions client_connections client_messages client_recipients client_errors sender_recipients
    recipient_messages recipient_bounces user_recipients domain_networks helo_networks session_errors
    session_unknown_commands session_recipients session_messages message_recipients""".split()


class BenchError(Exception):
    """The bench could not be run."""


class Server:
    """A filter under test, from its start to its stop; it says event=ready once it accepts connections."""

    def __init__(self, name, command, log_path):
        self.name = name
        self.log_path = log_path
        with open(log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self):
        deadline = time.monotonic() + START_LIMIT
        while not re.search(r"\bevent=ready\b", self.log()):
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended with {self.process.returncode}:\n{self.log()}")
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} is not ready after {START_LIMIT:.0f} s:\n{self.log()}")
            time.sleep(0.02)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def cpu_seconds(self):
        """User and system time, of all threads."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def status(self, field):
        """A number of the kernel's, such as VmRSS (in kB) or Threads."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as status:
            return int(re.search(rf"^{field}:\s*(\d+)", status.read(), re.M).group(1))

    def resident_bytes(self):
        return self.status("VmRSS") * 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(START_LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


def parse_result(text, first="sessions"):
    """The fields of a load generator's last line."""
    lines = text.strip().splitlines()
    if not lines or not lines[-1].startswith(first + "="):
        raise BenchError(f"the load generator said: {text!r}")
    return dict(field.split("=", 1) for field in lines[-1].split())


def check_served(result):
    """Everybody was let in, or the figures mean nothing."""
    for field in ("accept", "tempfail", "reject", "discard", "reply", "errors"):
        if result[field] != "0":
            raise BenchError(f"somebody was refused, or not answered: {result}")


def load_run(binaries, server, socket, seed, options):
    """One run: (sessions a second, the server's CPU microseconds a session, what it negotiated)."""
    cpu = server.cpu_seconds()
    done = subprocess.run([binaries["load"], "-s", socket, "-c", str(options.concurrency), "-n", str(options.sessions),
                           "-N", str(LISTENER_PEERS), "-m", "-S", str(seed), "-t", str(int(RUN_LIMIT))],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=RUN_LIMIT + 60,
                          check=False)
    cpu = server.cpu_seconds() - cpu
    if done.returncode != 0:
        raise BenchError(f"load against {server.name} ended with {done.returncode}: {done.stdout}\n{server.log()}")
    result = parse_result(done.stdout)
    check_served(result)
    return float(result["rate"]), cpu * 1e6 / int(result["sessions"]), (result["protocol"], result["macros"])


def caps_text(socket, scratch, session_table_size, table_size):
    """A cap in every scope, none of which is reached, and LISTENER_PEERS peers."""
    lines = [
        f"service_sessions = {HIGH}",
        f"session_table_size = {session_table_size}",
        f"table_size = {table_size}",
        f'pid_file = "{scratch}/tidegated.pid"',
        f'milter {{ socket = "{socket}" }}',
        f"limit client_sessions {{ max = {HIGH} }}",
        f'pathway_group "clients" {{ listener_sessions = {HIGH}',
        f'    pathway "submission" {{ listener_sessions = {HIGH} }} }}',
        f'listener {{ listener_sessions = {HIGH}  pathway = "submission"',
    ]
    for number in range(LISTENER_PEERS):
        lines.append(f'    peer "10.{number // 256}.{number % 256}.0/24" {{ listener_sessions = {HIGH} }}')
    lines += [
        f'    listen ":25" {{ listener_sessions = {HIGH}',
        f'        peer "10.0.0.0/8" {{ listener_sessions = {HIGH} }}',
        f'        peer "0.0.0.0/0"  {{ listener_sessions = {HIGH} }} }}',
        f'    listen ":587" {{ listener_sessions = {HIGH} }}',
        "}",
    ]
    return "\n".join(lines) + "\n"


def every_limit_text(scratch):
    """Whatever can be on besides the caps, none of which speaks: the clients of the load generator are in no list."""
    # Addresses that no client has, but beside each client's own, so that its look-up goes as deep as there is.
    denied = [f"10.{number // 256}.{number % 256}.255" for number in range(LISTENER_PEERS)]
    denied += [f"{172 + number % 30}.{number // 256 % 256}.{number % 256}.0/24" for number in range(40000)]
    denied += [f"spam{number}.example" for number in range(10000)]
    exempt = [f"2001:db8:{number:x}::/48" for number in range(10000)]
    exempt += [f"friend{number}.example" for number in range(10000)]
    for name, entries in (("deny", denied), ("exempt", exempt)):
        with open(f"{scratch}/{name}.list", "w", encoding="ascii") as file:
            file.write("\n".join(entries) + "\n")
    lines = ["idle_time = 5m", "reputation { }", 'deny { file = "deny.list" }',
             'exempt { clients = { "127.0.0.0/8", "::1" }  file = "exempt.list" }']
    lines += [f"limit {name} {{ max = {HIGH} }}" for name in LIMITS[1:]]
    return "\n".join(lines) + "\n"


def write_config(scratch, name, text):
    path = f"{scratch}/{name}.conf"
    with open(path, "w", encoding="ascii") as config:
        config.write(text)
    return path


def rate_pairs(binaries, servers, sockets, pairs, options):
    """Runs of all servers by turns."""
    for pair in range(len(pairs), len(pairs) + options.pairs):
        runs = {}
        for server in servers if pair % 2 == 0 else reversed(servers):
            runs[server.name] = load_run(binaries, server, sockets[server.name], pair + 2, options)
        if runs["tidegated"][2] != runs["noop"][2]:
            raise BenchError(f"the filters negotiate different steps or macros: {runs}")
        pairs.append(runs)
        print(f"pair {pair + 1}: tidegated {runs['tidegated'][0]:.0f}/s, noop {runs['noop'][0]:.0f}/s", file=sys.stderr)


def bench_rate(binaries, scratch, kind, options):
    """Whether the target is reached."""
    sockets = {name: f"unix:{scratch}/{name}.sock" for name in ("tidegated", "noop")}
    text = caps_text(sockets["tidegated"], scratch, 65536, 1000000)
    if kind == "every_limit":
        text += every_limit_text(scratch)
    config = write_config(scratch, kind, text)
    servers = []
    pairs = []
    try:
        # The first runs warm up and are not counted. The do-nothing filter gets the steps that tidegated negotiates.
        servers.append(Server("tidegated", [binaries["tidegated"], "-f", "-c", config], f"{scratch}/tidegated.log"))
        _, _, (steps, _) = load_run(binaries, servers[0], sockets["tidegated"], 1, options)
        servers.append(Server("noop", [binaries["noop"], sockets["noop"], steps], f"{scratch}/noop.log"))
        load_run(binaries, servers[1], sockets["noop"], 1, options)
        for _ in range(ATTEMPTS):
            rate_pairs(binaries, servers, sockets, pairs, options)
            ratio = statistics.median(runs["tidegated"][0] / runs["noop"][0] for runs in pairs)
            if ratio >= RATE_TARGETS[kind]:
                break
    finally:
        for server in servers:
            server.stop()

    rates = {server.name: statistics.median(runs[server.name][0] for runs in pairs) for server in servers}
    cpu = {server.name: statistics.median(runs[server.name][1] for runs in pairs) for server in servers}
    print(f"bench=sessions_{kind} ratio={ratio:.3f} target={RATE_TARGETS[kind]} tidegated={rates['tidegated']:.0f}/s "
          f"noop={rates['noop']:.0f}/s pairs={len(pairs)} cpu_tidegated={cpu['tidegated']:.1f}us "
          f"cpu_noop={cpu['noop']:.1f}us")
    return ratio >= RATE_TARGETS[kind]


def known_clients():
    """CLIENTS, or as many as there is memory for."""
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        available = int(re.search(r"^MemAvailable:\s*(\d+) kB", meminfo.read(), re.M).group(1)) * 1024
    fits = available * 3 // 4 // CLIENT_BYTES
    if fits < CLIENTS:
        print(f"bench=engine note=\"there is memory for {fits} clients, not for {CLIENTS}\"")
    return max(10000, min(CLIENTS, fits))


def bench_engine(binaries):
    """Shows what engine_bench says; whether it reached its targets, or None when it has not been built."""
    if not os.access(binaries["engine_bench"], os.X_OK):
        print(f"bench=engine result=none reason=\"{binaries['engine_bench']} has not been built\"")
        return None
    clients = known_clients()
    sys.stdout.flush()
    status = subprocess.run([binaries["engine_bench"], "--check", "--clients", str(clients)], stdin=subprocess.DEVNULL,
                            timeout=RUN_LIMIT, check=False).returncode
    if status not in (0, 1):
        raise BenchError(f"engine_bench ended with {status}")
    return status == 0


def random_block(source):
    """Mostly IPv4, /8 to /32; else IPv6, /16 to /64."""
    if source.random() < 0.9:
        bits = source.randint(8, 32)
        return f"{ipaddress.IPv4Address(source.getrandbits(bits) << 32 - bits)}/{bits}"
    bits = source.randint(16, 64)
    return f"{ipaddress.IPv6Address(source.getrandbits(bits) << 128 - bits)}/{bits}"


def bench_load(binaries, scratch):
    """Whether a million denied blocks load in time."""
    source = random.Random(1)
    with open(f"{scratch}/million.list", "w", encoding="ascii") as blocks:
        for _ in range(DENIED):
            blocks.write(random_block(source) + "\n")
    config = write_config(scratch, "load", f'milter {{ socket = "unix:{scratch}/load.sock" }}\n'
                                           'deny { file = "million.list" }\n')
    took = []
    for _ in range(ATTEMPTS):
        for _ in range(LOAD_RUNS):
            begin = time.monotonic()
            promised = promised_bytes(binaries, config)
            took.append(time.monotonic() - begin)
        if statistics.median(took) < LOAD_TARGET:
            break
    seconds = statistics.median(took)
    print(f"bench=load seconds={seconds:.2f} target={LOAD_TARGET} blocks={DENIED} runs={len(took)} promised={promised}")
    return seconds < LOAD_TARGET


def promised_bytes(binaries, config):
    """What -t says the daemon will take."""
    done = subprocess.run([binaries["tidegated"], "-t", "-c", config], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=START_LIMIT, check=False)
    found = re.search(r"^memory: (\d+) bytes", done.stdout, re.M)
    if done.returncode != 0 or not found:
        raise BenchError(f"tidegated -t ended with {done.returncode} and said: {done.stdout}{done.stderr}")
    return int(found.group(1))


def wait_for_line(process, wanted, limit):
    """Reads the process's output up to a line that begins with `wanted`."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if select.select([process.stdout], [], [], 1.0)[0]:
            line = process.stdout.readline()
            if line.startswith(wanted):
                return
            if not line:
                raise BenchError(f"{process.args[0]} ended with {process.wait()}")
    raise BenchError(f"{process.args[0]} did not say {wanted} in {limit:.0f} s")


def bench_memory(binaries, scratch, options):
    """Whether the resident memory is what -t said; less is seen while the kernel has taken pages of a file away."""
    return any(memory_run(binaries, scratch, options) for _ in range(ATTEMPTS))


def memory_run(binaries, scratch, options):
    """One run of it."""
    socket = f"unix:{scratch}/memory.sock"
    # Each session has more keys than two: both tables are full.
    config = write_config(scratch, "memory",
                          caps_text(socket, scratch, options.table, 2 * options.table) + every_limit_text(scratch))
    promised = promised_bytes(binaries, config)
    server = Server("tidegated", [binaries["tidegated"], "-f", "-c", config], f"{scratch}/memory.log")
    holder = None
    try:
        before = server.resident_bytes()
        holder = subprocess.Popen([binaries["load"], "-s", socket, "-n", "0", "-o", str(options.table),
                                   "-N", str(LISTENER_PEERS), "-m", "-l", "-t", str(int(RUN_LIMIT))],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        wait_for_line(holder, "event=holding", RUN_LIMIT)
        full = server.resident_bytes()
        rest, _ = holder.communicate(timeout=RUN_LIMIT)
        check_served(parse_result(rest))
    finally:
        if holder is not None and holder.poll() is None:
            holder.kill()
            holder.wait()
        server.stop()
    ratio = full / promised
    print(f"bench=memory ratio={ratio:.3f} target={MEMORY_TARGETS[0]}..{MEMORY_TARGETS[1]} resident={full} "
          f"promised={promised} resident_before={before} sessions={options.table}")
    return MEMORY_TARGETS[0] <= ratio <= MEMORY_TARGETS[1]


def free_port():
    with create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def policy_run(binaries, server, where, seed):
    """One run: (requests a second, the server's CPU microseconds a request, the median latency in microseconds)."""
    cpu = server.cpu_seconds()
    done = subprocess.run([binaries["policy_load"], "-s", where, "-c", str(POLICY_CONNECTIONS),
                           "-n", str(POLICY_SESSIONS), "-S", str(seed), "-t", str(int(RUN_LIMIT))],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=RUN_LIMIT + 60,
                          check=False)
    cpu = server.cpu_seconds() - cpu
    if done.returncode != 0:
        raise BenchError(f"policy_load against {server.name} ended with {done.returncode}\n{server.log()}")
    result = parse_result(done.stdout, "requests")
    return float(result["rate"]), cpu * 1e6 / int(result["requests"]), float(result["p50_us"])


class PolicyServers:
    """tidegated with every limit on, and the server that says DUNNO; each has the sockets "unix" and "tcp"."""

    def __init__(self, binaries, scratch, sessions, table):
        self.sockets = {}
        self.servers = []
        for name in ("tidegated", "dunno"):
            self.sockets[name] = {"unix": f"unix:{scratch}/{name}-{sessions}.sock",
                                  "tcp": f"inet:{free_port()}@127.0.0.1"}
        text = caps_text(f"unix:{scratch}/milter.sock", scratch, table, 1000000) + every_limit_text(scratch)
        for where in self.sockets["tidegated"].values():
            text += f'policy {{ socket = "{where}"  sessions = {sessions} }}\n'
        config = write_config(scratch, f"policy-{sessions}", text)
        commands = {"tidegated": [binaries["tidegated"], "-f", "-c", config],
                    "dunno": [binaries["dunno"], *self.sockets["dunno"].values()]}
        try:
            for name, command in commands.items():
                self.servers.append(Server(name, command, f"{scratch}/{name}-{sessions}.log"))
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for server in self.servers:
            server.stop()

    def pairs(self, binaries, transport, pairs, count):
        """Runs of both by turns."""
        for pair in range(len(pairs), len(pairs) + count):
            runs = {}
            for server in self.servers if pair % 2 == 0 else reversed(self.servers):
                runs[server.name] = policy_run(binaries, server, self.sockets[server.name][transport], pair + 2)
            pairs.append(runs)
            print(f"pair {pair + 1}: tidegated {runs['tidegated'][0]:.0f}/s, dunno {runs['dunno'][0]:.0f}/s",
                  file=sys.stderr)


def bench_policy(binaries, scratch, sessions, transports, options):
    """Whether the target is reached on each of these transports. Sessions that hold nothing are what it is set for."""
    reached = True
    target = POLICY_TARGET if sessions == "none" else None
    count = options.pairs if target else min(options.pairs, 5)
    table = POLICY_TABLE if sessions == "none" else POLICY_RESERVED
    with PolicyServers(binaries, scratch, sessions, table) as servers:
        # To warm up, and so that every session record is in use.
        for seed in range(POLICY_TABLE // POLICY_SESSIONS + 1):
            for server in servers.servers:
                policy_run(binaries, server, servers.sockets[server.name]["unix"], 1000000 + seed)
        for transport in transports:
            pairs = []
            for _ in range(ATTEMPTS):
                servers.pairs(binaries, transport, pairs, count)
                ratio = statistics.median(runs["tidegated"][0] / runs["dunno"][0] for runs in pairs)
                if target is None or ratio >= target:
                    break
            rate, cpu, latency = ({name: statistics.median(runs[name][field] for runs in pairs)
                                   for name in ("tidegated", "dunno")} for field in range(3))
            print(f"bench=policy_{transport} sessions={sessions} ratio={ratio:.3f} target={target or 'none'} "
                  f"tidegated={rate['tidegated']:.0f}/s dunno={rate['dunno']:.0f}/s pairs={len(pairs)} "
                  f"cpu_tidegated={cpu['tidegated']:.2f}us cpu_dunno={cpu['dunno']:.2f}us "
                  f"p50_tidegated={latency['tidegated']:.0f}us p50_dunno={latency['dunno']:.0f}us")
            reached = reached and (target is None or ratio >= target)
        if target:
            reached = bench_policy_idle(binaries, servers) and reached
    return reached


def bench_policy_idle(binaries, servers):
    """Whether idle connections take no thread and little memory, in a tidegated that has been asked a lot before."""
    server = servers.servers[0]
    threads, before = server.status("Threads"), server.resident_bytes()
    holder = subprocess.Popen([binaries["policy_load"], "-s", servers.sockets["tidegated"]["unix"],
                               "-o", str(IDLE_CONNECTIONS), "-t", str(int(RUN_LIMIT))],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        wait_for_line(holder, "event=holding", RUN_LIMIT)
        each = (server.resident_bytes() - before) / IDLE_CONNECTIONS
        threads = server.status("Threads") - threads
        holder.communicate(timeout=RUN_LIMIT)
    finally:
        if holder.poll() is None:
            holder.kill()
            holder.wait()
    print(f"bench=policy_idle bytes={each:.0f} target={IDLE_TARGET} threads={threads} connections={IDLE_CONNECTIONS}")
    return each <= IDLE_TARGET and threads == 0


def main():
    parser = argparse.ArgumentParser(description="Measures tidegated against servers that do nothing.")
    parser.add_argument("--check", action="store_true", help="exit status 1 when a target is missed")
    parser.add_argument("--pairs", type=int, default=21, help="runs of each filter (21)")
    parser.add_argument("--sessions", type=int, default=5000, help="sessions in a run (5000)")
    parser.add_argument("--concurrency", type=int, default=20, help="sessions in flight (20)")
    parser.add_argument("--table", type=int, default=4000, help="session_table_size for the memory (4000)")
    parser.add_argument("--only", choices=("rate", "engine", "load", "memory", "policy"),
                        help="one of the five")
    options = parser.parse_args()
    binaries = {
        "tidegated": os.environ.get("TIDEGATED", "./tidegated"),
        "load": os.environ.get("LOAD", "tests/bench/load"),
        "noop": os.environ.get("NOOP", "tests/bench/noop_filter"),
        "engine_bench": os.environ.get("ENGINE_BENCH", "tests/bench/engine_bench"),
        "policy_load": os.environ.get("POLICY_LOAD", "tests/bench/policy_load"),
        "dunno": os.environ.get("DUNNO", "tests/bench/dunno_server"),
    }

    benches = [
        ("rate", "sessions_caps", lambda scratch: bench_rate(binaries, scratch, "caps", options)),
        ("rate", "sessions_every_limit", lambda scratch: bench_rate(binaries, scratch, "every_limit", options)),
        ("engine", "engine", lambda scratch: bench_engine(binaries)),
        ("load", "load", lambda scratch: bench_load(binaries, scratch)),
        ("memory", "memory", lambda scratch: bench_memory(binaries, scratch, options)),
        ("policy", "policy", lambda scratch: bench_policy(binaries, scratch, "none", ("unix", "tcp"), options)),
        ("policy", "policy_milter", lambda scratch: bench_policy(binaries, scratch, "milter", ("unix",), options)),
        ("policy", "policy_kernel", lambda scratch: bench_policy(binaries, scratch, "kernel", ("unix",), options)),
    ]
    # Thousands of connections are open at once.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    missed = []
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as scratch:
        for part, name, bench in benches:
            if options.only in (None, part) and bench(scratch) is False:
                missed.append(name)
    if missed:
        print(f"bench=missed targets={','.join(missed)}")
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
