/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The kernel's IPsec as the daemon uses it: requests that are answered at once on one socket, what
 * the kernel tells by itself on another.
 */

#include <systemd/sd-event.h>

#include "xfrm-message.h"

struct xfrm_kernel;

/* For ACQUIRE and EXPIRE. */
typedef void (*xfrm_kernel_handler_t)(const struct xfrm_report *report, void *userdata);
/* NULL event and handler: requests only. */
int xfrm_kernel_new(sd_event *event, xfrm_kernel_handler_t handler, void *userdata,
		    struct xfrm_kernel **ret);
struct xfrm_kernel *xfrm_kernel_free(struct xfrm_kernel *kernel);
DEFINE_CLEANUP(struct xfrm_kernel *, xfrm_kernel_free);

/* As the kernel says: -EEXIST, -EPERM, -EPROTONOSUPPORT without ESP, -ENOSYS without GCM. */
int xfrm_kernel_add_sa(struct xfrm_kernel *kernel, const struct xfrm_sa *sa,
		       const struct secret *key);
int xfrm_kernel_delete_sa(struct xfrm_kernel *kernel, const struct xfrm_sa *sa);
int xfrm_kernel_set_policy(struct xfrm_kernel *kernel, const struct xfrm_policy_rule *rule);
/* Whether there is one with that direction and index: 1, 0 or negative errno. */
int xfrm_kernel_has_policy(struct xfrm_kernel *kernel, enum xfrm_direction direction,
			   uint32_t index);
int xfrm_kernel_delete_policy(struct xfrm_kernel *kernel, const struct xfrm_userpolicy_id *id);
/* Calls back for each association or policy that there is. The callback may make no request. */
int xfrm_kernel_foreach(struct xfrm_kernel *kernel, bool policies, xfrm_kernel_handler_t handler,
			void *userdata);
