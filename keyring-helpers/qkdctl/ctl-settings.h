/* SPDX-License-Identifier: MIT */
#pragma once

/* SETTING=VALUE words as the JSON object that a configuration file holds. */

#include <jansson.h>
#include <stddef.h>

#define CTL_SETTINGS_MAX 64

/* NULL and *ret, or the word that is wrong. "distill.window=2" becomes {"distill": {"window": 2}}.
 */
const char *ctl_settings_parse(char *const *words, size_t count, json_t **ret);
