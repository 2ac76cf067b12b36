/* SPDX-License-Identifier: MIT */
/*
 * The stages of distillation, each on one core, and a whole block with both ends in one process.
 *
 * Floors are fixed work on the same machine: memory bandwidth for sifting (the detections copied
 * once at each end), putting the frames in the order of three passes at both ends for Cascade's
 * speed, Shannon's limit for its leak, the bare product of the same two polynomials by the same
 * kernel for privacy amplification, that kernel's multiplications of independent operands for the
 * hashes, and for a whole block all three for its size. Instead of all that, --sweep prints the
 * efficiency of all block sizes below 1 %, --table N the reconciliation of N frames at every rate:
 * both for docs/distillation.md.
 */

#include <math.h>
#include <time.h>

#include "common/prng.h"
#include "qkd-linkd/distill/cascade-corrector.h"
#include "qkd-linkd/distill/cascade-reference.h"
#include "qkd-linkd/distill/loopback.h"
#include "qkd-linkd/distill/privacy-amplify.h"
#include "qkd-linkd/distill/sift.h"
#include "qkd-linkd/distill/verify-tag.h"

#define CASCADE_FRAMES 2000
#define CASCADE_GROUP  50
#define AMPLIFY_BITS   1000000
#define REPETITIONS    15
#define MAX_FAILURES   2 /* 1e-3 of 2000 frames */

static bool failed;

static double now_sec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "bench-distill: %s\n", what);
	exit(1);
}

/* One JSON line; rate: larger is better. */
static void print(const char *name, double value, const char *unit, double floor_value, bool rate,
		  const char *note)
{
	printf("{\"bench\":\"distill-%s\",\"value\":%.5g,\"unit\":\"%s\",\"floor\":%.5g,"
	       "\"ratio\":%.3f,\"note\":\"%s\"}\n",
	       name, value, unit, floor_value, rate ? floor_value / value : value / floor_value,
	       note);
	fflush(stdout);
}

/* Cascade */

struct cascade_run {
	double rate; /* as drawn */
	uint64_t leak_bits;
	unsigned wrong_frames, rounds;
	double seconds, floor_seconds;
};

static void draw_errors(struct prng *prng, double rate, uint64_t *bits, size_t frames,
			uint64_t *ret_errors)
{
	uint64_t end = (uint64_t)frames * CASCADE_FRAME_BITS, at = 0;

	for (;;) {
		at += (uint64_t)(log(prng_uniform(prng)) / log1p(-rate));
		if (at >= end)
			return;
		bits[at >> 6] ^= UINT64_C(1) << (at & 63);
		++*ret_errors;
		at++;
	}
}

static void reconcile(const struct cascade_order *order, const struct cascade_plan *plan,
		      uint64_t *ours, uint64_t *theirs, size_t frames, struct cascade_run *run)
{
	static uint8_t answers[1 << 20];
	_cleanup_(cascade_reference_freep) struct cascade_reference *reference = NULL;
	_cleanup_(cascade_corrector_freep) struct cascade_corrector *corrector = NULL;
	const uint32_t *questions;
	ssize_t count;

	must(cascade_reference_new(order, plan, ours, frames, &reference) >= 0, "no memory");
	must(cascade_corrector_new(order, plan, theirs, frames, &corrector) >= 0, "no memory");
	while ((count = cascade_corrector_ask(corrector, &questions)) > 0) {
		ssize_t bits = cascade_reference_answer(reference, questions, (size_t)count,
							answers, sizeof(answers));

		must(bits > 0 && cascade_corrector_take(corrector, answers, (size_t)bits) >= 0,
		     "Cascade failed");
	}
	run->leak_bits += cascade_reference_leak_bits(reference);
	run->rounds = MAX(run->rounds, cascade_corrector_rounds(corrector));
}

static void permute_only(const struct cascade_order *order, const uint64_t *bits, size_t frames)
{
	static uint64_t permuted[CASCADE_FRAME_WORDS];

	for (size_t i = 0; i < frames; i++)
		for (unsigned pass = 0; pass < CASCADE_SIZED_PASSES; pass++) {
			cascade_permute(order, pass, bits + i * CASCADE_FRAME_WORDS, permuted);
			__asm__ volatile("" : : "r"(permuted) : "memory");
		}
}

static struct cascade_run run_cascade(double rate, const struct cascade_plan *plan, size_t frames)
{
	static uint64_t ours[CASCADE_GROUP * CASCADE_FRAME_WORDS];
	static uint64_t theirs[CASCADE_GROUP * CASCADE_FRAME_WORDS];
	struct cascade_run run = {};
	struct prng prng;
	uint64_t errors = 0;

