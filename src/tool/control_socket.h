/*
 * control_socket.h: where the daemon's control socket is.
 */
#ifndef TOOL_CONTROL_SOCKET_H
#define TOOL_CONTROL_SOCKET_H

#include <stdbool.h>

#include "config/options.h"

/* Where it is when a control section does not say. */
#define CONTROL_SOCKET_DEFAULT (option_table[OPTION_CONTROL_SOCKET].initial)

/*
 * The path of the control socket that the configuration `file` names, in a new text. A file with mistakes serves as
 * well, as long as its control section can be found: the daemon may be running with older rules. `given`: the caller
 * insists on that file; else the usual place is taken where the file says nothing that can be read. NULL, and one line
 * or more of complaints on standard error, when there is none.
 */
char *control_socket_find(const char *file, bool given);

#endif
