/* SPDX-License-Identifier: MIT */

/*
 * Verifying and building, one table: which members a step has, and how each is read and written. A
 * body with a member missing, malformed or unknown is none.
 */

#include "qkd-keyringd/path-message.h"

#include "common/encoding.h"
#include "common/keyfile.h"

struct member {
	const char *name;
	int (*get)(const json_t *value, struct path_message *message);
	json_t *(*put)(const struct path_message *message);
};

static int get_number(const json_t *value, uint64_t max, uint64_t *ret)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > max)
		return -EBADMSG;
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}

static int get_u32(const json_t *value, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t number;

	if (get_number(value, max, &number) < 0 || number < min)
		return -EBADMSG;
	*ret = (uint32_t)number;
	return 0;
}

static int get_uuid(const json_t *value, struct uuid *ret)
{
	const char *text = json_string_value(value);

	return text && json_string_length(value) == UUID_CHARS && uuid_parse(text, ret) >= 0
		       ? 0
		       : -EBADMSG;
}

static json_t *put_uuid(const struct uuid *id)
{
	char text[UUID_CHARS + 1];

	uuid_format(id, text);
	return json_stringn_nocheck(text, UUID_CHARS);
}

static int get_build(const json_t *value, struct path_message *message)
{
	return get_uuid(value, &message->build);
}

static json_t *put_build(const struct path_message *message)
{
	return put_uuid(&message->build);
}

static int get_leg(const json_t *value, struct path_message *message)
{
	return get_u32(value, 0, PATH_MAX_DISJOINT - 1, &message->leg);
}

static json_t *put_leg(const struct path_message *message)
{
	return json_integer(message->leg);
}

static int get_bits(const json_t *value, struct path_message *message)
{
	if (get_u32(value, KEYFILE_BITS_MIN, KEYFILE_BITS_MAX, &message->bits) < 0 ||
	    message->bits % 8 != 0)
		return -EBADMSG;
	return 0;
}

static json_t *put_bits(const struct path_message *message)
{
	return json_integer(message->bits);
}

static int get_count(const json_t *value, struct path_message *message)
{
	return get_u32(value, 1, PATH_MESSAGE_MAX_KEYS, &message->count);
}

static json_t *put_count(const struct path_message *message)
{
	return json_integer(message->count);
}

static int get_wait(const json_t *value, struct path_message *message)
{
	return get_u32(value, 0, PATH_MESSAGE_MAX_WAIT_MSEC, &message->wait_msec);
}

static json_t *put_wait(const struct path_message *message)
{
	return json_integer(message->wait_msec);
}

static int get_push(const json_t *value, struct path_message *message)
{
	message->push = json_is_true(value);
	return json_is_boolean(value) ? 0 : -EBADMSG;
}

static json_t *put_push(const struct path_message *message)
{
	return json_boolean(message->push);
}

static int get_path(const json_t *value, struct path_message *message)
{
	message->leg_count = 1;
	return path_parse(value, &message->legs[0]);
}

static json_t *put_path(const struct path_message *message)
{
	return path_to_json(&message->legs[0]);
}

static int get_legs(const json_t *value, struct path_message *message)
{
	int r = 0;

	message->leg_count = json_array_size(value);
	if (message->leg_count == 0 || message->leg_count > PATH_MAX_DISJOINT)
		return -EBADMSG;
	for (size_t i = 0; r >= 0 && i < message->leg_count; i++)
		r = path_parse(json_array_get(value, i), &message->legs[i]);
	return r;
}

