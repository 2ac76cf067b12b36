/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The physics of the simulated device's raw mode: decoy-state BB84 with weak coherent pulses over a
 * lossy fibre, two gated threshold detectors a basis, and an eavesdropper on demand.
 *
 * Draws only the detections: the empty gates between two of them are skipped by one geometric
 * step, so a simulated GHz source runs in real time. Pure: no clock, no I/O; one seed, one stream.
 *
 * Closed forms (they are what the tests hold it against), with eta = efficiency * 10^(-loss/10),
 * d dark counts a gate and detector, e misalignment, mu the mean photon number:
 *   p_c = 1-(1-d)exp(-eta mu (1-e)), p_w = 1-(1-d)exp(-eta mu e), gain Q = 1-(1-d)^2 exp(-eta mu),
 *   error rate E Q = p_w - p_c p_w / 2 (a double click gives a random bit);
 *   dead time of k gates: Q/(1+kQ).
 */

#include "common/macros.h"
#include "drivers/detection.h"

#define SIM_OPTICS_DEAD_GATES_MAX 1000000u
#define SIM_OPTICS_LOSS_DB_MAX    100.0
#define SIM_OPTICS_MEAN_MAX       10.0

struct sim_optics_parameters {
	unsigned intensity_count; /* 1..3, the first is the signal */
	double mean_photons[DETECTION_INTENSITIES_MAX];
	double probability[DETECTION_INTENSITIES_MAX];
	double key_basis; /* probability of the key basis, at each end */
	double loss_db, efficiency, dark_count, misalignment;
	uint32_t dead_gates; /* gates that no detector sees after a detection */
	double intercept;    /* fraction of pulses that are measured in a random basis and resent
				with the same mean photon number */
	double period_ps;    /* of the pulses, on the transmitter's clock */
	double jitter_ps;    /* standard deviation of a time tag */
	double offset_ps;    /* the receiver's clock at the transmitter's zero */
	double drift;        /* the receiver's clock runs 1 + drift times as fast */
	uint64_t sync_slots; /* at the start, pulses on or off in the public pattern instead */
	uint64_t sync_seed;
	uint64_t seed;
};

/* One detection, as both ends see it. */
struct sim_event {
	uint64_t slot;
	int64_t tag_ps; /* on the receiver's clock */
	uint8_t sender_basis, sender_bit, intensity;
	uint8_t receiver_basis, receiver_bit;
	bool double_click;
};

struct sim_expectation {
	double gain, error_rate; /* in one basis, both ends agreeing on it */
	double double_click;     /* probability a gate */
};

struct sim_optics;

/* 20 km of fibre and the other defaults that qkd-distillation(7) names. */
void sim_optics_defaults(struct sim_optics_parameters *ret);
/* -EINVAL with a sentence in ret_what (static). */
int sim_optics_check(const struct sim_optics_parameters *parameters, const char **ret_what);
int sim_optics_new(const struct sim_optics_parameters *parameters, struct sim_optics **ret);
struct sim_optics *sim_optics_free(struct sim_optics *optics);
DEFINE_CLEANUP(struct sim_optics *, sim_optics_free);

/* The next detections, at most max of them, in slots below end_slot; how many. */
size_t sim_optics_draw(struct sim_optics *optics, uint64_t end_slot, struct sim_event *ret_events,
		       size_t max);

/* The public pattern of the synchronisation slots: is this pulse on? */
bool sim_optics_sync_on(uint64_t sync_seed, uint64_t slot);
/* The same for the 64 slots from 64 * index on, the first in the lowest bit. */
uint64_t sim_optics_sync_word(uint64_t sync_seed, uint64_t index);

/* The closed forms for one intensity, without dead time. */
void sim_optics_expect(const struct sim_optics_parameters *parameters, unsigned intensity,
		       struct sim_expectation *ret);
double sim_optics_mean_gain(const struct sim_optics_parameters *parameters);
