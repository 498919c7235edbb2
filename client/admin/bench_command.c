/* bench: a load on a running server. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/admin/bench.h"
#include "client/admin/commands.h"
#include "client/admin/online.h"
#include "client/admin/print.h"

static const struct {
	const char *name;
	uint32_t per_million;
} quantiles[] = {
    {"p50", 500000}, {"p90", 900000}, {"p99", 990000}, {"p99.9", 999000}, {"max", 1000000}};
enum { QUANTILES = sizeof(quantiles) / sizeof(quantiles[0]) };

struct sums {
	uint64_t calls, failed, rate;
	uint64_t took_us[QUANTILES];
};

static void sum_up(const struct bench_result *result, struct sums *ret_sums)
{
	static struct histogram_view view; /* large; this program has one thread */
	histogram_merge(&view, &result->took_ns);
	*ret_sums = (struct sums){0};
	for (int code = 0; code < BENCH_CODES; code++) {
		ret_sums->calls += result->ended[code];
		ret_sums->failed += code ? result->ended[code] : 0;
	}
	if (result->ran_ns > 0)
		ret_sums->rate = (uint64_t)((double)(ret_sums->calls - ret_sums->failed) *
		                            (double)NS_PER_S / (double)result->ran_ns);
	for (unsigned i = 0; i < QUANTILES; i++)
		ret_sums->took_us[i] = histogram_quantile(&view, quantiles[i].per_million) / 1000;
}

static int print_sums(
    const struct bench_options *options, const struct bench_result *result, const struct sums *sums)
{
	static const char *const columns[] = {"calls", "failed", "waiting", "calls_per_s", "p50_us",
	    "p90_us", "p99_us", "p99.9_us", "max_us"};
	struct print print;
	print_begin(&print, OUTPUT_TABLE, columns, 4 + QUANTILES);
	print_number(&print, sums->calls);
	print_number(&print, sums->failed);
	print_number(&print, result->waiting);
	print_number(&print, sums->rate);
	for (unsigned i = 0; i < QUANTILES; i++)
		print_number(&print, sums->took_us[i]);
	int error = print_end(&print);
	for (int code = 1; code < BENCH_CODES; code++)
		if (result->ended[code])
			printf("%" PRIu64 " ended with %s\n", result->ended[code],
			    kalix_error_name(code));
	if (result->waiting)
		printf("%" PRIu64 " %s due and had no place: the server does not end %" PRIu32
		       " %s a second, or there are too few connections for it\n",
		    result->waiting, print_plural(result->waiting, "was", "were"), options->rate,
		    print_plural(options->rate, "call", "calls"));
	return error;
}

static int print_json(
    const struct bench_options *options, const struct bench_result *result, const struct sums *sums)
{
	struct print_object object;
	print_object_begin(&object);
	print_object_number(&object, "calls", sums->calls);
	print_object_number(&object, "calls_per_s", sums->rate);
	print_object_number(&object, "connections", options->connections);
	json_write_key(&object.json, slice_from_text("errors"));
	json_write_object_begin(&object.json);
	for (int code = 1; code < BENCH_CODES; code++)
		if (result->ended[code])
			print_object_number(&object, kalix_error_name(code), result->ended[code]);
	json_write_object_end(&object.json);
	print_object_number(&object, "failed", sums->failed);
	print_object_number(&object, "pipeline", options->pipeline);
	if (options->rate)
		print_object_number(&object, "rate", options->rate);
	print_object_number(&object, "ran_ms", result->ran_ns / NS_PER_MS);
	json_write_key(&object.json, slice_from_text("took_us"));
	json_write_object_begin(&object.json);
	for (unsigned i = 0; i < QUANTILES; i++)
		print_object_number(&object, quantiles[i].name, sums->took_us[i]);
	json_write_object_end(&object.json);
	print_object_number(&object, "waiting", result->waiting);
	return print_object_end(&object, "", "\n");
}

static enum exit_code tell(
    const struct args *args, const struct bench_options *options, const struct bench_result *result)
{
	struct sums sums;
	sum_up(result, &sums);
	int error = args->format == OUTPUT_TABLE ? print_sums(options, result, &sums)
	                                         : print_json(options, result, &sums);
	if (error)
		return command_failed(error, "");
	if (!result->why[0])
		return EXIT_DONE;
	char clean[2 * BENCH_WHY_BYTES];
	print_clean(clean, sizeof(clean), slice_from_text(result->why), "");
	fprintf(stderr, "kalix-admin: the first that failed: %s\n", clean);
	return EXIT_REFUSED;
}

enum exit_code command_bench(const struct args *args)
{
	static struct bench_result result; /* large */
	struct online online;
	struct bench_options options = {.address = args->word[1],
	    .command = args->word[2],
	    .json = args->words > 3 ? args->word[3] : NULL,
	    .connections = args->connections ? args->connections : 1,
	    .pipeline = args->pipeline ? args->pipeline : 1,
	    .seconds = args->seconds ? args->seconds : 10,
	    .rate = args->rate,
	    .timeout_ms = args->timeout_ms};
	/* Says what is wrong where no server answers. */
	enum exit_code code = online_open(args, &online);
	options.node = online.node;
	if (!code) {
		int error = bench_run(&options, &result);
		if (error == ERR_INVALID && !result.why[0])
			code = command_failed(error, "ADDRESS is TYPE/ID, in which {N} is a number "
			                             "from 1 to N: cart/c{1000}");
		else if (error && !result.why[0])
			code = command_failed(error, "");
		else
			code = tell(args, &options, &result);
	}
	online_done(&online);
	return code;
}
