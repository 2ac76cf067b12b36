/* SPDX-License-Identifier: MIT */
#pragma once

/* The links of a path's hops: started and stopped over D-Bus, by way of the linkd of this site. */

#include "issuer-path.h"
#include "keyringd-links.h"
#include "list.h"
#include "path-manager.h"

struct path_hop_starter {
	const char *site;
	struct issuer *issuer;
	struct keyringd_links *const *links; /* NULL there while there is no bus */
	struct list open;
};

void path_hop_starter_init(struct path_hop_starter *starter, const char *site,
			   struct issuer *issuer, struct keyringd_links *const *links);
/* For struct path_manager_options, with the starter as userdata. */
extern const struct path_hops path_hops;
