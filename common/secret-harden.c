/* SPDX-License-Identifier: MIT */
/*
 * What a process does once so that its keys stay in secret memory. Apart from secret.c, so that
 * only programs that call it need libcurl.
 */

#include <curl/curl.h>
#include <jansson.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/secret.h"

static int raise_locked_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return -errno;
	return 0;
}

int secret_harden_process(void)
{
	const struct rlimit no_core = {0, 0};
	int r;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	if (setrlimit(RLIMIT_CORE, &no_core) < 0)
		return -errno;
	r = raise_locked_limit();
	if (r < 0)
		return r;
	json_set_alloc_funcs(secret_malloc, secret_mfree);
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, secret_malloc, secret_mfree, secret_realloc,
				 secret_strdup, secret_calloc) != CURLE_OK)
		return -ENOMEM;
	return 0;
}
