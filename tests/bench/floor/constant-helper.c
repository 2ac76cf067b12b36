/* SPDX-License-Identifier: MIT */
/*
 * The floor of the upcall bench: the least that any helper has to do. It takes authority over the
 * key and instantiates it with a constant, freestanding like ours, asking nobody.
 */

#include <linux/keyctl.h>

#include "keyring-helpers/qkd-request-key/raw.h"

void start(long *stack) __attribute__((noreturn, used));

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl start\n");
#endif

static const char constant[] = "0123456789abcdef0123456789abcdef";

void start(long *stack)
{
	const char *argument = (char *)stack[2];
	long serial = 0;

	while (argument && *argument)
		serial = serial * 10 + *argument++ - '0';
	raw_keyctl(KEYCTL_ASSUME_AUTHORITY, serial, 0, 0, 0);
	raw_keyctl(KEYCTL_INSTANTIATE, serial, (long)constant, sizeof(constant) - 1, 0);
	for (;;)
		raw_call(SYS_exit_group, 0, 0, 0, 0, 0);
}
