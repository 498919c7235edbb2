// sources: base/wire/address.c base/wire/base64.c base/wire/decimal.c base/wire/decimal_powers.c
// sources: base/wire/json_reader.c base/wire/json_writer.c base/wire/msgpack.c
// sources: base/wire/transcode.c base/wire/utf8.c
// sources: scripting/bundle.c scripting/bytecode.c scripting/call.c scripting/catalogue.c
// sources: scripting/compatible.c scripting/component.c scripting/ctx.c scripting/declare.c
// sources: scripting/declare_parts.c scripting/describe.c scripting/diagnostics.c
// sources: scripting/folds.c scripting/host.c scripting/lib_base.c
// sources: scripting/lib_coroutine.c scripting/lib_find.c
// sources: scripting/lib_math.c scripting/lib_password.c scripting/lib_pattern.c
// sources: scripting/lib_sort.c
// sources: scripting/lib_string.c scripting/lib_table.c scripting/lib_text.c
// sources: scripting/lib_utf8.c scripting/lib_walk.c scripting/library.c scripting/lint.c
// sources: scripting/load.c
// sources: scripting/matcher.c scripting/outcome.c scripting/password.c scripting/pattern.c
// sources: scripting/rfc3339.c
// sources: scripting/sandbox.c
// sources: scripting/sandbox_blocks.c scripting/sandbox_budget.c scripting/sandbox_collect.c
// sources: scripting/sandbox_keys.c
// sources: scripting/sandbox_source.c scripting/sandbox_stack.c
// sources: scripting/sandbox_view.c scripting/schema.c scripting/schema_accepts.c
// sources: scripting/schema_code.c scripting/schema_lua.c scripting/steps.c scripting/value.c
// sources: scripting/value_check.c scripting/value_decode.c scripting/value_decode_scalar.c
// sources: scripting/value_encode.c scripting/value_encode_map.c scripting/value_library.c
// sources: scripting/value_lazy.c scripting/value_pack.c scripting/value_pack_lazy.c
// sources: scripting/value_pack_sort.c scripting/value_plan.c scripting/value_print.c
// sources: scripting/value_scan.c scripting/value_scratch.c scripting/value_skim.c
// sources: scripting/value_stored.c
// sources: scripting/straight.c scripting/value_flat.c scripting/value_unpack.c
// libraries: -llua5.4 -lcrypto -lxxhash -lm
/* A byte that chooses, then the container of an app's files or the catalogue of an app. Judged: a
 * container that opens packs again to the same files and loads, or is refused with a reason; a
 * loaded app's catalogue accepts itself and stays the same; a catalogue that is read is written the
 * same twice. */
#include "tests/fuzz/fuzz.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/limits.h"
#include "scripting/bundle.h"
#include "scripting/catalogue.h"
#include "scripting/host.h"

#include <string.h>

/* Time that moves by itself, so that budgets of time end nothing twice differently. */
static uint64_t now_ns;

uint64_t clock_monotonic_ns(void)
{
	return now_ns += 1000;
}

uint64_t clock_thread_ns(void)
{
	return clock_monotonic_ns();
}

int64_t clock_real_ms(void)
{
	return 0;
}

static const char *check_pack(struct slice bytes)
{
	struct bundle_files files;
	const char *why = NULL;
	int error = bundle_open(bytes, &files, &why);
	if (error)
		return error == ERR_INVALID && !why ? "a refusal without a reason" : NULL;
	struct buffer packed;
	struct bundle_files again;
	buffer_init(&packed, BUNDLE_BYTES_MAX);
	const char *wrong = NULL;
	if (host_bundle_pack(files.items, files.count, &packed))
		wrong = "what opens does not pack";
	else if (bundle_open(buffer_view(&packed), &again, &why))
		wrong = "what was packed does not open";
	if (!wrong) {
		if (again.count != files.count)
			wrong = "another number of files";
		for (size_t i = 0; !wrong && i < files.count; i++) {
			if (!slice_equal(files.items[i].path, again.items[i].path) ||
			    !slice_equal(files.items[i].source, again.items[i].source))
				wrong = "another file";
		}
		bundle_close(&again);
	}
	buffer_done(&packed);
	bundle_close(&files);
	return wrong;
}

static const char *check_own_catalogue(struct host_bundle *bundle)
{
	struct buffer first, second, changes, description;
	struct host_diagnostics diagnostics = {0};
	bool rollback = false;
	buffer_init(&first, 1 << 24);
	buffer_init(&second, 1 << 24);
	buffer_init(&changes, 1 << 24);
	buffer_init(&description, 1 << 24);
	const char *wrong = NULL;
	if (host_bundle_describe(bundle, &description))
		wrong = "no description";
	else if (host_catalogue_add(bundle, slice_of(NULL, 0), &first) ||
	         host_catalogue_add(bundle, buffer_view(&first), &second))
		wrong = "no catalogue";
	else if (!slice_equal(buffer_view(&first), buffer_view(&second)))
		wrong = "the catalogue grew by what it had";
	else if (host_compatible(bundle, buffer_view(&first), &diagnostics, &changes, &rollback) ||
	         !rollback || buffer_bytes(&changes))
		wrong = "an app is not compatible with itself";
	host_diagnostics_free(&diagnostics);
	buffer_done(&first);
	buffer_done(&second);
	buffer_done(&changes);
	buffer_done(&description);
	return wrong;
}

static const char *check_load(struct slice bytes)
{
	struct host_options options = {.mode = HOST_PRODUCTION, .seed = 1};
	struct host *host;
	if (host_new(&options, &host))
		return NULL;
	struct host_diagnostics diagnostics = {0};
	struct host_bundle *bundle;
	const char *wrong = NULL;
	int error = host_load(host, bytes, &diagnostics, &bundle);
	if (error == ERR_INVALID && diagnostics.count == 0)
		wrong = "a refusal without a reason";
	host_diagnostics_free(&diagnostics);
	if (!error) {
		wrong = check_own_catalogue(bundle);
		host_bundle_release(bundle);
	}
	host_free(host);
	return wrong;
}

static const char *check_catalogue(struct slice bytes)
{
	struct catalogue catalogue, again;
	if (catalogue_read(bytes, &catalogue))
		return NULL;
	struct buffer first, second;
	buffer_init(&first, 1 << 24);
	buffer_init(&second, 1 << 24);
	const char *wrong = NULL;
	int error = catalogue_write(&catalogue, &first);
	if (!error && catalogue_read(buffer_view(&first), &again))
		wrong = "what was written is not read";
	if (!error && !wrong) {
		if (catalogue_write(&again, &second) ||
		    !slice_equal(buffer_view(&first), buffer_view(&second)))
			wrong = "written twice, differently";
		catalogue_done(&again);
	}
	catalogue_done(&catalogue);
	buffer_done(&first);
	buffer_done(&second);
	return wrong;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes == 0)
		return 0;
	struct slice rest = slice_of(data + 1, bytes - 1);
	switch (data[0] % 3) {
	case 0:
		fuzz_must_hold(check_pack(rest));
		break;
	case 1:
		fuzz_must_hold(check_load(rest));
		break;
	default:
		fuzz_must_hold(check_catalogue(rest));
	}
	return 0;
}
