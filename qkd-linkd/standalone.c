/* SPDX-License-Identifier: MIT */

/*
 * What --standalone means, said in settings: so there is nothing else in the daemon that knows of
 * it.
 */

#include "qkd-linkd/standalone.h"

#define HOME     "--home="
#define RUNTIME  "--runtime="
#define BUS      "--bus="
#define CONSUMER "--consumer="

static const char *find(char *const *words, const char *name)
{
	for (; *words; words++)
		if (strncmp(*words, name, strlen(name)) == 0)
			return *words + strlen(name);
	return NULL;
}

static int check(char *const *words, FILE *errors)
{
	static const struct {
		const char *name, *what;
	} fixed[] = {
		{BUS, "with --standalone there is no bus"},
		{CONSUMER, "with --standalone the files are the consumer's"},
	};
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(fixed); i++) {
		if (!find(words, fixed[i].name))
			continue;
		fprintf(errors, "command line: %.*s: %s\n", (int)strlen(fixed[i].name) - 1,
			fixed[i].name, fixed[i].what);
		r = -EINVAL;
	}
	if (find(words, HOME))
		return r;
	fprintf(errors, "command line: --home: is required with --standalone\n");
	return -EINVAL;
}

int standalone_words_new(char *const *words, FILE *errors, struct standalone_words *ret)
{
	static char bus[] = BUS "none", consumer[] = CONSUMER "files";
	_cleanup_(freep) char *runtime = NULL;
	_cleanup_(freep) char **all = NULL;
	size_t count = 0;
	int r = check(words, errors);

	if (r < 0)
		return r;
	while (words[count])
		count++;
	all = calloc(count + 4, sizeof(*all));
	if (!all || asprintf(&runtime, RUNTIME "%s/run", find(words, HOME)) < 0)
		return -ENOMEM;
	memcpy(all, words, count * sizeof(*all));
	all[count++] = bus;
	all[count++] = consumer;
	if (!find(words, RUNTIME))
		all[count++] = runtime;
	*ret = (struct standalone_words){.words = TAKE_PTR(all), .owned = TAKE_PTR(runtime)};
	return 0;
}

void standalone_words_done(struct standalone_words *words)
{
	free(words->owned);
	free(words->words);
}
