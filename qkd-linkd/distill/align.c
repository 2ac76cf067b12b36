/* SPDX-License-Identifier: MIT */
/*
 * Alignment of time tags: rate and phase from the spectrum of the tags, slot numbers by correlation
 * with the public pattern, tracking by small corrections.
 *
 * The order matters: with the rate known to a part in 10^8 every tag of the pattern has its exact
 * distance in slots from the first one, and one correlation over whole slots finds the rest.
 */

#include <math.h>

#include "qkd-linkd/distill/align.h"

#define SPECTRUM_TAGS      1024
#define SPECTRUM_PER_CYCLE 4   /* trial rates for each turn of the longest phase */
#define MIN_COHERENCE      0.3 /* of 1: below it the tags are not on the grid */
#define REFINE_STEPS       40  /* of a golden section */
#define CORRELATE_TAGS     512
#define COUNTER_BITS       10
#define MIN_MATCH          0.7 /* share of tags on pulses that are on; chance gives 0.5 + 6 sigma = 0.64 */
#define PATTERN_SHARE      0.9 /* of the pattern, from the first tag on, is safely inside it */
#define TRACK_BATCH        512 /* tags for each correction */
#define TRACK_PHASE_GAIN   0.3
#define TRACK_RATE_GAIN    0.02
#define MAX_SLOT           0x1p60 /* no clock counts so far */

void align_parameters_defaults(struct align_parameters *ret)
{
	*ret = (struct align_parameters){
		.period_ps = 1000,
		.max_offset_ps = 1.1e9,
		.max_drift = 20e-6,
		.gate_ps = 400,
	};
}

/* A subset of the tags, in receiver picoseconds after the first. */
struct sample {
	double at[SPECTRUM_TAGS];
	size_t count;
	double span;
};

static void take_sample(const int64_t *tags, size_t count, size_t max, struct sample *ret)
{
	ret->count = MIN(count, max);
	for (size_t i = 0; i < ret->count; i++)
		ret->at[i] = (double)(tags[i * count / ret->count] - tags[0]);
	ret->span = ret->at[ret->count - 1];
}

/* How well the tags sit on a grid of this period: 1 is perfectly; phase as a share of it. */
static double coherence(const struct sample *sample, double period, double *ret_phase)
{
	double x = 0, y = 0;

	for (size_t i = 0; i < sample->count; i++) {
		double turns = sample->at[i] / period, angle = 2 * M_PI * (turns - floor(turns));

		x += cos(angle);
		y += sin(angle);
	}
	*ret_phase = atan2(y, x) / (2 * M_PI);
	return hypot(x, y) / (double)sample->count;
}

/* Golden section between the two neighbours of the best trial. */
static double refine(const struct sample *sample, double low, double high)
{
	const double golden = (sqrt(5) - 1) / 2;
	double phase;

	for (int i = 0; i < REFINE_STEPS; i++) {
		double a = high - golden * (high - low), b = low + golden * (high - low);

		if (coherence(sample, a, &phase) > coherence(sample, b, &phase))
			high = b;
		else
			low = a;
	}
	return (low + high) / 2;
}

static int find_period(const struct align_parameters *p, const struct sample *sample,
		       double *ret_period, double *ret_phase)
{
	double step = p->period_ps / (sample->span / p->period_ps) / SPECTRUM_PER_CYCLE;
	double reach = p->period_ps * p->max_drift, best = 0, best_period = 0, phase;

	for (double period = p->period_ps - reach; period <= p->period_ps + reach; period += step) {
		double strength = coherence(sample, period, &phase);

		if (strength > best) {
			best = strength;
			best_period = period;
		}
	}
	if (best < MIN_COHERENCE)
		return -ENOENT;
	*ret_period = refine(sample, best_period - step, best_period + step);
	coherence(sample, *ret_period, ret_phase);
	return 0;
}

/* The pattern over a range of slots, zero outside it. */
struct pattern {
	uint64_t *words;
	int64_t first_slot;
};

static void patternp(struct pattern *pattern)
{
	free(pattern->words);
}

static int expand_pattern(const struct align_parameters *p, int64_t first, int64_t last,
			  struct pattern *ret)
{
	int64_t first_index = first >= 0 ? first / 64 : -((63 - first) / 64);
	size_t words = (size_t)(last / 64 - first_index + 2);

	ret->words = calloc(words, sizeof(uint64_t));
	if (!ret->words)
		return -ENOMEM;
	ret->first_slot = first_index * 64;
	for (size_t i = 0; i < words; i++) {
		int64_t index = first_index + (int64_t)i;

		if (index >= 0 && (uint64_t)index < p->pattern_slots / 64)
			ret->words[i] = p->pattern(p->pattern_seed, (uint64_t)index);
	}
	return 0;
}

/* 64 slots of it from any slot on. */
static uint64_t pattern_at(const struct pattern *pattern, int64_t slot)
{
	uint64_t from = (uint64_t)(slot - pattern->first_slot);
	unsigned shift = from % 64;
	uint64_t low = pattern->words[from / 64] >> shift;

	return shift > 0 ? low | pattern->words[from / 64 + 1] << (64 - shift) : low;
}

/* Counts in 64 lanes at once: bit i of plane b is bit b of lane i's count. */
struct lane_counters {
	uint64_t planes[COUNTER_BITS];
};

