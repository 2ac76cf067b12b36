/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "qkd-linkd/standalone.h"

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

/* What the words become, with a blank between; what is told in *ret_errors. */
static char *become(char **words, char **ret_errors)
{
	struct standalone_words all = {NULL};
	char *text = NULL;
	size_t size = 0;
	FILE *errors = open_memstream(ret_errors, &size), *stream;
	int r = standalone_words_new(words, errors, &all);

	fclose(errors);
	if (r < 0) {
		cr_expect_eq(r, -EINVAL);
		cr_expect_null(all.words);
		return NULL;
	}
	stream = open_memstream(&text, &size);
	for (char **word = all.words; *word; word++)
		fprintf(stream, "%s%s", word == all.words ? "" : " ", *word);
	fclose(stream);
	standalone_words_done(&all);
	return text;
}

static void expect(char **words, const char *expected)
{
	_cleanup_(freep) char *errors = NULL;
	_cleanup_(freep) char *text = become(words, &errors);

	cr_assert_not_null(text, "%s", errors);
	cr_expect_str_eq(text, expected);
}

static void expect_error(char **words, const char *expected)
{
	_cleanup_(freep) char *errors = NULL;
	_cleanup_(freep) char *text = become(words, &errors);

	cr_expect_null(text);
	cr_expect_str_eq(errors, expected);
}

Test(standalone, says_that_there_is_no_bus_and_the_files_are_the_consumers)
{
	expect(WORDS("--site=a", "--home=/h"),
	       "--site=a --home=/h --bus=none --consumer=files --runtime=/h/run");
	expect(WORDS("--runtime=/r", "--home=/h"),
	       "--runtime=/r --home=/h --bus=none --consumer=files");
}

Test(standalone, refuses_what_it_is_not)
{
	expect_error(WORDS("--home=/h", "--bus=system"),
		     "command line: --bus: with --standalone there is no bus\n");
	expect_error(WORDS("--home=/h", "--consumer=keyring"),
		     "command line: --consumer: with --standalone the files are the consumer's\n");
	expect_error(WORDS("--site=a"), "command line: --home: is required with --standalone\n");
}
