/* SPDX-License-Identifier: MIT */
/*
 * Builds requests of ETSI GS QKD 014 V1.1.1 and verifies its answers, without I/O, so that a table
 * and a fuzzer can ask what each bad server would have achieved.
 *
 * Texts that hold keys are parsed by jansson over the wiping allocator of common/secret.h, and key
 * bytes go from there straight into the batch. No sentence quotes an answer, but for the message of
 * an Error, which holds no key.
 */

#include "drivers/etsi014-message.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>

#include "common/encoding.h"
#include "common/json-text.h"

static const char *const call_names[] = {
	[ETSI014_STATUS] = "status",
	[ETSI014_ENC_KEYS] = "enc_keys",
	[ETSI014_DEC_KEYS] = "dec_keys",
};

static int _printf_(3, 4)
	complain(char what[static ETSI014_WHAT_CHARS], int result, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, ETSI014_WHAT_CHARS, format, arguments);
	va_end(arguments);
	return result;
}

/* ---- requests ---- */

/* RFC 3986 section 2.3: all but the unreserved characters, and '/' where it divides. */
static void percent_encode(const char *text, size_t chars, bool keep_slash, FILE *stream)
{
	for (; chars > 0; text++, chars--)
		if (isalnum((unsigned char)*text) || strchr("-._~", *text) ||
		    (keep_slash && *text == '/'))
			fputc(*text, stream);
		else
			fprintf(stream, "%%%02X", (unsigned char)*text);
}

static void write_base(FILE *stream, const char *host, uint16_t port, const char *prefix)
{
	size_t prefix_chars = strlen(prefix);
	bool is_v6 = strchr(host, ':') != NULL;

	fprintf(stream, "https://%s%s%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "");
	if (port != 0)
		fprintf(stream, ":%u", port);
	while (prefix_chars > 0 && prefix[prefix_chars - 1] == '/')
		prefix_chars--;
	percent_encode(prefix, prefix_chars, true, stream);
}

int etsi014_build_url(const char *host, uint16_t port, const char *prefix, const char *sae,
		      enum etsi014_call call, char **ret)
{
	_cleanup_(freep) char *url = NULL;
	size_t size;
	FILE *stream = open_memstream(&url, &size);

	if (!stream)
		return -ENOMEM;
	write_base(stream, host, port, prefix);
	fputs("/api/v1/keys/", stream);
	percent_encode(sae, strlen(sae), false, stream);
	fprintf(stream, "/%s", call_names[call]);
	if (fclose(stream) != 0 || !url) /* without memory at the very end it is only NULL */
		return -ENOMEM;
	if (size > ETSI014_URL_MAX_CHARS)
		return -ENAMETOOLONG;
	*ret = TAKE_PTR(url);
	return 0;
}

int etsi014_build_enc_keys(size_t count, uint32_t key_bits, char **ret)
{
	char *text;

	if (asprintf(&text, "{\"number\":%zu,\"size\":%" PRIu32 "}", count, key_bits) < 0)
		return -ENOMEM;
	*ret = text;
	return 0;
}

int etsi014_build_dec_keys(const struct uuid *ids, size_t count, char **ret)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return -ENOMEM;
	fputs("{\"key_IDs\":[", stream);
	for (size_t i = 0; i < count; i++) {
		char id[UUID_CHARS + 1];

		uuid_format(&ids[i], id);
		fprintf(stream, "%s{\"key_ID\":\"%s\"}", i ? "," : "", id);
	}
	fputs("]}", stream);
	if (fclose(stream) != 0 || !text)
		return -ENOMEM;
	*ret = TAKE_PTR(text);
	return 0;
}

/* ---- status ---- */

/* Only objects; jansson itself limits the depth. */
static int parse_object(const void *text, size_t size_bytes, json_t **ret)
{
	json_error_t error;
	json_t *root;

	if (!text)
		return -EPROTO;
	root = json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(root)) {
		json_decref(root);
		return -EPROTO;
	}
	*ret = root;
	return 0;
}

static int read_number(const json_t *root, const char *name, uint64_t max, uint64_t *ret,
		       char what[static ETSI014_WHAT_CHARS])
{
	const json_t *value = json_object_get(root, name);
	json_int_t number;

	*ret = 0;
	if (!value || json_is_null(value))
		return 0;
	number = json_integer_value(value);
	if (!json_is_integer(value) || number < 0 || (uint64_t)number > max)
		return complain(what, -EPROTO, "the KME's status has no sensible %s", name);
	*ret = (uint64_t)number;
	return 0;
}

