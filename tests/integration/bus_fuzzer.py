#!/usr/bin/python3 -B
# SPDX-License-Identifier: MIT
"""Calls D-Bus methods with random arguments: of the right types and of wrong ones, from a seed.

usage: bus_fuzzer.py SEED CALLS <methods.json: [service, path, interface, method, signature] each.
Prints how often each answer came, as one JSON object. Runs as any user, who need not be allowed.
"""

import collections
import json
import random
import sys

import dbus
import dbus.lowlevel

BASIC = "ybnqiuxtdsog"
RANGES = {"y": (0, 255), "n": (-2**15, 2**15 - 1), "q": (0, 2**16 - 1), "i": (-2**31, 2**31 - 1),
          "u": (0, 2**32 - 1), "x": (-2**63, 2**63 - 1), "t": (0, 2**64 - 1)}
WORDS = ["", "bob", "alice", "alice-bob", "nobody", "../bob", "a" * 64, "a" * 4096, "%s%n", "\n", "☃",
         "org.qkd.Link1", "org.qkd.Keyring1", "org.qkd.Keyring1.Store", "State", "Site", "window",
         "hold_sec", "keys_per_transaction", "deposit_cap", "store_limit_keys", "log_level", "peers",
         "low_water_keys", "run_ahead_keys", "reservation_sec", "label_ttl_sec", "0", "1", "7", "64",
         "-1", "1e9", "18446744073709551616", "debug", "true", "null", "{}", "[]", '"x"', "sync.keys",
         "link.*", "00000000-0000-0000-0000-000000000000", "6ba7b810-9dad-41d1-80b4-00c04fd430c8"]
PATHS = ["/", "/org/qkd/Link1", "/org/qkd/Keyring1/store/bob", "/a/b/c"]
BATCH = 40
ANSWER_SEC = 20


def signature_of(rng, depth=0):
    kind = rng.random()
    if kind < 0.7 or depth > 3:
        return rng.choice(BASIC)
    if kind < 0.8:
        return "a" + signature_of(rng, depth + 1)
    if kind < 0.87:
        return "v"
    if kind < 0.94:
        return f"a{{{rng.choice(BASIC)}{signature_of(rng, depth + 1)}}}"
    return "(" + "".join(signature_of(rng, depth + 1) for _ in range(rng.randint(1, 3))) + ")"


def split(signature):
    """The complete types of a signature."""
    types, depth, start = [], 0, 0
    for i, letter in enumerate(signature):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0 and letter != "a":
            types.append(signature[start:i + 1])
            start = i + 1
    return types


def value_of(rng, kind):
    first = kind[0]
    if first in RANGES:
        low, high = RANGES[first]
        return rng.choice([low, high, 0, 1, 7, 64, 256]) if rng.random() < 0.8 \
            else rng.randint(low, high)
    if first == "b":
        return rng.random() < 0.5
    if first == "d":
        return rng.choice([0.0, -1.0, float("inf"), float("nan"), 1e300])
    if first == "s":
        return rng.choice(WORDS)
    if first == "o":
        return rng.choice(PATHS)
    if first == "g":
        return rng.choice(["", "s", "a{sv}"])
    if first == "v":
        inner = rng.choice(BASIC)
        return {"s": dbus.String, "o": dbus.ObjectPath, "g": dbus.Signature, "y": dbus.Byte,
                "b": dbus.Boolean, "n": dbus.Int16, "q": dbus.UInt16, "i": dbus.Int32,
                "u": dbus.UInt32, "x": dbus.Int64, "t": dbus.UInt64, "d": dbus.Double
                }[inner](value_of(rng, inner), variant_level=1)
    if kind.startswith("a{"):
        key, rest = kind[2], kind[3:-1]
        return {value_of(rng, key): value_of(rng, rest) for _ in range(rng.randint(0, 4))}
    if first == "a":
        return [value_of(rng, kind[1:]) for _ in range(rng.choice([0, 1, 3, 40]))]
    return tuple(value_of(rng, inner) for inner in split(kind[1:-1]))


def message(rng, method):
    service, path, interface, member, signature = method
    if rng.random() < 0.3:
        signature = "".join(signature_of(rng) for _ in range(rng.randint(0, 4)))
    call = dbus.lowlevel.MethodCallMessage(service, path, interface, member)
    if signature:
        try:
            call.append(*[value_of(rng, kind) for kind in split(signature)], signature=signature)
        except (TypeError, ValueError, OverflowError):  # what cannot be said in D-Bus
            return message(rng, method)
    return call


def main():
    rng, calls = random.Random(int(sys.argv[1])), int(sys.argv[2])
    methods = json.load(sys.stdin)
    bus = dbus.bus.BusConnection(dbus.bus.BusConnection.TYPE_SYSTEM)
    answers = collections.Counter()

    def answered(reply):
        error = reply.get_error_name() if reply.get_type() == dbus.lowlevel.MESSAGE_TYPE_ERROR else ""
        answers[error] += 1
    for _ in range(0, calls, BATCH):
        pending = [bus.send_message_with_reply(message(rng, rng.choice(methods)), answered,
                                               ANSWER_SEC) for _ in range(BATCH)]
        for one in pending:
            one.block()
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
