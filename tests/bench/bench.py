#!/usr/bin/python3
"""How fast, and how big: tidegated against a libmilter filter that does nothing.

Prints three results:
  1. sessions a second through tidegated, with a cap in every scope and 10,000 peers, and through the do-nothing
     filter, in short runs by turns; the ratio is the median over the pairs, for then a machine that is slow for a while
     slows both runs of a pair, or spoils a few pairs and not the median;
  2. what the engine takes to decide a connect with 10 and with 10,000 peers (engine_bench, when it has been built);
  3. the resident memory of a tidegated whose tables are all full, beside what `tidegated -t` said it would be.

The binaries are tidegated, tests/bench/load, tests/bench/noop_filter and tests/bench/engine_bench below the current
directory, or what TIDEGATED, LOAD, NOOP and ENGINE_BENCH name. The exit status is 2 when something could not be
measured and, with --check, 1 when a target was missed.
"""

import argparse
import os
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

START_LIMIT = 60.0
RUN_LIMIT = 300.0
LISTENER_PEERS = 10000
HIGH = 1000000  # a cap that nobody reaches

RATE_TARGET = 0.97
MEMORY_TARGET = 0.10


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

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as status:
            return int(re.search(r"^VmRSS:\s*(\d+) kB", status.read(), re.M).group(1)) * 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(START_LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


def parse_result(text):
    """The fields of the load generator's last line."""
    lines = text.strip().splitlines()
    if not lines or not lines[-1].startswith("sessions="):
        raise BenchError(f"the load generator said: {text!r}")
    return dict(field.split("=", 1) for field in lines[-1].split())


def check_served(result):
    """Everybody was let in, or the figures mean nothing."""
    for field in ("accept", "tempfail", "reject", "discard", "reply", "errors"):
        if result[field] != "0":
            raise BenchError(f"somebody was refused, or not answered: {result}")


def load_run(binaries, server, socket, options):
    """One run: (sessions a second, the server's CPU microseconds a session)."""
    cpu = server.cpu_seconds()
    done = subprocess.run([binaries["load"], "-s", socket, "-c", str(options.concurrency), "-n", str(options.sessions),
                           "-N", str(LISTENER_PEERS), "-m", "-t", str(int(RUN_LIMIT))],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=RUN_LIMIT + 60,
                          check=False)
    cpu = server.cpu_seconds() - cpu
    if done.returncode != 0:
        raise BenchError(f"load against {server.name} ended with {done.returncode}: {done.stdout}\n{server.log()}")
    result = parse_result(done.stdout)
    check_served(result)
    return float(result["rate"]), cpu * 1e6 / int(result["sessions"])


def config_text(socket, scratch, session_table_size):
    """A cap in every scope, none of which is reached, and LISTENER_PEERS peers."""
    lines = [
        f"service_sessions = {HIGH}",
        f"session_table_size = {session_table_size}",
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


def write_config(scratch, name, socket, session_table_size):
    path = f"{scratch}/{name}.conf"
    with open(path, "w", encoding="ascii") as config:
        config.write(config_text(socket, scratch, session_table_size))
    return path


def bench_rate(binaries, scratch, options):
    """Returns the ratio."""
    sockets = {name: f"unix:{scratch}/{name}.sock" for name in ("tidegated", "noop")}
    config = write_config(scratch, "rate", sockets["tidegated"], 65536)
    servers = []
    figures = {"tidegated": [], "noop": []}
    try:
        servers.append(Server("noop", [binaries["noop"], sockets["noop"]], f"{scratch}/noop.log"))
        servers.append(Server("tidegated", [binaries["tidegated"], "-f", "-c", config], f"{scratch}/tidegated.log"))
        for server in servers:
            load_run(binaries, server, sockets[server.name], options)  # warms up, is not counted
        for pair in range(options.pairs):
            for server in servers if pair % 2 == 0 else reversed(servers):
                figures[server.name].append(load_run(binaries, server, sockets[server.name], options))
            last = {name: f"{runs[-1][0]:.0f}/s" for name, runs in figures.items()}
            print(f"pair {pair + 1}: tidegated {last['tidegated']}, noop {last['noop']}", file=sys.stderr)
    finally:
        for server in servers:
            server.stop()

    pairs = list(zip(figures["tidegated"], figures["noop"]))
    ratio = statistics.median(ours[0] / theirs[0] for ours, theirs in pairs)
    rates = {name: statistics.median(run[0] for run in runs) for name, runs in figures.items()}
    cpu = {name: statistics.mean(run[1] for run in runs) for name, runs in figures.items()}
    print(f"bench=sessions ratio={ratio:.3f} tidegated={rates['tidegated']:.0f}/s noop={rates['noop']:.0f}/s "
          f"target={RATE_TARGET} pairs={len(pairs)} cpu_tidegated={cpu['tidegated']:.1f}us "
          f"cpu_noop={cpu['noop']:.1f}us")
    return ratio


def bench_engine(binaries):
    """Shows what engine_bench says; its exit status, or None when it has not been built."""
    if not os.access(binaries["engine_bench"], os.X_OK):
        print(f"bench=engine result=none reason=\"{binaries['engine_bench']} has not been built\"")
        return None
    sys.stdout.flush()
    return subprocess.run([binaries["engine_bench"]], stdin=subprocess.DEVNULL, timeout=RUN_LIMIT,
                          check=False).returncode


def promised_bytes(binaries, config):
    """What -t says the daemon will take."""
    done = subprocess.run([binaries["tidegated"], "-t", "-c", config], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, timeout=START_LIMIT, check=False)
    found = re.search(r"^memory: (\d+) bytes", done.stdout, re.M)
    if done.returncode != 0 or not found:
        raise BenchError(f"tidegated -t ended with {done.returncode} and said: {done.stdout!r}")
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
    """Returns how far the resident memory is from what -t said, as a share of the latter."""
    socket = f"unix:{scratch}/memory.sock"
    config = write_config(scratch, "memory", socket, options.table)
    promised = promised_bytes(binaries, config)
    server = Server("tidegated", [binaries["tidegated"], "-f", "-c", config], f"{scratch}/memory.log")
    holder = None
    try:
        before = server.resident_bytes()
        holder = subprocess.Popen([binaries["load"], "-s", socket, "-n", "0", "-o", str(options.table),
                                   "-N", str(LISTENER_PEERS), "-t", str(int(RUN_LIMIT))],
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
    off = full / promised - 1
    print(f"bench=memory ratio={full / promised:.3f} resident={full} promised={promised} resident_before={before} "
          f"sessions={options.table} target=within {MEMORY_TARGET:.0%}")
    return off


def main():
    parser = argparse.ArgumentParser(description="Measures tidegated against a do-nothing filter.")
    parser.add_argument("--check", action="store_true", help="exit status 1 when a target is missed")
    parser.add_argument("--pairs", type=int, default=21, help="runs of each filter (21)")
    parser.add_argument("--sessions", type=int, default=5000, help="sessions in a run (5000)")
    parser.add_argument("--concurrency", type=int, default=20, help="sessions in flight (20)")
    parser.add_argument("--table", type=int, default=4000, help="session_table_size for the memory (4000)")
    parser.add_argument("--only", choices=("rate", "engine", "memory"), help="one of the three")
    options = parser.parse_args()
    binaries = {
        "tidegated": os.environ.get("TIDEGATED", "./tidegated"),
        "load": os.environ.get("LOAD", "tests/bench/load"),
        "noop": os.environ.get("NOOP", "tests/bench/noop_filter"),
        "engine_bench": os.environ.get("ENGINE_BENCH", "tests/bench/engine_bench"),
    }

    missed = []
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as scratch:
        if options.only in (None, "rate") and bench_rate(binaries, scratch, options) < RATE_TARGET:
            missed.append("sessions")
        if options.only in (None, "engine") and bench_engine(binaries) not in (0, None):
            missed.append("engine")
        if options.only in (None, "memory") and abs(bench_memory(binaries, scratch, options)) > MEMORY_TARGET:
            missed.append("memory")
    if missed:
        print(f"bench=missed targets={','.join(missed)}")
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