static int read_sae(const json_t *root, const char *name,
		    char ret[static ETSI014_SAE_MAX_CHARS + 1],
		    char what[static ETSI014_WHAT_CHARS])
{
	const json_t *value = json_object_get(root, name);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value) || json_string_length(value) > ETSI014_SAE_MAX_CHARS)
		return complain(what, -EPROTO, "the KME's status has no sensible %s", name);
	snprintf(ret, ETSI014_SAE_MAX_CHARS + 1, "%s", json_string_value(value));
	return 0;
}

static int read_sizes(const json_t *root, struct etsi014_status *status,
		      char what[static ETSI014_WHAT_CHARS])
{
	const struct {
		const char *name;
		uint32_t *field;
	} sizes[] = {
		{"key_size", &status->key_bits},
		{"min_key_size", &status->min_key_bits},
		{"max_key_size", &status->max_key_bits},
		{"max_key_per_request", &status->max_key_per_request},
	};

	for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
		uint64_t number;
		int r = read_number(root, sizes[i].name, INT32_MAX, &number, what);

		if (r < 0)
			return r;
		*sizes[i].field = (uint32_t)number;
	}
	return 0;
}

int etsi014_verify_status(const void *text, size_t size_bytes, struct etsi014_status *ret,
			  char ret_what[static ETSI014_WHAT_CHARS])
{
	_cleanup_(json_decrefp) json_t *root = NULL;
	struct etsi014_status status = {};
	int r;

	r = parse_object(text, size_bytes, &root);
	if (r < 0)
		return complain(ret_what, r, "the KME's status is not a JSON object");
	r = read_sizes(root, &status, ret_what);
	if (r >= 0)
		r = read_number(root, "stored_key_count", INT64_MAX, &status.stored_key_count,
				ret_what);
	if (r >= 0)
		r = read_number(root, "max_key_count", INT64_MAX, &status.max_key_count, ret_what);
	if (r >= 0)
		r = read_sae(root, "master_SAE_ID", status.master_sae, ret_what);
	if (r >= 0)
		r = read_sae(root, "slave_SAE_ID", status.slave_sae, ret_what);
	if (r < 0)
		return r;
	*ret = status;
	return 0;
}

/* ---- keys ---- */

/* One element of "keys", as far as it can be told without touching the key. */
struct entry {
	struct uuid id;
	const json_t *key;
	const char *fault; /* NULL: none found yet */
};

static void read_entry(const json_t *element, struct entry *entry)
{
	const json_t *id = json_object_get(element, "key_ID");

	*entry = (struct entry){.key = json_object_get(element, "key")};
	if (!json_is_string(id) || uuid_parse(json_string_value(id), &entry->id) < 0)
		entry->fault = "a key_ID that is not a UUID";
	else if (!json_is_string(entry->key))
		entry->fault = "no key beside the key_ID";
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *const *left = a, *const *right = b;

	return memcmp(&(*left)->id, &(*right)->id, sizeof((*left)->id));
}

/* Which of two keys the other side has for this id nobody can say, so both fall. */
static void mark_duplicates(struct entry **sorted, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (uuid_equal(&sorted[i - 1]->id, &sorted[i]->id) &&
		    (!sorted[i - 1]->fault || !sorted[i]->fault)) {
			sorted[i - 1]->fault = "a key_ID twice in one answer";
			sorted[i]->fault = sorted[i - 1]->fault;
		}
}

struct container {
	size_t count;
	struct entry entries[DRIVER_MAX_KEYS];
	struct entry *sorted[DRIVER_MAX_KEYS];
};

static void read_container(const json_t *keys, struct container *container)
{
	container->count = json_array_size(keys);
	for (size_t i = 0; i < container->count; i++) {
		read_entry(json_array_get(keys, i), &container->entries[i]);
		container->sorted[i] = &container->entries[i];
	}
	qsort(container->sorted, container->count, sizeof(*container->sorted), compare_entries);
	mark_duplicates(container->sorted, container->count);
}

static const char *decode_key(const struct entry *entry, size_t key_bytes, uint8_t *ret_key)
{
	const char *chars = json_string_value(entry->key);
	size_t chars_count = json_string_length(entry->key), size_bytes;

	if (base64_size(chars, chars_count, &size_bytes) < 0)
		return "a key that is not base64";
	if (size_bytes != key_bytes)
		return "a key of another size than asked for";
	if (base64_decode(chars, chars_count, ret_key, key_bytes) < 0)
		return "a key that is not base64";
	return NULL;
}

