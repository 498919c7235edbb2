#include "base/io/io.h"
#include "innocent.h"
#include <liburing.h>
