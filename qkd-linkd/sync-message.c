/* SPDX-License-Identifier: MIT */

/*
 * Sync messages to and from JSON. Strict: every member of a kind has to be there and no other, so
 * that what passes has exactly one meaning.
 */

#include "qkd-linkd/sync-message.h"

#include <inttypes.h>

#include "common/encoding.h"
#include "common/json-text.h"

#define HEX64_CHARS      16
#define DUPLICATES_SLOTS 2048

_Static_assert(DUPLICATES_SLOTS >= 2 * SYNC_MAX_KEYS, "the table of ids must not fill up");

static const char *const kind_names[SYNC_KIND_COUNT_] = {
	[SYNC_SYN] = "SYN",       [SYNC_SYN_ACK] = "SYN_ACK", [SYNC_NAK] = "NAK",
	[SYNC_ACK] = "ACK",       [SYNC_DONE] = "DONE",       [SYNC_ABORT] = "ABORT",
	[SYNC_RESUME] = "RESUME",
};

static const char *const reason_names[SYNC_REASON_COUNT_] = {
	[SYNC_REASON_NO_KEY] = "no-key",
	[SYNC_REASON_DEVICE] = "device",
	[SYNC_REASON_FULL] = "full",
	[SYNC_REASON_STALE] = "stale",
};

const char *sync_kind_name(enum sync_kind kind)
{
	return (unsigned)kind < SYNC_KIND_COUNT_ ? kind_names[kind] : "?";
}

const char *sync_reason_name(enum sync_reason reason)
{
	return (unsigned)reason < SYNC_REASON_COUNT_ ? reason_names[reason] : "?";
}

/* 64 random bits do not fit into JSON's integers as everybody reads them. */
static bool read_hex64(const char *text, uint64_t *ret)
{
	uint8_t bytes[HEX64_CHARS / 2];
	uint64_t value = 0;

	if (strlen(text) != HEX64_CHARS || hex_decode(text, sizeof(bytes), bytes) < 0)
		return false;
	for (size_t i = 0; i < sizeof(bytes); i++)
		value = value << 8 | bytes[i];
	*ret = value;
	return true;
}

static void write_hex64(uint64_t value, char ret_text[static HEX64_CHARS + 1])
{
	snprintf(ret_text, HEX64_CHARS + 1, "%016" PRIx64, value);
}

static bool read_number(json_int_t value, uint64_t low, uint64_t *ret)
{
	if (value < 0 || (uint64_t)value < low || (uint64_t)value >= SYNC_MAX_NUMBER)
		return false;
	*ret = (uint64_t)value;
	return true;
}

/* The same id twice in one transaction would be one key at two positions. */
static bool ids_are_distinct(const struct uuid *ids, size_t count)
{
	uint16_t slots[DUPLICATES_SLOTS] = {0}; /* index + 1 */

	for (size_t i = 0; i < count; i++) {
		size_t slot = uuid_hash(&ids[i], 0) % DUPLICATES_SLOTS;

		for (; slots[slot]; slot = (slot + 1) % DUPLICATES_SLOTS)
			if (uuid_equal(&ids[i], &ids[slots[slot] - 1]))
				return false;
		slots[slot] = (uint16_t)(i + 1);
	}
	return true;
}

static const char *verify_syn(json_t *json, struct uuid *ids, struct sync_message *ret)
{
	const char *alpha, *text;
	json_int_t txn;
	size_t chars, size_bytes;

	if (json_unpack(json, "{s:s,s:I,s:s,s:s%!}", "type", &text, "txn", &txn, "alpha", &alpha,
			"ids", &text, &chars) < 0)
		return "members of SYN";
	if (!read_number(txn, 1, &ret->txn))
		return "txn";
	if (!read_hex64(alpha, &ret->syn.alpha))
		return "alpha";
	if (chars > BASE64_CHARS(SYNC_MAX_KEYS * sizeof(*ids)) ||
	    base64_size(text, chars, &size_bytes) < 0 || size_bytes == 0 ||
	    size_bytes > SYNC_MAX_KEYS * sizeof(*ids) || size_bytes % sizeof(*ids) != 0)
		return "number of ids";
	if (base64_decode(text, chars, (uint8_t *)ids, size_bytes) < 0)
		return "ids";
	ret->syn.count = size_bytes / sizeof(*ids);
	ret->syn.ids = ids;
	return ids_are_distinct(ids, ret->syn.count) ? NULL : "the same id twice";
}

