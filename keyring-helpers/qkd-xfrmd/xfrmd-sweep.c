/* SPDX-License-Identifier: MIT */
/* Finds what is ours in the kernel by its number, and removes what nobody keeps. */

#include "xfrmd-sweep.h"

#include "xfrmd-rules.h"

/* All that one configuration can have; more than this at once is left for the next start. */
#define SWEEP_MAX (3 * XFRMD_MAX_CONNECTIONS * 2 * XFRMD_MAX_SELECTORS + 4)

struct sweep {
	xfrmd_sweep_keep_t keep;
	void *userdata;
	struct xfrm_report *found;
	size_t count;
};

static void on_report(const struct xfrm_report *report, void *userdata)
{
	struct sweep *sweep = userdata;

	/* With SPI 0 it is the kernel's note that somebody waits, which nobody can delete. */
	if (report->type == XFRM_REPORT_SA && report->spi == 0)
		return;
	if (xfrmd_rules_is_ours(report) && !sweep->keep(report, sweep->userdata) &&
	    sweep->count < SWEEP_MAX)
		sweep->found[sweep->count++] = *report;
}

static int remove_one(struct xfrm_kernel *kernel, const struct xfrm_report *report)
{
	const struct xfrm_sa sa = {.destination = report->destination, .spi = report->spi};
	int r = report->type == XFRM_REPORT_POLICY
			? xfrm_kernel_delete_policy(kernel, &report->policy)
			: xfrm_kernel_delete_sa(kernel, &sa);

	return r == -ENOENT || r == -ESRCH ? 0 : r; /* gone by itself */
}

static int sweep_kind(struct xfrm_kernel *kernel, bool policies, struct sweep *sweep)
{
	int r;

	sweep->count = 0;
	r = xfrm_kernel_foreach(kernel, policies, on_report, sweep);
	for (size_t i = 0; r >= 0 && i < sweep->count; i++)
		r = remove_one(kernel, &sweep->found[i]);
	return r;
}

/* Associations first: a moment without keys drops packets, one without policy lets them out. */
int xfrmd_sweep(struct xfrm_kernel *kernel, xfrmd_sweep_keep_t keep, void *userdata)
{
	_cleanup_(freep) struct xfrm_report *found = calloc(SWEEP_MAX, sizeof(*found));
	struct sweep sweep = {.keep = keep, .userdata = userdata, .found = found};
	int r;

	if (!found)
		return -ENOMEM;
	r = sweep_kind(kernel, false, &sweep);
	return r < 0 ? r : sweep_kind(kernel, true, &sweep);
}
