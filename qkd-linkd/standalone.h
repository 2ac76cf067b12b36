/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * qkd-linkd --standalone: a link from the command line alone, for the bench and for whoever wants
 * only keys in files. No bus, no pool, no qkd-keyringd, no directory that a unit has to make.
 */

#include <stdio.h>

#include "common/macros.h"

struct standalone_words {
	char **words; /* ended by NULL */
	char *owned;  /* the one among them that was made here */
};

/* words, and besides them what --standalone means. words is borrowed and outlives the result.
 * -EINVAL, having told errors, when they say otherwise or do not say where keys go. */
int standalone_words_new(char *const *words, FILE *errors, struct standalone_words *ret);
void standalone_words_done(struct standalone_words *words);