static const char *verify_syn_ack(json_t *json, struct sync_message *ret)
{
	const char *alpha, *beta, *type, *tag = NULL;
	json_int_t txn;

	if (json_unpack(json, "{s:s,s:I,s:s,s:s,s?s!}", "type", &type, "txn", &txn, "alpha", &alpha,
			"beta", &beta, "tag", &tag) < 0)
		return "members of SYN_ACK";
	if (!read_number(txn, 1, &ret->txn))
		return "txn";
	if (!read_hex64(alpha, &ret->syn_ack.alpha_plus_one))
		return "alpha";
	if (!read_hex64(beta, &ret->syn_ack.beta))
		return "beta";
	ret->syn_ack.has_tag = tag != NULL;
	if (tag && base64_decode(tag, strlen(tag), ret->syn_ack.tag, SYNC_TAG_BYTES) < 0)
		return "tag";
	return NULL;
}

static const char *verify_nak(json_t *json, struct sync_message *ret)
{
	const char *type, *reason;
	json_int_t txn;

	if (json_unpack(json, "{s:s,s:I,s:s!}", "type", &type, "txn", &txn, "reason", &reason) < 0)
		return "members of NAK";
	if (!read_number(txn, 1, &ret->txn))
		return "txn";
	for (size_t i = 0; i < SYNC_REASON_COUNT_; i++)
		if (str_equal(reason, reason_names[i])) {
			ret->nak.reason = (enum sync_reason)i;
			return NULL;
		}
	return "reason";
}

static const char *verify_ack(json_t *json, struct sync_message *ret)
{
	const char *type, *beta;
	json_int_t txn, first, count;

	if (json_unpack(json, "{s:s,s:I,s:s,s:I,s:I!}", "type", &type, "txn", &txn, "beta", &beta,
			"first", &first, "count", &count) < 0)
		return "members of ACK";
	if (!read_number(txn, 1, &ret->txn))
		return "txn";
	if (!read_hex64(beta, &ret->ack.beta_plus_one))
		return "beta";
	if (!read_number(first, 0, &ret->ack.first))
		return "first";
	if (count < 1 || count > SYNC_MAX_KEYS)
		return "count";
	ret->ack.count = (uint32_t)count;
	return NULL;
}

static const char *verify_bare(json_t *json, struct sync_message *ret)
{
	const char *type;
	json_int_t txn;

	if (json_unpack(json, "{s:s,s:I!}", "type", &type, "txn", &txn) < 0)
		return "members";
	return read_number(txn, 1, &ret->txn) ? NULL : "txn";
}

/* [txn, count] when prepared, [txn, count, first] when committed. */
static bool read_open(json_t *json, struct sync_open *ret)
{
	json_int_t txn, count, first = 0;
	size_t size = json_array_size(json);
	int r;

	if (size == 2)
		r = json_unpack(json, "[I,I!]", &txn, &count);
	else
		r = json_unpack(json, "[I,I,I!]", &txn, &count, &first);
	if (r < 0 || count < 1 || count > SYNC_MAX_KEYS || !read_number(txn, 1, &ret->txn) ||
	    !read_number(first, 0, &ret->first))
		return false;
	ret->count = (uint32_t)count;
	ret->committed = size == 3;
	return true;
}

