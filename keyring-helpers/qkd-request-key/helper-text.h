/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the upcall helper reads out of text before it knows whom to ask: the key's owner and
 * description, the site's socket, the time it may wait. Pure, and without a C library. The daemon
 * parses the rest and decides; here only what chooses a path or a deadline is checked.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HELPER_TEXT_PATH_MAX 108 /* sun_path */

/* KEYCTL_DESCRIBE's answer, "type;uid;gid;perm;description", NUL-terminated. */
struct helper_key {
	char type[16];
	uint32_t uid, gid;
	const char *description; /* within the text */
};

/* A decimal number without sign that fits into 31 bits; all of the text. */
bool helper_text_number(const char *text, uint32_t *ret);
bool helper_text_parse_key(const char *text, struct helper_key *ret);
/* The socket of the site that "qkd@SITE:..." names, or of UPCALL_DEFAULT_SITE for "qkd:...". False
 * when it is neither, or SITE is not a site's name. */
bool helper_text_socket(const char *description, char ret_path[static HELPER_TEXT_PATH_MAX]);
/* The callout's wait=SECONDS; UPCALL_WAIT_MAX_SEC when it says nothing, or nothing sensible. */
unsigned helper_text_wait(const char *callout);
