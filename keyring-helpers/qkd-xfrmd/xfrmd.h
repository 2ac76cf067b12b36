/* SPDX-License-Identifier: MIT */
#pragma once

/* qkd-xfrmd as a whole: kernel IPsec with quantum keys, see qkd-xfrmd(8). */

#include "xfrmd-config.h"

struct xfrmd;

/* Takes config when it succeeds. What cannot be started is told in the journal. */
int xfrmd_new(struct xfrmd_config *config, struct xfrmd **ret);
struct xfrmd *xfrmd_free(struct xfrmd *xfrmd);
DEFINE_CLEANUP(struct xfrmd *, xfrmd_free);
/* Until a signal ends it. */
int xfrmd_run(struct xfrmd *xfrmd);
/* Takes every association and policy of ours out of the kernel: traffic goes in clear then. */
int xfrmd_flush(void);
