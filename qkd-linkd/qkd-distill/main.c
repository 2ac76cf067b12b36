/* SPDX-License-Identifier: MIT */
/*
 * qkd-distill: runs both ends of a distillation session in this process on simulated or recorded
 * light, prints what every block gave and what every stage cost, and draws it. For people who
 * choose parameters and for those who want to see what an eavesdropper does. Its keys go nowhere.
 */

#include <getopt.h>
#include <math.h>

#include "common/version.h"
#include "qkd-linkd/distill/cascade.h"
#include "qkd-linkd/distill/loopback.h"
#include "qkd-linkd/qkd-distill/distill-plot.h"
#include "qkd-linkd/qkd-distill/tape.h"

#define FIBRE_DB_KM 0.2

struct run {
	struct sim_optics_parameters optics;
	struct distill_config config;
	double km;
	unsigned long blocks;
	uint64_t seed;
	const char *plot, *record, *replay;
	struct tape *tape; /* of record or replay */
	struct sim_optics *light;
	struct loopback *loopback;
	uint64_t last_slot;
	struct distill_report bobs[DISTILL_PLOT_MAX_BLOCKS];
	struct distill_plot_block plotted[DISTILL_PLOT_MAX_BLOCKS];
	size_t count;
	struct distill_report total;
	double efficiency_sum;
	bool alarm;
};

static const char usage[] =
	"Usage: qkd-distill [OPTION]...\n"
	"Distils key from simulated or recorded light, both ends in one process.\n\n"
	"  -n, --blocks=N          blocks to run (default 3)\n"
	"  -f, --frames=N          frames of 2^14 bits in a block (1..2048, default 2048)\n"
	"  -d, --distance=KM       of fibre at 0.2 dB/km (default 20)\n"
	"  -e, --efficiency=X      of the detectors (0.2)\n"
	"  -c, --dark-counts=X     a gate and detector (1e-7)\n"
	"  -m, --misalignment=X    share of light in the wrong detector (0.015)\n"
	"  -t, --dead-gates=N      without detection after one (100)\n"
	"  -b, --key-basis=X       probability at each end (0.9)\n"
	"  -i, --intercept=X       fraction that an eavesdropper measures and resends (0)\n"
	"  -o, --offset-usec=X     of the receiver's clock (0)\n"
	"  -r, --drift-ppm=X       of the receiver's clock (0)\n"
	"  -s, --seed=N            of the simulation (1)\n"
	"  -2, --both-directions   count what both ends say as leaked\n"
	"  -w, --record=FILE       write the detections to it\n"
	"  -l, --replay=FILE       take them from it instead of the simulation\n"
	"  -p, --plot=FILE.svg     draw it\n"
	"  -h, --help    -V, --version\n";

