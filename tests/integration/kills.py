# SPDX-License-Identifier: MIT
"""Random kill -9 of daemons at load: what test-kills does a little and the soak does for long.

Labels are asked for at both sites without a pause, and new keys are reserved, while one daemon after
another is killed at a random moment and started again. Whatever failed is asked for again.
"""

import collections
import random
import subprocess
import sys
import time

from harness import (LAB, at, check, check_files_agree, description, equal, finish_requests, lab,
                     lines_of, request, start_requests, stop_link, wait_for)

LINK = "alice-bob"
SITES = (("alice", "bob"), ("bob", "alice"))
KEYRINGD, LINKD = "qkd-keyringd", f"qkd-linkd@{LINK}"
LABELS_A_ROUND = 12
RESERVED_A_ROUND = 4
TRIES = 6               # rounds in which a label may fail before it is asked for by itself
MOST_PAUSE_SEC = 0.4
RUN_AHEAD_KEYS = 64     # default of run_ahead_keys
SPENT = "EKEYEXPIRED"


class Load:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.keys = collections.defaultdict(dict)  # label -> site -> key
        self.open = {}                             # label -> rounds that it has failed in
        self.spent_unserved = []
        self.kills = collections.Counter()
        self.lost_ahead = 0
        self.next_label = 0
        self.reserved = set()

    def _new_labels(self):
        for _ in range(LABELS_A_ROUND):
            self.open[f"soak.{self.next_label}"] = 0
            self.next_label += 1

    def note(self, site, label, answer):
        if answer.error == SPENT and site not in self.keys[label]:
            self.spent_unserved.append((site, label))
        if not answer.key:
            return
        have = self.keys[label].setdefault(site, answer.key)
        equal(answer.key, have, f"{site} serves label {label} again")

    def is_done(self, label):
        return len(self.keys[label]) == len(SITES)

    def round(self, kill):
        """Asks for new labels and those that have failed, and kills meanwhile."""
        self._new_labels()
        labels = list(self.open)
        running = {site: start_requests(site, [("user", description(site, peer, label), "wait=3")
                                               for label in labels if site not in self.keys[label]],
                                        jobs=3) for site, peer in SITES}
        reserving = [subprocess.Popen(
            [LAB, "exec", site, "--", "busctl", "--timeout=4", "call", "org.qkd.Keyring1",
             "/org/qkd/Keyring1", "org.qkd.Keyring1", "GetNewKeys", "suu", peer, "256",
             str(RESERVED_A_ROUND)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for site, peer in SITES]
        time.sleep(self.random.uniform(0, MOST_PAUSE_SEC))
        kill()
        for site, _ in SITES:
            asked = [label for label in labels if site not in self.keys[label]]
            for label, answer in zip(asked, finish_requests(running[site])):
                self.note(site, label, answer)
        self._note_reserved(reserving)
        self._settle(labels)

    def _note_reserved(self, reserving):
        for process in reserving:
            ids = process.communicate(timeout=20)[0].split()[2:]
            for id_ in ids:
                check(id_ not in self.reserved, "id {} was reserved twice", id_)
                self.reserved.add(id_)

    def _settle(self, labels):
        for label in labels:
            if self.is_done(label):
                del self.open[label]
            else:
                self.open[label] += 1
                check(self.open[label] <= TRIES, "label {} is not served: {}", label,
                      self.keys[label])

    def kill_one(self):
        site = self.random.choice(SITES)[0]
        program = self.random.choice((KEYRINGD, LINKD))
        lab("kill", site, program)
        time.sleep(self.random.choice((0, 0, 0.05, 0.3)))
        lab("start", site, program)
        self.kills[program] += 1
        if program == KEYRINGD:
            self.lost_ahead += self._lost_at(site)

    @staticmethod
    def _lost_at(site):
        """Keys that the daemon just started gave up, since its record covered them."""
        peer = dict(SITES)[site]
        text = at(site, "busctl", "get-property", "org.qkd.Keyring1",
                  f"/org/qkd/Keyring1/store/{peer}", "org.qkd.Keyring1.Store", "LostAhead").stdout
        return int(text.split()[1])

    def finish(self):
        """What is still open is served once nobody kills any more."""
        for label in list(self.open):
            for site, peer in SITES:
                if site not in self.keys[label]:
                    def served():
                        self.note(site, label, request(site, peer, label, "wait=3"))
                        return site in self.keys[label]
                    wait_for(served, 20, f"label {label} at {site}")
            del self.open[label]

    def ask_again(self):
        """Every label once more: spent, or, where a daemon died before the helper's word, the same
        key again, which is then done with."""
        labels = list(self.keys)
        running = {site: start_requests(site, [("user", description(site, peer, label), "wait=3")
                                               for label in labels], jobs=3) for site, peer in SITES}
        for site, _ in SITES:
            for label, answer in zip(labels, finish_requests(running[site], 1800)):
                check(answer.key or answer.error == SPENT, "label {} at {}, asked again: {}", label,
                      site, answer.error)
                self.note(site, label, answer)

    # What has to hold at the end

    def check_keys(self):
        for label, keys in self.keys.items():
            equal(len(set(keys.values())), 1, f"different keys of label {label}")
        issued = [keys["alice"] for keys in self.keys.values()]
        equal(len(set(issued)), len(issued), "different keys of different labels")
        equal(self.spent_unserved, [], "labels that are spent and were never served")

    def check_files(self):
        issued = {keys["alice"] for keys in self.keys.values()}
        stop_link(LINK)
        wait_for(lambda: all(not issued & set(lines_of(site, LINK).values()) for site, _ in SITES),
                 20, "issued keys are erased")
        kinds = check_files_agree(LINK)
        check(kinds["equal"] > 0, "no keys are left")

    def check_lost(self):
        most = RUN_AHEAD_KEYS * self.kills[KEYRINGD]
        check(self.lost_ahead <= most, "{} keys lost to the record that runs ahead", self.lost_ahead)

    def summary(self):
        kills = ", ".join(f"{count} of {program}" for program, count in sorted(self.kills.items()))
        return (f"kills: {kills}; labels served at both sites: {len(self.keys)}; keys reserved: "
                f"{len(self.reserved)}; lost to the record that runs ahead: {self.lost_ahead} of at "
                f"most {RUN_AHEAD_KEYS * self.kills[KEYRINGD]}")


def run_kills(load, count):
    for i in range(count):
        load.round(load.kill_one)
        if (i + 1) % 50 == 0:
            print(f"{i + 1} kills; {load.summary()}", file=sys.stderr, flush=True)
    load.round(lambda: None)
    load.finish()
    load.ask_again()
