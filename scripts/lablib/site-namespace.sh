#!/bin/sh
# SPDX-License-Identifier: MIT
# Turns the mount namespace that it runs in into one site's view of the machine, says "ready", and
# then holds the namespace open. Runs inside `unshare --mount` in the site's network namespace.
# Arguments: SITE UID UPCALL-DIRECTORY HOME ETC STATE
set -eu
site=$1 uid=$2 upcall=$3 home=$4 etc=$5 state=$6

cover() { # FILE-OR-DIRECTORY OF-THE-SITE: another one lies over the machine's
	mount -n --bind "$1" "$2"
}

# What is bound from below /run has to be reached before the site's own /run covers it.
mkdir -p "$state/run"
mount -n -t tmpfs -o mode=0755,size=1g "qkd-$site" "$state/run"
cd "$state/run"
mkdir -p systemd/journal log/journal dbus lock qkd qkd/upcall
chown "$uid:$uid" qkd
chmod 0755 qkd qkd/upcall
cover "$upcall" qkd/upcall
cover "$home" /var/lib/qkd
cover "$etc/qkd" /etc/qkd
cover "$etc/passwd" /etc/passwd
cover "$etc/group" /etc/group
cover "$etc/machine-id" /etc/machine-id
cover "$etc/journald.conf" /etc/systemd/journald.conf
if [ -d /var/log/journal ]; then
	mount -n -t tmpfs -o mode=0755 qkd-journal /var/log/journal
fi
mount -n -t tmpfs -o mode=1777 qkd-shm /dev/shm # what libfaketime leaves there goes with the site
cp "$etc/dbus.conf" dbus/lab.conf
mkdir -p dbus/system.d
cp "$etc"/org.qkd*.conf dbus/system.d/
mkdir -p catalog/usr/lib/systemd/catalog catalog/var/lib/systemd/catalog
cp "$etc"/qkd-keyring.catalog catalog/usr/lib/systemd/catalog/
mount -n --move "$state/run" /run
cd /
if [ -d /var/lib/systemd/catalog ]; then # what journalctl -x says
	journalctl --root=/run/catalog --update-catalog
	cover /run/catalog/var/lib/systemd/catalog /var/lib/systemd/catalog
fi
echo ready
exec sleep infinity >/dev/null 2>&1
