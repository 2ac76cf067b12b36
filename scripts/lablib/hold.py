# SPDX-License-Identifier: MIT
"""Turns at the lab: `hold` runs one command that has the lab to itself, and others wait.

There is one lab on a machine. Whoever builds it for a while (a test, a benchmark, the demo) holds a
lock from before `up` until after `down`, as an open descriptor that its own processes inherit, so a
lab is never taken from under a run, and a run that was killed leaves no lock.
"""

import fcntl
import os
import sys

from . import LabError, host

LOCK = "/run/lock/qkd-lab"
HELD = "QKD_LAB_HELD"  # set in the environment of the command that holds the lab
BY_HOLDER = f"{host.STATE}/held"  # this lab was built by a holder, and goes with it


def is_holder():
    return HELD in os.environ


def _try_lock(descriptor):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _open():
    return os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _holder(descriptor):
    return os.pread(descriptor, 4096, 0).decode(errors="replace").strip() or "somebody"


def check_free():
    """`up` and `down` of people: not while a run has the lab."""
    if is_holder():
        return
    descriptor = _open()
    try:
        if not _try_lock(descriptor):
            raise LabError(f"the lab is held by {_holder(descriptor)}")
    finally:
        os.close(descriptor)


def mark():
    if is_holder():
        with open(BY_HOLDER, "w", encoding="ascii"):
            pass


def _take_over():
    """What a killed holder left goes; the lab of a person stays."""
    if not host.is_up():
        return
    if not os.path.exists(BY_HOLDER):
        raise LabError("a lab is up already; scripts/lab down takes it away")
    failures = host.undo_everything()
    if failures:
        raise LabError("\n".join(["the lab of a run that was killed does not go:", *failures]))


def hold(command):
    """Becomes the command, with the lab's lock; waits for whoever has it."""
    if not is_holder():
        descriptor = _open()
        if not _try_lock(descriptor):
            print(f"scripts/lab: waiting for {_holder(descriptor)}", file=sys.stderr)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()}: {' '.join(command)}\n".encode(), 0)
        _take_over()
        os.set_inheritable(descriptor, True)
        os.environ[HELD] = str(os.getpid())
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise LabError(f"{command[0]}: {error.strerror}") from None