static json_t *put_legs(const struct path_message *message)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < message->leg_count; i++)
		if (json_array_append_new(array, path_to_json(&message->legs[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static int get_store(const json_t *value, struct path_message *message)
{
	return get_uuid(value, &message->keys.store);
}

static json_t *put_store(const struct path_message *message)
{
	return put_uuid(&message->keys.store);
}

static int get_generation(const json_t *value, struct path_message *message)
{
	return get_u32(value, 0, UINT32_MAX, &message->keys.generation);
}

static json_t *put_generation(const struct path_message *message)
{
	return json_integer(message->keys.generation);
}

static int get_first(const json_t *value, struct path_message *message)
{
	return get_number(value, UINT64_C(1) << 43, &message->first);
}

static json_t *put_first(const struct path_message *message)
{
	return json_integer((json_int_t)message->first);
}

/* Both arrays of keys have the same length. */
static int set_count(struct path_message *message, const json_t *array)
{
	size_t count = json_array_size(array);

	if (!json_is_array(array) || count > PATH_MESSAGE_MAX_KEYS ||
	    (message->keys.count && message->keys.count != count))
		return -EBADMSG;
	message->keys.count = count;
	return 0;
}

static int get_ids(const json_t *value, struct path_message *message)
{
	struct site_keys *keys = &message->keys;

	if (set_count(message, value) < 0)
		return -EBADMSG;
	keys->ids = calloc(keys->count + 1, sizeof(*keys->ids));
	if (!keys->ids)
		return -ENOMEM;
	for (size_t i = 0; i < keys->count; i++)
		if (get_uuid(json_array_get(value, i), &keys->ids[i]) < 0)
			return -EBADMSG;
	return 0;
}

static json_t *put_ids(const struct path_message *message)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < message->keys.count; i++)
		if (json_array_append_new(array, put_uuid(&message->keys.ids[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

/* A binding has at least one key; what is kept may be none. */
static int get_sequences(const json_t *value, struct path_message *message)
{
	struct site_keys *keys = &message->keys;

	if (json_array_size(value) == 0 || set_count(message, value) < 0)
		return -EBADMSG;
	keys->sequences = calloc(keys->count, sizeof(*keys->sequences));
	if (!keys->sequences)
		return -ENOMEM;
	for (size_t i = 0; i < keys->count; i++)
		if (get_number(json_array_get(value, i), INT64_MAX, &keys->sequences[i]) < 0)
			return -EBADMSG;
	return 0;
}

static json_t *put_sequences(const struct path_message *message)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < message->keys.count; i++)
		if (json_array_append_new(
			    array, json_integer((json_int_t)message->keys.sequences[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

/* Base64; "" for none. */
static int get_bytes(const json_t *value, struct path_message *message)
{
	const char *text = json_string_value(value);
	size_t size = 0;
	int r;

	if (!text)
		return -EBADMSG;
	if (!*text)
		return json_string_length(value) == 0 ? 0 : -EBADMSG;
	if (base64_size(text, json_string_length(value), &size) < 0 ||
	    size > PATH_MESSAGE_MAX_KEYS * KEYFILE_BITS_MAX / 8 ||
	    secret_new(size, &message->bytes) < 0)
		return -EBADMSG;
	r = base64_decode(text, json_string_length(value), message->bytes->bytes, size);
	return r < 0 ? -EBADMSG : 0;
}

static json_t *put_bytes(const struct path_message *message)
{
	_cleanup_(secret_freep) struct secret *text = NULL;
	size_t chars;

	if (!message->bytes)
		return json_string_nocheck("");
	chars = BASE64_CHARS(message->bytes->size_bytes);
	if (secret_new(chars, &text) < 0)
		return NULL;
	base64_encode(message->bytes->bytes, message->bytes->size_bytes, (char *)text->bytes);
	return json_stringn_nocheck((const char *)text->bytes, chars);
}

static int get_error(const json_t *value, struct path_message *message)
{
	return get_u32(value, 0, 4095, &message->error);
}

static json_t *put_error(const struct path_message *message)
{
	return json_integer(message->error);
}

/* Where an error was found; "" for none. */
static int get_site(const json_t *value, struct path_message *message)
{
	const char *text = json_string_value(value);

	if (!text || strlen(text) != json_string_length(value) ||
	    (*text && !site_name_is_valid(text)))
		return -EBADMSG;
	strcpy(message->site, text);
	return 0;
}

static json_t *put_site(const struct path_message *message)
{
	return json_string_nocheck(message->site);
}

static int get_weight(const json_t *value, struct path_message *message)
{
	return get_u32(value, 1, PATH_MAX_WEIGHT, &message->weight);
}

static json_t *put_weight(const struct path_message *message)
{
	return json_integer(message->weight);
}

static int get_stock(const json_t *value, struct path_message *message)
{
	return get_u32(value, 0, PATH_MAX_STOCK, &message->stock);
}

static json_t *put_stock(const struct path_message *message)
{
	return json_integer(message->stock);
}

static int get_disjoint(const json_t *value, struct path_message *message)
{
	return get_u32(value, 1, PATH_MAX_DISJOINT, &message->disjoint);
}

static json_t *put_disjoint(const struct path_message *message)
{
	return json_integer(message->disjoint);
}

#define MEMBER(member)                              \
	{                                           \
#member, get_##member, put_##member \
	}
static const struct member build = MEMBER(build), leg = MEMBER(leg), bits = MEMBER(bits),
			   count = MEMBER(count), push = MEMBER(push), path = MEMBER(path),
			   legs = MEMBER(legs), store = MEMBER(store),
			   generation = MEMBER(generation), first = MEMBER(first),
			   ids = MEMBER(ids), sequences = MEMBER(sequences), bytes = MEMBER(bytes),
			   error = MEMBER(error), site = MEMBER(site), weight = MEMBER(weight),
			   stock = MEMBER(stock), disjoint = MEMBER(disjoint),
			   wait_msec = {"wait_msec", get_wait, put_wait};

static const struct {
	const char *name;
	const struct member *members[10];
} steps[PATH_STEP_COUNT_] = {
	[PATH_BUILD] = {"build-xor-key", {&build, &legs, &bits, &count, &wait_msec}},
	[PATH_BIND] = {"bind-key",
		       {&build, &leg, &path, &store, &generation, &ids, &sequences, &bits,
			&wait_msec, &push}},
	[PATH_COMBINED] = {"combined-key", {&build, &leg, &bytes, &error, &site}},
	[PATH_KEEP] = {"store-reserved-key", {&build, &store, &generation, &first, &bits, &ids}},
	[PATH_START] = {"start-node", {&path, &weight, &stock, &disjoint, &wait_msec}},
	[PATH_STOP] = {"end-key-exchange", {&path, &wait_msec}},
	[PATH_ANSWER] = {"answer", {&error, &site, &bytes}},
};

static int find_step(const json_t *body, enum path_step *ret)
{
	const char *name = json_string_value(json_object_get(body, "step"));

	for (unsigned i = 0; name && i < PATH_STEP_COUNT_; i++)
		if (str_equal(steps[i].name, name)) {
			*ret = (enum path_step)i;
			return 0;
		}
	return -EBADMSG;
}

static int get_members(const json_t *body, struct path_message *message)
{
	const struct member *const *members = steps[message->step].members;
	size_t found = 1; /* the step */
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ELEMENTSOF(steps[0].members) && members[i]; i++) {
		r = members[i]->get(json_object_get(body, members[i]->name), message);
		found++;
	}
	return r >= 0 && json_object_size(body) != found ? -EBADMSG : r;
}

int path_message_verify(const json_t *body, struct path_message *ret)
{
	struct path_message message = {};
	int r = find_step(body, &message.step);

	if (r < 0)
		return r;
	r = get_members(body, &message);
	if (r < 0) {
		path_message_done(&message);
		return r;
	}
	*ret = message;
	return 0;
}

void path_message_done(struct path_message *message)
{
	site_keys_done(&message->keys);
	secret_free(message->bytes);
	*message = (struct path_message){};
}

json_t *path_message_build(const struct path_message *message)
{
	const struct member *const *members = steps[message->step].members;
	json_t *body = json_object();
	int r = body ? json_object_set_new_nocheck(body, "step",
						   json_string_nocheck(steps[message->step].name))
		     : -1;

	for (size_t i = 0; r >= 0 && i < ELEMENTSOF(steps[0].members) && members[i]; i++)
		r = json_object_set_new_nocheck(body, members[i]->name, members[i]->put(message));
	if (r >= 0)
		return body;
	json_decref(body);
	return NULL;
}

size_t path_message_size_bytes(const struct path_message *message)
{
	size_t sites = message->leg_count * PATH_MAX_SITES * (NAME_MAX_CHARS + 3);

	return 512 + sites + message->keys.count * (UUID_CHARS + 24) +
	       (message->bytes ? BASE64_CHARS(message->bytes->size_bytes) : 0);
}
