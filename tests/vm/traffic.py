#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Numbered UDP packets at a steady rate, and who of them arrived; runs inside a machine.

    traffic.py send FROM TO RATE SECONDS     {"sent": COUNT}
    traffic.py receive AT                    {"missing": [NUMBER...], "received": COUNT, "arrivals": [TIME...]}

Every packet begins with MARK, so that one in clear is found in a capture. A sender whose packets are
dropped goes on. A sender ends early when /run/traffic-end is there; a receiver ends then, when nothing
has come for 2 s. Arrivals are seconds since 1970, one for each tenth of a second that had any.
"""

import json
import os
import socket
import sys
import time

MARK = b"in-clear-"
END = "/run/traffic-end"
END_EVERY = 20  # packets
PORT = 4711
BUFFER_BYTES = 1 << 22
SO_RCVBUFFORCE = 33


def send(source, target, rate, seconds):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.bind((source, 0))
    started, count = time.monotonic(), 0
    while time.monotonic() < started + seconds and (count % END_EVERY or not os.path.exists(END)):
        try:
            out.sendto(MARK + b"%010d" % count + bytes(80), (target, PORT))
        except OSError:
            pass  # no association: it counts as sent and will be missing
        count += 1
        time.sleep(max(0, started + count / rate - time.monotonic()))
    return {"sent": count}


def receive(address):
    inward = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inward.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    inward.bind((address, PORT))
    inward.settimeout(2)
    seen, arrivals = set(), set()
    while True:
        try:
            packet = inward.recv(2048)
        except socket.timeout:
            if os.path.exists(END):
                break
            continue
        seen.add(int(packet[len(MARK):len(MARK) + 10]))
        arrivals.add(round(time.time(), 1))
    count = max(seen) + 1 if seen else 0
    return {"received": len(seen), "missing": sorted(set(range(count)) - seen)[:1000],
            "arrivals": sorted(arrivals)}


def main(words):
    if words[0] == "send":
        result = send(words[1], words[2], float(words[3]), float(words[4]))
    else:
        result = receive(words[1])
    print(json.dumps(result))


main(sys.argv[1:])
