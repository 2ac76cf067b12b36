# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion for qkdctl: commands, and the names of links and peers that the daemon knows.

_qkdctl_names() { # JSON member, of `qkdctl --json status`
	qkdctl --json status 2>/dev/null | grep -oE "\"$1\": *\"[a-z0-9.-]+\"" | cut -d'"' -f4 | sort -u
}

_qkdctl() {
	local current=${COMP_WORDS[COMP_CWORD]} words="" line=" ${COMP_WORDS[*]:1:COMP_CWORD-1} "
	case $line in
	*" key new "* | *" key get "*) words="$(_qkdctl_names peer) --bits --reveal" ;;
	*" key "*) words="new get" ;;
	*" link start "* | *" link stop "*) words=$(_qkdctl_names link) ;;
	*" link "*) words="start stop" ;;
	*" device "*) words="list" ;;
	*" --site ") words="" ;;
	*" stats "*" --filter " | *" stats "*" --exclude " | *" stats --filter " | *" stats --exclude ")
		words="link device sync distill store site upcall bus record" ;;
	*" stats "*) words="--filter --exclude --follow --interval --json" ;;
	*" status "*) words="--json" ;;
	*) words="status key link device stats --site --json --help --version" ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _qkdctl qkdctl
