#!/bin/sh
# Writes the C source of page_files.h: sh embed.sh FILE...; the first FILE is served as /, the others by their names.
set -eu
LC_ALL=C
export LC_ALL

printf '/* Made by embed.sh of the files of the status page. */\n#include "daemon/page_files.h"\n'
count=0
for file; do
    count=$((count + 1))
    printf '\nstatic const unsigned char file_%d[] = {\n' "$count"
    od -An -v -tu1 "$file" | sed -e 's/[0-9][0-9]*/&,/g' -e 's/^ */    /'
    printf '};\n'
done
printf '\nconst struct page_file page_files[] = {\n'
count=0
for file; do
    count=$((count + 1))
    case $file in
    *.html) type='text/html; charset=utf-8' ;;
    *.css) type='text/css; charset=utf-8' ;;
    *.js) type='text/javascript; charset=utf-8' ;;
    *.svg) type='image/svg+xml' ;;
    *) echo "embed.sh: what is $file?" >&2; exit 1 ;;
    esac
    if [ "$count" -eq 1 ]; then path=/; else path=/${file##*/}; fi
    printf '    {"%s", "%s", file_%d, sizeof file_%d},\n' "$path" "$type" "$count" "$count"
done
printf '    {0, 0, 0, 0},\n};\n'
