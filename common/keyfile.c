/* SPDX-License-Identifier: MIT */
/*
 * Paths and lines of key files, in one place, because linkd writes them, keyringd reads and erases
 * them, and foreign consumers rely on every byte.
 */

#include "common/keyfile.h"
#include "common/encoding.h"

static int format_path(const char *directory, const char *peer, uint32_t number, const char *suffix,
		       char ret_path[static KEYFILE_NAME_MAX])
{
	char path[KEYFILE_NAME_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s_%u%s", directory, peer, number, suffix);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(ret_path, path, (size_t)n + 1);
	return 0;
}

int keyfile_path(const char *directory, const char *peer, uint32_t number,
		 char ret_path[static KEYFILE_NAME_MAX])
{
	return format_path(directory, peer, number, "", ret_path);
}

int keyfile_ids_path(const char *directory, const char *peer, uint32_t number,
		     char ret_path[static KEYFILE_NAME_MAX])
{
	return format_path(directory, peer, number, ".ids", ret_path);
}

static bool is_erased(const char *digits, size_t count)
{
	unsigned difference = 0;

	for (size_t i = 0; i < count; i++)
		difference |= (uint8_t)(digits[i] ^ KEYFILE_ERASED);
	return difference == 0;
}

enum keyfile_line keyfile_parse_line(const char *line, size_t stride, uint8_t *ret_key)
{
	size_t digits = stride - 1;

	if (stride < 3 || digits % 2 != 0 || line[digits] != '\n')
		return KEYFILE_LINE_DAMAGED;
	if (is_erased(line, digits))
		return KEYFILE_LINE_ERASED;
	if (!hex_is_valid(line, digits / 2))
		return KEYFILE_LINE_DAMAGED;
	if (ret_key)
		(void)hex_decode(line, digits / 2, ret_key);
	return KEYFILE_LINE_KEY;
}

void keyfile_build_line(const uint8_t *key, size_t key_bytes, char *ret_line)
{
	hex_encode(key, key_bytes, ret_line);
	ret_line[2 * key_bytes] = '\n';
}
