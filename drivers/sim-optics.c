/* SPDX-License-Identifier: MIT */
/*
 * Draws the detections of a decoy-state BB84 link from their distribution.
 *
 * Whether a gate clicks does not depend on bits and bases: the light that misses one detector of a
 * basis reaches the other, so the gain of an intensity is the same in every basis. A detection is
 * therefore drawn in two steps: when (geometric in the mean gain), and which (one of a table of
 * kinds: intensity, both bases, which detectors clicked).
 */

#include <math.h>

#include "common/prng.h"
#include "common/secret.h"
#include "drivers/sim-optics.h"

#define KINDS_MAX             (DETECTION_INTENSITIES_MAX * 2 * 2 * 4)
#define PROBABILITY_TOLERANCE 1e-9

struct kind {
	double probability;
	uint64_t threshold; /* of a 64-bit random number, cumulative */
	uint8_t intensity, sender_basis, receiver_basis;
	bool flip, double_click;
};

struct sim_optics {
	struct sim_optics_parameters parameters;
	struct prng prng;
	struct kind kinds[KINDS_MAX];
	size_t kind_count;
	double log_no_click;      /* ln(1 - mean gain) */
	double sync_log_no_click; /* the same for a pulse that is on */
	double sync_off_ratio;    /* gain of a pulse that is off over that of one that is on */
	uint64_t next_slot;       /* the first that a detector is ready for */
};

/* Probabilities that the right and the wrong detector click. */
struct clicks {
	double right, wrong;
};

static double transmittance(const struct sim_optics_parameters *p)
{
	return p->efficiency * pow(10, -p->loss_db / 10);
}

static struct clicks click_probabilities(const struct sim_optics_parameters *p, double mean,
					 double wrong_share)
{
	double light = transmittance(p) * mean;

	return (struct clicks){
		.right = 1 - (1 - p->dark_count) * exp(-light * (1 - wrong_share)),
		.wrong = 1 - (1 - p->dark_count) * exp(-light * wrong_share),
	};
}

static double gain(const struct sim_optics_parameters *p, double mean)
{
	return 1 - (1 - p->dark_count) * (1 - p->dark_count) * exp(-transmittance(p) * mean);
}

/* The share of pulses that reach a receiver of the same basis as if polarised across it. */
static double scrambled_share(const struct sim_optics_parameters *p)
{
	return p->intercept / 2;
}

void sim_optics_expect(const struct sim_optics_parameters *p, unsigned intensity,
		       struct sim_expectation *ret)
{
	double mean = p->mean_photons[intensity], scrambled = scrambled_share(p);
	struct clicks straight = click_probabilities(p, mean, p->misalignment);
	struct clicks across = click_probabilities(p, mean, 0.5);
	double errors = (1 - scrambled) * (straight.wrong - straight.right * straight.wrong / 2) +
			scrambled * (across.wrong - across.right * across.wrong / 2);

	ret->gain = gain(p, mean);
	ret->error_rate = ret->gain > 0 ? errors / ret->gain : 0;
	ret->double_click = (1 - scrambled) * straight.right * straight.wrong +
			    scrambled * across.right * across.wrong;
}

double sim_optics_mean_gain(const struct sim_optics_parameters *p)
{
	double sum = 0;

	for (unsigned i = 0; i < p->intensity_count; i++)
		sum += p->probability[i] * gain(p, p->mean_photons[i]);
	return sum;
}

void sim_optics_defaults(struct sim_optics_parameters *ret)
{
	*ret = (struct sim_optics_parameters){
		.intensity_count = 3,
		.mean_photons = {0.5, 0.1, 0},
		.probability = {0.70, 0.15, 0.15},
		.key_basis = 0.9,
		.loss_db = 4, /* 20 km at 0.2 dB/km */
		.efficiency = 0.2,
		.dark_count = 1e-7,
		.misalignment = 0.015,
		.dead_gates = 100,
		.period_ps = 1000,
		.jitter_ps = 50,
		.sync_slots = 2000000,
		.sync_seed = 1,
		.seed = 1,
	};
}

static bool is_within(double x, double low, double high)
{
	return x >= low && x <= high; /* false for a NaN */
}

static const char *intensities_fault(const struct sim_optics_parameters *p)
{
	double sum = 0;

	if (p->intensity_count < 1 || p->intensity_count > DETECTION_INTENSITIES_MAX)
		return "there must be one to three intensities";
	for (unsigned i = 0; i < p->intensity_count; i++) {
		if (!is_within(p->mean_photons[i], 0, SIM_OPTICS_MEAN_MAX))
			return "a mean photon number must be between 0 and 10";
		if (!is_within(p->probability[i], 0, 1))
			return "an intensity's probability must be between 0 and 1";
		sum += p->probability[i];
	}
	if (fabs(sum - 1) > PROBABILITY_TOLERANCE)
		return "the probabilities of the intensities must add up to 1";
	return NULL;
}

