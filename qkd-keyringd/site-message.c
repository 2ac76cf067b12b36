/* SPDX-License-Identifier: MIT */

/*
 * Verifying and building the site protocol's messages from one table: which members each type has,
 * and how a member is read and written. A message with a member missing, malformed or unknown is
 * not a message.
 */

#include "qkd-keyringd/site-message.h"

enum member {
	MEMBER_REQUEST,
	MEMBER_STORE,
	MEMBER_GENERATION,
	MEMBER_IDS,
	MEMBER_SEQUENCES,
	MEMBER_VERDICTS,
	MEMBER_LABEL,
	MEMBER_LABEL_GENERATION,
	MEMBER_EXPIRES,
	MEMBER_ID,
	MEMBER_BITS,
	MEMBER_TTL,
	MEMBER_ERROR,
	MEMBER_HOLD,
	MEMBER_WAIT,
	MEMBER_COUNT,
	MEMBER_VERSION,
	MEMBER_SITE,
	MEMBER_LOG,
	MEMBER_KNOWN_LOG,
	MEMBER_KNOWN_POSITION,
	MEMBER_FIRST,
	MEMBER_DIGEST,
	MEMBER_BODY,
	MEMBER_PARTS,
	MEMBER_COUNT_,
};

#define SITE_MAX_COUNT  4096 /* lines of a key file */
#define BIT(member)     (1u << (member))
#define MEMBERS_KEYS    (BIT(MEMBER_STORE) | BIT(MEMBER_GENERATION) | BIT(MEMBER_SEQUENCES))
#define MEMBERS_ID_KEYS (MEMBERS_KEYS | BIT(MEMBER_IDS))
#define MEMBERS_LABEL   (BIT(MEMBER_LABEL) | BIT(MEMBER_LABEL_GENERATION) | BIT(MEMBER_EXPIRES))