	prng_init(&prng, (uint64_t)(rate * 1e7));
	for (size_t done = 0; done < frames; done += CASCADE_GROUP) {
		_cleanup_(cascade_order_freep) struct cascade_order *order = NULL;
		double start;

		for (size_t i = 0; i < ELEMENTSOF(ours); i++)
			ours[i] = theirs[i] = prng_next(&prng);
		draw_errors(&prng, rate, theirs, CASCADE_GROUP, &errors);
		must(cascade_order_new(prng_next(&prng), &order) >= 0, "no memory");
		start = now_sec();
		permute_only(order, ours, CASCADE_GROUP);
		permute_only(order, theirs, CASCADE_GROUP);
		run.floor_seconds += now_sec() - start;
		start = now_sec();
		reconcile(order, plan, ours, theirs, CASCADE_GROUP, &run);
		run.seconds += now_sec() - start;
		for (size_t i = 0; i < CASCADE_GROUP; i++)
			run.wrong_frames += memcmp(ours + i * CASCADE_FRAME_WORDS,
						   theirs + i * CASCADE_FRAME_WORDS,
						   CASCADE_FRAME_BYTES) != 0;
	}
	run.rate = (double)errors / (double)(frames * CASCADE_FRAME_BITS);
	return run;
}

static double efficiency(const struct cascade_run *run, size_t frames)
{
	return (double)run->leak_bits /
	       ((double)(frames * CASCADE_FRAME_BITS) * key_length_entropy(run->rate));
}

static void bench_cascade_at(double rate)
{
	double bits = (double)CASCADE_FRAMES * CASCADE_FRAME_BITS / 1e6;
	struct cascade_plan plan;
	struct cascade_run run;
	char name[64], note[160];

	cascade_plan_for(rate, &plan);
	run = run_cascade(rate, &plan, CASCADE_FRAMES);
	snprintf(name, sizeof(name), "cascade-leak-%.2g%%", 100 * rate);
	snprintf(note, sizeof(note),
		 "f of %d frames of 2^14 bits, %u of them failed, k1..k3 2^%u 2^%u 2^%u, %u rounds",
		 CASCADE_FRAMES, run.wrong_frames, plan.block_log2[0], plan.block_log2[1],
		 plan.block_log2[2], run.rounds);
	print(name, efficiency(&run, CASCADE_FRAMES), "f", 1, false, note);
	snprintf(name, sizeof(name), "cascade-speed-%.2g%%", 100 * rate);
	print(name, bits / run.seconds, "Mbit/s", bits / run.floor_seconds, true,
	      "both ends on one core; floor: the frames in the order of three passes, at both");
	failed |= run.wrong_frames > MAX_FAILURES;
}

/* Below 1 % by the sweep's own rates, above in steps of 1 %. */
static const double low_rates[] = {0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008};
#define LOW_RATES ELEMENTSOF(low_rates)
#define RATES     (LOW_RATES + 11)

static double rate_at(size_t i)
{
	return i < LOW_RATES ? low_rates[i] : (double)(i - LOW_RATES + 1) / 100;
}

static void bench_cascade(void)
{
	for (size_t i = 0; i < RATES; i++)
		bench_cascade_at(rate_at(i));
}

/* Rows as docs/distillation.md has them. */
static int table(size_t frames)
{
	must(frames > 0, "at least 50 frames");
	for (size_t i = 0; i < RATES; i++) {
		struct cascade_plan plan;
		struct cascade_run run;

		cascade_plan_for(rate_at(i), &plan);
		run = run_cascade(rate_at(i), &plan, frames);
		printf("| %.3g %% | %u, %u, %u | %.4f | %u of %zu | %u | %.0f |\n",
		       100 * rate_at(i), plan.block_log2[0], plan.block_log2[1], plan.block_log2[2],
		       efficiency(&run, frames), run.wrong_frames, frames, run.rounds,
		       (double)frames * CASCADE_FRAME_BITS / run.seconds / 1e6);
		fflush(stdout);
	}
	return 0;
}

static int sweep(void)
{
	for (size_t i = 0; i < LOW_RATES; i++)
		for (unsigned k = 0; k < 7 * 6 * 3; k++) {
			unsigned k1 = 5 + k / 18, k2 = 8 + k / 3 % 6, k3 = 11 + k % 3;
			struct cascade_plan plan;
			struct cascade_run run;

			if (k2 <= k1 || k3 <= k2)
				continue;
			cascade_plan_of(k1, k2, k3, &plan);
			run = run_cascade(low_rates[i], &plan, 600);
			printf("%.4f 2^%u 2^%u 2^%u f %.5f failed %u rounds %u\n", low_rates[i], k1,
			       k2, k3, efficiency(&run, 600), run.wrong_frames, run.rounds);
		}
	return 0;
}

