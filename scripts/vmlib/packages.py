# SPDX-License-Identifier: MIT
"""Builds the Debian packages from a copy of the tree, as docs/install.md does, and installs them."""

import concurrent.futures as futures
import glob
import hashlib
import os
import shutil
import subprocess

from . import BUILD, TOP, VmError, guide, run

PLACE = f"{BUILD}/deb"
COPY = f"{PLACE}/qkd-keyring"
LOG = f"{PLACE}/build.log"
INSTALL_SEC = 240


def sources():
    """What a clone would have, and what is new and not ignored."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={TOP}", "-C", TOP, "ls-files", "-z", "--cached", "--others",
         "--exclude-standard"], capture_output=True, check=True).stdout
    return sorted(name for name in set(listed.decode().split("\0"))
                  if name and os.path.isfile(f"{TOP}/{name}"))


def fingerprint(names):
    """Of what goes into the packages."""
    digest = hashlib.sha256()
    for name in names:
        if not name.startswith(("tests/", "scripts/vmlib/", ".ci/")):
            with open(f"{TOP}/{name}", "rb") as file:
                digest.update(f"{name} {os.stat(file.fileno()).st_mode} ".encode())
                digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


def build():
    """The directory that holds the packages; built anew if the tree has changed."""
    names = sources()
    wanted, stamp = fingerprint(names), f"{PLACE}/stamp"
    if os.path.exists(stamp):
        with open(stamp, encoding="ascii") as file:
            if file.read() == wanted:
                return PLACE
    shutil.rmtree(PLACE, ignore_errors=True)
    for name in names:
        os.makedirs(os.path.dirname(f"{COPY}/{name}"), exist_ok=True)
        shutil.copy(f"{TOP}/{name}", f"{COPY}/{name}")
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "QKD_BUILD", "B")}
    environment.update(DEB_BUILD_OPTIONS="parallel=2", DEBIAN_FRONTEND="noninteractive")
    for script in guide.of_section("Building the packages"):
        run("/bin/bash", "-ec", script.text, cwd=COPY, env=environment, log=LOG, seconds=900)
    with open(stamp, "w", encoding="ascii") as file:
        file.write(wanted)
    return PLACE


def files():
    found = [path for path in sorted(glob.glob(f"{PLACE}/*.deb")) if "-dbgsym_" not in path]
    if not found:
        raise VmError(f"{PLACE} holds no packages")
    return found


def deliver(machine):
    """The packages to /root of a machine."""
    for path in files():
        with open(path, "rb") as file:
            machine.agent.write(f"/root/{os.path.basename(path)}", file.read())


def begin_install(machine):
    """So long as unit install is active, it goes on."""
    machine.run("systemd-run --quiet --collect --unit=install --working-directory=/root"
                " --setenv=DEBIAN_FRONTEND=noninteractive sh -c 'apt-get install --yes ./*.deb'")


def install_on(machine):
    machine.run("apt-get install --quiet --yes --reinstall ./*.deb", seconds=INSTALL_SEC)


def deliver_all(machines):
    build()
    for machine in machines:
        deliver(machine)


def install(machines):
    deliver_all(machines)
    with futures.ThreadPoolExecutor() as pool:
        list(pool.map(install_on, machines))
