# SPDX-License-Identifier: MIT
"""The commands of docs/install.md, as that page shows them to an administrator.

An indented line that begins with a prompt (alice#, both#, build#) is a command; the lines after it
belong to it while it ends with a backslash or its here-document is open. The commands of one block for
one machine are one script.
"""

import collections
import re

from . import TOP, VmError

PAGE = f"{TOP}/docs/install.md"
PROMPT = re.compile(r"^    ([a-z]+)# (.+)$")
HERE = re.compile(r"<<-?'?(\w+)'?")

Script = collections.namedtuple("Script", "section line machine text")


def command(lines, at):
    """(text, next line) of the command whose prompt is at lines[at]."""
    text = [PROMPT.match(lines[at])[2]]
    at += 1
    while text[-1].endswith("\\"):
        text.append(lines[at].strip())
        at += 1
    if here := HERE.search(text[0]):
        while text[-1] != here[1]:
            if at == len(lines) or not lines[at].startswith("    "):
                raise VmError(f"{PAGE}:{at}: the here-document does not end with {here[1]}")
            text.append(lines[at][4:])
            at += 1
    return "\n".join(text), at


def scripts():
    with open(PAGE, encoding="utf-8") as file:
        lines = file.read().split("\n")
    found, section, at, open_block = [], "", 0, False
    while at < len(lines):
        line = lines[at]
        if line.startswith("## "):
            section = line[3:]
        if not PROMPT.match(line):
            open_block, at = False, at + 1
            continue
        machine, number = PROMPT.match(line)[1], at + 1
        text, at = command(lines, at)
        if open_block and found[-1].machine == machine:
            found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{text}")
        else:
            found.append(Script(section, number, machine, text))
        open_block = True
    return found


def of_section(*sections):
    chosen = [script for script in scripts() if script.section in sections]
    for section in sections:
        if not any(script.section == section for script in chosen):
            raise VmError(f"{PAGE}: no commands in section {section}")
    return chosen
