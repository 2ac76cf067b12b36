/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How many secret bits a block yields: pure functions in the notation of their papers, where X is
 * the key basis and Z the test basis.
 *
 * - Tomamichel, Lim, Gisin, Renner: "Tight finite-key analysis for quantum cryptography", Nature
 *   Communications 3 (2012) 634, eq. (2): single photons.
 * - Lim, Curty, Walenta, Xu, Zbinden: "Concise security bounds for practical decoy-state quantum
 * key distribution", Phys. Rev. A 89 (2014) 022307, eqs. (1) to (5): weak pulses, two decoys.
 * - Wiesemann, Krause, Tupkary, Luetkenhaus, Rusca, Walenta: "A consolidated and accessible
 * security proof for finite-size decoy-state quantum key distribution", arXiv:2405.16578, sections
 * 4 and 6: weak pulses, one decoy, statistics after error correction.
 *
 * Counts are doubles so that expected values can be put in. A bound that is void (no detections, a
 * phase error of one half) gives a length of 0, never an error.
 */

#include "drivers/detection.h"

#include "common/macros.h"

#define KEY_LENGTH_EPS_SEC 1e-10
#define KEY_LENGTH_EPS_COR 1e-15

double key_length_entropy(double p); /* binary; h(0) = h(1) = 0 */

/* n key bits, k test bits with error rate q_tol. */
double key_length_tomamichel(double n, double k, double q_tol, double leak_bits, double eps_sec,
			     double eps_cor);

struct key_length_source {
	unsigned intensity_count;
	double mean_photons[DETECTION_INTENSITIES_MAX]; /* mu1 > mu2 (+ mu3) */
	double probability[DETECTION_INTENSITIES_MAX];
};

/* Sifted detections and errors by intensity. */
struct key_length_counts {
	double n_x[DETECTION_INTENSITIES_MAX], m_x[DETECTION_INTENSITIES_MAX];
	double n_z[DETECTION_INTENSITIES_MAX], m_z[DETECTION_INTENSITIES_MAX];
};

struct key_length_bounds {
	double s_x0, s_x1; /* vacuum and single-photon detections in the key basis, at least */
	double s_z1,
		v_z1; /* single photons and their errors in the test basis, at least, at most */
	double phi;   /* phase error rate of the key basis's single photons, at most */
	double length;
};

double key_length_tau(const struct key_length_source *source, unsigned photons);

/* Three intensities, mu1 > mu2 + mu3, mu2 > mu3 >= 0; m_x is not used. */
void key_length_lim(const struct key_length_source *source, const struct key_length_counts *counts,
		    double leak_bits, double eps_sec, double eps_cor,
		    struct key_length_bounds *ret);

/* Two intensities, mu1 > mu2; m_x are the errors that the correction found. */
void key_length_wiesemann(const struct key_length_source *source,
			  const struct key_length_counts *counts, double leak_bits, double eps_sec,
			  double eps_cor, struct key_length_bounds *ret);

/* NULL, or what is wrong with a source for its number of intensities. */
const char *key_length_source_fault(const struct key_length_source *source);
