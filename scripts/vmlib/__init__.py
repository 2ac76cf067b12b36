# SPDX-License-Identifier: MIT
"""Virtual machines to try the project as it is installed (see docs/vm.md)."""

import hashlib
import os
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.path.abspath(os.environ.get("QKD_BUILD", f"{TOP}/build"))
CACHE = f"{BUILD}/vm"
# A socket's path holds 107 characters, so the sockets are not below the build directory.
STATE = "/run/qkd-vm/" + hashlib.sha256(BUILD.encode()).hexdigest()[:8]


class VmError(Exception):
    pass


def run(*words, log=None, seconds=600, **options):
    """A command of this machine; its output goes to the file log, whose end is told on failure."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                          timeout=seconds, **options)
    if log:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"+ {' '.join(words)}\n{done.stdout}")
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-25:])
        raise VmError(f"{' '.join(words)}: status {done.returncode}\n{end}")
    return done.stdout
