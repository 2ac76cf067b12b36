/* SPDX-License-Identifier: MIT */
#pragma once

/* qkdctl's commands; each answers the exit status, and has told what went wrong. */

#include "ctl.h"

int command_status(struct ctl *ctl);
/* What --json prints of it. */
int command_status_print_json(const struct ctl_snapshot *snapshot, const json_t *problems);
int command_key_new(struct ctl *ctl);
int command_key_get(struct ctl *ctl);
int command_link_start(struct ctl *ctl);
int command_link_stop(struct ctl *ctl);
int command_path_start(struct ctl *ctl);
int command_path_stop(struct ctl *ctl);
int command_path_set(struct ctl *ctl);
int command_path_list(struct ctl *ctl);
int command_ping(struct ctl *ctl);
int command_device_list(struct ctl *ctl);
int command_device_add(struct ctl *ctl);
int command_device_remove(struct ctl *ctl);
int command_link_set(struct ctl *ctl);
int command_set(struct ctl *ctl);
int command_stats(struct ctl *ctl);
int command_monitor(struct ctl *ctl);
int command_log(struct ctl *ctl);
int command_graph(struct ctl *ctl);
