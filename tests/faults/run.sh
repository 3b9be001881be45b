#!/bin/sh
# Deliberate faults: each patch here breaks an invariant of the design, and a test must notice. A patch begins with
#   Invariant: N
#   Caught by: COMMAND     run in the build folder; its first word is also what is built (default: tidegated and tidegate)
# (several such lines: each must notice) and says in a sentence what it breaks. Ends with "N passed, N failed": a fault that goes unnoticed is a failure.
#   sh tests/faults/run.sh [NAME...]
set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d /var/tmp/tidegate-faults.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' HUP INT TERM

# All of them go in two halves side by side, as they wait as much as they work.
if [ $# -eq 0 ]; then
    names=$(cd "$source/tests/faults" && ls ./*.patch)
    half() { echo "$names" | sed -n "$1p"; }
    # shellcheck disable=SC2046 # names of files of ours, one word each
    sh "$0" $(half '1~2') >"$work/other" 2>&1 &
    # shellcheck disable=SC2046
    sh "$0" $(half '2~2') >"$work/this" 2>&1 || true
    wait "$!" || true
    passed=0 failed=0
    for out in "$work/this" "$work/other"; do
        sed '$d' "$out"
        last=$(tail -n 1 "$out")
        case $last in
        *" passed, "*" failed") ;;
        *) echo "$last" && last='0 passed, 1 failed' ;; # it broke off
        esac
        passed=$((passed + ${last%% *}))
        last=${last#* passed, }
        failed=$((failed + ${last%% *}))
    done
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
fi

# A copy of the sources, so that the tree itself is never touched and copies of this script may run side by side.
mkdir "$work/source" "$work/build"
(cd "$source" && tar -cf - --exclude=.git --exclude=autom4te.cache configure* Makefile.* aclocal.m4 build-aux \
    build-config.h.in README.md CONTRIBUTING.md LICENSE NEWS src milter policy conf tests contrib) | (cd "$work/source" && tar -xf -)
cd "$work/build"
"$work/source/configure" -q CFLAGS='-O1 -g'
make -s -j2 >make.out 2>&1 || { cat make.out; exit 1; }

# shellcheck disable=SC3045 # the sh of Debian has it: a fault that crashes leaves no core file
ulimit -c 0
passed=0 failed=0
ok() { echo "ok $1"; passed=$((passed + 1)); }
not_ok() { echo "not ok $1: $2"; failed=$((failed + 1)); }

for patch in "$@"; do
    name=$(basename "$patch" .patch)
    file=$source/tests/faults/$name.patch
    if ! patch -s -p1 -d "$work/source" <"$file" >patch.out 2>&1; then
        not_ok "$name" "does not apply"
        cat patch.out
        exit 1 # the copy is in no known state now
    fi
    sed -n 's/^Caught by: //p' "$file" >commands
    [ -s commands ] || not_ok "$name" "says nobody who catches it"
    while read -r command; do
        target=${command%% *}
        case $target in tests/*) ;; *) target="tidegated tidegate" ;; esac
        # shellcheck disable=SC2086 # one word each
        if ! make -s -j2 $target >make.out 2>&1; then
            not_ok "$name" "does not build"
            cat make.out
        elif (export srcdir="$work/source" TIDEGATED="$work/build/tidegated" &&
            timeout 300 sh -c "$command") >test.out 2>&1 </dev/null; then
            not_ok "$name" "unnoticed by $command"
        else
            ok "$name: $command"
        fi
    done <commands
    patch -s -R -p1 -d "$work/source" <"$file"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
