# SPDX-License-Identifier: MIT
"""The disk that every machine starts from: a bare Debian 12, and a small package archive in it.

The machines have no network but each other, so what the packages depend on lies in /srv/debian, where
apt finds it as in any other archive. Nothing of it is installed: that is the packages' own affair.
The image is kept as long as this recipe is the same.
"""

import glob
import hashlib
import os
import shutil

from . import CACHE, VmError, run

SUITE = "bookworm"
DISK_SIZE = "3G"
KEEP_ROOT_SECONDS = 900
# What a bare server has, what the tests drive it with (the agent), and the trial KME's interpreter.
INSTALLED = ("systemd", "systemd-sysv", "udev", "dbus", "kmod", "linux-image-amd64",
             "initramfs-tools", "iproute2", "iputils-ping", "procps", "passwd", "python3",
             "openssl", "openssh-server", "openssh-client", "qemu-guest-agent",
             # polkitd needs these, which every server has, and which take long to install.
             "libpam-systemd", "xml-core")
# What an administrator's apt would fetch.
ARCHIVE = ("keyutils", "libcurl4", "libjansson4", "libkeyutils1", "libssl3", "libsystemd0",
           "libnl-3-200", "libnl-genl-3-200", "libnl-xfrm-3-200", "polkitd", "bash-completion",
           "e2fsprogs", "tcpdump")
# The few drivers that a boot needs make a small initrd, which is read in a second.
INITRD_MODULES = ("virtio_pci", "virtio_blk", "ext4")

PREPARE = """
mkdir -p "$1/etc/initramfs-tools/conf.d"
printf 'MODULES=list\\nCOMPRESS=lz4\\n' >"$1/etc/initramfs-tools/conf.d/vm"
printf '%s\\n' {modules} >>"$1/etc/initramfs-tools/modules"
"""

# Downloaded with the lists that mmdebstrap has fetched; afterwards these packages are all there is.
FINISH = """
set -e
mkdir -p -m 700 "$1/root/.ssh" && mkdir -p "$1/srv/debian"
chroot "$1" apt-get install -y -q --no-install-recommends --reinstall --download-only \\
	-o Dir::Cache::archives=/srv/debian {archive}
rm -rf "$1/srv/debian/partial" "$1/srv/debian/lock"
(cd "$1/srv/debian" && dpkg-scanpackages --multiversion . >Packages 2>/dev/null)
echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/vm"
rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/debian ./' >"$1/etc/apt/sources.list"
chroot "$1" apt-get update -q
chroot "$1" systemctl enable systemd-networkd systemd-network-generator
chroot "$1" systemctl mask getty@tty1.service apt-daily.timer apt-daily-upgrade.timer \\
	dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
# The agent would note every command of the tests in the journal.
mkdir -p "$1/etc/systemd/system/qemu-guest-agent.service.d"
printf '[Service]\nLogLevelMax=notice\n' >"$1/etc/systemd/system/qemu-guest-agent.service.d/quiet.conf"
printf '192.0.2.%d %s\\n' {hosts} >>"$1/etc/hosts"
# Root of each machine may go to each other, as an administrator's own key allows.
chroot "$1" ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cp "$1/root/.ssh/id_ed25519.pub" "$1/root/.ssh/authorized_keys"
printf 'Host *\n\tStrictHostKeyChecking accept-new\n\tLogLevel ERROR\n' >"$1/root/.ssh/config"
# Not a first boot, which would ask questions; each machine's own id comes from its command line.
echo 71646b6b657972696e67000000000000 >"$1/etc/machine-id"
rm -f "$1/etc/hostname"
"""


def recipe():
    with open(__file__, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:12]


def hosts():
    return " ".join(f"{i + 1} {name}" for i, name in enumerate(("alice", "bob", "carol", "dave")))


def make_root(root, log):
    prepare = PREPARE.format(modules=" ".join(INITRD_MODULES))
    finish = FINISH.format(archive=" ".join(ARCHIVE), hosts=hosts())
    run("mmdebstrap", "--mode=root", "--variant=apt", "--format=directory",
        "--aptopt=Acquire::Check-Valid-Until \"false\"", "--aptopt=Acquire::Retries \"3\"",
        f"--include={','.join(INSTALLED)}", "--skip=cleanup/apt",
        f"--essential-hook={prepare}", f"--customize-hook={finish}", SUITE, root,
        log=log, seconds=KEEP_ROOT_SECONDS)


def one(pattern):
    found = glob.glob(pattern)
    if len(found) != 1:
        raise VmError(f"{pattern}: {len(found)} files instead of one")
    return found[0]


def build():
    """The directory with root.img, vmlinuz and initrd; made if it is not there."""
    directory = f"{CACHE}/image-{recipe()}"
    if os.path.exists(f"{directory}/root.img"):
        return directory
    for old in glob.glob(f"{CACHE}/image-*"):
        shutil.rmtree(old)
    root = f"{directory}/root"
    os.makedirs(directory)
    try:
        make_root(root, f"{CACHE}/image.log")
        shutil.copy(one(f"{root}/boot/vmlinuz-*"), f"{directory}/vmlinuz")
        shutil.copy(one(f"{root}/boot/initrd.img-*"), f"{directory}/initrd")
        run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, f"{directory}/new.img", DISK_SIZE)
        os.rename(f"{directory}/new.img", f"{directory}/root.img")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return directory
