/* kalix.password: hashes in a standard form, derived outside of Lua while the handler waits. */
#include "tests/unit/scripting/host_modes.h"
#include "tests/unit/scripting/host_suites.h"

#include <stdio.h>

#include "scripting/password.h"

static const char source[] =
    "local kalix = require 'kalix'\n"
    "local password = kalix.password\n"
    "local kept\n"
    "return {\n"
    "  kalix.value_entity 't' {\n"
    "    commands = {\n"
    "      set = function(s, text, ctx)\n"
    "        ctx:update { hash = password.hash(text) }\n"
    "        return #text\n"
    "      end,\n"
    "      both = function(s, i) return { password.hash('a') == password.hash('a') } end,\n"
    "      many = function(s, n)\n"
    "        for i = 1, n do password.hash('a') end\n"
    "        return n\n"
    "      end,\n"
    "      caught = function(s, n) return { pcall(password.hash, 'a') } end,\n"
    "      within = function(s)\n"
    "        local f = coroutine.wrap(function()\n"
    "          coroutine.yield(password.verify('x', s.hash))\n"
    "          local fine, is = pcall(password.verify, 'right', s.hash)\n"
    "          return fine and is\n"
    "        end)\n"
    "        return { f(), f() }\n"
    "      end,\n"
    "      sorting = function(s)\n"
    "        local o = setmetatable({}, { __lt = function() password.hash('a') end })\n"
    "        return o < o or table.sort { o, o }\n"
    "      end,\n"
    "      reply = function(s, i, ctx)\n"
    "        ctx:reply(function(now) return password.verify(i, s.hash) end)\n"
    "      end,\n"
    "      long = function(s, n) return #password.hash(('x'):rep(n)) end,\n"
    "      typed = function(s) return password.verify('x') end,\n"
    "    },\n"
    "    queries = {\n"
    "      check = function(s, text) return password.verify(text, s.hash) end,\n"
    "      against = function(s, i) return password.verify(i[1], i[2]) end,\n"
    "      hash = function(s) return s.hash end,\n"
    "    },\n"
    "  },\n"
    "  kalix.event_sourced_entity 'e' {\n"
    "    init = { hash = '' },\n"
    "    commands = { set = function(s, text, ctx) ctx:emit('set', { text = text }) end,\n"
    "      check = function(s, text, ctx) ctx:emit('seen', { hash = password.hash(text) }) end },\n"
    "    events = { set = function(s, event) s.hash = password.hash(event.text) end,\n"
    "      seen = function(s, event) s.hash = event.hash end },\n"
    "  },\n"
    "  kalix.value_entity 'i' { init = function() return { h = password.hash('x') } end,\n"
    "    queries = { get = function(s) return s end } },\n"
    "}\n";

static void load(void)
{
	EXPECT_LOADED(
	    &rig, rig_load(&rig, "app.lua",
	              "local l = require 'main' return { name = 'shop', l[1], l[2], l[3] }",
	              "main.lua", source, NULL));
}

START_TEST(a_password_is_known_by_its_hash)
{
	load();
	EXPECT_REPLY(&rig, "t/1", "set", "\"right\"", "5");
	EXPECT_REPLY(&rig, "t/1", "check", "\"right\"", "true");
	EXPECT_REPLY(&rig, "t/1", "check", "\"wrong\"", "false");
	EXPECT_REPLY(&rig, "t/1", "check", "\"\"", "false");
	EXPECT_REPLY(&rig, "t/1", "reply", "\"right\"", "true");
	EXPECT_REPLY(&rig, "t/1", "within", NULL, "[false,true]");
	const char *hash = rig_call(&rig, "t/1", "hash", NULL);
	ck_assert_msg(hash && strncmp(hash, "\"$scrypt$ln=14,r=8,p=1$", 23) == 0, "%s", hash);
	ck_assert_uint_eq(strlen(hash), 2 + 22 + 22 + 1 + 43);
	EXPECT_REPLY(&rig, "t/1", "both", NULL, "[false]");
}
END_TEST