/* Privacy amplification and the hashes */

static uint64_t *random_words(size_t count)
{
	uint64_t *words = malloc(count * sizeof(*words));
	struct prng prng;

	must(words != NULL, "no memory");
	prng_init(&prng, count);
	for (size_t i = 0; i < count; i++)
		words[i] = prng_next(&prng);
	return words;
}

static void bench_amplify(const struct gf2_kernel *kernel, uint64_t bits)
{
	size_t words = (bits + 63) / 64;
	uint64_t output = bits / 4, head_words = (bits - output + 63) / 64;
	_cleanup_(freep) uint64_t *input = random_words(words), *seed = random_words(words + 1);
	_cleanup_(freep) uint64_t *ret = random_words(2 * words);
	_cleanup_(privacy_amplifier_freep) struct privacy_amplifier *amplifier = NULL;
	_cleanup_(gf2_workspace_freep) struct gf2_workspace *workspace = NULL;
	double best = INFINITY, bare = INFINITY;
	char name[64];

	must(privacy_amplifier_new(kernel, bits, &amplifier) >= 0, "no memory");
	must(gf2_workspace_new(2 * words, &workspace) >= 0, "no memory");
	for (int i = 0; i < REPETITIONS; i++) {
		double start = now_sec(), middle;

		must(privacy_amplify(amplifier, input, bits, seed, output, ret) >= 0, "amplify");
		middle = now_sec();
		must(gf2_polynomial_multiply(kernel, workspace, seed, words, input, head_words,
					     ret) >= 0,
		     "multiply");
		best = fmin(best, middle - start);
		bare = fmin(bare, now_sec() - middle);
	}
	snprintf(name, sizeof(name), "amplify-%.0e-%s", (double)bits, kernel->name);
	print(name, (double)bits / best / 1e6, "Mbit/s", (double)bits / bare / 1e6, true,
	      "input bits, output a quarter; floor: the bare product by the same kernel");
}

/* The same number of products, none waiting for another. */
static double multiplication_seconds(const struct gf2_kernel *kernel, size_t count)
{
	enum { LANES = 512 };
	static struct gf128 a[LANES], b[LANES];
	double start = now_sec();

	memset(b, 0x5a, sizeof(b));
	for (size_t i = 0; i < count; i += LANES)
		kernel->multiply_each(a, b, LANES);
	return now_sec() - start;
}

static void bench_verify(const struct gf2_kernel *kernel)
{
	enum { WORDS = 1 << 17 };
	_cleanup_(freep) uint64_t *words = random_words(WORDS);
	uint8_t key[16] = {1, 2, 3}, tag[16];
	double best = INFINITY, bare = INFINITY;
	char name[64];

	for (int i = 0; i < REPETITIONS; i++) {
		double start = now_sec();

		verify_tag(kernel, key, words, WORDS, sizeof(tag), tag);
		best = fmin(best, now_sec() - start);
		bare = fmin(bare, multiplication_seconds(kernel, WORDS / 2));
	}
	snprintf(name, sizeof(name), "hash-%s", kernel->name);
	print(name, WORDS * 64 / best / 1e6, "Mbit/s", WORDS * 64 / bare / 1e6, true,
	      "verification and authentication; floor: as many independent products");
}

/* Sifting */

static void bench_sift(void)
{
	enum { COUNT = SIFT_MAX_DETECTIONS, ROUNDS = 100 };
	static struct detection alice[COUNT], bob[COUNT], copy[COUNT];
	static uint8_t message[SIFT_MAX_ANNOUNCE_BYTES], answer[SIFT_MAX_ANSWER_BYTES];
	static uint64_t a_words[COUNT / 64], b_words[COUNT / 64];
	double start, seconds = 0, copying = 0;
	struct prng prng;

	prng_init(&prng, 1);
	for (uint64_t i = 0, slot = 0; i < COUNT; i++) {
		slot += 101 + prng_below(&prng, 60);
		alice[i] = (struct detection){.time = slot, .bit = prng_next(&prng) & 1};
		alice[i].basis = prng_below(&prng, 10) == 0;
		bob[i] = alice[i];
		bob[i].basis = prng_below(&prng, 10) == 0;
	}
	for (int i = 0; i < ROUNDS; i++) {
		struct sift_key a = {.words = a_words, .max_bits = COUNT};
		struct sift_key b = {.words = b_words, .max_bits = COUNT};
		struct sift_tally tally = {};
		size_t consumed;
		ssize_t size, bytes;

		start = now_sec();
		size = sift_announce(bob, COUNT, message);
		bytes = sift_match(alice, COUNT, message, (size_t)size, &a, &tally, &consumed,
				   answer);
		must(sift_apply(bob, COUNT, answer, (size_t)bytes, &b) == 0, "sifting failed");
		seconds += now_sec() - start;
		start = now_sec();
		memcpy(copy, alice, sizeof(alice));
		__asm__ volatile("" : : "r"(copy) : "memory");
		memcpy(copy, bob, sizeof(bob));
		__asm__ volatile("" : : "r"(copy) : "memory");
		copying += now_sec() - start;
	}
	print("sift", COUNT * ROUNDS / seconds / 1e6, "Mdetections/s",
	      COUNT * ROUNDS / copying / 1e6, true,
	      "both ends; floor: their detections copied once at each end");
}

