/* SPDX-License-Identifier: MIT */
/* Paths and lines of key files: the layout that foreign readers rely on, and damaged lines. */

#include <criterion/criterion.h>

#include "common/keyfile.h"

Test(keyfile, paths_are_the_layouts)
{
	char path[KEYFILE_NAME_MAX], peer[300];

	cr_assert_eq(keyfile_path("bob", "bob", 0, path), 0);
	cr_assert_str_eq(path, "bob/bob_0");
	cr_assert_eq(keyfile_ids_path("bob+second~2", "bob", 4294967295u, path), 0);
	cr_assert_str_eq(path, "bob+second~2/bob_4294967295.ids");
	memset(peer, 'p', sizeof(peer));
	peer[299] = '\0';
	cr_assert_eq(keyfile_path("bob", peer, 0, path), -ENAMETOOLONG);
	cr_assert_str_eq(path, "bob+second~2/bob_4294967295.ids", "untouched on failure");
	peer[NAME_MAX_CHARS] = '\0';
	memset(peer, 'p', NAME_MAX_CHARS);
	cr_assert_eq(keyfile_ids_path("d", peer, 4294967295u, path), 0);
}

Test(keyfile, a_sequence_number_has_its_file_and_place)
{
	cr_assert_eq(keyfile_stride(256), 65);
	cr_assert_eq(keyfile_number(4095), 0);
	cr_assert_eq(keyfile_number(4096), 1);
	cr_assert_eq(keyfile_offset(4095, 65), 4095u * 65);
	cr_assert_eq(keyfile_offset(4096, 65), 0);
	cr_assert_eq(keyfile_offset(4097, 65), 65);
	cr_assert_eq(KEYFILE_ID_STRIDE, 37);
}

Test(keyfile, a_key_becomes_a_line_and_comes_back)
{
	uint8_t key[32], back[32] = {0};
	char line[66];

	for (int i = 0; i < 32; i++)
		key[i] = (uint8_t)(i * 9 + 200);
	line[65] = '#';
	keyfile_build_line(key, 32, line);
	cr_assert_eq(line[64], '\n');
	cr_assert_eq(line[65], '#');
	cr_assert_arr_eq(line, "c8d1", 4);
	cr_assert_eq(keyfile_parse_line(line, 65, back), KEYFILE_LINE_KEY);
	cr_assert_arr_eq(back, key, 32);
	cr_assert_eq(keyfile_parse_line(line, 65, NULL), KEYFILE_LINE_KEY);
}

Test(keyfile, a_line_is_a_key_or_erased_or_damaged)
{
	static const struct {
		const char *line;
		enum keyfile_line is;
	} lines[] = {
		{"0123abCD\n", KEYFILE_LINE_KEY},      {"--------\n", KEYFILE_LINE_ERASED},
		{"-------0\n", KEYFILE_LINE_DAMAGED},  {"0-------\n", KEYFILE_LINE_DAMAGED},
		{"-------- ", KEYFILE_LINE_DAMAGED},   {"01234567 ", KEYFILE_LINE_DAMAGED},
		{"0123456\n\n", KEYFILE_LINE_DAMAGED}, {"0123456g\n", KEYFILE_LINE_DAMAGED},
		{"0123456\0\n", KEYFILE_LINE_DAMAGED}, {"\0\0\0\0\0\0\0\0\0", KEYFILE_LINE_DAMAGED},
	};

	for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
		uint8_t key[4] = {1, 2, 3, 4};

		cr_assert_eq(keyfile_parse_line(lines[i].line, 9, key), lines[i].is, "%zu", i);
		if (lines[i].is != KEYFILE_LINE_KEY)
			cr_assert_arr_eq(key, "\1\2\3\4", 4, "untouched unless a key");
	}
	cr_assert_eq(keyfile_parse_line("\n", 1, NULL), KEYFILE_LINE_DAMAGED);
	cr_assert_eq(keyfile_parse_line("ab1\n", 4, NULL), KEYFILE_LINE_DAMAGED);
}
