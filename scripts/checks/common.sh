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

# These wait for seconds and compute next to nothing: each runs beside the others from the beginning.
waiting=(test-multihop test-multihop-relay test-path-manager test-channel-client test-metrics-connection)

try_each() { # FUNCTION NAME...: "FUNCTION NAME" for each, several at once
	local function=$1 name beside=none
	shift
	for name in "$@"; do
		if [[ " ${waiting[*]} " == *" $name "* ]]; then
			try "$name" "$function" "$name" &
			beside+=" $!"
		fi
	done
	for name in "$@"; do
		[[ " ${waiting[*]} " != *" $name "* ]] || continue
		while [ "$(jobs -rp | grep -vcxF "${beside// /$'\n'}")" -ge "$jobs" ]; do wait -n; done
		try "$name" "$function" "$name" &
	done
	wait
}

build() { # MAKE-WORDS...: into a log; a failure is told with the compiler's words; one group at a time
	mkdir -p "$QKD_BUILD"
	flock "$QKD_BUILD" make -j"$jobs" B="$QKD_BUILD" "$@"
}

run_program() { # FILE SECONDS COMMAND...: "COMMAND... FILE", which writes the lines of its tests itself
	local file=$1 seconds=$2 name r=0
	name=$(basename "$file")
	shift 2
	"$@" timeout --kill-after=20 "$seconds" "$file" 2>"$QKD_CHECK_LOGS/$name.log" || r=$?
	[ "$r" -eq 0 ] || { echo "--- $name" && tail -n 40 "$QKD_CHECK_LOGS/$name.log"; } >&2
	[ "$r" -le 1 ] || echo "not ok $name did not finish (status $r)"
}
