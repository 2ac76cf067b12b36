/* SPDX-License-Identifier: MIT */
/*
 * Reads the policy file into rules, and reports everything that is wrong with it, each error at
 * its line and column. A policy with an error is no policy: nothing of it takes effect.
 */

#include "common/config.h"
#include "policy-rule.h"
#include "request-text.h"

#define POINTER_MAX_CHARS 128
#define GLOB_MAX_CHARS    (2 * LABEL_MAX_CHARS)

struct policy_reader {
	json_t *rules; /* only a place for the table below */
	struct policy *policy;
	const struct policy_names *names;
	int result; /* lack of memory */
};

/* One rule, or one member of it, while it is read. */
struct place {
	struct config *config;
	struct policy_reader *reader;
	struct policy_rule *rule;
	char pointer[POINTER_MAX_CHARS];
};

static struct place place_member(const struct place *parent, const char *name)
{
	struct place place = *parent;

	snprintf(place.pointer, sizeof(place.pointer), "%.*s/%s", POINTER_MAX_CHARS / 2,
		 parent->pointer, name);
	return place;
}

static struct place place_element(const struct place *parent, size_t i)
{
	char number[24];

	snprintf(number, sizeof(number), "%zu", i);
	return place_member(parent, number);
}

#define place_error(place, ...) config_error((place)->config, (place)->pointer, __VA_ARGS__)

static void out_of_memory(const struct place *place)
{
	place->reader->result = -ENOMEM;
}

/* Calls each() for every element of a list that is neither empty nor too long. */
static void read_list(const struct place *place, json_t *value,
		      void (*each)(const struct place *place, json_t *value))
{
	if (!json_is_array(value) || json_array_size(value) == 0 ||
	    json_array_size(value) > POLICY_MAX_LIST) {
		place_error(place, "expected a list of 1 to %d entries", POLICY_MAX_LIST);
		return;
	}
	for (size_t i = 0; i < json_array_size(value); i++) {
		struct place element = place_element(place, i);

		each(&element, json_array_get(value, i));
	}
}

/* Appends ids; room for one list's elements and, for groups, their members. */
static void append_ids(const struct place *place, uint32_t **ids, size_t *count,
		       const uint32_t *more, size_t more_count)
{
	uint32_t *grown = reallocarray(*ids, *count + more_count + 1, sizeof(*grown));

	if (!grown) {
		out_of_memory(place);
		return;
	}
	if (more_count > 0)
		memcpy(grown + *count, more, more_count * sizeof(*more));
	*ids = grown;
	*count += more_count;
}

static bool id_from_number(const struct place *place, json_t *value, uint32_t *ret)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0 || number >= UINT32_MAX) {
		place_error(place, "expected a name or a number");
		return false;
	}
	*ret = (uint32_t)number;
	return true;
}

static void read_user(const struct place *place, json_t *value)
{
	uint32_t uid;

	if (json_is_string(value)) {
		if (place->reader->names->user(json_string_value(value), &uid) < 0) {
			place_error(place, "no user \"%s\" on this machine",
				    json_string_value(value));
			return;
		}
	} else if (!id_from_number(place, value, &uid)) {
		return;
	}
	append_ids(place, &place->rule->users, &place->rule->user_count, &uid, 1);
}

static void read_group(const struct place *place, json_t *value)
{
	_cleanup_(freep) uid_t *members = NULL;
	size_t member_count = 0;
	uint32_t gid;

	if (json_is_string(value)) {
		if (place->reader->names->group(json_string_value(value), &gid, &members,
						&member_count) < 0) {
			place_error(place, "no group \"%s\" on this machine",
				    json_string_value(value));
			return;
		}
	} else if (!id_from_number(place, value, &gid)) {
		return;
	}
	append_ids(place, &place->rule->groups, &place->rule->group_count, &gid, 1);
	append_ids(place, &place->rule->users, &place->rule->user_count, members, member_count);
}

static void read_size(const struct place *place, json_t *value)
{
	json_int_t bits = json_integer_value(value);
	uint32_t size;

	if (!json_is_integer(value) || bits < 0 || !request_text_bits_are_valid((uint64_t)bits)) {
		place_error(place, "expected a number of bits, a multiple of 8 from %u to %u",
			    REQUEST_TEXT_MIN_BITS, REQUEST_TEXT_MAX_BITS);
		return;
	}
	size = (uint32_t)bits;
	append_ids(place, &place->rule->sizes, &place->rule->size_count, &size, 1);
}

static void append_glob(const struct place *place, char ***globs, json_t *value)
{
	const char *text = json_string_value(value);
	size_t count = 0;
	char **grown;

	if (!text || !*text || strlen(text) > GLOB_MAX_CHARS) {
		place_error(place, "expected a name or a pattern such as \"vpn-*\"");
		return;
	}
	while (*globs && (*globs)[count])
		count++;
	grown = reallocarray(*globs, count + 2, sizeof(*grown));
	if (!grown) {
		out_of_memory(place);
		return;
	}
	*globs = grown;
	grown[count] = strdup(text);
	grown[count + 1] = NULL;
	if (!grown[count])
		out_of_memory(place);
}

static void read_peer(const struct place *place, json_t *value)
{
	append_glob(place, &place->rule->peers, value);
}

static void read_label(const struct place *place, json_t *value)
{
	append_glob(place, &place->rule->labels, value);
}

static void read_users(const struct place *place, json_t *value)
{
	place->rule->names_requesters = true;
	read_list(place, value, read_user);
}

