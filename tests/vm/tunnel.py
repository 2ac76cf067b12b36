# SPDX-License-Identifier: MIT
"""A tunnel of qkd-xfrmd's between two machines, the traffic through it, and what the wire has carried."""

import json
import re
import subprocess
import sys
import time

from harness import HERE, at, check, equal, everywhere, machine, show, wait_for

from vmlib import CACHE

UNIT = "qkd-xfrmd"
NETWORK = {"alice": "10.1.0", "bob": "10.2.0", "carol": "10.3.0"}
RATE = 200  # packets a second, each way
REKEY_SEC, DRAIN_SEC = 3, 5
LONG_SEC = 600  # no hard lifetime ends while busy machines take their time
END_SEC = 300
STARVED = 3  # times as long as it should take, on a builder that has much else to do
MARK = b"in-clear-"
TRAFFIC = f"{CACHE}/traffic"
STATE = re.compile(r"^(Deleted |Updated |Expired )?src ", re.M)


class Tunnel:
    def __init__(self, connection, *sites):
        self.connection, self.sites = connection, sites
        self.other = dict(zip(sites, reversed(sites)))

    def everywhere(self, function):
        return dict(zip(self.sites, everywhere(function, self.sites)))

    def address(self, site):
        """Where its traffic begins and ends."""
        return NETWORK[site] + ".1"

    # the two ends ------------------------------------------------------------------------------

    def configuration(self, site, hard_sec):
        other = self.other[site]
        return {"site": site, "log_level": "debug", "connections": {self.connection: {
            "peer": other, "local": machine(site).address, "remote": machine(other).address,
            "selectors": [{"local": NETWORK[site] + ".0/16", "remote": NETWORK[other] + ".0/16"}],
            "rekey_sec": REKEY_SEC, "hard_sec": hard_sec, "drain_sec": DRAIN_SEC}}}

    def prepare(self, hard_sec=LONG_SEC):
        """New keys every few seconds."""
        def one(site):
            machine(site).write("/etc/qkd/xfrmd.json", json.dumps(self.configuration(site, hard_sec)))
            at(site, f"systemctl restart {UNIT}")
        self.everywhere(one)

    def wait_secured(self, status="1 of 1 connections have keys"):
        self.everywhere(lambda site: wait_for(
            lambda: status in show(site, UNIT, "StatusText"), f"at {site}: {status}"))

    def clear(self):
        """Nothing of it is left at either end."""
        def one(site):
            at(site, f"systemctl disable --quiet --now {UNIT}; qkd-xfrmd --flush; rm /etc/qkd/xfrmd.json")
            # SPI 0 is the kernel's note that somebody waits; it goes by itself.
            equal(at(site, "ip xfrm policy; ip xfrm state | grep -E 'spi 0x0*[1-9a-f]' || true"), "",
                  f"left in the kernel of {site}")
            at(site, f"ip route del {NETWORK[self.other[site]]}.0/16;"
                     f" ip address del {NETWORK[site]}.1/16 dev lo;"
                     " rm /etc/qkd/policy.json; systemctl reload qkd-keyringd")
        self.everywhere(one)

    # traffic -----------------------------------------------------------------------------------

    def put_traffic(self):
        subprocess.run(["cc", "-O2", "-static", "-o", TRAFFIC, f"{HERE}/traffic.c"], check=True)
        self.everywhere(lambda site: machine(site).put(TRAFFIC, "/root"))

    def start_traffic(self, seconds):
        """Both ways, for so long."""
        self.everywhere(lambda site: at(site, "systemctl stop send receive 2>/dev/null || true"))
        self.everywhere(lambda site: at(
            site, "rm -f /run/traffic-end; " + background(
                "receive", f"/root/traffic receive {self.address(site)}")
            + "; timeout 30 sh -c 'until ss -Hlun sport = :4711 | grep -q .; do sleep 0.1; done'"))
        self.everywhere(lambda site: at(site, background(
            "send", f"/root/traffic send {self.address(site)} {self.address(self.other[site])} {RATE}"
            f" {RATE * seconds}")))

    def finish_traffic(self):
        """Site -> (what was sent to it, what it received)."""
        sent = self.everywhere(lambda site: result(self.other[site], "send"))
        self.everywhere(lambda site: at(site, "touch /run/traffic-end"))
        got = self.everywhere(lambda site: result(site, "receive"))
        for site in self.sites:
            print(f"to {site}: {sent[site]['sent']} packets in {sent[site]['seconds']} s,"
                  f" {got[site]['received']} received", file=sys.stderr)
        return {site: (sent[site], got[site]) for site in self.sites}

    def nothing_lost(self, seconds, busy_while=None):
        """All packets of so many seconds arrive, whatever busy_while() does meanwhile."""
        started = time.monotonic()
        self.start_traffic(seconds)
        if busy_while:
            busy_while()
        time.sleep(max(0, started + seconds - time.monotonic()))
        for site, (sent, got) in self.finish_traffic().items():
            equal(sent["sent"], RATE * seconds, f"packets sent to {site}")
            check(sent["seconds"] < STARVED * seconds, "{} s for packets of {} s", sent["seconds"], seconds)
            equal((got["received"], got["missing"]), (sent["sent"], 0), f"received, missing at {site}")

    # associations ------------------------------------------------------------------------------

    def watch(self):
        """Every association that comes or goes from now on is noted."""
        self.everywhere(lambda site: at(
            site, "systemd-run --quiet --collect --unit=states"
            " sh -c 'exec ip -s xfrm monitor SA >/root/states'"))

    def watched(self):
        """Site -> SPI -> (key, packets, whether it came and went meanwhile)."""
        return self.everywhere(lambda site: associations(
            at(site, "systemctl stop states; cat /root/states; rm /root/states")))


def background(unit, command):
    return (f"rm -f /root/{unit}.*; systemd-run --quiet --collect --unit={unit} sh -c"
            f" '{command} >/root/{unit}.new && mv /root/{unit}.new /root/{unit}.json'")


def result(site, unit):
    return json.loads(at(site, f"until cat /root/{unit}.json 2>/dev/null; do sleep 0.2; done",
                         seconds=END_SEC))


def associations(text):
    found = {}
    parts = STATE.split(text)
    for word, part in zip(parts[1::2], parts[2::2]):
        spi = re.search(r"spi (0x[0-9a-f]+)", part)
        key = re.search(r"aead \S+ (0x[0-9a-f]+)", part)
        packets = re.search(r"lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)", part)
        if not (spi and key and packets):
            continue
        known, most, came, _ = found.get(spi[1], (key[1], 0, word is None, False))
        check(known == key[1], "another key under SPI {}", spi[1])
        found[spi[1]] = (known, max(most, int(packets[1])), came, word == "Deleted ")
    return {spi: (key, packets, came and went) for spi, (key, packets, came, went) in found.items()}


def rekeyed(site):
    """Since its start; 0 also before that."""
    found = re.search(r"(\d+) times rekeyed", show(site, UNIT, "StatusText"))
    return int(found[1]) if found else 0


# the wire --------------------------------------------------------------------------------------

def captured(site, since, mark):
    """How often the wire has carried these bytes since that offset."""
    with open(machine(site).path("pcap"), "rb") as file:
        file.seek(max(0, since - len(mark)))
        return file.read().count(mark)


def captured_bytes(site):
    with open(machine(site).path("pcap"), "rb") as file:
        return file.seek(0, 2)
