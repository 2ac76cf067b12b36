# SPDX-License-Identifier: MIT
"""Two qkd-linkd on loopback, without a lab: started, killed at a chosen system call, looked at.

Unless a rate is given, the leader's simulated device gives one transaction of keys for each start. It
traces their ids, so a test knows what was given and when everything has settled.
"""

import glob
import os
import signal
import socket
import subprocess
import time

from harness import check

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.path.abspath(os.environ.get("QKD_BUILD", f"{TOP}/build"))
SEED = "5d1c08a7b2f94e63"
KEYS = 4  # in a transaction
SETTLE_SEC = 20
# What changes the disk, the keyring or what the peer knows.
CALLS = ("write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,"
         "fallocate,ftruncate,sendto,sendmsg,add_key,keyctl")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def log_here():
    """Words before a daemon's that make it log to standard error, not to the machine's journal."""
    if not os.path.exists("/run/systemd/journal/socket"):
        return []
    return ["unshare", "--mount", "sh", "-c",
            'mount -n -t tmpfs none /run/systemd/journal && exec "$0" "$@"']


def keyctl(*words):
    return subprocess.run(["keyctl", *words], capture_output=True, text=True, check=False).stdout


def ring_of(site):
    """The serial of the ring that a daemon of this site has made in our user keyring, or nothing."""
    return keyctl("search", "@u", "keyring", f"qkd-pool@{site}").strip()


def empty_ring(site, drop=False):
    ring = ring_of(site)
    if ring:
        keyctl("clear", ring)
        if drop:
            keyctl("unlink", ring, "@u")


class Side:
    """One linkd and its disk. Its ring bears the site's name: the other is the machine's own."""

    def __init__(self, directory, pki, site, peer, rate, words):
        self.site, self.peer, self.directory = site, peer, directory
        self.home = f"{directory}/{site}"
        self.trace = f"{directory}/{site}.trace"
        self.log = f"{directory}/{site}.log"
        self.process = None
        is_leader = site < peer
        device = (f"sim://crash?seed={SEED}&side={'alice' if is_leader else 'bob'}"
                  f"&trace={self.trace}")
        if rate:
            device += f"&rate={rate}"
        elif is_leader:
            device += f"&end=give_up&end_after={KEYS}"
        link = "-".join(sorted((site, peer)))
        self.command = [
            f"{BUILD}/bin/qkd-linkd", f"--site={site}", f"--peer={peer}", f"--link={link}",
            f"--device={device}", f"--home={self.home}", f"--runtime={directory}/run-{site}",
            f"--tls.ca={pki}/ca.pem", f"--tls.certificate={pki}/{site}.pem",
            f"--tls.key={pki}/{site}.key", "--bus=none", "--kernel_shared=true",
            f"--keys_per_transaction={KEYS}", "--window=1", *words]

    def start(self, *prefix):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*log_here(), *prefix, *self.command],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start_to_die(self, call, number):
        """Killed where it would make this system call for the so-manieth time."""
        self.start("strace", "-qq", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                   f"inject={call}:signal=SIGKILL:when={number}")

    def start_to_count(self, path):
        self.start("strace", "-qq", "-f", "-o", path, "-e", f"trace={CALLS}")

    def has_died(self):
        return self.process.poll() is not None

    def stop(self, number=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            # strace passes nothing on: what it runs is its child
            for pid in self._children() or [self.process.pid]:
                os.kill(pid, number)
        if self.process:
            self.process.wait(timeout=10)
            self.process = None

    def _children(self):
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]

    def _read(self, suffix):
        lines = []
        paths = [path.removesuffix(suffix)
                 for path in glob.glob(f"{self.home}/.qkd/qnl/qll/keys/*/{self.peer}_*{suffix}")]
        for path in sorted((p for p in paths if not p.endswith(".ids")),
                           key=lambda p: int(p.rpartition("_")[2])):
            with open(path + suffix, encoding="ascii", errors="replace") as file:
                lines += file.read().split("\n")[:-1]
        return lines

    def lines(self):
        return self._read("")

    def ids(self):
        return self._read(".ids")

    def given(self):
        """Ids that the device has given in all of its life, in order."""
        try:
            with open(self.trace, encoding="ascii") as file:
                return [line.split()[1] for line in file.read().split("\n")[:-1]]
        except FileNotFoundError:
            return []


class Pair:
    def __init__(self, directory, pki, sites, words=(), rate=None):
        os.makedirs(directory)
        leader, follower = sorted(sites)
        self.port = free_port()
        address = f"127.0.0.1:{self.port}"
        self.leader = Side(directory, pki, leader, follower, rate,
                           [f"--peer_address={address}", *words])
        self.follower = Side(directory, pki, follower, leader, rate,
                             [f"--listen={address}", *words])
        self.sides = (self.follower, self.leader)
        self.given_before = 0

    def mark(self):
        """What follows has to see keys that the device gives from now on."""
        self.given_before = len(self.leader.given())

    def stop(self, number=signal.SIGTERM):
        for side in self.sides:
            side.stop(number)

    def is_settled(self):
        """The keys that the device gave last are in both files: so is all that was decided before."""
        last = self.leader.given()[self.given_before:][-KEYS:]
        return len(last) == KEYS and all(set(last) <= set(side.ids()) for side in self.sides)

    def wait(self, predicate, what):
        end = time.monotonic() + SETTLE_SEC
        while not predicate():
            check(time.monotonic() < end, "{}: not within {} s\n{}", what, SETTLE_SEC, self.logs())
            time.sleep(0.01)

    def logs(self):
        text = ""
        for side in self.sides:
            with open(side.log, encoding="utf-8", errors="replace") as log:
                text += f"--- {side.site}\n" + "".join(log.readlines()[-15:])
        return text

    def check_settled(self, before):
        """before: (ids, lines) of each side when one of them had died."""
        ids, lines = (getattr(self.leader, name)() for name in ("ids", "lines"))
        check(ids == self.follower.ids(), "the files of ids differ")
        check(lines == self.follower.lines(), "the key files differ")
        check(len(ids) == len(lines), "{} ids, {} lines", len(ids), len(lines))
        check(len(set(ids)) == len(ids) and len(set(lines)) == len(lines),
              "a key stands in two places")
        for was_ids, was_lines in before:
            check(ids[:len(was_ids)] == was_ids, "an id that stood in a file is lost")
            check(lines[:len(was_lines)] == was_lines, "a line that stood in a file is lost")
        check(set(ids) <= set(self.leader.given()), "an id that no device gave")
