# SPDX-License-Identifier: MIT
"""The commands of scripts/lab and their words."""

import argparse
import glob
import json
import os
import signal
import sys
import time

from . import LabError, UsageError, configuration, daemons, hold, host, site as sites
from .topology import Topology

FIRST_KEY_WAIT_SEC = 30
TOPOLOGY = f"{host.STATE}/topology.json"


def load():
    try:
        with open(TOPOLOGY, encoding="utf-8") as file:
            return Topology.from_json(file.read())
    except FileNotFoundError:
        raise LabError("no lab is up; scripts/lab up LINK... makes one") from None


# up and down -----------------------------------------------------------------------------------

def has_first_key(site, link):
    """A line stands in the key file of this link at this site."""
    pattern = f"{sites.home(site)}/.qkd/qnl/qll/keys/*/{glob.escape(link.peer(site))}_0"
    for path in glob.glob(pattern):
        try:
            with open(f"{os.path.dirname(path)}/store", encoding="utf-8") as file:
                ours = json.load(file).get("link") == link.name
            if ours and os.path.getsize(path) > 0:
                return True
        except (OSError, ValueError):
            pass
    return False


def wait_first_keys(topology):
    missing = [(site, link) for link in topology.links for site in link.sites]
    end = time.monotonic() + FIRST_KEY_WAIT_SEC
    while missing:
        missing = [(site, link) for site, link in missing if not has_first_key(site, link)]
        for site, link in missing:
            program = f"qkd-linkd@{link.name}"
            if not daemons.running_pid(site, program):
                raise LabError(f"{program} at {site} has ended\n" + daemons.report(site, program))
        if missing and time.monotonic() > end:
            reports = [daemons.report(site, f"qkd-linkd@{link.name}") for site, link in missing]
            raise LabError(f"no first key in {FIRST_KEY_WAIT_SEC} s on "
                           + ", ".join(sorted({link.name for _, link in missing}))
                           + "\n" + "\n".join(reports))
        time.sleep(0.05)


def build(topology):
    configuration.prepare_host()
    configuration.make_certificates(topology)
    sites.create_switch()
    for site in topology.sites:
        configuration.write_site(topology, site)
        sites.create(topology, site)
    for program_kind in ("qkd-keyringd", "kme", "qkd-linkd"):
        for site in topology.sites:
            for program in topology.programs(site):
                if program.partition("@")[0] == program_kind:
                    daemons.start(topology, site, program)
    wait_first_keys(topology)


def up(arguments):
    topology = Topology(arguments.link, arguments.device, arguments.set or [])
    hold.check_free()
    host.create_state()
    hold.mark()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        with open(TOPOLOGY, "w", encoding="utf-8") as file:
            file.write(topology.to_json())
        build(topology)
    except (LabError, OSError, KeyboardInterrupt) as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        failures = host.undo_everything()
        if isinstance(error, UsageError):
            raise
        raise LabError("\n".join([f"up failed: {str(error) or 'interrupted'}", *failures])) from None


def _interrupted(_number, _frame):
    raise KeyboardInterrupt


def down(_arguments):
    hold.check_free()
    if not host.is_up():
        return
    failures = host.undo_everything()
    if failures:
        raise LabError("\n".join(["down is not complete; run it again:", *failures]))


# while it is up --------------------------------------------------------------------------------

def words_after_dashes(arguments, usage):
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise UsageError(usage)
    return command


def execute(arguments):
    load().check_site(arguments.site)
    command = words_after_dashes(
        arguments, "exec needs a command: scripts/lab exec SITE -- COMMAND...")
    try:
        sites.execute(arguments.site, command)
    except OSError as error:
        raise LabError(f"{command[0]}: {error.strerror}") from None


def hold_for(arguments):
    hold.hold(words_after_dashes(arguments, "hold needs a command: scripts/lab hold -- COMMAND..."))


def kill(arguments):
    daemons.kill(load(), arguments.site, arguments.program, arguments.signal)


def start(arguments):
    daemons.start(load(), arguments.site, arguments.program)


