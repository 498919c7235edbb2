#include "tests/fuzz/json_oracle.h"

#include "base/buffer.h"
#include "base/wire/json.h"

/* Both name their kinds of values alike. */
#define JSON_STRING  JANSSON_STRING
#define JSON_INTEGER JANSSON_INTEGER
#define JSON_TRUE    JANSSON_TRUE
#define JSON_FALSE   JANSSON_FALSE
#define JSON_NULL    JANSSON_NULL
#include <jansson.h>
#undef JSON_STRING
#undef JSON_INTEGER
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL

#include <stdlib.h>

enum { OUTPUT_BYTES_MAX = 64 << 20 };

/* What our reader makes of a document, as libjansson's own values. */
struct tree {
	json_t *root;
	json_t *containers[JSON_DEPTH_MAX];
	unsigned depth;
	char *key;
	bool nul_in_key; /* libjansson's keys cannot have that */
};

static void tree_add(struct tree *tree, json_t *value)
{
	if (tree->depth == 0) {
		tree->root = value;
		return;
	}
	json_t *container = tree->containers[tree->depth - 1];
	if (json_is_array(container)) {
		json_array_append_new(container, value);
		return;
	}
	/* The last of equal keys counts, as in libjansson. */
	json_object_set_new_nocheck(container, tree->key, value);
	free(tree->key);
	tree->key = NULL;
}

static void tree_open(struct tree *tree, json_t *container)
{
	tree_add(tree, container);
	tree->containers[tree->depth++] = container;
}

static void tree_key(struct tree *tree, struct slice text)
{
	if (text.bytes > 0 && memchr(text.data, '\0', text.bytes))
		tree->nul_in_key = true;
	free(tree->key);
	tree->key = malloc(text.bytes + 1);
	if (!tree->key)
		abort();
	if (text.bytes > 0)
		memcpy(tree->key, text.data, text.bytes);
	tree->key[text.bytes] = '\0';
}

static void tree_done(struct tree *tree)
{
	json_decref(tree->root);
	free(tree->key);
}

static json_t *string_of(struct slice text)
{
	return json_stringn_nocheck(text.bytes > 0 ? (const char *)text.data : "", text.bytes);
}

static void tree_token(struct tree *tree, const struct json_reader *reader, enum json_token token)
{
	switch (token) {
	case JSON_OBJECT_BEGIN:
		tree_open(tree, json_object());
		return;
	case JSON_ARRAY_BEGIN:
		tree_open(tree, json_array());
		return;
	case JSON_OBJECT_END:
	case JSON_ARRAY_END:
		tree->depth--;
		return;
	case JSON_KEY:
		tree_key(tree, reader->text);
		return;
	case JSON_STRING:
		tree_add(tree, string_of(reader->text));
		return;
	case JSON_INTEGER:
		tree_add(tree, json_integer(reader->integer));
		return;
	case JSON_DOUBLE:
		tree_add(tree, json_real(reader->number));
		return;
	case JSON_TRUE:
		tree_add(tree, json_true());
		return;
	case JSON_FALSE:
		tree_add(tree, json_false());
		return;
	case JSON_NULL:
		tree_add(tree, json_null());
		return;
	case JSON_END:
		return;
	}
}

static void write_token(
    struct json_writer *writer, const struct json_reader *reader, enum json_token token)
{
	switch (token) {
	case JSON_OBJECT_BEGIN:
		json_write_object_begin(writer);
		return;
	case JSON_ARRAY_BEGIN:
		json_write_array_begin(writer);
		return;
	case JSON_OBJECT_END:
		json_write_object_end(writer);
		return;
	case JSON_ARRAY_END:
		json_write_array_end(writer);
		return;
	case JSON_KEY:
		json_write_key(writer, reader->text);
		return;
	case JSON_STRING:
		json_write_string(writer, reader->text);
		return;
	case JSON_INTEGER:
		json_write_integer(writer, reader->integer);
		return;
	case JSON_DOUBLE:
		json_write_double(writer, reader->number);
		return;
	case JSON_TRUE:
	case JSON_FALSE:
		json_write_boolean(writer, token == JSON_TRUE);
		return;
	case JSON_NULL:
		json_write_null(writer);
		return;
	case JSON_END:
		return;
	}
}

