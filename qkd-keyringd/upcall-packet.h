/* SPDX-License-Identifier: MIT */
#pragma once

/* An upcall helper's request, checked: from the packet's bytes to what it asks for. Pure. */

#include <sys/types.h>

#include "common/upcall-wire.h"
#include "request-text.h"

/* Possessor: view, search, link, and read where the type can be read; owner: view. The requester
 * holds the key for its session and can change nothing about it. */
#define UPCALL_PERMISSION_USER  0x1b010000u
#define UPCALL_PERMISSION_LOGON 0x19010000u

struct upcall_packet {
	uid_t uid;
	gid_t gid;
	uint32_t permission;                      /* for the type of the key */
	char description[UPCALL_DESCRIPTION_MAX]; /* for the log; printable */
	bool well_formed;                         /* text is valid */
	struct request_text text;
};

/* -EBADMSG when this is no packet of the helper's. A requester's bad text is no error here: then
 * well_formed is false. */
int upcall_packet_parse(const void *bytes, size_t size_bytes, struct upcall_packet *ret);
