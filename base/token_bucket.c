#include "base/token_bucket.h"

#include "base/assert.h"
#include "base/clock.h"

static bool is_unlimited(const struct token_bucket *bucket)
{
	return bucket->per_s == TOKEN_BUCKET_UNLIMITED;
}

/* How long it takes until so many are gained; rounded up, so that nothing is gained too early. */
static uint64_t time_for(const struct token_bucket *bucket, uint64_t count)
{
	__uint128_t ns = ((__uint128_t)count * NS_PER_S + bucket->per_s - 1) / bucket->per_s;
	return ns > UINT64_MAX / 2 ? UINT64_MAX / 2 : (uint64_t)ns;
}

static void fill(struct token_bucket *bucket, uint64_t now_ns)
{
	ASSERT(now_ns >= bucket->at_ns);
	uint64_t lacks = (uint64_t)((int64_t)bucket->most - bucket->tokens);
	__uint128_t gained = (__uint128_t)(now_ns - bucket->at_ns) * bucket->per_s / NS_PER_S;
	if (is_unlimited(bucket) || gained >= lacks) {
		bucket->tokens = (int64_t)bucket->most;
		bucket->at_ns = now_ns;
		return;
	}
	/* The time of what is less than a whole one is not lost. */
	bucket->tokens += (int64_t)gained;
	bucket->at_ns += time_for(bucket, (uint64_t)gained);
}

void token_bucket_init(struct token_bucket *bucket, uint64_t now_ns, uint64_t per_s, uint64_t most)
{
	ASSERT(per_s > 0 && most > 0 && most <= INT64_MAX);
	*bucket = (struct token_bucket){
	    .per_s = per_s, .most = most, .tokens = (int64_t)most, .at_ns = now_ns};
}

void token_bucket_set(struct token_bucket *bucket, uint64_t now_ns, uint64_t per_s, uint64_t most)
{
	ASSERT(per_s > 0 && most > 0 && most <= INT64_MAX);
	fill(bucket, now_ns);
	bucket->per_s = per_s;
	bucket->most = most;
	bucket->at_ns = now_ns;
	if (bucket->tokens > (int64_t)most)
		bucket->tokens = (int64_t)most;
}

bool token_bucket_is_open(struct token_bucket *bucket, uint64_t now_ns)
{
	fill(bucket, now_ns);
	return bucket->tokens > 0;
}

void token_bucket_take(struct token_bucket *bucket, uint64_t count)
{
	ASSERT(bucket->tokens > 0 && count <= INT64_MAX / 2);
	bucket->tokens -= (int64_t)count;
}

uint64_t token_bucket_opens_ns(const struct token_bucket *bucket)
{
	if (bucket->tokens > 0 || is_unlimited(bucket))
		return bucket->at_ns;
	return bucket->at_ns + time_for(bucket, (uint64_t)(1 - bucket->tokens));
}
