/* Adding to the list of what `app check` tells. Inside of scripting/ only. */
#ifndef KX_SCRIPTING_DIAGNOSTICS_H
#define KX_SCRIPTING_DIAGNOSTICS_H

#include <stdarg.h>

#include "scripting/host.h"

/* More would not be read; what comes behind is dropped, an error before a warning never. */
#define DIAGNOSTICS_MAX     100
#define DIAGNOSTIC_TEXT_MAX 1000

/* ERR_NOMEM. `file` may be NULL. */
NODISCARD __attribute__((format(printf, 5, 6))) int diagnostics_add(
    struct host_diagnostics *diagnostics, enum host_severity severity, const char *file,
    uint32_t line, const char *format, ...);
NODISCARD int diagnostics_add_list(struct host_diagnostics *diagnostics,
    enum host_severity severity, const char *file, uint32_t line, const char *format,
    va_list arguments);

bool diagnostics_have_error(const struct host_diagnostics *diagnostics);

/* Errors first, each kind in the order in which it was added, but by file and line. */
void diagnostics_sort(struct host_diagnostics *diagnostics);

#endif
