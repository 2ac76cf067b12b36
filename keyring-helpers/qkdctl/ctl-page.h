/* SPDX-License-Identifier: MIT */
#pragma once

/* The page that qkdctl monitor draws. */

#include "ctl-report.h"
#include "ctl-spark.h"

/* Not more lines than the terminal has, none wider. Adds the snapshot's figures to the history. */
void ctl_page_print(const struct ctl_snapshot *snapshot, const json_t *problems,
		    struct ctl_history *history, const struct ctl_terminal *terminal, FILE *stream);