static void count_lanes(struct lane_counters *counters, uint64_t ones)
{
	for (unsigned b = 0; b < COUNTER_BITS && ones; b++) {
		uint64_t carry = counters->planes[b] & ones;

		counters->planes[b] ^= ones;
		ones = carry;
	}
}

static unsigned best_lane(const struct lane_counters *counters, unsigned *ret_count)
{
	uint64_t candidates = UINT64_MAX;
	unsigned count = 0;

	for (unsigned b = COUNTER_BITS; b-- > 0;) {
		if (!(candidates & counters->planes[b]))
			continue;
		candidates &= counters->planes[b];
		count |= 1u << b;
	}
	*ret_count = count;
	return (unsigned)__builtin_ctzll(candidates);
}

/* The first tag's slot that puts the most tags on pulses that are on. */
static int find_first_slot(const struct align_parameters *p, const int64_t *slots, size_t count,
			   int64_t low, int64_t high, int64_t *ret)
{
	_cleanup_(patternp) struct pattern pattern = {};
	unsigned best = 0;
	int r = expand_pattern(p, low, high + 64 + slots[count - 1], &pattern);

	if (r < 0)
		return r;
	for (int64_t first = low; first < high; first += 64) {
		struct lane_counters counters = {};
		unsigned lane, hits;

		for (size_t i = 0; i < count; i++)
			count_lanes(&counters, pattern_at(&pattern, first + slots[i]));
		lane = best_lane(&counters, &hits);
		if (hits > best) {
			best = hits;
			*ret = first + lane;
		}
	}
	return best >= MIN_MATCH * (double)count ? 0 : -ENOENT;
}

/* Tags that certainly belong to the pattern, if the session began with the first of them. */
static size_t tags_within(const struct align_parameters *p, const int64_t *tags, size_t count)
{
	double end = PATTERN_SHARE * (double)p->pattern_slots * p->period_ps;
	size_t n = MIN(count, (size_t)ALIGN_MAX_TAGS);

	while (n > 0 && (double)(tags[n - 1] - tags[0]) > end)
		n--;
	return n;
}

static bool is_rising(const int64_t *tags, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (tags[i] < tags[i - 1])
			return false;
	return tags[count - 1] > tags[0];
}

int align_acquire(const struct align_parameters *p, const int64_t *tags, size_t count,
		  struct align *ret)
{
	struct sample sample;
	int64_t slots[CORRELATE_TAGS], first = 0, middle, reach;
	double period, phase;
	size_t n = tags_within(p, tags, count);
	int r;

	if (n < ALIGN_MIN_TAGS)
		return -EAGAIN;
	if (!is_rising(tags, n))
		return -EINVAL;
	take_sample(tags, n, SPECTRUM_TAGS, &sample);
	r = find_period(p, &sample, &period, &phase);
	if (r < 0)
		return r;
	/* Pulses leave at the middle of their slots: the grid's line is slot + 1/2. */
	take_sample(tags, n, CORRELATE_TAGS, &sample);
	for (size_t i = 0; i < sample.count; i++)
		slots[i] = llround(sample.at[i] / period - phase);
	middle = llround((double)tags[0] / period);
	reach = (int64_t)(p->max_offset_ps / period) + 64;
	r = find_first_slot(p, slots, sample.count, middle - reach, middle + reach, &first);
	if (r < 0)
		return r;
	*ret = (struct align){
		.gate_ps = p->gate_ps,
		.period_ps = period,
		.anchor_tag = tags[0],
		.anchor_ps = phase * period,
		.anchor_slot = first,
	};
	return 0;
}

/* A second-order loop: part of a batch's mean residue is believed to be phase, a smaller part rate.
 */
static void correct(struct align *align)
{
	double n = align->batch_count, residue = align->residue_sum / n;
	int64_t advance = (int64_t)(align->slot_sum / n), whole;

	/* Move the anchor to the batch's middle, where the residue is the mean one. */
	align->anchor_ps += (double)advance * align->period_ps + TRACK_PHASE_GAIN * residue;
	align->anchor_slot += advance;
	if (advance > 0)
		align->period_ps += TRACK_RATE_GAIN * residue / (double)advance;
	whole = (int64_t)floor(align->anchor_ps);
	align->anchor_tag += whole;
	align->anchor_ps -= (double)whole;
	align->residue_sum = align->slot_sum = 0;
	align->batch_count = 0;
}

bool align_slot(struct align *align, int64_t tag, uint64_t *ret_slot)
{
	double since = (double)(tag - align->anchor_tag) - align->anchor_ps;
	double slot = nearbyint(since / align->period_ps);
	double residue = since - slot * align->period_ps;

	double absolute = (double)align->anchor_slot + slot;

	if (!(fabs(residue) <= align->gate_ps && absolute >= 0 && absolute < MAX_SLOT)) {
		align->rejected++;
		return false;
	}
	align->accepted++;
	*ret_slot = (uint64_t)(align->anchor_slot + (int64_t)slot);
	align->residue_sum += residue;
	align->slot_sum += slot;
	if (++align->batch_count == TRACK_BATCH)
		correct(align);
	return true;
}

double align_drift(const struct align *align, const struct align_parameters *parameters)
{
	return align->period_ps / parameters->period_ps - 1;
}

double align_offset_ps(const struct align *align, const struct align_parameters *parameters)
{
	return (double)align->anchor_tag + align->anchor_ps -
	       ((double)align->anchor_slot + 0.5) * align->period_ps;
}
