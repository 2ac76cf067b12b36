/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Device URLs: scheme://host[:port][/path][?name=value&...]. Every scheme takes side, keybits,
 * switchname, switchport; the rest is the driver's own (design section 3).
 */

#include "common/macros.h"

#define DEVICE_URL_MAX_CHARS      2048
#define DEVICE_URL_MAX_PARAMETERS 32
#define DEVICE_KEY_BITS_DEFAULT   256
#define DEVICE_KEY_BITS_MIN       64
#define DEVICE_KEY_BITS_MAX       4096

enum device_side {
	DEVICE_SIDE_ALICE,
	DEVICE_SIDE_BOB,
};

struct device_url {
	char *scheme, *host, *path;
	uint16_t port; /* 0: not given */
	enum device_side side;
	bool side_is_given;
	uint32_t key_bits;
	char *switch_name, *switch_port; /* NULL when not given */
	struct device_parameter {
		char *name, *value;
	} parameters[DEVICE_URL_MAX_PARAMETERS];
	size_t parameter_count;
};

/* Values are %-decoded to printable ASCII; a parameter given twice is an error. -EINVAL with a
 * sentence in ret_what (free() it). */
int device_url_parse(const char *text, struct device_url **ret, char **ret_what);
/* known: the driver's own parameter names, NULL-terminated; an unknown one is an error that names
 * the nearest. */
int device_url_check_parameters(const struct device_url *url, const char *const *known,
				char **ret_what);
struct device_url *device_url_free(struct device_url *url);
DEFINE_CLEANUP(struct device_url *, device_url_free);

const char *device_url_get(const struct device_url *url, const char *name); /* or NULL */
/* scheme_host_port_switchport_keybits_side, with '/' and other odd characters as '-'; a port that
 * is not given is 0, a switch port that is not given is empty. */
int device_url_id(const struct device_url *url, char **ret_id);
