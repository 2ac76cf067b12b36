/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * CRC-32C (Castagnoli; RFC 3720, appendix B.4). In constant time, because it also runs over keys.
 */

#include "common/macros.h"

/* Of the bytes after those that crc stands for; 0 to begin. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size_bytes);