static const char *verify_open_list(json_t *open, struct sync_resume *ret)
{
	ret->open_count = json_array_size(open);
	if (!json_is_array(open) || ret->open_count > SYNC_MAX_OPEN)
		return "number of open transactions";
	for (size_t i = 0; i < ret->open_count; i++)
		if (!read_open(json_array_get(open, i), &ret->open[i]))
			return "open transaction";
	return NULL;
}

static bool read_store(const char *text, struct uuid *ret)
{
	if (text[0] != '\0')
		return uuid_parse(text, ret) >= 0 && !uuid_is_null(ret);
	*ret = (struct uuid){};
	return true;
}

static const char *verify_resume(json_t *json, struct sync_message *message)
{
	struct sync_resume *ret = &message->resume;
	json_int_t version, generation, next, next_txn, key_bits;
	const char *type, *session, *store;
	json_t *open;
	int confirm;

	message->txn = 0;
	if (json_unpack(json, "{s:s,s:I,s:s,s:s,s:I,s:I,s:I,s:I,s:b,s:o!}", "type", &type,
			"version", &version, "session", &session, "store", &store, "generation",
			&generation, "next", &next, "next_txn", &next_txn, "key_bits", &key_bits,
			"confirm", &confirm, "open", &open) < 0)
		return "members of RESUME";
	if (version != SYNC_PROTOCOL_VERSION)
		return "protocol version";
	if (!read_hex64(session, &ret->session))
		return "session";
	if (!read_store(store, &ret->store))
		return "store";
	if (generation < 0 || generation >= UINT32_MAX || key_bits < 1 || key_bits > UINT16_MAX ||
	    !read_number(next, 0, &ret->next) || !read_number(next_txn, 1, &ret->next_txn))
		return "a number of RESUME";
	ret->generation = (uint32_t)generation;
	ret->key_bits = (uint32_t)key_bits;
	ret->confirm = confirm;
	return verify_open_list(open, ret);
}

static int find_kind(json_t *json, enum sync_kind *ret)
{
	const char *type = json_string_value(json_object_get(json, "type"));

	for (size_t i = 0; type && i < SYNC_KIND_COUNT_; i++)
		if (str_equal(type, kind_names[i])) {
			*ret = (enum sync_kind)i;
			return 0;
		}
	return -EBADMSG;
}

int sync_message_verify(json_t *json, struct uuid ids[static SYNC_MAX_KEYS],
			struct sync_message *ret, const char **ret_what)
{
	const char *what = NULL;
	enum sync_kind kind;

	if (find_kind(json, &kind) < 0) {
		*ret_what = "type";
		return -EBADMSG;
	}
	switch (kind) {
	case SYNC_SYN:
		what = verify_syn(json, ids, ret);
		break;
	case SYNC_SYN_ACK:
		what = verify_syn_ack(json, ret);
		break;
	case SYNC_NAK:
		what = verify_nak(json, ret);
		break;
	case SYNC_ACK:
		what = verify_ack(json, ret);
		break;
	case SYNC_DONE:
	case SYNC_ABORT:
		what = verify_bare(json, ret);
		break;
	case SYNC_RESUME:
		what = verify_resume(json, ret);
		break;
	case SYNC_KIND_COUNT_:
		what = "type";
		break;
	}
	if (what) {
		*ret_what = what;
		return -EBADMSG;
	}
	ret->kind = kind;
	return 0;
}

static json_t *build_syn(const struct sync_message *message)
{
	size_t size_bytes = message->syn.count * sizeof(*message->syn.ids);
	char text[BASE64_CHARS(SYNC_MAX_KEYS * sizeof(struct uuid))];
	char alpha[HEX64_CHARS + 1];

	base64_encode((const uint8_t *)message->syn.ids, size_bytes, text);
	write_hex64(message->syn.alpha, alpha);
	return json_pack("{s:s,s:I,s:s,s:s%}", "type", kind_names[SYNC_SYN], "txn",
			 (json_int_t)message->txn, "alpha", alpha, "ids", text,
			 (size_t)BASE64_CHARS(size_bytes));
}

