/* SPDX-License-Identifier: MIT */
/*
 * How many secret bits a block yields, after Tomamichel 2012, Lim 2014 and Wiesemann 2024.
 *
 * All bounds are clamped to what they can mean: counts to zero and to their sum, rates to one half.
 */

#include <math.h>

#include "qkd-linkd/distill/key-length.h"

/* Error terms that share eps_sec: Lim 2014, below eq. (1); Wiesemann 2024, section 6.2. */
#define LIM_TERMS       21.0
#define WIESEMANN_TERMS 15.0

static double clamp(double x, double low, double high)
{
	if (!(x > low)) /* a NaN too */
		return low;
	return x < high ? x : high;
}

static double sum(const double values[static DETECTION_INTENSITIES_MAX], unsigned count)
{
	double total = 0;

	for (unsigned i = 0; i < count; i++)
		total += values[i];
	return total;
}

double key_length_entropy(double p)
{
	if (!(p > 0 && p < 1))
		return 0;
	return -p * log2(p) - (1 - p) * log2(1 - p);
}

double key_length_tomamichel(double n, double k, double q_tol, double leak_bits, double eps_sec,
			     double eps_cor)
{
	double mu, phase;

	if (!(n > 0 && k > 0))
		return 0;
	mu = sqrt((n + k) / (n * k) * (k + 1) / k * log(4 / eps_sec));
	phase = clamp(q_tol + mu, 0, 0.5);
	return clamp(floor(n * (1 - key_length_entropy(phase)) - leak_bits -
			   log2(2 / (eps_sec * eps_cor))),
		     0, n);
}

double key_length_tau(const struct key_length_source *source, unsigned photons)
{
	double total = 0;

	for (unsigned i = 0; i < source->intensity_count; i++)
		total += source->probability[i] * exp(-source->mean_photons[i]) *
			 pow(source->mean_photons[i], photons) / tgamma(photons + 1.0);
	return total;
}

const char *key_length_source_fault(const struct key_length_source *source)
{
	const double *mu = source->mean_photons;

	if (source->intensity_count < 2 || source->intensity_count > 3)
		return "decoy states need two or three intensities";
	for (unsigned i = 0; i < source->intensity_count; i++)
		if (!(source->probability[i] > 0))
			return "every intensity needs a probability above 0";
	if (!(mu[0] > mu[1] && mu[1] >= 0))
		return "the signal must be brighter than the decoy";
	if (source->intensity_count == 2)
		return mu[1] > 0 ? NULL : "one decoy alone must not be vacuum";
	if (!(mu[1] > mu[2] && mu[2] >= 0 && mu[0] > mu[1] + mu[2]))
		return "two decoys must satisfy mu1 > mu2 + mu3 and mu2 > mu3";
	return NULL;
}

/* e^k / p_k (count + or - deviation), Lim 2014 eq. (2) and below. */
static double scaled(const struct key_length_source *source, unsigned k, double count,
		     double deviation)
{
	return exp(source->mean_photons[k]) / source->probability[k] * fmax(count + deviation, 0);
}

/* Hoeffding: a share of total observations is off by at most this but for probability eps. */
static double hoeffding(double total, double eps)
{
	return sqrt(total / 2 * log(1 / eps));
}

/* Lim 2014, eqs. (2) and (3), for either basis. */
static void lim_photons(const struct key_length_source *source, const double *n, double eps,
			double *ret_s0, double *ret_s1)
{
	const double *mu = source->mean_photons;
	double tau0 = key_length_tau(source, 0), tau1 = key_length_tau(source, 1);
	double total = sum(n, 3), delta = hoeffding(total, eps);
	double plus1 = scaled(source, 0, n[0], delta), plus2 = scaled(source, 1, n[1], delta);
	double minus2 = scaled(source, 1, n[1], -delta), plus3 = scaled(source, 2, n[2], delta);
	double minus3 = scaled(source, 2, n[2], -delta), s0, s1;

	s0 = tau0 * (mu[1] * minus3 - mu[2] * plus2) / (mu[1] - mu[2]);
	s0 = clamp(s0, 0, total);
	s1 = tau1 * mu[0] *
	     (minus2 - plus3 -
	      (mu[1] * mu[1] - mu[2] * mu[2]) / (mu[0] * mu[0]) * (plus1 - s0 / tau0)) /
	     (mu[0] * (mu[1] - mu[2]) - mu[1] * mu[1] + mu[2] * mu[2]);
	*ret_s0 = s0;
	*ret_s1 = clamp(s1, 0, total - s0);
}

/* Lim 2014, eq. (5). */
static double lim_gamma(double a, double b, double c, double d)
{
	double spread = (c + d) * (1 - b) * b / (c * d * M_LN2);
	double odds = (c + d) / (c * d * (1 - b) * b) * LIM_TERMS * LIM_TERMS / (a * a);

	return sqrt(spread * fmax(log2(odds), 0));
}

