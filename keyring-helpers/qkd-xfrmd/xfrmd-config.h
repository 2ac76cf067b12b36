/* SPDX-License-Identifier: MIT */
#pragma once

/* qkd-xfrmd's settings: qkd-xfrmd.json(5), the same on the command line. */

#include <stdio.h>

#include "ip-prefix.h"

#define XFRMD_MAX_CONNECTIONS 64
#define XFRMD_MAX_SELECTORS   32
#define XFRMD_NAME_MAX_CHARS  39
#define XFRMD_DEFAULT_PORT    7900

struct xfrmd_selector {
	struct ip_prefix local, remote;
	uint8_t protocol;                 /* 0: any */
	uint16_t local_port, remote_port; /* 0: any */
};

struct xfrmd_connection_config {
	char *name, *peer;
	struct ip_address local, remote, control; /* control: where the other qkd-xfrmd listens */
	uint16_t control_port;
	bool tunnel;
	struct xfrmd_selector selectors[XFRMD_MAX_SELECTORS];
	struct xfrmd_selector clear[XFRMD_MAX_SELECTORS]; /* goes as it is all the same */
	size_t selector_count, clear_count;
	uint64_t rekey_sec, hard_sec, drain_sec, rekey_bytes, hard_bytes;
	uint32_t reqid;
};

struct xfrmd_config {
	char *site;
	bool kernel_shared;
	uint64_t port;
	int log_level; /* as syslog(3) */
	struct xfrmd_connection_config *connections;
	size_t connection_count;
};

/* Reads file (NULL: none) and the command line's words, and prints every error: -EINVAL then. */
int xfrmd_config_new(const char *file, char *const *arguments, FILE *errors,
		     struct xfrmd_config **ret);
struct xfrmd_config *xfrmd_config_free(struct xfrmd_config *config);
DEFINE_CLEANUP(struct xfrmd_config *, xfrmd_config_free);
void xfrmd_config_print_help(FILE *stream);

/* What marks our associations and protecting policies in the kernel: a number of ours and the
 * name's. */
uint32_t xfrmd_reqid(const char *connection) _pure_;
bool xfrmd_reqid_is_ours(uint32_t reqid) _pure_;
