/* SPDX-License-Identifier: MIT */
#pragma once

/* What an etsi014:// URL says, with every file that it names looked at. */

#include "drivers/device-url.h"

struct etsi014_settings {
	char *sae, *peer_sae; /* sae NULL: not given */
	char *server_name;    /* in the URL of requests, and in the KME's certificate */
	char *connect_to;     /* "HOST:PORT" when that is another one, else NULL */
	char *prefix;         /* path before /api/v1 */
	char *ca_file, *certificate_file, *key_file;
	uint16_t port;
	uint32_t key_bits;
};

extern const char *const etsi014_parameters[];

/* -EINVAL with a sentence in ret_what (free() it). */
int etsi014_settings_read(struct etsi014_settings *settings, const struct device_url *url,
			  char **ret_what);
void etsi014_settings_done(struct etsi014_settings *settings);