/* optional: all of them or none. */
static const struct {
	const char *name;
	uint32_t required, optional;
	enum site_message_type answer;
} types[SITE_MESSAGE_TYPE_COUNT_] = {
	[SITE_HELLO] = {"hello",
			BIT(MEMBER_VERSION) | BIT(MEMBER_SITE) | BIT(MEMBER_LOG) |
				BIT(MEMBER_KNOWN_LOG) | BIT(MEMBER_KNOWN_POSITION),
			0, SITE_MESSAGE_TYPE_COUNT_},
	[SITE_MARK] = {"mark",
		       BIT(MEMBER_REQUEST) | MEMBERS_ID_KEYS | BIT(MEMBER_HOLD) | BIT(MEMBER_WAIT) |
			       BIT(MEMBER_BITS) | BIT(MEMBER_PARTS),
		       MEMBERS_LABEL, SITE_MARKED},
	[SITE_MARKED] = {"marked", BIT(MEMBER_REQUEST) | BIT(MEMBER_VERDICTS), MEMBERS_ID_KEYS,
			 SITE_MESSAGE_TYPE_COUNT_},
	[SITE_WITHDRAW] = {"withdraw", BIT(MEMBER_REQUEST) | BIT(MEMBER_ID) | MEMBERS_ID_KEYS, 0,
			   SITE_WITHDRAWN},
	[SITE_WITHDRAWN] = {"withdrawn", BIT(MEMBER_REQUEST) | BIT(MEMBER_VERDICTS), 0,
			    SITE_MESSAGE_TYPE_COUNT_},
	[SITE_LABEL] = {"label",
			BIT(MEMBER_REQUEST) | BIT(MEMBER_LABEL) | BIT(MEMBER_BITS) |
				BIT(MEMBER_TTL) | BIT(MEMBER_WAIT),
			0, SITE_LABELLED},
	[SITE_LABELLED] = {"labelled", BIT(MEMBER_REQUEST) | BIT(MEMBER_ERROR),
			   BIT(MEMBER_LABEL_GENERATION) | BIT(MEMBER_EXPIRES) | BIT(MEMBER_BITS) |
				   BIT(MEMBER_ID),
			   SITE_MESSAGE_TYPE_COUNT_},
	[SITE_LABEL_END] = {"label-end",
			    BIT(MEMBER_REQUEST) | BIT(MEMBER_LABEL) | BIT(MEMBER_LABEL_GENERATION),
			    0, SITE_DONE},
	[SITE_QUERY] = {"query", BIT(MEMBER_REQUEST) | BIT(MEMBER_ID), 0, SITE_STATES},
	[SITE_STATES] = {"states", BIT(MEMBER_REQUEST) | BIT(MEMBER_VERDICTS),
			 MEMBERS_ID_KEYS | BIT(MEMBER_BITS), SITE_MESSAGE_TYPE_COUNT_},
	[SITE_WANT] = {"want", BIT(MEMBER_REQUEST) | BIT(MEMBER_BITS) | BIT(MEMBER_COUNT), 0,
		       SITE_GRANTED},
	[SITE_GRANTED] = {"granted", BIT(MEMBER_REQUEST) | BIT(MEMBER_COUNT), 0,
			  SITE_MESSAGE_TYPE_COUNT_},
	[SITE_LEASE] = {"lease", BIT(MEMBER_REQUEST) | MEMBERS_KEYS, 0, SITE_DONE},
	[SITE_DESTROYED] = {"destroyed", BIT(MEMBER_REQUEST) | MEMBERS_KEYS, 0, SITE_DONE},
	[SITE_SUMMARY] = {"summary",
			  BIT(MEMBER_REQUEST) | BIT(MEMBER_STORE) | BIT(MEMBER_GENERATION) |
				  BIT(MEMBER_FIRST) | BIT(MEMBER_COUNT) | BIT(MEMBER_DIGEST),
			  0, SITE_COMPARED},
	[SITE_COMPARED] = {"compared", BIT(MEMBER_REQUEST) | BIT(MEMBER_VERDICTS), 0,
			   SITE_MESSAGE_TYPE_COUNT_},
	[SITE_DIFFER] = {"differ", BIT(MEMBER_REQUEST) | MEMBERS_ID_KEYS, 0, SITE_DIFFERENCE},
	[SITE_DIFFERENCE] = {"difference", BIT(MEMBER_REQUEST) | BIT(MEMBER_VERDICTS), 0,
			     SITE_MESSAGE_TYPE_COUNT_},
	[SITE_PATH] = {"path", BIT(MEMBER_REQUEST) | BIT(MEMBER_BODY), 0, SITE_PATH_ANSWER},
	[SITE_PATH_ANSWER] = {"path-answer", BIT(MEMBER_REQUEST) | BIT(MEMBER_BODY), 0,
			      SITE_MESSAGE_TYPE_COUNT_},
	[SITE_DONE] = {"done", BIT(MEMBER_REQUEST), 0, SITE_MESSAGE_TYPE_COUNT_},
};

static int get_uuid(const json_t *value, void *field)
{
	const char *text = json_string_value(value);

	return text && json_string_length(value) == UUID_CHARS ? uuid_parse(text, field) : -EBADMSG;
}

static json_t *put_uuid(const void *field)
{
	char text[UUID_CHARS + 1];

	uuid_format(field, text);
	return json_stringn_nocheck(text, UUID_CHARS);
}

static int get_u64(const json_t *value, void *field)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return -EBADMSG;
	*(uint64_t *)field = (uint64_t)json_integer_value(value);
	return 0;
}

static json_t *put_u64(const void *field)
{
	return json_integer((json_int_t) * (const uint64_t *)field);
}

static int get_u32(const json_t *value, void *field)
{
	uint64_t number;

	if (get_u64(value, &number) < 0 || number > UINT32_MAX)
		return -EBADMSG;
	*(uint32_t *)field = (uint32_t)number;
	return 0;
}

static json_t *put_u32(const void *field)
{
	return json_integer(*(const uint32_t *)field);
}

