# SPDX-License-Identifier: MIT
"""What was asked for: sites, links, device kind and settings, and the addresses that follow."""

import json
import re

from . import UsageError

SITE_RE = re.compile(r"[a-z0-9][a-z0-9.]{0,31}\Z")
KINDS = ("sim", "sim-raw", "etsi014")
PROGRAMS = ("qkd-keyringd", "qkd-linkd", "kme", "device")
NETWORK = "10.231.0"
FIRST_HOST = 10
FIRST_UID = 64001
MAX_SITES = 64
KEYRINGD_PORT = 7700
LINKD_PORT = 7800
KME_PORT = 7900
LIGHT_PORT = 8000


class Link:
    def __init__(self, name, index):
        ends = name.split("-")
        if len(ends) != 2 or not all(SITE_RE.match(end) for end in ends):
            raise UsageError(f"{name}: a link is two site names joined by '-', such as alice-bob")
        if ends[0] == ends[1]:
            raise UsageError(f"{name}: a link needs two different sites")
        self.name, self.index = name, index
        self.leader, self.follower = sorted(ends)

    @property
    def sites(self):
        return (self.leader, self.follower)

    def peer(self, site):
        return self.follower if site == self.leader else self.leader


class Topology:
    """Immutable; what `up` was given, kept as JSON for every later command."""

    def __init__(self, links, device="sim", settings=()):
        if not links:
            raise UsageError("up needs at least one link, such as alice-bob")
        if device not in KINDS:
            raise UsageError(f"--device {device}: one of {', '.join(KINDS)}")
        if len({frozenset(name.split("-")) for name in links}) != len(links):
            raise UsageError("each pair of sites can be linked once")
        self.links = [Link(name, i) for i, name in enumerate(links)]
        self.sites = list(dict.fromkeys(s for name in links for s in name.split("-")))
        if len(self.sites) > MAX_SITES:
            raise UsageError(f"at most {MAX_SITES} sites")
        self.device = device
        self.settings = [parse_setting(text) for text in settings]
        self._texts = list(settings)

    def to_json(self):
        return json.dumps({"links": [link.name for link in self.links], "device": self.device,
                           "settings": self._texts})

    @classmethod
    def from_json(cls, text):
        return cls(**json.loads(text))

    def link(self, name):
        for link in self.links:
            if link.name == name:
                return link
        known = ", ".join(link.name for link in self.links)
        raise UsageError(f"{name}: no such link in this lab; there are {known}")

    def check_site(self, site):
        if site not in self.sites:
            raise UsageError(f"{site}: no such site in this lab; there are {', '.join(self.sites)}")
        return site

    def links_of(self, site):
        return [link for link in self.links if site in link.sites]

    def address(self, site):
        return f"{NETWORK}.{FIRST_HOST + self.sites.index(site)}"

    def uid(self, site):
        return FIRST_UID + self.sites.index(site)

    def keyringd_address(self, site):
        return f"{self.address(site)}:{KEYRINGD_PORT}"

    def linkd_address(self, link):
        """Where the follower listens."""
        return f"{self.address(link.follower)}:{LINKD_PORT + link.index}"

    def light_address(self, link):
        """Where the simulated light of a link arrives."""
        return f"{self.address(link.follower)}:{LIGHT_PORT + link.index}"

    def kme_address(self, link, site):
        return f"{self.address(site)}:{KME_PORT + link.index}"

    def programs(self, site):
        """In the order in which they are started."""
        names = ["qkd-keyringd"]
        if self.device == "etsi014":
            names += [f"kme@{link.name}" for link in self.links_of(site)]
        return names + [f"qkd-linkd@{link.name}" for link in self.links_of(site)]

    def check_program(self, site, program):
        known = self.programs(self.check_site(site))
        if program not in known:
            raise UsageError(f"{program}: no such program at {site}; there are {', '.join(known)}")
        return program

    def settings_for(self, site, program):
        """(key, value) pairs for a program of a site, or for 'device@LINK'."""
        kind = program.partition("@")[0]
        return [(key, value) for where, name, key, value in self.settings
                if where in (None, site) and name in (kind, program)]


def parse_setting(text):
    """[SITE:]PROGRAM[@LINK].KEY=VALUE"""
    match = re.match(r"(?:([a-z0-9.]+):)?([a-z0-9-]+(?:@[a-z0-9.]+-[a-z0-9]+)?)\.([A-Za-z0-9_.-]+)=(.*)\Z",
                     text, re.DOTALL)
    if not match or match[2].partition("@")[0] not in PROGRAMS:
        raise UsageError(f"--set {text}: expected [SITE:]PROGRAM.KEY=VALUE with PROGRAM one of "
                         f"{', '.join(PROGRAMS)}")
    return match.groups()
