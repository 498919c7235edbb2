/* Tells AddressSanitizer which bytes of our own pools and arenas may not be touched, so that a use
 * after giving back is found there as it is for malloc. Nothing in other builds.
 *
 * FREED_IS_KEPT: whether memory that was given back may be kept for later. Where AddressSanitizer
 * looks for uses of it, it goes back to malloc. */
#ifndef KX_BASE_POISON_H
#define KX_BASE_POISON_H

/* gcc says so by a macro, clang by a feature. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_IS_SEEN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define POISON_IS_SEEN 1
#endif

#ifdef POISON_IS_SEEN
#include <sanitizer/asan_interface.h>
#define POISON(memory, bytes)   ASAN_POISON_MEMORY_REGION(memory, bytes)
#define UNPOISON(memory, bytes) ASAN_UNPOISON_MEMORY_REGION(memory, bytes)
#define FREED_IS_KEPT           0
#else
#define FREED_IS_KEPT           1
#define POISON(memory, bytes)   ((void)(memory), (void)(bytes))
#define UNPOISON(memory, bytes) ((void)(memory), (void)(bytes))
#endif

#endif
