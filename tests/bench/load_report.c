#include "tests/bench/load_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/random.h"

const char *load_letters(struct random *dice, size_t bytes)
{
	enum { POOL_BYTES = 65536 };
	static char pool[POOL_BYTES + LOAD_LETTERS_MAX];
	ASSERT(bytes <= LOAD_LETTERS_MAX);
	for (size_t i = 0; i < sizeof(pool) && !pool[sizeof(pool) - 1]; i++)
		pool[i] = (char)('a' + random_below(dice, 26));
	return pool + random_below(dice, POOL_BYTES);
}

static uint64_t cpu_ns(void)
{
	struct timespec used;
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used))
		return 0;
	return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

void load_report_init(struct load_report *report)
{
	memset(report, 0, sizeof(*report));
}

void load_report_begin(struct load_report *report, uint64_t now_ns)
{
	report->begun = true;
	report->begin_ns = now_ns;
	report->begin_cpu_ns = cpu_ns();
}

void load_report_answered(struct load_report *report, uint64_t due_ns, uint64_t now_ns)
{
	if (!report->begun)
		return;
	report->calls++;
	histogram_record(&report->latencies, now_ns > due_ns ? now_ns - due_ns : 0);
}

void load_report_error(struct load_report *report, const char *format, ...)
{
	va_list arguments;
	if (report->errors++)
		return;
	va_start(arguments, format);
	vsnprintf(report->first_error, sizeof(report->first_error), format, arguments);
	va_end(arguments);
}

void load_report_print(const struct load_report *report, uint64_t now_ns, const char *name)
{
	static struct histogram_view view;
	memset(&view, 0, sizeof(view));
	histogram_merge(&view, &report->latencies);
	double seconds = (double)(now_ns - report->begin_ns) / 1e9;
	double cpu = (double)(cpu_ns() - report->begin_cpu_ns) / 1e9;
	printf("calls=%llu seconds=%.2f rate=%.0f p50_us=%.0f p99_us=%.0f p999_us=%.0f "
	       "max_us=%.0f errors=%llu refused=%llu load_cpu=%.2f\n",
	    (unsigned long long)report->calls, seconds, (double)report->calls / seconds,
	    (double)histogram_quantile(&view, 500000) / 1e3,
	    (double)histogram_quantile(&view, 990000) / 1e3,
	    (double)histogram_quantile(&view, 999000) / 1e3, (double)view.max / 1e3,
	    (unsigned long long)report->errors, (unsigned long long)report->refused, cpu / seconds);
	if (report->errors)
		fprintf(stderr, "%s: the first error: %s\n", name, report->first_error);
}
