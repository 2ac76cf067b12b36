# SPDX-License-Identifier: MIT
"""Talks to the guest agent of one machine: runs commands inside, writes files.

The agent's socket takes one client at a time, so every call connects anew; that also makes a machine
that is starting again nothing special. What is under way in the machine goes on between two calls.
"""

import base64
import json
import random
import socket
import time

from . import VmError

ANSWER_SEC = 60
SYNC_SEC = 5
PATIENCE_SEC = 120
POLL_SEC = (0.03, 0.12)
RETRY_SEC = 0.4
CHUNK_BYTES = 256 * 1024
RECEIVE_BYTES = 1 << 16
GRACE_SEC = 30  # after the machine's own time limit


class Silent(VmError):
    """No agent answers: the machine is starting, or gone."""


class Connection:
    def __init__(self, path, seconds):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(seconds)
        self.buffer = b""
        try:
            self.socket.connect(path)
        except OSError as error:
            self.socket.close()
            raise Silent(f"{path}: {error}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def line(self):
        while b"\n" not in self.buffer:
            try:
                data = self.socket.recv(RECEIVE_BYTES)
            except OSError as error:
                raise Silent(f"guest agent: {error}") from None
            if not data:
                raise Silent("guest agent: connection closed")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def send(self, command, arguments):
        message = {"execute": command, "arguments": arguments}
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise Silent(f"guest agent: {error}") from None

    def sync(self):
        """What an earlier client has left unread comes first, until our number is answered."""
        number = random.getrandbits(31)
        self.send("guest-sync", {"id": number})
        for _ in range(64):
            try:
                if json.loads(self.line()).get("return") == number:
                    return
            except (ValueError, AttributeError):
                pass
        raise Silent("guest agent: no answer to sync")

    def call(self, command, arguments):
        self.socket.settimeout(ANSWER_SEC)
        self.send(command, arguments)
        answer = json.loads(self.line())
        if "error" in answer:
            raise VmError(f"{command}: {answer['error'].get('desc')}")
        return answer["return"]


class Agent:
    def __init__(self, path):
        self.path = path

    def connect(self, end):
        """Tries again until then: a starved machine answers late, and takes one client at a time."""
        while True:
            connection = None
            try:
                connection = Connection(self.path, SYNC_SEC)
                connection.sync()
                return connection
            except Silent:
                if connection:
                    connection.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(RETRY_SEC)

    def call(self, command, patience_sec=PATIENCE_SEC, **arguments):
        with self.connect(time.monotonic() + patience_sec) as connection:
            return connection.call(command, arguments)

    def patiently(self, command, end, **arguments):
        """For a question that may be asked twice."""
        while True:
            try:
                return self.call(command, **arguments)
            except Silent:
                if time.monotonic() > end:
                    raise
                time.sleep(RETRY_SEC)

    def answers(self):
        try:
            self.call("guest-ping", patience_sec=0)
            return True
        except VmError:
            return False

    def execute(self, words, seconds, data=b""):
        """(status, output, errors) of a command, which is killed inside after that many seconds."""
        end = time.monotonic() + seconds + GRACE_SEC
        pid = self.call("guest-exec", path="/usr/bin/timeout", **{
            "arg": ["--kill-after=5", str(seconds), *words], "capture-output": True,
            "input-data": base64.b64encode(data).decode()})["pid"]
        pause, longest = POLL_SEC
        while True:
            status = self.patiently("guest-exec-status", end, pid=pid)
            if status["exited"]:
                break
            if time.monotonic() > end:
                raise VmError(f"{words[0]}: not within {seconds} s")
            time.sleep(pause)
            pause = min(longest, pause * 1.5)
        output, errors = (base64.b64decode(status.get(name, "")).decode(errors="replace")
                          for name in ("out-data", "err-data"))
        return status.get("exitcode", 128 + status.get("signal", 0)), output, errors

    def write(self, path, data):
        handle = self.call("guest-file-open", path=path, mode="w")
        try:
            for at in range(0, len(data), CHUNK_BYTES):
                self.call("guest-file-write", handle=handle, **{
                    "buf-b64": base64.b64encode(data[at:at + CHUNK_BYTES]).decode()})
        finally:
            self.call("guest-file-close", handle=handle)
