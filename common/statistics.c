/* SPDX-License-Identifier: MIT */

/*
 * The reader's side of statistics: what costs more than an update does is done here, when somebody
 * asks.
 */

#include "common/statistics.h"

#include <time.h>

#include "common/statistics-filter.h"

static const char *const kind_names[] = {
	[STATISTICS_COUNTER] = "counter",
	[STATISTICS_GAUGE] = "gauge",
	[STATISTICS_SUMMARY] = "summary",
};

const char *statistics_kind_name(enum statistics_kind kind)
{
	return kind_names[kind];
}

int statistics_kind_parse(const char *name, enum statistics_kind *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(kind_names); i++) {
		if (!str_equal(name, kind_names[i]))
			continue;
		*ret = (enum statistics_kind)i;
		return 0;
	}
	return -EINVAL;
}

bool statistics_name_is_valid(const char *name)
{
	bool begins = true; /* a word */

	for (size_t i = 0; name[i]; i++) {
		char c = name[i];
		bool is_letter = c >= 'a' && c <= 'z';

		if (i >= STATISTICS_NAME_MAX_CHARS)
			return false;
		if (c == '.' && !begins)
			begins = true;
		else if (is_letter || (!begins && (c == '_' || (c >= '0' && c <= '9'))))
			begins = false;
		else
			return false;
	}
	return !begins;
}

uint64_t statistics_clock_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

void statistics_init(struct statistics *set, uint64_t now_usec)
{
	*set = (struct statistics){.sampled_usec = {now_usec, now_usec}};
}

void statistics_add_group(struct statistics *set, struct statistics_group *group)
{
	struct statistics_group **last = &set->groups;

	while (*last)
		last = &(*last)->next;
	*last = group;
	group->next = NULL;
	group->set = set;
}

void statistics_remove_group(struct statistics_group *group)
{
	struct statistics_group **link;

	if (!group->set)
		return;
	for (link = &group->set->groups; *link != group; link = &(*link)->next)
		;
	*link = group->next;
	group->set = NULL;
}

/* What its thread may be changing just now. */
static union statistics_number load(const union statistics_number *number)
{
	union statistics_number loaded;

	__atomic_load(&number->integer, &loaded.integer, __ATOMIC_RELAXED);
	return loaded;
}

static uint64_t load_count(const struct statistic *statistic)
{
	return __atomic_load_n(&statistic->count, __ATOMIC_RELAXED);
}

static double to_real(const struct statistics_definition *definition,
		      const union statistics_number *number)
{
	union statistics_number n = load(number);

	switch (definition->type) {
	case STATISTICS_INTEGER:
		return (double)n.integer;
	case STATISTICS_REAL:
		return n.real;
	case STATISTICS_TIME:
		return (double)n.integer / (double)USEC_PER_SEC;
	}
	return 0;
}

/* What the rate is taken of. */
static double progress(const struct statistics_definition *definition,
		       const struct statistic *statistic)
{
	return definition->kind == STATISTICS_COUNTER ? to_real(definition, &statistic->total)
						      : (double)load_count(statistic);
}

static void sample_group(struct statistics_group *group, bool anew)
{
	for (size_t i = 0; i < group->count; i++) {
		struct statistic *s = &group->values[i];
		double now = progress(&group->definitions[i], s);

		s->sampled[0] = anew ? now : s->sampled[1];
		s->sampled[1] = now;
	}
}

void statistics_sample(struct statistics *set, uint64_t now_usec)
{
	uint64_t elapsed_usec = now_usec - set->sampled_usec[1];
	bool anew = elapsed_usec >= STATISTICS_SILENCE_USEC;

	if (elapsed_usec < STATISTICS_SAMPLE_USEC)
		return;
	for (struct statistics_group *g = set->groups; g; g = g->next)
		sample_group(g, anew);
	set->sampled_usec[0] = anew ? now_usec : set->sampled_usec[1];
	set->sampled_usec[1] = now_usec;
}

void statistics_collect(const struct statistics *set)
{
	for (const struct statistics_group *g = set->groups; g; g = g->next)
		if (g->collect)
			g->collect(g->userdata);
}

static void read_one(const struct statistics_group *group, size_t i, uint64_t now_usec,
		     struct statistics_reading *ret)
{
	const struct statistics_definition *definition = &group->definitions[i];
	const struct statistic *s = &group->values[i];
	uint64_t elapsed_usec = MAX(now_usec - group->set->sampled_usec[0], USEC_PER_SEC);

	*ret = (struct statistics_reading){
		.name = definition->name,
		.unit = definition->unit,
		.help = definition->help,
		.kind = definition->kind,
		.labels = group->labels,
		.label_count = group->label_count,
		.count = load_count(s),
		.last = to_real(definition, &s->last),
		.total = to_real(definition, &s->total),
		.min = to_real(definition, &s->min),
		.max = to_real(definition, &s->max),
		.rate = (progress(definition, s) - s->sampled[0]) * (double)USEC_PER_SEC /
			(double)elapsed_usec,
	};
	if (ret->count > 0)
		ret->average = ret->total / (double)ret->count;
}

int statistics_read(struct statistics *set, const struct statistics_filter *filter,
		    uint64_t now_usec, int (*each)(const struct statistics_reading *, void *),
		    void *userdata)
{
	struct statistics_reading reading;
	int r = 0;

	statistics_collect(set);
	for (const struct statistics_group *g = set->groups; r >= 0 && g; g = g->next)
		for (size_t i = 0; r >= 0 && i < g->count; i++) {
			if (!statistics_filter_selects(filter, g->definitions[i].name))
				continue;
			read_one(g, i, now_usec, &reading);
			r = each(&reading, userdata);
		}
	if (r < 0)
		return r;
	statistics_sample(set, now_usec);
	return 0;
}

uint64_t statistics_update_count(const struct statistics *set,
				 const struct statistics_filter *filter)
{
	uint64_t count = 0;

	for (const struct statistics_group *g = set->groups; g; g = g->next)
		for (size_t i = 0; i < g->count; i++)
			if (statistics_filter_selects(filter, g->definitions[i].name))
				count += load_count(&g->values[i]);
	return count;
}
