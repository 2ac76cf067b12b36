# SPDX-License-Identifier: MIT
"""Writes what an administrator of each site would have written: /etc/qkd, users, bus, journal."""

import glob
import json
import os

from . import LabError, host, site as sites

RULES_SOURCE = "keyring-helpers/qkd-request-key/qkd-keyring.conf"
RULES = "/etc/request-key.d/qkd-keyring.conf"
HELPER = f"{host.HOMES}/libexec/qkd-request-key"
SHIPPED_HELPER = "/usr/libexec/qkd/qkd-request-key"
PKI = f"{host.HOMES}/pki"
KME_UID = 64000
# People at every site: one in group qkd, two ordinary ones.
PEOPLE = {"qkd-member": 64201, "qkd-user": 64202, "qkd-other": 64203}
SIM_RATE = 1000  # keys a second
SIM_SEED_BYTES = 32
# The hash key and pads for 64 blocks: until distilled key takes over.
DISTILL_SECRET_BYTES = 16 + 64 * 32
RAW_KEYS_PER_TRANSACTION = 1024  # a block gives tens of thousands at once
# Quotas for the lab's uids: every site's pool and issued keys, and thousands of requests by tests.
SYSCTLS = {"kernel.keys.maxkeys": 200000, "kernel.keys.maxbytes": 100000000,
           "kernel.keys.root_maxkeys": 1000000, "kernel.keys.root_maxbytes": 100000000}

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <!-- As the distribution's system.conf, without service activation. -->
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
    <deny send_destination="org.freedesktop.DBus"
          send_interface="org.freedesktop.DBus" send_member="UpdateActivationEnvironment"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
  <includedir>/run/dbus/system.d</includedir>
</busconfig>
"""

JOURNAL = """[Journal]
Storage=volatile
RuntimeMaxUse=512M
RateLimitIntervalSec=0
ReadKMsg=no
Audit=no
ForwardToSyslog=no
ForwardToWall=no
"""


def prepare_host():
    """What all sites share: quotas, the helper at its place, the rules that call it."""
    for name, value in SYSCTLS.items():
        host.raise_sysctl(name, value)
    for uid in (KME_UID, *PEOPLE.values()):
        host.own_keys_of(uid)
    for path in ("/etc/qkd", "/var/lib/qkd", sites.UPCALL):
        host.make_directory(path)
    built = f"{sites.BUILD}/bin/qkd-request-key"
    if not os.path.exists(built):
        raise LabError(f"{built} is not built; run make first")
    host.make_tree(host.HOMES)
    os.makedirs(os.path.dirname(HELPER))
    with open(built, "rb") as source, open(HELPER, "wb") as target:
        target.write(source.read())
    os.chmod(HELPER, 0o755)
    host.make_directory(os.path.dirname(RULES))
    with open(f"{sites.TOP}/{RULES_SOURCE}", encoding="utf-8") as rules:
        text = rules.read()
    if SHIPPED_HELPER not in text:
        raise LabError(f"{RULES_SOURCE} does not name {SHIPPED_HELPER}")
    host.write_file(RULES, text.replace(SHIPPED_HELPER, HELPER))


def make_certificates(topology):
    names = [*topology.sites]
    if topology.device == "etsi014":
        names += [kme_name(site) for site in topology.sites]
    os.mkdir(PKI)
    host.run(f"{sites.TOP}/scripts/make-pki", PKI, *names)
    prepare_kmes(topology)


def prepare_kmes(topology):
    """Their keys and their shared state are their own user's."""
    if topology.device != "etsi014":
        return
    for link in topology.links:
        os.makedirs(kme_state(link.name))
        os.chown(kme_state(link.name), KME_UID, KME_UID)
    for site in topology.sites:
        os.chown(f"{PKI}/{kme_name(site)}.key", KME_UID, KME_UID)


def write_site(topology, site):
    """Everything below etc(site), before the site's namespace exists."""
    directory, gid = sites.etc(site), topology.uid(site)
    os.makedirs(f"{directory}/qkd/links.d")
    os.makedirs(f"{directory}/qkd/tls")
    _write(f"{directory}/passwd", _with("/etc/passwd", [
        f"qkd:x:{gid}:{gid}::/var/lib/qkd:/usr/sbin/nologin",
        *(f"{name}:x:{uid}:{uid}::/nonexistent:/bin/sh" for name, uid in PEOPLE.items())]))
    _write(f"{directory}/group", _with("/etc/group", [
        f"qkd:x:{gid}:qkd-member", *(f"{name}:x:{uid}:" for name, uid in PEOPLE.items())]))
    _write(f"{directory}/machine-id", f"{gid:032x}\n")
    _write(f"{directory}/journald.conf", JOURNAL)
    _write(f"{directory}/dbus.conf", BUS)
    for policy in glob.glob(f"{sites.TOP}/systemd/*.conf"):
        if os.path.basename(policy).startswith("org.qkd"):
            _copy(policy, f"{directory}/{os.path.basename(policy)}")
    _copy(f"{sites.TOP}/systemd/qkd-keyring.catalog", f"{directory}/qkd-keyring.catalog")
    for name, mode in (("ca.pem", 0o644), (f"{site}.pem", 0o644), (f"{site}.key", 0o640)):
        _copy(f"{PKI}/{name}", f"{directory}/qkd/tls/{name}", mode, gid)
    _write(f"{directory}/qkd/keyringd.json", _json(keyringd(topology, site)))
    _write(f"{directory}/qkd/policy.json", _json(POLICY))
    for link in topology.links_of(site):
        _write(f"{directory}/qkd/links.d/{link.name}.json", _json(linkd(topology, link, site)))
        if topology.device == "sim-raw":
            _copy(_link_secret(link), f"{directory}/qkd/links.d/{link.name}.secret", 0o640, gid)


