/* SPDX-License-Identifier: MIT */
#pragma once

/* Puts the policies of a configuration into the kernel, each in the place of one that is there. */

#include "xfrm-kernel.h"
#include "xfrmd-config.h"

/* From here on nothing of this connection leaves in clear. */
int xfrmd_policies_protect(struct xfrm_kernel *kernel,
			   const struct xfrmd_connection_config *connection);
/* But what is to go as it is. After the sweep: a policy keeps its index when it is replaced, so one
 * that protected the same traffic until now has to be gone. */
int xfrmd_policies_open(struct xfrm_kernel *kernel, const struct xfrmd_config *config);
