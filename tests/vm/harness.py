# SPDX-License-Identifier: MIT
"""What the tests on virtual machines share: cases that are sentences, the machines that are up, waiting.

A test is an executable with functions marked @case("sentence"); run() runs them in order and prints
"ok", "not ok" or "skip" for each. The machines are there already (scripts/vm up, scripts/check-vm), so
a test can be run again by hand. Emulated machines are slow and their builder is busy: a case waits for
what it wants to see, never for a time, and the limits are generous.
"""

import concurrent.futures as futures
import os
import re
import sys
import time
import traceback

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, f"{TOP}/scripts")

from vmlib import VmError, fleet, guide  # noqa: E402

SLOW_SEC = 180
POLL_SEC = 0.3
STEP_SEC = 400  # a command of docs/install.md
LINK = "alice-bob"
PEER = {"alice": "bob", "bob": "alice"}
KEYS = "/var/lib/qkd/.qkd/qnl/qll/keys"
DAEMONS = ("qkd-keyringd", f"qkd-linkd@{LINK}")
RUN = f"{int(time.time()):x}"  # ends every label, so that a test can be run again
cases = []


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def case(sentence):
    def add(function):
        cases.append((sentence, function))
        return function
    return add


def check(condition, text, *values):
    if not condition:
        raise Failed(text.format(*values))


def equal(got, expected, what):
    check(got == expected, "{}: got {!r}, expected {!r}", what, got, expected)


def wait_for(predicate, what, seconds=SLOW_SEC):
    end = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        check(time.monotonic() < end, "{}: not within {} s", what, seconds)
        time.sleep(POLL_SEC)


# machines --------------------------------------------------------------------------------------

def machine(name):
    return fleet.get(name)


def at(name, script, **options):
    """Standard output of a script inside, which must succeed."""
    return machine(name).run(script, **options).output.strip()


def status_of(name, script, **options):
    """(exit status, output and errors) of a script inside."""
    result = machine(name).run(script, check=False, **options)
    return result.status, result.output + result.errors


def everywhere(function, names=tuple(PEER)):
    """function(machine) for all machines at once; the results in their order."""
    with futures.ThreadPoolExecutor() as pool:
        return list(pool.map(function, names))


def follow(*sections):
    """Runs the commands of these sections of docs/install.md; the output of each script."""
    outputs = []

    def execute(name, text):
        output = at(name, f"set -e\n{text}", seconds=STEP_SEC)
        print(f"{name}# {text}\n{output}", file=sys.stderr)
        return output

    for script in guide.of_section(*sections):
        if script.machine == "both":
            outputs += everywhere(lambda name, text=script.text: execute(name, text))
        else:
            outputs.append(execute(script.machine, script.text))
    return outputs


def properties(name, units, *fields):
    """Unit -> {field: value}, asked in one command: each costs an emulated machine a second."""
    text = at(name, f"systemctl show --property=Id,{','.join(fields)} {' '.join(units)}")
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in text.split("\n\n")]
    equal(len(blocks), len(units), f"units that systemctl shows at {name}")
    return dict(zip(units, blocks))


def show(name, unit, field):
    return properties(name, [unit], field)[unit][field]


def main_pid(name, unit):
    return int(show(name, unit, "MainPID"))


def journal(name, *match):
    return at(name, f"journalctl --quiet --no-pager --output=cat {' '.join(match)}")


def runs(name, units):
    """The daemons run, the link agrees keys and the stores are connected to their twins."""
    store, link = properties(name, units, "ActiveState", "StatusText").values()
    return (store["ActiveState"] == link["ActiveState"] == "active"
            and "SessionStarted" in link["StatusText"]
            and re.search(r"\b(\d+) of \1 peers connected; keys: [1-9]", store["StatusText"]))


def wait_running(*names, units=DAEMONS):
    """At these machines, or at both sites."""
    everywhere(lambda name: wait_for(lambda: runs(name, units), f"keys at {name}"), names or tuple(PEER))


# keys ------------------------------------------------------------------------------------------

REQUEST = """
key=$(keyctl request2 {kind} qkd:{peer}:{label} "{callout}" @s) && keyctl pipe $key | sha256sum
"""


def request(name, label, callout="", user=None, peer=None):
    """(digest of the key or None, errors) as somebody at that site requests it, in a new session."""
    script = REQUEST.format(kind="user", peer=peer or PEER[name], label=f"{label}-{RUN}", callout=callout)
    result = machine(name).run(f"keyctl session - bash -c '{script}'", check=False, user=user)
    if result.status != 0:
        return None, result.errors
    return result.output.split()[0], result.errors


def request_ok(name, label, callout="", user=None):
    digest, errors = request(name, label, callout, user)
    check(digest, "{} requests {}: {}", name, label, errors)
    return digest


def same_key(label, seconds=SLOW_SEC):
    """The digest of the label's key, which both sites get; tries again while daemons come back."""
    digests = everywhere(lambda name: wait_for(lambda: request(name, label)[0], f"{label} at {name}",
                                               seconds))
    equal(digests[1], digests[0], f"key {label} at bob")
    return digests[0]


# running ---------------------------------------------------------------------------------------

def tell_journals():
    try:
        for name, one in fleet.load().items():
            print(f"--- journal of {name}:\n" + one.run(
                "journalctl --no-pager --lines=25", check=False, seconds=60).output, file=sys.stderr)
    except VmError as error:
        print(error, file=sys.stderr)


def run():
    """All cases, or those that have a word of the command line in their sentence."""
    failed = False
    for sentence, function in cases:
        if sys.argv[1:] and not any(word in sentence for word in sys.argv[1:]):
            continue
        started = time.monotonic()
        try:
            function()
            print(f"ok {sentence}", flush=True)
        except Skipped as why:
            print(f"skip {sentence}: {why}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed = True
            if not isinstance(error, (Failed, VmError)):
                traceback.print_exc()
            reason = (str(error) or repr(error)).splitlines()[0]
            print(f"not ok {sentence}: {reason}", flush=True)
            print(f"{sentence}: {error}", file=sys.stderr)
            tell_journals()
        print(f"{time.monotonic() - started:6.1f} s  {sentence}", file=sys.stderr, flush=True)
    sys.exit(1 if failed else 0)
