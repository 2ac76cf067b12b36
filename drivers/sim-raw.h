/* SPDX-License-Identifier: MIT */
#pragma once

/* sim://HOST:PORT?mode=raw: a simulated pair of devices that give detections, see qkd-devices(7).
 */

#include "drivers/driver.h"

/* For sim://, which hands mode=raw over to it. */
extern const struct driver sim_raw_driver;