static json_t *build_syn_ack(const struct sync_message *message)
{
	char alpha[HEX64_CHARS + 1], beta[HEX64_CHARS + 1];
	char tag[BASE64_CHARS(SYNC_TAG_BYTES) + 1] = "";

	write_hex64(message->syn_ack.alpha_plus_one, alpha);
	write_hex64(message->syn_ack.beta, beta);
	if (message->syn_ack.has_tag)
		base64_encode(message->syn_ack.tag, SYNC_TAG_BYTES, tag);
	return json_pack("{s:s,s:I,s:s,s:s,s:s*}", "type", kind_names[SYNC_SYN_ACK], "txn",
			 (json_int_t)message->txn, "alpha", alpha, "beta", beta, "tag",
			 message->syn_ack.has_tag ? tag : NULL);
}

static json_t *build_ack(const struct sync_message *message)
{
	char beta[HEX64_CHARS + 1];

	write_hex64(message->ack.beta_plus_one, beta);
	return json_pack("{s:s,s:I,s:s,s:I,s:I}", "type", kind_names[SYNC_ACK], "txn",
			 (json_int_t)message->txn, "beta", beta, "first",
			 (json_int_t)message->ack.first, "count", (json_int_t)message->ack.count);
}

static json_t *build_open_list(const struct sync_resume *resume)
{
	_cleanup_(json_decrefp) json_t *list = json_array();

	for (size_t i = 0; list && i < resume->open_count; i++) {
		const struct sync_open *open = &resume->open[i];
		json_t *item = open->committed
				       ? json_pack("[I,I,I]", (json_int_t)open->txn,
						   (json_int_t)open->count, (json_int_t)open->first)
				       : json_pack("[I,I]", (json_int_t)open->txn,
						   (json_int_t)open->count);

		if (json_array_append_new(list, item) < 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

static json_t *build_resume(const struct sync_resume *resume)
{
	char session[HEX64_CHARS + 1], store[UUID_CHARS + 1] = "";
	json_t *open = build_open_list(resume);

	if (!open)
		return NULL;
	write_hex64(resume->session, session);
	if (!uuid_is_null(&resume->store))
		uuid_format(&resume->store, store);
	return json_pack(
		"{s:s,s:I,s:s,s:s,s:I,s:I,s:I,s:I,s:b,s:o}", "type", kind_names[SYNC_RESUME],
		"version", (json_int_t)SYNC_PROTOCOL_VERSION, "session", session, "store", store,
		"generation", (json_int_t)resume->generation, "next", (json_int_t)resume->next,
		"next_txn", (json_int_t)resume->next_txn, "key_bits", (json_int_t)resume->key_bits,
		"confirm", (int)resume->confirm, "open", open);
}

int sync_message_build(const struct sync_message *message, json_t **ret)
{
	json_t *json = NULL;

	switch (message->kind) {
	case SYNC_SYN:
		json = build_syn(message);
		break;
	case SYNC_SYN_ACK:
		json = build_syn_ack(message);
		break;
	case SYNC_NAK:
		json = json_pack("{s:s,s:I,s:s}", "type", kind_names[SYNC_NAK], "txn",
				 (json_int_t)message->txn, "reason",
				 reason_names[message->nak.reason]);
		break;
	case SYNC_ACK:
		json = build_ack(message);
		break;
	case SYNC_DONE:
	case SYNC_ABORT:
		json = json_pack("{s:s,s:I}", "type", kind_names[message->kind], "txn",
				 (json_int_t)message->txn);
		break;
	case SYNC_RESUME:
		json = build_resume(&message->resume);
		break;
	case SYNC_KIND_COUNT_:
		break;
	}
	if (!json)
		return -ENOMEM;
	*ret = json;
	return 0;
}
