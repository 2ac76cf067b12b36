# SPDX-License-Identifier: MIT
"""Changes to the machine outside the sites, each written to an undo list before it is made.

Every change is one line of /run/qkd-lab/undo; `down` reads them backwards. An entry whose change was
never made (a crash in between) undoes to nothing.
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import time

from . import LabError

STATE = "/run/qkd-lab"
HOMES = "/var/lib/qkd-lab"
UNDO = f"{STATE}/undo"
NETNS = "/run/netns"
KILL_WAIT_SEC = 5
KEY_GC_WAIT_SEC = 5


def run(*words, check=True, **options):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, **options)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def is_up():
    return os.path.exists(STATE)


def create_state():
    """The directory is the lock: only one `up` makes it."""
    try:
        os.mkdir(STATE, 0o755)
    except FileExistsError:
        raise LabError("a lab is up already; scripts/lab down takes it away") from None


def _record(kind, **what):
    with open(UNDO, "a", encoding="utf-8") as undo:
        undo.write(json.dumps({"kind": kind, **what}) + "\n")
        undo.flush()
        os.fsync(undo.fileno())


def make_directory(path, mode=0o755, uid=0, gid=0):
    """Like mkdir -p; only what was missing is removed again, and only if it is empty then."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        make_directory(parent)
    _record("rmdir", path=path)
    os.mkdir(path)
    os.chmod(path, mode)
    os.chown(path, uid, gid)


def make_tree(path):
    """A directory that goes with everything in it."""
    assert path.startswith((STATE, HOMES))
    _record("rmtree", path=path)
    os.makedirs(path, 0o755, exist_ok=True)


def write_file(path, text, mode=0o644):
    """A file outside the lab's own directories; what was there comes back."""
    if os.path.lexists(path):
        kept = f"{STATE}/kept{path.replace('/', '_')}"
        _record("restore", path=path, kept=kept)
        shutil.move(path, kept)
    else:
        _record("unlink", path=path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def raise_sysctl(name, value):
    path = "/proc/sys/" + name.replace(".", "/")
    with open(path, encoding="ascii") as file:
        old = int(file.read())
    if old >= value:
        return
    _record("sysctl", path=path, value=old)
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


def add_netns(name):
    if os.path.exists(f"{NETNS}/{name}"):
        raise LabError(f"network namespace {name} exists and is not this lab's")
    if not os.path.isdir(NETNS):
        _record("netns_directory")
    _record("netns", name=name)
    run("ip", "netns", "add", name)


def own_keys_of(uid):
    """From now on the keys of this uid are the lab's."""
    if _keys_of(uid):
        raise LabError(f"uid {uid} has keys in the keyring already; the lab needs it unused")
    _record("keys", uid=uid)


def own_directory_contents(path):
    """What sites leave in a directory that the host may own."""
    _record("rmtree", path=path)


# Undoing ---------------------------------------------------------------------------------------

def processes_in(netns):
    """Every process in a network namespace; its inode is pinned by /run/netns while we look."""
    try:
        inode = os.stat(f"{NETNS}/{netns}").st_ino
    except FileNotFoundError:
        return []
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino == inode:
                found.append(int(pid))
        except OSError:
            pass
    return found


def _kill_all(netns):
    for number, patience in ((signal.SIGTERM, KILL_WAIT_SEC), (signal.SIGKILL, KILL_WAIT_SEC)):
        for pid in processes_in(netns):
            try:
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        end = time.monotonic() + patience
        while processes_in(netns) and time.monotonic() < end:
            time.sleep(0.02)
    if processes_in(netns):
        raise LabError(f"processes in {netns} do not end: {processes_in(netns)}")


def _undo_netns(name):
    _kill_all(name)
    if os.path.exists(f"{NETNS}/{name}"):
        run("ip", "netns", "del", name)


def _undo_netns_directory():
    """ip(8) made it and mounted it on itself; others may use it by now."""
    if os.path.isdir(NETNS) and not os.listdir(NETNS):
        run("umount", "-n", NETNS, check=False)
        os.rmdir(NETNS)


def _keys_of(uid):
    with open("/proc/keys", encoding="utf-8", errors="replace") as keys:
        return [int(words[0], 16) for words in (line.split(None, 7) for line in keys)
                if int(words[5]) == uid]


def _undo_keys(uid):
    """Clears and drops the uid's own rings; nobody but that uid may, nor see all that is in them."""
    script = ("keyctl new_session; for r in @u @us; do keyctl clear $r; keyctl invalidate $r; done")
    run("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "sh", "-c", script,
        check=False)
    end = time.monotonic() + KEY_GC_WAIT_SEC
    while _keys_of(uid) and time.monotonic() < end:
        time.sleep(0.05)
    if _keys_of(uid):
        raise LabError(f"keys of uid {uid} are still held by somebody: "
                       + " ".join(f"{key:08x}" for key in _keys_of(uid)))


def _undo_rmdir(path):
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise


def _undo_rmtree(path):
    if os.path.lexists(path):
        shutil.rmtree(path)


def _undo_unlink(path):
    if os.path.lexists(path):
        os.unlink(path)


def _undo_restore(path, kept):
    if os.path.lexists(kept):
        shutil.move(kept, path)


def _undo_sysctl(path, value):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


_UNDO = {"netns": _undo_netns, "netns_directory": _undo_netns_directory, "keys": _undo_keys, "rmdir": _undo_rmdir, "rmtree": _undo_rmtree,
         "unlink": _undo_unlink, "restore": _undo_restore, "sysctl": _undo_sysctl}


def _read_undo():
    try:
        with open(UNDO, encoding="utf-8") as undo:
            lines = undo.read().splitlines()
    except FileNotFoundError:
        return []
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            pass  # the torn last line of a crash: its change was not made
    return entries


def undo_everything():
    """Takes back all that is recorded, whatever fails on the way; answers what failed."""
    failures = []
    for entry in reversed(_read_undo()):
        kind = entry.pop("kind")
        try:
            _UNDO[kind](**entry)
        except (LabError, OSError) as error:
            failures.append(f"{kind}: {error}")
    if not failures and os.path.isdir(STATE):
        shutil.rmtree(STATE)
    return failures
