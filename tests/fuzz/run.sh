#!/bin/sh
# Fuzzes the policy door and the HTTP service from the bytes to the answers, with the address and undefined behaviour
# sanitizers.
#   sh tests/fuzz/run.sh [SECONDS]   for so long (default 60): half of it HTTP, then requests of the usual size to the
#                                    door, then long ones; the same seed each time
#   sh tests/fuzz/run.sh FILE...     puts each file to both targets once: to see again what a run has found
# Builds in a folder of its own, which it removes. Status 0 when nothing was found; else what was found is printed.
# Needs the Debian packages clang, libclang-rt-14-dev, pkg-config, libidn2-dev, libpsl-dev, libevent-dev
# and libjansson-dev.
set -eu

seconds=${1:-60}
if [ ! -f "${1-}" ] && ! [ "$seconds" -gt 0 ]; then
    echo "usage: sh tests/fuzz/run.sh [SECONDS | FILE...]" >&2
    exit 2
fi

source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/tidegate-fuzz.XXXXXX")
fuzzer=
cleanup() {
    if [ -n "$fuzzer" ]; then
        kill "$fuzzer" 2>/dev/null || true
        wait "$fuzzer" || true
    fi
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# build TARGET LIBRARIES SOURCE...
build() {
    target=$1 libraries=$2
    shift 2
    # shellcheck disable=SC2046,SC2086 # lists of flags
    ${CLANG:-clang} -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -pthread \
        -D_XOPEN_SOURCE=700 -D_DEFAULT_SOURCE -I"$source/src" -I"$source" $(pkg-config --cflags $libraries) \
        -o "$work/$target" "$source/tests/fuzz/fuzz_$target.c" "$@" $(pkg-config --libs $libraries)
}
build attributes "libidn2 libpsl" "$source/policy/attributes.c" "$source/policy/policy_door.c" \
    "$source/src/doors/latency.c" "$source"/src/mail/*.c "$source"/src/engine/*.c
build http "libevent_core libevent_extra jansson" "$source/src/daemon/control.c" "$source/src/daemon/http_events.c" \
    "$source/src/daemon/http_pages.c" "$source/src/daemon/http_socket.c" "$source/src/daemon/process.c" \
    "$source/src/config/messages.c" "$source"/src/engine/*.c

tried=0
# run TARGET NAME ARGUMENT...: the target in the background, so that a signal ends both
run() {
    target=$1 log=$work/$2.log
    shift 2
    "$work/$target" -timeout=60 -rss_limit_mb=2048 -artifact_prefix="$work/found-" "$@" >"$log" 2>&1 &
    fuzzer=$!
    status=0
    wait "$fuzzer" || status=$?
    fuzzer=
    if [ "$status" -ne 0 ]; then
        cat "$log"
        for found in "$work"/found-*; do
            [ -f "$found" ] || continue
            printf '\nThe input, for base64 -d >FILE and sh tests/fuzz/run.sh FILE:\n'
            base64 "$found"
        done
        exit 1
    fi
}
# fuzz TARGET NAME SECONDS ARGUMENT...
fuzz() {
    target=$1 name=$2 time=$3
    shift 3
    run "$target" "$name" -seed=1 -print_final_stats=1 -dict="$source/tests/fuzz/$target.dict" \
        -max_total_time="$time" "$@" "$work/corpus_$target"
    inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
    echo "$name: $inputs inputs, $(grep ' cov: ' "$work/$name.log" | tail -n 1 | sed 's/.*\(cov: [0-9]* ft: [0-9]*\).*/\1/')"
    tried=$((tried + inputs))
}

if [ -f "${1-}" ]; then
    run attributes files "$@"
    run http files "$@"
    echo "$# inputs, nothing found"
    exit 0
fi
mkdir "$work/corpus_attributes" "$work/corpus_http"
cp "$source"/tests/fuzz/corpus/* "$work/corpus_attributes"
cp "$source"/tests/fuzz/corpus_http/* "$work/corpus_http"
half=$((seconds / 2 > 0 ? seconds / 2 : 1))
fuzz http http "$half" -max_len=4096
fuzz attributes usual $((half - half / 4)) -max_len=8192

# Too big for the repository: a value of 60 kB, a request beyond 64 KiB, as many attributes as may be and one more.
base=$(cat "$source/tests/fuzz/corpus/rcpt")
for bytes in 60000 66000; do
    printf '%s\nsender=%0*d\n\n' "$base" "$bytes" 0 >"$work/corpus_attributes/long_$bytes"
done
for count in 225 226; do # with those of the base 256 and 257
    printf '%s\n%s\n\n' "$base" "$(seq "$count" | sed 's/$/=x/')" >"$work/corpus_attributes/many_$count"
done
fuzz attributes long $((half / 4 > 0 ? half / 4 : 1)) -max_len=70000 -len_control=0

echo "$tried inputs, nothing found"
