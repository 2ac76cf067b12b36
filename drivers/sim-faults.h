/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Faults on demand of the simulator: from the URL, and while it runs from a file of "name=value"
 * lines that is read again when it has changed.
 */

#include <sys/stat.h>

#include "drivers/driver.h"

#define SIM_FAULTS_FILE_MAX_BYTES 4096
#define SIM_DELAY_MAX_MSEC        600000

struct sim_faults {
	uint32_t delay_msec; /* delay: every answer comes so much later */
	double refuse;       /* probability that a call is refused */
	double unknown;      /* ... that the other side does not know an id */
	double unequal;      /* ... that the other side's key differs */
	bool ends;           /* end: the session ends */
	enum device_end end; /* so: retry, give_up, wrong_configuration */
	uint64_t end_after;  /* once it has given so many keys */
};

/* -ENOENT when name is no fault; -EINVAL with a sentence in ret_what (free() it). */
int sim_faults_set(struct sim_faults *faults, const char *name, const char *value, char **ret_what);

struct sim_faults_file {
	const char *path; /* borrowed */
	struct stat read;
	bool was_read;
};
/* 1 when the file was read into *faults, which holds what is valid without it before; 0 when it has
 * not changed. An absent file is an empty one. -EINVAL with a sentence in ret_what. */
int sim_faults_file_read(struct sim_faults_file *file, struct sim_faults *faults, char **ret_what);
