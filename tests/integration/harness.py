# SPDX-License-Identifier: MIT
"""What the integration tests share: cases that are sentences, the lab, requests, waiting.

A test is an executable with functions marked @case("sentence"); run(lab-words...) builds the lab once,
runs them in order, prints "ok", "not ok" or "skip" for each and takes the lab down.
"""

import collections
import glob
import json
import os
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("QKD_BUILD", f"{TOP}/build")
LAB = f"{TOP}/scripts/lab"
KEYS = ".qkd/qnl/qll/keys"
STRIDE = 65
ERASED = "-" * 64
LONGEST_SECONDS = 6
COMMAND_SEC = 60

Answer = collections.namedtuple("Answer", "key error seconds permission")
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


def wait_for(predicate, seconds, what):
    end = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        check(time.monotonic() < end, "{}: not within {} s", what, seconds)
        time.sleep(0.05)


# the lab ---------------------------------------------------------------------------------------

def lab(*words, ok=True, seconds=COMMAND_SEC, **options):
    done = subprocess.run([LAB, *words], capture_output=True, text=True, check=False,
                          timeout=seconds, stdin=options.pop("stdin", subprocess.DEVNULL)
                          if "input" not in options else None, **options)
    check(not ok or done.returncode == 0, "scripts/lab {}: {}", " ".join(words), done.stderr)
    return done


def at(site, *command, **options):
    return lab("exec", site, "--", *command, **options)