/* Reads a document to its end into a tree, and writes it anew into `out`. */
static int read_all(struct slice text, struct tree *tree, struct buffer *out)
{
	struct buffer scratch;
	buffer_init(&scratch, OUTPUT_BYTES_MAX);
	struct json_reader reader;
	json_reader_init(&reader, text, &scratch, JSON_DEPTH_MAX);
	struct json_writer writer;
	json_writer_init(&writer, out);
	enum json_token token = JSON_NULL;
	int error;
	while ((error = json_next(&reader, &token)) == 0 && token != JSON_END) {
		tree_token(tree, &reader, token);
		write_token(&writer, &reader, token);
	}
	if (error == 0 && json_writer_finish(&writer))
		abort(); /* the reader let through what the writer refuses */
	buffer_done(&scratch);
	return error;
}

/* Reads a document by skipping all that its first token begins, and without unescaping. */
static int skip_all(struct slice text, size_t *ret_offset)
{
	struct json_reader reader;
	json_reader_init(&reader, text, NULL, JSON_DEPTH_MAX);
	enum json_token token;
	int error = json_next(&reader, &token);
	if (error == 0)
		error = json_skip(&reader);
	if (error == 0)
		error = json_next(&reader, &token);
	struct json_position position;
	(void)json_error(&reader, &position);
	*ret_offset = position.offset;
	return error;
}

static const char *judge_rewritten(const struct tree *tree, struct slice output)
{
	struct tree again = {.root = NULL};
	struct buffer twice;
	buffer_init(&twice, OUTPUT_BYTES_MAX);
	const char *wrong = NULL;
	if (read_all(output, &again, &twice))
		wrong = "what was written is not JSON";
	else if (!json_equal(tree->root, again.root))
		wrong = "what was written reads back differently";
	else if (!slice_equal(output, buffer_view(&twice)))
		wrong = "what was written, read and written again is different";
	tree_done(&again);
	buffer_done(&twice);
	return wrong;
}

const char *json_oracle(struct slice text)
{
	struct tree tree = {.root = NULL};
	struct buffer output;
	buffer_init(&output, OUTPUT_BYTES_MAX);
	const char *wrong = NULL;
	int ours = read_all(text, &tree, &output);

	size_t offset;
	int skipped = skip_all(text, &offset);
	if (skipped != ours)
		wrong = "skipping and reading do not agree";
	if (offset > text.bytes || (ours == 0 && offset != text.bytes))
		wrong = "the reader stopped at a wrong place";

	json_error_t message;
	json_t *theirs = json_loadb(
	    (const char *)text.data, text.bytes, JSON_DECODE_ANY | JSON_ALLOW_NUL, &message);
	/* A NUL byte is nowhere allowed; libjansson overlooks one behind a number. */
	bool has_nul = text.bytes > 0 && memchr(text.data, '\0', text.bytes);
	if (has_nul && ours == 0)
		wrong = "a NUL byte was accepted";
	bool comparable = ours != ERR_DEPTH && !tree.nul_in_key && !has_nul;
	if (comparable && (ours == 0) != (theirs != NULL))
		wrong = ours == 0 ? "accepted, but not by libjansson"
		                  : "refused, but not by libjansson";
	if (comparable && ours == 0 && theirs && !json_equal(tree.root, theirs))
		wrong = "libjansson reads another value";
	if (!wrong && ours == 0)
		wrong = judge_rewritten(&tree, buffer_view(&output));

	json_decref(theirs);
	tree_done(&tree);
	buffer_done(&output);
	return wrong;
}
