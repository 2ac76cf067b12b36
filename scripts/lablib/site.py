# SPDX-License-Identifier: MIT
"""One site: its network and mount namespaces, bus, journal, and the way to run something there."""

import os
import select
import subprocess
import time

from . import LabError, host

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.environ.get("QKD_BUILD", os.path.join(TOP, "build"))
UPCALL = "/run/qkd/upcall"
SWITCH = "qkd-lab"  # the network namespace that holds nothing but the bridge
READY_WAIT_SEC = 10
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
# Where packets of a cut link go: an address that no interface has.
NOWHERE = "02:00:00:00:00:01"


def netns(site):
    return f"qkd-{site}"


def home(site):
    return f"{host.HOMES}/{site}"


def etc(site):
    return f"{host.HOMES}/etc/{site}"


def state(site):
    return f"{host.STATE}/{site}"


def holder(site):
    """The pid that keeps the site's mount namespace."""
    try:
        with open(f"{state(site)}/holder", encoding="ascii") as file:
            pid = int(file.read())
        os.stat(f"/proc/{pid}/ns/mnt")
        return pid
    except (OSError, ValueError):
        raise LabError(f"site {site} is gone; scripts/lab down, then up") from None


def create_switch():
    host.add_netns(SWITCH)
    host.run("ip", "-n", SWITCH, "link", "add", "name", "br0", "type", "bridge", "stp_state", "0",
             "mcast_snooping", "0")
    host.run("ip", "-n", SWITCH, "link", "set", "dev", "br0", "up")


def _create_network(topology, site):
    host.add_netns(netns(site))
    inside, outside = ("-n", netns(site)), ("-n", SWITCH)
    port = f"port{topology.sites.index(site)}"
    host.run("ip", *inside, "link", "add", "name", "eth0", "type", "veth", "peer", "name", port,
             "netns", SWITCH)
    host.run("ip", *outside, "link", "set", "dev", port, "master", "br0", "up")
    host.run("ip", *inside, "address", "add", f"{topology.address(site)}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        host.run("ip", *inside, "link", "set", "dev", device, "up")


def _create_mounts(topology, site):
    """Starts the holder; returns when the site's view is complete."""
    with open(f"{state(site)}/holder.log", "wb") as log:
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{netns(site)}", "unshare", "--mount",
             os.path.join(os.path.dirname(__file__), "site-namespace.sh"), site,
             str(topology.uid(site)), UPCALL, home(site), etc(site), state(site)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
    ready, _, _ = select.select([process.stdout], [], [], READY_WAIT_SEC)
    if not ready or process.stdout.readline().strip() != b"ready":
        with open(f"{state(site)}/holder.log", encoding="utf-8") as log:
            raise LabError(f"site {site}: no namespace: {log.read().strip()}")
    with open(f"{state(site)}/holder", "w", encoding="ascii") as file:
        file.write(str(process.pid))


def create(topology, site):
    """Namespaces, bus and journal; the configuration lies in etc(site) already."""
    uid = topology.uid(site)
    host.make_tree(state(site))
    host.own_keys_of(uid)
    os.mkdir(home(site))
    os.chown(home(site), uid, uid)
    os.chmod(home(site), 0o700)
    upcall = f"{UPCALL}/{site}"
    host.own_directory_contents(upcall)
    os.mkdir(upcall)
    os.chown(upcall, uid, uid)
    os.chmod(upcall, 0o700)
    _create_network(topology, site)
    _create_mounts(topology, site)
    _start_service(site, "journald", ["/lib/systemd/systemd-journald"], "systemd/journal/socket")
    _start_service(site, "dbus", ["dbus-daemon", "--nofork", "--nopidfile",
                                  "--config-file=/run/dbus/lab.conf"], "dbus/system_bus_socket")


def _start_service(site, name, command, socket):
    log_path = f"{state(site)}/{name}.log"
    process = spawn(site, command, log_path)
    path = f"/proc/{holder(site)}/root/run/{socket}"
    end = time.monotonic() + READY_WAIT_SEC
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > end:
            with open(log_path, encoding="utf-8", errors="replace") as log:
                raise LabError(f"site {site}: {name} does not run: {log.read().strip()}")
        time.sleep(0.01)


def enter_words(site, *options):
    return ["nsenter", f"--target={holder(site)}", "--mount", "--net", *options, "--"]


def clock_environment(site):
    """libfaketime for a shifted site, nothing for the others."""
    path = f"{state(site)}/clock"
    if not os.path.exists(path):
        return {}
    with open(path, encoding="ascii") as file:
        offset = file.read().strip()
    return {"LD_PRELOAD": FAKETIME, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1", "FAKETIME_NO_CACHE": "1"}


def spawn(site, command, log_path, env=None, prefix=()):
    """Starts a process of the site that outlives this command; its output goes to log_path."""
    with open(log_path, "ab") as log:
        return subprocess.Popen(
            [*enter_words(site), *prefix, *command], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True, cwd="/",
            env=env or {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"})


def execute(site, command):
    """Replaces this process by the command, as the site sees the world. libfaketime comes after
    nsenter, or it leaves its memory in the machine's own /dev/shm."""
    env = {**os.environ, "QKD_LAB_SITE": site}
    clock = [f"{name}={value}" for name, value in clock_environment(site).items()]
    env["PATH"] = f"{BUILD}/bin:" + env.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    env.pop("DBUS_SYSTEM_BUS_ADDRESS", None)
    env.pop("DBUS_SESSION_BUS_ADDRESS", None)
    words = enter_words(site, f"--wdns={os.getcwd()}")
    os.execvpe(words[0], [*words, *(["env", *clock] if clock else []), *command], env)


def cut(topology, link):
    """Packets between the two still leave, and reach nobody: connections stall as in a real cut."""
    for here, there in ((link.leader, link.follower), (link.follower, link.leader)):
        host.run("ip", "-n", netns(here), "neighbour", "replace", topology.address(there),
                 "lladdr", NOWHERE, "nud", "permanent", "dev", "eth0")


def join(topology, link):
    for here, there in ((link.leader, link.follower), (link.follower, link.leader)):
        host.run("ip", "-n", netns(here), "neighbour", "del", topology.address(there), "dev",
                 "eth0", check=False)


def is_cut(topology, link):
    return NOWHERE in host.run("ip", "-n", netns(link.leader), "neighbour", "show",
                               topology.address(link.follower), check=False)
