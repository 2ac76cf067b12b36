/* SPDX-License-Identifier: MIT */
#pragma once

/* keyringd/paths below the service's home: one JSON document, replaced as a whole. */

#include <jansson.h>

#include "common/storage.h"

#define PATH_FILE_MAX_BYTES (1u << 20)

/* -ENOENT, -EBADMSG */
int path_file_read(struct storage *state, json_t **ret);
/* Durable. */
int path_file_write(struct storage *state, const json_t *document);
