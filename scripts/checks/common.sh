# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the groups of scripts/check share: one test, one line.

jobs=2

try() { # NAME COMMAND...: a test with a log of its own
	local name=$1 log
	shift
	log=$QKD_CHECK_LOGS/${name//[^A-Za-z0-9.-]/_}.log
	if "$@" >"$log" 2>&1; then
		echo "ok $name"
		return 0
	fi
	echo "not ok $name (log: $log)"
	{
		echo "--- $name"
		tail -n 40 "$log"
	} >&2
	return 1
}

try_each() { # FUNCTION NAME...: "FUNCTION NAME" for each, several at once
	local function=$1 name
	shift
	for name in "$@"; do
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
		try "$name" "$function" "$name" &
	done
	wait
}

build() { # MAKE-WORDS...: into a log; a failure is told with the compiler's words
	make -j"$jobs" B="$QKD_BUILD" "$@"
}
