/* SPDX-License-Identifier: MIT */
/* Device URLs: whatever the text, it is read or refused with a sentence. */

#include <assert.h>

#include "drivers/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const known[] = {"sae", "rate", NULL};
	_cleanup_(device_url_freep) struct device_url *url = NULL;
	_cleanup_(freep) char *text = strndup((const char *)data, size), *what = NULL, *id = NULL;
	int r = device_url_parse(text, &url, &what);

	assert(r == 0 ? url && !what : r == -EINVAL && !url && what);
	if (r < 0)
		return 0;
	assert(url->host[0] && url->key_bits % 8 == 0);
	r = device_url_check_parameters(url, known, &what);
	assert(r == 0 || what);
	assert(device_url_id(url, &id) == 0 && !strchr(id, '/') && !strchr(id, '\n'));
	return 0;
}
