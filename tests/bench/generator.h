/*
 * generator.h: what every load generator needs: a clock, options, and a way to give up.
 */
#ifndef BENCH_GENERATOR_H
#define BENCH_GENERATOR_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SECOND INT64_C(1000000000)

/* Nanoseconds. */
static inline int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

/* It cannot be run. */
static inline void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static inline void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("load generator: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

/* The value of an option. */
static inline long parse_number(const char *text, long lowest, long highest)
{
    char *end;

    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || *text == '\0' || *end != '\0' || value < lowest || value > highest)
        die("%s: expected a number from %ld to %ld", text, lowest, highest);
    return value;
}

#endif
