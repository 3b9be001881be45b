#!/bin/sh
# Runs every test: installs what is missing, builds in a folder of its own, and ends with one line "N passed, N failed".
#   sh tests/run.sh [PART...]     parts: unit faults conformance e2e; without any, all of them
# CONFIGURE_FLAGS is handed to configure. TIDEGATE_BUILD names the build folder (kept); else one is made and removed.
set -eu

source=$(cd "$(dirname "$0")/.." && pwd)
parts=${*:-unit conformance e2e faults}
python=/usr/bin/python3 # Debian's, which has pytest

sh "$source/tests/install-deps.sh"

work=$(mktemp -d /var/tmp/tidegate-run.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
build=${TIDEGATE_BUILD:-$work/build}
mkdir -p "$build"

say() { printf '\n== %s\n' "$*"; }

say build
(cd "$source" && flock configure.ac sh -c '[ -x configure ] || autoreconf -fi')
cd "$build"
# shellcheck disable=SC2086 # a list of flags
[ -f Makefile ] || "$source/configure" -q ${CONFIGURE_FLAGS-}
make -s -j2
make -s -j2 check TESTS=

passed=0 failed=0
# run NAME COMMAND...: shows what it says and keeps it in $out, its status in $status
run() {
    say "$1"
    out=$work/$1.out
    shift
    { "$@" 2>&1 || echo $? >"$work/status"; } | tee "$out"
    status=0
    [ ! -f "$work/status" ] || { status=$(cat "$work/status"); rm "$work/status"; }
}
# number PATTERN: the number that the pattern catches in the last line of $out that has it, or 0
number() { sed -n "s/.*$1.*/\1/p" "$out" | tail -n 1 | grep . || echo 0; }
# count PASSED FAILED: adds to the sums; what went wrong without a failed test still counts as one
count() {
    passed=$((passed + $1)) failed=$((failed + $2))
    [ "$status" -eq 0 ] || [ "$2" -gt 0 ] || failed=$((failed + 1))
}
count_plain() { count "$(number '\b\([0-9][0-9]*\) passed, [0-9]* failed')" "$(number '[0-9] passed, \([0-9]*\) failed')"; }

for part in $parts; do
    case $part in
    unit)
        for program in $(make -s list-tests); do
            run "$(basename "$program")" env srcdir="$source" "./$program"
            # A suite of Check tells how many tests it has; any other program is one.
            if grep -q 'Checks: [0-9]' "$out"; then
                bad=$(($(number 'Failures: \([0-9]*\)') + $(number 'Errors: \([0-9]*\)')))
                count $(($(number 'Checks: \([0-9]*\)') - bad)) "$bad"
            else
                count $((status == 0)) 0
            fi
        done
        ;;
    conformance)
        run conformance env TIDEGATED="$build/tidegated" sh "$source/tests/conformance/run.sh"
        count_plain
        ;;
    e2e)
        run e2e env TIDEGATED="$build/tidegated" PYTHONDONTWRITEBYTECODE=1 \
            "$python" -m pytest -q -p no:cacheprovider -n 3 --dist loadfile "$source/tests/e2e"
        # A skipped test is a failed one.
        count "$(number '\b\([0-9][0-9]*\) passed')" $(($(number '\b\([0-9][0-9]*\) failed') + \
            $(number '\b\([0-9][0-9]*\) error') + $(number '\b\([0-9][0-9]*\) skipped') + \
            $(number '\b\([0-9][0-9]*\) xfailed')))
        ;;
    faults)
        run faults sh "$source/tests/faults/run.sh"
        count_plain
        ;;
    *)
        echo "tests/run.sh: unknown part $part" >&2
        exit 2
        ;;
    esac
done

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
