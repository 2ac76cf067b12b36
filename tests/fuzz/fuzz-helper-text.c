/* SPDX-License-Identifier: MIT */
/* The helper's parsing: no path leaves the upcall directory, no wait exceeds the limit. */

#include "common/macros.h"
#include "common/upcall-wire.h"
#include "keyring-helpers/qkd-request-key/helper-text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	char path[HELPER_TEXT_PATH_MAX] = "";
	struct helper_key key;
	uint32_t number;

	if (!text)
		return 0;
	if (helper_text_parse_key(text, &key) && key.description > text + strlen(text))
		abort();
	if (helper_text_socket(text, path) &&
	    (strncmp(path, UPCALL_DIRECTORY "/", strlen(UPCALL_DIRECTORY "/")) != 0 ||
	     strstr(path, "/../") || strstr(path, "/./")))
		abort();
	if (helper_text_wait(text) > UPCALL_WAIT_MAX_SEC)
		abort();
	helper_text_number(text, &number);
	return 0;
}
