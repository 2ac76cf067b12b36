# SPDX-License-Identifier: MIT
"""A peer that does not keep to the rules, with Python's TLS: strangers, nonsense, and a relay that has
both sites' certificates and changes what passes."""

import asyncio
import json
import socket
import ssl
import struct
import threading

ATTACKER = "127.0.0.2"  # another host, as far as limits for each host go
JSON_LIMIT = 256 << 10
BINARY = 1 << 31


def context(pki, name=None, server=False, ca="ca"):
    """TLS 1.3 with the certificate of that name, or none."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(f"{pki}/{ca}.pem")
    if name:
        made.load_cert_chain(f"{pki}/{name}.pem", f"{pki}/{name}.key")
    return made


def plain(port, source=ATTACKER):
    connection = socket.create_connection(("127.0.0.1", port), 5, (source, 0))
    connection.settimeout(20)
    return connection


def connect(port, tls, source=ATTACKER):
    return tls.wrap_socket(plain(port, source))


def frame(message):
    data = json.dumps(message).encode()
    return struct.pack(">I", len(data)) + data


def receive_exactly(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def receive(connection):
    (size,) = struct.unpack(">I", receive_exactly(connection, 4))
    return json.loads(receive_exactly(connection, size))


def is_ended_by_peer(connection):
    """Reads what still comes; True when the other side ends the connection."""
    try:
        while connection.recv(65536):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:  # an alert, a reset
        return True


class Relay:
    """Listens for the leader as the follower does, connects to the follower as the leader does.

    change(message, to_follower) answers the messages that are passed on in place of this one.
    """

    def __init__(self, pki, leader, follower, port, follower_port, change):
        self.change = change
        self._server_tls = context(pki, follower, server=True)
        self._client_tls = context(pki, leader)
        self._ports = port, follower_port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(10)

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(
            self._serve, "127.0.0.1", self._ports[0], ssl=self._server_tls))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()

    async def _serve(self, leader_in, leader_out):
        try:
            follower_in, follower_out = await asyncio.open_connection(
                "127.0.0.1", self._ports[1], ssl=self._client_tls)
        except OSError:
            leader_out.close()
            return
        await asyncio.gather(self._pump(leader_in, follower_out, True),
                             self._pump(follower_in, leader_out, False))

    async def _pump(self, source, target, to_follower):
        try:
            while True:
                (size,) = struct.unpack(">I", await source.readexactly(4))
                message = json.loads(await source.readexactly(size))
                for changed in self.change(message, to_follower):
                    target.write(frame(changed))
                await target.drain()
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            target.close()
