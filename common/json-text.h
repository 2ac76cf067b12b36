/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * JSON text with positions: jansson parses, this finds the line and column of any member again, so
 * that an error in a configuration file can be pointed at.
 */

#include <jansson.h>

#include "common/macros.h"

/* jansson.h itself has json_decrefp, for _cleanup_(json_decrefp). */

struct json_text;

struct json_position {
	unsigned line, column; /* from 1; 0 when unknown */
};

/* At most max_bytes. A syntax error is -EBADMSG with *ret_position and *ret_what (static or owned
 * by the caller through free()) filled in; duplicate members are errors. */
int json_text_load(const char *path, size_t max_bytes, struct json_text **ret,
		   struct json_position *ret_position, char **ret_what);
int json_text_new(const char *text, size_t size_bytes, struct json_text **ret,
		  struct json_position *ret_position, char **ret_what);
struct json_text *json_text_free(struct json_text *text);
DEFINE_CLEANUP(struct json_text *, json_text_free);

json_t *json_text_root(struct json_text *text); /* borrowed */
/* JSON pointer (RFC 6901), "" for the root. Of a member: the position of its name. */
struct json_position json_text_locate(const struct json_text *text, const char *pointer);
