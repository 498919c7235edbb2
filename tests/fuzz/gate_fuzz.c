// sources: base/wire/resp_request.c base/wire/resp_writer.c base/wire/json_reader.c
// sources: base/wire/json_writer.c base/wire/msgpack.c base/wire/utf8.c base/wire/address.c
// sources: base/wire/base64.c base/wire/decimal.c base/wire/decimal_powers.c base/wire/duration.c
// sources: server/gate/admin_apps.c server/gate/admin_commands.c server/gate/admin_config.c
// sources: server/gate/admin_cluster.c
// sources: server/gate/admin_entities.c server/gate/admin_logs.c
// sources: server/gate/admin_errors.c server/gate/admin_status.c server/gate/call_commands.c
// sources: server/gate/call_options.c server/gate/client_commands.c server/gate/client_list.c
// sources: server/gate/cluster_commands.c server/gate/command_info.c server/gate/commands.c
// sources: server/gate/connection_commands.c server/gate/gate.c server/gate/info.c
// sources: server/gate/output.c server/gate/session.c server/gate/slowlog.c server/gate/topology.c
// sources: server/meta/cluster_map.c server/shard/map.c
// sources: tests/unit/gate/fake_net.c tests/unit/gate/fake_shards.c tests/unit/gate/rig.c
// libraries: -lxxhash
/* Bytes of a client, against a gate with fake shards: whole, and cut in two, must give the same
 * answers, and another client must not notice. The first byte says where the cut is, and whether a
 * password is asked for. */
#include <string.h>

#include "base/clock.h"
#include "base/log_line.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/gate/rig.h"

/* Time stands, or TIME would differ from run to run. */
uint64_t clock_monotonic_ns(void)
{
	return NS_PER_S;
}

uint64_t clock_thread_ns(void)
{
	return clock_monotonic_ns();
}

int64_t clock_real_ms(void)
{
	return 1767225600000;
}

static void no_log(void *arg, enum log_level level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
}

/* What the client got, in *answer; numbers of connections are the same in both runs. */
static void run(const uint8_t *data, size_t bytes, size_t cut, bool password, struct buffer *answer)
{
	static struct rig rig;
	rig_init(&rig);
	if (password) {
		memcpy(rig.config.password, "x", 1);
		rig.config.password_bytes = 1;
	}
	rig_open(&rig);
	struct io_socket *client = rig_connect(&rig);
	struct io_socket *bystander = rig_connect(&rig);
	fake_write(client, data, cut);
	/* Without a turn: what answers depend on (figures, lists) must not have moved. */
	fake_write(client, data + cut, bytes - cut);
	rig_run(&rig);
	fake_shards_release(rig.shards);
	rig_run(&rig);
	int error = buffer_append_slice(answer, buffer_view(fake_output(client)));
	fuzz_must_hold(error ? "an answer is bounded" : NULL);
	/* It may have been killed by name. */
	if (!fake_closed(bystander)) {
		const char *said = rig_say(&rig, bystander, password ? "AUTH x\r\n" : "PING\r\n");
		fuzz_must_hold(said[0] == '+' ? NULL : "others are served");
	}
	rig_done(&rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes < 1)
		return 0;
	struct buffer whole, cut;
	bool password = data[0] & 1;
	size_t at = bytes > 1 ? (size_t)(data[0] >> 1) * (bytes - 1) / 128 : 0;
	log_line_set_sink(no_log, NULL);
	buffer_init(&whole, 64 << 20);
	buffer_init(&cut, 64 << 20);
	run(data + 1, bytes - 1, 0, password, &whole);
	run(data + 1, bytes - 1, at, password, &cut);
	bool same = slice_equal(buffer_view(&whole), buffer_view(&cut));
	/* These tell of buffers and of processor time, which a cut changes. */
	struct slice text = buffer_view(&whole);
	bool tells = text.bytes && (memmem(text.data, text.bytes, "qbuf=", 5) ||
	                               memmem(text.data, text.bytes, "used_", 5) ||
	                               memmem(text.data, text.bytes, "clients_memory", 14));
	buffer_done(&whole);
	buffer_done(&cut);
	fuzz_must_hold(same || tells ? NULL : "the answers do not depend on cuts");
	return 0;
}