/* Made by other programs: passlib's documentation, and Python's hashlib.scrypt. */
START_TEST(hashes_of_others_are_read)
{
	load();
	EXPECT_REPLY(&rig, "t/1", "against",
	    "[\"password\",\"$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$"
	    "nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E\"]",
	    "true");
	EXPECT_REPLY(&rig, "t/1", "against",
	    "[\"passwore\",\"$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$"
	    "nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E\"]",
	    "false");
}
END_TEST

START_TEST(what_is_no_hash_is_refused_with_the_form_that_is)
{
	static const char *const wrong[] = {"", "$", "x", "$scrypt$", "$scrypt$ln=14,r=8,p=1$",
	    "$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$",
	    "$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q",
	    "$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+"
	    "iCs5",
	    "$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+"
	    "iCs5E=",
	    "$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1R$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+"
	    "iCs5E",
	    "$scrypt$ln=014,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+"
	    "iCs5E",
	    "$scrypt$ln=14,r=8,p=0$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+"
	    "iCs5E",
	    "$scrypt$r=8,ln=14,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+"
	    "iCs5E",
	    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$"
	    "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"};
	char payload[512];
	load();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(payload, sizeof(payload), "[\"x\",\"%s\"]", wrong[i]);
		EXPECT_REFUSED(&rig, "t/1", "against", payload, STATUS_INTERNAL,
		    "the second argument is no hash of kalix.password.hash");
	}
	EXPECT_REFUSED(&rig, "t/1", "against",
	    "[\"x\",\"$scrypt$ln=17,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$"
	    "nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E\"]",
	    STATUS_INTERNAL, "the hash asks for more than ln=16,r=8,p=4");
	EXPECT_REFUSED(&rig, "t/1", "typed", NULL, STATUS_INTERNAL, "");
	EXPECT_REPLY(&rig, "t/1", "long", "1024", "88");
	EXPECT_REFUSED(
	    &rig, "t/1", "long", "1025", STATUS_INTERNAL, "1025 bytes, at most 1024 are allowed");
}
END_TEST

START_TEST(a_call_can_ask_for_four_and_no_more)
{
	load();
	EXPECT_REPLY(&rig, "t/1", "many", "4", "4");
	EXPECT_REFUSED(
	    &rig, "t/1", "many", "5", STATUS_RESOURCE_EXHAUSTED, "ran out of instructions");
}
END_TEST

START_TEST(what_must_be_repeatable_has_no_passwords)
{
	load();
	EXPECT_REFUSED(&rig, "e/1", "set", "\"x\"", STATUS_INTERNAL, "");
	ck_assert_ptr_nonnull(strstr(rig.traceback, "password.hash is not available here"));
	EXPECT_REFUSED(&rig, "i/1", "get", NULL, STATUS_INTERNAL, "");
	ck_assert_ptr_nonnull(strstr(rig.traceback, "password.hash is not available here"));
	EXPECT_REPLY(&rig, "e/1", "check", "\"x\"", "nothing");
	ck_assert_str_eq(rig_fold(&rig, "e/1"), rig_state(&rig, "e/1"));
}
END_TEST

/* Under C code that can't be left half-way. */
START_TEST(where_nothing_can_wait_it_says_so)
{
	load();
	EXPECT_REFUSED(&rig, "t/1", "sorting", NULL, STATUS_INTERNAL, "can't wait here");
}
END_TEST

START_TEST(a_file_that_is_loaded_has_no_passwords)
{
	ck_assert_int_eq(rig_load_one(&rig, "local kalix = require 'kalix'\n"
	                                    "local h = kalix.password.hash('x')\n"
	                                    "return kalix.value_entity 't' {}\n"),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 2, "not while an app is loaded"));
}
END_TEST

