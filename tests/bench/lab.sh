# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For benchmarks in the lab, which it holds: lab_up LINK... builds one; whatever happens, it is taken down at the end,
# and every command in the array cleanup is run.

export QKD_BUILD=${QKD_BUILD:-$PWD/build}
cleanup=()

finish() {
	local status=$? command
	for command in "${cleanup[@]}"; do
		$command >&2 || status=1
	done
	exit $status
}
trap finish EXIT
trap 'exit 1' INT TERM

# One at a time.
[ -n "${QKD_LAB_HELD-}" ] || exec scripts/lab hold -- "tests/bench/$(basename "$0")" "$@"

lab_up() {
	[ "$(id -u)" = 0 ] || { echo "$0: needs root" >&2 && exit 1; }
	scripts/lab up "$@" >&2
	cleanup+=("scripts/lab down")
}