static const char *channel_fault(const struct sim_optics_parameters *p)
{
	if (!is_within(p->key_basis, 0, 1))
		return "the probability of the key basis must be between 0 and 1";
	if (!is_within(p->loss_db, 0, SIM_OPTICS_LOSS_DB_MAX))
		return "the loss must be between 0 and 100 dB";
	if (!is_within(p->efficiency, 0, 1) || !is_within(p->dark_count, 0, 0.5))
		return "the detector efficiency must be between 0 and 1, dark counts up to 0.5";
	if (!is_within(p->misalignment, 0, 0.5))
		return "the misalignment must be between 0 and 0.5";
	if (!is_within(p->intercept, 0, 1))
		return "the intercepted fraction must be between 0 and 1";
	if (p->dead_gates > SIM_OPTICS_DEAD_GATES_MAX)
		return "the dead time must be at most 1000000 gates";
	if (!is_within(sim_optics_mean_gain(p), 1e-12, 1 - 1e-12))
		return "nothing would ever be detected, or every gate would click";
	return NULL;
}

int sim_optics_check(const struct sim_optics_parameters *p, const char **ret_what)
{
	const char *what = intensities_fault(p);

	if (!what)
		what = channel_fault(p);
	if (!what && (!is_within(p->period_ps, 1, 1e12) || !is_within(p->jitter_ps, 0, 1e9)))
		what = "the pulse period must be between 1 ps and 1 s, the jitter below 1 ms";
	if (!what && (!is_within(p->offset_ps, -1e15, 1e15) || !is_within(p->drift, -1e-3, 1e-3)))
		what = "the clock offset must be below 1000 s and the drift below 1000 ppm";
	if (!what)
		return 0;
	*ret_what = what;
	return -EINVAL;
}

static void add_kind(struct sim_optics *optics, const struct kind *kind, double probability)
{
	if (probability <= 0)
		return;
	optics->kinds[optics->kind_count] = *kind;
	optics->kinds[optics->kind_count++].probability = probability;
}

/* What one detector of the right or wrong side, or both, contribute. */
static void add_outcomes(struct sim_optics *optics, struct kind kind, double weight,
			 struct clicks straight, struct clicks across, double scrambled)
{
	double both = (1 - scrambled) * straight.right * straight.wrong +
		      scrambled * across.right * across.wrong;
	double right = (1 - scrambled) * straight.right + scrambled * across.right - both;
	double wrong = (1 - scrambled) * straight.wrong + scrambled * across.wrong - both;

	add_kind(optics, &kind, weight * right);
	kind.flip = true;
	add_kind(optics, &kind, weight * wrong);
	kind.double_click = true;
	add_kind(optics, &kind, weight * both / 2);
	kind.flip = false;
	add_kind(optics, &kind, weight * both / 2);
}

static void add_intensity(struct sim_optics *optics, unsigned intensity)
{
	const struct sim_optics_parameters *p = &optics->parameters;
	struct clicks straight =
		click_probabilities(p, p->mean_photons[intensity], p->misalignment);
	struct clicks across = click_probabilities(p, p->mean_photons[intensity], 0.5);
	double basis[2] = {p->key_basis, 1 - p->key_basis};

	for (unsigned i = 0; i < 4; i++) {
		struct kind kind = {
			.intensity = (uint8_t)intensity,
			.sender_basis = i & 1,
			.receiver_basis = i >> 1,
		};
		bool same = kind.sender_basis == kind.receiver_basis;

		add_outcomes(optics, kind, p->probability[intensity] * basis[i & 1] * basis[i >> 1],
			     straight, across, same ? scrambled_share(p) : 1);
	}
}

static int compare_kinds(const void *a, const void *b)
{
	const struct kind *x = a, *y = b;

	return (x->probability < y->probability) - (x->probability > y->probability);
}

/* Most frequent first, so that a draw looks at two of them on the average. */
static void finish_kinds(struct sim_optics *optics)
{
	double total = 0, sum = 0;

	qsort(optics->kinds, optics->kind_count, sizeof(optics->kinds[0]), compare_kinds);
	for (size_t i = 0; i < optics->kind_count; i++)
		total += optics->kinds[i].probability;
	for (size_t i = 0; i < optics->kind_count; i++) {
		double share;

		sum += optics->kinds[i].probability;
		share = sum / total * 0x1p64;
		optics->kinds[i].threshold = share < 0x1p64 ? (uint64_t)share : UINT64_MAX;
	}
	optics->kinds[optics->kind_count - 1].threshold = UINT64_MAX;
}

