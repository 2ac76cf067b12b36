/* SPDX-License-Identifier: MIT */
/* A line of a key file: a key that builds the same line again, erased throughout, or damaged. */

#include <ctype.h>

#include "common/keyfile.h"

#define LINE_MAX_BYTES 2048u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const char *line, size_t stride, const uint8_t *key)
{
	char again[LINE_MAX_BYTES];

	keyfile_build_line(key, (stride - 1) / 2, again);
	for (size_t i = 0; i < stride; i++)
		if (tolower((uint8_t)line[i]) != again[i])
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = (const char *)data;
	uint8_t key[LINE_MAX_BYTES / 2];
	enum keyfile_line is;

	if (size < 1 || size > LINE_MAX_BYTES)
		return 0;
	is = keyfile_parse_line(line, size, key);
	if (is != keyfile_parse_line(line, size, NULL))
		abort();
	if (is == KEYFILE_LINE_KEY)
		check_key(line, size, key);
	for (size_t i = 0; is == KEYFILE_LINE_ERASED && i < size - 1; i++)
		if (line[i] != KEYFILE_ERASED)
			abort();
	return 0;
}
