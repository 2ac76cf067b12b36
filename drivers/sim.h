/* SPDX-License-Identifier: MIT */
#pragma once

/* sim://NAME: a simulated pair of devices that give keys, see qkd-devices(7). */

#include "drivers/driver.h"

extern const struct driver sim_driver;