int sim_optics_new(const struct sim_optics_parameters *parameters, struct sim_optics **ret)
{
	struct sim_optics *optics;
	const char *what;
	double on;
	int r = sim_optics_check(parameters, &what);

	if (r < 0)
		return r;
	/* Its generator's state foretells the simulated key. */
	optics = secret_calloc(1, sizeof(*optics));
	if (!optics)
		return -ENOMEM;
	optics->parameters = *parameters;
	prng_init(&optics->prng, parameters->seed);
	for (unsigned i = 0; i < parameters->intensity_count; i++)
		add_intensity(optics, i);
	finish_kinds(optics);
	on = gain(parameters, parameters->mean_photons[0]);
	optics->log_no_click = log1p(-sim_optics_mean_gain(parameters));
	optics->sync_log_no_click = log1p(-on);
	optics->sync_off_ratio = gain(parameters, 0) / on;
	*ret = optics;
	return 0;
}

struct sim_optics *sim_optics_free(struct sim_optics *optics)
{
	secret_mfree(optics);
	return NULL;
}

uint64_t sim_optics_sync_word(uint64_t sync_seed, uint64_t index)
{
	return prng_mix(prng_mix(sync_seed) ^ index);
}

bool sim_optics_sync_on(uint64_t sync_seed, uint64_t slot)
{
	return sim_optics_sync_word(sync_seed, slot >> 6) >> (slot & 63) & 1;
}

/* The first slot at or after the next one that clicks, given ln(1 - gain). */
static uint64_t geometric_step(struct sim_optics *optics, double log_no_click)
{
	double steps = log(prng_uniform(&optics->prng)) / log_no_click;

	return optics->next_slot + (uint64_t)MIN(steps, 0x1p62);
}

/* By thinning: slots that are off keep only the share of clicks that the dark makes. */
static uint64_t next_sync_click(struct sim_optics *optics)
{
	const struct sim_optics_parameters *p = &optics->parameters;
	uint64_t slot;

	for (;;) {
		slot = geometric_step(optics, optics->sync_log_no_click);
		if (slot >= p->sync_slots)
			return p->sync_slots;
		if (sim_optics_sync_on(p->sync_seed, slot) ||
		    prng_uniform(&optics->prng) <= optics->sync_off_ratio)
			return slot;
		optics->next_slot = slot + 1;
	}
}

static uint64_t next_click(struct sim_optics *optics)
{
	if (optics->next_slot < optics->parameters.sync_slots) {
		uint64_t slot = next_sync_click(optics);

		if (slot < optics->parameters.sync_slots)
			return slot;
		optics->next_slot = slot;
	}
	return geometric_step(optics, optics->log_no_click);
}

/* Nearly normal: the sum of four uniform numbers, of variance 1/12 each (the excess kurtosis of
 * -0.3 only shortens the tails beyond three standard deviations). */
static double normal_draw(struct prng *prng)
{
	uint64_t die = prng_next(prng);
	double sum = (double)(die & 0xffff) + (double)(die >> 16 & 0xffff) +
		     (double)(die >> 32 & 0xffff) + (double)(die >> 48);

	return (sum * 0x1p-16 - 2) * 1.7320508075688772;
}

static int64_t time_tag(struct sim_optics *optics, uint64_t slot)
{
	const struct sim_optics_parameters *p = &optics->parameters;
	long double true_ps = ((long double)slot + 0.5L) * p->period_ps;
	long double tag = p->offset_ps + (1 + (long double)p->drift) * true_ps;

	if (p->jitter_ps > 0)
		tag += p->jitter_ps * normal_draw(&optics->prng);
	return (int64_t)tag;
}

static void draw_event(struct sim_optics *optics, uint64_t slot, struct sim_event *ret)
{
	uint64_t die = prng_next(&optics->prng), bits = prng_next(&optics->prng) >> 63;
	const struct kind *kind = optics->kinds;

	while (die > kind->threshold)
		kind++;
	*ret = (struct sim_event){
		.slot = slot,
		.tag_ps = time_tag(optics, slot),
		.sender_basis = kind->sender_basis,
		.sender_bit = (uint8_t)bits,
		.intensity = kind->intensity,
		.receiver_basis = kind->receiver_basis,
		.receiver_bit = (uint8_t)bits ^ kind->flip,
		.double_click = kind->double_click,
	};
}

size_t sim_optics_draw(struct sim_optics *optics, uint64_t end_slot, struct sim_event *ret_events,
		       size_t max)
{
	size_t count = 0;

	while (count < max && optics->next_slot < end_slot) {
		uint64_t slot = next_click(optics);

		/* The process has no memory: to stop short and go on later changes nothing. */
		if (slot >= end_slot) {
			optics->next_slot = end_slot;
			break;
		}
		draw_event(optics, slot, &ret_events[count++]);
		optics->next_slot = slot + 1 + optics->parameters.dead_gates;
	}
	return count;
}