static struct host_call *begin(const char *handler, const char *payload)
{
	struct host_component *component = host_component(rig.bundle, slice_from_text("t"));
	struct host_request request = {.component = component,
	    .handler = host_handler(component, slice_from_text(handler)),
	    .address = slice_from_text("t/1"),
	    .has_payload = true,
	    .payload = slice_from_text(payload),
	    .caller = {.kind = slice_from_text("client")}};
	struct host_call *call;
	ck_assert_int_eq(host_call_begin(rig.host, &request, &call), 0);
	return call;
}

/* As a server does it: the job is taken away, and other calls run meanwhile. */
START_TEST(a_job_is_done_by_whoever_takes_it)
{
	load();
	struct host_call *call = begin("set", "\"right\"");
	ck_assert_int_eq(host_call_run(call, 0), HOST_WAITS);
	struct host_job *job = host_call_take_job(call);
	EXPECT_REPLY(&rig, "t/2", "set", "\"abc\"", "3");
	host_job_run(job);
	EXPECT_REPLY(&rig, "t/2", "check", "\"abc\"", "true");
	host_call_give_job(call, job);
	ck_assert_int_eq(host_call_run(call, 0), HOST_ENDED);
	const struct host_outcome *outcome = host_call_outcome(call);
	ck_assert_int_eq(outcome->change, HOST_UPDATED);
	/* Its time is not the handler's. */
	ck_assert_uint_lt(outcome->run_ns, 100 * UINT64_C(1000000));
	ck_assert_uint_gt(outcome->instructions, 2400000);
	host_call_end(call);
}
END_TEST

START_TEST(a_call_may_end_while_it_waits)
{
	load();
	struct host_call *call = begin("set", "\"right\"");
	ck_assert_int_eq(host_call_run(call, 0), HOST_WAITS);
	host_call_end(call);
	call = begin("set", "\"right\"");
	ck_assert_int_eq(host_call_run(call, 0), HOST_WAITS);
	struct host_job *job = host_call_take_job(call);
	host_call_end(call);
	host_job_run(job);
	host_job_free(job);
	host_job_free(NULL);
	EXPECT_REPLY(&rig, "t/1", "set", "\"abc\"", "3");
}
END_TEST

/* The same seed gives the same salt: a simulator's runs can be repeated. */
START_TEST(salts_are_of_the_calls_own_numbers)
{
	char hashes[3][128];
	for (int i = 0; i < 3; i++) {
		struct rig other;
		rig_open(&other, HOST_PRODUCTION);
		EXPECT_LOADED(
		    &other, rig_load_one(&other,
		                "local kalix = require 'kalix'\n"
		                "return kalix.value_entity 't' { commands = {\n"
		                "  a = function() return kalix.password.hash 'x' end } }\n"));
		if (i == 2)
			ck_assert_ptr_nonnull(rig_call(&other, "t/1", "a", NULL));
		const char *hash = rig_call(&other, "t/1", "a", NULL);
		ck_assert_ptr_nonnull(hash);
		snprintf(hashes[i], sizeof(hashes[i]), "%s", hash);
		rig_close(&other);
	}
	ck_assert_str_eq(hashes[0], hashes[1]);
	ck_assert_str_ne(hashes[0], hashes[2]);
}
END_TEST

Suite *host_password_suite(void)
{
	const TTest *const tests[] = {
	    a_password_is_known_by_its_hash,
	    hashes_of_others_are_read,
	    what_is_no_hash_is_refused_with_the_form_that_is,
	    a_call_can_ask_for_four_and_no_more,
	    what_must_be_repeatable_has_no_passwords,
	    where_nothing_can_wait_it_says_so,
	    a_file_that_is_loaded_has_no_passwords,
	    a_job_is_done_by_whoever_takes_it,
	    a_call_may_end_while_it_waits,
	    salts_are_of_the_calls_own_numbers,
	};
	return suite_in_both_modes("host_password", tests, sizeof(tests) / sizeof(tests[0]));
}
