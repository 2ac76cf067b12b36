/* SPDX-License-Identifier: MIT */
#pragma once

/* A snapshot for people: the page that qkdctl status prints. */

#include "ctl-problem.h"
#include "ctl-terminal.h"

void ctl_report_heading(const struct ctl_snapshot *snapshot, const json_t *problems,
			const struct ctl_terminal *terminal, FILE *stream);
/* Two lines for each; nothing if there are none. */
void ctl_report_problems(const json_t *problems, const struct ctl_terminal *terminal, FILE *stream);
void ctl_report_links(const json_t *links, const struct ctl_terminal *terminal, FILE *stream);
void ctl_report_stores(const json_t *stores, const struct ctl_terminal *terminal, FILE *stream);
