/* SPDX-License-Identifier: MIT */
#pragma once

/* qkd-linkd's settings: qkd-link.json(5), the same on the command line. */

#include "common/config.h"
#include "common/keyfile.h"
#include "common/name.h"

enum link_consumer {
	LINK_CONSUMER_KEYRING,
	LINK_CONSUMER_FILES,
};

struct link_config {
	char *site, *peer, *link;
	char *device;                /* URL */
	char *listen, *peer_address; /* the follower's, the leader's */
	char *tls_ca, *tls_certificate, *tls_key;
	char *home, *runtime;
	char *bus; /* "system", "none" or a D-Bus address */
	uint64_t keys_per_transaction, window, hold_sec, deposit_cap, store_limit_keys;
	char *distill_secret; /* the first authentication secret, for devices that yield detections
			       */
	uint64_t distill_frames, distill_window;
	bool distill_count_both;
	int consumer;  /* enum link_consumer */
	int log_level; /* as syslog(3) */
	bool kernel_shared, confirm;
};

/* Reads file (NULL: none) and the command line's words and checks all of it, the device's URL
 * included. Prints every error to errors; -EINVAL when there was one. */
int link_config_new(const char *file, char *const *arguments, FILE *errors,
		    struct link_config **ret);
struct link_config *link_config_free(struct link_config *config);
DEFINE_CLEANUP(struct link_config *, link_config_free);
void link_config_print_help(FILE *stream);

static inline bool link_config_is_leader(const struct link_config *config)
{
	return site_is_leader(config->site, config->peer);
}

/* While it runs, see common/config.h. What can be changed at any time owns no memory, so a struct
 * copied before keeps the old values. */
const struct config_setting *link_config_settings(size_t *ret_count);
int link_config_change(struct link_config *config, const char *name, const char *value,
		       char **ret_what);
int link_config_take_over(struct link_config *config, struct link_config *fresh, char **ret_left);