static int get_label(const json_t *value, void *field)
{
	const char *text = json_string_value(value);

	if (!text || json_string_length(value) > LABEL_MAX_CHARS || !label_is_valid(text))
		return -EBADMSG;
	strcpy(field, text);
	return 0;
}

static int get_site(const json_t *value, void *field)
{
	const char *text = json_string_value(value);

	if (!text || json_string_length(value) > NAME_MAX_CHARS || !site_name_is_valid(text))
		return -EBADMSG;
	strcpy(field, text);
	return 0;
}

/* What is in it is path-message.c's. */
static int get_body(const json_t *value, void *field)
{
	if (!json_is_object(value))
		return -EBADMSG;
	*(json_t **)field = json_incref((json_t *)value);
	return 0;
}

static json_t *put_body(const void *field)
{
	return json_incref(*(json_t *const *)field);
}

static json_t *put_text(const void *field)
{
	return json_string_nocheck(field);
}

/* Members that are one value; those that are arrays follow below. */
static const struct {
	const char *name;
	size_t offset;
	uint64_t max; /* of an integer */
	int (*get)(const json_t *value, void *field);
	json_t *(*put)(const void *field);
} scalars[MEMBER_COUNT_] = {
#define FIELD(field) offsetof(struct site_message, field)
	[MEMBER_REQUEST] = {"request", FIELD(request), 0, get_uuid, put_uuid},
	[MEMBER_STORE] = {"store", FIELD(keys.store), 0, get_uuid, put_uuid},
	[MEMBER_GENERATION] = {"generation", FIELD(keys.generation), UINT32_MAX, get_u32, put_u32},
	[MEMBER_LABEL] = {"label", FIELD(label), 0, get_label, put_text},
	[MEMBER_LABEL_GENERATION] = {"label_generation", FIELD(label_generation), INT64_MAX,
				     get_u64, put_u64},
	[MEMBER_EXPIRES] = {"expires_usec", FIELD(expires_usec), INT64_MAX, get_u64, put_u64},
	[MEMBER_ID] = {"id", FIELD(id), 0, get_uuid, put_uuid},
	[MEMBER_BITS] = {"bits", FIELD(bits), SITE_BITS_MAX, get_u32, put_u32},
	[MEMBER_TTL] = {"ttl_sec", FIELD(ttl_sec), SITE_TTL_MAX_SEC, get_u32, put_u32},
	[MEMBER_ERROR] = {"error", FIELD(error), 4095, get_u32, put_u32},
	[MEMBER_HOLD] = {"hold_sec", FIELD(hold_sec), SITE_HOLD_MAX_SEC, get_u32, put_u32},
	[MEMBER_WAIT] = {"wait_msec", FIELD(wait_msec), SITE_WAIT_MAX_MSEC, get_u32, put_u32},
	[MEMBER_COUNT] = {"count", FIELD(count), SITE_MAX_COUNT, get_u32, put_u32},
	[MEMBER_VERSION] = {"version", FIELD(version), UINT32_MAX, get_u32, put_u32},
	[MEMBER_SITE] = {"site", FIELD(site), 0, get_site, put_text},
	[MEMBER_LOG] = {"log", FIELD(log), 0, get_uuid, put_uuid},
	[MEMBER_KNOWN_LOG] = {"known_log", FIELD(known_log), 0, get_uuid, put_uuid},
	[MEMBER_KNOWN_POSITION] = {"known_position", FIELD(known_position), INT64_MAX, get_u64,
				   put_u64},
	[MEMBER_FIRST] = {"first", FIELD(first), INT64_MAX, get_u64, put_u64},
	[MEMBER_DIGEST] = {"digest", FIELD(digest), 0, get_uuid, put_uuid},
	[MEMBER_BODY] = {"body", FIELD(body), 0, get_body, put_body},
	[MEMBER_PARTS] = {"parts", FIELD(parts), SITE_MAX_PARTS, get_u32, put_u32},
#undef FIELD
};

