/* SPDX-License-Identifier: MIT */
/* What of the issuer's settings changes while it runs. */

#include "issuer-private.h"

/* A directory has grown its own figure where it ran dry; it starts from the new one again. */
static void set_run_ahead(struct issuer_store *store, uint32_t keys)
{
	for (size_t i = 0; i < store->directory_count; i++)
		store->directories[i]->run_ahead_keys = keys;
}

void issuer_reconfigure(struct issuer *issuer, const struct issuer_changes *changes)
{
	issuer->label_ttl_sec = changes->label_ttl_sec;
	issuer->reservation_sec = changes->reservation_sec;
	issuer->low_water_keys = changes->low_water_keys;
	if (issuer->run_ahead_keys == changes->run_ahead_keys)
		return;
	issuer->run_ahead_keys = changes->run_ahead_keys;
	for (size_t i = 0; i < issuer->store_count; i++)
		set_run_ahead(issuer->stores[i], changes->run_ahead_keys);
}
