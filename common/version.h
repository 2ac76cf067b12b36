/* SPDX-License-Identifier: MIT */
#pragma once

/* The project's version, as --version and the D-Bus property Version tell it. */

#define QKD_VERSION "0.1"
