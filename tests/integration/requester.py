#!/usr/bin/python3 -B
# SPDX-License-Identifier: MIT
"""Asks the kernel for keys, each in a session keyring of its own, and prints what came.

Standard input: lines "TYPE DESCRIPTION CALLOUT" ('-' for no callout words). Standard output, in the
same order: "HEX SECONDS PERMISSION" or "errno NAME SECONDS". --jobs N asks N at a time,
--at TIME begins at that second of the wall clock.
"""

import ctypes
import errno
import os
import sys
import tempfile
import time

REQUEST_KEY, KEYCTL = 249, 250
JOIN_SESSION, DESCRIBE, READ = 1, 6, 11
SESSION = -3
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def call(*arguments):
    result = libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def ask(kind, description, callout):
    """One line of output."""
    started = time.monotonic()
    try:
        call(KEYCTL, JOIN_SESSION, ctypes.c_char_p(None))
        key = call(REQUEST_KEY, kind.encode(), description.encode(),
                   b"" if callout == "-" else callout.encode(),
                   SESSION)
        seconds = time.monotonic() - started
        text = ctypes.create_string_buffer(512)
        call(KEYCTL, DESCRIBE, key, text, 512)
        permission = text.value.split(b";")[3].decode()
        if kind == "logon":
            return f"logon {seconds:.3f} {permission}"
        buffer = ctypes.create_string_buffer(4096)
        size = call(KEYCTL, READ, key, buffer, 4096)
        return f"{buffer.raw[:size].hex()} {seconds:.3f} {permission}"
    except OSError as error:
        return f"errno {errno.errorcode[error.errno]} {time.monotonic() - started:.3f}"


def work(lines, output):
    for line in lines:
        kind, description, callout = line.split(" ", 2)
        output.write(ask(kind, description, callout) + "\n")
    output.flush()


def main():
    options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    jobs = int(options.get("--jobs", "1"))
    lines = sys.stdin.read().splitlines()
    if "--at" in options:
        time.sleep(max(0, float(options["--at"]) - time.time()))
    parts = []
    for i in range(jobs):
        file = tempfile.TemporaryFile("w+")
        pid = os.fork()
        if pid == 0:
            work(lines[i::jobs], file)
            os._exit(0)
        parts.append((pid, file))
    answers = [None] * len(lines)
    for i, (pid, file) in enumerate(parts):
        os.waitpid(pid, 0)
        file.seek(0)
        answers[i::jobs] = file.read().splitlines()
    print("\n".join(answers))


if __name__ == "__main__":
    main()
