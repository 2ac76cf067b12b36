# SPDX-License-Identifier: MIT
"""The machines that are up: started together, found again by later commands, taken down together."""

import ctypes
import json
import os
import shutil
import signal

from . import CACHE, STATE, VmError, image
from .machine import Machine

NAMES = ("alice", "bob", "carol", "dave")
LIST = f"{STATE}/machines.json"
LOGS = f"{CACHE}/logs"  # where consoles and captures go when the machines do
PR_SET_PDEATHSIG = 1


def load():
    """Name -> machine."""
    try:
        with open(LIST, encoding="utf-8") as file:
            return {entry["name"]: Machine(**entry) for entry in json.load(file)}
    except FileNotFoundError:
        raise VmError("no machine is up; scripts/vm up NAME... starts some") from None


def get(name):
    machines = load()
    if name not in machines:
        raise VmError(f"no machine {name}; there are: {' '.join(machines)}")
    return machines[name]


def save(machines):
    with open(f"{LIST}.new", "w", encoding="utf-8") as file:
        json.dump([{"name": m.name, "number": m.number, "pid": m.pid} for m in machines], file)
    os.rename(f"{LIST}.new", LIST)


def stop(name):
    """Takes down one that nothing needs any more."""
    machines = load()
    machines.pop(name).kill()
    save(machines.values())


def end_with_us():
    """A machine of a test does not outlive the test, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(names, keep=False):
    """Switches the machines on; keep: they stay when this process ends."""
    if unknown := [name for name in names if name not in NAMES]:
        raise VmError(f"a machine is one of {' '.join(NAMES)}, not {' '.join(unknown)}")
    if os.path.exists(LIST) and any(machine.alive() for machine in load().values()):
        raise VmError("machines are up already; scripts/vm down ends them")
    directory = image.build()
    shutil.rmtree(STATE, ignore_errors=True)
    os.makedirs(STATE, mode=0o700)
    # An address goes with a name, whichever machines are up; the first one given carries the wire.
    order = sorted(names, key=NAMES.index)
    if order[0] != NAMES[0]:
        raise VmError(f"the machine {NAMES[0]} is always needed: it carries the network")
    machines = [Machine(name, NAMES.index(name)) for name in order]
    try:
        for machine in machines:
            machine.start(directory, machines[-1].number + 1, None if keep else end_with_us)
            save(machines)
    except BaseException:
        down()
        raise


def wait_booted():
    for machine in load().values():
        machine.wait_booted()


def up(names):
    """For scripts/vm: machines that stay."""
    start(names, keep=True)
    try:
        wait_booted()
    except BaseException:
        down()
        raise


def down():
    if os.path.exists(LIST):
        for machine in load().values():
            if machine.pid:
                machine.kill()
        shutil.rmtree(LOGS, ignore_errors=True)
        os.makedirs(LOGS)
        for name in os.listdir(STATE):
            if name.endswith((".console", ".pcap", ".log")):
                shutil.move(f"{STATE}/{name}", LOGS)
    shutil.rmtree(STATE, ignore_errors=True)