/* The least positive rate that a bound works with: at exactly 0 the deviation terms vanish. */
static double positive_rate(double errors, double total)
{
	return fmax(errors, 1) / total;
}

void key_length_lim(const struct key_length_source *source, const struct key_length_counts *counts,
		    double leak_bits, double eps_sec, double eps_cor, struct key_length_bounds *ret)
{
	const double *mu = source->mean_photons;
	double eps = eps_sec / LIM_TERMS, delta = hoeffding(sum(counts->m_z, 3), eps), s_z0, rate;
	struct key_length_bounds b = {.phi = 0.5};

	lim_photons(source, counts->n_x, eps, &b.s_x0, &b.s_x1);
	lim_photons(source, counts->n_z, eps, &s_z0, &b.s_z1);
	b.v_z1 = key_length_tau(source, 1) *
		 (scaled(source, 1, counts->m_z[1], delta) -
		  scaled(source, 2, counts->m_z[2], -delta)) /
		 (mu[1] - mu[2]);
	b.v_z1 = fmax(b.v_z1, 0);
	if (b.s_z1 > 0 && b.s_x1 > 0) {
		rate = clamp(positive_rate(b.v_z1, b.s_z1), 0, 0.5);
		b.phi = clamp(rate + lim_gamma(eps_sec, rate, b.s_z1, b.s_x1), 0, 0.5);
	}
	b.length = b.s_x0 + b.s_x1 * (1 - key_length_entropy(b.phi)) - leak_bits -
		   6 * log2(LIM_TERMS / eps_sec) - log2(2 / eps_cor);
	b.length = clamp(floor(b.length), 0, sum(counts->n_x, 3));
	*ret = b;
}

/* Upper bound on vacuum detections, from errors (half of them are wrong): Wiesemann 2024, 4.1. */
static double wiesemann_vacuum(const struct key_length_source *source, const double *n,
			       const double *m, double eps)
{
	double total = sum(n, 2), delta = hoeffding(total, eps), best = total;

	for (unsigned k = 0; k < 2; k++) {
		double errors = scaled(source, k, m[k], hoeffding(sum(m, 2), eps));

		best = fmin(best, 2 * (key_length_tau(source, 0) * errors + delta));
	}
	return best;
}

/* Lower bound on single-photon detections: Wiesemann 2024, section 4.1. */
static double wiesemann_single(const struct key_length_source *source, const double *n,
			       const double *m, double eps)
{
	const double *mu = source->mean_photons;
	double tau0 = key_length_tau(source, 0), tau1 = key_length_tau(source, 1);
	double total = sum(n, 2), delta = hoeffding(total, eps);
	double ratio = mu[1] * mu[1] / (mu[0] * mu[0]);
	double s1 = scaled(source, 1, n[1], -delta) - ratio * scaled(source, 0, n[0], delta) -
		    (1 - ratio) / tau0 * wiesemann_vacuum(source, n, m, eps);

	return clamp(mu[0] * tau1 / (mu[1] * (mu[0] - mu[1])) * s1, 0, total);
}

/* Serfling, with the smaller sample as the tested one, which is the larger deviation. */
static double serfling(double c, double d, double eps)
{
	double k = fmin(c, d);

	return sqrt((c + d) / (c * d) * (k + 1) / k * log(1 / eps));
}

void key_length_wiesemann(const struct key_length_source *source,
			  const struct key_length_counts *counts, double leak_bits, double eps_sec,
			  double eps_cor, struct key_length_bounds *ret)
{
	const double *mu = source->mean_photons;
	double eps = eps_sec / WIESEMANN_TERMS, delta = hoeffding(sum(counts->m_z, 2), eps);
	struct key_length_bounds b = {.phi = 0.5};

	b.s_x1 = wiesemann_single(source, counts->n_x, counts->m_x, eps);
	b.s_z1 = wiesemann_single(source, counts->n_z, counts->m_z, eps);
	b.v_z1 = key_length_tau(source, 1) / (mu[0] - mu[1]) *
		 (scaled(source, 0, counts->m_z[0], delta) -
		  scaled(source, 1, counts->m_z[1], -delta));
	b.v_z1 = fmax(b.v_z1, 0);
	if (b.s_z1 > 0 && b.s_x1 > 0)
		b.phi = clamp(clamp(b.v_z1 / b.s_z1, 0, 0.5) + serfling(b.s_x1, b.s_z1, eps), 0,
			      0.5);
	b.length = b.s_x1 * (1 - key_length_entropy(b.phi)) - leak_bits - log2(2 / eps_cor) -
		   4 * log2(WIESEMANN_TERMS / (eps_sec * exp2(0.25)));
	b.length = clamp(floor(b.length), 0, sum(counts->n_x, 2));
	*ret = b;
}
