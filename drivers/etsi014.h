/* SPDX-License-Identifier: MIT */
#pragma once

/* etsi014://KME: a key management entity after ETSI GS QKD 014 V1.1.1, see qkd-devices(7). */

#include "drivers/driver.h"

extern const struct driver etsi014_driver;
