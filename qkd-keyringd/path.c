/* SPDX-License-Identifier: MIT */

/*
 * Paths and sets of paths. Shares by weight come from credit: a choice pays the sum of all weights
 * for each key that it carries, and everybody is given their own weight for each (smooth weighted
 * round robin), so the order is as even as it can be.
 */

#include "qkd-keyringd/path.h"

int path_parse(const json_t *json, struct path *ret)
{
	struct path path = {.count = json_array_size(json)};
	const json_t *value;
	size_t i;

	if (!json_is_array(json) || path.count < 2 || path.count > PATH_MAX_SITES)
		return -EBADMSG;
	json_array_foreach (json, i, value) {
		const char *site = json_string_value(value);

		if (!site || json_string_length(value) > NAME_MAX_CHARS ||
		    !site_name_is_valid(site) || path_find(&path, site) >= 0)
			return -EBADMSG;
		strcpy(path.sites[i], site);
	}
	*ret = path;
	return 0;
}

json_t *path_to_json(const struct path *path)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < path->count; i++)
		if (json_array_append_new(array, json_string_nocheck(path->sites[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

bool path_equal(const struct path *a, const struct path *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!str_equal(a->sites[i], b->sites[i]))
			return false;
	return true;
}

void path_reverse(const struct path *path, struct path *ret)
{
	struct path reverse = {.count = path->count};

	for (size_t i = 0; i < path->count; i++)
		strcpy(reverse.sites[i], path->sites[path->count - 1 - i]);
	*ret = reverse;
}

int path_find(const struct path *path, const char *site)
{
	for (size_t i = 0; i < path->count; i++)
		if (str_equal(path->sites[i], site))
			return (int)i;
	return -1;
}

bool path_is_disjoint(const struct path *a, const struct path *b)
{
	for (size_t i = 1; i + 1 < a->count; i++) {
		int at = path_find(b, a->sites[i]);

		if (at > 0 && (size_t)at + 1 < b->count)
			return false;
	}
	/* Two direct links are the same one. */
	return a->count > 2 || b->count > 2;
}

void path_format(const struct path *path, char ret_text[static PATH_TEXT_MAX])
{
	char *p = ret_text;

	*p = '\0';
	for (size_t i = 0; i < path->count; i++)
		p += sprintf(p, "%s%s", i ? ", " : "", path->sites[i]);
}

static int parse_choice(const json_t *json, const char *site, const char *peer,
			struct path_choice *ret)
{
	struct path_choice choice = {};
	json_t *sites;
	json_int_t weight = 1;

	if (json_unpack_ex((json_t *)json, NULL, JSON_STRICT, "{s:o, s?I}", "sites", &sites,
			   "weight", &weight) < 0 ||
	    weight < 1 || weight > PATH_MAX_WEIGHT || path_parse(sites, &choice.path) < 0)
		return -EBADMSG;
	if (!str_equal(choice.path.sites[0], site) ||
	    !str_equal(choice.path.sites[choice.path.count - 1], peer))
		return -EBADMSG;
	choice.weight = (uint32_t)weight;
	*ret = choice;
	return 0;
}

int path_set_parse(const json_t *json, const char *site, const char *peer, struct path_set *ret)
{
	struct path_set set = {};
	json_int_t stock = 0, disjoint = 1;
	json_t *paths;

	if (json_unpack_ex((json_t *)json, NULL, JSON_STRICT, "{s:o, s?I, s?I}", "paths", &paths,
			   "stock", &stock, "disjoint", &disjoint) < 0 ||
	    !json_is_array(paths) || json_array_size(paths) > PATH_SET_MAX || stock < 0 ||
	    stock > PATH_MAX_STOCK || disjoint < 1 || disjoint > PATH_MAX_DISJOINT)
		return -EBADMSG;
	set.count = json_array_size(paths);
	set.stock = (uint32_t)stock;
	set.disjoint = (uint32_t)disjoint;
	for (size_t i = 0; i < set.count; i++)
		if (parse_choice(json_array_get(paths, i), site, peer, &set.choices[i]) < 0)
			return -EBADMSG;
	*ret = set;
	return 0;
}

json_t *path_set_to_json(const struct path_set *set)
{
	json_t *paths = json_array();

	for (size_t i = 0; paths && i < set->count; i++)
		if (json_array_append_new(paths,
					  json_pack("{s:o, s:I}", "sites",
						    path_to_json(&set->choices[i].path), "weight",
						    (json_int_t)set->choices[i].weight)) < 0) {
			json_decref(paths);
			return NULL;
		}
	return json_pack("{s:o, s:I, s:I}", "paths", paths, "stock", (json_int_t)set->stock,
			 "disjoint", (json_int_t)set->disjoint);
}

int path_set_check(const struct path_set *set)
{
	if (set->disjoint < 2)
		return 0;
	for (size_t i = 0; i < set->count; i++)
		for (size_t j = 0; j < i; j++)
			if (path_is_disjoint(&set->choices[i].path, &set->choices[j].path))
				return 0;
	return -EINVAL;
}

struct pick {
	struct path_set *set;
	path_usable_t usable;
	void *userdata;
	struct path_choice *picked[PATH_MAX_DISJOINT];
};

static bool is_candidate(const struct pick *pick, const struct path_choice *choice, size_t picked)
{
	for (size_t i = 0; i < picked; i++)
		if (!path_is_disjoint(&pick->picked[i]->path, &choice->path))
			return false;
	return pick->usable(&choice->path, pick->userdata);
}

static bool has_partner(const struct pick *pick, const struct path_choice *choice)
{
	for (size_t i = 0; i < pick->set->count; i++) {
		const struct path_choice *other = &pick->set->choices[i];

		if (path_is_disjoint(&choice->path, &other->path) &&
		    pick->usable(&other->path, pick->userdata))
			return true;
	}
	return false;
}

/* The one that is most short of its share. */
static struct path_choice *best(const struct pick *pick, size_t picked)
{
	struct path_choice *found = NULL;

	for (size_t i = 0; i < pick->set->count; i++) {
		struct path_choice *choice = &pick->set->choices[i];

		if (!is_candidate(pick, choice, picked) ||
		    (picked + 1 < pick->set->disjoint && !has_partner(pick, choice)))
			continue;
		if (!found || choice->credit + choice->weight > found->credit + found->weight)
			found = choice;
	}
	return found;
}

bool path_set_pick(struct path_set *set, path_usable_t usable, void *userdata,
		   struct path_choice *ret[static PATH_MAX_DISJOINT])
{
	struct pick pick = {.set = set, .usable = usable, .userdata = userdata};

	for (size_t i = 0; i < set->disjoint; i++) {
		pick.picked[i] = best(&pick, i);
		if (!pick.picked[i])
			return false;
	}
	memcpy(ret, pick.picked, sizeof(pick.picked));
	return true;
}

/* Only those that are to be had now take part. */
void path_set_charge(struct path_set *set, struct path_choice *const *picked, size_t keys,
		     path_usable_t usable, void *userdata)
{
	int64_t total = 0;

	for (size_t i = 0; i < set->count; i++) {
		struct path_choice *choice = &set->choices[i];

		if (!usable(&choice->path, userdata))
			continue;
		choice->credit += (int64_t)keys * choice->weight;
		total += choice->weight;
	}
	for (size_t i = 0; i < set->disjoint; i++)
		picked[i]->credit -= (int64_t)keys * total / set->disjoint;
}
