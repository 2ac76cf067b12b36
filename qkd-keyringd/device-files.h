/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Settings of links that were added over D-Bus: HOME/links.d/LINK.json, which qkd-linkd reads where
 * the administrator has written no /etc/qkd/links.d/LINK.json. What is the site's own (its name,
 * certificates, directories, bus) comes from keyringd's settings and cannot be given: whoever may
 * add a device shall not choose which key files are read or where keys are written.
 */

#include "common/name.h"
#include "common/storage.h"
#include "keyringd-config.h"

#define DEVICE_FILES_DIRECTORY  "links.d"
#define DEVICE_FILES_MAX_BYTES  16384
#define DEVICE_FILES_NAME_CHARS (sizeof(DEVICE_FILES_DIRECTORY "/.json.new") + NAME_MAX_CHARS)

/* The text of such a file from settings as in qkd-link.json(5). -EINVAL with a sentence in
 * *ret_what (free() it); values are not checked here. */
int device_files_compose(const struct keyringd_config *config, const char *link,
			 const char *settings, char **ret_text, char **ret_what);

/* state: the service's home. is_new: under a name that nobody reads yet. */
void device_files_name(const char *link, bool is_new, char ret[static DEVICE_FILES_NAME_CHARS]);
/* Durable when it returns. */
int device_files_write(struct storage *state, const char *link, const char *text);
/* The new one becomes the one that is read. */
int device_files_settle(struct storage *state, const char *link);
/* -ENOENT when there is none. */
int device_files_remove(struct storage *state, const char *link, bool is_new);
bool device_files_has(struct storage *state, const char *link);
/* Calls back for each link; names that are none are left out. */
int device_files_foreach(struct storage *state, int (*each)(const char *link, void *userdata),
			 void *userdata);
