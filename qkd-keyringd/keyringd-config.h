/* SPDX-License-Identifier: MIT */
#pragma once

/* qkd-keyringd's settings: qkd-keyringd.json(5), the same on the command line. */

#include "common/config.h"

#define KEYRINGD_CONFIG_MAX_PEERS 256 /* as ISSUE_MAX_PEERS */

struct keyringd_peer {
	char *site;
	char *address; /* HOST:PORT; NULL where the peer dials us */
};

struct keyringd_config {
	char *site;
	char *listen;
	char *tls_ca, *tls_certificate, *tls_key;
	char *home, *runtime;
	char *policy;
	char *bus; /* "system", "none" or a D-Bus address */
	struct keyringd_peer *peers;
	size_t peer_count;
	bool kernel_shared; /* several sites in one kernel: the pool ring carries the site's name */
	bool unqualified;   /* also answers descriptions that name no site */
	uint64_t label_ttl_sec, reservation_sec, run_ahead_keys, low_water_keys;
	int log_level; /* as syslog(3) */
};

/* Reads file (NULL: none) and the command line's words, and prints every error. With errors it
 * answers 0 too, so that what the settings name can be checked in the same go: such settings are
 * good for nothing else, and what is wrong or missing is NULL. */
int keyringd_config_new(const char *file, char *const *arguments, FILE *errors,
			struct keyringd_config **ret, size_t *ret_error_count);
struct keyringd_config *keyringd_config_free(struct keyringd_config *config);
DEFINE_CLEANUP(struct keyringd_config *, keyringd_config_free);
void keyringd_config_print_help(FILE *stream);

/* While it runs, see common/config.h. */
const struct config_setting *keyringd_config_settings(size_t *ret_count);
int keyringd_config_change(struct keyringd_config *config, const char *name, const char *value,
			   char **ret_what);
int keyringd_config_take_over(struct keyringd_config *config, struct keyringd_config *fresh,
			      char **ret_left);
