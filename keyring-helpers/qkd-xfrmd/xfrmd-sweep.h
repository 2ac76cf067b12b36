/* SPDX-License-Identifier: MIT */
#pragma once

/* Takes out of the kernel what is ours and belongs to no connection (any more). */

#include "xfrm-kernel.h"

/* keep() says which policies and associations stay: POLICY and SA reports with a number of ours. */
typedef bool (*xfrmd_sweep_keep_t)(const struct xfrm_report *report, void *userdata);
int xfrmd_sweep(struct xfrm_kernel *kernel, xfrmd_sweep_keep_t keep, void *userdata);