def cut(arguments):
    topology = load()
    sites.cut(topology, topology.link(arguments.link))


def join(arguments):
    topology = load()
    sites.join(topology, topology.link(arguments.link))


def clock(arguments):
    daemons.set_clock(load(), arguments.site, arguments.offset)


def path(arguments):
    print(sites.home(load().check_site(arguments.site)))


def describe(topology):
    """The document of `status --json`."""
    return {
        "up": True, "device": topology.device,
        "sites": [{"site": site, "address": topology.address(site), "uid": topology.uid(site),
                   "home": sites.home(site), "network_namespace": sites.netns(site),
                   "programs": {program: daemons.running_pid(site, program)
                                for program in topology.programs(site)}}
                  for site in topology.sites],
        "links": [{"link": link.name, "cut": sites.is_cut(topology, link),
                   "first_key": all(has_first_key(site, link) for site in link.sites)}
                  for link in topology.links]}


def status(arguments):
    if not host.is_up():
        print(json.dumps({"up": False, "sites": [], "links": []}) if arguments.json else "down")
        return
    document = describe(load())
    if arguments.json:
        print(json.dumps(document))
        return
    print(f"up, devices: {document['device']}")
    for site in document["sites"]:
        print(f"site {site['site']}: {site['address']}, uid {site['uid']}, home {site['home']}")
        for program, pid in site["programs"].items():
            print(f"  {program}: " + (f"pid {pid}" if pid else "not running"))
    for link in document["links"]:
        print(f"link {link['link']}: " + ("cut" if link["cut"] else "joined")
              + (", has keys" if link["first_key"] else ", no key yet"))


# the command line ------------------------------------------------------------------------------

class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(message)


def parser():
    top = Parser(prog="scripts/lab", description=__doc__, allow_abbrev=False)
    commands = top.add_subparsers(dest="name", metavar="COMMAND", required=True)

    def add(name, function, help_text, *words):
        command = commands.add_parser(name, help=help_text, allow_abbrev=False)
        command.set_defaults(function=function)
        for word in words:
            command.add_argument(word)
        return command

    command = add("up", up, "build sites and links; returns when every link has its first key")
    command.add_argument("link", nargs="+", help="such as alice-bob")
    command.add_argument("--device", default="sim", help="sim, sim-raw or etsi014")
    command.add_argument("--set", action="append", metavar="[SITE:]PROGRAM.KEY=VALUE",
                         help="give --KEY=VALUE to qkd-keyringd, qkd-linkd or kme; with PROGRAM "
                         "'device', a parameter of the device URL")
    command = add("exec", execute, "run a command as a site sees the world", "site")
    command.add_argument("command", nargs=argparse.REMAINDER)
    command = add("kill", kill, "send a signal (KILL) to a program", "site", "program")
    command.add_argument("signal", nargs="?", default="KILL")
    add("start", start, "start a program that was killed", "site", "program")
    add("cut", cut, "sever the network between the two sites of a link", "link")
    add("join", join, "restore it", "link")
    add("clock", clock, "shift a site's wall clock, as '+1d' or '-90' (seconds)", "site", "offset")
    add("path", path, "print the service's home at a site", "site")
    add("status", status, "what runs").add_argument("--json", action="store_true")
    add("down", down, "take everything away")
    command = add("hold", hold_for, "run a command that has the lab to itself; wait for its turn")
    command.add_argument("command", nargs=argparse.REMAINDER)
    return top


def main(words):
    if words[:1] == ["clock"] and "--" not in words:
        words = ["clock", "--", *words[1:]]  # an offset may begin with '-'
    try:
        arguments = parser().parse_args(words)
        if arguments.name != "status" and os.geteuid() != 0:
            raise LabError("the lab makes namespaces and keyring quotas: run it as root")
        arguments.function(arguments)
        sys.stdout.flush()
    except UsageError as error:
        print(f"scripts/lab: {error}", file=sys.stderr)
        return 2
    except LabError as error:
        print(f"scripts/lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
