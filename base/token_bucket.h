/* A rate that is kept over time: what is spent comes out of a bucket that fills evenly.
 *
 * Something may be taken while there is anything in it, however much it is: so what is larger than
 * the bucket goes too, and what is owed is paid before the next one goes. From any moment on, in a
 * time t, at most t * per_s + most + one such thing is taken.
 *
 * Times are nanoseconds of a monotonic clock that the caller reads, so that it can be any. Pure.
 * One thread.
 */
#ifndef KX_BASE_TOKEN_BUCKET_H
#define KX_BASE_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* As a rate: the bucket is always full. */
#define TOKEN_BUCKET_UNLIMITED UINT64_MAX

struct token_bucket {
	uint64_t per_s;
	uint64_t most;  /* that is in it after a pause */
	int64_t tokens; /* below 0: owed */
	uint64_t at_ns; /* when it was that */
};

/* Full. per_s > 0, 0 < most <= INT64_MAX. */
void token_bucket_init(struct token_bucket *bucket, uint64_t now_ns, uint64_t per_s, uint64_t most);
/* Another rate from now on. What was gained stays, up to the new `most`, and what is owed is paid
 * at the new rate. */
void token_bucket_set(struct token_bucket *bucket, uint64_t now_ns, uint64_t per_s, uint64_t most);

/* Whether something may be taken now. */
bool token_bucket_is_open(struct token_bucket *bucket, uint64_t now_ns);
/* While it is open. At most INT64_MAX / 2 at a time. */
void token_bucket_take(struct token_bucket *bucket, uint64_t count);
/* When it is open the next time, if nothing is taken until then; a time that has passed: it is. */
uint64_t token_bucket_opens_ns(const struct token_bucket *bucket);

#endif
