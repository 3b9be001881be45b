/*
 * main.c: the command line of tidegate, the tool.
 */
#include <stdio.h>
#include <sysexits.h>

int main(void)
{
    fputs("tidegate: not here yet\n", stderr);
    return EX_USAGE;
}
