/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One detection as a device reports it, at either end: what a driver that yields detections hands
 * to qkd-linkd/distill/. The bit is raw key; arrays of these live in secret memory.
 */

#include <stdint.h>

#define DETECTION_INTENSITIES_MAX 3

enum detection_basis {
	DETECTION_BASIS_KEY,  /* Lim et al. 2014: X */
	DETECTION_BASIS_TEST, /* Lim et al. 2014: Z */
};

struct detection {
	uint64_t time;     /* slot number, or picoseconds on the device's own clock */
	uint8_t basis;     /* enum detection_basis */
	uint8_t bit;       /* 0 or 1 */
	uint8_t intensity; /* the transmitter's; index of the mean photon number */
	uint8_t unused[5];
};