def as_user(uid, groups=()):
    words = ["setpriv", f"--reuid={uid}", f"--regid={uid}"]
    return words + ([f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"])


def home(site):
    return lab("path", site).stdout.strip()


def status():
    return json.loads(lab("status", "--json").stdout)


def uid_of(site):
    return next(s["uid"] for s in status()["sites"] if s["site"] == site)


def pid_of(site, program):
    return next(s["programs"][program] for s in status()["sites"] if s["site"] == site)


def restart(site, program, signal="KILL"):
    lab("kill", site, program, signal)
    lab("start", site, program)


def journal(site, *match):
    return at(site, "journalctl", "--quiet", "--no-pager", "--output=cat", *match).stdout


def set_policy(site, rules):
    """A new policy.json, and a reload that the daemon has answered when a request is served."""
    text = json.dumps({"rules": rules}, indent=1)
    at(site, "sh", "-c", "cat >/etc/qkd/policy.json", input=text)
    lab("kill", site, "qkd-keyringd", "HUP")
    time.sleep(0.5)


# requests --------------------------------------------------------------------------------------

def description(site, peer, label):
    return f"qkd@{site}:{peer}:{label}"


def start_requests(site, wanted, jobs=1, prefix=(), at_time=None):
    """wanted: (type, description, callout) each."""
    words = [LAB, "exec", site, "--", *prefix, f"{HERE}/requester.py", "--jobs", str(jobs)]
    if at_time:
        words += ["--at", str(at_time)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    process.stdin.write("".join(f"{k} {d} {c or '-'}\n" for k, d, c in wanted))
    process.stdin.close()
    process.stdin = None
    return process


def finish_requests(process, seconds=300):
    output, errors = process.communicate(timeout=seconds)
    check(process.returncode == 0, "requester: {}", errors)
    answers = []
    for line in output.splitlines():
        words = line.split()
        if words[0] == "errno":
            answers.append(Answer(None, words[1], float(words[2]), None))
        else:
            answers.append(Answer(words[0], None, float(words[1]), words[2]))
    return answers


def request(site, peer, label, callout="", kind="user", prefix=()):
    wanted = [(kind, description(site, peer, label), callout)]
    return finish_requests(start_requests(site, wanted, prefix=prefix))[0]


def request_ok(site, peer, label, callout="wait=5", **options):
    answer = request(site, peer, label, callout, **options)
    check(answer.key, "{} asks for {} with {}: {}", site, label, peer, answer.error)
    check(answer.seconds <= LONGEST_SECONDS, "{} s", answer.seconds)
    return answer.key


def same_key(label, first=("alice", "bob"), callout="wait=5"):
    """Asks at both sites, one after the other; the key."""
    a, b = first
    one, two = request_ok(a, b, label, callout), request_ok(b, a, label, callout)
    equal(one, two, f"label {label}")
    return one


def until_served(site, peer, label, seconds=30):
    """Tries again while a daemon comes back."""
    return wait_for(lambda: request(site, peer, label, "wait=2").key, seconds,
                    f"label {label} at {site}")


# key files -------------------------------------------------------------------------------------

def key_files(site, link):
    """Name below the keys directory -> path, of one link, without ids."""
    found = {}
    for store in glob.glob(f"{home(site)}/{KEYS}/*/store"):
        with open(store, encoding="utf-8") as file:
            about = json.load(file)
        if about["link"] == link:
            directory = os.path.dirname(store)
            for path in glob.glob(f"{directory}/{about['peer']}_*"):
                if not path.endswith(".ids"):
                    generation = about["generation"]
                    found[(generation, int(path.rpartition("_")[2]))] = path
    return found


def lines_of(site, link):
    """(generation, line number) -> line; a file that is gone has only erased lines."""
    lines = {}
    for (generation, number), path in key_files(site, link).items():
        with open(path, encoding="ascii") as file:
            for i, line in enumerate(file.read().split("\n")[:-1]):
                lines[(generation, number * 4096 + i)] = line
    return lines


def stop_link(link, sites=("alice", "bob")):
    """No more keys; returns when the last line of both sites has the same number."""
    for site in sites:
        at(site, "qkdctl", "link", "stop", link)

    def settled():
        sizes = [max((k for k in lines_of(site, link)), default=None) for site in sites]
        return sizes[0] == sizes[1]
    wait_for(settled, 40, f"link {link} settles")
    time.sleep(0.3)
    wait_for(settled, 40, f"link {link} settles")


def check_files_agree(link, sites=("alice", "bob")):
    """Line by line: equal, or erased at one side. Answers the number of lines of each kind."""
    a, b = (lines_of(site, link) for site in sites)
    kinds = collections.Counter()
    for place in sorted(a.keys() | b.keys()):
        one, two = a.get(place, ERASED), b.get(place, ERASED)
        check(len(one) == len(two) == STRIDE - 1, "line {}: length", place)
        erased = [line for line in (one, two) if line == ERASED]
        check(one == two or erased, "line {} holds two different keys", place)
        kinds["equal" if one == two and not erased else "erased"] += 1
    for site, lines in zip(sites, (a, b)):
        keys = [line for line in lines.values() if line != ERASED]
        equal(len(set(keys)), len(keys), f"{site}: number of different keys in the files")
    return kinds


# running ---------------------------------------------------------------------------------------

def run_cases():
    failed = False
    for sentence, function in cases:
        started = time.monotonic()
        try:
            function()
            print(f"ok {sentence}", flush=True)
        except Skipped as why:
            print(f"skip {sentence}: {why}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed = True
            if not isinstance(error, Failed):
                traceback.print_exc()
            reason = (str(error) or repr(error)).splitlines()[0]
            print(f"not ok {sentence}: {reason}", flush=True)
            print(f"{sentence}: {error}", file=sys.stderr)
            tell_journals()
        print(f"{time.monotonic() - started:6.1f} s  {sentence}", file=sys.stderr)
    return failed


def tell_journals():
    try:
        for site in status()["sites"]:
            print(f"--- journal of {site['site']}:", file=sys.stderr)
            print(journal(site["site"], "--lines=25"), file=sys.stderr)
    except (Failed, ValueError, subprocess.SubprocessError):
        pass


def hold_lab():
    """Starts this program again as one that has the lab to itself, when its turn comes."""
    if "QKD_LAB_HELD" not in os.environ:
        sys.stdout.flush()
        os.execv(LAB, [LAB, "hold", "--", *sys.argv])


def run(*lab_words):
    """The main function of a test; without words the lab is the cases' own affair."""
    hold_lab()
    if lab_words:
        try:
            lab("up", *lab_words, seconds=120)
        except Failed as error:
            print(f"not ok lab up {' '.join(lab_words)}: {str(error).splitlines()[0]}")
            print(error, file=sys.stderr)
            sys.exit(1)  # it has cleaned up
    try:
        failed = run_cases()
    finally:
        lab("down", ok=False)
    sys.exit(1 if failed else 0)
