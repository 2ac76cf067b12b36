/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Two mock KMEs (tests/mock-kme) with certificates of their own CA, for tests that run from the top
 * of the tree. They die with the test.
 */

#include "common/macros.h"

enum kme_side {
	ALICE,
	BOB,
};

extern const char *const kme_pair_saes[2];  /* "alice", "bob" */
extern const char *const kme_pair_names[2]; /* "kme-a", "kme-b" */
extern char *kme_pair_directory;            /* ca.crt, alice.crt, alice.key, state/, ... */
extern unsigned kme_pair_ports[2];

bool kme_pair_is_possible(void); /* python3 is there */
void kme_pair_init(void);        /* directory and certificates */
void kme_pair_done(void);

/* In the shell; what it exited with. */
int kme_pair_shell(const char *format, ...) _printf_(1, 2);
void kme_pair_make_ca(const char *name);
/* more: further arguments, NULL-terminated, or NULL. A KME that is started again keeps its port. */
void kme_pair_start(enum kme_side side, const char *const *more);
void kme_pair_kill(enum kme_side side);
/* A line as in mock-kme --help; "": none. */
void kme_pair_set_fault(enum kme_side side, const char *text);