static const char *check_seen(const struct etsi014_expected *expected, const struct uuid *id,
			      const uint8_t *key)
{
	if (!expected->seen)
		return NULL;
	if (recent_set_contains(expected->seen, id, sizeof(*id)))
		return "a key_ID that came before";
	if (recent_set_contains(expected->seen, key, expected->key_bytes))
		return "the same key under another key_ID";
	return NULL;
}

/* Every check of one entry, the key into its place; NULL: it passed. */
static const char *check_entry(const struct entry *entry, const struct etsi014_expected *expected,
			       uint8_t *ret_key)
{
	const char *fault = entry->fault ?: decode_key(entry, expected->key_bytes, ret_key);

	if (!fault)
		fault = check_seen(expected, &entry->id, ret_key);
	if (fault)
		secret_wipe(ret_key, expected->key_bytes);
	return fault;
}

static const char *remember(const struct etsi014_expected *expected, const struct uuid *id,
			    uint8_t *key)
{
	int r;

	if (!expected->seen)
		return NULL;
	r = recent_set_add(expected->seen, id, sizeof(*id));
	if (r >= 0)
		r = recent_set_add(expected->seen, key, expected->key_bytes);
	if (r >= 0)
		return NULL;
	secret_wipe(key, expected->key_bytes);
	return r == -EEXIST ? "the same key under another key_ID" : "no memory to remember it in";
}

static int accept_fresh(const struct container *container, const struct etsi014_expected *expected,
			struct key_batch *batch, char what[static ETSI014_WHAT_CHARS])
{
	const char *fault = NULL;
	size_t accepted = 0;

	for (size_t i = 0; i < container->count; i++) {
		const struct entry *entry = &container->entries[i];
		const char *this_fault = "more keys than asked for";

		if (accepted < batch->count)
			this_fault = check_entry(entry, expected, key_batch_key(batch, accepted));
		if (!this_fault)
			this_fault = remember(expected, &entry->id, key_batch_key(batch, accepted));
		if (!this_fault)
			batch->ids[accepted++] = entry->id;
		fault = fault ?: this_fault;
	}
	if (fault)
		complain(what, 0, "%zu of %zu keys of the KME are refused: %s",
			 container->count - accepted, container->count, fault);
	if (accepted == 0)
		return -EPROTO;
	batch->count = accepted;
	return 0;
}

