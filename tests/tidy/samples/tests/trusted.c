#include "base/io/io.h"
#include "base/innocent.h"
#include <liburing.h>
