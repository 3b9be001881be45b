/*
 * control_socket.c: where the daemon's control socket is.
 *
 * The file is scanned, not loaded: what its other sections mean, which lists it reads and which groups it names does
 * not matter here.
 */
#include "tool/control_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "config/file.h"
#include "config/scan.h"
#include "tool/tool.h"

static const struct block *control_block(const struct scan *scan)
{
    const struct block *block = scan->top ? scan->top->blocks : NULL;

    while (block && block->section->id != SECTION_CONTROL)
        block = block->next;
    return block;
}

/* The path that the section says, in a new text; NULL: it says none that can be used. */
static char *said_path(const struct block *control)
{
    const struct entry *entry = block_entry(control, OPTION_CONTROL_SOCKET);
    struct socket_name name;
    char why[VALUE_WHY_SIZE];

    if (!entry)
        return text_copy(CONTROL_SOCKET_DEFAULT);
    return entry->values && value_unix(entry->values->text, &name, why) ? text_copy(name.path) : NULL;
}

/* Scans the file. *has_control: it has the section. */
static char *scan_file(const char *file, bool *has_control, struct config_messages *messages)
{
    struct scan scan = {0};
    char *text = NULL, *path = NULL;
    size_t size;

    *has_control = false;
    if (!file_read(file, &text, &size, messages))
        return NULL;
    scan_text(file, text, size, &scan, messages);
    const struct block *control = control_block(&scan);
    if (control) {
        *has_control = true;
        path = said_path(control);
        if (!path)
            messages_error(messages, file, control->line, "the control section names no socket that can be used");
    }
    scan_clear(&scan);
    free(text);
    return path;
}

static bool may_be_there(const char *path)
{
    return access(path, F_OK) == 0 || errno != ENOENT;
}

char *control_socket_find(const char *file, bool given)
{
    struct config_messages messages = {.count = 0};
    bool has_control;
    char *path = scan_file(file, &has_control, &messages);

    /* A file without a mistake that has no such section means a daemon without such a socket. */
    if (!path && !given && messages.errors > 0 && !has_control && may_be_there(CONTROL_SOCKET_DEFAULT))
        path = text_copy(CONTROL_SOCKET_DEFAULT);
    if (!path) {
        for (size_t i = 0; i < messages.count; i++)
            tool_complain("%s%s", message_mark(&messages.list[i]), messages.list[i].text);
        if (messages.errors == 0)
            tool_complain("%s has no control section, so nobody can speak to tidegated; write: "
                          "control { socket = \"%s\" } there and restart it",
                          file, CONTROL_SOCKET_DEFAULT);
        else if (!has_control)
            tool_complain("where tidegated listens cannot be told from %s; --socket PATH says it", file);
    }
    messages_clear(&messages);
    return path;
}
