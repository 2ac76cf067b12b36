/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A process that does with key files and the issue record what keyringd does with them: records a
 * line, syncs the record, hands the key out, erases the line; each as a step of its own, so that a
 * crash comes between any two. The record and the erasing are the real ones.
 */

#include "common/issue-record.h"
#include "qkd-keyringd/keyfile-erase.h"

struct world_site;

#define KEYRINGD_LINES 2048 /* that it keeps count of */

enum keyringd_state {
	KEYRINGD_DOWN,
	KEYRINGD_IDLE,
	KEYRINGD_RECORDED, /* appended, not durable */
	KEYRINGD_DURABLE,  /* may be handed out */
};

struct keyringd {
	enum keyringd_state state;
	struct wal *record;
	struct keyfile_erase *erase;
	struct keyfile_store store; /* of the directory that it looks at */
	char directory[KEYFILE_NAME_MAX];
	uint64_t ahead[2]; /* durable marks, by parity */
	uint64_t sequence; /* the line at hand */
	uint64_t restart_usec;
	bool has_store;
	uint8_t taken[KEYRINGD_LINES]; /* in this life, or by the record of an earlier one */
};

/* Its next step. Negative: the disk failed, and it has to stop. */
int keyringd_step(struct world_site *site);
/* Gone, without a word to the disk (which the caller has taken away). */
void keyringd_end(struct world_site *site);
