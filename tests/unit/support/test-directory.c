/* SPDX-License-Identifier: MIT */
/* A directory of a test's own, and its end. */

#include "tests/unit/support/test-directory.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_OPEN 8

char *test_directory_new(void)
{
	char *directory;

	if (asprintf(&directory, "%s/qkd-test-XXXXXX", getenv("TMPDIR") ?: "/tmp") < 0 ||
	    !mkdtemp(directory)) {
		perror("mkdtemp");
		abort();
	}
	return directory;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	return remove(path);
}

void test_directory_remove(char *directory)
{
	nftw(directory, remove_entry, MAX_OPEN, FTW_DEPTH | FTW_PHYS);
	free(directory);
}
