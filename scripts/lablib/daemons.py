# SPDX-License-Identifier: MIT
"""The programs of a site: starting them as systemd would, killing them, and waiting for them."""

import os
import re
import signal
import socket
import time

from . import LabError, UsageError, configuration, host, site as sites

START_WAIT_SEC = 10
STOP_WAIT_SEC = 10
JOURNAL_LINES = 15
OFFSET_RE = re.compile(r"([+-]?)([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdy]?)\Z")


def _pid_path(site, program):
    return f"{sites.state(site)}/{program}.pid"


def _start_time(pid):
    """Field 22 of stat, which tells a process from a later one with its number; None when gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def running_pid(site, program):
    """The pid, or None."""
    try:
        with open(_pid_path(site, program), encoding="ascii") as file:
            pid, start = file.read().split()
    except (OSError, ValueError):
        return None
    return int(pid) if _start_time(int(pid)) == start else None


def _environment(site, notify):
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "USER": "qkd",
            "LOGNAME": "qkd", "HOME": "/var/lib/qkd", "STATE_DIRECTORY": "/var/lib/qkd",
            "RUNTIME_DIRECTORY": "/run/qkd", "NOTIFY_SOCKET": notify, "LD_BIND_NOW": "1"}


def _as_service_user(site, uid, locks_memory):
    """What the units give: the user, no privileges, a session keyring of its own. libfaketime comes
    last, because its semaphore belongs to who loads it first. Distillation locks more memory than a
    container's limit may allow, so there linkd gets a capability in place of LimitMEMLOCK=."""
    kept = ",+ipc_lock" if locks_memory else ""
    ambient = ["--ambient-caps=+ipc_lock"] if locks_memory else []
    clock = [f"{name}={value}" for name, value in sites.clock_environment(site).items()]
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs",
            f"--bounding-set=-all{kept}", f"--inh-caps=-all{kept}", *ambient,
            "keyctl", "session", "-", "env", *clock]


def start(topology, site, program):
    """Returns when the program has said that it is ready."""
    topology.check_program(site, program)
    if running_pid(site, program):
        raise LabError(f"{program} runs already at {site}")
    command = configuration.command(topology, site, program)
    if not os.access(command[0], os.X_OK):
        raise LabError(f"{command[0]} is not built; run make first")
    log_path = f"{sites.state(site)}/{program}.log"
    log_start = os.path.getsize(log_path) if os.path.exists(log_path) else 0
    try:
        if program.startswith("kme@"):
            _start_kme(site, program, command, log_path)
        else:
            distils = topology.device == "sim-raw" and program.startswith("qkd-linkd@")
            _start_daemon(site, program, command, log_path, topology.uid(site), distils)
    except LabError as error:
        raise LabError(f"{program} at {site} {error}\n"
                       + report(site, program, log_start)) from None


def _spawn(site, program, command, log_path, uid, notify="", locks_memory=False):
    process = sites.spawn(site, command, log_path, _environment(site, notify),
                          _as_service_user(site, uid, locks_memory))
    with open(_pid_path(site, program), "w", encoding="ascii") as file:
        file.write(f"{process.pid} {_start_time(process.pid)}")
    return process


def _start_daemon(site, program, command, log_path, uid, locks_memory):
    """Ready when it notifies, as it would tell systemd."""
    notify = f"/run/lab-{program}.notify"
    outside = f"/proc/{sites.holder(site)}/root{notify}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        _unlink(outside)
        listener.bind(outside)
        os.chmod(outside, 0o666)
        listener.setblocking(False)
        process = _spawn(site, program, command, log_path, uid, notify, locks_memory)

        def ready():
            try:
                return b"READY=1" in listener.recv(4096).split(b"\n")
            except BlockingIOError:
                return False
        try:
            _wait_ready(process, ready)
        finally:
            _unlink(outside)


def _start_kme(site, program, command, log_path):
    """Ready when it has written its port to a file."""
    port_file = configuration.kme_port_file(program.partition("@")[2], site)
    _unlink(port_file)
    process = _spawn(site, program, command, log_path, configuration.KME_UID)
    _wait_ready(process, lambda: os.path.exists(port_file))


def _unlink(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _wait_ready(process, ready):
    end = time.monotonic() + START_WAIT_SEC
    while not ready():
        if process.poll() is not None:
            raise LabError(f"ended with status {process.returncode}")
        if time.monotonic() > end:
            raise LabError(f"is not ready after {START_WAIT_SEC} s")
        time.sleep(0.01)


def report(site, program, log_start=0):
    """The last words of a program: what it printed, what it told the journal."""
    lines = []
    try:
        with open(f"{sites.state(site)}/{program}.log", encoding="utf-8", errors="replace") as log:
            log.seek(log_start)
            lines += log.read().splitlines()[-JOURNAL_LINES:]
    except OSError:
        pass
    identifier, _, link = program.partition("@")
    match = [f"SYSLOG_IDENTIFIER={identifier}"] + ([f"QKD_LINK={link}"] if link else [])
    try:
        lines += host.run(*sites.enter_words(site), "journalctl", "--quiet", "--no-pager",
                          "--output=cat", f"--lines={JOURNAL_LINES}", *match,
                          check=False).splitlines()
    except LabError as error:
        lines.append(str(error))
    return "\n".join(f"  {site} {program}: {line}" for line in lines)


def kill(topology, site, program, name="KILL"):
    """Sends a signal; for one that ends a program, returns when it has ended."""
    topology.check_program(site, program)
    number = parse_signal(name)
    pid = running_pid(site, program)
    if not pid:
        raise LabError(f"{program} does not run at {site}")
    os.kill(pid, number)
    if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT):
        end = time.monotonic() + STOP_WAIT_SEC
        while running_pid(site, program) == pid:
            if time.monotonic() > end:
                raise LabError(f"{program} at {site} still runs {STOP_WAIT_SEC} s after {name}")
            time.sleep(0.01)


def parse_signal(name):
    name = name.upper().removeprefix("SIG")
    try:
        return signal.Signals(int(name)) if name.isdigit() else signal.Signals["SIG" + name]
    except (KeyError, ValueError):
        raise UsageError(f"{name}: no such signal") from None


def set_clock(topology, site, offset):
    """Restarts the site's programs under the new clock, orderly."""
    path = f"{sites.state(topology.check_site(site))}/clock"
    match = OFFSET_RE.match(offset)
    if not match:
        raise UsageError(f"{offset}: an offset is such as +1d, -90 or 2h (s, m, h, d, y)")
    running = [p for p in topology.programs(site) if running_pid(site, p)]
    for program in reversed(running):
        kill(topology, site, program, "TERM")
    if float(match[2]) == 0:
        _unlink(path)
    else:
        with open(path, "w", encoding="ascii") as file:
            file.write((match[1] or "+") + match[2] + (match[3] or ""))
    for program in running:
        start(topology, site, program)
