/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of the configuration share among themselves. Users include config.h alone. */

#include "common/config.h"

#define CONFIG_POINTER_MAX_CHARS 512

/* Where an error stands, for printing all of them in the order of the file. */
struct config_message {
	struct json_position position; /* line 0: command line */
	char *text;
};

struct config {
	char *file;             /* NULL: command line only */
	struct json_text *text; /* NULL: none, or it could not be read */
	json_t *root;           /* file and command line merged */
	json_t *given;          /* set of JSON pointers that the command line gave */
	bool is_unreadable;     /* nothing to check settings against */
	struct config_message messages[CONFIG_MAX_ERRORS];
	size_t message_count;  /* kept */
	size_t left_out_count; /* beyond CONFIG_MAX_ERRORS */
};

/* config.c */
/* Of the member, or of what encloses it where it is missing. */
bool config_is_from_command_line(const struct config *config, const char *pointer);

/* config-pointer.c: "/tls/key" in the other forms. All into buffers of CONFIG_POINTER_MAX_CHARS. */
/* Appends a member's name, escaped. Too long: cut, since it is for finding and showing only. */
void config_pointer_append(char *pointer, const char *name);
/* "tls.key" to "/tls/key". */
void config_pointer_from_name(const char *name, char *ret_pointer);
/* To "tls.key" or "rules[0].uid", as an administrator reads it; "" to "configuration". */
void config_pointer_show(json_t *root, const char *pointer, char *ret_text);
/* The value there, borrowed; NULL when there is none. */
json_t *config_pointer_get(json_t *root, const char *pointer);

/* config-value.c: checks one value and puts it into the field. */
void config_value_read(struct config *config, const struct config_setting *setting,
		       const char *pointer, json_t *value, void *target);
const char *config_value_kind(const json_t *value); /* "a string" */
