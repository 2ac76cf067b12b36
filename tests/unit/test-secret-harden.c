/* SPDX-License-Identifier: MIT */
/* What a process does first: no cores, no ptrace, and jansson and libcurl in secret memory. */

#include <criterion/criterion.h>
#include <curl/curl.h>
#include <jansson.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/secret-arena.h"
#include "common/secret.h"

static bool is_in_secret_memory(const void *pointer)
{
	uintptr_t probe = (uintptr_t)secret_malloc(16), address = (uintptr_t)pointer;
	uintptr_t distance = probe > address ? probe - address : address - probe;

	secret_mfree((void *)probe);
	return distance < 1u << 20; /* the same region, or the next */
}

Test(secret_harden, the_process_is_not_dumped_and_libraries_use_secret_memory)
{
	_cleanup_(secret_freep) struct secret *kept = NULL;
	struct rlimit core, locked;
	json_t *text;
	CURL *curl;

	cr_assert_eq(secret_new(16, &kept), 0);
	cr_assert_not(is_in_secret_memory(&core));
	cr_assert_eq(secret_harden_process(), 0);
	cr_assert_eq(prctl(PR_GET_DUMPABLE), 0);
	cr_assert_eq(getrlimit(RLIMIT_CORE, &core), 0);
	cr_assert(core.rlim_cur == 0 && core.rlim_max == 0);
	cr_assert_eq(getrlimit(RLIMIT_MEMLOCK, &locked), 0);
	cr_assert_eq(locked.rlim_cur, locked.rlim_max);
	text = json_string("a key would be here");
	cr_assert(is_in_secret_memory(text));
	cr_assert(is_in_secret_memory(json_string_value(text)));
	json_decref(text);
	curl = curl_easy_init();
	cr_assert(is_in_secret_memory(curl));
	curl_easy_cleanup(curl);
	curl_global_cleanup();
}
