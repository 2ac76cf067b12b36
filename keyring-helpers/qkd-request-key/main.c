/* SPDX-License-Identifier: MIT */
/*
 * Entry of the upcall helper: qkd-request-key SERIAL, started by request-key(8) as root. With
 * HELPER_FREESTANDING there is no C library: this file then holds the first instruction and the
 * two functions that the compiler itself calls.
 */

#include "construct.h"
#include "helper-text.h"
#include "raw.h"

static int run(int argc, char **argv)
{
	uint32_t serial;

	if (argc != 2 || !helper_text_number(argv[1], &serial) || serial == 0)
		return 2;
	return construct_key((int32_t)serial);
}

#ifdef HELPER_FREESTANDING

void *memset(void *bytes, int value, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void start(long *stack) __attribute__((noreturn, used));

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tbl start\n");
#endif

void *memset(void *bytes, int value, size_t size)
{
	volatile uint8_t *p = bytes;

	while (size--)
		*p++ = (uint8_t)value;
	return bytes;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	volatile uint8_t *p = to;
	const uint8_t *q = from;

	while (size--)
		*p++ = *q++;
	return to;
}

/* The kernel's stack at entry: argc, then argv. */
void start(long *stack)
{
	int result = run((int)stack[0], (char **)(stack + 1));

	for (;;)
		raw_call(SYS_exit_group, result, 0, 0, 0, 0);
}

#else

int main(int argc, char **argv)
{
	return run(argc, argv);
}

#endif