static const struct option options[] = {
	{"blocks", required_argument, NULL, 'n'},
	{"frames", required_argument, NULL, 'f'},
	{"distance", required_argument, NULL, 'd'},
	{"efficiency", required_argument, NULL, 'e'},
	{"dark-counts", required_argument, NULL, 'c'},
	{"misalignment", required_argument, NULL, 'm'},
	{"dead-gates", required_argument, NULL, 't'},
	{"key-basis", required_argument, NULL, 'b'},
	{"intercept", required_argument, NULL, 'i'},
	{"offset-usec", required_argument, NULL, 'o'},
	{"drift-ppm", required_argument, NULL, 'r'},
	{"seed", required_argument, NULL, 's'},
	{"both-directions", no_argument, NULL, '2'},
	{"record", required_argument, NULL, 'w'},
	{"replay", required_argument, NULL, 'l'},
	{"plot", required_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{},
};

/* Numbers of the options; false for one that is no number. */
static bool take_number(struct run *run, int option, const char *text)
{
	char *end;
	double x = strtod(text, &end);

	if (end == text || *end != '\0' || !isfinite(x))
		return false;
	switch (option) {
	case 'n':
		run->blocks = x >= 1 && x <= DISTILL_PLOT_MAX_BLOCKS ? (unsigned long)x : 0;
		return run->blocks > 0;
	case 'f':
		run->config.block_frames = x >= 1 && x <= DISTILL_MAX_FRAMES ? (unsigned)x : 0;
		return run->config.block_frames > 0;
	case 't':
		run->optics.dead_gates = x >= 0 && x <= SIM_OPTICS_DEAD_GATES_MAX ? (uint32_t)x
										  : UINT32_MAX;
		return true;
	case 's':
		run->seed = (uint64_t)fabs(x);
		return true;
	case 'd':
		run->km = x;
		run->optics.loss_db = x * FIBRE_DB_KM;
		return true;
	case 'e':
		run->optics.efficiency = x;
		return true;
	case 'c':
		run->optics.dark_count = x;
		return true;
	case 'm':
		run->optics.misalignment = x;
		return true;
	case 'b':
		run->optics.key_basis = x;
		return true;
	case 'i':
		run->optics.intercept = x;
		return true;
	case 'o':
		run->optics.offset_ps = x * 1e6;
		return true;
	case 'r':
		run->optics.drift = x * 1e-6;
		return true;
	}
	return false;
}

/* The option, or '?' after telling what is wrong with it. */
static int take_option(struct run *run, int option)
{
	switch (option) {
	case '?':
		return option;
	case 'p':
		run->plot = optarg;
		return option;
	case 'w':
		run->record = optarg;
		return option;
	case 'l':
		run->replay = optarg;
		return option;
	case '2':
		run->config.count_both_directions = true;
		return option;
	}
	if (take_number(run, option, optarg))
		return option;
	fprintf(stderr, "qkd-distill: not a value for -%c: %s\n", option, optarg);
	return '?';
}

/* 0: go on; 1: done; 2: wrong usage. */
static int parse_options(struct run *run, int argc, char **argv)
{
	static const char letters[] = "n:f:d:e:c:m:t:b:i:o:r:s:2w:l:p:hV";
	int option;

	while ((option = getopt_long(argc, argv, letters, options, NULL)) >= 0) {
		if (option == 'h' || option == 'V') {
			fputs(option == 'h' ? usage : "qkd-distill " QKD_VERSION "\n", stdout);
			return 1;
		}
		if (take_option(run, option) == '?')
			return 2;
	}
	if (optind < argc) {
		fprintf(stderr, "qkd-distill: unexpected argument %s\n", argv[optind]);
		return 2;
	}
	if (!run->record || !run->replay)
		return 0;
	fputs("qkd-distill: either --record or --replay\n", stderr);
	return 2;
}

static double rate(uint64_t bits, uint64_t nsec)
{
	return nsec > 0 ? (double)bits * 1e3 / (double)nsec : 0;
}

static void add_times(struct distill_times *to, const struct distill_times *from)
{
	to->sift += from->sift;
	to->reconcile += from->reconcile;
	to->verify += from->verify;
	to->amplify += from->amplify;
	to->authenticate += from->authenticate;
}

static void print_header(void)
{
	puts("block       gain   QBER %      f     leak bit verify  key bit "
	     "| Mbit/s of sifted key, both ends on one core: sift reconcile verify amplify auth");
}

static void print_line(const char *name, double gain, const struct distill_report *r, double f,
		       const struct distill_times *times)
{
	uint64_t bits = r->sifted_bits;

	printf("%-6s %9.3e %8.3f %6.4f %12lu %6s %8lu | %7.1f %7.1f %7.0f %7.1f %7.0f%s%s\n", name,
	       gain, 100 * r->error_rate, f, r->leak_bits,
	       r->verifications == 0          ? "-"
	       : r->patched_frames > 0        ? "patch"
	       : r->drop == BLOCK_DROP_VERIFY ? "no"
					      : "ok",
	       r->key_bits, rate(bits, times->sift), rate(bits, times->reconcile),
	       rate(bits, times->verify), rate(bits, times->amplify),
	       rate(bits, times->authenticate), r->drop ? "  dropped: " : "",
	       r->drop ? block_drop_name(r->drop) : "");
	fflush(stdout);
}

/* Alice finishes a block after Bob does, unless she drops it: then Bob's times are not known yet.
 */
static void on_report(enum wegman_carter_role end, const struct distill_report *report,
		      void *userdata)
{
	struct run *run = userdata;
	uint64_t slots = loopback_slot(run->loopback) - run->last_slot;
	double seconds = (double)slots * run->optics.period_ps * 1e-12;
	struct distill_times times = report->times;
	char name[16];

	if (report->block >= DISTILL_PLOT_MAX_BLOCKS)
		return;
	if (end == WEGMAN_CARTER_BOB) {
		run->bobs[report->block] = *report;
		return;
	}
	add_times(&times, &run->bobs[report->block].times);
	add_times(&run->total.times, &times);
	snprintf(name, sizeof(name), "%u", report->block);
	print_line(name, (double)report->announced / (double)MAX(slots, UINT64_C(1)), report,
		   report->efficiency, &times);
	run->plotted[run->count++] = (struct distill_plot_block){
		.error_rate = report->error_rate > 0 || report->test_bits == 0
				      ? report->error_rate
				      : (double)report->test_errors / (double)report->test_bits,
		.efficiency = report->efficiency,
		.key_rate = seconds > 0 ? (double)report->key_bits / seconds : 0,
	};
	run->last_slot = loopback_slot(run->loopback);
	run->total.announced += report->announced;
	run->total.sifted_bits += report->sifted_bits;
	run->total.errors += report->errors;
	run->total.leak_bits += report->leak_bits;
	run->total.key_bits += report->key_bits;
	run->total.patched_frames += report->patched_frames;
	run->total.verifications += report->verifications;
}

static void print_total(struct run *run)
{
	const struct align *align = loopback_align(run->loopback);
	double slots = (double)MAX(loopback_slot(run->loopback), UINT64_C(1));
	double seconds = slots * run->optics.period_ps * 1e-12, shannon;
	struct distill_report *total = &run->total;

	if (total->sifted_bits > 0)
		total->error_rate = (double)total->errors / (double)total->sifted_bits;
	shannon = (double)total->sifted_bits * key_length_entropy(total->error_rate);
	print_line("total", (double)total->announced / slots, total,
		   shannon > 0 ? (double)total->leak_bits / shannon : 0, &total->times);
	printf("%.3g s of light; %.4g Mbit/s of final key", seconds,
	       (double)total->key_bits / seconds / 1e6);
	if (run->replay)
		puts("");
	else
		printf("; theory for this block: %.4g Mbit/s\n",
		       distill_plot_theory(&run->optics, &run->config, run->km) / 1e6);
	if (align)
		printf("alignment: %lu tags accepted, %lu outside the gate\n", align->accepted,
		       align->rejected);
	if (distill_alarm(loopback_end(run->loopback, WEGMAN_CARTER_ALICE)))
		puts("ALARM: too many blocks in a row gave no key");
}

static int plot(const struct run *run)
{
	FILE *file = fopen(run->plot, "we");
	int r;

	if (!file)
		return -errno;
	r = distill_plot_write(file, &run->optics, &run->config, run->km, run->plotted, run->count);
	return fclose(file) != 0 && r >= 0 ? -errno : r;
}

/* Light for the loopback when it is recorded or comes from a recording. */
static ssize_t draw(uint64_t end_slot, struct sim_event *ret_events, size_t max, void *userdata)
{
	struct run *run = userdata;
	size_t count;
	int r;

	if (run->replay)
		return tape_read(run->tape, ret_events, max);
	count = sim_optics_draw(run->light, end_slot, ret_events, max);
	r = tape_write(run->tape, ret_events, count);
	return r < 0 ? r : (ssize_t)count;
}

static int run_blocks(struct run *run)
{
	const struct loopback_handler handler = {
		.on_report = on_report,
		.draw = run->tape ? draw : NULL,
	};
	_cleanup_(loopback_freep) struct loopback *loopback = NULL;
	int r = loopback_new(&run->optics, &run->config, run->seed, &handler, run, &loopback);

	if (r < 0)
		return r;
	run->loopback = loopback;
	print_header();
	r = loopback_run(loopback, run->blocks, UINT64_MAX);
	print_total(run);
	if (r == -ETIME && run->count > 0) /* the recording is over */
		r = 0;
	if (r >= 0 && run->record)
		r = tape_flush(run->tape);
	if (r >= 0 && run->plot)
		r = plot(run);
	return r;
}

static int start_record(struct run *run)
{
	struct recording_header header = {
		.period_ps = run->optics.period_ps,
		.sync_slots = run->optics.sync_slots,
		.sync_seed = run->optics.sync_seed,
		.intensities = run->optics.intensity_count,
	};
	int r = sim_optics_new(&run->optics, &run->light);

	memcpy(header.mean_photons, run->optics.mean_photons, sizeof(header.mean_photons));
	memcpy(header.probability, run->optics.probability, sizeof(header.probability));
	if (r >= 0)
		r = tape_new_record(run->record, &header, &run->tape);
	if (r < 0)
		fprintf(stderr, "qkd-distill: %s: %s\n", run->record, strerror(-r));
	return r;
}

/* What the file says of its device replaces the options. */
static int start_replay(struct run *run)
{
	struct key_length_source *source = &run->config.source;
	struct recording_header header;
	const char *what = NULL;
	int r = tape_new_replay(run->replay, &header, &run->tape, &what);

	if (r >= 0) {
		run->optics.period_ps = header.period_ps;
		run->optics.sync_slots = header.sync_slots;
		run->optics.sync_seed = header.sync_seed;
		source->intensity_count = header.intensities;
		memcpy(source->mean_photons, header.mean_photons, sizeof(header.mean_photons));
		memcpy(source->probability, header.probability, sizeof(header.probability));
		run->config.bound = header.intensities == 3 ? DISTILL_BOUND_LIM
							    : DISTILL_BOUND_WIESEMANN;
		what = distill_config_fault(&run->config);
		r = what ? -EINVAL : 0;
	}
	if (r < 0)
		fprintf(stderr, "qkd-distill: %s: %s\n", run->replay, what ?: strerror(-r));
	return r;
}

static int prepare(struct run *run)
{
	if (run->record)
		return start_record(run);
	return run->replay ? start_replay(run) : 0;
}

static void explain(const struct run *run, int error)
{
	if (run->replay && error == -ETIME)
		fprintf(stderr, "qkd-distill: %s: too few detections for a block\n", run->replay);
	else if (run->replay && error == -EBADMSG)
		fprintf(stderr, "qkd-distill: %s: no detection at byte %lu\n", run->replay,
			tape_offset(run->tape));
	else
		fprintf(stderr, "qkd-distill: %s\n",
			error == -EAGAIN   ? "too little light to align the clocks"
			: error == -ENOENT ? "no synchronisation pattern in the light"
					   : strerror(-error));
}

int main(int argc, char **argv)
{
	static struct run run = {.km = 20, .blocks = 3, .seed = 1};
	const char *what;
	int r;

	sim_optics_defaults(&run.optics);
	distill_config_defaults(&run.config);
	r = parse_options(&run, argc, argv);
	if (r > 0)
		return r == 1 ? 0 : 2;
	run.optics.seed = run.seed;
	if (sim_optics_check(&run.optics, &what) < 0) {
		fprintf(stderr, "qkd-distill: %s\n", what);
		return 2;
	}
	r = prepare(&run);
	if (r >= 0) {
		r = run_blocks(&run);
		if (r < 0)
			explain(&run, r);
	}
	tape_free(run.tape);
	sim_optics_free(run.light);
	return r < 0;
}
