#include "tests/unit/meta/suites.h"

#include "base/mem.h"
#include "base/wire/json.h"
#include "server/meta/meta_records.h"

#include <string.h>

static void set_hash(char to[HOST_HASH_CHARACTERS + 1], char digit)
{
	memset(to, digit, HOST_HASH_CHARACTERS);
	to[HOST_HASH_CHARACTERS] = 0;
}

static struct meta_app *shop(void)
{
	struct meta_app *app = meta_app_new(slice_from_text("shop"));
	ck_assert_ptr_nonnull(app);
	set_hash(app->hash, 'b');
	app->generation = 7;
	ck_assert_int_eq(meta_app_set_type(app, slice_from_text("cart"), true, 0), 0);
	ck_assert_int_eq(meta_app_set_type(app, slice_from_text("stock"), false, 0), 0);
	ck_assert_int_eq(buffer_append_text(&app->catalogue, "\x93\x01\x02\x03"), 0);
	struct meta_history entry = {.at_ms = 1000, .by = "default"};
	set_hash(entry.hash, 'a');
	meta_app_add_history(app, &entry);
	set_hash(entry.hash, 'b');
	entry.back = 1;
	entry.at_ms = 2000;
	meta_app_add_history(app, &entry);
	return app;
}

static void encode(const struct meta_app *app, struct buffer *out)
{
	buffer_init(out, ENTRY_BYTES_MAX);
	ck_assert_int_eq(meta_app_encode(app, out), 0);
}

START_TEST(a_record_gives_the_same_app_back)
{
	struct meta_app *app = shop(), *again;
	struct buffer record, second;
	encode(app, &record);
	ck_assert_int_eq(meta_app_decode(slice_from_text("shop"), buffer_view(&record), &again), 0);
	encode(again, &second);
	ck_assert(slice_equal(buffer_view(&record), buffer_view(&second)));
	ck_assert_str_eq(again->name, "shop");
	ck_assert_str_eq(again->hash, app->hash);
	ck_assert_uint_eq(again->generation, 7);
	ck_assert(meta_app_type(again, slice_from_text("cart"))->active);
	ck_assert(!meta_app_type(again, slice_from_text("stock"))->active);
	ck_assert_ptr_eq(meta_app_undo(again), &again->history[0]);
	buffer_done(&record);
	buffer_done(&second);
	meta_app_free(app);
	meta_app_free(again);
}
END_TEST

START_TEST(every_cut_and_every_changed_byte_is_refused_or_harmless)
{
	struct meta_app *app = shop(), *again;
	struct buffer record;
	encode(app, &record);
	struct slice whole = buffer_view(&record);
	for (size_t bytes = 0; bytes < whole.bytes; bytes++)
		EXPECT(meta_app_decode(
		           slice_from_text("shop"), slice_of(whole.data, bytes), &again) != 0);
	for (size_t at = 0; at < whole.bytes; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			record.data[record.begin + at] ^= (uint8_t)(1U << bit);
			if (meta_app_decode(slice_from_text("shop"), whole, &again) == 0)
				meta_app_free(again);
			record.data[record.begin + at] ^= (uint8_t)(1U << bit);
		}
	buffer_done(&record);
	meta_app_free(app);
}
END_TEST

START_TEST(a_newer_format_is_told_from_damage)
{
	struct meta_app *app = shop(), *again = NULL;
	struct buffer record;
	encode(app, &record);
	record.data[record.begin + 1] = 2;
	ck_assert_int_eq(
	    meta_app_decode(slice_from_text("shop"), buffer_view(&record), &again), ERR_FORMAT);
	ck_assert_ptr_null(again);
	buffer_done(&record);
	meta_app_free(app);
}
END_TEST

START_TEST(a_cluster_is_read_as_it_was_written_or_refused)
{
	struct meta_cluster cluster = {.id = "0123456789abcdef0123456789abcdef",
	    .shards = 16,
	    .created_ms = 1000,
	    .replication_factor = 5,
	    .next_node = 7};
	struct meta_cluster again;
	struct buffer record;
	buffer_init(&record, 128);
	ck_assert_int_eq(meta_cluster_encode(&cluster, &record), 0);
	ck_assert_int_eq(meta_cluster_decode(buffer_view(&record), &again), 0);
	ck_assert_str_eq(again.id, cluster.id);
	ck_assert_uint_eq(again.shards, cluster.shards);
	ck_assert_int_eq(again.created_ms, 1000);
	ck_assert_uint_eq(again.replication_factor, 5);
	ck_assert_uint_eq(again.next_node, 7);
	/* The id goes into names and answers as it is. */
	record.data[record.begin + 10] = 0;
	ck_assert_int_eq(meta_cluster_decode(buffer_view(&record), &again), ERR_CORRUPT);
	record.data[record.begin + 10] = 'G';
	ck_assert_int_eq(meta_cluster_decode(buffer_view(&record), &again), ERR_CORRUPT);
	record.data[record.begin + 10] = 'a';
	ck_assert_int_eq(meta_cluster_decode(buffer_view(&record), &again), 0);
	record.data[record.begin + 1] = 2;
	ck_assert_int_eq(meta_cluster_decode(buffer_view(&record), &again), ERR_FORMAT);
	buffer_done(&record);
}
END_TEST

