/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which directory a link's generation has below the keys directory (common/keyfile.h tells the
 * names): PEER where no other link of this site has taken it, else PEER+LINK, with "~G" for later
 * generations.
 */

#include "common/keyfile.h"

/* The name for this link and generation; nothing is made. Another link of this site could choose
 * the same until it is made: lock keys from before the one until after the other. */
int keyfile_directory_choose(struct storage *keys, const char *link, const char *peer,
			     uint32_t generation, char ret_directory[static KEYFILE_NAME_MAX]);
/* The lowest generation that no directory of this link has: for a link whose journal is lost. */
int keyfile_directory_lowest(struct storage *keys, const char *link, uint32_t *ret_generation);
/* Makes the directory and its store file where they are absent; durable. -EEXIST when it is another
 * link's. */
int keyfile_directory_make(struct storage *keys, const char *directory,
			   const struct keyfile_store *store);