static int get_scalar(const json_t *json, enum member member, struct site_message *message)
{
	const json_t *value = json_object_get(json, scalars[member].name);

	if (!value || scalars[member].get(value, (char *)message + scalars[member].offset) < 0)
		return -EBADMSG;
	if (scalars[member].max && (uint64_t)json_integer_value(value) > scalars[member].max)
		return -EBADMSG;
	return 0;
}

/* Both arrays of keys have the same length. */
static int check_count(const json_t *array, size_t *count)
{
	size_t found = json_array_size(array);

	if (found == 0 || found > SITE_MESSAGE_MAX_KEYS || (*count && *count != found))
		return -EBADMSG;
	*count = found;
	return 0;
}

static int get_ids(const json_t *json, struct site_message *message)
{
	const json_t *array = json_object_get(json, "ids");

	if (check_count(array, &message->keys.count) < 0)
		return -EBADMSG;
	message->keys.ids = calloc(message->keys.count, sizeof(*message->keys.ids));
	if (!message->keys.ids)
		return -ENOMEM;
	for (size_t i = 0; i < message->keys.count; i++)
		if (get_uuid(json_array_get(array, i), &message->keys.ids[i]) < 0)
			return -EBADMSG;
	return 0;
}

static int get_sequences(const json_t *json, struct site_message *message)
{
	const json_t *array = json_object_get(json, "sequences");

	if (check_count(array, &message->keys.count) < 0)
		return -EBADMSG;
	message->keys.sequences = calloc(message->keys.count, sizeof(*message->keys.sequences));
	if (!message->keys.sequences)
		return -ENOMEM;
	for (size_t i = 0; i < message->keys.count; i++)
		if (get_u64(json_array_get(array, i), &message->keys.sequences[i]) < 0)
			return -EBADMSG;
	return 0;
}

static int get_verdicts(const json_t *json, struct site_message *message)
{
	const json_t *value = json_object_get(json, "verdicts");
	const char *text = json_string_value(value);

	if (!text || !*text || strlen(text) != json_string_length(value) ||
	    strlen(text) > SITE_MESSAGE_MAX_KEYS || text[strspn(text, "oralndvsiu")])
		return -EBADMSG;
	message->verdicts = strdup(text);
	return message->verdicts ? 0 : -ENOMEM;
}

static int get_member(const json_t *json, enum member member, struct site_message *message)
{
	if (member == MEMBER_IDS)
		return get_ids(json, message);
	if (member == MEMBER_SEQUENCES)
		return get_sequences(json, message);
	if (member == MEMBER_VERDICTS)
		return get_verdicts(json, message);
	return get_scalar(json, member, message);
}

static bool has_optional(const json_t *json, enum site_message_type type)
{
	for (unsigned i = 0; i < MEMBER_COUNT_; i++)
		if (types[type].optional & BIT(i))
			return json_object_get(json, i == MEMBER_IDS ? "ids" : scalars[i].name);
	return false;
}

static int find_type(const json_t *json, enum site_message_type *ret)
{
	const char *name = json_string_value(json_object_get(json, "type"));

	for (unsigned i = 0; name && i < SITE_MESSAGE_TYPE_COUNT_; i++)
		if (str_equal(types[i].name, name)) {
			*ret = (enum site_message_type)i;
			return 0;
		}
	return -EBADMSG;
}

static int get_members(const json_t *json, uint32_t members, struct site_message *message)
{
	size_t found = 1; /* the type */

	for (unsigned i = 0; i < MEMBER_COUNT_; i++) {
		if (!(members & BIT(i)))
			continue;
		if (get_member(json, (enum member)i, message) < 0)
			return -EBADMSG;
		found++;
	}
	return json_object_size(json) == found ? 0 : -EBADMSG;
}

