/* hiredis against a server: hiredis_client PORT. One line "ok FACT" or "not ok FACT" for each. */
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool check(bool good, const char *fact)
{
	printf("%s hiredis: %s\n", good ? "ok" : "not ok", fact);
	return good;
}

static bool is_text(const redisReply *reply, int type, const char *text)
{
	return reply && reply->type == type && strncmp(reply->str, text, strlen(text)) == 0;
}

static void ask(
    redisContext *context, const char *fact, int type, const char *text, const char *command)
{
	redisReply *reply = redisCommand(context, command);
	if (!check(is_text(reply, type, text), fact) && reply && reply->str)
		printf("    got %d %.200s\n", reply->type, reply->str);
	freeReplyObject(reply);
}

/* All at once, then all answers, in order: each query sees the command before it. */
static bool pipeline(redisContext *context, int count)
{
	bool good = true;
	char wanted[64];
	for (int i = 0; i < count; i++) {
		redisAppendCommand(context, "FCALL add 1 cart/p%d %s", i % 100, "{\"count\":1}");
		redisAppendCommand(context, "CALL cart/p%d get", i % 100);
	}
	for (int i = 0; i < count; i++) {
		void *added = NULL, *got = NULL;
		if (redisGetReply(context, &added) != REDIS_OK ||
		    redisGetReply(context, &got) != REDIS_OK)
			return false;
		snprintf(wanted, sizeof(wanted), "{\"added\":%d}", i / 100 + 1);
		good = good && is_text(added, REDIS_REPLY_STRING, wanted);
		snprintf(wanted, sizeof(wanted), "{\"added\":%d,\"address\":\"cart/p%d\"",
		    i / 100 + 1, i % 100);
		good = good && is_text(got, REDIS_REPLY_STRING, wanted);
		freeReplyObject(added);
		freeReplyObject(got);
	}
	return good;
}

static bool large_payload(redisContext *context)
{
	size_t bytes = 200 * 1000;
	char *payload = malloc(bytes);
	memset(payload, 'x', bytes);
	payload[0] = payload[bytes - 1] = '"';
	redisReply *reply = redisCommand(context, "CALL cart/c1 get %b", payload, bytes);
	bool good = reply && reply->type == REDIS_REPLY_STRING && reply->len > bytes &&
	            memmem(reply->str, reply->len, payload, bytes);
	freeReplyObject(reply);
	free(payload);
	return good;
}

static bool large_reply(redisContext *context)
{
	redisReply *reply = redisCommand(context, "CALL cart/c1 big");
	bool good = reply && reply->type == REDIS_REPLY_STRING && reply->len == 20002;
	freeReplyObject(reply);
	return good;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	redisContext *context = redisConnect("127.0.0.1", (int)strtol(argv[1], NULL, 10));
	if (!context || context->err) {
		check(false, context ? context->errstr : "connecting");
		return 1;
	}
	ask(context, "PING", REDIS_REPLY_STATUS, "PONG", "PING");
	ask(context, "a call", REDIS_REPLY_STRING, "{\"added\":0,\"address\":\"cart/c1\"",
	    "CALL cart/c1 get {}");
	ask(context, "an error", REDIS_REPLY_ERROR, "FAILED_PRECONDITION cart is",
	    "CALL cart/c1 fail");
	ask(context, "a wrong address", REDIS_REPLY_ERROR, "INVALID_ARGUMENT", "CALL Cart/1 get");
	ask(context, "no reply is the text null", REDIS_REPLY_STRING, "null",
	    "CALL cart/c1 nothing");
	check(pipeline(context, 2500), "5000 calls in a pipeline, in order");
	check(large_payload(context), "a payload of 200,000 bytes");
	check(large_reply(context), "a large reply");
	redisFree(context);
	return 0;
}