static void read_groups(const struct place *place, json_t *value)
{
	place->rule->names_requesters = true;
	read_list(place, value, read_group);
}

static void read_peers(const struct place *place, json_t *value)
{
	read_list(place, value, read_peer);
}

static void read_labels(const struct place *place, json_t *value)
{
	read_list(place, value, read_label);
}

static void read_sizes(const struct place *place, json_t *value)
{
	read_list(place, value, read_size);
}

static void read_flag(const struct place *place, json_t *value, bool *ret)
{
	if (json_is_boolean(value))
		*ret = json_is_true(value);
	else
		place_error(place, "expected true or false");
}

static void read_allow(const struct place *place, json_t *value)
{
	bool allow = true;

	read_flag(place, value, &allow);
	place->rule->refuse = !allow;
}

static void read_by_id(const struct place *place, json_t *value)
{
	read_flag(place, value, &place->rule->by_id);
}

static void read_rate_number(const struct place *rate, json_t *object, const char *name,
			     uint32_t *ret)
{
	struct place place = place_member(rate, name);
	json_t *value = json_object_get(object, name);
	json_int_t number = json_integer_value(value);

	if (!value)
		return;
	if (!json_is_integer(value) || number < 1 || number > POLICY_MAX_RATE)
		place_error(&place, "expected a number from 1 to %d", POLICY_MAX_RATE);
	else
		*ret = (uint32_t)number;
}

static void read_rate(const struct place *place, json_t *value)
{
	static const char *const known[] = {"keys_per_sec", "burst", NULL};
	struct policy_rule *rule = place->rule;

	if (!json_is_object(value) || !json_object_get(value, "keys_per_sec")) {
		place_error(place, "expected {\"keys_per_sec\": NUMBER}, and \"burst\" if wanted");
		return;
	}
	config_check_members(place->config, place->pointer, value, known);
	read_rate_number(place, value, "keys_per_sec", &rule->keys_per_sec);
	rule->burst = rule->keys_per_sec;
	read_rate_number(place, value, "burst", &rule->burst);
}

static void read_comment(const struct place *place, json_t *value)
{
	if (!json_is_string(value))
		place_error(place, "expected text");
}

static const struct {
	const char *name;
	void (*read)(const struct place *place, json_t *value);
} members[] = {
	{"allow", read_allow}, {"users", read_users},   {"groups", read_groups},
	{"peers", read_peers}, {"labels", read_labels}, {"by_id", read_by_id},
	{"sizes", read_sizes}, {"rate", read_rate},     {"comment", read_comment},
};

static void check_rule_members(const struct place *place, json_t *value)
{
	const char *known[ELEMENTSOF(members) + 1] = {NULL};

	for (size_t i = 0; i < ELEMENTSOF(members); i++)
		known[i] = members[i].name;
	config_check_members(place->config, place->pointer, value, known);
}

static void read_rule(const struct place *place, json_t *value)
{
	if (!json_is_object(value)) {
		place_error(place, "expected a rule, {...}");
		return;
	}
	check_rule_members(place, value);
	place->rule->by_id = !json_object_get(value, "labels");
	for (size_t i = 0; i < ELEMENTSOF(members); i++) {
		json_t *member = json_object_get(value, members[i].name);
		struct place at = place_member(place, members[i].name);

		if (member)
			members[i].read(&at, member);
	}
}

static int parse_rules(struct config *config, const char *pointer, json_t *value, void *field)
{
	struct policy_reader *reader = CONTAINER_OF(field, struct policy_reader, rules);
	struct place place = {.config = config, .reader = reader};
	size_t count = json_array_size(value);

	snprintf(place.pointer, sizeof(place.pointer), "%s", pointer);
	if (!json_is_array(value) || count > POLICY_MAX_RULES) {
		place_error(&place, "expected a list of at most %d rules", POLICY_MAX_RULES);
		return 0;
	}
	reader->policy->rules = calloc(count + 1, sizeof(*reader->policy->rules));
	if (!reader->policy->rules) {
		out_of_memory(&place);
		return 0;
	}
	reader->policy->rule_count = count;
	for (size_t i = 0; i < count; i++) {
		struct place rule = place_element(&place, i);

		rule.rule = &reader->policy->rules[i];
		read_rule(&rule, json_array_get(value, i));
	}
	return 0;
}

int policy_load(const char *file, const struct policy_names *names, FILE *errors,
		struct policy **ret)
{
	static const struct config_setting settings[] = {
		{
			.name = "rules",
			.type = CONFIG_CUSTOM,
			.offset = offsetof(struct policy_reader, rules),
			.required = true,
			.parse = parse_rules,
		},
	};
	_cleanup_(policy_freep) struct policy *policy = calloc(1, sizeof(*policy));
	_cleanup_(config_freep) struct config *config = NULL;
	struct policy_reader reader = {.policy = policy, .names = names};
	char *const no_arguments[] = {NULL};
	int r;

	if (!policy)
		return -ENOMEM;
	if (access(file, F_OK) < 0 && errno == ENOENT)
		return -ENOENT;
	r = config_new(file, no_arguments, &config);
	if (r < 0)
		return r;
	r = config_read(config, settings, ELEMENTSOF(settings), &reader);
	if (reader.result < 0)
		return reader.result;
	if (r < 0) {
		config_print_errors(config, errors);
		return r;
	}
	*ret = TAKE_PTR(policy);
	return 0;
}