int site_message_verify(const json_t *json, struct site_message *ret)
{
	struct site_message message = {};
	uint32_t members;

	if (!json_is_object(json) || find_type(json, &message.type) < 0)
		return -EBADMSG;
	members = types[message.type].required;
	if (has_optional(json, message.type))
		members |= types[message.type].optional;
	if (get_members(json, members, &message) < 0) {
		site_message_done(&message);
		return -EBADMSG;
	}
	*ret = message;
	return 0;
}

void site_keys_done(struct site_keys *keys)
{
	free(keys->ids);
	free(keys->sequences);
	*keys = (struct site_keys){};
}

void site_message_done(struct site_message *message)
{
	site_keys_done(&message->keys);
	free(message->verdicts);
	json_decref(message->body);
	*message = (struct site_message){};
}

static json_t *put_ids(const struct site_keys *keys)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < keys->count; i++)
		if (json_array_append_new(array, put_uuid(&keys->ids[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *put_sequences(const struct site_keys *keys)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < keys->count; i++)
		if (json_array_append_new(array, put_u64(&keys->sequences[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static int put_member(json_t *json, enum member member, const struct site_message *message)
{
	const char *name = scalars[member].name;
	json_t *value;

	if (member == MEMBER_IDS) {
		name = "ids";
		value = put_ids(&message->keys);
	} else if (member == MEMBER_SEQUENCES) {
		name = "sequences";
		value = put_sequences(&message->keys);
	} else if (member == MEMBER_VERDICTS) {
		name = "verdicts";
		value = json_string_nocheck(message->verdicts);
	} else {
		value = scalars[member].put((const char *)message + scalars[member].offset);
	}
	return json_object_set_new_nocheck(json, name, value) < 0 ? -ENOMEM : 0;
}

/* Which of a type's optional members a message that we build has. */
static uint32_t optional_members(const struct site_message *message)
{
	bool has = false;

	if (message->type == SITE_MARK)
		has = *message->label;
	else if (message->type == SITE_MARKED || message->type == SITE_STATES)
		has = message->keys.count > 0;
	else if (message->type == SITE_LABELLED)
		has = message->error == 0;
	return has ? types[message->type].optional : 0;
}

int site_message_build(const struct site_message *message, json_t **ret)
{
	uint32_t members = types[message->type].required | optional_members(message);
	json_t *json = json_object();
	int r = json ? 0 : -ENOMEM;

	if (r >= 0 && json_object_set_new_nocheck(
			      json, "type", json_string_nocheck(types[message->type].name)) < 0)
		r = -ENOMEM;
	for (unsigned i = 0; r >= 0 && i < MEMBER_COUNT_; i++)
		if (members & BIT(i))
			r = put_member(json, (enum member)i, message);
	if (r < 0) {
		json_decref(json);
		return r;
	}
	*ret = json;
	return 0;
}

enum site_message_type site_message_answer(enum site_message_type request)
{
	return types[request].answer;
}

const char *site_message_name(enum site_message_type type)
{
	return types[type].name;
}

int site_frame_build(json_t *messages, uint64_t position, json_t **ret)
{
	json_t *frame = json_pack("{sOsI}", "messages", messages, "position", (json_int_t)position);

	if (!frame)
		return -ENOMEM;
	*ret = frame;
	return 0;
}

json_t *site_frame_verify(const json_t *frame, uint64_t *ret_position)
{
	json_t *messages = json_object_get(frame, "messages");

	if (!json_is_array(messages) || json_object_size(frame) != 2 ||
	    json_array_size(messages) == 0 || json_array_size(messages) > SITE_FRAME_MAX_MESSAGES)
		return NULL;
	if (get_u64(json_object_get(frame, "position"), ret_position) < 0)
		return NULL;
	return messages;
}

size_t site_message_size_bytes(const struct site_message *message)
{
	size_t key_bytes = UUID_CHARS + 3 + 21; /* an id, a sequence number, their punctuation */

	return 512 + message->body_bytes + message->keys.count * key_bytes +
	       (message->verdicts ? strlen(message->verdicts) : 0);
}
