#compdef qkdctl
# SPDX-License-Identifier: MIT
# Completion for qkdctl: commands, options, and the names that the daemons know.

_qkdctl_names() { # MEMBER WORDS...: its values in the JSON document of qkdctl WORDS
	local member=$1 names
	shift
	names=(${(f)"$(qkdctl --json "$@" 2>/dev/null | grep -oE "\"$member\": *\"[A-Za-z0-9_.-]+\"" |
		cut -d'"' -f4 | sort -u)"})
	compadd -a names
}

_qkdctl_key() {
	local -a commands=('new:a new key into the session keyring'
		'get:the key that the peer made new')
	_arguments -C '1: :->command' '2: :->peer' '3:id:' '--bits[size]:bits:' \
		'--reveal[print the key too]' $common
	case $state in
	command) _describe command commands ;;
	peer) _qkdctl_names peer status ;;
	esac
}

_qkdctl_link() {
	local -a commands=('start:begin agreeing keys' 'stop:end it'
		'set:show its settings, or change one')
	_arguments -C '1: :->command' '2: :->link' '3: :->parameter' '4:value:' $common
	case $state in
	command) _describe command commands ;;
	link) _qkdctl_names link status ;;
	parameter) [[ $line[1] != set ]] || _qkdctl_names parameter link set $line[2] ;;
	esac
}

_qkdctl_path() {
	local -a commands=('start:keys with the last site over those between' 'stop:end it'
		'set:which paths give keys with a site' 'list:the paths of this site')
	_arguments -C '1: :->command' '*: :->site' '--weight[share]:n:' '--stock[keys to keep ready]:n:' \
		'--paths[without a common relay]:n:(1 2)' $common
	case $state in
	command) _describe command commands ;;
	site) _qkdctl_names peer status ;;
	esac
}

_qkdctl_device() {
	local -a commands=("list:the devices of this site's links" 'add:a link more'
		'remove:take such a link away')
	_arguments -C '1: :->command' '2: :->link' '*:setting:' $common
	case $state in
	command) _describe command commands ;;
	link) [[ $line[1] != remove ]] || _qkdctl_names link status ;;
	esac
}

_qkdctl() {
	local state line
	local -a nodes=(link device sync distill store site upcall bus record multihop)
	local -a common=('--site[only if this is the site]:site:_qkdctl_names site status'
		'--json[print one JSON document]' '--help[tell about it]')
	local -a commands=('status:this site, and what is wrong' 'monitor:the same, again and again'
		'log:the journal' 'key:have keys' 'link:start, stop, change links'
		'path:keys over several nodes' 'ping:how long a request to a site takes'
		'set:settings of qkd-keyringd' 'device:devices' 'graph:the network'
		'stats:what is counted')
	_arguments -C '--version[print the version]' $common '1: :->command' '*:: :->rest'
	case $state in
	command) _describe command commands ;;
	rest)
		case $line[1] in
		key | link | path | device) _qkdctl_$line[1] ;;
		monitor) _arguments '--interval[how often]:seconds:' $common ;;
		log) _arguments '1:link:_qkdctl_names link status' '--follow[go on]' \
			'--key[of this key]:id:' '--explain[say what entries mean]' $common ;;
		ping) _arguments '1:site:_qkdctl_names peer status' $common ;;
		set) _arguments '1:parameter:_qkdctl_names parameter set' '2:value:' $common ;;
		graph) _arguments '--svg[draw it]' $common ;;
		stats) _arguments "*--filter[show only]:name:($nodes)" "*--exclude[do not show]:name:($nodes)" \
			'--follow[go on]' '--interval[how often]:seconds:' $common ;;
		*) _arguments $common ;;
		esac
		;;
	esac
}

_qkdctl "$@"
