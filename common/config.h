/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Configuration from a JSON file and the command line, both for every setting.
 *
 * The file and the command line are merged into one JSON document ("--tls.key=PATH" sets member
 * "key" of member "tls" and wins over the file; the value is taken as JSON where the setting is not
 * a string), which is then read once against a table. Every error is collected as
 * "file:line:column: where: what" (or "command line: --where: what") and reported together; an
 * unknown member is an error that names the nearest known one.
 */

#include <stdio.h>

#include "common/json-text.h"

#define CONFIG_MAX_BYTES  (1u << 20)
#define CONFIG_MAX_ERRORS 64

enum config_type {
	CONFIG_STRING, /* char *, owned by the struct; min..max are its length */
	CONFIG_PATH,   /* char *, absolute; "credential:NAME" becomes $CREDENTIALS_DIRECTORY/NAME */
	CONFIG_SITE,   /* char *, a site's name */
	CONFIG_LINK,   /* char *, a link's name */
	CONFIG_ADDRESS, /* char *, HOST:PORT or [V6]:PORT */
	CONFIG_UINT,    /* uint64_t within min..max */
	CONFIG_BOOL,    /* bool */
	CONFIG_CHOICE,  /* int, index into choices */
	CONFIG_CUSTOM,  /* parse() decides */
};

/* When a running daemon takes a new value. */
enum config_change {
	CONFIG_AT_START,  /* a restart is needed */
	CONFIG_AT_RELOAD, /* with the file read again */
	CONFIG_ANY_TIME,  /* also one at a time, by config_change(); a number, bool or choice */
};

struct config;

struct config_setting {
	const char *name; /* "hold_sec", "tls.key": dots are nesting */
	enum config_type type;
	enum config_change change;
	size_t offset; /* of the field in the caller's struct, which holds the default before */
	bool required;
	/* Of a number (max 0: no limit), or of a string's length. A char * default is NULL or from
	 * malloc(3), since config_read() frees it. */
	uint64_t min, max;
	const char *const *choices; /* NULL-terminated */
	const char *argument;       /* for --help: "SECONDS" */
	const char *help;           /* one line */
	/* CONFIG_CUSTOM: value is at pointer; reports through config_error(), answers 0 all the
	 * same. */
	int (*parse)(struct config *config, const char *pointer, json_t *value, void *field);
	bool (*same)(const void *field, const void *other); /* CONFIG_CUSTOM */
};

/* NULL file: command line only. arguments: the "--name=value" words, NULL-terminated. A file that
 * cannot be read is an error among the others, which config_read() answers: only -ENOMEM here. */
int config_new(const char *file, char *const *arguments, struct config **ret);
struct config *config_free(struct config *config);
DEFINE_CLEANUP(struct config *, config_free);

/* Reads every setting into target. -EINVAL when there were errors: see config_print_errors(). */
int config_read(struct config *config, const struct config_setting *settings, size_t count,
		void *target);
void config_error(struct config *config, const char *pointer, const char *format, ...)
	_printf_(3, 4);
size_t config_error_count(const struct config *config);
void config_print_errors(const struct config *config, FILE *stream);
/* Frees what config_read() put into the fields of the owning types. */
void config_release(const struct config_setting *settings, size_t count, void *target);

/* Helpers for parse(): report at pointer/member and leave the target untouched on error. */
void config_check_members(struct config *config, const char *pointer, json_t *object,
			  const char *const *known);
/* The nearest of known (NULL-terminated) by edit distance, or NULL when none is near. */
const char *config_nearest(const char *word, const char *const *known);
void config_print_help(const struct config_setting *settings, size_t count, FILE *stream);

/* config-change.c: settings of a daemon that runs. */

/* Checks what needs more than one setting; reports through config_error(). */
typedef void (*config_check_t)(struct config *config, const void *target);

/* Sets one from text as on the command line. -ENOENT for no such setting, -EROFS for one that needs
 * more than this, -EINVAL for a value that is not valid: then *ret_what (free() it) says which. On
 * failure target is good for nothing: give a copy. check may be NULL. */
int config_change(const struct config_setting *settings, size_t count, void *target,
		  const char *name, const char *value, config_check_t check, char **ret_what);
/* The value as such text, "" for a string that is not set; -EOPNOTSUPP for CONFIG_CUSTOM. */
int config_format(const struct config_setting *setting, const void *target, char **ret);
/* After a reload: moves into target what a reload can change, its old values to fresh, and answers
 * the names of the others that differ, with ", " between; "" for none. */
int config_take_over(const struct config_setting *settings, size_t count, void *target, void *fresh,
		     char **ret_left);
