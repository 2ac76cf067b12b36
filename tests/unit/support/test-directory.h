/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A directory of a test's own. It is below $TMPDIR, which scripts/check takes away even when the
 * test was cut off, or below /tmp. Errors end the test program.
 */

char *test_directory_new(void);
/* With everything that is in it. */
void test_directory_remove(char *directory);
