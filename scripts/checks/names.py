#!/usr/bin/python3 -B
# SPDX-License-Identifier: MIT
"""Every name that an administrator meets is in a man page, and in qkdctl's completion.

Words: what to look at, one of the functions below. Prints the names that are missing; status 1 if
there are any. Names of statistics are compared by tests/unit/test-statistics-names.c.
"""

import glob
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as tree

BUILD = os.environ.get("QKD_BUILD", "build")
# Pages that describe a program's options, besides its own.
SETTINGS = {"qkd-linkd": ["qkd-link.json.5"], "qkd-keyringd": ["qkd-keyringd.json.5"],
            "qkd-xfrmd": ["qkd-xfrmd.json.5"]}
# No command line of its own: the kernel calls it.
WITHOUT_HELP = {"qkd-request-key"}
COMPLETIONS = ("completion.bash", "completion.zsh")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def program_help(program, *words):
    return subprocess.run([f"{BUILD}/bin/{program}", *words, "--help"], capture_output=True,
                          text=True, check=True, stdin=subprocess.DEVNULL).stdout


def programs():
    return sorted(set(os.listdir(f"{BUILD}/bin")) - WITHOUT_HELP)


# what is looked at ------------------------------------------------------------------------------

def events():
    """Message ids, in qkd-events(7)."""
    items = {digits for line in re.findall(r"^\.It (.*)", read("man/qkd-events.7"), re.M)
             for digits in re.findall(r"(?<!\S)[0-9a-f]{2}(?!\S)", line)}
    ids = re.findall(r'#define (EVENT_\w+)\s+"[0-9a-f]{30}([0-9a-f]{2})"', read("common/events.h"))
    known = {digits for _, digits in ids}
    yield from (f"{name} ({digits})" for name, digits in ids if digits not in items)
    yield from (f"{digits} is no event" for digits in items - known)


def fields():
    """Journal fields, in qkd-events(7)."""
    page = read("man/qkd-events.7")
    for name in sorted(set(re.findall(r'"(QKD_[A-Z_]+|ERRNO)"', read("common/log.c")))):
        if f".It Va {name}\n" not in page:
            yield name


def bus():
    """Methods, signals, properties and errors, each in the page of its interface."""
    for document in glob.glob("docs/dbus/*.xml"):
        for interface in tree.parse(document).getroot().iter("interface"):
            page = "man/" + os.path.basename(document)[:-len(".xml")] + ".5"
            text = read(page)
            for member in interface:
                if member.tag == "annotation":
                    continue
                name = member.get("name")
                macro = "Va" if member.tag == "property" else "Fn"
                # an item, or the first column of a table
                if not re.search(rf"^\.It {macro} ([^\n]*\W)?{name}\b", text, re.M):
                    yield f"{interface.get('name')}.{name} in {page}"


def bus_errors():
    """Names of errors, in a page."""
    pages = "".join(read(page) for page in glob.glob("man/org.qkd.*.5"))
    sources = "".join(read(path) for directory in ("common", "qkd-keyringd", "qkd-linkd")
                      for path in glob.glob(f"{directory}/*.c"))
    for name in sorted(set(re.findall(r'"(org\.qkd\.Error\.\w+)"', sources))):
        if f".It {name}\n" not in pages:
            yield name


def options():
    """Options of every program, in its page or that of its settings."""
    for program in programs():
        pages = glob.glob(f"man/{program}.[18]") + [f"man/{p}" for p in SETTINGS.get(program, [])]
        if not pages:
            yield f"{program}: no page"
            continue
        items = "\n".join(line for page in pages for line in read(page).splitlines()
                          if line.startswith((".It Fl", ".It Va")))
        for option in sorted(set(re.findall(r"--([a-z][a-z0-9_.-]*)", program_help(program)))):
            if not re.search(rf"(Fl Fl |Fl -|Va ){re.escape(option)}(\s|$)", items, re.M):
                yield f"{program} --{option}"


def ctl_commands():
    """Words of each command of qkdctl, out of --help."""
    help_text = program_help("qkdctl").partition("Commands:\n")[2].partition("\n\n")[0]
    for line in re.findall(r"^  (\S.*)", help_text, re.M):
        words = re.match(r"[a-z]+( [a-z]+)?(?=\s|$)", line.split("  ")[0]).group(0)
        yield words


def commands():
    """Commands of qkdctl, in its page."""
    text = read("man/qkdctl.1")
    for words in ctl_commands():
        if not re.search(rf"^\.It Cm {words}(\s|$)", text, re.M):
            yield f"qkdctl {words}"


def completion():
    """Commands and options of qkdctl, in each completion."""
    for name in COMPLETIONS:
        text = read(f"keyring-helpers/qkdctl/{name}")
        for word in sorted({word for words in ctl_commands() for word in words.split()}):
            if not re.search(rf"(?<![\w-]){word}(?![\w-])", text):
                yield f"{word} in {name}"
        for option in sorted(set(re.findall(r"--[a-z]+", program_help("qkdctl")))):
            if option not in text:
                yield f"{option} in {name}"


def main(word):
    missing = list({f.__name__: f for f in (events, fields, bus, bus_errors, options, commands,
                                            completion)}[word]())
    for name in missing:
        print(f"missing: {name}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