POLICY = {"rules": [{"users": ["root"]}]}


def _tls(site):
    return {"ca": "/etc/qkd/tls/ca.pem", "certificate": f"/etc/qkd/tls/{site}.pem",
            "key": f"/etc/qkd/tls/{site}.key"}


def keyringd(topology, site):
    # All of them, for keys over several nodes.
    peers = {peer: {"address": topology.keyringd_address(peer)}
             for peer in topology.sites if peer != site}
    return {"site": site, "listen": topology.keyringd_address(site), "tls": _tls(site),
            "peers": peers, "kernel_shared": True, "unqualified": False}


def linkd(topology, link, site):
    settings = {"site": site, "peer": link.peer(site), "link": link.name, "tls": _tls(site),
                "device": device_url(topology, link, site), "kernel_shared": True}
    if site == link.follower:
        settings["listen"] = topology.linkd_address(link)
    else:
        settings["peer_address"] = topology.linkd_address(link)
    if topology.device == "sim-raw":
        settings["distill"] = {"secret": f"/etc/qkd/links.d/{link.name}.secret"}
        settings["keys_per_transaction"] = RAW_KEYS_PER_TRANSACTION
    return settings


def device_url(topology, link, site):
    side = "alice" if site == link.leader else "bob"
    parameters = {"side": side}
    if topology.device == "sim":
        base = f"sim://{link.name}"
        # Faults on demand: write "refuse=1" and such into that file, see qkd-devices(7).
        parameters.update(seed=_link_seed(link), rate=SIM_RATE,
                          faults=f"/etc/qkd/links.d/{link.name}.faults")
    elif topology.device == "sim-raw":
        base = f"sim://{topology.light_address(link)}"
        parameters.update(mode="raw")
    else:
        base = f"etsi014://{topology.kme_address(link, site)}"
        parameters.update(peer_sae=link.peer(site), server_name=kme_name(site),
                          ca="/etc/qkd/tls/ca.pem", cert=f"/etc/qkd/tls/{site}.pem",
                          key=f"/etc/qkd/tls/{site}.key")
    parameters.update(topology.settings_for(site, f"device@{link.name}"))
    return base + "?" + "&".join(f"{key}={value}" for key, value in parameters.items())


def kme_name(site):
    return f"kme.{site}"


def kme_state(link):
    """Shared by the two KMEs of a link, as the quantum channel between them."""
    return f"{host.HOMES}/kme/{link}"


def kme_port_file(link, site):
    return f"{kme_state(link)}/port.{site}"


def kme(topology, link, site):
    name = kme_name(site)
    return [f"{sites.TOP}/tests/mock-kme/mock-kme", f"--listen={topology.kme_address(link, site)}",
            f"--ca={PKI}/ca.pem", f"--cert={PKI}/{name}.pem", f"--key={PKI}/{name}.key",
            f"--name={name}", f"--peer-kme={kme_name(link.peer(site))}", f"--sae={site}",
            f"--peer-sae={link.peer(site)}", f"--state={kme_state(link.name)}",
            f"--port-file={kme_port_file(link.name, site)}"]


def _link_seed(link):
    """What both sides of a simulated pair derive their keys from; another one in each lab."""
    path = f"{host.HOMES}/{link.name}.seed"
    if not os.path.exists(path):
        _write(path, os.urandom(SIM_SEED_BYTES).hex(), 0o600)
    with open(path, encoding="ascii") as file:
        return file.read()


def _link_secret(link):
    """What both ends of a link are provisioned with; another one in each lab."""
    path = f"{host.HOMES}/{link.name}.secret"
    if not os.path.exists(path):
        with open(path, "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(os.urandom(DISTILL_SECRET_BYTES))
    return path


def command(topology, site, program):
    """The words that start a program, the lab's --set on the command line last."""
    kind, _, link = program.partition("@")
    extra = [f"--{key}={value}" for key, value in topology.settings_for(site, program)]
    if kind == "qkd-keyringd":
        return [f"{sites.BUILD}/bin/qkd-keyringd", "--config=/etc/qkd/keyringd.json", *extra]
    if kind == "qkd-linkd":
        return [f"{sites.BUILD}/bin/qkd-linkd", f"--config=/etc/qkd/links.d/{link}.json", *extra]
    return [*kme(topology, topology.link(link), site), *extra]


def _json(document):
    return json.dumps(document, indent=2) + "\n"


def _write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def _copy(source, target, mode=0o644, gid=0):
    with open(source, "rb") as file:
        data = file.read()
    with open(target, "wb") as file:
        file.write(data)
    os.chown(target, 0, gid)
    os.chmod(target, mode)


def _with(path, ours):
    """The machine's table with our lines in place of any of those names."""
    names = {line.partition(":")[0] for line in ours}
    with open(path, encoding="utf-8") as file:
        lines = [old for old in file.read().splitlines() if old.partition(":")[0] not in names]
    return "\n".join([*lines, *ours]) + "\n"
