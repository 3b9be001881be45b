#!/bin/sh
# Runs the milter conformance tests against a tidegated: each *.lua through miltertest beside a daemon of its own, then
# the tests in Python. TIDEGATED names the binary (./tidegated). Arguments: the scripts to run instead of all, such as
# `run.sh ipv6.lua test_nonsense.py`.
#
# A Lua script gives its configuration in lines that begin with `--conf: `; the runner adds the sockets. Beside what the
# script checks, each run must end with every slot given back and with a daemon that stops with status 0.
#
# Prints one line for each script or test and `N passed, N failed` at the end; status 0 when none failed.
set -u

here=$(cd "$(dirname "$0")" && pwd)
tidegated=${TIDEGATED:-./tidegated}
python=/usr/bin/python3
passed=0
failed=0
daemon=

scratch=$(mktemp -d "${TMPDIR:-/tmp}/tidegate-conformance.XXXXXX") || exit 2
export PYTHONDONTWRITEBYTECODE=1

cleanup() {
    if [ -n "$daemon" ]; then
        kill -KILL "$daemon" 2>/dev/null
        wait "$daemon" 2>/dev/null
    fi
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_for COMMAND...: until the command succeeds, for up to 30 seconds, while the daemon lives. In a subshell, for the
# command may wait in the same way.
wait_for() (
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 1500 ] || ! kill -0 "$daemon" 2>/dev/null; then
            exit 1
        fi
        sleep 0.02
    done
)

is_ready() {
    grep -q 'event=ready' "$scratch/log"
}

has_counters() {
    [ "$(grep -c 'event=counters ' "$scratch/log")" -gt "$1" ]
}

# Asks the daemon for its counters; succeeds when every one of them is 0.
is_empty() {
    before=$(grep -c 'event=counters ' "$scratch/log")
    kill -USR2 "$daemon" && wait_for has_counters "$before" || return 1
    grep 'event=counters ' "$scratch/log" | tail -n 1 | grep -q 'sessions=0 pending=0 clients=0 '
}

start_daemon() {
    {
        printf 'milter { socket = "unix:%s/milter.sock" }\n' "$scratch"
        printf 'pid_file = "%s/tidegated.pid"\n' "$scratch"
        sed -n 's/^--conf: //p' "$1"
    } >"$scratch/conf"
    "$tidegated" -f -c "$scratch/conf" >"$scratch/log" 2>&1 &
    daemon=$!
    wait_for is_ready || { echo "the daemon did not start"; return 1; }
}

stop_daemon() {
    kill -TERM "$daemon" 2>/dev/null
    wait "$daemon"
    status=$?
    daemon=
    [ "$status" -eq 0 ] || { echo "the daemon ended with status $status"; return 1; }
    ! grep -E 'Sanitizer|runtime error:' "$scratch/log"
}

run_lua() {
    printf 'dofile("%s/common.lua")\ndofile("%s")\n' "$here" "$1" >"$scratch/script.lua"
    start_daemon "$1" || return 1
    timeout 120 miltertest -D socket="unix:$scratch/milter.sock" -s "$scratch/script.lua" || return 1
    wait_for is_empty || { echo "slots were not given back"; return 1; }
    stop_daemon
}

judge() {
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok    $2"
    else
        failed=$((failed + 1))
        echo "FAIL  $2"
    fi
}

one_lua() {
    : >"$scratch/log"
    run_lua "$1" >"$scratch/out" 2>&1
    status=$?
    if [ -n "$daemon" ]; then
        kill -KILL "$daemon" 2>/dev/null
        wait "$daemon" 2>/dev/null
        daemon=
    fi
    judge "$status" "$(basename "$1")"
    if [ "$status" -ne 0 ]; then
        sed 's/^/      /' "$scratch/out"
        echo "      the daemon's log:"
        sed 's/^/      /' "$scratch/log"
    fi
}

one_python() {
    TIDEGATED=$tidegated "$python" -m pytest -v --tb=short -p no:cacheprovider "$1" >"$scratch/out" 2>&1
    status=$?
    # A test has a line for itself, and one more when what comes after it went wrong: the worse of the two counts.
    awk '/^[^ ]*::.* (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) / {
            name = $0
            sub(/^[^ ]*::/, "", name)
            sub(/ (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) .*/, "", name)
            if (!(name in verdict)) order[++count] = name
            if (verdict[name] != "FAIL") verdict[name] = / PASSED / ? "ok" : "FAIL"
        }
        END { for (i = 1; i <= count; i++) printf "%-4s  %s\n", verdict[order[i]], order[i] }' \
        "$scratch/out" >"$scratch/results"
    cat "$scratch/results"
    good=$(grep -c '^ok ' "$scratch/results")
    bad=$(grep -c '^FAIL ' "$scratch/results")
    if [ "$status" -ne 0 ] || [ "$good" -eq 0 ]; then
        [ "$bad" -gt 0 ] || { bad=1; echo "FAIL  $(basename "$1")"; }
        sed 's/^/      /' "$scratch/out"
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
}

tidegated=$(command -v "$tidegated") || { echo "run.sh: no tidegated; set TIDEGATED" >&2; exit 2; }
tidegated=$(cd "$(dirname "$tidegated")" && pwd)/$(basename "$tidegated")
command -v miltertest >/dev/null || { echo "run.sh: miltertest is missing: apt-get install miltertest" >&2; exit 2; }

if [ "$#" -eq 0 ]; then
    set -- "$here"/*.lua "$here"/test_*.py
fi
for script in "$@"; do
    case $script in
    */*) ;;
    *) script=$here/$script ;;
    esac
    case $script in
    */common.lua) ;;
    *.lua) one_lua "$script" ;;
    *.py) one_python "$script" ;;
    *) echo "run.sh: $script is neither .lua nor .py" >&2; exit 2 ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
