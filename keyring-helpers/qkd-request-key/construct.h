/* SPDX-License-Identifier: MIT */
#pragma once

/* Builds one key that the kernel asked for: from its serial to instantiated or rejected. */

#include <stdint.h>

/* 0 when the key was instantiated or rejected, 1 when we have no authority over it. */
int construct_key(int32_t serial);