static const struct entry *find_entry(const struct container *container, const struct uuid *id)
{
	size_t low = 0, high = container->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(&container->sorted[middle]->id, id, sizeof(*id));

		if (order == 0)
			return container->sorted[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Remembers only when all have passed, so that a second try is not taken for a repetition. */
static int accept_by_id(const struct container *container, const struct etsi014_expected *expected,
			struct key_batch *batch, char what[static ETSI014_WHAT_CHARS])
{
	const char *fault = NULL;

	for (size_t i = 0; i < expected->count; i++)
		if (!find_entry(container, &expected->ids[i]))
			return complain(what, -ENOKEY,
					"the KME gave %zu keys for %zu ids, and not all of these",
					container->count, expected->count);
	for (size_t i = 0; i < expected->count && !fault; i++)
		fault = check_entry(find_entry(container, &expected->ids[i]), expected,
				    key_batch_key(batch, i));
	for (size_t i = 0; i < expected->count && !fault; i++)
		fault = remember(expected, &expected->ids[i], key_batch_key(batch, i));
	if (fault)
		return complain(what, -EPROTO, "a key of the KME is refused: %s", fault);
	memcpy(batch->ids, expected->ids, expected->count * sizeof(*batch->ids));
	return 0;
}

static int accept(const json_t *keys, const struct etsi014_expected *expected,
		  struct key_batch **ret, char what[static ETSI014_WHAT_CHARS])
{
	_cleanup_(freep) struct container *container = calloc(1, sizeof(*container));
	_cleanup_(key_batch_freep) struct key_batch *batch = NULL;
	int r;

	r = container ? key_batch_new(expected->count, expected->key_bytes, &batch) : -ENOMEM;
	if (r < 0)
		return complain(what, r, "no memory for the keys");
	read_container(keys, container);
	r = expected->ids ? accept_by_id(container, expected, batch, what)
			  : accept_fresh(container, expected, batch, what);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(batch);
	return 0;
}

int etsi014_verify_keys(const void *text, size_t size_bytes,
			const struct etsi014_expected *expected, struct key_batch **ret,
			char ret_what[static ETSI014_WHAT_CHARS])
{
	_cleanup_(json_decrefp) json_t *root = NULL;
	const json_t *keys;

	ret_what[0] = '\0';
	if (parse_object(text, size_bytes, &root) < 0)
		return complain(ret_what, -EPROTO, "the KME's answer is not a JSON object");
	keys = json_object_get(root, "keys");
	if (!json_is_array(keys))
		return complain(ret_what, -EPROTO, "the KME's answer has no array 'keys'");
	if (json_array_size(keys) == 0)
		return complain(ret_what, expected->ids ? -ENOKEY : -EAGAIN, "the KME gave no key");
	if (json_array_size(keys) > DRIVER_MAX_KEYS)
		return complain(ret_what, -EPROTO, "the KME gave more than %d keys at once",
				DRIVER_MAX_KEYS);
	return accept(keys, expected, ret, ret_what);
}

/* ---- refusals ---- */

/* The message of an Error, section 6.5, made harmless for a log; empty when there is none. */
static void read_message(const void *text, size_t size_bytes,
			 char ret[static ETSI014_QUOTE_MAX_CHARS + 1])
{
	_cleanup_(json_decrefp) json_t *root = NULL;
	const char *message = NULL;
	size_t n = 0;

	if (parse_object(text, size_bytes, &root) >= 0)
		message = json_string_value(json_object_get(root, "message"));
	for (; message && message[n] && n < ETSI014_QUOTE_MAX_CHARS; n++)
		ret[n] = isprint((unsigned char)message[n]) ? message[n] : '?';
	ret[n] = '\0';
}

/* Section 5.2 and 5.3: what a 400 says about how it was asked, not about what is in stock. */
static bool is_about_the_request(const char *message)
{
	return strcasestr(message, "multiple of 8") || strcasestr(message, "extension_mandatory");
}

static int result_for_enc_keys(long http_status, const char *message)
{
	switch (http_status) {
	case 400: /* real KMEs say this too when the pool is empty */
		return is_about_the_request(message) ? -EINVAL : -EAGAIN;
	case 401:
	case 403:
		return -EACCES;
	case 404:
	case 408:
	case 409:
	case 412:
	case 429:
	case 503:
		return -EAGAIN;
	default:
		return http_status >= 500 ? -EREMOTEIO : -EPROTO;
	}
}

static int result_for_dec_keys(long http_status)
{
	switch (http_status) {
	case 401:
		return -EACCES;
	case 408:
	case 429:
	case 503:
		return -EAGAIN;
	case 400: /* "one or more keys specified are not found on KME" */
	case 403: /* expired */
	case 404: /* unknown, or given before */
	case 409:
	case 412:
		return -ENOKEY;
	default:
		return http_status >= 500 ? -EREMOTEIO : -EPROTO;
	}
}

static int result_for_status(long http_status)
{
	if (http_status == 401 || http_status == 403)
		return -EACCES;
	return http_status >= 400 ? -EREMOTEIO : -EPROTO;
}

/* What no later try can mend: this is not, or no longer, a KME's interface. */
static bool is_final(long http_status)
{
	return http_status == 405 || http_status == 410 || http_status == 501;
}

void etsi014_verify_refusal(enum etsi014_call call, long http_status, const void *text,
			    size_t size_bytes, struct etsi014_refusal *ret)
{
	char message[ETSI014_QUOTE_MAX_CHARS + 1];

	read_message(text, size_bytes, message);
	*ret = (struct etsi014_refusal){};
	switch (call) {
	case ETSI014_STATUS:
		ret->result = result_for_status(http_status);
		ret->ends = true;
		break;
	case ETSI014_ENC_KEYS:
		ret->result = result_for_enc_keys(http_status, message);
		break;
	case ETSI014_DEC_KEYS:
		ret->result = result_for_dec_keys(http_status);
		break;
	}
	if (ret->result == -EINVAL) {
		ret->ends = true;
		ret->end = DEVICE_WRONG_CONFIGURATION;
	} else if (is_final(http_status)) {
		ret->ends = true;
		ret->end = DEVICE_GIVE_UP;
	}
	complain(ret->what, 0, "the KME %s %s with HTTP status %ld%s%s",
		 ret->result == -EACCES ? "refuses our certificate or SAE, it answered"
					: "answered",
		 call_names[call], http_status, message[0] ? ": " : "", message);
}
