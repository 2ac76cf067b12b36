/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A picture of a distillation run as SVG: error rate, efficiency and key rate block by block, and
 * the key rate against distance as the theory has it, with what was measured in it.
 */

#include <stdio.h>

#include "drivers/sim-optics.h"
#include "qkd-linkd/distill/distill.h"

#define DISTILL_PLOT_MAX_BLOCKS 1000

struct distill_plot_block {
	double error_rate, efficiency;
	double key_rate; /* bit/s of light */
};

/* What the theory expects of a block at so many km, in bit/s of light. */
double distill_plot_theory(const struct sim_optics_parameters *optics,
			   const struct distill_config *config, double km);

int distill_plot_write(FILE *file, const struct sim_optics_parameters *optics,
		       const struct distill_config *config, double km,
		       const struct distill_plot_block *blocks, size_t count);
