/* The two ways in which a process of Kalix stops itself.
 *
 * ASSERT: a programmer's error. The state of memory can no longer be trusted, so nothing is cleaned
 * up: log where and what, then abort (a core file is wanted). Assertions stay on in release
 * builds: a wrong acknowledgement costs more than the few instructions.
 *
 * PANIC: an operating error after which going on would be a lie, for example a failed sync: the
 * kernel may have dropped the pages, and nothing written before may be called durable. The program
 * is right, the machine is not: one log line, then the process ends without running exit handlers
 * (they could write to the very files that are in doubt).
 *
 * Both call a hook, a panic before its line. The simulator's hooks leave by longjmp: an assertion
 * ends the run as a failure, a panic is the crash of one simulated node. A hook that returns lets
 * the process stop. Hooks are for tests and are set before threads start.
 *
 * Lines go through base/log_line.h, which asks the clock: whatever links libkx_base.a links
 * libkx_clock.a behind it, or a clock of its own.
 */
#ifndef KX_BASE_ASSERT_H
#define KX_BASE_ASSERT_H

/* Exit status after a panic (EX_IOERR of sysexits.h), so that a supervisor can tell it apart. */
enum { PANIC_EXIT_STATUS = 74 };

#define ASSERT(condition)                                                                          \
	(__builtin_expect(!(condition), 0) ? assert_failed(__FILE__, __LINE__, #condition)         \
	                                   : (void)0)

/* The same, with text that shows the values; printf format, evaluated only on failure. */
#define ASSERT_MSG(condition, ...)                                                                 \
	(__builtin_expect(!(condition), 0)                                                         \
	        ? assert_failed_with(__FILE__, __LINE__, #condition, __VA_ARGS__)                  \
	        : (void)0)

/* After a switch over an enum whose every case returns: the value is none of the enum's. */
#define UNREACHABLE() assert_failed(__FILE__, __LINE__, "unreachable")

#define PANIC(...) panic(__FILE__, __LINE__, __VA_ARGS__)

__attribute__((noreturn, cold)) void assert_failed(const char *file, int line, const char *what);
__attribute__((noreturn, cold, format(printf, 4, 5))) void assert_failed_with(
    const char *file, int line, const char *what, const char *format, ...);
__attribute__((noreturn, cold, format(printf, 3, 4))) void panic(
    const char *file, int line, const char *format, ...);

/* `what` is the condition, or the panic's text; valid during the call only. NULL: no hook. */
typedef void stop_hook(const char *file, int line, const char *what);
void assert_set_hook(stop_hook *hook);
void panic_set_hook(stop_hook *hook);

#endif
