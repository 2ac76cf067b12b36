/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Hexadecimal and base64 whose running time does not depend on the data, because the data are
 * keys. Source: RFC 4648; the constant-time method is wireguard-tools' encoding.c (the idea, not
 * the text).
 */

#include <stddef.h>
#include <stdint.h>

#include "common/macros.h"

/* Writes 2 * size_bytes lower-case digits, no terminating NUL. */
void hex_encode(const uint8_t *bytes, size_t size_bytes, char *ret_digits);
/* Reads 2 * size_bytes digits of either case. -EBADMSG on any other character; then the output is
 * wiped. */
int hex_decode(const char *digits, size_t size_bytes, uint8_t *ret_bytes);
/* The same check without the bytes. */
bool hex_is_valid(const char *digits, size_t size_bytes);

#define BASE64_CHARS(size_bytes) (((size_bytes) + 2) / 3 * 4)

void base64_encode(const uint8_t *bytes, size_t size_bytes, char *ret_chars);
/* Exactly BASE64_CHARS(size_bytes) characters with canonical padding, else -EBADMSG. */
int base64_decode(const char *chars, size_t chars_count, uint8_t *ret_bytes, size_t size_bytes);
/* Bytes that so many base64 characters with this ending stand for, or -EBADMSG. */
int base64_size(const char *chars, size_t chars_count, size_t *ret_size_bytes);