/* A whole block */

#define BLOCK_BITS ((uint64_t)DISTILL_MAX_FRAMES * CASCADE_FRAME_BITS)

struct totals {
	uint64_t key_bits;
};

static void on_report(enum wegman_carter_role end, const struct distill_report *report,
		      void *userdata)
{
	struct totals *totals = userdata;

	if (end == WEGMAN_CARTER_ALICE)
		totals->key_bits += report->key_bits;
}

/* The stages' floors once each at both ends: copy, put in order, multiply. */
static double block_floor_seconds(void)
{
	const struct gf2_kernel *kernel = gf128_kernel();
	size_t words = BLOCK_BITS / 64, copied = BLOCK_BITS * sizeof(struct detection) / 8;
	_cleanup_(freep) uint64_t *a = random_words(words), *b = random_words(copied);
	_cleanup_(freep) uint64_t *product = random_words(MAX(2 * words, copied));
	_cleanup_(gf2_workspace_freep) struct gf2_workspace *workspace = NULL;
	_cleanup_(cascade_order_freep) struct cascade_order *order = NULL;
	double start;

	must(gf2_workspace_new(2 * words, &workspace) >= 0, "no memory");
	must(cascade_order_new(1, &order) >= 0, "no memory");
	start = now_sec();
	memcpy(product, b, copied * sizeof(*b));
	__asm__ volatile("" : : "r"(product) : "memory");
	permute_only(order, a, DISTILL_MAX_FRAMES);
	must(gf2_polynomial_multiply(kernel, workspace, a, words, b, words, product) >= 0,
	     "multiply");
	return 2 * (now_sec() - start);
}

static void bench_block(void)
{
	static const struct loopback_handler handler = {.on_report = on_report};
	_cleanup_(loopback_freep) struct loopback *loopback = NULL;
	struct sim_optics_parameters optics;
	struct distill_config config;
	struct totals totals = {};
	double start, seconds, light;
	char note[200];

	sim_optics_defaults(&optics);
	distill_config_defaults(&config);
	must(loopback_new(&optics, &config, 1, &handler, &totals, &loopback) >= 0, "no memory");
	start = now_sec();
	must(loopback_run(loopback, 1, UINT64_MAX) >= 0, "the session failed");
	seconds = now_sec() - start - (double)loopback_simulation_nsec(loopback) * 1e-9;
	light = (double)loopback_slot(loopback) * optics.period_ps * 1e-12;
	failed |= totals.key_bits == 0;
	snprintf(note, sizeof(note),
		 "sifted key, both ends on one core; %.3g Mbit/s of final key, the light of 20 km "
		 "at 1 GHz brings %.3g; floor: copy, order and product of 2^25 bits at both",
		 (double)totals.key_bits / seconds / 1e6, (double)totals.key_bits / light / 1e6);
	print("block", (double)BLOCK_BITS / seconds / 1e6, "Mbit/s",
	      (double)BLOCK_BITS / block_floor_seconds() / 1e6, true, note);
}

int main(int argc, char **argv)
{
	if (argc > 1 && str_equal(argv[1], "--sweep"))
		return sweep();
	if (argc > 2 && str_equal(argv[1], "--table"))
		return table(strtoul(argv[2], NULL, 10) / CASCADE_GROUP * CASCADE_GROUP);
	must(argc == 1, "--sweep, --table FRAMES, or nothing");
	bench_sift();
	bench_cascade();
	bench_verify(&gf128_portable);
	bench_verify(gf128_kernel());
	for (size_t i = 0; gf128_kernel_at(i); i++)
		bench_amplify(gf128_kernel_at(i), AMPLIFY_BITS);
	bench_amplify(gf128_kernel(), UINT64_C(1) << 23);
	bench_block();
	return failed;
}
