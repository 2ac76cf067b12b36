# SPDX-License-Identifier: MIT
"""The commands of scripts/vm and their words."""

import argparse
import shlex
import sys

from . import STATE, VmError, fleet, image, packages
from .machine import COMMAND_SEC


def show(result):
    sys.stdout.write(result.output)
    sys.stderr.write(result.errors)
    return result.status


def up(arguments):
    fleet.up(arguments.machine or ["alice"])


def execute(arguments):
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not words:
        raise VmError("exec needs a command: scripts/vm exec MACHINE -- COMMAND...")
    machine = fleet.get(arguments.machine)
    return show(machine.run(shlex.join(words), seconds=arguments.seconds, check=False))


def script(arguments):
    with open(arguments.script, encoding="utf-8") as file:
        return show(fleet.get(arguments.machine).run(file.read(), seconds=arguments.seconds,
                                                     check=False))


def install(_arguments):
    packages.install(fleet.load().values())


def deliver(_arguments):
    packages.deliver_all(fleet.load().values())


def parse(words):
    parser = argparse.ArgumentParser(prog="scripts/vm", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name, function, text, **named):
        command = commands.add_parser(name, help=text)
        command.set_defaults(function=function)
        for argument, options in named.items():
            command.add_argument(argument.replace("_", "--", 1), **options)

    one = {"metavar": "MACHINE"}
    limit = {"type": int, "default": COMMAND_SEC, "metavar": "N"}
    add("image", lambda _: print(image.build()), "build the image, print its directory")
    add("packages", lambda _: print(packages.build()), "build the packages, print their directory")
    add("up", up, "start machines on one network", machine={"nargs": "*", **one})
    add("install", install, "install the packages on all machines that are up")
    add("deliver", deliver, "copy the packages to /root of all machines that are up")
    add("exec", execute, "run a command inside as root", _seconds=limit, machine=one,
        command={"nargs": argparse.REMAINDER})
    add("run", script, "run a bash script of this machine inside", _seconds=limit, machine=one,
        script={})
    add("put", lambda a: fleet.get(a.machine).put(a.path, a.directory),
        "copy a file or directory into a machine", machine=one, path={}, directory={})
    add("reboot", lambda a: fleet.get(a.machine).reboot(), "start a machine anew, orderly", machine=one)
    add("reset", lambda a: fleet.get(a.machine).reboot(force=True), "cut a machine's power for a moment",
        machine=one)
    add("state", lambda _: print(STATE), "where MACHINE.console and MACHINE.pcap are")
    add("down", lambda _: fleet.down(), "take all machines down")
    return parser.parse_args(words)


def main(words):
    arguments = parse(words)
    try:
        return arguments.function(arguments) or 0
    except VmError as error:
        print(f"scripts/vm: {error}", file=sys.stderr)
        return 1
