/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Certificates made at test time, in a directory of their own: a CA and what it signs. Errors end
 * the test program: there is nothing to test without them.
 */

#include "common/channel.h"

struct test_ca;

/* Makes DIRECTORY/NAME-ca.pem. */
struct test_ca *test_ca_new(const char *directory, const char *name);
struct test_ca *test_ca_free(struct test_ca *ca);
DEFINE_CLEANUP(struct test_ca *, test_ca_free);

/* DIRECTORY/FILE.pem and FILE.key: subject common names as given (NULL-terminated, may be none). */
void test_ca_issue_names(struct test_ca *ca, const char *file, const char *const *common_names);
void test_ca_issue(struct test_ca *ca, const char *name);
/* The identity of what test_ca_issue() made, trusting this CA (or another). */
struct channel_identity *test_ca_identity(struct test_ca *ca, const char *file,
					  struct test_ca *trusted);
const char *test_ca_directory(const struct test_ca *ca);
