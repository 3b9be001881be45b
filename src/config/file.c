/*
 * file.c: a whole file in memory.
 */
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads until the end or until `room` bytes are there. Returns how many, or -1. */
static ssize_t read_all(int fd, char *buffer, size_t room)
{
    size_t have = 0;

    while (have < room) {
        ssize_t n = read(fd, buffer + have, room - have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

static bool read_open(int fd, const char *path, char **text, size_t *size, struct config_messages *messages)
{
    struct stat status;
    ssize_t have;
    char *buffer, *zero;

    if (fstat(fd, &status) != 0) {
        messages_error(messages, path, 0, "cannot be read: %s", strerror(errno));
        return false;
    }
    if (S_ISDIR(status.st_mode)) {
        messages_error(messages, path, 0, "is a directory; name a file");
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        messages_error(messages, path, 0, "is no regular file; name one");
        return false;
    }
    if (status.st_size > (off_t)FILE_SIZE_MAX) {
        messages_error(messages, path, 0, "is larger than %u bytes; name a configuration file", FILE_SIZE_MAX);
        return false;
    }
    buffer = malloc((size_t)status.st_size + 2);
    if (buffer == NULL) {
        messages_error(messages, path, 0, "out of memory");
        return false;
    }
    have = read_all(fd, buffer, (size_t)status.st_size);
    if (have < 0) {
        messages_error(messages, path, 0, "cannot be read: %s", strerror(errno));
        free(buffer);
        return false;
    }
    zero = memchr(buffer, '\0', (size_t)have);
    if (zero != NULL) {
        unsigned line = 1;

        for (const char *c = buffer; c < zero; c++)
            line += *c == '\n';
        messages_error(messages, path, line, "a 0 byte; write plain text");
        free(buffer);
        return false;
    }
    if (have == 0 || buffer[have - 1] != '\n')
        buffer[have++] = '\n';
    buffer[have] = '\0';
    *text = buffer;
    *size = (size_t)have;
    return true;
}

bool file_read(const char *path, char **text, size_t *size, struct config_messages *messages)
{
    /* Without O_NONBLOCK a FIFO would hold us before it can be told apart. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool done;

    if (fd < 0) {
        messages_error(messages, path, 0, "cannot be opened: %s", strerror(errno));
        return false;
    }
    done = read_open(fd, path, text, size, messages);
    close(fd);
    return done;
}
