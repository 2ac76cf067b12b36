/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over files, once each, without a fuzzer: the corpus as an ordinary test. Each
 * argument is a file, or a directory whose files are meant.
 */

#include <dirent.h>
#include <sys/stat.h>

#include "common/macros.h"

#define INPUT_MAX_BYTES (16u << 20)
#define PATH_CHARS      4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *path)
{
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	exit(1);
}

/* In memory of exactly its size, so that a sanitizer sees the first byte read too far. */
static void run_file(const char *path)
{
	FILE *file = fopen(path, "re");
	uint8_t *data = malloc(INPUT_MAX_BYTES), *exact;
	size_t size;

	if (!file || !data)
		fail(path);
	size = fread(data, 1, INPUT_MAX_BYTES, file);
	if (ferror(file))
		fail(path);
	fclose(file);
	exact = malloc(size ?: 1);
	if (!exact)
		fail(path);
	memcpy(exact, data, size);
	free(data);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

static unsigned run_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	unsigned count = 0;

	if (!directory)
		fail(path);
	while ((entry = readdir(directory))) {
		char file[PATH_CHARS];

		if (*entry->d_name == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		run_file(file);
		count++;
	}
	closedir(directory);
	return count;
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	struct stat about;

	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &about) < 0)
			fail(argv[i]);
		if (S_ISDIR(about.st_mode)) {
			count += run_directory(argv[i]);
		} else {
			run_file(argv[i]);
			count++;
		}
	}
	printf("%u inputs\n", count);
	return 0;
}
