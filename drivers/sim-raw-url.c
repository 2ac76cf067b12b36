/* SPDX-License-Identifier: MIT */
/* Reads the parameters of the simulator's raw mode from its URL, in people's units. */

#include <math.h>

#include "drivers/sim-raw-url.h"

#define FIBRE_DB_KM 0.2
#define PACE_MAX    1000.0

const char *const sim_raw_parameters[] = {
	"mode",         "distance",   "loss",        "efficiency", "dark",
	"misalignment", "dead_nsec",  "rate_mhz",    "mu",         "p",
	"key_basis",    "intercept",  "offset_usec", "drift_ppm",  "jitter_psec",
	"seed",         "sync_slots", "pace",        NULL,
};

/* One number and where it goes, multiplied by scale. */
struct number {
	const char *name;
	double *to;
	double scale;
};

static int not_a(const char *name, const char *what, char **ret_what)
{
	return asprintf(ret_what, "%s: %s is expected", name, what) < 0 ? -ENOMEM : -EINVAL;
}

static int read_number(const struct device_url *url, const struct number *number, char **ret_what)
{
	const char *text = device_url_get(url, number->name);
	char *end;
	double x;

	if (!text)
		return 0;
	x = strtod(text, &end);
	if (end == text || *end != '\0' || !isfinite(x))
		return not_a(number->name, "a number", ret_what);
	*number->to = x * number->scale;
	return 0;
}

/* One to three numbers with slashes between. */
static int read_list(const struct device_url *url, const char *name,
		     double ret[static DETECTION_INTENSITIES_MAX], unsigned *ret_count,
		     char **ret_what)
{
	const char *at = device_url_get(url, name);
	unsigned count = 0;

	if (!at)
		return 0;
	for (;; at++) {
		char *end;
		double x = strtod(at, &end);

		if (end == at || count == DETECTION_INTENSITIES_MAX ||
		    (*end != '/' && *end != '\0'))
			return not_a(name, "numbers as 0.5/0.1/0", ret_what);
		ret[count++] = x;
		at = end;
		if (*at == '\0')
			break;
	}
	*ret_count = count;
	return 0;
}

static int read_intensities(const struct device_url *url, struct sim_optics_parameters *optics,
			    char **ret_what)
{
	unsigned means = optics->intensity_count, shares = optics->intensity_count;
	int r = read_list(url, "mu", optics->mean_photons, &means, ret_what);

	if (r >= 0)
		r = read_list(url, "p", optics->probability, &shares, ret_what);
	if (r >= 0 && means != shares)
		return not_a("p", "as many numbers as mu has", ret_what);
	optics->intensity_count = means;
	return r;
}

int sim_raw_url_read(const struct device_url *url, struct sim_raw_settings *ret, char **ret_what)
{
	struct sim_optics_parameters *optics = &ret->optics;
	double dead_psec = 100e3, rate_mhz = 1000, km = 20, seed = 0, sync_slots = 0;
	const struct number numbers[] = {
		{"distance", &km, 1},
		{"efficiency", &optics->efficiency, 1},
		{"dark", &optics->dark_count, 1},
		{"misalignment", &optics->misalignment, 1},
		{"dead_nsec", &dead_psec, 1e3},
		{"rate_mhz", &rate_mhz, 1},
		{"key_basis", &optics->key_basis, 1},
		{"intercept", &optics->intercept, 1},
		{"offset_usec", &optics->offset_ps, 1e6},
		{"drift_ppm", &optics->drift, 1e-6},
		{"jitter_psec", &optics->jitter_ps, 1},
		{"seed", &seed, 1},
		{"sync_slots", &sync_slots, 1},
		{"pace", &ret->pace, 1},
	};
	const struct number loss = {"loss", &optics->loss_db, 1};
	const char *what;
	int r = 0;

	sim_optics_defaults(optics);
	ret->pace = 1;
	sync_slots = (double)optics->sync_slots;
	for (size_t i = 0; i < ELEMENTSOF(numbers) && r >= 0; i++)
		r = read_number(url, &numbers[i], ret_what);
	optics->loss_db = km * FIBRE_DB_KM;
	if (r >= 0)
		r = read_number(url, &loss, ret_what);
	if (r >= 0)
		r = read_intensities(url, optics, ret_what);
	if (r < 0)
		return r;
	if (!(rate_mhz > 0) || !(dead_psec >= 0) || !(ret->pace > 0 && ret->pace <= PACE_MAX) ||
	    !(seed >= 0) || !(sync_slots >= 64 && sync_slots < 1e12))
		return not_a("rate_mhz, dead_nsec, pace, seed or sync_slots", "a sensible number",
			     ret_what);
	optics->period_ps = 1e6 / rate_mhz;
	optics->dead_gates = (uint32_t)fmin(dead_psec / optics->period_ps, 1e9);
	optics->sync_slots = (uint64_t)sync_slots / 64 * 64;
	optics->seed = (uint64_t)seed;
	ret->has_seed = device_url_get(url, "seed") != NULL;
	r = sim_optics_check(optics, &what);
	return r < 0 && asprintf(ret_what, "%s", what) < 0 ? -ENOMEM : r;
}
