/* SPDX-License-Identifier: MIT */
/*
 * Reads what faults the simulator shall have, so that tests can have a failing device at will.
 */

#include "drivers/sim-faults.h"

#include <fcntl.h>
#include <inttypes.h>

static const char *const end_names[] = {
	[DEVICE_RETRY] = "retry",
	[DEVICE_GIVE_UP] = "give_up",
	[DEVICE_WRONG_CONFIGURATION] = "wrong_configuration",
};

static int expected(const char *name, const char *what, const char *value, char **ret_what)
{
	if (asprintf(ret_what, "%s: %s is expected, not '%s'", name, what, value) < 0)
		return -ENOMEM;
	return -EINVAL;
}

static int set_probability(double *field, const char *name, const char *value, char **ret_what)
{
	char *end;
	double number = strtod(value, &end);

	if (value[0] < '0' || value[0] > '9' || *end != '\0' || !(number >= 0 && number <= 1))
		return expected(name, "a probability from 0 to 1", value, ret_what);
	*field = number;
	return 0;
}

static int set_count(uint64_t *field, uint64_t max, const char *name, const char *value,
		     char **ret_what)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || number > max) {
		char what[64];

		snprintf(what, sizeof(what), "a number from 0 to %" PRIu64, max);
		return expected(name, what, value, ret_what);
	}
	*field = number;
	return 0;
}

static int set_end(struct sim_faults *faults, const char *value, char **ret_what)
{
	for (size_t i = 0; i < ELEMENTSOF(end_names); i++)
		if (str_equal(value, end_names[i])) {
			faults->ends = true;
			faults->end = (enum device_end)i;
			return 0;
		}
	return expected("end", "retry, give_up or wrong_configuration", value, ret_what);
}

int sim_faults_set(struct sim_faults *faults, const char *name, const char *value, char **ret_what)
{
	uint64_t msec;
	int r;

	if (str_equal(name, "refuse"))
		return set_probability(&faults->refuse, name, value, ret_what);
	if (str_equal(name, "unknown"))
		return set_probability(&faults->unknown, name, value, ret_what);
	if (str_equal(name, "unequal"))
		return set_probability(&faults->unequal, name, value, ret_what);
	if (str_equal(name, "end"))
		return set_end(faults, value, ret_what);
	if (str_equal(name, "end_after"))
		return set_count(&faults->end_after, UINT64_MAX, name, value, ret_what);
	if (!str_equal(name, "delay"))
		return -ENOENT;
	r = set_count(&msec, SIM_DELAY_MAX_MSEC, name, value, ret_what);
	if (r >= 0)
		faults->delay_msec = (uint32_t)msec;
	return r;
}

static int set_line(struct sim_faults *faults, char *line, char **ret_what)
{
	char *equals = strchr(line, '=');
	int r;

	if (!equals)
		return expected("faults", "NAME=VALUE", line, ret_what);
	*equals = '\0';
	r = sim_faults_set(faults, line, equals + 1, ret_what);
	if (r == -ENOENT)
		return expected("faults", "delay, refuse, unknown, unequal, end or end_after", line,
				ret_what);
	return r;
}

static int set_lines(struct sim_faults *faults, char *text, char **ret_what)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		int r = set_line(faults, line, ret_what);

		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int read_text(const char *path, char ret_text[static SIM_FAULTS_FILE_MAX_BYTES])
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t n;

	if (fd < 0 && errno != ENOENT)
		return -errno;
	n = fd < 0 ? 0 : read(fd, ret_text, SIM_FAULTS_FILE_MAX_BYTES - 1);
	if (n < 0)
		return -errno;
	ret_text[n] = '\0';
	return 0;
}

int sim_faults_file_read(struct sim_faults_file *file, struct sim_faults *faults, char **ret_what)
{
	char text[SIM_FAULTS_FILE_MAX_BYTES];
	struct sim_faults fresh = *faults;
	struct stat now = {};
	int r;

	if (stat(file->path, &now) < 0 && errno != ENOENT)
		return expected("faults", "a readable file", file->path, ret_what);
	if (file->was_read && is_unchanged(&now, &file->read))
		return 0;
	if (read_text(file->path, text) < 0)
		return expected("faults", "a readable file", file->path, ret_what);
	r = set_lines(&fresh, text, ret_what);
	if (r < 0)
		return r;
	file->read = now;
	file->was_read = true;
	*faults = fresh;
	return 1;
}