START_TEST(decoding_without_memory_leaves_nothing)
{
	struct meta_app *app = shop(), *again;
	struct buffer record;
	encode(app, &record);
	for (uint64_t nth = 1;; nth++) {
		mem_fail_at(nth);
		int error = meta_app_decode(slice_from_text("shop"), buffer_view(&record), &again);
		bool failed = mem_failed();
		mem_fail_at(0);
		if (!failed) {
			ck_assert_int_eq(error, 0);
			ck_assert_uint_gt(nth, 2);
			meta_app_free(again);
			break;
		}
		ck_assert_int_eq(error, ERR_NOMEM);
	}
	buffer_done(&record);
	meta_app_free(app);
}
END_TEST

START_TEST(the_oldest_activation_is_forgotten)
{
	struct meta_app *app = meta_app_new(slice_from_text("shop"));
	struct meta_history entry = {.by = ""};
	for (int64_t i = 0; i < META_HISTORY_MAX + 3; i++) {
		entry.at_ms = i;
		meta_app_add_history(app, &entry);
	}
	ck_assert_uint_eq(app->history_count, META_HISTORY_MAX);
	ck_assert_int_eq(app->history[0].at_ms, 3);
	ck_assert_int_eq(app->history[META_HISTORY_MAX - 1].at_ms, META_HISTORY_MAX + 2);
	meta_app_free(app);
}
END_TEST

START_TEST(a_dropped_type_is_nobodys_and_keeps_its_number)
{
	struct meta_apps apps = {.items = NULL};
	struct meta_app *app = shop(), *again;
	struct buffer record;
	struct slice stock = slice_from_text("stock"), cart = slice_from_text("cart");
	ck_assert_int_eq(meta_app_set_type(app, stock, false, 5), 0);
	ck_assert_int_eq(meta_app_set_type(app, cart, true, 3), 0);
	encode(app, &record);
	ck_assert_int_eq(meta_app_decode(slice_from_text("shop"), buffer_view(&record), &again), 0);
	ck_assert_uint_eq(meta_app_type(again, stock)->incarnation, 5);
	ck_assert_int_eq(meta_apps_put(&apps, again), 0);
	ck_assert_ptr_null(meta_apps_owner(&apps, stock));
	ck_assert_str_eq(meta_apps_owner(&apps, cart)->name, "shop");
	struct meta_app *bank = meta_app_new(slice_from_text("bank"));
	ck_assert_int_eq(meta_app_set_type(bank, stock, true, 9), 0);
	ck_assert_int_eq(meta_apps_put(&apps, bank), 0);
	ck_assert_str_eq(meta_apps_owner(&apps, stock)->name, "bank");
	ck_assert_uint_eq(meta_apps_incarnation(&apps, stock), 9);
	ck_assert_uint_eq(meta_apps_incarnation(&apps, cart), 3);
	ck_assert_uint_eq(meta_apps_incarnation(&apps, slice_from_text("wallet")), 0);
	meta_apps_done(&apps);
	buffer_done(&record);
	meta_app_free(app);
}
END_TEST

START_TEST(apps_are_kept_by_name_and_own_every_type_they_had)
{
	struct meta_apps apps = {.items = NULL};
	struct meta_app *bank = meta_app_new(slice_from_text("bank"));
	bank->generation = 9;
	ck_assert_int_eq(meta_apps_put(&apps, shop()), 0);
	ck_assert_int_eq(meta_apps_put(&apps, bank), 0);
	ck_assert_int_eq(meta_apps_put(&apps, shop()), 0);
	ck_assert_uint_eq(apps.count, 2);
	ck_assert_str_eq(apps.items[0]->name, "bank");
	ck_assert_ptr_null(meta_apps_owner(&apps, slice_from_text("wallet")));
	ck_assert_str_eq(meta_apps_owner(&apps, slice_from_text("stock"))->name, "shop");
	ck_assert_uint_eq(meta_apps_generation(&apps), 9);
	meta_apps_done(&apps);
}
END_TEST

START_TEST(the_list_shows_active_types_only)
{
	struct meta_app *app = shop();
	struct json_writer writer;
	struct buffer out;
	buffer_init(&out, 4096);
	json_writer_init(&writer, &out);
	meta_app_json(app, &writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	static const char end[] = "\"types\":[\"cart\"]}";
	struct slice text = buffer_view(&out);
	ck_assert_uint_gt(text.bytes, sizeof(end));
	ck_assert_mem_eq(text.data + text.bytes - (sizeof(end) - 1), end, sizeof(end) - 1);
	buffer_done(&out);
	meta_app_free(app);
}
END_TEST

Suite *apps_suite(void)
{
	Suite *suite = suite_create("apps");
	TCase *tcase = tcase_create("apps");
	tcase_add_test(tcase, a_record_gives_the_same_app_back);
	tcase_add_test(tcase, every_cut_and_every_changed_byte_is_refused_or_harmless);
	tcase_add_test(tcase, a_newer_format_is_told_from_damage);
	tcase_add_test(tcase, a_cluster_is_read_as_it_was_written_or_refused);
	tcase_add_test(tcase, decoding_without_memory_leaves_nothing);
	tcase_add_test(tcase, the_oldest_activation_is_forgotten);
	tcase_add_test(tcase, a_dropped_type_is_nobodys_and_keeps_its_number);
	tcase_add_test(tcase, apps_are_kept_by_name_and_own_every_type_they_had);
	tcase_add_test(tcase, the_list_shows_active_types_only);
	suite_add_tcase(suite, tcase);
	return suite;
}
