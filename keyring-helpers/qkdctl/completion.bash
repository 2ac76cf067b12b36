# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion for qkdctl: commands, options, and the names that the daemons know.

_qkdctl_names() { # MEMBER WORDS...: its values in the JSON document of qkdctl WORDS
	local member=$1
	shift
	qkdctl --json "$@" 2>/dev/null | grep -oE "\"$member\": *\"[A-Za-z0-9_.-]+\"" |
		cut -d'"' -f4 | sort -u
}

_qkdctl_command() { # the words before the cursor that are no options
	local i
	command=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--site | --bits | --filter | --exclude | --interval | --key | --weight | --stock | --paths) i=$((i + 1)) ;;
		-*) ;;
		*) command+=("${COMP_WORDS[i]}") ;;
		esac
	done
}

_qkdctl() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words=""
	local -a command
	COMPREPLY=()
	case $previous in
	--site) words=$(_qkdctl_names site status) ;;
	--filter | --exclude) words="link device sync distill store site upcall bus record multihop" ;;
	--bits | --interval | --key | --weight | --stock | --paths) return ;;
	esac
	if [ -z "$words" ]; then
		_qkdctl_command
		case "${command[*]}" in
		"") words="status monitor log key link path ping set device graph stats --version" ;;
		key) words="new get" ;;
		"key new"*) words="$(_qkdctl_names peer status) --bits --reveal" ;;
		"key get"*) words="$(_qkdctl_names peer status) --reveal" ;;
		link) words="start stop set" ;;
		"link start" | "link stop" | "link set") words=$(_qkdctl_names link status) ;;
		"link set "*" "*) ;;
		"link set "*) words=$(_qkdctl_names parameter link set "${command[2]}") ;;
		path) words="start stop set list" ;;
		"path start"*) words="$(_qkdctl_names peer status) $(_qkdctl_names site status) --weight --stock --paths" ;;
		"path stop"*) words="$(_qkdctl_names peer status) $(_qkdctl_names site status)" ;;
		"path set") words=$(_qkdctl_names peer status) ;;
		ping) words=$(_qkdctl_names peer status) ;;
		set) words=$(_qkdctl_names parameter set) ;;
		device) words="list add remove" ;;
		"device add "*) words="peer= device= listen= peer_address= keys_per_transaction= consumer=" ;;
		"device remove") words=$(_qkdctl_names link status) ;;
		monitor) words="--interval" ;;
		log) words="$(_qkdctl_names link status) --follow --key --explain" ;;
		graph) words="--svg" ;;
		stats) words="--filter --exclude --follow --interval" ;;
		esac
		words+=" --site --json --help"
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _qkdctl qkdctl
