/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a daemon counts and measures, for whoever looks at it (design section 11).
 *
 * A statistic is a few plain numbers. An update is a few instructions: it takes no lock,
 * no memory and no clock, so that it may stand on the hottest path. Averages and rates are computed
 * when somebody reads. One thread updates a statistic; another may read it meanwhile and sees every
 * number whole, though perhaps not all of the same update. A zeroed one is ready for use.
 *
 * Statistics are kept in groups: an array of them, the array of definitions that goes with it, and
 * labels that tell this group from others of the same definitions. Names form a tree: "link.keys"
 * lies below "link".
 */

#include "common/macros.h"

#define STATISTICS_NAME_MAX_CHARS 80
#define STATISTICS_MAX_LABELS     4
#define STATISTICS_SAMPLE_USEC    (5 * USEC_PER_SEC) /* rates are over one to two of these... */
#define STATISTICS_SILENCE_USEC   (4 * STATISTICS_SAMPLE_USEC) /* unless nobody looked so long */

enum statistics_kind {
	STATISTICS_COUNTER, /* adds up: keys agreed. total counts, rate is total per second */
	STATISTICS_GAUGE,   /* goes up and down: keys available. last counts */
	STATISTICS_SUMMARY, /* one measurement after another: latency. rate is how many a second */
	STATISTICS_KIND_COUNT_,
};

enum statistics_type {
	STATISTICS_INTEGER, /* statistics_update(), statistics_set() */
	STATISTICS_REAL,    /* statistics_update_real(), statistics_set_real() */
	STATISTICS_TIME,    /* integer microseconds, read as seconds */
};

struct statistics_definition {
	const char *name; /* full: words [a-z][a-z0-9_]* joined by dots */
	enum statistics_kind kind;
	enum statistics_type type;
	const char *unit; /* plural: "keys", "seconds"; "" for none */
	const char *help; /* half a sentence */
};

union statistics_number {
	uint64_t integer;
	double real;
};

struct statistic {
	uint64_t count; /* of updates */
	union statistics_number last, total, min, max;
	/* The reader's: what the rate is taken of, at the older and at the newer sample. */
	double sampled[2];
};

#define STATISTICS_STORE_(field, number)                              \
	({                                                            \
		__auto_type number_ = (number);                       \
		__atomic_store(&(field), &number_, __ATOMIC_RELAXED); \
	})
#define STATISTICS_UPDATE_(statistic, value, member)                                               \
	({                                                                                         \
		uint64_t count_ = (statistic)->count;                                              \
		if (count_ == 0 || (value) < (statistic)->min.member)                              \
			STATISTICS_STORE_((statistic)->min.member, (value));                       \
		if (count_ == 0 || (value) > (statistic)->max.member)                              \
			STATISTICS_STORE_((statistic)->max.member, (value));                       \
		STATISTICS_STORE_((statistic)->last.member, (value));                              \
		STATISTICS_STORE_((statistic)->total.member, (statistic)->total.member + (value)); \
		STATISTICS_STORE_((statistic)->count, count_ + 1);                                 \
	})

static inline void statistics_update(struct statistic *statistic, uint64_t value)
{
	STATISTICS_UPDATE_(statistic, value, integer);
}

static inline void statistics_update_real(struct statistic *statistic, double value)
{
	STATISTICS_UPDATE_(statistic, value, real);
}

/* For a level that is looked at again and again: an update only if it has changed. */
static inline void statistics_set(struct statistic *statistic, uint64_t value)
{
	if (statistic->count == 0 || statistic->last.integer != value)
		statistics_update(statistic, value);
}

static inline void statistics_set_real(struct statistic *statistic, double value)
{
	if (statistic->count == 0 || statistic->last.real != value)
		statistics_update_real(statistic, value);
}

/* For what is measured: CLOCK_MONOTONIC of this moment, not of the loop's iteration. */
uint64_t statistics_clock_usec(void);

struct statistics_label {
	const char *name; /* [a-z][a-z0-9_]* */
	const char *value;
};

/* Belongs to whoever owns the values, and stays where it is while it is in a set. */
struct statistics_group {
	const struct statistics_definition *definitions;
	struct statistic *values; /* as many as definitions */
	size_t count;
	struct statistics_label labels[STATISTICS_MAX_LABELS]; /* borrowed */
	size_t label_count;
	/* Sets those levels that nobody keeps up to date, before they are read; or NULL. */
	void (*collect)(void *userdata);
	void *userdata;

	struct statistics *set;
	struct statistics_group *next;
};

/* Everything that one daemon has to tell. */
struct statistics {
	struct statistics_group *groups; /* in the order in which they came */
	uint64_t sampled_usec[2];
};

void statistics_init(struct statistics *set, uint64_t now_usec);
void statistics_add_group(struct statistics *set, struct statistics_group *group);
/* Nothing happens to a group that is in no set. */
void statistics_remove_group(struct statistics_group *group);

/* For the rates: now and then while there is something to do, such as where a status line is
 * renewed. Nothing needs to wake up for it. */
void statistics_sample(struct statistics *set, uint64_t now_usec);

/* One statistic as it is told: reals, in the unit that it names. */
struct statistics_reading {
	const char *name, *unit, *help;
	enum statistics_kind kind;
	const struct statistics_label *labels;
	size_t label_count;
	uint64_t count;
	double last, total, min, max; /* 0 while count is */
	double average;               /* of all updates */
	double rate;                  /* a second, see the kinds */
};

struct statistics_filter;
/* Calls back for each that the filter (NULL: none) selects; a negative answer ends it. */
int statistics_read(struct statistics *set, const struct statistics_filter *filter,
		    uint64_t now_usec, int (*each)(const struct statistics_reading *, void *),
		    void *userdata);
/* Changes whenever one of these does. */
uint64_t statistics_update_count(const struct statistics *set,
				 const struct statistics_filter *filter);
/* Lets the groups look at their levels; statistics_read() does so itself. */
void statistics_collect(const struct statistics *set);

const char *statistics_kind_name(enum statistics_kind kind);
/* -EINVAL */
int statistics_kind_parse(const char *name, enum statistics_kind *ret);
/* The grammar of names, which is that of inner nodes too. */
bool statistics_name_is_valid(const char *name) _pure_;
